// How TLS is to be spoken on a listener: what an operator can choose. What OpenSSL makes of it is `TLSServerContext`'s.

public import Primitives

/// Versions of the protocol, in their order.
public enum TLSVersion: Int, Comparable, Sendable, CaseIterable {
  case tls10
  case tls11
  case tls12
  case tls13

  public static func < (a: TLSVersion, b: TLSVersion) -> Bool { a.rawValue < b.rawValue }

  /// `1.2`.
  public var text: String { "1.\(rawValue)" }
}

/// Which clients are to be served, by Mozilla's names (Security/Server Side TLS, version 5.7).
public enum TLSProfile: Equatable, Sendable {
  /// TLS 1.3 alone.
  case modern
  /// TLS 1.2 with forward secrecy and authenticated encryption, and 1.3.
  case intermediate
  /// Down to TLS 1.0 with CBC, RSA key exchange and SHA-1: clients of 2009.
  case legacy

  var minimumVersion: TLSVersion {
    switch self {
    case .modern: .tls13
    case .intermediate: .tls12
    case .legacy: .tls10
    }
  }
}

/// What is spoken above TLS, as ALPN names it (RFC 7301).
public enum ApplicationProtocol: Equatable, Sendable {
  case http2
  case http1

  /// Clients of HTTP/1.0 offer that by its own name, and one parser is for both.
  var names: [[UInt8]] {
    switch self {
    case .http2: [Array("h2".utf8)]
    case .http1: [Array("http/1.1".utf8), Array("http/1.0".utf8)]
    }
  }
}

/// Everything about TLS on one listener.
public struct TLSServerOptions: Equatable, Sendable {
  /// A certificate and what belongs to it, by paths.
  public struct Certificate: Hashable, Sendable {
    /// PEM: the certificate, then who signed it, and so on.
    public var chainPath: String
    /// PEM, not encrypted.
    public var keyPath: String
    /// DER, as `openssl ocsp -respout` writes it.
    public var staplePath: String?

    public init(chainPath: String, keyPath: String, staplePath: String? = nil) {
      self.chainPath = chainPath
      self.keyPath = keyPath
      self.staplePath = staplePath
    }
  }

  /// What is asked of clients' own certificates.
  public struct ClientCertificates: Hashable, Sendable {
    public enum Mode: Sendable {
      /// Whoever has one may show it.
      case optional
      /// Without one there is no connection.
      case required
    }

    /// PEM: who may have signed them.
    public var authorityPath: String
    public var mode: Mode
    /// PEM: which of them were revoked, by each authority that may stand between a client and us.
    public var revocationPath: String?
    /// Authorities that may stand between a client's certificate and one of ours.
    public var depth: Int

    public init(authorityPath: String, mode: Mode, revocationPath: String? = nil, depth: Int = 3) {
      self.authorityPath = authorityPath
      self.mode = mode
      self.revocationPath = revocationPath
      self.depth = depth
    }
  }

  /// What is read by itself, so that nothing else that is broken keeps it out.
  public enum Part: Hashable, Sendable {
    /// One of the certificates, by its place among them, with what belongs to it.
    case certificate(Int)
    /// Whose certificates clients may show, and which were revoked.
    case clients
  }

  /// The first is for clients that name none of the others' hosts, or nobody.
  public var certificates: [Certificate] = []
  public var profile = TLSProfile.intermediate
  /// Above the profile's own.
  public var minimumVersion: TLSVersion?
  /// As OpenSSL's ciphers(1) has it, names of TLS 1.3 among them, in place of the profile's.
  public var ciphers: String?
  /// Best first. Who offers others alone is refused, who says nothing speaks HTTP/1.1.
  public var protocols: [ApplicationProtocol] = [.http2, .http1]
  /// Whether sessions can be resumed.
  public var sessionTickets = true
  /// Where the secrets of every connection are written, for Wireshark. Whoever reads that reads everything.
  public var keyLogPath: String?
  public var handshakeTimeout = Interval.seconds(10)
  public var clientCertificates: ClientCertificates?
  /// Which listener this is: a session of one can't be resumed at another, which may ask for more.
  public var listener = ""

  public init() {}

  /// The least that is spoken.
  public var lowestVersion: TLSVersion { max(profile.minimumVersion, minimumVersion ?? profile.minimumVersion) }

  public var parts: [Part] { certificates.indices.map { .certificate($0) } + (clientCertificates == nil ? [] : [.clients]) }

  /// The files that a part is read from.
  public func paths(of part: Part) -> [String] {
    switch part {
    case .certificate(let i):
      let certificate = certificates[i]
      return [certificate.chainPath, certificate.keyPath] + (certificate.staplePath.map { [$0] } ?? [])
    case .clients:
      guard let client = clientCertificates else { return [] }
      return [client.authorityPath] + (client.revocationPath.map { [$0] } ?? [])
    }
  }

  /// Every file that is read, each once.
  public var paths: [String] {
    var seen: Set<String> = []
    return parts.flatMap { paths(of: $0) }.filter { seen.insert($0).inserted }
  }
}
