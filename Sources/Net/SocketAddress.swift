// Where a socket listens, or who is at its other end: as a value, as text, and as the key of a client's network.

internal import CLinux
internal import Glibc
public import Primitives

/// The address of a stream socket. Numbers in host order.
public enum SocketAddress: Hashable, Sendable {
  case ipv4(address: UInt32, port: UInt16)
  /// `high` and `low` are the address's halves. `scope` is the interface's index for link-local addresses, 0 for others.
  case ipv6(high: UInt64, low: UInt64, scope: UInt32, port: UInt16)
  /// Every address of the machine, of both families: only to listen on.
  case any(port: UInt16)
  /// A Unix socket's file, 1 to 107 bytes; "" for a peer, which has none.
  case unix(path: String)
  /// The sockets that were passed to us under this name (sd_listen_fds(3)), wherever they are bound: only to listen on.
  case passed(name: String)

  /// 0 for a Unix socket.
  public var port: UInt16 {
    switch self {
    case .ipv4(_, let port), .ipv6(_, _, _, let port), .any(let port): port
    case .unix, .passed: 0
    }
  }

  public var isUnix: Bool {
    if case .unix = self { true } else { false }
  }

  /// Whether it is of TCP, with a port.
  public var isInternet: Bool {
    switch self {
    case .ipv4, .ipv6, .any: true
    case .unix, .passed: false
    }
  }

  /// Whether connections to it come from this machine alone, by way of the loopback interface.
  public var isLoopback: Bool {
    switch self {
    case .ipv4(let address, _): address >> 24 == 127
    case .ipv6(let high, let low, _, _): high == 0 && (low == 1 || low >> 24 == 0xFFFF_7F)
    case .any, .unix, .passed: false
    }
  }

  /// The same address with another port; a Unix socket as it is.
  public func with(port: UInt16) -> SocketAddress {
    switch self {
    case .ipv4(let address, _): .ipv4(address: address, port: port)
    case .ipv6(let high, let low, let scope, _): .ipv6(high: high, low: low, scope: scope, port: port)
    case .any: .any(port: port)
    case .unix, .passed: self
    }
  }

  /// The address alone. A listener's `any` or `passed`, which no client has, counts as a Unix socket.
  public var client: ClientAddress {
    switch self {
    case .ipv4(let address, _): .ipv4(address)
    case .ipv6(let high, let low, _, _): .ipv6(high: high, low: low)
    case .any, .unix, .passed: .unix
    }
  }

  /// `ClientAddress.networkKey`.
  public var networkKey: UInt64 { client.networkKey }
}

// MARK: - As text

