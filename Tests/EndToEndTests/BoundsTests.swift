// Bounds of routes: requests at once and in a time, a pace, times of their own. Each count has to be what it was when everything is over.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Bounds {
    private let auth = People.alice.authorization
    private let bob = People.bob.authorization

    /// “half-” at once, the rest when told; on `/quick` all at once.
    private static func slow(_ go: Steps) -> Script {
      { conversation in
        while let request = try conversation.request() {
          if request.target.hasPrefix("/quick") {
            try conversation.send(Answer.text("quick"))
          } else {
            do { try Answer.halves(conversation, go) } catch is Socket.Trouble { return }
          }
        }
      }
    }

    // MARK: At once

    @Test(.byEachEngine) func soManyAtOnceInAllWorkers() throws {
      let go = Steps()
      try House.with(Setup(route: "max_inflight 3", workers: 2), Self.slow(go)) { house throws in
        var clients: [Client] = []
        while clients.count < 3 {
          let client = try house.client()
          try client.send(request("GET", "/", [auth]))
          #expect(try client.head()?.status == 200)
          clients.append(client)
        }
        // Whichever worker has them: none is served more.
        for _ in 0..<12 {
          let refused = try house.client().exchange(request("GET", "/quick", [auth]))
          #expect(refused.status == 429 && refused["Retry-After"] == "1" && refused.text.contains("Too many requests"))
        }
        #expect(house.upstream.requests.count == 3)
        go.advance()
        for client in clients { #expect(try client.wire.exactly(10) == [UInt8]("half-whole".utf8)) }
        try eventually("a place") { try house.ask("GET", "/quick", [auth]).status == 200 }
      }
    }

    @Test(.byEachEngine) func oneUserLeavesTheOthersTheirPlaces() throws {
      let go = Steps()
      try House.with(Setup(route: "max_inflight 10; max_inflight_user 1"), Self.slow(go)) { house throws in
        let first = try house.client()
        try first.send(request("GET", "/", [auth]))
        #expect(try first.head()?.status == 200)
        #expect(try house.ask("GET", "/quick", [auth]).status == 429)
        #expect(try house.ask("GET", "/quick", [bob]).status == 200)
        // Who may not pass takes no place.
        #expect(try house.ask("GET", "/quick").status == 401)
        go.advance()
        #expect(try first.wire.exactly(10) == [UInt8]("half-whole".utf8))
        try eventually("a place") { try house.ask("GET", "/quick", [auth]).status == 200 }
      }
    }

    @Test(.byEachEngine) func everyPlaceIsGivenBackHoweverARequestEnds() throws {
      let script: Script = { conversation in
        do {
          while var request = try conversation.head() {
            try? conversation.finish(&request)
            switch request.target {
            case "/reset": return conversation.reset()
            case "/silent": try conversation.waitForEnd()
            case "/cut": return try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut")
            case "/broken": return try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
            case "/half":
              try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
              try conversation.waitForEnd()
            default: try conversation.send(Answer.text("quick"))
            }
          }
        } catch is Socket.Trouble {} catch is Truncated {}
      }
      let setup = Setup(
        upstream: "response_timeout 300ms", route: "max_inflight 2; max_inflight_user 2; body_limit 1k",
        more: "route /text { respond 200 hi; require nobody; max_inflight 1 }")
      try House.with(setup, script) { house throws in
        for round in 0..<3 {
          for target in ["/reset", "/silent", "/cut", "/broken", "/quick"] {
            let client = try house.client()
            try client.send(request("GET", target, [auth]))
            // Some break off.
            _ = try? client.response()
          }
          for target in ["/half", "/silent"] {
            // The client goes away, once in good order and once not.
            let client = try house.client()
            try client.send(request("GET", target, [auth]))
            if target == "/half" { _ = try client.head() }
            if round == 1 { client.abort() } else { client.socket.shutDown() }
          }
          let upload = try house.client()
          try upload.send(request("POST", "/quick", [auth, "Content-Length: 900"]) + "some")
          upload.abort()
          try eventually("a place") { try house.client().exchange(request("POST", "/quick", [auth, "Content-Length: 2000"])).status == 413 }
          for _ in 0..<3 { #expect(try house.ask("GET", "/text").text == "hi") }
        }
        // Both places are there: two at once, and each is one.
        try eventually("all places") {
          let clients = try (0..<2).map { _ in try house.client() }
          for client in clients { try client.send(request("GET", "/half", [auth])) }
          return try clients.allSatisfy { try $0.head()?.status == 200 }
        }
      }
    }

    @Test(.inClearText) func aStreamThatIsResetGivesItsPlaceBack() throws {
      let go = Steps()
      try HTTP2.house(Setup(route: "max_inflight 2"), Self.slow(go)) { house, port throws in
        // Or the upstream's scripts would wait for it, and whoever ends them for those.
        defer { go.advance() }
        for _ in 0..<5 {
          let client = try FrameClient(to: port)
          let ids = try (0..<2).map { _ in try client.request(FrameClient.fields("/", "GET", [FrameClient.authorized(People.alice)])) }
          try client.read { client in ids.allSatisfy { client.streams[$0]?.status == 200 } }
          #expect(try client.exchange(FrameClient.fields("/quick", "GET", [FrameClient.authorized(People.alice)])).status == 429)
          // One by RST_STREAM, the other by the connection's end.
          try client.send(Frame.make(3, stream: ids[0], Frame.number(8)))
          try eventually("a place") {
            try client.exchange(FrameClient.fields("/quick", "GET", [FrameClient.authorized(People.alice)])).status == 200
          }
          client.socket.reset()
          try eventually("all places") { try house.ask("GET", "/quick", [auth]).status == 200 }
        }
      }
    }

    @Test func theCountGoesOnAfterAReload() throws {
      let go = Steps()
      try House.with(Setup(route: "max_inflight 1"), Self.slow(go)) { house throws in
        let first = try house.client()
        try first.send(request("GET", "/", [auth]))
        #expect(try first.head()?.status == 200)
        try house.reload { $0 + "\nroute /more { respond 204; require nobody }\n" }
        try eventually("the new configuration") { try house.ask("GET", "/more/now").status == 204 }
        #expect(try house.ask("GET", "/quick", [auth]).status == 429)
        go.advance()
        #expect(try first.wire.exactly(10) == [UInt8]("half-whole".utf8))
        try eventually("a place") { try house.ask("GET", "/quick", [auth]).status == 200 }
      }
    }

    // MARK: In a time

    @Test(.byEachFront) func aRateIsEachClientsAndBeforeTheLogin() throws {
      let setup = Setup(top: "trusted_proxies 127.0.0.1", route: "rate 1r/h burst 3")
      try House.with(setup) { house throws in
        func ask(_ client: String, _ fields: [String] = []) throws -> Message {
          try house.ask("GET", "/", ["X-Forwarded-For: \(client)"] + fields)
        }
        #expect(try ask("192.0.2.1", [auth]).status == 200)
        #expect(try ask("192.0.2.1").status == 401)
        #expect(try ask("192.0.2.1", [auth]).status == 200)
        let refused = try ask("192.0.2.1", [auth])
        #expect(refused.status == 429 && Int(refused["Retry-After"] ?? "").map { (3590...3600).contains($0) } == true)
        #expect(try ask("192.0.2.1").status == 429)
        #expect(try ask("192.0.2.2", [auth]).status == 200)
        // One network of IPv6 is one client.
        for i in 1...3 { #expect(try ask("2001:db8:0:1::\(i)", [auth]).status == 200) }
        #expect(try ask("2001:db8:0:1:ffff::9", [auth]).status == 429)
        #expect(try ask("2001:db8:0:2::1", [auth]).status == 200)
        #expect(house.upstream.requests.count == 7)
      }
    }

    @Test func aUsersRateIsHisFromEverywhere() throws {
      try House.with(Setup(top: "trusted_proxies 127.0.0.1", route: "rate 1r/h burst 2 by user")) { house throws in
        for i in 1...5 { #expect(try house.ask("GET", "/", ["X-Forwarded-For: 192.0.2.\(i)"]).status == 401) }
        for i in 1...2 { #expect(try house.ask("GET", "/", ["X-Forwarded-For: 192.0.2.\(i)", auth]).status == 200) }
        #expect(try house.ask("GET", "/", ["X-Forwarded-For: 192.0.2.3", auth]).status == 429)
        #expect(try house.ask("GET", "/", ["X-Forwarded-For: 192.0.2.1", bob]).status == 200)
      }
    }

    @Test func noFloodOfAddressesGivesARateBack() throws {
      let setup = Setup(top: "trusted_proxies 127.0.0.1", more: "route /text { respond 200 hi; require nobody; rate 1r/h burst 1 }")
      try House.with(setup) { house throws in
        let client = try house.client()
        func ask(_ address: String) throws -> Int { try client.exchange(request("GET", "/text", ["X-Forwarded-For: \(address)"])).status }
        #expect(try ask("203.0.113.7") == 200)
        // From 4000 networks; the table's own test fills it.
        let flood = (0..<4000).map { i in request("GET", "/text", ["X-Forwarded-For: 2001:db8:\(String(i, radix: 16))::1"]) }
        for start in stride(from: 0, to: 4000, by: 100) {
          try client.send(flood[start..<(start + 100)].joined())
          for _ in 0..<100 { #expect(try client.response()?.status == 200) }
        }
        #expect(try ask("203.0.113.7") == 429)
        #expect(try ask("203.0.113.8") == 200)
      }
    }

    @Test func theTopLevelsRateHoldsForAllRoutesTogether() throws {
      let more = "route /a { respond 200 a; require nobody }\nroute /b { respond 200 b; require nobody }"
      try House.with(Setup(top: "rate 1r/h burst 3", more: more)) { house throws in
        #expect(try ["/a", "/b", "/a", "/b", "/a"].map { try house.ask("GET", $0).status } == [200, 200, 200, 429, 429])
        // By reload it goes on.
        try house.reload { $0 + "\nroute /c { respond 200 c; require nobody }\n" }
        #expect(try house.ask("GET", "/b").status == 429)
      }
    }

    /// Each line is a count of its own, and goes on where a reload leaves it.
    @Test func routesOfEqualRatesHaveCountsOfTheirOwn() throws {
      let more = "route /a { respond 200 a; require nobody; rate 1r/h burst 2 }\nroute GET /b { respond 200 b; require nobody; rate 1r/h burst 2 }"
      try House.with(Setup(more: more)) { house throws in
        func statuses(_ path: String, _ count: Int) throws -> [Int] { try (0..<count).map { _ in try house.ask("GET", path).status } }
        #expect(try statuses("/a", 3) == [200, 200, 429] && statuses("/b", 1) == [200])
        try house.reload("route /a { respond 200 a", becomes: "route /c { respond 200 c; require nobody; rate 1r/h burst 2 }\nroute /a { respond 200 new")
        try eventually("the new configuration") { try house.ask("POST", "/c").status == 200 }
        #expect(try statuses("/a", 1) == [429] && statuses("/b", 2) == [200, 429] && statuses("/c", 2) == [200, 429])
        // Another line is another count.
        try house.reload("new; require nobody; rate 1r/h burst 2", becomes: "new; require nobody; rate 1r/h burst 3")
        try eventually("the new configuration") { try house.ask("GET", "/a").status == 200 }
        #expect(try statuses("/b", 1) == [429])
      }
    }

    // MARK: Times and pace

    @Test(.byEachEngine) func aRoutesTimesAreItsOwn() throws {
      let script: Script = { conversation in
        guard let request = try conversation.request() else { return }
        switch request.target {
        case "/dripping":
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
          do { while true { try conversation.send("x"); try conversation.socket.wait(milliseconds: 20) } } catch {}
        case "/pausing":
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
          try conversation.waitForEnd()
        default: try conversation.waitForEnd()
        }
      }
      let more = """
        route /silent { upstream legacy; require nobody; response_timeout 200ms }
        route /late { upstream legacy; require nobody; total_timeout 200ms }
        route /pausing { upstream legacy; require nobody; idle_timeout 200ms }
        route /dripping { upstream legacy; require nobody; total_timeout 400ms }
        """
      try House.with(Setup(path: "/legacy", more: more), script) { house throws in
        #expect(try house.ask("GET", "/silent").status == 504)
        #expect(try house.ask("GET", "/late").status == 504)
        for target in ["/pausing", "/dripping"] {
          let client = try house.client()
          try client.send(request("GET", target))
          #expect(try client.head()?.status == 200)
          #expect(try client.rest().count < 1000, "\(target)")
        }
        let reasons = try house.accessLines(4).compactMap { $0["reason"] as? String }
        #expect(reasons.contains { $0.contains("total_timeout") })
      }
    }

    @Test(.byEachEngine) func aResponsesPaceIsKept() throws {
      let text = String(repeating: "x", count: 96 << 10)
      let more = "route /slow { upstream legacy; require nobody; bandwidth 128k }"
      try House.with(Setup(path: "/legacy", more: more), Answer.always(Answer.text(text))) { house throws in
        let clock = ContinuousClock()
        let start = clock.now
        let answer = try house.ask("GET", "/slow")
        #expect(answer.body.count == text.utf8.count)
        // An eighth of a second's worth may be ahead at either end; it can't be faster than that.
        #expect(clock.now - start > .milliseconds(450))
        // The connection's other requests go on.
        #expect(try house.ask("GET", "/legacy", [auth]).body.count == text.utf8.count)
      }
    }

    @Test(.byEachEngine) func aBufferFreesTheUpstreamOfASlowClient() throws {
      let size = 8 << 20
      let sent = Steps()
      let script: Script = { conversation in
        while try conversation.request() != nil {
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
          try conversation.send([UInt8](repeating: 0x61, count: size))
          sent.advance()
        }
      }
      try House.with(Setup(route: "buffer 16m"), script) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [auth]))
        // The client has read nothing, and the upstream is done; its connection serves somebody else.
        try sent.wait()
        _ = try house.accessLines(1)
        #expect(try house.ask("GET", "/", [auth]).body.count == size)
        #expect(house.upstream.connections.count == 1)
        #expect(try client.response()?.body.count == size)
      }
    }

    @Test(.byEachEngine) func aBufferHoldsNothingBack() throws {
      let go = Steps()
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n")
        try go.wait()
        try conversation.send("8\r\ndata: 2\n\r\n0\r\n\r\n")
      }
      try House.with(Setup(route: "buffer 16m; max_inflight 5; rate 100r/s"), script) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [auth]))
        #expect(try client.head()?["Content-Type"] == "text/event-stream")
        #expect(try client.wire.exactly(13) == [UInt8]("8\r\ndata: 1\n\r\n".utf8))
        go.advance()
        #expect(try client.wire.exactly(13) == [UInt8]("8\r\ndata: 2\n\r\n".utf8))
      }
    }

    @Test func theRecipeOfLimitsHolds() throws {
      let recipe = try Recipe("limits").text(replacing: ["10.0.0.5:8080": "127.0.0.1:1"])
      try House.with(Setup(path: "/legacy", more: recipe)) { house throws in
        let statuses = try (0..<8).map { _ in try house.ask("GET", "/export/", [auth]).status }
        #expect(statuses == [502, 502, 502, 502, 502, 429, 429, 429])
        #expect(try house.ask("GET", "/export/", [bob]).status == 502)
      }
    }
  }
}
