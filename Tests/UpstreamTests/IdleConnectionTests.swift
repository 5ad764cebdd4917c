// Idle connections of our own engine: how many, how long, which is used first, and what a reload does with them. And what a canceled transfer
// leaves behind, which is nothing.

import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite struct IdleConnectionTests {
  private func options(_ server: ScriptedServer, name: String = "legacy") -> UpstreamOptions {
    UpstreamOptions(name: name, scheme: .http, address: .host("127.0.0.1", port: server.port))
  }

  /// Answers when `go` opens, so that many are under way at once.
  private func answeringTogether(_ count: Int) throws -> (ScriptedServer, @Sendable () -> Void) {
    let go = Latch()
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        if head.contains("/together") { go.wait() }
        let text = "\(talk.number)"
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
      }
    }
    return (server, { for _ in 0..<count { go.open() } })
  }

  private func fill(_ bench: Bench, _ server: ScriptedServer, _ count: Int, at pool: UpstreamPool? = nil, _ go: () -> Void) throws {
    let transfers = try (0..<count).map { _ in try bench.start(.get("/together"), at: pool) }
    let before = server.connections.count
    #expect(bench.turns { transfers.allSatisfy { $0.sentAt != nil } })
    go()
    for transfer in transfers { #expect(bench.finish(transfer).status == 200) }
    #expect(server.connections.count >= before)
  }

  @Test func idleConnectionsAreBoundedOverAllUpstreams() throws {
    let (server, go) = try answeringTogether(12)
    let bench = try Bench(options(server), idle: 5)
    let other = bench.client.makePool(options(server, name: "other"))
    try fill(bench, server, 4, go)
    try fill(bench, server, 8, at: other, go)
    #expect(bench.client.idleConnections == 5)
    #expect(bench.pool.connections.count == 4 && other.connections.count == 1)
    #expect(bench.turns(awake: true) { server.openConnections == 5 } && bench.openSockets == 5)
    other.retire()
    #expect(bench.client.idleConnections == 4)
    bench.pool.retire()
    #expect(bench.client.idleConnections == 0 && bench.openSockets == 0)
    #expect(Bench.descriptors(to: server.port) == 0)
  }

  @Test func theNewestIdleConnectionIsUsedFirst() throws {
    let (server, go) = try answeringTogether(4)
    let bench = try Bench(options(server))
    try fill(bench, server, 4, go)
    let first = try bench.ask(.get("/"))
    for _ in 0..<10 { #expect(try bench.ask(.get("/")).text == first.text) }
    #expect(first.isReused && bench.client.idleConnections == 4)
  }

  @Test func connectionsThatAreNotNeededGrowOldAndGo() throws {
    let (server, go) = try answeringTogether(4)
    let bench = try Bench(options(server))
    try fill(bench, server, 4, go)
    let start = bench.client.now
    // One is used every second, the others are not.
    for second in 1...3 {
      bench.clock = start.advanced(by: .seconds(UInt64(second)))
      #expect(try bench.ask(.get("/")).isReused)
    }
    #expect(bench.client.idleConnections == 4)
    bench.client.now = start.advanced(by: bench.options.reuseWithin).advanced(by: .milliseconds(500))
    #expect(try #require(bench.client.deadline) <= bench.client.now)
    bench.client.run(poller: bench.poller)
    #expect(bench.client.idleConnections == 1 && bench.openSockets == 1)
    let due = try #require(bench.client.deadline)
    #expect(due > bench.client.now, "pruning would be due again and again")
    bench.client.now = due
    bench.client.run(poller: bench.poller)
    #expect(bench.client.idleConnections == 0 && bench.openSockets == 0 && bench.client.deadline == nil)
    #expect(Bench.descriptors(to: server.port) == 0)
  }

  @Test func aConnectionThatIsTooOldIsNotUsedAlthoughNobodyHasPruned() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(options(server))
    _ = try bench.ask(.get("/"))
    bench.clock = bench.client.now.advanced(by: bench.options.reuseWithin)
    #expect(try bench.ask(.get("/")).isReused == false)
    #expect(bench.client.idleConnections == 1 && bench.openSockets == 1)
  }

  @Test func aReloadEndsWhatIsIdleAndLetsTheRestFinish() throws {
    let go = Latch()
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        if head.contains("/busy") { go.wait() }
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      }
    }
    let bench = try Bench(options(server))
    weak var seen: UpstreamPool?
    do {
      let pool = bench.client.makePool(options(server, name: "old"))
      seen = pool
      let busy = try bench.start(.get("/busy"), at: pool)
      #expect(bench.turns { busy.sentAt != nil })
      let idle = try bench.start(.get("/"), at: pool)
      #expect(bench.finish(idle).text == "ok" && pool.connections.count == 1)
      // An idle one, a busy one, and one that is being made.
      let connecting = try bench.start(Ask(method: "POST"), at: pool)
      #expect(connecting.sentAt == nil)
      pool.retire()
      #expect(bench.client.idleConnections == 0 && pool.connections.isEmpty)
      go.open()
      #expect(bench.finish(busy).text == "ok")
      #expect(bench.finish(connecting).text == "ok")
      #expect(pool.connections.isEmpty && pool.connectors.isEmpty, "a pool that was left behind keeps connections")
    }
    #expect(seen == nil && bench.client.running == 0 && bench.client.idleConnections == 0)
    #expect(bench.openSockets == 0 && Bench.descriptors(to: server.port) == 0)
  }

  // MARK: Canceled

  enum Phase: CaseIterable { case lookingUp, connecting, asked, inUpload, blockedUpload, inHead, inBody, paused, complete }

  @Test(.byEachEngine, arguments: Phase.allCases) func aCanceledTransferLeavesNothingBehind(_ phase: Phase) throws {
    let server = try ScriptedServer { talk in
      guard let head = talk.head() else { return }
      switch phase {
      case .inHead: talk.send("HTTP/1.1 200 OK\r\nX: ")
      case .inBody: talk.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
      case .paused: talk.send(bytes("HTTP/1.1 200 OK\r\n\r\n") + [UInt8](repeating: 0x61, count: 1 << 20))
      case .complete: talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
      case .inUpload: _ = talk.bytes(5)
      default: break
      }
      // Not reading: a blocked upload stays blocked.
      if phase == .blockedUpload { talk.waitForHangUp() } else { talk.end() }
      _ = head
    }
    let bench = try Bench(server) { if phase == .lookingUp { $0.address = .host("localhost", port: server.port) } }
    for _ in 0..<5 {
      let uploads = phase == .inUpload || phase == .blockedUpload
      let transfer = try bench.open(Ask(method: uploads ? "PUT" : "GET", framing: uploads ? .length(64 << 20) : .none))
      switch phase {
      case .lookingUp: break
      case .connecting:
        // libcurl begins to connect, and the poller is told.
        while bench.openSockets == 0 { bench.client.run(poller: bench.poller) }
      case .asked: #expect(bench.turns { transfer.sentAt != nil })
      case .inUpload:
        transfer.send(bytes("begin").span)
        bench.client.resume(transfer)
        #expect(bench.turns { transfer.isSendPaused })
      case .blockedUpload:
        let piece = [UInt8](repeating: 0x61, count: 64 << 10)
        var still = 0
        while still < 50 {
          still = transfer.uploadRoom >= piece.count ? 0 : still + 1
          if transfer.uploadRoom >= piece.count { transfer.send(piece.span) }
          bench.client.resume(transfer)
          bench.turn(sleeps: false)
        }
      case .inHead: #expect(bench.turns { transfer.firstByteAt != nil })
      case .inBody: #expect(bench.turns { transfer.body.count == 3 })
      case .paused: #expect(bench.turns { transfer.isReceivePaused })
      case .complete: #expect(bench.turns { transfer.outcome != nil })
      }
      bench.client.end(transfer)
      for _ in 0..<3 { bench.turn(sleeps: false) }
      #expect(bench.client.running == 0 && bench.pool.running == 0)
      #expect(bench.openSockets == 0, "\(phase): a socket stays open")
      #expect(Bench.descriptors(to: server.port) == 0, "\(phase): a descriptor stays open")
    }
  }

  // MARK: Numbers that come again

  @Test(.byEachEngine) func anAttemptThatIsGivenUpTakesNoOthersNumberFromThePoller() throws {
    let server = try ScriptedServer { $0.end() }
    let bench = try Bench(options(server))
    var numbers: [Int32] = []
    defer { for number in numbers { close(number) } }
    // Others open files in this process too: sooner or later the number comes to us.
    for _ in 0..<50 {
      let transfer = try bench.start(.get("/"))
      while bench.openSockets == 0 { bench.client.run(poller: bench.poller) }
      let number = Int32(try #require(bench.client.sockets.entries.lastIndex { $0.isOpen && $0.isConnection }))
      bench.client.end(transfer)
      let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      numbers.append(client)
      guard client == number else { continue }
      try bench.poller.add(client, .read, EventToken(kind: 1))
      bench.client.run(poller: bench.poller)
      let isStillWatched = bench.poller.remove(client)
      #expect(isStillWatched, "somebody else's socket was taken from the poller")
      return
    }
    Issue.record("the number did not come again")
  }

  @Test func anEventOfTheOldConnectionDoesNotReachTheNewOneOfTheSameNumber() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(options(server))
    _ = try bench.ask(.get("/"))
    // Each is too old for the next question, is closed, and the next one gets the lowest number that is free. Others open files in this process
    // too: some numbers go to them, and one of many comes to us.
    var old = try #require(bench.pool.connections.first)
    var (number, token) = (Int32(-1), EventToken(kind: Bench.kind))
    var rounds = 0
    repeat {
      old = try #require(bench.pool.connections.first)
      number = old.descriptor
      let generation = bench.client.sockets.entries[Int(number)].generation
      token = EventToken(kind: Bench.kind, slot: SlotToken(slot: UInt32(number), generation: generation))
      bench.clock = bench.client.now.advanced(by: .seconds(10))
      #expect(try bench.ask(.get("/")).isReused == false)
      rounds += 1
      try #require(rounds < 1000)
    } while bench.client.connections[Int(number)] == nil
    let new = try #require(bench.client.connections[Int(number)])
    #expect(new !== old)
    bench.client.ready(token, [.readable, .hangup, .error], poller: bench.poller)
    #expect(bench.client.connections[Int(number)] === new && bench.client.idleConnections == 1)
    // And what the old one does when it is told once more to close concerns nobody.
    old.close()
    #expect(bench.client.connections[Int(number)] === new)
    #expect(try bench.ask(.get("/")).isReused)
  }

  @Test func aConnectionOfTheOtherEnginesIsNotTakenOver() throws {
    // The same service under two names: what libcurl keeps is libcurl's.
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(options(server))
    var curl = options(server, name: "other")
    curl.engine = .libcurl
    let other = bench.client.makePool(curl)
    #expect(bench.finish(try bench.start(.get("/1"), at: other)).status == 200)
    #expect(try bench.ask(.get("/2")).isReused == false)
    #expect(bench.finish(try bench.start(.get("/3"), at: other)).isReused)
    #expect(try bench.ask(.get("/4")).isReused)
    #expect(server.connections.count == 2)
  }

  @Test(.byEachEngine) func manyConnectionsAtOnceAreAllUsed() throws {
    // More than are kept idle, and all made in the same turns.
    let count = 150
    let (server, go) = try answeringTogether(count)
    let bench = try Bench(options(server), idle: 4)
    let transfers = try (0..<count).map { _ in try bench.start(.get("/together")) }
    go()
    for transfer in transfers {
      let answer = bench.finish(transfer)
      #expect(answer.status == 200, "\(answer)")
    }
    #expect(bench.client.running == 0)
    #expect(bench.turns(awake: true) { server.openConnections <= 4 })
  }
}
