// Makes request identifiers: unique without asking anybody, and not guessable in sequence from one that a client was shown.

import Glibc
import Primitives

/// A worker's own source of identifiers: xoshiro256++ seeded by the kernel. Not for secrets.
struct RequestIdentifiers {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  init() {
    var generator = SystemRandomNumberGenerator()
    state = (generator.next(), generator.next(), generator.next(), generator.next() | 1)
  }

  /// Writes 32 lower-case hexadecimal digits over what `identifier` held.
  mutating func write(to identifier: inout [UInt8]) {
    identifier.removeAll(keepingCapacity: true)
    for _ in 0..<2 {
      let word = next()
      var shift: UInt64 = 64
      while shift > 0 {
        shift -= 4
        identifier.append(ASCII.lowerHexDigit(UInt8(truncatingIfNeeded: word >> shift) & 15))
      }
    }
  }

  private mutating func next() -> UInt64 {
    let result = Self.rotate(state.0 &+ state.3, 23) &+ state.0
    let t = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= t
    state.3 = Self.rotate(state.3, 45)
    return result
  }

  private static func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 - n) }
}
