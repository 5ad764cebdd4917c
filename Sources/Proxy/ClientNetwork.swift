// Who the client is, and how it came: not the trusted proxy which all clients may come through, and nothing that a stranger says of himself.

import HTTP
import Net
import Primitives

enum ClientNetwork {
  /// Addresses that are looked at, from the right: more proxies than anybody has in a row.
  private static let mostElements = 16
  /// Bytes of an element of X-Forwarded-For: an IPv6 address in brackets, with a port.
  private static let longestElement = 80

  /// The client's address: of the connection's peer, or of the last address in the field that is no trusted proxy's when the peer is one.
  ///
  /// What a trusted proxy did not write is left of what it wrote, and is not reached. The peer's own where no address can be read.
  static func address(
    of head: borrowing RequestHead, _ peer: Peer, by field: OriginField, trusted: [Network]
  ) -> ClientAddress {
    guard peer.isTrusted else { return peer.address.client }
    var looked = 0
    let name: FieldName = field == .forwarded ? .forwarded : .xForwardedFor
    for i in head.fields.indices.reversed() where head.fields[i].known == name {
      let value = head.bytes[head.fields[i].value]
      var end = value.count
      while end >= 0 {
        looked += 1
        guard looked <= mostElements, let start = start(of: field, in: value, endingAt: end),
          let address = node(field, value.extracting(start..<end))
        else { return peer.address.client }
        if !trusted.contains(where: { $0.range.contains(address) }) { return address }
        end = start - 1
      }
    }
    return peer.address.client
  }

  /// Whether the client's side is encrypted: the connection's own, or, behind a trusted proxy, that one's as it says itself. Of several values the
  /// last, which is the nearest proxy's.
  static func isSecure(_ head: borrowing RequestHead, _ peer: Peer, by field: OriginField) -> Bool {
    // Our own TLS may be a proxy's way to us alone: what that one says of its client counts before it.
    guard peer.isTrusted, let proto = proto(of: head, by: field) else { return peer.tls != nil }
    return ASCII.equals(head.bytes[proto], ignoringCaseOf: "https")
  }

  /// The host, and port, that the client asked for: that of its Host, or, behind a trusted proxy, what that one says.
  static func host(of head: borrowing RequestHead, _ peer: Peer, by field: OriginField) -> ByteRange {
    guard peer.isTrusted, let told = field == .forwarded ? forwarded(.host, head) : last(.xForwardedHost, head),
      Authority.isValid(head.bytes[told])
    else { return head.host }
    return told
  }

  /// What the trusted proxy says it was spoken to by: the last value there is.
  static func proto(of head: borrowing RequestHead, by field: OriginField) -> ByteRange? {
    switch field {
    case .xForwardedFor: return last(.xForwardedProto, head)
    case .forwarded: return forwarded(.proto, head)
    }
  }

  /// A parameter of the last element of Forwarded.
  static func forwarded(_ parameter: ForwardedElement.Parameter, _ head: borrowing RequestHead) -> ByteRange? {
    guard let i = head.lastIndex(of: .forwarded) else { return nil }
    let value = head.fields[i].value
    let bytes = head.bytes[value]
    guard let start = ForwardedElement.start(in: bytes, endingAt: bytes.count),
      let element = ForwardedElement(bytes.extracting(start..<bytes.count))
    else { return nil }
    let found = element[parameter]
    return found.isEmpty ? nil : ByteRange(Int(value.start) + start + found.lowerBound, Int(value.start) + start + found.upperBound)
  }

  /// The last element of the last field of that name.
  static func last(_ name: FieldName, _ head: borrowing RequestHead) -> ByteRange? {
    guard let i = head.lastIndex(of: name) else { return nil }
    let value = head.fields[i].value
    let bytes = head.bytes[value]
    var start = bytes.count
    while start > 0 && bytes[start - 1] != 0x2C { start -= 1 }
    while start < bytes.count && ASCII.isWhitespace(bytes[start]) { start += 1 }
    return start == bytes.count ? nil : ByteRange(Int(value.start) + start, Int(value.end))
  }

  /// Where the element begins that ends there.
  private static func start(of field: OriginField, in value: Span<UInt8>, endingAt end: Int) -> Int? {
    if field == .forwarded { return ForwardedElement.start(in: value, endingAt: end) }
    var start = end
    while start > 0 && value[start - 1] != 0x2C { start -= 1 }
    return start
  }

  private static func node(_ field: OriginField, _ text: Span<UInt8>) -> ClientAddress? {
    if field == .xForwardedFor { return address(text) }
    guard let element = ForwardedElement(text) else { return nil }
    return address(text.extracting(element[.node]))
  }

  /// `192.0.2.1`, `2001:db8::1`, or either with a port (IPv6 then in brackets), as some proxies write it. Not a name, not `unknown`, not `_hidden`.
  private static func address(_ element: Span<UInt8>) -> ClientAddress? {
    var start = 0
    var end = element.count
    while start < end && ASCII.isWhitespace(element[start]) { start += 1 }
    while end > start && ASCII.isWhitespace(element[end - 1]) { end -= 1 }
    guard end > start, end - start <= longestElement else { return nil }
    if element[start] == 0x5B {
      guard let close = ASCII.firstIndex(of: 0x5D, in: element, from: start), close < end,
        ASCII.firstIndex(of: 0x3A, in: element.extracting(start..<close)) != nil,
        close + 1 == end || isPort(element.extracting(close + 1..<end))
      else { return nil }
      (start, end) = (start + 1, close)
    } else if let colon = ASCII.firstIndex(of: 0x3A, in: element, from: start), colon < end,
      // With a second colon it is an IPv6 address without brackets.
      (ASCII.firstIndex(of: 0x3A, in: element, from: colon + 1) ?? end) >= end
    {
      guard isPort(element.extracting(colon..<end)) else { return nil }
      end = colon
    }
    // IPv4 in IPv6's clothes is the same client.
    guard let address = ClientAddress(parsing: element.extracting(start..<end)), !address.isUnix else { return nil }
    return address
  }

  /// A colon, and a number or an obfuscated port (RFC 7239 section 6).
  private static func isPort(_ text: Span<UInt8>) -> Bool {
    guard text.count >= 2, text[0] == 0x3A else { return false }
    if text[1] == 0x5F { return true }
    guard text.count <= 6 else { return false }
    for i in 1..<text.count where !ASCII.isDigit(text[i]) { return false }
    return true
  }
}
