// Unpredictable bytes.

internal import COpenSSL
public import Primitives

public enum RandomBytes {
  /// `count` random bytes (RAND_bytes(3), seeded by the kernel). Traps when there are none to be had: nothing safe can be done without.
  public static func array(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    unsafe bytes.withUnsafeMutableBytes { unsafe fill($0) }
    return bytes
  }

  /// The same, wiped when let go.
  public static func secret(_ count: Int) -> Secret {
    var bytes = array(count)
    let secret = Secret(copying: bytes.span)
    unsafe bytes.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
    return secret
  }

  /// A random number of 64 bits.
  public static func word() -> UInt64 {
    var word: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &word) { unsafe fill($0) }
    return word
  }

  private static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    guard let start = buffer.baseAddress, buffer.count > 0 else { return }
    let result = unsafe RAND_bytes(start.assumingMemoryBound(to: UInt8.self), Int32(buffer.count))
    precondition(result == 1, "no random bytes to be had")
  }
}
