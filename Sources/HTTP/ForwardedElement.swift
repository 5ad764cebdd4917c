// RFC 7239: one element of a Forwarded field, which one proxy wrote. Found from the right end, since only what the nearest proxy wrote is
// known to be well-formed: whatever a client put to the left of it must not change where it begins.

internal import Primitives

/// Where the parameters of an element stand that anybody asks for, as ranges of its text.
public struct ForwardedElement: Equatable, Sendable {
  public enum Parameter: Sendable {
    /// `for`: the client of the proxy that wrote it, without quotes. An address, `unknown` or an obfuscated identifier (section 6).
    case node
    /// `proto`: the scheme that the client used.
    case proto
    /// `host`: the Host that it sent.
    case host
  }

  private var node = 0..<0
  private var proto = 0..<0
  private var host = 0..<0

  /// Where it stands; empty where it does not.
  public subscript(parameter: Parameter) -> Range<Int> {
    switch parameter {
    case .node: node
    case .proto: proto
    case .host: host
    }
  }

  /// Where the element begins that ends at `end`: behind the last comma that is in no quoted string, or at 0. Nil when a quotation is not
  /// closed.
  ///
  /// Quotes are paired from the right. A quoted string that a proxy wrote has each quote in it escaped, so that its beginning is the first
  /// one to the left that is not.
  public static func start(in value: Span<UInt8>, endingAt end: Int) -> Int? {
    var at = end
    while at > 0 {
      let byte = value[at - 1]
      if byte == 0x2C { return at }
      at -= 1
      guard byte == 0x22 else { continue }
      if isEscaped(at, in: value) { return nil }
      repeat {
        guard at > 0 else { return nil }
        at -= 1
      } while value[at] != 0x22 || isEscaped(at, in: value)
    }
    return 0
  }

  private static func isEscaped(_ at: Int, in value: Span<UInt8>) -> Bool {
    var start = at
    while start > 0 && value[start - 1] == 0x5C { start -= 1 }
    return (at - start) & 1 == 1
  }

  /// Nil for what is no element: a pair without `=`, a parameter twice (section 4), a value that is neither token nor quoted string. White
  /// space is allowed around pairs. Values with escapes are taken for absent: no address and no scheme has any.
  public init?(_ text: Span<UInt8>) {
    var seen: UInt8 = 0
    var at = 0
    while true {
      while at < text.count && ASCII.isWhitespace(text[at]) { at += 1 }
      let nameStart = at
      while at < text.count && ASCII.isToken(text[at]) { at += 1 }
      let name = text.extracting(nameStart..<at)
      guard !name.isEmpty, at < text.count, text[at] == 0x3D else { return nil }
      at += 1
      guard let value = Self.value(text, at: &at) else { return nil }
      let bit: UInt8
      if ASCII.equals(name, ignoringCaseOf: "for") {
        (bit, node) = (1, value)
      } else if ASCII.equals(name, ignoringCaseOf: "proto") {
        (bit, proto) = (2, value)
      } else if ASCII.equals(name, ignoringCaseOf: "host") {
        (bit, host) = (4, value)
      } else {
        bit = 0
      }
      if seen & bit != 0 { return nil }
      seen |= bit
      while at < text.count && ASCII.isWhitespace(text[at]) { at += 1 }
      if at == text.count { return }
      guard text[at] == 0x3B else { return nil }
      at += 1
    }
  }

  /// A token or a quoted string. Colons and brackets are let through in tokens: many write addresses so.
  private static func value(_ text: Span<UInt8>, at: inout Int) -> Range<Int>? {
    guard at < text.count else { return nil }
    let start = at
    guard text[at] == 0x22 else {
      while at < text.count && (ASCII.isToken(text[at]) || text[at] == 0x3A || text[at] == 0x5B || text[at] == 0x5D) { at += 1 }
      return at == start ? nil : start..<at
    }
    at += 1
    var hasEscapes = false
    while at < text.count && text[at] != 0x22 {
      if text[at] == 0x5C {
        hasEscapes = true
        at += 1
      }
      at += 1
    }
    guard at < text.count else { return nil }
    at += 1
    return hasEscapes ? start..<start : start + 1..<at - 1
  }
}
