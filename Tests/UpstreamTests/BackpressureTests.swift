// Memory is bounded in both directions, whatever the body's size: a slow reader on one side slows the other down.

import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite(.byEachEngine) struct BackpressureTests {
  private static let size = 24 << 20

  @Test func clientThatDoesNotReadStopsTheUpstream() throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.size)\r\n\r\n")
      let piece = [UInt8](repeating: 0x61, count: 1 << 20)
      for _ in 0..<(Self.size >> 20) { talk.send(piece) }
      _ = talk.head()
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/"))
    #expect(bench.turns { transfer.isReceivePaused })
    let held = transfer.body.count
    // However often the loop turns, no more comes, and no event wakes it: the upstream's bytes stay in the kernel.
    bench.turn(sleeps: false)
    bench.turn(sleeps: false)
    #expect(bench.poller.wait(until: Instant(nanoseconds: 0), now: Instant.now()) == 0, "unread bytes wake the loop")
    #expect(transfer.body.count == held && held <= Transfer.bodyLimit + (64 << 10))
    var peak = 0
    var sum = 0
    #expect(
      bench.turns {
        peak = max(peak, transfer.body.count)
        sum += transfer.body.count
        transfer.body.removeAll()
        bench.client.resume(transfer)
        return transfer.outcome != nil && transfer.body.isEmpty
      })
    #expect(sum == Self.size && peak <= Transfer.bodyLimit + (64 << 10), "\(sum) bytes, at most \(peak) at once")
    bench.client.end(transfer)
  }

  @Test func upstreamThatDoesNotReadStopsTheClient() throws {
    let go = Latch()
    let server = try ScriptedServer { talk in
      _ = talk.head()
      go.wait()
      _ = talk.bytes(Self.size)
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: .length(UInt64(Self.size))))
    let piece = [UInt8](repeating: 0x62, count: 64 << 10)
    var sent = 0
    var peak = 0
    /// As a connection does: hands over while there is room.
    func feed() {
      while sent < Self.size && transfer.uploadRoom >= piece.count {
        transfer.send(piece.span)
        sent += piece.count
      }
      if sent == Self.size { transfer.endUpload() }
      peak = max(peak, transfer.upload.count)
      bench.client.resume(transfer)
    }
    // Until the kernel's buffers are full.
    var idle = 0
    while idle < 3 {
      let before = sent
      feed()
      bench.turn(sleeps: false)
      idle = sent == before ? idle + 1 : 0
    }
    #expect(sent < Self.size && transfer.uploadRoom < piece.count)
    go.open()
    #expect(
      bench.turns {
        feed()
        return transfer.outcome != nil
      })
    #expect(sent == Self.size && peak <= Transfer.uploadLimit)
    #expect(bench.finish(transfer).status == 200)
  }

  @Test func waitingForTheClientsBodyDoesNotSpin() throws {
    let server = try UpstreamRequestTests.answering(bodyMark: "end")
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: .chunked))
    #expect(bench.turns { transfer.wantsBody })
    while bench.client.hasWork { bench.turn(sleeps: false) }
    #expect(bench.poller.wait(until: Instant(nanoseconds: 0), now: Instant.now()) == 0)
    #expect(!bench.client.hasWork && bench.client.deadline != bench.client.now)
    transfer.send(bytes("end").span)
    transfer.endUpload()
    bench.client.resume(transfer)
    #expect(bench.finish(transfer).failure == nil)
  }

  @Test func slowReaderWithAnUploadDoesNotSpin() throws {
    // Both at once: the answer is not read by the client while the upload waits for it.
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.size)\r\n\r\n")
      talk.send([UInt8](repeating: 0x61, count: Self.size))
      _ = talk.text(through: "0\r\n\r\n")
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "POST", framing: .chunked))
    #expect(bench.turns { transfer.isReceivePaused })
    for _ in 0..<5 { bench.turn(sleeps: false) }
    #expect(bench.poller.wait(until: Instant(nanoseconds: 0), now: Instant.now()) == 0, "unread bytes wake the loop")
    transfer.send(bytes("x").span)
    transfer.endUpload()
    bench.client.resume(transfer)
    let answer = bench.finish(transfer)
    #expect(answer.failure == nil && answer.body.count == Self.size)
  }
}
