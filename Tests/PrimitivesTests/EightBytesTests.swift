// What is said of eight bytes at once is what is said of each: over all bytes, at all places.

import Primitives
import Testing

@Suite struct EightBytesTests {
  /// Eight bytes, `byte` at `place` and the most misleading neighbours around it.
  private static func run(_ byte: UInt8, _ place: Int, among other: UInt8) -> [UInt8] {
    var bytes = [UInt8](repeating: other, count: 8)
    bytes[place] = byte
    return bytes
  }

  private static func marks(_ bytes: [UInt8], _ isMarked: (UInt8) -> Bool) -> UInt64 {
    bytes.indices.reduce(0) { $0 | (isMarked(bytes[$1]) ? 0x80 << UInt64(8 * $1) : 0) }
  }

  @Test func marksAreThoseOfEachByteByItself() {
    for byte in UInt8.min...UInt8.max {
      for other: UInt8 in [0, 0x1F, 0x20, 0x40, 0x41, 0x5A, 0x7F, 0x80, 0xFF, byte &+ 1] {
        for place in [0, 3, 7] {
          let bytes = Self.run(byte, place, among: other)
          guard let eight = EightBytes(bytes.span, at: 0) else {
            Issue.record("eight are there")
            return
          }
          #expect(eight.equal(to: byte) == Self.marks(bytes) { $0 == byte })
          #expect(eight.below(0x20) == Self.marks(bytes) { $0 < 0x20 })
          #expect(eight.below(0x80) == Self.marks(bytes) { $0 < 0x80 })
          #expect(eight.within(0x2D, 0x39) == Self.marks(bytes) { $0 >= 0x2D && $0 <= 0x39 })
          #expect(eight.letters == Self.marks(bytes, ASCII.isAlpha))
          #expect(eight.controls == Self.marks(bytes, ASCII.isControl))
          let lower = bytes.map(ASCII.lowercased)
          let expected = EightBytes(lower.span, at: 0)
          #expect(eight.lowercased == expected)
        }
      }
    }
  }

  @Test func firstIsTheFirstMarked() {
    #expect(EightBytes.first(0) == 8)
    for place in 0..<8 { #expect(EightBytes.first(0x80 << UInt64(8 * place)) == place) }
    #expect(EightBytes.first(EightBytes.all) == 0)
  }

  @Test func eightBytesHaveToBeThere() {
    let bytes = [UInt8](0..<9)
    for (index, isThere) in [(0, true), (1, true), (2, false), (9, false), (-1, false), (Int.min, false), (Int.max, false)] {
      let found = EightBytes(bytes.span, at: index) != nil
      #expect(found == isThere)
    }
    let few = EightBytes(bytes.span.extracting(0..<7), at: 0)
    #expect(few == nil)
  }

  @Test func tailIsWhatIsLeftAndZeros() {
    let bytes = [UInt8](1...20)
    for count in 0...20 {
      for index in max(0, count - 7)...count {
        let tail = EightBytes(tailOf: bytes.span.extracting(0..<count), from: index)
        var expected: UInt64 = 0
        for (place, byte) in bytes[index..<count].enumerated() { expected |= UInt64(byte) << UInt64(8 * place) }
        #expect(tail.word == expected, "\(index) of \(count)")
      }
    }
  }

  // MARK: Scans and comparisons

  /// `length` bytes that go on, with `byte` somewhere among them.
  private func expectEnd(
    _ filler: UInt8, _ isInside: (UInt8) -> Bool, _ scan: (Span<UInt8>, Int, Int) -> Int, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for byte in UInt8.min...UInt8.max {
      for (length, place) in [(1, 0), (7, 3), (8, 7), (9, 8), (12, 9), (24, 0), (24, 15), (25, 24)] {
        var bytes = [UInt8](repeating: filler, count: length)
        bytes[place] = byte
        for (start, end) in [(0, length), (place, length), (0, place), (min(place + 1, length), length), (0, min(place + 1, length))] {
          let expected = bytes[start..<max(start, end)].firstIndex { !isInside($0) } ?? end
          let found = scan(bytes.span, start, end)
          #expect(found == expected, "\(byte) at \(place) of \(length), \(start)..<\(end)", sourceLocation: sourceLocation)
        }
      }
    }
  }

  @Test func scansEndAtTheFirstByteOfAnotherClass() {
    for filler in [UInt8(0x61), 0x2D, 0x30] {
      expectEnd(filler, ASCII.isToken) { bytes, start, end in ASCII.endOfToken(in: bytes, from: start, to: end) }
    }
    for filler in [UInt8(0x20), 0x09, 0xFF] {
      expectEnd(filler, ASCII.isFieldValue) { bytes, start, end in ASCII.endOfFieldValue(in: bytes, from: start, to: end) }
    }
    for filler in [UInt8(0x7A), 0x2E, 0x5F] {
      expectEnd(filler, ASCII.isUnreserved) { bytes, start, end in
        ASCII.endOfUnreserved(in: bytes.extracting(0..<end), from: start)
      }
    }
  }

  @Test func equalityLooksAtEveryByte() {
    for count in 1...20 {
      let bytes = (0..<count).map { UInt8(0x41 + $0) }
      let lower = bytes.map(ASCII.lowercased)
      let same = ASCII.equals(bytes.span, bytes.span)
      let folded = ASCII.equals(bytes.span, ignoringCaseOf: lower.span)
      #expect(same && folded)
      for i in bytes.indices {
        var changed = bytes
        changed[i] ^= 1
        let results = [
          ASCII.equals(bytes.span, changed.span), ASCII.equals(changed.span, ignoringCaseOf: lower.span),
          ASCII.starts(bytes.span, with: changed.span),
        ]
        #expect(results == [false, false, false], "\(i) of \(count)")
      }
    }
  }
}
