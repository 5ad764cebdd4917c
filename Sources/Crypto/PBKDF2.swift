// PBKDF2 (RFC 8018 section 5.2) with HMAC, by OpenSSL.

internal import COpenSSL
internal import Primitives

enum PBKDF2 {
  /// Bytes of the digest that each kind's own hash function makes, and that its stored hashes have.
  static func digestLength(_ kind: PasswordHash.Kind) -> Int {
    switch kind {
    case .pbkdf2SHA512: 64
    case .pbkdf2SHA256: 32
    default: 20
    }
  }

  /// Lends `length` bytes to `body`, and nothing when OpenSSL refuses.
  static func withDigest<R>(
    _ kind: PasswordHash.Kind, iterations: UInt32, _ password: Span<UInt8>, salt: Span<UInt8>, length: Int, _ body: (Span<UInt8>) -> R
  ) -> R {
    let function = unsafe kind == .pbkdf2SHA512 ? EVP_sha512() : kind == .pbkdf2SHA256 ? EVP_sha256() : EVP_sha1()
    return unsafe DerivedKey.with(length: length) { out in
      unsafe password.withUnsafeBufferPointer { password in
        unsafe salt.withUnsafeBufferPointer { salt in
          let isDone =
            unsafe PKCS5_PBKDF2_HMAC(
              UnsafeRawPointer(password.baseAddress)?.assumingMemoryBound(to: CChar.self), Int32(password.count), salt.baseAddress,
              Int32(salt.count), Int32(clamping: iterations), function, Int32(length), out) == 1
          if !isDone { ERR_clear_error() }
          return isDone
        }
      }
    } then: {
      body($0)
    }
  }
}
