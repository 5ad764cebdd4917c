// Listening sockets: binding them, and accepting from them. Unix sockets' files are `UnixSocketFile`'s.

internal import CLinux
internal import Glibc
internal import Primitives

/// What to listen on.
public struct ListenOptions: Hashable, Sendable {
  public var address: SocketAddress
  /// Connections that wait to be accepted; the kernel caps it at net.core.somaxconn (4096).
  public var backlog: Int32 = 4096
  /// The permissions of a Unix socket's file: who may write may connect.
  public var unixMode: UInt32 = 0o660

  public init(address: SocketAddress) {
    self.address = address
  }
}

/// What accepting came to.
public enum AcceptResult: ~Copyable {
  /// A connection, non-blocking, with Nagle's algorithm off, and its peer.
  case accepted(FileDescriptor, SocketAddress)
  /// None is waiting.
  case wouldBlock
  /// No descriptor or memory for it (EMFILE, ENFILE, ENOBUFS, ENOMEM). The connection keeps waiting, and a level-triggered poller keeps
  /// telling of it: stop polling the listener for a while.
  case exhausted(Int32)
  /// That one connection is gone (ECONNABORTED and its like): try the next.
  case failed(Int32)
}

/// A socket that listens.
@safe public struct Listener: ~Copyable, Sendable {
  private let socket: FileDescriptor
  /// Where it listens, with the real port when 0 was asked for.
  public let localAddress: SocketAddress

  private let file: UnixSocketFile?

  private init(_ socket: consuming FileDescriptor, _ localAddress: SocketAddress, _ file: UnixSocketFile? = nil) {
    self.socket = socket
    self.localAddress = localAddress
    self.file = file
  }

  /// To be polled for reading.
  public var descriptor: Int32 { socket.raw }

  /// Binds and listens.
  ///
  /// With `reusePort` several listeners of one user may be bound to one TCP address, and the kernel spreads connections over them: one a
  /// worker. It also lets a second Gatehouse in unnoticed; see `ensureFree`. A Unix socket is bound once and then shared by
  /// `duplicate()`; for it `reusePort` means nothing.
  public static func bind(_ options: ListenOptions, reusePort: Bool = false) throws(NetError) -> Listener {
    switch options.address {
    case .unix(let path):
      var file: UnixSocketFile?
      let socket = try UnixSocketFile.listen(path, mode: options.unixMode, backlog: options.backlog, file: &file)
      return Listener(socket, options.address, file)
    case .any, .ipv4, .ipv6:
      return try bindInternet(options, reusePort)
    }
  }

  private static func bindInternet(_ options: ListenOptions, _ reusePort: Bool, listening: Bool = true) throws(NetError) -> Listener {
    do throws(NetError) {
      return try bindInternet(options, options.address, reusePort, listening: listening)
    } catch .system(_, let errno) where errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL {
      // A machine without IPv6: every address is then every IPv4 address.
      guard case .any(let port) = options.address else { throw .system(doing: "listen on \(options.address.text)", errno: errno) }
      return try bindInternet(options, .ipv4(address: 0, port: port), reusePort, listening: listening)
    }
  }

  private static func bindInternet(
    _ options: ListenOptions, _ address: SocketAddress, _ reusePort: Bool, listening: Bool = true
  ) throws(NetError) -> Listener {
    var native = address.native
    let doing = "listen on \(address.text)"
    let raw = gh_socket_create(native.family)
    try NetError.check(raw, doing)
    let socket = FileDescriptor(owning: raw)
    // Connections of an earlier run that linger in TIME_WAIT don't keep the port.
    try NetError.check(gh_socket_set(raw, SOL_SOCKET, SO_REUSEADDR, 1), doing)
    if reusePort { try NetError.check(gh_socket_set(raw, SOL_SOCKET, SO_REUSEPORT, 1), doing) }
    if native.family == AF_INET6 {
      // `[::]` is IPv6 alone, whatever the machine's default, so that it stands beside `0.0.0.0`; `*` is both.
      let both = if case .any = address { true } else { false }
      try NetError.check(gh_socket_set(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, both ? 0 : 1), doing)
    }
    // Accepted sockets inherit it on Linux: one system call less for each.
    try NetError.check(gh_socket_set(raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1), doing)
    try NetError.check(unsafe gh_socket_bind(raw, &native, nil, 0), doing)
    if address.isLoopback { Pacing.end(raw) }
    if listening { try NetError.check(gh_socket_listen(raw, options.backlog), doing) }
    try NetError.check(unsafe gh_socket_local(raw, &native), doing)
    return Listener(socket, address.with(port: native.port))
  }

  /// Throws when somebody listens there already, also with SO_REUSEPORT. To be asked once before binding with `reusePort`:
  /// the kernel would let two processes of one user share the port, each answering half of the clients.
  public static func ensureFree(_ options: ListenOptions) throws(NetError) {
    if options.address.isUnix { return }
    // Binding tells: it fails where somebody listens. Listening for the moment would take in clients who are waiting for us to start, and reset
    // their connections.
    _ = try bindInternet(options, false, listening: false)
  }

  /// Another handle of the same socket: connections go to whichever accepts first.
  public func duplicate() throws(NetError) -> Listener {
    Listener(try socket.duplicate(), localAddress, file)
  }

  /// Takes one waiting connection, never blocking.
  public func accept() -> AcceptResult {
    var peer = gh_address()
    let raw = unsafe gh_socket_accept(socket.raw, &peer)
    if raw >= 0 { return .accepted(FileDescriptor(owning: raw), SocketAddress(peer)) }
    switch -raw {
    case EAGAIN: return .wouldBlock
    case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(-raw)
    // accept(2): on Linux errors that are already pending on the new connection are told here.
    default: return .failed(-raw)
    }
  }

  /// Removes a Unix socket's file, when it still is the one that this listener (or the one it was duplicated from) bound. For the
  /// end of the process; a file left behind is replaced by the next `bind`.
  public func removeFile() {
    file?.remove()
  }
}
