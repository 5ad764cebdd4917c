// One keep-alive connection with one request outstanding. Reads responses just well enough to know where they end.

import Glibc

/// What a read brought.
enum Arrival {
  case nothing
  /// A whole response with this status.
  case response(Int)
  /// The server closed, or said something that is no response.
  case lost
}

struct Client {
  let socket: Int32
  /// When the outstanding request was sent, or the next is due: nanoseconds on the monotonic clock.
  var instant: UInt64 = 0
  var isWaiting = false
  private var received: [UInt8] = []

  /// Connects; nil when the server does not take it.
  init?(port: UInt16, from address: UInt32) {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else { return nil }
    var own = Self.address(address, port: 0)
    var server = Self.address(0x7F00_0001, port: port)
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = unsafe withUnsafePointer(to: &own) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(socket, $0, size) }
    }
    let isConnected = unsafe withUnsafePointer(to: &server) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(socket, $0, size) }
    }
    guard isBound == 0, isConnected == 0 else {
      close()
      return nil
    }
    var on: Int32 = 1
    unsafe _ = setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  func close() { _ = Glibc.close(socket) }

  /// Requests are small and one at a time, so that the kernel always has room for a whole one.
  func send(_ request: [UInt8]) -> Bool {
    unsafe request.withUnsafeBytes { unsafe Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } == request.count
  }

  /// Reads what is there.
  mutating func receive() -> Arrival {
    var count = 0
    unsafe withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
      count = unsafe recv(socket, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { unsafe received.append(contentsOf: buffer[0..<count]) }
    }
    if count == 0 { return .lost }
    if count < 0 { return errno == EAGAIN || errno == EINTR ? .nothing : .lost }
    return response()
  }

  private mutating func response() -> Arrival {
    guard let end = headEnd() else { return .nothing }
    guard received.count > 12, received[0] == 0x48 else { return .lost }
    let status = received[9..<12].reduce(0) { $0 * 10 + Int($1) - 0x30 }
    guard received.count >= end + contentLength(end) else { return .nothing }
    received.removeAll(keepingCapacity: true)
    return .response(status)
  }

  /// The index after the empty line.
  private func headEnd() -> Int? {
    var i = 3
    while i < received.count {
      if received[i] == 0x0A && received[i - 1] == 0x0D && received[i - 2] == 0x0A { return i + 1 }
      i += 1
    }
    return nil
  }

  /// All servers that are measured here send one.
  private func contentLength(_ end: Int) -> Int {
    let name = Array("\ncontent-length:".utf8)
    var i = 0
    while i + name.count < end {
      var k = 0
      while k < name.count && (received[i + k] | (name[k] >= 0x61 ? 0x20 : 0)) == name[k] { k += 1 }
      if k == name.count {
        var length = 0
        for byte in received[(i + k)..<end] {
          if byte == 0x0D { break }
          if byte != 0x20 { length = length * 10 + Int(byte) - 0x30 }
        }
        return length
      }
      i += 1
    }
    return 0
  }

  private static func address(_ address: UInt32, port: UInt16) -> sockaddr_in {
    var result = sockaddr_in()
    result.sin_family = sa_family_t(AF_INET)
    result.sin_port = port.bigEndian
    result.sin_addr = in_addr(s_addr: address.bigEndian)
    return result
  }
}
