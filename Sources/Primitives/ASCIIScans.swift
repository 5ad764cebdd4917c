// How far a run of bytes of one class goes: eight bytes at a time where there are eight.

extension ASCII {
  /// The index of the first byte from `start` on that may not stand in a token; `end`, which is at most the count, if that comes first.
  @inlinable public static func endOfToken(in bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    var i = start
    while i < end {
      if let eight = EightBytes(bytes, at: i) {
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
  @inlinable @inline(__always) public static func endOfFieldValue(in bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    var i = start
    while let eight = EightBytes(bytes, at: i) {
      let controls = eight.controls
      if controls == 0 {
        i &+= 8
        continue
      }
      i &+= EightBytes.first(controls)
      if i >= end { return end }
      if bytes[i] != 0x09 { return i }
      i &+= 1
    }
    if i < end, let last = EightBytes(bytes, at: bytes.count &- 8) {
      // They begin before `i`, with bytes that have been looked at.
      let controls = last.controls &>> UInt64(8 &* (i &- (bytes.count &- 8)))
      if controls == 0 { return end }
      i &+= EightBytes.first(controls)
    }
    while i < end && isFieldValue(bytes[i]) { i &+= 1 }
    return min(i, end)
  }

  /// The index of the first byte from `start` on that is not unreserved (RFC 3986 section 2.3); the count when there is none.
  @inlinable public static func endOfUnreserved(in bytes: Span<UInt8>, from start: Int) -> Int {
    var i = start
    while i < bytes.count {
      // The last eight may begin before `i`, with bytes that are known to be unreserved: their marks are not asked for.
      let at = min(i, bytes.count &- 8)
      if let eight = EightBytes(bytes, at: at) {
        let known = UInt64(8 &* (i &- at))
        let others = ((eight.letters | eight.within(0x30, 0x39) | eight.within(0x2D, 0x2E)) ^ EightBytes.all) &>> known
        if others == 0 {
          i = at &+ 8
          continue
        }
        i &+= EightBytes.first(others)
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
  @inlinable public var controls: UInt64 {
    // One up, and DEL is 0 while the others are 1 to 0x20: below 0x21 all of them.
    let next = (low &+ EightBytes.ones) & 0x7F7F_7F7F_7F7F_7F7F
    return ~((next &+ EightBytes.ones &* 0x5F) | word) & EightBytes.all
  }
}
