// What requests are called: by us, and by a trusted proxy.

import Primitives
import Testing

@testable import Proxy

@Suite struct RequestIdentifierTests {
  private func text(_ identifier: RequestIdentifier) -> String {
    var out = ByteBuffer()
    identifier.append(to: &out)
    return String(decoding: out.array(), as: UTF8.self)
  }

  @Test func identifierIsThirtyTwoLowerCaseHexadecimalDigits() {
    var source = RequestIdentifiers()
    let identifier = source.make().bytes
    #expect(identifier.count == 32)
    #expect(identifier.allSatisfy { ASCII.isDigit($0) || (0x61...0x66).contains($0) })
  }

  @Test(
    arguments: [
      (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, "0123456789abcdeffedcba9876543210"), (0, 0, String(repeating: "0", count: 32)),
      (.max, .max, String(repeating: "f", count: 32)), (0x9a9a_9a9a_a9a9_a9a9, 0x0000_0001_8000_0000, "9a9a9a9aa9a9a9a90000000180000000"),
    ] as [(UInt64, UInt64, String)])
  func digitsAreTheNumbersFromTheMostSignificant(_ high: UInt64, _ low: UInt64, _ digits: String) {
    let identifier = RequestIdentifier(high, low)
    #expect(text(identifier) == digits && identifier.text == digits && identifier.bytes == bytes(digits))
  }

  @Test func identifiersDoNotRepeat() {
    var seen: Set<[UInt8]> = []
    for _ in 0..<8 {
      var source = RequestIdentifiers()
      for _ in 0..<1000 { #expect(seen.insert(source.make().bytes).inserted) }
    }
  }

  @Test(arguments: ["a", "6f1c.Z-_~", String(repeating: "x", count: 128)])
  func whatAProxyCalledItIsKept(_ given: String) throws {
    #expect(text(try #require(RequestIdentifier(given: bytes(given)))) == given)
  }

  @Test(arguments: ["", "a b", "a\"b", "a\\b", "a\u{7}", "a\u{7F}", "\u{E4}", String(repeating: "x", count: 129)])
  func whatCanNotStandInALogLineIsNotKept(_ given: String) {
    #expect(RequestIdentifier(given: bytes(given)) == nil)
  }
}
