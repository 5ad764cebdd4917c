// TLS on a socket of the tests, by a library that the program under test does not share (Tests/CFront). What a `Socket` does with bytes it asks this to
// do when it has one.

import CFront
import Foundation
import Glibc

@safe final class TLSClient: @unchecked Sendable {
  // Safe to share: every call into the library is made with the lock held, and none of them waits.
  private let lock = NSLock()
  private let state: OpaquePointer
  private let descriptor: Int32

  /// Takes over a connected socket, which must not block from now on. `authority` is a PEM file.
  init(_ descriptor: Int32, trusting authority: String, offering name: String) throws {
    guard let made = unsafe front_tls_new(descriptor, authority, name) else { throw Failure("no TLS client with \(authority)") }
    unsafe state = made
    self.descriptor = descriptor
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
  }

  deinit { unsafe front_tls_free(state) }

  private func locked<Result>(_ body: () -> Result) -> Result {
    lock.lock()
    defer { lock.unlock() }
    return body()
  }

  /// Shakes hands. A server that ends the connection meanwhile is told by the first read or write, as it is in clear text.
  func handshake(_ deadline: Deadline) throws {
    while true {
      let result = locked { unsafe front_tls_handshake(state) }
      switch Int(result) {
      case 1, FRONT_LOST: return
      case FRONT_READ: try Socket.wait(descriptor, POLLIN, deadline)
      case FRONT_WRITE: try Socket.wait(descriptor, POLLOUT, deadline)
      default: throw Failure("not the server, or not the protocol, that was wanted")
      }
    }
  }

  /// Empty at the peer's orderly end.
  func read(atMost limit: Int, _ deadline: Deadline) throws -> [UInt8] {
    while true {
      var count = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
        count = locked { unsafe front_tls_read(state, buffer.baseAddress!, limit) }
        filled = max(count, 0)
      }
      switch count {
      case FRONT_END...: return bytes
      case FRONT_READ: try Socket.wait(descriptor, POLLIN, deadline)
      case FRONT_WRITE: try Socket.wait(descriptor, POLLOUT, deadline)
      default: throw Socket.Trouble.reset
      }
    }
  }

  /// Whether data, or an end of any kind, is there: what TLS says for itself (tickets, keys) is not.
  var hasInput: Bool {
    let result = locked { unsafe front_tls_peek(state) }
    return result != FRONT_READ && result != FRONT_WRITE
  }

  func waitForInput(_ deadline: Deadline) throws {
    while !hasInput { try Socket.wait(descriptor, POLLIN, deadline) }
  }

  /// Sends what fits now; 0 when nothing fits: then these bytes, and no others, are to be tried again.
  func writeSome(_ bytes: [UInt8], from start: Int) throws -> Int {
    let count = unsafe bytes.withUnsafeBytes { bytes in
      locked { unsafe front_tls_write(state, bytes.baseAddress! + start, bytes.count - start) }
    }
    if count == FRONT_LOST { throw Socket.Trouble.reset }
    return max(count, 0)
  }

  /// close_notify: nothing more will come from us.
  func endWriting() { locked { unsafe front_tls_end(state) } }
}
