// Credentials that were verified lately, so that a costly hash is computed once and not at each request.
//
// What is kept is a code under a key that this process alone has, of name, password and stored hash, each with its length before it:
// nothing can be read out of it, no two triples share a code, and a changed hash or name finds nothing. Only successes are kept: a
// table of failures would answer sooner for names that exist, and would be filled by strangers.

public import Crypto
public import Primitives
internal import Synchronization

/// Shared by all workers and kept over reloads. Bounded: when a place is wanted, the entry that would expire first goes.
public final class VerifiedCache: Sendable {
  private let key = HMACSHA256Key.random()
  private let shards: [Shard]
  /// Signed tokens, as many again.
  public let tokens: VerifiedTokens

  /// Room for about `entries` credentials, 40 bytes each, taken as they come (1/16 at a time). 0 turns the cache off.
  public init(entries: Int = 65_536) {
    let sets = (max(entries, 0) + Self.shardCount * Self.ways - 1) / (Self.shardCount * Self.ways)
    shards = sets == 0 ? [] : (0..<Self.shardCount).map { _ in Shard(sets: sets) }
    tokens = VerifiedTokens(entries: entries)
  }

  /// The code of a credential. `hash` is the stored hash as it stands in the file.
  public func code(name: Span<UInt8>, password: Span<UInt8>, hash: Span<UInt8>) -> SHA256.Digest {
    key.authenticateFramed(name, password, hash)
  }

  /// Whether the credential was verified lately. If so its time starts anew: what made it true can't have changed without changing the
  /// code, so expiry only clears out what nobody uses.
  public func contains(_ code: SHA256.Digest, at now: Instant, lifetime: Interval) -> Bool {
    guard let shard = shard(code) else { return false }
    return shard.state.withLock { $0.touch(code, now, now.advanced(by: lifetime)) }
  }

  public func insert(_ code: SHA256.Digest, at now: Instant, lifetime: Interval) {
    guard let shard = shard(code), lifetime.nanoseconds > 0 else { return }
    shard.state.withLock { $0.insert(code, now.advanced(by: lifetime)) }
  }

  public func removeAll() {
    for shard in shards { shard.state.withLock { $0.removeAll() } }
  }

  /// Entries held, expired ones among them.
  public var count: Int {
    shards.reduce(0) { sum, shard in sum + shard.state.withLock { $0.deadlines.count { $0 != 0 } } }
  }

  private static let shardCount = 16
  /// Places that one code may stand in.
  private static let ways = 8

  private func shard(_ code: SHA256.Digest) -> Shard? {
    shards.isEmpty ? nil : shards[Int(truncatingIfNeeded: code.suffix) & (Self.shardCount - 1)]
  }

  /// A class of its own because a mutex has one place in memory.
  private final class Shard: Sendable {
    let state: Mutex<Sets>

    init(sets: Int) {
      state = Mutex(Sets(sets: sets))
    }
  }

  /// `sets` rows of `ways` places.
  private struct Sets: Sendable {
    let sets: Int
    var codes: [SHA256.Digest] = []
    /// Nanoseconds on the monotonic clock; 0 is a free place.
    var deadlines: [UInt64] = []

    init(sets: Int) {
      self.sets = sets
    }

    private func row(_ code: SHA256.Digest) -> Int {
      Int(code.prefix.multipliedFullWidth(by: UInt64(sets)).high) * VerifiedCache.ways
    }

    mutating func touch(_ code: SHA256.Digest, _ now: Instant, _ deadline: Instant) -> Bool {
      if deadlines.isEmpty { return false }
      let row = row(code)
      for i in row..<row + VerifiedCache.ways where deadlines[i] > now.nanoseconds && codes[i] == code {
        deadlines[i] = deadline.nanoseconds
        return true
      }
      return false
    }

    mutating func insert(_ code: SHA256.Digest, _ deadline: Instant) {
      if deadlines.isEmpty {
        codes = [SHA256.Digest](repeating: code, count: sets * VerifiedCache.ways)
        deadlines = [UInt64](repeating: 0, count: sets * VerifiedCache.ways)
      }
      let row = row(code)
      var place = row
      for i in row..<row + VerifiedCache.ways {
        if deadlines[i] != 0 && codes[i] == code {
          place = i
          break
        }
        if deadlines[i] < deadlines[place] { place = i }
      }
      codes[place] = code
      deadlines[place] = deadline.nanoseconds
    }

    mutating func removeAll() {
      codes = []
      deadlines = []
    }
  }
}
