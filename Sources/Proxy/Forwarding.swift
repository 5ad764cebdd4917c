// What the upstream is told: the client's fields less those of the connection, less every claim of identity, plus ours. In that order, so
// that nothing a client writes can remove or imitate what we add.

import Auth
import HTTP
import Net
import Primitives
import Upstream

/// The fields that are deleted from every request, and the names under which ours are set. Made once per configuration.
final class ForwardingRules: Sendable {
  let options: ForwardingOptions
  /// Lower case with hyphens: compared with what a client sends after folding, as CGI and WSGI servers fold (`FieldName.areAliases`).
  private let identityNames: [[UInt8]]
  /// Bit n is set when a name of n bytes is among them: most fields are let through by this test alone.
  private let lengths: UInt64
  private let ticketParameter: [UInt8]
  let userField: [UInt8]
  let groupsField: [UInt8]

  /// - Parameters:
  ///   - ticketParameter: of queries, in which credentials may stand; empty for none.
  ///   - apiKeyField: where credentials may stand that are for us alone (`api_key_header`); empty for none.
  init(_ options: ForwardingOptions, apiKeyField: [UInt8] = [], ticketParameter: [UInt8] = []) {
    self.ticketParameter = ticketParameter
    self.options = options
    userField = Array(options.userField.utf8)
    groupsField = Array(options.groupsField.utf8)
    var names = [
      "remote-user", "remote-groups", "x-remote-user", "x-remote-groups", "x-remote-group", "x-webauth-user", "x-authenticated-user",
      "x-auth-request-user",
      "x-real-ip", "forwarded", "x-request-id",
      // Some frameworks route by these instead of by the target, which is what was judged.
      "x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url",
      // CGI turns a field `Proxy` into HTTP_PROXY, which HTTP libraries obey (httpoxy).
      "proxy",
    ]
    names.append(Self.folded(options.userField))
    names.append(Self.folded(options.groupsField))
    if !apiKeyField.isEmpty { names.append(Self.folded(String(decoding: apiKeyField, as: UTF8.self))) }
    identityNames = names.map { Array($0.utf8) }
    lengths = identityNames.reduce(0) { $0 | 1 << UInt64(min($1.count, 63)) }
  }

  private static func folded(_ name: String) -> String {
    String(decoding: name.utf8.map { ASCII.isAlpha($0) || ASCII.isDigit($0) ? ASCII.lowercased($0) : 0x2D }, as: UTF8.self)
  }

  /// Whether only we may say this (who the user is and where the request came from), or only we may hear it (his key).
  func isOurs(_ name: Span<UInt8>) -> Bool {
    // All of X-Forwarded-*: a service behind may believe any of them (oauth2-proxy CVE-2026-40575: X-Forwarded-Uri).
    if name.count > 12 && Self.begins(name, withFolded: "x-forwarded-") { return true }
    guard lengths >> UInt64(min(name.count, 63)) & 1 == 1 else { return false }
    for candidate in identityNames where FieldName.areAliases(name, candidate.span) { return true }
    return false
  }

  /// Whether this is a Referer with a ticket in its query, which is neither forwarded nor logged.
  func holdsTicket(_ value: Span<UInt8>, inFieldCalled name: Span<UInt8>) -> Bool {
    if ticketParameter.isEmpty || name.count != 7 { return false }
    let parameter = ticketParameter
    return ASCII.equals(name, ignoringCaseOf: "referer") && QueryParameter.isIn(url: value, parameter.span)
  }

  private static func begins(_ name: Span<UInt8>, withFolded prefix: StaticString) -> Bool {
    let length = prefix.utf8CodeUnitCount
    guard name[0] | 0x20 == 0x78 else { return false }
    for i in 0..<length where i == 1 || i == length - 1 {
      if ASCII.isAlpha(name[i]) || ASCII.isDigit(name[i]) { return false }
    }
    return ASCII.equals(name.extracting(2..<(length - 1)), ignoringCaseOf: "forwarded")
  }
}

