// Connections that end, in order or broken, at every stage of an exchange: what was asked is sent no more often than it may be, what was cut
// short is said to be, and what was not answered is not made up.

import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite(.byEachEngine) struct BrokenConnectionTests {
  enum Stage: CaseIterable {
    /// After the answer before, without waiting for the next request.
    case idle
    /// The request was read, nothing was said.
    case asked
    case inStatusLine, inHead, afterHead, inBody, beforeLastChunk, inInterim
  }

  private static func said(_ stage: Stage) -> String {
    switch stage {
    case .idle, .asked: ""
    case .inStatusLine: "HTTP/1.1 20"
    case .inHead: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX"
    case .afterHead: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    case .inBody: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"
    case .beforeLastChunk: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    case .inInterim: "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    }
  }

  /// One request goes well, then the server is broken.
  @Test(arguments: Stage.allCases, ["GET", "DELETE", "POST", "PUT body", "POST body", "PUT chunked"])
  func nothingIsSentMoreOftenThanItMayBe(_ stage: Stage, _ what: String) throws {
    for resets in [false, true] {
      let seen = Notes()
      let server = try ScriptedServer { talk in
        while let head = talk.head() {
          seen.add(String(head.prefix { $0 != "\r\n" }))
          if head.contains("/good") {
            talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            guard stage == .idle else { continue }
          } else {
            talk.send(Self.said(stage))
          }
          if resets { talk.resetOnClose() }
          return
        }
      }
      let bench = try Bench(server)
      #expect(try bench.ask(.get("/good")).status == 200)
      if stage == .idle {
        // The worst case: the connection broke after it was looked at.
        #expect(bench.turns(awake: true) { server.openConnections == 0 })
        bench.client.hasLooked = true
      }
      let method = String(what.split(separator: " ")[0])
      var ask = Ask(method: method, target: "/bad")
      if what.hasSuffix("body") { ask = .send(method, "/bad", "12345") }
      if what.hasSuffix("chunked") { ask = .chunked(method, "/bad", ["12345"]) }
      let answer = try bench.ask(ask)
      let sent = seen.all.filter { $0.contains("/bad") }.count
      let mayRepeat = ["GET", "DELETE"].contains(what)
      #expect(sent <= (mayRepeat ? 2 : 1), "\(stage) \(what), reset \(resets): sent \(sent) times: \(answer)")
      #expect(sent >= 1, "\(stage) \(what), reset \(resets): never sent: \(answer)")
      switch stage {
      case .idle, .asked: #expect(answer.failure == .unreachable, "\(stage) \(what), reset \(resets): \(answer)")
      case .inStatusLine, .inHead, .inInterim: #expect(answer.failure != nil && answer.status == 0, "\(stage) \(what): \(answer)")
      case .afterHead, .inBody, .beforeLastChunk: #expect(answer.failure != nil, "\(stage) \(what): \(answer)")
      }
      #expect(answer.failure != nil)
      #expect(bench.client.running == 0 && bench.pool.running == 0)
    }
  }

  /// The connection is found dead only by writing to it.
  @Test(arguments: [false, true]) func aRequestWhoseConnectionIsDeadGoesOnAnotherOne(_ resets: Bool) throws {
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
        guard head.contains("/good") else { continue }
        if resets { talk.resetOnClose() }
        return
      }
    }
    let bench = try Bench(server)
    #expect(try bench.ask(.get("/good")).status == 200)
    #expect(bench.turns(awake: true) { server.openConnections == 0 })
    bench.client.hasLooked = true
    let answer = try bench.ask(.get("/next"))
    #expect(answer.text == "right" && answer.failure == nil, "\(answer)")
  }

  /// The peer of a Unix socket can refuse to read without a word; what is left to do is to hear its answer.
  @Test func anUpstreamThatReadsNoMoreMayStillAnswer() throws {
    let scratch = Scratch()
    let path = scratch.file("service.sock")
    let server = try ScriptedServer(.unix(path)) { talk in
      _ = talk.head()
      talk.stopReading()
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      talk.end()
    }
    let bench = try Bench(UpstreamOptions(name: "legacy", scheme: .http, address: .unix(path: path), engine: .http1))
    let transfer = try bench.open(Ask(method: "PUT", framing: .length(64 << 20)))
    let piece = [UInt8](repeating: 0x61, count: 32 << 10)
    #expect(
      bench.turns {
        if transfer.uploadRoom >= piece.count { transfer.send(piece.span) }
        bench.client.resume(transfer)
        return transfer.outcome != nil
      })
    let answer = bench.finish(transfer)
    #expect(answer.text == "ok" && answer.failure == nil, "\(answer)")
    withExtendedLifetime(server) {}
  }

  // MARK: Waking up

  @Test(arguments: [false, true], [false, true])
  func aConnectionThatEndsUnderAPausedTransferDoesNotSpin(_ resets: Bool, _ uploads: Bool) throws {
    let go = Latch()
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\n\r\n")
      talk.send([UInt8](repeating: 0x61, count: 400_000))
      go.wait()
      if resets { talk.resetOnClose() }
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: uploads ? "PUT" : "GET", framing: uploads ? .chunked : .none))
    if uploads {
      // More than the kernel takes, so that room to write is waited for.
      let piece = [UInt8](repeating: 0x62, count: 64 << 10)
      for _ in 0..<200 where transfer.uploadRoom >= piece.count {
        transfer.send(piece.span)
        bench.client.resume(transfer)
        bench.turn(sleeps: false)
      }
    }
    #expect(bench.turns { transfer.isReceivePaused })
    for _ in 0..<5 { bench.turn(sleeps: false) }
    go.open()
    #expect(bench.turns(awake: true) { server.openConnections == 0 })
    // Whatever there is to be told is told in a few turns; then it is quiet.
    for _ in 0..<8 { bench.turn(sleeps: false) }
    if transfer.outcome == nil {
      #expect(bench.poller.wait(until: Instant(nanoseconds: 0), now: Instant.now()) == 0, "a connection that has ended wakes the loop")
    }
    let answer = bench.finish(transfer)
    if resets { #expect(answer.failure == .truncated, "\(Engines.current): \(answer.failureReason)") }
    if !resets && !uploads { #expect(answer.failure == nil && answer.body.count == 400_000) }
  }
}

extension UpstreamOptions {
  fileprivate init(name: String, scheme: Scheme, address: Address, engine: Engine) {
    self.init(name: name, scheme: scheme, address: address)
    self.engine = engine
  }
}
