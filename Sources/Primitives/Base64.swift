// Strict Base64 (RFC 4648 section 4) and its URL-safe alphabet (section 5).

public enum Base64 {
  /// Decodes the standard alphabet with its padding into `output`, which is appended to.
  ///
  /// Strict: the length is a multiple of four, padding stands only at the end, the bits that padding leaves over are zero
  /// (RFC 4648 section 3.5), and nothing else, white space included, is skipped. False on anything else; `output` may then hold a part.
  public static func decode(_ text: Span<UInt8>, into output: inout Secret) -> Bool {
    guard text.count % 4 == 0 else { return false }
    if text.count == 0 { return true }
    var isSound = true
    unsafe output.extend(byAtMost: text.count / 4 * 3) { out in
      let last = text.count &- 4
      var written = 0
      var i = 0
      while i < last {
        let (bits, sound) = group(text[i], text[i &+ 1], text[i &+ 2], text[i &+ 3])
        guard sound else {
          isSound = false
          return written
        }
        unsafe out[written] = UInt8(truncatingIfNeeded: bits >> 16)
        unsafe out[written &+ 1] = UInt8(truncatingIfNeeded: bits >> 8)
        unsafe out[written &+ 2] = UInt8(truncatingIfNeeded: bits)
        written &+= 3
        i &+= 4
      }
      let padding = text[last &+ 3] != 0x3D ? 0 : text[last &+ 2] != 0x3D ? 1 : 2
      // `A` stands for zeros.
      let (bits, sound) = group(text[last], text[last &+ 1], padding > 1 ? 0x41 : text[last &+ 2], padding > 0 ? 0x41 : text[last &+ 3])
      let spare: UInt32 = padding == 0 ? 0 : padding == 1 ? 0xFF : 0xFFFF
      guard sound, bits & spare == 0 else {
        isSound = false
        return written
      }
      unsafe out[written] = UInt8(truncatingIfNeeded: bits >> 16)
      if padding < 2 { unsafe out[written &+ 1] = UInt8(truncatingIfNeeded: bits >> 8) }
      if padding < 1 { unsafe out[written &+ 2] = UInt8(truncatingIfNeeded: bits) }
      return written &+ 3 &- padding
    }
    return isSound
  }

  /// Four characters without padding: 24 bits, and whether all of them are of the alphabet.
  @inline(__always) private static func group(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> (UInt32, Bool) {
    let (a, b, c, d) = (sextet(a), sextet(b), sextet(c), sextet(d))
    return ((a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | d & 63, a & b & c & d & 0x40 != 0)
  }

  /// 0x40 and the value of a character; without 0x40 it has none.
  @inline(__always) private static func sextet(_ byte: UInt8) -> UInt32 {
    // One character for each byte: text needs no code to be made when the program starts, as an array does.
    let table: StaticString = """
                                                 ~   \u{7F}tuvwxyz{|}       @ABCDEFGHIJKLMNOPQRSTUVWXY      Z[\\]^_`abcdefghijklmnopqrs     \
                                                                                                                                      \

      """
    return unsafe UInt32(table.utf8Start[Int(byte)])
  }

  /// Decodes the URL-safe alphabet without padding (RFC 7515 section 2). nil unless every character is of it, the length can be one, and the
  /// bits left over are zero: so there is one text only for the same bytes.
  public static func decodeURLSafe(_ text: Span<UInt8>) -> [UInt8]? {
    guard text.count % 4 != 1 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count * 3 / 4)
    var bits: UInt32 = 0
    var count = 0
    for i in text.indices {
      let byte = text[i]
      guard byte != 0x2B && byte != 0x2F, let value = byte == 0x2D ? 62 : byte == 0x5F ? 63 : value(byte) else { return nil }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        bits &= (1 << UInt32(count)) - 1
      }
    }
    return bits == 0 ? bytes : nil
  }

  /// The standard alphabet with padding.
  public static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    encode(bytes, alphabet: standard, padded: true)
  }

  /// The URL-safe alphabet without padding, as in JWS (RFC 7515 section 2).
  public static func encodeURLSafe(_ bytes: Span<UInt8>) -> [UInt8] {
    encode(bytes, alphabet: urlSafe, padded: false)
  }

  private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let urlSafe = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  private static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x41...0x5A: byte - 0x41
    case 0x61...0x7A: byte - 0x61 + 26
    case 0x30...0x39: byte - 0x30 + 52
    case 0x2B: 62
    case 0x2F: 63
    default: nil
    }
  }

  private static func encode(_ bytes: Span<UInt8>, alphabet: [UInt8], padded: Bool) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var i = 0
    while i < bytes.count {
      let a = bytes[i]
      let b = i + 1 < bytes.count ? bytes[i + 1] : 0
      let c = i + 2 < bytes.count ? bytes[i + 2] : 0
      text.append(alphabet[Int(a >> 2)])
      text.append(alphabet[Int((a & 3) << 4 | b >> 4)])
      if i + 1 < bytes.count { text.append(alphabet[Int((b & 15) << 2 | c >> 6)]) } else if padded { text.append(0x3D) }
      if i + 2 < bytes.count { text.append(alphabet[Int(c & 63)]) } else if padded { text.append(0x3D) }
      i += 3
    }
    return text
  }
}
