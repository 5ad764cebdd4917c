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
  case contentLocation, refresh, link, destination
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
    case .contentLocation: "content-location"
    case .refresh: "refresh"
    case .link: "link"
    case .destination: "destination"
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
    let count = name.count
    if count >= 8, let first = EightBytes(name, at: 0), let last = EightBytes(name, at: count - 8) {
      self = Words(first: first, middle: EightBytes(name, at: 8) ?? last, last: last).name(count)
    } else {
      self = Words(first: EightBytes(tailOf: name, from: 0)).name(count)
    }
  }

  /// What begins at `start` and ends at a colon before `end`, and where that is; nil when there is none near enough for a known name, or too few
  /// bytes to tell. Of what is no known name not each byte was looked at.
  @inline(__always) static func beforeColon(in bytes: Span<UInt8>, from start: Int, to end: Int) -> (name: FieldName, colon: Int)? {
    guard let first = EightBytes(bytes, at: start) else { return nil }
    let words: Words
    var count = EightBytes.first(first.equal(to: 0x3A))
    if count < 8 {
      words = Words(first: EightBytes(word: first.word & ~(~0 &<< UInt64(8 &* count))))
    } else {
      guard let second = EightBytes(bytes, at: start &+ 8) else { return nil }
      count = 8 &+ EightBytes.first(second.equal(to: 0x3A))
      if count == 16 {
        guard let third = EightBytes(bytes, at: start &+ 16) else { return nil }
        count = 16 &+ EightBytes.first(third.equal(to: 0x3A))
        // No known name is longer than 23 bytes.
        if count == 24 { return nil }
      }
      guard let last = EightBytes(bytes, at: start &+ count &- 8) else { return nil }
      words = Words(first: first, middle: second, last: last)
    }
    guard start &+ count < end else { return nil }
    return (words.name(count), start &+ count)
  }

  /// A name of up to seven bytes, with zeros behind it, or of more: the first eight, the next eight and the last eight, which may overlap.
  private struct Words {
    var first: EightBytes
    var middle = EightBytes(word: 0)
    var last = EightBytes(word: 0)

    /// The known name of that many bytes. The texts are numbers when this is compiled, and a comparison is three instructions: hence the texts
    /// stand here once more.
    @inline(__always) func name(_ count: Int) -> FieldName {
      switch count {
      case 2: isShort("te") ? .te : .other
      case 3: isShort("via") ? .via : .other
      case 4: isShort("host") ? .host : isShort("date") ? .date : isShort("link") ? .link : .other
      case 6:
        isShort("accept") ? .accept : isShort("cookie") ? .cookie : isShort("server") ? .server : isShort("expect") ? .expect : .other
      case 7: isShort("upgrade") ? .upgrade : isShort("trailer") ? .trailer : isShort("refresh") ? .refresh : .other
      case 8: isLong("location") ? .location : .other
      case 9: isLong("forwarded") ? .forwarded : .other
      case 10:
        isLong("user-agent")
          ? .userAgent : isLong("connection") ? .connection : isLong("set-cookie") ? .setCookie : isLong("keep-alive") ? .keepAlive : .other
      case 11: isLong("retry-after") ? .retryAfter : isLong("destination") ? .destination : .other
      case 12: isLong("content-type") ? .contentType : isLong("x-request-id") ? .xRequestID : .other
      case 13:
        isLong("authorization")
          ? .authorization : isLong("cache-control") ? .cacheControl : isLong("content-range") ? .contentRange : .other
      case 14: isLong("content-length") ? .contentLength : .other
      case 15: isLong("x-forwarded-for") ? .xForwardedFor : .other
      case 16:
        isLong("content-encoding")
          ? .contentEncoding
          : isLong("x-forwarded-host")
            ? .xForwardedHost
            : isLong("x-forwarded-port")
              ? .xForwardedPort : isLong("proxy-connection")
                ? .proxyConnection
                : isLong("www-authenticate") ? .wwwAuthenticate : isLong("content-location") ? .contentLocation : .other
      case 17: isLongest("transfer-encoding") ? .transferEncoding : isLongest("x-forwarded-proto") ? .xForwardedProto : .other
      case 18: isLongest("proxy-authenticate") ? .proxyAuthenticate : .other
      case 19: isLongest("proxy-authorization") ? .proxyAuthorization : .other
      default: .other
      }
    }

    @inline(__always) private func isShort(_ text: StaticString) -> Bool { first.isFolded(EightBytes(short: text)) }

    @inline(__always) private func isLong(_ text: StaticString) -> Bool {
      first.isFolded(EightBytes(text, at: 0)) && last.isFolded(EightBytes(text, at: text.utf8CodeUnitCount &- 8))
    }

    @inline(__always) private func isLongest(_ text: StaticString) -> Bool {
      isLong(text) && middle.isFolded(EightBytes(text, at: 8))
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
      .contentLocation, .refresh, .destination, .cacheControl, .contentType, .contentEncoding, .contentRange,
      .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .forwarded, .xRequestID:
      true
    case .other, .accept, .userAgent, .date, .server, .via, .link:
      false
    }
  }
}
