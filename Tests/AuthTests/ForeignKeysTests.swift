// Which key a token may be signed with, and which files hold keys at all.

import Crypto
import Primitives
import Testing

@testable import Auth

/// RFC 7517 appendix A.1: an EC key for encryption and an RSA key, each with its name.
private let setOfRFC7517 = """
  {"keys":
    [
      {"kty":"EC",
       "crv":"P-256",
       "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
       "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
       "use":"enc",
       "kid":"1"},

      {"kty":"RSA",
       "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W\
  -5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTW\
  hAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
       "e":"AQAB",
       "alg":"RS256",
       "kid":"2011-04-29"}
    ]
  }
  """

/// RFC 7515 appendix A.3, RFC 8037 appendix A.2, RFC 7515 appendix A.1.
private let point =
  #""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#
private let edwards = #""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#
private let octets =
  #""kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow""#

private func read(_ text: String, _ names: String...) throws(ForeignKeyFault) -> ForeignKeySet {
  var algorithms = TokenAlgorithms()
  for name in names { _ = algorithms.insert(named: name) }
  return try ForeignKeySet(parsing: bytes(text), .set, for: algorithms)
}

private func fault(_ text: String, _ names: String...) -> String {
  var algorithms = TokenAlgorithms()
  for name in names { _ = algorithms.insert(named: name) }
  do throws(ForeignKeyFault) {
    return "read: \(try ForeignKeySet(parsing: bytes(text), .set, for: algorithms).count)"
  } catch {
    return error.description
  }
}

@Suite struct ForeignKeysTests {
  @Test func theSetOfRFC7517IsRead() throws {
    let set = try read(setOfRFC7517, "RS256", "RS512", "ES256")
    #expect(set.count == 1)
    #expect(set.keys[0].kid == bytes("2011-04-29"))
    // Its alg pins it, whatever else the issuer uses.
    #expect(set.keys[0].algorithms == [.rs256])
    #expect(set.warnings == ["key 1 (1) is left out: its use is not sig"])
    #expect(set.summary == "1 key (RSA, 2048 bits)")
  }

