// Who logged in from where lately: what keeps a guesser behind a shared address from shutting out his neighbours. Without locks, since it is
// looked at with every password that is right.

internal import Primitives
internal import Synchronization

/// One place for each pair of a user and an address, told apart by bits of a keyed hash; a pair that wants the place of another gets it. Only
/// successes write here, so that strangers push nobody out. What is lost, or taken for another (once in 2^24), is an exemption from the ban of
/// an address, which lets a password be looked at and no more.
final class KnownLogins: Sendable {
  /// 256 KiB.
  private static let size = 32_768
  /// How long a login counts.
  static let lately: UInt64 = 24

  /// From the most significant: 24 bits of the pair, 23 of the credential, 1 whether it failed since, 16 of the hour.
  private let places = InlineArray<32_768, Atomic<UInt64>> { _ in Atomic(0) }
  private let start: Instant

  init(start: Instant) {
    self.start = start
  }

  private static let failed: UInt64 = 1 << 16

  /// From 1: 0 is an empty place.
  private func hour(_ now: Instant) -> UInt64 { (now.since(start) / 3_600_000_000_000 + 1) & 0xFFFF }

  private func index(_ pair: UInt64) -> Int { Int(truncatingIfNeeded: pair) & (Self.size - 1) }

  private func tag(_ pair: UInt64) -> UInt64 { pair & 0xFFFF_FF00_0000_0000 }

  private func mark(_ credential: UInt64) -> UInt64 { (credential >> 24) & 0xFF_FFFE_0000 }

  /// The place of `pair`, when it logged in within the last day.
  private func place(_ pair: UInt64, _ now: Instant) -> UInt64? {
    let place = places[index(pair)].load(ordering: .relaxed)
    guard place & 0xFFFF != 0, tag(place) == tag(pair), (hour(now) &- place) & 0xFFFF <= Self.lately else { return nil }
    return place
  }

  /// Whether the pair logged in lately, by whatever password.
  func holds(_ pair: UInt64, at now: Instant) -> Bool { place(pair, now) != nil }

  /// Whether it logged in lately by this password.
  func holds(_ pair: UInt64, by credential: UInt64, at now: Instant) -> Bool {
    place(pair, now).map { $0 & 0xFF_FFFE_0000 == mark(credential) } ?? false
  }

  /// Notes a login. True when that is news, or the pair failed since the last one: then its failures are to be forgotten.
  func note(_ pair: UInt64, by credential: UInt64, at now: Instant) -> Bool {
    let wanted = tag(pair) | mark(credential) | hour(now)
    if places[index(pair)].load(ordering: .relaxed) == wanted { return false }
    places[index(pair)].store(wanted, ordering: .relaxed)
    return true
  }

  /// Notes that the pair failed. The last hour's login is no less one for that.
  func noteFailure(_ pair: UInt64, at now: Instant) {
    guard let place = place(pair, now), place & Self.failed == 0 else { return }
    _ = places[index(pair)].compareExchange(expected: place, desired: place | Self.failed, ordering: .relaxed)
  }
}
