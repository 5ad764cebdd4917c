// A request about another request: what a server in front asks before it lets one of its own pass (nginx's auth_request, Caddy's forward_auth,
// Traefik's ForwardAuth). Makes of its fields the head of the request that it is about, by the parser that reads every head.

import HTTP
import Primitives

/// Reused from request to request of a connection.
final class Inquiry {
  enum Failure {
    /// The server in front does not say, or says in two ways, what it asks about: its configuration is wrong, or a client adds to what it
    /// says. 400.
    case unclear(StaticString)
    /// The request that it asks about is none that could pass. 403.
    case refused(StaticString)
  }

  /// Of the request that is asked about.
  private(set) var head = RequestHead()
  /// Whether the client asks the service to take the request for one of another method.
  private(set) var overridesMethod = false
  private var text = ByteBuffer()

  /// How much of `target`, as it would be forwarded, is its path.
  func pathLength(of target: borrowing ByteBuffer) -> Int { target.count - (head.target.hasQuery ? head.target.query.count + 1 : 0) }

  /// Reads what `asking` asks about.
  ///
  /// nginx's family of fields is `X-Original-URI` and `X-Original-Method`, with the host in `Host`; Caddy's and Traefik's is
  /// `X-Forwarded-Uri`, `X-Forwarded-Method` and `X-Forwarded-Host`. A server sets the fields of its own family and may pass on what the
  /// client sent under the names of the other. So one family has to be whole, and whatever there is of the other has to say the same.
  func read(_ asking: borrowing RequestHead, limits: HeadLimits, rules: ForwardingRules) -> Failure? {
    head.reset()
    overridesMethod = false
    var said = Said()
    for i in asking.fields.indices {
      let field = asking.fields[i]
      let name = asking.bytes[field.name]
      if let part = Part(field.known, name) {
        guard said.note(part, i) else { return .unclear("a field that tells what is asked about stands twice") }
      } else if rules.imitatesIdentity(name) {
        // In another spelling than the one that the server in front sets or deletes: it might pass it on beside ours.
        return .refused("a field that resembles an identity field")
      } else if MethodOverride.isName(name) {
        overridesMethod = true
      }
    }
    let host: ByteRange
    switch check(said, asking) {
    case .failure(let failure): return failure
    case .host(let range): host = range
    }
    guard let method = said.originalMethod ?? said.forwardedMethod, let target = said.originalURI ?? said.forwardedURI else {
      return .unclear("it is not said what is asked about")
    }
    write(asking, asking.fields[method].value, asking.fields[target].value, host)
    return parse(limits)
  }

  // MARK: Which fields

  private enum Part {
    case originalMethod, originalURI, forwardedMethod, forwardedURI, forwardedHost

    init?(_ known: FieldName, _ name: Span<UInt8>) {
      if known == .xForwardedHost {
        self = .forwardedHost
        return
      }
      guard known == .other else { return nil }
      switch name.count {
      case 14 where ASCII.equals(name, ignoringCaseOf: "x-original-uri"): self = .originalURI
      case 15 where ASCII.equals(name, ignoringCaseOf: "x-forwarded-uri"): self = .forwardedURI
      case 17 where ASCII.equals(name, ignoringCaseOf: "x-original-method"): self = .originalMethod
      case 18 where ASCII.equals(name, ignoringCaseOf: "x-forwarded-method"): self = .forwardedMethod
      default: return nil
      }
    }
  }

  /// Indices of the fields.
  private struct Said {
    var originalMethod: Int?
    var originalURI: Int?
    var forwardedMethod: Int?
    var forwardedURI: Int?
    var forwardedHost: Int?

    /// False when it was there already.
    mutating func note(_ part: Part, _ index: Int) -> Bool {
      switch part {
      case .originalMethod: Self.set(&originalMethod, index)
      case .originalURI: Self.set(&originalURI, index)
      case .forwardedMethod: Self.set(&forwardedMethod, index)
      case .forwardedURI: Self.set(&forwardedURI, index)
      case .forwardedHost: Self.set(&forwardedHost, index)
      }
    }

    private static func set(_ slot: inout Int?, _ index: Int) -> Bool {
      guard slot == nil else { return false }
      slot = index
      return true
    }
  }

  private enum Checked {
    case host(ByteRange)
    case failure(Failure)
  }

