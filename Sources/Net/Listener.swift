// Listening sockets: binding them or taking them over, accepting from them, and closing them without losing who has knocked. Unix sockets' files
// are `UnixSocketFile`'s.

internal import CLinux
internal import Glibc
internal import Primitives

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

  let file: UnixSocketFile?

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
  /// worker. It also lets a second Gatehouse in unnoticed; see `ensureFree`. A Unix socket is bound once and then shared;
  /// for it `reusePort` means nothing.
  ///
  /// - Parameter listening: false for a TCP socket that nobody can connect to before `apply`.
  public static func bind(_ options: ListenOptions, reusePort: Bool = false, listening: Bool = true) throws(NetError) -> Listener {
    switch options.address {
    case .unix(let path):
      var file: UnixSocketFile?
      let socket = try UnixSocketFile.listen(path, options, file: &file)
      return Listener(socket, options.address, file)
    case .any, .ipv4, .ipv6:
      return try bindInternet(options, reusePort, listening: listening)
    case .passed(let name):
      throw .notPassed(name: name)
    }
  }

  private static func bindInternet(_ options: ListenOptions, _ reusePort: Bool, listening: Bool) throws(NetError) -> Listener {
    do throws(NetError) {
      return try bindInternet(options, options.address, reusePort, listening: listening)
    } catch .system(_, let errno) where errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL {
      // A machine without IPv6: every address is then every IPv4 address.
      guard case .any(let port) = options.address else { throw .system(doing: "listen on \(options.address.text)", errno: errno) }
      return try bindInternet(options, .ipv4(address: 0, port: port), reusePort, listening: listening)
    }
  }

  private static func bindInternet(
    _ options: ListenOptions, _ address: SocketAddress, _ reusePort: Bool, listening: Bool
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
    if let interface = options.interface {
      try NetError.check(unsafe gh_socket_bind_to_interface(raw, interface), "\(doing) by way of \(interface)")
    }
    // Accepted sockets inherit it on Linux: one system call less for each.
    try NetError.check(gh_socket_set(raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1), doing)
    let bound = unsafe gh_socket_bind(raw, &native, nil, 0)
    // The kernel's only reason to say so of an address and a port (ip(7)).
    if bound == -EACCES && address.port != 0 { throw .privilegedPort(doing: doing) }
    try NetError.check(bound, doing)
    if address.isLoopback { Pacing.end(raw) }
    if listening {
      if options.fastOpen > 0 { try NetError.check(gh_socket_set(raw, Int32(IPPROTO_TCP), TCP_FASTOPEN, options.fastOpen), doing) }
      try NetError.check(gh_socket_listen(raw, options.backlog), doing)
    }
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

  /// Takes over a socket that another process has made: it has to be a listening stream socket of TCP or a Unix file's. From here on it does
  /// not block and is not passed on by accident.
  ///
  /// - Parameter file: a Unix socket's, to be removed by `removeFile`; nil where it is not ours to remove.
  public static func taking(_ socket: consuming FileDescriptor, file: HandedFile? = nil) throws(NetError) -> Listener {
    let raw = socket.raw
    func mistaken(_ what: String) -> NetError { .notListening(descriptor: raw, why: what) }
    var status = stat()
    guard unsafe fstat(raw, &status) == 0 else { throw mistaken("it is not open") }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw mistaken("it is no socket") }
    guard gh_socket_get(raw, SOL_SOCKET, SO_TYPE) == Int32(SOCK_STREAM.rawValue) else { throw mistaken("it is no stream socket") }
    guard gh_socket_get(raw, SOL_SOCKET, SO_ACCEPTCONN) == 1 else { throw mistaken("it does not listen (of systemd: with Accept=yes)") }
    guard fcntl(raw, F_SETFD, FD_CLOEXEC) == 0, fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK) == 0 else {
      throw .system(doing: "prepare the passed descriptor \(raw)", errno: errno)
    }
    var native = gh_address()
    try NetError.check(unsafe gh_socket_local(raw, &native), "look at the passed descriptor \(raw)")
    var address = SocketAddress(native)
    switch native.family {
    case AF_INET, AF_INET6:
      if native.family == AF_INET6 && native.high | native.low == 0 && gh_socket_get(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY) == 0 {
        address = .any(port: native.port)
      }
      try NetError.check(gh_socket_set(raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1), "prepare the passed descriptor \(raw)")
    case AF_UNIX:
      var path = [UInt8](repeating: 0, count: 108)
      let count = unsafe path.withUnsafeMutableBytes { unsafe gh_socket_local_path(raw, $0.baseAddress, $0.count) }
      try NetError.check(count, "look at the passed descriptor \(raw)")
      address = .unix(path: String(decoding: path[..<Int(count)], as: UTF8.self))
    default:
      throw mistaken("it is of another family than TCP and Unix sockets")
    }
    return Listener(socket, address, file.map { UnixSocketFile($0) })
  }

  /// Applies what can be changed while it listens: the backlog (only new connections meet it), Fast Open, a file's mode and owner. One that
  /// was only bound listens from here on.
  public func apply(_ options: ListenOptions) throws(NetError) {
    let doing = "listen on \(localAddress.text)"
    if let file {
      try file.give(to: options)
    } else if !localAddress.isUnix {
      try NetError.check(gh_socket_set(socket.raw, Int32(IPPROTO_TCP), TCP_FASTOPEN, options.fastOpen), doing)
    }
    try NetError.check(gh_socket_listen(socket.raw, options.backlog), doing)
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
    // EINVAL: it takes nobody in any more (`refuseNewcomers`), and has given out all who came before.
    case EAGAIN, EINVAL: return .wouldBlock
    case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(-raw)
    // accept(2): on Linux errors that are already pending on the new connection are told here.
    default: return .failed(-raw)
    }
  }

  /// The first step of closing it for good, in every process that has it: no new connection begins, while those that have begun can still be
  /// accepted. Closing alone would reset those: the kernel completes connections that nobody has accepted yet.
  ///
  /// Unix sockets refuse from here on. With TCP a client's first packet goes unanswered, and it tries again a second later; what has
  /// begun is complete a round trip later.
  public func refuseNewcomers() {
    if localAddress.isUnix { _ = shutdown(socket.raw, Int32(SHUT_RD)) } else { _ = gh_tcp_drop_beginnings(socket.raw) }
  }

  /// Removes a Unix socket's file, when it still is the one that this listener (or the one it was duplicated from) bound. For the
  /// end of the process; a file left behind is replaced by the next `bind`.
  public func removeFile() {
    file?.remove()
  }

  /// The file of a Unix socket that we made, for who takes the socket over.
  public var handedFile: HandedFile? { file?.handed }
}

/// The file of a Unix socket, as one process tells another.
public struct HandedFile: Equatable, Sendable {
  public var path: String
  public var device: UInt
  public var inode: UInt
  /// Whose it was when it was made, and is where nobody else is named. Nil where that is not known.
  public var owner: Owner?

  public struct Owner: Equatable, Sendable {
    public var user: UInt32
    public var group: UInt32

    public init(user: UInt32, group: UInt32) {
      self.user = user
      self.group = group
    }
  }

  /// `Listener.removeFile`.
  public func remove() { UnixSocketFile(self).remove() }

  public init(path: String, device: UInt, inode: UInt, owner: Owner? = nil) {
    self.path = path
    self.device = device
    self.inode = inode
    self.owner = owner
  }
}
