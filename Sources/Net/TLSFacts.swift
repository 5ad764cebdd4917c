// What a finished TLS handshake came to.

public import Primitives

/// What is known of a connection's TLS, from its handshake on. One for each connection, shared by all who ask.
public final class TLSFacts: Sendable {
  /// As OpenSSL names them: `TLSv1.3`, `TLS_AES_128_GCM_SHA256`.
  public let version: String
  public let cipher: String
  /// What the client asked for by SNI, in lower case; nil where it named nobody.
  public let serverName: String?
  /// Whether HTTP/2 was agreed on (ALPN `h2`).
  public let speaksHTTP2: Bool
  /// Whether an earlier session was resumed.
  public let isResumed: Bool
  /// The client's own, verified; nil for none.
  public let certificate: PeerCertificate?

  public init(version: String, cipher: String, serverName: String?, speaksHTTP2: Bool, isResumed: Bool, certificate: PeerCertificate? = nil) {
    self.version = version
    self.cipher = cipher
    self.serverName = serverName
    self.speaksHTTP2 = speaksHTTP2
    self.isResumed = isResumed
    self.certificate = certificate
  }
}
