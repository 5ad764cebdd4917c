// However a response is cut on its way, it is the same response: read in two pieces at every place, and byte by byte.

import Glibc
import HTTP
import Primitives
import Testing

@testable import Upstream

@Suite struct EveryCutTests {
  /// Right and wrong ones, of each framing.
  static let responses = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 13\r\nX: \r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil the end",
    "HTTP/1.0 200\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    // Not well.
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
  ]

  /// Sends the pieces of what `response` answers, each when the one before has been read.
  private final class Cutter {
    let server: ScriptedServer
    let sent = Latch()
    let go = Latch()

    init(_ pieces: @escaping @Sendable (Int) -> [[UInt8]]) throws {
      server = try ScriptedServer { [sent, go] talk in
        guard talk.head() != nil else { return }
        for piece in pieces(talk.number) {
          go.wait()
          talk.send(piece)
          sent.open()
        }
        go.wait()
      }
    }
  }

  private func answer(_ bench: Bench, _ cutter: Cutter, pieces: Int) throws -> Answer {
    let transfer = try bench.start(.get("/"))
    #expect(bench.turns { transfer.sentAt != nil })
    for _ in 0..<pieces {
      cutter.go.open()
      // Loopback has delivered it when the server's send is over, and one turn reads all that is there.
      cutter.sent.wait()
      bench.turn(sleeps: false)
    }
    cutter.go.open()
    var answer = bench.finish(transfer)
    answer.isReused = false
    bench.pool.retire()
    return answer
  }

  @Test(arguments: responses) func aResponseIsTheSameWhereverItIsCut(_ text: String) throws {
    let all = bytes(text)
    let whole = try Cutter { _ in [all] }
    let expected = try answer(Bench(whole.server), whole, pieces: 1)
    let cutter = try Cutter { number in [Array(all[..<(number + 1)]), Array(all[(number + 1)...])] }
    for cut in 1..<all.count {
      let found = try answer(Bench(cutter.server), cutter, pieces: 2)
      #expect(found == expected, "cut at \(cut)")
    }
    let dripper = try Cutter { _ in all.map { [$0] } }
    #expect(try answer(Bench(dripper.server), dripper, pieces: all.count) == expected, "byte by byte")
  }
}
