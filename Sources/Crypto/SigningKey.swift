// A private key that signatures are made with, for whoever verifies them by its public half. It leaves this file in no form.

internal import COpenSSL
internal import Primitives

/// Immutable; made when a configuration is read, shared by every thread after that.
@safe public final class SigningKey: @unchecked Sendable {
  // Safe to share for the same reason as `VerificationKey`.

  /// The one that it is used with: ES256, RS256 or EdDSA.
  public let algorithm: SignatureAlgorithm
  /// The thumbprint of its public half (RFC 7638), in Base64url.
  public let identifier: [UInt8]
  /// The public half as a JSON Web Key (RFC 7517 section 4), with `alg`, `kid` and `use`.
  public let publicJWK: [UInt8]
  private let key: OpaquePointer

  /// A larger one takes longer to sign with than a worker has.
  static let mostRSABits = 4096

  deinit { unsafe EVP_PKEY_free(key) }

  /// The first private key of a PEM text (PKCS #8, PKCS #1 or SEC 1), which is not encrypted.
  public init(pem text: Span<UInt8>) throws(SigningKeyFault) {
    let made = unsafe text.withUnsafeBufferPointer { unsafe gh_private_key($0.baseAddress, $0.count) }
    guard let made = unsafe made else { throw SigningKeyFault(reason: "there is no private key in it: a PEM block PRIVATE KEY, without a passphrase") }
    let facts: Facts
    do throws(SigningKeyFault) {
      facts = try unsafe Self.judge(made)
    } catch {
      unsafe EVP_PKEY_free(made)
      throw error
    }
    unsafe key = made
    algorithm = facts.algorithm
    // RFC 7638 section 3: the required members alone, in the order of their names, without white space.
    let thumbprint = Array((facts.members + "}").utf8)
    var digest: [UInt8] = []
    for pair in Self.pairs(SHA256.hash(thumbprint.span).hex) { digest.append(pair) }
    identifier = Base64.encodeURLSafe(digest.span)
    publicJWK = Array("\(facts.members),\"alg\":\"\(facts.algorithm.name)\",\"kid\":\"\(String(decoding: identifier, as: UTF8.self))\",\"use\":\"sig\"}".utf8)
  }

  /// The bytes that hexadecimal digits stand for.
  private static func pairs(_ hex: [UInt8]) -> [UInt8] {
    stride(from: 0, to: hex.count, by: 2).map { (ASCII.hexValue(hex[$0]) ?? 0) << 4 | (ASCII.hexValue(hex[$0 + 1]) ?? 0) }
  }

  private struct Facts {
    var algorithm: SignatureAlgorithm
    /// The members of its JSON Web Key that its thumbprint is made of, without the closing brace.
    var members: String
  }

  private static func judge(_ key: OpaquePointer) throws(SigningKeyFault) -> Facts {
    unsafe EVP_PKEY_up_ref(key)
    let half: VerificationKey
    do throws(VerificationKeyFault) {
      half = try unsafe VerificationKey(taking: key)
    } catch {
      switch error {
      case .rsaSize(let bits): throw rsaSize(bits)
      case .unsupported(let what): throw SigningKeyFault(reason: "\(what) is not supported: P-256, RSA and Ed25519 are")
      default: throw SigningKeyFault(reason: error.description)
      }
    }
    let facts: Facts
    switch half.kind {
    case .p256:
      let (x, y) = unsafe (number(key, "qx", width: 32), number(key, "qy", width: 32))
      facts = Facts(algorithm: .es256, members: "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"\(x)\",\"y\":\"\(y)\"")
    case .rsa(let bits):
      guard bits <= mostRSABits else { throw rsaSize(bits) }
      let (n, e) = unsafe (number(key, "n", width: 0), number(key, "e", width: 0))
      facts = Facts(algorithm: .rs256, members: "{\"e\":\"\(e)\",\"kty\":\"RSA\",\"n\":\"\(n)\"")
    case .ed25519:
      facts = Facts(algorithm: .edDSA, members: "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"\(unsafe edwardsPoint(key))\"")
    case .p384, .secret:
      throw SigningKeyFault(reason: "a key of the kind \(half.kind.description) is not supported: P-256, RSA and Ed25519 are")
    }
    // A file may hold halves that don't belong together: nobody could verify what it signs.
    let message = Array("gatehouse".utf8)
    guard let signature = unsafe sign(message.span, key, facts.algorithm), half.verify(signature.span, of: message.span, facts.algorithm) else {
      throw SigningKeyFault(reason: "its private and its public half are not of one key")
    }
    return facts
  }

  private static func rsaSize(_ bits: Int) -> SigningKeyFault {
    SigningKeyFault(reason: "the RSA key has \(bits) bits, and \(VerificationKey.rsaBits.lowerBound) to \(mostRSABits) are accepted")
  }

  private static func number(_ key: OpaquePointer, _ name: String, width: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: mostRSABits / 8)
    let count = unsafe bytes.withUnsafeMutableBufferPointer { unsafe gh_public_number(key, name, $0.baseAddress, $0.count, width) }
    return String(decoding: Base64.encodeURLSafe(bytes.span.extracting(0..<count)), as: UTF8.self)
  }

  private static func edwardsPoint(_ key: OpaquePointer) -> String {
    var bytes = [UInt8](repeating: 0, count: 32)
    var count = 32
    _ = unsafe bytes.withUnsafeMutableBufferPointer { unsafe EVP_PKEY_get_raw_public_key(key, $0.baseAddress, &count) }
    return String(decoding: Base64.encodeURLSafe(bytes.span), as: UTF8.self)
  }

  /// The signature of `message` as JSON Web Signatures have it; nil when OpenSSL could not make one.
  public func sign(_ message: Span<UInt8>) -> [UInt8]? { unsafe Self.sign(message, key, algorithm) }

  private static func sign(_ message: Span<UInt8>, _ key: OpaquePointer, _ algorithm: SignatureAlgorithm) -> [UInt8]? {
    var signature = [UInt8](repeating: 0, count: mostRSABits / 8)
    // NULL for EdDSA, which hashes by itself (EVP_SIGNATURE-ED25519(7)).
    let digest = unsafe algorithm == .edDSA ? nil : EVP_sha256()
    let count = unsafe signature.withUnsafeMutableBufferPointer { out in
      unsafe message.withUnsafeBufferPointer { unsafe gh_sign(key, digest, $0.baseAddress, $0.count, out.baseAddress, out.count) }
    }
    return count > 0 ? Array(signature[..<count]) : nil
  }
}

/// Why something is no key to sign with. No part of a key is in the words.
public struct SigningKeyFault: Error, Equatable, Sendable {
  public var reason: String
}
