// Numbers as hexadecimal digits of a fixed count, all at once.

public enum Hexadecimal {
  /// The 32 lower-case digits of a number of 128 bits, most significant first.
  @inlinable public static func digits(_ high: UInt64, _ low: UInt64) -> InlineArray<32, UInt8> {
    let words: InlineArray<4, UInt64> = [eight(high >> 32), eight(high), eight(low >> 32), eight(low)]
    // Both are 32 bytes, and every pattern of bits is a value of either.
    return unsafe unsafeBitCast(words, to: InlineArray<32, UInt8>.self)
  }

  /// The eight digits of the lower 32 bits as bytes in memory, by spreading four bits to each byte.
  @inlinable static func eight(_ value: UInt64) -> UInt64 {
    var spread = value & 0xFFFF_FFFF
    spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
    spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
    spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F
    // 6 more carries into the upper half of each byte that is 10 or above; from there to a letter it is 0x27.
    let letters = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
    return (spread &+ 0x3030_3030_3030_3030 &+ letters &* 0x27).bigEndian
  }
}
