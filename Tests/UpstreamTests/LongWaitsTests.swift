// What has waited before it is sent: for its turn to log in, and with what may grow old meanwhile.

import Auth
import HTTP
import Login
import Net
import Primitives
import Testing

@testable import Upstream

@Suite struct LongWaitsTests {
  private func start(_ bench: Bench, _ number: UInt32, _ compose: (inout UpstreamRequest) -> Void) throws -> Transfer {
    var request = UpstreamRequest(
      try Bench.grant(), storage: bench.client.takeStorage(), method: bytes("GET").span, target: bytes("/").span, framing: .none, isHead: false,
      isIdempotent: true)
    compose(&request)
    let transfer = try bench.client.start(request, at: bench.pool, owner: SlotToken(slot: number, generation: 0))
    transfer.endUpload()
    return transfer
  }

  /// Each look costs the others' number, were it to be done by all of them.
  @Test func ofThoseWhoWaitForALoginTheFirstAloneLooks() throws {
    let server = try ScriptedServer { talk in talk.end() }
    let bench = try Bench(server) { $0.engine = .http1 }
    let client = bench.client
    let account = try Account(.ntlm(NTLMScope()), name: bytes("svc"), secret: Secret(copying: bytes("Waiting-67-there").span))
    let begin = Instant.now()
    client.begin(at: begin, hasLooked: false)
    let transfers = try (1...5).map { n in
      try #require(try start(bench, UInt32(n)) { $0.logIn(as: account) } as? HTTP1Transfer)
    }
    let end = begin.advanced(by: bench.options.responseTimeout)
    func after(_ milliseconds: UInt64) -> Instant { begin.advanced(by: .milliseconds(milliseconds)) }
    // One is on its way.
    #expect(transfers.map(\.loginDue) == [nil, after(20), end, end, end])
    client.begin(at: after(20), hasLooked: false)
    client.lookAround()
    #expect(transfers.map(\.loginDue) == [nil, after(40), end, end, end])
    // Who leaves leaves it to the next.
    client.end(transfers[1])
    client.end(transfers[3])
    #expect(transfers[2].loginDue == after(40) && transfers[4].loginDue == end)
    client.begin(at: after(40), hasLooked: false)
    client.lookAround()
    #expect(transfers[2].loginDue == after(60) && transfers[4].loginDue == end && client.watched.count == 2)
    // And all of them have an end.
    client.begin(at: end, hasLooked: false)
    client.lookAround()
    for i in [2, 4] {
      guard case .failed(let failure)? = transfers[i].outcome else {
        Issue.record("\(i) waits for ever")
        continue
      }
      #expect(failure.kind == .timeout)
    }
    for i in [0, 2, 4] { client.end(transfers[i]) }
  }
}
