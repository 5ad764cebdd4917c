// What was found while files of TLS were read, and the reading of one.

internal import Glibc
internal import Primitives

/// Why TLS can't begin: every reason, each with the file and what to do.
public struct TLSFault: Error, Equatable, CustomStringConvertible {
  public var problems: [String]

  public init(problems: [String]) { self.problems = problems }

  public var description: String { problems.joined(separator: "\n") }
}

/// Gathered while everything is looked at, so that all is told at once.
struct TLSReport {
  /// With one of these nothing begins.
  var problems: [String] = []
  var warnings: [String] = []
}

/// Whole small files.
enum SmallFile {
  /// A chain of a few certificates has 10 KiB, a bundle of all authorities 200.
  private static let most = 4 << 20

  /// What is in the file at `path`, in memory that is wiped: it may be a key. Nil when `report` has a problem more.
  static func read(_ path: String, _ report: inout TLSReport) -> Secret? {
    let raw = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard raw >= 0 else {
      let reason = errno == EACCES ? "it may not be read: give this process's user the right to" : NetError.text(ofErrno: errno)
      report.problems.append("\(path): \(reason)")
      return nil
    }
    let file = FileDescriptor(owning: raw)
    var status = stat()
    guard unsafe fstat(file.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= most else {
      report.problems.append("\(path): it is no regular file of less than \(most >> 20) MiB")
      return nil
    }
    var bytes = Secret(capacity: Int(status.st_size) + 1)
    var piece = [UInt8](repeating: 0, count: 4096)
    defer { unsafe piece.withUnsafeMutableBytes { unsafe explicit_bzero($0.baseAddress.unsafelyUnwrapped, $0.count) } }
    while true {
      let n = unsafe piece.withUnsafeMutableBytes { unsafe Glibc.read(file.raw, $0.baseAddress, $0.count) }
      if n == 0 { return bytes }
      guard n > 0, bytes.count + n <= most else {
        report.problems.append("\(path): it can't be read: \(NetError.text(ofErrno: errno))")
        return nil
      }
      bytes.append(piece.span.extracting(0..<n))
    }
  }
}
