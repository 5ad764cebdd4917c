// Where a request came from, as the upstream is told: X-Forwarded-For, -Proto, -Host, -Port and, on request, Forwarded (RFC 7239).

import HTTP
import Net
import Primitives
import Upstream

/// Set anew, or continued when the peer is a trusted proxy: what that one writes, by the field that the configuration names
/// (`client_address`). The other field is its client's, whatever stands in it, and is made again from what is known.
enum ForwardedOrigin {
  static func add(_ head: borrowing RequestHead, _ rules: ForwardingRules, _ peer: Peer, to request: inout UpstreamRequest) {
    guard peer.isTrusted else { return addOwn(head, rules, peer, to: &request) }
    switch rules.originField {
    case .xForwardedFor: continueFields(head, rules, peer, to: &request)
    case .forwarded: continueForwarded(head, rules, peer, to: &request)
    }
  }

  /// Nobody before the peer is known.
  private static func addOwn(_ head: borrowing RequestHead, _ rules: ForwardingRules, _ peer: Peer, to request: inout UpstreamRequest) {
    request.begin("X-Forwarded-For")
    peer.append(to: &request)
    request.end()
    addOwnProto(peer, to: &request)
    if !head.host.isEmpty { request.add("X-Forwarded-Host", head.bytes[head.host]) }
    addOwnPort(peer, to: &request)
    guard rules.setsForwarded else { return }
    request.begin("Forwarded")
    appendElement(head, peer, to: &request)
    request.end()
  }

  private static func addOwnProto(_ peer: Peer, to request: inout UpstreamRequest) {
    if peer.tls != nil { request.add(line: "X-Forwarded-Proto: https") } else { request.add(line: "X-Forwarded-Proto: http") }
  }

  private static func addOwnPort(_ peer: Peer, to request: inout UpstreamRequest) {
    guard peer.localPort != 0 else { return }
    request.begin("X-Forwarded-Port")
    request.append(decimal: UInt64(peer.localPort))
    request.end()
  }

  // MARK: Behind a proxy that writes X-Forwarded-*

  private static func continueFields(
    _ head: borrowing RequestHead, _ rules: ForwardingRules, _ peer: Peer, to request: inout UpstreamRequest
  ) {
    request.begin("X-Forwarded-For")
    appendValues(of: .xForwardedFor, head, to: &request)
    if !request.isValueEmpty { request.append(", ") }
    peer.append(to: &request)
    request.end()
    // The nearest proxy's alone, as `require tls` goes by it: a client could have written what stands before. So with host and port.
    if let proto = ClientNetwork.proto(of: head, by: .xForwardedFor) {
      request.add("X-Forwarded-Proto", head.bytes[proto])
    } else {
      addOwnProto(peer, to: &request)
    }
    let host = ClientNetwork.last(.xForwardedHost, head) ?? head.host
    if !host.isEmpty { request.add("X-Forwarded-Host", head.bytes[host]) }
    if let port = ClientNetwork.last(.xForwardedPort, head) {
      request.add("X-Forwarded-Port", head.bytes[port])
    } else {
      addOwnPort(peer, to: &request)
    }
    guard rules.setsForwarded else { return }
    request.begin("Forwarded")
    let client = ClientNetwork.address(of: head, peer, by: .xForwardedFor, trusted: rules.options.trustedProxies)
    if client != peer.address.client {
      append(node: client, to: &request)
      request.append(ClientNetwork.isSecure(head, peer, by: .xForwardedFor) ? ";proto=https, " : ";proto=http, ")
    }
    appendElement(head, peer, to: &request)
    request.end()
  }

  // MARK: Behind a proxy that writes Forwarded

  private static func continueForwarded(
    _ head: borrowing RequestHead, _ rules: ForwardingRules, _ peer: Peer, to request: inout UpstreamRequest
  ) {
    request.begin("X-Forwarded-For")
    let client = ClientNetwork.address(of: head, peer, by: .forwarded, trusted: rules.options.trustedProxies)
    if client != peer.address.client {
      append(address: client, to: &request)
      request.append(", ")
    }
    peer.append(to: &request)
    request.end()
    let proto = ClientNetwork.forwarded(.proto, head)
    if let proto { request.add("X-Forwarded-Proto", head.bytes[proto]) } else { addOwnProto(peer, to: &request) }
    let host = ClientNetwork.forwarded(.host, head) ?? head.host
    if !host.isEmpty { request.add("X-Forwarded-Host", head.bytes[host]) }
    // Forwarded tells no port; where it tells a scheme, ours is not the one that the client connected to.
    if proto == nil { addOwnPort(peer, to: &request) }
    guard rules.setsForwarded else { return }
    request.begin("Forwarded")
    appendValues(of: .forwarded, head, to: &request)
    if !request.isValueEmpty { request.append(", ") }
    appendElement(head, peer, to: &request)
    request.end()
  }

  // MARK: Values

  /// What we saw ourselves. RFC 7239 section 4: an IPv6 address is quoted and in brackets; a Unix socket's peer is "unknown" (section 6.2).
  private static func appendElement(_ head: borrowing RequestHead, _ peer: Peer, to request: inout UpstreamRequest) {
    switch peer.address {
    case .ipv6:
      request.append("for=\"[")
      peer.append(to: &request)
      request.append("]\"")
    case .unix:
      request.append("for=unknown")
    default:
      request.append("for=")
      peer.append(to: &request)
    }
    if !head.host.isEmpty {
      request.append(";host=\"")
      request.append(head.bytes[head.host])
      request.append("\"")
    }
    if peer.tls != nil { request.append(";proto=https") } else { request.append(";proto=http") }
  }

  // Allocates, and only where both fields are written behind a proxy.
  private static func append(address: ClientAddress, to request: inout UpstreamRequest) {
    var text = ByteBuffer()
    SocketAddress(address, port: 0).appendHost(to: &text)
    request.append(text.span)
  }

  private static func append(node: ClientAddress, to request: inout UpstreamRequest) {
    let isQuoted = !node.isUnix && !node.isIPv4
    request.append(isQuoted ? "for=\"[" : "for=")
    append(address: node, to: &request)
    if isQuoted { request.append("]\"") }
  }

  private static func appendValues(of name: FieldName, _ head: borrowing RequestHead, to request: inout UpstreamRequest) {
    for field in head.fields where field.known == name && !field.value.isEmpty {
      if !request.isValueEmpty { request.append(", ") }
      request.append(head.bytes[field.value])
    }
  }
}
