// Strict Base64 (RFC 4648 section 4) and its URL-safe alphabet (section 5).

public enum Base64 {
  /// Decodes the standard alphabet with its padding into `output`, which is appended to.
  ///
  /// Strict: the length is a multiple of four, padding stands only at the end, the bits that padding leaves over are zero
  /// (RFC 4648 section 3.5), and nothing else, white space included, is skipped. False on anything else; `output` may then hold a part.
  public static func decode(_ text: Span<UInt8>, into output: inout Secret) -> Bool {
    guard text.count % 4 == 0 else { return false }
    var i = 0
    while i < text.count {
      let last = i + 4 == text.count
      guard let a = value(text[i]), let b = value(text[i + 1]) else { return false }
      output.append(a << 2 | b >> 4)
      if last && text[i + 2] == 0x3D {
        return text[i + 3] == 0x3D && b & 0x0F == 0
      }
      guard let c = value(text[i + 2]) else { return false }
      output.append(b << 4 | c >> 2)
      if last && text[i + 3] == 0x3D {
        return c & 0x03 == 0
      }
      guard let d = value(text[i + 3]) else { return false }
      output.append(c << 6 | d)
      i += 4
    }
    return true
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
