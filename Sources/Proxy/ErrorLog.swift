// The error log: lines on standard error, for a person at 3 a.m. or for the journal. Never a secret: callers pass names and reasons.

import Glibc
import Primitives
import Synchronization

/// Writes levelled lines to standard error. From any thread; a line is one write(2), so lines don't mix.
public final class ErrorLog: Sendable {
  private let threshold: Atomic<Int>
  /// Whether standard error is the journal, which reads `<N>` as the priority (sd-daemon(3)).
  private let hasPriorityPrefix: Bool

  public init(level: LogLevel) {
    threshold = Atomic(level.rawValue)
    hasPriorityPrefix = unsafe getenv("JOURNAL_STREAM") != nil
  }

  /// Changes what is logged from now on.
  public func setLevel(_ level: LogLevel) {
    threshold.store(level.rawValue, ordering: .relaxed)
  }

  public func error(_ message: @autoclosure () -> String) { write(.error, message) }
  public func warning(_ message: @autoclosure () -> String) { write(.warning, message) }
  public func notice(_ message: @autoclosure () -> String) { write(.notice, message) }
  public func info(_ message: @autoclosure () -> String) { write(.info, message) }
  public func debug(_ message: @autoclosure () -> String) { write(.debug, message) }

  private func write(_ level: LogLevel, _ message: () -> String) {
    guard level.rawValue <= threshold.load(ordering: .relaxed) else { return }
    var line = ByteBuffer(capacity: 256)
    if hasPriorityPrefix {
      line.append(0x3C)
      line.append(decimal: UInt64(level.rawValue))
      line.append(0x3E)
    }
    line.append("gatehouse: ")
    if !hasPriorityPrefix && level != .notice {
      line.append(utf8: "\(level): ")
    }
    // A line end or an escape sequence from a client's bytes would forge lines of the log or act on the reader's terminal.
    for byte in message().utf8 { line.append(ASCII.isControl(byte) ? 0x3F : byte) }
    line.append(0x0A)
    unsafe line.span.withUnsafeBytes { bytes in
      unsafe _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count)
    }
  }
}
