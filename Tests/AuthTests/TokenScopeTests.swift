// A scope narrows what a token is good for, however the request is spelled.

import Auth
import Testing

@Suite struct TokenScopeTests {
  private func scope(_ items: String...) throws -> TokenScope { try TokenScope(items: items.map { bytes($0) }) }

  private func covers(_ scope: TokenScope, _ method: String, _ path: String) -> Bool {
    scope.covers(method: bytes(method).span, path: bytes(path).span)
  }

  @Test func methodsAndPathsAreBothAskedFor() throws {
    let reports = try scope("GET /reports/")
    #expect(covers(reports, "GET", "/reports/2026"))
    #expect(covers(reports, "HEAD", "/reports"))
    #expect(!covers(reports, "POST", "/reports/2026"))
    #expect(!covers(reports, "GET", "/reportsx"))
    #expect(!covers(reports, "GET", "/"))
    #expect(!covers(reports, "get", "/reports/"))
  }

  @Test func oneOfSeveralItemsIsEnough() throws {
    let scope = try scope("GET /a", "PUT,DELETE /b/", "/c")
    #expect(covers(scope, "DELETE", "/b/x"))
    #expect(covers(scope, "PATCH", "/c/x"))
    #expect(!covers(scope, "DELETE", "/a"))
  }

  @Test func withoutItemsAllIsCovered() {
    #expect(covers(.unlimited, "POST", "/x"))
  }

  @Test func aSecondReadingHasToBeCoveredToo() throws {
    let scope = try scope("/a/b")
    #expect(covers(scope, "GET", "/a/b/c;x=1"))
    #expect(!covers(scope, "GET", "/a/b/;x/%2e%2e/c"))
    #expect(!covers(try self.scope("/a;p"), "GET", "/a;p/x"))
  }

  @Test func itsTextIsReadBack() throws {
    let scope = try scope("GET,HEAD /reports/", "/files/")
    #expect(scope.text == bytes("GET,HEAD:/reports/ /files/"))
    #expect(try TokenScope(text: scope.text.span) == scope)
  }

  @Test(arguments: ["", "reports", "GET reports", "GET", "G@T /x", ", /x", "GET, /x", "GET /a/../b", "GET /a?x", "GET /%41", "GET/x", "GET  /x", "/a b"])
  func whatIsNoScopeIsRefused(_ text: String) {
    #expect(throws: TokenScopeFailure.self) { try TokenScope(items: [bytes(text)]) }
  }
}
