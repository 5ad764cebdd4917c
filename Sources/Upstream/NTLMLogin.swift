// Requests to a server that is logged in to by NTLM: on a connection that is logged in as the account, or on a new one that is logged in with them. No other
// connection carries them, and they leave theirs to no other account.

import HTTP
import Login
import Primitives

extension UpstreamClient {
  /// Before it begins, at each server anew.
  func prepareNTLM(_ transfer: Transfer, _ storage: RequestStorage, as account: Account, _ gate: LoginGate, at pool: UpstreamPool) {
    // libcurl's transfers can't: the configuration saw to it that there are none. One would go without any login, and be refused.
    guard let transfer = transfer as? HTTP1Transfer else { return }
    transfer.standing = pool.standing(of: account, gate)
    transfer.handshake = nil
    transfer.loginDue = nil
    // What the pool keeps for requests without an account is not for it, nor it for the pool.
    transfer.shape.isIsolated = true
    if case .length(let n) = transfer.shape.framing, n > 0, n <= Self.keptBody, !transfer.keepsForLogin {
      transfer.keepsForLogin = true
      Transfer.copy(transfer.upload, to: &transfer.keptForLogin)
    }
  }

  /// The server has answered 401.
  func answerNTLM(_ challenged: Transfer, _ storage: RequestStorage, at pool: UpstreamPool) -> LoginAnswer {
    guard let transfer = challenged as? HTTP1Transfer else { return .refused("it answered 401, and libcurl can't log in by NTLM here") }
    if let handshake = transfer.handshake {
      handshake.end(.refused)
      return .refused("it answered 401: it does not take the account that Gatehouse logs in with (authenticate)")
    }
    // The connection was logged in, and is no longer: one more login, on another.
    guard storage.loginRounds == 0 else { return .refused("it answered 401 again and again (authenticate ntlm)") }
    guard challenged.isBodyRepeatable else {
      return .refused("it answered 401 when the request's body was on its way, which can't be sent twice (authenticate ntlm)")
    }
    storage.loginRounds += 1
    return goesOnceMore(challenged, at: pool)
  }
}

extension HTTP1Transfer {
  private static let poll = Interval.milliseconds(20)

  /// Sets the request on its way: on a connection that is logged in, or by way of a login, or once there is one of the two.
  func beginLogin(_ standing: AccountStanding, in pool: UpstreamPool) throws(UpstreamFailure) {
    guard try !triesLogin(standing, in: pool) else { return }
    waitsSince = client.now
    standing.wait(self)
  }

  /// It is among those that wait. The first looks whether something has changed; the others are looked at when their time is over.
  func waitsForLogin(asFirst isFirst: Bool) {
    let end = waitsSince.advanced(by: options.responseTimeout)
    loginDue = isFirst ? min(end, client.now.advanced(by: Self.poll)) : end
    client.look(at: self)
  }

  /// False when it has to wait.
  private func triesLogin(_ standing: AccountStanding, in pool: UpstreamPool) throws(UpstreamFailure) -> Bool {
    guard let storage else { return true }
    // A connection that is the request's alone, or has been refused just now, or a body that could not be sent again if the service asked: those go on a
    // new one.
    let mayShare = storage.preface == nil && !shape.isUpgrade && storage.loginRounds == 0 && attempts == 0 && isBodyRepeatable
    if mayShare, let idle = client.takeIdle(standing, in: pool) {
      isReusedConnection = true
      attach(idle)
      return true
    }
    switch standing.gate.admit(storage.user, at: client.now) {
    case .wait:
      return false
    case .closed(let until):
      let seconds = until.since(client.now) / 1_000_000_000 + 1
      throw UpstreamFailure(
        .refusedLogin, "it has refused the account that Gatehouse logs in with, which is not tried again for \(seconds) s (authenticate ntlm)")
    case .go:
      let handshake = NTLMHandshake(self, standing, storage.user)
      self.handshake = handshake
      do {
        try client.connect(self, to: pool)
      } catch {
        handshake.end(.none)
        throw error
      }
      return true
    }
  }

  /// The same for one that waits. True when it does no longer.
  func triesLoginAgain() -> Bool {
    guard let standing, let pool else { return true }
    // Where it is on its way what is looked at is the login; and where that comes to nothing at once, it waits anew by itself.
    let due = loginDue
    loginDue = nil
    if let storage, storage.renewAssertion() { headCount = storage.texts.count }
    do {
      guard try triesLogin(standing, in: pool) else {
        loginDue = due
        return false
      }
    } catch {
      end(.failed(error))
    }
    return true
  }

