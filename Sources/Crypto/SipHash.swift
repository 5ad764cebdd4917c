// SipHash-1-3 (Aumasson and Bernstein, 2012): a short keyed hash for tables that strangers may look into.
// It keeps an attacker from choosing names that collide. It is no message authentication: that is `HMACSHA256Key`.

internal import Primitives

public struct SipHash: Sendable {
  private let k0: UInt64
  private let k1: UInt64

  public init(k0: UInt64, k1: UInt64) {
    self.k0 = k0
    self.k1 = k1
  }

  /// A key that follows from `seed` (any length): the same seed gives the same hashes in another process.
  public init(seed: Span<UInt8>) {
    let digest = SHA256.hash(seed)
    self.init(k0: digest.a, k1: digest.b)
  }

  public func hash(_ bytes: Span<UInt8>) -> UInt64 { finish(State(k0, k1), bytes, bytes.count) }

  /// The hash of `word`, as eight bytes in little endian, with `bytes` behind it.
  public func hash(_ word: UInt64, _ bytes: Span<UInt8>) -> UInt64 {
    var state = State(k0, k1)
    state.absorb(word)
    return finish(state, bytes, bytes.count &+ 8)
  }

  /// - Parameter length: of the whole message, with what was absorbed before.
  private func finish(_ begun: State, _ bytes: Span<UInt8>, _ length: Int) -> UInt64 {
    var state = begun
    let whole = bytes.count & ~7
    var i = 0
    while i < whole, let eight = EightBytes(bytes, at: i) {
      state.absorb(eight.word)
      i &+= 8
    }
    state.absorb(UInt64(truncatingIfNeeded: length) << 56 | EightBytes(tailOf: bytes, from: i).word)
    return state.finish()
  }

  private struct State {
    var v0, v1, v2, v3: UInt64

    @inline(__always) init(_ k0: UInt64, _ k1: UInt64) {
      v0 = k0 ^ 0x736f_6d65_7073_6575
      v1 = k1 ^ 0x646f_7261_6e64_6f6d
      v2 = k0 ^ 0x6c79_6765_6e65_7261
      v3 = k1 ^ 0x7465_6462_7974_6573
    }

    @inline(__always) mutating func absorb(_ word: UInt64) {
      v3 ^= word
      round()
      v0 ^= word
    }

    @inline(__always) mutating func finish() -> UInt64 {
      v2 ^= 0xff
      round()
      round()
      round()
      return v0 ^ v1 ^ v2 ^ v3
    }

    @inline(__always) private mutating func round() {
      v0 = v0 &+ v1
      v1 = Self.rotate(v1, 13) ^ v0
      v0 = Self.rotate(v0, 32)
      v2 = v2 &+ v3
      v3 = Self.rotate(v3, 16) ^ v2
      v0 = v0 &+ v3
      v3 = Self.rotate(v3, 21) ^ v0
      v2 = v2 &+ v1
      v1 = Self.rotate(v1, 17) ^ v2
      v2 = Self.rotate(v2, 32)
    }

    @inline(__always) private static func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 &- n) }
  }
}
