// Memory that is used again: kept up to a bound, and given out last in, first out.

import Testing

@testable import Primitives

@Suite struct SparesTests {
  private final class Counter {
    var alive = 0
  }

  /// Knows whether it was dropped.
  private struct Thing: ~Copyable {
    let number: Int
    let counter: Counter

    init(_ number: Int, _ counter: Counter) {
      self.number = number
      self.counter = counter
      counter.alive += 1
    }

    deinit { counter.alive -= 1 }
  }

  @Test func theLastGivenIsTheFirstTaken() {
    let counter = Counter()
    var spares = Spares<Thing>(limit: 4)
    for i in 1...3 { spares.give(Thing(i, counter)) }
    var order: [Int] = []
    while let thing = spares.take() { order.append(thing.number) }
    #expect(order == [3, 2, 1] && counter.alive == 0)
    let left = spares.count
    #expect(left == 0)
  }

  @Test func whatIsBeyondTheLimitIsDropped() {
    let counter = Counter()
    var spares = Spares<Thing>(limit: 2)
    for i in 1...5 { spares.give(Thing(i, counter)) }
    let kept = spares.count
    #expect(kept == 2 && counter.alive == 2)
  }

  @Test func whatWaitsIsDroppedWithIt() {
    let counter = Counter()
    do {
      var spares = Spares<Thing>(limit: 8)
      for i in 1...5 { spares.give(Thing(i, counter)) }
      #expect(counter.alive == 5)
    }
    #expect(counter.alive == 0)
  }
}
