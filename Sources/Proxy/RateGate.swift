// How often requests may come, counted for everybody apart in bounded memory: for every request of a route, from all workers. What happens a few times an
// hour is `RateTable`'s.

import Primitives
import Synchronization

/// The generic cell rate algorithm (ITU-T I.371) in whole nanoseconds: for each key the moment at which all that it took will have come back.
///
/// Who still owes is never forgotten for others, so that no flood of addresses gives anybody his rate back, its sender included. Where a shard has no room
/// left, those whom it does not know yet share one count until somebody has paid.
final class RateGate: Sendable {
  /// Keys of one limit, all shards together. About 40 bytes each, taken as they come.
  static let capacity = 65_536
  private static let shardCount = 64
  /// Between two looks of a full shard for who has paid.
  private static let sweepPause: UInt64 = 100_000_000

  let limit: RateLimit
  /// Nanoseconds in which one request comes back.
  private let step: UInt64
  /// How far ahead of now a key may be.
  private let reach: UInt64
  private let shards: [Shard]
  private let perShard: Int

  /// A class of its own because a mutex has one place in memory.
  private final class Shard: Sendable {
    struct State {
      var due: [UInt64: UInt64] = [:]
      /// Of all for whom there was no room.
      var others: UInt64 = 0
      var sweptAt: UInt64 = 0
    }
    let state = Mutex(State())
  }

  init(_ limit: RateLimit, capacity: Int = RateGate.capacity) {
    self.limit = limit
    step = max(limit.rate.per.nanoseconds / UInt64(max(limit.rate.count, 1)), 1)
    let (reach, overflow) = step.multipliedReportingOverflow(by: UInt64(max(limit.burst, 1)))
    self.reach = overflow ? .max / 4 : min(reach, .max / 4)
    perShard = max(1, capacity / Self.shardCount)
    shards = (0..<Self.shardCount).map { _ in Shard() }
  }

  /// Takes one. Answers nil, or for how many seconds (1 or more) there is none.
  func take(_ key: UInt64, now: Instant) -> UInt64? {
    let now = now.nanoseconds
    return shards[Int(truncatingIfNeeded: key >> 40) & (Self.shardCount - 1)].state.withLock { state -> UInt64? in
      if let due = state.due[key] {
        if let wait = wait(due, now) { return seconds(wait) }
        state.due[key] = max(due, now) &+ step
        return nil
      }
      // Workers read the clock once a turn: one's now may lie before another's.
      if state.due.count >= perShard && now >= state.sweptAt && now - state.sweptAt >= Self.sweepPause {
        state.sweptAt = now
        state.due = state.due.filter { $0.value > now }
      }
      if state.due.count < perShard {
        state.due[key] = now &+ step
        return nil
      }
      if let wait = wait(state.others, now) { return seconds(wait) }
      state.others = max(state.others, now) &+ step
      return nil
    }
  }

  /// Nanoseconds to wait, or nil where one may be taken.
  private func wait(_ due: UInt64, _ now: UInt64) -> UInt64? {
    let after = max(due, now) &+ step
    let most = now &+ reach
    return after > most ? after - most : nil
  }

  private func seconds(_ nanoseconds: UInt64) -> UInt64 { max(1, nanoseconds / 1_000_000_000 + (nanoseconds % 1_000_000_000 == 0 ? 0 : 1)) }

  /// For tests.
  var count: Int { shards.reduce(0) { $0 + $1.state.withLock { $0.due.count } } }
}
