// Which fields end at this connection and are not forwarded (RFC 9110 section 7.6.1). Applied before anything of ours is added, so that
// `Connection: X-Forwarded-User` can't take away what we set.

public import Primitives

public enum HopByHop {
  /// Fields of the connection that are not only left out.
  public struct Found: OptionSet, Sendable {
    public let rawValue: UInt8
    // Inlined where they are used, which is another room's hot path.
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// There is an Upgrade.
    @inlinable public static var upgrade: Found { Found(rawValue: 1) }
    /// TE says `trailers`: the client takes them (RFC 9110 section 10.1.4).
    @inlinable public static var trailers: Found { Found(rawValue: 2) }
    @inlinable public var isNothing: Bool { rawValue == 0 }
  }

  /// Makes `dropped` the set of indices in `fields` that must not be forwarded: the connection's own fields, and those that Connection
  /// names.
  ///
  /// Transfer-Encoding is always among them (whoever writes the message frames it); Content-Length is not. `Trailer` is kept: it describes
  /// what is relayed. Of what Connection names, Host, Content-Length and the fields that say who sent the request (`Forwarded`,
  /// `X-Forwarded-…`, `X-Request-Id`) and Authorization stay: they are meant for all recipients (RFC 9110 section 7.6.1 forbids to name
  /// such), and taking them away is an attack, not a wish.
  ///
  /// - Returns: what was among them that whoever forwards has to know.
  @discardableResult
  public static func mark(_ fields: borrowing FieldList, _ bytes: borrowing ByteStore, into dropped: inout FieldSet) -> Found {
    dropped.reset(count: fields.count)
    var found = Found(rawValue: 0)
    for i in fields.indices {
      switch fields[i].known {
      case .connection:
        dropped.insert(i)
        markNamed(by: fields[i].value, fields, bytes, &dropped)
      case .upgrade:
        found.insert(.upgrade)
        dropped.insert(i)
      case .te:
        if saysTrailers(bytes[fields[i].value]) { found.insert(.trailers) }
        dropped.insert(i)
      case .keepAlive, .proxyConnection, .transferEncoding, .proxyAuthenticate, .proxyAuthorization:
        dropped.insert(i)
      default:
        break
      }
    }
    return found
  }

  private static func saysTrailers(_ value: Span<UInt8>) -> Bool {
    var members = ListMembers()
    while let member = members.next(in: value) {
      if ASCII.equals(value.extracting(member), ignoringCaseOf: "trailers") { return true }
    }
    return false
  }

  /// Adds the fields by which a server asks for a login or answers to one (RFC 9110 section 11.6, RFC 7615, RFC 8053).
  static func markLogin(_ fields: borrowing FieldList, _ bytes: borrowing ByteStore, into dropped: inout FieldSet) {
    for i in fields.indices where isOfLogin(bytes[fields[i].name]) { dropped.insert(i) }
  }

  /// Whether it is one of these. They may stand in trailers too (RFC 7615 section 3).
  public static func isOfLogin(_ name: Span<UInt8>) -> Bool {
    ASCII.equals(name, ignoringCaseOf: "www-authenticate") || ASCII.equals(name, ignoringCaseOf: "authentication-info")
      || ASCII.equals(name, ignoringCaseOf: "authentication-control") || ASCII.equals(name, ignoringCaseOf: "optional-www-authenticate")
      || ASCII.equals(name, ignoringCaseOf: "persistent-auth")
  }

  /// Whether a Connection among `fields` names `name`, which goes no further then: behind the body no more than in the head.
  public static func isNamed(_ name: Span<UInt8>, by fields: borrowing FieldList, _ bytes: borrowing ByteStore) -> Bool {
    for i in fields.indices where fields[i].known == .connection {
      let value = bytes[fields[i].value]
      var members = ListMembers()
      while let member = members.next(in: value) {
        if ASCII.equals(name, ignoringCaseOf: value.extracting(member)) { return true }
      }
    }
    return false
  }

  /// The number of options is bounded where the head is read (`connectionOptionLimit`).
  private static func markNamed(by value: ByteRange, _ fields: borrowing FieldList, _ bytes: borrowing ByteStore, _ dropped: inout FieldSet)
  {
    if namesNone(bytes[value]) { return }
    var members = ListMembers()
    while let member = members.next(in: bytes[value]) {
      let option = ByteRange(Int(value.start) + member.lowerBound, Int(value.start) + member.upperBound)
      if namesNone(bytes[option]) { continue }
      for i in fields.indices where !isForAll(fields[i].known) {
        if ASCII.equals(bytes[fields[i].name], ignoringCaseOf: bytes[option]) { dropped.insert(i) }
      }
    }
  }

  /// The options that everybody sends, most often alone, name no field worth a search.
  private static func namesNone(_ option: Span<UInt8>) -> Bool {
    ASCII.equals(option, ignoringCaseOf: "keep-alive") || ASCII.equals(option, ignoringCaseOf: "close")
  }

  private static func isForAll(_ name: FieldName) -> Bool {
    switch name {
    case .host, .contentLength, .authorization, .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .forwarded,
      .xRequestID:
      true
    default:
      false
    }
  }
}
