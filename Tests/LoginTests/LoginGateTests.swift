// How often an account's password is tried at a service that may lock the account.

import Primitives
import Testing

@testable import Login

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct LoginGateTests {
  private let alice = bytes("alice")
  private let bob = bytes("bob")
  private let carol = bytes("carol")
  private let dave = bytes("dave")
  private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: (1_000_000 + seconds) * 1_000_000_000) }

  private func isClosed(_ admission: LoginGate.Admission) -> Bool { if case .closed = admission { true } else { false } }

  @Test func anUnprovedAccountIsTriedByOneAtATime() {
    let gate = LoginGate()
    #expect(gate.admit(alice, at: at(0)) == .go && gate.admit(bob, at: at(0)) == .wait)
    gate.ended(alice, .taken, at: at(0))
    for _ in 0..<LoginGate.mostUnderWay { #expect(gate.admit(bob, at: at(0)) == .go) }
    #expect(gate.admit(bob, at: at(0)) == .wait)
    gate.ended(bob, .none, at: at(0))
    #expect(gate.admit(bob, at: at(0)) == .go)
  }

  /// A page that takes minutes is no login that takes minutes.
  @Test func whatTakesLongHoldsUpNobody() {
    let gate = LoginGate()
    #expect(gate.admit(alice, at: at(0)) == .go && gate.admit(bob, at: at(0)) == .wait && gate.patience == .seconds(2))
    gate.leavesPlace()
    #expect(gate.admit(bob, at: at(2)) == .go && gate.admit(carol, at: at(2)) == .wait)
    gate.ended(alice, .taken, holdsPlace: false, at: at(3))
    #expect(gate.patience == .milliseconds(200))
    for _ in 1..<LoginGate.mostUnderWay { #expect(gate.admit(carol, at: at(3)) == .go) }
    #expect(gate.admit(carol, at: at(3)) == .wait)
    // What it has to say counts all the same.
    gate.leavesPlace()
    gate.ended(carol, .refused, holdsPlace: false, at: at(4))
    #expect(isClosed(gate.admit(carol, at: at(4))))
  }

  /// Whoever asks all the time for an hour: as many wrong passwords are sent as these pauses let through, and no more.
  @Test(arguments: [1, 2, 3, 50]) func aWrongPasswordIsSentAFewTimesAnHour(_ users: Int) {
    let gate = LoginGate()
    var tries: [UInt64] = []
    for second in 0..<UInt64(3600) {
      for user in 0..<users where gate.admit(bytes("u\(user)"), at: at(second)) == .go {
        gate.ended(bytes("u\(user)"), .refused, at: at(second))
        tries.append(second)
      }
    }
    let earliest: [UInt64] = users == 1 ? [0, 60, 360, 1260, 3060] : [0, 0, 60, 360, 1260, 3060]
    #expect(tries.count <= earliest.count && zip(tries, earliest).allSatisfy { $0 >= $1 }, "\(tries)")
    // Where there are always others who have not tried it, nobody waits for longer than that.
    if users == 1 || users == 50 { #expect(tries == earliest) }
  }

  /// A line of the accounts' file that has not learned of the new password is none the better for those that have.
  @Test func anothersPasswordProvesNothingOfMine() {
    let gates = LoginGates()
    let (right, stale, other) = (gates.gate(of: alice), gates.gate(of: alice), gates.gate(of: bob))
    #expect(right.admit(alice, at: at(0)) == .go && stale.admit(bob, at: at(0)) == .wait && other.admit(bob, at: at(0)) == .go)
    right.ended(alice, .taken, at: at(0))
    #expect(right.patience == .milliseconds(200) && stale.patience == .seconds(2))
    // Hung up on before the refusal, for an hour, while she logs in all the time.
    var tries: [UInt64] = []
    for second in 1..<UInt64(3600) {
      #expect(right.admit(alice, at: at(second)) == .go)
      right.ended(alice, .taken, at: at(second))
      while stale.admit(bob, at: at(second)) == .go {
        stale.ended(bob, .unheard, at: at(second))
        tries.append(second)
      }
    }
    #expect(tries == [1, 1, 1, 61, 361, 1261, 3061])
    // Once it is the right one it is like any other.
    #expect(stale.admit(bob, at: at(10_000)) == .go)
    stale.ended(bob, .taken, at: at(10_000))
    for _ in 0..<10 {
      #expect(stale.admit(bob, at: at(10_001)) == .go)
      stale.ended(bob, .unheard, at: at(10_001))
    }
    // What closes it closes it to all.
    for user in [alice, bob] {
      #expect(right.admit(user, at: at(10_002)) == .go)
      right.ended(user, .refused, at: at(10_002))
    }
    #expect(isClosed(right.admit(carol, at: at(10_003))) && isClosed(stale.admit(carol, at: at(10_003))) && stale.patience == .seconds(2))
  }

  /// Whoever hangs up before the refusal comes has no wrong password tried without end, and where the account is proved it is no matter.
  @Test func whoHangsUpTriesNoMoreOften() {
    let gate = LoginGate()
    for _ in 0..<LoginGate.mostUnheard {
      #expect(gate.admit(alice, at: at(0)) == .go)
      gate.ended(alice, .unheard, at: at(0))
    }
    #expect(gate.admit(bob, at: at(59)) == .closed(until: at(60)) && gate.admit(bob, at: at(60)) == .go)
    gate.ended(bob, .taken, at: at(60))
    for _ in 0..<10 {
      #expect(gate.admit(alice, at: at(61)) == .go)
      gate.ended(alice, .unheard, at: at(61))
    }
    #expect(gate.admit(bob, at: at(61)) == .go)
  }

  /// What the account may not see is answered with 401 as well: that takes it from him who asks, and from nobody else.
  @Test func oneUserClosesItToHimselfAlone() {
    let gate = LoginGate()
    #expect(gate.admit(bob, at: at(0)) == .go)
    gate.ended(bob, .taken, at: at(0))
    for second in stride(from: UInt64(1), to: 500, by: 100) {
      #expect(gate.admit(alice, at: at(second)) == .go)
      gate.ended(alice, .refused, at: at(second))
      #expect(isClosed(gate.admit(alice, at: at(second + 1))) && gate.admit(bob, at: at(second + 1)) == .go)
      // That proves the account.
      gate.ended(bob, .taken, at: at(second + 1))
    }
    #expect(gate.admit(alice, at: at(600)) == .go)
  }

  /// One who asks for what the account may not see, all the time, after a second one has met the same once and it was closed to all: he is not the one who
  /// finds it open again, so that all others get through. The same for one who hangs up all the time.
  @Test(arguments: [true, false]) func nobodyKeepsItClosedToAll(_ isRefused: Bool) {
    let gate = LoginGate()
    func spoil(_ user: [UInt8], _ second: UInt64) -> Bool {
      guard gate.admit(user, at: at(second)) == .go else { return false }
      gate.ended(user, isRefused ? .refused : .unheard, at: at(second))
      return true
    }
    #expect(spoil(alice, 0) && spoil(bob, 0) && (isRefused || spoil(alice, 0)))
    var opened: [UInt64] = []
    // Carol comes each ten seconds, and others always before her.
    for second in 1...UInt64(600) where opened.isEmpty {
      for _ in 0..<3 { _ = spoil(alice, second) }
      if second % 10 == 0, gate.admit(carol, at: at(second)) == .go {
        gate.ended(carol, .taken, at: at(second))
        opened.append(second)
      }
    }
    #expect(opened == [60])
    // Who has closed it more often waits longer; where only such are left, they try it all the same.
    let other = LoginGate()
    var tries: [String] = []
    for second in 0...UInt64(700) {
      for (name, user) in [("alice", alice), ("bob", bob)] where other.admit(user, at: at(second)) == .go {
        other.ended(user, .refused, at: at(second))
        tries.append("\(name) \(second)")
      }
    }
    #expect(tries == ["alice 0", "bob 0", "alice 75", "bob 450"])
  }

  /// As many as ask: those who are remembered are few.
  @Test func whoHasClosedItIsRememberedWithinBounds() {
    let gate = LoginGate()
    var second: UInt64 = 0
    for n in 0..<200 {
      second += 2000
      #expect(gate.admit(bytes("u\(n)"), at: at(second)) == .go)
      gate.ended(bytes("u\(n)"), .refused, at: at(second))
    }
    #expect(gate.closersCount == LoginGate.mostClosers)
  }

  /// What is refused before anybody has looked at the login proves nothing.
  @Test func onlyWhatFollowsALoginProvesIt() {
    for status in [101, 200, 204, 302, 304] { #expect(LoginGate.verdict(of: status) == .taken) }
    for status in [400, 403, 404, 407, 413, 414, 431, 500, 502, 503] { #expect(LoginGate.verdict(of: status) == .none) }
    #expect(LoginGate.verdict(of: 401) == .refused)
  }

  /// Whoever of our users an account is for, its wrong passwords count together.
  @Test func triesOfOneAccountCountTogether() throws {
    let text = bytes("alice svc one\nbob CORP\\SVC two\ncarol corp\\Svc one\ndave other one\nerin OTHER\\svc one\n".replacing("\\\\", with: "\\"))
    let scheme = LoginScheme.ntlm(NTLMScope(domain: bytes("CORP")))
    let accounts = try AccountFile.parse(Secret(copying: text.span), scheme)
    func gate(_ user: String) -> ObjectIdentifier? { accounts[bytes(user)]?.gate?.account }
    #expect(gate("alice") != nil && gate("alice") == gate("bob") && gate("bob") == gate("carol"))
    #expect(Set(["alice", "dave", "erin"].map { gate($0) }).count == 3)
  }

  @Test func whatIsUnderWayWhenItClosesDoesNotCloseItTwice() {
    let gate = LoginGate()
    #expect(gate.admit(alice, at: at(0)) == .go)
    gate.ended(alice, .taken, at: at(0))
    for user in [alice, bob, carol, alice] { #expect(gate.admit(user, at: at(1)) == .go) }
    for user in [alice, bob, carol, alice] { gate.ended(user, .refused, at: at(1)) }
    #expect(gate.admit(carol, at: at(2)) == .closed(until: at(61)))
    #expect(gate.admit(carol, at: at(61)) == .go && gate.admit(dave, at: at(61)) == .wait)
    gate.ended(carol, .taken, at: at(61))
    #expect(gate.admit(bob, at: at(61)) == .go)
  }
}
