// What is asked of a listener beside its socket: what is spoken on the connections that come by it.

public import Auth
public import Net

/// Whether connections begin with a PROXY protocol header, in which a trusted proxy says whose they are.
public enum ProxyProtocolPolicy: Equatable, Sendable {
  case off
  /// From trusted proxies, if they send one.
  case optional
  /// Always, and from trusted proxies alone.
  case required
}

/// One `listen` of proxy.conf.
public struct ListenerSettings: Equatable, Sendable {
  public var socket: ListenOptions
  /// Nil for clear text.
  public var tls: TLSServerOptions?
  /// Whether HTTP/2 is offered to clients over TLS (by ALPN).
  public var speaksHTTP2 = true
  /// Whether a connection in clear text may begin with HTTP/2's preface (RFC 9113 section 3.3).
  public var speaksH2C = false
  public var proxyProtocol = ProxyProtocolPolicy.off
  /// The port of the `https` address that every request is sent to instead of being served; nil where requests are served.
  public var redirectPort: UInt16?
  /// Where in a client's certificate a user's name stands; nil where certificates are not users'.
  public var certificateUsers: CertificatePattern?

  public init(socket: ListenOptions) {
    self.socket = socket
  }
}

/// What every connection asks of the listener by which it came. A class, so that a connection holds one reference.
final class ListenerTraits: Sendable {
  let settings: ListenerSettings
  /// Whether something comes before HTTP/1.1, see `Greeting`.
  let needsGreeting: Bool
  let redirectPort: UInt16?
  /// Nil in clear text.
  let tls: TLSServerContext?
  /// Which one it is of its configuration's.
  let index: Int

  init(_ settings: ListenerSettings, tls: TLSServerContext? = nil, index: Int = 0) {
    self.settings = settings
    self.index = index
    self.tls = tls
    needsGreeting = settings.proxyProtocol != .off || settings.speaksH2C || settings.tls != nil
    redirectPort = settings.redirectPort
  }

  /// The same when the configuration has it no more: for its connections, whose certificates count for nothing from then on.
  var left: ListenerTraits { ListenerTraits(settings, tls: nil, index: index) }
}
