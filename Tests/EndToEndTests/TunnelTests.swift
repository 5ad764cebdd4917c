// Requests that turn into tunnels: judged as any other, opened by the 101 that was asked for alone, and what happens to bytes, ends and time then.

import Foundation
import Glibc
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachRawFront) struct Tunnels {
    private static let auth = People.alice.authorization
    private static let handshake = [
      "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
    ]
    private static let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    private static let switching =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\(accept)\r\nX-Own: 1\r\n\r\n"

    /// Opens tunnels to whoever asks for WebSocket, and sends back what comes, until that ends.
    private static let echo: Script = { conversation in
      while let request = try conversation.request() {
        guard request["Upgrade"] == "websocket" else {
          try conversation.send(Answer.text("plain"))
          continue
        }
        try conversation.send(switching)
        do {
          while true {
            let bytes = try conversation.wire.some(atMost: 1 << 16, .after(.seconds(600)))
            if bytes.isEmpty { return }
            try conversation.send(bytes)
          }
        } catch is Socket.Trouble { return }
      }
    }

    private func open(_ house: House, _ more: [String] = []) throws -> Client {
      let client = try house.client()
      try client.send(request("GET", "/chat", Self.handshake + [Self.auth] + more))
      let head = try #require(try client.head())
      guard head.status == 101 else { throw Failure("no tunnel: \(head.headText)") }
      return client
    }

    private func say(_ text: String, _ client: Client) throws {
      try client.send(text)
      #expect(String(decoding: try client.wire.exactly(text.utf8.count), as: UTF8.self) == text)
    }

    /// What a request with these fields is answered, and what of it reached the service.
    private func answer(_ house: House, _ text: String) throws -> Message { try house.client().exchange(text) }

    @Test(.byEachEngine) func bytesGoBothWaysAndAreCounted() throws {
      try House.with(Setup(), Self.echo) { house throws in
        let client = try house.client()
        let fields = ["Connection: Upgrade, X-Forwarded-User", "X-Forwarded-User: root", "Origin: http://a.test"] + Self.handshake.dropFirst()
        try client.send(request("GET", "/chat", fields + [Self.auth]))
        let head = try #require(try client.head())
        #expect(head.status == 101 && head["Upgrade"] == "websocket" && head["Connection"] == "Upgrade" && head["X-Own"] == "1")
        #expect(head.values("Sec-WebSocket-Accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="])
        for text in ["a", "bc", String(repeating: "d", count: 300_000)] { try say(text, client) }
        let seen = try house.upstream.requests(1)[0]
        #expect(seen["Connection"] == "Upgrade" && seen["Upgrade"] == "websocket" && seen["Origin"] == "http://a.test")
        #expect(seen.values("X-Forwarded-User") == ["alice"] && seen.values("Authorization").isEmpty)
        #expect(house.gate.accessLog.isEmpty)
        client.socket.endWriting()
        #expect(try client.rest().isEmpty)
        let line = try house.accessLines(1)[0]
        #expect(line["status"] as? Int == 101 && line["bytes_in"] as? Int == 300_003 && line["bytes_out"] as? Int == 300_003)
        #expect(line["user"] as? String == "alice")
      }
    }

    @Test func whatComesWithTheSwitchIsTheTunnels() throws {
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send(Self.switching + "first")
        try conversation.waitForEnd()
      }
      try House.with(Setup(), script) { house throws in
        // Sent too early, and all the same the tunnel's once there is one.
        let client = try house.client()
        try client.send(request("GET", "/", Self.handshake + [Self.auth]) + "early")
        #expect(try client.head()?.status == 101)
        #expect(try client.wire.exactly(5) == [UInt8]("first".utf8))
        try eventually("the early bytes") { house.upstream.bytes.holds("\r\n\r\nearly") }
        client.socket.endWriting()
        #expect(try client.rest().isEmpty)
      }
    }

    @Test func nobodyGetsATunnelWithoutAPassword() throws {
      try House.with(Setup(), Self.echo) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/chat", Self.handshake) + request("GET", "/next", [Self.auth]))
        #expect(try client.response()?.status == 401)
        // What followed is a request, and judged as one.
        #expect(try client.response()?.text == "plain")
        #expect(try house.upstream.requests(1).map(\.target) == ["/next"])
      }
    }

    @Test(arguments: ["200 OK", "401 Unauthorized", "426 Upgrade Required"])
    func bytesBehindARefusedUpgradeAreTheNextRequest(_ status: String) throws {
      try House.with(Setup(), Answer.always(Answer.text("no", status: status))) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/chat", Self.handshake + [Self.auth]) + request("GET", "/smuggled", ["X-Forwarded-User: root"]))
        #expect(try client.response()?.text == "no")
        #expect(try client.response()?.status == 401)
        #expect(house.upstream.requests.map(\.target) == ["/chat"] && !house.upstream.bytes.holds("smuggled"))
        // The connection of a request that asked for more is no other's.
        #expect(try client.exchange(request("GET", "/after", [Self.auth])).text == "no")
        #expect(house.upstream.connections.count == 2)
      }
    }

    @Test(arguments: [
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\(accept)\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\(accept)\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\(accept)\r\nContent-Length: 3\r\n\r\n",
      "HTTP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\(accept)\r\n\r\n",
    ]) func aSwitchThatWasNotAskedForIsABadGateway(_ head: String) throws {
      try House.with(Setup(), Answer.tolerant(head + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown")) { house throws in
        let answer = try answer(house, request("GET", "/chat", Self.handshake + [Self.auth]))
        #expect(answer.status == 502 && !answer.text.contains("own"))
      }
    }

    @Test(.byEachEngine) func aSwitchNobodyAskedForIsABadGateway() throws {
      try House.with(Setup(route: "upgrade off"), Answer.tolerant(Self.switching)) { house throws in
        #expect(try answer(house, request("GET", "/plain", [Self.auth])).status == 502)
        #expect(try answer(house, request("GET", "/off", [Self.auth] + Self.handshake)).status == 502)
        #expect(try house.upstream.requests(2).allSatisfy { $0.values("Upgrade").isEmpty && $0.values("Connection").isEmpty })
      }
    }

    @Test func whatIsNoHandshakeGoesOnWithoutUpgrade() throws {
      let (connection, key) = (Self.handshake[0], Self.handshake[2])
      let requests = [
        request("POST", "/1", Self.handshake + [Self.auth, "Content-Length: 0"]),
        request("GET", "/2", Self.handshake + [Self.auth, "Content-Length: 5"], body: "hello"),
        request("GET", "/3", Self.handshake + [Self.auth], version: "HTTP/1.0"),
        request("GET", "/4", Self.handshake + [key, Self.auth]),
        request("GET", "/5", Self.handshake.dropFirst() + [Self.auth]),
        request("GET", "/6", [connection, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", Self.auth]),
        request("GET", "/7", [connection, "Upgrade: TLS/1.0, HTTP/2.0", Self.auth]),
        request("GET", "/8", [connection, "Upgrade: foo", Self.auth]),
      ]
      try House.with(Setup(), Self.echo) { house throws in
        for text in requests { #expect(try answer(house, text).text == "plain") }
        let seen = try house.upstream.requests(requests.count)
        for one in seen {
          for name in ["Upgrade", "Connection", "HTTP2-Settings"] { #expect(one.values(name).isEmpty, "\(name) of \(one.target)") }
        }
      }
    }

    @Test func otherProtocolsWhereTheRouteSaysSo() throws {
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send("HTTP/1.1 101 Now\r\nConnection: upgrade\r\nUpgrade: foo/1\r\n\r\n")
        #expect(try conversation.wire.exactly(4) == [UInt8]("ping".utf8))
        try conversation.send("pong")
      }
      try House.with(Setup(route: "upgrade any"), script) { house throws in
        let client = try house.client()
        try client.send(request("POST", "/", ["Connection: Upgrade", "Upgrade: h2c, foo/1, TLS/1.0", Self.auth]))
        #expect(try client.head()?["Upgrade"] == "foo/1")
        try client.send("ping")
        #expect(try client.rest() == [UInt8]("pong".utf8))
        #expect(house.upstream.requests[0]["Upgrade"] == "foo/1")
      }
    }

    @Test func oneSidesEndIsPassedOnAndTheOtherGoesOn() throws {
      let script: Script = { conversation in
        guard let request = try conversation.request() else { return }
        try conversation.send(Self.switching)
        if request.target == "/client" {
          // The client's end comes through, and the answer still goes back.
          var bytes = [UInt8]()
          while case let part = try conversation.wire.some(), !part.isEmpty { bytes += part }
          try conversation.send("heard " + String(decoding: bytes, as: UTF8.self))
        } else {
          try conversation.send("bye")
          conversation.socket.endWriting()
          #expect(try conversation.wire.exactly(4) == [UInt8]("more".utf8))
          try conversation.waitForEnd()
        }
      }
      try House.with(Setup(), script) { house throws in
        for target in ["/client", "/upstream"] {
          let client = try house.client()
          try client.send(request("GET", target, Self.handshake + [Self.auth]))
          #expect(try client.head()?.status == 101)
          if target == "/client" {
            try client.send("all")
            client.socket.endWriting()
            #expect(try client.rest() == [UInt8]("heard all".utf8))
          } else if house.front == .clear {
            #expect(try client.rest() == [UInt8]("bye".utf8))
            try client.send("more")
            client.socket.endWriting()
          } else {
            #expect(try client.wire.exactly(3) == [UInt8]("bye".utf8))
            try client.send("more")
            client.socket.endWriting()
          }
        }
        _ = try house.accessLines(2)
      }
    }

    @Test func whoDoesNotReadStopsTheOtherSide() throws {
      let (sent, go) = (Monitor(0), Steps())
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send(Self.switching)
        let piece = [UInt8](repeating: 0x78, count: 1 << 20)
        // As much as goes without anybody reading: what fits into buffers on the way.
        conversation.wire.record = nil
        try conversation.socket.fill(with: piece)
        sent.with { $0 = 1 }
        try go.wait()
      }
      try House.with(Setup(), script) { house throws in
        let before = try house.gate.child.peakMemory()
        let client = try open(house)
        #expect(sent.wait { $0 == 1 ? true : nil } != nil)
        // The other direction is not held up by it.
        #expect(try house.gate.child.peakMemory() - before < 4096)
        go.advance()
        let rest = try client.rest(.after(.seconds(60)))
        #expect(rest.allSatisfy { $0 == 0x78 } && rest.count > 1 << 16)
        client.socket.endWriting()
        let line = try house.accessLines(1)[0]
        #expect(line["bytes_out"] as? Int == rest.count)
      }
    }

    @Test func aServiceThatDoesNotReadStopsTheClient() throws {
      let (count, go) = (Monitor(0), Steps())
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send(Self.switching)
        conversation.wire.record = nil
        try go.wait()
        while case let part = try conversation.wire.some(), !part.isEmpty { count.with { $0 += part.count } }
      }
      try House.with(Setup(), script) { house throws in
        let before = try house.gate.child.peakMemory()
        let client = try open(house)
        // What fits on the way, and no more.
        var sent = 0
        let piece = [UInt8](repeating: 0x79, count: 1 << 20)
        var stalled = 0
        while stalled < 100 {
          let n = try client.socket.writeSome(piece)
          sent += n
          stalled = n > 0 ? 0 : stalled + 1
          if n == 0 { usleep(5000) }
        }
        #expect(try house.gate.child.peakMemory() - before < 4096)
        go.advance()
        if house.front == .clear {
          client.socket.endWriting()
          let total = sent
          #expect(count.wait { $0 == total ? true : nil } != nil, "\(count.with { $0 }) of \(sent) bytes")
        }
      }
    }

    @Test func silenceEndsIt() throws {
      try House.with(Setup(upstream: "tunnel_timeout 400ms"), Self.echo) { house throws in
        let client = try open(house)
        let began = ContinuousClock.now
        // Each message begins the time anew.
        for _ in 0..<4 {
          try say("x", client)
          usleep(150_000)
        }
        #expect(try client.rest().isEmpty)
        #expect(began.duration(to: .now) > .milliseconds(800))
        #expect(try house.accessLines(1)[0]["status"] as? Int == 101)
        try eventually("its end reached the service") { house.upstream.open == 0 }
      }
    }

    /// What a client has sent and nobody takes does not hold both connections after he has left.
    @Test func aServiceThatTakesNothingEndsIt() throws {
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send(Self.switching)
        Thread.sleep(forTimeInterval: 3)
      }
      try House.with(Setup(upstream: "tunnel_timeout 1h\nidle_timeout 400ms"), script) { house throws in
        let client = try open(house)
        let bytes = [UInt8](repeating: 0x78, count: 64 << 10)
        // Until nobody takes any more, and then it is over.
        #expect(throws: (any Error).self) { for _ in 0..<400 { try client.socket.write(bytes) } }
        let line = try house.accessLines(1)[0]
        #expect(line["status"] as? Int == 101 && (line["reason"] as? String)?.contains("took nothing") == true, "\(line)")
      }
    }

    @Test func aReloadKeepsIt() throws {
      try House.with(Setup(top: "admin unix:admin.sock"), Self.echo) { house throws in
        let client = try open(house)
        try say("before", client)
        try house.reload { $0 + "\nroute /other { upstream legacy; require nobody; upgrade off }\n" }
        try say("after", client)
        try eventually("it is counted") {
          try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text.contains("tunnels: 1\n")
        }
        client.abort()
        try eventually("and its end") {
          try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text.contains("tunnels: 0\n")
        }
        try eventually("the service hears of it") { house.upstream.open == 0 }
      }
    }

    @Test func drainingWaitsForIt() throws {
      try House.with(Setup(top: "drain_timeout 30s"), Self.echo) { house throws in
        let client = try open(house)
        house.gate.child.signal(SIGTERM)
        try house.gate.child.errors.waitForLine(containing: "drain")
        usleep(1_300_000)
        try say("still here", client)
        client.socket.endWriting()
        #expect(try client.rest().isEmpty)
        #expect(try house.gate.child.wait().code == 0)
      }
    }

    @Test func drainingEndsItInTheEnd() throws {
      try House.with(Setup(top: "drain_timeout 1s"), Self.echo) { house throws in
        let client = try open(house)
        try say("hello", client)
        house.gate.child.signal(SIGTERM)
        // An end, and with TLS one that was said: a reset, or a cut, would throw.
        while case let bytes = try client.wire.some(), !bytes.isEmpty {}
        #expect(try house.accessLines(1)[0]["status"] as? Int == 101)
      }
    }

    @Test func anUnusedPlaceIsWhatATunnelTakes() throws {
      try House.with(Setup(upstream: "connections 1"), Self.echo) { house throws in
        let client = try open(house)
        #expect(try answer(house, request("GET", "/", [Self.auth])).status == 503)
        client.socket.endWriting()
        #expect(try client.rest().isEmpty)
        #expect(try answer(house, request("GET", "/", [Self.auth])).text == "plain")
      }
    }
  }
}
