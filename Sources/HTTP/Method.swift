// Request methods (RFC 9110 section 9): the ones that something here depends on, by name. What is allowed is decided elsewhere.

import Primitives

/// A request method. Method names are case-sensitive (RFC 9110 section 9.1): `get` is `other`.
public enum Method: Equatable, Sendable {
  case get, head, post, put, delete, options, trace, connect
  /// A CONNECT of HTTP/2 that names a protocol (RFC 8441). Its head's bytes say GET, for which it stands; only `RequestHead.cameByHTTP2` makes it.
  case extendedConnect
  case patch, propfind
  /// Any other token; its bytes stand in the head.
  case other

  /// The method that `token` names.
  public init(_ token: Span<UInt8>) {
    guard token.count <= 8 else {
      self = .other
      return
    }
    // The names, first byte lowest.
    let guess: Method
    switch EightBytes(whole: token).word {
    case 0x54_4547: guess = .get
    case 0x5453_4F50: guess = .post
    case 0x4441_4548: guess = .head
    case 0x54_5550: guess = .put
    case 0x4554_454C_4544: guess = .delete
    case 0x53_4E4F_4954_504F: guess = .options
    case 0x48_4354_4150: guess = .patch
    case 0x45_4341_5254: guess = .trace
    case 0x54_4345_4E4E_4F43: guess = .connect
    case 0x444E_4946_504F_5250: guess = .propfind
    default: guess = .other
    }
    // Zeros behind the name are no part of it, and would be read so.
    self = guess.name.utf8CodeUnitCount == token.count ? guess : .other
  }

  /// The method's name; empty for `other`.
  public var name: StaticString {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .delete: "DELETE"
    case .options: "OPTIONS"
    case .trace: "TRACE"
    case .connect, .extendedConnect: "CONNECT"
    case .patch: "PATCH"
    case .propfind: "PROPFIND"
    case .other: ""
    }
  }

  /// Whether sending it twice does no more than sending it once (RFC 9110 section 9.2.2; PROPFIND: RFC 4918 section 9.1). An unknown
  /// method is taken not to be: RFC 9110 section 9.2.2 forbids a proxy to repeat what it can't know to be idempotent.
  public var isIdempotent: Bool {
    switch self {
    case .get, .head, .put, .delete, .options, .trace, .propfind: true
    case .post, .connect, .extendedConnect, .patch, .other: false
    }
  }
}