  /// The time has come to look at a login, or for one.
  func lookAtLogin() {
    guard let due = loginDue, due <= client.now else { return }
    let timeout = UpstreamFailure(.timeout, "no login by NTLM within response_timeout")
    if let handshake, handshake.connection != nil {
      let end = (sentAt ?? startedAt).advanced(by: options.responseTimeout)
      if end <= client.now { return handshake.fail(timeout) }
      if handshake.waitsForTurn {
        looksForTurn()
        return standing?.serve() ?? ()
      }
      loginDue = end
      client.look(at: self)
      return handshake.leavePlace()
    }
    if connection != nil {
      loginDue = nil
      handshake?.leavePlace()
      return
    }
    guard let standing, standing.isWaiting(self) else {
      loginDue = nil
      return
    }
    if waitsSince.advanced(by: options.responseTimeout) <= client.now {
      standing.leave(self)
      loginDue = nil
      return end(.failed(timeout))
    }
    // Another worker's login may have ended, of which nobody tells us.
    if standing.isFirst(self) { standing.serve() } else { waitsForLogin(asFirst: false) }
  }

  /// Its challenge waits for a place, of which other workers don't tell.
  func looksForTurn() {
    loginDue = min((sentAt ?? startedAt).advanced(by: options.responseTimeout), client.now.advanced(by: Self.poll))
    client.look(at: self)
  }

  /// A new connection stands, and is to be logged in.
  func logIn(_ connection: HTTP1Connection, by handshake: NTLMHandshake) {
    loginDue = client.now.advanced(by: min(options.responseTimeout, NTLMHandshake.patience))
    client.look(at: self)
    handshake.start(on: connection)
  }

  /// Its challenge has come when the account was closed, or has grown old.
  func loginAnew() {
    handshake = nil
    // Nothing of it has gone out that counts: it waits, or hears that the account is closed.
    sentAt = nil
    guard let standing, let pool else { return }
    guard client.now < startedAt.advanced(by: options.responseTimeout) else {
      return end(.failed(UpstreamFailure(.timeout, "no login by NTLM within response_timeout")))
    }
    do { try beginLogin(standing, in: pool) } catch { end(.failed(error)) }
  }

  /// The request itself, and what proves the account.
  func goOn(_ connection: HTTP1Connection, with line: borrowing Secret) {
    guard let storage, let standing else { return fail(connection, UpstreamFailure(.exhausted, "the request is gone")) }
    loginDue = client.now.advanced(by: standing.gate.patience)
    client.look(at: self)
    storage.texts.truncate(to: storage.composedCount)
    storage.texts.append(line.span)
    Self.frame(storage, framing)
    headCount = storage.texts.count
    isReusedConnection = false
    attach(connection)
    client.markReady(self)
  }

  /// The request was answered at once, with `input`, to be read as any other answer.
  func adopt(_ connection: HTTP1Connection, answeredBy input: inout ByteBuffer) {
    loginDue = nil
    self.connection = connection
    connection.transfer = self
    attempts += 1
    headSent = headCount
    isReusedConnection = false
    // What was read may be all that there is, or not.
    wasFull = true
    if case .none = framing {} else { wantsBody = !isUploadEnded }
    client.markReady(self)
    take(&input, connection)
    if self.connection === connection && connection.isEncrypted { client.readLater(connection) }
  }

  /// An answer has ended whose connection is the account's. Whether it may carry the account's next request.
  func keepLoggedIn(_ connection: HTTP1Connection, _ standing: AccountStanding, in pool: UpstreamPool, hasExcess: Bool) {
    handshake?.settle()
    let isReusable =
      !hasExcess && isPersistent && isSent && !isDeaf && !endsWithConnection && storage?.preface == nil && !shape.isUpgrade && head.status != 401
      && !saysLoginEnds && connection.standing === standing && connection.isQuiet
    if isReusable { client.putAside(connection, of: standing, in: pool) } else { connection.close() }
  }

  /// IIS, where `authPersistSingleRequest` is on.
  private var saysLoginEnds: Bool {
    for i in head.fields.indices where ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: "persistent-auth") {
      if ASCII.equals(head.bytes[head.fields[i].value], ignoringCaseOf: "false") { return true }
    }
    return false
  }

  /// It ends before the service has said anything of the login.
  func leaveLogin() {
    handshake?.cancel()
    loginDue = nil
    standing?.leave(self)
  }
}
