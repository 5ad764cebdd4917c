// Which part of a client's certificate is looked at, and what it has to be: in rules, and where a certificate is a user's.

internal import HTTP
public import Primitives

/// A field and a text, in which one `*` may stand for any bytes, one at least. Compared byte by byte.
public struct CertificatePattern: Hashable, Sendable {
  public enum Field: Hashable, Sendable {
    /// The whole distinguished name, as RFC 2253 writes it. Without `*`, which may stand in it.
    case subject
    /// The subject's only CN; several are none, since nobody could say which is meant.
    case commonName
    case email
    /// In lower case.
    case dns
    case uri
    /// SHA-256, hexadecimal in lower case.
    case fingerprint
  }

  public let field: Field
  /// What stands before the `*`, or all of it.
  private let prefix: [UInt8]
  /// What stands behind it.
  private let suffix: [UInt8]
  private let hasStar: Bool

  /// Nil when there is nothing in it, or more than one `*`.
  public init?(_ field: Field, _ text: [UInt8]) {
    guard !text.isEmpty else { return nil }
    self.field = field
    let stars = field == .subject || field == .fingerprint ? [] : text.indices.filter { text[$0] == 0x2A }
    guard stars.count <= 1 else { return nil }
    hasStar = !stars.isEmpty
    let text = field == .dns || field == .fingerprint ? text.map(ASCII.lowercased) : text
    prefix = Array(text[..<(stars.first ?? text.count)])
    suffix = stars.first.map { Array(text[($0 + 1)...]) } ?? []
  }

  /// Of any value.
  public init(_ field: Field) {
    self.field = field
    prefix = []
    suffix = []
    hasStar = true
  }

  /// Whether one of the certificate's values is so. On the data path: allocates nothing.
  public func matches(_ certificate: PeerCertificate) -> Bool {
    switch field {
    case .subject: return match(certificate.subject)
    case .commonName: return certificate.commonNames.count == 1 && match(certificate.commonNames[0])
    case .fingerprint: return match(certificate.fingerprint)
    case .email: return match(anyOf: certificate.emails)
    case .dns: return match(anyOf: certificate.dnsNames)
    case .uri: return match(anyOf: certificate.uris)
    }
  }

  private func match(anyOf values: [[UInt8]]) -> Bool {
    for value in values where match(value) { return true }
    return false
  }

  private func match(_ value: [UInt8]) -> Bool {
    if !hasStar { return value == prefix }
    guard value.count > prefix.count + suffix.count else { return false }
    for i in prefix.indices where value[i] != prefix[i] { return false }
    let start = value.count - suffix.count
    for i in suffix.indices where value[start + i] != suffix[i] { return false }
    return true
  }

  /// The user whom the certificate names: what stands in place of the `*`, or the whole value.
  func owner(of certificate: PeerCertificate) -> ShownCertificate.Owner {
    let values: [[UInt8]] =
      switch field {
      case .subject: [certificate.subject]
      case .commonName: certificate.commonNames
      case .fingerprint: [certificate.fingerprint]
      case .email: certificate.emails
      case .dns: certificate.dnsNames
      case .uri: certificate.uris
      }
    if field == .commonName && values.count > 1 { return .unclear }
    var found: [UInt8]?
    for value in values where match(value) {
      let name = hasStar ? Array(value[prefix.count..<value.count - suffix.count]) : value
      guard found == nil || found == name else { return .unclear }
      found = name
    }
    return found.map { .user($0) } ?? .nobody
  }

  /// As the configuration has it: `san email *@example.com`.
  public var text: String {
    let name =
      switch field {
      case .subject: "subject"
      case .commonName: "cn"
      case .email: "san email"
      case .dns: "san dns"
      case .uri: "san uri"
      case .fingerprint: "fingerprint"
      }
    return name + " " + String(decoding: prefix + (hasStar ? [0x2A] : []) + suffix, as: UTF8.self)
  }
}

/// The certificate that a client has shown, and whose it is by the listener's configuration. One for each connection.
public final class ShownCertificate: Sendable {
  public enum Owner: Equatable, Sendable {
    /// Certificates are not users' there.
    case notAsked
    case user([UInt8])
    /// It names none.
    case nobody
    /// It names several.
    case unclear
  }

  public let certificate: PeerCertificate
  public let owner: Owner

  /// - Parameter users: where a user's name stands (`user_from`); nil where certificates are not users'.
  public init(_ certificate: PeerCertificate, users: CertificatePattern?) {
    self.certificate = certificate
    owner = users?.owner(of: certificate) ?? .notAsked
  }
}
