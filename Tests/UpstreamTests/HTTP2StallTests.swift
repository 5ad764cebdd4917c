// Our own HTTP/2 towards servers that take nothing any more, or let nothing begin: what nobody waits for is not kept for as long as they like.

import Glibc
import HTTP
import Primitives
import Testing

@testable import Upstream

@Suite struct HTTP2StallTests {
  /// The first connection is greeted and given credit without end, and then not read any more. The others are served.
  private func bench() throws -> (ScriptedServer, Bench) {
    let server = try ScriptedServer { talk in
      talk.greet(Frame.settings((4, 1 << 30)) + Frame.make(8, 0, stream: 0, Frame.number(1 << 30)))
      guard talk.number > 0 else {
        _ = talk.requestHead()
        return talk.waitForHangUp()
      }
      while let stream = talk.wholeRequest() { talk.send(Frame.hello(stream)) }
    }
    return (server, try Bench(server) { $0.speaksHTTP2 = true })
  }

  /// An upload that fills the socket until nothing more goes in.
  private func stalled(_ bench: Bench) throws -> HTTP2Transfer {
    let transfer = try #require(try bench.open(Ask(method: "POST", framing: .length(1 << 30))) as? HTTP2Transfer)
    let piece = [UInt8](repeating: 65, count: 64 << 10)
    let isFull = bench.turns {
      if transfer.uploadRoom >= piece.count { transfer.send(piece.span) }
      bench.client.resume(transfer)
      return transfer.connection?.blockedSince != nil
    }
    #expect(isFull)
    return transfer
  }

  @Test func whoTakesNothingGetsNoFurtherRequest() throws {
    let (server, bench) = try bench()
    let transfer = try stalled(bench)
    // As long as a connection may take to be made.
    bench.clock = Instant.now().advanced(by: .seconds(6))
    #expect(try bench.ask(.get("/")).text == "hello" && server.connections.count == 2)
    #expect(transfer.outcome == nil)
    bench.client.end(transfer)
  }

  @Test func whoTakesNothingForLongIsLeft() throws {
    let (server, bench) = try bench()
    let transfer = try stalled(bench)
    bench.clock = Instant.now().advanced(by: .seconds(61))
    #expect(bench.turns(awake: true) { transfer.outcome != nil })
    guard case .failed(let failure)? = transfer.outcome else { return }
    #expect(failure.kind == .timeout && failure.reason == "the server has taken nothing within idle_timeout")
    #expect(bench.openSockets == 0)
    bench.client.end(transfer)
    withExtendedLifetime(server) {}
  }

  /// That the request was given up can't be told, and nobody waits for anything there.
  @Test func whoCannotBeToldOfAResetIsLeft() throws {
    let (server, bench) = try bench()
    bench.client.end(try stalled(bench))
    bench.clock = Instant.now().advanced(by: .seconds(61))
    #expect(bench.turns(awake: true) { bench.openSockets == 0 })
    withExtendedLifetime(server) {}
  }

  /// Nor is there anybody to tell of it when the worker ends.
  @Test func whatIsLeftAtTheEndIsClosed() throws {
    let server: ScriptedServer
    do {
      let bench: Bench
      (server, bench) = try self.bench()
      bench.client.end(try stalled(bench))
      #expect(bench.openSockets == 1 && Bench.descriptors(to: server.port) == 1)
    }
    #expect(Bench.descriptors(to: server.port) == 0)
  }

  /// A machine that is gone says nothing. That is noticed though no request waits for longer than a second.
  @Test func whoSaysNothingToManyGetsNoFurtherRequest() throws {
    let server = try ScriptedServer { talk in
      talk.greet()
      if talk.number == 0 { return talk.end() }
      while let stream = talk.wholeRequest() { talk.send(Frame.hello(stream)) }
    }
    let bench = try Bench(server) { $0.speaksHTTP2 = true }
    let begin = Instant.now()
    for second in 0..<7 {
      bench.clock = begin.advanced(by: .seconds(UInt64(second)))
      let transfer = try bench.start(.get("/"))
      #expect(bench.turns(awake: true) { transfer.sentAt != nil && !bench.client.hasWork })
      bench.clock = begin.advanced(by: .seconds(UInt64(second + 1)))
      bench.turn(sleeps: false)
      bench.client.end(transfer)
    }
    #expect(try bench.ask(.get("/")).text == "hello" && server.connections.count == 2)
  }

  /// A request that waits for a stream which the server no longer grants, and is given up, holds no connection.
  @Test func whatNeverBeganHoldsNothing() throws {
    let (answered, told) = (Latch(), Latch())
    let server = try ScriptedServer { talk in
      // However this ends.
      defer { told.open() }
      talk.greet()
      guard let stream = talk.wholeRequest() else { return }
      talk.send(Frame.hello(stream))
      answered.wait()
      talk.send(Frame.settings((3, 0)))
      #expect(talk.hasArrived())
      told.open()
      // Not by his own giving up, after ten seconds each.
      for _ in 0..<3 { talk.end() }
    }
    let bench = try Bench(server) {
      $0.speaksHTTP2 = true
      $0.reuseWithin = .seconds(60)
    }
    #expect(try bench.ask(.get("/")).text == "hello" && bench.openSockets == 1)
    answered.open()
    told.wait()
    // Taken while the server's word is still unread.
    let transfer = try bench.start(.get("/late"))
    bench.turn()
    bench.client.end(transfer)
    #expect(bench.turns { bench.openSockets == 0 })
  }

  /// Who waits because others are served first has nothing to say against the server; who waits for one that lets nobody in has.
  @Test func whoWaitsBehindOthersSaysNothingOfTheServer() throws {
    for answers in [false, true] {
      let server = try ScriptedServer { talk in
        if talk.number > 0 { return talk.waitForHangUp() }
        // Room for one, who has it for long, or is the last one here.
        talk.greet(Frame.settings((3, 1)))
        guard let stream = talk.wholeRequest() else { return }
        if answers { talk.send(Frame.make(7, 0, stream: 0, Frame.number(1) + Frame.number(0)) + Frame.hello(stream)) }
        talk.waitForHangUp()
      }
      let bench = try Bench(server) { $0.speaksHTTP2 = true }
      let (first, second) = (try bench.start(.get("/a")), try bench.start(.get("/b")))
      #expect(bench.turns { first.sentAt != nil && (first.outcome != nil || !answers) && server.connections.count == 2 })
      #expect(!first.isUnasked && second.isUnasked && second.sentAt == nil)
      if answers {
        // Nobody was let in since it came.
        let third = try bench.start(.get("/c"), clock: Instant.now().advanced(by: .seconds(1)))
        #expect(!third.isUnasked)
        bench.client.end(third)
      }
      bench.client.end(first)
      bench.client.end(second)
    }
  }
}
