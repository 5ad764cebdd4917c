// Moving bytes on a socket that somebody else holds, as `Stream` does on one of its own in clear text.

internal import CLinux
internal import Glibc
public import Primitives

/// Reads and writes of a connected, non-blocking socket in clear text, known by its descriptor.
public enum SocketBytes {
  /// Appends up to `limit` (1 or more) bytes to `buffer`, which grows when it has less room.
  public static func read(_ descriptor: Int32, into buffer: inout ByteBuffer, atMost limit: Int) -> IOResult {
    precondition(limit > 0, "a read of nothing looks like the end")
    let count = unsafe buffer.withUnsafeFreeBytes(minimum: limit) { free in
      unsafe gh_socket_receive(descriptor, free.baseAddress, min(free.count, limit))
    }
    return count == 0 ? .closed : Stream.result(count)
  }

  /// Sends from `first`, then `second`, in one call and if possible one packet. A peer that is gone is an answer (EPIPE), not a signal.
  public static func write(_ descriptor: Int32, _ first: Span<UInt8>, _ second: Span<UInt8>) -> IOResult {
    guard first.count > 0 || second.count > 0 else { return .bytes(0) }
    return unsafe first.withUnsafeBufferPointer { first in
      unsafe second.withUnsafeBufferPointer { second in
        if second.isEmpty { return unsafe Stream.result(gh_socket_send(descriptor, first.baseAddress, first.count)) }
        if first.isEmpty { return unsafe Stream.result(gh_socket_send(descriptor, second.baseAddress, second.count)) }
        return unsafe Stream.result(gh_socket_send_two(descriptor, first.baseAddress, first.count, second.baseAddress, second.count))
      }
    }
  }
}
