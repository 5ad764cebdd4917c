// What a route makes of requests before they go to its upstream: another path, another Host, fields of the operator's. After they were judged, and of
// what was judged nothing is judged again by it: a rule made by an operator for the service behind.

import Auth
public import HTTP
import Net
import Primitives
import Upstream

/// What proxy.conf says of a route's rewriting. Nothing of it: all is as it came.
public struct RouteRewriting: Equatable, Sendable {
  /// The Host that the service is told.
  public enum Host: Equatable, Sendable {
    /// The client's.
    case keep
    /// That of the server which the request is sent to.
    case upstream
    case name([UInt8])
  }

  /// What is taken away from the begin of paths: `/legacy`, canonical, without closing slash, and covering the route's own path.
  public var stripped: [UInt8] = []
  /// What is put before them then.
  public var added: [UInt8] = []
  /// In between: the first that matches.
  public var rewrites: [PathRewrite] = []
  public var host = Host.keep
  public var requestFields: [FieldEdit] = []
  public var responseFields: [FieldEdit] = []
  public var cookies = CookieRules()
  /// Whether responses that name the service's own addresses name the client's instead.
  public var mapsReferences = true

  public init() {}
}

/// The same made ready, for requests. There is none for routes that leave them as they are.
final class RequestRewriting: Sendable {
  let rules: RouteRewriting
  let changesTarget: Bool
  let usesTarget: Bool
  /// Most bytes of a path that is made here. What a request line may hold is more by default, and a replacement may say `$1` often.
  static let longestPath = 16 << 10

  init?(_ rules: RouteRewriting) {
    changesTarget = !rules.stripped.isEmpty || !rules.added.isEmpty || !rules.rewrites.isEmpty
    guard changesTarget || !rules.requestFields.isEmpty || rules.host != .keep else { return nil }
    self.rules = rules
    usesTarget = rules.requestFields.contains { $0.template?.usesTarget == true }
  }

  /// Whether the operator says this, or that nobody does, in any spelling that a service may take for the name.
  func drops(_ name: Span<UInt8>) -> Bool {
    for edit in rules.requestFields where edit.drops {
      let own = edit.name
      if FieldName.areAliases(name, own.span) { return true }
    }
    return false
  }

  /// Appends what becomes of a target. Answers why it must not be forwarded; nil when all is well.
  ///
  /// - Parameters:
  ///   - target: canonical path and query, as judged.
  ///   - pathLength: of them the path.
  func rewrite(_ target: Span<UInt8>, pathLength: Int, _ scratch: inout PathPattern.Scratch, to out: inout ByteBuffer) -> StaticString? {
    let path = target.extracting(0..<pathLength)
    // `*` of OPTIONS has no path.
    if !changesTarget || pathLength == 0 || path[0] != 0x2F {
      out.append(target)
      return nil
    }
    let stripped = rules.stripped
    guard stripped.isEmpty || PathPrefix.covers(stripped.span, isExact: false, path) else { return "the path does not begin with what strip_prefix takes away" }
    let hasQuery = target.count > pathLength
    let query = target.extracting(hasQuery ? pathLength + 1..<target.count : pathLength..<pathLength)
    let start = out.count
    out.append(rules.added)
    // Of the prefix alone its root is left.
    var rest = ByteBuffer()
    if stripped.count == pathLength { rest.append(0x2F) } else { rest.append(path.extracting(stripped.count..<pathLength)) }
    var length: Int?
    var saysQuery = false
    for rewrite in rules.rewrites {
      length = rewrite.apply(rest.span, query: query, &scratch, to: &out)
      if length != nil {
        saysQuery = rewrite.query != nil
        break
      }
    }
    scratch.release()
    if length == nil {
      length = rest.count
      out.append(rest.span)
    }
    if let failure = Self.fault(of: out.span.extracting(start..<start + rules.added.count + (length ?? 0)), madeOf: path) { return failure }
    if hasQuery && !saysQuery { out.append(target.extracting(pathLength..<target.count)) }
    return nil
  }

  /// What is made of two canonical pieces need not be canonical: half an escape, a dot segment.
  private static func fault(of path: Span<UInt8>, madeOf original: Span<UInt8>) -> StaticString? {
    // What no rule touched goes as it came.
    if ASCII.equals(path, original) { return nil }
    guard path.count <= longestPath else { return "rewriting makes too long a path" }
    guard path.count > 0, path[0] == 0x2F else { return "rewriting makes a path that does not begin with a slash" }
    if path.count > 1 && path[1] == 0x2F { return "rewriting makes a path that begins with two slashes, which could be read as a host" }
    if CanonicalPath.isPlain(path) { return nil }
    var canonical = ByteBuffer()
    guard CanonicalPath.canonicalize(path, into: &canonical, raw: false) == nil, ASCII.equals(canonical.span, path) else {
      return "rewriting makes a path that is not canonical"
    }
    return nil
  }
}

/// What one request's rewriting came to, for `Forwarding.compose`. A class: there is none for most.
final class RewrittenRequest {
  private let rewriting: RequestRewriting?
  private let facts: TemplateFacts
  /// What Destination is to say instead; empty where it stays.
  private let destination: [UInt8]
  private var sendsDestination = false

  init(_ rewriting: RequestRewriting?, _ facts: TemplateFacts, destination: [UInt8]) {
    self.rewriting = rewriting
    self.facts = facts
    self.destination = destination
  }

  func addHost(_ head: borrowing RequestHead, to request: inout UpstreamRequest) {
    switch rewriting?.rules.host ?? .keep {
    case .keep: if !head.host.isEmpty { request.add("Host", head.bytes[head.host]) }
    case .upstream: request.addHostOfServer()
    case .name(let name): request.add("Host", name)
    }
  }

  /// Adds to `dropped`, which are those of the connection, what is replaced or taken away: in every spelling that a service may take for the name.
  func mark(_ head: borrowing RequestHead, into dropped: inout FieldSet) {
    if !destination.isEmpty {
      for i in head.fields.indices where head.fields[i].known == .destination && !dropped.contains(i) {
        dropped.insert(i)
        sendsDestination = true
      }
    }
    guard let rewriting else { return }
    for edit in rewriting.rules.requestFields where edit.drops {
      let name = edit.name
      for i in head.fields.indices where FieldName.areAliases(head.bytes[head.fields[i].name], name.span) { dropped.insert(i) }
    }
  }

  /// Behind all others.
  func addFields(_ head: borrowing RequestHead, _ rules: ForwardingRules, _ requestID: borrowing RequestIdentifier, to request: inout UpstreamRequest) {
    if sendsDestination { request.add("Destination", destination) }
    guard let rewriting else { return }
    if !rewriting.rules.stripped.isEmpty { request.add("X-Forwarded-Prefix", rewriting.rules.stripped) }
    for edit in rewriting.rules.requestFields {
      guard let template = edit.template else { continue }
      var value = ByteBuffer()
      template.append(head, facts, rules, requestID, to: &value)
      if value.isEmpty { continue }
      let name = edit.name
      if ASCII.equals(name.span, ignoringCaseOf: "accept") { request.sawAccept() }
      request.add(name.span, value.span)
    }
  }
}
