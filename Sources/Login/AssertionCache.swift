// Assertions that were made, and how long each is used: by those who come next, and by those whose requests have waited. Nothing is signed here.

public import Primitives

/// What one user of those groups is asserted with for a while. One worker's.
public final class Assertion {
  /// All that it says, but for the time. The signer is held, so that no other can have its identity for as long as that lasts.
  struct Claims: Hashable {
    var signer: UserAssertion
    var user: [UInt8]
    var groups: [[UInt8]]

    static func == (a: Claims, b: Claims) -> Bool { a.signer === b.signer && a.user == b.user && a.groups == b.groups }

    func hash(into hasher: inout Hasher) {
      hasher.combine(ObjectIdentifier(signer))
      hasher.combine(user)
      hasher.combine(groups)
    }
  }

  let claims: Claims
  let made: Int64
  /// The field's whole line, with its end.
  public let line: [UInt8]
  /// What was made when this had grown old, for all that still have this.
  private var successor: Assertion?

  /// Nil where nothing could be signed.
  init?(_ claims: Claims, at now: Int64) {
    guard let line = claims.signer.line(for: claims.user, claims.groups, at: now) else { return nil }
    self.claims = claims
    self.line = line
    made = now
  }

  /// Whether it may be sent: less than half of its life is over. A clock that was set back makes new ones, too.
  func isFresh(at now: Int64) -> Bool { now >= made && (now - made) * 2 < claims.signer.seconds }

  /// One that says the same and may be sent: this one, or one that is made. Nil where nothing could be signed.
  public func fresh(at now: Timestamp) -> Assertion? {
    let now = now.seconds
    if isFresh(at: now) { return self }
    if let successor, successor.isFresh(at: now) { return successor }
    successor = Assertion(claims, at: now)
    return successor
  }
}

/// The assertions that one worker has made, since a signature takes longer than the rest of a request.
public struct AssertionCache {
  /// Those that were asked for lately; and those that were before, of which each that is asked for again becomes one of the others.
  private var entries: [Assertion.Claims: Assertion] = [:]
  private var before: [Assertion.Claims: Assertion] = [:]
  /// Both together.
  static let most = 1024

  public init() {}

  public var count: Int { entries.count + before.count }

  /// For a user of those groups: what it says is his by the name and the groups that he has now, whatever file or token they come from.
  public mutating func assertion(_ signer: UserAssertion, for user: [UInt8], _ groups: [[UInt8]], at now: Timestamp) -> Assertion? {
    let claims = Assertion.Claims(signer: signer, user: user, groups: groups)
    let seconds = now.seconds
    if let known = entries[claims], known.isFresh(at: seconds) { return known }
    let old = before.isEmpty ? nil : before.removeValue(forKey: claims)
    guard let assertion = old.flatMap({ $0.isFresh(at: seconds) ? $0 : nil }) ?? Assertion(claims, at: seconds) else { return nil }
    // Who was not asked for while half as many others were goes: whoever comes with ever new names or groups pushes out the idle first, and himself.
    if entries.count >= Self.most / 2 && entries[claims] == nil {
      before = entries
      entries = [:]
    }
    entries[claims] = assertion
    return assertion
  }

  /// Lets go of the keys of a configuration that is over.
  public mutating func removeAll() { (entries, before) = ([:], [:]) }
}
