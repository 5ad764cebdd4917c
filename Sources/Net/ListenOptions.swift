// What a listening socket is asked to be: where it is, and how it takes connections in.

/// What to listen on, and how.
public struct ListenOptions: Hashable, Sendable {
  public var address: SocketAddress
  /// Connections that wait to be accepted, 1 or more; the kernel caps it at net.core.somaxconn (4096).
  public var backlog: Int32 = 4096
  /// Whether each worker has a socket of its own, and the kernel spreads connections over them (SO_REUSEPORT); else they share one. Unix
  /// sockets, and those passed to us, are always shared.
  public var reusesPort = true
  /// Connections that may wait with data that came with their first packet (TCP Fast Open, RFC 7413); 0 for none.
  public var fastOpen: Int32 = 0
  /// Only what comes by way of this network interface, 1 to 15 bytes; nil for any.
  public var interface: String?
  /// The permissions of a Unix socket's file: who may write may connect.
  public var unixMode: UInt32 = 0o660
  /// Whose a Unix socket's file is: numbers of user and group; nil for those that the process has.
  public var unixOwner: UInt32?
  public var unixGroup: UInt32?

  public init(address: SocketAddress) {
    self.address = address
  }

  /// Whether a socket made for `other` serves for this too: what differs can be changed where it stands, or matters to new sockets only.
  public func isSamePlace(as other: ListenOptions) -> Bool {
    address == other.address && interface == other.interface
  }

  /// The place as text, for messages and for telling places apart: `127.0.0.1:80`, `*:80%eth0`, `unix:/path`, `systemd:name`.
  public var place: String { address.text + (interface.map { "%\($0)" } ?? "") }

  /// Whether the other one's socket would get connections that are meant for this one's, or the kernel would refuse to bind both: the same port,
  /// with addresses of which one covers the other. `any` covers both families.
  public func overlaps(_ other: ListenOptions) -> Bool {
    guard address.port != 0, address.port == other.address.port else { return false }
    if let interface, let theirs = other.interface, interface != theirs { return false }
    switch (address, other.address) {
    case (.any, .ipv4), (.any, .ipv6), (.ipv4, .any), (.ipv6, .any), (.any, .any): return true
    case (.ipv4(let a, _), .ipv4(let b, _)): return a == b || a == 0 || b == 0
    case (.ipv6(let high, let low, let scope, _), .ipv6(let otherHigh, let otherLow, let otherScope, _)):
      return (high, low, scope) == (otherHigh, otherLow, otherScope) || high | low == 0 || otherHigh | otherLow == 0
    default: return false
    }
  }
}
