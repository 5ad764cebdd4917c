// The text of an API key: `ghk_`, 32 random bytes, and a checksum, so that a scanner finds it and a slip of the hand is known for one.

internal import Crypto
public import Primitives

extension APIKey {
  /// What every token begins with, so that one left in a public place is found. No user's name may begin so.
  public static let prefix: StaticString = "ghk_"
  /// Characters of a token: the prefix, 32 bytes in URL-safe Base64 without padding, and the checksum.
  public static let tokenLength = checkedLength + checksumLength
  /// What the checksum is made of; a whole token, until tokens got a checksum. Such ones stay good.
  static let checkedLength = 47
  private static let checksumLength = 6

  /// A new token of 32 random bytes, and its entry.
  public static func issue(
    name: [UInt8], expires: Timestamp?, scope: TokenScope = .unlimited, networks: [AddressRange] = []
  ) -> Issued {
    let random = RandomBytes.secret(32)
    var token = Secret(copying: Array("ghk_".utf8).span)
    let encoded = Base64.encodeURLSafe(random.span)
    token.append(encoded.span)
    let checksum = checksum(token.span)
    token.append(checksum.span)
    let key = APIKey(
      name: name, digest: SHA256.hash(token.span), expires: expires, lastFour: ASCII.array(token.span.extracting(last: 4)), scope: scope,
      networks: networks)
    return Issued(token: token, key: key)
  }

  /// A token, to be shown once, and what is kept of it.
  public struct Issued: ~Copyable {
    public let token: Secret
    public let key: APIKey
  }

  /// Whether `text` begins as a token does.
  static func isPrefix(of text: Span<UInt8>) -> Bool {
    text.count >= 4 && ASCII.equals(text.extracting(0..<4), prefix)
  }

  enum Form {
    /// Something else.
    case other
    /// Begins as a token does and can't be one: a letter is wrong, missing or too many. What it was to be stays open; no digest is worth it.
    case mistyped
    /// May have been issued.
    case sound
  }

  /// What `text` is to look at. Depends on nothing but the text, so its time tells nobody anything that he did not send.
  static func form(of text: Span<UInt8>) -> Form {
    guard isPrefix(of: text) else { return .other }
    guard text.count == tokenLength || text.count == checkedLength else { return .mistyped }
    for i in 4..<text.count where !(ASCII.isAlpha(text[i]) || ASCII.isDigit(text[i]) || text[i] == 0x2D || text[i] == 0x5F) {
      return .mistyped
    }
    if text.count == checkedLength { return .sound }
    let expected = ChecksumText.value(text.extracting(checkedLength..<tokenLength))
    return expected == UInt64(CRC32.of(text.extracting(0..<checkedLength))) ? .sound : .mistyped
  }

  /// CRC-32 in six digits of base 62.
  static func checksum(_ text: Span<UInt8>) -> [UInt8] { ChecksumText.digits(UInt64(CRC32.of(text)), checksumLength) }
}

/// Numbers in base 62, `0–9A–Za–z`, most significant digit first.
private enum ChecksumText {
  static func digits(_ value: UInt64, _ count: Int) -> [UInt8] {
    var value = value
    var reversed: [UInt8] = []
    for _ in 0..<count {
      let digit = UInt8(value % 62)
      reversed.append(digit < 10 ? 0x30 + digit : digit < 36 ? 0x41 + digit - 10 : 0x61 + digit - 36)
      value /= 62
    }
    return reversed.reversed()
  }

  static func value(_ text: Span<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for i in text.indices {
      let digit: UInt8
      switch text[i] {
      case 0x30...0x39: digit = text[i] - 0x30
      case 0x41...0x5A: digit = text[i] - 0x41 + 10
      case 0x61...0x7A: digit = text[i] - 0x61 + 36
      default: return nil
      }
      value = value * 62 + UInt64(digit)
    }
    return value
  }
}

/// CRC-32 as in IEEE 802.3 and zlib. Finds slips; protects from nobody.
private enum CRC32 {
  static func of(_ bytes: Span<UInt8>) -> UInt32 {
    var crc = ~UInt32(0)
    for i in bytes.indices {
      crc ^= UInt32(bytes[i])
      for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return ~crc
  }
}
