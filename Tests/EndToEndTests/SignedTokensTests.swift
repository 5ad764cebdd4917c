// Signed tokens before a running server: where they are accepted, what ends them, and what forgers try.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct SignedTokens {
    static let setup = Setup(top: "tokens { keys token.keys; renew_within 12h }")

    /// A token from the command line.
    static func issue(_ scratch: Scratch, _ arguments: String...) throws -> String {
      let outcome = try Gatehouse.run(["token", "issue"] + arguments, in: scratch)
      guard outcome.code == 0 else { throw Failure("no token: \(outcome.errors)") }
      return Secrets.keep(outcome.text.trimmingCharacters(in: .newlines))
    }

    static func run(_ scratch: Scratch, _ arguments: String..., input: String = "") throws -> Outcome {
      try Gatehouse.run(["token"] + arguments, input: input, in: scratch)
    }

    /// What the token says, by whoever holds it.
    static func claims(_ token: String) throws -> [String: Any] {
      let parts = token.split(separator: ".").map(String.init)
      var text = parts[1].replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
      while text.count % 4 != 0 { text += "=" }
      let object = try Data(base64Encoded: text).map { try JSONSerialization.jsonObject(with: $0) }
      guard let claims = object as? [String: Any] else { throw Failure("no claims in a token") }
      return claims
    }

    private func bearer(_ token: String) -> String { "Authorization: Bearer \(Secrets.keep(token))" }

    /// As the Basic user name.
    private func named(_ token: String, _ password: String = "no-password-of-anybody") -> String {
      "Authorization: Basic " + Secrets.keep(Data("\(token):\(password)".utf8).base64EncodedString())
    }

    private func status(_ house: House, _ field: String) throws -> Int { try house.ask("GET", "/", [field]).status }

    /// Keeps the secrets of the file of keys out of every log.
    private func keepKeys(_ scratch: Scratch) throws {
      for line in try scratch.text("token.keys").split(separator: "\n") { Secrets.keep(String(line.split(separator: " ")[1])) }
    }

    @Test func aSignedTokenIsItsUsersInEveryForm() throws {
      try House.with(Self.setup) { house throws in
        try keepKeys(house.scratch)
        let token = try Self.issue(house.scratch, "bob")
        let before = house.upstream.requests.count
        for field in [bearer(token), named(token), named(token, ""), named(token, "a:b")] { #expect(try status(house, field) == 200) }
        #expect(try house.curl("-u", "\(token):unused", "/").status == 200)
        #expect(try house.curl("--oauth2-bearer", token, "/").status == 200)
        #expect(house.upstream.requests.count == before + 6)
        #expect(house.upstream.requests.dropFirst(before).allSatisfy { $0["X-Forwarded-User"] == "bob" && !$0.head.holds(token) })
      }
    }

    @Test func whatIsNoCredentialDoesNotLogIn() throws {
      try House.with(Self.setup) { house throws in
        try keepKeys(house.scratch)
        let token = try Self.issue(house.scratch, "bob")
        let ticket = try Self.issue(house.scratch, "bob", "--ticket", "--scope", "/")
        let parts = token.split(separator: ".").map(String.init)
        let other = token.dropLast() + (token.hasSuffix("A") ? "B" : "A")
        func password(_ name: String) -> String { "Authorization: " + Secrets.basic(name, token) }
        let fields = [
          // Somebody's password, or its owner's own.
          password("alice"), password("bob"), password("nobody-we-know"), password(""),
          // A ticket is for a query.
          bearer(ticket), named(ticket),
          // Changed, cut, put together from two, or said twice.
          bearer(String(other)), named(String(other)), bearer("\(parts[0]).\(parts[1])."), bearer("\(parts[0]).\(parts[1])"),
          bearer("\(parts[0]).\(ticket.split(separator: ".")[1]).\(parts[2])"), bearer(token + "="), bearer(token + "."),
          bearer("\(token) x"), bearer("\(token), \(token)"), bearer(token.uppercased()), bearer("\"\(token)\""),
          // Without a signature.
          bearer("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.\(parts[1])."), bearer("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.\(parts[1]).\(parts[2])"),
        ]
        let nothing = try house.ask("GET", "/private", []).comparable
        for field in fields {
          let answer = try house.ask("GET", "/private", [field])
          #expect(answer.status == 401, "\(field)")
          if field.contains("Basic") { #expect(answer.comparable == nothing, "\(field)") }
        }
        let challenge = try house.ask("GET", "/", [bearer(String(other))]).values("WWW-Authenticate")
        #expect(challenge.contains { $0.hasPrefix("Bearer") && $0.contains("error=\"invalid_token\"") }, "\(challenge)")
        #expect(house.upstream.connections.isEmpty)
        #expect(try status(house, bearer(token)) == 200)
      }
    }

    @Test func aRevokedTokenIsOutInMidConnection() throws {
      try House.with(Self.setup) { house throws in
        let (one, two) = (try Self.issue(house.scratch, "bob"), try Self.issue(house.scratch, "bob"))
        let alices = try Self.issue(house.scratch, "alice")
        let client = try house.client()
        func ask(_ token: String) throws -> Int { try client.exchange(request("GET", "/", [bearer(token)])).status }
        for token in [one, two, alices] { #expect(try ask(token) == 200) }

        let identifier = try #require(try Self.claims(one)["jti"] as? String)
        #expect(try Self.run(house.scratch, "revoke", "--jti", identifier).code == 0)
        try eventually("the token is void") { try ask(one) == 401 }
        #expect(try ask(two) == 200)

        #expect(try Self.run(house.scratch, "revoke", "--user", "bob").code == 0)
        try eventually("all of bob's are void") { try ask(two) == 401 }
        #expect(try ask(alices) == 200)
        // Who is given one after that has one, in the same second too.
        #expect(try ask(try Self.issue(house.scratch, "bob")) == 200)

        #expect(try Self.run(house.scratch, "revoke", "--all").code == 0)
        try eventually("all are void") { try ask(alices) == 401 }
        #expect(try ask(try Self.issue(house.scratch, "alice")) == 200)

        // They stay void after a restart.
        let again = try Gatehouse(in: house.scratch)
        for token in [one, two, alices] {
          #expect(try Client(to: again.port).exchange(request("GET", "/", [bearer(token)])).status == 401)
        }
        try again.stop()
      }
    }

    @Test func whatHappensToAUserHappensToTheTokens() throws {
      try House.with(Self.setup) { house throws in
        let token = try Self.issue(house.scratch, "bob")
        let field = bearer(token)
        func user(_ arguments: String..., input: String = "") throws {
          let outcome = try Gatehouse.run(["user"] + arguments + ["--file", "users"], input: input, in: house.scratch)
          #expect(outcome.code == 0, "\(outcome.errors)")
        }
        #expect(try status(house, field) == 200)
        try user("lock", "bob")
        try eventually("bob is locked") { try status(house, field) == 401 }
        try user("unlock", "bob")
        try eventually("bob is back") { try status(house, field) == 200 }
        let password = Secrets.keep("Bright-9-bob-pass")
        try user("passwd", "bob", "--hash", "bcrypt", "--cost", "4", "--password-stdin", input: password + "\n")
        try eventually("tokens of the old password are void") { try status(house, field) == 401 }
        let fresh = bearer(try Self.issue(house.scratch, "bob"))
        #expect(try status(house, fresh) == 200)
        try user("remove", "bob")
        try eventually("bob is gone") { try status(house, fresh) == 401 }
        try user("add", "bob", "--hash", "bcrypt", "--cost", "4", "--password-stdin", input: password + "\n")
        try eventually("another bob") { try status(house, "Authorization: " + Secrets.basic("bob", password)) == 200 }
        // The same password, but not the same salt: another user.
        #expect(try status(house, fresh) == 401 && status(house, field) == 401)
      }
    }

    @Test func aTokenEndsWithItsTime() throws {
      try House.with(Self.setup) { house throws in
        let token = try Self.issue(house.scratch, "bob", "--duration", "2s")
        #expect(try status(house, bearer(token)) == 200)
        try eventually("its time is over") { try status(house, bearer(token)) == 401 }
        let expires = try #require(try Self.claims(token)["exp"] as? Int)
        #expect(Date().timeIntervalSince1970 >= Double(expires))
        // The log has a thread of its own, which may be some lines behind.
        try eventually("the log says why") {
          try house.accessLines(1).contains { $0["reason"] as? String == "token is expired" && $0["claimed_user"] as? String == "bob" }
        }
      }
    }

    @Test func aScopeIsAllThatATokenIsGoodFor() throws {
      try House.with(Self.setup) { house throws in
        let field = bearer(try Self.issue(house.scratch, "bob", "--scope", "GET /reports/", "--scope", "/files/"))
        func ask(_ method: String, _ target: String) throws -> Int { try house.ask(method, target, [field]).status }
        for (method, target) in [("GET", "/reports/1"), ("HEAD", "/reports"), ("POST", "/files/x"), ("GET", "/files/?q=/secret")] {
          #expect(try ask(method, target) == 200, "\(method) \(target)")
        }
        let before = house.upstream.requests.count
        for (method, target) in [
          ("POST", "/reports/1"), ("GET", "/"), ("GET", "/reportsx"), ("GET", "/files/../secret"), ("GET", "/files/%2e%2e/secret"),
          ("GET", "/files/..;/secret"), ("GET", "/?x=/files/"), ("GET", "//files/"),
        ] {
          let status = try ask(method, target)
          #expect(status == 403 || status == 400, "\(method) \(target): \(status)")
        }
        #expect(house.upstream.requests.count == before)
      }
    }

    // MARK: Keys

    @Test func rotationAndRestartKeepTokensAlive() throws {
      try House.with(Self.setup) { house throws in
        try keepKeys(house.scratch)
        let old = try Self.issue(house.scratch, "bob")
        #expect(try status(house, bearer(old)) == 200)
        let rotated = try Self.run(house.scratch, "keys", "rotate")
        #expect(rotated.code == 0 && rotated.text.contains("signs from now on"), "\(rotated.errors)")
        try keepKeys(house.scratch)
        let new = try Self.issue(house.scratch, "bob")
        try eventually("the new key is in use") { try status(house, bearer(new)) == 200 }
        #expect(try status(house, bearer(old)) == 200)
        let again = try Gatehouse(in: house.scratch)
        for token in [old, new] { #expect(try Client(to: again.port).exchange(request("GET", "/", [bearer(token)])).status == 200) }
        try again.stop()

        // Without its key a token is nothing.
        let list = try Self.run(house.scratch, "keys", "list")
        #expect(list.text.split(separator: "\n").count == 2 && list.text.contains("\tsigns") && list.text.contains("\tuntil="))
        let last = try house.scratch.text("token.keys").split(separator: "\n").last.map(String.init) ?? ""
        try house.scratch.replace("token.keys", with: last + "\n")
        try eventually("the old key is gone") { try status(house, bearer(old)) == 401 }
        #expect(try status(house, bearer(new)) == 200)

        // A key that somebody else may have.
        #expect(try Self.run(house.scratch, "keys", "rotate", "--drop").code == 0)
        try keepKeys(house.scratch)
        try eventually("all keys of before are gone") { try status(house, bearer(new)) == 401 }
        #expect(try status(house, bearer(try Self.issue(house.scratch, "bob"))) == 200)
      }
    }

    @Test func keysThatCannotBeUsedChangeNothing() throws {
      try House.with(Self.setup) { house throws in
        try keepKeys(house.scratch)
        let token = try Self.issue(house.scratch, "bob")
        let good = try house.scratch.text("token.keys")
        for (text, mode, word) in [
          (good + "short c2VjcmV0\n", 0o600, "line 2"), (good, 0o644, "chmod 600"), ("# none\n", 0o600, "no key signs"),
        ] {
          try house.scratch.replace("token.keys", with: text, mode: mode)
          try eventually("a complaint with “\(word)”") {
            house.gate.errorLines.contains { $0.contains("token keys") && $0.contains(word) && $0.contains("stay in force") }
          }
          #expect(try status(house, bearer(token)) == 200)
        }
        #expect(!house.gate.logs.contains("c2VjcmV0"))
        // Neither does a restart with such a file succeed.
        try house.scratch.replace("token.keys", with: good, mode: 0o644)
        let serve = try Gatehouse.run(["serve", "--config", "proxy.conf"], in: house.scratch)
        #expect(serve.code == 1 && serve.errors.contains("chmod 600"), "\(serve.errors)")
        try house.scratch.replace("token.keys", with: good)
        try eventually("good keys again") { house.gate.errorLines.contains { $0.contains("token keys reloaded") } }
        #expect(try status(house, bearer(token)) == 200)
      }
    }

    @Test func revocationsThatCannotBeReadChangeNothing() throws {
      try House.with(Self.setup) { house throws in
        let (one, two) = (try Self.issue(house.scratch, "bob"), try Self.issue(house.scratch, "bob"))
        let identifier = try #require(try Self.claims(one)["jti"] as? String)
        #expect(try Self.run(house.scratch, "revoke", "--jti", identifier).code == 0)
        try eventually("the token is void") { try status(house, bearer(one)) == 401 }
        try house.scratch.replace("token.keys.revoked", with: "what is this\n")
        try eventually("a complaint") {
          house.gate.errorLines.contains { $0.contains("revoked tokens") && $0.contains("line 1") && $0.contains("stay in force") }
        }
        #expect(try status(house, bearer(one)) == 401 && status(house, bearer(two)) == 200)
        #expect(try Self.run(house.scratch, "revoke", "--all").code == 1, "what is not understood is not written over")
        let serve = try Gatehouse.run(["serve", "--config", "proxy.conf"], in: house.scratch)
        #expect(serve.code == 1 && serve.errors.contains("token.keys.revoked"), "\(serve.errors)")
      }
    }

    @Test func serversThatStartAtOnceShareOneFileOfKeys() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      try scratch.write(Self.setup.text(upstreamPort: 1), to: "proxy.conf")
      let children = try (0..<3).map { _ in try Child(Gatehouse.binary, ["serve", "--config", scratch["proxy.conf"]], folder: scratch.path)
      }
      for child in children { try child.errors.waitForLine(containing: "gatehouse: ready") }
      #expect(try scratch.text("token.keys").split(separator: "\n").count == 1)
      #expect(try FileManager.default.attributesOfItem(atPath: scratch["token.keys"])[.posixPermissions] as? Int == 0o600)
      #expect(children.count { $0.errors.text.contains("made the keys of tokens") } == 1)
      let token = try Self.issue(scratch, "bob")
      for child in children {
        let port = try #require(
          child.errors.text.split(separator: "\n").first { $0.contains("listening on") }?.split(separator: ":").last.flatMap { UInt16($0) })
        // The upstream is not there: 502 is who was let in.
        #expect(try Client(to: port).exchange(request("GET", "/", [bearer(token)])).status == 502)
        child.signal(SIGTERM)
        #expect(try child.wait().code == 0)
      }
    }

    // MARK: Other people's tools

    @Test func aStandardLibraryReadsAndWritesOurTokens() throws {
      try House.with(Self.setup) { house throws in
        try keepKeys(house.scratch)
        let token = try Self.issue(house.scratch, "bob", "--scope", "GET /")
        let line = try house.scratch.text("token.keys").split(separator: " ")
        let program = """
          import base64, jwt, time, urllib.request
          token, kid, secret = \(Self.quoted(token)), \(Self.quoted(String(line[0]))), \(Self.quoted(String(line[1])))
          key = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
          header = jwt.get_unverified_header(token)
          assert header == {"alg": "HS256", "typ": "JWT", "kid": kid}, header
          claims = jwt.decode(token, key, algorithms=["HS256"])
          assert claims["sub"] == "bob" and claims["scope"] == "GET:/" and claims["exp"] - claims["iat"] == 600, claims
          assert set(claims) == {"sub", "iat", "exp", "jti", "fpr", "scope"}, claims
          def ask(token):
              request = urllib.request.Request(base, headers={"Authorization": "Bearer " + token})
              try:
                  return urllib.request.urlopen(request).status
              except urllib.error.HTTPError as error:
                  return error.code
          def mint(changes={}, key=key, algorithm="HS256", headers={"kid": kid}, without=()):
              body = {**claims, **changes}
              for name in without: del body[name]
              return jwt.encode(body, key, algorithm=algorithm, headers=headers)
          now = int(time.time())
          assert ask(token) == 200
          assert ask(mint()) == 200
          assert ask(mint({"exp": now + 100})) == 200
          wrong = {
              "none": mint(key=None, algorithm="none"), "HS384": mint(algorithm="HS384"), "HS512": mint(algorithm="HS512"),
              "another key": mint(key=b"x" * 32), "no kid": mint(headers={}), "another kid": mint(headers={"kid": "x"}),
              "expired": mint({"iat": now - 100, "exp": now - 1}), "from the future": mint({"iat": now + 120, "exp": now + 600}),
              "too long": mint({"exp": now + 400 * 86400}), "another user": mint({"sub": "alice"}), "nobody": mint({"sub": "nobody"}),
              "not before": mint({"nbf": now}), "no expiry": mint(without=["exp"]), "no fingerprint": mint(without=["fpr"]),
              "a server of a simpler kind": jwt.encode({"sub": "bob", "exp": now + 600}, key, algorithm="HS256"),
              "the same with our kid": jwt.encode({"sub": "bob", "exp": now + 600}, key, algorithm="HS256", headers={"kid": kid}),
              "by number": jwt.encode({"id": 1, "exp": now + 600}, key, algorithm="HS256"),
              "a ticket": mint(headers={"kid": kid, "typ": "ticket+jwt"}),
          }
          for name, forged in wrong.items():
              assert ask(forged) == 401, name
          """
        let outcome = try house.python(program)
        #expect(outcome.code == 0, "\(outcome.errors)")
      }
    }

    private static func quoted(_ text: String) -> String { "\"\(text)\"" }

    @Test func wrongSignedTokensCostNoHash() throws {
      // Cost 13 takes the better part of a second: were one computed, this would take hours.
      let hash = "$2y$13$YSBAgf.IQyjHJHzWkb34b.z8HTWuhLRgmE9OGQcRXGtn9oQsOtICu"
      var setup = Self.setup
      setup.users = "slow:\(hash)\n"
      try House.with(setup) { house throws in
        let token = try Self.issue(house.scratch, "slow")
        let client = try house.client()
        let began = ContinuousClock.now
        for i in 0..<1000 {
          let wrong = String(token.dropLast(4)) + String(format: "%04d", i)
          let field = i % 2 == 0 ? bearer(wrong) : named(wrong)
          if wrong == token { continue }
          #expect(try client.exchange(request("GET", "/", [field])).status == 401)
        }
        #expect(ContinuousClock.now - began < .seconds(200))
      }
    }
  }
}
