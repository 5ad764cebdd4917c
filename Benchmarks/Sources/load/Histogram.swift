// How often each latency occurred, in a fixed amount of memory.

/// Counts durations in buckets whose width is less than a hundredth of what they hold: exact below 256, then 128 buckets for each power
/// of two.
struct Histogram {
  private static let fine = 7
  private var counts = [UInt64](repeating: 0, count: (64 - fine) << fine)
  private(set) var count = 0
  private(set) var greatest: UInt64 = 0

  mutating func add(_ nanoseconds: UInt64) {
    counts[Self.bucket(nanoseconds)] += 1
    count += 1
    greatest = max(greatest, nanoseconds)
  }

  /// The value below which the share `share` of all lies: the middle of its bucket, or the greatest of all. 0 when there is none.
  func quantile(_ share: Double) -> UInt64 {
    let rank = min(Int(Double(count) * share), count - 1)
    if rank < 0 { return 0 }
    if rank == count - 1 { return greatest }
    var seen = 0
    for bucket in counts.indices {
      seen += Int(counts[bucket])
      if seen > rank { return min(Self.middle(bucket), greatest) }
    }
    return greatest
  }

  private static func bucket(_ value: UInt64) -> Int {
    let shift = max(0, 63 - fine - (value | 1).leadingZeroBitCount)
    return shift << fine + Int(value >> UInt64(shift))
  }

  private static func middle(_ bucket: Int) -> UInt64 {
    let shift = max(0, bucket >> fine - 1)
    let low = UInt64(bucket - shift << fine) << UInt64(shift)
    return low + (1 << UInt64(shift)) / 2
  }
}
