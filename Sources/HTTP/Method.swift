// Request methods (RFC 9110 section 9): the ones that something here depends on, by name. What is allowed is decided elsewhere.

import Primitives

/// A request method. Method names are case-sensitive (RFC 9110 section 9.1): `get` is `other`.
public enum Method: Equatable, Sendable {
  case get, head, post, put, delete, options, trace, connect, patch, propfind
  /// Any other token; its bytes stand in the head.
  case other

  /// The method that `token` names.
  public init(_ token: Span<UInt8>) {
    guard token.count >= 3 else {
      self = .other
      return
    }
    let guess: Method
    switch (token.count, token[0]) {
    case (3, 0x47): guess = .get
    case (3, 0x50): guess = .put
    case (4, 0x50): guess = .post
    case (4, 0x48): guess = .head
    case (5, 0x50): guess = .patch
    case (5, 0x54): guess = .trace
    case (6, 0x44): guess = .delete
    case (7, 0x4F): guess = .options
    case (7, 0x43): guess = .connect
    case (8, 0x50): guess = .propfind
    default: guess = .other
    }
    self = guess != .other && ASCII.equals(token, guess.name) ? guess : .other
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
    case .connect: "CONNECT"
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
    case .post, .connect, .patch, .other: false
    }
  }
}
