// WebSockets by streams of HTTP/2 (RFC 8441): who gets one, what becomes of bytes that come before there is one, and breaks.

import CFront
import Foundation
import Glibc
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFrontOfHTTP2) struct HTTP2Tunnels {
    static let alice = FrameClient.authorized(People.alice)
    static let smuggled = [UInt8]("GET /smuggled HTTP/1.1\r\nHost: legacy.test\r\nX-Forwarded-User: root\r\n\r\n".utf8)

    static func connect(_ path: String = "/chat", by person: (String, String)? = alice) -> [(String, String)] {
      [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", Front.current.scheme), (":path", path), (":authority", "legacy.test"),
        ("sec-websocket-version", "13"),
      ] + (person.map { [$0] } ?? [])
    }

    static func connect(_ name: String, _ value: String?) -> [(String, String)] {
      connect().compactMap { $0.0 == name ? value.map { (name, $0) } : $0 }
    }

    static func accept(_ key: String) -> String {
      let bytes = unsafe [CChar](unsafeUninitializedCapacity: 64) { out, count in
        unsafe front_websocket_accept(key, out.baseAddress!)
        count = 28
      }
      return String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func switching(_ request: Message) -> String {
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Accept: \(accept(request["Sec-WebSocket-Key"] ?? ""))\r\n\r\n"
    }

    /// Opens tunnels and sends back what comes, then its end; to other requests says hello.
    static let echo: Script = { conversation in
      do {
        while let request = try conversation.request() {
          guard request["Upgrade"] == "websocket" else {
            try conversation.send(Answer.text("hello"))
            continue
          }
          try conversation.send(switching(request))
          while case let bytes = try conversation.wire.some(atMost: 1 << 16, .after(.seconds(600))), !bytes.isEmpty { try conversation.send(bytes) }
          return
        }
      } catch is Socket.Trouble {}
    }

    static func data(_ bytes: [UInt8], _ id: Int32, ends: Bool = false) -> [UInt8] {
      Frame.make(Frame.data, ends ? Frame.endStream : 0, stream: id, bytes)
    }

    static func open(_ client: FrameClient, _ fields: [(String, String)] = connect()) throws -> Int32 {
      let id = try client.request(fields, ends: false)
      try client.read { $0.streams[id]?.status != nil || $0.streams[id]?.isOver == true }
      guard client.streams[id]?.status == 200 else { throw Failure("no tunnel: \(String(describing: client.streams[id]))") }
      return id
    }

    static func say(_ text: String, _ id: Int32, _ client: FrameClient) throws {
      let before = client.streams[id]?.bodyCount ?? 0
      try client.send(data([UInt8](text.utf8), id))
      try client.read { ($0.streams[id]?.bodyCount ?? 0) >= before + text.utf8.count || $0.streams[id]?.isOver == true }
      #expect(client.streams[id].map { String(decoding: $0.body[before...], as: UTF8.self) } == text)
    }

    static func expectLife(_ client: FrameClient) throws {
      #expect(try client.exchange(FrameClient.fields("/alive", "GET", [alice])).status == 200)
    }

    // MARK: Who gets one

    @Test func whatIsNoConnectForAWebSocketReachesNobody() throws {
      let malformed = [
        Self.connect(":method", "GET"), Self.connect(":scheme", nil), Self.connect(":path", nil), Self.connect(":authority", nil),
        Self.connect(":path", "*"), Self.connect(":protocol", ""), Self.connect(":protocol", "web socket"),
        Self.connect(":protocol", "websocket\r\nx: y"), Self.connect(":path", "/ HTTP/1.1\r\nhost: evil\r\n\r\nGET /"),
        Self.connect() + [("content-length", "5")], Self.connect() + [("content-length", "0")], Self.connect() + [("upgrade", "websocket")],
        Self.connect() + [("connection", "upgrade")], Self.connect() + [("transfer-encoding", "chunked")],
        Array(Self.connect().prefix(5)) + [(":protocol", "websocket"), Self.alice],
      ]
      let refused = [
        (Self.connect(":protocol", "connect-udp"), 501), (Self.connect("sec-websocket-version", nil), 400),
        (Self.connect() + [("sec-websocket-version", "13")], 400),
        (Self.connect(":scheme", Front.current.isSecure ? "http" : "https"), 400), (Self.connect() + [("host", "other.test")], 400),
      ]
      try HTTP2.house(Setup(), Self.echo) { house, port throws in
        let client = try FrameClient(to: port)
        for fields in malformed {
          let id = try client.request(fields, ends: false)
          try client.send(Self.data(Self.smuggled, id))
          let answer = try client.answer(id)
          #expect(answer.reset == 1 && answer.status == nil, "\(fields)")
        }
        for (fields, status) in refused {
          let id = try client.request(fields, ends: false)
          try client.send(Self.data(Self.smuggled, id))
          let answer = try client.answer(id)
          #expect(answer.status == status && answer.hasEnded, "\(status): \(answer)")
        }
        #expect(house.upstream.connections.isEmpty)
        try Self.expectLife(client)
      }
    }

    @Test func nobodyConnectsWithoutAPassword() throws {
      try HTTP2.house(Setup(), Self.echo) { house, port throws in
        let client = try FrameClient(to: port)
        for person in [nil, ("authorization", Secrets.basic("alice", "wrong-for-a-stream"))] {
          let (id, frame) = client.begin(Self.connect(by: person), ends: false)
          try client.send(frame + Self.data(Self.smuggled, id))
          #expect(try client.answer(id).status == 401)
        }
        #expect(house.upstream.connections.isEmpty)
        try Self.expectLife(client)
        #expect(house.upstream.requests.map(\.target) == ["/alive"] && !house.upstream.bytes.holds("smuggled"))
      }
    }

    /// Any 2xx would say that there is a tunnel, and what follows would be read as its bytes.
    @Test func noOtherAnswerPassesForATunnel() throws {
      let setup = Setup(
        top: "tokens { keys token.keys; endpoint /api/token }",
        more: """
          route /off { upstream legacy; require valid-user; upgrade off }
          route /text { respond 200 hi; require valid-user }
          route /post { upstream legacy; require valid-user; upgrade off }
          route POST /post { upstream legacy; require valid-user }
          """)
      try HTTP2.house(setup, Self.echo) { house, port throws in
        let client = try FrameClient(to: port)
        for (path, status) in [("/off", 501), ("/text", 501), ("/post", 501), ("/api/token", 405)] {
          // Who may not pass learns nothing of it, but where that is said to everybody.
          if status == 501 { #expect(try client.exchange(Self.connect(path, by: nil)).status == 401) }
          let (id, frame) = client.begin(Self.connect(path), ends: false)
          try client.send(frame + Self.data(Self.smuggled, id))
          #expect(try client.answer(id).status == status, "\(path)")
        }
        #expect(house.upstream.connections.isEmpty)
        try Self.expectLife(client)
      }
    }

    @Test func earlyBytesReachNobodyUnlessTheServiceSwitches() throws {
      let answers = [
        "/200": ("200 OK", 502), "/204": ("204 No Content", 502), "/302": ("302 Found", 302), "/403": ("403 Forbidden", 403),
        "/426": ("426 Upgrade Required", 426),
      ]
      let script: Script = { conversation in
        while let request = try conversation.request() {
          let status = answers[request.target]?.0 ?? "200 OK"
          try conversation.send(Answer.text(status.hasPrefix("204") ? "" : "no", status: status))
        }
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        for (path, (_, status)) in answers {
          let (id, frame) = client.begin(Self.connect(path), ends: false)
          try client.send(frame + Self.data(Self.smuggled, id))
          let answer = try client.answer(id)
          #expect(answer.status == status, "\(path): \(answer)")
          #expect(String(decoding: answer.body, as: UTF8.self) == "no" || status == 502)
          // Nor do those that come later.
          try client.send(Self.data(Self.smuggled, id, ends: true))
        }
        try Self.expectLife(client)
        #expect(Set(house.upstream.requests.map(\.target)) == Set(answers.keys).union(["/alive"]) && !house.upstream.bytes.holds("smuggled"))
        // And their connections are no others'.
        #expect(house.upstream.connections.count == answers.count + 1)
        #expect(Set(try house.accessLines(6).compactMap { $0["status"] as? Int }) == [200, 302, 403, 426, 502])
      }
    }

    @Test func aSwitchWithoutProofIsABadGateway() throws {
      let fields = [
        "/wrong": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n",
        "/none": "Connection: Upgrade\r\nUpgrade: websocket\r\n", "/other": "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        // Of the key that the client chose.
        "/clients": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
      ]
      let script: Script = { conversation in
        do {
          guard let request = try conversation.request() else { return }
          let own = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown"
          try conversation.send("HTTP/1.1 101 Switching Protocols\r\n\(fields[request.target] ?? "")\r\n\(own)")
          try conversation.waitForEnd()
        } catch is Socket.Trouble {}
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        for path in fields.keys {
          let (id, frame) = client.begin(Self.connect(path) + [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")], ends: false)
          try client.send(frame + Self.data(Self.smuggled, id))
          let answer = try client.answer(id)
          #expect(answer.status == 502 && !String(decoding: answer.body, as: UTF8.self).contains("own"), "\(path): \(answer)")
        }
        #expect(house.upstream.requests.count == fields.count && !house.upstream.bytes.holds("smuggled"))
      }
    }

    // MARK: Bytes

    @Test func earlyBytesAreTheTunnelsOnceThereIsOne() throws {
      let (asked, go) = (Monitor<Message?>(nil), Steps())
      let script: Script = { conversation in
        guard let request = try conversation.request() else { return }
        // What is said meanwhile decides nothing.
        try conversation.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        asked.with { $0 = request }
        try go.wait()
        try conversation.send(Self.switching(request) + "first")
        #expect(try conversation.wire.exactly(5) == [UInt8]("early".utf8))
        try conversation.waitForEnd()
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        let (id, frame) = client.begin(Self.connect() + [("origin", "http://a.test"), ("x-forwarded-user", "root")], ends: false)
        try client.send(frame + Self.data([UInt8]("early".utf8), id, ends: true))
        let request = try #require(asked.wait { $0 })
        #expect(request.method == "GET" && request.target == "/chat" && request["Connection"] == "Upgrade" && request["Upgrade"] == "websocket")
        #expect(request["Origin"] == "http://a.test" && request["Via"] == "2.0 gatehouse" && request["Sec-WebSocket-Version"] == "13")
        #expect(request.values("X-Forwarded-User") == ["alice"] && request.values("Authorization").isEmpty)
        #expect(request.values("Sec-WebSocket-Key").count == 1 && request.values("Content-Length").isEmpty)
        try client.read { $0.streams[id]?.status != nil }
        // It was there before the request went out.
        #expect(!house.upstream.bytes.holds("early"))
        go.advance()
        let answer = try client.answer(id)
        #expect(answer.statuses == [103, 200] && answer.hasEnded && answer.body == [UInt8]("first".utf8))
        let line = try house.accessLines(1)[0]
        #expect(line["status"] as? Int == 101 && line["bytes_in"] as? Int == 5 && line["bytes_out"] as? Int == 5)
        #expect(line["user"] as? String == "alice" && line["protocol"] as? String == "HTTP/2.0")
      }
    }

    /// A frame of one byte costs its sender ten; as DATA of any other stream so many are a flood.
    @Test func manySmallMessagesAreNoFlood() throws {
      try HTTP2.house(Setup(), Self.echo) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try Self.open(client)
        let frames = Array(repeatElement(Self.data([0x78], id), count: 1000).joined())
        for i in 1...20 {
          try client.send(frames)
          try client.read { $0.streams[id]?.bodyCount == 1000 * i || $0.streams[id]?.isOver == true }
        }
        #expect(client.streams[id]?.body == [UInt8](repeating: 0x78, count: 20_000))
        try Self.expectLife(client)
        try client.send(Self.data([], id, ends: true))
        #expect(try client.answer(id).hasEnded)
      }
    }

    /// Browsers end theirs by a reset.
    @Test func manyTunnelsThatAreResetAreNoFlood() throws {
      try HTTP2.house(Setup(top: "http2 { resets 10 }"), Self.echo) { house, port throws in
        let client = try FrameClient(to: port)
        for _ in 0..<2 {
          let tunnels = try (0..<15).map { _ in try Self.open(client) }
          try client.send(tunnels.flatMap { Frame.make(Frame.reset, stream: $0, Frame.number(8)) })
          try Self.expectLife(client)
        }
        try eventually("the service hears of each") { house.upstream.open <= 1 }
        #expect(client.goaways.isEmpty)
      }
    }

    // MARK: Ends

    @Test func aBreakIsABreakForTheOther() throws {
      let (heard, ended) = (Steps(), Steps())
      let script: Script = { conversation in
        guard let request = try conversation.request() else { return }
        try conversation.send(Self.switching(request))
        #expect(try conversation.wire.exactly(2) == [UInt8]("go".utf8))
        heard.advance()
        if request.target == "/service" { return conversation.reset() }
        try conversation.waitForEnd()
        ended.advance()
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try Self.open(client, Self.connect("/service"))
        try client.send(Self.data([UInt8]("go".utf8), id))
        // RFC 9113 section 8.5: CONNECT_ERROR.
        #expect(try client.answer(id).reset == 10)
        // By a reset, by fields where only bytes may be, and by the end of the connection. What was said before reaches the service.
        let fields = Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id + 4, Frame.block([("x", "y")]))
        for (i, last) in [Frame.make(Frame.reset, stream: id + 2, Frame.number(8)), fields].enumerated() {
          let next = try Self.open(client)
          try client.send(Self.data([UInt8]("go".utf8), next) + last)
          try ended.wait(for: i + 1)
        }
        #expect(try client.answer(id + 4).reset == 1)
        let last = try Self.open(client)
        try client.send(Self.data([UInt8]("go".utf8), last))
        try heard.wait(for: 4)
        client.socket.shutDown()
        try ended.wait(for: 3)
        _ = try house.accessLines(4)
      }
    }
  }
}
