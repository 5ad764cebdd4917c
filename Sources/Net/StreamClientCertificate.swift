// The certificate that a client has shown, taken apart: whole, or not at all. What is cut, or ends at a NUL, would be another's.

internal import COpenSSL
internal import Glibc
public import Primitives

/// What a finished handshake knows of the client.
public enum ClientCertificateReading: Sendable {
  /// It has shown none, or was not asked.
  case absent
  case verified(PeerCertificate)
  /// There is one, and nobody can go by it: why.
  case unusable(String)
}

extension Stream {
  /// The client's verified certificate, also where an earlier session was resumed. For a finished handshake.
  public func clientCertificate(at now: Timestamp) -> ClientCertificateReading {
    guard let ssl = unsafe tls?.pointee.ssl, let policy = context?.clientPolicy, let certificate = unsafe SSL_get0_peer_certificate(ssl)
    else {
      return .absent
    }
    // OpenSSL has ended the handshake otherwise: this is for the day when it does not.
    guard unsafe SSL_get_verify_result(ssl) == Int(X509_V_OK) else { return .unusable("it was not verified") }
    guard let bio = unsafe gh_certificate_values(certificate) else { return .unusable("some part of it can't be read") }
    defer { unsafe _ = BIO_free(bio) }
    var start: UnsafeMutablePointer<CChar>?
    let count = unsafe gh_memory(bio, &start)
    let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    var values = CertificateValues()
    if let fault = values.read(bytes) { return .unusable(fault) }
    let notAfter = unsafe Timestamp(seconds: max(gh_time_of(X509_get0_notAfter(certificate)), 0))
    let found = unsafe PeerCertificate(
      subject: values.subject, commonNames: values.commonNames, emails: values.emails, dnsNames: values.dnsNames, uris: values.uris,
      serial: values.serial, fingerprint: values.fingerprint,
      notBefore: Timestamp(seconds: max(gh_time_of(X509_get0_notBefore(certificate)), 0)),
      end: min(notAfter, policy.revocationsEnd ?? notAfter), policy: policy.digest)
    // A session that is resumed was verified when it began.
    guard found.isGood(at: now) else { return .unusable("it has expired, or what is known of revocations has") }
    return .verified(found)
  }
}

/// The values of a certificate, as `gh_certificate_values` frames them.
struct CertificateValues {
  private(set) var subject: [UInt8] = []
  private(set) var commonNames: [[UInt8]] = []
  private(set) var emails: [[UInt8]] = []
  private(set) var dnsNames: [[UInt8]] = []
  private(set) var uris: [[UInt8]] = []
  private(set) var serial: [UInt8] = []
  private(set) var fingerprint: [UInt8] = []

  /// Bytes of a distinguished name as text, and of any other value.
  static let longestSubject = 2048
  static let longestValue = 1024
  /// Values of one certificate.
  static let mostValues = 100

  /// Nil, or why the certificate can't be used.
  mutating func read(_ bytes: [UInt8]) -> String? {
    var at = 0
    var count = 0
    while at < bytes.count {
      guard bytes.count - at >= 5 else { return "some part of it can't be read" }
      let length = bytes[at + 1...at + 4].reduce(0) { $0 << 8 | Int($1) }
      guard bytes.count - at - 5 >= length else { return "some part of it can't be read" }
      count += 1
      if count > Self.mostValues { return "it has more than \(Self.mostValues) values" }
      let value = Array(bytes[at + 5..<at + 5 + length])
      if let fault = take(bytes[at], value) { return fault }
      at += 5 + length
    }
    return nil
  }

  private mutating func take(_ kind: UInt8, _ value: [UInt8]) -> String? {
    if kind == 0x66 {
      for byte in value { fingerprint += [ASCII.lowerHexDigit(byte >> 4), ASCII.lowerHexDigit(byte & 0xF)] }
      return nil
    }
    if kind == 0x73 {
      guard value.count <= Self.longestSubject else { return "its subject is longer than \(Self.longestSubject) bytes" }
      guard value.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { return "its subject can't be written" }
      subject = value
      return nil
    }
    guard !value.isEmpty else { return "one of its names is empty" }
    guard value.count <= Self.longestValue else { return "one of its names is longer than \(Self.longestValue) bytes" }
    guard !value.contains(where: ASCII.isControl) else { return "one of its names holds a NUL or another control character" }
    guard String(validating: value, as: UTF8.self) != nil else { return "one of its names is not UTF-8" }
    switch kind {
    case 0x63: commonNames.append(value)
    // The rest is ASCII by definition (IA5String).
    case 0x65, 0x64, 0x75:
      guard value.allSatisfy({ $0 < 0x80 }) else { return "one of its alternative names is not ASCII" }
      if kind == 0x65 {
        emails.append(value)
      } else if kind == 0x64 {
        dnsNames.append(value.map(ASCII.lowercased))
      } else {
        uris.append(value)
      }
    case 0x6E: serial = value
    default: return "some part of it can't be read"
    }
    return nil
  }
}
