// A client's address as people read and write it: in logs, and in commands about bans.

import Net
import Primitives

extension ClientAddress {
  /// `203.0.113.7`, `2001:db8::7`, or `unix:`.
  var text: String {
    if isUnix { return "unix:" }
    if isIPv4 { return SocketAddress.ipv4(address: UInt32(truncatingIfNeeded: low), port: 0).host }
    return SocketAddress.ipv6(high: high, low: low, scope: 0, port: 0).host
  }

  /// What counts as one client: as `text`, but of IPv6 the network, `2001:db8::/64`.
  var networkText: String {
    if isUnix || isIPv4 { return text }
    return SocketAddress.ipv6(high: high, low: 0, scope: 0, port: 0).host + "/64"
  }

  var isLoopback: Bool { isIPv4 ? low >> 24 & 0xFF == 127 : !isUnix && high == 0 && low == 1 }

  /// Reads what `text` and `networkText` write; nil when it is none of these.
  init?(text: String) {
    if text == "unix:" || text == "unix" {
      self = .unix
      return
    }
    var host = text
    if host.hasSuffix("/64") && host.contains(":") { host.removeLast(3) }
    guard let address = try? SocketAddress(parsing: host.contains(":") ? "[\(host)]:0" : "\(host):0") else { return nil }
    switch address {
    // Mapped, it is the IPv4 client that it is when he connects.
    case .ipv6(0, let low, _, _) where low >> 32 == 0xFFFF: self = .ipv4(UInt32(truncatingIfNeeded: low))
    case .ipv4, .ipv6: self = address.client
    case .any, .unix, .passed: return nil
    }
  }
}
