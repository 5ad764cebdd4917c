// Which tokens are refused before their time: by identifier, by user, or all, each from before some moment. Shared by every worker, so that a
// revocation by one is in force in all of them at once.

public import Primitives
internal import Synchronization

/// Tokens that are not to be believed any more.
public enum Revocation: Equatable, Sendable {
  /// The one whose `jti` this is. `until`: when it expires, and the revocation may be forgotten.
  case token(identifier: [UInt8], until: Timestamp)
  /// All of a user's that were issued before a moment.
  case user(name: [UInt8], before: Timestamp, until: Timestamp)
  /// All that were issued before a moment.
  case all(before: Timestamp, until: Timestamp)

  /// When no token can be left that it is about: `before` and the longest life of any token after it.
  public static func user(_ name: [UInt8], before: Timestamp) -> Revocation {
    .user(name: name, before: before, until: before.advanced(by: SignedToken.longestLife).advanced(by: SignedToken.skew))
  }

  public static func all(before: Timestamp) -> Revocation {
    .all(before: before, until: before.advanced(by: SignedToken.longestLife).advanced(by: SignedToken.skew))
  }

  /// - Parameter now: the token is at most as young as this.
  public static func token(_ identifier: [UInt8], issuedBefore now: Timestamp) -> Revocation {
    .token(identifier: identifier, until: now.advanced(by: SignedToken.longestLife).advanced(by: SignedToken.skew))
  }
}

/// In force in this process. What makes revocations last is `RevocationFile`: write there first.
public final class Revocations: Sendable {
  private struct State: Sendable {
    var list: RevocationList
    /// Made in this process lately: a file that was read a moment before they were written does not have them.
    var recent: [(revocation: Revocation, at: Instant)] = []
  }

  private let state: Mutex<State>
  private let changes = Atomic<UInt64>(1)

  /// Longer than a file takes to be read once it has changed.
  private static let recency = Interval.seconds(10)

  public init(_ list: RevocationList = RevocationList()) {
    state = Mutex(State(list: list))
  }

  /// Another number after each change. What was found good at one epoch has to be looked at again at another. To be read before looking.
  public var epoch: UInt64 { changes.load(ordering: .acquiring) }

  /// From the return on the token is refused everywhere.
  public func insert(_ revocation: Revocation, at now: Instant) throws(RevocationFault) {
    let failure = state.withLock { state -> RevocationFault? in
      do throws(RevocationFault) {
        try state.list.insert(revocation)
      } catch {
        return error
      }
      state.recent.removeAll { $0.at.advanced(by: Self.recency) < now }
      state.recent.append((revocation, now))
      changes.add(1, ordering: .acquiringAndReleasing)
      return nil
    }
    if let failure { throw failure }
  }

  /// Takes what the file says now.
  public func replace(with list: RevocationList, at now: Instant) {
    state.withLock { state in
      state.list = list
      state.recent.removeAll { $0.at.advanced(by: Self.recency) < now }
      // A full list that just came from the file has no room for them; then the file has them already, or they were refused.
      for recent in state.recent { try? state.list.insert(recent.revocation) }
      changes.add(1, ordering: .acquiringAndReleasing)
    }
  }

  /// Whether a token is revoked.
  public func cover(identifier: [UInt8], user: [UInt8], issued: Timestamp) -> Bool {
    state.withLock { $0.list.cover(identifier: identifier, user: user, issued: issued) }
  }

  /// What a new token of that user's has to be issued at or after.
  func earliestIssue(for user: [UInt8]) -> Timestamp? {
    state.withLock { $0.list.earliestIssue(for: user) }
  }

  /// How many there are.
  public var count: Int { state.withLock { $0.list.count } }
}
