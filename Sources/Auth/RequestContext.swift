// What surrounds a decision: where the client is, and what time it is.

public import Primitives

/// Given with every request, so that this room needs no clock and no socket.
public struct RequestContext: Sendable {
  /// Of the client: the peer, or whom a trusted proxy names.
  public var client: ClientAddress
  /// For what has a date: expiries.
  public var now: Timestamp
  /// For what has a duration: caches, bans.
  public var instant: Instant
  /// False where a token or key is good whatever its scope: where it is itself what is asked about.
  public var judgesScope: Bool
  /// What the client has shown; nil for none, and where the connection is not the asker's own.
  public var certificate: ShownCertificate?
  /// False where it logs nobody in and opens nothing, and only must not be another's than who proves himself otherwise.
  public var certificateLogsIn: Bool
  /// What that comes to; the gatekeeper finds out.
  var holder = CertificateHolder.nobody

  public init(
    client: ClientAddress = .unix, now: Timestamp, instant: Instant, judgesScope: Bool = true, certificate: ShownCertificate? = nil,
    certificateLogsIn: Bool = true
  ) {
    self.client = client
    self.now = now
    self.instant = instant
    self.judgesScope = judgesScope
    self.certificate = certificate
    self.certificateLogsIn = certificateLogsIn
  }
}
