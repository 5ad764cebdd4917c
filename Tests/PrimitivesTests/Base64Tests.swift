// Base64, strictly.

import Primitives
import Testing

@Suite struct Base64Tests {
  private func decoded(_ text: String) -> [UInt8]? {
    var out = Secret()
    return Base64.decode(Array(text.utf8).span, into: &out) ? ASCII.array(out.span) : nil
  }

  /// RFC 4648 section 10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ])
  func vectorsOfTheRFCHold(_ plain: String, _ encoded: String) {
    let found = Base64.encode(Array(plain.utf8).span)
    #expect(found == Array(encoded.utf8))
    #expect(decoded(encoded) == Array(plain.utf8))
  }

  @Test(arguments: [
    "Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zg==Zg==", "Zm9v=", "Zm 9v", " Zm9v", "Zm9v ", "Zm9v\n", "Zm9\u{0}", "Zm-_", "Zh==",
    "Zm9=", "Z=g=",
    "Zm9vZg=a", "éé",
  ])
  func otherTextIsRefused(_ text: String) {
    #expect(decoded(text) == nil)
  }

  @Test func theAlphabetIsTheAlphabetAndNothingElseIs() {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    for byte in UInt8.min...UInt8.max {
      // Every place of a group, in one that is the last and in one that isn't.
      for place in 0..<8 {
        var text = Array("AAAAAAAA".utf8)
        text[place] = byte
        var out = Secret()
        let isSound = Base64.decode(text.span, into: &out)
        guard let value = alphabet.firstIndex(of: byte) else {
          #expect(isSound == (byte == 0x3D && place == 7), "\(byte) at \(place)")
          continue
        }
        var expected = [UInt8](repeating: 0, count: 6)
        let group = value << (18 - 6 * (place % 4))
        for i in 0..<3 { expected[place / 4 * 3 + i] = UInt8(group >> (16 - 8 * i) & 0xFF) }
        let decoded = ASCII.array(out.span)
        #expect(isSound && decoded == expected, "\(byte) at \(place)")
      }
    }
  }

  @Test func whatIsEncodedIsDecoded() {
    for n in 0..<70 {
      let bytes = (0..<n).map { UInt8(truncatingIfNeeded: $0 &* 73 &+ n) }
      let text = Base64.encode(bytes.span)
      #expect(decoded(ASCII.string(text.span)) == bytes)
      let safe = Base64.encodeURLSafe(bytes.span)
      #expect(!safe.contains(0x3D) && !safe.contains(0x2B) && !safe.contains(0x2F))
      #expect(safe.count == (n * 4 + 2) / 3)
    }
    let safe = Base64.encodeURLSafe([0xFB, 0xFF].span)
    #expect(safe == Array("-_8".utf8))
  }
}

@Suite struct URLSafeBase64Tests {
  @Test func bytesComeBack() {
    for n in 0..<40 {
      let bytes = (0..<n).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 251) }
      let text = Base64.encodeURLSafe(bytes.span)
      #expect(Base64.decodeURLSafe(text.span) == bytes)
    }
  }

  @Test(arguments: ["A", "AAAAA", "AB", "AAB", "QQ==", "Q+Q=", "Q/AA", "Q A", "QQ\n", "_-+_"])
  func thereIsOneSpellingOnly(_ text: String) {
    let bytes = Array(text.utf8)
    #expect(Base64.decodeURLSafe(bytes.span) == nil)
  }
}
