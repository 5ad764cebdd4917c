// IP addresses and networks as text, without sockets or names: for rooms that read and write them in files.

/// The text of an IPv6 address.
public enum IPv6Text {
  /// RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. Allocates nothing.
  public static func append(high: UInt64, low: UInt64, to out: inout ByteBuffer) {
    func group(_ i: Int) -> UInt64 { (i < 4 ? high : low) >> UInt64(48 - 16 * (i & 3)) & 0xFFFF }
    var runStart = 8
    var runLength = 1
    var i = 0
    while i < 8 {
      var end = i
      while end < 8 && group(end) == 0 { end += 1 }
      if end - i > runLength {
        runStart = i
        runLength = end - i
      }
      i = max(end, i + 1)
    }
    i = 0
    while i < 8 {
      if i == runStart {
        out.append("::")
        i += runLength
        continue
      }
      if i > 0 && i != runStart + runLength { out.append(0x3A) }
      out.append(hexadecimal: group(i))
      i += 1
    }
  }

  /// RFC 4291 section 2.2, all three forms. No scope: it means something on one machine only.
  static func parse(_ text: Span<UInt8>) -> (high: UInt64, low: UInt64)? {
    var groups: [UInt64] = []
    /// How many groups stand before `::`.
    var gap: Int?
    var at = 0
    if text.count >= 2 && text[0] == 0x3A {
      guard text[1] == 0x3A else { return nil }
      gap = 0
      at = 2
    }
    while at < text.count {
      let end = ASCII.firstIndex(of: 0x3A, in: text, from: at) ?? text.count
      let word = text.extracting(at..<end)
      if end == text.count, let last = IPv4Text.parse(word) {
        groups += [UInt64(last >> 16), UInt64(last & 0xFFFF)]
        at = end
        break
      }
      guard word.count >= 1, word.count <= 4 else { return nil }
      var value: UInt64 = 0
      for i in word.indices {
        guard let digit = ASCII.hexValue(word[i]) else { return nil }
        value = value << 4 | UInt64(digit)
      }
      groups.append(value)
      guard groups.count <= 8 else { return nil }
      at = end
      if at == text.count { break }
      at += 1
      // A colon at the end is half of `::`, or too much.
      if at == text.count { return nil }
      if text[at] == 0x3A {
        guard gap == nil else { return nil }
        gap = groups.count
        at += 1
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: [UInt64](repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    return (
      groups[0] << 48 | groups[1] << 32 | groups[2] << 16 | groups[3], groups[4] << 48 | groups[5] << 32 | groups[6] << 16 | groups[7]
    )
  }
}

enum IPv4Text {
  /// Four numbers, none with a leading zero, which some read as octal.
  static func parse(_ text: Span<UInt8>) -> UInt32? {
    var address: UInt32 = 0
    var at = 0
    for i in 0..<4 {
      let end = i == 3 ? text.count : ASCII.firstIndex(of: 0x2E, in: text, from: at) ?? text.count
      guard end > at, end - at <= 3, let value = ASCII.decimal(text.extracting(at..<end)), value <= 255,
        end - at == 1 || text[at] != 0x30
      else { return nil }
      address = address << 8 | UInt32(value)
      if i < 3 && end == text.count { return nil }
      at = end + 1
    }
    return address
  }

  static func append(_ address: UInt32, to out: inout ByteBuffer) {
    for shift in stride(from: UInt32(24), through: 0, by: -8) {
      out.append(decimal: UInt64(address >> shift & 0xFF))
      if shift > 0 { out.append(0x2E) }
    }
  }
}

extension ClientAddress {
  /// Reads `192.0.2.1`, `2001:db8::1` or `unix:`.
  public init?(parsing text: Span<UInt8>) {
    if ASCII.equals(text, "unix:") {
      self = .unix
    } else if let address = IPv4Text.parse(text) {
      self = .ipv4(address)
    } else if let (high, low) = IPv6Text.parse(text) {
      self = .ipv6(high: high, low: low)
    } else {
      return nil
    }
  }

  /// In the form that `init(parsing:)` reads.
  public var text: [UInt8] {
    var out = ByteBuffer()
    if isUnix {
      out.append("unix:")
    } else if isIPv4 {
      IPv4Text.append(UInt32(truncatingIfNeeded: low), to: &out)
    } else {
      IPv6Text.append(high: high, low: low, to: &out)
    }
    return out.array()
  }
}

extension AddressRange {
  /// Reads `10.0.0.0/8`, `192.0.2.1`, `2001:db8::/32`, `::1` or `unix:`. nil when it is none of these, or when an address has bits beyond its prefix
  /// (`10.1.2.3/8` is more likely a slip than a wish).
  public init?(parsing text: Span<UInt8>) {
    let slash = ASCII.firstIndex(of: 0x2F, in: text)
    guard let base = ClientAddress(parsing: text.extracting(0..<(slash ?? text.count))) else { return nil }
    guard let slash else {
      self.init(base, prefix: 128)
      return
    }
    // Written as IPv6, an IPv4 address has 128 bits.
    let isDotted = base.isIPv4 && ASCII.firstIndex(of: 0x3A, in: text) == nil
    let width = isDotted ? 32 : 128
    let digits = text.extracting(slash + 1..<text.count)
    guard !base.isUnix, digits.count >= 1, digits.count == 1 || digits[0] != 0x30, let bits = ASCII.decimal(digits), bits <= width else {
      return nil
    }
    self.init(base, prefix: Int(bits) + 128 - width)
    if !isAligned { return nil }
  }

  /// In the form that `init(parsing:)` reads; the prefix is left out where the range is one address.
  public var text: [UInt8] {
    if base.isUnix || prefix == 128 { return base.text }
    return base.text + Array("/\(base.isIPv4 && prefix >= 96 ? prefix - 96 : prefix)".utf8)
  }
}
