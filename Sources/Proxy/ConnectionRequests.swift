// How a connection takes requests from its input, has them judged and forwarded: the part of `Connection` that drives the exchange.

import Auth
import HTTP
import Login
import Net
import Primitives
import Upstream

extension Connection {
  // MARK: The exchange

  /// Takes what can be taken from the input, as far as the exchange allows.
  mutating func advance() {
    var turns = 0
    while !isClosed && closesWhenFlushed == nil {
      switch exchange.phase {
      case .idle:
        isHeldBack = output.count >= Limits.outHigh
        if input.isEmpty || isHeldBack { return settleDown() }
        if turns == Limits.requestsPerTurn {
          worker.again(token)
          return settleDown()
        }
        turns += 1
        if !parseHead() { return settleDown() }
      case .judging, .answering, .tunneling:
        return settleDown()
      case .collecting:
        takeBody()
        if exchange.phase == .collecting { return settleDown() }
      case .gathering:
        takeBody()
        if exchange.phase == .gathering || exchange.phase == .waiting { return settleDown() }
      case .waiting, .relaying:
        takeBody()
        if case .finished = exchange.phase { continue }
        return settleDown()
      case .draining:
        takeBody()
        if exchange.phase == .draining { return settleDown() }
      case .finished(let ending):
        end(ending)
      }
    }
    settleDown()
  }

  mutating func settleDown() {
    if isClosed { return }
    // What is waited for has changed, perhaps: it is looked at when the output has been written.
    markDirty()
  }

  /// False when more bytes are needed.
  mutating func parseHead() -> Bool {
    let wasStarted = parser.hasStarted
    if !wasStarted {
      adoptLatest()
      takeMemory()
    }
    let result = parser.parse(input, into: &head)
    if !wasStarted && (parser.hasStarted || result != .needMore) {
      record.began = worker.now
      record.beganAt = worker.wallNow
    }
    switch result {
    case .needMore:
      return false
    case .complete(let n):
      input.consume(n)
      // A head may take its time: who asks is judged by the users of now, not of its first byte.
      adoptLatest()
      beginExchange()
    case .failed(let failure):
      beginRecord()
      record.reason = "\(failure.reason)"
      perform(exchange.failed(status: failure.status))
    }
    return true
  }

  mutating func beginRecord() {
    requests += 1
    serial = worker.nextSerial()
    wasChecked = false
    // Until the head is understood; one of a request before is another's, behind a proxy.
    client = peer.address.client
    identifyRequest()
  }

  mutating func beginExchange() {
    beginRecord()
    client = clientAddress()
    if carrier == nil { body.begin(head.framing) } else { body.beginTold(head.framing) }
    let request = Exchange.Request(
      framing: head.framing, method: head.method, version: head.version, isPersistent: head.isPersistent,
      expectsContinue: head.expectsContinue)
    let mayPersist = requests < snapshot.keepAliveRequests && !isDraining
    perform(exchange.began(request, mayPersist: mayPersist))
  }

  /// A trusted proxy's identifier is kept, so that one request has one name on its whole way; a stranger's is not, since it would be
  /// written into logs that others read.
  mutating func identifyRequest() {
    if peer.isTrusted, let i = head.firstIndex(of: .xRequestID) {
      if let given = RequestIdentifier(given: ASCII.array(head.bytes[head.fields[i].value])) {
        requestID = given
        return
      }
    }
    requestID = worker.nextIdentifier()
  }

