// Services that check who the user is by what Gatehouse signs: PyJWT with the published keys, and whatever a client may try to be somebody else there.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct AssertJWT {
    private static let field = "X-Gatehouse-Assertion"
    private static let kinds = [
      ("ES256", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("RS256", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
      ("EdDSA", ["-algorithm", "ED25519"]),
    ]

    private static func key(_ arguments: [String]) throws -> String {
      let outcome = try Child.run("/usr/bin/openssl", ["genpkey"] + arguments)
      guard outcome.code == 0 else { throw Failure("openssl: \(outcome.errors)") }
      // The line that is the key alone; the first of an RSA key is the same as any other's.
      Secrets.keep(outcome.text.split(separator: "\n").dropFirst().dropLast().last.map(String.init) ?? "")
      return outcome.text
    }

    private static func setup(_ key: String, _ block: String = "", more: String = "") -> Setup {
      Setup(top: "jwks_endpoint /gatehouse/jwks.json", upstream: "assert_jwt { key assertion.key; \(block) }", more: more, files: ["assertion.key": key])
    }

    /// What the upstream was told in its last request.
    private static func token(_ house: House) throws -> String {
      let values = try #require(house.upstream.requests.last).values(field)
      #expect(values.count == 1)
      return Secrets.keep(try #require(values.first))
    }

    /// What PyJWT says of `token` by the keys that it gets through Gatehouse: its claims, or the name of its error.
    private static func checked(_ house: House, _ token: String, _ algorithm: String, audience: String = "legacy", issuer: String = "gatehouse") throws -> String {
      let outcome = try house.python(
        """
        import json, jwt
        try:
          key = jwt.PyJWKClient(base + "/gatehouse/jwks.json").get_signing_key_from_jwt("\(token)").key
          print(json.dumps(jwt.decode("\(token)", key, algorithms=["\(algorithm)"], audience="\(audience)", issuer="\(issuer)",
            options={"require": ["exp", "iat", "jti", "sub"]}), sort_keys=True))
        except Exception as error: print(type(error).__name__)
        """)
      guard outcome.code == 0 else { throw Failure(outcome.errors) }
      return outcome.text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test func pyJWTChecksEachKindOfKey() throws {
      for (algorithm, arguments) in Self.kinds {
        try House.with(Self.setup(try Self.key(arguments))) { house throws in
          #expect(try house.ask("GET", "/", [People.bob.authorization]).status == 200)
          let token = try Self.token(house)
          let text = try Self.checked(house, token, algorithm)
          let claims = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(algorithm): \(text)")
          #expect(claims["sub"] as? String == "bob" && claims["aud"] as? String == "legacy" && claims["iss"] as? String == "gatehouse")
          #expect(claims["groups"] as? [String] == ["staff", "admin"])
          let (issued, expires) = (try #require(claims["iat"] as? Double), try #require(claims["exp"] as? Double))
          #expect(expires - issued == 60 && abs(Date().timeIntervalSince1970 - issued) < 30)
          #expect((claims["jti"] as? String)?.utf8.count == 22)
          // For others it is none.
          #expect(try Self.checked(house, token, algorithm, audience: "other") == "InvalidAudienceError")
          #expect(try Self.checked(house, token, algorithm, issuer: "other") == "InvalidIssuerError")
          // Somebody else's claims under this signature.
          #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
          let other = try Self.token(house)
          #expect(other != token)
          let (mine, hers) = (token.split(separator: "."), other.split(separator: "."))
          #expect(try Self.checked(house, "\(hers[0]).\(hers[1]).\(mine[2])", algorithm) == "InvalidSignatureError")
          // One is made for several requests.
          #expect(try house.ask("GET", "/again", [People.bob.authorization]).status == 200)
          #expect(try Self.token(house) == token)
        }
      }
    }

    @Test func thePublishedKeysAreForEverybodyAndHoldNothingPrivate() throws {
      for (algorithm, arguments) in Self.kinds {
        // Two upstreams of one key, which is published once.
        let second = "upstream second { server http://127.0.0.1:9; assert_jwt { key assertion.key } }\nroute /second/ { upstream second; require valid-user }"
        try House.with(Self.setup(try Self.key(arguments), more: second)) { house throws in
          for fields in [[], [People.alice.authorization], ["Authorization: Basic Zm9yZ2VkOmZvcmdlZA=="]] {
            let answer = try house.ask("GET", "/gatehouse/jwks.json", fields)
            #expect(answer.status == 200 && answer["Content-Type"] == "application/json")
          }
          let set = try #require(
            try JSONSerialization.jsonObject(with: Data(try house.ask("GET", "/gatehouse/jwks.json").body)) as? [String: [[String: String]]])
          let keys = try #require(set["keys"])
          #expect(keys.count == 1 && keys[0]["alg"] == algorithm && keys[0]["use"] == "sig")
          let members = Set(keys[0].keys).subtracting(["alg", "use", "kid", "kty"])
          #expect(members == ["ES256": ["crv", "x", "y"], "RS256": ["n", "e"], "EdDSA": ["crv", "x"]][algorithm])
          // RFC 7638, by other hands: the required members alone, sorted, without white space.
          let outcome = try house.python(
            """
            import base64, hashlib, json, urllib.request
            key = json.load(urllib.request.urlopen(base + "/gatehouse/jwks.json"))["keys"][0]
            text = json.dumps({k: v for k, v in key.items() if k not in ("alg", "use", "kid")}, sort_keys=True, separators=(",", ":"))
            print(base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=") == key["kid"])
            """)
          #expect(outcome.text == "True\n", "\(outcome.errors)")
          #expect(try house.ask("HEAD", "/gatehouse/jwks.json").status == 200)
          let refused = try house.ask("DELETE", "/gatehouse/jwks.json")
          #expect(refused.status == 405 && refused["Allow"] == "GET, HEAD")
          #expect(house.upstream.connections.isEmpty)
        }
      }
    }

    @Test func whatAClientAssertsStaysBehindAndNobodyIsAsserted() throws {
      let more = """
        route /public/ { upstream legacy; require nobody }
        upstream unsigned { server SERVER }
        route /unsigned/ { upstream unsigned; require valid-user }
        route /changed/ { upstream legacy; require valid-user; strip_prefix /changed }
        """
      let upstream = try RecordingUpstream(Answer.hello)
      let text = more.replacingOccurrences(of: "SERVER", with: "http://127.0.0.1:\(upstream.port)")
      let forged = ["X-Gatehouse-Assertion: forged", "x_gatehouse_assertion: forged", "X-GATEHOUSE.ASSERTION: forged"]
      try House.with(Self.setup(try Self.key(Self.kinds[0].1), more: text)) { house throws in
        for target in ["/", "/changed/x"] {
          #expect(try house.ask("GET", target, forged + [People.alice.authorization]).status == 200)
          let seen = try #require(house.upstream.requests.last)
          #expect(!seen.head.holds("forged") && seen.values("X-Forwarded-User") == ["alice"])
          #expect(try Self.checked(house, try Self.token(house), "ES256").contains("\"sub\": \"alice\""))
        }
        // Of nobody nothing is said, whoever he says he is.
        #expect(try house.ask("GET", "/public/", forged).status == 200)
        let seen = try #require(house.upstream.requests.last)
        #expect(!seen.head.holds("forged") && seen.values(Self.field).isEmpty)
        // Nor does it reach a service that nothing is signed for: another might believe what it passes on.
        #expect(try house.ask("GET", "/unsigned/", forged + [People.alice.authorization]).status == 200)
        #expect(try upstream.requests(1).allSatisfy { !$0.head.holds("forged") && $0.values(Self.field).isEmpty })
        let count = house.upstream.requests.count
        let chunked = ["Transfer-Encoding: chunked", "Trailer: X-Gatehouse-Assertion", People.alice.authorization].joined(separator: "\r\n")
        #expect(
          try house.client().exchange(
            "POST /c HTTP/1.1\r\nHost: a.example\r\n\(chunked)\r\n\r\n3\r\nabc\r\n0\r\n\(forged.joined(separator: "\r\n"))\r\n\r\n").status == 200)
        #expect(try house.upstream.requests(count + 1)[count].trailers.isEmpty)
        // Who may not pass is asserted to nobody.
        #expect(try house.ask("GET", "/", ["Authorization: " + Secrets.basic("alice", "wrong-password-1")]).status == 401)
        #expect(house.upstream.requests.count == count + 1)
      }
      try upstream.stop()
    }

    @Test func aReloadSignsByTheNewKeyAndPublishesItAlone() throws {
      let (first, second) = (try Self.key(Self.kinds[0].1), try Self.key(Self.kinds[2].1))
      try House.with(Self.setup(first, "header X-Signed; audience app; issuer https://proxy.example; lifetime 10s")) { house throws in
        func signed() throws -> String {
          #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
          return Secrets.keep(try #require(house.upstream.requests.last?.values("X-Signed").first))
        }
        func check(_ token: String, _ algorithm: String) throws -> String {
          try Self.checked(house, token, algorithm, audience: "app", issuer: "https://proxy.example")
        }
        let old = try signed()
        #expect(try check(old, "ES256").contains("\"sub\": \"alice\""))
        try house.scratch.write(second, to: "assertion.key")
        try house.reload("workers 1", becomes: "workers 1\nkeepalive_requests 9999")
        try eventually("the new key") { try check(try signed(), "EdDSA").contains("\"sub\": \"alice\"") }
        #expect(try check(old, "ES256") == "PyJWKClientError")
        // What can't sign changes nothing.
        try house.scratch.write("-----BEGIN PRIVATE KEY-----\nZm9yZ2Vk\n-----END PRIVATE KEY-----\n", to: "assertion.key")
        #expect(throws: Failure.self) { try house.reload("keepalive_requests 9999", becomes: "keepalive_requests 9998") }
        #expect(try check(try signed(), "EdDSA").contains("\"sub\": \"alice\""))
      }
    }

    @Test func aChangeOfGroupsIsInTheNextAssertion() throws {
      try House.with(Self.setup(try Self.key(Self.kinds[2].1))) { house throws in
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
        #expect(try Self.checked(house, try Self.token(house), "EdDSA").contains("\"groups\": [\"staff\"]"))
        let users = try house.scratch.text("users")
        try house.scratch.replace("users", with: users.replacingOccurrences(of: "5MVM=:groups=staff", with: "5MVM=:groups=others"))
        try eventually("the new group") {
          #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
          return try #require(house.upstream.requests.last).values("X-Forwarded-Groups") == ["others"]
        }
        #expect(try Self.checked(house, try Self.token(house), "EdDSA").contains("\"groups\": [\"others\"]"))
      }
    }

    @Test func noOtherKeySigns() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      func said(_ key: String, mode: Int = 0o600) throws -> String {
        try scratch.write(key, to: "assertion.key", mode: mode)
        try scratch.write(Self.setup("").text(upstreamPort: 9), to: "proxy.conf")
        let outcome = try Gatehouse.run(["check", "--config", "proxy.conf"], in: scratch)
        return "\(outcome.code) \(outcome.text)\(outcome.errors)"
      }
      let good = try Self.key(Self.kinds[0].1)
      #expect(try said(good).hasPrefix("0 "))
      #expect(try said(good, mode: 0o644).contains("everybody on this machine can read the key"))
      #expect(try said("nothing").contains("there is no private key in it"))
      #expect(try said(try Self.key(["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"])).contains("is not supported: P-256, RSA and Ed25519 are"))
      #expect(try said(try Self.key(["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"])).contains("the RSA key has 1024 bits"))
      // Nobody is asked for a passphrase at a terminal that may not be there.
      let encrypted = try said(try Self.key(["-algorithm", "ED25519", "-aes256", "-pass", "pass:hunter2"]))
      #expect(encrypted.hasPrefix("1 ") && encrypted.contains("without a passphrase"))
    }

    /// The page docs/recipes/assert-jwt.md: its configuration, and its lines of Python in the service.
    @Test(.inClearText) func aPythonServiceKnowsItsUsersByTheRecipe() throws {
      let folder = try Scratch()
      let service = try PythonService(
        """
        import http.server
        space = {}
        class Handler(http.server.BaseHTTPRequestHandler):
          protocol_version = "HTTP/1.1"
          def log_message(self, *words): pass
          def do_GET(self):
            if not space: exec(open(sys.argv[1]).read(), space)
            try: status, text = 200, repr(space["user_of"](self.headers))
            except Exception as error: status, text = 401, type(error).__name__
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        say(str(server.server_address[1]))
        server.serve_forever()
        """, [folder["check.py"]])
      let recipe = try Recipe("assert-jwt")
      let setup = Setup(
        path: "/unused/", more: try recipe.text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(service.port)"]), files: ["assertion.key": try Self.key(Self.kinds[0].1)])
      try House.with(setup) { house throws in
        try folder.write(
          try Recipe.python("assert-jwt").replacingOccurrences(of: "https://proxy.example", with: house.url), to: "check.py")
        #expect(try house.ask("GET", "/", [People.bob.authorization]).text == "('bob', ['staff', 'admin'])")
        #expect(try house.ask("GET", "/", [People.alice.authorization, "X-Gatehouse-Assertion: forged"]).text == "('alice', ['staff'])")
        #expect(try house.ask("GET", "/open/", ["X-Gatehouse-Assertion: forged"]).text == "None")
        // Who goes around Gatehouse is nobody, or found out.
        let around = ["-H", "X-Gatehouse-Assertion: eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "http://127.0.0.1:\(service.port)/"]
        #expect(try Child.run("/usr/bin/curl", ["-q", "-sS", "-o", "/dev/stdout", "-w", " %{http_code}"] + around).text.hasSuffix(" 401"))
      }
      try service.stop()
    }
  }
}

extension Recipe {
  /// The lines of Python in a page.
  fileprivate static func python(_ name: String, _ file: String = #filePath) throws -> String {
    let root = URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(contentsOf: root.appendingPathComponent("docs/recipes/\(name).md"), encoding: .utf8)
    let blocks = page.components(separatedBy: "```python\n")
    guard blocks.count == 2 else { throw Failure("docs/recipes/\(name).md has no one block ```python") }
    return blocks[1].components(separatedBy: "\n```")[0]
  }
}
