// An upstream that is down, slow, broken or hostile: what the client gets is honest, and nothing is sent twice or given to the wrong one.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct UpstreamFaults {
    private let auth = People.alice.authorization

    private func ask(_ house: House, _ method: String = "GET") throws -> Message {
      try house.ask(method, "/", [auth] + (method == "POST" ? ["Content-Length: 4"] : []), body: method == "POST" ? "body" : "")
    }

    /// A short body of ours, with not a word of what is inside.
    private func expectDiscreet(_ answer: Message, _ house: House) {
      #expect(!answer.body.isEmpty && answer.body.count < 1024, "\(answer.text)")
      for word in ["127.0.0.1", "\(house.upstream.port)", "legacy", "curl", "refused"] {
        #expect(!answer.text.contains(word), "\(answer.text)")
      }
    }

    @Test func anUpstreamThatIsDownIs502() throws {
      // Bound and never listening: connections are refused as long as we hold the port.
      let (hold, port) = try Socket.bind()
      try withExtendedLifetime(hold) {
        try House.with(Setup(server: "http://127.0.0.1:\(port)")) { house throws in
          for method in ["GET", "POST"] {
            let answer = try ask(house, method)
            #expect(answer.status == 502)
            expectDiscreet(answer, house)
          }
          // What was wrong stands in the log, found by the id that the client has.
          let line = try house.accessLines(2)[0]
          #expect(line["status"] as? Int == 502)
        }
      }
    }

    @Test func theBodyOfAFaultHasTheIdOfItsLogLine() throws {
      try House.with(Setup(), { _ = try $0.request() }) { house throws in
        let answer = try ask(house, "POST")
        let values = try house.accessLines(1)[0].values.compactMap { $0 as? String }
        #expect(values.contains { $0.utf8.count >= 8 && answer.text.contains($0) }, "\(answer.text) has none of \(values)")
      }
    }

    @Test func anUpstreamThatIsSlowIs504() throws {
      // No other timer of the client's connection is to come to the rescue.
      try House.with(Setup(top: "header_timeout 2m", upstream: "response_timeout 300ms"), { try $0.waitForEnd() }) { house throws in
        let answer = try ask(house)
        #expect(answer.status == 504)
        expectDiscreet(answer, house)
      }
    }

    @Test func anUpstreamThatEndsBeforeItsAnswerIs502() throws {
      let scripts: [(String, Script)] = [
        ("closes", { _ = try $0.request() }),
        (
          "resets",
          {
            _ = try $0.request()
            $0.reset()
          }
        ),
        ("closes in its head", Answer.once("HTTP/1.1 200 OK\r\nContent-Le")),
        ("closes after an interim answer", Answer.once("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")),
      ]
      for (name, script) in scripts {
        try House.with(Setup(), script) { house throws in
          let answer = try ask(house, "POST")
          #expect(answer.status == 502, "\(name)")
          expectDiscreet(answer, house)
          // Not tried again: it is not idempotent.
          #expect(house.upstream.requests.count == 1, "\(name)")
        }
      }
    }

    @Test func aTruncatedAnswerLooksTruncated() throws {
      let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nnonsense\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\nX-Trailer: 1\r\n",
      ]
      for answer in answers {
        try House.with(Setup(), Answer.once(answer)) { house throws in
          let client = try house.client()
          try client.send(request("GET", "/", [auth]))
          #expect(throws: (any Error).self, "a clean end of:\n\(answer)") { try client.response() }
          // The client that people use says so too: 18 is a partial file, 56 a reset, 92 that of a stream.
          #expect([18, 56, 92].contains(try house.curl("-u", People.alice.pair, "/").code), "\(answer)")
        }
      }
    }

    @Test func aTruncatedAnswerIsResetForHTTP10() throws {
      // Close-delimited for this client: an orderly end would look like a whole answer.
      try House.with(Setup(), Answer.once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n")) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [auth], version: "HTTP/1.0"))
        #expect(throws: Socket.Trouble.reset) { try client.response() }
      }
    }

    @Test func brokenFramingOfTheUpstreamIs502() throws {
      let ok = "HTTP/1.1 200 OK\r\n"
      let broken: [(String, String)] = [
        ("two different lengths", ok + "Content-Length: 5\r\nContent-Length: 3\r\n\r\nhello"),
        ("length and chunked", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("chunked and length", ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("length of no number", ok + "Content-Length: five\r\n\r\nhello"),
        ("empty length", ok + "Content-Length:\r\n\r\nhello"),
        ("negative length", ok + "Content-Length: -5\r\n\r\nhello"),
        ("list of lengths", ok + "Content-Length: 5, 3\r\n\r\nhello"),
        ("unknown coding", ok + "Transfer-Encoding: gzip\r\n\r\nhello"),
        ("coding twice", ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
        ("one bare LF", ok + "X: y\nContent-Length: 5\r\n\r\nhello"),
        ("HTTP/2 on HTTP/1", "HTTP/2 200\r\nContent-Length: 5\r\n\r\nhello"),
        ("HTTP/3", "HTTP/3 200\r\nContent-Length: 5\r\n\r\nhello"),
        ("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("no HTTP at all", "hello, this is SSH-2.0\r\n\r\n"),
        ("ICY", "ICY 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("status 099", "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("no status", "HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("folded field", ok + "X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello"),
        ("no colon", ok + "nonsense\r\nContent-Length: 5\r\n\r\nhello"),
        ("space before the colon", ok + "X : y\r\nContent-Length: 5\r\n\r\nhello"),
        ("empty name", ok + ": y\r\nContent-Length: 5\r\n\r\nhello"),
        ("NUL", ok + "X: a\u{0}b\r\nContent-Length: 5\r\n\r\nhello"),
        ("bare CR", ok + "X: a\rSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello"),
        ("5000 fields", ok + String(repeating: "X: y\r\n", count: 5000) + "Content-Length: 5\r\n\r\nhello"),
        ("a field of a megabyte", ok + "X: " + String(repeating: "y", count: 1 << 20) + "\r\nContent-Length: 5\r\n\r\nhello"),
        ("an unasked 101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello"),
      ]
      // Each request is answered as its target says.
      let script: Script = { conversation in
        do {
          while let request = try conversation.request() {
            guard let index = Int(request.target.dropFirst()) else { return }
            try conversation.send(broken[index].1)
          }
        } catch is Socket.Trouble {} catch is Truncated {}
      }
      try House.with(Setup(), script) { house throws in
        for (index, (name, _)) in broken.enumerated() {
          let response = try house.ask("GET", "/\(index)", [auth])
          #expect(response.status == 502, "\(name): \(response.startLine)")
          #expect(!response.text.contains("hello"), "\(name)")
          expectDiscreet(response, house)
        }
      }
    }

    @Test func brokenChunksOfTheUpstreamLookTruncated() throws {
      let bodies = [
        "-5\r\nhello\r\n0\r\n\r\n", "xyz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX\r\n0\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n",
      ]
      for body in bodies {
        try House.with(Setup(), Answer.tolerant("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)) { house throws in
          let client = try house.client()
          try client.send(request("GET", "/", [auth]))
          // The head may have gone out by then; if not, 502 is the honest answer.
          if let response = try? client.response() { #expect(response.status == 502, "\(body)") }
        }
      }
    }

    @Test func aPostIsNeverSentTwice() throws {
      let script: Script = { conversation in
        // One good answer, so that the connection is kept; then the next request is read, and not answered.
        guard try conversation.request() != nil else { return }
        try conversation.send(Answer.text("first"))
        _ = try conversation.request()
      }
      for ending in [
        "Content-Length: 4\r\n\r\nbody", "Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "\r\n",
      ] {
        for method in ["POST", "PATCH", "MADE-UP"] {
          try House.with(Setup(), script) { house throws in
            #expect(try ask(house).text == "first")
            let client = try house.client()
            let target = "/pay-\(method)"
            let answer = try client.exchange("\(method) \(target) HTTP/1.1\r\nHost: legacy.test\r\n\(auth)\r\n\(ending)")
            // On the kept connection it dies; on a fresh one it is answered.
            #expect([200, 502].contains(answer.status))
            let sent = house.upstream.requests.filter { $0.target == target }.count
            #expect(sent == 1, "\(method) was sent \(sent) times")
          }
        }
      }
    }

    @Test func aGetIsSentOnceMoreAtMost() throws {
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send(Answer.text("first"))
        _ = try conversation.request()
      }
      try House.with(Setup(), script) { house throws in
        #expect(try ask(house).text == "first")
        let answer = try house.ask("GET", "/again", [auth])
        #expect(answer.status == 200 && answer.text == "first", "a GET on a connection that died is worth another try")
        #expect(house.upstream.requests.filter { $0.target == "/again" }.count == 2)
      }
      // On connections that always die: two tries and then the truth.
      try House.with(Setup(), { _ = try $0.request() }) { house throws in
        #expect(try ask(house).status == 502)
        #expect((1...2).contains(house.upstream.requests.count))
      }
    }

    @Test func aPoisonedConnectionReachesNobodyElse() throws {
      let poison = Answer.text("POISON", fields: ["Set-Cookie: forged=1"])
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        // In one write: a whole second answer is there before anybody has asked.
        try conversation.send(Answer.text("\(conversation.index)") + poison)
        while try conversation.request() != nil { try conversation.send(Answer.text("\(conversation.index)")) }
      }
      try House.with(Setup(), script) { house throws in
        for i in 0..<10 {
          let person = i % 2 == 0 ? People.alice : People.bob
          let answer = try house.ask("GET", "/", [person.authorization])
          #expect(!answer.text.contains("POISON") && answer.values("Set-Cookie").isEmpty)
          #expect([200, 502].contains(answer.status))
        }
      }
    }

    @Test func anAnswerBeforeTheRequestDoesNotMoveTheOthers() throws {
      let upstream = Monitor((answered: Set<String>(), conversations: 0))
      let script: Script = { conversation in
        upstream.with { $0.conversations += 1 }
        defer { upstream.with { $0.conversations -= 1 } }
        try conversation.send(Answer.text("early"))
        while let request = try conversation.request() {
          // It may have been let go by now.
          try? conversation.send(Answer.text(request.target))
          upstream.with { _ = $0.answered.insert(request.target) }
        }
      }
      try House.with(Setup(), script) { house throws in
        // Nobody can tell an early answer from the answer to the first request. But it must end there: no later client may get the answer
        // that was meant for the one before.
        for i in 0..<10 {
          let answer = try house.ask("GET", "/\(i)", [auth])
          #expect(["early", "/\(i)"].contains(answer.text) || answer.status == 502, "/\(i) got \(answer.text)")
          // From here on the answer that nobody waits for lies on the kept connection, or there is none.
          let lies = upstream.wait(until: .usual) { $0.answered.contains("/\(i)") || $0.conversations == 0 ? true : nil }
          #expect(lies == true)
        }
      }
    }

    @Test func bytesBehindAnAnswerWithoutBodyReachNobody() throws {
      for head in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        let script: Script = { conversation in
          while try conversation.request() != nil { try conversation.send(head + Answer.text("POISON")) }
        }
        try House.with(Setup(), script) { house throws in
          let client = try house.client()
          for _ in 0..<5 {
            let answer = try client.exchange(request("GET", "/", [auth]))
            #expect(!answer.text.contains("POISON"), "\(head)")
          }
        }
      }
    }

    /// The next request of a pipeline takes the connection in the very turn in which the answer ended, and that ended exactly with a read.
    @Test func bytesBehindAReadThatEndsWithTheAnswerReachNobody() throws {
      // What is read at once, and little enough to arrive in one piece with what is behind it.
      let size = 16 << 10
      let head = "HTTP/1.1 200 OK\r\nContent-Length: "
      let length = size - head.utf8.count - "\(size)".utf8.count - 4
      let first = head + "\(length)\r\n\r\n" + String(repeating: "a", count: length)
      #expect(first.utf8.count == size)
      let script: Script = { conversation in
        while let request = try conversation.request() {
          guard request.target == "/first" else {
            try conversation.send(Answer.text(request.target))
            continue
          }
          try conversation.send(first + Answer.text("POISON"))
        }
      }
      try House.with(Setup(), script) { house throws in
        for _ in 0..<5 {
          let client = try house.client()
          try client.send(request("GET", "/first", [auth]) + request("GET", "/second", [auth]))
          #expect(try client.response()?.body.count == length)
          let second = try client.response()
          #expect(second?.text == "/second", "\(Engines.current): \(second?.startLine ?? "")")
        }
      }
    }

    @Test func anEarlyAnswerIsRelayedInMidUpload() throws {
      try House.with(
        Setup(),
        { conversation in
          guard let head = try conversation.head() else { return }
          conversation.count(head)
          try conversation.send("HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull")
          try conversation.waitForEnd()
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("POST", "/", [auth, "Content-Length: 100000000"]) + "the beginning")
        let answer = try #require(try client.response(to: "POST"))
        #expect(answer.startLine == "HTTP/1.1 413 Too Much" && answer.text == "full")
        // curl in mid-upload gets to read it too.
        let upload = try house.curl(
          "-u", People.alice.pair, "-H", "Expect:", "-T", "-", "/up", input: [UInt8](repeating: 1, count: 20_000_000))
        #expect(upload.status == 413 && upload.text == "full", "\(upload.complaint)")
      }
    }

    @Test func aClientThatVanishesCancelsTheTransfer() throws {
      let ended = Steps()
      try House.with(
        Setup(),
        { conversation in
          guard try conversation.request() != nil else { return }
          try conversation.waitForEnd()
          ended.advance()
        }
      ) { house throws in
        let closing = try house.client()
        try closing.send(request("GET", "/", [auth]))
        let resetting = try house.client()
        try resetting.send(request("POST", "/", [auth, "Content-Length: 2"], body: "hi"))
        _ = try house.upstream.requests(2)
        closing.socket.shutDown()
        resetting.abort()
        // No answer, no timeout: the upstream is let go because nobody waits any more.
        try ended.wait(for: 2)
      }
    }

    @Test func aKeptConnectionThatTheUpstreamClosedIsNoFault() throws {
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send(Answer.text("fine"))
      }
      try House.with(Setup(), script) { house throws in
        for _ in 0..<30 { #expect(try ask(house).text == "fine") }
      }
    }
  }
}
