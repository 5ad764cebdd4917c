// Guesses that wait for the pool while their address is banned: how many of them are run, and what their guessers are told.

import Auth
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct GuessesInThePool {
  private static let guesser = ClientAddress.ipv4(0xCB00_7107)
  private static let other = ClientAddress.ipv4(0xCB00_7108)

  /// A pool whose threads have not started, and the mailbox of the one worker that asks.
  private final class Scene {
    // With a minute for ten, a machine on which ten checks take six seconds grants one more.
    let lockout = Lockout(LockoutOptions(within: .seconds(3600)), start: Instant(nanoseconds: 0))
    let pool: HashPool
    let mailbox: Mailbox<WorkerMessage>
    let gatekeeper: Gatekeeper
    private var asked = 0

    init(threads: Int, capacity: Int = 1024) throws {
      pool = HashPool(threads: threads, capacity: capacity, wait: .seconds(60))
      mailbox = try Mailbox()
      gatekeeper = try People.gatekeeper(lockout: lockout)
    }

    /// Asks as the next exchange; false when there is no place.
    @discardableResult
    func submit(_ password: String, from client: ClientAddress) throws -> Bool {
      let check = try People.check("slow", password, gatekeeper, from: client)
      asked += 1
      let slot = SlotToken(slot: 0, generation: 0)
      let waiter = HashPool.Waiter(mailbox: mailbox, connection: slot, serial: UInt64(asked), attempt: check.attempt)
      return pool.submit(check, address: client.networkKey, waiter, now: Instant.now()) != nil
    }

    /// Runs the pool until everybody is answered: outcomes by serial number.
    func outcomes() throws -> [UInt64: CheckOutcome] {
      let pool = pool
      let threads = try (0..<pool.threads).map { try Threads.spawn(name: "hash \($0)") { pool.run() } }
      var found: [UInt64: CheckOutcome] = [:]
      var poller = try Poller(capacity: 4)
      try poller.add(mailbox.descriptor, .read, EventToken(kind: 0))
      let limit = Instant.now().advanced(by: .seconds(60))
      while found.count < asked && Instant.now() < limit {
        _ = poller.wait(until: limit, now: Instant.now())
        for case .checked(_, let serial, _, let outcome) in mailbox.drain() { found[serial] = outcome }
      }
      pool.finish()
      for thread in threads { thread.join() }
      return found
    }
  }

  private func isBarred(_ outcome: CheckOutcome?) -> Bool {
    if case .barred? = outcome { true } else { false }
  }

  @Test(arguments: [1, 3])
  func aGuesserHasTheLimitAndWhatIsUnderWay(threads: Int) throws {
    let scene = try Scene(threads: threads)
    // No worker hears of an answer before all are given: nothing but the pool itself can have counted.
    for i in 0..<100 { #expect(try scene.submit("guess \(i)", from: Self.guesser)) }
    let outcomes = try scene.outcomes()
    // Of several threads each may be at one when the limit is reached.
    let failed = outcomes.values.count { $0 == .failed }
    #expect((10..<(10 + threads)).contains(failed) && outcomes.values.count { isBarred($0) } == 100 - failed)
    #expect(scene.lockout.bans(at: .now()).contains { $0.client == Self.guesser && $0.user == nil })
  }

  @Test func theRightPasswordAmongManyGuessesIsNotTold() throws {
    let scene = try Scene(threads: 1)
    for i in 0..<10 { #expect(try scene.submit("guess \(i)", from: Self.guesser)) }
    #expect(try scene.submit("secret", from: Self.guesser))
    let outcomes = try scene.outcomes()
    #expect(isBarred(outcomes[11]))
  }

  @Test func whoJoinsAGuessersCheckIsAnsweredForHimself() throws {
    let scene = try Scene(threads: 1)
    for i in 0..<10 { #expect(try scene.submit("guess \(i)", from: Self.guesser)) }
    #expect(try scene.submit("secret", from: Self.guesser))
    #expect(try scene.submit("secret", from: Self.other))
    let outcomes = try scene.outcomes()
    #expect(isBarred(outcomes[11]))
    #expect(outcomes[12] == .matched)
  }

  @Test func whoHangsUpIsCountedAllTheSame() throws {
    let scene = try Scene(threads: 1)
    let before = try People.check("slow", "secret", scene.gatekeeper, from: Self.guesser)
    for i in 0..<10 { #expect(try scene.submit("guess \(i)", from: Self.guesser)) }
    // Nobody takes these answers to a connection: what counts is that the checks were run.
    _ = try scene.outcomes()
    #expect(before.attempt?.isBarred(at: .now()) == true)
  }

  @Test func oneAddressHasAnEighthOfThePlaces() throws {
    let scene = try Scene(threads: 1)
    for i in 0..<128 { #expect(try scene.submit("guess \(i)", from: Self.guesser), "\(i)") }
    #expect(try !scene.submit("guess 128", from: Self.guesser))
    #expect(try scene.submit("secret", from: Self.other))
    #expect([1, 2, 8, 64, 128, 1024].map(Limits.hashQueueShare) == [1, 1, 4, 16, 16, 128])
    scene.pool.finish()
  }
}
