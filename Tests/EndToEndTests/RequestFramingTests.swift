// Attacks on where a request begins and ends, with raw sockets and right credentials: whatever is unclear is refused, the connection is
// closed, and the upstream sees nothing of it. A second request at the upstream where one was meant is smuggling, the failure of failures.

import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachRawFront, .byEachEngine) struct RequestFraming {
    /// An upstream that takes whatever it gets and is not surprised by half a request.
    private let tolerant: Script = { conversation in
      do {
        while try conversation.request() != nil { try conversation.send(Answer.text("hello")) }
      } catch {
        try conversation.waitForEnd()
      }
    }

    private static let auth = People.alice.authorization
    private static let smuggled = "GET /smuggled HTTP/1.1\r\nHost: legacy.test\r\n\(auth)\r\n\r\n"

    struct Attack: Sendable {
      var name: String
      var bytes: [UInt8]
      var status: Int

      init(_ name: String, _ text: String, _ status: Int = 400) {
        self.init(name, [UInt8](text.utf8), status)
      }

      init(_ name: String, _ bytes: [UInt8], _ status: Int = 400) {
        (self.name, self.bytes, self.status) = (name, bytes, status)
      }
    }

    /// A POST with these field lines, in their order, and then this body.
    private static func post(_ fields: [String], _ body: String = "", version: String = "HTTP/1.1") -> String {
      "POST /victim \(version)\r\nHost: legacy.test\r\n\(auth)\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n" + body
    }

    private static func get(_ line: String, _ fields: [String] = ["Host: legacy.test"]) -> String {
      line + "\r\n" + (fields + [auth]).joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// Sends each attack on a connection of its own, a whole second request behind it, and expects one refusal, the end of the connection,
    /// and silence at the upstream.
    private func expectRefusals(_ attacks: [Attack]) throws {
      try House.with(Setup(), tolerant) { house throws in
        for attack in attacks {
          let client = try house.client()
          try client.send(attack.bytes + [UInt8](Self.smuggled.utf8))
          let answer = try client.rest()
          let responses = countResponses(in: answer)
          #expect(responses == 1, "\(attack.name): \(responses) answers:\n\(String(decoding: answer, as: UTF8.self))")
          let status = Message(head: answer).status
          #expect(status == attack.status, "\(attack.name): \(status)")
        }
        #expect(house.upstream.bytes.isEmpty, "an attack reached the upstream:\n\(String(decoding: house.upstream.bytes, as: UTF8.self))")
        // And the proxy still works.
        #expect(try house.ask("GET", "/", [Self.auth]).status == 200)
      }
    }

    @Test func contentLengthThatIsNotOneNumberIsRefused() throws {
      let values = [
        "", "+5", "-5", "0x5", "5 5", "5,5", "5, 6", "5;", "five", "5.0", "1e1", "\u{b}5", "5\u{c}", "\"5\"", "18446744073709551616",
        "99999999999999999999999", "-0", "٥",
      ]
      try expectRefusals(
        values.map { Attack("Content-Length: \($0)", Self.post(["Content-Length: \($0)"], "hello")) } + [
          Attack("two different", Self.post(["Content-Length: 5", "Content-Length: 0"], "hello")),
          Attack("two different, other order", Self.post(["Content-Length: 0", "Content-Length: 5"], "hello")),
          Attack("two equal", Self.post(["Content-Length: 5", "Content-Length: 5"], "hello")),
          Attack("two in two cases", Self.post(["Content-Length: 5", "content-length: 6"], "hello")),
          Attack("empty, then a number", Self.post(["Content-Length:", "Content-Length: 5"], "hello")),
        ])
    }

    @Test func contentLengthWithTransferEncodingIsRefused() throws {
      try expectRefusals([
        Attack("length first", Self.post(["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n")),
        Attack("coding first", Self.post(["Transfer-Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n")),
        Attack("zero", Self.post(["Content-Length: 0", "Transfer-Encoding: chunked"], "0\r\n\r\n")),
        Attack("far apart", Self.post(["Transfer-Encoding: chunked", "X: y", "X: z", "Content-Length: 3"], "0\r\n\r\n")),
      ])
    }

    @Test func transferEncodingOtherThanChunkedIsRefused() throws {
      let unclear = [
        ["Transfer-Encoding: chunked, chunked"], ["Transfer-Encoding: chunked, identity"], ["Transfer-Encoding:"],
        ["Transfer-Encoding: \"chunked\""], ["Transfer-Encoding: chunked;q=1"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], ["Transfer-Encoding: identity", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: \u{b}chunked"], ["Transfer-Encoding: chunked\u{c}"], ["Transfer-Encoding: ,chunked"],
        ["Transfer-Encoding: chunked, gzip"],
      ]
      try House.with(Setup(), tolerant) { house throws in
        // RFC 9112 section 6.1 has 501 for a coding that is not known; both answers end it.
        let unknown = [
          ["Transfer-Encoding: identity"], ["Transfer-Encoding: gzip"], ["Transfer-Encoding: gzip, chunked"],
          ["Transfer-Encoding: xchunked"],
          ["Transfer-Encoding: chunked1"], ["Transfer-Encoding: cow"],
        ]
        for fields in unclear + unknown {
          let client = try house.client()
          try client.send(Self.post(fields, "0\r\n\r\n" + Self.smuggled))
          let answer = try client.rest()
          #expect(countResponses(in: answer) == 1, "\(fields)")
          #expect([400, 501].contains(Message(head: answer).status), "\(fields)")
        }
        #expect(house.upstream.bytes.isEmpty)
      }
    }

    @Test func transferEncodingOnHTTP10IsRefused() throws {
      try expectRefusals([
        Attack("chunked", Self.post(["Transfer-Encoding: chunked"], "0\r\n\r\n", version: "HTTP/1.0")),
        Attack("kept alive", Self.post(["Connection: keep-alive", "Transfer-Encoding: chunked"], "0\r\n\r\n", version: "HTTP/1.0")),
      ])
    }

    @Test func aBodyWithoutFramingIsNotDelimitedByClose() throws {
      try House.with(Setup(), tolerant) { house throws in
        // No length: no body. What follows is the next request, judged as one.
        let client = try house.client()
        try client.send(Self.post(["Connection: close"], "", version: "HTTP/1.0") + "stray bytes")
        #expect(countResponses(in: try client.rest()) == 1)
        let requests = try house.upstream.requests(1)
        #expect(requests.count == 1 && requests[0].body.isEmpty)
        #expect(!house.upstream.bytes.holds("stray"))
      }
    }

    @Test func lookAlikesOfFramingFieldsDoNotReachTheUpstream() throws {
      let spellings = [
        "Transfer_Encoding: chunked", "Transfer.Encoding: chunked", "TRANSFER_ENCODING: chunked", "Content_Length: 3", "Content.Length: 3",
        "Transfer-Encoding\u{b}: chunked", "Transfer-Encoding\u{0}: chunked", "Transfer\u{b}Encoding: chunked", "Content Length: 3",
        "Transfer Encoding: chunked", "\u{1}Transfer-Encoding: chunked", "Content-Length\u{a0}: 3",
      ]
      try House.with(Setup(), tolerant) { house throws in
        for spelling in spellings {
          let client = try house.client()
          try client.send(Self.post([spelling, "Content-Length: 5"], "0\r\n\r\n" + Self.smuggled.replacingAuthorizationWithClose))
          _ = try client.rest()
        }
        for request in house.upstream.requests {
          let names = request.fields.map { $0.name.lowercased().filter { $0.isLetter } }
          #expect(names.filter { ["transferencoding", "contentlength"].contains($0) }.count <= 1, "\(request.headText)")
          #expect(request.values("Transfer-Encoding").isEmpty, "\(request.headText)")
        }
      }
    }

    @Test func fieldNamesAndLinesMustBeWellFormed() throws {
      let lines = [
        ": value", "No colon at all", "Space : v", "Tab\t: v", "Bad(name): v", "Na me: v", "\u{7f}: v", "Näme: v", "X-A: 1\r\n folded",
        "X-A: 1\r\n\tfolded",
        "\"X\": v", "X@Y: v", "[X]: v",
      ]
      var attacks = lines.map { Attack("field line \($0.debugDescription)", Self.get("GET / HTTP/1.1", ["Host: legacy.test", $0])) }
      attacks.append(Attack("white space before the first field", Self.get("GET / HTTP/1.1", [" X: y", "Host: legacy.test"])))
      attacks.append(Attack("white space before Host", Self.get("GET / HTTP/1.1", [" Host: legacy.test"])))
      try expectRefusals(attacks)
    }

    @Test func controlsInValuesAreRefused() throws {
      var attacks = [Attack]()
      for byte in Array(UInt8(0)...8) + [11, 12] + Array(14...31) + [127] {
        let line = [UInt8]("X-A: be".utf8) + [byte] + [UInt8]("hind\r\n".utf8)
        attacks.append(Attack("byte \(byte)", [UInt8]("GET / HTTP/1.1\r\nHost: legacy.test\r\n\(Self.auth)\r\n".utf8) + line + [13, 10]))
      }
      attacks.append(Attack("bare CR in a value", Self.get("GET / HTTP/1.1", ["Host: legacy.test", "X-A: a\rX-B: b"])))
      attacks.append(Attack("bare CR before CRLF", Self.get("GET / HTTP/1.1", ["Host: legacy.test", "X-A: a\r"])))
      attacks.append(Attack("bare CR as line end", Self.get("GET / HTTP/1.1", ["Host: legacy.test\rX-A: a"])))
      try expectRefusals(attacks)
    }

    @Test func bareLineFeedsAreRefused() throws {
      let auth = Self.auth
      try expectRefusals([
        Attack("all lines", "GET / HTTP/1.1\nHost: legacy.test\n\(auth)\n\n"),
        Attack("request line", "GET / HTTP/1.1\nHost: legacy.test\r\n\(auth)\r\n\r\n"),
        Attack("a field", "GET / HTTP/1.1\r\nHost: legacy.test\n\(auth)\r\n\r\n"),
        Attack("the end", "GET / HTTP/1.1\r\nHost: legacy.test\r\n\(auth)\r\n\n"),
        Attack("the end after a bare one", "GET / HTTP/1.1\r\nHost: legacy.test\r\n\(auth)\n\r\n"),
      ])
    }

    @Test func requestLinesMustBeWellFormed() throws {
      try expectRefusals([
        Attack("two spaces", Self.get("GET  / HTTP/1.1")),
        Attack("space in the target", Self.get("GET /a b HTTP/1.1")),
        Attack("tab", Self.get("GET\t/\tHTTP/1.1")),
        Attack("trailing space", Self.get("GET / HTTP/1.1 ")),
        Attack("leading space", Self.get(" GET / HTTP/1.1")),
        Attack("no version", Self.get("GET /")),
        Attack("no target", Self.get("GET HTTP/1.1")),
        Attack("lower case version", Self.get("GET / http/1.1")),
        Attack("long version", Self.get("GET / HTTP/1.10")),
        Attack("padded version", Self.get("GET / HTTP/01.1")),
        Attack("no token", Self.get("GE(T / HTTP/1.1")),
        Attack("empty method", Self.get(" / HTTP/1.1")),
        Attack("control in the target", Self.get("GET /\u{1} HTTP/1.1")),
        Attack("NUL in the target", Self.get("GET /\u{0} HTTP/1.1")),
        Attack("fragment", Self.get("GET /a#b HTTP/1.1")),
        Attack("fragment alone", Self.get("GET /# HTTP/1.1")),
        Attack("relative target", Self.get("GET a/b HTTP/1.1")),
        Attack("asterisk with GET", Self.get("GET * HTTP/1.1")),
        Attack("authority without CONNECT", Self.get("GET legacy.test:80 HTTP/1.1")),
        Attack("a response", "HTTP/1.1 200 OK\r\nHost: legacy.test\r\n\(Self.auth)\r\n\r\n"),
        Attack("TLS to the plain port", [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3] + [UInt8](repeating: 0x41, count: 64) + [13, 10, 13, 10]),
        Attack("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        Attack("HTTP/2.0", Self.get("GET / HTTP/2.0"), 505),
        Attack("HTTP/1.2", Self.get("GET / HTTP/1.2"), 505),
        Attack("HTTP/0.9", Self.get("GET / HTTP/0.9"), 505),
        Attack("HTTP/3.1", Self.get("GET / HTTP/3.1"), 505),
        Attack("CONNECT", Self.get("CONNECT legacy.test:443 HTTP/1.1"), 501),
      ])
    }

    @Test func traceIsNotAllowed() throws {
      try House.with { house throws in
        #expect(try house.ask("TRACE", "/", [Self.auth]).status == 405)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func hostMustBeThereOnceAndBeAHost() throws {
      let hosts = [
        [], ["Host: a.test", "Host: b.test"], ["Host: a.test", "Host: a.test"], ["Host: a.test", "host: b.test"], ["Host: user@a.test"],
        ["Host: a.test/x"],
        ["Host: a b"], ["Host: a.test:port"], ["Host: a.test:99999"], ["Host: a.test?x"], ["Host: a.test#x"], ["Host: a.test, b.test"],
        ["Host: a\\b"],
        ["Host: http://a.test"], ["Host: [::1"], ["Host: a.test:80:80"], ["Host: ::1"],
      ]
      try expectRefusals(
        hosts.map { Attack("\($0)", Self.get("GET / HTTP/1.1", $0)) } + [
          Attack("absolute form against Host", Self.get("GET http://other.test/ HTTP/1.1")),
          Attack("user in the absolute form", Self.get("GET http://u@legacy.test/ HTTP/1.1")),
          Attack("absolute form without Host", Self.get("GET http://legacy.test/ HTTP/1.1", [])),
        ])
    }

    @Test func badChunksAreNeverACompleteRequest() throws {
      let bodies: [(String, String)] = [
        ("size 0x5", "0x5\r\nhello\r\n0\r\n\r\n"), ("size -1", "-1\r\nhello\r\n0\r\n\r\n"), ("size +5", "+5\r\nhello\r\n0\r\n\r\n"),
        ("space first", " 5\r\nhello\r\n0\r\n\r\n"), ("no size", "\r\nhello\r\n0\r\n\r\n"), ("no hex", "G\r\nhello\r\n0\r\n\r\n"),
        ("17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"), ("overflow", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("all ones", "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"), ("underscore", "5_0\r\nhello\r\n0\r\n\r\n"),
        ("quoted", "\"5\"\r\nhello\r\n0\r\n\r\n"),
        ("bare LF after the size", "5\nhello\r\n0\r\n\r\n"), ("bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        ("bare LF after the data", "5\r\nhello\n0\r\n\r\n"), ("no end of data", "5\r\nhello0\r\n\r\n"),
        ("two bytes too many", "5\r\nhelloXX0\r\n\r\n"),
        ("bare LF in an extension", "5;a=b\nX\r\nhello\r\n0\r\n\r\n"), ("bare CR in an extension", "5;a=\rb\r\nhello\r\n0\r\n\r\n"),
        ("NUL in an extension", "5;a=\u{0}\r\nhello\r\n0\r\n\r\n"), ("bare LF at the end", "5\r\nhello\r\n0\n\n"),
        ("bare LF behind the last", "5\r\nhello\r\n0\r\n\n"),
        ("endless extension", "5;" + String(repeating: "x", count: 100_000) + "\r\nhello\r\n0\r\n\r\n"),
        ("no colon in a trailer", "5\r\nhello\r\n0\r\nnonsense\r\n\r\n"), ("folded trailer", "5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"),
        ("length in a trailer", "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
        ("coding in a trailer", "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("host in a trailer", "5\r\nhello\r\n0\r\nHost: evil.test\r\n\r\n"),
        ("endless trailers", "5\r\nhello\r\n0\r\n" + String(repeating: "X: y\r\n", count: 20_000) + "\r\n"),
      ]
      try House.with(Setup(), tolerant) { house throws in
        for (name, body) in bodies {
          let client = try house.client()
          try? client.send(Self.post(["Transfer-Encoding: chunked"], body + Self.smuggled))
          let answer = try client.rest()
          #expect(countResponses(in: answer) == 1, "\(name):\n\(String(decoding: answer.prefix(500), as: UTF8.self))")
          #expect([400, 413, 431].contains(Message(head: answer).status), "\(name)")
        }
        #expect(house.upstream.requests.isEmpty, "a broken body was ended as if it were whole")
        #expect(!house.upstream.bytes.holds("smuggled"))
      }
    }

    @Test func chunkExtensionsAreDroppedAndTrailersKept() throws {
      try House.with { house throws in
        let client = try house.client()
        let body = "5;name=value;x=\"q;\"\r\nhello\r\n1;y\r\n!\r\n0;last\r\nX-Sum: 42\r\n\r\n"
        #expect(try client.exchange(Self.post(["Transfer-Encoding: chunked", "Trailer: X-Sum"], body)).status == 200)
        let seen = try house.upstream.requests(1)[0]
        #expect(seen.text == "hello!" && !house.upstream.bytes.holds("value") && !house.upstream.bytes.holds("last"))
        #expect(seen.trailers.map { "\($0.name): \($0.value)" } == ["X-Sum: 42"])
        // The connection is where it should be.
        #expect(try client.exchange(request("GET", "/next", [Self.auth])).status == 200)
      }
    }

    @Test func theFramingIsTheSameBehindAsInFront() throws {
      try House.with { house throws in
        let client = try house.client()
        _ = try client.exchange(Self.post(["Content-Length: 5"], "hello"))
        _ = try client.exchange(Self.post(["Content-Length: 0"]))
        _ = try client.exchange(Self.post([]))
        _ = try client.exchange(Self.post(["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n"))
        _ = try client.exchange(Self.post(["Transfer-Encoding: chunked"], "0\r\n\r\n"))
        let seen = try house.upstream.requests(5)
        #expect(seen.map(\.text) == ["hello", "", "", "hello", ""])
        #expect(seen[0].values("Content-Length") == ["5"] && seen[1].values("Content-Length") == ["0"])
        #expect(seen.prefix(3).allSatisfy { $0.values("Transfer-Encoding").isEmpty })
        #expect(
          seen.suffix(2).allSatisfy {
            $0.values("Transfer-Encoding").map { $0.lowercased() } == ["chunked"] && $0.values("Content-Length").isEmpty
          })
      }
    }

    @Test func everySplitIsReadTheSame() throws {
      try House.with { house throws in
        let text = [UInt8](Self.post(["Transfer-Encoding: chunked"], "3;x\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n").utf8)
        let client = try house.client()
        for split in 1..<text.count {
          try client.send(Array(text[..<split]))
          try client.send(Array(text[split...]))
          #expect(try client.response()?.status == 200, "split at \(split)")
        }
        // And byte by byte.
        for byte in text { try client.send([byte]) }
        #expect(try client.response()?.status == 200)
        let seen = try house.upstream.requests(text.count)
        #expect(seen.count == text.count && seen.allSatisfy { $0.text == "abc" && $0.trailers.count == 1 })
      }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() throws {
      let script: Script = { conversation in
        while let request = try conversation.request() { try conversation.send(Answer.text(request.target + " " + request.text)) }
      }
      try House.with(Setup(), script) { house throws in
        let client = try house.client()
        var all = ""
        for i in 0..<20 {
          all +=
            i % 3 == 0
            ? request("GET", "/\(i)", [Self.auth]) : request("POST", "/\(i)", [Self.auth, "Content-Length: 2"], body: "b\(i % 10)")
        }
        try client.send(all)
        for i in 0..<20 { #expect(try client.response()?.text == "/\(i) " + (i % 3 == 0 ? "" : "b\(i % 10)")) }
        #expect(house.upstream.requests.map(\.target) == (0..<20).map { "/\($0)" })
      }
    }

    @Test func aRefusalInThePipelineKeepsTheOrder() throws {
      try House.with { house throws in
        let client = try house.client()
        try client.send(request("GET", "/1", [Self.auth]) + request("GET", "/2") + request("GET", "/3", [Self.auth, "Connection: close"]))
        #expect(try (1...3).map { _ in try client.response()?.status } == [200, 401, 200])
        #expect(client.isClosedByPeer())
        #expect(house.upstream.requests.map(\.target) == ["/1", "/3"])
      }
    }

    @Test func theBodyOfARefusedRequestIsNotTheNextRequest() throws {
      try House.with { house throws in
        for framing in ["Content-Length: \(Self.smuggled.utf8.count)", "Transfer-Encoding: chunked"] {
          let client = try house.client()
          // No credentials: 401, and the body that looks like a request with credentials must not be one.
          try client.send("POST / HTTP/1.1\r\nHost: legacy.test\r\n\(framing)\r\n\r\n" + Self.smuggled)
          client.socket.endWriting()
          let answer = try client.rest()
          #expect(Message(head: answer).status == 401 && countResponses(in: answer) <= 2, "\(framing)")
          #expect(!String(decoding: answer, as: UTF8.self).contains("200 OK"), "\(framing)")
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func theBodyOfARequestWithoutRouteIsNotTheNextRequest() throws {
      try House.with(Setup(path: "/only/")) { house throws in
        let client = try house.client()
        try client.send(
          Self.post(["Content-Length: \(Self.smuggled.utf8.count)"], Self.smuggled.replacingOccurrences("/smuggled", "/only/smuggled")))
        client.socket.endWriting()
        #expect(Message(head: try client.rest()).status == 404)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func bytesAfterAnUpgradeAreNotATunnel() throws {
      try House.with(Setup(), tolerant) { house throws in
        let client = try house.client()
        let fields = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", Self.auth]
        // The preface is judged as the next request, and refused.
        try client.send(request("GET", "/upgrade", fields) + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nraw bytes")
        _ = try client.rest()
        let seen = house.upstream.requests
        #expect(seen.count == 1 && seen[0].values("Upgrade").isEmpty && seen[0].values("HTTP2-Settings").isEmpty)
        #expect(!house.upstream.bytes.holds("PRI *") && !house.upstream.bytes.holds("raw bytes"))
      }
    }

    @Test func absoluteFormIsForwardedInOriginForm() throws {
      try House.with { house throws in
        let answer = try house.client().exchange(Self.get("GET http://legacy.test/a?b=c HTTP/1.1"))
        #expect(answer.status == 200)
        let seen = try house.upstream.requests(1)[0]
        #expect(seen.target == "/a?b=c" && seen["Host"] == "legacy.test")
      }
    }

    @Test func optionsAsteriskIsForwardedAsItIs() throws {
      try House.with { house throws in
        #expect(try house.ask("OPTIONS", "*", [Self.auth]).status == 200)
        #expect(try house.upstream.requests(1)[0].startLine == "OPTIONS * HTTP/1.1")
      }
    }

    @Test func aLengthOfMoreThan32BitsIsNotNarrowed() throws {
      try House.with(Setup(), tolerant) { house throws in
        // 2^32 + 5: were it narrowed, the request would be complete and the rest a second one.
        let client = try house.client()
        try client.send(Self.post(["Content-Length: 4294967301"], "hello" + Self.smuggled))
        client.socket.endWriting()
        _ = try client.rest()
        #expect(house.upstream.requests.isEmpty)
        #expect(house.upstream.connections.count <= 1)
      }
    }
  }
}

extension String {
  /// The same request, which asks for the connection's end.
  fileprivate var replacingAuthorizationWithClose: String {
    replacingOccurrences("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
  }

  fileprivate func replacingOccurrences(_ part: String, _ other: String) -> String {
    split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
  }
}
