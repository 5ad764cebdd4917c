// Rates of requests: at once and over time, each for himself, and nobody's count lost to a flood.

import Primitives
import Testing

@testable import Proxy

@Suite struct RateGateTests {
  private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000) }
  private func gate(_ count: Int, _ seconds: UInt64, burst: Int, capacity: Int = RateGate.capacity) -> RateGate {
    RateGate(RateLimit(Rate(count: count, per: .seconds(seconds)), burst: burst), capacity: capacity)
  }

  @Test func soManyAtOnceAndThenAsTheRateSays() {
    let gate = gate(10, 1, burst: 3)
    for _ in 0..<3 { #expect(gate.take(1, now: at(0)) == nil) }
    #expect(gate.take(1, now: at(0)) == 1)
    #expect(gate.take(1, now: at(99)) == 1)
    #expect(gate.take(1, now: at(100)) == nil)
    #expect(gate.take(1, now: at(100)) == 1)
    let taken = (1000..<11_000).filter { gate.take(1, now: at(UInt64($0))) == nil }.count
    #expect((100...103).contains(taken))
  }

  @Test func whatIsRefusedCostsNothing() {
    let gate = gate(1, 60, burst: 1)
    #expect(gate.take(1, now: at(0)) == nil)
    for _ in 0..<1000 { #expect(gate.take(1, now: at(1)) == 60) }
    #expect(gate.take(1, now: at(60_000)) == nil)
  }

  @Test func noFloodOfOthersGivesARateBackOrTakesIt() {
    let gate = gate(1, 3600, burst: 2, capacity: 640)
    let (spent, half): (UInt64, UInt64) = (7 << 40, 9 << 40)
    for _ in 0..<2 { #expect(gate.take(spent, now: at(0)) == nil) }
    #expect(gate.take(half, now: at(0)) == nil)
    var key: UInt64 = 0x9E37_79B9_7F4A_7C15
    for i in 0..<50_000 {
      key = key &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      _ = gate.take(key, now: at(UInt64(i) / 10))
    }
    #expect(gate.count <= 640)
    #expect(gate.take(spent, now: at(6000)) != nil)
    #expect(gate.take(half, now: at(6000)) == nil)
    // Whoever is new finds the shared count used up, and a place when somebody has paid.
    #expect(gate.take(spent &+ 1, now: at(6000)) != nil)
    #expect(gate.take(spent &+ 1, now: at(3_700_000)) == nil)
  }

  /// Of two workers one has read the clock a moment before the other: a full shard is looked through no sooner for that.
  @Test func whoseClockIsBehindLooksForNobodyWhoHasPaid() {
    let gate = gate(10, 1, burst: 1, capacity: 64)
    let (one, other): (UInt64, UInt64) = (1, 2)
    #expect(gate.take(one, now: at(0)) == nil)
    // There is no room, and nobody has paid: this is the look, and the others' count takes it.
    #expect(gate.take(other, now: at(50)) == nil)
    #expect(gate.take(other, now: at(40)) == 1)
    #expect(gate.take(other, now: at(141)) == 1)
    // A pause after that look the first has paid, and his place is free.
    #expect(gate.take(other, now: at(150)) == nil && gate.take(one, now: at(151)) == nil)
  }

  @Test func farAwayNumbersDoNotOverflow() {
    let gate = gate(1, 86_400, burst: 1_000_000)
    let end = Instant(nanoseconds: UInt64.max / 2)
    #expect(gate.take(1, now: end) == nil)
  }

  @Test func placesAreGivenBackWhateverTheOrder() {
    let counts = InFlight()
    #expect(counts.take(most: 2) && counts.take(most: 2) && !counts.take(most: 2))
    #expect(counts.take(5, most: 1) && !counts.take(5, most: 1) && counts.take(6, most: 1))
    counts.giveBack()
    #expect(counts.take(most: 2))
    counts.giveBack(5)
    #expect(counts.take(5, most: 1))
    counts.giveBack(5)
    counts.giveBack(6)
    counts.giveBack()
    counts.giveBack()
    #expect(counts.count == 0 && counts.users == 0)
  }
}
