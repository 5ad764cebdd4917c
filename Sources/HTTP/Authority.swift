// `host[:port]` as it stands in Host and in a request target (RFC 9112 section 3.2, RFC 3986 section 3.2.2). No resolving.

import Primitives

/// Rules for the text of an authority without user information.
public enum Authority {
  static let longestName = 255

  /// Whether `text` is a host name, an IPv4 address or a bracketed IPv6 address, with or without a port of 0–65535.
  ///
  /// Narrower than RFC 3986 on purpose: no percent-escapes and no sub-delims in a name (`,` `;` `'` and the like). No host that is
  /// looked up has them, and they break out of the lists and quotes that a forwarded host is put into. An underscore is let through.
  /// An empty host is refused (RFC 9110 section 4.2.1); an empty port is not (`host:`). A name of more than 255 bytes is none that is looked up either
  /// (RFC 1035 section 2.3.4), and it would be written once for each reference that is mapped to it.
  public static func isValid(_ text: Span<UInt8>) -> Bool {
    guard text.count > 0 else { return false }
    var i = 0
    if text[0] == 0x5B {
      var colons = 0
      i = 1
      while i < text.count && text[i] != 0x5D {
        let byte = text[i]
        if byte == 0x3A {
          colons += 1
        } else if ASCII.hexValue(byte) == nil && byte != 0x2E {
          return false
        }
        i += 1
      }
      // Two colons at least, as in `::`; the longest text is that of an IPv4-mapped address.
      guard i < text.count, colons >= 2, colons <= 8, i <= 46 else { return false }
      i += 1
    } else {
      i = ASCII.endOfUnreserved(in: text, from: 0)
      guard i > 0, i <= longestName else { return false }
    }
    if i == text.count { return true }
    guard text[i] == 0x3A else { return false }
    var port = 0
    i += 1
    guard text.count - i <= 5 else { return false }
    while i < text.count {
      guard ASCII.isDigit(text[i]) else { return false }
      port = port * 10 + Int(text[i] - 0x30)
      i += 1
    }
    return port <= 65535
  }

  /// Where the port's digits stand in a valid authority, or nil when it has no colon for them.
  public static func port(_ text: Span<UInt8>) -> Range<Int>? {
    var i = text.count
    while i > 0 && ASCII.isDigit(text[i - 1]) { i -= 1 }
    guard i > 0, text[i - 1] == 0x3A else { return nil }
    return i..<text.count
  }

  /// The number of bytes of the host in a valid authority: what is left without port and colon.
  public static func hostCount(_ text: Span<UInt8>) -> Int {
    if let port = port(text) { return port.lowerBound - 1 }
    return text.count
  }

  /// Whether two valid authorities name the same host and port, case and a default port of the scheme (80, or 443 when `secure`) aside
  /// (RFC 9110 section 4.2.3).
  public static func agree(_ a: Span<UInt8>, _ b: Span<UInt8>, secure: Bool) -> Bool {
    ASCII.equals(a.extracting(0..<hostCount(a)), ignoringCaseOf: b.extracting(0..<hostCount(b)))
      && portNumber(a, secure: secure) == portNumber(b, secure: secure)
  }

  static func portNumber(_ text: Span<UInt8>, secure: Bool) -> UInt64 {
    let standard: UInt64 = secure ? 443 : 80
    guard let digits = port(text), !digits.isEmpty else { return standard }
    return ASCII.decimal(text.extracting(digits)) ?? standard
  }
}