/// Who is at the other end of the connection, in the forms in which it is written again and again.
final class Peer: Sendable {
  let address: SocketAddress
  /// The port that it connected to; 0 where there is none.
  let localPort: UInt16
  let isTrusted: Bool
  /// nil in clear text.
  let tls: TLSFacts?
  /// The same as members of a JSON object; empty in clear text.
  let tlsText: [UInt8]
  /// The listener that it connected to; nil for none that matters.
  let listener: ListenerTraits?
  // As in X-Forwarded-For. In place: an IPv6 address has 39 bytes at most, and a client's Unix socket no path.
  private let text: InlineArray<40, UInt8>
  private let length: Int

  init(_ address: SocketAddress, localPort: UInt16 = 0, trusted: [Network], listener: ListenerTraits? = nil, tls: TLSFacts? = nil) {
    self.address = address
    self.localPort = localPort
    self.listener = listener
    self.tls = tls
    tlsText = tls.map { Array(",\"tls\":\"\($0.version)\",\"cipher\":\"\($0.cipher)\"".utf8) } ?? []
    var buffer = ByteBuffer()
    if address.isUnix { buffer.append("unix:") } else { address.appendHost(to: &buffer) }
    length = min(buffer.count, 40)
    var text = InlineArray<40, UInt8>(repeating: 0)
    for i in 0..<length { text[i] = buffer[i] }
    self.text = text
    isTrusted = trusted.contains { $0.contains(address) }
  }

  /// The same peer, trusted or not by another list.
  convenience init(_ other: Peer, trusted: [Network]) {
    self.init(other.address, localPort: other.localPort, trusted: trusted, listener: other.listener, tls: other.tls)
  }

  /// The same peer after a handshake.
  convenience init(_ other: Peer, trusted: [Network], tls: TLSFacts) {
    self.init(other.address, localPort: other.localPort, trusted: trusted, listener: other.listener, tls: tls)
  }

  func append(to out: inout ByteBuffer) { out.append(text.span.extracting(0..<length)) }

  func append(to request: inout UpstreamRequest) { request.append(text.span.extracting(0..<length)) }
}

enum Forwarding {
  /// Composes the upstream's request in product order: hop-by-hop fields go first, then every identity field, then ours are added.
  ///
  /// - Parameters:
  ///   - target: the canonical path and query, as judged.
  ///   - authorization: the route's.
  ///   - methodIsJudged: whether by another method the request would have been another route's, or refused.
  ///   - dropped: scratch for the hop-by-hop set, reused.
  static func compose(
    _ head: borrowing RequestHead, target: borrowing ByteBuffer, _ rules: ForwardingRules, _ authorization: Route.AuthorizationPolicy,
    _ peer: Peer, methodIsJudged: Bool, requestID: borrowing RequestIdentifier, _ grant: consuming Grant,
    storage: consuming RequestStorage, dropped: inout FieldSet
  ) -> UpstreamRequest {
    let methodIsJudged = methodIsJudged || grant.credential.judgesMethod
    var request = UpstreamRequest(
      grant, storage: storage, method: head.bytes[head.methodRange], target: target.span, framing: head.framing,
      isHead: head.method == .head,
      isIdempotent: head.method.isIdempotent)
    HopByHop.mark(head.fields, head.bytes, into: &dropped)
    if !head.host.isEmpty { request.add("Host", head.bytes[head.host]) }
    // Lines that follow each other, and stand as we would write them, are copied in one piece.
    var run = ByteRange()
    for i in head.fields.indices where !dropped.contains(i) {
      let field = head.fields[i]
      let name = head.bytes[field.name]
      switch field.known {
      case .host, .contentLength, .expect, .xRequestID:
        // Host stands first; the length is set again from what is sent; the expectation was ours to meet; the identifier follows.
        continue
      case .authorization:
        guard case .pass = authorization else { continue }
        if !authenticatesRequest(head.bytes[field.value]) { request.isolate() }
      case .accept:
        request.sawAccept()
      case .via:
        break
      default:
        if rules.isOurs(name) { continue }
        // A link that was opened by a ticket tells it to all that is opened from there.
        if rules.holdsTicket(head.bytes[field.value], inFieldCalled: name) { continue }
        // Where the method was judged, the service must not be told another one.
        if methodIsJudged && MethodOverride.isName(name) { continue }
      }
      if let line = field.line(asWrittenIn: head.bytes) {
        if run.end == line.start {
          run.end = line.end
        } else {
          request.add(lines: head.bytes[run])
          run = line
        }
      } else {
        request.add(lines: head.bytes[run])
        run = ByteRange()
        request.add(name, head.bytes[field.value])
      }
    }
    request.add(lines: head.bytes[run])
    // Content-Length 0 is said by us; any other length by the engine that sends the body.
    if case .length(0) = head.framing { request.add(line: "Content-Length: 0") }
    if case .replace(let value) = authorization {
      request.add("Authorization", value.span)
      if !authenticatesRequest(value.span) { request.isolate() }
    }
    if let user = request.grant.user {
      request.add(rules.userField, user.name)
      if user.joinedGroups.count > 0 { request.add(rules.groupsField, user.joinedGroups) }
    }
    addOrigin(head, rules, peer, to: &request)
    requestID.add(to: &request)
    switch head.version {
    case .http11: request.add(line: "Via: 1.1 gatehouse")
    case .http2: request.add(line: "Via: 2.0 gatehouse")
    case .http10: request.add(line: "Via: 1.0 gatehouse")
    }
    request.seal()
    return request
  }

