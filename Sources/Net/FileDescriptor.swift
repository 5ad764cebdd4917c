// Owning a file descriptor: closed exactly once, by whoever holds it last.

internal import Glibc

/// An open file descriptor with one owner; closed when it is let go.
@safe public struct FileDescriptor: ~Copyable, Sendable {
  /// The number, for system calls while this value lives.
  public let raw: Int32

  /// Takes over an open descriptor that nobody else will close.
  public init(owning raw: Int32) {
    precondition(raw >= 0, "not a descriptor")
    self.raw = raw
  }

  private init(none: Void) {
    raw = -1
  }

  /// What stands where a descriptor may be and none is: every system call refuses it (EBADF).
  public static var none: FileDescriptor { FileDescriptor(none: ()) }

  deinit {
    if raw < 0 { return }
    // Never repeated: on Linux the number is free after close(2) even when that answers EINTR, and may be another thread's by then.
    _ = close(raw)
  }

  /// Gives the descriptor up unclosed; closing it is the caller's from here on.
  public consuming func release() -> Int32 {
    let raw = self.raw
    discard self
    return raw
  }

  /// A second descriptor of the same open file (close-on-exec).
  public func duplicate() throws(NetError) -> FileDescriptor {
    let copy = fcntl(raw, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw .system(doing: "duplicate a descriptor", errno: errno) }
    return FileDescriptor(owning: copy)
  }
}
