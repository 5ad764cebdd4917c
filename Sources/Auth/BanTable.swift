// Who is shut out, and until when. Apart from the counts, so that no flood of new failures pushes a ban out.

internal import Primitives
internal import Synchronization

/// Bans in force, and those that are over but not forgotten: the next one of the same key is twice as long.
final class BanTable: Sendable {
  struct Record: Sendable {
    /// `ClientAddress.networkKey` of whom it is about.
    let client: ClientAddress
    /// Whom he tried to be, fit for a log; nil for bans of addresses.
    let user: [UInt8]?
    let since: Instant
    let until: Instant
    /// Which ban in a row this is, from 1.
    let level: Int
    /// Whether the filter counts it: until a sweep has found it over.
    var isFiltered = true
  }

  /// Bans that are held at most; beyond, the one that ends first gives way. To push one out takes as many bans, each paid for with failures
  /// from an address of its own. About 100 bytes each, taken as they come.
  static let capacity = 65_536
  private static let shardCount = 16
  /// A key's bans grow by doubling, up to this or the first one, whatever is longer.
  static let longest = Interval.seconds(86_400)
  /// So long after a ban's end the next one is the first again.
  static let quiet = Interval.seconds(86_400)

  private let shards: [Shard]
  private let perShard: Int
  private let filter: BanFilter

  init(filter: BanFilter, capacity: Int = BanTable.capacity) {
    self.filter = filter
    perShard = max(1, capacity / Self.shardCount)
    shards = (0..<Self.shardCount).map { _ in Shard() }
  }

  /// A class of its own because a mutex has one place in memory.
  private final class Shard: Sendable {
    let records = Mutex<[UInt64: Record]>([:])
  }

  private func shard(_ key: UInt64) -> Shard { shards[Int(truncatingIfNeeded: key >> 32) & (Self.shardCount - 1)] }

  /// Nanoseconds until the ban of `key` ends; nil where there is none. Takes a lock only where the filter knows of a ban like it.
  func remaining(_ key: UInt64, at now: Instant) -> UInt64? {
    guard filter.mayHold(key) else { return nil }
    return shard(key).records.withLock { records in
      guard let record = records[key], record.until > now else { return nil }
      return record.until.since(now)
    }
  }

  /// Bans `key` from now on, unless it is banned already. Answers for how long; nil then.
  func impose(_ key: UInt64, _ client: ClientAddress, user: [UInt8]?, first: Interval, at now: Instant) -> Interval? {
    shard(key).records.withLock { records -> Interval? in
      var level = 1
      if let old = records[key] {
        if old.until > now { return nil }
        if now < old.until.advanced(by: Self.quiet) { level = min(old.level + 1, 64) }
        if old.isFiltered { filter.remove(key) }
      } else if records.count >= perShard, let victim = records.min(by: { $0.value.until < $1.value.until }) {
        records[victim.key] = nil
        if victim.value.isFiltered { filter.remove(victim.key) }
      }
      let length = Self.length(of: level, first: first)
      records[key] = Record(client: client, user: user, since: now, until: now.advanced(by: length), level: level)
      filter.insert(key)
      return length
    }
  }

  static func length(of level: Int, first: Interval) -> Interval {
    let most = max(first, longest)
    var length = first
    for _ in 1..<max(level, 1) where length < most { length = Interval(nanoseconds: length.nanoseconds * 2) }
    return min(length, most)
  }

  /// Forgets what is over for good, and takes what is over out of the filter.
  func sweep(at now: Instant) {
    for shard in shards {
      shard.records.withLock { records in
        for (key, record) in records where record.until <= now {
          if record.isFiltered {
            filter.remove(key)
            records[key]?.isFiltered = false
          }
          if now >= record.until.advanced(by: Self.quiet) { records[key] = nil }
        }
      }
    }
  }

  /// Ends bans, and forgets that they were. Answers how many were in force.
  func lift(at now: Instant, where matches: (Record) -> Bool) -> Int {
    var lifted = 0
    for shard in shards {
      shard.records.withLock { records in
        for (key, record) in records where matches(record) {
          if record.isFiltered { filter.remove(key) }
          if record.until > now { lifted += 1 }
          records[key] = nil
        }
      }
    }
    return lifted
  }

  /// Those in force.
  func list(at now: Instant) -> [Record] {
    shards.flatMap { shard in shard.records.withLock { records in records.values.filter { $0.until > now } } }
  }

  /// Records held, those of bans that are over among them.
  var count: Int { shards.reduce(0) { sum, shard in sum + shard.records.withLock { $0.count } } }
}

/// Says without a lock that somebody is not banned: which is so for nearly everybody, nearly always.
final class BanFilter: Sendable {
  private static let size = 4096
  private let bans = Atomic<Int>(0)
  /// Bans by a few bits of their key.
  private let slots = InlineArray<4096, Atomic<UInt32>> { _ in Atomic(0) }

  /// One relaxed load while nobody is banned, two else. A ban that another thread made a moment ago may be missed: by what is judged at
  /// the same time, not by what is judged after.
  var isEmpty: Bool { bans.load(ordering: .relaxed) == 0 }

  func mayHold(_ key: UInt64) -> Bool { !isEmpty && slots[slot(key)].load(ordering: .relaxed) != 0 }

  func insert(_ key: UInt64) {
    slots[slot(key)].add(1, ordering: .relaxed)
    bans.add(1, ordering: .relaxed)
  }

  func remove(_ key: UInt64) {
    slots[slot(key)].subtract(1, ordering: .relaxed)
    bans.subtract(1, ordering: .relaxed)
  }

  private func slot(_ key: UInt64) -> Int { Int(truncatingIfNeeded: key >> 48) & (Self.size - 1) }
}
