// When something that failed is tried again, and when a service's refusal is worth another try. Of what workers have together: see `AccessTokenState`, `TicketState`.

import Primitives

/// Pauses after failures: 1 s, 2 s, … a minute, each a quarter more or less.
struct FetchPauses {
  /// In a row.
  private(set) var failures = 0
  /// When the next attempt may begin.
  var notBefore = Instant(nanoseconds: 0)

  static let first = Interval.seconds(1)
  static let longest = Interval.seconds(60)

  var isFailing: Bool { failures > 0 }

  mutating func succeeded() { failures = 0 }

  /// - Parameter wish: how long whoever was asked wants to be left alone.
  mutating func failed(at now: Instant, wish: Interval?) {
    let pause = min(Self.first.nanoseconds << UInt64(min(failures, 6)), Self.longest.nanoseconds)
    let spread = Interval(nanoseconds: pause / 100 * UInt64.random(in: 75...125))
    notBefore = now.advanced(by: max(spread, min(wish ?? Interval(nanoseconds: 0), Self.longest)))
    failures += 1
  }
}

/// How often a refused login may cost another: ten seconds apart, and twice as long each time that it was of no use.
struct ReplacePauses {
  private var mayReplaceAt = Instant(nanoseconds: 0)
  private var pause = ReplacePauses.least

  static let least = Interval.seconds(10)
  static let longest = Interval.seconds(600)

  /// Whether one may be replaced now; if so, it is.
  mutating func replaces(at now: Instant) -> Bool {
    guard now >= mayReplaceAt else { return false }
    let isAgain = now < mayReplaceAt.advanced(by: Interval(nanoseconds: 2 * pause.nanoseconds))
    pause = isAgain ? min(Interval(nanoseconds: 2 * pause.nanoseconds), Self.longest) : Self.least
    mayReplaceAt = now.advanced(by: pause)
    return true
  }
}
