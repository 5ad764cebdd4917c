// What an upstream says beyond its answer never becomes the next request's answer.

import Glibc
import HTTP
import Testing

@testable import Upstream

@Suite(.byEachEngine) struct ExcessBytesTests {
  private static let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"

  /// Each answer without a body, followed by more than libcurl reads at once: libcurl drops what is in its buffer, and what is in the socket stays.
  @Test(arguments: ["204 No Content", "304 Not Modified"])
  func bytesAfterAnAnswerWithoutBodyEndTheConnection(_ status: String) throws {
    let excess = String(repeating: Self.stray, count: 8000)
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        if head.hasPrefix("GET /first ") {
          talk.send("HTTP/1.1 \(status)\r\n\r\n" + excess)
        } else {
          talk.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
        }
      }
    }
    let bench = try Bench(server)
    for i in 0..<20 {
      #expect(try bench.ask(.get("/first")).status == Int(status.prefix(3)))
      let answer = try bench.ask(.get("/second\(i)"))
      #expect(answer.text == "mine", "\(answer.failureReason)")
    }
  }

  @Test func answerBeforeTheRequestIsNoAnswer() throws {
    let said = Notes()
    let server = try ScriptedServer { talk in
      talk.send(Self.stray)
      said.add("stray")
      while talk.head() != nil { talk.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine") }
    }
    let bench = try Bench(server)
    let transfer = try bench.start(.get("/"))
    // libcurl begins to connect; it learns that it has only with the next event, and by then the server has spoken.
    bench.client.run(poller: bench.poller)
    while said.all.isEmpty { sched_yield() }
    #expect(bench.finish(transfer).failure == .malformed)
  }

  @Test func retiredPoolKeepsNoHandle() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server)
    weak var seen: Transfer?
    do {
      let transfer = try bench.start(.get("/"))
      seen = transfer
      #expect(bench.finish(transfer).status == 200)
    }
    #expect(seen != nil, "an idle handle is kept for the next request")
    bench.pool.retire()
    #expect(seen == nil, "the pool and its handles keep each other")
  }

  @Test func connectionOfARequestThatIsNotRepeatableEndsWithIt() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server)
    #expect(try bench.ask(Ask(method: "POST")).status == 200)
    #expect(try bench.ask(.get("/")).isReused == false)
    #expect(server.connections.count == 2)
  }
}
