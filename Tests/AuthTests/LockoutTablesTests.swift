// The tables of the lockout by themselves: the sliding window and its edges, bans that grow, and what a flood can push out.

import Primitives
import Testing

@testable import Auth

@Suite struct LockoutTables {
  private func second(_ n: UInt64) -> Instant { Instant(nanoseconds: 5_000_000_000).advanced(by: .seconds(n)) }
  private var start: Instant { second(0) }

  private func bans(capacity: Int = 1024) -> BanTable { BanTable(filter: BanFilter(), capacity: capacity) }

  /// A key whose row, shard and filter slot differ from its neighbours'.
  private func key(_ n: UInt64) -> UInt64 { (n &+ 1) &* 0x9E37_79B9_7F4A_7C15 }

  @Test func theLastOfTooManyIsTooMany() {
    let counts = FailureCounts(failures: 10, within: .seconds(60), start: start)
    for n in 0..<9 { #expect(!counts.add(7, at: second(UInt64(n)))) }
    #expect(counts.add(7, at: second(9)))
    // And then it begins anew.
    for n in 10..<19 { #expect(!counts.add(7, at: second(UInt64(n)))) }
    #expect(counts.add(7, at: second(19)))
  }

  @Test func whatIsOlderThanTheWindowDoesNotCount() {
    let counts = FailureCounts(failures: 3, within: .seconds(60), start: start)
    #expect(!counts.add(1, at: second(0)))
    #expect(!counts.add(1, at: second(30)))
    // The first is exactly a minute old: outside.
    #expect(!counts.add(1, at: second(60)))
    // The window slides: 30, 60 and 89 are within a minute.
    #expect(counts.add(1, at: second(89)))
    #expect(!counts.add(2, at: second(0)))
    #expect(!counts.add(2, at: second(30)))
    #expect(counts.add(2, at: Instant(nanoseconds: second(60).nanoseconds - 62_500_000)))
  }

  @Test func keysAreCountedApart() {
    let counts = FailureCounts(failures: 2, within: .seconds(60), start: start)
    for n in 0..<200 { #expect(!counts.add(key(UInt64(n)), at: start)) }
    for n in 0..<200 { #expect(counts.add(key(UInt64(n)), at: second(1))) }
  }

  @Test func oneFailureMayBeTooMany() {
    let counts = FailureCounts(failures: 1, within: .seconds(1), start: start)
    #expect(counts.add(1, at: start))
    #expect(counts.add(1, at: start))
  }

  @Test func aClockThatSeemsToGoBackwardsIsSurvived() {
    let counts = FailureCounts(failures: 3, within: .seconds(60), start: start)
    #expect(!counts.add(1, at: second(10)))
    #expect(!counts.add(1, at: second(9)))
    #expect(counts.add(1, at: Instant(nanoseconds: 0)))
  }

  @Test func theLeastRecentlyFailedGoesFirst() {
    // One row of eight places in each of sixteen shards; keys that end in 0 share one.
    let counts = FailureCounts(failures: 2, within: .seconds(600), start: start, capacity: 128)
    for n in 0..<8 { #expect(!counts.add(UInt64(n) << 4, at: second(UInt64(n)))) }
    // The ninth takes the place of the first, not of the second.
    #expect(!counts.add(8 << 4, at: second(8)))
    #expect(counts.add(1 << 4, at: second(9)))
    #expect(!counts.add(0, at: second(10)))
  }

  @Test func clearedFailuresAreForgotten() {
    let counts = FailureCounts(failures: 2, within: .seconds(60), start: start)
    #expect(!counts.add(1, at: start))
    counts.clear(1)
    counts.clear(2)
    #expect(!counts.add(1, at: start))
    #expect(counts.add(1, at: start))
  }

  @Test func bansGrowAndAreForgottenAfterAQuietDay() {
    let table = bans()
    var now = second(0)
    var lengths: [UInt64] = []
    for _ in 0..<10 {
      let length = table.impose(9, .ipv4(1), user: nil, first: .seconds(600), at: now)
      #expect(table.impose(9, .ipv4(1), user: nil, first: .seconds(600), at: now) == nil, "it is banned already")
      lengths.append((length?.nanoseconds ?? 0) / 1_000_000_000)
      now = now.advanced(by: length ?? .seconds(0))
      #expect(table.remaining(9, at: now) == nil && table.remaining(9, at: Instant(nanoseconds: now.nanoseconds - 1)) == 1)
    }
    #expect(lengths == [600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400, 86_400])
    now = now.advanced(by: .seconds(86_400))
    #expect(table.impose(9, .ipv4(1), user: nil, first: .seconds(600), at: now) == .seconds(600))
    #expect(BanTable.length(of: 60, first: .seconds(100_000)) == .seconds(100_000))
  }

  @Test func aFloodOfNewBansEndsTheOneThatEndsFirst() {
    let table = bans(capacity: 64)
    // Four places a shard; all of these share one.
    for n in UInt64(0)..<4 { #expect(table.impose(n, .ipv4(UInt32(n)), user: nil, first: .seconds(600 + 10 * n), at: start) != nil) }
    #expect(table.impose(99, .ipv4(99), user: nil, first: .seconds(600), at: second(1)) != nil)
    #expect(table.count == 4)
    #expect(table.remaining(0, at: second(2)) == nil)
    for n in UInt64(1)..<4 { #expect(table.remaining(n, at: second(2)) != nil) }
  }

  @Test func aFloodOfFailuresEndsNoBan() {
    let lockout = Lockout(LockoutOptions(), start: start)
    let guesser = ClientAddress.ipv4(0x0A00_0001)
    for _ in 0..<10 { _ = lockout.failedToken(from: guesser, at: start) }
    // More addresses than the counts have places for, nine failures each at most.
    for n in UInt64(0)..<100_000 { _ = lockout.failedToken(from: .ipv6(high: 0x2001_0DB8_0000_0000 + n, low: 1), at: second(1)) }
    guard case .barred(let seconds) = lockout.failedToken(from: guesser, at: second(2)) else {
      Issue.record("the ban is gone")
      return
    }
    #expect(seconds == 598)
    #expect(lockout.bans(at: second(2)).count == 1)
  }

  @Test func sweepingTakesOutWhatIsOver() {
    let filter = BanFilter()
    let table = BanTable(filter: filter, capacity: 1024)
    for n in UInt64(0)..<100 { _ = table.impose(key(n), .ipv4(UInt32(n)), user: nil, first: .seconds(n < 50 ? 60 : 600), at: start) }
    #expect(!filter.isEmpty && table.list(at: second(59)).count == 100)
    table.sweep(at: second(60))
    table.sweep(at: second(61))
    #expect(table.list(at: second(61)).count == 50 && table.count == 100)
    table.sweep(at: second(600))
    #expect(filter.isEmpty && table.count == 100, "what is over is remembered for a while")
    // A ban after a sweep is counted once, and so is its end.
    #expect(table.impose(key(1), .ipv4(1), user: nil, first: .seconds(60), at: second(700)) == .seconds(120))
    #expect(!filter.isEmpty && table.remaining(key(1), at: second(701)) != nil)
    table.sweep(at: second(700 + 86_400 * 2))
    #expect(filter.isEmpty && table.count == 0)
  }

  @Test func aLoginIsKnownForADayAndByItsPassword() {
    let known = KnownLogins(start: start)
    let (pair, credential) = (key(1), key(2))
    #expect(!known.holds(pair, at: start))
    #expect(known.note(pair, by: credential, at: start), "news")
    #expect(!known.note(pair, by: credential, at: second(10)), "no news, and nothing is written")
    #expect(known.holds(pair, at: second(10)) && known.holds(pair, by: credential, at: second(10)))
    #expect(!known.holds(pair, by: key(3), at: second(10)))
    known.noteFailure(pair, at: second(20))
    #expect(known.holds(pair, by: credential, at: second(20)), "a failure takes nothing away")
    #expect(known.note(pair, by: credential, at: second(30)), "a login after a failure is news")
    #expect(known.holds(pair, at: second(24 * 3600)))
    #expect(!known.holds(pair, at: second(26 * 3600)))
    #expect(!known.holds(key(4), at: second(10)))
  }
}
