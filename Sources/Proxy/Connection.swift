// One client's connection: moves bytes between the socket, the parser, the exchange's transfer and the socket again, and does what the exchange
// says. Decides nothing about HTTP itself.

import Auth
import HTTP
import Net
import Primitives
import Upstream

/// Belongs to one worker. Closed exactly once, by `close`.
final class Connection {
  let token: SlotToken
  unowned let worker: Worker
  private var stream: Stream
  private var peer: Peer
  private let localPort: UInt16
  /// What epoll has for this socket.
  private(set) var interest: Interest = [.read, .peerClosed]
  var isDirty = false
  private var isClosed = false

  private var input = ByteBuffer()
  private var output = ByteBuffer()
  private var parser: HeadParser
  private var head = RequestHead()
  private var body = RequestBodyReader()
  private var exchange = Exchange()
  private var snapshot: Snapshot
  private var transfer: Transfer?
  private var record = ExchangeRecord()
  private var requestID: [UInt8] = []
  /// Moves on with every exchange, so that a late answer of the hash pool can't reach the next one.
  private var serial: UInt64 = 0
  private var requests = 0
  /// What a password check that is under way will be asked for.
  private var requirement = Requirement.validUser

  // Times.
  private var lastRead: Instant
  private var lastWrite: Instant
  private var lastUpstream: Instant
  private var armed: Instant?
  private var isDraining = false
  private var lingerSince: Instant?
  private var lingered: UInt64 = 0
  private var closesWhenFlushed: Exchange.Ending?

  init(_ token: SlotToken, worker: Worker, socket: Int32, peer: Peer, localPort: UInt16) {
    self.token = token
    self.worker = worker
    stream = Stream(FileDescriptor(owning: socket))
    self.peer = peer
    self.localPort = localPort
    snapshot = worker.snapshot
    parser = HeadParser(limits: snapshot.settings.limits.head)
    lastRead = worker.now
    lastWrite = worker.now
    lastUpstream = worker.now
  }

  /// The socket is being watched from now on.
  func begin() {
    isDraining = worker.drainDeadline != nil
    arm()
  }

  func owns(_ other: Transfer) -> Bool { transfer === other }

  // MARK: Events of the socket

  func ready(_ readiness: Readiness) {
    if isClosed { return }
    if !readiness.isDisjoint(with: [.error, .hangup]) {
      // Both directions are over: no answer can reach anybody.
      perform(exchange.clientClosed())
      close()
      return
    }
    if readiness.contains(.writable) { worker.markDirty(self) }
    if readiness.contains(.readable) && wantsInput {
      read()
    } else if readiness.contains(.peerClosed) {
      // The end stands behind bytes that we don't want yet. It is met when they are read; until then don't be woken for it.
      interest.remove(.peerClosed)
      applyInterest(interest)
    }
  }

  private func read() {
    let borrows = input.isEmpty
    if borrows { swap(&input, &worker.readBuffer) }
    switch stream.read(into: &input, atMost: Limits.readChunk) {
    case .bytes:
      lastRead = worker.now
      if lingerSince != nil { discard() } else { advance() }
    case .wouldBlock:
      break
    case .closed:
      perform(exchange.clientClosed())
      if output.isEmpty || lingerSince != nil { close() } else { closesWhenFlushed = .gone }
    case .failed:
      perform(exchange.clientClosed())
      close()
    }
    if borrows { returnReadBuffer() }
  }

  /// Gives the worker's buffer back; what could not be used yet moves into one of our own size.
  private func returnReadBuffer() {
    var own = ByteBuffer()
    if !input.isEmpty && !isClosed {
      own.reserve(input.count)
      own.append(input.span)
    }
    input.removeAll()
    swap(&input, &worker.readBuffer)
    swap(&input, &own)
  }

  /// Whether bytes of the client are of use now. Otherwise they stay in the kernel, and the client feels it.
  private var wantsInput: Bool {
    if isClosed { return false }
    if lingerSince != nil { return true }
    if closesWhenFlushed != nil { return false }
    switch exchange.phase {
    case .idle: return output.count < Limits.outHigh
    case .judging: return input.count < Limits.readChunk
    case .waiting, .relaying:
      if exchange.isRequestComplete { return input.count < Limits.readChunk }
      return input.count < Limits.readChunk && (transfer?.uploadRoom ?? 0) > 0
    case .draining: return true
    case .finished: return false
    }
  }

