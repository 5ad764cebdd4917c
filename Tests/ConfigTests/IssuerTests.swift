// `jwt` blocks: what they have to say, and that nothing is accepted by omission.

import Auth
import Primitives
import Proxy
import Testing

@testable import Config

@Suite struct IssuerTests {
  private let scratch: Scratch
  private static let point =
    #""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#

  init() throws {
    scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    try scratch.write("secret", String(repeating: "s", count: 32) + "\n")
    try scratch.write("set", #"{"keys":[{\#(Self.point)}]}"#)
    try scratch.write("open", String(repeating: "s", count: 32) + "\n", mode: 0o644)
    try scratch.write("short", "secret\n")
    try scratch.write("private", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
  }

  private func load(_ blocks: String, users: String = "users users") -> Configuration {
    let text = "\(users)\n\(blocks)\nlisten 127.0.0.1:1; upstream u { server http://a }; route / { upstream u; require valid-user }"
    return Configuration.load(text: text, name: "\(scratch.path)/t.conf", environment: { _ in nil })
  }

  private func complaints(_ blocks: String) -> [String] { load(blocks).diagnostics.all.map(complaint) }

  /// A block that is right but for what `change` replaces.
  private func wrong(_ change: String, with new: String = "") -> [String] {
    complaints("jwt { issuer me; audience svc; algorithms HS256; key secret; user_claim sub }".replacing(change, with: new))
  }

  @Test func aWholeBlockIsUnderstood() throws {
    let configuration = load(
      """
      jwt {
        issuer me; audience a "b c"; audience d; algorithms RS256 ES256; jwks set
        user_claim name; groups_claim realm_access roles; users any; leeway 5m
      }
      jwt { issuer any; audience any; algorithms HS256; key secret }
      """)
    #expect(configuration.diagnostics.rendered == "")
    let issuers = try #require(configuration.settings?.issuers)
    var first = ForeignIssuer()
    first.issuer = Array("me".utf8)
    first.audiences = ["a", "b c", "d"].map { Array($0.utf8) }
    for name in ["RS256", "ES256"] { _ = first.algorithms.insert(named: name) }
    first.keyPath = "\(scratch.path)/set"
    first.keyFormat = .set
    first.userClaim = Array("name".utf8)
    first.groupsClaim = ["realm_access", "roles"].map { Array($0.utf8) }
    first.acceptsAnyUser = true
    first.leeway = .seconds(300)
    #expect(issuers.count == 2 && issuers[0] == first)
    #expect(issuers[1].issuer == nil && issuers[1].audiences == nil && issuers[1].groupsClaim == nil && !issuers[1].acceptsAnyUser)
    #expect(issuers[1].keyFormat == .single && issuers[1].leeway == .seconds(60))
  }

  @Test func nothingIsAcceptedByOmission() {
    #expect(wrong("issuer me;") == ["2:1: this 'jwt' block does not say whose tokens it accepts"])
    #expect(wrong("audience svc;") == ["2:1: this 'jwt' block does not say for whom the tokens have to be"])
    #expect(wrong("algorithms HS256;") == ["2:1: this 'jwt' block does not say what the tokens are signed with"])
    #expect(wrong("key secret;") == ["2:1: this 'jwt' block has no keys"])
    #expect(complaints("jwt { }").count == 4)
    #expect(complaints("jwt {\n}").count == 4)
    // What is there and wrong is not missing as well.
    #expect(wrong("issuer me", with: "issuer \"\"") == ["2:14: \"\" is no issuer"])
    #expect(wrong("audience svc", with: "audience \"\"") == ["2:27: \"\" is no audience"])
  }

  @Test func noneIsNoAlgorithm() {
    for word in ["none", "None", "NONE"] { #expect(wrong("HS256", with: word) == ["2:43: '\(word)' is no algorithm"]) }
    for word in ["hs256", "HS255", "RSA", "ES512"] {
      #expect(wrong("HS256", with: word) == ["2:43: '\(word)' is no algorithm that is supported"])
    }
    #expect(wrong("HS256", with: "HS256 none") == ["2:49: 'none' is no algorithm"])
  }

  @Test func secretsAndPublicKeysAreNotMixed() {
    #expect(
      wrong("HS256", with: "HS256 RS256")
        == ["2:32: HS256, HS384 and HS512 can't stand beside the others: who verifies with a secret can also sign"])
  }

  @Test func keysAreJudgedWithTheConfig() {
    #expect(wrong("key secret", with: "key nothing") == ["2:54: 'nothing' can't be read: there is no such file"])
    #expect(wrong("key secret", with: "key short")[0].contains("the secret has 6 bytes, and needs 32 at least"))
    #expect(wrong("HS256", with: "HS512")[0].contains("HS512 does not go with this key (secret, 32 bytes)"))
    #expect(wrong("HS256", with: "RS256")[0].contains("there is no public key in it"))
    #expect(wrong("HS256; key secret", with: "RS256; key private")[0].contains("this is a private key: give the public one"))
    #expect(wrong("key secret", with: "jwks set")[0].contains("no key can be used"))
    #expect(wrong("key secret", with: "jwks secret")[0].contains("it is no JSON"))
    #expect(wrong("key secret", with: "key secret; jwks set") == ["2:62: 'key' and 'jwks' exclude each other"])
    #expect(wrong("key secret", with: "key open") == ["2:54: warning: everybody on this machine can read the secret"])
    // No byte of a secret is in the words.
    #expect(!load("jwt { issuer me; audience a; algorithms HS512; key secret }").diagnostics.rendered.contains("ssss"))
  }

  @Test func anyStandsAlone() {
    for words in ["any svc", "svc any", "svc; audience any", "any; audience svc"] {
      #expect(wrong("audience svc", with: "audience \(words)").count == 1, "\(words)")
    }
    // In quotes it is a name like others.
    #expect(
      load("jwt { issuer \"any\"; audience \"any\"; algorithms HS256; key secret }").settings?.issuers.first?.issuer == Array("any".utf8))
  }

  @Test func oneBlockAnIssuer() {
    let block = "jwt { issuer me; audience svc; algorithms HS256; key secret }\n"
    #expect(complaints(block + block) == ["3:1: a second 'jwt' block of the same issuer"])
    let any = block.replacing("issuer me", with: "issuer any")
    #expect(complaints(any + any) == ["3:1: a second 'jwt' block of the same issuer"])
    #expect(complaints(block + any).isEmpty)
  }

  @Test func leewayIsBounded() {
    #expect(wrong("user_claim sub", with: "leeway 301s") == ["2:69: '301s' is out of range: 0s to 5m"])
    #expect(wrong("user_claim sub", with: "leeway 0").isEmpty)
  }

  @Test func usersOfTheTokensNeedNoUserFile() {
    let block = "jwt { issuer me; audience svc; algorithms HS256; key secret; users any }"
    #expect(load(block, users: "").diagnostics.rendered == "")
    #expect(load(block.replacing("users any", with: "users file"), users: "").diagnostics.rendered.contains("and no user file"))
  }
}
