// SHA-1 and MD5, for the htpasswd formats that are made of them ({SHA}, {SSHA}, apr1), MD5 also for Digest (`DigestHash`), and for nothing else.

internal import COpenSSL
internal import Primitives

enum SHA1 {
  static let size = 20

  /// Lends the 20 bytes of SHA-1 over `a` then `b` to `body`.
  static func withDigest<R>(_ a: Span<UInt8>, _ b: Span<UInt8>, _ body: (Span<UInt8>) -> R) -> R {
    var state = SHA_CTX()
    unsafe SHA1_Init(&state)
    unsafe a.withUnsafeBufferPointer { if let start = $0.baseAddress { unsafe SHA1_Update(&state, start, $0.count) } }
    unsafe b.withUnsafeBufferPointer { if let start = $0.baseAddress { unsafe SHA1_Update(&state, start, $0.count) } }
    return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size) { out in
      unsafe SHA1_Final(out.baseAddress.unsafelyUnwrapped, &state)
      let result = body(unsafe Span(_unsafeElements: out))
      unsafe OPENSSL_cleanse(out.baseAddress, out.count)
      return result
    }
  }
}

/// MD5 in pieces.
struct MD5 {
  static let size = 16
  private var state = MD5_CTX()

  init() {
    unsafe MD5_Init(&state)
  }

  mutating func update(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBufferPointer { if let start = $0.baseAddress { unsafe MD5_Update(&state, start, $0.count) } }
  }

  /// Writes the 16 bytes over the first 16 of `out`.
  mutating func finish(into out: inout [UInt8]) {
    precondition(out.count >= Self.size, "room for an MD5")
    unsafe out.withUnsafeMutableBufferPointer { buffer in
      _ = unsafe MD5_Final(buffer.baseAddress.unsafelyUnwrapped, &state)
    }
  }
}
