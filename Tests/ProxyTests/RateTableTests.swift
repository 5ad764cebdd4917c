// How often is how often: at once, over time, for each, and in bounded memory.

import Primitives
import Testing

@testable import Proxy

@Suite struct RateTableTests {
  private let rate = Rate(count: 5, per: .seconds(3600))

  private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: 1_000_000_000_000 + seconds * 1_000_000_000) }

  @Test func soManyAtOnceAndThenAsTheyComeBack() {
    let table = RateTable()
    for _ in 1...5 { #expect(table.take(1, rate, now: at(0)) == nil) }
    #expect(table.take(1, rate, now: at(0)) == 720)
    #expect(table.take(1, rate, now: at(719)) == 1)
    #expect(table.take(1, rate, now: at(720)) == nil)
    #expect(table.take(1, rate, now: at(720)) == 720)
    // What is refused costs nothing.
    for _ in 1...100 { _ = table.take(1, rate, now: at(721)) }
    #expect(table.take(1, rate, now: at(1440)) == nil)
  }

  @Test func inAnyHourThereAreAtMostTwiceAsMany() {
    let table = RateTable()
    let taken = (0..<7200).filter { table.take(1, rate, now: at(UInt64($0))) == nil }.count
    #expect((10...15).contains(taken))
  }

  @Test func addressesAreCountedApart() {
    let table = RateTable()
    for _ in 1...5 { _ = table.take(1, rate, now: at(0)) }
    #expect(table.take(1, rate, now: at(0)) != nil)
    #expect(table.take(2, rate, now: at(0)) == nil)
  }

  @Test func memoryIsBoundedAndTheOneWhoTookMostIsKept() {
    let table = RateTable(capacity: 64)
    for _ in 1...5 { _ = table.take(7, rate, now: at(0)) }
    for address in 100..<10_000 { _ = table.take(UInt64(address), rate, now: at(1)) }
    #expect(table.take(7, rate, now: at(2)) != nil, "a flood of addresses made it forget who had too much")
  }
}
