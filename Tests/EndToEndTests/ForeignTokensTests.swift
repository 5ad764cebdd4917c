// Tokens of other issuers against the whole house: made by PyJWT, and forged in the ways in which others were fooled.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct ForeignTokens {
    private static let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
    private static func key(_ algorithm: String) -> String {
      switch algorithm {
      case "ES256": "p256"
      case "ES384": "p384"
      case "EdDSA": "ed"
      default: algorithm.hasPrefix("HS") ? "secret" : "rsa"
      }
    }

    /// Claims of a sound token for `user`; `more` begins with a comma.
    private func claims(_ user: String = "alice", _ more: String = "") -> String {
      #"{"iss":"https://login.example/","aud":["svc","other"],"sub":"\#(user)","exp":NOW+600\#(more)}"#
        .replacingOccurrences(of: "NOW+600", with: "\(Int(Date().timeIntervalSince1970) + 600)")
    }

    /// A block of `https://login.example/`.
    private func block(_ keys: String, _ algorithms: [String], _ more: String = "") -> String {
      """
      jwt {
          issuer https://login.example/
          audience svc
          algorithms \(algorithms.joined(separator: " "))
          \(keys)
          \(more)
      }
      """
    }

    private func publicKeys(_ more: String = "", requirement: String = "valid-user") throws -> Setup {
      var setup = Setup(top: block("jwks keys.jwks", Self.all, more), requirement: requirement)
      setup.files = ["keys.jwks": try Mint.keys().set]
      return setup
    }

    private func secret(_ more: String = "") -> Setup {
      var setup = Setup(top: block("key shared.secret", ["HS256", "HS384", "HS512"], more))
      setup.files = ["shared.secret": Mint.secret + "\n"]
      return setup
    }

    private func bearer(_ house: House, _ token: String) throws -> Message {
      try house.ask("GET", "/", ["Authorization: Bearer \(Secrets.keep(token))"])
    }

    private func expectRefused(_ house: House, _ tokens: [(String, String)]) throws {
      for (name, token) in tokens {
        #expect(try bearer(house, token).status == 401, "\(name) as bearer token")
        #expect(try house.ask("GET", "/", ["Authorization: " + Secrets.basic(token, "no-password-of-anybody")]).status == 401, "\(name) as Basic name")
      }
      #expect(house.upstream.connections.isEmpty)
    }

    // MARK: What is accepted

    @Test func tokensOfEveryAlgorithmAreAccepted() throws {
      try House.with(try publicKeys()) { house throws in
        let orders = Self.all.map { Mint.Order(algorithm: $0, key: Self.key($0), claims: claims()) }
        for (algorithm, token) in zip(Self.all, try Mint.tokens(orders)) {
          #expect(try bearer(house, token).status == 200, "\(algorithm)")
          let basic = try house.ask("GET", "/", ["Authorization: " + Secrets.basic(token, "no-password-of-anybody")])
          #expect(basic.status == 200, "\(algorithm) as Basic name")
        }
        for request in try house.upstream.requests(2 * Self.all.count) {
          #expect(request.values("X-Forwarded-User") == ["alice"])
          #expect(request.values("X-Forwarded-Groups") == ["staff"])
          #expect(request.values("Authorization").isEmpty)
        }
      }
      try House.with(secret()) { house throws in
        for algorithm in ["HS256", "HS384", "HS512"] {
          #expect(try bearer(house, try Mint.token(algorithm, "secret", claims())).status == 200, "\(algorithm)")
        }
      }
    }

    @Test func keysInPEMAreRead() throws {
      for (name, algorithms) in [
        ("rsa", ["RS256", "PS256"]), ("p256", ["ES256"]), ("p384", ["ES384"]), ("ed", ["EdDSA"]), ("certificate", ["RS256"]),
      ] {
        let keys = try Mint.keys()
        var setup = Setup(top: block("key key.pem", algorithms))
        setup.files = ["key.pem": keys.pem[name] ?? keys.certificate]
        try House.with(setup) { house throws in
          for algorithm in algorithms {
            // Its kid is the issuer's own affair: a key in PEM has no name.
            let token = try Mint.token(algorithm, Self.key(algorithm), claims(), ["kid": "whatever"])
            #expect(try bearer(house, token).status == 200, "\(name) \(algorithm)")
          }
        }
      }
    }

    @Test func tokensOfAServerLikeTheSeedAreAccepted() throws {
      // A server that signs {"id", "exp"} by PyJWT with its secret key, and says nothing of issuer or audience.
      var setup = Setup(top: "jwt { issuer any; audience any; algorithms HS256; key secret; user_claim id }")
      setup.files = ["secret": Mint.secret]
      try House.with(setup) { house throws in
        let token = try Mint.token("HS256", "secret", #"{"id":"alice","exp":\#(Int(Date().timeIntervalSince1970) + 600)}"#)
        let answer = try house.curl("-u", "\(token):unused", "/")
        #expect(answer.status == 200)
        #expect(try bearer(house, token).status == 200)
        // A number is no name: nobody is called 1.
        let numbered = try Mint.token("HS256", "secret", #"{"id":1,"exp":\#(Int(Date().timeIntervalSince1970) + 600)}"#)
        #expect(try bearer(house, numbered).status == 401)
      }
    }

    @Test func usersOfTheTokensAloneAreTold() throws {
      try House.with(try publicKeys("users any; groups_claim realm roles")) { house throws in
        let token = try Mint.token("ES256", "p256", claims("zoë", #","realm":{"roles":["ops","a,b","dev"]}"#))
        #expect(try bearer(house, token).status == 200)
        let request = try #require(try house.upstream.requests(1).first)
        #expect(request.values("X-Forwarded-User") == ["zoë"])
        #expect(request.values("X-Forwarded-Groups") == ["ops,dev"])
        // Who is locked here is locked, whoever vouches for him.
        for user in ["mallory", "erin"] { #expect(try bearer(house, try Mint.token("ES256", "p256", claims(user))).status == 401) }
      }
      try House.with(try publicKeys("users any", requirement: "group staff")) { house throws in
        let token = try Mint.token("ES256", "p256", claims("zoe", #","groups":["staff"]"#))
        #expect(try bearer(house, token).status == 403)
        #expect(try house.accessLines(1)[0]["user"] as? String == "zoe" || house.gate.accessLog.contains("zoe"))
      }
    }

    // MARK: What is not

    @Test func noneIsRefusedInEverySpelling() throws {
      try House.with(try publicKeys()) { house throws in
        var forged: [(String, String)] = []
        for name in ["none", "None", "NONE", "nOnE", ""] {
          let start = Mint.encoded(#"{"alg":"\#(name)","typ":"JWT"}"#) + "." + Mint.encoded(claims())
          forged.append((name, start + "."))
          forged.append(("\(name), signed", start + ".AAAA"))
        }
        forged.append(("no alg", Mint.encoded("{}") + "." + Mint.encoded(claims()) + ".AAAA"))
        forged.append(("PyJWT's none", try Mint.token("none", "none", claims())))
        try expectRefused(house, forged)
      }
    }

    @Test func thePublicKeyIsNoSecret() throws {
      let keys = try Mint.keys()
      let pem = try #require(keys.pem["rsa"])
      var single = Setup(top: block("key key.pem", ["RS256"]))
      single.files = ["key.pem": pem]
      for setup in [single, try publicKeys()] {
        try House.with(setup) { house throws in
          let headers = [#"{"alg":"HS256"}"#, #"{"alg":"HS256","kid":"rsa"}"#, #"{"alg":"RS256"}"#, #"{"alg":"RS256","kid":"rsa"}"#]
          let forgeries = [pem, pem.trimmingCharacters(in: .newlines), pem + "\n", keys.set].flatMap { secret in
            headers.map { Mint.Forgery(header: $0, payload: claims(), secret: secret) }
          }
          try expectRefused(house, Array(zip(forgeries.map(\.header), try Mint.forged(forgeries))))
        }
      }
    }

    @Test func aKeyDoesOnlyWhatItIsFor() throws {
      // The same RSA key under names of the curves' keys, another key under its name, an algorithm that the block does not have.
      try House.with(try publicKeys()) { house throws in
        var forged: [(String, String)] = []
        for (algorithm, key, kid) in [
          ("RS256", "rsa", "p256"), ("RS256", "rsa", "rsa2"), ("RS256", "rsa2", "rsa"), ("ES256", "p256", "p384"), ("EdDSA", "ed", "rsa"),
        ] {
          forged.append(("\(algorithm) by \(key) as \(kid)", try Mint.token(algorithm, key, claims(), ["kid": kid])))
        }
        try expectRefused(house, forged)
      }
      var setup = Setup(top: block("jwks keys.jwks", ["ES256"]))
      setup.files = ["keys.jwks": try Mint.keys().set]
      try House.with(setup) { house throws in
        try expectRefused(house, [("RS256", try Mint.token("RS256", "rsa", claims()))])
        #expect(try bearer(house, try Mint.token("ES256", "p256", claims())).status == 200)
      }
    }

    @Test func aKidIsOnlyAName() throws {
      var setup = secret()
      let k = Mint.encoded(Mint.secret)
      setup.top = block("jwks keys.jwks", ["HS256"])
      setup.files = ["keys.jwks": #"{"keys":[{"kty":"oct","kid":"a","k":"\#(k)"}]}"#, "empty": ""]
      try House.with(setup) { house throws in
        #expect(try bearer(house, try Mint.token("HS256", "secret", claims(), ["kid": "a"])).status == 200)
        let names = [
          "../../../../dev/null", "/dev/null", "empty", "./empty", "keys.jwks", "file:///dev/null", "x' UNION SELECT 'secret", "|/bin/true",
          "%61", "A",
          "a\\u0000", "", String(repeating: "a", count: 255), String(repeating: "a", count: 256), String(repeating: "a", count: 5000),
        ]
        var forgeries = names.flatMap { name in
          ["", Mint.secret].map { Mint.Forgery(header: #"{"alg":"HS256","kid":"\#(name)"}"#, payload: claims(), secret: $0) }
        }
        forgeries += ["null", "1", #"["a"]"#, #"{"a":"a"}"#].map {
          Mint.Forgery(header: #"{"alg":"HS256","kid":\#($0)}"#, payload: claims(), secret: Mint.secret)
        }
        for (forgery, token) in zip(forgeries, try Mint.forged(forgeries)) {
          #expect(try bearer(house, token).status == 401, "\(forgery.header.prefix(60))")
        }
      }
    }

    @Test func keysInsideATokenAreNotUsed() throws {
      try House.with(secret()) { house throws in
        let k = Mint.encoded("attacker")
        let headers = [
          #"{"alg":"HS256","jwk":{"kty":"oct","k":"\#(k)"}}"#, #"{"alg":"HS256","jku":"\#(house.url)/keys"}"#,
          #"{"alg":"HS256","x5u":"\#(house.url)/keys"}"#, #"{"alg":"HS256","x5c":["AAAA"]}"#,
        ]
        let forgeries = headers.map { Mint.Forgery(header: $0, payload: claims(), secret: "attacker") }
        try expectRefused(house, Array(zip(headers, try Mint.forged(forgeries))))
        // Nor do they harm a token whose signature is right.
        let sound = try Mint.forged(headers[0], claims(), secret: Mint.secret)
        #expect(try bearer(house, sound).status == 200)
      }
    }

    @Test func aTokenHasOneSpelling() throws {
      try House.with(secret()) { house throws in
        let token = try Mint.token("HS256", "secret", claims())
        let parts = token.split(separator: ".").map(String.init)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        // HMAC-SHA-256 is 43 characters, the last of which has two bits to spare: three other letters decode to the same bytes elsewhere.
        let last = try #require(token.last.flatMap { alphabet.firstIndex(of: $0) })
        var wrong = (1...3).map { ("spare bits \($0)", String(token.dropLast()) + String(alphabet[last ^ $0])) }
        wrong += [
          ("padded", token + "="), ("header padded", "\(parts[0])=.\(parts[1]).\(parts[2])"), ("a dot more", token + "."),
          ("four parts", token + ".AAAA"),
          ("five parts", token + ".AAAA.AAAA"), ("no signature", "\(parts[0]).\(parts[1])."), ("two parts", "\(parts[0]).\(parts[1])"),
          ("a byte less", String(token.dropLast(2))), ("a byte more", token + "AA"), ("doubled", "\(token)\(token)"),
          ("other header", Mint.encoded(#"{"alg":"HS384"}"#) + ".\(parts[1]).\(parts[2])"),
          ("other payload", "\(parts[0])." + Mint.encoded(claims("bob")) + ".\(parts[2])"),
        ]
        for cut in stride(from: 1, to: token.count, by: 7) { wrong.append(("cut at \(cut)", String(token.prefix(cut)))) }
        for (name, text) in wrong { #expect(try bearer(house, text).status == 401, "\(name)") }
        #expect(house.upstream.connections.isEmpty)
        #expect(try bearer(house, token).status == 200)
      }
    }

    @Test func aTokenOfAnotherTimeOrPlaceIsRefused() throws {
      try House.with(secret("leeway 60s")) { house throws in
        let now = Int(Date().timeIntervalSince1970)
        let iss = #""iss":"https://login.example/""#
        let wrong: [(String, String)] = [
          ("expired by a second beyond the leeway", #"{\#(iss),"aud":"svc","sub":"alice","exp":\#(now - 61)}"#),
          ("no expiry", #"{\#(iss),"aud":"svc","sub":"alice"}"#),
          ("from the future", #"{\#(iss),"aud":"svc","sub":"alice","exp":\#(now + 9000),"nbf":\#(now + 900)}"#),
          ("issued in the future", #"{\#(iss),"aud":"svc","sub":"alice","exp":\#(now + 9000),"iat":\#(now + 900)}"#),
          ("milliseconds", #"{\#(iss),"aud":"svc","sub":"alice","exp":\#(now)000}"#),
          ("another audience", #"{\#(iss),"aud":"other","sub":"alice","exp":\#(now + 600)}"#),
          ("no audience", #"{\#(iss),"sub":"alice","exp":\#(now + 600)}"#),
          ("another issuer", #"{"iss":"https://login.example","aud":"svc","sub":"alice","exp":\#(now + 600)}"#),
          ("no issuer", #"{"aud":"svc","sub":"alice","exp":\#(now + 600)}"#),
          ("no user", #"{\#(iss),"aud":"svc","exp":\#(now + 600)}"#),
          ("unknown user", #"{\#(iss),"aud":"svc","sub":"stranger","exp":\#(now + 600)}"#),
          ("locked user", #"{\#(iss),"aud":"svc","sub":"mallory","exp":\#(now + 600)}"#),
          ("expired user", #"{\#(iss),"aud":"svc","sub":"erin","exp":\#(now + 600)}"#),
          ("two users", #"{\#(iss),"aud":"svc","sub":["alice"],"exp":\#(now + 600)}"#),
        ]
        let tokens = try Mint.tokens(wrong.map { Mint.Order(algorithm: "HS256", key: "secret", claims: $0.1) })
        try expectRefused(house, zip(wrong, tokens).map { ($0.0, $1) })
        let within = try Mint.token("HS256", "secret", #"{\#(iss),"aud":"svc","sub":"alice","exp":NOW}"#)
        #expect(try bearer(house, within).status == 200, "within the leeway")
        // Claims that stand twice, which a library would not write.
        for payload in [
          #"{\#(iss),"aud":"svc","sub":"alice","sub":"bob","exp":\#(now + 600)}"#,
          #"{\#(iss),"aud":"svc","sub":"alice","exp":1,"exp":\#(now + 600)}"#,
        ] {
          #expect(try bearer(house, try Mint.forged(#"{"alg":"HS256"}"#, payload, secret: Mint.secret)).status == 401, "\(payload)")
        }
      }
    }

    @Test func whatIsNoSignedTokenIsRefused() throws {
      try House.with(secret()) { house throws in
        let dots = Mint.encoded(#"{"alg":"dir","enc":"A128GCM"}"#) + "..AAAA.AAAA.AAAA"
        let big = try Mint.forged(
          #"{"alg":"HS256"}"#, claims("alice", ",\"x\":\"\(String(repeating: "x", count: 7000))\""), secret: Mint.secret)
        var wrong = [
          ("JWE", dots), ("more than 8 KiB", big),
          ("crit", try Mint.forged(#"{"alg":"HS256","crit":["exp"]}"#, claims(), secret: Mint.secret)),
        ]
        let headers = [
          #"{"alg":"HS256","b64":false}"#, #"{"alg":"HS256","zip":"DEF"}"#, #"{"alg":"HS256","typ":"logout+jwt"}"#,
          #"{"alg":"HS256","alg":"HS256"}"#, "[]",
        ]
        let forgeries = headers.map { Mint.Forgery(header: $0, payload: claims(), secret: Mint.secret) }
        wrong += Array(zip(headers, try Mint.forged(forgeries)))
        try expectRefused(house, wrong)
        let large = try Mint.forged(
          #"{"alg":"HS256"}"#, claims("alice", ",\"x\":\"\(String(repeating: "x", count: 5500))\""), secret: Mint.secret)
        #expect(try bearer(house, large).status == 200)
      }
    }

    @Test func wrongTokensCostNoPasswordCheck() throws {
      // With one thread that a hash of this cost holds for seconds, ten thousand wrong tokens would take hours.
      var setup = secret()
      setup.top += "\nhash_threads 1\nhash_queue 1"
      try House.with(setup) { house throws in
        let token = try Mint.token("HS256", "secret", claims("carol"))
        let client = try house.client()
        for i in 0..<2000 {
          let wrong = String(token.dropLast(4)) + Mint.encoded("\(i)").prefix(3) + "A"
          #expect(try client.exchange(request("GET", "/", ["Authorization: Bearer \(wrong)"])).status == 401)
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func aRefusedTokenTellsNothingButThat() throws {
      try House.with(secret()) { house throws in
        let tokens = try [
          Mint.forged(#"{"alg":"HS256"}"#, claims(), secret: "another"),
          Mint.forged(#"{"alg":"HS256"}"#, claims("mallory"), secret: Mint.secret),
          Mint.forged(#"{"alg":"HS256"}"#, claims("stranger"), secret: Mint.secret),
          Mint.forged(#"{"alg":"HS256"}"#, "{}", secret: Mint.secret), "eyJ..", "x",
        ]
        let answers = try tokens.map { try bearer(house, $0) }
        for answer in answers {
          #expect(answer.status == 401)
          #expect(answer.values("WWW-Authenticate").contains { $0.contains("error=\"invalid_token\"") })
          #expect(answer.comparable == answers[0].comparable)
        }
        // The log tells them apart.
        let reasons = try house.accessLines(tokens.count).compactMap { $0["reason"] as? String }
        #expect(
          reasons == [
            "token's signature is wrong", "user is locked", "unknown user", "token's issuer is unknown", "malformed token", "unknown token",
          ])
      }
    }

    // MARK: Keys that change

    @Test func keysReplacedWhileRunningTakeEffect() throws {
      let keys = try Mint.keys()
      var setup = Setup(top: block("key key.pem", ["RS256"]))
      setup.files = ["key.pem": try #require(keys.pem["rsa"])]
      try House.with(setup) { house throws in
        let old = try Mint.token("RS256", "rsa", claims())
        let new = try Mint.token("RS256", "rsa2", claims())
        #expect(try bearer(house, old).status == 200)
        #expect(try bearer(house, new).status == 401)
        try house.scratch.replace("key.pem", with: try #require(keys.pem["rsa2"]))
        try eventually("the new key is in force") { try bearer(house, new).status == 200 }
        // Also for a token that was remembered.
        #expect(try bearer(house, old).status == 401)
        try house.scratch.write(try #require(keys.pem["rsa"]), to: "key.pem")
        try eventually("the old key is back, written in place") { try bearer(house, old).status == 200 }
      }
    }

    @Test func aBrokenKeyFileKeepsTheOldKeys() throws {
      try House.with(try publicKeys()) { house throws in
        let token = try Mint.token("ES256", "p256", claims())
        for (i, broken) in [String(try Mint.keys().set.dropLast(9)), #"{"keys":[]}"#, try #require(try Mint.keys().pem["rsa"])].enumerated()
        {
          try house.scratch.write(broken, to: "keys.jwks")
          try eventually("broken \(i) was noticed") {
            house.gate.errorLines.count { $0.contains("the keys before stay in force") } == i + 1
          }
          #expect(try bearer(house, token).status == 200)
          // A token that was not seen before, too.
          #expect(try bearer(house, try Mint.token("EdDSA", "ed", claims())).status == 200)
        }
        // A reload of everything with it is refused as a whole.
        house.gate.child.signal(SIGHUP)
        try eventually("the reload was refused") { house.gate.errorLines.contains { $0.contains("the configuration has errors") } }
        #expect(try bearer(house, token).status == 200)
      }
    }

    @Test func aPrivateKeyIsNotServedWith() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      let made = try Child.run("/usr/bin/openssl", ["genpkey", "-algorithm", "ed25519", "-out", scratch["private.pem"]])
      #expect(made.code == 0)
      try scratch.write(
        "listen 127.0.0.1:0\nusers users\n\(block("key private.pem", ["EdDSA"]))\n"
          + "upstream u { server http://127.0.0.1:9 }\nroute / { upstream u; require valid-user }\n", to: "proxy.conf")
      let outcome = try Gatehouse.run(["check", "--config", "proxy.conf"], in: scratch)
      #expect(outcome.code == 1)
      #expect((outcome.text + outcome.errors).contains("this is a private key: give the public one"))
    }
  }
}