  mutating func perform(_ action: Exchange.Action) {
    switch action {
    case .none:
      break
    case .judge:
      judge()
    case .forward:
      // Not without the grant: `granted` has it and forwards. Of a body that was gathered it waits with that.
      forwardGathered()
    case .reply(let status, let closes):
      writeReply(status, closes: closes)
    case .answer:
      answerRequest()
    case .sendContinue:
      output.append("HTTP/1.1 100 Continue\r\n\r\n")
      markDirty()
    case .relayHead(let framing, let closes):
      relayHead(framing, closes: closes)
    case .openTunnel:
      openTunnel()
    case .finish:
      if exchange.mayHaveTrailers { dropTrailers() }
      if exchange.responseHasBody && exchange.responseFraming == .chunked, let transfer {
        transfer.appendLastChunk(to: &output)
      }
      if carrier != nil { finishStream() }
      endTransfer()
    case .stop(let ending):
      abandonCheck()
      if ending == .abort || transfer != nil { record.isAborted = true }
      endTransfer()
    }
  }

  // MARK: Judging

  /// Finds the route and asks the gatekeeper. Who may not pass learns nothing of routes: 404 comes after authentication.
  mutating func judge() {
    if peer.mustComeAgain { return turnAway() }
    if let port = portOfRedirect { return redirect(toPort: port) }
    guard findRoute(), endpoint == nil || checkEndpoint() else { return }
    if let index = record.route, refusesClearText(index) { return }
    if record.isInquiry, let inquiry { return judge(inquiry) }
    if let index = record.route, let care = snapshot.traits[index].care, refusesByRate(care) { return }
    if let index = record.route, snapshot.traits[index].passesPreflights,
      let decision = worker.gatekeeper.decidePreflight(head, requirement, requestContext)
    {
      return decided(decision)
    }
    var target = ByteBuffer()
    worker.lendTarget(&target)
    var scratch: Secret?
    worker.lendCredentials(&scratch)
    let decision = decision(target, &scratch)
    worker.lendCredentials(&scratch)
    worker.lendTarget(&target)
    decided(decision)
  }

  // What follows only looks: where nothing of a connection can change meanwhile, no reference of it has to be counted, and no head copied.
  // Always inlined, since to a function that is called the whole of a connection would be lent as a copy.

  @inline(__always) func decision(_ target: borrowing ByteBuffer, _ scratch: inout Secret?) -> Decision {
    worker.gatekeeper.decide(
      head, target: target, pathLength: pathLength, requirement, requestContext, scratch: &scratch!)
  }

  @inline(__always) private func routed(_ target: inout ByteBuffer, _ pathLength: inout Int) -> RequestRouting.Verdict {
    RequestRouting.find(
      head, in: snapshot.router, snapshot.endpoints, ticket: snapshot.ticketParameter, target: &target, pathLength: &pathLength)
  }

  @inline(__always) private func clientAddress() -> ClientAddress {
    ClientNetwork.address(of: head, peer, by: snapshot.originField, trusted: snapshot.trustedProxies)
  }

  @inline(__always) private func composed(
    _ grant: consuming Grant, _ route: Int, _ traits: RouteTraits, _ target: borrowing ByteBuffer, _ account: Account?
  ) -> UpstreamRequest {
    let methodIsJudged =
      traits.judgesMethod || grant.credential.judgesMethod
      || snapshot.router.judgesMethod(before: route, head, target: target, pathLength: pathLength)
    return worker.compose(
      head, target: target, snapshot.rules, traits, peer, methodIsJudged: methodIsJudged, requestID, account, grant)
  }

  @inline(__always) private mutating func started(_ request: consuming UpstreamRequest, _ route: Int) throws(UpstreamFailure) -> Transfer {
    let balancer = worker.balancer(for: snapshot.traits[route].upstream, in: snapshot)
    var request = request
    if let version = balancer.announces { announce(version, in: &request) }
    return try worker.client.start(request, at: balancer, key: balancer.hashes ? balanceKey(for: balancer) : nil, owner: token)
  }

  @inline(__always) var requestContext: RequestContext {
    // A certificate is the connection's: not that of somebody for whom a proxy asks. And it comes without having been sent, so that other
    // people's pages could make a browser use it: what changes passwords and gives out tokens asks for more.
    // It has to agree with what is sent there all the same.
    // Any token may be exchanged for one that is good for no more, and be taken back.
    RequestContext(
      client: client, now: worker.wallNow, instant: worker.now, judgesScope: endpoint != .token, certificate: peer.isTrusted ? nil : peer.certificate,
      certificateLogsIn: endpoint == nil)
  }

