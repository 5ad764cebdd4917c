// Keytabs: whom they have keys of, and what is none.

import Login
import Primitives
import Testing

@Suite struct KeytabTests {
  private func entry(_ realm: String, _ parts: [String]) -> [UInt8] {
    func word(_ text: String) -> [UInt8] { [0, UInt8(text.utf8.count)] + Array(text.utf8) }
    let body = [0, UInt8(parts.count)] + word(realm) + parts.flatMap(word) + [0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 18, 0, 4, 1, 2, 3, 4]
    return [0, 0, 0, UInt8(body.count)] + body
  }

  private var whole: [UInt8] {
    // A key, a hole of five bytes (RFC: none; "The Keytab File Format"), another key of the same, one of another, and padding.
    [5, 2] + entry("A.TEST", ["gateway"]) + [0xFF, 0xFF, 0xFF, 0xFB, 9, 9, 9, 9, 9] + entry("A.TEST", ["gateway"]) + entry("B.TEST", ["HTTP", "a.b"])
      + [0, 0, 0, 0, 7]
  }

  @Test func everyPrincipalIsFoundOnce() throws {
    #expect(try Keytab.principals(whole.span) == ["gateway@A.TEST", "HTTP/a.b@B.TEST"])
    #expect(try Keytab.principals([5, 2].span) == [])
  }

  @Test func whatIsCutOrChangedIsNeverReadBeyond() {
    for count in 0..<whole.count {
      let cut = Array(whole[..<count])
      _ = try? Keytab.principals(cut.span)
      for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
        var changed = whole
        changed[count] = value
        _ = try? Keytab.principals(changed.span)
      }
    }
    for other in [[], [5], [5, 1], Array("krb5".utf8), [5, 2, 0, 0, 0, 200, 1]] as [[UInt8]] {
      #expect(throws: AccountFault.self) { try Keytab.principals(other.span) }
    }
    var huge: [UInt8] = [5, 2, 0x80, 0, 0, 0]
    #expect((try? Keytab.principals(huge.span)) == [])
    huge[2] = 0x7F
    #expect(throws: AccountFault.self) { try Keytab.principals(huge.span) }
  }
}
