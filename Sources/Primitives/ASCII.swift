// Byte classes and case folding of the ASCII that HTTP is written in. Tables are two machine words, not memory.

internal import Glibc

public enum ASCII {
  /// RFC 9110 section 5.6.2, tchar: the bytes of a token (a method or a field name).
  @inlinable public static func isToken(_ byte: UInt8) -> Bool {
    // Bits of 0x00–0x3F: ! # $ % & ' * + - . 0–9
    let low: UInt64 = 0x03FF_6CFA_0000_0000
    // Bits of 0x40–0x7F: A–Z ^ _ ` a–z | ~
    let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
    if byte >= 0x80 { return false }
    return byte < 64 ? (low >> UInt64(byte)) & 1 == 1 : (high >> UInt64(byte & 63)) & 1 == 1
  }

  /// RFC 9110 section 5.5: a byte that may stand in a field value (VCHAR, obs-text, space, tab). NUL, CR, LF and the other controls may not.
  @inlinable public static func isFieldValue(_ byte: UInt8) -> Bool {
    (byte >= 0x20 && byte != 0x7F) || byte == 0x09
  }

  @inlinable public static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  @inlinable public static func isAlpha(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

  /// RFC 9110 section 5.6.3: optional white space is space and tab alone.
  @inlinable public static func isWhitespace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

  /// A control character: 0x00–0x1F or 0x7F.
  @inlinable public static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }

  @inlinable public static func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
  }

  /// The value of a hexadecimal digit of either case (0–15), or nil.
  @inlinable public static func hexValue(_ byte: UInt8) -> UInt8? {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let letter = byte | 0x20
    return letter &- 0x61 < 6 ? letter &- 0x61 &+ 10 : nil
  }

  /// The digit of `value` (0–15) in lower case.
  @inlinable public static func lowerHexDigit(_ value: UInt8) -> UInt8 { value < 10 ? value &+ 0x30 : value &+ 0x57 }

  /// The digit of `value` (0–15) in upper case.
  @inlinable public static func upperHexDigit(_ value: UInt8) -> UInt8 { value < 10 ? value &+ 0x30 : value &+ 0x37 }

  /// Whether `bytes` are those of `text`, which is written in lower case, when ASCII case is folded.
  @inlinable @inline(__always) public static func equals(_ bytes: Span<UInt8>, ignoringCaseOf text: StaticString) -> Bool {
    // Most comparisons end here.
    let count = text.utf8CodeUnitCount
    guard bytes.count == count else { return false }
    // Of a literal these are one or two numbers, and which branch it takes is known. The last eight may overlap the first.
    if count == 0 { return true }
    if count < 8 { return EightBytes(tailOf: bytes, from: 0).isFolded(EightBytes(short: text)) }
    guard count <= 16, let first = EightBytes(bytes, at: 0), let last = EightBytes(bytes, at: count &- 8) else {
      return equalFolded(bytes, text)
    }
    return first.isFolded(EightBytes(text, at: 0)) && last.isFolded(EightBytes(text, at: count &- 8))
  }

  @usableFromInline static func equalFolded(_ bytes: Span<UInt8>, _ text: StaticString) -> Bool {
    let lower = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    return equalFolded(bytes, lower)
  }

  /// Whether both are equal when ASCII case is folded. Not constant-time: for names, never for secrets.
  @inlinable public static func equals(_ a: Span<UInt8>, ignoringCaseOf b: Span<UInt8>) -> Bool {
    a.count == b.count && equalFolded(a, b)
  }

  /// Of equal length.
  @usableFromInline static func equalFolded(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    let count = a.count
    guard count > 8 else { return EightBytes(whole: a).lowercased == EightBytes(whole: b).lowercased }
    var i = 0
    while i < count {
      // The last eight may overlap those before.
      let at = min(i, count &- 8)
      guard let x = EightBytes(a, at: at), let y = EightBytes(b, at: at), x.lowercased == y.lowercased else { return false }
      i &+= 8
    }
    return true
  }

  /// Whether both hold the same bytes. Not constant-time: for names, never for secrets (see `Crypto`).
  @inlinable public static func equals(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    a.count == b.count && same(a, b)
  }

  /// The same for an array, which may be a class's: a span of it could be had only of a copy, with a reference to be counted.
  @inlinable public static func equals(_ a: [UInt8], _ b: Span<UInt8>) -> Bool { equals(a.span, b) }

  /// Whether `bytes` are exactly those of `text`.
  @inlinable public static func equals(_ bytes: Span<UInt8>, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    return same(bytes, unsafe Span(_unsafeElements: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)))
  }

  /// Whether `bytes` begin with `prefix`.
  @inlinable public static func starts(_ bytes: Span<UInt8>, with prefix: Span<UInt8>) -> Bool {
    bytes.count >= prefix.count && same(bytes, prefix)
  }

  /// Whether the first bytes of `a`, which is as long at least, are those of `b`.
  @inlinable static func same(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    if b.count > 8 { return sameOfMany(a, b) }
    return EightBytes(whole: a.extracting(0..<b.count)) == EightBytes(whole: b)
  }

  @usableFromInline static func sameOfMany(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    unsafe a.withUnsafeBufferPointer { x in
      unsafe b.withUnsafeBufferPointer { y in
        guard y.count > 0 else { return true }
        precondition(x.count >= y.count, "compared beyond the end")
        return unsafe memcmp(x.baseAddress.unsafelyUnwrapped, y.baseAddress.unsafelyUnwrapped, y.count) == 0
      }
    }
  }

  /// The index of the first `byte` at or after `start`, or nil.
  public static func firstIndex(of byte: UInt8, in bytes: Span<UInt8>, from start: Int = 0) -> Int? {
    guard start < bytes.count else { return nil }
    precondition(start >= 0, "an index is not negative")
    return unsafe bytes.withUnsafeBytes { bytes in
      let base = unsafe bytes.baseAddress.unsafelyUnwrapped
      guard let found = unsafe memchr(base + start, Int32(byte), bytes.count - start) else { return nil }
      return unsafe UnsafeRawPointer(found) - base
    }
  }

  /// An unsigned decimal number of 1 to 19 digits and nothing else, or nil. No sign, no white space, no overflow.
  public static func decimal(_ bytes: Span<UInt8>) -> UInt64? {
    guard bytes.count > 0 && bytes.count <= 19 else { return nil }
    var value: UInt64 = 0
    for i in bytes.indices {
      let digit = bytes[i] &- 0x30
      guard digit < 10 else { return nil }
      value = value * 10 + UInt64(digit)
    }
    return value
  }

  /// The bytes as text, invalid UTF-8 replaced. For messages and logs, not for the data path.
  public static func string(_ bytes: Span<UInt8>) -> String {
    unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
  }

  /// A copy of the bytes.
  public static func array(_ bytes: Span<UInt8>) -> [UInt8] {
    unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
  }
}
