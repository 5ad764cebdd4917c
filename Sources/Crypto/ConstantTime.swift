// Comparison of secrets, in a time that depends on their length alone.

internal import COpenSSL

public enum ConstantTime {
  /// Whether both hold the same bytes. Different lengths are unequal at once: lengths are not secret here
  /// (compare digests where they are).
  public static func equals(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    if a.count == 0 { return true }
    return unsafe a.withUnsafeBufferPointer { x in
      unsafe b.withUnsafeBufferPointer { y in
        unsafe gh_equal(x.baseAddress, y.baseAddress, x.count) == 1
      }
    }
  }
}
