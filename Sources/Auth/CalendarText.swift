// Dates of the user file: `2027-01-31`, or an RFC 3339 date and time.

public import Primitives

public enum CalendarText {
  /// `YYYY-MM-DD` (the first moment of that day, UTC) or RFC 3339 section 5.6 (`2027-01-31T12:00:00Z`, fractions and offsets too).
  /// nil on anything else, a 31st of April included. A leap second counts as the second after it.
  public static func parse(_ text: Span<UInt8>) -> Timestamp? {
    guard text.count >= 10, text[4] == 0x2D, text[7] == 0x2D, let year = number(text, 0, 4), let month = number(text, 5, 7),
      let day = number(text, 8, 10), month >= 1, month <= 12, day >= 1, day <= daysIn(month, year)
    else { return nil }
    let midnight = days(year, month, day) * 86_400
    if text.count == 10 { return Timestamp(seconds: midnight) }
    return time(text, midnight)
  }

  private static func time(_ text: Span<UInt8>, _ midnight: Int64) -> Timestamp? {
    guard text.count >= 20, text[10] | 0x20 == 0x74 || text[10] == 0x20, text[13] == 0x3A, text[16] == 0x3A,
      let hour = number(text, 11, 13), let minute = number(text, 14, 16), let second = number(text, 17, 19),
      hour <= 23, minute <= 59, second <= 60
    else { return nil }
    var at = 19
    if text[at] == 0x2E {
      at += 1
      let start = at
      while at < text.count && ASCII.isDigit(text[at]) { at += 1 }
      if at == start { return nil }
    }
    guard at < text.count else { return nil }
    var offset: Int64 = 0
    if text[at] | 0x20 == 0x7A {
      guard at + 1 == text.count else { return nil }
    } else {
      guard text[at] == 0x2B || text[at] == 0x2D, text.count == at + 6, text[at + 3] == 0x3A, let hours = number(text, at + 1, at + 3),
        let minutes = number(text, at + 4, at + 6), hours <= 23, minutes <= 59
      else { return nil }
      offset = (hours * 3600 + minutes * 60) * (text[at] == 0x2D ? -1 : 1)
    }
    return Timestamp(seconds: midnight + hour * 3600 + minute * 60 + second - offset)
  }

  /// `2027-01-31` when `time` is a midnight (UTC), `2027-01-31T12:00:00Z` otherwise.
  public static func text(_ time: Timestamp) -> [UInt8] {
    let seconds = time.seconds
    let day = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    let (year, month, dayOfMonth) = civil(day)
    var out = digits(year, 4) + [0x2D] + digits(month, 2) + [0x2D] + digits(dayOfMonth, 2)
    let rest = seconds - day * 86_400
    if rest != 0 {
      out += [0x54] + digits(rest / 3600, 2) + [0x3A] + digits(rest / 60 % 60, 2) + [0x3A] + digits(rest % 60, 2) + [0x5A]
    }
    return out
  }

  private static func number(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> Int64? {
    ASCII.decimal(text.extracting(start..<end)).map { Int64($0) }
  }

  private static func digits(_ value: Int64, _ width: Int) -> [UInt8] {
    var value = value
    var reversed: [UInt8] = []
    for _ in 0..<width {
      reversed.append(UInt8(value % 10) + 0x30)
      value /= 10
    }
    return reversed.reversed()
  }

  private static func daysIn(_ month: Int64, _ year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days since 1970-01-01 in the Gregorian calendar. Years count from March, so that the leap day is the last of its year.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let y = month <= 2 ? year - 1 : year
    let m = (month + 9) % 12
    return 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719_468
  }

  private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
    var year: Int64 = 1970 + days / 366
    while self.days(year + 1, 1, 1) <= days { year += 1 }
    while self.days(year, 1, 1) > days { year -= 1 }
    var rest = days - self.days(year, 1, 1)
    var month: Int64 = 1
    while rest >= daysIn(month, year) {
      rest -= daysIn(month, year)
      month += 1
    }
    return (year, month, rest + 1)
  }
}
