// What our tokens say: the claims of a JWT (RFC 7519) in the one form that we write, and read back. Signing is `TokenAuthority`'s.

internal import Crypto
internal import Primitives

struct SignedToken: Equatable, Sendable {
  /// `sub`: the user's name.
  var user: [UInt8]
  /// `iat`, whole seconds since 1970.
  var issued: Int64
  /// `exp`: from this second on it is refused.
  var expires: Int64
  /// `jti`: 16 random bytes in Base64url.
  var identifier: [UInt8]
  /// `fpr`: `TokenFingerprint` of the user, 11 characters.
  var fingerprint: [UInt8]
  /// `scope`, left out when it is unlimited.
  var scope = TokenScope.unlimited
  /// `ath`: when the user last proved himself by password, left out when that is `issued`.
  var firstLogin: Int64

  /// No configuration allows longer lives, so nothing that lives longer was made here.
  static let longestLife = Interval.seconds(366 * 86_400)
  /// By how much the clocks of two of our servers may differ: a token from further in the future is refused.
  static let skew = Interval.seconds(30)
  /// Characters of `identifier` and `fingerprint`.
  static let identifierLength = 22
  static let fingerprintLength = 11

  /// What a token is for; the header says it (RFC 8725 section 3.11), so that neither is ever taken for the other.
  enum Use: Sendable {
    /// A credential, sent in Authorization.
    case credential
    /// In the query of one link.
    case ticket

    var typ: StaticString {
      switch self {
      case .credential: "JWT"
      case .ticket: "ticket+jwt"
      }
    }
  }

  // MARK: Writing

  static func header(_ use: Use, key: [UInt8]) -> [UInt8] {
    Array("{\"alg\":\"HS256\",\"typ\":\"\(use.typ)\",\"kid\":\"".utf8) + key + Array("\"}".utf8)
  }

  var payload: [UInt8] {
    var out = Array("{\"sub\":".utf8)
    JSON.append(quoted: user.span, to: &out)
    out += Array(",\"iat\":\(issued),\"exp\":\(expires),\"jti\":\"".utf8) + identifier
    out += Array("\",\"fpr\":\"".utf8) + fingerprint + Array("\"".utf8)
    if !scope.isUnlimited {
      out += Array(",\"scope\":".utf8)
      let text = scope.text
      JSON.append(quoted: text.span, to: &out)
    }
    if firstLogin != issued { out += Array(",\"ath\":\(firstLogin)".utf8) }
    out.append(0x7D)
    return out
  }

  // MARK: Reading

  /// Whether `header` is one of ours for this use: these three members and no other.
  static func isHeader(_ header: JSON, _ use: Use) -> Bool {
    guard case .object(let members) = header, members.count == 3, header["kid"] != nil, let algorithm = header["alg"]?.string,
      let typ = header["typ"]?.string
    else { return false }
    return ASCII.equals(algorithm.span, "HS256") && ASCII.equals(typ.span, use.typ)
  }

  /// nil unless `claims` are all of ours, of the right kinds, and none else: one that a later version adds may narrow what the token is good
  /// for, and must not be passed over by this one.
  init?(claims: JSON) {
    guard case .object(let members) = claims, let user = claims["sub"]?.string, UserName.fault(user.span) == nil,
      let issued = claims["iat"]?.number?.integer, let expires = claims["exp"]?.number?.integer,
      let identifier = claims["jti"]?.string, identifier.count == Self.identifierLength,
      Base64.decodeURLSafe(identifier.span) != nil, let fingerprint = claims["fpr"]?.string, fingerprint.count == Self.fingerprintLength
    else { return nil }
    // Years 1970 to 9999.
    guard issued >= 0, issued <= 253_402_300_799, expires > issued,
      expires - issued <= Int64(Self.longestLife.nanoseconds / 1_000_000_000)
    else { return nil }
    (self.user, self.issued, self.expires) = (user, issued, expires)
    (self.identifier, self.fingerprint) = (identifier, fingerprint)
    var count = 5
    firstLogin = issued
    if let claim = claims["ath"] {
      guard let first = claim.number?.integer, first >= 0, first <= issued else { return nil }
      firstLogin = first
      count += 1
    }
    if let claim = claims["scope"] {
      guard let text = claim.string, let scope = try? TokenScope(text: text.span) else { return nil }
      self.scope = scope
      count += 1
    }
    guard members.count == count else { return nil }
  }

  init(
    user: [UInt8], issued: Int64, expires: Int64, identifier: [UInt8], fingerprint: [UInt8], scope: TokenScope, firstLogin: Int64
  ) {
    (self.user, self.issued, self.expires) = (user, issued, expires)
    (self.identifier, self.fingerprint) = (identifier, fingerprint)
    (self.scope, self.firstLogin) = (scope, firstLogin)
  }
}

/// Ties a token to what the user file said of its owner: another password, or another user of the same name, ends it.
enum TokenFingerprint {
  /// 64 bits of a keyed code in Base64url. What is signed as a token begins with `eyJ`, and this input with a length: neither is ever
  /// the other.
  static func make(_ user: User, _ key: HMACSHA256Key) -> [UInt8] {
    var code = key.begin()
    let (domain, name) = (Array("gatehouse token fingerprint".utf8), user.name)
    code.updateFramed(domain.span)
    code.updateFramed(name.span)
    let kind = Array((user.hash == nil ? "no password" : "hash").utf8)
    code.updateFramed(kind.span)
    if let text = user.hash?.text { code.updateFramed(text.span) }
    let bytes = Array(code.finish().bytes.prefix(8))
    return Base64.encodeURLSafe(bytes.span)
  }
}
