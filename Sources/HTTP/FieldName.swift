// Field names that something here depends on, recognised once when a field is parsed, so that nobody compares text again.

import Primitives

/// A known field name (RFC 9110 section 5.1: case-insensitive).
public enum FieldName: UInt8, Sendable, CaseIterable {
  /// Any other name; its bytes stand in the head.
  case other
  case host, contentLength, transferEncoding
  case connection, keepAlive, proxyConnection, te, trailer, upgrade
  case expect, authorization, proxyAuthorization, proxyAuthenticate, wwwAuthenticate
  case accept, cookie, userAgent
  case date, server, via, location, setCookie, retryAfter, cacheControl
  case contentType, contentEncoding, contentRange
  case xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort, forwarded, xRequestID

  /// The name in lower case; empty for `other`.
  public var text: StaticString {
    switch self {
    case .other: ""
    case .host: "host"
    case .contentLength: "content-length"
    case .transferEncoding: "transfer-encoding"
    case .connection: "connection"
    case .keepAlive: "keep-alive"
    case .proxyConnection: "proxy-connection"
    case .te: "te"
    case .trailer: "trailer"
    case .upgrade: "upgrade"
    case .expect: "expect"
    case .authorization: "authorization"
    case .proxyAuthorization: "proxy-authorization"
    case .proxyAuthenticate: "proxy-authenticate"
    case .wwwAuthenticate: "www-authenticate"
    case .accept: "accept"
    case .cookie: "cookie"
    case .userAgent: "user-agent"
    case .date: "date"
    case .server: "server"
    case .via: "via"
    case .location: "location"
    case .setCookie: "set-cookie"
    case .retryAfter: "retry-after"
    case .cacheControl: "cache-control"
    case .contentType: "content-type"
    case .contentEncoding: "content-encoding"
    case .contentRange: "content-range"
    case .xForwardedFor: "x-forwarded-for"
    case .xForwardedProto: "x-forwarded-proto"
    case .xForwardedHost: "x-forwarded-host"
    case .xForwardedPort: "x-forwarded-port"
    case .forwarded: "forwarded"
    case .xRequestID: "x-request-id"
    }
  }

  /// The known name that `name` is, whatever its case.
  public init(_ name: Span<UInt8>) {
    let guess = FieldName.guess(name)
    self = guess != .other && ASCII.equals(name, ignoringCaseOf: guess.text) ? guess : .other
  }

  /// The known name that begins at `start` and ends at a colon before `end`, and where that is; nil when it is another, or not all there.
  @inline(__always) static func known(in bytes: Span<UInt8>, from start: Int, to end: Int) -> (name: FieldName, colon: Int)? {
    guard let first = EightBytes(bytes, at: start) else { return nil }
    var second = EightBytes(word: 0)
    var third = EightBytes(word: 0)
    var count = EightBytes.first(first.equal(to: 0x3A))
    if count == 8 {
      guard let next = EightBytes(bytes, at: start &+ 8) else { return nil }
      second = next
      count &+= EightBytes.first(next.equal(to: 0x3A))
      if count == 16 {
        guard let next = EightBytes(bytes, at: start &+ 16) else { return nil }
        third = next
        count &+= EightBytes.first(next.equal(to: 0x3A))
      }
    }
    // No known name is longer than 23 bytes.
    guard count < 24, start &+ count < end else { return nil }
    let name = guess(bytes.extracting(start..<start &+ count))
    if name == .other { return nil }
    // What the guess is called has as many bytes; the colon and what follows it are no part of the name.
    let pattern = patterns[Int(name.rawValue)]
    let last = ~(~UInt64(0) &<< UInt64(8 &* (count & 7)))
    var difference: UInt64
    if count < 8 {
      difference = (first.lowercased.word & last) ^ pattern.first
    } else {
      difference = first.lowercased.word ^ pattern.first
      if count < 16 {
        difference |= (second.lowercased.word & last) ^ pattern.second
      } else {
        difference |= (second.lowercased.word ^ pattern.second) | ((third.lowercased.word & last) ^ pattern.third)
      }
    }
    return difference == 0 ? (name, start &+ count) : nil
  }

  /// A name in lower case, with zeros behind it.
  private struct Pattern {
    var first: UInt64 = 0
    var second: UInt64 = 0
    var third: UInt64 = 0

    init(_ name: FieldName) {
      let text = Array("\(name.text)".utf8)
      for (i, byte) in text.enumerated() {
        let part = UInt64(byte) << UInt64(8 * (i % 8))
        switch i / 8 {
        case 0: first |= part
        case 1: second |= part
        default: third |= part
        }
      }
    }
  }

