// Keeps a broken upstream from flooding the error log: the access log has every failed request, this one says what is wrong now and then.

import Primitives

/// At most one line a second for each subject, with the number of those left out.
struct Complaints {
  private struct Subject {
    var saidAt: Instant
    var leftOut = 0
  }

  private var subjects: [String: Subject] = [:]
  /// Between two lines about one subject.
  private static let pause = Interval.seconds(1)

  /// What is to be logged now about `subject`, or nil.
  mutating func say(_ subject: String, _ words: String, at now: Instant) -> String? {
    guard let known = subjects[subject] else {
      subjects[subject] = Subject(saidAt: now)
      return words
    }
    guard now >= known.saidAt.advanced(by: Self.pause) else {
      subjects[subject]?.leftOut += 1
      return nil
    }
    subjects[subject] = Subject(saidAt: now)
    return known.leftOut > 0 ? "\(words); \(known.leftOut) more since the last such line" : words
  }
}
