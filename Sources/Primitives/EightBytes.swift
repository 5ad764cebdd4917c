// Eight bytes in one number, and what is true of each of them, said in a few instructions: heads are scanned so, not byte by byte.

/// Eight bytes, the first in the lowest bits.
///
/// What is asked of them is answered by marks: 0x80 in each byte of which it is true, 0 in the others. No byte's mark depends on another byte.
@frozen public struct EightBytes: Equatable, Sendable {
  public var word: UInt64

  @inlinable public init(word: UInt64) { self.word = word }

  /// Those of `bytes` from `index` on; nil unless all of them are there.
  @inlinable @inline(__always) public init?(_ bytes: Span<UInt8>, at index: Int) {
    // One comparison, since the number of bytes does not change between calls.
    guard bytes.count >= 8, UInt(bitPattern: index) <= UInt(bitPattern: bytes.count &- 8) else { return nil }
    word = unsafe UInt64(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self))
  }

  /// Up to seven bytes of `bytes`, those from `index` to its end, and zeros behind them.
  @inlinable @inline(__always) public init(tailOf bytes: Span<UInt8>, from index: Int) {
    let rest = bytes.count &- index
    precondition(index >= 0 && rest >= 0 && rest < 8, "a tail is of less than eight bytes")
    if rest == 0 {
      word = 0
    } else if let last = EightBytes(bytes, at: bytes.count &- 8) {
      word = last.word &>> UInt64(8 &* (8 &- rest))
    } else if rest >= 4 {
      // Two fours that may overlap, where both have the same to say.
      let first = unsafe UInt32(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt32.self))
      let last = unsafe UInt32(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromByteOffset: bytes.count &- 4, as: UInt32.self))
      word = UInt64(first) | UInt64(last) &<< UInt64(8 &* (rest &- 4))
    } else {
      // The first, the last, and the one between, which may be one of them.
      word =
        UInt64(bytes[index]) | UInt64(bytes[index &+ rest &>> 1]) &<< UInt64(8 &* (rest &>> 1))
        | UInt64(bytes[bytes.count &- 1]) &<< UInt64(8 &* (rest &- 1))
    }
  }

  // Of a literal the compiler makes numbers of these. Without a loop, or it would not.

  /// Those of `text` from `index` on, which must be there.
  @inlinable @inline(__always) public init(_ text: StaticString, at index: Int) {
    precondition(index >= 0 && index &+ 8 <= text.utf8CodeUnitCount, "eight bytes of a text that has them")
    word = unsafe UInt64(littleEndian: UnsafeRawPointer(text.utf8Start).loadUnaligned(fromByteOffset: index, as: UInt64.self))
  }

  /// A text of one to seven bytes, and zeros behind them.
  @inlinable @inline(__always) public init(short text: StaticString) {
    let count = text.utf8CodeUnitCount
    precondition(count > 0 && count < 8, "a text of less than eight bytes")
    let start = unsafe UnsafeRawPointer(text.utf8Start)
    if count >= 4 {
      // Two fours that may overlap, where both have the same to say.
      let first = unsafe UInt32(littleEndian: start.loadUnaligned(as: UInt32.self))
      let last = unsafe UInt32(littleEndian: start.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
      word = UInt64(first) | UInt64(last) &<< UInt64(8 &* (count &- 4))
    } else {
      let middle = count &>> 1
      word = unsafe UInt64(text.utf8Start[0]) | UInt64(text.utf8Start[middle]) &<< UInt64(8 &* middle)
      word |= unsafe UInt64(text.utf8Start[count &- 1]) &<< UInt64(8 &* (count &- 1))
    }
  }

  /// Whether these are the bytes of `lower`, which has no A–Z, when ASCII case is folded.
  @inlinable @inline(__always) public func isFolded(_ lower: EightBytes) -> Bool {
    // Only where a letter is wanted does case not matter: 0x0D is no hyphen.
    word | lower.letters &>> 2 == lower.word
  }

  /// Up to eight bytes, and zeros behind them.
  @inlinable @inline(__always) public init(whole bytes: Span<UInt8>) {
    if bytes.count == 8, let eight = EightBytes(bytes, at: 0) { self = eight } else { self.init(tailOf: bytes, from: 0) }
  }

  /// A mark in every byte.
  @inlinable @inline(__always) public static var all: UInt64 { 0x8080_8080_8080_8080 }
  @inlinable @inline(__always) static var ones: UInt64 { 0x0101_0101_0101_0101 }
  @inlinable @inline(__always) var low: UInt64 { word & 0x7F7F_7F7F_7F7F_7F7F }

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
  @inlinable @inline(__always) public func within(_ first: UInt8, _ last: UInt8) -> UInt64 {
    (low &+ EightBytes.ones &* UInt64(0x80 &- first)) & ~(low &+ EightBytes.ones &* UInt64(0x7F &- last)) & ~word & EightBytes.all
  }

  /// Marks letters of either case.
  @inlinable @inline(__always) public var letters: UInt64 { EightBytes(word: word | EightBytes.ones &* 0x20).within(0x61, 0x7A) }

  /// The same bytes, A–Z in lower case.
  @inlinable public var lowercased: EightBytes { EightBytes(word: word | within(0x41, 0x5A) &>> 2) }
}
