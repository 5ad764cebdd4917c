// The error log: lines on standard error, for a person at 3 a.m. or for the journal. Never a secret: callers pass names and reasons.

import Glibc
import Primitives
import Synchronization

/// Writes levelled lines to standard error. From any thread; a line is one write(2), so lines don't mix.
public final class ErrorLog: Sendable {
  private let threshold: Atomic<Int>
  /// Whether standard error is the journal, which reads `<N>` as the priority (sd-daemon(3)).
  private let hasPriorityPrefix: Bool
  private let descriptor: Int32

  public convenience init(level: LogLevel) {
    let journal = unsafe getenv("JOURNAL_STREAM").map { unsafe String(cString: $0) }
    self.init(level: level, descriptor: STDERR_FILENO, hasPriorityPrefix: Self.isJournal(STDERR_FILENO, journal))
  }

  /// Whether `descriptor` is the stream of which `name`, the value of JOURNAL_STREAM, gives device and inode. The variable alone says
  /// nothing (systemd.exec(5)): a shell under a user's session has inherited it, and whatever was redirected is no journal.
  static func isJournal(_ descriptor: Int32, _ name: String?) -> Bool {
    var status = stat()
    guard let name, unsafe fstat(descriptor, &status) == 0 else { return false }
    return name == "\(status.st_dev):\(status.st_ino)"
  }

  init(level: LogLevel, descriptor: Int32, hasPriorityPrefix: Bool) {
    threshold = Atomic(level.rawValue)
    self.descriptor = descriptor
    self.hasPriorityPrefix = hasPriorityPrefix
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
    // A line end or an escape sequence from a stranger's bytes (a client's, or an upstream's certificate) would forge lines of the log or
    // act on the reader's terminal, as would the controls U+0080 to U+009F: two bytes in UTF-8, the first of them 0xC2.
    var previous: UInt8 = 0
    for byte in message().utf8 {
      if previous == 0xC2 && byte < 0xA0 {
        line.truncate(to: line.count - 1)
        line.append(0x3F)
      } else {
        line.append(ASCII.isControl(byte) ? 0x3F : byte)
      }
      previous = byte
    }
    line.append(0x0A)
    unsafe line.span.withUnsafeBytes { bytes in
      unsafe _ = Glibc.write(descriptor, bytes.baseAddress, bytes.count)
    }
  }
}