  /// Leaves the target, as it will be forwarded, in the worker's buffer. False when the request was refused.
  mutating func findRoute() -> Bool {
    endpoint = nil
    var target = ByteBuffer()
    worker.lendTarget(&target)
    var length = 0
    let found = routed(&target, &length)
    pathLength = length
    worker.lendTarget(&target)
    switch found {
    case .refused(let reason):
      record.reason = "\(reason)"
      perform(exchange.refused(status: 400))
      return false
    case .route(let index):
      record.route = index
      requirement = snapshot.router.routes[index].requirement
    case .endpoint(.forwardAuth) where peer.isTrusted:
      endpoint = .forwardAuth
      return findInquiry()
    case .endpoint(.forwardAuth):
      // To anybody else it is not there: what he writes into the fields is not looked at.
      record.route = nil
      requirement = .validUser
    case .endpoint(let found):
      record.route = nil
      endpoint = found
      requirement = requirement(of: found)
    case .none:
      record.route = nil
      requirement = .validUser
    }
    return true
  }

  mutating func decided(_ decision: consuming Decision) {
    switch consume decision {
    case .grant(let grant):
      granted(grant)
    case .challenge(let refusal):
      refused(refusal, status: 401)
    case .malformed(let refusal):
      // To the server in front, 400 is its own fault.
      refused(refusal, status: record.isInquiry ? 403 : 400)
    case .deny(let refusal):
      refused(refusal, status: 403)
    case .tooManyFailures(let refusal, let seconds):
      retryAfter = seconds
      note(refusal)
      refuseLater(429)
    case .pending(let check):
      let waiter = HashPool.Waiter(mailbox: worker.mailbox, connection: token, serial: serial, attempt: check.attempt)
      pendingCheck = worker.shared.pool.submit(check, address: client.networkKey, waiter, now: worker.now)
      if pendingCheck == nil {
        record.reason = "too many password checks are waiting"
        refuseLater(503)
      }
    }
  }

  /// Refuses after `Limits.refusalPause`. Until then the connection takes no other request, and costs nothing but its place.
  private mutating func refuseLater(_ status: Int) {
    guard exchange.phase == .judging else { return }
    if carrier != nil && !mayHoldRefusal(status) { return }
    heldRefusal = (status, worker.now.advanced(by: Limits.refusalPause))
    arm()
  }

  mutating func giveHeldRefusal() {
    guard let held = heldRefusal else { return }
    heldRefusal = nil
    noLongerHolds()
    perform(exchange.refused(status: held.status))
  }

  /// Nobody is there to be told any more.
  mutating func abandonCheck() {
    guard let place = pendingCheck else { return }
    pendingCheck = nil
    worker.shared.pool.abandon(place)
  }

  /// The pool's answer.
  mutating func checked(serial: UInt64, _ check: PasswordCheck, _ outcome: CheckOutcome) {
    guard !isClosed, serial == self.serial, exchange.phase == .judging else { return }
    pendingCheck = nil
    switch outcome {
    case .displaced:
      record.reason = "too many password checks are waiting"
      refuseLater(503)
    case .tooLate:
      record.reason = "the password check waited too long"
      perform(exchange.refused(status: 503))
    case .barred(let seconds):
      decided(.tooManyFailures(Refusal(.lockedOut, user: check.loggedName), retryAfter: seconds))
    case .matched, .failed:
      // The configuration and the users of now, not of then: a user removed while the check ran is removed.
      adoptLatest()
      wasChecked = outcome == .matched
      record.isInquiry = false
      client = clientAddress()
      if peer.mustComeAgain {
        turnAway()
        break
      }
      if let port = portOfRedirect {
        redirect(toPort: port)
        break
      }
      if !findRoute() || (endpoint != nil && !checkEndpoint()) { break }
      if let index = record.route, refusesClearText(index) { break }
      if record.isInquiry, let inquiry {
        settle(inquiry, check, matched: outcome == .matched)
      } else {
        var target = ByteBuffer()
        worker.lendTarget(&target)
        let decision = worker.gatekeeper.settle(
          check, matched: outcome == .matched, method: head.bytes[head.methodRange], target: target,
          pathLength: pathLength, requirement, requestContext)
        worker.lendTarget(&target)
        decided(decision)
      }
    }
    advance()
  }

