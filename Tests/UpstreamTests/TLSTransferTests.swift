// Our own HTTP/1.1 over TLS: large bodies both ways at every pace, ends that are none, what TLS itself says between answers, and many at once.

import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite(.serialized) struct TLSTransferTests {
  private static let size = 20 << 20

  // MARK: Large bodies

  @Test(.byEachEngine, arguments: ["length", "chunked", "until"], [(slow: false, pace: 7), (true, 1)])
  func largeDownloadsArriveWhole(_ framing: String, _ how: (slow: Bool, pace: Int)) throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    let target = "/\(framing)/\(Self.size)" + (how.slow ? "?slow" : "")
    let answer = bench.exchange(try bench.start(.get(target)), [], pace: how.pace)
    #expect(answer.failure == nil, "\(answer.failureReason)")
    #expect(answer.body == Pattern.bytes(Self.size), "\(answer.body.count) bytes")
  }

  @Test(arguments: [BodyFraming.length(UInt64(size)), .chunked], ["", "?slow"])
  func largeUploadsArriveWhole(_ framing: BodyFraming, _ pace: String) throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    let answer = bench.exchange(try bench.open(Ask(method: "PUT", target: "/sum\(pace)", framing: framing)), Pattern.bytes(Self.size))
    #expect(answer.failure == nil && answer.text == "same \(Self.size)", "\(answer)")
  }

  @Test func severalLargeBodiesGoBothWaysAtOnce() throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    let body = Pattern.bytes(4 << 20)
    var running: [(transfer: Transfer, sent: Int, received: [UInt8])] = []
    for i in 0..<8 {
      let ask = i % 2 == 0 ? Ask(method: "PUT", target: "/sum", framing: .length(4 << 20)) : Ask.get("/chunked/\(4 << 20)")
      running.append((try bench.open(ask), 0, []))
    }
    #expect(
      bench.turns {
        for i in running.indices {
          let transfer = running[i].transfer
          if i % 2 == 0 && transfer.outcome == nil {
            let n = min(transfer.uploadRoom, body.count - running[i].sent, 10_007)
            transfer.send(body.span.extracting(running[i].sent..<(running[i].sent + n)))
            running[i].sent += n
            if running[i].sent == body.count { transfer.endUpload() }
          }
          running[i].received += transfer.body.array()
          transfer.body.removeAll()
          bench.client.resume(transfer)
        }
        return running.allSatisfy { $0.transfer.outcome != nil }
      })
    for (i, one) in running.enumerated() {
      let answer = bench.finish(one.transfer)
      #expect(answer.failure == nil, "\(answer.failureReason)")
      if i % 2 == 0 {
        #expect(String(decoding: one.received + answer.body, as: UTF8.self) == "same \(4 << 20)")
      } else {
        #expect(one.received + answer.body == body)
      }
    }
  }

  // MARK: Ends

  @Test(arguments: ["length/10", "chunked/100", "until/10", "length/0", "chunked/0", "until/0", "until/300000"])
  func anEndThatTLSDidNotAnnounceIsNoEnd(_ what: String) throws {
    let server = try PythonTLSServer()
    let answer = try server.bench().ask(.get("/truncated/\(what)"))
    #expect(answer.failure == .truncated && answer.status == 200, "\(answer)")
  }

  private static func parts(_ parts: String..., end: String? = nil) -> Ask {
    let words = parts.map { $0.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() } + (end.map { [$0] } ?? [])
    return .get("/parts/" + words.joined(separator: "/"))
  }

  @Test(arguments: ["close", "abort", "reset"]) func anEndBeforeTheAnswerIsNoAnswer(_ end: String) throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    #expect(try bench.ask(Self.parts(end: end)).failure == .unreachable)
    for head in ["HTTP/1.1 20", "HTTP/1.1 200 OK\r\nX: y\r\n"] {
      let answer = try bench.ask(Self.parts(head, end: end))
      #expect(answer.failure != nil && answer.status == 0, "\(answer)")
    }
    #expect(bench.client.running == 0 && bench.openSockets == 0)
  }

  /// The closing word of TLS inside a body whose length is known.
  @Test func anAnnouncedEndInsideABodyIsNoEnd() throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    #expect(try bench.ask(Self.parts("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", end: "close")).failure == .truncated)
    let chunked = Self.parts("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", end: "close")
    #expect(try bench.ask(chunked).failure == .truncated)
  }

  @Test func aConnectionThatIsFoundDeadIsReplacedOnce() throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    for end in ["close", "abort", "reset"] {
      _ = try bench.ask(Self.parts("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", end: end))
      bench.client.hasLooked = true
      let answer = try bench.ask(Self.parts("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"))
      #expect(answer.text == "right", "\(end): \(answer)")
    }
  }

  // MARK: Records

  /// Each record is a read of its own.
  @Test(.byEachEngine) func aResponseIsTheSameHoweverItsRecordsAreCut() throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"
    let whole = try bench.ask(Self.parts(text))
    #expect(whole.text == "abcde" && whole.trailers == ["X-Sum: 5"])
    for cut in 1..<text.utf8.count {
      var answer = try bench.ask(Self.parts(String(text.prefix(cut)), String(text.dropFirst(cut))))
      answer.isReused = whole.isReused
      #expect(answer == whole, "cut at \(cut)")
    }
  }

  private static let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"

  /// In the same record, and in one behind it that is there already: of both the poller knows nothing, or nothing yet.
  @Test(
    arguments: [
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ], ["x", stray])
  func bytesBehindAnAnswerAreNobodysAnswer(_ first: String, _ excess: String) throws {
    let server = try PythonTLSServer()
    for ask in [Self.parts(first + excess), Self.parts(first, excess)] {
      let bench = try server.bench()
      let transfer = try bench.start(ask)
      #expect(bench.turns { transfer.sentAt != nil })
      server.waitForParts()
      let answer = bench.finish(transfer)
      #expect(answer.failure == nil, "\(answer)")
      bench.client.hasLooked = true
      let next = try bench.ask(Self.parts("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"))
      #expect(next.text == "right", "\(next)")
    }
  }

  /// Of a record that begins with the rest of a body no more than that is read. What is left of it is with OpenSSL, and no longer in the socket.
  @Test(.byEachEngine) func bytesBehindABodyInItsLastRecordAreNobodysAnswer() throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    for (first, last) in [("", "ok"), ("o", "k")] {
      let ask = Self.parts("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + first, last + Self.stray)
      let answer = try bench.ask(ask)
      #expect(answer.failure == nil && answer.text == "ok", "\(answer)")
      bench.client.hasLooked = true
      let next = try bench.ask(Self.parts("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"))
      #expect(next.text == "right", "\(next)")
    }
  }

  @Test func bytesBehindABodyThatFillsWhatMayBeHeldAreNobodysAnswer() throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    let size = Transfer.bodyLimit
    let head = "HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n"
    // The excess is in the last record of the body, of which only the body's part is read.
    let piece = String(repeating: "a", count: 16 << 10)
    let first = String(repeating: "a", count: Self.stray.utf8.count)
    let last = String(piece.dropLast(Self.stray.utf8.count)) + Self.stray
    let words = [head, first] + Array(repeating: piece, count: size / piece.utf8.count - 1) + [last]
    let hex = words.map { $0.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
    let transfer = try bench.start(.get("/parts/" + hex.joined(separator: "/")))
    #expect(bench.turns { transfer.outcome != nil || transfer.isReceivePaused })
    let answer = bench.finish(transfer)
    #expect(answer.failure == nil && answer.body.count == size, "\(answer.failureReason)")
    bench.client.hasLooked = true
    let next = try bench.ask(Self.parts("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"))
    #expect(next.text == "right", "\(next)")
  }

  // MARK: Between answers

  /// New keys, with and without an answer of ours; as new tickets, they are TLS's own matter and no goodbye.
  @Test(arguments: ["k", "K"]) func whatTLSSaysOnAnIdleConnectionDoesNotEndIt(_ command: String) throws {
    let server = try ManualTLSServer("-tls1_3", "-ign_eof", "-msg")
    let bench = try server.bench()
    for round in 0..<3 {
      let transfer = try bench.start(.get("/\(round)"))
      #expect(bench.turns { transfer.sentAt != nil })
      #expect(server.wait(for: "GET /\(round)"))
      server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      let answer = bench.finish(transfer)
      #expect(answer.text == "ok" && answer.isReused == (round > 0), "\(round): \(answer)")
      server.write("\(command)\n")
      #expect(server.wait(for: "KeyUpdate"))
      #expect(bench.isQuiet())
    }
  }

  @Test func anIdleConnectionThatSaysSomethingIsClosed() throws {
    let server = try ManualTLSServer("-ign_eof")
    let bench = try server.bench()
    let transfer = try bench.start(.get("/first"))
    #expect(bench.turns { transfer.sentAt != nil })
    #expect(server.wait(for: "GET /first"))
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    #expect(bench.finish(transfer).text == "ok")
    server.write(Self.stray + "\n")
    #expect(bench.turns { bench.openSockets == 0 || bench.client.sockets.entries.allSatisfy { $0.registered == 0 } })
    #expect(bench.isQuiet())
    let next = try bench.start(.get("/next"))
    #expect(bench.turns { next.sentAt != nil || next.outcome != nil })
    bench.turn(sleeps: false)
    #expect(next.body.isEmpty && !next.isHeadComplete)
    bench.client.end(next)
  }

  // MARK: Many

  @Test func manyConnectionsAtOnceAllGetTheirAnswer() throws {
    // More than are kept idle, so that libcurl would like to make room.
    let server = try PythonTLSServer()
    let bench = try server.bench(idle: 8)
    for round in 0..<2 {
      let transfers = try (0..<120).map { try bench.start(.get("/length/\(1000 + $0)")) }
      for (i, transfer) in transfers.enumerated() {
        let answer = bench.finish(transfer)
        #expect(answer.failure == nil && answer.body.count == 1000 + i, "\(round) \(i): \(answer.failure as Any) \(answer.failureReason)")
      }
      #expect(bench.client.running == 0)
    }
    #expect(bench.turns { bench.openSockets <= 8 })
    bench.pool.retire()
  }

  /// libcurl (7.88.1) looks for old connections at each new one, once a second, and closes those that it takes for idle.
  @Test func aConnectionThatIsInUseForLongIsNotTakenForAnOldOne() throws {
    let server = try ManualTLSServer("-ign_eof")
    let bench = try server.bench()
    let transfer = try bench.start(.get("/long"))
    #expect(bench.turns { transfer.sentAt != nil })
    #expect(server.wait(for: "GET /long"))
    bench.turn(sleeps: false)
    let python = try PythonTLSServer()
    var other = bench.options
    other.address = .host("127.0.0.1", port: python.port)
    other.tls.certificateAuthority = python.authority.certificate("ca")
    other.reuseWithin = .seconds(1)
    let pool = bench.client.makePool(other)
    for _ in 0..<3 {
      usleep(1_100_000)
      #expect(bench.finish(try bench.start(Ask(method: "POST", target: "/length/1"), at: pool)).status == 200)
    }
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    #expect(bench.finish(transfer).text == "ok")
  }

  // MARK: Canceled

  @Test func aCanceledTransferLeavesNothingBehind() throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    for turns in 0..<12 {
      for ask in [Ask.get("/length/2000000"), Ask(method: "PUT", target: "/sum?slow", framing: .length(50_000_000))] {
        let transfer = try bench.open(ask)
        for _ in 0..<turns {
          if case .length = ask.framing, transfer.uploadRoom >= 4096 { transfer.send([UInt8](repeating: 0x61, count: 4096).span) }
          bench.client.resume(transfer)
          bench.turn(sleeps: transfer.outcome == nil && !transfer.isReceivePaused && transfer.sentAt == nil)
        }
        bench.client.end(transfer)
        bench.turn(sleeps: false)
        #expect(bench.openSockets == 0, "after \(turns) turns: \(ask.method)")
        #expect(Bench.descriptors(to: server.port) == 0, "after \(turns) turns")
      }
    }
    #expect(bench.client.running == 0 && bench.pool.running == 0)
  }

  @Test(arguments: [false, true]) func aPausedTransferDoesNotSpin(_ truncated: Bool) throws {
    let server = try PythonTLSServer()
    let bench = try server.bench()
    let transfer = try bench.start(.get(truncated ? "/truncated/until/400000" : "/until/400000"))
    #expect(bench.turns { transfer.isReceivePaused })
    #expect(bench.isQuiet(), "unread bytes wake the loop")
    let answer = bench.exchange(transfer, [])
    #expect(answer.body == Pattern.bytes(400_000))
    #expect((answer.failure == .truncated) == truncated, "\(answer.failureReason)")
  }
}
