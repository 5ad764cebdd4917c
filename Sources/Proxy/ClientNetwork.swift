// Who the client is: not the trusted proxy which all clients may come through.

import HTTP
import Net
import Primitives

enum ClientNetwork {
  /// Elements of X-Forwarded-For that are looked at, from the right: more proxies than anybody has in a row.
  private static let mostElements = 16
  /// Bytes of an element: an IPv6 address in brackets, with a scope and a port.
  private static let longestElement = 80

  /// The client's address: of the connection's peer, or of the last address in X-Forwarded-For that is no trusted proxy's when the peer is one.
  ///
  /// What a trusted proxy did not write is left of what it wrote, and is not reached. The peer's own where no address can be read. Makes
  /// strings where the peer is a trusted proxy.
  static func address(of head: borrowing RequestHead, _ peer: Peer, trusted: [Network]) -> ClientAddress {
    guard peer.isTrusted else { return peer.address.client }
    var looked = 0
    for i in head.fields.indices.reversed() where head.fields[i].known == .xForwardedFor {
      let value = head.bytes[head.fields[i].value]
      var end = value.count
      while end >= 0 {
        var start = end
        while start > 0 && value[start - 1] != 0x2C { start -= 1 }
        looked += 1
        guard looked <= mostElements, let address = address(value.extracting(start..<end)) else { return peer.address.client }
        if !trusted.contains(where: { $0.contains(address) }) { return address.client }
        end = start - 1
      }
    }
    return peer.address.client
  }

  /// `192.0.2.1`, `2001:db8::1`, or either with a port (IPv6 then in brackets), as some proxies write it.
  private static func address(_ element: Span<UInt8>) -> SocketAddress? {
    var start = 0
    var end = element.count
    while start < end && ASCII.isWhitespace(element[start]) { start += 1 }
    while end > start && ASCII.isWhitespace(element[end - 1]) { end -= 1 }
    guard end > start, end - start <= longestElement else { return nil }
    let text = ASCII.string(element.extracting(start..<end))
    let colons = text.utf8.count { $0 == 0x3A }
    let written: String
    if text.hasPrefix("[") {
      written = text.hasSuffix("]") ? text + ":0" : text
    } else {
      written = colons == 0 ? text + ":0" : colons == 1 ? text : "[\(text)]:0"
    }
    guard let address = try? SocketAddress(parsing: written) else { return nil }
    switch address {
    // IPv4 in IPv6's clothes is the same client.
    case .ipv6(0, let low, _, let port) where low >> 32 == 0xFFFF: return .ipv4(address: UInt32(truncatingIfNeeded: low), port: port)
    case .ipv4, .ipv6: return address
    case .any, .unix, .passed: return nil
    }
  }
}
