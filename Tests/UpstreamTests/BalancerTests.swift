// Which server a request goes to, and when one gets none.

import Primitives
import Testing

@testable import Upstream

@Suite struct BalancerTests {
  private static func group(_ weights: [Int], _ balance: UpstreamGroup.Balance, _ change: (inout UpstreamGroup) -> Void = { _ in }) -> UpstreamGroup {
    var group = UpstreamGroup(
      name: "several",
      members: weights.enumerated().map { i, weight in
        var member = UpstreamMember(UpstreamOptions(name: "several", scheme: .http, address: .host("10.0.0.\(i + 1)", port: 80)))
        member.weight = weight
        return member
      })
    group.balance = balance
    change(&group)
    return group
  }

  private static func second(_ n: UInt64) -> Instant { Instant(nanoseconds: n * 1_000_000_000) }

  /// Who is chosen, as an index.
  private func choose(_ balancer: Balancer, _ key: UInt64? = nil, at now: Instant = second(1)) -> Int? {
    balancer.choose(key, at: now)?.pool.member?.index
  }

  @Test func byWeightTheyAreMixed() {
    let group = Self.group([5, 1, 1], .roundRobin)
    let balancer = Balancer(group, GroupState(group), seed: 1)
    let chosen = (0..<700).compactMap { _ in choose(balancer) }
    #expect((0..<3).map { i in chosen.count { $0 == i } } == [500, 100, 100])
    // Never the first five times in a row but where one round ends and the next begins.
    let runs = chosen.split { $0 != 0 }.map(\.count)
    #expect((runs.max() ?? 0) <= 4)
  }

  @Test func oneServerIsNotLookedAt() {
    let group = Self.group([1], .roundRobin)
    let balancer = Balancer(group, GroupState(group), seed: 1)
    #expect(balancer.only != nil && balancer.choose(nil, at: Self.second(1))?.pool === balancer.only && balancer.only?.member == nil)
  }

