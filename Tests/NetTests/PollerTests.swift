// The epoll instance: interests, tokens, stale events.

import Glibc
import Net
import Primitives
import Testing

@Suite struct PollerTests {
  final class Thing {
    let token: SlotToken
    init(_ token: SlotToken) { self.token = token }
  }

  @Test(arguments: [(UInt8(0), UInt32(0), UInt32(0)), (255, 0xFF_FFFF, .max), (7, 1, 0x8000_0000), (0x80, 0x80_0000, 1)])
  func tokenSurvivesTheKernelsSixtyFourBits(kind: UInt8, slot: UInt32, generation: UInt32) {
    let token = EventToken.of(kind, slot, generation)
    #expect(EventToken(rawValue: token.rawValue) == token)
  }

  @Test func eventCarriesItsTokenAndReadiness() throws {
    var poller = try Poller(capacity: 4)
    var pair = SocketPair().streams()
    let token = EventToken.of(3, 77, 5)
    try poller.add(pair.a.descriptor, .read, token)
    #expect(poller.collectNow() == 0)
    #expect(pair.b.write([1].span) == .bytes(1))
    #expect(poller.collect() == 1)
    #expect(poller.event(0).token == token)
    #expect(poller.event(0).readiness == .readable)
  }

  @Test func whatIsNotReadIsToldAgain() throws {
    var poller = try Poller(capacity: 4)
    var pair = SocketPair().streams()
    try poller.add(pair.a.descriptor, .read, .of(1, 0, 0))
    _ = pair.b.write([1].span)
    #expect(poller.collect() == 1)
    #expect(poller.collectNow() == 1)
  }

  @Test func staleGenerationFindsNothing() throws {
    // Both sockets are ready in one collection; dealing with the first lets the second go, and its slot is taken by a stranger. The
    // second event, already collected, must not reach the stranger.
    var poller = try Poller(capacity: 8)
    var things = SlotMap<Thing>()
    var first = SocketPair().streams()
    let second = things.insert { Thing($0) }
    let third = things.insert { Thing($0) }
    var other = SocketPair().streams()
    try poller.add(first.a.descriptor, .read, EventToken(kind: 1, slot: second.token))
    try poller.add(other.a.descriptor, .read, EventToken(kind: 1, slot: third.token))
    _ = first.b.write([1].span)
    _ = other.b.write([1].span)
    #expect(poller.collect() == 2)
    let victim = poller.event(1).token.slot
    things.remove(victim)
    let stranger = things.insert { Thing($0) }
    #expect(stranger.token.slot == victim.slot)
    #expect(things[poller.event(1).token.slot] == nil)
    #expect(things[poller.event(0).token.slot] != nil)
  }

  @Test func modifyChangesInterestAndToken() throws {
    var poller = try Poller(capacity: 4)
    let pair = SocketPair()
    try poller.add(pair.a.raw, .read, .of(1, 0, 0))
    #expect(poller.collectNow() == 0)
    try poller.modify(pair.a.raw, [.read, .write], .of(2, 9, 9))
    #expect(poller.collect() == 1)
    #expect(poller.event(0).token == .of(2, 9, 9))
    #expect(poller.event(0).readiness == .writable)
    try poller.modify(pair.a.raw, [], .of(2, 9, 9))
    #expect(poller.collectNow() == 0)
  }

  @Test func removedDescriptorIsSilent() throws {
    var poller = try Poller(capacity: 4)
    let pair = SocketPair()
    try poller.add(pair.a.raw, .write, .of(1, 0, 0))
    let removed = [poller.remove(pair.a.raw), poller.remove(pair.a.raw)]
    #expect(removed == [true, false])
    #expect(poller.collectNow() == 0)
  }

  @Test func addingTwiceIsRefused() throws {
    let poller = try Poller(capacity: 4)
    let pair = SocketPair()
    try poller.add(pair.a.raw, .read, .of(1, 0, 0))
    #expect(throws: NetError.system(doing: "watch a descriptor", errno: EEXIST)) {
      try poller.add(pair.a.raw, .read, .of(1, 0, 0))
    }
  }

  @Test func peersCloseIsToldWithoutReading() throws {
    // A client that vanishes while its request is with the upstream: nothing is being read, and it must be noticed.
    var poller = try Poller(capacity: 4)
    var pair = SocketPair().streams()
    try poller.add(pair.a.descriptor, .peerClosed, .of(1, 0, 0))
    #expect(pair.b.write([1, 2, 3].span) == .bytes(3))
    #expect(poller.collectNow() == 0)
    pair.b.shutdownWrite()
    #expect(poller.collect() == 1)
    #expect(poller.event(0).readiness.contains(.peerClosed))
    #expect(!poller.event(0).readiness.contains(.hangup))
  }

  @Test func hangupIsToldWithEmptyInterest() throws {
    var poller = try Poller(capacity: 4)
    let pair = SocketPair()
    try poller.add(pair.a.raw, [], .of(1, 0, 0))
    _ = close(pair.b.release())
    #expect(poller.collect() == 1)
    #expect(poller.event(0).readiness.contains(.hangup))
    _ = pair.a.release()
  }

  @Test func moreEventsThanCapacityComeInTurns() throws {
    var poller = try Poller(capacity: 1)
    let one = SocketPair()
    try poller.add(one.a.raw, .write, .of(1, 0, 0))
    try poller.add(one.b.raw, .write, .of(2, 0, 0))
    #expect(poller.collect() == 1)
    let first = poller.event(0).token.kind
    #expect(poller.collect() == 1)
    #expect(poller.event(0).token.kind != first, "epoll goes round among ready descriptors")
  }

  @Test func waitNeverEndsBeforeItsDeadline() throws {
    var poller = try Poller(capacity: 1)
    let start = Instant.now()
    let deadline = start.advanced(by: Interval(nanoseconds: 2_300_000))
    #expect(poller.wait(until: deadline, now: start) == 0)
    #expect(Instant.now() >= deadline)
  }

  @Test func pastDeadlineDoesNotSleep() throws {
    var poller = try Poller(capacity: 1)
    #expect(poller.wait(until: Instant(nanoseconds: 0), now: .now()) == 0)
  }
}
