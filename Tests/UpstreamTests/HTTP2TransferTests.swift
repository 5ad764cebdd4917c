// Our own HTTP/2 towards servers that do what they must not, that refuse, and that go away.

import HTTP
import Primitives
import Testing

@testable import Upstream

@Suite struct HTTP2TransferTests {
  private func bench(_ script: @escaping Script) throws -> (ScriptedServer, Bench) {
    let server = try ScriptedServer(.tcp, script)
    return (server, try Bench(server) { $0.speaksHTTP2 = true })
  }

  /// What comes of `frames` in answer to a request on stream 1.
  private func answer(_ frames: [UInt8], to ask: Ask = .get("/")) throws -> Answer {
    let (server, bench) = try bench { talk in
      talk.greet()
      _ = talk.wholeRequest()
      talk.send(frames)
      talk.end()
    }
    defer { withExtendedLifetime(server) {} }
    return try bench.ask(ask)
  }

  @Test func anAnswerIsThatOfHTTP11() throws {
    let all = Frame.headers(1, (":status", "103"), ("link", "</a>")) + Frame.headers(1, (":status", "200"), ("a", "b")) + Frame.data(1, "hel") + Frame.data(1, "lo")
      + Frame.headers(1, ("grpc-status", "0"), ends: true)
    let answer = try answer(all)
    #expect(answer.status == 200 && answer.reason == "OK" && answer.fields == ["a: b", "transfer-encoding: chunked"] && answer.text == "hello"
        && answer.trailers == ["grpc-status: 0"])
    #expect(answer.interim == "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" && answer.failure == nil)
    let only = try self.answer(Frame.headers(1, (":status", "200"), ("grpc-status", "12"), ends: true))
    #expect(only.status == 200 && only.fields == ["grpc-status: 12"] && only.failure == nil)
    let head = try self.answer(Frame.headers(1, (":status", "200"), ("content-length", "7"), ends: true), to: Ask(method: "HEAD"))
    #expect(head.fields == ["content-length: 7"] && head.failure == nil)
  }

  private static func head(_ name: String, _ value: String) -> [UInt8] { Frame.headers(1, (":status", "200"), (name, value)) }

  private static let noHeads: [[UInt8]] = [
    Frame.headers(1, ("a", "b")), head("A", "b"), head("connection", "close"), head("a", "b\r\nc: d"), Frame.headers(1, (":status", "101")),
    Frame.headers(1, (":status", "100"), ends: true),
    // Content before it, and the end.
    Frame.data(1, "x"), Frame.data(1, "", ends: true), Frame.headers(1, (":status", "103")) + Frame.data(1, "x"),
    // What HTTP/1.1 refuses as well.
    Frame.headers(1, (":status", "200"), ("content-length", "1"), ("content-length", "2")), head("content-length", "-1"), head("content_length", "1"),
    Frame.many(40, Frame.headers(1, (":status", "102"))),
  ]

  private static let noHTTP2: [[UInt8]] = [
    Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8),
    // A push, a frame that is too long, CONTINUATION without end, DATA of no stream, a head for a stream that nobody opened, no HPACK.
    Frame.make(5, 4, stream: 1, Frame.number(2) + [0x82]), [0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1],
    Frame.make(1, 0, stream: 1, [0x88]) + Frame.many(50, Frame.make(9, 0, stream: 1, [0, 1, 97, 1, 97])), Frame.data(0, "x"),
    Frame.headers(3, (":status", "200")), Frame.make(1, 4, stream: 1, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
  ]

  private static let floods: [[UInt8]] = [
    Frame.many(2000, Frame.make(6, 0, [UInt8](repeating: 7, count: 8))), Frame.many(200, Frame.settings()),
    Frame.many(5000, Frame.make(8, 0, stream: 1, Frame.number(1))), Frame.many(1000, Frame.make(99, 0, stream: 1)),
    Frame.many(2000, Frame.make(0, 0, stream: 1)),
    // A field of the table that is long, over and over (the "HPACK bomb").
    Frame.make(1, 4, stream: 1, [0x88, 0x40, 1, 97, 127, 0x81, 0x1E] + [UInt8](repeating: 98, count: 4000) + [UInt8](repeating: 0xBE, count: 8000)),
  ]

  @Test(arguments: noHeads + noHTTP2 + floods) func aHostileAnswerIsNone(_ frames: [UInt8]) throws {
    let answer = try answer(frames)
    #expect(answer.failure == .malformed && !answer.failureReason.isEmpty, "\(answer)")
  }

  private static let ok = Frame.headers(1, (":status", "200"))

  private static let parts: [[UInt8]] = [
    head("content-length", "5") + Frame.data(1, "hello!", ends: true), head("content-length", "5") + Frame.data(1, "hell", ends: true),
    Frame.headers(1, (":status", "200"), ("content-length", "5"), ends: true), Frame.headers(1, (":status", "204")) + Frame.data(1, "x", ends: true),
    ok + Frame.data(1, "hel") + Frame.reset(1, 0), ok + Frame.data(1, "hel") + Frame.reset(1, 2), ok + Frame.headers(1, ("a", "b")), ok + ok,
    ok + Frame.headers(1, ("content-length", "5"), ends: true), ok + Frame.headers(1, ("set-cookie", "a=b"), ends: true),
    ok + Frame.data(1, "hel") + Frame.goaway(0, 2),
  ]

  @Test(arguments: parts) func anAnswerThatIsNotWholeIsVisiblySo(_ frames: [UInt8]) throws {
    let answer = try answer(frames)
    #expect(answer.failure == .truncated && answer.status != 0, "\(answer)")
  }

  /// A server that has not yet taken our SETTINGS may push, and is refused.
  @Test func aPushIsRefused() throws {
    let (server, bench) = try bench { talk in
      _ = talk.bytes(24)
      talk.send(Frame.settings())
      _ = talk.wholeRequest()
      talk.send(Frame.make(5, 4, stream: 1, Frame.number(2) + [0x82, 0x86, 0x84]) + Frame.hello(1))
      talk.end()
    }
    #expect(try bench.ask(.get("/")).text == "hello")
    withExtendedLifetime(server) {}
  }

  @Test func whatHasNoContentMayHaveNone() throws {
    #expect(try answer(Frame.headers(1, (":status", "200"), ("content-length", "5")) + Frame.data(1, "hello", ends: true), to: Ask(method: "HEAD")).failure == .truncated)
  }

  @Test func anEarlyAnswerIsWholeThoughTheRequestIsNot() throws {
    let (server, bench) = try bench { talk in
      talk.greet()
      guard let stream = talk.requestHead() else { return }
      talk.send(Frame.headers(stream, (":status", "413"), ("content-length", "5")) + Frame.data(stream, "large", ends: true) + Frame.reset(stream, 0))
      // The connection goes on.
      guard let next = talk.wholeRequest() else { return }
      talk.send(Frame.hello(next))
      talk.end()
    }
    let body = [UInt8](repeating: 65, count: 1 << 20)
    let answer = bench.exchange(try bench.open(Ask(method: "POST", framing: .length(UInt64(body.count)))), body)
    #expect(answer.status == 413 && answer.text == "large" && answer.failure == nil)
    #expect(try bench.ask(.get("/")).text == "hello" && server.connections.count == 1)
  }

  @Test func manyRequestsShareAConnectionAsFarAsTheServerAllows() throws {
    let (server, bench) = try bench { talk in
      talk.greet(Frame.settings((3, 4)))
      var streams: [Int] = []
      // All four have to be there before the first is answered.
      while let frame = talk.frame() {
        if frame.endsStream { streams.append(frame.stream) }
        if streams.count == 4 {
          for stream in streams.reversed() { talk.send(Frame.hello(stream)) }
          streams = []
        }
      }
    }
    let transfers = try (0..<8).map { _ in try bench.start(.get("/")) }
    for transfer in transfers { #expect(bench.finish(transfer).text == "hello") }
    // On one, when the first four were answered before another stood.
    #expect(server.connections.count <= 2)
  }

  /// RFC 9113 section 6.8: streams beyond the last one were not worked on.
  @Test(arguments: [true, false]) func whatWasNotWorkedOnIsAskedAgain(_ byGoaway: Bool) throws {
    let (server, bench) = try bench { talk in
      talk.greet()
      guard let first = talk.wholeRequest(), let second = talk.wholeRequest() else { return }
      if talk.number == 0 {
        talk.send((byGoaway ? Frame.goaway(first) : Frame.reset(second, 7) + Frame.goaway(second)) + Frame.hello(first))
        return talk.end()
      }
      talk.send(Frame.hello(first) + Frame.hello(second))
      talk.end()
    }
    // With a body, too: nothing was done about it, and what was sent of it is there.
    let transfers = [try bench.start(.get("/")), try bench.start(.send("POST", "/pay", "once"))]
    #expect(bench.finish(transfers[0]).text == "hello")
    // A second one for the other connection.
    let third = try bench.start(.get("/"))
    let answer = bench.finish(transfers[1])
    #expect(answer.text == "hello" && answer.failure == nil, "\(answer)")
    #expect(bench.finish(third).text == "hello")
    #expect(server.connections.count == 2 && server.connections[1].contains("once"))
  }

  /// A server that drains has said goodbye before it took anything: nobody waits for it.
  @Test func aServerThatGoesAwayWithItsFirstWordsIsUnreachable() throws {
    let (server, bench) = try bench { talk in
      _ = talk.bytes(24)
      talk.send(Frame.settings() + Frame.goaway(0))
      talk.end()
    }
    let transfers = try (0..<3).map { _ in try bench.start(.get("/")) }
    for transfer in transfers { #expect(bench.finish(transfer).failure == .unreachable) }
    withExtendedLifetime(server) {}
  }

  /// One that takes no stream is of no use, and not kept.
  @Test func aServerThatTakesNoStreamIsUnreachable() throws {
    let (server, bench) = try bench { talk in
      talk.greet(Frame.settings((3, 0)))
      talk.end()
    }
    for _ in 0..<2 { #expect(try bench.ask(.get("/")).failure == .unreachable) }
    #expect(server.connections.count == 2)
  }

  /// gRPC's servers measure the line with each DATA frame that finds no measurement under way.
  @Test func aPingForEachPieceOfABodyIsNoFlood() throws {
    let (server, bench) = try bench { talk in
      talk.greet(Frame.settings((4, 1000)))
      var isMeasuring = false
      var measured = 0
      while let frame = talk.frame() {
        if frame.type == 6 { isMeasuring = false }
        if frame.endsStream {
          talk.send(Frame.headers(frame.stream, (":status", "200"), ("x-measured", "\(measured)"), ends: true))
          return talk.end()
        }
        guard frame.type == 0, !frame.payload.isEmpty else { continue }
        let credit = Frame.number(frame.payload.count)
        var more = Frame.make(8, 0, stream: frame.stream, credit) + Frame.make(8, 0, stream: 0, credit)
        if !isMeasuring { more += Frame.make(6, 0, [UInt8](repeating: 7, count: 8)) }
        measured += isMeasuring ? 0 : 1
        isMeasuring = true
        talk.send(more)
      }
    }
    let body = [UInt8](repeating: 65, count: 600_000)
    let answer = bench.exchange(try bench.open(Ask(method: "POST", framing: .length(UInt64(body.count)))), body)
    let measured = answer.fields.first { $0.hasPrefix("x-measured: ") }.flatMap { Int($0.dropFirst(12)) }
    #expect(answer.failure == nil && measured ?? 0 > 400, "\(answer)")
    withExtendedLifetime(server) {}
  }

  @Test func whatMayHaveBeenWorkedOnIsNotAskedAgain() throws {
    let (server, bench) = try bench { talk in
      talk.greet()
      guard let stream = talk.wholeRequest() else { return }
      talk.send(Frame.reset(stream, 2))
      talk.end()
    }
    let answer = try bench.ask(.send("POST", "/pay", "once"))
    #expect(answer.failure == .unreachable && answer.failureReason == "the server reset the stream (INTERNAL_ERROR)" && server.connections.count == 1)
  }

  @Test func aRefusalWithoutEndEnds() throws {
    let (server, bench) = try bench { talk in
      talk.greet()
      while let stream = talk.wholeRequest() { talk.send(Frame.reset(stream, 7)) }
    }
    let answer = try bench.ask(.get("/"))
    #expect(answer.failure == .unreachable && answer.failureReason == "the server reset the stream (REFUSED_STREAM)")
    withExtendedLifetime(server) {}
  }

  /// Whoever doesn't read has 64 KiB held for him and no more, and the others go on.
  @Test func aSlowReaderHoldsHisOwnStreamAlone() throws {
    let sent = Notes()
    let (server, bench) = try bench { talk in
      talk.greet()
      guard let slow = talk.wholeRequest() else { return }
      talk.send(Frame.headers(slow, (":status", "200")))
      for _ in 0..<4 { talk.send(Frame.make(0, 0, stream: slow, [UInt8](repeating: 7, count: 16_384))) }
      sent.add("window")
      guard let other = talk.wholeRequest() else { return }
      talk.send(Frame.hello(other))
      // Credit for the stream, which comes when it is read.
      while let frame = talk.frame(ofType: 8) {
        if frame.stream != slow { continue }
        talk.send(Frame.make(0, 1, stream: slow, [UInt8](repeating: 8, count: 16_384)))
        break
      }
      talk.end()
    }
    let slow = try bench.start(.get("/slow"))
    #expect(bench.turns { slow.body.count == 65_536 })
    #expect(try bench.ask(.get("/other")).text == "hello")
    #expect(slow.body.count == 65_536 && slow.outcome == nil, "\(String(describing: slow.outcome))")
    let answer = bench.finish(slow)
    #expect(answer.body.count == 81_920 && answer.failure == nil && server.connections.count == 1)
  }

  @Test func aRequestThatIsGivenUpResetsItsStreamAlone() throws {
    let notes = Notes()
    let (server, bench) = try bench { talk in
      talk.greet()
      guard let stream = talk.requestHead() else { return }
      talk.send(Frame.headers(stream, (":status", "200")) + Frame.data(stream, "begun"))
      guard let reset = talk.frame(ofType: 3) else { return }
      notes.add("\(reset.stream) \(reset.code)")
      guard let next = talk.wholeRequest() else { return }
      talk.send(Frame.hello(next))
      talk.end()
    }
    let transfer = try bench.start(.get("/"))
    #expect(bench.turns { !transfer.body.isEmpty })
    bench.client.end(transfer)
    #expect(try bench.ask(.get("/")).text == "hello")
    #expect(notes.all == ["1 8"] && server.connections.count == 1)
  }

  @Test func whoSaysNothingIsWaitedForAsLongAsConnecting() throws {
    let server = try ScriptedServer { $0.end() }
    let bench = try Bench(server) {
      $0.speaksHTTP2 = true
      $0.connectTimeout = .milliseconds(50)
    }
    let answer = try bench.ask(.get("/"))
    #expect(answer.failure == .timeout && answer.failureReason == "the server has said nothing of HTTP/2 within connect_timeout")
  }

  @Test func aServerThatTakesNothingIsNotAskedForEver() throws {
    let (server, bench) = try bench { talk in
      talk.greet(Frame.settings((3, 0)))
      talk.end()
    }
    let answer = try bench.ask(.get("/"))
    #expect(answer.failure == .unreachable && answer.failureReason == "the server takes no request (HTTP/2 SETTINGS)" && server.connections.count == 1)
  }

  /// NTLM and Negotiate: the connection may become the user's.
  @Test func whatAuthenticatesAConnectionHasItAlone() throws {
    let (server, bench) = try bench { talk in
      talk.greet()
      while let stream = talk.wholeRequest() { talk.send(Frame.hello(stream)) }
    }
    #expect(try bench.ask(.get("/")).text == "hello")
    for _ in 0..<2 {
      bench.client.now = .now()
      var request = UpstreamRequest(
        try Bench.grant(), storage: bench.client.takeStorage(), method: bytes("GET").span, target: bytes("/").span, framing: .none, isHead: false, isIdempotent: true)
      request.isolate()
      let transfer = try bench.client.start(request, at: bench.pool, owner: SlotToken(slot: 77, generation: 0))
      #expect(bench.finish(transfer).text == "hello")
    }
    #expect(try bench.ask(.get("/")).text == "hello")
    #expect(server.connections.count == 3)
  }

  @Test func anUnusedConnectionIsClosedAndTheNextRequestMakesAnother() throws {
    let server = try ScriptedServer { talk in
      talk.greet()
      while let stream = talk.wholeRequest() { talk.send(Frame.hello(stream)) }
    }
    let bench = try Bench(server) {
      $0.speaksHTTP2 = true
      $0.reuseWithin = .milliseconds(30)
    }
    #expect(try bench.ask(.get("/")).text == "hello")
    #expect(bench.turns { bench.openSockets == 0 })
    #expect(try bench.ask(.get("/")).text == "hello" && server.connections.count == 2)
    // And with the pool's retirement.
    bench.pool.retire()
    #expect(bench.turns { bench.openSockets == 0 })
  }
}
