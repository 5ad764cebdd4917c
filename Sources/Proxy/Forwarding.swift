// What the upstream is told: the client's fields less those of the connection, less every claim of identity, plus ours. In that order, so
// that nothing a client writes can remove or imitate what we add.

import Auth
import HTTP
import Login
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
  let setsForwarded: Bool
  let setsCertificate: Bool
  let originField: OriginField
  let userField: [UInt8]
  let groupsField: [UInt8]

  /// - Parameters:
  ///   - ticketParameter: of queries, in which credentials may stand; empty for none.
  ///   - apiKeyField: where credentials may stand that are for us alone (`api_key_header`); empty for none.
  init(_ options: ForwardingOptions, apiKeyField: [UInt8] = [], ticketParameter: [UInt8] = []) {
    self.ticketParameter = ticketParameter
    self.options = options
    setsForwarded = options.setsForwarded
    setsCertificate = options.setsClientCertificate
    originField = options.originField
    userField = Array(options.userField.utf8)
    groupsField = Array(options.groupsField.utf8)
    var names = [
      "remote-user", "remote-groups", "x-remote-user", "x-remote-groups", "x-remote-group", "x-webauth-user", "x-authenticated-user",
      "x-auth-request-user",
      "x-real-ip", "forwarded", "x-request-id",
      // RFC 9440 section 2.4: whoever has not ended TLS has nothing to say of certificates.
      "client-cert", "client-cert-chain",
      // Some frameworks route by these instead of by the target, which is what was judged.
      "x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url",
      // CGI turns a field `Proxy` into HTTP_PROXY, which HTTP libraries obey (httpoxy).
      "proxy",
      // What a service that was asked for h2c would go by (RFC 7540 section 3.2.1): a request of that is one that nobody judged.
      "http2-settings",
    ]
    names.append(Self.folded(options.userField))
    names.append(Self.folded(options.groupsField))
    names += options.assertionFields.map(Self.folded)
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

enum Forwarding {
  /// As whom we log in to the upstream, instead of the client.
  struct OwnLogin {
    var account: Account
    /// Where we do so, beside Authorization: the client's own of those names are not forwarded.
    var fields: [[UInt8]]

    func isOurs(_ name: Span<UInt8>) -> Bool {
      for field in fields where FieldName.areAliases(name, field.span) { return true }
      return false
    }
  }

  /// Composes the upstream's request in product order: hop-by-hop fields go first, then every identity field, then ours are added.
  ///
  /// - Parameters:
  ///   - target: the canonical path and query, as judged, or what the route makes of them.
  ///   - authorization: the route's.
  ///   - upgrade: the route's.
  ///   - login: nil where the upstream is not logged in to by us.
  ///   - assertion: by which the upstream can check who the user is; nil where it is not told so, and for nobody.
  ///   - methodIsJudged: whether by another method the request would have been another route's, or refused.
  ///   - dropped: scratch for the hop-by-hop set, reused.
  ///   - rewritten: what the route changes, beside the target; nil for nothing.
  static func compose(
    _ head: borrowing RequestHead, target: borrowing ByteBuffer, _ rules: ForwardingRules, _ authorization: Route.AuthorizationPolicy,
    upgrade: UpgradePolicy = .off, _ peer: Peer, methodIsJudged: Bool, requestID: borrowing RequestIdentifier, login: OwnLogin? = nil, assertion: Assertion? = nil,
    _ grant: consuming Grant, storage: consuming RequestStorage, dropped: inout FieldSet, _ rewritten: RewrittenRequest? = nil
  ) -> UpstreamRequest {
    let methodIsJudged = methodIsJudged || grant.credential.judgesMethod
    var request = UpstreamRequest(
      grant, storage: storage, method: head.bytes[head.methodRange], target: target.span, framing: head.framing,
      isHead: head.method == .head,
      isIdempotent: head.method.isIdempotent)
    let found = HopByHop.mark(head.fields, head.bytes, into: &dropped)
    if let rewritten {
      rewritten.mark(head, into: &dropped)
      rewritten.addHost(head, to: &request)
    } else if !head.host.isEmpty {
      request.add("Host", head.bytes[head.host])
    }
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
        guard case .pass = authorization, login == nil else { continue }
        if !authenticatesRequest(head.bytes[field.value]) { request.isolate() }
      case .accept:
        request.sawAccept()
      case .via:
        break
      default:
        if rules.isOurs(name) { continue }
        if let login, login.isOurs(name) { continue }
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
    if !found.isNothing {
      if found.contains(.upgrade), let wish = UpgradeWish.of(head, upgrade) { request.ask(for: wish) }
      if found.contains(.trailers) { request.sawTrailers() }
    }
    // Content-Length 0 is said by us; any other length by the engine that sends the body.
    if case .length(0) = head.framing { request.add(line: "Content-Length: 0") }
    if let login {
      request.logIn(as: login.account)
    } else if case .replace(let value) = authorization {
      request.add("Authorization", value.span)
      if !authenticatesRequest(value.span) { request.isolate() }
    }
    if let user = request.grant.user {
      request.add(rules.userField, user.name)
      if user.joinedGroups.count > 0 { request.add(rules.groupsField, user.joinedGroups) }
    }
    if let assertion { request.add(assertion) }
    if rules.setsCertificate { addCertificate(to: &request) }
    ForwardedOrigin.add(head, rules, peer, to: &request)
    requestID.add(to: &request)
    switch head.version {
    case .http11: request.add(line: "Via: 1.1 gatehouse")
    case .http2: request.add(line: "Via: 2.0 gatehouse")
    case .http10: request.add(line: "Via: 1.0 gatehouse")
    }
    if let rewritten { rewritten.addFields(head, rules, requestID, to: &request) }
    request.seal()
    return request
  }

  /// What the client's certificate says, where it counts. Fit for fields as it is: printable ASCII.
  private static func addCertificate(to request: inout UpstreamRequest) {
    guard let certificate = request.grant.certificate else { return }
    request.add("X-Forwarded-Client-Cert-Subject", certificate.subject)
    request.add("X-Forwarded-Client-Cert-Serial", certificate.serial)
    request.add("X-Forwarded-Client-Cert-Fingerprint", certificate.fingerprint)
  }

  /// Whether a scheme speaks for its request alone. NTLM and Negotiate authenticate the connection; of a scheme that we don't know that is to be feared.
  private static func authenticatesRequest(_ value: Span<UInt8>) -> Bool {
    let end = ASCII.firstIndex(of: 0x20, in: value) ?? value.count
    let scheme = value.extracting(0..<end)
    return ASCII.equals(scheme, ignoringCaseOf: "basic") || ASCII.equals(scheme, ignoringCaseOf: "bearer")
      || ASCII.equals(scheme, ignoringCaseOf: "digest")
  }
}
