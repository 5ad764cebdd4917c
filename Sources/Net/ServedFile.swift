// A file that is sent to clients: opened beneath its folder and nowhere else, read in pieces. Who may have it and what is said of it is the caller's.

internal import CLinux
internal import Glibc
public import Primitives

/// An open regular file; closed when it is let go. What it held when it was opened is what its facts say, whatever becomes of it then.
public final class ServedFile {
  /// Why there is nothing to send.
  public enum Failure: Error, Equatable, Sendable {
    /// There is a folder in that place.
    case folder
    /// Nothing is there, or nothing that may be read from there: no such file, a link that leads out of the folder, a pipe, a device, a name too long.
    case missing
    /// The system can't: no descriptors are left, or it has no openat2(2).
    case system(errno: Int32)
  }

  private let file: FileDescriptor
  /// Bytes.
  public let size: UInt64
  /// The time of its last change, in whole seconds, and the nanoseconds beyond.
  public let modified: Timestamp
  public let nanoseconds: UInt64
  public let inode: UInt64

  /// - Parameters:
  ///   - folder: symbolic links in its own path are followed.
  ///   - path: relative, not empty, of bytes that are not NUL.
  public init(beneath folder: String, _ path: [UInt8]) throws(Failure) {
    guard !path.isEmpty, !path.contains(0) else { throw .missing }
    let opened = unsafe gh_folder_open(folder)
    guard opened >= 0 else { throw Self.failure(-opened) }
    let place = FileDescriptor(owning: opened)
    var facts = gh_file_facts()
    let name = path.map { CChar(bitPattern: $0) } + [0]
    let raw = unsafe gh_file_open_beneath(place.raw, name, &facts)
    guard raw >= 0 else { throw Self.failure(-raw) }
    file = FileDescriptor(owning: raw)
    size = facts.size
    modified = Timestamp(seconds: facts.seconds)
    nanoseconds = UInt64(clamping: facts.nanoseconds)
    inode = facts.inode
  }

  private static func failure(_ errno: Int32) -> Failure {
    switch errno {
    case EISDIR: .folder
    case EMFILE, ENFILE, ENOMEM, ENOSYS, EAGAIN, EIO: .system(errno: errno)
    default: .missing
    }
  }

  /// Appends up to `count` bytes from `offset` on. Answers how many; 0 at the end, and where they can't be read.
  public func read(at offset: UInt64, atMost count: Int, into out: inout ByteBuffer) -> Int {
    var n = 0
    let most = count
    _ = unsafe out.withUnsafeFreeBytes(minimum: most) { free in
      n = max(0, Int(unsafe gh_file_read(file.raw, free.baseAddress, min(free.count, most), offset)))
      return n
    }
    return n
  }
}