  /// By raw value.
  private static let patterns = InlineArray<64, Pattern> { Pattern(FieldName(rawValue: UInt8($0)) ?? .other) }

  /// The only known name that `name` could be, by its length and a letter.
  private static func guess(_ name: Span<UInt8>) -> FieldName {
    guard name.count >= 2 else { return .other }
    let first = name[0] | 0x20
    switch (name.count, first) {
    case (2, 0x74): return .te
    case (3, 0x76): return .via
    case (4, 0x68): return .host
    case (4, 0x64): return .date
    case (6, 0x61): return .accept
    case (6, 0x63): return .cookie
    case (6, 0x65): return .expect
    case (6, 0x73): return .server
    case (7, 0x74): return .trailer
    case (7, 0x75): return .upgrade
    case (8, 0x6C): return .location
    case (9, 0x66): return .forwarded
    case (10, 0x63): return .connection
    case (10, 0x6B): return .keepAlive
    case (10, 0x73): return .setCookie
    case (10, 0x75): return .userAgent
    case (11, 0x72): return .retryAfter
    case (12, 0x63): return .contentType
    case (12, 0x78): return .xRequestID
    case (13, 0x61): return .authorization
    case (13, 0x63): return name[1] | 0x20 == 0x61 ? .cacheControl : .contentRange
    case (14, 0x63): return .contentLength
    case (15, 0x78): return .xForwardedFor
    case (16, 0x63): return .contentEncoding
    case (16, 0x70): return .proxyConnection
    case (16, 0x77): return .wwwAuthenticate
    case (16, 0x78): return name[12] | 0x20 == 0x68 ? .xForwardedHost : .xForwardedPort
    case (17, 0x74): return .transferEncoding
    case (17, 0x78): return .xForwardedProto
    case (18, 0x70): return .proxyAuthenticate
    case (19, 0x70): return .proxyAuthorization
    default: return .other
    }
  }

  /// Whether `name` reads as Content-Length or Transfer-Encoding to software that takes `_`, `.` and the like for `-` (CGI and WSGI
  /// servers among them), but is neither. Such a field frames the message for one reader and not for another, so it is refused.
  public static func looksLikeFraming(_ name: Span<UInt8>) -> Bool {
    switch name.count {
    case 14: return looksLike(name, .contentLength, hyphen: 7)
    case 17: return looksLike(name, .transferEncoding, hyphen: 8)
    default: return false
    }
  }

  private static func looksLike(_ name: Span<UInt8>, _ known: FieldName, hyphen: Int) -> Bool {
    let separator = name[hyphen]
    guard separator != 0x2D, !ASCII.isAlpha(separator), !ASCII.isDigit(separator) else { return false }
    let first: StaticString = known == .contentLength ? "content" : "transfer"
    let second: StaticString = known == .contentLength ? "length" : "encoding"
    return ASCII.equals(name.extracting(0..<hyphen), ignoringCaseOf: first)
      && ASCII.equals(name.extracting((hyphen + 1)..<name.count), ignoringCaseOf: second)
  }

  /// Whether both are one name to software that folds case and takes every byte but letters and digits for the same: what has to be
  /// deleted when one of them is a field that only we may set. Most take `_` for `-`; lighttpd and older Apaches turn any such byte
  /// into the `_` of a CGI variable, so that `X~Forwarded~User` is X-Forwarded-User behind them.
  public static func areAliases(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    for i in a.indices where folded(a[i]) != folded(b[i]) { return false }
    return true
  }

  private static func folded(_ byte: UInt8) -> UInt8 {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) ? ASCII.lowercased(byte) : 0x2D
  }

  /// Whether the field must not stand in a trailer section (RFC 9110 section 6.5.1: framing, routing, authentication, content format;
  /// and the connection's own fields of section 7.6.1). The forwarding fields are here because a receiver that merges trailers into
  /// the head would believe them.
  public var isForbiddenInTrailers: Bool {
    switch self {
    case .host, .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer, .upgrade, .expect,
      .authorization, .proxyAuthorization, .proxyAuthenticate, .wwwAuthenticate, .cookie, .setCookie, .location, .retryAfter,
      .cacheControl, .contentType, .contentEncoding, .contentRange,
      .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .forwarded, .xRequestID:
      true
    case .other, .accept, .userAgent, .date, .server, .via:
      false
    }
  }
}
