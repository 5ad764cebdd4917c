// Bounds that clients meet: each is small here, so that meeting it takes no time.

import Testing

extension EndToEnd {
  @Suite(.serialized) struct Limits {
    private let auth = People.alice.authorization

    @Test func anUnfinishedHeadIs408() throws {
      try House.with(Setup(top: "header_timeout 300ms")) { house throws in
        for start in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: legacy.test\r\nX-Slow: "] {
          let client = try house.client()
          try client.send(start)
          #expect(try client.response()?.status == 408, "\(start)")
          #expect(client.isClosedByPeer())
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func dripDoesNotPutTheHeadersOff() throws {
      try House.with(Setup(top: "header_timeout 500ms")) { house throws in
        let client = try house.client()
        try client.send("GET / HTTP/1.1\r\n")
        // A byte now and then, until it answers: the time runs from the first byte, not from the last.
        var sent = 0
        while !client.socket.hasInput && sent < 2000 {
          try client.send("X")
          sent += 1
          _ = try? client.socket.wait(milliseconds: 20)
        }
        #expect(try client.response()?.status == 408)
        #expect(sent < 500)
      }
    }

    @Test func aConnectionWithoutARequestIsClosedSilently() throws {
      try House.with(Setup(top: "keepalive_timeout 300ms; header_timeout 300ms")) { house throws in
        let silent = try house.client()
        let used = try house.client()
        #expect(try used.exchange(request("GET", "/", [auth])).status == 200)
        #expect(used.isClosedByPeer() && silent.isClosedByPeer())
      }
    }

    @Test func anIdleConnectionIsClosedSilentlyWhateverElseMayTakeLonger() throws {
      try House.with(Setup(top: "keepalive_timeout 300ms")) { house throws in
        let used = try house.client()
        for _ in 0..<2 { #expect(try used.exchange(request("GET", "/", [auth])).status == 200) }
        #expect(used.isClosedByPeer(within: .seconds(5)))
      }
    }

    @Test(.byEachEngine) func anIdleBodyIs408() throws {
      try House.with(Setup(top: "body_timeout 300ms"), Answer.tolerant("")) { house throws in
        let client = try house.client()
        try client.send(request("POST", "/", [auth, "Content-Length: 100"]) + "some")
        #expect(try client.response(to: "POST")?.status == 408)
        #expect(client.isClosedByPeer())
        #expect(house.upstream.requests.isEmpty)
      }
    }

    @Test(.byEachEngine) func aBodyBeyondTheLimitIs413() throws {
      try House.with(Setup(route: "body_limit 1k"), Answer.tolerant("")) { house throws in
        let tooLong = try house.client()
        try tooLong.send(request("POST", "/", [auth, "Content-Length: 1000000000"]))
        let refusal = try #require(try tooLong.response(to: "POST"))
        #expect(refusal.status == 413 && refusal["Connection"]?.lowercased() == "close")
        // A little too long is read away, and the connection goes on.
        let little = try house.client()
        for _ in 0..<3 {
          #expect(
            try little.exchange(request("POST", "/", [auth, "Content-Length: 1025"], body: String(repeating: "x", count: 1025))).status
              == 413)
        }
        #expect(house.upstream.connections.isEmpty)
        // Chunked says its length as it goes.
        let chunked = try house.client()
        let chunk = "200\r\n" + String(repeating: "x", count: 512) + "\r\n"
        try chunked.send(request("POST", "/", [auth, "Transfer-Encoding: chunked"]) + chunk + chunk + chunk + "0\r\n\r\n")
        #expect(try chunked.response(to: "POST")?.status == 413)
        #expect(house.upstream.requests.isEmpty)
      }
      try House.with(Setup(route: "body_limit 1k")) { house throws in
        #expect(try house.ask("POST", "/", [auth, "Content-Length: 1024"], body: String(repeating: "x", count: 1024)).status == 200)
      }
    }

    @Test func idleConnectionsKeepNobodyOut() throws {
      try House.with(Setup(top: "connections 4\nheader_timeout 60s\nkeepalive_timeout 60s")) { house throws in
        let silent = try (0..<3).map { _ in try house.client() }
        let kept = try house.client()
        #expect(try kept.exchange(request("GET", "/", [auth])).status == 200)
        // The house is full of connections that ask for nothing, and would be for a minute.
        #expect(try house.ask("GET", "/", [auth]).status == 200)
        #expect(silent.contains { $0.isClosedByPeer() })
      }
    }

    @Test func aLongRequestLineIs414() throws {
      try House.with { house throws in
        #expect(try house.ask("GET", "/" + String(repeating: "a", count: 7000), [auth]).status == 200)
        #expect(try house.ask("GET", "/" + String(repeating: "a", count: 9000), [auth]).status == 414)
        // It does not have to end to be too long.
        let client = try house.client()
        try client.send("GET /" + String(repeating: "a", count: 9000))
        #expect(try client.response()?.status == 414)
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func tooManyFieldsAre431() throws {
      try House.with { house throws in
        #expect(try house.ask("GET", "/", [auth] + (0..<90).map { "X-\($0): y" }).status == 200)
        #expect(try house.ask("GET", "/", [auth] + (0..<110).map { "X-\($0): y" }).status == 431)
        #expect(try house.ask("GET", "/", [auth, "X-Long: " + String(repeating: "y", count: 40_000)]).status == 431)
        let client = try house.client()
        try client.send("GET / HTTP/1.1\r\nX-Long: " + String(repeating: "y", count: 40_000))
        #expect(try client.response()?.status == 431)
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func aConnectionServesSoManyRequests() throws {
      try House.with(Setup(top: "keepalive_requests 3")) { house throws in
        let client = try house.client()
        let answers = try (0..<3).map { _ in try client.exchange(request("GET", "/", [auth])) }
        #expect(answers.map { $0["Connection"]?.lowercased() == "close" } == [false, false, true])
        #expect(client.isClosedByPeer())
      }
    }

    @Test func closeIsHonoured() throws {
      try House.with { house throws in
        let client = try house.client()
        #expect(try client.exchange(request("GET", "/", [auth, "Connection: close"]))["Connection"]?.lowercased() == "close")
        #expect(client.isClosedByPeer())
      }
    }

    @Test(.byEachEngine) func connectionsToTheUpstreamAreKept() throws {
      try House.with { house throws in
        for _ in 0..<10 { #expect(try house.ask("GET", "/", [auth]).status == 200) }
        #expect(house.upstream.connections.count == 1)
      }
    }
  }
}