  /// Whether a scheme speaks for its request alone. NTLM and Negotiate authenticate the connection; of a scheme that we don't know that is to be feared.
  private static func authenticatesRequest(_ value: Span<UInt8>) -> Bool {
    let end = ASCII.firstIndex(of: 0x20, in: value) ?? value.count
    let scheme = value.extracting(0..<end)
    return ASCII.equals(scheme, ignoringCaseOf: "basic") || ASCII.equals(scheme, ignoringCaseOf: "bearer")
      || ASCII.equals(scheme, ignoringCaseOf: "digest")
  }

  /// X-Forwarded-For, -Proto, -Host, -Port and, on request, Forwarded (RFC 7239): set anew, or continued when the peer is a trusted proxy.
  private static func addOrigin(
    _ head: borrowing RequestHead, _ rules: ForwardingRules, _ peer: Peer, to request: inout UpstreamRequest
  ) {
    let trusted = peer.isTrusted
    request.begin("X-Forwarded-For")
    if trusted { appendValues(of: .xForwardedFor, head, to: &request) }
    if !request.isValueEmpty { request.append(", ") }
    peer.append(to: &request)
    request.end()

    let proto = trusted ? value(of: .xForwardedProto, head) : nil
    if let proto {
      request.add("X-Forwarded-Proto", head.bytes[proto])
    } else if peer.tls != nil {
      request.add(line: "X-Forwarded-Proto: https")
    } else {
      request.add(line: "X-Forwarded-Proto: http")
    }

    let host = (trusted ? value(of: .xForwardedHost, head) : nil) ?? head.host
    if !host.isEmpty { request.add("X-Forwarded-Host", head.bytes[host]) }

    let port = trusted ? value(of: .xForwardedPort, head) : nil
    if let port {
      request.add("X-Forwarded-Port", head.bytes[port])
    } else if peer.localPort != 0 {
      request.begin("X-Forwarded-Port")
      request.append(decimal: UInt64(peer.localPort))
      request.end()
    }

    guard rules.options.setsForwarded else { return }
    request.begin("Forwarded")
    if trusted { appendValues(of: .forwarded, head, to: &request) }
    if !request.isValueEmpty { request.append(", ") }
    appendForwarded(head, peer, to: &request)
    request.end()
  }

  /// RFC 7239 section 4: an IPv6 address is quoted and in brackets; a Unix socket's peer is "unknown" (section 6.2).
  private static func appendForwarded(_ head: borrowing RequestHead, _ peer: Peer, to request: inout UpstreamRequest) {
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

  private static func appendValues(of name: FieldName, _ head: borrowing RequestHead, to request: inout UpstreamRequest) {
    for field in head.fields where field.known == name && !field.value.isEmpty {
      if !request.isValueEmpty { request.append(", ") }
      request.append(head.bytes[field.value])
    }
  }

  private static func value(of name: FieldName, _ head: borrowing RequestHead) -> ByteRange? {
    for field in head.fields where field.known == name && !field.value.isEmpty { return field.value }
    return nil
  }
}
