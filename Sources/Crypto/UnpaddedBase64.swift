// Base64 without padding, as PHC strings and passlib write it. Strict: one text for each value.

internal import Primitives

enum UnpaddedBase64 {
  /// The characters after `9`, and `/`.
  enum Alphabet: UInt8 {
    /// RFC 4648 section 4: `+`.
    case standard = 0x2B
    /// passlib's: `.`.
    case dotted = 0x2E
  }

  /// The bytes that `text` stands for; nil on another character, a length that no bytes have, or bits left over that are not zero
  /// (RFC 4648 section 3.5). `text` is of a length that its caller has bounded.
  static func decode(_ text: Span<UInt8>, _ alphabet: Alphabet) -> [UInt8]? {
    guard text.count % 4 != 1 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count * 3 / 4)
    var bits: UInt32 = 0
    var count = 0
    for i in text.indices {
      guard let value = value(text[i], alphabet) else { return nil }
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

  static func encode(_ bytes: Span<UInt8>, _ alphabet: Alphabet) -> [UInt8] {
    Base64.encode(bytes).filter { $0 != 0x3D }.map { $0 == 0x2B ? alphabet.rawValue : $0 }
  }

  private static func value(_ byte: UInt8, _ alphabet: Alphabet) -> UInt8? {
    switch byte {
    case 0x41...0x5A: byte - 0x41
    case 0x61...0x7A: byte - 0x61 + 26
    case 0x30...0x39: byte - 0x30 + 52
    case alphabet.rawValue: 62
    case 0x2F: 63
    default: nil
    }
  }
}
