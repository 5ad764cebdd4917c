// Services that are spoken to in HTTP/2: nghttpd and nginx behind, curl, h2load and gRPC's own client in front.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct HTTP2Upstream {
    private static let large = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }

    private func setup(_ server: FrontServer, secure: Bool = false, _ more: String = "") -> Setup {
      let trust = secure ? "tls { ca \(server.scratch["ca.pem"]) }" : ""
      return Setup(upstream: "protocol http2\n\(trust)\n\(more)", server: "\(secure ? "https" : "http")://127.0.0.1:\(server.port)")
    }

    @Test(.byEachFrontOfHTTP2) func headsAndBodiesPassBothWays() throws {
      // By TLS the protocol is agreed on; in clear text it is simply spoken.
      for secure in [false, true] {
        let server = try HTTP2Services.nghttpd(secure: secure, files: ["small": [UInt8]("hello".utf8), "large": Self.large])
        try HTTP2.house(setup(server, secure: secure)) { house, port throws in
          let small = try HTTP2.curl(house, port, "/small")
          #expect(small.status == 200 && small.text == "hello" && small.final["content-length"] == "5")
          #expect(try HTTP2.curl(house, port, "/large").body == Self.large)
          let head = try HTTP2.curl(house, port, "-I", "/large")
          #expect(head.status == 200 && head.final["content-length"] == "1048576")
          #expect(try HTTP2.curl(house, port, "/missing").status == 404)
          #expect(try HTTP2.curl(house, port, "-T", "-", "/up", input: Self.large).body == Self.large)
          // To clients of HTTP/1.1 as well.
          #expect(try house.curl("-u", People.alice.pair, "--http1.1", "/large").body == Self.large)
          #expect(try house.curl("-u", People.alice.pair, "--http1.1", "-T", "-", "/up", input: Self.large).body == Self.large)
          #expect(try house.curl("-u", "alice:wrong", "/small").status == 401)
        }
        try server.stop()
      }
    }

    /// A server that can't is not taken for one.
    @Test func whoDoesNotSpeakHTTP2IsNotTakenForIt() throws {
      try House.with(Setup(upstream: "protocol http2"), { try $0.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") }) { house throws in
        #expect(try house.curl("-u", People.alice.pair, "/").status == 502)
      }
    }

    @Test func aHundredRequestsShareConnections() throws {
      let server = try HTTP2Services.nghttpd(secure: false, files: ["small": [UInt8]("hello".utf8)])
      try HTTP2.house(setup(server)) { house, port throws in
        #expect(try load(house, port, requests: 1000, parallel: 100, "/small").contains("1000 succeeded, 0 failed"))
        #expect(try connections(to: server.port, of: house) <= 3)
      }
      try server.stop()
    }

    /// nginx says GOAWAY after so many requests on a connection.
    @Test func aServerThatGoesAwayLosesNoRequest() throws {
      let server = try HTTP2Services.nginx("keepalive_requests 20; location / { return 200 hello; }")
      try HTTP2.house(setup(server, "health GET /healthz every 100ms")) { house, port throws in
        let said = try load(house, port, requests: 1000, parallel: 50, "/")
        #expect(said.contains("1000 succeeded, 0 failed") && said.contains("status codes: 1000 2xx"), "\(said)")
        // Whether it is well is asked in the same protocol.
        try eventually("a check") { try server.scratch.text("access.log").contains("\"GET /healthz HTTP/2.0\" 200") }
      }
      try server.stop()
    }

    /// RFC 9113 section 8.1: fields may follow a body whose length was told, be it none, as they do gRPC's. HTTP/1.1 has no place for them there.
    @Test(.byEachFrontOfHTTP2) func whatFollowsABodyOfAKnownLengthIsRelayed() throws {
      let server = try HTTP2Services.nghttpd(secure: false, files: ["small": [UInt8]("hello".utf8), "empty": []], trailer: "x-sum: 7")
      let get = { (port: UInt16, path: String, method: String) throws -> Message in
        let client = try HTTP2Client(to: port)
        let fields = FrameClient.fields(path, method, [FrameClient.authorized(People.alice)])
        return try client.response(try client.send(fields.map { (name: $0.0, value: $0.1) }))
      }
      try HTTP2.house(setup(server)) { house, port throws in
        for (path, text) in [("/small", "hello"), ("/empty", "")] {
          let answer = try get(port, path, "GET")
          #expect(answer.status == 200 && answer.text == text && answer["content-length"] == "\(text.utf8.count)")
          #expect(answer.trailers.map { "\($0.name): \($0.value)" } == ["x-sum: 7"])
        }
        #expect(try get(port, "/small", "HEAD").trailers.isEmpty)
        let plain = try house.curl("-u", People.alice.pair, "--http1.1", "/small")
        #expect(plain.text == "hello" && plain.final["content-length"] == "5" && !plain.heads.contains("x-sum: 7"))
      }
      var stripped = setup(server)
      stripped.route = "response_header remove X-Sum"
      try HTTP2.house(stripped) { _, port throws in
        let answer = try get(port, "/small", "GET")
        #expect(answer.text == "hello" && answer["content-length"] == "5" && answer.trailers.isEmpty)
      }
      try server.stop()
    }

    @Test func anAnswerThatComesEarlyIsHeard() throws {
      let server = try HTTP2Services.nginx(
        "client_max_body_size 1k; location / { return 200 hello; } location /up { proxy_pass http://127.0.0.1:1; }")
      try HTTP2.house(setup(server)) { house, port throws in
        // Of a length that is said, and of one that nginx finds out.
        try house.scratch.write(String(repeating: "x", count: 1 << 20), to: "large")
        for body in [house.scratch["large"], "-"] {
          let answer = try HTTP2.curl(house, port, "-H", "Expect:", "-T", body, "/up", input: Self.large)
          #expect(answer.status == 413 && answer.text.contains("413 Request Entity Too Large"))
        }
        #expect(try HTTP2.curl(house, port, "/").text == "hello")
      }
      try server.stop()
    }

    /// One stream of a connection that others share waits, and its memory is bounded.
    @Test func whoDoesNotReadHoldsHisOwnStreamAlone() throws {
      let size = 32 << 20
      let server = try HTTP2Services.nghttpd(secure: false, files: ["huge": [UInt8](repeating: 7, count: size), "small": [UInt8]("hello".utf8)])
      try HTTP2.house(setup(server)) { house, port throws in
        let before = try house.gate.child.peakMemory()
        let idle = try (0..<8).map { _ in try house.client() }
        for client in idle { try client.send(request("GET", "/huge", [People.alice.authorization])) }
        for client in idle.dropFirst() { #expect(try client.head()?.status == 200) }
        for _ in 0..<5 { #expect(try HTTP2.curl(house, port, "/small").text == "hello") }
        #expect(try house.gate.child.peakMemory() - before < 64 << 10)
        let all = try #require(try idle[0].response())
        #expect(all.status == 200 && all.body.count == size)
      }
      try server.stop()
    }

    /// As alice with h2load, which has no certificates to check.
    private func load(_ house: House, _ port: UInt16, requests: Int, parallel: Int, _ path: String) throws -> String {
      let words = ["-n", "\(requests)", "-c", "1", "-m", "\(parallel)", "-H", People.alice.authorization, HTTP2.url(port, path)]
      return try Child.run("/usr/bin/h2load", words, folder: house.scratch.path).text
    }

    /// The connections of Gatehouse's to `port`.
    private func connections(to port: UInt16, of house: House) throws -> Int {
      let table = try String(contentsOfFile: "/proc/\(house.gate.child.pid)/net/tcp", encoding: .utf8)
      let end = String(format: ":%04X", Int(port))
      return table.split(separator: "\n").count { line in
        let words = line.split(separator: " ")
        return words.count > 3 && words[2].hasSuffix(end) && words[3] == "01"
      }
    }
  }
}
