// The thread for new hashes: addresses take turns, nobody has all the places, and what waited too long is told so.

import Net
import Primitives
import Synchronization
import Testing

@testable import Proxy

@Suite struct HashMakerTests {
  private final class Log: Sendable {
    let entries = Mutex<[String]>([])
    let done = Semaphore()

    func note(_ text: String) {
      entries.withLock { $0.append(text) }
      done.signal()
    }
  }

  private let now = Instant.now()

  @Test func addressesTakeTurns() throws {
    let (maker, log) = (HashMaker(capacity: 8, wait: .seconds(60)), Log())
    for name in ["a1", "a2", "a3"] { #expect(maker.submit(address: 1, now: now) { _ in log.note(name) }) }
    for name in ["b1", "b2"] { #expect(maker.submit(address: 2, now: now) { _ in log.note(name) }) }
    let thread = try Threads.spawn(name: "maker") { maker.run() }
    for _ in 1...5 { log.done.wait() }
    maker.finish()
    thread.join()
    #expect(log.entries.withLock { $0 } == ["a1", "b1", "a2", "b2", "a3"])
  }

  @Test func oneAddressHasHalfOfThePlaces() {
    let maker = HashMaker(capacity: 4, wait: .seconds(60))
    #expect(maker.submit(address: 1, now: now) { _ in } && maker.submit(address: 1, now: now) { _ in })
    #expect(!maker.submit(address: 1, now: now) { _ in })
    #expect(maker.submit(address: 2, now: now) { _ in } && maker.submit(address: 3, now: now) { _ in })
    #expect(!maker.submit(address: 4, now: now) { _ in })
  }

  @Test func whatWaitedTooLongIsToldSo() throws {
    let (maker, log) = (HashMaker(capacity: 4, wait: .seconds(1)), Log())
    #expect(maker.submit(address: 1, now: Instant(nanoseconds: 0)) { log.note("late \($0)") })
    #expect(maker.submit(address: 1, now: now.advanced(by: .seconds(60))) { log.note("late \($0)") })
    let thread = try Threads.spawn(name: "maker") { maker.run() }
    for _ in 1...2 { log.done.wait() }
    maker.finish()
    thread.join()
    #expect(log.entries.withLock { $0 } == ["late true", "late false"])
    #expect(!maker.submit(address: 1, now: now) { _ in }, "taken after the end")
  }
}
