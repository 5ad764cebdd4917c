// A certificate that vouches for itself, with its key: for trying TLS on one's own machine. Who is to believe it has to be given it; nobody else's
// client will.

internal import COpenSSL
public import Primitives

/// An ECDSA key on P-256 and a certificate for it, both as PEM (RFC 7468).
public struct SelfSignedCertificate: ~Copyable {
  /// CERTIFICATE.
  public let certificate: [UInt8]
  /// PRIVATE KEY (PKCS #8), not encrypted.
  public let key: Secret

  /// Valid for the servers `names` and `addresses`, at least one of them, for `days` (1 to 825, beyond which some clients take none) from `now`, which
  /// counts seconds since 1970. Host names of letters, digits, dots and hyphens; addresses as text.
  public init(names: [String], addresses: [String] = [], days: Int, from now: Int) throws(SelfSignedCertificateFault) {
    let subjects = names.map { "DNS:" + $0 } + addresses.map { "IP:" + $0 }
    guard let first = names.first ?? addresses.first, (1...825).contains(days) else { throw .unfit }
    // A comma would begin another name, or another kind of it.
    for text in names + addresses where text.isEmpty || !text.utf8.allSatisfy(Self.isNameByte) { throw .unfit }
    defer { ERR_clear_error() }
    var made: OpaquePointer? = nil
    var signed: OpaquePointer? = nil
    let isMade = unsafe gh_self_signed(
      subjects.joined(separator: ","), first, Int64(now), Int64(now + days * 86_400), &made, &signed)
    guard isMade == 1 else { throw .failed }
    defer {
      unsafe EVP_PKEY_free(made)
      unsafe X509_free(signed)
    }
    // What a BIO in memory held is wiped when it is freed (BIO_s_mem(3), by OPENSSL_clear_free).
    let target = unsafe BIO_new(BIO_s_mem())
    defer { unsafe BIO_free(target) }
    guard unsafe PEM_write_bio_PKCS8PrivateKey(target, made, nil, nil, 0, nil, nil) == 1 else { throw .failed }
    var secret = Secret(capacity: 1024)
    while true {
      var byte: UInt8 = 0
      guard unsafe BIO_read(target, &byte, 1) == 1 else { break }
      secret.append(byte)
    }
    guard unsafe PEM_write_bio_X509(target, signed) == 1 else { throw .failed }
    var text = [UInt8](repeating: 0, count: 8192)
    let count = unsafe BIO_read(target, &text, Int32(text.count))
    guard count > 0 else { throw .failed }
    certificate = Array(text[..<Int(count)])
    key = secret
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    ASCII.isDigit(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x2E || byte == 0x2D || byte == 0x3A
  }
}

public enum SelfSignedCertificateFault: Error, CustomStringConvertible, Sendable {
  /// No names, or such as no server has, or a time that is too long.
  case unfit
  /// OpenSSL could not do it.
  case failed

  public var description: String {
    switch self {
    case .unfit: "no certificate can be made for these names, addresses and days"
    case .failed: "OpenSSL could not make a certificate"
    }
  }
}
