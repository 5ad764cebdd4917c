// The harness itself, against curl alone: what the other suites rely on when they accuse Gatehouse.

import Testing

extension EndToEnd {
  @Suite(.serialized) struct Harness {
    private func curl(_ upstream: RecordingUpstream, _ arguments: String..., input: [UInt8] = []) throws -> CurlAnswer {
      let scratch = try Scratch()
      return try Curl.run(
        Array(arguments.dropLast()) + ["http://127.0.0.1:\(upstream.port)\(arguments.last ?? "/")"], input: input, in: scratch)
    }

    @Test func theUpstreamKeepsEveryByte() throws {
      let upstream = try RecordingUpstream(Answer.hello)
      let client = try Client(to: upstream.port)
      let first = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: t\r\n\r\n3;a=b\r\nabc\r\n0\r\nt: v\r\n\r\n"
      let second = "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
      #expect(try client.exchange(first).text == "hello")
      #expect(try client.exchange(second).text == "hello")
      let requests = try upstream.requests(2)
      #expect(String(decoding: upstream.bytes, as: UTF8.self) == first + second)
      #expect(requests.map(\.text) == ["abc", "hi"])
      #expect(requests[0].trailers.map(\.name) == ["t"])
      #expect(upstream.connections.count == 1)
      try upstream.stop()
      #expect(client.isClosedByPeer())
      #expect(upstream.troubles.isEmpty)
    }

    @Test func curlUploadsInChunks() throws {
      let upstream = try RecordingUpstream(Answer.hello)
      let body = [UInt8](repeating: 0x61, count: 300_000)
      let answer = try curl(upstream, "-H", "Expect:", "-T", "-", "/up", input: body)
      #expect(answer.status == 200 && answer.text == "hello")
      let request = try upstream.requests(1)[0]
      #expect(request.method == "PUT")
      #expect(request["Transfer-Encoding"] == "chunked")
      #expect(request.body == body)
      try upstream.stop()
    }

    @Test func aShortBodyIsSeenAsTruncated() throws {
      let upstream = try RecordingUpstream(Answer.once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
      #expect(try curl(upstream, "/").code == 18)
      let client = try Client(to: upstream.port)
      try client.send(request())
      #expect(throws: Truncated.self) { try client.response() }
      try upstream.stop()
    }

    @Test func aResetIsSeenAsAReset() throws {
      let upstream = try RecordingUpstream { conversation in
        _ = try conversation.request()
        conversation.reset()
      }
      let client = try Client(to: upstream.port)
      try client.send(request())
      #expect(throws: Socket.Trouble.reset) { try client.response() }
      try upstream.stop()
    }

    @Test func aTestHoldsTheUpstreamBack() throws {
      let go = Steps()
      let upstream = try RecordingUpstream { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for step in 1...3 {
          try go.wait(for: step)
          try conversation.send("6\r\nstep \(step)\r\n")
        }
        try conversation.send("0\r\n\r\n")
      }
      let client = try Client(to: upstream.port)
      try client.send(request())
      let head = try #require(try client.head())
      #expect(head.interim.map(\.status) == [103])
      for step in 1...3 {
        #expect(!client.socket.hasInput)
        go.advance()
        #expect(try client.wire.line() == "6")
        #expect(try client.wire.line() == "step \(step)")
      }
      try upstream.stop()
    }

    @Test func programsEndAndTellHow() throws {
      let plain = try Child.run("/bin/sh", ["-c", "cat; echo no >&2; exit 3"], input: [UInt8]("yes".utf8))
      #expect(plain.code == 3 && plain.text == "yes" && plain.errors == "no\n")
      let child = try Child("/bin/sleep", ["600"])
      child.signal(9)
      #expect(try child.wait().code == 137)
    }

    @Test func secretsAreFoundInEveryForm() {
      let pair = Secrets.basic("someone", "p@ss word/1")
      #expect(!Secrets.found(in: "x \(pair)").isEmpty)
      #expect(!Secrets.found(in: "GET /?p=p%40ss%20word%2F1").isEmpty)
      #expect(Secrets.found(in: "nothing here").isEmpty)
      // However they begin, at the very end, and one within another.
      for secret in ["six666", "p@ss word/2", "a-p@ss word/1-b"] { Secrets.keep(secret) }
      #expect(Secrets.found(in: "x\nsix666") == ["six666"])
      #expect(Secrets.found(in: "p@ss word/3 p@ss word/2") == ["p@ss word/2"])
      #expect(Secrets.found(in: "a-p@ss word/1-b") == ["a-p@ss word/1-b", "p@ss word/1"])
      #expect(Secrets.found(in: "six66").isEmpty && Secrets.found(in: "ix666").isEmpty)
    }

    @Test func thePatternShowsWhatMoved() {
      let pattern = Pattern()
      let piece = Array(pattern.bytes(at: 1_000_000, count: 65536))
      #expect(pattern.matches(piece, at: 1_000_000))
      #expect(!pattern.matches(piece, at: 1_000_000 + 65536))
      #expect(!pattern.matches(piece, at: 0))
    }
  }
}
