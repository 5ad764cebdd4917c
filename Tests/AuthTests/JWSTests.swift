// A token has one spelling, and what is no token is taken apart no further.

import Crypto
import Primitives
import Testing

@testable import Auth

private func encoded(_ text: String) -> String {
  let bytes = Array(text.utf8)
  return String(decoding: Base64.encodeURLSafe(bytes.span), as: UTF8.self)
}

private func parts(_ text: String) throws(JWSFault) -> JWSParts {
  let bytes = Array(text.utf8)
  return try JWSParts(parsing: bytes.span)
}

private func fault(_ text: String) -> JWSFault? {
  do throws(JWSFault) {
    _ = try parts(text)
    return nil
  } catch {
    return error
  }
}

private func fault(header: String) -> JWSFault? { fault("\(encoded(header)).\(encoded("{}")).AAAA") }

private func hasForm(_ text: String) -> Bool {
  let bytes = Array(text.utf8)
  return JWSParts.hasForm(bytes.span)
}

private let sound = #"{"alg":"HS256"}"#

@Suite struct JWSTests {
  @Test func theExampleOfRFC7519IsTakenApart() throws {
    // RFC 7519 section 3.1.
    let text =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
      + "cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    let token = try parts(text)
    #expect(token.algorithm == .hs256)
    #expect(token.typ == Array("JWT".utf8))
    #expect(token.kid == nil)
    #expect(token.signature.count == 32)
    #expect(text.utf8.count - token.signingInput.count == 44)
    let claims = try token.claims()
    #expect(claims["iss"]?.string == Array("joe".utf8))
    #expect(claims["exp"]?.number?.integer == 1_300_819_380)
    #expect(claims["http://example.com/is_root"] == .bool(true))
    #expect(hasForm(text))
  }

  @Test func noneIsNoAlgorithm() {
    for name in ["none", "None", "NONE", "nOnE", "", "HS", "hs256", "HS256 ", "RSA-OAEP"] {
      #expect(fault(header: #"{"alg":"\#(name)"}"#) == .unsupportedAlgorithm, "\(name)")
      #expect(fault("\(encoded(#"{"alg":"\#(name)"}"#)).\(encoded("{}")).") == .unsupportedAlgorithm, "\(name)")
    }
    for header in ["{}", #"{"alg":null}"#, #"{"alg":256}"#, #"{"alg":["HS256"]}"#, #"{"Alg":"HS256"}"#] {
      #expect(fault(header: header) == .unsupportedAlgorithm, "\(header)")
    }
  }

  @Test func aTokenWithoutSignatureIsNone() {
    #expect(fault("\(encoded(sound)).\(encoded("{}")).") == .unsigned)
  }

