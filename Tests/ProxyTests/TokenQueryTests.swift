// What may be asked for beside a token, and what is refused rather than guessed at.

import Auth
import Testing

@testable import Proxy

@Suite struct TokenQueryTests {
  @Test func durationAndScopesAreRead() throws {
    #expect(try TokenQuery(bytes("").span) == TokenQuery(bytes("&").span))
    #expect(try TokenQuery(bytes("duration=3600").span).duration == 3600)
    let wanted = try TokenScope(items: [bytes("GET /reports/"), bytes("/files/")])
    #expect(try TokenQuery(bytes("scope=GET%20/reports/&scope=/files/").span).scope == wanted)
    #expect(try TokenQuery(bytes("scope=GET+%2Freports%2F&duration=5&scope=/files/").span).scope == wanted)
    #expect(try TokenQuery(bytes("duration=5").span).scope == nil)
  }

  @Test(arguments: [
    "duration", "duration=", "duration=0", "duration=-1", "duration=+5", "duration=5s", "duration=1e3", "duration=0x10",
    "duration=99999999999",
    "duration=5&duration=5", "duration=%", "duration=%3", "duration=%zz", "scopes=GET%20/", "Scope=/", "duration%20=5", "foo=bar", "scope=",
    "scope=reports", "scope=GET%20reports", "scope=/a/../b", "scope=/a%253", "scope=/a%3Fb", "scope=/a%00", "scope=G%20E%20/", "=5",
  ])
  func whatIsUnclearIsRefused(_ query: String) {
    #expect(throws: FormFault.self) { try TokenQuery(bytes(query).span) }
  }

  @Test func scopesAreBounded() {
    let many = (0..<40).map { "scope=/a\($0)" }.joined(separator: "&")
    #expect(throws: FormFault.self) { try TokenQuery(bytes(many).span) }
  }
}
