// How many requests of a route are under way, in all workers and of each user. Taken before anything is asked of the upstream, given back by whoever
// holds it being let go: there is no other way to end a request.

import Synchronization

/// One route's count. The same object after a reload that leaves the route its name.
final class InFlight: Sendable {
  private let total = Atomic<Int>(0)
  private let shards: [Shard] = (0..<16).map { _ in Shard() }

  private final class Shard: Sendable {
    /// By a hash of who it is; nobody who has none stands there, so that it is bounded by the requests under way.
    let counts = Mutex<[UInt64: Int]>([:])
  }

  /// Requests under way.
  var count: Int { total.load(ordering: .relaxed) }
  /// Of whom there are some, for tests.
  var users: Int { shards.reduce(0) { $0 + $1.counts.withLock(\.count) } }

  /// Takes a place, unless there are `most` already.
  func take(most: Int) -> Bool {
    var now = total.load(ordering: .relaxed)
    while now < most {
      let (exchanged, original) = total.weakCompareExchange(expected: now, desired: now + 1, ordering: .relaxed)
      if exchanged { return true }
      now = original
    }
    return false
  }

  func giveBack() { total.wrappingSubtract(1, ordering: .relaxed) }

  func take(_ user: UInt64, most: Int) -> Bool {
    shard(user).counts.withLock { counts in
      let now = counts[user] ?? 0
      if now >= most { return false }
      counts[user] = now + 1
      return true
    }
  }

  func giveBack(_ user: UInt64) {
    shard(user).counts.withLock { counts in
      let now = counts[user] ?? 1
      counts[user] = now > 1 ? now - 1 : nil
    }
  }

  private func shard(_ user: UInt64) -> Shard { shards[Int(truncatingIfNeeded: user >> 48) & 15] }
}
