// Requests about requests of another server (`forward_auth`): the part of `Connection` that judges them and says what came of it.

import Auth
import HTTP
import Primitives

extension Connection {
  /// Finds what is asked about and the route that it belongs to; its target stands in the worker's buffer then. False when the request was
  /// answered.
  mutating func findInquiry() -> Bool {
    let inquiry = self.inquiry ?? Inquiry()
    self.inquiry = inquiry
    switch inquiry.read(head, limits: snapshot.headLimits, rules: snapshot.rules) {
    case nil:
      break
    case .unclear(let reason):
      worker.complain(about: "forward_auth", "\(reason) (request \(requestID.text))")
      record.reason = "\(reason)"
      perform(exchange.refused(status: 400))
      return false
    case .refused(let reason):
      record.reason = "\(reason)"
      perform(exchange.refused(status: 403))
      return false
    }
    record.isInquiry = true
    // Our own paths are nothing to others: what is asked about is another server's request.
    var target = ByteBuffer()
    worker.lendTarget(&target)
    let found = RequestRouting.find(inquiry.head, in: snapshot.router, target: &target)
    worker.lendTarget(&target)
    switch found {
    case .route(let index):
      record.route = index
      requirement = snapshot.router.routes[index].requirement
    case .none, .endpoint:
      record.route = nil
      requirement = .validUser
    case .refused(let reason):
      record.reason = "\(reason)"
      perform(exchange.refused(status: 403))
      return false
    }
    return true
  }

  /// The same question as for a request of ours, about another. A preflight is no exception here: whether it has a body is not seen.
  mutating func judge(_ inquiry: Inquiry) {
    var target = ByteBuffer()
    worker.lendTarget(&target)
    var scratch: Secret?
    worker.lendCredentials(&scratch)
    let decision = worker.gatekeeper.decide(
      inquiry.head, target: target, pathLength: inquiry.pathLength(of: target), requirement, requestContext, scratch: &scratch!)
    worker.lendCredentials(&scratch)
    worker.lendTarget(&target)
    decided(decision)
  }

  mutating func settle(_ inquiry: Inquiry, _ check: PasswordCheck, matched: Bool) {
    var target = ByteBuffer()
    worker.lendTarget(&target)
    let decision = worker.gatekeeper.settle(
      check, matched: matched, of: inquiry.head, target: target, pathLength: inquiry.pathLength(of: target), requirement, requestContext)
    worker.lendTarget(&target)
    decided(decision)
  }

  /// Says that the other server may let the request pass, and who it is. Both fields are always there, empty where there is no user or no
  /// group: servers copy them, and Caddy 2.6 puts the text of its placeholder where one is missing.
  mutating func answerInquiry(_ grant: consuming Grant) {
    guard let index = record.route, let inquiry else {
      record.reason = "no route"
      return perform(exchange.refused(status: 403))
    }
    if inquiry.head.method == .trace && !snapshot.router.routes[index].allowsTrace {
      record.reason = "TRACE is not allowed"
      return perform(exchange.refused(status: 403))
    }
    // The server in front sends it on, which we would not.
    if inquiry.overridesMethod, isMethodJudged(of: inquiry, index, grant.credential) {
      record.reason = "the field asks for another method than was judged"
      return perform(exchange.refused(status: 403))
    }
    // Which the server in front sends on as it came too.
    if inquiry.head.destinationCount > 0, let reason = destinationRefusal(of: inquiry, index, grant.credential) {
      record.reason = "\(reason)"
      return perform(exchange.refused(status: 403))
    }
    let fields: [OwnReply.Field] = [
      .init(snapshot.rules.userField, grant.user?.name ?? []), .init(snapshot.rules.groupsField, grant.user?.joinedGroups ?? []),
      .init("X-Request-Id", requestID.bytes),
    ]
    answer(OwnReply(200, fields, reason: "asked for by another server"))
  }
}

extension Connection {
  private func destinationRefusal(of inquiry: Inquiry, _ index: Int, _ credential: Credential) -> StaticString? {
    // nginx's $host has no port.
    switch DestinationRouting.judge(inquiry.head, credential, snapshot, route: index, clientHost: inquiry.head.host, anyPort: true) {
    case .none: nil
    case .refused(_, let reason): reason
    case .found: inquiry.destinationHoldsDotSegment ? "dot segment in a Destination that another server forwards" : nil
    }
  }

  private func isMethodJudged(of inquiry: Inquiry, _ index: Int, _ credential: Credential) -> Bool {
    let router = snapshot.router
    if !router.routes[index].methods.isEmpty || credential.judgesMethod { return true }
    var target = ByteBuffer()
    worker.lendTarget(&target)
    defer { worker.lendTarget(&target) }
    return router.judgesMethod(before: index, inquiry.head, target: target, pathLength: inquiry.pathLength(of: target))
  }
}

extension Gatekeeper {
  /// The same for the method of `head`.
  fileprivate func settle(
    _ check: PasswordCheck, matched: Bool, of head: borrowing RequestHead, target: borrowing ByteBuffer, pathLength: Int,
    _ requirement: Requirement, _ context: RequestContext
  ) -> Decision {
    settle(
      check, matched: matched, method: head.bytes[head.methodRange], target: target, pathLength: pathLength, requirement, context)
  }
}
