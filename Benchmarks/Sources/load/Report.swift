// What came back, and how soon.

/// Collects latencies and statuses.
struct Report {
  private var latencies = Histogram()
  private var statuses: [Int: Int] = [:]
  /// The status of late, and how often it came in a row: nearly always the same, and a dictionary costs more than all the rest.
  private var status = 0
  private var repeated = 0
  /// Connections that the server ended, or that could not be made.
  var lost = 0
  /// Requests at a constant rate that were not answered in time.
  private(set) var unanswered = 0
  private(set) var count = 0

  mutating func add(_ status: Int, nanoseconds: UInt64) {
    latencies.add(nanoseconds)
    count += 1
    if status != self.status {
      settle()
      self.status = status
    }
    repeated += 1
  }

  /// One that was due so long ago and has no answer.
  mutating func addUnanswered(nanoseconds: UInt64) {
    latencies.add(nanoseconds)
    unanswered += 1
  }

  private mutating func settle() {
    if repeated > 0 { statuses[status, default: 0] += repeated }
    repeated = 0
  }

  /// One line of JSON; times in microseconds.
  mutating func text(seconds: Double) -> String {
    settle()
    func quantile(_ q: Double) -> Double { Double(latencies.quantile(q)) / 1000 }
    let counts = statuses.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
    return """
      {"requests": \(count), "seconds": \(seconds), "lost": \(lost), "unanswered": \(unanswered), "status": {\(counts)}, \
      "p50": \(quantile(0.5)), "p90": \(quantile(0.9)), "p99": \(quantile(0.99)), "p999": \(quantile(0.999)), "max": \(quantile(1))}
      """
  }
}
