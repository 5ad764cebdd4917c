// How a connection forwards what its route changes, and relays what comes back: the part of `Connection` that most requests never see.

import Auth
import HTTP
import Login
import Net
import Primitives
import Upstream

extension Connection {
  /// As `forward`, where the route rewrites or the request has a second path. Who may pass was decided by what came; what is sent is decided here.
  mutating func forwardRewritten(_ grant: consuming Grant, _ route: Int) {
    let traits = snapshot.traits[route]
    var account: Account?
    if let login = traits.login {
      account = self.account(login, for: grant.user?.name)
      if account == nil { return }
    }
    var judged = ByteBuffer()
    worker.lendTarget(&judged)
    let destination = destination(grant.credential, route)
    var sent = ByteBuffer()
    var failure = destination.failure
    if failure == nil { failure = rewrite(judged, pathLength, traits.rewriting, to: &sent) }
    if let failure {
      worker.lendTarget(&judged)
      record.reason = "\(failure.reason)"
      if failure.isRule { worker.complain(of: "rewriting", "\(snapshot.router.routes[route].label): \(failure.reason) (request \(requestID.text))") }
      return perform(exchange.refused(status: failure.status))
    }
    let facts = TemplateFacts(
      peer: peer, client: client, user: record.user, isSecure: isClientSecure, target: traits.rewriting?.usesTarget == true ? judged.array() : [],
      pathLength: pathLength)
    let rewritten = RewrittenRequest(traits.rewriting, facts, destination: destination.value)
    let methodIsJudged =
      traits.judgesMethod || grant.credential.judgesMethod
      || snapshot.router.judgesMethod(before: route, head, target: judged, pathLength: pathLength)
    let request = worker.compose(
      head, target: sent, snapshot.rules, traits, peer, methodIsJudged: methodIsJudged, requestID, account, grant, rewritten)
    worker.lendTarget(&judged)
    send(request, route)
  }

  /// Why a request is not forwarded.
  private struct Failure {
    var status: Int
    var reason: StaticString
    /// Whether a rule of the operator's made something that can't be sent.
    var isRule = false
  }

  private mutating func rewrite(
    _ target: borrowing ByteBuffer, _ pathLength: Int, _ rewriting: RequestRewriting?, to out: inout ByteBuffer
  ) -> Failure? {
    guard let rewriting else {
      out.append(target.span)
      return nil
    }
    var scratch = PathPattern.Scratch()
    swap(&scratch, &worker.patternScratch)
    defer { swap(&scratch, &worker.patternScratch) }
    return rewriting.rewrite(target.span, pathLength: pathLength, &scratch, to: &out).map { Failure(status: 400, reason: $0, isRule: true) }
  }

  private var isClientSecure: Bool {
    mutating get { ClientNetwork.isSecure(head, peer, by: snapshot.originField) }
  }

  // MARK: The second path

  /// What Destination is to say to the service: empty where it stays as it is.
  private mutating func destination(_ credential: Credential, _ route: Int) -> (value: [UInt8], failure: Failure?) {
    guard head.destinationCount > 0 else { return ([], nil) }
    let clientHost = ClientNetwork.host(of: head, peer, by: snapshot.originField)
    switch DestinationRouting.judge(head, credential, snapshot, route: route, clientHost: clientHost) {
    case .none:
      return ([], nil)
    case .refused(let status, let reason):
      return ([], Failure(status: status, reason: reason))
    case .found(let target, let length):
      var path = ByteBuffer()
      var judged = ByteBuffer()
      judged.append(target)
      if let failure = rewrite(judged, length, snapshot.traits[route].rewriting, to: &path) { return ([], failure) }
      var value = ByteBuffer()
      appendOrigin(route, to: &value)
      value.append(path.span)
      return (value.array(), nil)
    }
  }

  /// The scheme and host by which the service knows itself: it holds those of Destination against them, and Apache takes no path alone, though clients may
  /// send one (RFC 4918 section 8.3). Nothing where they differ from server to server, or nobody knows them.
  private mutating func appendOrigin(_ route: Int, to out: inout ByteBuffer) {
    let members = snapshot.settings.upstreams[snapshot.traits[route].upstream].members
    guard let first = members.first?.options, members.allSatisfy({ $0.options.scheme == first.scheme }) else { return }
    let host = snapshot.traits[route].rewriting?.rules.host ?? .keep
    if case .upstream = host, members.count > 1 { return }
    if case .keep = host, head.host.isEmpty { return }
    out.append(first.scheme == .https ? "https://" : "http://")
    switch host {
    case .keep: out.append(head.bytes[head.host])
    case .upstream: out.append(utf8: first.authority)
    case .name(let name): out.append(name)
    }
  }

  // MARK: Responses

  /// What the operator sets or removes, what the service says of our login, and what it said to us alone, does not come in behind the body either.
  mutating func dropTrailers() {
    guard let transfer, transfer.hasTrailers, let route = record.route else { return }
    transfer.dropTrailersOfConnection()
    if transfer.isLoggedIn { transfer.dropTrailers { HopByHop.isOfLogin($0) } }
    if let answers = snapshot.traits[route].answers { transfer.dropTrailers { answers.drops($0) } }
  }

  /// Nor before it, in interim responses, which stand in the output from `start` on; and what they name, as the Link of a 103 does, clients ask us for.
  mutating func rewriteInterim(from start: Int) {
    guard let route = record.route, let answers = snapshot.traits[route].answers else { return }
    let heads = ASCII.array(output.span.extracting(start..<output.count))
    output.truncate(to: start)
    let view = answers.view(head, peer, by: snapshot.originField)
    for line in heads.split(separator: 0x0A) {
      // A status line begins with what is no name, and the empty line has none.
      if let colon = line.firstIndex(of: 0x3A) {
        let name = Array(line[..<colon])
        let value = Array(line[(colon + 1)...].drop { $0 == 0x20 }.dropLast())
        if case .done = answers.change(name.span, value.span, FieldName(name.span), view, &output) { continue }
      }
      output.append(Array(line).span)
      output.append(0x0A)
    }
  }

  /// As `Transfer.relayHead`, with what the route changes.
  mutating func relayRewritten(_ transfer: Transfer, _ answers: ResponseRewriting, _ framing: ResponseFraming, _ scratch: inout FieldSet) {
    let view = answers.view(head, peer, by: snapshot.originField)
    transfer.relayHead(framing, scratch: &scratch, to: &output) { field, bytes, out in answers.change(field, bytes, view, &out) }
    if answers.edits.isEmpty { return }
    var target = ByteBuffer()
    var length = 0
    // The worker's is another request's by now.
    if answers.usesTarget {
      _ = RequestRouting.find(
        head, in: snapshot.router, snapshot.endpoints, ticket: snapshot.ticketParameter, target: &target, pathLength: &length)
    }
    let facts = TemplateFacts(
      peer: peer, client: client, user: record.user, isSecure: view.isClientSecure, target: target.array(), pathLength: length)
    for edit in answers.edits {
      guard let template = edit.template else { continue }
      var value = ByteBuffer()
      template.append(head, facts, snapshot.rules, requestID, to: &value)
      if value.isEmpty { continue }
      let name = edit.name
      ResponseWriter.field(name.span, value.span, to: &output)
    }
  }
}
