// What one worker has of the tokens that it logs in with: access tokens (OAuth 2), which many requests go out with, and Kerberos tokens, of which each has its own.

import Login
import Primitives
import Synchronization

/// Called, from any thread, when there is something new for those who wait.
typealias TokenWake = @Sendable () -> Void

/// How it stands with a token that a request waits for.
enum TokenProspect {
  case there
  /// The waiter is woken when there is news.
  case coming
  /// There will be none soon, for this reason.
  case none(String)
}

/// One worker's end of the tokens of an upstream. Tokens have numbers, which only grow: after a refusal one of a higher number is wanted.
class TokenAtHand {
  /// Has this worker's `UpstreamClient.serveQueues` called.
  final let wake: TokenWake

  init(wake: @escaping TokenWake) { self.wake = wake }

  /// Whether a request can be sent now, with a token after that of `number`; if so, there is one for it when it is written.
  func equips(_ storage: RequestStorage, after number: Int, at now: Instant) -> Bool { preconditionFailure("each kind has its own") }

  /// Asks for a token after that of `number`, for a request of this worker to wait for.
  func want(after number: Int, at now: Instant) -> TokenProspect { preconditionFailure("each kind has its own") }

  /// Writes the token behind what was composed, and its number where that of a nonce would stand: nil when there is none, of which the server says then.
  func write(_ storage: RequestStorage, at now: Instant) { preconditionFailure("each kind has its own") }

  /// A service has refused the token of that number. Whether it is worth while to wait for one after it: else it is not about the token.
  func isWorthReplacing(_ number: Int, at now: Instant) -> Bool { preconditionFailure("each kind has its own") }

  /// What the log says when it is not.
  var refusal: StaticString { preconditionFailure("each kind has its own") }
}

/// The access token that is used now, so that a request costs a look at a number and at the clock.
final class AccessTokenAtHand: TokenAtHand {
  let state: AccessTokenState
  private var token: AccessToken?

  init(_ state: AccessTokenState, wake: @escaping TokenWake) {
    self.state = state
    super.init(wake: wake)
  }

  /// Nil when there is none that is good now.
  func current(at now: Instant) -> AccessToken? {
    if let token, now < token.usableUntil, token.number == state.number.load(ordering: .acquiring) { return token }
    guard let fresh = state.take(at: now) else { return nil }
    token = fresh
    return fresh
  }

  override func equips(_ storage: RequestStorage, after number: Int, at now: Instant) -> Bool { current(at: now).map { $0.number > number } ?? false }

  override func want(after number: Int, at now: Instant) -> TokenProspect { state.want(after: number, at: now, ObjectIdentifier(self), wake) }

  override func write(_ storage: RequestStorage, at now: Instant) {
    // Where none is good any more, one that was.
    guard let token = current(at: now) ?? token else {
      storage.nonceGeneration = nil
      return
    }
    token.issued.withLine { storage.texts.append($0.span) }
    storage.nonceGeneration = token.number
  }

  override func isWorthReplacing(_ number: Int, at now: Instant) -> Bool { state.isWorthReplacing(number, at: now) }

  override var refusal: StaticString { "it answered 401 also to a new access token (authenticate bearer)" }
}

/// Kerberos tokens are made beforehand, and each is used once.
final class TicketAtHand: TokenAtHand {
  let state: TicketState

  init(_ state: TicketState, wake: @escaping TokenWake) {
    self.state = state
    super.init(wake: wake)
  }

  override func equips(_ storage: RequestStorage, after number: Int, at now: Instant) -> Bool {
    if storage.ticket == nil { storage.ticket = state.take(after: number, at: now) }
    return storage.ticket != nil
  }

  override func want(after number: Int, at now: Instant) -> TokenProspect { state.want(after: number, at: now, ObjectIdentifier(self), wake) }

  override func write(_ storage: RequestStorage, at now: Instant) {
    // Its own is gone where it goes to a second server.
    guard let ticket = storage.ticket ?? state.take(after: 0, at: now) else {
      storage.nonceGeneration = nil
      return
    }
    storage.ticket = nil
    ticket.withLine { storage.texts.append($0.span) }
    storage.nonceGeneration = ticket.number
  }

  override func isWorthReplacing(_ number: Int, at now: Instant) -> Bool { state.isWorthReplacing(number, at: now) }

  override var refusal: StaticString { "it answered 401 also to a new ticket (authenticate negotiate)" }
}
