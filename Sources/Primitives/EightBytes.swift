// Eight bytes in one number, and what is true of each of them, said in a few instructions: heads are scanned so, not byte by byte.

/// Eight bytes, the first in the lowest bits.
///
/// What is asked of them is answered by marks: 0x80 in each byte of which it is true, 0 in the others. No byte's mark depends on another byte.
@frozen public struct EightBytes: Equatable, Sendable {
  public var word: UInt64

  @inlinable public init(word: UInt64) { self.word = word }

  /// Those of `bytes` from `index` on, all of which must be there.
  @inlinable public init(_ bytes: Span<UInt8>, at index: Int) {
    // The load is checked against the bounds; it is called unsafe for types that not all bits are values of.
    word = unsafe UInt64(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
  }

  /// Up to seven bytes of `bytes`, those from `index` to its end, and zeros behind them.
  @inlinable public init(tailOf bytes: Span<UInt8>, from index: Int) {
    word = 0
    var shift: UInt64 = 0
    var i = index
    while i < bytes.count {
      word |= UInt64(bytes[i]) &<< shift
      shift &+= 8
      i &+= 1
    }
  }

  /// A mark in every byte.
  @inlinable public static var all: UInt64 { 0x8080_8080_8080_8080 }
  @inlinable static var ones: UInt64 { 0x0101_0101_0101_0101 }
  @inlinable var low: UInt64 { word & 0x7F7F_7F7F_7F7F_7F7F }

  /// The index (0–7) of the first byte that is marked, 8 when none is.
  @inlinable public static func first(_ marks: UInt64) -> Int { marks.trailingZeroBitCount &>> 3 }

  /// Marks bytes that are `byte`.
  @inlinable public func equal(to byte: UInt8) -> UInt64 {
    let difference = word ^ (EightBytes.ones &* UInt64(byte))
    return ~(((difference & 0x7F7F_7F7F_7F7F_7F7F) &+ 0x7F7F_7F7F_7F7F_7F7F) | difference) & EightBytes.all
  }

  /// Marks bytes below `byte`, which is 1 to 0x80.
  @inlinable public func below(_ byte: UInt8) -> UInt64 {
    ~((low &+ EightBytes.ones &* UInt64(0x80 &- byte)) | word) & EightBytes.all
  }

  /// Marks bytes from `first` to `last`, both 1 to 0x7E.
  @inlinable public func within(_ first: UInt8, _ last: UInt8) -> UInt64 {
    (low &+ EightBytes.ones &* UInt64(0x80 &- first)) & ~(low &+ EightBytes.ones &* UInt64(0x7F &- last)) & ~word & EightBytes.all
  }

  /// Marks letters of either case.
  @inlinable public var letters: UInt64 { EightBytes(word: word | EightBytes.ones &* 0x20).within(0x61, 0x7A) }

  /// The same bytes, A–Z in lower case.
  @inlinable public var lowercased: EightBytes { EightBytes(word: word | within(0x41, 0x5A) &>> 2) }
}
