// A request's body and its response's on their way at once, when one of the two directions ends before the other.

import HTTP
import Primitives
import Net
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
}
