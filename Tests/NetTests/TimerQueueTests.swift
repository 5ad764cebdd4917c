// The order of timers.

import Net
import Primitives
import Testing

@Suite struct TimerQueueTests {
  private func at(_ n: UInt64) -> Instant { Instant(nanoseconds: n) }

  @Test func earliestComesFirstWhateverTheOrderOfScheduling() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<50 {
      var queue = TimerQueue()
      let instants = (0..<200).map { _ in UInt64.random(in: 0..<100, using: &generator) }
      for (i, instant) in instants.enumerated() { queue.schedule(.of(1, UInt32(i), 0), at: at(instant)) }
      // Equal instants in the order of scheduling.
      let expected = instants.enumerated().sorted { ($0.element, $0.offset) < ($1.element, $1.offset) }.map { UInt32($0.offset) }
      var popped: [UInt32] = []
      while let token = queue.popExpired(at(100)) { popped.append(token.slot.slot) }
      #expect(popped == expected)
      #expect(queue.count == 0)
    }
  }

  @Test func nothingComesBeforeItsTime() {
    var queue = TimerQueue()
    queue.schedule(.of(1, 0, 0), at: at(10))
    #expect(queue.popExpired(at(9)) == nil)
    #expect(queue.next == at(10))
    #expect(queue.popExpired(at(10)) == .of(1, 0, 0))
    #expect(queue.next == nil)
    #expect(queue.popExpired(.distantFuture) == nil)
  }

  @Test func ownerThatMovedItsDeadlineReschedulesItself() {
    // The lazy way: one entry an owner, the true deadline beside it.
    var queue = TimerQueue()
    var deadline = at(10)
    queue.schedule(.of(1, 4, 2), at: deadline)
    deadline = at(30)
    var fired: Instant?
    for now in stride(from: UInt64(0), through: 40, by: 5) {
      while let token = queue.popExpired(at(now)) {
        if deadline > at(now) { queue.schedule(token, at: deadline) } else { fired = at(now) }
      }
      #expect(queue.count <= 1)
    }
    #expect(fired == at(30))
  }

  @Test func schedulingWhilePoppingKeepsOrder() {
    var queue = TimerQueue()
    for i in 0..<10 { queue.schedule(.of(1, UInt32(i), 0), at: at(UInt64(i * 10))) }
    var seen: [UInt32] = []
    while let token = queue.popExpired(at(45)) {
      seen.append(token.slot.slot)
      if token.slot.slot == 1 { queue.schedule(.of(1, 99, 0), at: at(25)) }
    }
    #expect(seen == [0, 1, 2, 99, 3, 4])
    #expect(queue.next == at(50))
  }
}
