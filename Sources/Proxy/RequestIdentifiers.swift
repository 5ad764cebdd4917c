// Makes request identifiers: unique without asking anybody, and not guessable in sequence from one that a client was shown.

import Glibc
import Primitives
import Upstream

/// What one request is called, on its whole way: in logs, in answers that are to be quoted, and to the service behind.
struct RequestIdentifier {
  /// Of ours: lower-case hexadecimal. In place, so that naming a request takes no memory.
  private var digits: InlineArray<32, UInt8>
  /// Of a trusted proxy: 1 to 128 printable bytes. Nil for one of ours: also references to an empty array are counted, and in a longer way.
  private var given: [UInt8]?

  /// Of no request.
  init() { digits = .init(repeating: 0x30) }

  /// 128 bits in hexadecimal.
  init(_ high: UInt64, _ low: UInt64) { digits = Hexadecimal.digits(high, low) }

  /// What a proxy called it; nil for what can't stand in a log line as it is.
  init?(given: [UInt8]) {
    guard (1...128).contains(given.count), given.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }) else { return nil }
    digits = .init(repeating: 0x30)
    self.given = given
  }

  func append(to out: inout ByteBuffer) {
    if let given { out.append(given.span) } else { out.append(digits.span) }
  }

  func add(to request: inout UpstreamRequest) {
    if let given { request.add("X-Request-Id", given.span) } else { request.add("X-Request-Id", digits.span) }
  }

  /// A copy. Not for each request.
  var bytes: [UInt8] { given ?? ASCII.array(digits.span) }

  var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// A worker's own source of identifiers: xoshiro256++ seeded by the kernel. Not for secrets.
struct RequestIdentifiers {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  init() {
    var generator = SystemRandomNumberGenerator()
    state = (generator.next(), generator.next(), generator.next(), generator.next() | 1)
  }

  /// 128 bits that no other request has.
  mutating func make() -> RequestIdentifier {
    let high = next()
    return RequestIdentifier(high, next())
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
