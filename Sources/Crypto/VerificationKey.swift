// A key that signatures are verified with: a public one, or a secret that both sides know. Never a private one.

internal import COpenSSL
internal import Primitives

/// Immutable; made when a configuration or a key file is read, shared by every thread after that.
@safe public final class VerificationKey: @unchecked Sendable {
  // Safe to share: OpenSSL allows several threads to use one EVP_PKEY that none of them changes (openssl-threads(7)).

  public enum Kind: Equatable, Sendable {
    case secret(bytes: Int)
    case rsa(bits: Int)
    case p256
    case p384
    case ed25519

    /// As people are told: `RSA, 2048 bits`.
    public var description: String {
      switch self {
      case .secret(let bytes): "secret, \(bytes) bytes"
      case .rsa(let bits): "RSA, \(bits) bits"
      case .p256: "EC, P-256"
      case .p384: "EC, P-384"
      case .ed25519: "Ed25519"
      }
    }
  }

  public let kind: Kind
  /// nil for a secret.
  private let key: OpaquePointer?
  /// Empty for a public key.
  private let secret: Secret

  /// RSA moduli below are broken or will be (RFC 7518 section 3.3); above, one verification takes longer than it is worth.
  static let rsaBits = 2048...8192
  /// RFC 7518 section 3.2: at least the size of the hash. The smallest hash is 32 bytes.
  static let shortestSecret = 32
  static let longestSecret = 1024

  deinit {
    unsafe EVP_PKEY_free(key)
  }

  // MARK: Making

  /// A shared secret of 32 to 1024 bytes. Which algorithms it is long enough for is said by `fits`.
  public init(secret: Span<UInt8>) throws(VerificationKeyFault) {
    guard secret.count >= Self.shortestSecret else { throw .secretTooShort(bytes: secret.count) }
    guard secret.count <= Self.longestSecret else { throw .secretTooLong }
    kind = .secret(bytes: secret.count)
    unsafe key = nil
    self.secret = Secret(copying: secret)
  }

  /// RSA by its modulus and exponent, big-endian (RFC 7518 section 6.3.1).
  public convenience init(rsaModulus n: Span<UInt8>, exponent e: Span<UInt8>) throws(VerificationKeyFault) {
    guard n.count > 0 && n.count <= 4096 && e.count > 0 && e.count <= 64 else { throw .unusable("its numbers are out of range") }
    let made = unsafe n.withUnsafeBufferPointer { n in
      unsafe e.withUnsafeBufferPointer { e in unsafe gh_rsa_public_key(n.baseAddress, n.count, e.baseAddress, e.count) }
    }
    try unsafe self.init(taking: made)
  }

  public enum Curve: Sendable {
    case p256
    case p384

    /// Bytes of a coordinate.
    public var size: Int { self == .p256 ? 32 : 48 }
  }

  /// A point of a curve, both coordinates of the curve's full size (RFC 7518 section 6.2.1).
  public convenience init(curve: Curve, x: Span<UInt8>, y: Span<UInt8>) throws(VerificationKeyFault) {
    guard x.count == curve.size && y.count == curve.size else { throw .unusable("its coordinates have not the curve's size") }
    // SEC 1 section 2.3.3, uncompressed.
    let point = [0x04] + ASCII.array(x) + ASCII.array(y)
    let made = unsafe point.withUnsafeBufferPointer {
      unsafe gh_ec_public_key(curve == .p256 ? "P-256" : "P-384", $0.baseAddress, $0.count)
    }
    try unsafe self.init(taking: made)
  }

