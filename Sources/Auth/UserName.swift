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
    if JWSParts.hasForm(name) { return "names of the form of a signed token (eyJ….….…) are kept for those" }
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
      if JWSParts.begins(name, at: i) { return false }
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
    return UTF8Text.isWellFormed(text)
  }
}
