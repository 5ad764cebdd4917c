// Stream sockets that block, but never past a deadline. The only file of the harness that touches memory by hand.

import Foundation
import Glibc

/// One connection, or one listening socket. May be shut down from another thread; closed when the last reference goes.
final class Socket: Sendable {
  let descriptor: Int32
  private let tls: TLSClient?
  /// Whose descriptor this is, when it is not our own.
  private let plain: Socket?

  private init(owning descriptor: Int32) {
    self.descriptor = descriptor
    (tls, plain) = (nil, nil)
  }

  /// `plain` is not to be used by itself from now on. It stays as long as this does, and so does its descriptor.
  private init(over plain: Socket, through tls: TLSClient) {
    descriptor = plain.descriptor
    self.tls = tls
    self.plain = plain
  }

  deinit {
    if plain != nil { return shutDown() }
    // A program started in the instant between accept and fcntl may hold the socket too: end the connection itself, not only our hold of it.
    shutDown()
    _ = Glibc.close(descriptor)
  }

  enum Trouble: Error, Equatable {
    case timedOut
    /// The peer reset the connection: what it sent may be lost, and it did not end well.
    case reset
    case failed(errno: Int32)

    fileprivate static var latest: Trouble {
      switch errno {
      case ECONNRESET, EPIPE: .reset
      case let number: .failed(errno: number)
      }
    }
  }

