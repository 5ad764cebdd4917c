// The proof of a WebSocket handshake (RFC 6455 section 1.3): what shows that a server understood it. Proves nothing to anybody who means ill.

internal import Primitives

/// `Sec-WebSocket-Key` and what has to come back for it.
public enum WebSocketKey {
  /// One for a handshake of our own (RFC 6455 section 4.1, point 7): 16 bytes that nobody has used before.
  public static func make() -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<2 {
      let word = UInt64.random(in: .min ... .max)
      for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
    return Base64.encode(bytes.span)
  }

  /// Whether `value` is 16 bytes in base64 (RFC 6455 section 4.2.1, point 5): 22 characters, the last of which has two bits, and `==`.
  static func isOne(_ value: Span<UInt8>) -> Bool {
    guard value.count == 24, value[22] == 0x3D, value[23] == 0x3D else { return false }
    for i in 0..<22 {
      let byte = value[i]
      guard ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2B || byte == 0x2F else { return false }
    }
    return value[21] == 0x41 || value[21] == 0x51 || value[21] == 0x67 || value[21] == 0x77
  }

  /// The `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2, point 5.4).
  public static func accept(_ key: [UInt8]) -> [UInt8] {
    Base64.encode(SHA1.digest(key + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)).span)
  }
}

/// FIPS 180-4 section 6.1. Here, and not from `Crypto`, since it is neither for secrets nor for proofs, and this room has no door to there.
enum SHA1 {
  static func digest(_ message: [UInt8]) -> [UInt8] {
    var padded = message
    padded.append(0x80)
    while padded.count % 64 != 56 { padded.append(0) }
    let bits = UInt64(message.count) * 8
    for shift in stride(from: UInt64(56), through: 0, by: -8) { padded.append(UInt8(truncatingIfNeeded: bits >> shift)) }
    var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
    for start in stride(from: 0, to: padded.count, by: 64) { mix(padded[start..<start + 64], into: &state) }
    return state.flatMap { word in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) } }
  }

  private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
    var words: [UInt32] = []
    for i in stride(from: block.startIndex, to: block.endIndex, by: 4) {
      words.append(block[i..<i + 4].reduce(0) { $0 << 8 | UInt32($1) })
    }
    for i in 16..<80 { words.append(rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1)) }
    var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
    for i in 0..<80 {
      let (f, constant): (UInt32, UInt32) =
        switch i {
        case ..<20: (b & c | ~b & d, 0x5A82_7999)
        case ..<40: (b ^ c ^ d, 0x6ED9_EBA1)
        case ..<60: (b & c | b & d | c & d, 0x8F1B_BCDC)
        default: (b ^ c ^ d, 0xCA62_C1D6)
        }
      let next = rotate(a, 5) &+ f &+ e &+ constant &+ words[i]
      (e, d, c, b, a) = (d, c, rotate(b, 30), a, next)
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
    state[4] &+= e
  }

  private static func rotate(_ word: UInt32, _ n: UInt32) -> UInt32 { word << n | word >> (32 - n) }
}
