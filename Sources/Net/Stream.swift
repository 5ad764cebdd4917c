// A connected stream of bytes as the data path sees it: reading into a buffer, writing from spans, never blocking, never throwing. In clear text, or
// under TLS, whose handshake and other peculiarities are StreamTLS.swift's.

internal import CLinux
internal import COpenSSL
internal import Glibc
public import Primitives

/// What a read or a write did.
public enum IOResult: Equatable, Sendable {
  /// That many bytes, at least 1 unless none were asked for. Fewer than asked is no error.
  case bytes(Int)
  /// Nothing now: wait for readiness.
  case wouldBlock
  /// The peer has ended its sending half: under TLS, has said so (close_notify). Of reads only.
  case closed
  /// The connection is broken; the errno. ECONNRESET and EPIPE are a peer that went away; under TLS also one that ended without saying so, which
  /// anybody on the way can bring about, and EPROTO what is no TLS, or was changed on the way.
  case failed(Int32)
}

/// A connected socket, in clear text until `beginTLS`.
@safe public struct Stream: ~Copyable {
  let socket: FileDescriptor
  /// Nil in clear text. One pointer, so that clear text costs no more than looking at it.
  var tls: UnsafeMutablePointer<gh_tls>?
  /// What the session calls back to: kept as long as it.
  var context: TLSServerContext?

  /// Takes over a connected, non-blocking stream socket.
  public init(_ socket: consuming FileDescriptor) {
    self.socket = socket
    unsafe tls = nil
    context = nil
  }

  deinit {
    if let tls = unsafe tls { unsafe gh_tls_free(tls) }
  }

  /// No socket at all: what is written or read fails. For what has bytes another way.
  public static var none: Stream { Stream(FileDescriptor.none) }

  /// Begins to connect. A Unix socket is connected when this answers; any other when it becomes writable (connect(2), EINPROGRESS), and a
  /// refusal is what the first read or write then answers. `.any` is this machine.
  public static func connect(to address: SocketAddress) throws(NetError) -> Stream {
    let doing = "connect to \(address.text)"
    var native = address.native
    if case .any(let port) = address { native = SocketAddress.ipv4(address: 0x7F00_0001, port: port).native }
    let raw = gh_socket_create(native.family)
    try NetError.check(raw, doing)
    let socket = FileDescriptor(owning: raw)
    let path = if case .unix(let path) = address { path } else { "" }
    let result = unsafe gh_socket_connect(raw, &native, path, path.utf8.count)
    if result != -EINPROGRESS { try NetError.check(result, doing) }
    return Stream(socket)
  }

  /// To be polled.
  public var descriptor: Int32 { socket.raw }

  /// Whether what is read and written is what travels, so that the kernel may move it between sockets by itself.
  public var isClear: Bool { unsafe tls == nil }

  /// Whether bytes have come that the descriptor is not readable for any more: read again without waiting for it.
  public var hasBufferedInput: Bool {
    guard let tls = unsafe tls else { return false }
    return unsafe tls.pointee.pending != 0
  }

  /// Appends up to `limit` (1 or more) bytes to `buffer`, which grows when it has less room.
  public mutating func read(into buffer: inout ByteBuffer, atMost limit: Int) -> IOResult {
    guard let tls = unsafe tls else { return SocketBytes.read(socket.raw, into: &buffer, atMost: limit) }
    precondition(limit > 0, "a read of nothing looks like the end")
    let count = unsafe buffer.withUnsafeFreeBytes(minimum: limit) { free in
      unsafe gh_tls_read(tls, free.baseAddress, min(free.count, limit))
    }
    return count == 0 ? .closed : Self.result(count)
  }

  /// Sends from `bytes`. A peer that is gone is an answer (EPIPE), not a signal.
  ///
  /// Under TLS what was not sent has to be offered again, at the front of what is written next: it may be encrypted already.
  public mutating func write(_ bytes: Span<UInt8>) -> IOResult {
    unsafe bytes.withUnsafeBufferPointer { bytes in
      guard bytes.count > 0 else { return .bytes(0) }
      if let tls = unsafe tls { return unsafe Self.result(gh_tls_write(tls, bytes.baseAddress, bytes.count)) }
      return unsafe Self.result(gh_socket_send(socket.raw, bytes.baseAddress, bytes.count))
    }
  }

  /// Sends from the bytes that `buffer` holds.
  public mutating func write(_ buffer: borrowing ByteBuffer) -> IOResult { write(buffer.span) }

  /// Sends from `first`, then `second`, in one call and if possible one packet: a head and its body.
  public mutating func write(_ first: Span<UInt8>, _ second: Span<UInt8>) -> IOResult {
    guard let tls = unsafe tls else { return SocketBytes.write(socket.raw, first, second) }
    if first.isEmpty { return write(second) }
    if second.isEmpty { return write(first) }
    return unsafe first.withUnsafeBufferPointer { first in
      unsafe second.withUnsafeBufferPointer { second in unsafe Self.writeOneRecord(tls, first, second) }
    }
  }

  /// The user at the other end of a Unix socket, as the kernel noted it when he connected; nil where there is none.
  public var peerUser: UInt32? {
    var user: UInt32 = 0
    return unsafe gh_socket_peer_user(socket.raw, &user) == 0 ? user : nil
  }

  /// Ends our sending half; what was written still arrives. Reading goes on. Under TLS it is said first (close_notify), so that the peer knows that
  /// nobody else ended it.
  public func shutdownWrite() {
    sayGoodbye()
    _ = shutdown(socket.raw, Int32(SHUT_WR))
  }

  /// Turns Nagle's algorithm off. A connection accepted by a `Listener` has it off already.
  public func setNoDelay() {
    _ = gh_socket_set(socket.raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
  }

  /// From now on closing drops what is unsent and resets the connection, so that the peer sees a message that was not
  /// finished as an error and never as an end.
  public func resetOnClose() {
    _ = gh_socket_reset_on_close(socket.raw)
  }

  static func result(_ count: Int) -> IOResult {
    if count >= 0 { return .bytes(count) }
    let errno = Int32(truncatingIfNeeded: -count)
    return errno == EAGAIN ? .wouldBlock : .failed(errno)
  }
}
