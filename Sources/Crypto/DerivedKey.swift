// Room for a key derived from a password: lent, compared and wiped.

internal import COpenSSL
internal import Primitives

enum DerivedKey {
  /// The longest digest that a stored hash may have, in bytes.
  static let longest = 128

  /// Lends `body` the `length` bytes (1 to `longest`) that `derive` has written; nothing when it answers false. Wipes them after.
  static func with<R>(length: Int, _ derive: (UnsafeMutablePointer<UInt8>) -> Bool, then body: (Span<UInt8>) -> R) -> R {
    precondition(length >= 1 && length <= longest, "a digest of \(length) bytes")
    return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: length) { out in
      let start = unsafe out.baseAddress.unsafelyUnwrapped
      unsafe start.initialize(repeating: 0, count: length)
      let isDone = unsafe derive(start)
      let result = body(unsafe Span(_unsafeElements: UnsafeBufferPointer(start: start, count: isDone ? length : 0)))
      unsafe OPENSSL_cleanse(start, length)
      return result
    }
  }
}
