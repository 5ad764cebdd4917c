// Values of fields with variables in them: `"{user}@{host}"`. Compiled when the configuration is read; what is put in came through the parser or is our
// own, and still no byte goes in that may not stand in a field.

import Auth
import HTTP
import Net
import Primitives
import Upstream

/// What of a request's variables isn't in its head.
struct TemplateFacts {
  var peer: Peer
  var client: ClientAddress
  var user: User?
  /// Whether the client came by https, as far as is known of it.
  var isSecure: Bool
  /// The target as it was judged.
  var target: [UInt8]
  var pathLength: Int
}

/// The value of a `request_header` or `response_header`.
public struct FieldTemplate: Equatable, Sendable {
  public struct Fault: Error, Equatable, Sendable {
    /// Continues "the value ".
    public let reason: String
    /// The name of a variable that there is none of. May be a piece of a secret.
    public let unknown: String?
  }

  enum Variable: Equatable, Sendable {
    case user, groups, remoteAddress, peerAddress, remotePort, requestID, host, method, path, query, scheme, serverPort
    case tlsVersion, tlsCipher, tlsName
    /// A field of the request, in lower case.
    case header([UInt8])
  }

  enum Piece: Equatable, Sendable {
    case text([UInt8])
    case variable(Variable)
  }

  /// Every variable but those of `header.NAME`.
  public static let names: [String] = known.map(\.0)

  private static let known: [(String, Variable)] = [
    ("user", .user), ("groups", .groups), ("remote_address", .remoteAddress), ("peer_address", .peerAddress), ("remote_port", .remotePort),
    ("request_id", .requestID), ("host", .host), ("method", .method), ("path", .path), ("query", .query), ("scheme", .scheme),
    ("server_port", .serverPort), ("tls.version", .tlsVersion), ("tls.cipher", .tlsCipher), ("tls.sni", .tlsName),
  ]

  let pieces: [Piece]
  /// The fields of the request that it looks at, in lower case.
  public var headers: [[UInt8]] {
    pieces.compactMap { piece in
      guard case .variable(.header(let name)) = piece else { return nil }
      return name
    }
  }
  let usesTarget: Bool
  /// Whether nothing of it is what a client may write as he likes.
  public var isOursAlone: Bool {
    pieces.allSatisfy { piece in
      guard case .variable(let variable) = piece else { return true }
      switch variable {
      case .user, .groups, .remoteAddress, .peerAddress, .remotePort, .requestID, .scheme, .serverPort, .tlsVersion, .tlsCipher: return true
      case .host, .method, .path, .query, .tlsName, .header: return false
      }
    }
  }

  /// A `{` before a letter begins a variable; any other stands for itself, as in JSON, and `{{` is always a brace.
  public init(_ text: [UInt8]) throws(Fault) {
    guard text.allSatisfy(ASCII.isFieldValue) else { throw Fault(reason: "has a control character", unknown: nil) }
    guard let first = text.first, let last = text.last, !ASCII.isWhitespace(first), !ASCII.isWhitespace(last) else {
      throw Fault(reason: "is empty, or has outer white space", unknown: nil)
    }
    var pieces: [Piece] = []
    var literal: [UInt8] = []
    var i = 0
    while i < text.count {
      guard text[i] == 0x7B, i + 1 < text.count, text[i + 1] == 0x7B || ASCII.isAlpha(text[i + 1]) else {
        literal.append(text[i])
        i += 1
        continue
      }
      if text[i + 1] == 0x7B {
        literal.append(0x7B)
        i += 2
        continue
      }
      guard let end = text[i...].firstIndex(of: 0x7D) else { throw Fault(reason: "has a '{' that is not closed: '{{' is the character", unknown: nil) }
      if !literal.isEmpty { pieces.append(.text(literal)) }
      literal = []
      pieces.append(.variable(try Self.variable(Array(text[(i + 1)..<end]))))
      i = end + 1
    }
    if !literal.isEmpty { pieces.append(.text(literal)) }
    self.pieces = pieces
    usesTarget = pieces.contains { $0 == .variable(.path) || $0 == .variable(.query) }
  }

