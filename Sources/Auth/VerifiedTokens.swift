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
    let entry = Entry(code: code, circumstances: circumstances, deadline: now.advanced(by: lifetime).nanoseconds, token: token)
    shard.state.withLock { $0.insert(entry) }
  }

  /// Entries held, those that are strangers by now among them.
  var count: Int {
    shards.reduce(0) { sum, shard in sum + shard.state.withLock { $0.entries.count { $0 != nil } } }
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

  private struct Entry: Sendable {
    var code: SHA256.Digest
    var circumstances: Circumstances
    /// Nanoseconds on the monotonic clock.
    var deadline: UInt64
    var token: VerifiedToken
  }

  /// `sets` rows of `ways` places.
  private struct Sets: Sendable {
    let sets: Int
    var entries: [Entry?] = []

    init(sets: Int) {
      self.sets = sets
    }

    private func row(_ code: SHA256.Digest) -> Int {
      Int(code.prefix.multipliedFullWidth(by: UInt64(sets)).high) * VerifiedTokens.ways
    }

    mutating func touch(_ code: SHA256.Digest, _ circumstances: Circumstances, _ now: Instant, _ deadline: Instant) -> VerifiedToken? {
      if entries.isEmpty { return nil }
      let row = row(code)
      for i in row..<row + VerifiedTokens.ways {
        guard let entry = entries[i], entry.code == code else { continue }
        guard entry.circumstances == circumstances, entry.deadline > now.nanoseconds else { return nil }
        entries[i]?.deadline = deadline.nanoseconds
        return entry.token
      }
      return nil
    }

    mutating func insert(_ new: Entry) {
      if entries.isEmpty { entries = [Entry?](repeating: nil, count: sets * VerifiedTokens.ways) }
      let row = row(new.code)
      var place = row
      for i in row..<row + VerifiedTokens.ways {
        if entries[i]?.code == new.code {
          place = i
          break
        }
        if (entries[i]?.deadline ?? 0) < (entries[place]?.deadline ?? 0) { place = i }
      }
      entries[place] = new
    }
  }
}