  @Test func aHeaderIsOneObjectWithoutDoubles() {
    let headers = [
      "", "null", "[]", #""HS256""#, #"{"alg":"HS256""#, #"{"alg":"HS256",}"#, #"{"alg":"HS256"} x"#, #"{"alg":"HS256"}{"alg":"none"}"#,
      #"{"alg":"HS256","alg":"none"}"#, #"{"alg":"none","alg":"HS256"}"#, #"{"alg":"HS256","\u0061lg":"none"}"#, #"{'alg':'HS256'}"#,
      #"{"alg":"HS256",/**/"kid":"a"}"#, "{\"alg\":\"HS256\",\"kid\":\"\u{1}\"}", #"{"alg":"HS256","kid":"\ud800"}"#,
    ]
    for header in headers { #expect(fault(header: header) == .headerNotJSON, "\(header)") }
    #expect(fault(header: sound) == nil)
    let deep = String(repeating: "[", count: 9) + String(repeating: "]", count: 9)
    #expect(fault(header: #"{"alg":"HS256","x":\#(deep)}"#) == .headerNotJSON)
    let many = (0..<200).map { ",\"m\($0)\":0" }.joined()
    #expect(fault(header: #"{"alg":"HS256"\#(many)}"#) == .headerNotJSON)
  }

  @Test func whatChangesTheMeaningOfASignatureIsRefused() {
    #expect(fault(header: #"{"alg":"HS256","crit":["exp"],"exp":1}"#) == .unknownExtension)
    #expect(fault(header: #"{"alg":"HS256","crit":[]}"#) == .unknownExtension)
    #expect(fault(header: #"{"alg":"HS256","crit":null}"#) == .unknownExtension)
    #expect(fault(header: #"{"alg":"HS256","b64":false}"#) == .unknownExtension)
    #expect(fault(header: #"{"alg":"HS256","b64":true}"#) == .unknownExtension)
    #expect(fault(header: #"{"alg":"HS256","zip":"DEF"}"#) == .encrypted)
    #expect(fault(header: #"{"alg":"HS256","enc":"A128GCM"}"#) == .encrypted)
    #expect(fault("\(encoded(#"{"alg":"dir","enc":"A128GCM"}"#))..AAAA.AAAA.AAAA") == .encrypted)
  }

  @Test func keysThatATokenBringsAreNotLookedAt() throws {
    let header = #"{"alg":"HS256","jku":"https://evil.example/","x5u":7,"x5c":null,"jwk":{"kty":"oct","k":"AAAA"}}"#
    #expect(fault(header: header) == nil)
  }

  @Test func aKidIsABoundedString() throws {
    for kid in ["", String(repeating: "k", count: 256)] { #expect(fault(header: #"{"alg":"HS256","kid":"\#(kid)"}"#) == .badHeader) }
    for kid in ["null", "1", "true", "{}", #"["a"]"#] { #expect(fault(header: #"{"alg":"HS256","kid":\#(kid)}"#) == .badHeader, "\(kid)") }
    for typ in ["null", "1", "\"\"", "\"\(String(repeating: "t", count: 65))\""] {
      #expect(fault(header: #"{"alg":"HS256","typ":\#(typ)}"#) == .badHeader, "\(typ)")
    }
    // It names nothing but a key: to us these are names like others.
    for kid in ["../../dev/null", "' OR 1=1 --", "|/bin/true", String(repeating: "k", count: 255)] {
      let token = try parts("\(encoded(#"{"alg":"HS256","kid":"\#(kid)"}"#)).\(encoded("{}")).AAAA")
      #expect(token.kid == Array(kid.utf8))
    }
  }

  @Test func aTokenHasOneSpelling() throws {
    let header = encoded(sound)
    let payload = encoded("{}")
    #expect(fault("\(header).\(payload).AAAA") == nil)
    // Two characters carry 12 bits, of which the last four have to be zero; three carry 18, of which two have.
    #expect(fault("\(header).\(payload).AA") == nil)
    #expect(fault("\(header).\(payload).AAA") == nil)
    for signature in ["AB", "AP", "AAB", "AAD", "A", "AAAAA", "AA==", "AAA=", "AAAA=", " AAAA", "AAAA ", "AA+A", "AA/A", "AA\nAA", "AÄ"] {
      #expect(fault("\(header).\(payload).\(signature)") == .notBase64, "\(signature)")
    }
    #expect(fault("\(header)=.\(payload).AAAA") == .notBase64)
    #expect(fault("\(header).\(payload)=.AAAA") == .notBase64)
    #expect(fault(" \(header).\(payload).AAAA") == .notBase64)
    for text in ["", ".", "\(header)", "\(header).\(payload)", "\(header).\(payload).AAAA.AAAA"] {
      #expect(fault(text) == .notCompact, "\(text)")
    }
    #expect(fault("..") == .headerNotJSON)
  }

  @Test func everyTruncationIsRefused() throws {
    let whole = "\(encoded(sound)).\(encoded(#"{"sub":"alice"}"#)).\(encoded(String(repeating: "s", count: 32)))"
    let original = try parts(whole)
    for length in 0..<whole.count {
      // A signature that is cut at the end of a byte is another, shorter one: the key refuses its length.
      guard let cut = try? parts(String(whole.prefix(length))) else { continue }
      #expect(cut.signature.count < original.signature.count)
    }
  }

  @Test func aTokenOfMoreThanEightKibibytesIsNotRead() {
    let head = "\(encoded(sound)).\(encoded("{}"))."
    let room = JWSParts.longest - head.utf8.count
    #expect(fault(head + String(repeating: "A", count: room / 4 * 4)) == nil)
    #expect(fault(head + String(repeating: "A", count: room + 1)) == .tooLong)
  }

  @Test func claimsAreOneObjectWithoutDoubles() throws {
    func claims(_ text: String) throws(JWSFault) -> JSON { try parts("\(encoded(sound)).\(encoded(text)).AAAA").claims() }
    #expect(try claims(#"{"sub":"alice"}"#)["sub"]?.string == Array("alice".utf8))
    for text in ["", "[]", "null", #""alice""#, #"{"sub":"alice","sub":"root"}"#, #"{"sub":"alice"}{"#, "{\"sub\":\"\u{0}\"}"] {
      #expect(throws: JWSFault.payloadNotJSON, "\(text)") { try claims(text) }
    }
  }

  @Test func theFormIsKnownByItsBeginningAndItsDots() {
    #expect(hasForm("eyJhbGciOiJub25lIn0.e30."))
    #expect(hasForm("eyJ.."))
    #expect(hasForm("eyJhbGciOiJkaXIifQ....."))
    for text in ["", "eyJ", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIn0.e30", "alice", "ghk_a.b.c", "EYJ.a.b", "xeyJ.a.b"] {
      #expect(!hasForm(text), "\(text)")
    }
  }
}
