// Connections that two handles of libcurl's make one after the other: given up between any two steps, their socket is closed, and once.

import HTTP
import Net
import Primitives
import Testing

@testable import Upstream

@Suite struct AnnouncedTLSTests {
  private func bench(_ server: PythonTLSServer) throws -> Bench {
    try server.bench {
      $0.announces = .v1
      $0.engine = .http1
      // As where a header names somebody: nothing is used again.
      $0.reuseWithin = .milliseconds(0)
    }
  }

  /// Between the two handles: the second has the socket, and libcurl has not asked for it.
  private func reachesTheSecondHandle(_ transfer: Transfer, _ bench: Bench) -> Bool {
    bench.turns { (transfer as? HTTP1Transfer)?.connector?.isForOne ?? false }
  }

  @Test func whatIsGivenUpBetweenTheHandlesIsClosed() throws {
    let server = try PythonTLSServer()
    let bench = try bench(server)
    for _ in 0..<3 {
      let transfer = try bench.start(.get("/length/10"))
      #expect(reachesTheSecondHandle(transfer, bench) && bench.openSockets == 1 && Bench.descriptors(to: server.port) == 1)
      bench.client.end(transfer)
      #expect(bench.openSockets == 0 && Bench.descriptors(to: server.port) == 0 && bench.client.running == 0)
      #expect(try bench.ask(.get("/length/10")).body == Pattern.bytes(10))
    }
    // The first handle serves the next connection, the second none.
    #expect(bench.pool.connectors.count == 1 && !bench.pool.connectors[0].isForOne)
  }

  @Test func whatIsGivenUpAnywhereIsClosed() throws {
    let server = try PythonTLSServer()
    let bench = try bench(server)
    for count in 0..<30 {
      let transfer = try bench.start(.get("/chunked/100000"))
      for _ in 0..<count where transfer.outcome == nil { bench.turn(sleeps: count % 2 == 0) }
      bench.client.end(transfer)
      bench.turn(sleeps: false)
      #expect(bench.client.running == 0, "after \(count) turns")
    }
    bench.pool.retire()
    #expect(bench.openSockets == 0 && Bench.descriptors(to: server.port) == 0)
  }
}
