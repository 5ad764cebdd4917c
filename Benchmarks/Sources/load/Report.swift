// What came back, and how soon.

/// Collects latencies and statuses.
struct Report {
  private var latencies: [UInt64] = []
  private var statuses: [Int: Int] = [:]
  /// Connections that the server ended, or that could not be made.
  var lost = 0

  var count: Int { latencies.count }

  init() { latencies.reserveCapacity(1 << 20) }

  mutating func add(_ status: Int, nanoseconds: UInt64) {
    latencies.append(nanoseconds)
    statuses[status, default: 0] += 1
  }

  /// One line of JSON; times in microseconds.
  func text(seconds: Double) -> String {
    let sorted = latencies.sorted()
    func quantile(_ q: Double) -> Double {
      sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * q))]) / 1000
    }
    let counts = statuses.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
    return """
      {"requests": \(count), "seconds": \(seconds), "lost": \(lost), "status": {\(counts)}, \
      "p50": \(quantile(0.5)), "p90": \(quantile(0.9)), "p99": \(quantile(0.99)), "max": \(quantile(1))}
      """
  }
}
