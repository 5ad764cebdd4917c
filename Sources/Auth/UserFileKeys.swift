// The keys of a user file as text to be edited. Entries that an edit is not about stay as they are written, also those that we can't read.

public import Primitives

extension UserFileText {
  /// Adds the entry of a new token (`APIKey.issue`). Its name must be new to this user.
  public mutating func addKey(_ key: APIKey, to name: [UInt8]) throws(UserEditFailure) {
    let keyName = key.name
    guard APIKey.isName(keyName.span) else { throw .unfit("a key's name has 1 to 64 of A-Z a-z 0-9 . _ @ + -") }
    let entries = try words("keys", of: name)
    guard !entries.contains(where: { Self.keyName($0) == keyName }) else { throw .keyExists(keyName) }
    try setKeys(entries + [key.entry], of: name)
  }

  /// Removes the entries of that name: their tokens are worth nothing from the next reading on.
  public mutating func revokeKey(_ keyName: [UInt8], of name: [UInt8]) throws(UserEditFailure) {
    let entries = try words("keys", of: name)
    let kept = entries.filter { Self.keyName($0) != keyName }
    guard kept.count < entries.count else { throw .noSuchKey(keyName) }
    try setKeys(kept, of: name)
  }

  /// What became of a key that was replaced.
  public struct Replacement: Equatable, Sendable {
    /// The new one: the old one's name and restrictions.
    public var key: APIKey
    /// The old one under its new name; nil when nothing is left of it, because it had expired or no overlap was wanted.
    public var old: APIKey?
  }

  /// Gives a key a new token. The old token goes on under another name (`NAME.old`) until `now + overlap`, or its own expiry if that is earlier.
  ///
  /// - Parameters:
  ///   - issued: a new token's entry, of which digest and last four characters are taken.
  ///   - expires: when the new one expires; nil for when the old one does.
  public mutating func replaceKey(
    _ keyName: [UInt8], of name: [UInt8], by issued: APIKey, expires: NewExpiry, overlap: Interval, now: Timestamp
  ) throws(UserEditFailure) -> Replacement {
    var entries = try words("keys", of: name)
    let places = entries.indices.filter { Self.keyName(entries[$0]) == keyName }
    guard let place = places.first else { throw .noSuchKey(keyName) }
    guard places.count == 1 else { throw .notReplaceable(keyName, "two are called so, revoke them") }
    let old: APIKey
    do throws(APIKeyEntryFault) {
      let entry = entries[place]
      old = try APIKey(entry: entry.span)
    } catch {
      throw .notReplaceable(keyName, error.description)
    }
    let expiry: Timestamp?
    switch expires {
    case .asBefore: expiry = old.expires
    case .never: expiry = nil
    case .at(let time): expiry = time
    }
    if let expiry, expiry <= now { throw .notReplaceable(keyName, "it has expired, and so would the new one: say when it is to expire") }
    let fresh = APIKey(
      name: keyName, digest: issued.digest, expires: expiry, lastFour: issued.lastFour, scope: old.scope, networks: old.networks)
    entries[place] = fresh.entry
    // Whole seconds are what the file has; rounded down, so that the old one never lives longer than was said.
    let end = Timestamp(seconds: now.seconds + Int64(clamping: overlap.nanoseconds / 1_000_000_000))
    let oldEnd = old.expires.map { min($0, end) } ?? end
    var kept: APIKey?
    if oldEnd > now {
      let retired = APIKey(
        name: try retiredName(keyName, &entries, now), digest: old.digest, expires: oldEnd, lastFour: old.lastFour, scope: old.scope,
        networks: old.networks)
      entries.append(retired.entry)
      kept = retired
    }
    try setKeys(entries, of: name)
    return Replacement(key: fresh, old: kept)
  }

  public enum NewExpiry: Equatable, Sendable {
    case asBefore
    case never
    case at(Timestamp)
  }

  /// `NAME.old`, or the first of `NAME.old2` to `NAME.old9` that is free. One that is taken by an expired key becomes free.
  private func retiredName(_ keyName: [UInt8], _ entries: inout [[UInt8]], _ now: Timestamp) throws(UserEditFailure) -> [UInt8] {
    for n in 1...9 {
      let candidate = keyName.prefix(59) + Array((n == 1 ? ".old" : ".old\(n)").utf8)
      guard let taken = entries.firstIndex(where: { Self.keyName($0) == Array(candidate) }) else { return Array(candidate) }
      let entry = entries[taken]
      if let key = try? APIKey(entry: entry.span), key.isExpired(at: now) {
        entries.remove(at: taken)
        return Array(candidate)
      }
    }
    throw .notReplaceable(keyName, "nine that it replaced are still good: revoke some of them")
  }

  private mutating func setKeys(_ entries: [[UInt8]], of name: [UInt8]) throws(UserEditFailure) {
    try edit(name, "keys", to: entries.isEmpty ? nil : Array("keys=".utf8) + Self.spaced(entries))
  }

  private static func keyName(_ entry: [UInt8]) -> [UInt8] { Array(entry.prefix { $0 != 0x2F }) }
}