  /// Whether what is said is whole and of one mind; and the host that it is said of.
  private func check(_ said: Said, _ asking: borrowing RequestHead) -> Checked {
    let isOriginal = said.originalMethod != nil && said.originalURI != nil
    let isForwarded = said.forwardedMethod != nil && said.forwardedURI != nil
    guard isOriginal || isForwarded else {
      let some = said.originalMethod ?? said.originalURI ?? said.forwardedMethod ?? said.forwardedURI
      return .failure(
        .unclear(
          some == nil
            ? "neither X-Original-URI and X-Original-Method nor X-Forwarded-Uri and X-Forwarded-Method are there"
            : "the method or the URI that is asked about is missing"))
    }
    for (a, b) in [(said.originalMethod, said.forwardedMethod), (said.originalURI, said.forwardedURI)] {
      guard let a, let b else { continue }
      guard ASCII.equals(asking.bytes[asking.fields[a].value], asking.bytes[asking.fields[b].value]) else {
        return .failure(.unclear("X-Original-* and X-Forwarded-* say different things"))
      }
    }
    guard isOriginal else {
      guard let host = said.forwardedHost else { return .failure(.unclear("X-Forwarded-Host is missing")) }
      return .host(asking.fields[host].value)
    }
    if let host = said.forwardedHost,
      !ASCII.equals(asking.bytes[asking.fields[host].value], ignoringCaseOf: asking.bytes[asking.host])
    {
      return .failure(.unclear("Host and X-Forwarded-Host say different things"))
    }
    return .host(asking.host)
  }

  // MARK: The head

  private func write(_ asking: borrowing RequestHead, _ method: ByteRange, _ target: ByteRange, _ host: ByteRange) {
    text.removeAll()
    text.append(asking.bytes[method])
    text.append(" ")
    text.append(asking.bytes[target])
    text.append(" HTTP/1.1\r\nHost: ")
    text.append(asking.bytes[host])
    text.append("\r\n")
    for i in asking.fields.indices {
      let field = asking.fields[i]
      switch field.known {
      // The connection's own, and the framing of a body that is not here.
      case .host, .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer, .upgrade, .expect: continue
      default: break
      }
      let name = asking.bytes[field.name]
      if Part(field.known, name) != nil { continue }
      text.append(name)
      text.append(": ")
      text.append(asking.bytes[field.value])
      text.append("\r\n")
    }
    text.append("\r\n")
  }

  private func parse(_ limits: HeadLimits) -> Failure? {
    var parser = HeadParser(limits: limits)
    guard case .complete(let count) = parser.parse(text.span, into: &head), count == text.count else {
      head.reset()
      return .refused("what is asked about is no request")
    }
    // A tunnel is not what is judged by a path.
    if head.method == .connect { return .refused("CONNECT asks for a tunnel") }
    // The server in front sends the path on as it came, or resolves it in its own way: what is judged must not depend on that.
    return Self.holdsDotSegment(head) ? .refused("dot segment in a path that another server forwards") : nil
  }

  private static func holdsDotSegment(_ head: borrowing RequestHead) -> Bool {
    if head.target.form == .asterisk { return false }
    return holdsDotSegment(head.bytes[head.target.path])
  }

  private static func holdsDotSegment(_ path: Span<UInt8>) -> Bool {
    var reading = ByteBuffer()
    return !PathPrefix.read(path, as: &reading)
  }

  /// The same of the second path, where there is one.
  var destinationHoldsDotSegment: Bool { Self.destinationHoldsDotSegment(head) }

  private static func destinationHoldsDotSegment(_ head: borrowing RequestHead) -> Bool {
    guard let i = head.firstIndex(of: .destination) else { return false }
    let value = head.bytes[head.fields[i].value]
    guard let destination = Destination(value) else { return false }
    return holdsDotSegment(value.extracting(destination.path))
  }
}

extension ForwardingRules {
  /// Whether `name` is our field for the user or the groups to software that takes `_` and the like for `-`, and another field to
  /// everybody else.
  func imitatesIdentity(_ name: Span<UInt8>) -> Bool {
    let (user, groups) = (userField, groupsField)
    return Self.imitates(name, user.span) || Self.imitates(name, groups.span)
  }

  private static func imitates(_ name: Span<UInt8>, _ field: Span<UInt8>) -> Bool {
    FieldName.areAliases(name, field) && !ASCII.equals(name, ignoringCaseOf: field)
  }
}
