// Which bytes may be a user's or a group's name, and which may be a password that a client sends.

internal import Primitives

public enum UserName {
  /// Longest name, in bytes.
  public static let longest = 255

  /// Why `name` may not name a user; nil when it may.
  public static func fault(_ name: Span<UInt8>) -> StaticString? {
    if name.count == 0 { return "the user's name is empty" }
    if name.count > longest { return "the user's name has more than 255 bytes" }
    if APIKey.isPrefix(of: name) { return "names that begin with ghk_ are kept for tokens" }
    if name[0] == 0x23 { return "a name that begins with # would be a comment" }
    // The upstream reads it as a field value, where outer white space is not part of it (RFC 9110 section 5.5): `alice ` would be alice.
    if name[0] == 0x20 || name[name.count - 1] == 0x20 { return "the user's name begins or ends with a space" }
    var i = 0
    while i < name.count {
      if name[i] == 0x3A { return "the user's name holds a colon" }
      i += 1
    }
    if !isPrintable(name) { return "the user's name holds control characters or is not UTF-8" }
    return nil
  }

  /// Why `group` may not name a group; nil when it may.
  public static func groupFault(_ group: Span<UInt8>) -> StaticString? {
    if group.count == 0 { return "the group's name is empty" }
    if group.count > longest { return "the group's name has more than 255 bytes" }
    var i = 0
    while i < group.count {
      if group[i] == 0x20 || group[i] == 0x2C { return "the group's name holds a space or a comma" }
      i += 1
    }
    if !isPrintable(group) { return "the group's name holds control characters or is not UTF-8" }
    return nil
  }

  /// Whether a log may name somebody who was not let in so: printable, and not holding what looks like a token. One that was pasted with a space or
  /// a letter too many before it is still good for whoever reads the log.
  static func isLoggable(_ name: Span<UInt8>) -> Bool {
    var i = 0
    while i + APIKey.prefix.utf8CodeUnitCount <= name.count {
      if ASCII.equals(name.extracting(i..<i + APIKey.prefix.utf8CodeUnitCount), ignoringCaseOf: APIKey.prefix) { return false }
      i += 1
    }
    return isPrintable(name)
  }

  /// UTF-8 without C0, DEL and C1 control characters: what may be written to a log or a field.
  static func isPrintable(_ text: Span<UInt8>) -> Bool {
    var i = 0
    while i < text.count {
      if ASCII.isControl(text[i]) || (text[i] == 0xC2 && i + 1 < text.count && text[i + 1] < 0xA0) { return false }
      i += 1
    }
    return isUTF8(text)
  }

  /// Well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
  static func isUTF8(_ text: Span<UInt8>) -> Bool {
    var i = 0
    while i < text.count {
      let lead = text[i]
      if lead < 0x80 {
        i += 1
        continue
      }
      let length: Int
      var second: ClosedRange<UInt8> = 0x80...0xBF
      switch lead {
      case 0xC2...0xDF: length = 2
      case 0xE0: (length, second) = (3, 0xA0...0xBF)
      case 0xED: (length, second) = (3, 0x80...0x9F)
      case 0xE1...0xEF: length = 3
      case 0xF0: (length, second) = (4, 0x90...0xBF)
      case 0xF1...0xF3: length = 4
      case 0xF4: (length, second) = (4, 0x80...0x8F)
      default: return false
      }
      guard i + length <= text.count, second.contains(text[i + 1]) else { return false }
      var j = i + 2
      while j < i + length {
        guard text[j] & 0xC0 == 0x80 else { return false }
        j += 1
      }
      i += length
    }
    return true
  }
}
