// Which fields `request_header` and `response_header` leave alone, and what says them instead: framing, the connection, and who a client is have owners.

import Auth
import HTTP
import Primitives

public enum FieldOwners {
  /// Why an operator may not set or remove a request's field, and by what it is said; nil where he may.
  ///
  /// - Parameters:
  ///   - name: a token.
  ///   - template: of its value; nil where it is removed.
  public static func objection(toRequestField name: [UInt8], _ template: FieldTemplate?, _ settings: Settings) -> String? {
    let folded = folded(name)
    switch FieldName(folded.span) {
    case .host: return "'host' says which Host the service is told"
    case .authorization: return "'authorization replace' sends one of yours, 'authorization pass' the client's"
    case .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer, .upgrade, .expect, .proxyAuthorization,
      .proxyAuthenticate:
      return "it belongs to the connection, which is made anew towards the service"
    case .via: return "each proxy adds its own to it"
    case .destination: return "it is judged and mapped like the path"
    default: break
    }
    if isSpoken(folded, settings.forwarding.userField) { return "'user_header' names the field that tells the user" }
    if isSpoken(folded, settings.forwarding.groupsField) { return "'groups_header' names the field that tells the groups" }
    if folded.starts(with: Array("x-forwarded-".utf8)) || isOneOf(folded, ["forwarded", "x-request-id"]) {
      return "it is told in any case: see 'trusted_proxies' and 'forwarded'"
    }
    if isOneOf(folded, ["proxy", "x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url"]) {
      return "services take it for what was asked for: 'rewrite' changes that"
    }
    if settings.forwarding.assertionFields.contains(where: { isSpoken(folded, $0) }) { return "'assert_jwt' says it" }
    let rules = rules(settings)
    guard rules.isOurs(folded.span) else { return nil }
    // Names that services know users and addresses by, beside those that we speak by ourselves: what we know may be said so, and nothing that a client says.
    guard let template, template.isOursAlone, !isKey(folded, settings) else {
      return "services take it for who the client is: its value can be made of {user}, {groups} and {remote_address}, and of nothing that clients write"
    }
    return nil
  }

  /// The same of a response's field.
  public static func objection(toResponseField name: [UInt8]) -> String? {
    switch FieldName(name.span) {
    case .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer, .upgrade, .proxyAuthenticate:
      return "it belongs to the connection, which is another towards the client"
    default: break
    }
    return isOneOf(name.map(ASCII.lowercased), ["strict-transport-security"]) ? "'hsts' says it" : nil
  }

  /// Why `{header.NAME}` can't be had; nil where it can.
  public static func objection(toReading name: [UInt8], _ settings: Settings) -> String? {
    let folded = folded(name)
    switch FieldName(folded.span) {
    case .authorization, .proxyAuthorization, .cookie: return "it may hold credentials"
    default: break
    }
    if isKey(folded, settings) { return "it may hold credentials ('api_key_header')" }
    return rules(settings).isOurs(folded.span) ? "anybody can write it: {user}, {groups}, {remote_address} and {request_id} are true" : nil
  }

  private static func rules(_ settings: Settings) -> ForwardingRules {
    ForwardingRules(settings.forwarding, apiKeyField: settings.gatekeeper.apiKeyField)
  }

  private static func isKey(_ folded: [UInt8], _ settings: Settings) -> Bool {
    let key = settings.gatekeeper.apiKeyField
    return !key.isEmpty && Self.folded(key) == folded
  }

  private static func isSpoken(_ folded: [UInt8], _ name: String) -> Bool { Self.folded(Array(name.utf8)) == folded }

  private static func isOneOf(_ name: [UInt8], _ names: [String]) -> Bool { names.contains { Array($0.utf8) == name } }

  /// As services fold names that take `_` and the like for `-`.
  private static func folded(_ name: [UInt8]) -> [UInt8] {
    name.map { ASCII.isAlpha($0) || ASCII.isDigit($0) ? ASCII.lowercased($0) : 0x2D }
  }
}
