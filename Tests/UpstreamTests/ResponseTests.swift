// What an upstream answers, right and wrong: what passes passes as it came, and what could be read in two ways does not pass.

import Glibc
import HTTP
import Primitives
import Testing

@testable import Upstream

@Suite(.byEachEngine) struct ResponseTests {
  /// What comes of one request that is answered by `bytes` and a close.
  private func answer(_ text: String, to ask: Ask = .get("/"), reset: Bool = false) throws -> Answer {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send(text)
      if reset { talk.resetOnClose() }
    }
    return try Bench(server).ask(ask)
  }

  // MARK: What passes

  @Test func headPassesAsItCame() throws {
    let answer = try answer(
      "HTTP/1.1 299 Quite  fine\r\nServer: x\r\nSet-Cookie: a=1\r\nset-COOKIE: b=2\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nok")
    #expect(answer.status == 299 && answer.reason == "Quite  fine" && answer.failure == nil && answer.text == "ok")
    #expect(answer.fields == ["Server: x", "Set-Cookie: a=1", "set-COOKIE: b=2", "X-Empty: ", "Content-Length: 2"])
  }

  @Test(arguments: [301, 401, 407, 417, 429, 500, 503])
  func noStatusMakesLibcurlActByItself(_ status: Int) throws {
    let server = try ScriptedServer { talk in
      while talk.head() != nil {
        talk.send(
          "HTTP/1.1 \(status) X\r\nLocation: /elsewhere\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
            + "Proxy-Authenticate: Basic realm=\"x\"\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno"
        )
      }
    }
    let answer = try Bench(server).ask(.get("/"))
    #expect(answer.status == status && answer.text == "no" && answer.failure == nil)
    #expect(server.connections.joined().count(of: "GET ") == 1)
  }

  @Test func compressedBodiesAreNotLookedInto() throws {
    let answer = try answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!")
    #expect(answer.text == "not gzip!" && answer.fields == ["Content-Encoding: gzip", "Content-Length: 9"])
  }

  /// A transfer that is used again keeps the memory of the trailers that it took. They are of that answer alone, however the ones after it end.
  @Test func trailersOfOneAnswerReachNoOther() throws {
    let ends = [
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Whose: first\r\n\r\n",
      "Content-Length: 3\r\n\r\nabc",
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "Content-Length: 0\r\n\r\n",
      "\r\nabc",
    ]
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        let number = head.utf8.dropFirst(5).first.map { Int($0) - 0x30 } ?? 0
        talk.send("HTTP/1.1 200 OK\r\n" + ends[number])
        if number == 4 { return }
      }
    }
    let bench = try Bench(server)
    for number in [0, 1, 2, 3, 4, 0, 4, 1, 1, 2] {
      let answer = try bench.ask(.get("/\(number)"))
      #expect(answer.failure == nil && answer.trailers == (number == 0 ? ["X-Whose: first"] : []), "\(number): \(answer)")
    }
  }

  @Test func chunkedBodiesAndTheirTrailersArrive() throws {
    let answer = try answer(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        + "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\nx-more: a b\r\n\r\n"
    )
    #expect(answer.text == "abcde" && answer.failure == nil && answer.trailers == ["X-Sum: 5", "x-more: a b"])
  }

  @Test func bodyThatEndsWithTheConnectionArrives() throws {
    #expect(try answer("HTTP/1.1 200 OK\r\n\r\nuntil the end").text == "until the end")
    #expect(try answer("HTTP/1.0 200 OK\r\n\r\nuntil the end").text == "until the end")
  }

  @Test func interimResponsesArriveInOrderWithoutContinue() throws {
    let answer = try answer(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: x\r\n\r\n"
        + "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    )
    #expect(answer.interim == "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
    #expect(answer.status == 200 && answer.fields == ["Content-Length: 0"])
  }

  @Test func interimResponseArrivesWhenItIsSent() throws {
    let go = Latch()
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")
      go.wait()
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/"))
    #expect(bench.turns { !transfer.interim.isEmpty })
    #expect(!transfer.isHeadComplete)
    go.open()
    #expect(bench.finish(transfer).status == 200)
  }

  @Test func eventOfAStreamArrivesWhenItIsSent() throws {
    let go = Latch()
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n")
      go.wait()
      talk.send("8\r\ndata: 2\n\r\n0\r\n\r\n")
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/"))
    #expect(bench.turns { transfer.body.count == 8 })
    go.open()
    #expect(bench.finish(transfer).text == "data: 1\ndata: 2\n")
  }

  @Test(arguments: ["HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\n\r\n"])
  func answersWithoutABodyEndAtTheirHead(_ text: String) throws {
    let server = try ScriptedServer { talk in
      while talk.head() != nil { talk.send(text) }
    }
    let bench = try Bench(server)
    for i in 0..<3 {
      let answer = try bench.ask(.get("/\(i)"))
      #expect(answer.failure == nil && answer.body.isEmpty && answer.isReused == (i > 0))
    }
  }

  // MARK: What doesn't pass

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nbytes",
    "no head at all",
    "<html>HTTP/0.9</html>",
    "HTTP/1.1 200 OK\r\nContent-Length: 2",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ])
  func malformedHeadIsAFailureAndNothingOfItIsRelayed(_ text: String) throws {
    let answer = try answer(text)
    #expect(answer.failure == .malformed, "\(answer)")
    #expect(answer.body.isEmpty && answer.interim.isEmpty)
    #expect(!answer.failureReason.isEmpty && !answer.failureReason.utf8.contains { $0 < 0x20 })
  }

  @Test func fiveThousandFieldsAreTooMany() throws {
    var text = "HTTP/1.1 200 OK\r\n"
    for i in 0..<5000 { text += "X-\(i): 1\r\n" }
    #expect(try answer(text + "Content-Length: 0\r\n\r\n").failure == .malformed)
  }

  @Test func headThatIsTooLargeIsMalformed() throws {
    let long = String(repeating: "a", count: 50 << 10)
    #expect(try answer("HTTP/1.1 200 OK\r\nA: \(long)\r\nB: \(long)\r\nC: \(long)\r\nContent-Length: 0\r\n\r\n").failure == .malformed)
  }

  @Test(arguments: [150 << 10, 400 << 10])
  func lineThatIsTooLongIsMalformed(_ count: Int) throws {
    let long = String(repeating: "a", count: count)
    #expect(try answer("HTTP/1.1 200 OK\r\nA: \(long)\r\nContent-Length: 0\r\n\r\n").failure == .malformed)
    #expect(try answer("HTTP/1.1 200 \(long)\r\nContent-Length: 0\r\n\r\n").failure == .malformed)
  }

  @Test func interimResponsesWithoutEndAreMalformed() throws {
    let text = String(repeating: "HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n", count: 200)
    #expect(try answer(text + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").failure == .malformed)
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\nX-Sum: 1\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nxyz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshortXX0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nFFFFFFFFFFFFFFFFFF\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\nSet-Cookie: a=b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\nno colon\r\n\r\n",
  ])
  func responseThatBreaksOffIsTruncatedNotComplete(_ text: String) throws {
    let answer = try answer(text)
    #expect(answer.failure == .truncated, "\(answer)")
    #expect(answer.status == 200)
  }

  @Test func resetInABodyThatEndsWithTheConnectionIsTruncated() throws {
    let go = Latch()
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\n\r\npart")
      go.wait()
      talk.resetOnClose()
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/"))
    #expect(bench.turns { transfer.body.count == 4 })
    go.open()
    #expect(bench.finish(transfer).failure == .truncated)
  }

  // MARK: While the request is still going out

  @Test(
    arguments: [
      "Content-Length: 2\r\n\r\nno", "Content-Length: 2\r\nConnection: close\r\n\r\nno",
      "Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    ], [BodyFraming.length(1 << 20), .chunked])
  func refusalInMidUploadIsAWholeAnswerAndEndsTheUpload(_ rest: String, _ framing: BodyFraming) throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 413 Content Too Large\r\n\(rest)")
      // Not closed by us: an answer that is whole needs no close to end.
      talk.end()
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: framing))
    transfer.send(bytes("begin").span)
    bench.client.resume(transfer)
    let answer = bench.finish(transfer)
    #expect(answer.status == 413 && answer.text == "no" && answer.failure == nil, "\(answer)")
    #expect(bench.client.running == 0)
    #expect(!server.connections[0].hasSuffix("0\r\n\r\n"), "a part of the body was passed off as the whole")
  }

  @Test(arguments: [
    "Content-Length: 10\r\n\r\nshort", "Content-Length: 10\r\nConnection: close\r\n\r\nshort",
    "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nshort\r\n",
  ])
  func refusalInMidUploadThatBreaksOffIsNotWhole(_ rest: String) throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      _ = talk.bytes(5)
      talk.send("HTTP/1.1 413 Content Too Large\r\n\(rest)")
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: .length(1 << 20)))
    transfer.send(bytes("begin").span)
    bench.client.resume(transfer)
    #expect(bench.turns { transfer.body.count == 5 || transfer.outcome != nil })
    // The rest of the upload meets a closed connection.
    let piece = [UInt8](repeating: 0x61, count: 1 << 10)
    #expect(
      bench.turns {
        if transfer.uploadRoom > piece.count { transfer.send(piece.span) }
        bench.client.resume(transfer)
        return transfer.outcome != nil
      })
    #expect(bench.finish(transfer).failure == .truncated)
  }

  @Test func earlySuccessLetsTheUploadGoOn() throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
      let rest = talk.text(through: "0\r\n\r\n")
      talk.send("\(String(rest.utf8.count, radix: 16))\r\n\(rest)\r\n0\r\n\r\n")
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "POST", framing: .chunked))
    #expect(bench.turns { transfer.body.count == 5 })
    transfer.send(bytes("late").span)
    transfer.endUpload()
    bench.client.resume(transfer)
    let answer = bench.finish(transfer)
    #expect(answer.text == "early4\r\nlate\r\n0\r\n\r\n" && answer.failure == nil, "\(answer)")
  }

  @Test func bodyIsAskedForWhenTheUpstreamStands() throws {
    let server = try UpstreamRequestTests.answering(bodyMark: "end")
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: .length(3)))
    #expect(!transfer.wantsBody)
    #expect(bench.turns { transfer.wantsBody })
    transfer.send(bytes("end").span)
    transfer.endUpload()
    bench.client.resume(transfer)
    #expect(bench.finish(transfer).status == 200)
  }
}

extension String {
  /// How often `mark` stands in the text.
  func count(of mark: String) -> Int {
    var count = 0
    let (text, mark) = (Array(utf8), Array(mark.utf8))
    var i = 0
    while i + mark.count <= text.count {
      if text[i..<i + mark.count].elementsEqual(mark) { count += 1 }
      i += 1
    }
    return count
  }
}