extension SocketAddress {
  /// Reads `127.0.0.1:80`, `[::1]:443`, `[fe80::1%eth0]:80`, `*:8080` or `:8080` (every address), `unix:/path`, or `systemd:name`.
  ///
  /// Port 0 lets the kernel choose. Names are not resolved: which address to listen on is the operator's to say.
  public init(parsing text: String) throws(NetError) {
    func bad(_ why: String) -> NetError { .badAddress(text: text, why: why) }
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      guard !path.isEmpty && path.utf8.count <= 107 else { throw bad("the path of a Unix socket has 1 to 107 bytes") }
      guard !path.utf8.contains(0) else { throw bad("the path holds a NUL") }
      self = .unix(path: path)
      return
    }
    if text.hasPrefix("systemd:") {
      let name = String(text.dropFirst(8))
      guard SocketActivation.isName(name) else {
        throw bad("the name of a passed socket has 1 to 255 characters, none of them a colon or a blank")
      }
      self = .passed(name: name)
      return
    }
    guard let colon = text.lastIndex(of: ":") else {
      throw bad("a port is missing, as in 127.0.0.1:8080 or [::]:8080")
    }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty && digits.utf8.allSatisfy(ASCII.isDigit), let port = UInt16(digits) else {
      throw bad("the port is a number of 0 to 65535")
    }
    let host = text[..<colon]
    if host.isEmpty || host == "*" {
      self = .any(port: port)
    } else if host.hasPrefix("[") && host.hasSuffix("]") {
      guard let address = Self.ipv6(String(host.dropFirst().dropLast()), port: port) else {
        throw bad("not an IPv6 address")
      }
      self = address
    } else if host.contains(":") {
      throw bad("an IPv6 address stands in brackets, as in [::1]:8080")
    } else {
      var address = in_addr()
      guard unsafe inet_pton(AF_INET, String(host), &address) == 1 else {
        throw bad("an IP address is wanted, as in 127.0.0.1:8080 or [::1]:8080; names are not looked up")
      }
      self = .ipv4(address: UInt32(bigEndian: address.s_addr), port: port)
    }
  }

  private static func ipv6(_ text: String, port: UInt16) -> SocketAddress? {
    let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    var scope: UInt32 = 0
    if parts.count == 2 {
      let name = String(parts[1])
      if let number = UInt32(name) { scope = number } else { scope = unsafe if_nametoindex(name) }
      if scope == 0 { return nil }
    }
    var address = in6_addr()
    guard unsafe inet_pton(AF_INET6, String(parts[0]), &address) == 1 else { return nil }
    return unsafe withUnsafeBytes(of: address) { bytes in
      let high = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
      let low = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      return .ipv6(high: high, low: low, scope: scope, port: port)
    }
  }

  /// Appends the address without port, brackets or scope, as in X-Forwarded-For; IPv6 in the form of RFC 5952. `unix:` and
  /// the path for a Unix socket. Allocates nothing.
  public func appendHost(to out: inout ByteBuffer) {
    switch self {
    case .ipv4(let address, _):
      for shift in stride(from: UInt32(24), through: 0, by: -8) {
        out.append(decimal: UInt64(address >> shift & 0xFF))
        if shift > 0 { out.append(0x2E) }
      }
    case .ipv6(let high, let low, _, _):
      IPv6Text.append(high: high, low: low, to: &out)
    case .any:
      out.append(0x2A)
    case .unix(let path):
      out.append("unix:")
      out.append(utf8: path)
    case .passed(let name):
      out.append("systemd:")
      out.append(utf8: name)
    }
  }

  /// The address without port, brackets or scope: see `appendHost(to:)`. For messages and logs.
  public var host: String {
    var out = ByteBuffer()
    appendHost(to: &out)
    return ASCII.string(out.span)
  }

  /// The address with its port, in the form that `init(parsing:)` reads.
  public var text: String {
    switch self {
    case .ipv4, .any: "\(host):\(port)"
    case .ipv6(_, _, let scope, _): scope == 0 ? "[\(host)]:\(port)" : "[\(host)%\(scope)]:\(port)"
    case .unix, .passed: host
    }
  }
}

extension SocketAddress: CustomStringConvertible {
  public var description: String { text }
}

extension SocketAddress {
  /// The place of a client that something else than a socket told of.
  public init(_ client: ClientAddress, port: UInt16) {
    if client.isUnix {
      self = .unix(path: "")
    } else if client.isIPv4 {
      self = .ipv4(address: UInt32(truncatingIfNeeded: client.low), port: port)
    } else {
      self = .ipv6(high: client.high, low: client.low, scope: 0, port: port)
    }
  }
}

// MARK: - For the kernel

extension SocketAddress {
  /// The kernel's form; `.any` as IPv6's unspecified address.
  var native: gh_address {
    switch self {
    case .ipv4(let address, let port):
      gh_address(family: AF_INET, port: port, scope: 0, high: 0, low: UInt64(address))
    case .ipv6(let high, let low, let scope, let port):
      gh_address(family: AF_INET6, port: port, scope: scope, high: high, low: low)
    case .any(let port):
      gh_address(family: AF_INET6, port: port, scope: 0, high: 0, low: 0)
    case .unix, .passed:
      gh_address(family: AF_UNIX, port: 0, scope: 0, high: 0, low: 0)
    }
  }

  /// A peer's or a socket's own address. IPv4 in IPv6's clothes (::ffff:0:0/96, as a socket for both families tells it) becomes IPv4,
  /// so that one client is one client whichever socket it came through.
  init(_ native: gh_address) {
    switch native.family {
    case AF_INET:
      self = .ipv4(address: UInt32(truncatingIfNeeded: native.low), port: native.port)
    case AF_INET6 where native.high == 0 && native.low >> 32 == 0xFFFF:
      self = .ipv4(address: UInt32(truncatingIfNeeded: native.low), port: native.port)
    case AF_INET6:
      self = .ipv6(high: native.high, low: native.low, scope: native.scope, port: native.port)
    default:
      self = .unix(path: "")
    }
  }
}
