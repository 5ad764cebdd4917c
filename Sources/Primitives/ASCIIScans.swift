// How far a run of bytes of one class goes: eight bytes at a time where there are eight.

extension ASCII {
  /// The index of the first byte from `start` on that may not stand in a token; `end`, which is at most the count, if that comes first.
  @inlinable public static func endOfToken(in bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    var i = start
    while i < end {
      if i &+ 8 <= bytes.count {
        let eight = EightBytes(bytes, at: i)
        // What names are made of; the rest is looked at one by one.
        let others = (eight.letters | eight.equal(to: 0x2D)) ^ EightBytes.all
        i &+= EightBytes.first(others)
        if others == 0 { continue }
        if i >= end { return end }
      }
      if !isToken(bytes[i]) { return i }
      i &+= 1
    }
    return end
  }

  /// The index of the first byte from `start` on that may not stand in a field value; `end`, which is at most the count, if that comes first.
  @inlinable public static func endOfFieldValue(in bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    var i = start
    while i < end {
      if i &+ 8 <= bytes.count {
        let controls = EightBytes(bytes, at: i).controls
        i &+= EightBytes.first(controls)
        if controls == 0 { continue }
        if i >= end { return end }
      }
      if !isFieldValue(bytes[i]) { return i }
      i &+= 1
    }
    return end
  }

  /// The index of the first byte from `start` on that is not unreserved (RFC 3986 section 2.3); the count when there is none.
  @inlinable public static func endOfUnreserved(in bytes: Span<UInt8>, from start: Int) -> Int {
    var i = start
    while i < bytes.count {
      if i &+ 8 <= bytes.count {
        let eight = EightBytes(bytes, at: i)
        let others = (eight.letters | eight.within(0x30, 0x39) | eight.within(0x2D, 0x2E)) ^ EightBytes.all
        i &+= EightBytes.first(others)
        if others == 0 { continue }
      }
      if !isUnreserved(bytes[i]) { return i }
      i &+= 1
    }
    return i
  }

  /// RFC 3986 section 2.3.
  @inlinable public static func isUnreserved(_ byte: UInt8) -> Bool {
    isAlpha(byte) || isDigit(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E
  }
}

extension EightBytes {
  /// Marks control characters: 0x00–0x1F and 0x7F.
  @inlinable public var controls: UInt64 { below(0x20) | equal(to: 0x7F) }
}
