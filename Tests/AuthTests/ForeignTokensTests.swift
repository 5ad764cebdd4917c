// A token of another issuer lets in whom it names, if all of it is right, and nobody if one thing is wrong.

import Crypto
import Primitives
import Testing

@testable import Auth

@Suite struct ForeignTokensTests {
  private static let people = [
    "alice:\(Stored.sha1):groups=staff", "mallory:\(Stored.sha1):locked", "erin:\(Stored.sha1):expires=2020-01-01", "robot:*",
  ]
  private let users: UserTable

  init() throws { users = try House.table(Self.people) }

  private func outcome(_ claims: String, _ change: (inout ForeignIssuer) -> Void = { _ in }, at seconds: Int64 = Issuing.now) throws
    -> String
  {
    Issuing.outcome(Issuing.token(claims), try Issuing.tokens(Issuing.issuer(change)), users, at: seconds)
  }

  @Test func aSoundTokenIsItsUser() throws {
    #expect(try outcome(Issuing.claims()) == "alice [staff]")
    #expect(try outcome(Issuing.claims(sub: "robot")) == "robot []")
  }

  // MARK: Times

  @Test func expiryIsRequiredAndExact() throws {
    let now = Issuing.now
    for (exp, accepted) in [(now + 1, true), (now, true), (now - 59, true), (now - 60, false), (now - 61, false), (0, false)] {
      #expect(try outcome(Issuing.claims(exp: exp)) == (accepted ? "alice [staff]" : "token is expired"), "\(exp - now)")
    }
    for (exp, accepted) in [(now + 1, true), (now, false), (now - 1, false)] {
      let found = try outcome(Issuing.claims(exp: exp)) { $0.leeway = .seconds(0) }
      #expect(found == (accepted ? "alice [staff]" : "token is expired"), "\(exp - now) without leeway")
    }
    #expect(try outcome(#"{"iss":"example","aud":"svc","sub":"alice"}"#) == "token's claims can't be used")
  }

