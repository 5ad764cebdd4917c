// A request's body and its response's on their way at once, when one of the two directions ends before the other.

import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite struct BothWaysTests {
  /// The client is slow to take the response, so that the pipe is full and nothing is read, while it still sends; and the service goes away.
  @Test func anUploadThatBreaksWhileAPipedBodyWaitsLeavesThePipeAlone() throws {
    let (isWaiting, isGone) = (Latch(), Latch())
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send(bytes("HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n") + [UInt8](repeating: 0x61, count: 300_000))
      isWaiting.wait()
      talk.resetOnClose()
      isGone.open()
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: .length(64 << 20)))
    transfer.allowsPipes = true
    #expect(bench.turns { !(transfer.pipe?.isEmpty ?? true) })
    let waiting = transfer.pipe?.count
    isWaiting.open()
    isGone.wait()
    let piece = [UInt8](repeating: 0x62, count: 32 << 10)
    // Until writing has told of the end.
    #expect(
      bench.turns(awake: true) {
        if transfer.uploadRoom >= piece.count { transfer.send(piece.span) }
        bench.client.resume(transfer)
        return (transfer as? HTTP1Transfer)?.isDeaf ?? true
      })
    #expect(transfer.pipe?.count == waiting && transfer.outcome == nil)
    transfer.pipe = nil
    let answer = bench.finish(transfer)
    #expect(answer.status == 200 && answer.failure == .truncated, "\(answer.failureReason)")
  }

  // MARK: What is left in an upload's pipe

  /// How an upload whose pipe is full ends.
  enum End: CaseIterable {
    case serviceResets, serviceHangsUp, serviceRefuses, serviceAnswers, clientLeaves, clientLeavesLater
  }

  private static let length = 64 << 20
  private static let short = 512 << 10

  /// A client's socket, from which pipes are filled.
  private final class Source {
    private var ends: [Int32] = [-1, -1]

    init() throws { try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends) == 0) }

    deinit { for end in ends { close(end) } }

    /// Sends up to `count` bytes of `value` by way of the transfer's pipe. How many; 0 when there is no pipe to be filled.
    func feed(_ transfer: Transfer, _ value: UInt8, _ count: Int, left: Int) -> Int {
      guard let pipe = transfer.pipeForUpload(left: UInt64(left)) else { return 0 }
      let piece = [UInt8](repeating: value, count: min(count, 64 << 10))
      #expect(unsafe send(ends[1], piece, piece.count, 0) == piece.count)
      #expect(pipe.fill(from: ends[0], atMost: piece.count) == .bytes(piece.count))
      return piece.count
    }
  }

  @Test(.serialized, arguments: End.allCases) func theRestInAnUploadsPipeReachesNobody(_ end: End) throws {
    // As the server does at its start: splice(2) has no MSG_NOSIGNAL.
    Signals.ignoreBrokenPipe()
    let (isFull, isDone) = (Latch(), Latch())
    let server = try ScriptedServer { talk in
      _ = talk.head()
      if talk.number > 0 {
        // The next request: is its body as it should be?
        let isRight = talk.bytes(Self.short) == [UInt8](repeating: 0x62, count: Self.short)
        return talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\(isRight ? "right" : "wrong")")
      }
      isFull.wait()
      switch end {
      case .serviceResets: talk.resetOnClose()
      case .serviceHangsUp, .clientLeaves, .clientLeavesLater: break
      case .serviceRefuses: talk.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
      case .serviceAnswers: talk.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
      }
      if end != .serviceResets && end != .serviceHangsUp { isDone.wait() }
    }
    let bench = try Bench(server) { $0.engine = .http1 }
    let source = try Source()
    weak var used: SplicePipe?
    do {
      let transfer = try bench.open(Ask(method: "PUT", framing: .length(UInt64(Self.length))))
      transfer.allowsPipes = true
      #expect(bench.turns { transfer.wantsBody })
      // Until the service's socket and ours are full, and the pipe is not emptied any more.
      var sent = 0
      var taken = (count: 0, at: Instant.now(), turns: 0)
      while transfer.uploadRoom > 0 || taken.turns < 100 || Instant.now().since(taken.at) < 150_000_000 {
        sent += source.feed(transfer, 0x21, 64 << 10, left: Self.length - sent)
        bench.client.resume(transfer)
        bench.turn(sleeps: false)
        let gone = sent - (transfer.uploadPipe?.count ?? 0)
        taken.turns += 1
        if gone > taken.count { taken = (gone, Instant.now(), 0) }
        sched_yield()
      }
      used = transfer.uploadPipe
      #expect(used.map { !$0.isEmpty } ?? false && transfer.uploadRoom == 0 && sent < Self.length)
      isFull.open()
      switch end {
      case .serviceResets, .serviceHangsUp:
        #expect(bench.finish(transfer).failure == .unreachable)
      case .serviceRefuses:
        #expect(bench.turns { transfer.isHeadComplete })
        #expect(transfer.uploadPipe == nil && transfer.pipeForUpload(left: 1 << 20) == nil, "who refuses is sent no more")
        #expect(bench.finish(transfer).status == 403)
      case .serviceAnswers:
        #expect(bench.finish(transfer).text == "early")
      case .clientLeaves, .clientLeavesLater:
        // In the middle of a turn, and after many.
        if end == .clientLeavesLater { for _ in 0..<20 { bench.turn(sleeps: false) } }
        bench.client.end(transfer)
      }
      isDone.open()
    }
    #expect(used == nil && bench.client.pipes.count == 0, "the pipe went with what was in it")

    let next = try bench.open(Ask(method: "PUT", framing: .length(UInt64(Self.short))))
    next.allowsPipes = true
    #expect(bench.turns { next.wantsBody })
    var sent = 0
    #expect(
      bench.turns(awake: true) {
        sent += source.feed(next, 0x62, Self.short - sent, left: Self.short - sent)
        if sent == Self.short { next.endUpload() }
        bench.client.resume(next)
        return sent == Self.short
      })
    #expect(bench.finish(next).text == "right")
    #expect(bench.client.pipes.count == 1, "one that was emptied is kept")
  }

  /// With no descriptors for pipes, or none granted, bodies go all the same.
  @Test func withoutPipesLargeBodiesAreRead() throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send(bytes("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") + [UInt8](repeating: 0x61, count: 1_000_000))
    }
    var options = UpstreamOptions(name: "legacy", scheme: .http, address: .host("127.0.0.1", port: server.port))
    options.engine = .http1
    let bench = try Bench(options, pipes: 0)
    let transfer = try bench.start(.get("/"))
    transfer.allowsPipes = true
    let answer = bench.finish(transfer)
    #expect(answer.failure == nil && answer.body == [UInt8](repeating: 0x61, count: 1_000_000))
    let upload = try bench.open(Ask(method: "PUT", framing: .length(1 << 20)))
    upload.allowsPipes = true
    #expect(bench.turns { upload.wantsBody } && upload.pipeForUpload(left: 1 << 20) == nil)
    bench.client.end(upload)
  }
}