  private static func variable(_ name: [UInt8]) throws(Fault) -> Variable {
    let text = String(decoding: name, as: UTF8.self)
    if let found = known.first(where: { $0.0 == text }) { return found.1 }
    if text.hasPrefix("header.") {
      let field = name[7...].map(ASCII.lowercased)
      guard !field.isEmpty, field.allSatisfy(ASCII.isToken) else { throw Fault(reason: "asks for a header by what is no name of one", unknown: nil) }
      return .header(field)
    }
    throw Fault(reason: "has a variable that there is none of", unknown: text)
  }

  /// Appends the value. What a variable has not is nothing; a control character of what it has is left out, and white space around the whole.
  func append(
    _ head: borrowing RequestHead, _ facts: TemplateFacts, _ rules: ForwardingRules, _ requestID: borrowing RequestIdentifier, to out: inout ByteBuffer
  ) {
    var value = ByteBuffer()
    for piece in pieces {
      switch piece {
      case .text(let text): value.append(text)
      case .variable(let variable): Self.append(variable, head, facts, rules, requestID, to: &value)
      }
    }
    var (start, end) = (0, value.count)
    while start < end && ASCII.isWhitespace(value[start]) { start += 1 }
    while end > start && ASCII.isWhitespace(value[end - 1]) { end -= 1 }
    for i in start..<end where ASCII.isFieldValue(value[i]) { out.append(value[i]) }
  }

  private static func append(
    _ variable: Variable, _ head: borrowing RequestHead, _ facts: TemplateFacts, _ rules: ForwardingRules, _ requestID: borrowing RequestIdentifier,
    to out: inout ByteBuffer
  ) {
    switch variable {
    case .user: if let user = facts.user { out.append(user.name) }
    case .groups: if let user = facts.user { out.append(user.joinedGroups) }
    case .remoteAddress:
      if facts.client.isUnix { out.append("unix:") } else { SocketAddress(facts.client, port: 0).appendHost(to: &out) }
    case .peerAddress: facts.peer.append(to: &out)
    case .remotePort: if !facts.peer.address.isUnix { out.append(decimal: UInt64(facts.peer.address.port)) }
    case .requestID: requestID.append(to: &out)
    case .host: out.append(head.bytes[head.host])
    case .method: out.append(head.bytes[head.methodRange])
    case .path: out.append(facts.target.span.extracting(0..<facts.pathLength))
    case .query: if facts.target.count > facts.pathLength { out.append(facts.target.span.extracting(facts.pathLength + 1..<facts.target.count)) }
    case .scheme: if facts.isSecure { out.append("https") } else { out.append("http") }
    case .serverPort: if facts.peer.localPort != 0 { out.append(decimal: UInt64(facts.peer.localPort)) }
    case .tlsVersion: out.append(utf8: facts.peer.tls?.version ?? "")
    case .tlsCipher: out.append(utf8: facts.peer.tls?.cipher ?? "")
    case .tlsName: out.append(utf8: facts.peer.tls?.serverName ?? "")
    case .header(let name):
      let start = out.count
      for i in head.fields.indices where ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: name.span) {
        let value = head.bytes[head.fields[i].value]
        // A ticket is a credential, and goes nowhere.
        if rules.holdsTicket(value, inFieldCalled: name.span) { continue }
        if out.count > start { out.append(", ") }
        out.append(value)
      }
    }
  }
}

/// `request_header` or `response_header`: one of a route's.
public struct FieldEdit: Equatable, Sendable {
  public enum Action: Equatable, Sendable {
    /// Instead of all of that name that came; where the value is empty, none.
    case set(FieldTemplate)
    /// Beside them; where the value is empty, nothing.
    case add(FieldTemplate)
    case remove
  }

  public var name: [UInt8]
  public var action: Action

  public init(name: [UInt8], action: Action) {
    self.name = name
    self.action = action
  }

  /// Whether those that came are dropped.
  var drops: Bool {
    if case .add = action { return false }
    return true
  }

  var template: FieldTemplate? {
    switch action {
    case .set(let template), .add(let template): template
    case .remove: nil
    }
  }
}
