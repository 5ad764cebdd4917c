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

  private static let challenge: String = {
    let message = bytes("NTLMSSP\0") + [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    return "HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: NTLM \(String(decoding: Base64.encode(message.span), as: UTF8.self))\r\n\r\n"
  }()

  /// Where no login is asked for the answer to its beginning may take minutes.
  @Test func aBeginningThatIsNotAnsweredHoldsUpNobody() throws {
    let go = Semaphore()
    let server = try ScriptedServer { talk in
      guard talk.head() != nil else { return }
      if talk.number == 0 {
        _ = go.wait(until: Instant.now().advanced(by: .seconds(10)))
        talk.send(Self.challenge)
      }
      talk.end()
    }
    let bench = try Bench(server) { $0.engine = .http1 }
    let client = bench.client
    let account = try Account(.ntlm(NTLMScope()), name: bytes("svc"), secret: Secret(copying: bytes("Waiting-68-there").span))
    let begin = Instant.now()
    bench.clock = begin
    client.begin(at: begin, hasLooked: false)
    let first = try #require(try start(bench, 1) { $0.logIn(as: account) } as? HTTP1Transfer)
    #expect(bench.turns(awake: true) { server.connections.first?.hasSuffix("\r\n\r\n") ?? false })
    let second = try #require(try start(bench, 2) { $0.logIn(as: account) } as? HTTP1Transfer)
    #expect(second.handshake == nil)
    let later = begin.advanced(by: NTLMHandshake.patience)
    bench.clock = later
    client.begin(at: later, hasLooked: false)
    client.lookAround()
    #expect(second.handshake != nil && first.handshake != nil)
    // The challenge comes late, and another has the place: what proves the account is not sent beside his.
    go.signal()
    #expect(bench.turns(awake: true) { first.handshake?.waitsForTurn == true })
    #expect(first.outcome == nil && first.loginDue == later.advanced(by: .milliseconds(20)))
    #expect(server.connections[0].components("Authorization: ").count == 2)
    // His time counts from when he has a connection.
    #expect(bench.turns(awake: true) { second.handshake?.connection != nil })
    // But it is kept: made anew it would be late again, and so would all others', and nobody would ever log in.
    let third = try #require(try start(bench, 3) { $0.logIn(as: account) } as? HTTP1Transfer)
    let latest = later.advanced(by: NTLMHandshake.patience)
    bench.clock = latest
    client.begin(at: latest, hasLooked: false)
    client.lookAround()
    #expect(first.handshake?.waitsForTurn == false && third.handshake == nil)
    #expect(bench.turns(awake: true) { server.connections[0].components("Authorization: ").count == 3 })
    #expect(bench.turns(awake: true) { server.connections.count == 2 })
    for transfer in [first, second, third] { client.end(transfer) }
  }

  /// Who waits for his turn with a challenge, and leaves, or whose server has not waited for so long, keeps nobody else waiting.
  @Test func aChallengeThatGrowsOldIsAskedForAnew() throws {
    let (go, leaves) = (Semaphore(), Semaphore())
    let server = try ScriptedServer { talk in
      guard talk.head() != nil else { return }
      if talk.number == 0 {
        _ = go.wait(until: Instant.now().advanced(by: .seconds(10)))
        talk.send(Self.challenge)
        _ = leaves.wait(until: Instant.now().advanced(by: .seconds(10)))
        return
      }
      talk.end()
    }
    let bench = try Bench(server) { $0.engine = .http1 }
    let client = bench.client
    let account = try Account(.ntlm(NTLMScope()), name: bytes("svc"), secret: Secret(copying: bytes("Waiting-70-there").span))
    let begin = Instant.now()
    bench.clock = begin
    client.begin(at: begin, hasLooked: false)
    let first = try #require(try start(bench, 1) { $0.logIn(as: account) } as? HTTP1Transfer)
    #expect(bench.turns(awake: true) { server.connections.first?.hasSuffix("\r\n\r\n") ?? false })
    let second = try #require(try start(bench, 2) { $0.logIn(as: account) } as? HTTP1Transfer)
    let later = begin.advanced(by: NTLMHandshake.patience)
    bench.clock = later
    client.begin(at: later, hasLooked: false)
    client.lookAround()
    go.signal()
    #expect(bench.turns(awake: true) { first.handshake?.waitsForTurn == true })
    leaves.signal()
    #expect(bench.turns(awake: true) { first.handshake == nil })
    // It waits as if it had never begun.
    #expect(first.outcome == nil && !first.wasSent)
    client.end(second)
    #expect(first.handshake?.waitsForTurn == false)
    client.end(first)
    #expect(account.gate?.admit(bytes("x"), at: later) == .go)
  }

  /// Who leaves when the refusal is there and nobody has read it yet has been refused.
  @Test func whoLeavesInThatMomentHasBeenRefused() throws {
    let server = try ScriptedServer { talk in
      _ = talk.head()
      talk.send(Self.challenge)
      _ = talk.head()
      talk.send("HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\n")
      talk.end()
    }
    let bench = try Bench(server) { $0.engine = .http1 }
    let account = try Account(.ntlm(NTLMScope()), name: bytes("svc"), secret: Secret(copying: bytes("Waiting-69-there").span))
    bench.client.begin(at: .now(), hasLooked: false)
    let transfer = try start(bench, 1) { $0.logIn(as: account) }
    #expect(bench.turns { transfer.isHeadComplete })
    bench.client.end(transfer)
    let admission = account.gate?.admit([], at: .now())
    guard case .closed? = admission else {
      Issue.record("\(String(describing: admission))")
      return
    }
  }

  @Test func anAssertionThatHasGrownOldIsNotSent() throws {
    // Made for this test alone.
    let pem = bytes(
      """
      -----BEGIN PRIVATE KEY-----
      MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGCmN8SyORBzlIxFI
      UlSLo4eaRFMxRp7dYkfDM3GeJ4ShRANCAAQL/KzSTXrCQ0eAwi4QetmfC1Iay/bC
      akSoN0GsOMLF8YOnhBrtyxlBYQBecdhu7uz+gwXTgXf6w7QCSJlX1fos
      -----END PRIVATE KEY-----

      """)
    let signer = try UserAssertion(
      pem: Secret(copying: pem.span), field: bytes("X-A"), issuer: "i", audience: "a", lifetime: .seconds(3600))
    var cache = AssertionCache()
    for age in [0, 1700, 1900, 100_000] as [Int64] {
      let made = Timestamp.now().seconds - age
      let known = cache.assertion(signer, for: bytes("alice \(age)"), [], at: Timestamp(seconds: made))
      let assertion = try #require(known)
      let server = try UpstreamRequestTests.answering()
      let bench = try Bench(server) { $0.engine = .http1 }
      bench.client.begin(at: .now(), hasLooked: false)
      let transfer = try start(bench, 1) { request in
        request.addHostOfServer()
        request.add("X-Before", bytes("1"))
        request.add(assertion)
        request.add("X-Behind", bytes("2"))
      }
      #expect(bench.finish(transfer).status == 200)
      let lines = server.connections.first?.components("\r\n") ?? []
      #expect(lines.count == 7, "\(lines)")
      let line = lines.count > 3 ? lines[3] : ""
      #expect(
        lines.enumerated().filter { $0.offset != 3 }.map(\.element)
          == ["GET / HTTP/1.1", "Host: 127.0.0.1:\(server.port)", "X-Before: 1", "X-Behind: 2", "", ""])
      let isKept = line + "\r\n" == String(decoding: assertion.line, as: UTF8.self)
      #expect(isKept == (age < 1800) && line.hasPrefix("X-A: ey"))
      let parts = line.components(".")
      let payload = Base64.decodeURLSafe(bytes(parts.count == 3 ? parts[1] : "").span) ?? []
      let claims = try JSON.parse(payload.span)
      #expect(claims["sub"]?.string == bytes("alice \(age)"))
      #expect((claims["iat"]?.number?.integer ?? 0) >= made + (age < 1800 ? 0 : age))
    }
  }
}

extension String {
  /// As Foundation's.
  fileprivate func components(_ separator: String) -> [String] { split(separator: separator, omittingEmptySubsequences: false).map { String($0) } }
}
