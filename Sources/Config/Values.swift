// Words to numbers: sizes, durations, switches, counts. No messages here; `Reading` words them.

public import Primitives

public enum Value {
  /// Bytes: a whole number with `k`, `m` or `g` (powers of 1024, in either case) or without a unit. Nil when it is none, or over Int.max.
  static func size(_ text: String) -> Int? {
    let (digits, unit) = split(text)
    let factor: Int
    switch unit.lowercased() {
    case "": factor = 1
    case "k": factor = 1 << 10
    case "m": factor = 1 << 20
    case "g": factor = 1 << 30
    default: return nil
    }
    return product(digits, factor)
  }

  /// A length of time: a whole number with `ms`, `s`, `m`, `h` or `d`. The unit may not be left out, except of 0.
  public static func duration(_ text: String) -> Interval? {
    let (digits, unit) = split(text)
    let factor: Int
    switch unit {
    case "ms": factor = 1_000_000
    case "s": factor = 1_000_000_000
    case "m": factor = 60_000_000_000
    case "h": factor = 3_600_000_000_000
    case "d": factor = 86_400_000_000_000
    case "" where text == "0": factor = 1
    default: return nil
    }
    return product(digits, factor).map { Interval(nanoseconds: UInt64($0)) }
  }

  /// A whole number without sign or unit.
  static func count(_ text: String) -> Int? {
    let (digits, unit) = split(text)
    return unit.isEmpty ? product(digits, 1) : nil
  }

  static func onOff(_ text: String) -> Bool? {
    switch text {
    case "on": true
    case "off": false
    default: nil
    }
  }

  /// The text of `size` that reads back as it, in the largest unit that fits.
  static func text(size: Int) -> String {
    for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] where size > 0 && size % (1 << shift) == 0 { return "\(size >> shift)\(unit)" }
    return "\(size)"
  }

  /// The text of `interval` (whole milliseconds, rounded up) that reads back as it, in the largest unit that fits.
  public static func text(_ interval: Interval) -> String {
    let milliseconds = interval.wholeMilliseconds
    if milliseconds == 0 { return "0s" }
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] as [(String, UInt64)] where milliseconds % length == 0 {
      return "\(milliseconds / length)\(unit)"
    }
    return "\(milliseconds)ms"
  }

  /// Leading ASCII digits, and what follows them.
  private static func split(_ text: String) -> (digits: Substring.UTF8View, unit: Substring) {
    let utf8 = text.utf8
    let end = utf8.firstIndex { $0 < 0x30 || $0 > 0x39 } ?? utf8.endIndex
    return (text[..<end].utf8, text[end...])
  }

  private static func product(_ digits: Substring.UTF8View, _ factor: Int) -> Int? {
    guard !digits.isEmpty else { return nil }
    var value = 0
    for digit in digits {
      let (tenfold, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carried) = tenfold.addingReportingOverflow(Int(digit - 0x30))
      if overflow || carried { return nil }
      value = sum
    }
    let (result, overflow) = value.multipliedReportingOverflow(by: factor)
    return overflow ? nil : result
  }
}
