// Apache's MD5 password hash, `$apr1$`: the md5-crypt construction (Kamp, 1994) under another magic, which libcrypt does not know.

internal import Primitives

enum Apr1 {
  static let magic = Array("$apr1$".utf8)
  /// Characters of the encoded digest.
  static let digestLength = 22
  private static let rounds = 1000

  /// The 22 characters of the digest of `password` with `salt` (at most eight bytes).
  static func digest(_ password: Span<UInt8>, salt: Span<UInt8>) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: MD5.size)
    var mixed = MD5()
    mixed.update(password)
    mixed.update(salt)
    mixed.update(password)
    mixed.finish(into: &block)

    var first = MD5()
    first.update(password)
    first.update(magic.span)
    first.update(salt)
    var left = password.count
    while left > 0 {
      first.update(block.span.extracting(first: min(left, MD5.size)))
      left -= MD5.size
    }
    // One byte for each bit of the length, from the lowest: a NUL for a 1, the first character for a 0.
    let zero: [UInt8] = [0]
    var bits = password.count
    while bits > 0 {
      if bits & 1 == 1 { first.update(zero.span) } else { first.update(password.extracting(first: 1)) }
      bits >>= 1
    }
    first.finish(into: &block)

    for round in 0..<rounds {
      var next = MD5()
      if round & 1 == 1 { next.update(password) } else { next.update(block.span) }
      if round % 3 != 0 { next.update(salt) }
      if round % 7 != 0 { next.update(password) }
      if round & 1 == 1 { next.update(block.span) } else { next.update(password) }
      next.finish(into: &block)
    }

    var text: [UInt8] = []
    text.reserveCapacity(digestLength)
    for (x, y, z) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
      encode(UInt32(block[x]) << 16 | UInt32(block[y]) << 8 | UInt32(block[z]), characters: 4, into: &text)
    }
    encode(UInt32(block[11]), characters: 2, into: &text)
    return text
  }

  /// Six bits a character, lowest first.
  private static func encode(_ value: UInt32, characters: Int, into text: inout [UInt8]) {
    var value = value
    for _ in 0..<characters {
      text.append(CryptAlphabet.character(UInt8(truncatingIfNeeded: value & 63)))
      value >>= 6
    }
  }
}

/// The 64 characters of crypt(5): `./0-9A-Za-z`.
enum CryptAlphabet {
  static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x2E, 0x2F: byte - 0x2E
    case 0x30...0x39: byte - 0x30 + 2
    case 0x41...0x5A: byte - 0x41 + 12
    case 0x61...0x7A: byte - 0x61 + 38
    default: nil
    }
  }

  static func character(_ value: UInt8) -> UInt8 {
    switch value {
    case 0, 1: value + 0x2E
    case 2...11: value - 2 + 0x30
    case 12...37: value - 12 + 0x41
    default: (value & 63) - 38 + 0x61
    }
  }

  static func holds(_ bytes: Span<UInt8>) -> Bool {
    for i in bytes.indices where value(bytes[i]) == nil { return false }
    return true
  }
}
