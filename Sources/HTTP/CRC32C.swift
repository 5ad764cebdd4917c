// The checksum that a PROXY header may carry. Finds accidents, proves nothing.

internal import Primitives

/// CRC-32C (Castagnoli), RFC 4960 appendix B. A bit at a time: a header is short, and there is one a connection.
struct CRC32C {
  private var state: UInt32 = 0xFFFF_FFFF

  mutating func add(_ byte: UInt8) {
    state ^= UInt32(byte)
    for _ in 0..<8 { state = state >> 1 ^ (state & 1 == 1 ? 0x82F6_3B78 : 0) }
  }

  mutating func add(_ bytes: Span<UInt8>) {
    for i in bytes.indices { add(bytes[i]) }
  }

  var value: UInt32 { ~state }
}
