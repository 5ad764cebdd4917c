// How connections reach a server that can't just be called: through a proxy, at another address than its own, from a certain address of ours.
// Values only, as in UpstreamOptions.

extension UpstreamOptions {
  /// A proxy that every connection is made through, as a tunnel: it sees TLS go by, or what goes in clear text, and is never asked to understand it.
  public struct Via: Equatable, Sendable {
    public enum Scheme: String, Equatable, Sendable {
      /// CONNECT (RFC 9110 section 9.3.6), spoken in clear text.
      case http
      /// The same over TLS; the proxy's certificate is verified.
      case https
      /// SOCKS 5 (RFC 1928), with addresses that we have looked up.
      case socks5
      /// The same, with names that the proxy looks up.
      case socks5h
    }

    public var scheme: Scheme
    /// A host name or an IP literal, IPv6 without brackets.
    public var host: String
    public var port: UInt16
    /// What the proxy wants of us. Both or neither.
    public var username: String?
    public var password: String?
    /// A PEM file of the authorities that may vouch for an `https` proxy instead of the system's.
    public var certificateAuthority: String?

    public init(_ scheme: Scheme, host: String, port: UInt16) {
      self.scheme = scheme
      self.host = host
      self.port = port
    }
  }

  /// Where connections go instead of where the server's URL says, whose name stays what is verified.
  public struct Elsewhere: Equatable, Sendable {
    /// A host name or an IP literal, IPv6 without brackets.
    public var host: String
    /// Nil for the server's own.
    public var port: UInt16?

    public init(host: String, port: UInt16?) {
      self.host = host
      self.port = port
    }
  }

  /// Where connections come from.
  public enum Source: Equatable, Sendable {
    /// An IP literal of this machine's.
    case address(String)
    /// The name of a network interface, whose way they go whatever the routes say (SO_BINDTODEVICE).
    case interface(String)
  }
}

// A description, wherever one ends up, holds no password.
extension UpstreamOptions.Via: CustomStringConvertible, CustomReflectable {
  public var description: String { "\(scheme.rawValue)://\(host.utf8.contains(0x3A) ? "[\(host)]" : host):\(port)" }
  public var customMirror: Mirror { Mirror(self, children: ["place": description]) }
}
