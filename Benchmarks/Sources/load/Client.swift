// One connection with one request outstanding. Reads responses just well enough to know where they end.

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
  /// When the outstanding request was sent, or was due: nanoseconds on the monotonic clock.
  var instant: UInt64 = 0
  var isWaiting = false
  /// Bytes of the body that were sent; nil when there is nothing more to send.
  private(set) var uploaded: Int?
  /// The beginning of a head, when it did not come at once.
  private var head: [UInt8] = []
  /// Of the body that is coming.
  private var status = 0
  private var missing = 0

  /// Connects; nil when the server does not take it.
  init?(port: UInt16, from address: UInt32) {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else { return nil }
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    unsafe _ = setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
    // The port is chosen when the server is known, so that one address has enough for each server.
    unsafe _ = setsockopt(socket, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, &on, size)
    guard unsafe Self.call(bind, socket, address, port: 0), unsafe Self.call(connect, socket, 0x7F00_0001, port: port) else {
      close()
      return nil
    }
  }

  func close() { _ = Glibc.close(socket) }

  /// Heads are small and one at a time, so that the kernel always has room for a whole one.
  mutating func send(_ request: [UInt8], hasBody: Bool) -> Bool {
    uploaded = hasBody ? 0 : nil
    let flags = Int32(MSG_NOSIGNAL) | (hasBody ? Int32(MSG_MORE) : 0)
    return unsafe request.withUnsafeBytes { unsafe Glibc.send(socket, $0.baseAddress, $0.count, flags) } == request.count
  }

  /// Sends of the body what the kernel takes; false when the connection is lost.
  mutating func upload(_ body: Body) -> Bool {
    guard var sent = uploaded else { return true }
    while sent < body.count {
      let n = unsafe body.rest(after: sent) { unsafe Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
      if n < 0 {
        uploaded = sent
        return errno == EAGAIN || errno == EINTR
      }
      sent += n
    }
    uploaded = nil
    return true
  }

  /// Reads what is there. `buffer` is room for it that need not be kept.
  mutating func receive(_ buffer: inout [UInt8]) -> Arrival {
    // Bodies are counted and never copied out of the kernel: with MSG_TRUNC, tcp(7) throws the bytes away.
    let discards = missing > 0
    let count =
      discards
      ? recv(socket, nil, min(missing, 4 << 20), Int32(MSG_DONTWAIT | MSG_TRUNC))
      : unsafe recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    if count == 0 { return .lost }
    if count < 0 { return errno == EAGAIN || errno == EINTR ? .nothing : .lost }
    if discards {
      missing -= count
    } else if head.isEmpty, let rest = unsafe read(buffer.span.bytes.extracting(0..<count)) {
      missing = rest
    } else {
      head.append(contentsOf: buffer[0..<count])
      let whole = head
      guard let rest = unsafe read(whole.span.bytes) else { return .nothing }
      head.removeAll(keepingCapacity: true)
      missing = rest
    }
    return missing == 0 ? .response(status) : missing < 0 ? .lost : .nothing
  }

  /// Reads the head at the start of `bytes`: how much of the body is missing then; nil when the head has not ended yet. Less than 0 if it
  /// is no response, or more than one.
  private mutating func read(_ bytes: RawSpan) -> Int? {
    guard let end = Self.headEnd(bytes) else { return nil }
    guard end > 12, Self.byte(bytes, 0) == 0x48 else { return -1 }
    status = (9..<12).reduce(0) { $0 * 10 + Int(Self.byte(bytes, $1)) - 0x30 }
    return end + Self.contentLength(bytes, end) - bytes.byteCount
  }

  private static func byte(_ bytes: RawSpan, _ i: Int) -> UInt8 { unsafe bytes.unsafeLoad(fromByteOffset: i, as: UInt8.self) }

  /// The index after the empty line.
  private static func headEnd(_ bytes: RawSpan) -> Int? {
    var i = 3
    while i < bytes.byteCount {
      if byte(bytes, i) == 0x0A && byte(bytes, i - 1) == 0x0D && byte(bytes, i - 2) == 0x0A { return i + 1 }
      i += 1
    }
    return nil
  }

  /// All servers that are measured here send one.
  private static func contentLength(_ bytes: RawSpan, _ end: Int) -> Int {
    let name: StaticString = "\ncontent-length:"
    var i = 0
    while i + name.utf8CodeUnitCount < end {
      // Most lines are told by their first letter.
      if byte(bytes, i) == 0x0A && byte(bytes, i + 1) | 0x20 == 0x63 && matches(bytes, i, name) {
        var length = 0
        for k in (i + name.utf8CodeUnitCount)..<end {
          if byte(bytes, k) == 0x0D { break }
          if byte(bytes, k) != 0x20 { length = length * 10 + Int(byte(bytes, k)) - 0x30 }
        }
        return length
      }
      i += 1
    }
    return 0
  }

  private static func matches(_ bytes: RawSpan, _ start: Int, _ name: StaticString) -> Bool {
    for k in 0..<name.utf8CodeUnitCount {
      let wanted = unsafe name.utf8Start[k]
      if byte(bytes, start + k) | (wanted >= 0x61 ? 0x20 : 0) != wanted { return false }
    }
    return true
  }

  private static func call(_ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ socket: Int32, _ host: UInt32, port: UInt16)
    -> Bool
  {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr = in_addr(s_addr: host.bigEndian)
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe function(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
