// HTTP/2, by TLS and in clear text with prior knowledge: what clients of all kinds see of it.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFrontOfHTTP2) struct HTTP2 {
    /// Where the front is clear text, a second listener speaks HTTP/2 as well.
    static func house(_ setup: Setup = Setup(), _ script: @escaping Script = Answer.hello, _ body: (House, UInt16) throws -> Void) throws {
      if Front.current == .h2 { return try House.with(setup, script) { try body($0, $0.port) } }
      var setup = setup
      setup.top = "listen 127.0.0.1:0 { h2c on }\n" + setup.top
      try House.with(setup, script) { try body($0, $0.gate.ports[1]) }
    }

    private let alice = FrameClient.authorized(People.alice)

    /// Answers with the user, the path, and the length of the body.
    static let echo: Script = { conversation in
      while let request = try conversation.request() {
        try conversation.send(Answer.text("\(request["X-Forwarded-User"] ?? "-") \(request.target) \(request.body.count)"))
      }
    }

    static func url(_ port: UInt16, _ path: String = "/") -> String { "\(Front.current.scheme)://127.0.0.1:\(port)\(path)" }

    /// As alice; the last of `arguments` is a path.
    static func curl(
      _ house: House, _ port: UInt16, _ arguments: String..., input: [UInt8] = [], within duration: Duration = .seconds(60)
    ) throws -> CurlAnswer {
      // By TLS the protocol is chosen by ALPN, which is what the front's own option asks for.
      let prior = Front.current.isSecure ? [] : ["--http2-prior-knowledge"]
      let last = url(port, arguments.last ?? "/")
      return try Curl.run(
        prior + ["-u", People.alice.pair] + arguments.dropLast() + [last], input: input, in: house.scratch, within: duration)
    }

    @Test func curlIsServed() throws {
      try Self.house(Setup(), Self.echo) { house, port throws in
        let answer = try Self.curl(house, port, "/a?b=c")
        #expect(answer.status == 200 && answer.text == "alice /a?b=c 0" && answer.heads.hasPrefix("HTTP/2 200"))
        #expect(try Self.curl(house, port, "-d", "12345", "/").text == "alice / 5")
        let large = [UInt8](repeating: 7, count: 3_000_000)
        #expect(try Self.curl(house, port, "-T", "-", "/up", input: large).text == "alice /up 3000000")
        let head = try Self.curl(house, port, "-I", "/head")
        #expect(head.status == 200 && head.final["content-length"] == "13")
        let request = try #require(house.upstream.requests.first)
        #expect(request["Via"] == "2.0 gatehouse" && request["Host"] == "127.0.0.1:\(port)")
        let line = try #require(try house.accessLines(4).first)
        #expect(line["protocol"] as? String == "HTTP/2.0" && line["status"] as? Int == 200)
        // HTTP/1.1 goes on beside it.
        #expect(try Client(to: port).exchange(request1).text == "alice / 0")
      }
    }

    private var request1: String { request("GET", "/", [People.alice.authorization]) }

    @Test func nghttpAndH2loadAreServed() throws {
      try Self.house(Setup(), Answer.hello) { house, port throws in
        let url = Self.url(port)
        let field = "authorization: \(alice.1)"
        let nghttp = try Child.run("/usr/bin/nghttp", ["-v", "--no-dep", "-H", field, url], folder: house.scratch.path)
        #expect(nghttp.text.contains(":status: 200") && nghttp.text.contains("hello"))
        let load = try Child.run("/usr/bin/h2load", ["-n", "2000", "-c", "4", "-m", "10", "-H", field, url], folder: house.scratch.path)
        #expect(load.text.contains("2000 succeeded, 0 failed, 0 errored"), "\(load.text)")
        #expect(load.text.contains("2000 2xx"))
      }
    }

    @Test func httpxIsServed() throws {
      try Self.house(Setup(), Self.echo) { house, port throws in
        let program = """
          import httpx
          with httpx.Client(http1=False, http2=True, verify=trust, auth=("alice", "\(People.alice.password)")) as client:
              for i in range(20):
                  answer = client.post("\(Self.url(port))%d" % i, content=b"x" * 70000 * i)
                  assert answer.http_version == "HTTP/2" and answer.text == "alice /%d %d" % (i, 70000 * i), answer.text
          print("well")
          """
        let outcome = try house.python(program)
        #expect(outcome.text == "well\n", "\(outcome.errors)")
      }
    }

    @Test func trailersGoBothWays() throws {
      let script: Script = { conversation in
        while let request = try conversation.request() {
          let sum = request.trailers.first { $0.name.lowercased() == "x-sum" }?.value ?? "none"
          try conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Back: \(sum)\r\n\r\n")
        }
      }
      try Self.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try client.request(FrameClient.fields("/", "POST", [alice]), ends: false)
        try client.send(
          Frame.make(Frame.data, stream: id, [1, 2, 3])
            + Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id, Frame.block([("x-sum", "seven")])))
        let answer = try client.answer(id)
        #expect(answer.status == 200 && answer.body == [UInt8]("abc".utf8) && answer.hasEnded)
        #expect(house.upstream.requests.first?.trailers.map(\.value) == ["seven"])
        let curl = try Self.curl(house, port, "/")
        #expect(curl.text == "abc" && curl.heads.contains("x-back: none"))
      }
    }

    @Test func interimHeadsAreRelayedAndContinueIsSaid() throws {
      let script: Script = { conversation in
        while try conversation.request() != nil {
          try conversation.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + Answer.text("hello"))
        }
      }
      try Self.house(Setup(), script) { _, port throws in
        let client = try FrameClient(to: port)
        let id = try client.request(
          FrameClient.fields("/", "POST", [alice, ("expect", "100-continue"), ("content-length", "3")]), ends: false)
        try client.read { $0.streams[id]?.statuses == [100] }
        try client.send(Frame.make(Frame.data, Frame.endStream, stream: id, [1, 2, 3]))
        #expect(try client.answer(id).statuses == [100, 103, 200])
      }
    }

    @Test func answersWithoutContentHaveNone() throws {
      let script: Script = { conversation in
        while let request = try conversation.request() {
          let status = request.target == "/none" ? "204 No Content" : "304 Not Modified"
          try conversation.send("HTTP/1.1 \(status)\r\n" + (request.target == "/none" ? "" : "Content-Length: 5\r\n") + "\r\n")
        }
      }
      try Self.house(Setup(), script) { _, port throws in
        let client = try FrameClient(to: port)
        for (path, status) in [("/none", 204), ("/same", 304)] {
          let answer = try client.exchange(FrameClient.fields(path, "GET", [alice]))
          #expect(answer.status == status && answer.bodyCount == 0 && answer.hasEnded)
        }
      }
    }

    @Test func fieldsOfTheUpstreamsConnectionStayBehind() throws {
      let fields = ["Connection: X-Own", "X-Own: 1", "Keep-Alive: timeout=5", "Upgrade: h2c", "X-Kept: 1"]
      try Self.house(Setup(), Answer.always(Answer.text("hello", fields: fields))) { house, port throws in
        let heads = try Self.curl(house, port, "/").heads.lowercased()
        #expect(heads.contains("x-kept: 1"))
        for name in ["connection", "x-own", "keep-alive", "upgrade"] { #expect(!heads.contains("\n\(name):"), "\(name)") }
      }
    }

    @Test(arguments: ["Content-Length: 100\r\n\r\nshort", "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"])
    func anAnswerThatBreaksOffResetsItsStream(_ rest: String) throws {
      try Self.house(Setup(), Answer.once("HTTP/1.1 200 OK\r\n\(rest)")) { _, port throws in
        let client = try FrameClient(to: port)
        let answer = try client.exchange(FrameClient.fields("/", "GET", [alice]))
        #expect(answer.status == 200 && answer.body == [UInt8]("short".utf8) && !answer.hasEnded && answer.reset == 2)
      }
    }

    @Test func aRefusalInMidUploadIsReadAndThenTheStreamIsReset() throws {
      try Self.house { house, port throws in
        let client = try FrameClient(to: port)
        let id = try client.request(FrameClient.fields("/", "POST"), ends: false)
        try client.send(Frame.make(Frame.data, stream: id, Array(repeating: 1, count: 16_000)))
        let answer = try client.answer(id)
        #expect(answer.status == 401 && answer.hasEnded)
        try client.read { $0.streams[id]?.reset != nil }
        #expect(client.streams[id]?.reset == 0)
        // The others go on.
        #expect(try client.exchange(FrameClient.fields("/", "GET", [alice])).status == 200)
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func everyStreamGetsItsOwnAnswer() throws {
      try Self.house(Setup(workers: 2), Self.echo) { _, port throws in
        let people = [People.alice, People.bob]
        let clients = try (0..<5).map { _ in try FrameClient(to: port) }
        var asked: [(FrameClient, Int32, String)] = []
        for i in 0..<200 {
          let (client, person) = (clients[i % 5], people[i % 2])
          let id = try client.request(FrameClient.fields("/\(i)", "GET", [FrameClient.authorized(person)]))
          asked.append((client, id, "\(person.name) /\(i) 0"))
        }
        for (client, id, expected) in asked { #expect(try String(decoding: client.answer(id).body, as: UTF8.self) == expected) }
      }
    }

    @Test func drainingSaysGoawayTwiceAndFinishes() throws {
      let gate = Monitor(false)
      let script: Script = { conversation in
        while let request = try conversation.request() {
          if request.target == "/slow" { _ = gate.wait { $0 ? true : nil } }
          try conversation.send(Answer.text("hello"))
        }
      }
      try Self.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        let slow = try client.request(FrameClient.fields("/slow", "GET", [alice]))
        _ = try client.exchange(FrameClient.fields("/", "GET", [alice]))
        house.gate.child.signal(SIGTERM)
        try client.read { $0.goaways.count == 1 }
        #expect(client.goaways.map(\.last) == [0x7FFF_FFFF] && client.goaways.map(\.code) == [0])
        // What was on its way when the end was announced is still served.
        #expect(try client.exchange(FrameClient.fields("/", "GET", [alice])).status == 200)
        try client.read { $0.goaways.count == 2 }
        #expect(client.goaways.map(\.last) == [0x7FFF_FFFF, 5] && client.goaways.map(\.code) == [0, 0])
        gate.with { $0 = true }
        #expect(try client.answer(slow).status == 200)
        #expect(try client.end() == 0 && client.isClosed)
      }
    }

    @Test func aConnectionEndsAfterItsRequests() throws {
      try Self.house(Setup(top: "keepalive_requests 3")) { _, port throws in
        let client = try FrameClient(to: port)
        for _ in 0..<3 { #expect(try client.exchange(FrameClient.fields("/", "GET", [alice])).status == 200) }
        #expect(try client.end() == 0)
      }
    }

    @Test func aConnectionThatIdlesIsClosed() throws {
      try Self.house(Setup(top: "keepalive_timeout 300ms; header_timeout 300ms")) { _, port throws in
        let used = try FrameClient(to: port)
        let silent = try FrameClient(to: port)
        #expect(try used.exchange(FrameClient.fields("/", "GET", [alice])).status == 200)
        #expect(try used.end() == 0)
        #expect(try silent.end() == 0)
        // A field block that does not end.
        let slow = try FrameClient(to: port)
        try slow.send(Frame.make(Frame.headers, stream: 1, Frame.block(FrameClient.fields())))
        #expect(try slow.end() != nil)
      }
    }
  }
}