  @Test func eachKeyIsPinnedToWhatGoesWithIt() throws {
    let set = try read(#"{"keys":[{\#(point)},{\#(edwards),"alg":"EdDSA"}]}"#, "RS256", "ES256", "ES384", "EdDSA")
    #expect(set.keys.map(\.algorithms) == [[.es256], [.edDSA]])
    #expect(set.warnings.isEmpty)
    let secrets = try read(#"{"keys":[{\#(octets)}]}"#, "HS256", "HS512")
    #expect(secrets.keys[0].algorithms == [.hs256, .hs512])
  }

  @Test func whatCannotBeUsedIsLeftOutAndSaid() throws {
    let entries: [(String, String)] = [
      (#"{\#(point),"use":"enc"}"#, "its use is not sig"),
      (#"{\#(point),"use":1}"#, "its use is not sig"),
      (#"{\#(point),"key_ops":["sign"]}"#, "verify is not among its key_ops"),
      (#"{\#(point),"key_ops":"verify"}"#, "verify is not among its key_ops"),
      (#"{\#(point),"alg":"ES256K"}"#, "its alg is not supported"),
      (#"{\#(point),"alg":"none"}"#, "its alg is not supported"),
      (#"{\#(point),"alg":null}"#, "its alg is not supported"),
      (#"{\#(point),"alg":"RS256"}"#, "its alg, RS256, is not among the algorithms of this issuer"),
      (#"{\#(point),"alg":"HS256"}"#, "its alg, HS256, is not among the algorithms of this issuer"),
      (#"{\#(point),"kid":""}"#, "its kid is no string of 1 to 255 bytes"),
      (#"{\#(point),"kid":1}"#, "its kid is no string of 1 to 255 bytes"),
      (#"{"kty":"EC","crv":"P-521","x":"AAAA","y":"AAAA"}"#, "its kind is not supported"),
      (#"{"kty":"AKP","alg":"EdDSA"}"#, "its kind is not supported"),
      (#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#, "the key can't be used"),
      (#"{"kty":"EC","crv":"P-256","x":"AAAA"}"#, "y is no Base64url"),
      (#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, "an Ed25519 key has 32 bytes"),
      (#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}"#, "x is no Base64url"),
      (#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, "the RSA key has 17 bits"),
      (#"{\#(octets)}"#, "it is a secret"),
      (#"{}"#, "it has no kty"), ("1", "it has no kty"), ("null", "it has no kty"),
    ]
    for (entry, reason) in entries {
      let set = try read(#"{"keys":[{\#(edwards)},\#(entry)]}"#, "ES256", "EdDSA")
      #expect(set.count == 1, "\(entry)")
      #expect(set.warnings.count == 1 && set.warnings[0].contains(reason), "\(entry): \(set.warnings)")
      #expect(fault(#"{"keys":[\#(entry)]}"#, "ES256", "EdDSA").hasPrefix("no key can be used"), "\(entry)")
    }
    #expect(fault(#"{"keys":[{\#(point)}]}"#, "HS256").contains("none of the algorithms of this issuer goes with it"))
  }

  @Test func aPrivateKeyMakesTheWholeSetUnusable() {
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
      let found = fault(#"{"keys":[{\#(edwards)},{\#(point),"use":"enc","\#(member)":"AAAA"}]}"#, "ES256", "EdDSA")
      #expect(found.contains("key 2: this is a private key: give the public one"), "\(found)")
    }
  }

  @Test func aSetIsOneObjectWithAnArrayOfKeys() {
    for text in [
      "", "{}", "[]", #"{"keys":{}}"#, #"{"keys":null}"#, #"{\#(point)}"#, #"{"keys":[{\#(point)}]"#, "not json", #"{"keys":[],"keys":[]}"#,
    ] {
      #expect(fault(text, "ES256").hasPrefix("it is no"), "\(text)")
    }
    #expect(fault(#"{"keys":[]}"#, "ES256") == "there are no keys in it")
    #expect(fault(#"{"keys":[\#(Array(repeating: "{}", count: 65).joined(separator: ","))]}"#, "ES256").contains("at most 64"))
    #expect(fault(#"{"keys":[{\#(point),"crv":"P-384"}]}"#, "ES256").contains("stands twice"))
    #expect(fault(String(repeating: " ", count: ForeignKeySet.largest + 1), "ES256").contains("more than"))
  }

  @Test func aSecretIsTheFileWithoutItsLineEnd() throws {
    func secret(_ text: String, _ names: [String] = ["HS256"]) throws(ForeignKeyFault) -> String {
      var algorithms = TokenAlgorithms()
      for name in names { _ = algorithms.insert(named: name) }
      return try ForeignKeySet(parsing: bytes(text), .single, for: algorithms).summary
    }
    let text = String(repeating: "s", count: 32)
    for end in ["", "\n", "\r\n"] { #expect(try secret(text + end) == "1 key (secret, 32 bytes)") }
    #expect(throws: ForeignKeyFault.self) { try secret(String(text.dropLast()) + "\n") }
    #expect(throws: ForeignKeyFault.self) { try secret(text, ["HS256", "HS512"]) }
    // The public key of an issuer is no secret.
    let pem = "-----BEGIN PUBLIC KEY-----\n\(text)\n-----END PUBLIC KEY-----\n"
    #expect(throws: ForeignKeyFault("the key can't be used: it is PEM, and HS256, HS384 and HS512 take a secret")) { try secret(pem) }
    // Nor is a secret a public key.
    #expect(throws: ForeignKeyFault.self) { try secret(text, ["RS256"]) }
  }

  // MARK: Choosing

  private let users: UserTable

  init() throws { users = try House.table(["alice:\(Stored.sha1)"]) }

  private func tokens(_ secrets: [(kid: String?, secret: [UInt8])]) throws -> ForeignTokens {
    let entries = secrets.map { entry in
      let k = String(decoding: Base64.encodeURLSafe(entry.secret.span), as: UTF8.self)
      return #"{"kty":"oct","k":"\#(k)"\#(entry.kid.map { #","kid":"\#($0)""# } ?? "")}"#
    }
    let set = try read(#"{"keys":[\#(entries.joined(separator: ","))]}"#, "HS256")
    return ForeignTokens([.init(Issuing.issuer(), set)])
  }

  private func secret(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 32) }

  private func outcome(_ tokens: ForeignTokens, kid: String?, _ secret: [UInt8]) -> String {
    let header = #"{"alg":"HS256"\#(kid.map { #","kid":"\#($0)""# } ?? "")}"#
    return Issuing.outcome(Issuing.token(Issuing.claims(), header: header, secret: secret), tokens, users)
  }

  @Test func aTokenIsVerifiedByTheKeyThatItNames() throws {
    let two = try tokens([("a", secret(1)), ("b", secret(2))])
    #expect(outcome(two, kid: "a", secret(1)) == "alice []")
    #expect(outcome(two, kid: "b", secret(2)) == "alice []")
    #expect(outcome(two, kid: "a", secret(2)) == "token's signature is wrong")
    #expect(outcome(two, kid: nil, secret(2)) == "alice []")
    for kid in ["c", "A", "a ", "../a", "a' OR '1'='1", "file:///dev/null", "a\\u0000", String(repeating: "a", count: 255)] {
      #expect(outcome(two, kid: kid, secret(1)) == "token's key is unknown", "\(kid)")
    }
    // A key without a name may be any token's.
    let unnamed = try tokens([(nil, secret(1))])
    #expect(outcome(unnamed, kid: "whatever", secret(1)) == "alice []")
  }

  @Test func aTokenWithoutKidTriesEightKeys() throws {
    let nine = try tokens((1...9).map { ("k\($0)", secret($0)) })
    #expect(outcome(nine, kid: nil, secret(8)) == "alice []")
    #expect(outcome(nine, kid: nil, secret(9)) == "token's signature is wrong")
    #expect(outcome(nine, kid: "k9", secret(9)) == "alice []")
  }

  @Test func theAlgorithmIsTheIssuersChoice() throws {
    let public256 = Array(#"{"keys":[{\#(point),"kid":"a"}]}"#.utf8)
    var issuer = Issuing.issuer()
    issuer.algorithms = Issuing.algorithms("ES256", "ES384", "RS256")
    let tokens = ForeignTokens([.init(issuer, try ForeignKeySet(parsing: public256, .set, for: issuer.algorithms))])
    func outcome(_ alg: String, secret: [UInt8] = Issuing.secret) -> String {
      Issuing.outcome(Issuing.token(Issuing.claims(), header: #"{"alg":"\#(alg)","kid":"a"}"#, secret: secret), tokens, users)
    }
    #expect(outcome("ES256") == "token's signature is wrong")
    // Named by the issuer, and not this key's.
    #expect(outcome("ES384") == "token's key is unknown")
    #expect(outcome("RS256") == "token's key is unknown")
    // Signed with what everybody can read.
    for secret in [public256, bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), []] {
      for alg in ["HS256", "HS384", "HS512"] { #expect(outcome(alg, secret: secret) == "token's algorithm is not accepted") }
    }
    for alg in ["none", "None", "NONE", "nOnE", "", "EdDSA", "PS256", "ES512"] {
      #expect(outcome(alg) == "token's algorithm is not accepted", "\(alg)")
    }
  }
}
