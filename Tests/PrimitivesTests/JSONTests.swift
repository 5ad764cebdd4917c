// JSON is read strictly: what two readers might take differently is no JSON here.

import Primitives
import Testing

@Suite struct JSONTests {
  private func parse(_ text: String, depth: Int = 8) -> JSON? {
    let bytes = Array(text.utf8)
    return try? JSON.parse(bytes.span, depth: depth)
  }

  @Test func valuesAreRead() {
    #expect(parse(" {\"a\": [1, -2.5e3, true, null, \"x\"], \"b\": {}} ")?["a"]?.array?.count == 5)
    #expect(parse("\"\\u00e9\\ud83d\\ude00\\n\\/\"")?.string == Array("é😀\n/".utf8))
    #expect(parse("{\"exp\": 1700000000}")?["exp"]?.number?.integer == 1_700_000_000)
    #expect(parse("1700000000.9")?.number?.truncated == 1_700_000_000)
    #expect(parse("[]") == .array([]))
  }

  @Test(arguments: [
    "", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "01", "-", "1.", ".5", "1e", "+1", "nul", "NaN", "Infinity", "'a'", "\"a",
    "\"\\x41\"", "\"\\ud800\"", "\"\\ude00\"", "\"\\ud800\\u0041\"", "\"\u{1}\"", "// c\n1", "1 2", "{a:1}", "[1 2]", "\u{FEFF}1",
  ])
  func whatIsNotJSONIsRefused(_ text: String) {
    #expect(parse(text) == nil)
  }

  @Test func aNameThatStandsTwiceIsRefused() {
    #expect(parse("{\"a\":1,\"a\":1}") == nil)
    #expect(parse("{\"a\":1,\"\\u0061\":2}") == nil)
    #expect(parse("{\"a\":{\"b\":1},\"b\":{\"a\":1}}") != nil)
  }

  @Test func bytesThatAreNotUTF8AreRefused() {
    for bytes: [UInt8] in [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]] {
      #expect((try? JSON.parse(bytes.span)) == nil)
    }
  }

  @Test func nestingIsBounded() {
    #expect(parse("[[[]]]", depth: 3) != nil)
    #expect(parse("[[[]]]", depth: 2) == nil)
    #expect(parse(String(repeating: "[", count: 100_000)) == nil)
  }

  @Test func hugeNumbersAreNoIntegers() {
    #expect(parse("99999999999999999999")?.number?.integer == nil)
    #expect(parse("1e400")?.number?.truncated == nil)
    #expect(parse("9223372036854775807")?.number?.truncated == nil)
    #expect(parse("-9223372036854775808")?.number?.truncated == nil)
    #expect(parse("1e15")?.number?.truncated == 1_000_000_000_000_000)
  }

  @Test func whatIsQuotedIsReadBack() {
    var out: [UInt8] = []
    let text = Array("a\"\\\u{1}\u{7F}é\n".utf8)
    JSON.append(quoted: text.span, to: &out)
    #expect((try? JSON.parse(out.span))?.string == text)
  }
}
