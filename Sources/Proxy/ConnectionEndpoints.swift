// Requests that Gatehouse answers itself: the part of `Connection` that takes them from who-may-this to their answer.

import Auth
import HTTP
import Net
import Primitives

extension Connection {
  static let tooMuchForUs = "the content is larger than any that we take ourselves"

  // MARK: Before anybody is asked who he is

  /// What must be proved first. Nobody in particular where `checkEndpoint` or the answer itself decides.
  func requirement(of endpoint: Endpoint) -> Requirement {
    switch (endpoint, snapshot.settings.registration?.policy) {
    case (.forwardAuth, _): return .validUser
    case (.users, .group(let group)): return .anyOf(users: [], groups: [group])
    case (.users, _), (.nothing, _), (.keys, _): return .nobody
    case (.user, _), (.password, _), (.token, _): return .validUser
    }
  }

  /// Answers what is the same for everybody. False when it did.
  mutating func checkEndpoint() -> Bool {
    switch endpoint {
    case .forwardAuth where head.method == .extendedConnect:
      return answer(.notAllowed("GET"))
    case nil, .forwardAuth:
      return true
    case .users:
      guard head.method == .post else { return answer(.notAllowed("POST")) }
      if snapshot.settings.registration?.policy == .closed {
        return answer(.problem(403, "Registration is closed", reason: "the registration is closed"))
      }
    case .user:
      guard head.method == .get || head.method == .head else { return answer(.notAllowed("GET, HEAD")) }
    case .password:
      guard head.method == .put else { return answer(.notAllowed("PUT")) }
    case .token:
      guard [.get, .head, .post, .delete].contains(head.method) else { return answer(.notAllowed("GET, HEAD, POST, DELETE")) }
    case .keys:
      guard head.method == .get || head.method == .head else { return answer(.notAllowed("GET, HEAD")) }
      return answer(OwnReply(200, [], .json(snapshot.keySet)))
    case .nothing:
      return answer(.problem(404, "There is nothing here"))
    }
    return true
  }

  // MARK: On the way

  /// Whoever asks may ask.
  mutating func accept(_ endpoint: Endpoint, _ grant: consuming Grant) {
    var name: [UInt8] = []
    switch endpoint {
    case .forwardAuth: return answerInquiry(grant)
    case .user(let segment), .password(let segment):
      var target = ByteBuffer()
      worker.lendTarget(&target)
      name = Endpoints.decoded(target, segment)
      worker.lendTarget(&target)
    case .users, .token, .keys, .nothing: break
    }
    let due = worker.now.advanced(by: snapshot.bodyTimeout)
    own = OwnRequest(endpoint, name: name, user: grant.user, credential: grant.credential, worker.gatekeeper, snapshot, due: due)
    let action = exchange.accepted(bodyLimit: Limits.ownBodyBytes)
    if case .reply = action { record.reason = Self.tooMuchForUs }
    perform(action)
  }

  /// The request is whole.
  mutating func answerRequest() {
    guard let own, isStillSo(own) else { return }
    switch own.endpoint {
    case .users: register(own)
    case .user: answer(lookUp(own))
    case .password: changePassword(own)
    case .token where head.method == .delete: takeTokenBack(own)
    case .token: giveToken(own)
    case .nothing, .keys, .forwardAuth: answer(.problem(404, "There is nothing here"))
    }
  }

  /// Whether what was found when the head came holds now that the content is there, for which the client may have taken its time. Answers if not: where
  /// the configuration is another, nothing was done, and he may ask again.
  private mutating func isStillSo(_ own: OwnRequest) -> Bool {
    guard own.snapshot === worker.snapshot else { return answer(RegistrationReplies.changed) }
    let gatekeeper = worker.gatekeeper
    guard own.gatekeeper !== gatekeeper, let user = own.user else { return true }
    own.gatekeeper = gatekeeper
    let name = user.name
    guard let fresh = gatekeeper.users.user(named: name.span), fresh.isActive(at: worker.wallNow), isInGroup(own.endpoint, fresh)
    else { return answer(.problem(403, "This is not permitted any more", reason: "the user has changed meanwhile")) }
    guard fresh.storedHash == user.storedHash else { return answer(RegistrationReplies.changed) }
    own.user = fresh
    return true
  }

  private func isInGroup(_ endpoint: Endpoint, _ user: User) -> Bool {
    guard case .users = endpoint, case .group(let group)? = snapshot.settings.registration?.policy else { return true }
    return user.groups.contains(group)
  }

  /// A user, for himself and for those who look after users. For others there is no difference between a user and none.
  private mutating func lookUp(_ own: OwnRequest) -> OwnReply {
    guard let asker = own.user else { return .problem(403, "This is for the user himself") }
    let isAdmin = snapshot.settings.registration?.admins.map { asker.groups.contains($0) } ?? false
    guard asker.name == own.name || isAdmin else { return .problem(403, "This is for the user himself", reason: "not permitted") }
    let name = own.name
    guard worker.gatekeeper.users.user(named: name.span) != nil else { return .problem(404, "There is no such user") }
    return OwnReply(200, [], .json(RegistrationReplies.described(name)))
  }

  /// Writes the answer. Always false, so that who may go on or not can say both in one.
  @discardableResult
  mutating func answer(_ reply: OwnReply) -> Bool {
    guard case .reply(let status, let closes) = exchange.answered(status: reply.status) else { return false }
    if let reason = reply.reason { record.reason = reason }
    let details = beginReply(status, closes: closes)
    let date = worker.date
    record.bytesOut += UInt64(Replies.write(reply, details, date: date.span, to: &output))
    own = nil
    markDirty()
    return false
  }

  /// The answer that another thread made.
  mutating func answered(serial: UInt64, _ reply: OwnReply) {
    guard !isClosed, serial == self.serial, exchange.phase == .answering else { return }
    answer(reply)
    advance()
  }
}
