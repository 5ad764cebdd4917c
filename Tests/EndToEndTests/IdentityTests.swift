// Who the upstream believes the user to be is said by Gatehouse alone. Every way in which a client might say it instead.

import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFront, .byEachEngine) struct Identity {
    private let names = [
      "X-Forwarded-User", "X-Forwarded-Groups", "Remote-User", "X-Remote-User", "X-Webauth-User", "X-FORWARDED-USER", "x-forwarded-user",
      "X_Forwarded_User",
      "X.Forwarded.User", "x_forwarded-user", "REMOTE_USER", "remote.user", "X_REMOTE_USER", "X-WebAuth_User", "X_Forwarded_Groups",
      "x.forwarded.groups",
    ]

    private func expectNothingForged(_ house: House, count: Int, user: String?) throws {
      let requests = try house.upstream.requests(count)
      #expect(requests.count == count)
      for request in requests {
        #expect(!request.head.holds("forged"), "\(request.headText)")
        #expect(request.trailers.isEmpty, "\(request.trailers)")
        #expect(request.values("X-Forwarded-User") == (user.map { [$0] } ?? []), "\(request.headText)")
        let folded = request.fields.map { String($0.name.lowercased().map { $0 == "_" || $0 == "." ? "-" : $0 }) }
        for alias in ["remote-user", "x-remote-user", "x-webauth-user"] { #expect(!folded.contains(alias), "\(request.headText)") }
        #expect(folded.filter { $0 == "x-forwarded-user" }.count == (user == nil ? 0 : 1), "\(request.headText)")
      }
    }

    @Test func everySpellingOfAnIdentityFieldIsRemoved() throws {
      try House.with { house throws in
        for name in names {
          #expect(try house.ask("GET", "/", ["\(name): forged", People.alice.authorization, "\(name): forged2"]).status == 200, "\(name)")
        }
        try expectNothingForged(house, count: names.count, user: "alice")
      }
    }

    @Test func identityFieldsAreRemovedWhereNobodyIsRequired() throws {
      try House.with(Setup(requirement: "nobody")) { house throws in
        for name in names { #expect(try house.ask("GET", "/", ["\(name): forged"]).status == 200, "\(name)") }
        try expectNothingForged(house, count: names.count, user: nil)
      }
    }

    @Test func connectionCannotTakeOurFieldsAway() throws {
      try House.with { house throws in
        let options = [
          "X-Forwarded-User", "x-forwarded-user, X-Forwarded-Groups", "close, X-Forwarded-User",
          "keep-alive, X-Forwarded-User, X-Forwarded-For, X-Request-Id, Via",
        ]
        for option in options {
          #expect(
            try house.ask("GET", "/", ["Connection: \(option)", "X-Forwarded-User: forged", People.bob.authorization]).status == 200,
            "\(option)")
        }
        try expectNothingForged(house, count: options.count, user: "bob")
        for request in house.upstream.requests {
          #expect(request["X-Forwarded-Groups"] == "staff,admin" && request["X-Forwarded-For"] == "127.0.0.1", "\(request.headText)")
          #expect(request["X-Request-Id"] != nil && request["Via"] != nil)
        }
      }
    }

    @Test func connectionTakesOnlyWhatItMayTake() throws {
      try House.with { house throws in
        let client = try house.client()
        let fields = [
          "Connection: X-Secret, Host, Content-Length, Authorization", "X-Secret: private", "X-Kept: yes", People.alice.authorization,
        ]
        let answer = try client.exchange(request("POST", "/", fields + ["Content-Length: 5"], body: "hello"))
        // To refuse it is as safe as to read it well.
        guard answer.status == 200 else {
          #expect(answer.status == 400 && house.upstream.requests.isEmpty)
          return
        }
        let seen = try house.upstream.requests(1)[0]
        #expect(seen.text == "hello" && seen["Host"] == "legacy.test" && seen["X-Kept"] == "yes" && seen.values("X-Secret").isEmpty)
      }
    }

    @Test func hopByHopFieldsStayBehind() throws {
      try House.with { house throws in
        let hops = [
          "Connection: keep-alive, X-Hop", "X-Hop: forged", "Keep-Alive: timeout=99", "Proxy-Connection: keep-alive", "TE: gzip",
          "Upgrade: forged",
          "Proxy-Authorization: Basic forged", "Proxy-Authenticate: forged",
        ]
        #expect(try house.ask("GET", "/", hops + [People.alice.authorization, "X-End: to-end"]).status == 200)
        let seen = try house.upstream.requests(1)[0]
        for name in ["X-Hop", "Keep-Alive", "Proxy-Connection", "Upgrade", "Proxy-Authorization", "Proxy-Authenticate"] {
          #expect(seen.values(name).isEmpty, "\(name)")
        }
        #expect(seen["X-End"] == "to-end" && !seen.values("TE").contains("gzip"))
      }
    }

    @Test func identityInTrailersNeverArrives() throws {
      let script: Script = { conversation in
        do {
          while try conversation.request() != nil { try conversation.send(Answer.text("x")) }
        } catch is Truncated {}
      }
      try House.with(Setup(), script) { house throws in
        for (i, name) in (names + ["Authorization"]).enumerated() {
          let client = try house.client()
          try client.send(
            request(
              "POST", "/", [People.alice.authorization, "Transfer-Encoding: chunked", "Trailer: \(name)"],
              body: "2\r\nhi\r\n0\r\n\(name): forged-\(i)\r\n\r\n"))
          let answer = try #require(try client.response(to: "POST"))
          #expect([200, 400].contains(answer.status), "\(name)")
          client.abort()
        }
        // All of a request stands there before its answer does.
        #expect(!house.upstream.bytes.holds("forged"), "\(String(decoding: house.upstream.bytes, as: UTF8.self))")
        // And nothing else is kept out.
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
      }
    }

    @Test func aConfiguredNameIsSetAndStrippedInAnyCase() throws {
      try House.with(Setup(top: "user_header X-AUTH-user")) { house throws in
        for name in ["X-Auth-User", "x-auth-USER", "X_Auth_User", "X.AUTH.USER"] {
          #expect(try house.ask("GET", "/", ["\(name): forged", People.alice.authorization]).status == 200)
        }
        for request in try house.upstream.requests(4) {
          #expect(request.values("X-Auth-User") == ["alice"] && !request.head.holds("forged"), "\(request.headText)")
        }
      }
    }

    @Test func theAddressComesFromTheConnection() throws {
      try House.with { house throws in
        let lies = [
          "X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 6.6.6.7", "X_Forwarded_For: 6.6.6.8", "X-Forwarded-Proto: https",
          "X-Forwarded-Host: forged.test",
          "X-Forwarded-Port: 666", "Forwarded: for=6.6.6.6;proto=https", "X-Request-Id: forged-id", "X-Real-IP: 6.6.6.6",
        ]
        #expect(try house.ask("GET", "/", lies + [People.alice.authorization]).status == 200)
        let seen = try house.upstream.requests(1)[0]
        #expect(seen.values("X-Forwarded-For") == ["127.0.0.1"] && seen.values("X-Forwarded-Proto") == [house.front.scheme], "\(seen.headText)")
        #expect(seen.values("X-Forwarded-Host") == ["legacy.test"], "\(seen.headText)")
        #expect(!seen.head.holds("forged") && !seen.values("Forwarded").contains { $0.contains("6.6.6.6") }, "\(seen.headText)")
        #expect(!seen.values("X_Forwarded_For").contains("6.6.6.8"), "\(seen.headText)")
      }
    }

    @Test func aTrustedPeerIsAppendedTo() throws {
      try House.with(Setup(top: "trusted_proxies 127.0.0.0/8")) { house throws in
        let fields = [
          "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https", "X-Request-Id: kept-0123456789", "X-Forwarded-User: forged",
        ]
        #expect(try house.ask("GET", "/", fields + [People.alice.authorization]).status == 200)
        let seen = try house.upstream.requests(1)[0]
        #expect(seen.values("X-Forwarded-For").joined(separator: ", ") == "198.51.100.7, 127.0.0.1", "\(seen.headText)")
        #expect(seen["X-Forwarded-Proto"] == "https" && seen["X-Request-Id"] == "kept-0123456789", "\(seen.headText)")
        // Trusted with addresses is not trusted with identities.
        #expect(seen.values("X-Forwarded-User") == ["alice"] && !seen.head.holds("forged"))
      }
    }

    @Test func theUpstreamNeverSeesThePassword() throws {
      try House.with { house throws in
        for person in [People.alice, People.carol] { #expect(try house.ask("GET", "/", [person.authorization]).status == 200) }
        _ = try house.upstream.requests(2)
        let bytes = String(decoding: house.upstream.bytes, as: UTF8.self)
        #expect(!bytes.lowercased().contains("authorization") && Secrets.found(in: bytes).isEmpty)
      }
    }

    @Test func authorizationIsPassedWhereTheOperatorSaysSo() throws {
      try House.with(Setup(route: "authorization pass")) { house throws in
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
        let seen = try house.upstream.requests(1)[0]
        #expect(seen.values("Authorization") == [String(People.alice.authorization.dropFirst("Authorization: ".count))])
      }
    }

    @Test func aConnectionThatMayBelongToSomebodyIsNotShared() throws {
      let script: Script = { conversation in
        while try conversation.request() != nil {
          try conversation.send(Answer.text("connection \(conversation.index)"))
        }
      }
      try House.with(Setup(route: "authorization pass", requirement: "nobody"), script) { house throws in
        for scheme in ["NTLM", "Negotiate"] {
          let first = try house.ask("GET", "/", ["Authorization: \(scheme) TlRMTVNTUAADAAAA"])
          let second = try house.ask("GET", "/")
          #expect(first.status == 200 && second.status == 200)
          #expect(first.text != second.text, "\(scheme): somebody else's authenticated connection was used again")
        }
      }
    }
  }
}
