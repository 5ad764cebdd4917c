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
    func share(_ key: UInt64) -> GatheredShare { GatheredShare(memory, of: GatheringOwner(key: key)) }
    var shares = (0..<3).map { share(UInt64($0)) }
    for share in shares { #expect(share.grow(by: 60) == .taken) }
    // A second body of the same user's counts with his first.
    let second = share(0)
    #expect(second.grow(by: 41) == .tooMuchOfOne && second.grow(by: 40) == .taken)
    #expect(shares[0].grow(by: 1) == .tooMuchOfOne)
    #expect(shares[1].grow(by: 40) == .taken && shares[2].grow(by: 40) == .taken)
    let last = (3..<5).map { share(UInt64($0)) }
    #expect(last[0].grow(by: 100) == .taken && last[1].grow(by: 1) == .full)
    #expect(memory.held == 400 && memory.byUser.count == 4)
    shares.removeAll()
    #expect(memory.held == 140 && memory.byUser == [0: 40, 3: 100])
    #expect(last[1].grow(by: 100) == .taken)
    withExtendedLifetime(second) {}
  }

  @Test func strangersHaveAHalfAndOneOfThemASixteenth() {
    let memory = GatheredMemory(atMost: 640)
    func share(_ key: UInt64, wanted: Int = 0) -> GatheredShare { GatheredShare(memory, of: GatheringOwner(key: key, isStranger: true, wanted: wanted)) }
    var shares = (0..<8).map { share($0) }
    for share in shares { #expect(share.grow(by: 40) == .taken && share.grow(by: 1) == .tooMuchOfOne) }
    let late = share(8)
    #expect(late.grow(by: 1) == .full && memory.heldForStrangers == 320)
    // Whoever has logged in has the rest, and his own part of it.
    let user = GatheredShare(memory, of: GatheringOwner(key: 9))
    #expect(user.grow(by: 160) == .taken && user.grow(by: 1) == .tooMuchOfOne)
    shares.removeLast(4)
    #expect(memory.heldForStrangers == 160 && memory.held == 320)
    // One body that a route wants has room, however small the part.
    let large = share(10, wanted: 100)
    #expect(large.grow(by: 100) == .taken && large.grow(by: 1) == .tooMuchOfOne)
    shares.removeAll()
    #expect(memory.heldForStrangers == 100 && late.grow(by: 40) == .taken)
    withExtendedLifetime((large, user)) {}
  }

  @Test func whatIsLetGoIsGivenBack() {
    let memory = GatheredMemory(atMost: 400)
    for isStranger in [false, true] {
      let share = GatheredShare(memory, of: GatheringOwner(key: 7, isStranger: isStranger, wanted: 100))
      #expect(share.grow(by: 50) == .taken && share.grow(by: 50) == .taken && share.grow(by: 1) == .tooMuchOfOne)
      #expect(memory.held == 100 && memory.heldForStrangers == (isStranger ? 100 : 0))
    }
    #expect(memory.held == 0 && memory.heldForStrangers == 0 && memory.byUser.isEmpty)
  }

  @Test func everyBodyThatARouteMayAskForHasRoom() {
    #expect(Limits.gatheredBody * Limits.gatheredShare == Limits.gatheredBytes)
    for isStranger in [false, true] {
      let owner = GatheringOwner(key: 1, isStranger: isStranger, wanted: Limits.gatheredBody + Limits.gatheredPiece)
      // With the piece by which it turns out to be more than is gathered.
      #expect(GatheredMemory(atMost: Limits.gatheredBytes).take(Limits.gatheredBody + Limits.gatheredPiece, of: owner) == .taken)
    }
  }
}
