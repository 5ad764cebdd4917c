// Access tokens that Gatehouse gets for itself (OAuth 2 client credentials): a Python token endpoint with TLS, and a service that takes its tokens alone.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct AccessTokens {
    private func get(_ house: House, _ path: String = "/") throws -> Message { try house.ask("GET", path, [People.alice.authorization]) }

    /// The page docs/recipes/oauth2-client-credentials.md, with tokens of one second. The service takes them a little longer: how late a slow machine sends
    /// them is not the matter here.
    @Test func tokensAreRenewedWhileRequestsGoOn() throws {
      let issuer = try TokenIssuer()
      try issuer.tell("life=1&grace=3")
      try House.with(try issuer.setup()) { house throws in
        let client = try house.client()
        var requests = 0
        while try issuer.tell().fetches < 3 {
          let answer = try client.exchange(request("GET", "/", [People.alice.authorization, "X-Forwarded-User: root"]))
          #expect(answer.status == 200 && answer.text == "alice ", "\(answer.headText)")
          requests += 1
        }
        let counts = try issuer.tell()
        #expect(counts.served == requests && counts.refused == 0 && counts.strangers == 0)
        let words = try String(contentsOfFile: "/proc/\(house.gate.child.pid)/cmdline", encoding: .utf8)
        #expect(Secrets.found(in: words).isEmpty)
      }
      try issuer.stop()
    }

    @Test(.byEachEngine) func aRefusedTokenIsReplacedOnce() throws {
      let issuer = try TokenIssuer()
      try House.with(try issuer.setup()) { house throws in
        #expect(try get(house).status == 200)
        let start = ContinuousClock.now
        try issuer.tell("revoke")
        // Whatever may go twice goes twice: the service has not done it yet.
        let posted = try house.ask("POST", "/", [People.alice.authorization, "Content-Length: 9"], body: "some text")
        #expect(posted.status == 200 && posted.text == "alice some text", "\(posted.headText)")
        var counts = try issuer.tell()
        #expect(counts.fetches == 2 && counts.served == 2 && counts.refused == 1)
        // A service that goes on refusing costs the endpoint nothing.
        try issuer.tell("revoke")
        for _ in 0..<5 {
          let refused = try get(house)
          if start.duration(to: .now) > .seconds(9) { break }
          #expect(refused.status == 502 && refused.values("WWW-Authenticate").isEmpty && !refused.text.contains("who are you"), "\(refused.headText)")
        }
        counts = try issuer.tell()
        // What ten seconds later would be right: on a machine that stood still meanwhile.
        if start.duration(to: .now) < .seconds(9) { #expect(counts.fetches == 2 && counts.refused == 6) }
      }
      try issuer.stop()
    }

    @Test func anUploadIsNotSentTwiceForAToken() throws {
      let issuer = try TokenIssuer()
      try House.with(try issuer.setup()) { house throws in
        #expect(try get(house).status == 200)
        try issuer.tell("revoke")
        let answer = try house.curl("-u", People.alice.pair, "-H", "Expect:", "--data-binary", "@-", "/", input: [UInt8](repeating: 0x78, count: 300_000))
        #expect(answer.status == 502 && house.gate.child.errors.text.contains("which can't be sent twice; another token is fetched"), "\(answer.heads)")
        try eventually("the next token") { try issuer.tell().tokens.count == 2 }
        #expect(try get(house).status == 200)
      }
      try issuer.stop()
    }

    @Test func whoComesBeforeTheFirstTokenWaitsForOne() throws {
      let issuer = try TokenIssuer()
      try issuer.tell("hold=1")
      var setup = try issuer.setup()
      setup.workers = 2
      // And then for room.
      setup.more = setup.more.replacingOccurrences(of: "127.0.0.1:\(issuer.port)", with: "127.0.0.1:\(issuer.port) max_connections 2\nqueue 50 20s")
      try House.with(setup) { house throws in
        let clients = try (0..<16).map { _ in try house.client() }
        for (i, client) in clients.enumerated() {
          let fields = [People.alice.authorization]
          try client.send(i % 2 == 0 ? request("GET", "/", fields) : request("POST", "/", fields + ["Content-Length: 3"], body: "abc"))
        }
        // Who leaves meanwhile is not missed.
        do { try house.client().send(request("GET", "/gone", [People.alice.authorization])) }
        try eventually("the question") { try issuer.tell().fetches == 1 }
        try issuer.tell("hold=0")
        for (i, client) in clients.enumerated() {
          let answer = try #require(try client.response())
          #expect(answer.status == 200 && answer.text == (i % 2 == 0 ? "alice " : "alice abc"))
        }
        #expect(try issuer.tell().fetches == 1)
        let status = try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch)
        #expect(status.text.contains("login billing: token for 2"), "\(status.text)")
        // Back to the server that has refused it, where there are places to be had.
        try issuer.tell("revoke")
        let posted = try house.ask("POST", "/", [People.alice.authorization, "Content-Length: 3"], body: "abc")
        #expect(posted.status == 200 && posted.text == "alice abc")
        #expect(try issuer.tell().fetches == 2)
        // A reload keeps it, and another secret gets another.
        try house.reload("workers 2", becomes: "workers 2\nkeepalive_requests 9999")
        #expect(try get(house).status == 200)
        #expect(try issuer.tell().fetches == 2)
        try house.scratch.write("another-secret-of-ours\n", to: "billing.secret")
        Secrets.keep("another-secret-of-ours")
        try house.reload("keepalive_requests 9999", becomes: "keepalive_requests 9998")
        try eventually("the refusal") { try get(house).status == 503 }
        let counts = try issuer.tell()
        #expect(counts.fetches == 2 && counts.strangers > 0)
        try eventually("the reason") { house.gate.child.errors.text.contains("(client gateway): it answered 401 (invalid_client)") }
      }
      try issuer.stop()
    }

    @Test func anEndpointThatIsDownIsAskedUntilItIsBack() throws {
      let issuer = try TokenIssuer()
      try issuer.tell("down=1")
      // What endpoints answer instead of a token, one upstream each; and one whose certificate nobody vouches for.
      let modes = [
        "moved": "answered 307", "huge": "answered with more than 65536 bytes", "split": "answered with a token that no header may hold",
        "untrusted": "can't be asked: SSL certificate problem",
      ]
      var setup = try issuer.setup()
      for mode in modes.keys {
        setup.more += """
          upstream \(mode) {
          server http://127.0.0.1:\(issuer.port)
          authenticate bearer {
          token_url \(issuer.url); client_id gateway; client_secret_file billing.secret; scope "invoices.read invoices.write"; parameter mode \(mode)
          client_authentication post
          \(mode == "untrusted" ? "" : "ca \(issuer.authority["ca.pem"])")
          }
          }
          route /\(mode)/ { upstream \(mode); require valid-user }

          """
      }
      try House.with(setup) { house throws in
        let refused = try get(house)
        #expect(refused.status == 503 && refused["Retry-After"] == "5", "\(refused.headText)")
        #expect(refused.text.hasPrefix("The service behind this gateway can't be logged in to at present"))
        try eventually("the reason") { house.gate.child.errors.text.contains("no access token from \(issuer.url) (client gateway): it answered 500") }
        let reason = try house.accessLines(1)[0]["reason"] as? String ?? ""
        #expect(reason.hasPrefix("there is no token to log in with: \(issuer.url) (client gateway) answered 500"), "\(reason)")
        let status = try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text
        #expect(status.contains("login billing: no token, fetching fails: it answered 500"), "\(status)")
        try issuer.tell("down=0")
        try eventually("a token") { try get(house).status == 200 }
        try eventually("word of it") { house.gate.child.errors.text.contains("access tokens come again from \(issuer.url)") }
        for (mode, words) in modes {
          try eventually("a word about \(mode)") { house.gate.child.errors.text.contains("(client gateway): it \(words)") }
          #expect(try get(house, "/\(mode)/").status == 503, "\(mode)")
        }
        // Nothing but what has a token ever reached the service, nor did the secret go where the endpoint would have sent it.
        let counts = try issuer.tell()
        #expect(counts.refused == 0 && counts.served == 1)
        let check = try Gatehouse.run(["check", "--config", "proxy.conf"], in: house.scratch)
        #expect(check.code == 0 && check.text.contains("by tokens of \(issuer.url)") && Secrets.found(in: check.text + check.errors).isEmpty)
      }
      try issuer.stop()
    }
  }
}
