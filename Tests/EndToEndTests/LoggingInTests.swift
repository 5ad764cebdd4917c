// Gatehouse logs in to the service behind, with an account of its own or of the user's; and whatever a client or that service may try with it.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct LoggingIn {
    private static let password = Secrets.keep("Upstream-7 pass:word")
    private static let token = Secrets.keep("upstream-token-0123456789")
    private static let basic = "Authorization: " + Secrets.basic("svc", password)

    private static func setup(_ kind: String, _ block: String, requirement: String = "valid-user", more: String = "") -> Setup {
      Setup(
        upstream: "authenticate \(kind) { \(block) }", more: more, requirement: requirement,
        files: [
          "svc.password": password + "\n", "svc.token": token + "\r\n",
          "accounts": "alice a-there \"Alice-there-77 x\"\n\"bob\" \"B \\\"there\\\"\" Bob-there-88\n",
          "netrc": "machine 127.0.0.1 login svc password \"\(password)\"\n",
        ])
    }

    private static let one = "username svc; password_file svc.password"

    @Test func theAccountIsSentAndNothingOfTheClients() throws {
      let kinds = [
        ("basic", Self.one, Self.basic), ("basic", "password_netrc netrc", Self.basic),
        ("bearer", "token_file svc.token", "Authorization: Bearer \(Self.token)"),
        ("header X-Service-Key", "value_file svc.token", "X-Service-Key: \(Self.token)"),
        ("basic", "username svc; password \"${SVC_PASSWORD}\"", Self.basic),
      ]
      for (kind, block, line) in kinds {
        var setup = Self.setup(kind, block)
        setup.environment = ["SVC_PASSWORD": Self.password]
        try House.with(setup) { house throws in
          let client = try house.client()
          for target in ["/a", "/b"] {
            let answer = try client.exchange(
              request("GET", target, [People.alice.authorization, "X-Service-Key: forged", "x_service.key: forged", "X-Service-Key: forged"]))
            #expect(answer.status == 200)
          }
          let chunked = ["Transfer-Encoding: chunked", "Trailer: X-Service-Key", People.alice.authorization]
          #expect(
            try house.client().exchange(
              "POST /c HTTP/1.1\r\nHost: a.example\r\n\(chunked.joined(separator: "\r\n"))\r\n\r\n3\r\nabc\r\n0\r\nX-Service-Key: forged\r\n\r\n").status == 200)
          for seen in try house.upstream.requests(3) {
            #expect(seen.headText.components(separatedBy: line + "\r\n").count == 2, "\(seen.headText)")
            #expect(seen.values("X-Forwarded-User") == ["alice"])
            if kind.hasPrefix("header") {
              #expect(!seen.head.holds("forged") && seen.values("Authorization").isEmpty && seen.trailers.isEmpty, "\(seen.headText)")
            }
          }
          let words = People.alice.authorization
          for bytes in house.upstream.connections { #expect(!bytes.holds(words)) }
          #expect(house.gate.errorLines.allSatisfy { !$0.contains("a secret stands in proxy.conf") })
        }
      }
    }

    @Test func eachUserIsHimself() throws {
      try House.with(Self.setup("basic", "accounts accounts")) { house throws in
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
        #expect(try house.ask("GET", "/", [People.bob.authorization]).status == 200)
        let refused = try house.ask("GET", "/", [People.carol.authorization])
        #expect(refused.status == 403 && refused.text == "You have no account at the service behind this gateway")
        #expect(refused.values("WWW-Authenticate").isEmpty)
        let seen = try house.upstream.requests(2)
        #expect(seen.count == 2)
        #expect(seen[0].values("Authorization") == [Secrets.basic("a-there", "Alice-there-77 x")])
        #expect(seen[1].values("Authorization") == [Secrets.basic("B \"there\"", "Bob-there-88")])
        #expect(try house.accessLines(3).last?["reason"] as? String == "no account at the upstream for this user")
      }
      // Whoever has none uses the one that is named for it.
      try House.with(Self.setup("basic", "accounts accounts; \(Self.one); otherwise account")) { house throws in
        #expect(try house.ask("GET", "/", [People.carol.authorization]).status == 200)
        #expect(try house.upstream.requests(1)[0].head.holds(Self.basic))
      }
    }

    @Test func nobodyGetsNoAccountUnlessItIsSaid() throws {
      try House.with(Self.setup("basic", Self.one, requirement: "nobody")) { house throws in
        let refused = try house.ask()
        #expect(refused.status == 403 && house.upstream.connections.isEmpty)
      }
      try House.with(Self.setup("basic", Self.one + "; nobody account", requirement: "nobody")) { house throws in
        #expect(try house.ask("GET", "/", ["Authorization: Basic Zm9yZ2VkOmZvcmdlZA=="]).status == 200)
        #expect(try house.upstream.requests(1)[0].values("Authorization") == [String(Self.basic.dropFirst(15))])
      }
    }

    @Test func aRefusalOfOurAccountIsNoChallengeToTheClient() throws {
      let answer = Answer.text("who are you", status: "401 Unauthorized", fields: ["WWW-Authenticate: Basic realm=\"theirs\"", "X-Secret: theirs"])
      try House.with(Self.setup("basic", Self.one), Answer.tolerant(answer)) { house throws in
        let refused = try house.ask("GET", "/", [People.alice.authorization])
        #expect(refused.status == 502 && refused.values("WWW-Authenticate").isEmpty && !refused.head.holds("theirs"), "\(refused.headText)")
        #expect(refused.text.hasPrefix("The service behind this gateway does not let the gateway in"))
        #expect(house.gate.child.errors.text.contains("it does not take the account that Gatehouse logs in with"))
        // In the middle of an upload too.
        #expect(try house.curl("-u", People.alice.pair, "--data-binary", "@-", "/", input: [UInt8](repeating: 0x78, count: 300_000)).status == 502)
      }
    }

    @Test func whatIsSaidOfTheLoginStaysBehind() throws {
      let fields = ["WWW-Authenticate: Basic realm=\"theirs\"", "authentication-info: nextnonce=\"theirs\"", "Authentication-Control: theirs", "X-Kept: yes"]
      try House.with(Self.setup("basic", Self.one), Answer.always(Answer.text("hello", fields: fields))) { house throws in
        let answer = try house.ask("GET", "/", [People.alice.authorization])
        #expect(answer.status == 200 && answer["X-Kept"] == "yes" && !answer.head.holds("theirs"), "\(answer.headText)")
      }
    }

    /// Digest's rspauth is made of our password: who has it can guess in peace.
    @Test func whatIsSaidOfTheLoginStaysBehindWhereverItStands() throws {
      let said = "WWW-Authenticate: Basic realm=\"theirs\"\r\nAuthentication-Info: rspauth=\"theirs\"\r\n"
      let answer =
        "HTTP/1.1 103 Early Hints\r\n\(said)\r\nHTTP/1.1 200 OK\r\nLocation: /x\r\n\(said)Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
        + "authentication-INFO: rspauth=\"theirs\"\r\nX-Sum: 5\r\n\r\n"
      try House.with(Self.setup("basic", Self.one), Answer.always(answer)) { house throws in
        // A field that is looked at for rewriting is in it.
        let answer = try house.ask("GET", "/", [People.alice.authorization])
        #expect(answer["Location"] == "/x" && answer.text == "ok" && answer.trailers.map { $0.name.lowercased() } == ["x-sum"] && !answer.head.holds("theirs"))
        #expect(answer.interim.count == 1 && answer.interim.allSatisfy { !$0.head.holds("theirs") })
      }
    }

    @Test func aRedirectIsNotFollowedWithTheAccount() throws {
      let answer = Answer.text("", status: "302 Found", fields: ["Location: http://127.0.0.1:1/elsewhere"])
      try House.with(Self.setup("basic", Self.one), Answer.always(answer)) { house throws in
        let moved = try house.ask("GET", "/", [People.alice.authorization])
        #expect(moved.status == 302 && moved["Location"] == "http://127.0.0.1:1/elsewhere" && house.upstream.requests.count == 1)
      }
    }

    @Test func aReloadTakesTheNewAccountAtOnceAndNeverTheOldAgain() throws {
      try House.with(Self.setup("basic", "accounts accounts")) { house throws in
        let client = try house.client()
        #expect(try client.exchange(request("GET", "/", [People.alice.authorization])).status == 200)
        let new = Secrets.keep("Alice-there-99 new")
        try house.scratch.write("alice a-there \"\(new)\"\ncarol a-there other-pass-1\n", to: "accounts")
        try house.reload("workers 1", becomes: "workers 1\nkeepalive_requests 9999")
        try eventually("the new account") {
          try client.exchange(request("GET", "/", [People.alice.authorization])).status == 200
            && house.upstream.requests.last?.values("Authorization") == [Secrets.basic("a-there", new)]
        }
        let count = house.upstream.requests.count
        #expect(try client.exchange(request("GET", "/", [People.bob.authorization])).status == 403)
        #expect(try client.exchange(request("GET", "/", [People.carol.authorization])).status == 200)
        #expect(house.upstream.requests.count == count + 1)
        // What can't be used changes nothing.
        try house.scratch.write("alice a-there other\n", to: "accounts", mode: 0o640)
        #expect(throws: Failure.self) { try house.reload("keepalive_requests 9999", becomes: "keepalive_requests 9998") }
        #expect(house.gate.child.errors.text.contains("has mode 640"))
        #expect(try client.exchange(request("GET", "/", [People.alice.authorization])).status == 200)
        #expect(house.upstream.requests.last?.values("Authorization") == [Secrets.basic("a-there", new)])
      }
    }

    @Test func theSecretIsNowhereToBeRead() throws {
      try House.with(Self.setup("basic", "accounts accounts; \(Self.one); otherwise account")) { house throws in
        #expect(try house.ask("GET", "/", [People.carol.authorization]).status == 200)
        let check = try Gatehouse.run(["check", "--config", "proxy.conf"], in: house.scratch)
        #expect(check.code == 0 && check.text.contains("logged in by basic, 2 accounts of users, as svc for others"), "\(check.text)")
        #expect(Secrets.found(in: check.text + check.errors).isEmpty)
        // Nor is any of it when the files are broken.
        try house.scratch.write("alice \"\(Self.password)\n", to: "accounts")
        let broken = try Gatehouse.run(["check", "--config", "proxy.conf"], in: house.scratch)
        #expect(broken.code == 1 && broken.errors.contains("line 1: a quote is not closed"), "\(broken.errors)")
        #expect(Secrets.found(in: broken.text + broken.errors).isEmpty)
      }
    }

    /// The page docs/recipes/basic-account.md, with Apache as the service.
    @Test func apacheTakesTheAccountOfTheRecipe() throws {
      let apache = try Apache(
        modules: ["auth_basic"], location: "AuthType Basic\nAuthName there\nAuthUserFile $ROOT/people\nRequire valid-user",
        files: ["people": "gateway:{SHA}\(Self.shaOfSecret)\nalice.there:{SHA}\(Self.shaOfSecret)\n"])
      let blocks = try (0..<2).map { try Recipe("basic-account").text($0, replacing: ["10.0.0.5:8080": "127.0.0.1:\(apache.port)"]) }
      let files = ["legacy.password": "secret-of-the-service\n", "legacy.accounts": "alice alice.there \"secret-of-the-service\"\n"]
      Secrets.keep("secret-of-the-service")
      for (i, (block, who)) in zip(blocks, ["gateway", "alice.there"]).enumerated() {
        // The house's own route gives way to the page's.
        try House.with(Setup(path: "/unused/", more: block, files: files)) { house throws in
          #expect(try house.ask("GET", "/", [People.alice.authorization]).text == "hello")
          #expect(try house.ask("PUT", "/kept.txt", [People.alice.authorization, "Content-Length: 9"], body: "some text").status < 300)
          // Apache answers first and writes then.
          try eventually("the log of Apache") { apache.visits.count == 2 * i + 2 }
          #expect(apache.visits.suffix(2).allSatisfy { $0[0] == who })
          #expect(String(decoding: try apache.kept("kept.txt"), as: UTF8.self) == "some text")
        }
      }
      try apache.stop()
    }

    /// SHA-1 of "secret-of-the-service", in Base64.
    private static let shaOfSecret = "614LokLeVMZv1CkM6RUKkAC5Cjs="
  }
}