  @Test func theLeastUsedForItsWeightIsNext() {
    let group = Self.group([1, 2], .leastConnections)
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 1)
    var given = [0, 0]
    for _ in 0..<30 {
      let i = choose(balancer)!
      state.members[i].begin()
      given[i] += 1
    }
    #expect(given == [10, 20])
    for _ in 0..<10 { state.members[0].end() }
    #expect((0..<5).allSatisfy { _ in choose(balancer) == 0 })
  }

  @Test func ofTwoDrawnTheLessUsedIsNext() {
    let group = Self.group([1, 1, 1], .randomTwo)
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 7)
    var given = [0, 0, 0]
    for _ in 0..<3000 { given[choose(balancer)!] += 1 }
    #expect(given.allSatisfy { (900...1100).contains($0) }, "\(given)")
    // The busiest of three is never the better of two.
    for _ in 0..<5 { state.members[1].begin() }
    #expect((0..<300).allSatisfy { _ in choose(balancer) != 1 })
  }

  @Test func keysAreSharedOutByWeightAndStay() {
    let group = Self.group([1, 1, 2], .hash(.client))
    let balancer = Balancer(group, GroupState(group), seed: 1)
    let keys = (0..<8000).map { HashValue.of(high: 0, low: UInt64($0)) }
    let owners = keys.map { choose(balancer, $0)! }
    let counts = (0..<3).map { i in owners.count { $0 == i } }
    #expect((1800...2200).contains(counts[0]) && (1800...2200).contains(counts[1]) && (3700...4300).contains(counts[2]), "\(counts)")
    // Another process, with one server more: who moves, moves to it.
    let wider = Self.group([1, 1, 2, 1], .hash(.client))
    let other = Balancer(wider, GroupState(wider), seed: 99)
    let moved = zip(keys, owners).filter { choose(other, $0.0) != $0.1 }
    #expect(moved.allSatisfy { choose(other, $0.0) == 3 } && (1400...1800).contains(moved.count), "\(moved.count)")
  }

  @Test func failuresInARowArePausesThatGrow() {
    let state = MemberState(place: "http://10.0.0.1:80")
    let ejection = UpstreamGroup.Ejection(failures: 3, pause: .seconds(10))
    func fail(_ n: UInt64) -> Interval? { state.failed(at: Self.second(n), ejection) { true } }
    #expect(fail(1) == nil && fail(1) == nil && !state.succeeded(at: Self.second(1)))
    #expect(fail(2) == nil && fail(2) == nil && fail(2) == .seconds(10))
    #expect(state.standing(at: Self.second(3)) == .out(until: Self.second(12)))
    // What was asked before is no news, good or bad.
    #expect(fail(3) == nil && !state.succeeded(at: Self.second(3)) && !state.beginTrial(at: Self.second(11)))
    #expect(state.standing(at: Self.second(12)) == .isTried && state.beginTrial(at: Self.second(12)))
    #expect(!state.beginTrial(at: Self.second(12)))
    #expect(fail(13) == .seconds(20))
    state.endTrial()
    #expect(!state.beginTrial(at: Self.second(32)) && state.beginTrial(at: Self.second(33)))
    #expect(state.succeeded(at: Self.second(33)) && state.standing(at: Self.second(33)) == .serves)
    // From the beginning.
    #expect(fail(40) == nil && fail(40) == nil && fail(40) == .seconds(10))
  }

  @Test func pausesEndAtThirtyTwoTimesTheFirst() {
    let state = MemberState(place: "http://10.0.0.1:80")
    let ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(1))
    var now = Self.second(1)
    var pauses: [UInt64] = []
    for _ in 0..<9 {
      let pause = state.failed(at: now, ejection) { true }
      pauses.append((pause?.nanoseconds ?? 0) / 1_000_000_000)
      now = now.advanced(by: pause ?? .seconds(0))
    }
    #expect(pauses == [1, 2, 4, 8, 16, 32, 32, 32, 32])
  }

  @Test func theLastIsKept() {
    let group = Self.group([1, 1], .roundRobin) { $0.ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(10)) }
    let state = GroupState(group)
    func fail(_ i: Int) -> Interval? {
      state.members[i].failed(at: Self.second(1), group.ejection!) { state.hasAnother(than: state.members[i]) }
    }
    #expect(fail(0) == .seconds(10) && fail(1) == nil && fail(1) == nil)
    let balancer = Balancer(group, state, seed: 1)
    #expect((0..<10).allSatisfy { _ in choose(balancer) == 1 })
    // One request decides, and only one.
    #expect(balancer.choose(nil, at: Self.second(11))?.isTrial == true)
    #expect(balancer.choose(nil, at: Self.second(11))?.isTrial == false)
  }

  /// Two workers may eject the last two at the same moment.
  @Test func whereAllAreOutAllAreAsked() {
    let group = Self.group([1, 1], .roundRobin)
    let state = GroupState(group)
    for member in state.members { _ = member.failed(at: Self.second(1), UpstreamGroup.Ejection(failures: 1, pause: .seconds(10))) { true } }
    let balancer = Balancer(group, state, seed: 1)
    #expect(Set((0..<4).compactMap { _ in choose(balancer, at: Self.second(2)) }) == [0, 1])
  }

  @Test func whoIsFullGetsNone() {
    let group = Self.group([1, 1], .roundRobin) {
      $0.members[0].maxConnections = 2
      $0.members[1].isBackup = true
      $0.members[1].maxConnections = 1
    }
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 1)
    var chosen: [Int?] = []
    for _ in 0..<4 {
      let i = choose(balancer)
      if let i { state.members[i].begin() }
      chosen.append(i)
    }
    #expect(chosen == [0, 0, 1, nil])
    state.members[0].end()
    #expect(choose(balancer) == 0)
  }

  @Test func whoHasFailedItIsNotAskedAgain() {
    let group = Self.group([1, 1, 1], .roundRobin)
    let balancer = Balancer(group, GroupState(group), seed: 1)
    func again(_ tried: TriedMembers) -> Int? { balancer.chooseAgain(nil, at: Self.second(1), tried: tried)?.pool.member?.index }
    #expect(Set((0..<20).compactMap { _ in again([0]) }) == [1, 2])
    #expect(Set((0..<20).compactMap { _ in again([0, 2]) }) == [1])
    #expect(again([0, 1, 2]) == nil)
    // What stands in none of the 64 bits is not remembered.
    #expect(again([64]) != nil)
  }

  /// A tenth in the long run, and as many at once as may be under way when a server goes.
  @Test func retriesHaveABudget() {
    let group = Self.group([1, 1], .roundRobin)
    let balancer = Balancer(group, GroupState(group), seed: 1)
    func again() -> Bool { balancer.chooseAgain(nil, at: Self.second(1), tried: [0]) != nil }
    #expect((0..<600).count { _ in again() } == 512)
    for _ in 0..<100 { _ = choose(balancer) }
    #expect((0..<100).count { _ in again() } == 10)
  }

  /// Who was out when a reload said `eject off` would else be tried by every request, and never judged.
  @Test func withoutEjectionNobodyIsOut() {
    var group = Self.group([1, 1], .roundRobin)
    let before = GroupState(group)
    _ = before.members[0].failed(at: Self.second(1), UpstreamGroup.Ejection(failures: 1, pause: .seconds(10))) { true }
    group.ejection = nil
    let balancer = Balancer(group, GroupState(group, after: before), seed: 1)
    for now in [Self.second(2), Self.second(20)] {
      let choices = (0..<10).compactMap { _ in balancer.choose(nil, at: now) }
      #expect(choices.count == 10 && choices.allSatisfy { !$0.isTrial } && choices.count { $0.pool.member?.index == 0 } == 5)
    }
  }

  @Test func aReloadKeepsWhatIsKnownOfWhoIsStillThere() {
    let group = Self.group([1, 1, 1], .roundRobin)
    let before = GroupState(group)
    before.members[1].begin()
    var fresh = group
    fresh.members.removeFirst()
    let after = GroupState(fresh, after: before)
    #expect(after.members[0] === before.members[1] && after.members[1] === before.members[2] && after.members[0].inUse == 1)
  }
}