  mutating func refused(_ refusal: Refusal, status: Int) {
    note(refusal)
    perform(exchange.refused(status: status))
  }

  /// For the log, and for the challenge.
  private mutating func note(_ refusal: Refusal) {
    if refusal.isGuess { worker.shared.failures.failed(refusal, from: client, at: worker.now) }
    record.reason = "\(refusal.reason.label)"
    if refusal.reason == .notPermitted || refusal.reason == .outOfScope {
      // Who this is has been proved; only the right is missing.
      record.user = worker.gatekeeper.users.user(named: refusal.user.span)
      // A user whom a token made elsewhere brought, and whom the user file does not know.
      if record.user == nil { record.claimedUser = refusal.user }
    } else {
      record.claimedUser = refusal.user
    }
    record.authentication = worker.now.since(record.began)
    sentBearer = refusal.sentBearer
  }

  mutating func granted(_ grant: consuming Grant) {
    record.user = grant.user
    record.authentication = worker.now.since(record.began)
    if snapshot.rehashes, endpoint != .token, endpoint != .forwardAuth, case .password = grant.credential, let user = grant.user {
      rehashLater(user, isFresh: wasChecked)
    }
    if let endpoint { return accept(endpoint, grant) }
    guard let index = record.route else {
      record.reason = "no route"
      perform(exchange.refused(status: 404))
      return
    }
    let route = snapshot.traits[index]
    switch head.method {
    case .trace where !route.allowsTrace:
      record.reason = "TRACE is not allowed"
      perform(exchange.refused(status: 405))
      return
    case .extendedConnect:
      guard mayConnect(route) else { return }
    default:
      break
    }
    if let care = route.care {
      if settles(care, grant.user, grant.credential) { return }
      if gathers(care) { return gather(grant, care, route.bodyLimit) }
    }
    let action = exchange.granted(bodyLimit: route.bodyLimit)
    guard action == .forward else {
      record.reason = "the content is larger than the route's body_limit"
      perform(action)
      return
    }
    if route.rewriting != nil || head.destinationCount > 0 { return forwardRewritten(grant, index) }
    forward(grant, index, route)
  }

  mutating func forward(_ grant: consuming Grant, _ route: Int, _ traits: RouteTraits) {
    var account: Account?
    // One look where we don't log in.
    if let login = traits.login {
      account = self.account(login, for: grant.user?.name)
      if account == nil { return }
    }
    var target = ByteBuffer()
    worker.lendTarget(&target)
    let request = composed(grant, route, traits, target, account)
    worker.lendTarget(&target)
    send(request, route)
  }

  /// Starts the transfer of a request that was composed.
  @inline(__always) mutating func send(_ request: consuming UpstreamRequest, _ route: Int) {
    do {
      let started = try started(request, route)
      if let most = stay?.mostHeld ?? mostOfBody() {
        started.holdLess(most)
      } else if carrier == nil && stream.isClear && stay?.allowsPipes ?? true {
        started.allowPipes()
      }
      if head.framing.hasBody == false { started.endUpload() } else { widenStream() }
      record.member = started.member
      transfer = started
      lastUpstream = worker.now
    } catch {
      failed(error)
    }
  }
}

extension HeadParser {
  /// A span of one field of a struct holds the whole of it, a buffer only itself.
  mutating func parse(_ input: borrowing ByteBuffer, into head: inout RequestHead) -> HeadResult {
    parse(input.span, into: &head)
  }
}
