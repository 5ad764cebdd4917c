// When access tokens are fetched, by a clock that the test has in hand.

import Login
import Primitives
import Synchronization
import Testing

@testable import Upstream

@Suite struct AccessTokenStateTests {
  /// Calls of the fetcher, and of a worker that waits.
  private final class Calls: Sendable {
    let fetcher = Atomic<Int>(0)
    let worker = Atomic<Int>(0)

    var counts: [Int] { [fetcher.load(ordering: .relaxed), worker.load(ordering: .relaxed)] }
  }

  private static func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: 3_600_000_000_000).advanced(by: .milliseconds(milliseconds)) }

  private static func token(_ seconds: Int) throws -> IssuedToken {
    let text = "{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":\(seconds)}"
    return try IssuedToken.parse(Array(text.utf8).span)
  }

  private func made() throws -> (AccessTokenState, AccessTokenAtHand, Calls) {
    let endpoint = TokenEndpoint(url: "https://login.example/token")
    let state = AccessTokenState(
      try Account(.clientCredentials(endpoint), name: Array("me".utf8), secret: Secret(copying: Array("secret".utf8).span)), endpoint)
    let calls = Calls()
    state.attach { _ = calls.fetcher.add(1, ordering: .relaxed) }
    return (state, AccessTokenAtHand(state) { _ = calls.worker.add(1, ordering: .relaxed) }, calls)
  }

  private func isComing(_ prospect: TokenProspect) -> Bool { if case .coming = prospect { true } else { false } }

  @Test func whoWaitsIsServedByOneFetch() throws {
    let (state, tokens, calls) = try made()
    #expect(state.due <= Self.at(0) && tokens.current(at: Self.at(0)) == nil)
    for _ in 0..<5 { #expect(isComing(tokens.want(after: 0, at: Self.at(0)))) }
    #expect(calls.counts == [1, 0])
    state.begins(at: Self.at(0))
    #expect(state.due == .distantFuture && isComing(tokens.want(after: 0, at: Self.at(5))) && calls.counts == [1, 0])
    #expect(!state.succeeded(try Self.token(300)) && calls.counts == [1, 1])
    #expect(tokens.current(at: Self.at(10))?.number == 1)
    // Not quite until its end.
    #expect(tokens.current(at: Self.at(294_999)) != nil && tokens.current(at: Self.at(295_001)) == nil)
  }

  @Test func whatIsUsedIsRenewedAndWhatIsNotIsNot() throws {
    let (state, tokens, calls) = try made()
    state.begins(at: Self.at(0))
    _ = state.succeeded(try Self.token(300))
    #expect(state.due == .distantFuture)
    #expect(tokens.current(at: Self.at(1)) != nil && calls.counts == [1, 0])
    #expect(state.due >= Self.at(200_000) && state.due <= Self.at(225_000))
    state.begins(at: Self.at(225_000))
    // The one before serves meanwhile.
    #expect(tokens.current(at: Self.at(226_000))?.number == 1)
    _ = state.succeeded(try Self.token(300))
    #expect(tokens.current(at: Self.at(227_000))?.number == 2 && calls.counts == [2, 0])
  }

  @Test func aFailingEndpointIsAskedLessAndLess() throws {
    let (state, tokens, calls) = try made()
    var now = Self.at(0)
    var pauses: [UInt64] = []
    for i in 0..<10 {
      state.begins(at: now)
      #expect(state.failed(i == 9 ? "is gone" : "is weary", wish: nil, at: now) == (i == 0 || i == 9))
      pauses.append(state.due.since(now) / 1_000_000)
      guard case .none(let reason) = tokens.want(after: 0, at: now) else { throw Failure() }
      #expect(reason.hasPrefix("https://login.example/token (client me) is "))
      now = state.due
    }
    for (pause, mean) in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60] as [UInt64]) { #expect((mean * 740...mean * 1260).contains(pause), "\(pauses)") }
    #expect(calls.counts == [0, 0] && isComing(tokens.want(after: 0, at: now)))
    state.begins(at: now)
    #expect(state.succeeded(try Self.token(300)))
    // What is wished is heard, up to a minute.
    state.begins(at: now)
    _ = state.failed("is weary", wish: .seconds(3600), at: now)
    #expect(state.due == now.advanced(by: .seconds(60)))
    // And what there is serves as long as it is good.
    #expect(tokens.current(at: now) != nil)
  }

  private struct Failure: Error {}

  @Test func refusalsCostFewerAndFewerTokens() throws {
    let (state, tokens, _) = try made()
    state.begins(at: Self.at(0))
    _ = state.succeeded(try Self.token(3600))
    var now = Self.at(1000)
    var fetches: [UInt64] = []
    // A service that refuses whatever comes, twice a second, for an hour.
    while now < Self.at(3_600_000) {
      let number = tokens.state.number.load(ordering: .relaxed)
      if state.isWorthReplacing(number, at: now) {
        #expect(isComing(tokens.want(after: number, at: now)) && state.due <= now)
        // Others who are refused meanwhile wait for the same.
        #expect(state.isWorthReplacing(number, at: now))
        state.begins(at: now)
        _ = state.succeeded(try Self.token(3600))
        fetches.append(now.since(Self.at(1000)) / 1_000_000_000)
      }
      now = now.advanced(by: .milliseconds(500))
    }
    #expect(fetches == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030])
    // Who was refused an old one has a newer.
    #expect(state.isWorthReplacing(1, at: now))
  }

  @Test func whoWaitsForWhatIsOverIsTold() throws {
    let (state, tokens, calls) = try made()
    #expect(isComing(tokens.want(after: 0, at: Self.at(0))))
    state.end()
    #expect(calls.counts == [1, 1] && state.due == .distantFuture)
    guard case .none = tokens.want(after: 0, at: Self.at(0)) else { throw Failure() }
  }
}
