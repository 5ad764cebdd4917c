// The secrets of connections, written down for who has to look into them (the format of SSLKEYLOGFILE, as Wireshark reads it). Only where it was asked for.

internal import Glibc

/// A file that lines are appended to, from any thread: a line is one write(2).
final class TLSKeyLog: Sendable {
  private let file: Int32

  private init(_ file: consuming FileDescriptor) { self.file = file.release() }

  deinit { _ = close(file) }

  /// Nil where none is wanted, and where `report` has a problem more.
  static func open(_ path: String?, _ report: inout TLSReport) -> TLSKeyLog? {
    guard let path else { return nil }
    let raw = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard raw >= 0 else {
      report.problems.append("\(path): no keys can be logged there: \(NetError.text(ofErrno: errno))")
      return nil
    }
    return TLSKeyLog(FileDescriptor(owning: raw))
  }

  func write(_ line: UnsafePointer<CChar>) {
    let bytes = unsafe UnsafeRawBufferPointer(start: line, count: strlen(line))
    let whole = unsafe Array(bytes) + [0x0A]
    unsafe _ = whole.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
  }
}
