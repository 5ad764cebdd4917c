// What `check` says in numbers: rates, causes of another try, statuses with pages.

import Primitives
import Proxy
import Upstream

extension Description {
  /// As `rate` is written, but for what is said of it when nothing is.
  func rate(_ limit: RateLimit) -> String {
    let unit = [1: "s", 60: "m", 3600: "h"][limit.rate.per.nanoseconds / 1_000_000_000] ?? "d"
    let whose =
      switch limit.key {
      case .address: "an address"
      case .user: "a user"
      case .token: "a token"
      }
    return "\(limit.rate.count)r/\(unit) of \(whose), \(limit.burst) at once"
  }

  /// What `retry` says beyond, or short of, what holds when it says nothing.
  func causes(_ retry: UpstreamGroup.Retry) -> String {
    if retry.causes == [.connect, .reset] { return "" }
    let names: [(UpstreamGroup.Retry.Causes, String)] = [
      (.connect, "connect"), (.reset, "reset"), (.badGateway, "502"), (.unavailable, "503"), (.gatewayTimeout, "504"),
    ]
    return " (" + names.filter { retry.causes.contains($0.0) }.map(\.1).joined(separator: " ") + ")"
  }

  /// `401 403 500-599` of numbers in ascending order.
  func ranges(_ numbers: [Int]) -> String {
    var ranges: [ClosedRange<Int>] = []
    for number in numbers {
      if let last = ranges.last, last.upperBound + 1 == number { ranges[ranges.count - 1] = last.lowerBound...number } else { ranges.append(number...number) }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: " ")
  }
}
