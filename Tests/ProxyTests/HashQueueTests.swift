// Who waits for a password check when there are more than places: shares, displacement, and those who leave.

import Auth
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct HashQueueTests {
  /// A queue and a way to put guesses into it.
  private final class Scene {
    var queue: HashQueue
    private let mailbox: Mailbox<WorkerMessage>
    private let gatekeeper: Gatekeeper
    /// Where each guess stood last.
    private(set) var places: [String: HashQueue.Place] = [:]

    init(capacity: Int) throws {
      queue = HashQueue(capacity: capacity)
      mailbox = try Mailbox()
      gatekeeper = try People.gatekeeper()
    }

    func check(_ password: String) throws -> PasswordCheck { try People.check("slow", password, gatekeeper) }

    /// What became of it: "in", "joined", "refused", or the serial of whose place it got.
    func enter(_ password: String, from address: UInt64, serial: UInt64 = 0) throws -> String {
      let waiter = HashPool.Waiter(mailbox: mailbox, connection: SlotToken(slot: 0, generation: 0), serial: serial)
      switch queue.enter(try check(password), address: address, waiter, expiry: .distantFuture) {
      case .joined(let place):
        places[password] = place
        return "joined"
      case .refused:
        return "refused"
      case .queued(let place, let displaced):
        places[password] = place
        return displaced.map { "instead of \($0.waiters.map(\.serial))" } ?? "in"
      }
    }

    /// One of those who asked for this guess leaves.
    func leave(_ password: String) {
      if let place = places[password] { queue.leave(place) }
    }

    /// The serials of those whose checks are run, in order, each finished before the next.
    func served() -> [UInt64] {
      var serials: [UInt64] = []
      while let job = queue.takeNext() { serials += queue.finish(job.check.key)?.waiters.map(\.serial) ?? [] }
      return serials
    }
  }

  @Test func twoAddressesFullOfGuessesKeepNobodyOut() throws {
    let scene = try Scene(capacity: 8)
    for i in 1...4 {
      #expect(try scene.enter("one \(i)", from: 1, serial: UInt64(10 + i)) == "in")
      #expect(try scene.enter("two \(i)", from: 2, serial: UInt64(20 + i)) == "in")
    }
    #expect(try scene.enter("one more", from: 1) == "refused")
    let mine = try scene.enter("mine", from: 3, serial: 31)
    #expect(mine == "instead of [14]" || mine == "instead of [24]", "the newest of the longest line gives way: \(mine)")
    // Third in turn, not ninth.
    #expect(scene.served().firstIndex(of: 31) == 2)
  }

  @Test func equalSharesDisplaceNobody() throws {
    let scene = try Scene(capacity: 4)
    for address in 1...4 { #expect(try scene.enter("guess", from: UInt64(address)) == (address == 1 ? "in" : "joined")) }
    for address in 1...3 { #expect(try scene.enter("guess \(address)", from: UInt64(address + 10)) == "in") }
    #expect(try scene.enter("late", from: 99) == "refused")
    // One with a single place less than the longest gains nothing by changing.
    let other = try Scene(capacity: 4)
    for (i, address) in [1, 1, 2, 2].enumerated() { #expect(try other.enter("\(i)", from: UInt64(address)) == "in") }
    #expect(try other.enter("a", from: 3).hasPrefix("instead"))
    #expect(try other.enter("b", from: 3) == "refused")
  }

  @Test func checkThatNobodyWaitsForIsNotRun() throws {
    let scene = try Scene(capacity: 2)
    #expect(try scene.enter("one", from: 1, serial: 1) == "in")
    #expect(try scene.enter("two", from: 2, serial: 2) == "in")
    #expect(try scene.enter("one", from: 3, serial: 3) == "joined")
    scene.leave("one")
    scene.leave("two")
    // One of two who wait for the first is still there; the second's place is free at once.
    #expect(try scene.enter("four", from: 4, serial: 4) == "in")
    #expect(try scene.enter("five", from: 5, serial: 5) == "refused")
    #expect(scene.served() == [1, 3, 4])
  }

  @Test func checkThatRunsIsNotTakenBack() throws {
    let scene = try Scene(capacity: 2)
    #expect(try scene.enter("one", from: 1, serial: 1) == "in")
    let next = scene.queue.takeNext()
    let job = try #require(next)
    scene.leave("one")
    #expect(try scene.enter("one", from: 1, serial: 2) == "joined")
    #expect(scene.queue.finish(job.check.key)?.waiters.map(\.serial) == [1, 2])
    #expect(scene.queue.takeNext() == nil)
  }

  @Test func whoWasAnsweredAndLeavesTakesNoOthersCheckAlong() throws {
    let scene = try Scene(capacity: 2)
    #expect(try scene.enter("one", from: 1, serial: 1) == "in")
    let old = try #require(scene.places["one"])
    #expect(scene.served() == [1])
    // The first hangs up before he has heard his answer; meanwhile another asks the same.
    #expect(try scene.enter("one", from: 2, serial: 2) == "in")
    scene.queue.leave(old)
    #expect(scene.served() == [2], "the second would wait for ever")
  }

  @Test func comingAndGoingChangesNoShare() throws {
    let scene = try Scene(capacity: 4)
    for i in 0..<1000 {
      #expect(try scene.enter("same", from: 1) == "in")
      #expect(try scene.enter("other", from: 1) == "in")
      scene.leave(i % 2 == 0 ? "same" : "other")
      scene.leave(i % 2 == 0 ? "other" : "same")
    }
    #expect(try scene.enter("a", from: 1, serial: 11) == "in")
    #expect(try scene.enter("b", from: 1, serial: 12) == "in")
    #expect(try scene.enter("c", from: 2, serial: 21) == "in")
    #expect(scene.served() == [11, 21, 12])
  }

  @Test func aLongRandomStoryKeepsItsBooks() throws {
    let scene = try Scene(capacity: 16)
    var random = SystemRandomNumberGenerator()
    var waiting: [String: UInt64] = [:]
    for step in 0..<3000 {
      let name = "guess \(Int.random(in: 0..<40, using: &random))"
      switch Int.random(in: 0..<4, using: &random) {
      case 0, 1:
        let before = waiting.count
        let address = UInt64.random(in: 1...6, using: &random)
        let found = try scene.enter(name, from: address, serial: UInt64(step))
        #expect((found == "joined") == (waiting[name] != nil))
        if found == "in" { #expect(before < 16) }
        // Who was displaced is not followed here: start anew.
        if found.hasPrefix("instead") {
          #expect(before == 16)
          while let job = scene.queue.takeNext() { _ = scene.queue.finish(job.check.key) }
          waiting = [:]
        } else if found == "in" {
          waiting[name] = 1
        } else if found == "joined" {
          waiting[name, default: 0] += 1
        }
      case 2:
        guard let count = waiting[name] else { continue }
        scene.leave(name)
        waiting[name] = count > 1 ? count - 1 : nil
      default:
        let job = scene.queue.takeNext()
        #expect((job == nil) == waiting.isEmpty)
        guard let job else { continue }
        let finished = scene.queue.finish(job.check.key)
        let told = try #require(finished)
        let key = try #require(try waiting.keys.first { try scene.check($0).key == told.check.key })
        waiting[key] = nil
      }
    }
    #expect(scene.queue.takeNext().map { _ in true } == (waiting.isEmpty ? nil : true))
  }
}