  // MARK: The exchange

  /// Takes what can be taken from the input, as far as the exchange allows.
  func advance() {
    var turns = 0
    while !isClosed && closesWhenFlushed == nil {
      switch exchange.phase {
      case .idle:
        guard !input.isEmpty && output.count < Limits.outHigh else { return settleDown() }
        if turns == Limits.requestsPerTurn {
          worker.again(self)
          return settleDown()
        }
        turns += 1
        if !parseHead() { return settleDown() }
      case .judging:
        return settleDown()
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

  private func settleDown() {
    if isClosed { return }
    worker.markDirty(self)
    arm()
  }

  /// False when more bytes are needed.
  private func parseHead() -> Bool {
    let wasStarted = parser.hasStarted
    let result = parser.parse(input.span, into: &head)
    if !wasStarted && (parser.hasStarted || result != .needMore) {
      snapshot = worker.snapshot
      record = ExchangeRecord()
      record.began = worker.now
      record.beganAt = worker.wallNow
    }
    switch result {
    case .needMore:
      return false
    case .complete(let n):
      input.consume(n)
      beginExchange()
    case .failed(let failure):
      beginRecord()
      record.reason = "\(failure.reason)"
      perform(exchange.failed(status: failure.status))
    }
    return true
  }

  private func beginRecord() {
    requests += 1
    serial = worker.nextSerial()
    identifyRequest()
  }

  private func beginExchange() {
    beginRecord()
    body.begin(head.framing)
    let request = Exchange.Request(
      framing: head.framing, method: head.method, version: head.version, isPersistent: head.isPersistent, expectsContinue: head.expectsContinue)
    let mayPersist = requests < snapshot.settings.limits.keepAliveRequests && !isDraining
    perform(exchange.began(request, mayPersist: mayPersist))
  }

  /// A trusted proxy's identifier is kept, so that one request has one name on its whole way; a stranger's is not, since it would be
  /// written into logs that others read.
  private func identifyRequest() {
    if peer.isTrusted, let i = head.firstIndex(of: .xRequestID) {
      let value = ASCII.array(head.bytes[head.fields[i].value])
      if (1...128).contains(value.count) && value.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }) {
        requestID = value
        return
      }
    }
    worker.identifiers.write(to: &requestID)
  }

  private func perform(_ action: Exchange.Action) {
    switch action {
    case .none:
      break
    case .judge:
      judge()
    case .forward:
      // Not without the grant: `granted` has it and forwards.
      break
    case .reply(let status, let closes):
      writeReply(status, closes: closes)
    case .sendContinue:
      output.append("HTTP/1.1 100 Continue\r\n\r\n")
      worker.markDirty(self)
    case .relayHead(let framing, let closes):
      relayHead(framing, closes: closes)
    case .finish:
      if exchange.responseHasBody && exchange.responseFraming == .chunked, let transfer {
        ChunkedEncoder.appendLast(transfer.trailers, to: &output)
      }
      endTransfer()
    case .stop(let ending):
      if ending == .abort { record.isAborted = true }
      endTransfer()
    }
  }

  // MARK: Judging

  /// Finds the route and asks the gatekeeper. Who may not pass learns nothing of routes: 404 comes after authentication.
  private func judge() {
    guard findRoute() else { return }
    decided(snapshot.gatekeeper.decide(head, requirement, at: worker.wallNow, worker.now, scratch: &worker.credentials))
  }

  /// Leaves the target, as it will be forwarded, in the worker's buffer. False when the request was refused.
  private func findRoute() -> Bool {
    switch RequestRouting.find(head, in: snapshot.router, target: &worker.targetBuffer) {
    case .refused(let reason):
      record.reason = "\(reason)"
      perform(exchange.refused(status: 400))
      return false
    case .route(let index):
      record.route = index
      requirement = snapshot.router.routes[index].requirement
    case .none:
      record.route = nil
      requirement = .validUser
    }
    return true
  }

  private func decided(_ decision: consuming Decision) {
    switch consume decision {
    case .grant(let grant):
      granted(grant)
    case .challenge(let refusal):
      refused(refusal, status: 401)
    case .malformed(let refusal):
      refused(refusal, status: 400)
    case .deny(let refusal):
      refused(refusal, status: 403)
    case .pending(let check):
      let waiter = HashPool.Waiter(mailbox: worker.mailbox, connection: token, serial: serial)
      if !worker.shared.pool.submit(check, address: peer.address.networkKey, waiter, now: worker.now) {
        record.reason = "too many password checks are waiting"
        perform(exchange.refused(status: 503))
      }
    }
  }

  /// The pool's answer.
  func checked(serial: UInt64, _ check: PasswordCheck, _ outcome: CheckOutcome) {
    guard !isClosed, serial == self.serial, exchange.phase == .judging else { return }
    switch outcome {
    case .tooLate:
      record.reason = "the password check waited too long"
      perform(exchange.refused(status: 503))
    case .matched, .failed:
      // The configuration and the users of now, not of then: a user removed while the check ran is removed.
      snapshot = worker.snapshot
      if findRoute() {
        decided(snapshot.gatekeeper.settle(check, matched: outcome == .matched, requirement, at: worker.wallNow, worker.now))
      }
    }
    advance()
  }

  private func refused(_ refusal: Refusal, status: Int) {
    record.reason = "\(refusal.reason.label)"
    record.claimedUser = refusal.user
    sentBearer = refusal.sentBearer
    perform(exchange.refused(status: status))
  }

  private var sentBearer = false

  private func granted(_ grant: consuming Grant) {
    record.user = grant.user
    record.authentication = worker.now.since(record.began)
    guard let index = record.route else {
      record.reason = "no route"
      perform(exchange.refused(status: 404))
      return
    }
    let route = snapshot.router.routes[index]
    if head.method == .trace && !route.allowsTrace {
      record.reason = "TRACE is not allowed"
      perform(exchange.refused(status: 405))
      return
    }
    let action = exchange.granted(bodyLimit: route.bodyLimit)
    guard action == .forward else {
      record.reason = "the content is larger than the route's body_limit"
      perform(action)
      return
    }
    forward(grant, route)
  }

  private func forward(_ grant: consuming Grant, _ route: Route) {
    let client = worker.client
    let context = Forwarding.Context(rules: snapshot.rules, route: route, peer: peer, localPort: localPort, requestID: requestID)
    let request = Forwarding.compose(
      head, target: worker.targetBuffer, context, grant, storage: client.takeStorage(), dropped: &worker.fieldScratch)
    do {
      let started = try client.start(request, at: worker.pool(for: route.upstream, in: snapshot), owner: token)
      if head.framing.hasBody == false { started.endUpload() }
      transfer = started
      lastUpstream = worker.now
    } catch {
      failed(error)
    }
  }

  // MARK: The request's body

  /// Decodes what the input holds of the body, and hands it to the transfer or, without one, drops it.
  private func takeBody() {
    while !isClosed && !exchange.isRequestComplete && !input.isEmpty {
      if let transfer, transfer.uploadRoom == 0 { break }
      let piece = body.next(input.span)
      switch piece {
      case .needMore(let consumed):
        input.consume(consumed)
      case .data(let start, let count):
        record.bytesIn += UInt64(count)
        let action = exchange.received(body: count)
        if action == .none {
          transfer?.send(input.span.extracting(start..<(start + count)))
          input.consume(start + count)
        } else {
          record.reason = "the content is larger than the route's body_limit"
          perform(action)
          return
        }
      case .end(let consumed):
        input.consume(consumed)
        completeRequest()
      case .failed(let failure):
        record.reason = "\(failure.reason)"
        perform(exchange.failed(status: failure.status))
        return
      }
      if body.isComplete && !exchange.isRequestComplete { completeRequest() }
    }
    if let transfer { worker.client.resume(transfer) }
  }

  private func completeRequest() {
    if let transfer {
      let trailers = body.trailers
      for field in trailers.fields where !snapshot.rules.isOurs(trailers.bytes[field.name]) {
        transfer.addTrailer(trailers.bytes[field.name], trailers.bytes[field.value])
      }
      transfer.endUpload()
      lastUpstream = worker.now
    }
    perform(exchange.requestCompleted())
  }

  // MARK: The upstream

  /// Something happened to our transfer.
  func transferReady() {
    guard !isClosed, let transfer else { return }
    lastUpstream = worker.now
    if transfer.wantsBody { perform(exchange.upstreamWantsBody()) }
    relayInterim(transfer)
    if transfer.isHeadComplete && exchange.phase == .waiting && !hasFailed(transfer) {
      perform(exchange.upstreamAnswered(status: transfer.head.status, length: transfer.head.contentLength))
    }
    pump()
    advance()
  }

  /// A head that was refused in the same turn in which it became complete must not be relayed.
  private func hasFailed(_ transfer: Transfer) -> Bool {
    guard case .failed(let failure)? = transfer.outcome else { return false }
    return failure.kind != .truncated
  }

  /// RFC 9110 section 15.2: interim responses go to a client of HTTP/1.1, and to no other.
  private func relayInterim(_ transfer: Transfer) {
    guard !transfer.interim.isEmpty else { return }
    if exchange.phase == .waiting && head.version == .http11 && output.count < Limits.interimBytes { output.append(transfer.interim.span) }
    transfer.interim.removeAll()
  }

  private func relayHead(_ framing: ResponseFraming, closes: Bool) {
    guard let transfer else { return }
    record.status = transfer.head.status
    ResponseWriter.relay(transfer.head, framing: framing, scratch: &worker.fieldScratch, to: &output)
    ResponseWriter.connection(persistent: !closes, client: head.version, to: &output)
    ResponseWriter.end(to: &output)
  }

  /// Moves the response's body on, as far as the client keeps up, and notices the response's end.
  private func pump() {
    guard let transfer, exchange.phase == .relaying || exchange.phase == .waiting else { return }
    if exchange.phase == .relaying { moveBody(transfer) }
    switch transfer.outcome {
    case nil:
      worker.client.resume(transfer)
    case .complete:
      if transfer.body.isEmpty { perform(exchange.upstreamCompleted()) }
    case .failed(let failure):
      if transfer.body.isEmpty || exchange.phase == .waiting { failed(failure) }
    }
  }

  private func moveBody(_ transfer: Transfer) {
    guard !transfer.body.isEmpty else { return }
    guard exchange.responseHasBody else {
      transfer.body.removeAll()
      return
    }
    guard output.count < Limits.outHigh else { return }
    record.bytesOut += UInt64(transfer.body.count)
    if exchange.responseFraming == .chunked {
      ChunkedEncoder.appendHeader(count: transfer.body.count, to: &output)
      output.append(transfer.body.span)
      ChunkedEncoder.appendEnd(to: &output)
    } else if output.isEmpty {
      // Large bodies change hands without a copy.
      swap(&output, &transfer.body)
    } else {
      output.append(transfer.body.span)
    }
    transfer.body.removeAll()
  }

  private func failed(_ failure: UpstreamFailure) {
    record.reason = failure.reason
    worker.shared.errors.warning("upstream \(upstreamName): \(failure.reason) (request \(String(decoding: requestID, as: UTF8.self)))")
    if exchange.phase == .relaying { record.isAborted = true }
    perform(exchange.upstreamFailed(status: failure.status))
  }

  private var upstreamName: String {
    guard let index = record.route else { return "-" }
    return snapshot.settings.upstreams[snapshot.router.routes[index].upstream].name
  }

  private func endTransfer() {
    guard let ended = transfer else { return }
    transfer = nil
    if let sent = ended.sentAt { record.upstreamConnect = sent.since(ended.startedAt) }
    if let first = ended.firstByteAt { record.upstreamFirstByte = first.since(ended.startedAt) }
    if ended.sentAt != nil { record.isReusedConnection = ended.isReusedConnection }
    worker.client.end(ended)
  }

  // MARK: Answers of our own

  private func writeReply(_ status: Int, closes: Bool) {
    endTransfer()
    record.status = status
    var details = Replies.Details()
    details.isHead = head.method == .head
    details.closes = closes
    details.saysKeepAlive = !closes && head.version == .http10
    if let i = head.firstIndex(of: .accept) { details.wantsJSON = Replies.wantsJSON(accept: head.bytes[head.fields[i].value]) }
    switch status {
    case 401: details.challenge = sentBearer ? snapshot.invalidTokenChallenge : snapshot.challenge
    case 503: details.retryAfter = 5
    case 405: details.allow = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    default: break
    }
    sentBearer = false
    let date = worker.date
    let identifier = requestID
    Replies.write(status, details, date: date.span, requestID: identifier.span, to: &output)
    worker.markDirty(self)
  }

  // MARK: The end of an exchange

  private func end(_ ending: Exchange.Ending) {
    if record.status != 0 || ending != .gone || record.reason != nil || transfer != nil || requests > 0 && serial != 0 { log(ending) }
    endTransfer()
    switch ending {
    case .again:
      reset()
    case .linger:
      closesWhenFlushed = exchange.isRequestComplete && input.isEmpty ? .gone : .linger
      worker.markDirty(self)
    case .abort:
      // What is delimited by length or chunks is recognisably cut short by the mere end; what is delimited by the end needs a reset.
      if exchange.responseFraming == .untilClose { stream.resetOnClose() }
      closesWhenFlushed = .abort
      worker.markDirty(self)
    case .gone:
      close()
    }
  }

  private func log(_ ending: Exchange.Ending) {
    guard serial != 0 else { return }
    if ending == .gone && record.status == 0 { record.status = 499 }
    AccessLogFormat.append(
      record, head: head, peer: peer, requestID: requestID, snapshot: snapshot, duration: worker.now.since(record.began), to: &worker.logLines)
    serial = 0
  }

  /// Ready for the next request of the connection.
  private func reset() {
    exchange = Exchange()
    parser.reset()
    head.reset()
    record = ExchangeRecord()
    lastRead = worker.now
    if snapshot !== worker.snapshot {
      snapshot = worker.snapshot
      parser = HeadParser(limits: snapshot.settings.limits.head)
      peer = Peer(peer.address, trusted: snapshot.settings.forwarding.trustedProxies)
    }
  }

  // MARK: Writing

  /// Writes what waits, as far as the socket takes it, and closes where that was the last.
  func flush() {
    isDirty = false
    if isClosed { return }
    while true {
      while !output.isEmpty {
        switch stream.write(output.span) {
        case .bytes(let n):
          output.consume(n)
          lastWrite = worker.now
          continue
        case .wouldBlock:
          updateInterest()
          arm()
          return
        case .closed, .failed:
          perform(exchange.clientClosed())
          close()
          return
        }
      }
      guard let transfer, !transfer.body.isEmpty || transfer.outcome != nil, exchange.phase == .relaying else { break }
      pump()
      if output.isEmpty { break }
    }
    if case .finished = exchange.phase, closesWhenFlushed == nil { advance() }
    guard !isClosed else { return }
    if output.isEmpty { flushed() }
    if !isClosed { updateInterest() }
  }

  /// Everything that was to be written is with the kernel.
  private func flushed() {
    switch closesWhenFlushed {
    case .none:
      if exchange.phase == .idle {
        if output.capacity > 4096 { output.release() }
        if !input.isEmpty && !parser.hasStarted { worker.again(self) }
      }
    case .linger?:
      // RFC 9112 section 9.6: close the sending half, and read on for a while, so that a client in mid-upload gets to read the answer
      // before a reset takes it away.
      if lingerSince == nil {
        stream.shutdownWrite()
        lingerSince = worker.now
        output.release()
        discard()
        arm()
      }
    case .abort?, .gone?, .again?:
      close()
    }
  }

  private func discard() {
    lingered += UInt64(input.count)
    input.removeAll()
    if lingered > Limits.lingerBytes { close() }
  }

  private func updateInterest() {
    var wanted: Interest = []
    if wantsInput { wanted.formUnion([.read, .peerClosed]) } else if interest.contains(.peerClosed) { wanted.insert(.peerClosed) }
    if !output.isEmpty { wanted.insert(.write) }
    if wanted != interest { applyInterest(wanted) }
  }

  private func applyInterest(_ wanted: Interest) {
    interest = wanted
    do {
      try worker.poller.modify(stream.descriptor, wanted, EventToken(kind: Worker.Kind.connection, slot: token))
    } catch {
      close()
    }
  }

  // MARK: Time

  /// When what we wait for has taken too long, and what it is.
  private var deadline: Instant {
    let limits = snapshot.settings.limits
    if let lingerSince { return lingerSince.advanced(by: Limits.lingerTimeout) }
    if !output.isEmpty { return lastWrite.advanced(by: limits.sendTimeout) }
    switch exchange.phase {
    case .idle:
      if parser.hasStarted { return record.began.advanced(by: limits.headerTimeout) }
      if isDraining { return lastRead.advanced(by: .seconds(1)) }
      return lastRead.advanced(by: requests == 0 ? limits.headerTimeout : limits.keepAliveTimeout)
    case .judging, .finished:
      return .distantFuture
    case .draining:
      return lastRead.advanced(by: limits.bodyTimeout)
    case .waiting, .relaying:
      guard let transfer else { return .distantFuture }
      let options = transfer.options
      if !exchange.isRequestComplete {
        return transfer.uploadRoom > 0 ? max(lastRead, lastUpstream).advanced(by: limits.bodyTimeout) : lastUpstream.advanced(by: options.idleTimeout)
      }
      if exchange.phase == .relaying { return lastUpstream.advanced(by: options.idleTimeout) }
      // libcurl keeps the time of connecting.
      return transfer.sentAt == nil ? .distantFuture : lastUpstream.advanced(by: options.responseTimeout)
    }
  }

  private func arm() {
    let wanted = deadline
    guard wanted != .distantFuture, wanted < armed ?? .distantFuture else { return }
    armed = wanted
    worker.schedule(self, at: wanted)
  }

  func timerFired() {
    guard !isClosed, let due = armed, worker.now >= due else { return }
    armed = nil
    if worker.now >= deadline { timedOut() }
    arm()
  }

  private func timedOut() {
    if lingerSince != nil || closesWhenFlushed != nil {
      close()
      return
    }
    switch exchange.phase {
    case .idle where !parser.hasStarted && output.isEmpty:
      // Nothing was asked, so nothing is answered.
      close()
      return
    case .waiting where output.isEmpty && (exchange.isRequestComplete || transfer?.uploadRoom == 0):
      failed(UpstreamFailure(.timeout, exchange.isRequestComplete ? "no response within response_timeout" : "request body not taken within idle_timeout"))
    case .relaying where output.isEmpty && exchange.isRequestComplete:
      failed(UpstreamFailure(.truncated, "response stopped for longer than idle_timeout"))
    default:
      if !output.isEmpty {
        record.reason = "the client did not read within send_timeout"
        stream.resetOnClose()
        perform(exchange.clientClosed())
        log(.gone)
        close()
        return
      }
      if exchange.phase == .idle { beginRecord() }
      record.reason = exchange.phase == .idle ? "the request's head did not arrive within header_timeout" : "the request's body did not arrive within body_timeout"
      perform(exchange.clientTimedOut())
    }
    advance()
  }

  // MARK: The end

  /// The server drains: no further request after this one; an idle connection gets a moment for one that is on its way.
  func drain() {
    isDraining = true
    exchange.stopPersisting()
    arm()
  }

  /// The server ends now.
  func abandon() {
    if isClosed { return }
    if exchange.phase != .idle { perform(exchange.clientClosed()) }
    close()
  }

  private func close() {
    if isClosed { return }
    endTransfer()
    if case .finished = exchange.phase { log(.gone) }
    isClosed = true
    worker.poller.remove(stream.descriptor)
    worker.remove(self)
  }
}
