// Looking at what has come without taking it: for whoever must not read past the end of what is his, because what follows is another's.

internal import CLinux
internal import Glibc
public import Primitives

extension Stream {
  /// Appends up to `limit` (1 or more) bytes that have come to `buffer`, and leaves them to be read. Of the socket itself, whatever is
  /// spoken on it.
  public mutating func peek(into buffer: inout ByteBuffer, atMost limit: Int) -> IOResult {
    precondition(limit > 0, "a look at nothing looks like the end")
    let count = unsafe buffer.withUnsafeFreeBytes(minimum: limit) { free in
      unsafe gh_socket_peek(descriptor, free.baseAddress, min(free.count, limit))
    }
    if count > 0 { return .bytes(count) }
    if count == 0 { return .closed }
    let errno = Int32(truncatingIfNeeded: -count)
    return errno == EAGAIN ? .wouldBlock : .failed(errno)
  }
}
