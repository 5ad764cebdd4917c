// The response goes back as it came: every part of it, at the moment it came, and nothing added but what a gateway owes.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFront, .byEachEngine) struct ResponseRelay {
    private func get(_ house: House, _ method: String = "GET", _ fields: [String] = []) throws -> Message {
      try house.ask(method, "/", [People.alice.authorization] + fields)
    }

    @Test func statusReasonOrderAndDuplicatesSurvive() throws {
      let fields = [
        "X-b: 1", "x-A: 2", "Set-Cookie: a=1", "Set-Cookie: b=2; Path=/", "X-b: 3", "X-Empty:", "X-Latin: caf\u{e9}", "ETag: W/\"1\"",
        "Server: old/1.0",
      ]
      let answer = "HTTP/1.1 299 Almost  All Right\r\n" + fields.joined(separator: "\r\n") + "\r\nContent-Length: 2\r\n\r\nok"
      try House.with(Setup(), Answer.always(answer)) { house throws in
        let response = try get(house)
        #expect(response.startLine == house.front.statusLine(299, "Almost  All Right"))
        let ours: Set = ["content-length", "via", "date", "connection", "x-request-id"]
        let relayed = response.fields.filter { !ours.contains($0.name.lowercased()) }.map { "\($0.name): \($0.value)".trimmed }
        let expected = fields.map { Message.fields(of: [$0])[0] }.map { house.front.line($0.name, $0.value).trimmed }
        #expect(relayed == expected)
        #expect(response.values("Content-Length") == ["2"] && response.text == "ok")
        #expect(response.values("Set-Cookie") == ["a=1", "b=2; Path=/"])
      }
    }

    @Test(arguments: [200, 201, 206, 301, 302, 400, 401, 403, 404, 407, 418, 500, 503, 599])
    func theUpstreamsStatusIsTheClients(status: Int) throws {
      try House.with(Setup(), Answer.always(Answer.text("as it is", status: "\(status) Its Own Words", fields: ["Location: /elsewhere"]))) {
        house throws in
        let answer = try house.curl("-u", People.alice.pair, "/")
        #expect(answer.status == status && answer.text == "as it is")
        #expect(answer.final.startLine == house.front.statusLine(status, "Its Own Words"))
        #expect(answer.final["Location"] == "/elsewhere")
        // No redirect was followed: the upstream was asked once.
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func nothingIsDecompressed() throws {
      // The gzip of “hello”, as gzip -n makes it, has to arrive byte for byte.
      let packed: [UInt8] = [
        0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 7, 0, 0x86, 0xA6, 0x10, 0x36, 5, 0, 0, 0,
      ]
      let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n"
      try House.with(
        Setup(),
        { conversation in
          while try conversation.request() != nil { try conversation.send([UInt8](head.utf8) + packed) }
        }
      ) { house throws in
        let response = try get(house, "GET", ["Accept-Encoding: gzip"])
        #expect(response.body == packed && response["Content-Encoding"] == "gzip")
        #expect(try house.upstream.requests(1)[0].values("Accept-Encoding") == ["gzip"])
        let plain = try get(house)
        #expect(plain.body == packed)
        #expect(try house.upstream.requests(2)[1].values("Accept-Encoding").isEmpty)
      }
    }

    @Test func earlyHintsComeBeforeTheAnswer() throws {
      let go = Steps()
      try House.with(
        Setup(),
        { conversation in
          guard try conversation.request() != nil else { return }
          try conversation.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\r\n")
          try go.wait()
          try conversation.send(Answer.text("late"))
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [People.alice.authorization]))
        // It is here while the upstream still thinks.
        let hints = Message(head: try #require(try client.wire.head()))
        #expect(hints.startLine == "HTTP/1.1 103 Early Hints")
        #expect(hints.values("Link") == ["</a.css>; rel=preload", "</b.js>; rel=preload"])
        go.advance()
        #expect(try client.response()?.text == "late")
      }
    }

    @Test func interimResponsesAreNotSentToHTTP10() throws {
      try House.with(Setup(), Answer.always("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + Answer.text("x"))) { house throws in
        let answer = try house.client().exchange(request("GET", "/", [People.alice.authorization], version: "HTTP/1.0"))
        #expect(answer.interim.isEmpty && answer.status == 200)
      }
    }

    @Test func trailersAreRelayed() throws {
      let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Time\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 900150983cd2\r\nX-Time: 5\r\n\r\n"
      try House.with(Setup(), Answer.always(answer)) { house throws in
        let client = try house.client()
        for _ in 1...2 {
          let response = try client.exchange(request("GET", "/", [People.alice.authorization, "TE: trailers"]))
          #expect(response.text == "abc")
          #expect(response.trailers.map { "\($0.name): \($0.value)" } == ["X-Sum: 900150983cd2", "X-Time: 5"])
        }
      }
    }

    @Test func trailersThatWouldChangeTheMessageAreNotRelayed() throws {
      let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 10\r\nSet-Cookie: forged=1\r\nX-Fine: 1\r\n\r\n"
      try House.with(Setup(), Answer.always(answer)) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [People.alice.authorization, "Connection: close"]))
        // Dropped, or the response is cut off: both are safe, passing it on is not.
        #expect(!(try client.rest()).holds("Content-Length: 10"))
      }
    }

    /// As many as come in an hour, one a second: each is sent when the one before has arrived.
    @Test func anEventArrivesWhenItIsSent() throws {
      let go = Steps()
      let events = 3600
      try House.with(
        Setup(),
        { conversation in
          guard try conversation.request() != nil else { return }
          try conversation.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n")
          for event in 1...events {
            try go.wait(for: event)
            let text = "data: \(event)\n\n"
            try conversation.send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
          }
          try go.wait(for: events + 1)
          try conversation.send("0\r\n\r\n")
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [People.alice.authorization, "Accept: text/event-stream"]))
        // The head comes before the first event.
        let head = try #require(try client.head())
        #expect(head.status == 200 && head["Content-Type"] == "text/event-stream")
        for event in 1...events {
          go.advance()
          let size = try #require(Int(try client.wire.line(), radix: 16))
          #expect(String(decoding: try client.wire.exactly(size + 2), as: UTF8.self) == "data: \(event)\n\n\r\n")
        }
        go.advance()
        #expect(try client.wire.line() == "0")
      }
    }

    @Test func anEndlessAnswerWithoutLengthArrivesPieceByPiece() throws {
      let go = Steps()
      try House.with(
        Setup(),
        { conversation in
          guard try conversation.request() != nil else { return }
          try conversation.send("HTTP/1.1 200 OK\r\n\r\nfirst")
          try go.wait()
          try conversation.send("second")
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [People.alice.authorization]))
        var head = try #require(try client.head())
        // Without a length of the upstream's, ours is chunked, and its end is an orderly one.
        #expect(head["Transfer-Encoding"] == "chunked")
        #expect(try client.wire.line() == "5")
        #expect(String(decoding: try client.wire.exactly(7), as: UTF8.self) == "first\r\n")
        go.advance()
        try client.wire.body(.chunked, of: &head)
        #expect(head.text == "second")
      }
    }

    @Test(arguments: ["204 No Content", "304 Not Modified"])
    func answersWithoutBodyLeaveTheConnectionUsable(status: String) throws {
      try House.with(Setup(), Answer.always("HTTP/1.1 \(status)\r\nETag: \"1\"\r\n\r\n")) { house throws in
        let client = try house.client()
        for _ in 1...3 {
          let response = try client.exchange(request("GET", "/", [People.alice.authorization]))
          #expect(response.startLine == "HTTP/1.1 \(status)" && response["ETag"] == "\"1\"")
          #expect(response.values("Transfer-Encoding").isEmpty)
        }
      }
    }

    @Test func headLeavesTheConnectionUsable() throws {
      let script: Script = { conversation in
        while let request = try conversation.request() {
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (request.method == "HEAD" ? "" : "hello"))
        }
      }
      try House.with(Setup(), script) { house throws in
        let client = try house.client()
        for method in ["HEAD", "GET", "HEAD", "HEAD", "GET"] {
          let response = try client.exchange(request(method, "/", [People.alice.authorization]))
          #expect(response["Content-Length"] == "5" && response.text == (method == "HEAD" ? "" : "hello"))
        }
      }
    }

    @Test func hopByHopFieldsOfTheUpstreamStayBehind() throws {
      let answer = Answer.text(
        "x",
        fields: [
          "Connection: close, X-Private", "X-Private: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Upgrade: h2c",
          "X-Public: 2",
        ])
      try House.with(Setup(), Answer.once(answer)) { house throws in
        let client = try house.client()
        let response = try client.exchange(request("GET", "/", [People.alice.authorization]))
        for name in ["X-Private", "Keep-Alive", "Upgrade"] { #expect(response.values(name).isEmpty, "\(name)") }
        #expect(response["X-Public"] == "2")
        // Its `close` was about its own connection.
        #expect(try client.exchange(request("GET", "/", [People.alice.authorization])).status == 200)
      }
    }

    @Test func aBodyOfAnySizeArrivesUnchanged() throws {
      let pattern = Pattern()
      for size in [0, 1, 1023, 16384, 65536, 65537, 1_000_000] {
        let body = Array(pattern.bytes(at: 0, count: size))
        try House.with(
          Setup(),
          { conversation in
            while try conversation.request() != nil {
              try conversation.send([UInt8]("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n".utf8) + body)
            }
          }
        ) { house throws in
          #expect(try get(house).body == body, "\(size) bytes")
        }
      }
    }

    @Test func echoAnswersWithWhatItReceived() throws {
      let scratch = try Scratch()
      let echo = try Child(Gatehouse.binary, ["echo", "--listen", "127.0.0.1:0"], folder: scratch.path)
      let port: UInt16? = echo.output.wait { text in
        text.split(separator: "\n").first { $0.contains("http://") }.flatMap { $0.split(separator: ":").last }.flatMap { UInt16($0) }
      }
      try House.with(Setup(server: "http://127.0.0.1:\(try #require(port))")) { house throws in
        let answer = try house.curl("-u", People.alice.pair, "-X", "POST", "-d", "some body", "/some/where?x=1")
        #expect(answer.status == 200)
        for part in ["POST", "/some/where?x=1", "X-Forwarded-User", "alice"] { #expect(answer.text.contains(part), "\(part)") }
        #expect(!answer.text.contains("Authorization"))
        // The body's SHA-256, by sha256sum.
        #expect(answer.text.contains(try Self.digest("some body")))
        #expect(try house.curl("-u", People.alice.pair, "/status/418").status == 418)
        #expect(try house.curl("-u", People.alice.pair, "/bytes/100000").body.count == 100_000)
        #expect(try house.curl("-u", People.alice.pair, "/early-hints").heads.hasPrefix(house.front.statusLine(103, "")))
        #expect(try house.curl("-u", People.alice.pair, "/sse/3").text.components(separatedBy: "data:").count == 4)
        #expect(try house.curl("-u", People.alice.pair, "/trailers").code == 0)
      }
      echo.signal(15)
      #expect(try echo.wait().code == 0)
    }

    private static func digest(_ text: String) throws -> String {
      String(try Child.run("/usr/bin/sha256sum", [], input: [UInt8](text.utf8)).text.prefix(64))
    }
  }
}
