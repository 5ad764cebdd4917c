// The request target (RFC 9112 section 3.2): its form, and where its parts stand. What a path means is CanonicalPath's matter.

public import Primitives

/// A request target and its parts, as ranges into the head's bytes.
public struct RequestTarget: Equatable, Sendable {
  /// RFC 9112 sections 3.2.1 to 3.2.4.
  public enum Form: Equatable, Sendable {
    /// `/path?query`
    case origin
    /// `http://host/path?query`
    case absolute
    /// `*`, of OPTIONS alone. Also an absolute form of OPTIONS without path and query, which means the same (section 3.2.4).
    case asterisk
    /// `host:port`, of CONNECT alone
    case authority
  }

  public var form: Form
  /// All of it, as it came.
  public var whole: ByteRange
  /// The path, of origin and absolute form. Empty in an absolute form without one, which means `/` (RFC 9110 section 4.2.3).
  public var path: ByteRange
  /// What follows the `?`, without it.
  public var query: ByteRange
  /// Whether there is a `?`. `/a?` has an empty query, `/a` has none.
  public var hasQuery: Bool
  /// `host[:port]`, of absolute and authority form.
  public var authority: ByteRange
  /// Of an absolute form: whether its scheme is `https`.
  public var isSecure: Bool

  /// An origin form of no bytes.
  public init() {
    form = .origin
    whole = ByteRange()
    path = ByteRange()
    query = ByteRange()
    hasQuery = false
    authority = ByteRange()
    isSecure = false
  }

  /// Takes `target` apart, which begins at `offset` of the head and holds no control character, space or `#`. Nil when it has no form
  /// that the method allows.
  init?(_ target: Span<UInt8>, at offset: Int, _ method: Method) {
    self.init()
    whole = ByteRange(offset, offset + target.count)
    if method == .connect {
      // RFC 9112 section 3.2.3: authority-form is CONNECT's, and CONNECT's only form; the port has to be there (RFC 9110 section 9.3.6).
      guard Authority.isValid(target), let port = Authority.port(target), !port.isEmpty else { return nil }
      form = .authority
      authority = whole
    } else if target[0] == 0x2F {
      // RFC 9112 section 3.2.1: origin-form.
      form = .origin
      split(target, at: offset, from: 0)
    } else if target.count == 1 && target[0] == 0x2A {
      // RFC 9112 section 3.2.4: asterisk-form is for a server-wide OPTIONS alone.
      guard method == .options else { return nil }
      form = .asterisk
    } else {
      // RFC 9112 section 3.2.2: absolute-form, which a server MUST accept. Of `http` and `https` alone: a scheme that we can't serve is
      // not ours to guess at.
      form = .absolute
      guard let start = RequestTarget.authorityStart(target) else { return nil }
      isSecure = start == 8
      var end = start
      while end < target.count && target[end] != 0x2F && target[end] != 0x3F { end += 1 }
      // RFC 9110 section 4.2.4: user information is refused; so is an empty host (section 4.2.1).
      guard Authority.isValid(target.extracting(start..<end)) else { return nil }
      authority = ByteRange(offset + start, offset + end)
      split(target, at: offset, from: end)
      // RFC 9112 section 3.2.4: without path and query, OPTIONS of an absolute form is that of `*`.
      if method == .options && end == target.count { form = .asterisk }
    }
  }

  /// Where the authority of an absolute form begins: after `http://` (7) or `https://` (8).
  private static func authorityStart(_ target: Span<UInt8>) -> Int? {
    if target.count > 7 && ASCII.equals(target.extracting(0..<7), ignoringCaseOf: "http://") { return 7 }
    if target.count > 8 && ASCII.equals(target.extracting(0..<8), ignoringCaseOf: "https://") { return 8 }
    return nil
  }

  /// Parts path and query, which begin at `start` of `target`.
  private mutating func split(_ target: Span<UInt8>, at offset: Int, from start: Int) {
    let i = ASCII.firstIndex(of: 0x3F, in: target, from: start) ?? target.count
    path = ByteRange(offset + start, offset + i)
    hasQuery = i < target.count
    query = hasQuery ? ByteRange(offset + i + 1, offset + target.count) : ByteRange(offset + i, offset + i)
  }
}
