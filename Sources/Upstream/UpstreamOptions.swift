// What the operator says about one upstream. Values only: Config fills them, `CurlOptions` turns them into libcurl's.

public import HTTP
public import Primitives

/// One service behind the proxy, and how to reach it.
public struct UpstreamOptions: Equatable, Sendable {
  /// How bytes reach the server.
  public enum Scheme: Equatable, Sendable {
    case http
    case https
  }

  /// Where the server is.
  public enum Address: Equatable, Sendable {
    /// A host name or an IP literal (IPv6 without brackets) and a port, 1 to 65535.
    case host(String, port: UInt16)
    /// A Unix socket's absolute path (at most 107 bytes, unix(7)).
    case unix(path: String)
  }

  /// How the server proves who it is, and who we are to it. Only for `https`.
  public struct TLS: Equatable, Sendable {
    /// Whether the certificate's chain and name are checked. Off only by explicit directive.
    public var verify = true
    /// A PEM file of trusted authorities instead of the system's.
    public var certificateAuthority: String?
    /// The name to send as SNI and to check the certificate against, when it is not the address's host.
    public var name: String?
    /// PEM files of our own certificate (with its chain) and its key.
    public var clientCertificate: String?
    public var clientKey: String?
    /// `sha256//BASE64`, several parted by `;`: the server's public key has to be one of these, whether its certificate is verified or not.
    public var pins: String?
    /// TLS 1.0 and 1.1, short keys, SHA-1 and servers that know no secure renegotiation (RFC 5746) will do too.
    public var allowsLegacy = false

    public init() {}
  }

  /// Who speaks the protocol.
  public enum Engine: Equatable, Sendable {
    /// What is best for the scheme: at present our own for all.
    case automatic
    /// Our own HTTP/1.1, on connections that libcurl makes.
    case http1
    /// libcurl's.
    case libcurl
  }

  /// The name in proxy.conf, for routes and logs.
  public var name: String
  public var scheme: Scheme
  public var address: Address
  public var tls = TLS()
  public var engine = Engine.automatic
  /// Whether HTTP/2 is spoken with it (RFC 9113): agreed on by ALPN with `https`, else at once (prior knowledge). Not with libcurl's engine.
  public var speaksHTTP2 = false
  public var via: Via?
  public var elsewhere: Elsewhere?
  public var source: Source?
  /// Whether each connection begins with a PROXY header that names the client, whose alone it is then. Not with HTTP/2 or libcurl's engine.
  public var announces: ProxyHeader.Version?
  /// Where it is no HTTP server, what it is. `scheme` and `engine` mean nothing then, and of a folder of this machine `address` doesn't either.
  public var files: FileServer?
  /// Whether it can be asked for another protocol than HTTP: our own engine's HTTP/1.1 alone can.
  public var opensTunnels: Bool { files == nil && !speaksHTTP2 }
  /// Differs where the files of authorities and certificates that are named here held something else when they were read; 0 where none is named. What was
  /// made by others (a connection, a session) is not used.
  public var trustContents = 0

  /// Resolving, connecting and the TLS handshake together. 504 beyond.
  public var connectTimeout = Interval.seconds(5)
  /// From the last byte of the request until the first byte of the response. 504 beyond.
  public var responseTimeout = Interval.seconds(60)
  /// Between two bytes of a response (or of an upload that the upstream takes). The response is cut beyond.
  public var idleTimeout = Interval.seconds(60)
  /// How long a tunnel may be silent, both ways together.
  public var tunnelTimeout = Interval.seconds(3600)
  /// How long an unused connection may be reused. Below the upstream's own keep-alive time (Apache's, Node's: 5 s), so that we don't write
  /// into a connection that it is just closing.
  public var reuseWithin = Interval.seconds(4)
  /// How long the address that a host name had is used, in whole seconds: by new connections, and by those that are kept.
  public var resolveAfter = Interval.seconds(60)
  /// Connections in use at once by one worker; 503 beyond.
  public var maxConnections = 1024

  public init(name: String, scheme: Scheme, address: Address) {
    self.name = name
    self.scheme = scheme
    self.address = address
  }

  /// How old a connection may become that is used again; nil where that leads to the same server anyway.
  var longestConnection: Interval? {
    guard case .host(let host, _) = address, ClientAddress(parsing: Array((elsewhere?.host ?? host).utf8).span) == nil else { return nil }
    return resolveAfter
  }

  /// Host and port as a Host field names them (RFC 9110 section 7.2).
  public var authority: String {
    switch address {
    case .unix: return tls.name ?? "localhost"
    case .host(let host, let port):
      let name = host.utf8.contains(0x3A) ? "[\(host)]" : host
      return port == (scheme == .https ? 443 : 80) ? name : "\(name):\(port)"
    }
  }

  /// Whether our bytes go onto the socket as they are: neither the server nor a proxy before it wants TLS.
  var isClear: Bool { scheme == .http && via?.scheme != .https }
}