  /// Ed25519 by its 32 bytes (RFC 8037 section 2).
  public convenience init(ed25519 bytes: Span<UInt8>) throws(VerificationKeyFault) {
    guard bytes.count == 32 else { throw .unusable("an Ed25519 key has 32 bytes") }
    let made = unsafe bytes.withUnsafeBufferPointer {
      unsafe EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, $0.baseAddress, $0.count)
    }
    try unsafe self.init(taking: made)
  }

  /// Takes the key over, also where it throws.
  init(taking made: OpaquePointer?) throws(VerificationKeyFault) {
    secret = Secret(capacity: 0)
    unsafe key = made
    ERR_clear_error()
    guard let made = unsafe made else {
      kind = .ed25519
      throw .unusable("its numbers make no key")
    }
    do throws(VerificationKeyFault) {
      kind = try unsafe Self.judge(made)
    } catch {
      kind = .ed25519
      throw error
    }
  }

  private static func judge(_ key: OpaquePointer) throws(VerificationKeyFault) -> Kind {
    switch unsafe EVP_PKEY_get_base_id(key) {
    case EVP_PKEY_RSA:
      let bits = Int(unsafe EVP_PKEY_get_bits(key))
      guard rsaBits.contains(bits) else { throw .rsaSize(bits: bits) }
      // Large ones make each verification dear, and nobody uses them.
      let exponent = unsafe gh_rsa_exponent(key)
      guard exponent > 2 && exponent % 2 == 1 else { throw .unusable("its exponent is even, below 3 or above 64 bits") }
      return .rsa(bits: bits)
    case EVP_PKEY_EC:
      guard unsafe isSound(key) else { throw .unusable("its point is not on the curve") }
      switch unsafe groupName(key) {
      case "prime256v1", "P-256": return .p256
      case "secp384r1", "P-384": return .p384
      case let other: throw .unsupported("a key of the curve \(other)")
      }
    case EVP_PKEY_ED25519: return .ed25519
    case EVP_PKEY_RSA_PSS: throw .unsupported("an RSA key that is restricted to PSS")
    default: throw .unsupported("a key of this kind")
    }
  }

  private static func isSound(_ key: OpaquePointer) -> Bool {
    let context = unsafe EVP_PKEY_CTX_new(key, nil)
    defer {
      unsafe EVP_PKEY_CTX_free(context)
      ERR_clear_error()
    }
    return unsafe EVP_PKEY_public_check(context) == 1
  }

  private static func groupName(_ key: OpaquePointer) -> String {
    var name = [UInt8](repeating: 0, count: 64)
    var length = 0
    let found = unsafe name.withUnsafeMutableBytes {
      unsafe EVP_PKEY_get_group_name(key, $0.assumingMemoryBound(to: CChar.self).baseAddress, $0.count, &length)
    }
    ERR_clear_error()
    return found == 1 ? String(decoding: name[..<length], as: UTF8.self) : "of no name"
  }

  // MARK: Verifying

  /// Whether `algorithm` may be used with this key: never a secret's with a public key, nor one curve's with another's.
  public func fits(_ algorithm: SignatureAlgorithm) -> Bool {
    switch (kind, algorithm) {
    case (.secret(let bytes), .hs256), (.secret(let bytes), .hs384), (.secret(let bytes), .hs512): bytes >= algorithm.hashSize
    case (.rsa, .rs256), (.rsa, .rs384), (.rsa, .rs512), (.rsa, .ps256), (.rsa, .ps384), (.rsa, .ps512): true
    case (.p256, .es256), (.p384, .es384), (.ed25519, .edDSA): true
    default: false
    }
  }

  /// Whether `signature` is that of `message` by this key and `algorithm`. False too where the algorithm does not fit the key or the
  /// signature has another length than all of this algorithm's have.
  public func verify(_ signature: Span<UInt8>, of message: Span<UInt8>, _ algorithm: SignatureAlgorithm) -> Bool {
    guard fits(algorithm) else { return false }
    switch kind {
    case .secret: return Self.verifyCode(secret, signature, message, algorithm)
    case .rsa(let bits):
      // RFC 8017 sections 8.1.2 and 8.2.2, step 1.
      guard signature.count == (bits + 7) / 8 else { return false }
      return verifySigned(signature, message, algorithm)
    case .p256: return verifyPair(signature, message, algorithm, size: 32)
    case .p384: return verifyPair(signature, message, algorithm, size: 48)
    case .ed25519:
      // RFC 8032 section 5.1.7, step 1.
      guard signature.count == 64 else { return false }
      return verifySigned(signature, message, algorithm)
    }
  }

  private static func verifyCode(
    _ secret: borrowing Secret, _ signature: Span<UInt8>, _ message: Span<UInt8>, _ algorithm: SignatureAlgorithm
  ) -> Bool {
    var code = [UInt8](repeating: 0, count: 64)
    let size = unsafe code.withUnsafeMutableBufferPointer { out in
      unsafe secret.span.withUnsafeBufferPointer { key in
        unsafe message.withUnsafeBufferPointer { message -> Int in
          var size: UInt32 = 0
          let done = unsafe HMAC(
            digest(algorithm), key.baseAddress, Int32(key.count), message.baseAddress, message.count, out.baseAddress, &size)
          return unsafe done == nil ? 0 : Int(size)
        }
      }
    }
    guard size == algorithm.hashSize else { return false }
    return ConstantTime.equals(code.span.extracting(0..<size), signature)
  }

  private func verifyPair(_ pair: Span<UInt8>, _ message: Span<UInt8>, _ algorithm: SignatureAlgorithm, size: Int) -> Bool {
    guard pair.count == 2 * size else { return false }
    var der = [UInt8](repeating: 0, count: ECDSASignature.largestDER(size))
    let count = ECDSASignature.encode(pair, size: size, into: &der)
    return verifySigned(der.span.extracting(0..<count), message, algorithm)
  }

  private func verifySigned(_ signature: Span<UInt8>, _ message: Span<UInt8>, _ algorithm: SignatureAlgorithm) -> Bool {
    // RFC 7518 section 3.5: the salt is as long as the hash.
    let salt = algorithm.isPSS ? Int32(algorithm.hashSize) : -1
    return unsafe signature.withUnsafeBufferPointer { signature in
      unsafe message.withUnsafeBufferPointer { message in
        unsafe gh_verify(
          key, Self.digest(algorithm), salt, signature.baseAddress, signature.count, message.baseAddress, message.count) == 1
      }
    }
  }

  /// NULL for EdDSA, which hashes by itself (EVP_SIGNATURE-ED25519(7)).
  private static func digest(_ algorithm: SignatureAlgorithm) -> OpaquePointer? {
    switch algorithm.hashSize {
    case 32: unsafe EVP_sha256()
    case 48: unsafe EVP_sha384()
    case 64: unsafe EVP_sha512()
    default: nil
    }
  }
}

