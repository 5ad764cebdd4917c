// How often somebody failed lately: a sliding window of the last failures of each key. Bounded; who failed least recently goes first.

internal import Primitives
internal import Synchronization

/// Shared by all workers. Keys are hashes under a key of this process, so that nobody chooses which row he stands in.
final class FailureCounts: Sendable {
  /// Keys that are held at most. Each takes 8 bytes and 4 for each failure that makes a ban, taken as they come (1/16 at a time): 3 MiB with
  /// ten failures.
  static let capacity = 65_536
  private static let shardCount = 16
  /// Places that one key may stand in: of these the one that failed least recently is given away. What is lost so is a count, never a ban.
  static let ways = 8

  let failures: Int
  private let within: UInt32
  private let shards: [Shard]
  private let start: Instant

  /// - Parameters:
  ///   - failures: as many within `within` are too many; 1 to 100.
  ///   - within: at least a second.
  ///   - start: no failure is before it.
  ///   - capacity: for tests.
  init(failures: Int, within: Interval, start: Instant, capacity: Int = FailureCounts.capacity) {
    precondition((1...LockoutOptions.mostFailures).contains(failures), "a window has 1 to 100 places")
    self.failures = failures
    self.within = Self.ticks(within.nanoseconds)
    self.start = start
    let rows = max(1, capacity / Self.shardCount / Self.ways)
    shards = (0..<Self.shardCount).map { _ in Shard(rows: rows, failures: failures) }
  }

  /// Sixteenths of a second: fine enough for windows of seconds, and 32 bits of them last for eight years.
  private static func ticks(_ nanoseconds: UInt64) -> UInt32 { UInt32(clamping: nanoseconds / 62_500_000) }

  /// 1 at the start: 0 is "never".
  private func tick(_ instant: Instant) -> UInt32 { Self.ticks(instant.since(start)) &+ 1 }

  /// Counts a failure. True when that makes too many; the count then begins anew.
  func add(_ key: UInt64, at now: Instant) -> Bool {
    shard(key).state.withLock { $0.add(key, tick(now), within) }
  }

  func clear(_ key: UInt64) {
    shard(key).state.withLock { $0.clear(key) }
  }

  private func shard(_ key: UInt64) -> Shard { shards[Int(truncatingIfNeeded: key) & (Self.shardCount - 1)] }

  /// A class of its own because a mutex has one place in memory.
  private final class Shard: Sendable {
    let state: Mutex<Rows>

    init(rows: Int, failures: Int) { state = Mutex(Rows(rows: rows, failures: failures)) }
  }

  private struct Rows: Sendable {
    let rows: Int
    let failures: Int
    var keys: [UInt64] = []
    /// `failures` ticks a place, the oldest first; 0 where there are fewer.
    var ticks: [UInt32] = []

    init(rows: Int, failures: Int) {
      self.rows = rows
      self.failures = failures
    }

    private func row(_ key: UInt64) -> Int { Int(key.multipliedFullWidth(by: UInt64(rows)).high) * FailureCounts.ways }

    private func latest(_ place: Int) -> UInt32 { ticks[(place + 1) * failures - 1] }

    private func find(_ key: UInt64) -> Int? {
      if keys.isEmpty { return nil }
      let row = row(key)
      for place in row..<row + FailureCounts.ways where keys[place] == key && latest(place) != 0 { return place }
      return nil
    }

    mutating func add(_ key: UInt64, _ now: UInt32, _ within: UInt32) -> Bool {
      let place = find(key) ?? take(key)
      let first = place * failures
      for i in first..<first + failures - 1 { ticks[i] = ticks[i + 1] }
      ticks[first + failures - 1] = now
      guard ticks[first] != 0, now - min(ticks[first], now) < within else { return false }
      empty(place)
      return true
    }

    /// A place for a new key.
    private mutating func take(_ key: UInt64) -> Int {
      if keys.isEmpty {
        keys = [UInt64](repeating: 0, count: rows * FailureCounts.ways)
        ticks = [UInt32](repeating: 0, count: rows * FailureCounts.ways * failures)
      }
      let row = row(key)
      var place = row
      for other in row + 1..<row + FailureCounts.ways where latest(other) < latest(place) { place = other }
      empty(place)
      keys[place] = key
      return place
    }

    mutating func clear(_ key: UInt64) {
      if let place = find(key) { empty(place) }
    }

    private mutating func empty(_ place: Int) {
      for i in place * failures..<(place + 1) * failures { ticks[i] = 0 }
    }
  }
}
