// Where clients exchange name and password for a token, and take one back.

import Auth
import HTTP
import Net
import Primitives

extension Connection {
  /// Gives out a token to whoever has just given his password, or, within `renew_within` of that, to whoever has a token.
  mutating func giveToken(_ own: OwnRequest) {
    guard let tokens = worker.gatekeeper.tokens, let user = own.user else {
      answer(.problem(404, "There is nothing here"))
      return
    }
    guard own.body.isEmpty else {
      answer(.problem(400, "duration and scope stand in the query, and nothing in the content"))
      return
    }
    let query: TokenQuery
    do throws(FormFault) {
      query = try TokenQuery(head.bytes[head.target.query])
    } catch {
      answer(.problem(400, error.detail))
      return
    }
    var firstLogin: Timestamp?
    var scope = query.scope ?? .unlimited
    switch own.credential {
    case .password:
      if !own.isRehashed && rehashFirst(own, user) { return }
    case .token(let token):
      guard let first = tokens.renewedFirstLogin(for: token, at: worker.wallNow) else {
        answer(.problem(403, "A token is given for name and password", reason: "a token may not be exchanged"))
        return
      }
      firstLogin = first
      if query.scope == nil { scope = token.scope }
      guard scope.isWithin(token.scope) else {
        answer(.problem(403, "The scope is wider than that of the token", reason: "out of the token's scope"))
        return
      }
    case .apiKey, .certificate, .none:
      // It would outlive the key, or have what the key has not.
      answer(.problem(403, "A token is given for name and password", reason: "an API key may not be exchanged"))
      return
    }
    let lifetime = query.duration.map { Interval.seconds($0) }
    let issued: IssuedToken
    do throws(TokenIssueFailure) {
      issued = try tokens.issue(to: user, at: worker.wallNow, lifetime: lifetime, scope: scope, firstLogin: firstLogin)
    } catch {
      switch error {
      case .tooShort, .tooLong: answer(.problem(400, "duration: \(error)"))
      // Not asked for here.
      case .ticketWithoutScope: answer(.problem(400, "\(error)"))
      case .renewalIsOver: answer(.problem(403, "\(error)"))
      case .userRefused(let reason): refused(Refusal(reason, user: user.name), status: 401)
      }
      return
    }
    var text = Array("{\"token\": ".utf8)
    JSON.append(quoted: issued.text.span, to: &text)
    text += Array(", \"duration\": \(issued.duration)}".utf8)
    answer(OwnReply(200, [], .json(text)))
  }

  /// Takes back the token that came as the credential.
  mutating func takeTokenBack(_ own: OwnRequest) {
    guard let tokens = worker.gatekeeper.tokens else {
      answer(.problem(404, "There is nothing here"))
      return
    }
    guard case .token(let token) = own.credential, case .own = token.kind else {
      answer(.problem(403, "The token that is to be revoked has to be the credential", reason: "not by a token"))
      return
    }
    let answerer = answerer
    let revocation = Clerk.Revoking(
      revocation: .token(identifier: token.identifier, until: token.expires), path: tokens.options.revokedPath,
      revocations: tokens.revocations
    ) { outcome in
      answerer.tell(outcome == .done ? OwnReply(204) : RegistrationReplies.failed)
    }
    if !worker.shared.clerk.submit(revocation) { answer(RegistrationReplies.busy) }
  }

  /// A token speaks for the hash that its user has: one that is due to be replaced is replaced before the token is made, or the token would end
  /// with it. True when the answer has to wait for that.
  private mutating func rehashFirst(_ own: OwnRequest, _ user: User) -> Bool {
    guard snapshot.rehashes, let path = snapshot.settings.usersPath, user.isHashWeaker(than: .standard),
      let i = head.authorization,
      let password = PresentedPassword.read(head.bytes[head.fields[i].value])
    else { return false }
    let answerer = answerer
    return worker.shared.rehasher.replace(
      user, KeptSecret(password.span), path: path, address: client.networkKey, now: worker.now
    ) { outcome in
      // Where nothing was changed the old hash is still the one that counts.
      if outcome == .changed { answerer.tell(RegistrationReplies.busy) } else { answerer.goOn(isDone: outcome == .done) }
    }
  }

  /// What had to be done first is done, or could not be. Then the password that was checked is not that of a hash which came otherwise.
  mutating func goOn(serial: UInt64, isDone: Bool) {
    guard !isClosed, serial == self.serial, exchange.phase == .answering, let own, let user = own.user else { return }
    own.isRehashed = true
    let name = user.name
    let fresh = worker.gatekeeper.users.user(named: name.span)
    if let fresh, isDone || fresh.storedHash == user.storedHash {
      own.user = fresh
      answerRequest()
    } else {
      answer(RegistrationReplies.busy)
    }
    advance()
  }

  /// A login by password with a hash that is weaker than new ones are: the password is at hand, so it gets a better one. Nobody waits for it.
  mutating func rehashLater(_ user: User, isFresh: Bool) {
    guard let path = snapshot.settings.usersPath, isFresh || !user.hasCostlyHash, user.isHashWeaker(than: .standard),
      let i = head.authorization, let password = PresentedPassword.read(head.bytes[head.fields[i].value])
    else { return }
    worker.shared.rehasher.offer(user, KeptSecret(password.span), path: path, now: worker.now)
  }
}