/// Why something is no key to verify with. No part of a key is in the words.
public enum VerificationKeyFault: Error, Equatable, Sendable, CustomStringConvertible {
  case privateKey
  case noKey
  case severalKeys
  case brokenPEM
  case secretTooShort(bytes: Int)
  case secretTooLong
  case rsaSize(bits: Int)
  case unsupported(String)
  case unusable(String)

  public var description: String {
    switch self {
    case .privateKey: "this is a private key: give the public one (openssl pkey -pubout makes it)"
    case .noKey: "there is no public key in it: a PEM block PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE"
    case .severalKeys: "there are several keys in it: put each in a set of keys (JWK Set) with its name"
    case .brokenPEM: "its PEM can't be read: it was damaged or cut short"
    case .secretTooShort(let bytes):
      "the secret has \(bytes) bytes, and needs \(VerificationKey.shortestSecret) at least (RFC 7518 section 3.2)"
    case .secretTooLong: "the secret has more than \(VerificationKey.longestSecret) bytes"
    case .rsaSize(let bits):
      "the RSA key has \(bits) bits, and \(VerificationKey.rsaBits.lowerBound) to \(VerificationKey.rsaBits.upperBound) are accepted"
    case .unsupported(let what): "\(what) is not supported: RSA, P-256, P-384 and Ed25519 are"
    case .unusable(let why): "the key can't be used: \(why)"
    }
  }
}