  @Test func datesAreNumbersOfSeconds() throws {
    let right = #","x":1"#
    #expect(try outcome(Issuing.claims(right)) == "alice [staff]")
    func exp(_ text: String) throws -> String { try outcome(#"{"iss":"example","aud":"svc","sub":"alice","exp":\#(text)}"#) }
    for text in ["1800000600.5", "1.8000006e9", "18000006e2", "253402300799"] { #expect(try exp(text) == "alice [staff]", "\(text)") }
    for text in [
      "null", "true", #""1800000600""#, "[1800000600]", "{}", "1800000600000", "253402300800", "9223372036854775807", "9223372036854775808",
      "18446744073709551617", "1e30", "1e308", "1e309", "-1", "-1800000600", "-0.5", "-1e30",
    ] {
      #expect(try exp(text) == "token's claims can't be used", "\(text)")
    }
    for text in ["NaN", "Infinity", "01800000600", "+1800000600", "0x6B49D200", "1800000600."] {
      #expect(try exp(text) == "malformed token", "\(text)")
    }
    // Rounded towards the stricter side.
    #expect(try exp("\(Issuing.now - 60).9") == "token is expired")
    #expect(try outcome(Issuing.claims(#","nbf":\#(Issuing.now + 60).1"#)) == "token is not valid yet")
  }

  @Test func tokensOfTheFutureWait() throws {
    let now = Issuing.now
    for claim in ["nbf", "iat"] {
      for (time, accepted) in [(now, true), (now + 60, true), (now + 61, false), (now + 86_400, false), (0, true)] {
        #expect(
          try outcome(Issuing.claims(#","\#(claim)":\#(time)"#)) == (accepted ? "alice [staff]" : "token is not valid yet"),
          "\(claim) \(time - now)")
      }
      for text in ["null", #""1""#, "-1", "1e300", "[]"] {
        #expect(try outcome(Issuing.claims(#","\#(claim)":\#(text)"#)) == "token's claims can't be used", "\(claim) \(text)")
      }
    }
  }

  // MARK: From whom, for whom

  @Test func theIssuerIsComparedByteByByte() throws {
    func iss(_ text: String) throws -> String { try outcome(#"{"iss":\#(text),"aud":"svc","sub":"alice","exp":1800000600}"#) }
    #expect(try iss(#""example""#) == "alice [staff]")
    for text in [#""Example""#, #""example ""#, #""example/""#, "\"\"", #""*""#, #""exampl""#] {
      #expect(try iss(text) == "token's issuer is unknown", "\(text)")
    }
    #expect(try outcome(#"{"aud":"svc","sub":"alice","exp":1800000600}"#) == "token's issuer is unknown")
    for text in ["null", "1", #"["example"]"#, "{}"] { #expect(try iss(text) == "token's issuer is unknown", "\(text)") }
    // Where any issuer is accepted, what stands there still has to be one.
    #expect(try outcome(#"{"aud":"svc","sub":"alice","exp":1800000600}"#) { $0.issuer = nil } == "alice [staff]")
    #expect(try outcome(#"{"iss":1,"aud":"svc","sub":"alice","exp":1800000600}"#) { $0.issuer = nil } == "token's claims can't be used")
  }

  @Test func theTokenHasToBeForUs() throws {
    func aud(_ text: String, _ change: (inout ForeignIssuer) -> Void = { _ in }) throws -> String {
      try outcome(#"{"iss":"example","aud":\#(text),"sub":"alice","exp":1800000600}"#, change)
    }
    for text in [#""svc""#, #"["svc"]"#, #"["other","svc"]"#] { #expect(try aud(text) == "alice [staff]", "\(text)") }
    for text in [#""Svc""#, #""svc ""#, #""other""#, "[]", #"["other","svcs"]"#, "\"\""] {
      #expect(try aud(text) == "token is for another audience", "\(text)")
    }
    for text in ["null", "1", "{}", #"["svc",1]"#, #"[["svc"]]"#, "true"] {
      #expect(try aud(text) == "token's claims can't be used", "\(text)")
    }
    #expect(try outcome(#"{"iss":"example","sub":"alice","exp":1800000600}"#) == "token is for another audience")
    #expect(try aud(#""b""#) { $0.audiences = [bytes("a"), bytes("b")] } == "alice [staff]")
    #expect(try aud(#""whatever""#) { $0.audiences = nil } == "alice [staff]")
    #expect(try aud("1") { $0.audiences = nil } == "token's claims can't be used")
  }

  @Test func eachIssuerHasItsOwnKeys() throws {
    let other = [UInt8](repeating: 0x74, count: 32)
    let issuers = [Issuing.issuer(), Issuing.issuer { $0.issuer = bytes("other") }]
    let tokens = ForeignTokens([
      .init(issuers[0], try ForeignKeySet(parsing: Issuing.secret, .single, for: issuers[0].algorithms)),
      .init(issuers[1], try ForeignKeySet(parsing: other, .single, for: issuers[1].algorithms)),
    ])
    let ofOther = #"{"iss":"other","aud":"svc","sub":"alice","exp":1800000600}"#
    #expect(Issuing.outcome(Issuing.token(Issuing.claims()), tokens, users) == "alice [staff]")
    #expect(Issuing.outcome(Issuing.token(ofOther, secret: other), tokens, users) == "alice [staff]")
    // Signed by one, in the name of the other.
    #expect(Issuing.outcome(Issuing.token(Issuing.claims(), secret: other), tokens, users) == "token's signature is wrong")
    #expect(Issuing.outcome(Issuing.token(ofOther), tokens, users) == "token's signature is wrong")
  }

  @Test func otherKindsOfTokensAreRefused() throws {
    let tokens = try Issuing.tokens(Issuing.issuer())
    func typ(_ text: String) -> String {
      Issuing.outcome(Issuing.token(Issuing.claims(), header: #"{"alg":"HS256","typ":"\#(text)"}"#), tokens, users)
    }
    for text in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] { #expect(typ(text) == "alice [staff]", "\(text)") }
    for text in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "gatehouse+jwt", "JWT "] {
      #expect(typ(text) == "token is of another type", "\(text)")
    }
    #expect(Issuing.outcome(Issuing.token(Issuing.claims(), header: #"{"alg":"HS256"}"#), tokens, users) == "alice [staff]")
  }

  // MARK: Who

  @Test func theUserHasToBeInTheFile() throws {
    #expect(try outcome(Issuing.claims(sub: "stranger")) == "unknown user")
    #expect(try outcome(Issuing.claims(sub: "Alice")) == "unknown user")
    #expect(try outcome(Issuing.claims(sub: "mallory")) == "user is locked")
    #expect(try outcome(Issuing.claims(sub: "erin")) == "user is expired")
  }

  @Test func anyUserIsStillLockedByTheFile() throws {
    let any = { (issuer: inout ForeignIssuer) in issuer.acceptsAnyUser = true }
    #expect(try outcome(Issuing.claims(sub: "stranger"), any) == "stranger []")
    #expect(try outcome(Issuing.claims(sub: "mallory"), any) == "user is locked")
    #expect(try outcome(Issuing.claims(sub: "erin"), any) == "user is expired")
    // The issuer says who he is, so it says his groups: those of the file are another's of the same name, perhaps.
    #expect(try outcome(Issuing.claims(sub: "alice"), any) == "alice []")
  }

  @Test func theUserIsAStringThatCanBeAName() throws {
    func sub(_ text: String) throws -> String {
      try outcome(#"{"iss":"example","aud":"svc","sub":\#(text),"exp":1800000600}"#) { $0.acceptsAnyUser = true }
    }
    #expect(try sub(#""al\u0069ce""#) == "alice []")
    for text in [
      "null", "1", "true", #"["alice"]"#, #"{"name":"alice"}"#, "\"\"", #"" alice""#, #""alice ""#, #""a:b""#, #""a\nb""#, #""a\u0000b""#,
      #""a\u0085b""#, #""ghk_x""#, "\"#x\"", #""eyJa.b.c""#, "\"\(String(repeating: "x", count: 256))\"",
    ] {
      #expect(try sub(text) == "token names no user", "\(text)")
    }
    #expect(try outcome(#"{"iss":"example","aud":"svc","exp":1800000600}"#) == "token names no user")
  }

  @Test func theUserClaimIsTheConfiguredOne() throws {
    let claims = Issuing.claims(#","id":"robot","https://x/name":"alice""#, sub: "mallory")
    #expect(try outcome(claims) { $0.userClaim = bytes("id") } == "robot []")
    #expect(try outcome(claims) { $0.userClaim = bytes("https://x/name") } == "alice [staff]")
    #expect(try outcome(claims) { $0.userClaim = bytes("Sub") } == "token names no user")
  }

  @Test func groupsCountOnlyWhereTheOperatorSaysSo() throws {
    let claims = Issuing.claims(#","groups":["admin","staff","ops"],"r":{"roles":["admin"]}"#)
    #expect(try outcome(claims) == "alice [staff]")
    #expect(try outcome(claims) { $0.acceptsAnyUser = true } == "alice []")
    #expect(try outcome(claims) { $0.groupsClaim = [bytes("groups")] } == "alice [staff admin ops]")
    #expect(try outcome(claims) { $0.groupsClaim = [bytes("r"), bytes("roles")] } == "alice [staff admin]")
    #expect(try outcome(claims) { $0.groupsClaim = [bytes("none")] } == "alice [staff]")
    #expect(
      try outcome(claims) {
        $0.groupsClaim = [bytes("groups")]
        $0.acceptsAnyUser = true
      } == "alice [admin staff ops]")
  }

  @Test func groupsAreStringsAndFitForAHeader() throws {
    func groups(_ text: String) throws -> String {
      try outcome(Issuing.claims(#","groups":\#(text)"#)) { $0.groupsClaim = [bytes("groups")] }
    }
    #expect(try groups(#""admin""#) == "alice [staff admin]")
    #expect(try groups(#"["admin","admin"]"#) == "alice [staff admin]")
    // What no rule can name is left out; one element can't become two.
    #expect(try groups(#"["a,admin","a admin","","a\nb","ops"]"#) == "alice [staff ops]")
    for text in ["null", "1", "{}", #"["admin",1]"#, #"[["admin"]]"#] {
      #expect(try groups(text) == "token's claims can't be used", "\(text)")
    }
    let many = (0..<129).map { "\"g\($0)\"" }.joined(separator: ",")
    #expect(try groups("[\(many)]") == "malformed token")
    #expect(
      try outcome(Issuing.claims(#","r":"admin""#)) { $0.groupsClaim = [bytes("r"), bytes("roles")] } == "token's claims can't be used")
  }

  @Test func claimsThatStandTwiceAreRefused() throws {
    for more in [#","sub":"mallory""#, #","sub":"alice""#, #","exp":1800000600"#, #","\u0073ub":"robot""#] {
      #expect(try outcome(Issuing.claims(more)) == "malformed token", "\(more)")
    }
  }

  @Test func scopeAndIdentifierAreKept() throws {
    func verified(_ more: String) throws -> VerifiedToken? {
      let text = bytes(Issuing.token(Issuing.claims(more)))
      guard
        case .token(let token) = try Issuing.tokens(Issuing.issuer()).prove(text.span, users: users, at: Timestamp(seconds: Issuing.now))
      else { return nil }
      return token
    }
    let full = try #require(try verified(#","scope":"read  write","jti":"n1","iat":1799999999"#))
    #expect(full.scopeWords == [bytes("read"), bytes("write")])
    #expect(full.identifier == bytes("n1"))
    #expect(full.issued == Timestamp(seconds: 1_799_999_999))
    #expect(full.expires == Timestamp(seconds: Issuing.now + 660))
    #expect(full.scope.isUnlimited)
    #expect(try verified(#","scp":["read","write"]"#)?.scopeWords == [bytes("read"), bytes("write")])
    #expect(try verified("")?.issued == Timestamp(seconds: 0))
    #expect(try outcome(Issuing.claims(#","scope":1"#)) == "token's claims can't be used")
    #expect(try outcome(Issuing.claims(#","jti":1"#)) == "token's claims can't be used")
  }
}
