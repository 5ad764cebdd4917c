// scrypt (RFC 7914), by OpenSSL. crypt(5)'s `$7$` is libcrypt's and not done here.

internal import COpenSSL
internal import Primitives

enum Scrypt {
  struct Parameters: Hashable {
    /// log2 of N.
    var logN: UInt8
    var blockSize: UInt32
    var parallelism: UInt32
    /// Bytes, at most `DerivedKey.longest`.
    var digestLength: UInt8

    init(logN: UInt8, blockSize: UInt32, parallelism: UInt32, digestLength: UInt8) {
      self.logN = logN
      self.blockSize = blockSize
      self.parallelism = parallelism
      self.digestLength = digestLength
    }

    init(packed: UInt128) {
      digestLength = UInt8(truncatingIfNeeded: packed)
      parallelism = UInt32(truncatingIfNeeded: packed >> 8)
      blockSize = UInt32(truncatingIfNeeded: packed >> 40)
      logN = UInt8(truncatingIfNeeded: packed >> 72)
    }

    var packed: UInt128 {
      UInt128(logN) << 72 | UInt128(blockSize) << 40 | UInt128(parallelism) << 8 | UInt128(digestLength)
    }

    var label: String { "ln=\(logN),r=\(blockSize),p=\(parallelism)" + (digestLength == 32 ? "" : ",l=\(digestLength)") }
  }

  /// Lends the digest to `body`, and nothing when there is none (no memory, or parameters that OpenSSL refuses).
  static func withDigest<R>(_ parameters: Parameters, _ password: Span<UInt8>, salt: Span<UInt8>, _ body: (Span<UInt8>) -> R) -> R {
    // What OpenSSL may take. It wants a bound, and has a default of 32 MiB; the real one was held when the hash was read.
    let bound = UInt64.max
    return unsafe DerivedKey.with(length: Int(parameters.digestLength)) { out in
      unsafe password.withUnsafeBufferPointer { password in
        unsafe salt.withUnsafeBufferPointer { salt in
          let isDone =
            unsafe EVP_PBE_scrypt(
              UnsafeRawPointer(password.baseAddress)?.assumingMemoryBound(to: CChar.self), password.count, salt.baseAddress, salt.count,
              1 << UInt64(parameters.logN), UInt64(parameters.blockSize), UInt64(parameters.parallelism), bound, out,
              Int(parameters.digestLength)) == 1
          if !isDone { ERR_clear_error() }
          return isDone
        }
      }
    } then: {
      body($0)
    }
  }
}
