// Byte classes against their definitions, over all 256 bytes.

import Primitives
import Testing

@Suite struct ASCIITests {
  private static let all = Array(UInt8.min...UInt8.max)

  @Test func tokensAreThoseOfTheRFC() {
    let allowed = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
    #expect(Self.all.filter(ASCII.isToken) == Self.all.filter(allowed.contains))
  }

  @Test func classesAreThoseOfTheRFC() {
    #expect(Self.all.filter(ASCII.isFieldValue) == Self.all.filter { $0 == 9 || ($0 >= 32 && $0 != 127) })
    #expect(Self.all.filter(ASCII.isDigit) == Array("0123456789".utf8))
    #expect(Set(Self.all.filter(ASCII.isAlpha)) == Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8))
    #expect(Self.all.filter(ASCII.isWhitespace) == [9, 32])
    #expect(Self.all.filter(ASCII.isControl) == Array(0...31) + [127])
  }

  @Test func caseIsFoldedForLettersAlone() {
    for byte in Self.all {
      let isUpper = byte >= 0x41 && byte <= 0x5A
      #expect(ASCII.lowercased(byte) == (isUpper ? byte + 32 : byte))
    }
  }

  @Test func hexadecimalDigitsGoBothWays() {
    for byte in Self.all {
      let expected = Character(Unicode.Scalar(byte)).isASCII ? Character(Unicode.Scalar(byte)).hexDigitValue : nil
      #expect(ASCII.hexValue(byte).map(Int.init) == expected)
    }
    for value in UInt8(0)...15 {
      #expect(ASCII.hexValue(ASCII.lowerHexDigit(value)) == value)
      #expect(ASCII.hexValue(ASCII.upperHexDigit(value)) == value)
      #expect(ASCII.lowercased(ASCII.upperHexDigit(value)) == ASCII.lowerHexDigit(value))
    }
  }

  @Test(arguments: [
    ("0", UInt64(0)), ("7", 7), ("007", 7), ("9999999999999999999", 9_999_999_999_999_999_999), ("", nil), ("-1", nil), ("+1", nil),
    (" 1", nil),
    ("1 ", nil), ("1a", nil), ("00000000000000000000", nil), ("18446744073709551616", nil), ("/", nil), (":", nil),
  ])
  func decimalIsDigitsAndNothingElse(_ text: String, _ value: UInt64?) {
    let found = ASCII.decimal(Array(text.utf8).span)
    #expect(found == value)
  }

  @Test func equalityFoldsCaseWhereItSaysSo() {
    let text = Array("Content-Length".utf8)
    let upper = Array("CONTENT-LENGTH".utf8)
    let results = [
      ASCII.equals(text.span, ignoringCaseOf: "content-length"), ASCII.equals(text.span, ignoringCaseOf: upper.span),
      ASCII.equals(text.span, "Content-Length"), ASCII.equals(text.span, text.span),
      ASCII.starts(text.span, with: Array("Content".utf8).span),
      ASCII.starts(text.span, with: [UInt8]().span),
    ]
    #expect(results == Array(repeating: true, count: 6))
    let others = [
      ASCII.equals(text.span, ignoringCaseOf: "content-lengt"), ASCII.equals(text.span, ignoringCaseOf: "content_length"),
      ASCII.equals(text.span, "content-length"), ASCII.equals(text.span, upper.span), ASCII.starts(text.span, with: upper.span),
      ASCII.starts(text.span, with: Array("Content-Length:".utf8).span),
      // `@` and the grave accent differ in the bit of case, and are no letters.
      ASCII.equals([0x40].span, ignoringCaseOf: "`"),
    ]
    #expect(others == Array(repeating: false, count: 7))
  }

  @Test func firstIndexIsFoundFromItsStart() {
    let text = Array("a,b,c".utf8)
    var found = ASCII.firstIndex(of: 0x2C, in: text.span)
    #expect(found == 1)
    found = ASCII.firstIndex(of: 0x2C, in: text.span, from: 2)
    #expect(found == 3)
    found = ASCII.firstIndex(of: 0x2C, in: text.span, from: 4)
    #expect(found == nil)
    found = ASCII.firstIndex(of: 0x2C, in: text.span, from: 9)
    #expect(found == nil)
  }

  @Test func textAndArrayAreCopies() {
    let (string, array) = (ASCII.string([0x61, 0xFF].span), ASCII.array([1, 2].span))
    #expect(string == "a\u{FFFD}" && array == [1, 2])
  }
}
