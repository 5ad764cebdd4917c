// Bodies that are in memory before they are forwarded: the machine's part of it, and how much there may be, of all and of one.

import HTTP
import Testing

@testable import Proxy

@Suite struct UploadGatheringTests {
  private func gathering(_ framing: BodyFraming = .length(10), expects: Bool = false, limit: UInt64? = nil) -> Exchange {
    var exchange = Exchange.begun(framing, .put, expects: expects)
    #expect(exchange.gathers(bodyLimit: limit) == (expects ? .sendContinue : .none))
    #expect(exchange.phase == .gathering)
    return exchange
  }

  // MARK: The machine

  @Test func whatIsWholeIsForwarded() {
    var exchange = gathering(.chunked)
    #expect(exchange.received(body: 1000) == .none)
    #expect(exchange.requestCompleted() == .forward)
    #expect(exchange.phase == .waiting && exchange.isRequestComplete)
    // The client's connection may serve the next request: nothing of this one is on its way.
    #expect(exchange.upstreamAnswered(status: 200, length: 5) == .relayHead(.length(5), closes: false))
  }

  @Test func whatIsEnoughIsForwardedAndTheRestFollows() {
    var exchange = gathering(expects: true)
    #expect(exchange.received(body: 6) == .none)
    #expect(exchange.gathered() == .forward)
    // 100 was said when it began.
    #expect(exchange.upstreamWantsBody() == .none)
    #expect(exchange.gathered() == .none)
    #expect(exchange.requestCompleted() == .none)
    #expect(exchange.phase == .waiting)
  }

  @Test func nothingIsGatheredOfWhatHasNoBodyOrTooMuch() {
    var none = Exchange.begun()
    #expect(none.gathers(bodyLimit: nil) == .none && none.phase == .judging)
    var large = Exchange.begun(.length(10), .put, expects: true)
    #expect(large.gathers(bodyLimit: 9) == .reply(status: 413, closes: true))
    var unknown = gathering(.chunked, limit: 9)
    #expect(unknown.received(body: 9) == .none)
    #expect(unknown.received(body: 1) == .reply(status: 413, closes: true))
  }

  @Test func whatGoesWrongMeanwhileIsAnswered() {
    let steps: [(Exchange.Step, Exchange.Action)] = [
      ({ $0.failed(status: 400) }, .reply(status: 400, closes: true)), ({ $0.refused(status: 503) }, .reply(status: 503, closes: false)),
      ({ $0.upstreamFailed(status: 504) }, .reply(status: 504, closes: false)), ({ $0.clientTimedOut() }, .reply(status: 408, closes: true)),
      ({ $0.clientClosed() }, .stop(.gone)), ({ $0.upstreamAnswered(status: 200, length: 5) }, .none), ({ $0.granted(bodyLimit: nil) }, .none),
    ]
    for (step, wanted) in steps {
      var exchange = gathering()
      #expect(step(&exchange) == wanted)
    }
  }

  // MARK: Memory

  @Test func oneUserHasHisPartAndAllHaveTheWhole() {
    let memory = GatheredMemory(atMost: 400)
    var shares = (0..<3).map { GatheredShare(memory, of: UInt64($0)) }
    for share in shares { #expect(share.grow(by: 60) == .taken) }
    // A second body of the same user's counts with his first.
    let second = GatheredShare(memory, of: 0)
    #expect(second.grow(by: 41) == .tooMuchOfOne && second.grow(by: 40) == .taken)
    #expect(shares[0].grow(by: 1) == .tooMuchOfOne)
    #expect(shares[1].grow(by: 40) == .taken && shares[2].grow(by: 40) == .taken)
    let last = (3..<5).map { GatheredShare(memory, of: UInt64($0)) }
    #expect(last[0].grow(by: 100) == .taken && last[1].grow(by: 1) == .full)
    #expect(memory.held == 400 && memory.byUser.count == 4)
    shares.removeAll()
    #expect(memory.held == 140 && memory.byUser == [0: 40, 3: 100])
    #expect(last[1].grow(by: 100) == .taken)
    withExtendedLifetime(second) {}
  }

  @Test func whatIsLetGoIsGivenBack() {
    let memory = GatheredMemory(atMost: 400)
    do {
      let share = GatheredShare(memory, of: 7)
      #expect(share.grow(by: 50) == .taken && share.grow(by: 50) == .taken && share.grow(by: 1) == .tooMuchOfOne)
      #expect(memory.held == 100)
    }
    #expect(memory.held == 0 && memory.byUser.isEmpty)
  }

  @Test func everyBodyThatARouteMayAskForHasRoom() {
    #expect(Limits.gatheredBody * Limits.gatheredShare == Limits.gatheredBytes)
    #expect(GatheredMemory(atMost: Limits.gatheredBytes).take(Limits.gatheredBody, of: 1) == .taken)
  }
}
