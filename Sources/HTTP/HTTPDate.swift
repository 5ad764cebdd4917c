// Points in time as text. The date of HTTP fields: IMF-fixdate (RFC 9110 section 5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`, 29 bytes; and the
// two forms of access logs. Written only, in UTC.

public import Primitives

public enum HTTPDate {
  /// Appends `time`, in whole seconds rounded down, as IMF-fixdate. Years 1970 to 9999; a time outside is written as the nearer end.
  /// Costs some 30 divisions: callers keep the bytes for as long as the second lasts.
  public static func append(_ time: Timestamp, to out: inout ByteBuffer) {
    let (days, rest) = parts(time)
    let (year, month, day) = civil(days)
    // 1970-01-01 was a Thursday.
    out.append(weekday((days + 4) % 7))
    out.append(", ")
    appendTwoDigits(day, to: &out)
    out.append(0x20)
    out.append(name(ofMonth: month))
    out.append(0x20)
    appendTwoDigits(year / 100, to: &out)
    appendTwoDigits(year % 100, to: &out)
    out.append(0x20)
    appendTimeOfDay(rest, to: &out)
    out.append(" GMT")
  }

  /// Appends `time` as the common log format has it: `06/Nov/1994:08:49:37 +0000`. Years as for `append`.
  public static func appendCommonLog(_ time: Timestamp, to out: inout ByteBuffer) {
    let (days, rest) = parts(time)
    let (year, month, day) = civil(days)
    appendTwoDigits(day, to: &out)
    out.append(0x2F)
    out.append(name(ofMonth: month))
    out.append(0x2F)
    appendTwoDigits(year / 100, to: &out)
    appendTwoDigits(year % 100, to: &out)
    out.append(0x3A)
    appendTimeOfDay(rest, to: &out)
    out.append(" +0000")
  }

  /// Appends `time` with milliseconds as RFC 3339 section 5.6 has it: `1994-11-06T08:49:37.123Z`. Years as for `append`.
  public static func appendInternet(_ time: Timestamp, to out: inout ByteBuffer) {
    let (days, rest) = parts(time)
    let (year, month, day) = civil(days)
    appendTwoDigits(year / 100, to: &out)
    appendTwoDigits(year % 100, to: &out)
    out.append(0x2D)
    appendTwoDigits(month, to: &out)
    out.append(0x2D)
    appendTwoDigits(day, to: &out)
    out.append(0x54)
    appendTimeOfDay(rest, to: &out)
    out.append(0x2E)
    let milliseconds = Int(max(time.microseconds - time.seconds * 1_000_000, 0) / 1000)
    out.append(UInt8(milliseconds / 100) + 0x30)
    appendTwoDigits(milliseconds % 100, to: &out)
    out.append(0x5A)
  }

  /// Whole days from 1970-01-01, and seconds of the day.
  private static func parts(_ time: Timestamp) -> (days: Int, seconds: Int) {
    let seconds = min(max(time.seconds, 0), 253_402_300_799)
    return (Int(seconds / 86400), Int(seconds % 86400))
  }

  private static func appendTimeOfDay(_ seconds: Int, to out: inout ByteBuffer) {
    appendTwoDigits(seconds / 3600, to: &out)
    out.append(0x3A)
    appendTwoDigits(seconds / 60 % 60, to: &out)
    out.append(0x3A)
    appendTwoDigits(seconds % 60, to: &out)
  }

  /// The calendar date of a day counted from 1970-01-01. Counts in eras of 400 years (146,097 days) that begin on 1 March, so that a
  /// leap day is the last of its year.
  private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, day)
  }

  /// 0 is Sunday.
  private static func weekday(_ day: Int) -> StaticString {
    switch day {
    case 0: "Sun"
    case 1: "Mon"
    case 2: "Tue"
    case 3: "Wed"
    case 4: "Thu"
    case 5: "Fri"
    default: "Sat"
    }
  }

  private static func name(ofMonth month: Int) -> StaticString {
    switch month {
    case 1: "Jan"
    case 2: "Feb"
    case 3: "Mar"
    case 4: "Apr"
    case 5: "May"
    case 6: "Jun"
    case 7: "Jul"
    case 8: "Aug"
    case 9: "Sep"
    case 10: "Oct"
    case 11: "Nov"
    default: "Dec"
    }
  }

  private static func appendTwoDigits(_ n: Int, to out: inout ByteBuffer) {
    out.append(UInt8(n / 10) + 0x30)
    out.append(UInt8(n % 10) + 0x30)
  }
}
