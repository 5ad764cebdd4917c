// Tokens that were verified lately, so that a signature is verified once and not at each request.
//
// What is kept is a code of the token under a key that this process alone has, and what the token was found to say: no token can be read out
// of it. Only successes are kept: a table of failures would be filled by strangers.

internal import Crypto
internal import Primitives
internal import Synchronization

/// Bounded: when a place is wanted, the entry that would expire first goes. Shared by all workers.
final class TokenCache<Value: Sendable>: Sendable {
  private let key = HMACSHA256Key.random()
  private let shards: [Shard]

  /// Room for about `entries` tokens, taken as they come (1/16 at a time).
  init(entries: Int) {
    let sets = max(1, entries / (tokenCacheShards * tokenCacheWays))
    shards = (0..<tokenCacheShards).map { _ in Shard(sets: sets) }
  }

  func code(_ token: Span<UInt8>) -> SHA256.Digest { key.authenticate(token) }

  /// What was kept under this code, also when it has expired since: the caller looks at the clock.
  func value(_ code: SHA256.Digest) -> Value? {
    shard(code).state.withLock { $0.find(code) }
  }

  /// Keeps `value`, instead of what stood there under the same code.
  func insert(_ code: SHA256.Digest, _ value: Value, until expires: Timestamp) {
    shard(code).state.withLock { $0.insert(code, value, expires.microseconds) }
  }

  private func shard(_ code: SHA256.Digest) -> Shard {
    shards[Int(truncatingIfNeeded: code.suffix) & (tokenCacheShards - 1)]
  }

  /// A class of its own because a mutex has one place in memory.
  private final class Shard: Sendable {
    let state: Mutex<Sets>

    init(sets: Int) {
      state = Mutex(Sets(sets: sets))
    }
  }

  /// `sets` rows of places.
  private struct Sets: Sendable {
    let sets: Int
    var codes: [SHA256.Digest] = []
    var values: [Value?] = []
    /// Microseconds since 1970.
    var deadlines: [Int64] = []

    init(sets: Int) {
      self.sets = sets
    }

    private func row(_ code: SHA256.Digest) -> Int {
      Int(code.prefix.multipliedFullWidth(by: UInt64(sets)).high) * tokenCacheWays
    }

    func find(_ code: SHA256.Digest) -> Value? {
      if values.isEmpty { return nil }
      let row = row(code)
      for i in row..<row + tokenCacheWays where codes[i] == code {
        if let value = values[i] { return value }
      }
      return nil
    }

    mutating func insert(_ code: SHA256.Digest, _ value: Value, _ deadline: Int64) {
      if values.isEmpty {
        codes = [SHA256.Digest](repeating: code, count: sets * tokenCacheWays)
        values = [Value?](repeating: nil, count: sets * tokenCacheWays)
        deadlines = [Int64](repeating: 0, count: sets * tokenCacheWays)
      }
      let row = row(code)
      var place = row
      for i in row..<row + tokenCacheWays {
        if values[i] != nil && codes[i] == code {
          place = i
          break
        }
        // 0, a free place, is earlier than any.
        if deadlines[i] < deadlines[place] { place = i }
      }
      codes[place] = code
      values[place] = value
      deadlines[place] = deadline
    }
  }
}

private let tokenCacheShards = 16
/// Places that one code may stand in.
private let tokenCacheWays = 8
