// What a verified certificate says of its holder: values, without the library that verified it.

/// Every value is whole and fit for comparison: UTF-8 without control characters. A certificate with one that is not is refused before one
/// of these is made.
public final class PeerCertificate: Sendable {
  /// Distinguished name as RFC 2253 writes it, the last part first; printable ASCII, everything else escaped (`\C3\A9`).
  public let subject: [UInt8]
  /// Each CN of the subject, which should have one.
  public let commonNames: [[UInt8]]
  // Alternative names (RFC 5280 section 4.2.1.6), DNS names in lower case.
  public let emails: [[UInt8]]
  public let dnsNames: [[UInt8]]
  public let uris: [[UInt8]]
  /// Hexadecimal, as the authority numbered it.
  public let serial: [UInt8]
  /// SHA-256 of the whole, in lower-case hexadecimal.
  public let fingerprint: [UInt8]
  public let notBefore: Timestamp
  /// From this moment on it is good for nothing: it has expired, or what was known of revocations has.
  public let end: Timestamp
  /// By what it was verified: the authorities and revocations of then, digested.
  public let policy: [UInt8]

  public init(
    subject: [UInt8], commonNames: [[UInt8]] = [], emails: [[UInt8]] = [], dnsNames: [[UInt8]] = [], uris: [[UInt8]] = [], serial: [UInt8],
    fingerprint: [UInt8], notBefore: Timestamp, end: Timestamp, policy: [UInt8]
  ) {
    self.subject = subject
    self.commonNames = commonNames
    self.emails = emails
    self.dnsNames = dnsNames
    self.uris = uris
    self.serial = serial
    self.fingerprint = fingerprint
    self.notBefore = notBefore
    self.end = end
    self.policy = policy
  }

  public func isGood(at now: Timestamp) -> Bool { now >= notBefore && now < end }
}
