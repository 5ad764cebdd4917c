// Reads the user file when it holds still. `htpasswd` truncates it and writes it anew in place: a reader that looks in that instant would see
// no users, or half of them.

import Auth
import Glibc
import Primitives

/// The user file, looked at again and again. Belongs to the main thread.
final class UserDirectory {
  /// What became of a look.
  enum Look {
    /// It is being written, or was a moment ago: look again after `settleTime`.
    case changing
    /// It is what was last read.
    case unchanged
    case table(UserTable)
    /// Why it can't be used. What was read before should stay in force.
    case failed(String)
  }

  /// How long a file must hold still.
  static let settleTime = Interval.milliseconds(100)
  /// Looks at a file that does not end its last line before it is given up: 3 s.
  private static let patience = 30

  /// The file's path, or nil when there is none, which makes an empty table.
  var path: String?
  private var last: Signature?
  private var inForce: Signature?
  private var looks = 0

  /// What changes when a file does (stat(2)).
  private struct Signature: Equatable {
    var device: UInt
    var inode: UInt
    var size: Int
    var seconds: Int
    var nanoseconds: Int
  }

  init(path: String?) {
    self.path = path
  }

  /// Looks once.
  func look() -> Look {
    guard let path else { return .unchanged }
    guard let signature = Self.signature(path) else {
      looks += 1
      // A rename leaves no gap, but a copy after a removal does.
      if looks < Self.patience { return .changing }
      looks = 0
      return .failed("users \(path): \(unsafe String(cString: strerror(errno)))")
    }
    if signature == inForce { return .unchanged }
    guard signature == last else {
      last = signature
      return .changing
    }
    return read(path, signature)
  }

  /// Reads the file at a start or a reload: waits until it holds still.
  func readSettled() throws(ServerFailure) -> UserTable {
    guard path != nil else { return UserTable() }
    inForce = nil
    last = nil
    looks = 0
    while true {
      switch look() {
      case .table(let table): return table
      case .failed(let reason): throw ServerFailure(reason)
      case .unchanged, .changing: usleep(UInt32(Self.settleTime.nanoseconds / 1000))
      }
    }
  }

  private func read(_ path: String, _ signature: Signature) -> Look {
    do {
      let bytes = try Self.contents(path, size: signature.size)
      guard Self.signature(path) == signature else {
        last = nil
        return .changing
      }
      let table = try UserTable(parsing: bytes)
      inForce = signature
      looks = 0
      return .table(table)
    } catch let fault as UserFileFault {
      if case .lastLineUnfinished = fault, looks < Self.patience {
        looks += 1
        return .changing
      }
      looks = 0
      // Not to be tried again until it changes.
      inForce = signature
      return .failed("users \(path): \(fault)")
    } catch {
      looks = 0
      return .failed("users \(path): \(error)")
    }
  }

  private static func signature(_ path: String) -> Signature? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    return Signature(
      device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size), seconds: status.st_mtim.tv_sec,
      nanoseconds: status.st_mtim.tv_nsec)
  }

  private static func contents(_ path: String, size: Int) throws(ServerFailure) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ServerFailure(unsafe String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var buffer = ByteBuffer(capacity: size + 1)
    while true {
      let n = unsafe buffer.withUnsafeFreeBytes(minimum: 1 << 16) { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if n == 0 { return buffer.array() }
      if n < 0 && errno != EINTR { throw ServerFailure(unsafe String(cString: strerror(errno))) }
    }
  }
}
