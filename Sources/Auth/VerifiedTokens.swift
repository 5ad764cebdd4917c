// Signed tokens that were verified lately: a request with one that is known costs one code and one lookup, not a signature and its claims.
//
// An entry is good for the gatekeeper that made it (so for one reading of users, keys and configuration) and for one epoch of the
// revocations: a change of either makes all of them strangers, and they are verified anew. When a token or its owner expires is asked at each
// request.

internal import Crypto
internal import Primitives
internal import Synchronization

/// Shared by all workers. Bounded: when a place is wanted, the entry that was used longest ago goes.
public final class VerifiedTokens: Sendable {
  private let key = HMACSHA256Key.random()
  private let shards: [Shard]

  /// Room for about `entries` tokens, taken as they come (1/16 at a time). 0 turns it off.
  init(entries: Int) {
    let sets = (max(entries, 0) + Self.shardCount * Self.ways - 1) / (Self.shardCount * Self.ways)
    shards = sets == 0 ? [] : (0..<Self.shardCount).map { _ in Shard(sets: sets) }
  }

  /// What an entry is good for.
  struct Circumstances: Equatable, Sendable {
    /// Of the gatekeeper.
    var generation: UInt64
    /// Of the revocations, read before the token was verified.
    var epoch: UInt64
  }

  /// The code of a token's text, under a key that this process alone has.
  func code(_ text: Span<UInt8>) -> SHA256.Digest { key.authenticate(text) }

  /// The token of that code, if it was verified in these circumstances. Its place is then kept for another `lifetime`.
  func token(_ code: SHA256.Digest, _ circumstances: Circumstances, at now: Instant, lifetime: Interval) -> VerifiedToken? {
    shard(code)?.state.withLock { $0.touch(code, circumstances, now, now.advanced(by: lifetime)) }
  }

  func insert(_ token: VerifiedToken, _ code: SHA256.Digest, _ circumstances: Circumstances, at now: Instant, lifetime: Interval) {
    guard let shard = shard(code), lifetime.nanoseconds > 0 else { return }
    shard.state.withLock { $0.insert(token, code, circumstances, now.advanced(by: lifetime)) }
  }

  /// Entries held, those that are strangers by now among them.
  var count: Int {
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

  /// `sets` rows of `ways` places, an array for each thing that a place holds: looking for a code touches no token but its own.
  private struct Sets: Sendable {
    let sets: Int
    var codes: [SHA256.Digest] = []
    var circumstances: [Circumstances] = []
    /// Nanoseconds on the monotonic clock; 0 is a free place.
    var deadlines: [UInt64] = []
    var tokens: [VerifiedToken?] = []

    init(sets: Int) {
      self.sets = sets
    }

    private func row(_ code: SHA256.Digest) -> Int {
      Int(code.prefix.multipliedFullWidth(by: UInt64(sets)).high) * VerifiedTokens.ways
    }

    mutating func touch(_ code: SHA256.Digest, _ circumstances: Circumstances, _ now: Instant, _ deadline: Instant) -> VerifiedToken? {
      if deadlines.isEmpty { return nil }
      let row = row(code)
      for i in row..<row + VerifiedTokens.ways where deadlines[i] > now.nanoseconds && codes[i] == code {
        guard self.circumstances[i] == circumstances else { return nil }
        deadlines[i] = deadline.nanoseconds
        return tokens[i]
      }
      return nil
    }

    mutating func insert(_ token: VerifiedToken, _ code: SHA256.Digest, _ circumstances: Circumstances, _ deadline: Instant) {
      if deadlines.isEmpty {
        let places = sets * VerifiedTokens.ways
        codes = [SHA256.Digest](repeating: code, count: places)
        self.circumstances = [Circumstances](repeating: circumstances, count: places)
        deadlines = [UInt64](repeating: 0, count: places)
        tokens = [VerifiedToken?](repeating: nil, count: places)
      }
      let row = row(code)
      var place = row
      for i in row..<row + VerifiedTokens.ways {
        if deadlines[i] != 0 && codes[i] == code {
          place = i
          break
        }
        if deadlines[i] < deadlines[place] { place = i }
      }
      codes[place] = code
      self.circumstances[place] = circumstances
      deadlines[place] = deadline.nanoseconds
      tokens[place] = token
    }
  }
}
