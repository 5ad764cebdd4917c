// Attacks on our own reading of HTTP/1.1: two readings of one response, bytes beyond its end, floods of what nobody needs. What libcurl's
// engine must do as well stands in ResponseTests.

import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite struct HTTP1ResponseTests {
  private func answer(_ text: String, to ask: Ask = .get("/")) throws -> Answer {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send(text)
    }
    return try Bench(server).ask(ask)
  }

  // MARK: Two readings

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length:\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: -0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2;\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\u{0B}\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: \u{661}\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent_Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n Content-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: \u{0B}chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\u{0}\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding\u{0}: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: a\r\n\rContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\n\r\nok",
    "HTTP/1.1 200 OK\rContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 O\u{0}K\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 -200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok",
    "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nok",
  ])
  func aHeadThatHasTwoReadingsHasNone(_ text: String) throws {
    let answer = try answer(text)
    #expect(answer.failure == .malformed && answer.body.isEmpty, "\(answer)")
  }

  @Test(arguments: [
    "-1", "+3", "0x3", " 3", "3 ", "\t3", "", ";x", "G", "\u{661}", "FFFFFFFFFFFFFFFF", "8000000000000000", "10000000000000000",
    "00000000000000003", "3\n", "3\r", "3;a\nb", "3;a\u{0}b",
  ])
  func aChunkSizeThatIsNoNumberEndsTheMessageUnfinished(_ size: String) throws {
    let answer = try answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(size)\r\nabc\r\n0\r\n\r\n")
    #expect(answer.failure == .truncated && answer.status == 200, "\(answer)")
  }

  @Test func theSumOfChunkSizesDoesNotOverflow() throws {
    let answer = try answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n7FFFFFFFFFFFFFFF\r\nd")
    #expect(answer.failure == .truncated && answer.text == "abc", "\(answer)")
  }

  @Test(arguments: ["\r\r\n0\r\n\r\n", "\n0\r\n\r\n", "0\r\n\r\n", "\r0\r\n\r\n", "x\r\n0\r\n\r\n"])
  func aChunkEndsWithItsLineEndAndNothingElse(_ rest: String) throws {
    let answer = try answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\(rest)")
    #expect(answer.failure == .truncated && answer.text == "abc", "\(answer)")
  }

  // MARK: Floods

  @Test func aFloodOfChunkExtensionsEndsTheMessageUnfinished() throws {
    let chunk = "1;" + String(repeating: "e", count: 900) + "\r\na\r\n"
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    #expect(try answer(head + String(repeating: chunk, count: 10) + "0\r\n\r\n").failure == nil)
    #expect(try answer(head + String(repeating: chunk, count: 40) + "0\r\n\r\n").failure == .truncated)
    #expect(try answer(head + "1;" + String(repeating: "e", count: 2000) + "\r\na\r\n0\r\n\r\n").failure == .truncated)
  }

  @Test(arguments: [
    String(repeating: "X: y\r\n", count: 300), "X: " + String(repeating: "y", count: 200 << 10) + "\r\n",
    String(repeating: "X: " + String(repeating: "y", count: 10 << 10) + "\r\n", count: 20),
    "Transfer-Encoding: chunked\r\n", "Content_Length: 5\r\n", "Authorization: x\r\n", "Host: x\r\n", "X : y\r\n", " X: y\r\n",
    "X: a\nY: b\r\n",
  ])
  func trailersThatMayNotBeEndTheMessageUnfinished(_ trailers: String) throws {
    let answer = try answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\(trailers)\r\n")
    #expect(answer.failure == .truncated && answer.text == "abc" && answer.trailers.isEmpty, "\(answer.failureReason)")
  }

  @Test func aLineWithoutEndIsNotKept() throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\nX: ")
      talk.send([UInt8](repeating: 0x61, count: 8 << 20))
      talk.end()
    }
    let bench = try Bench(server)
    #expect(try bench.ask(.get("/")).failure == .malformed)
    #expect(bench.client.readBuffer.value.capacity < 1 << 20)
  }

  @Test(arguments: [101, 199, 200, 204, 304])
  func aHundredInterimHeadsAreTooMany(_ last: Int) throws {
    let flood = String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 100)
    #expect(try answer(flood + "HTTP/1.1 \(last) X\r\nContent-Length: 0\r\n\r\n").failure == .malformed)
  }

  // MARK: Beyond the end

  /// Answers `/first` with `text` and tells `sent`, and everything else with its own name. The last bytes arrive together.
  private func server(_ text: [UInt8], _ sent: Latch = Latch()) throws -> ScriptedServer {
    try ScriptedServer { talk in
      while let head = talk.head() {
        let name = head.split(separator: " ")[1]
        if name == "/first" {
          let last = max(0, text.count - 60)
          talk.send(Array(text[..<last]))
          talk.send(Array(text[last...]))
          sent.open()
        } else {
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: \(name.utf8.count)\r\n\r\n\(name)")
        }
      }
    }
  }

  private static let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"

  @Test(arguments: ["GET", "HEAD"], ["200 OK", "204 No Content", "304 Not Modified"])
  func aBodyWhereNoneMayBeIsNobodysAnswer(_ method: String, _ status: String) throws {
    if method == "GET" && status == "200 OK" { return }
    for rest in ["x", "\r\n", Self.stray] {
      let server = try server(bytes("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n" + rest))
      let bench = try Bench(server)
      let answer = try bench.ask(Ask(method: method, target: "/first"))
      #expect(answer.failure == nil && answer.body.isEmpty, "\(answer)")
      let next = try bench.ask(.get("/next"))
      #expect(next.text == "/next" && !next.isReused, "\(next)")
    }
  }

  /// Responses of such a length that a read ends exactly where they do, with more behind them that the kernel has already. A worker takes the
  /// connection for the next request in the very turn in which the answer ended.
  @Test(arguments: ["length", "chunked", "none"], [-1, 0, 1])
  func bytesBehindAReadThatEndsWithTheResponseAreNobodysAnswer(_ framing: String, _ shift: Int) throws {
    let size = HTTP1Transfer.firstRead
    var text: [UInt8]
    switch framing {
    case "length":
      // The body alone is counted against the limit, the head against the first read.
      let length = size + shift
      text = bytes("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n") + [UInt8](repeating: 0x61, count: length)
    case "chunked":
      let head = bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      let length = size + shift - head.count - bytes("00000\r\n\r\n0\r\n\r\n").count
      let digits = String(length, radix: 16)
      text = head + bytes(String(repeating: "0", count: 5 - digits.count) + digits + "\r\n") + [UInt8](repeating: 0x61, count: length)
      text += bytes("\r\n0\r\n\r\n")
      #expect(text.count == size + shift)
    default:
      let start = "HTTP/1.1 204 No Content\r\nX: "
      text = bytes(start) + [UInt8](repeating: 0x61, count: size + shift - start.utf8.count - 4) + bytes("\r\n\r\n")
    }
    let sent = Latch()
    let server = try server(text + bytes(Self.stray), sent)
    // Room for heads of that size.
    let options = UpstreamOptions(name: "legacy", scheme: .http, address: .host("127.0.0.1", port: server.port))
    let bench = try Bench(options, limits: HeadLimits(requestLine: 8192, fields: 1 << 20, fieldCount: 256))
    let transfer = try bench.start(.get("/first"))
    #expect(bench.turns { transfer.sentAt != nil })
    // All is here when it is read: loopback delivers at once.
    sent.wait()
    bench.client.hasLooked = true
    let answer = bench.finish(transfer)
    #expect(answer.failure == nil, "\(answer.failureReason)")
    let next = try bench.ask(.get("/next"))
    #expect(next.text == "/next", "\(framing) \(size + shift): \(next)")
  }

  /// The whole of an answer and one byte more are here before anything of it is read.
  @Test(arguments: ["x", stray])
  func bytesBehindABodyThatFillsWhatMayBeHeldAreNobodysAnswer(_ rest: String) throws {
    let (go, sent) = (Latch(), Latch())
    let length = Transfer.bodyLimit
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        let name = head.split(separator: " ")[1]
        guard name == "/first" else {
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: \(name.utf8.count)\r\n\r\n\(name)")
          continue
        }
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n")
        talk.send([UInt8](repeating: 0x61, count: length / 2))
        go.wait()
        talk.send([UInt8](repeating: 0x61, count: length / 2) + bytes(rest))
        sent.open()
      }
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/first"))
    #expect(bench.turns { transfer.body.count == length / 2 })
    go.open()
    sent.wait()
    bench.turn()
    bench.client.hasLooked = true
    let answer = bench.finish(transfer)
    #expect(answer.failure == nil && answer.body.count == length)
    let next = try bench.ask(.get("/next"))
    #expect(next.text == "/next", "\(next)")
  }

  // MARK: By way of a pipe

  /// Takes body and pipe of a transfer as a worker does that has a socket for them.
  private func drain(_ bench: Bench, _ transfer: Transfer) throws -> (Answer, piped: [UInt8]) {
    var ends: [Int32] = [-1, -1]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    var piped: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    var body: [UInt8] = []
    #expect(
      bench.turns(awake: true) {
        body += transfer.body.array()
        transfer.body.removeAll()
        if let pipe = transfer.pipe, !pipe.isEmpty { _ = pipe.drain(to: ends[0]) }
        while true {
          let n = unsafe recv(ends[1], &chunk, chunk.count, 0)
          if n <= 0 { break }
          piped += chunk[0..<n]
        }
        bench.client.resume(transfer)
        return transfer.outcome != nil && transfer.isBodyTaken
      })
    var answer = bench.finish(transfer)
    answer.body = body + piped
    return (answer, piped)
  }

  @Test(arguments: ["", "x", stray]) func bytesBehindAPipedBodyAreNobodysAnswer(_ rest: String) throws {
    for length in [UpstreamClient.readSize * 2, 1 << 20, 3 << 20] {
      let server = try server(
        bytes("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n") + [UInt8](repeating: 0x61, count: length) + bytes(rest))
      let bench = try Bench(server)
      let transfer = try bench.start(.get("/first"))
      transfer.allowsPipes = true
      let (answer, piped) = try drain(bench, transfer)
      #expect(answer.failure == nil && answer.body == [UInt8](repeating: 0x61, count: length), "\(answer.failureReason)")
      #expect(!piped.isEmpty)
      bench.client.hasLooked = true
      let next = try bench.ask(.get("/next"))
      #expect(next.text == "/next", "\(length): \(next)")
      #expect(!rest.isEmpty || next.isReused)
    }
  }

  @Test(arguments: [false, true]) func aPipedBodyThatIsCutShortIsTruncated(_ resets: Bool) throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send(bytes("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n") + [UInt8](repeating: 0x61, count: 2_000_000))
      if resets { talk.resetOnClose() }
    }
    let bench = try Bench(server)
    for turns in [0, 1, 2, 5, 1000] {
      let transfer = try bench.start(.get("/"))
      transfer.allowsPipes = true
      if turns == 1000 {
        let (answer, _) = try drain(bench, transfer)
        #expect(answer.failure == .truncated && (resets || answer.body.count == 2_000_000), "\(answer.failureReason)")
      } else {
        for _ in 0..<turns { bench.turn(sleeps: transfer.sentAt == nil) }
        bench.client.end(transfer)
      }
      bench.turn(sleeps: false)
      #expect(bench.client.running == 0 && bench.openSockets == 0 && Bench.descriptors(to: server.port) == 0)
    }
  }

  // MARK: While the request is still going out

  @Test(arguments: [BodyFraming.length(1 << 20), .chunked])
  func anEarlyAnswersConnectionIsNotUsedAgain(_ framing: BodyFraming) throws {
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        if head.hasPrefix("PUT") {
          _ = talk.bytes(5)
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        } else {
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
        }
      }
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: framing))
    transfer.send(bytes("begin").span)
    bench.client.resume(transfer)
    #expect(bench.finish(transfer).text == "early")
    for i in 0..<2 {
      let next = try bench.ask(.get("/\(i)"))
      #expect(next.text == "right" && next.isReused == (i > 0), "\(next)")
    }
    #expect(!server.connections[0].contains("GET"))
  }

  @Test func aLargeUploadThatNobodyReadsEndsWithItsAnswer() throws {
    // The answer comes first, then not one byte is read: what is left of the upload is dropped, and the transfer ends.
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
      _ = talk.text(through: "never")
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: .length(64 << 20)))
    let piece = [UInt8](repeating: 0x61, count: 32 << 10)
    #expect(
      bench.turns {
        if transfer.uploadRoom >= piece.count { transfer.send(piece.span) }
        bench.client.resume(transfer)
        return transfer.outcome != nil
      })
    let answer = bench.finish(transfer)
    #expect(answer.status == 403 && answer.text == "no" && answer.failure == nil, "\(answer)")
  }
}
