// What somebody may try with a token, or with the text of one.

import Crypto
import Primitives
import Testing

@testable import Auth

@Suite struct TokenAuthorityTests {
  // MARK: Form and signature

  @Test func ourTokensAreAccepted() throws {
    let scene = try TokenScene()
    for name in ["alice", "bob", "robot"] { #expect(scene.verdict(try scene.issue(name)) == "valid \(name)") }
    #expect(scene.verdict(TokenScene.forge(TokenScene.header, scene.claims())) == "valid alice")
    // The order of members, and white space between them, are nobody's business.
    #expect(scene.verdict(TokenScene.forge(#"{ "kid":"k1", "typ":"JWT","alg":"HS256"}"#, scene.claims())) == "valid alice")
  }

  @Test func theAlgorithmIsTheKeysAndNotTheHeaders() throws {
    let scene = try TokenScene()
    for algorithm in ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA", "hs256", "HS256 ", ""] {
      let token = TokenScene.forge(#"{"alg":"\#(algorithm)","typ":"JWT","kid":"k1"}"#, scene.claims())
      #expect(scene.verdict(token) == "invalid", "\(algorithm)")
      let unsigned = token.split(separator: ".").prefix(2).joined(separator: ".")
      for tail in ["", ".", "..", ".AA"] { #expect(!scene.verdict(unsigned + tail).hasPrefix("valid"), "\(algorithm) \(tail)") }
    }
    for header in [
      #"{"typ":"JWT","kid":"k1"}"#, #"{"alg":null,"typ":"JWT","kid":"k1"}"#, #"{"alg":["HS256"],"typ":"JWT","kid":"k1"}"#,
      #"{"alg":"HS256","alg":"none","typ":"JWT","kid":"k1"}"#,
    ] {
      #expect(scene.verdict(TokenScene.forge(header, scene.claims())) == "invalid", "\(header)")
    }
  }

  @Test func theHeaderIsOursOrRefused() throws {
    let scene = try TokenScene()
    for more in [
      #""jwk":{"kty":"oct","k":"AAAA"}"#, #""jku":"http://127.0.0.1/keys""#, #""crit":["exp"]"#, #""b64":false"#, #""cty":"JWT""#,
      #""zip":"DEF""#,
      #""x":1"#,
    ] {
      let header = #"{"alg":"HS256","typ":"JWT","kid":"k1",\#(more)}"#
      #expect(scene.verdict(TokenScene.forge(header, scene.claims())) == "invalid", "\(more)")
    }
    for typ in [#""jwt""#, #""at+jwt""#, "\"\"", "1", "null"] {
      #expect(scene.verdict(TokenScene.forge(#"{"alg":"HS256","typ":\#(typ),"kid":"k1"}"#, scene.claims())) == "invalid", "\(typ)")
    }
    #expect(scene.verdict(TokenScene.forge(#"{"alg":"HS256","kid":"k1"}"#, scene.claims())) == "invalid")
  }

  @Test func theNameOfAKeyIsANameAndNothingElse() throws {
    let scene = try TokenScene()
    for kid in [
      "K1", "k1 ", " k1", "k", "k11", "../token.keys", "/dev/null", "../../../../dev/null", "k1\\u0000", "k1' OR '1'='1", "*", "0", "%6b1",
      String(repeating: "k", count: 4000),
    ] {
      // Signed by the right key, by none, and by an empty one, which is what /dev/null would be.
      for secret in [TokenScene.secret, [], [0]] {
        let token = TokenScene.forge(#"{"alg":"HS256","typ":"JWT","kid":"\#(kid)"}"#, scene.claims(), secret)
        #expect(["unknown key", "invalid"].contains(scene.verdict(token)), "\(kid)")
      }
    }
    for kid in ["1", "null", "true", #"["k1"]"#, #"{"k1":1}"#, "\"\""] {
      let token = TokenScene.forge(#"{"alg":"HS256","typ":"JWT","kid":\#(kid)}"#, scene.claims())
      #expect(["unknown key", "invalid"].contains(scene.verdict(token)), "\(kid)")
    }
    #expect(scene.verdict(TokenScene.forge(#"{"alg":"HS256","typ":"JWT"}"#, scene.claims())) == "unknown key")
    #expect(scene.verdict(TokenScene.forge(#"{"alg":"HS256","typ":"JWT","kid":"k1","kid":"k1"}"#, scene.claims())) == "invalid")
  }

  @Test func anotherKeysSignatureIsRefused() throws {
    let scene = try TokenScene(keys: TokenScene.line("k1", TokenScene.secret) + TokenScene.line("k2", TokenScene.otherSecret))
    #expect(scene.verdict(TokenScene.forge(TokenScene.header, scene.claims(), TokenScene.otherSecret)) == "invalid")
    #expect(scene.verdict(TokenScene.forge(TokenScene.header, scene.claims(), [])) == "invalid")
    // Right for its own name, but the fingerprint is keyed too.
    #expect(
      scene.verdict(TokenScene.forge(#"{"alg":"HS256","typ":"JWT","kid":"k2"}"#, scene.claims(), TokenScene.otherSecret))
        == "outdatedToken alice")
  }

  @Test func aKeyVerifiesUntilItsEnd() throws {
    let keys = TokenScene.line("k1", TokenScene.secret)
    var scene = try TokenScene(keys: keys)
    let token = try scene.issue(lifetime: .seconds(3600))
    let end = Timestamp(seconds: scene.now.seconds + 100)
    let until = " until=\(String(decoding: CalendarText.text(end), as: UTF8.self))"
    try scene.reload(
      keys: TokenScene.line("k1", TokenScene.secret, until) + TokenScene.line("k2", TokenScene.otherSecret))
    #expect(scene.bearer(token).outcome == .granted("alice"))
    scene.now = Timestamp(microseconds: end.microseconds - 1)
    #expect(scene.verdict(token) == "valid alice")
    scene.now = end
    #expect(scene.verdict(token) == "invalid")
    #expect(scene.bearer(try scene.issue()).outcome == .granted("alice"), "the other key signs")
    #expect(scene.verdict(TokenScene.forge(TokenScene.header, scene.claims())) == "invalid")
  }

  @Test func everySingleByteChangeIsRefused() throws {
    let scene = try TokenScene()
    let token = bytes(try scene.issue(scope: try TokenScope(items: [bytes("GET /a")])))
    #expect(scene.verdict(token) == "valid alice")
    let alphabet = bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0%\u{FF}")
    for i in token.indices {
      for byte in alphabet where byte != token[i] {
        var changed = token
        changed[i] = byte
        if scene.verdict(changed).hasPrefix("valid") { Issue.record("byte \(i) as \(byte) is accepted") }
      }
      var shorter = token
      shorter.remove(at: i)
      if scene.verdict(shorter).hasPrefix("valid") { Issue.record("accepted without byte \(i)") }
      if scene.verdict(Array(token.prefix(i))).hasPrefix("valid") { Issue.record("accepted up to byte \(i)") }
    }
  }

  /// Of the last character of 32 bytes in Base64url only four bits count; a decoder that drops the others makes four texts of each token.
  @Test func eachTokenHasOneSpelling() throws {
    let scene = try TokenScene()
    let token = try scene.issue()
    for tail in ["=", "==", "A", "AA", ".", ".A", " ", "\n", "\r\n", "\u{0}", "%3D"] {
      #expect(!scene.verdict(token + tail).hasPrefix("valid"), "\(tail.debugDescription)")
    }
    for head in [" ", ".", "\n", "A"] { #expect(!scene.verdict(head + token).hasPrefix("valid")) }
    var spellings = 0
    let (whole, part) = (bytes(token), bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    for byte in part where scene.verdict(Array(whole.dropLast()) + [byte]).hasPrefix("valid") { spellings += 1 }
    #expect(spellings == 1)
    let parts = token.split(separator: ".").map(String.init)
    #expect(!scene.verdict(parts[0] + "=." + parts[1] + "." + parts[2]).hasPrefix("valid"))
    #expect(!scene.verdict(parts[0] + "." + parts[1] + "=." + parts[2]).hasPrefix("valid"))
  }

  // MARK: Claims

  @Test func claimsAreAllOfOursAndNoOthers() throws {
    let scene = try TokenScene()
    func verdict(_ changes: [String: String?] = [:], more: String = "") -> String {
      scene.verdict(TokenScene.forge(TokenScene.header, scene.claims(changes, more: more)))
    }
    #expect(verdict() == "valid alice")
    for name in ["sub", "iat", "exp", "jti", "fpr"] {
      #expect(verdict([name: nil]) == "invalid", "without \(name)")
      for value in ["null", "true", "[]", "{}", "\"\"", "-1", "1.5", "1e3", "99999999999999999999"] {
        #expect(verdict([name: value]) == "invalid", "\(name) \(value)")
      }
    }
    for more in [
      #","aud":"x""#, #","nbf":0"#, #","iss":"x""#, #","groups":["admin"]"#, ",\"scope\":\"\"", #","scope":"reports""#, #","scope":["/"]"#,
      #","scope":"/a/../b""#, #","ath":"1""#, ",\"ath\":\(scene.now.seconds + 1)", #","ath":-1"#, #","sub":"bob""#, #","s\u0075b":"bob""#,
      #","use":"ticket""#, ",",
    ] {
      #expect(verdict(more: more) == "invalid", "\(more)")
    }
    #expect(verdict(["jti": "\"AAAAAAAAAAAAAAAAAAAAAB\""]) == "invalid", "spare bits")
    #expect(verdict(["sub": "\"al:ice\""]) == "invalid")
    #expect(verdict(["sub": "\"nobody\""]) == "unknownUser nobody")
    for payload in ["", "[]", "null", "\"alice\"", "{", "{}", #"{"sub":"alice"} x"#] {
      #expect(scene.verdict(TokenScene.forge(TokenScene.header, payload)) == "invalid", "\(payload)")
    }
  }

  /// What servers of a simpler kind mint is not ours, even by our own key.
  @Test func aTokenWithoutOurClaimsIsRefused() throws {
    let scene = try TokenScene()
    let exp = scene.now.seconds + 600
    for claims in [#"{"sub":"alice","exp":\#(exp)}"#, #"{"id":1,"exp":\#(exp)}"#, #"{"sub":"alice","iat":\#(exp - 600),"exp":\#(exp)}"#] {
      #expect(scene.verdict(TokenScene.forge(TokenScene.header, claims)) == "invalid")
      #expect(scene.verdict(TokenScene.forge(#"{"alg":"HS256","typ":"JWT"}"#, claims)) == "unknown key")
    }
  }

  @Test func aTokenEndsOnItsSecond() throws {
    var scene = try TokenScene()
    let token = try scene.issue(lifetime: .seconds(10))
    let issued = scene.now
    for cached in [false, true] {
      scene.now = Timestamp(microseconds: issued.microseconds + 9_999_999)
      #expect(cached ? scene.bearer(token).outcome == .granted("alice") : scene.verdict(token) == "valid alice")
      for microseconds: Int64 in [10_000_000, 11_000_000, 1_000_000_000_000] {
        scene.now = Timestamp(microseconds: issued.microseconds + microseconds)
        #expect(scene.verdict(token) == "expired alice")
        #expect(scene.bearer(token).outcome == .challenged(.expiredToken))
      }
    }
  }

  @Test func timesThatCannotBeAreRefused() throws {
    let scene = try TokenScene()
    let now = scene.now.seconds
    func verdict(_ issued: Int64, _ expires: Int64) -> String {
      scene.verdict(TokenScene.forge(TokenScene.header, scene.claims(["iat": "\(issued)", "exp": "\(expires)"])))
    }
    #expect(verdict(now + 30, now + 600) == "valid alice", "the clocks of two servers differ")
    #expect(verdict(now + 31, now + 600) == "invalid")
    #expect(verdict(now, now) == "invalid")
    #expect(verdict(now + 10, now + 5) == "invalid")
    let longest: Int64 = 366 * 86_400
    #expect(verdict(now - 10, now - 10 + longest) == "valid alice")
    #expect(verdict(now - 10, now - 9 + longest) == "invalid")
    #expect(verdict(0, now + 600) == "invalid")
    #expect(verdict(.max - 5, .max) == "invalid")
  }

  // MARK: Tickets

  @Test func aTicketIsNoTokenAndATokenNoTicket() throws {
    let scene = try TokenScene()
    let (token, ticket) = (try scene.issue(), try scene.issue(isTicket: true))
    #expect(scene.verdict(token, ticket: true) == "invalid" && scene.verdict(ticket, ticket: false) == "invalid")
    #expect(scene.verdict(ticket, ticket: true) == "valid alice")
    for _ in 0..<2 {
      #expect(scene.bearer(ticket).outcome == .challenged(.invalidToken))
      #expect(scene.house.ask(ticket, "x").outcome == .challenged(.invalidToken))
    }
    // A header that says the one and is signed, with the other's claims: there is no difference to exploit.
    let forged = TokenScene.forge(#"{"alg":"HS256","typ":"ticket+jwt","kid":"k1"}"#, scene.claims())
    #expect(scene.verdict(forged) == "invalid")
  }

  @Test func aTicketLivesAMinuteUnlessAskedOtherwise() throws {
    let scene = try TokenScene()
    #expect(try scene.duration(isTicket: true) == 60)
    #expect(try scene.duration(.seconds(300), isTicket: true) == 300)
    #expect(try scene.duration() == 600)
  }
}