  private static func make(_ family: Int32) throws -> Socket {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Trouble.latest }
    return Socket(owning: descriptor)
  }

  private static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  /// A connection to 127.0.0.1, through TLS when a Gatehouse listens there that speaks it; `name` is the protocol that is offered then.
  static func connect(to port: UInt16, offering name: String) throws -> Socket {
    let plain = try connect(to: port)
    guard let door = Front.door(port) else { return plain }
    let tls = try TLSClient(plain.descriptor, trusting: door.authority, offering: name)
    try tls.handshake(.usual)
    return Socket(over: plain, through: tls)
  }

  /// A connection to 127.0.0.1, in clear text.
  static func connect(to port: UInt16) throws -> Socket {
    let connection = try make(AF_INET)
    var address = loopback(port)
    let status = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(connection.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw Trouble.latest }
    connection.set(IPPROTO_TCP, TCP_NODELAY, 1)
    return connection
  }

  /// A socket bound to a free port of 127.0.0.1; not listening yet, so that connections to it are refused.
  ///
  /// - Parameter isShared: whether others who say so too (SO_REUSEPORT, socket(7)) may bind to it and listen: the port is theirs as long as we hold it.
  static func bind(isShared: Bool = false) throws -> (socket: Socket, port: UInt16) {
    let listener = try make(AF_INET)
    if isShared { listener.set(SOL_SOCKET, SO_REUSEPORT, 1) }
    var address = loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = unsafe withUnsafeMutablePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.bind(listener.descriptor, $0, length) == 0 && getsockname(listener.descriptor, $0, &length) == 0
      }
    }
    guard status else { throw Trouble.latest }
    return (listener, UInt16(bigEndian: address.sin_port))
  }

  func listen() throws {
    guard Glibc.listen(descriptor, 1024) == 0 else { throw Trouble.latest }
  }

  /// The next connection; nil when the listening socket was shut down.
  func accept() -> Socket? {
    while true {
      let accepted = Glibc.accept(descriptor, nil, nil)
      if accepted >= 0 {
        _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
        let connection = Socket(owning: accepted)
        connection.set(IPPROTO_TCP, TCP_NODELAY, 1)
        return connection
      }
      if errno != EINTR && errno != ECONNABORTED { return nil }
    }
  }

  /// Whether bytes or the end have come, or whether somebody waits to be accepted.
  var isReadable: Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, 0) > 0
  }

  private func set(_ level: Int, _ option: Int32, _ value: Int32) { set(Int32(level), option, value) }

  private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    _ = unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// A small receive window, so that a reader who does not read is felt by the sender soon.
  func shrinkReceiveBuffer(to bytes: Int32) { set(SOL_SOCKET, SO_RCVBUF, bytes) }

  private func waitFor(_ events: Int32, _ deadline: Deadline) throws { try Self.wait(descriptor, events, deadline) }

  static func wait(_ descriptor: Int32, _ events: Int32, _ deadline: Deadline) throws {
    while true {
      var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      let ready = unsafe poll(&entry, 1, deadline.remainingMilliseconds)
      if ready > 0 { return }
      if ready == 0 && deadline.hasPassed { throw Trouble.timedOut }
      if ready < 0 && errno != EINTR { throw Trouble.latest }
    }
  }

  /// What has arrived, at most `limit` bytes; empty when the peer has ended its side.
  func read(atMost limit: Int = 65536, _ deadline: Deadline = .usual) throws -> [UInt8] {
    // Nobody needs as much at a time as some ask for.
    if let tls { return try tls.read(atMost: min(limit, 1 << 20), deadline) }
    try waitFor(Int32(POLLIN), deadline)
    var count = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
      count = unsafe recv(descriptor, buffer.baseAddress, limit, 0)
      filled = max(count, 0)
    }
    guard count >= 0 else { throw Trouble.latest }
    return bytes
  }

  /// Whether something to read, or the end, is there already.
  var hasInput: Bool {
    if let tls { return tls.hasInput }
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, 0) > 0
  }

  /// Waits until there is something to read, at most so long.
  func wait(milliseconds: Int) throws {
    let deadline = Deadline.after(.milliseconds(milliseconds))
    if let tls { try tls.waitForInput(deadline) } else { try waitFor(Int32(POLLIN), deadline) }
  }

  /// Sends all of `bytes`, waiting for room as long as the deadline allows.
  func write(_ bytes: [UInt8], _ deadline: Deadline = .usual) throws {
    var sent = 0
    while sent < bytes.count {
      try waitFor(Int32(POLLOUT), deadline)
      sent += try writeSome(bytes, from: sent)
    }
  }

  /// Sends what fits now, without waiting; 0 when nothing fits.
  func writeSome(_ bytes: [UInt8], from start: Int = 0) throws -> Int {
    if let tls { return try tls.writeSome(bytes, from: start) }
    let count = unsafe bytes.withUnsafeBytes {
      unsafe send(descriptor, $0.baseAddress! + start, bytes.count - start, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
    if count >= 0 { return count }
    if errno == EAGAIN || errno == EINTR { return 0 }
    throw Trouble.latest
  }

  /// Sends `bytes` again and again until nothing more has fitted for half a second: all buffers on the way are full.
  func fill(with bytes: [UInt8]) throws {
    var stalled = 0
    while stalled < 100 {
      if try writeSome(bytes) > 0 {
        stalled = 0
      } else {
        stalled += 1
        Thread.sleep(forTimeInterval: 0.005)
      }
    }
  }

  /// Sends one urgent byte (MSG_OOB, tcp(7)), which a reader who doesn't ask for it never sees.
  func writeUrgent() throws {
    let byte = [UInt8(ascii: "!")]
    let count = unsafe byte.withUnsafeBytes {
      unsafe send(descriptor, $0.baseAddress, 1, Int32(MSG_OOB) | Int32(MSG_NOSIGNAL))
    }
    guard count == 1 else { throw Trouble.latest }
  }

  /// Ends our side: the peer reads an end, and may still answer.
  func endWriting() {
    tls?.endWriting()
    _ = shutdown(descriptor, Int32(SHUT_WR))
  }

  /// Ends both sides and wakes whoever waits on this socket.
  func shutDown() {
    tls?.endWriting()
    _ = shutdown(descriptor, Int32(SHUT_RDWR))
  }

  /// Resets the connection at once: connect(2) with AF_UNSPEC dissolves it, and the peer is told by RST, not by an orderly end.
  func reset() {
    var address = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    _ = unsafe Glibc.connect(descriptor, &address, socklen_t(MemoryLayout<sockaddr>.size))
  }
}

/// Whether `bytes[start..<start+count]` are what `Pattern` has at `offset`. Compared by libc: gigabytes pass through here.
struct Pattern: Sendable {
  /// Prime, so that a block lost, doubled or moved by any power of two shows.
  static let period = 65521
  private static let longest = 1 << 20
  private let block: [UInt8]

  init() {
    var state: UInt32 = 0x9E37_79B9
    var base = [UInt8]()
    base.reserveCapacity(Self.period)
    for _ in 0..<Self.period {
      state ^= state << 13
      state ^= state >> 17
      state ^= state << 5
      base.append(UInt8(truncatingIfNeeded: state))
    }
    var block = [UInt8]()
    while block.count < Self.period + Self.longest { block += base }
    self.block = block
  }

  /// `count` bytes (at most 1 MiB) of the pattern from `offset` on.
  func bytes(at offset: Int, count: Int) -> ArraySlice<UInt8> {
    let start = offset % Self.period
    return block[start..<start + count]
  }

  func matches(_ bytes: [UInt8], at offset: Int) -> Bool {
    guard bytes.count <= Self.longest else { return false }
    let start = offset % Self.period
    return unsafe bytes.withUnsafeBytes { a in
      unsafe block.withUnsafeBytes { b in
        unsafe a.count == 0 || memcmp(a.baseAddress!, b.baseAddress! + start, a.count) == 0
      }
    }
  }
}
