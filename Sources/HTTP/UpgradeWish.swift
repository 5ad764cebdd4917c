// Which other protocol a request asks for (RFC 9110 section 7.8), and whether a 101 is the answer to that. Nothing here moves a byte of a tunnel.

import Primitives

/// What of `Upgrade` a route lets through.
public enum UpgradePolicy: Equatable, Sendable {
  case off
  case websocket
  /// Whatever is asked for, but HTTP and TLS themselves.
  case any
}

/// A request's wish to go on in another protocol, as it is told to the upstream.
public struct UpgradeWish: Equatable, Sendable {
  /// What is asked for: the value of Upgrade.
  public let protocols: [UInt8]
  /// The Sec-WebSocket-Accept that has to come back; empty when WebSocket is not asked for.
  let accept: [UInt8]
  /// Whether whoever asks would take any 2xx for the switch, as with CONNECT: then no other answer may be one.
  public let isConnect: Bool

  /// The wish of `head` as far as `policy` lets it through. Nil: the request is one like others, and its Upgrade ends here.
  ///
  /// Of HTTP/1.0 an Upgrade is ignored (RFC 9110 section 7.8), and so is one without the connection option. A request with a body has no wish
  /// here: what follows its head would be the body's or the new protocol's, depending on who reads. HTTP (`h2c`) and TLS would hide requests from us that
  /// nobody has judged. Of HTTP/2 it is a CONNECT that wishes (RFC 8441), whose head has the fields of a GET that does.
  public static func of(_ head: borrowing RequestHead, _ policy: UpgradePolicy) -> UpgradeWish? {
    let isConnect = head.method == .extendedConnect
    guard policy != .off, head.version == .http11 || isConnect, head.framing == .none, hasOption(head.fields, head.bytes) else { return nil }
    var asksForWebSocket = false
    var others: [UInt8] = []
    for i in head.fields.indices where head.fields[i].known == .upgrade {
      let value = head.bytes[head.fields[i].value]
      var members = ListMembers()
      while let member = members.next(in: value) {
        let name = value.extracting(member)
        if ASCII.equals(name, ignoringCaseOf: "websocket") {
          asksForWebSocket = true
        } else if policy == .any && isOther(name) {
          if !others.isEmpty { others += [0x2C, 0x20] }
          others += ASCII.array(name)
        }
      }
    }
    if asksForWebSocket, let key = webSocketKey(head) {
      return UpgradeWish(protocols: Array("websocket".utf8), accept: WebSocketKey.accept(key), isConnect: isConnect)
    }
    return others.isEmpty ? nil : UpgradeWish(protocols: others, accept: [], isConnect: isConnect)
  }

  /// Why a head with status 101 is not what was asked for; nil when it is.
  public func refusal(of head: borrowing ResponseHead) -> StaticString? {
    guard head.status == 101, head.contentLength == nil, Self.hasOption(head.fields, head.bytes) else {
      return "101 without Connection: Upgrade, or with a length"
    }
    var count = 0
    for i in head.fields.indices where head.fields[i].known == .upgrade {
      let value = head.bytes[head.fields[i].value]
      var members = ListMembers()
      while let member = members.next(in: value) {
        count += 1
        guard isAsked(value.extracting(member)) else { return "101 to a protocol that was not asked for" }
      }
    }
    guard count == 1 else { return "101 that does not name one protocol" }
    if accept.isEmpty { return nil }
    var proofs = 0
    for i in head.fields.indices where ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: "sec-websocket-accept") {
      proofs += 1
      guard ASCII.array(head.bytes[head.fields[i].value]) == accept else { return "101 with a wrong Sec-WebSocket-Accept" }
    }
    return proofs == 1 ? nil : "101 without Sec-WebSocket-Accept"
  }

  private func isAsked(_ name: Span<UInt8>) -> Bool {
    let asked = protocols.span
    var members = ListMembers()
    while let member = members.next(in: asked) {
      if ASCII.equals(name, ignoringCaseOf: asked.extracting(member)) { return true }
    }
    return false
  }

  /// Whether Connection has the option `upgrade`.
  private static func hasOption(_ fields: borrowing FieldList, _ bytes: borrowing ByteStore) -> Bool {
    for i in fields.indices where fields[i].known == .connection {
      let value = bytes[fields[i].value]
      var members = ListMembers()
      while let member = members.next(in: value) {
        if ASCII.equals(value.extracting(member), ignoringCaseOf: "upgrade") { return true }
      }
    }
    return false
  }

  /// `protocol-name ["/" protocol-version]`, and none of those that carry requests.
  private static func isOther(_ name: Span<UInt8>) -> Bool {
    for i in name.indices where !ASCII.isToken(name[i]) && name[i] != 0x2F { return false }
    // Drafts of theirs too (h2c-14); and a WebSocket whose key nobody proves.
    for word: StaticString in ["h2", "http", "tls", "ssl", "websocket"] where begins(name, word) { return false }
    return true
  }

  private static func begins(_ name: Span<UInt8>, _ word: StaticString) -> Bool {
    let n = word.utf8CodeUnitCount
    return name.count >= n && ASCII.equals(name.extracting(0..<n), ignoringCaseOf: word)
  }

  /// The key of a well-formed handshake (RFC 6455 section 4.2.1): a GET with one key of 16 bytes and one version.
  private static func webSocketKey(_ head: borrowing RequestHead) -> [UInt8]? {
    guard head.method == .get || head.method == .extendedConnect else { return nil }
    var (keys, versions) = (0, 0)
    var key: [UInt8] = []
    for i in head.fields.indices where head.fields[i].known == .other {
      let name = head.bytes[head.fields[i].name]
      let value = head.bytes[head.fields[i].value]
      if ASCII.equals(name, ignoringCaseOf: "sec-websocket-key") {
        keys += 1
        guard WebSocketKey.isOne(value) else { return nil }
        key = ASCII.array(value)
      } else if ASCII.equals(name, ignoringCaseOf: "sec-websocket-version") {
        versions += 1
        guard ASCII.decimal(value) != nil else { return nil }
      }
    }
    return keys == 1 && versions == 1 ? key : nil
  }
}
