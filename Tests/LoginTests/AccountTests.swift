// Accounts, the files that they stand in, and what can't be one.

import Login
import Primitives
import Testing

private func secret(_ text: String) -> Secret { Secret(copying: Array(text.utf8)) }

extension Secret {
  fileprivate init(copying bytes: [UInt8]) {
    var bytes = bytes
    self.init(moving: &bytes)
  }
}

private func line(_ account: Account) -> String {
  var text = ""
  account.withLine { text = ASCII.string($0.span) }
  return text
}

@Suite struct AccountTests {
  /// RFC 7617 section 2, and Base64 of each length.
  @Test(arguments: [
    ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ("a", "b", "YTpi"), ("a", "bc", "YTpiYw=="), ("a", "bcd", "YTpiY2Q="),
    ("t\u{00FC}r", "\u{00A3}", "dMO8cjrCow=="), ("a", ":", "YTo6"),
  ]) func basicIsThePair(_ name: String, _ password: String, _ pair: String) throws {
    #expect(line(try Account(.basic, name: Array(name.utf8), secret: secret(password))) == "Authorization: Basic \(pair)\r\n")
  }

  @Test func othersAreTheSecret() throws {
    #expect(line(try Account(.bearer, name: [], secret: secret("aZ09-._~+/="))) == "Authorization: Bearer aZ09-._~+/=\r\n")
    #expect(line(try Account(.header(Array("X-Key".utf8)), name: [], secret: secret("a \"b\"; c"))) == "X-Key: a \"b\"; c\r\n")
  }

  /// Nothing that an account holds begins a line of its own, or ends the name early.
  @Test(arguments: ["a:b", "a\r\nX: y", "a\u{0}", "", "a\u{7F}"]) func oddNamesAreRefused(_ name: String) {
    #expect(throws: AccountFault.self) { try Account(.basic, name: Array(name.utf8), secret: secret("s")) }
  }

  @Test(arguments: ["", "a\nb", "a\rb", "a\u{0}b", String(repeating: "x", count: 5000)]) func oddSecretsAreRefused(_ text: String) {
    for scheme in [LoginScheme.basic, .bearer, .header(Array("X-Key".utf8))] {
      #expect(throws: AccountFault.self) { try Account(scheme, name: Array("n".utf8), secret: secret(text)) }
    }
    #expect(throws: AccountFault.self) { try Account(.bearer, name: [], secret: secret("two words")) }
    #expect(throws: AccountFault.self) { try Account(.header(Array("X-Key".utf8)), name: [], secret: secret(" x")) }
  }

  @Test func faultsSayNoSecret() {
    do {
      _ = try AccountFile.parse(secret("alice svc hunter2\nbob \"svc hunter2\n"), .basic)
      Issue.record("taken")
    } catch {
      #expect(error.line == 2 && !"\(error)".contains("hunter2") && !"\(error)".contains("svc"))
    }
  }

  @Test func aFileHasOneAccountALine() throws {
    let text = """
      # who is who
      alice svc-alice secret1

      "bob the builder"   "DOM\\\\bob" "pass \\"word\\" #1"\r
      \tcarol x y
      """
    let accounts = try AccountFile.parse(secret(text), .basic)
    #expect(accounts.count == 3)
    #expect(try line(#require(accounts[Array("bob the builder".utf8)])) == line(try Account(.basic, name: Array("DOM\\bob".utf8), secret: secret("pass \"word\" #1"))))
    #expect(try AccountFile.parse(secret("alice tok"), .bearer).count == 1)
  }

  @Test(arguments: [
    ("alice svc", 1), ("alice svc pass word", 1), ("# x\nalice a b\nalice c d", 3), ("alice \"a b", 1), ("a\"b c d", 1), ("\"a\"b c d", 1),
    ("alice \"a\\n\" c", 1), ("alice a:b c", 1),
  ]) func brokenLinesAreRefusedByNumber(_ text: String, _ number: Int) {
    do {
      _ = try AccountFile.parse(secret(text), .basic)
      Issue.record("taken: \(text)")
    } catch {
      #expect(error.line == number)
    }
  }

  private let netrc = """
    # mine
    machine other.example login x password y
    machine Legacy.example
      login svc
      password "a b"
    machine legacy.example login second password two
    macdef init
    machine legacy.example login evil password evil

    default login anonymous password guest
    """

  @Test(arguments: [
    ("legacy.example", nil, "svc", "a b"), ("legacy.example", "second", "second", "two"), ("elsewhere", nil, "anonymous", "guest"),
    ("other.example", nil, "x", "y"),
  ] as [(String, String?, String, String)]) func netrcIsRead(_ host: String, _ user: String?, _ name: String, _ password: String) throws {
    guard let found = try Netrc.find(host, user: user.map { Array($0.utf8) }, in: secret(netrc)) else {
      Issue.record("not found")
      return
    }
    #expect(found.name == Array(name.utf8))
    #expect(ASCII.string(found.secret.span) == password)
  }

  @Test func netrcWithoutThemHasNone() throws {
    let found = try Netrc.find("legacy.example", user: Array("evil".utf8), in: secret(netrc))
    #expect(found == nil ? true : false)
  }
}

@Suite struct UpstreamLoginTests {
  private let alice = Array("alice".utf8)
  private let bob = Array("bob".utf8)

  private func login(own: Bool, shared: Bool, others: Bool, nobody: Bool) throws -> UpstreamLogin {
    let one = try Account(.basic, name: Array("svc".utf8), secret: secret("s"))
    let hers = try Account(.basic, name: Array("a".utf8), secret: secret("a"))
    return UpstreamLogin(
      .basic, shared: shared ? one : nil, accounts: own ? [alice: hers] : nil, sharesWithOthers: others, sharesWithNobody: nobody, sources: "")
  }

  private func name(_ login: UpstreamLogin, _ user: [UInt8]?) -> String? {
    login.account(for: user).map { String(decoding: $0.name, as: UTF8.self) }
  }

  @Test func whoGetsWhichAccount() throws {
    let one = try login(own: false, shared: true, others: false, nobody: false)
    #expect(name(one, alice) == "svc" && name(one, bob) == "svc" && name(one, nil) == nil)
    let mapped = try login(own: true, shared: false, others: false, nobody: false)
    #expect(name(mapped, alice) == "a" && name(mapped, bob) == nil && name(mapped, nil) == nil)
    let both = try login(own: true, shared: true, others: true, nobody: true)
    #expect(name(both, alice) == "a" && name(both, bob) == "svc" && name(both, nil) == "svc")
    let strict = try login(own: true, shared: true, others: false, nobody: false)
    #expect(name(strict, alice) == "a" && name(strict, bob) == nil && name(strict, nil) == nil)
  }
}
