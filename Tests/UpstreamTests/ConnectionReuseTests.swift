// Which connection a request travels on, and how often: reuse is free, and nothing that must not be repeated is sent twice.

import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite(.byEachEngine) struct ConnectionReuseTests {
  @Test func requestsWithoutABodyShareOneConnection() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server)
    #expect(try bench.ask(.get("/1")).isReused == false)
    for i in 2...20 { #expect(try bench.ask(.get("/\(i)")).isReused) }
    #expect(server.connections.count == 1)
  }

  @Test func reuseTellsTheKernelNothing() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server)
    for i in 0..<3 { _ = try bench.ask(.get("/\(i)")) }
    let before = bench.client.registrationChanges
    for i in 0..<50 { _ = try bench.ask(.get("/\(i)")) }
    #expect(bench.client.registrationChanges == before, "epoll_ctl was called for requests on a connection that stays")
  }

  @Test(arguments: ["POST", "PATCH", "LOCK"])
  func whatIsNotIdempotentGetsAConnectionOfItsOwn(_ method: String) throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server)
    _ = try bench.ask(.get("/"))
    #expect(try bench.ask(Ask(method: method)).isReused == false)
    #expect(server.connections.count == 2)
  }

  /// A server whose first connection takes one request and then, at the second one, closes without a word. Later ones answer.
  private func stale(_ seen: Notes) throws -> ScriptedServer {
    try ScriptedServer { talk in
      var count = 0
      while let head = talk.head() {
        seen.add(String(head.prefix { $0 != "\r\n" }))
        count += 1
        if talk.number == 0 && count == 2 { return }
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      }
    }
  }

  @Test func postIsNeverSentTwiceOnAStaleConnection() throws {
    let seen = Notes()
    let server = try stale(seen)
    let bench = try Bench(server)
    _ = try bench.ask(.get("/first"))
    let answer = try bench.ask(Ask(method: "POST", target: "/pay"))
    #expect(answer.status == 200)
    #expect(seen.all.filter { $0.contains("/pay") }.count == 1)
  }

  @Test func getOnAStaleConnectionIsSentOnceMore() throws {
    let seen = Notes()
    let server = try stale(seen)
    let bench = try Bench(server)
    _ = try bench.ask(.get("/first"))
    let answer = try bench.ask(.get("/second"))
    #expect(answer.status == 200)
    #expect(seen.all == ["GET /first HTTP/1.1", "GET /second HTTP/1.1", "GET /second HTTP/1.1"])
  }

  @Test func getIsSentAtMostTwice() throws {
    let seen = Notes()
    let server = try ScriptedServer { talk in
      var count = 0
      while let head = talk.head() {
        seen.add(String(head.prefix { $0 != "\r\n" }))
        count += 1
        // Three connections are made at once and kept; then every request is answered by a close.
        if head.contains("/second") { return }
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      }
    }
    let bench = try Bench(server)
    let transfers = try (0..<4).map { try bench.start(.get("/first\($0)")) }
    for transfer in transfers { #expect(bench.finish(transfer).status == 200) }
    let answer = try bench.ask(.get("/second"))
    #expect(answer.failure == .unreachable, "\(answer)")
    let sent = seen.all.filter { $0.contains("/second") }.count
    #expect(sent == 2, "sent \(sent) times")
  }

  @Test func closeOnAFreshConnectionIsAFailureWithoutASecondTry() throws {
    let seen = Notes()
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        seen.add(head)
        return
      }
    }
    let bench = try Bench(server)
    let answer = try bench.ask(.get("/"))
    #expect(answer.failure == .unreachable && answer.status == 0)
    #expect(seen.all.count == 1)
  }

  @Test func putWithABodyIsNotSentTwice() throws {
    let seen = Notes()
    let server = try stale(seen)
    let bench = try Bench(server)
    _ = try bench.ask(.get("/first"))
    // Its connection is fresh, so the stale one does not matter; the body could not be sent twice.
    let answer = try bench.ask(Ask(method: "PUT", target: "/put", framing: .length(2), body: [bytes("ab")]))
    #expect(answer.isReused == false)
    #expect(seen.all.filter { $0.contains("/put") }.count == 1)
  }

  // MARK: Poison

  /// Answers the first request with `first`, then sends `unasked` on the idle connection when `go` opens; honest from there on.
  private func poisoned(_ first: String, _ unasked: String, _ go: Latch, _ done: Latch) throws -> ScriptedServer {
    try ScriptedServer { talk in
      if talk.number == 0 {
        _ = talk.head()
        talk.send(first)
        go.wait()
        talk.send(unasked)
        done.open()
      }
      while talk.head() != nil { talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright") }
    }
  }

  private static let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

  @Test func bytesThatNobodyAskedForNeverReachTheNextRequest() throws {
    let (go, done) = (Latch(), Latch())
    let server = try poisoned("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Self.poison, go, done)
    let bench = try Bench(server)
    #expect(try bench.ask(.get("/1")).text == "ok")
    go.open()
    done.wait()
    // The bytes are in our socket (loopback delivers within send); the loop has not looked yet.
    let answer = try bench.ask(.get("/2"))
    #expect(answer.text == "right" && !answer.isReused, "\(answer)")
  }

  @Test func bytesThatNobodyAskedForCloseTheIdleConnection() throws {
    let (go, done) = (Latch(), Latch())
    let server = try poisoned("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Self.poison, go, done)
    let bench = try Bench(server)
    #expect(try bench.ask(.get("/1")).text == "ok")
    go.open()
    done.wait()
    #expect(bench.turnsUntilAnEvent())
    // Closed on our side too: quiet.
    #expect(bench.poller.wait(until: Instant(nanoseconds: 0), now: Instant.now()) == 0)
    let answer = try bench.ask(.get("/2"))
    #expect(answer.text == "right" && !answer.isReused, "\(answer)")
  }

  @Test func goodbyeOfAnIdleConnectionIsNoticedOnce() throws {
    // The upstream's keep-alive ended: one event, then quiet, not a loop of wake-ups.
    let go = Latch()
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      if talk.number == 0 { go.wait() } else { talk.end() }
    }
    let bench = try Bench(server)
    _ = try bench.ask(.get("/1"))
    go.open()
    #expect(bench.turnsUntilAnEvent())
    #expect(bench.poller.wait(until: Instant(nanoseconds: 0), now: Instant.now()) == 0)
    #expect(try bench.ask(.get("/2")).isReused == false)
  }

  @Test(arguments: [
    // Beyond a Content-Length, beyond the last chunk, and after answers that have no body: in one piece with the answer, and in another.
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true), ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false),
    ("HTTP/1.1 204 No Content\r\n\r\n", true), ("HTTP/1.1 204 No Content\r\n\r\n", false),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", true), ("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", false),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true), ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
  ])
  func secondAnswerToOneRequestIsNeverTheNextRequests(_ first: String, _ together: Bool) throws {
    let poison = Self.poison
    let (go, done) = (Latch(), Latch())
    let server = try ScriptedServer { talk in
      if talk.number == 0 {
        _ = talk.head()
        if together {
          // More than one read of libcurl's: what it has not read yet waits in the kernel.
          var all = first
          for _ in 0..<3000 { all += poison }
          talk.send(all)
        } else {
          talk.send(first)
          go.wait()
          talk.send(poison)
        }
        done.open()
      }
      while talk.head() != nil { talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright") }
    }
    let bench = try Bench(server)
    let answer = try bench.ask(.get("/1"))
    #expect(!answer.text.contains("poison"), "\(answer)")
    // In another piece: what comes after the next request was sent can't be told from its answer, by anybody. What comes before can.
    go.open()
    done.wait()
    for i in 2...4 {
      let next = try bench.ask(.get("/\(i)"))
      #expect(next.text == "right" || next.failure != nil, "\(next)")
    }
  }

  @Test func connectionCloseIsObeyed() throws {
    let server = try ScriptedServer { talk in
      while talk.head() != nil { talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") }
    }
    let bench = try Bench(server)
    _ = try bench.ask(.get("/1"))
    #expect(try bench.ask(.get("/2")).isReused == false)
  }

  @Test func canceledTransfersConnectionIsNotUsedAgain() throws {
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        if !head.contains("/one") { talk.send("right") }
      }
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/one"))
    #expect(bench.turns { transfer.isHeadComplete })
    bench.client.end(transfer)
    let answer = try bench.ask(.get("/2"))
    #expect(answer.text == "right" && !answer.isReused)
    #expect(bench.client.running == 0)
  }

  @Test func bytesOfACanceledTransferAreNobodyElses() throws {
    // Canceled while libcurl holds bytes back for a slow reader, or waits for a body: the handle is used again for another client.
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        if head.contains("/large") {
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n")
          talk.send([UInt8](repeating: 0x21, count: 4_000_000))
        } else if head.contains("PUT /slow") {
          talk.end()
        } else if head.contains("PUT") {
          _ = talk.bytes(3)
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nput")
        } else {
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall")
        }
      }
    }
    let bench = try Bench(server)
    for _ in 0..<3 {
      let large = try bench.start(.get("/large"))
      #expect(bench.turns { large.isReceivePaused })
      bench.client.end(large)
      #expect(try bench.ask(.get("/small")).text == "small")
      let slow = try bench.open(Ask(method: "PUT", target: "/slow", framing: .length(100)))
      #expect(bench.turns { slow.isSendPaused })
      bench.client.end(slow)
      #expect(try bench.ask(.get("/small")).text == "small")
      #expect(try bench.ask(.send("PUT", "/quick", "abc")).text == "put")
    }
  }

  @Test func everyAnswerReachesItsOwnQuestion() throws {
    // Many at once, of every kind, canceled at random places: seeded, so that a failure comes again.
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        let name = head.split(separator: " ")[1]
        if head.contains("Content-Length: 4") { _ = talk.bytes(4) }
        if head.contains("Transfer-Encoding") { _ = talk.text(through: "0\r\n\r\n") }
        let size = name.utf8.count
        if name.hasSuffix("c") {
          talk.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(size, radix: 16))\r\n\(name)\r\n0\r\nX-Name: \(name)\r\n\r\n")
        } else if name.hasSuffix("e") {
          talk.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\(name)")
          return
        } else if head.hasPrefix("HEAD") {
          talk.send("HTTP/1.1 200 OK\r\nX-Name: \(name)\r\nContent-Length: 77\r\n\r\n")
        } else {
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n\(name)")
        }
      }
    }
    let bench = try Bench(server)
    var state: UInt64 = 42
    func random(_ n: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % n
    }
    var running: [(transfer: Transfer, ask: Ask)] = []
    for i in 0..<600 {
      let target = "/\(i)-\(String(repeating: "x", count: Int(random(300))))\(["l", "c", "e"][Int(random(3))])"
      let ask =
        switch random(5) {
        case 0: Ask.send("PUT", target, "body")
        case 1: Ask.chunked("POST", target, ["chunk"])
        case 2: Ask(method: "HEAD", target: target.replacing("c", with: "l").replacing("e", with: "l"))
        default: Ask.get(target)
        }
      running.append((try bench.start(ask), ask))
      if random(2) == 0 { bench.turn(sleeps: false) }
      if random(8) == 0 { bench.client.end(running.remove(at: Int(random(UInt64(running.count)))).transfer) }
      if running.count > 12 {
        let (transfer, ask) = running.remove(at: Int(random(UInt64(running.count))))
        let answer = bench.finish(transfer)
        #expect(answer.failure == nil && answer.text == (ask.method == "HEAD" ? "" : ask.target), "\(i): \(ask) got \(answer)")
        if ask.method == "HEAD" { #expect(answer.fields.contains("X-Name: \(ask.target)")) }
        if ask.target.hasSuffix("c") { #expect(answer.trailers == ["X-Name: \(ask.target)"]) }
      }
    }
    for (transfer, _) in running { bench.client.end(transfer) }
    #expect(bench.client.running == 0 && bench.pool.running == 0)
  }

  @Test func poolThatIsLeftBehindTakesItsHandlesWithIt() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server)
    weak var idle: Transfer?
    weak var pool: UpstreamPool?
    do {
      let old = bench.client.makePool(bench.options)
      pool = old
      let transfer = try bench.start(.get("/"), at: old)
      idle = transfer
      #expect(bench.finish(transfer).status == 200)
    }
    #expect(bench.client.running == 0)
    bench.turn(sleeps: false)
    #expect(pool == nil && idle == nil, "a reload leaks the handles of the upstreams that it changes")
  }

  @Test func idleHandleHoldsLittleMemory() throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
      talk.send([UInt8](repeating: 0x61, count: 400_000))
      talk.end()
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/"))
    #expect(bench.finish(transfer).body.count == 400_000)
    #expect(transfer.body.capacity <= Transfer.keptCapacity && transfer.upload.capacity <= Transfer.keptCapacity)
  }

  @Test func oneTransferTooManyIsRefused() throws {
    let server = try ScriptedServer { $0.end() }
    let bench = try Bench(server) { $0.maxConnections = 2 }
    let one = try bench.start(.get("/1"))
    let two = try bench.start(.get("/2"))
    do {
      _ = try bench.start(.get("/3"))
      Issue.record("a third transfer was started")
    } catch let failure as UpstreamFailure {
      #expect(failure.kind == .exhausted && failure.status == 503)
    }
    bench.client.end(one)
    let three = try bench.start(.get("/3"))
    bench.client.end(two)
    bench.client.end(three)
    #expect(bench.client.running == 0 && bench.pool.running == 0)
  }
}
