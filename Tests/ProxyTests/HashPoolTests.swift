// The pool of password checks: bounded, joined, and fair between addresses. Threads start when the queue stands, so nothing here depends
// on time.

import Auth
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct HashPoolTests {
  /// A pool whose thread has not started, and the mailbox of the one worker that asks.
  private final class Scene {
    /// Where the last check stands.
    var place: HashQueue.Place?
    let pool: HashPool
    let mailbox: Mailbox<WorkerMessage>
    let gatekeeper: Gatekeeper
    let now = Instant.now()

    init(capacity: Int = 64, wait: Interval = .seconds(60)) throws {
      pool = HashPool(threads: 1, capacity: capacity, wait: wait)
      mailbox = try Mailbox()
      gatekeeper = try People.gatekeeper()
    }

    /// Asks for a check of `slow`'s password, as exchange `serial`, from `address`.
    func submit(_ password: String, address: UInt64 = 1, serial: UInt64 = 0, at instant: Instant? = nil) throws -> Bool {
      place = pool.submit(
        try People.check("slow", password, gatekeeper), address: address,
        HashPool.Waiter(mailbox: mailbox, connection: SlotToken(slot: 9, generation: 9), serial: serial), now: instant ?? now)
      return place != nil
    }

    /// Runs the pool until `count` answers are there, then ends it. Serial numbers with their outcomes, in the order of answering.
    func answers(_ count: Int) throws -> [(UInt64, CheckOutcome)] {
      let pool = pool
      let thread = try Threads.spawn(name: "hash") { pool.run() }
      var answers: [(UInt64, CheckOutcome)] = []
      var poller = try Poller(capacity: 4)
      try poller.add(mailbox.descriptor, .read, EventToken(kind: 0))
      let limit = Instant.now().advanced(by: .seconds(20))
      while answers.count < count && Instant.now() < limit {
        _ = poller.wait(until: limit, now: Instant.now())
        for message in mailbox.drain() {
          guard case .checked(_, let serial, _, let outcome) = message else { continue }
          answers.append((serial, outcome))
        }
      }
      pool.finish()
      thread.join()
      #expect(mailbox.drain().isEmpty, "more answers than questions")
      return answers
    }
  }

  @Test func whoHangsUpFillsNoPlace() throws {
    let scene = try Scene(capacity: 4)
    for serial in UInt64(1)...100 {
      #expect(try scene.submit("guess", serial: serial))
      scene.pool.abandon(try #require(scene.place))
    }
    #expect(try scene.submit("secret", serial: 101))
    let answers = try scene.answers(1)
    #expect(answers.map(\.0) == [101], "nothing was hashed for those who left")
  }

  @Test func oneWhoLeavesTakesNoAnswerFromTheOthers() throws {
    let scene = try Scene()
    #expect(try scene.submit("secret", serial: 1))
    #expect(try scene.submit("secret", serial: 2))
    scene.pool.abandon(try #require(scene.place))
    // The one who left is answered too, and is not there to hear it.
    let answers = try scene.answers(2)
    #expect(answers.map(\.0) == [1, 2] && answers.map(\.1) == [.matched, .matched])
  }

  @Test func rightAndWrongPasswordsAreToldApart() throws {
    let scene = try Scene()
    #expect(try scene.submit("secret", serial: 1))
    #expect(try scene.submit("wrong", serial: 2))
    let answers = try scene.answers(2)
    #expect(answers.map(\.0) == [1, 2] && answers.map(\.1) == [.matched, .failed])
  }

  @Test func equalChecksAreJoined() throws {
    let scene = try Scene(capacity: 2)
    for serial in 1...100 { #expect(try scene.submit("secret", address: UInt64(serial), serial: UInt64(serial))) }
    // One place is taken, whoever asks; the other is still free.
    #expect(try scene.submit("other", address: 200, serial: 101))
    #expect(try !scene.submit("third", address: 300, serial: 102))
    let answers = try scene.answers(101)
    #expect(answers.map(\.0) == (1...101).map { UInt64($0) })
    #expect(answers.prefix(100).allSatisfy { $0.1 == .matched } && answers[100].1 == .failed)
  }

  @Test func queueIsBounded() throws {
    let scene = try Scene(capacity: 4)
    for i in 1...4 { #expect(try scene.submit("guess\(i)", address: UInt64(i), serial: UInt64(i))) }
    #expect(try !scene.submit("guess5", address: 5, serial: 5))
    #expect(try scene.answers(4).map(\.0) == [1, 2, 3, 4])
  }

  @Test func oneAddressHasAtMostHalfOfThePlaces() throws {
    let scene = try Scene(capacity: 8)
    for i in 1...4 { #expect(try scene.submit("guess\(i)", address: 1, serial: UInt64(i))) }
    #expect(try !scene.submit("guess5", address: 1, serial: 5))
    #expect(try scene.submit("mine", address: 2, serial: 6), "another address finds no place")
    _ = try scene.answers(5)
  }

  @Test func evenThePoolOfOnePlaceTakesOne() throws {
    let scene = try Scene(capacity: 1)
    #expect(try scene.submit("secret", serial: 1))
    #expect(try !scene.submit("other", serial: 2))
    #expect(try scene.answers(1).count == 1)
  }

  @Test func addressesTakeTurns() throws {
    let scene = try Scene(capacity: 64)
    for i in 1...5 { #expect(try scene.submit("guess\(i)", address: 1, serial: UInt64(i))) }
    #expect(try scene.submit("a", address: 2, serial: 21))
    #expect(try scene.submit("b", address: 2, serial: 22))
    #expect(try scene.submit("c", address: 3, serial: 31))
    #expect(try scene.answers(8).map(\.0) == [1, 21, 31, 2, 22, 3, 4, 5])
  }

  @Test func checkThatWaitedTooLongIsNotRun() throws {
    let scene = try Scene(wait: .seconds(1))
    #expect(try scene.submit("secret", serial: 1, at: Instant(nanoseconds: 0)))
    #expect(try scene.submit("other", address: 2, serial: 2, at: scene.now.advanced(by: .seconds(3600))))
    let answers = try scene.answers(2)
    #expect(answers.map(\.0) == [1, 2] && answers.map(\.1) == [.tooLate, .failed])
  }

  @Test func placeIsFreeAgainAfterTheAnswer() throws {
    let scene = try Scene(capacity: 1)
    #expect(try scene.submit("secret", serial: 1))
    let pool = scene.pool
    let thread = try Threads.spawn(name: "hash") { pool.run() }
    var poller = try Poller(capacity: 4)
    try poller.add(scene.mailbox.descriptor, .read, EventToken(kind: 0))
    for serial in 2...4 {
      #expect(poller.wait(until: Instant.now().advanced(by: .seconds(20)), now: Instant.now()) == 1)
      #expect(scene.mailbox.drain().count == 1)
      #expect(try scene.submit("secret", serial: UInt64(serial)))
    }
    pool.finish()
    thread.join()
  }

  @Test func finishedPoolTakesNothingAndItsThreadsEnd() throws {
    let scene = try Scene()
    #expect(try scene.submit("secret", serial: 1))
    scene.pool.finish()
    scene.pool.run()
    #expect(scene.mailbox.drain().isEmpty)
    #expect(try !scene.submit("other", serial: 2))
  }

  @Test func manyThreadsAnswerEachCheckOnce() throws {
    let pool = HashPool(threads: 4, capacity: 256, wait: .seconds(60))
    let mailbox = try Mailbox<WorkerMessage>()
    let gatekeeper = try People.gatekeeper()
    let threads = try (0..<4).map { try Threads.spawn(name: "hash \($0)") { pool.run() } }
    for i in 1...100 {
      let check = try People.check("slower", "guess\(i % 50)", gatekeeper)
      #expect(
        pool.submit(
          check, address: UInt64(i % 7),
          HashPool.Waiter(mailbox: mailbox, connection: SlotToken(slot: 0, generation: 0), serial: UInt64(i)),
          now: Instant.now()) != nil)
    }
    var seen: Set<UInt64> = []
    var poller = try Poller(capacity: 4)
    try poller.add(mailbox.descriptor, .read, EventToken(kind: 0))
    while seen.count < 100, poller.wait(until: Instant.now().advanced(by: .seconds(20)), now: Instant.now()) > 0 {
      for case .checked(_, let serial, _, _) in mailbox.drain() { #expect(seen.insert(serial).inserted) }
    }
    #expect(seen.count == 100)
    pool.finish()
    for thread in threads { thread.join() }
  }
}
