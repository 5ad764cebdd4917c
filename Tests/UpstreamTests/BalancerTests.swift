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

  fileprivate static func second(_ n: UInt64) -> Instant { Instant(nanoseconds: n * 1_000_000_000) }

  /// Who is chosen, as an index; the place there is given back at once.
  private func choose(_ balancer: Balancer, _ key: UInt64? = nil, at now: Instant = second(1)) -> Int? {
    let choice = balancer.choose(key, isReplayable: true, at: now)
    choice?.pool.running -= 1
    choice?.pool.member?.state.giveBack()
    return choice?.pool.member?.index
  }

  private func fill(_ state: MemberState, _ count: Int = 1) {
    for _ in 0..<count { _ = state.take(atMost: .max) }
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
    #expect(balancer.only != nil && balancer.choose(nil, isReplayable: true, at: Self.second(1))?.pool === balancer.only && balancer.only?.member == nil)
  }

  @Test func theLeastUsedForItsWeightIsNext() {
    let group = Self.group([1, 2], .leastConnections)
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 1)
    var given = [0, 0]
    for _ in 0..<30 {
      let i = choose(balancer)!
      fill(state.members[i])
      given[i] += 1
    }
    #expect(given == [10, 20])
    for _ in 0..<10 { state.members[0].giveBack() }
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
    fill(state.members[1], 5)
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

  /// One server, and requests that begin and end when the test says.
  private struct Server {
    let state = MemberState(place: "http://10.0.0.1:80")
    var ejection = UpstreamGroup.Ejection(failures: 3, pause: .seconds(10))

    func fail(_ n: UInt64, begun: UInt64? = nil, decides: Bool = false) -> Interval? {
      state.failed(begun: second(begun ?? n), decides: decides, at: second(n), ejection, "why") { true }
    }

    /// A request that is answered to the end. Whether the server is back by it.
    func serve(_ n: UInt64, begun: UInt64? = nil, decides: Bool = false) -> Bool {
      let begun = second(begun ?? n)
      let isBack = decides && state.answered(begun: begun, at: second(n))
      if decides { state.endTrial() }
      state.served(begun: begun)
      return isBack
    }
  }

  @Test func failuresInARowArePausesThatGrow() {
    let server = Server()
    let state = server.state
    #expect(server.fail(1) == nil && server.fail(1) == nil && !server.serve(1))
    #expect(server.fail(2) == nil && server.fail(2) == nil && server.fail(2) == .seconds(10))
    #expect(state.standing(at: Self.second(3)) == .out(until: Self.second(12)) && state.lastReason == "why")
    // What was asked before is no news, good or bad.
    #expect(server.fail(3, begun: 1) == nil && !server.serve(3, begun: 1) && !state.beginTrial(at: Self.second(11)))
    #expect(state.standing(at: Self.second(12)) == .isTried && state.beginTrial(at: Self.second(12)))
    #expect(!state.beginTrial(at: Self.second(12)))
    // Also when its time is over, while another decides.
    #expect(server.fail(12, begun: 1) == nil && !server.serve(12, begun: 1) && state.standing(at: Self.second(12)) == .isTried)
    #expect(server.fail(13, decides: true) == .seconds(20))
    state.endTrial()
    #expect(!state.beginTrial(at: Self.second(32)) && state.beginTrial(at: Self.second(33)))
    #expect(server.serve(34, begun: 33, decides: true) && state.standing(at: Self.second(34)) == .serves)
    // What failed before it was out, and is heard of only now, does not put it out again.
    #expect((0..<9).allSatisfy { _ in server.fail(35, begun: 1) == nil })
    // From the beginning.
    #expect(server.fail(40) == nil && server.fail(40) == nil && server.fail(40) == .seconds(10))
  }

  /// Its head let it back; but its answers break off.
  @Test func whoBreaksOffStaysOutLonger() {
    var server = Server()
    server.ejection.failures = 1
    #expect(server.fail(1) == .seconds(10) && server.state.beginTrial(at: Self.second(11)))
    #expect(server.state.answered(begun: Self.second(11), at: Self.second(12)))
    server.state.endTrial()
    #expect(server.fail(13) == .seconds(20) && server.state.beginTrial(at: Self.second(33)))
    // Whole answers in between: from the beginning.
    #expect(server.serve(33, decides: true) && server.fail(34) == .seconds(10))
  }

  @Test func aTrialWithoutVerdictWaitsAnew() {
    let server = Server()
    for _ in 0..<3 { _ = server.fail(1) }
    #expect(server.state.beginTrial(at: Self.second(11)))
    server.state.postpone(at: Self.second(15), server.ejection)
    server.state.endTrial()
    #expect(server.state.standing(at: Self.second(15)) == .out(until: Self.second(25)))
    #expect(!server.state.beginTrial(at: Self.second(24)) && server.state.beginTrial(at: Self.second(25)))
  }

  @Test func pausesEndAtThirtyTwoTimesTheFirst() {
    var server = Server()
    server.ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(1))
    var now: UInt64 = 1
    var pauses: [UInt64] = []
    for _ in 0..<9 {
      let pause = (server.fail(now, decides: true)?.nanoseconds ?? 0) / 1_000_000_000
      pauses.append(pause)
      now += pause
    }
    #expect(pauses == [1, 2, 4, 8, 16, 32, 32, 32, 32])
  }

  /// Ejects a server for ten seconds, at the first.
  private func eject(_ state: GroupState, _ i: Int) -> Interval? {
    let ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(10))
    return state.members[i].failed(begun: Self.second(1), decides: false, at: Self.second(1), ejection, "why") { state.mayEject(state.members[i]) }
  }

  private static func atOnce(_ group: inout UpstreamGroup) { group.ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(10)) }

  @Test func theLastIsKept() {
    let group = Self.group([1, 1], .roundRobin, Self.atOnce)
    let state = GroupState(group)
    #expect(eject(state, 0) == .seconds(10) && eject(state, 1) == nil && eject(state, 1) == nil)
    let balancer = Balancer(group, state, seed: 1)
    #expect((0..<10).allSatisfy { _ in choose(balancer) == 1 })
    // One request decides, and only one.
    #expect(balancer.choose(nil, isReplayable: true, at: Self.second(11))?.trial == .alone)
    #expect(balancer.choose(nil, isReplayable: true, at: Self.second(11))?.trial == Balancer.Trial.none)
  }

  @Test func theLastGoesWhereTheOperatorSaysSo() {
    let group = Self.group([1], .roundRobin) { $0.ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(10), takesLast: true) }
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 1)
    #expect(choose(balancer) == 0 && eject(state, 0) == .seconds(10) && choose(balancer, at: Self.second(2)) == nil && !balancer.isFull())
    #expect(balancer.nextTrial == Self.second(11) && balancer.choose(nil, isReplayable: false, at: Self.second(11)) == nil)
    #expect(balancer.choose(nil, isReplayable: true, at: Self.second(11))?.trial == .alone && choose(balancer, at: Self.second(11)) == nil)
  }

  /// A request that can't be sent again is not risked where another server would take it.
  @Test func whatCannotBeRepeatedTriesNobody() {
    let group = Self.group([1, 1], .roundRobin, Self.atOnce)
    let state = GroupState(group)
    _ = eject(state, 0)
    let balancer = Balancer(group, state, seed: 1)
    #expect((0..<5).allSatisfy { _ in balancer.choose(nil, isReplayable: false, at: Self.second(11))?.trial == Balancer.Trial.none })
    #expect(balancer.choose(nil, isReplayable: true, at: Self.second(11))?.trial == .alone)
    state.members[0].endTrial()
    // But where nobody else does for as long again, it is one of those: else it would be out for ever.
    #expect(balancer.choose(nil, isReplayable: false, at: Self.second(20))?.trial == Balancer.Trial.none)
    #expect(balancer.choose(nil, isReplayable: false, at: Self.second(21))?.trial == .alone)
  }

  /// Its client drips, and the next one decides instead.
  @Test func aTrialHasItsTime() {
    let group = Self.group([1, 1], .roundRobin, Self.atOnce)
    let state = GroupState(group)
    _ = eject(state, 0)
    let balancer = Balancer(group, state, seed: 1)
    func tries(_ n: UInt64) -> Bool { balancer.choose(nil, isReplayable: true, at: Self.second(n))?.trial == .alone }
    #expect(tries(11) && !tries(12) && !tries(20) && tries(21) && !tries(22))
  }

  /// It was sent when all were out, and the server has failed others since.
  @Test func anAnswerToWhatWasAskedBeforeBringsNobodyBack() {
    let server = Server()
    for _ in 0..<3 { _ = server.fail(5) }
    #expect(!server.state.answered(begun: Self.second(4), at: Self.second(20)) && !server.state.serves)
    #expect(server.state.answered(begun: Self.second(6), at: Self.second(20)) && server.state.serves)
  }

  @Test func aBackupThatNobodyNeedsIsNotTried() {
    let group = Self.group([1, 1], .roundRobin) {
      Self.atOnce(&$0)
      $0.members[1].isBackup = true
      $0.members[0].maxConnections = 1
    }
    let state = GroupState(group)
    _ = eject(state, 1)
    let balancer = Balancer(group, state, seed: 1)
    #expect(choose(balancer, at: Self.second(11)) == 0)
    fill(state.members[0])
    #expect(balancer.choose(nil, isReplayable: true, at: Self.second(11))?.trial == .alone)
  }

  /// Others' sessions are not known there.
  @Test func aKeyTriesItsOwnServerAlone() {
    let group = Self.group([1, 1], .hash(.user), Self.atOnce)
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 1)
    let keys = (0..<20).map { HashValue.of(high: 0, low: UInt64($0)) }
    let owners = keys.map { choose(balancer, $0)! }
    _ = eject(state, 0)
    for (key, owner) in zip(keys, owners) {
      let choice = balancer.choose(key, isReplayable: true, at: Self.second(11))
      #expect(choice?.pool.member?.index == owner && choice?.trial == (owner == 0 ? .alone : Balancer.Trial.none))
      if choice?.trial == .alone { state.members[0].endTrial() }
    }
  }

  @Test func placesAreTakenOneByOne() async {
    let state = MemberState(place: "http://10.0.0.1:80")
    let taken = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<4 { group.addTask { (0..<1000).count { _ in state.take(atMost: 1500) } } }
      return await group.reduce(0, +)
    }
    #expect(taken == 1500 && state.inUse == 1500)
  }

  @Test func whoComesBackGetsEverMore() {
    let group = Self.group([1, 1], .roundRobin) {
      Self.atOnce(&$0)
      $0.slowStart = .seconds(100)
    }
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 1)
    func share(at n: UInt64) -> Int { (0..<1000).count { _ in choose(balancer, at: Self.second(n)) == 0 } }
    #expect(share(at: 1) == 500)
    _ = eject(state, 0)
    #expect(state.members[0].beginTrial(at: Self.second(11)) && state.members[0].answered(begun: Self.second(11), at: Self.second(11)))
    state.members[0].endTrial()
    #expect(share(at: 12) < 15 && (80...100).contains(share(at: 21)) && (320...345).contains(share(at: 61)) && (499...501).contains(share(at: 111)))
  }

  @Test func whomAHealthCheckFindsUnwellNobodyAsks() {
    let group = Self.group([1, 1], .roundRobin) { $0.health = HealthCheck(.get, "/") }
    let state = GroupState(group)
    let balancer = Balancer(group, state, seed: 1)
    #expect(state.members[0].isFound(unwell: "why") && !state.members[0].isFound(unwell: "why") && balancer.isFull())
    #expect((0..<10).allSatisfy { _ in choose(balancer, at: Self.second(2)) == 1 })
    // Not even where all are: no request is to be the one that finds out.
    #expect(state.members[1].isFound(unwell: "why") && choose(balancer, at: Self.second(1000)) == nil && !balancer.isFull())
    #expect(state.members[1].isFoundWell(at: Self.second(3)) && !state.members[1].isFoundWell(at: Self.second(3)))
    #expect(choose(balancer, at: Self.second(3)) == 1)
    // Who was ejected comes back by a check, when his time is over.
    #expect(state.members[0].isFoundWell(at: Self.second(4)))
    let ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(10))
    #expect(state.members[1].failed(begun: Self.second(5), decides: false, at: Self.second(5), ejection, "why") { true } == .seconds(10))
    #expect(!state.members[1].isFoundWell(at: Self.second(14)) && (0..<4).allSatisfy { _ in choose(balancer, at: Self.second(15)) == 0 })
    #expect(state.members[1].isFoundWell(at: Self.second(15)) && Set((0..<4).map { _ in choose(balancer, at: Self.second(15)) }) == [0, 1])
    // A reload without checks.
    _ = state.members[0].isFound(unwell: "why")
    var unchecked = group
    unchecked.health = nil
    let after = GroupState(unchecked, after: state)
    #expect(after.members[0].serves)
  }

  @Test func checksInARowDecide() {
    var check = HealthCheck(.get, "/")
    check.fall = 3
    check.rise = 2
    var record = HealthCheck.Record()
    let said = [true, false, false, true, false, false, false, false, true, false, true, true, false]
    let news = said.map { record.note($0, check) }
    #expect(news == [false, false, false, false, false, false, true, false, false, false, false, true, false])
    // The first decides alone.
    var fresh = HealthCheck.Record()
    #expect(fresh.note(false, check) && !fresh.isWell)
  }

  /// Two workers may eject the last two at the same moment.
  @Test func whereAllAreOutAllAreAsked() {
    let group = Self.group([1, 1], .roundRobin)
    let state = GroupState(group)
    let ejection = UpstreamGroup.Ejection(failures: 1, pause: .seconds(10))
    for member in state.members { _ = member.failed(begun: Self.second(1), decides: false, at: Self.second(1), ejection, "why") { true } }
    let balancer = Balancer(group, state, seed: 1)
    #expect(balancer.choose(nil, isReplayable: true, at: Self.second(2))?.trial == .oneOfMany)
    #expect(Set((0..<4).compactMap { _ in choose(balancer, at: Self.second(2)) }) == [0, 1])
  }

  /// One was out when the other, the last, went: whoever was out may be back.
  @Test func whomTheLastFailsMayFindOneThatIsOut() {
    let group = Self.group([1, 1], .roundRobin, Self.atOnce)
    let state = GroupState(group)
    _ = eject(state, 0)
    let balancer = Balancer(group, state, seed: 1)
    let choice = balancer.chooseAgain(nil, at: Self.second(2), tried: [1])
    #expect(choice?.pool.member?.index == 0 && choice?.trial == .oneOfMany)
    #expect(state.members[0].answered(begun: Self.second(2), at: Self.second(2)) && choose(balancer, at: Self.second(2)) != nil)
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
      if let i { fill(state.members[i]) }
      chosen.append(i)
    }
    #expect(chosen == [0, 0, 1, nil])
    state.members[0].giveBack()
    #expect(choose(balancer) == 0)
  }

  @Test func whoHasFailedItIsNotAskedAgain() {
    let group = Self.group([1, 1, 1], .roundRobin)
    let balancer = Balancer(group, GroupState(group), seed: 1)
    func again(_ tried: TriedMembers) -> Int? { balancer.chooseAgain(nil, at: Self.second(1), tried: tried)?.pool.member?.index }
    #expect(Set((0..<20).compactMap { _ in again([0]) }) == [1, 2])
    #expect(Set((0..<20).compactMap { _ in again([0, 2]) }) == [1])
    #expect(again([0, 1, 2]) == nil)
    // The last that there can be.
    #expect(again([0, 1, UpstreamGroup.mostMembers - 1]) == 2)
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
    _ = eject(before, 0)
    group.ejection = nil
    let balancer = Balancer(group, GroupState(group, after: before), seed: 1)
    for now in [Self.second(2), Self.second(20)] {
      let choices = (0..<10).compactMap { _ in balancer.choose(nil, isReplayable: true, at: now) }
      #expect(choices.count == 10 && choices.allSatisfy { $0.trial == .none } && choices.count { $0.pool.member?.index == 0 } == 5)
    }
  }

  @Test func aReloadKeepsWhatIsKnownOfWhoIsStillThere() {
    let group = Self.group([1, 1, 1], .roundRobin)
    let before = GroupState(group)
    fill(before.members[1])
    var fresh = group
    fresh.members.removeFirst()
    let after = GroupState(fresh, after: before)
    #expect(after.members[0] === before.members[1] && after.members[1] === before.members[2] && after.members[0].inUse == 1)
  }
}

private func second(_ n: UInt64) -> Instant { BalancerTests.second(n) }
