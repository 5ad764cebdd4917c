// Slots, time and secrets.

import Primitives
import Testing

@Suite struct SlotMapTests {
  private final class Thing {
    let token: SlotToken
    init(_ token: SlotToken) { self.token = token }
  }

  @Test func aTokenKeptTooLongFindsNothing() {
    var map = SlotMap<Thing>()
    let first = map.insert { Thing($0) }
    #expect(map[first.token] === first && map.count == 1)
    #expect(map.remove(first.token) === first)
    #expect(map[first.token] == nil && map.remove(first.token) == nil && map.count == 0)
    // The slot is used again, the token is another.
    let second = map.insert { Thing($0) }
    #expect(second.token.slot == first.token.slot && second.token.generation != first.token.generation)
    #expect(map[first.token] == nil && map[second.token] === second)
  }

  @Test func aTokenOfNobodyFindsNothing() {
    var map = SlotMap<Thing>()
    #expect(map[SlotToken(slot: 0, generation: 0)] == nil)
    #expect(map.remove(SlotToken(slot: 1 << 23, generation: 0)) == nil)
  }

  @Test func manyObjectsAreKeptApart() {
    var map = SlotMap<Thing>()
    var held = (0..<100).map { _ in map.insert { Thing($0) } }
    for thing in held.enumerated().filter({ $0.offset % 3 == 0 }).map(\.element) { map.remove(thing.token) }
    held = held.enumerated().filter { $0.offset % 3 != 0 }.map(\.element)
    for _ in 0..<20 { held.append(map.insert { Thing($0) }) }
    #expect(map.count == held.count && map.all().count == held.count)
    #expect(held.allSatisfy { map[$0.token] === $0 })
    #expect(Set(held.map(\.token)).count == held.count)
  }

  @Test func timeSaturates() {
    let instant = Instant(nanoseconds: 100)
    #expect(instant.advanced(by: .seconds(1)).since(instant) == 1_000_000_000)
    #expect(instant.since(instant.advanced(by: .milliseconds(1))) == 0)
    #expect(Instant.distantFuture.advanced(by: .seconds(1)) == .distantFuture)
    #expect(Instant.now() <= Instant.now() && Instant.now() < .distantFuture)
    #expect(Timestamp.now() > Timestamp(seconds: 1_600_000_000))
  }

  @Test func wholeUnitsAreRoundedAsTheySay() {
    #expect(Interval(nanoseconds: 0).wholeMilliseconds == 0 && Interval(nanoseconds: 1).wholeMilliseconds == 1)
    #expect(Interval.milliseconds(5).wholeMilliseconds == 5 && Interval(nanoseconds: 5_000_001).wholeMilliseconds == 6)
    #expect(Interval(nanoseconds: .max).wholeMilliseconds == UInt64.max / 1_000_000 + 1)
    #expect(Timestamp(microseconds: 1_999_999).seconds == 1 && Timestamp(microseconds: -1).seconds == -1)
    #expect(Timestamp(microseconds: -1_000_000).seconds == -1 && Timestamp(seconds: -5).seconds == -5)
  }

  @Test func aSecretHoldsItsBytesWhileItGrows() {
    var secret = Secret(capacity: 0)
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
    secret.append(bytes.span)
    var held = ASCII.array(secret.span)
    var (count, isFilled) = (secret.count, !secret.isEmpty)
    #expect(held == bytes && count == 1000 && isFilled)
    secret.truncate(to: 3)
    held = ASCII.array(secret.span)
    #expect(held == [0, 1, 2])
    secret.removeAll()
    isFilled = !secret.isEmpty
    #expect(!isFilled)
    let copy = Secret(copying: bytes.span)
    held = ASCII.array(copy.span)
    #expect(held == bytes)
  }

  @Test func aSecretIsLentWithItsNUL() {
    for n in [0, 15, 16, 17, 63] {
      var secret = Secret(copying: Array(repeating: 0x61, count: n).span)
      let text = unsafe secret.withUnsafeCString { unsafe String(cString: $0) }
      let count = secret.count
      #expect(text.utf8.count == n && count == n)
    }
  }
}
