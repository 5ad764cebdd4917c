// Time as two numbers: a monotonic one for timeouts, a calendar one for expiry and logs.

internal import Glibc

/// A point on the monotonic clock (CLOCK_MONOTONIC, clock_gettime(2)), in nanoseconds. For timeouts and durations.
public struct Instant: Comparable, Hashable, Sendable, BitwiseCopyable {
  public var nanoseconds: UInt64

  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// The clock now. Read once a turn of the loop, not once a use.
  public static func now() -> Instant {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }

  /// Later than any other.
  public static let distantFuture = Instant(nanoseconds: .max)

  @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Nanoseconds from `earlier` to here; 0 when `earlier` is later.
  @inlinable public func since(_ earlier: Instant) -> UInt64 {
    nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
  }

  /// Saturates instead of overflowing.
  @inlinable public func advanced(by interval: Interval) -> Instant {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(interval.nanoseconds)
    return Instant(nanoseconds: overflow ? .max : sum)
  }
}

/// A length of time in nanoseconds: a timeout, a delay. (`Duration` is 128 bits wide and costs accordingly on the data path.)
public struct Interval: Comparable, Hashable, Sendable {
  public var nanoseconds: UInt64

  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  @inlinable public static func milliseconds(_ n: UInt64) -> Interval { Interval(nanoseconds: n * 1_000_000) }
  @inlinable public static func seconds(_ n: UInt64) -> Interval { Interval(nanoseconds: n * 1_000_000_000) }

  /// Whole milliseconds, rounded up, so that a timeout of 1 ns is not 0 (which often means "none").
  @inlinable public var wholeMilliseconds: UInt64 { (nanoseconds / 1_000_000) + (nanoseconds % 1_000_000 == 0 ? 0 : 1) }

  @inlinable public static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }
}

/// A point on the calendar (CLOCK_REALTIME): whole microseconds since 1970-01-01T00:00:00Z. For expiry dates and logs.
public struct Timestamp: Comparable, Hashable, Sendable {
  public var microseconds: Int64

  @inlinable public init(microseconds: Int64) { self.microseconds = microseconds }
  @inlinable public init(seconds: Int64) { microseconds = seconds * 1_000_000 }

  public static func now() -> Timestamp {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
  }

  /// Whole seconds since 1970, rounded down.
  @inlinable public var seconds: Int64 { microseconds >= 0 ? microseconds / 1_000_000 : (microseconds - 999_999) / 1_000_000 }

  /// Saturates instead of overflowing; parts of a microsecond are dropped.
  @inlinable public func advanced(by interval: Interval) -> Timestamp {
    let (sum, overflow) = microseconds.addingReportingOverflow(Int64(interval.nanoseconds / 1000))
    return Timestamp(microseconds: overflow ? .max : sum)
  }

  /// The next whole second, or this one if it is whole.
  @inlinable public var roundedUpToSeconds: Timestamp {
    let whole = Timestamp(seconds: seconds)
    return whole == self ? self : whole.advanced(by: .seconds(1))
  }

  @inlinable public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }
}
