// The claims of a token made elsewhere → who it speaks for, and until when (RFC 7519 section 4.1). To be asked of verified tokens only.

internal import Primitives

/// Whom a verified token of another issuer names. Says nothing of whether that user may come in.
struct ForeignIdentity: Equatable, Sendable {
  /// Fit to be a user's name.
  var name: [UInt8]
  /// Fit to be groups' names, each once.
  var groups: [[UInt8]] = []
  /// `iat`; 1970 where there is none, so that whatever asks for tokens issued after a moment gets none without.
  var issued = Timestamp(seconds: 0)
  /// `exp`, the leeway added: from this moment on it is refused.
  var expires: Timestamp
  /// Words of `scope` or `scp`.
  var scopeWords: [[UInt8]] = []
  /// `jti`; empty where there is none.
  var identifier: [UInt8] = []

  /// Reads and judges the claims. Throws why they are refused.
  init(_ claims: JSON, of issuer: ForeignIssuer, at now: Timestamp) throws(ForeignRefusal) {
    let leeway = Int64(issuer.leeway.nanoseconds / 1000)
    // Optional in RFC 7519, not here: a token that never ends can't be taken back.
    guard let expires = try Self.date(claims["exp"], roundedUp: false) else { throw .unusableClaims }
    self.expires = Timestamp(microseconds: expires.microseconds + leeway)
    if now >= self.expires { throw .expired }
    if let start = try Self.date(claims["nbf"], roundedUp: true), now.microseconds + leeway < start.microseconds { throw .notYetValid }
    if let issued = try Self.date(claims["iat"], roundedUp: true) {
      if now.microseconds + leeway < issued.microseconds { throw .notYetValid }
      self.issued = issued
    }
    try Self.checkIssuer(claims["iss"], issuer)
    try Self.checkAudience(claims["aud"], issuer)
    guard let name = claims[issuer.userClaim]?.string, UserName.fault(name.span) == nil else { throw .noUser }
    self.name = name
    if let path = issuer.groupsClaim { groups = try Self.groups(claims, path) }
    scopeWords = try Self.words(claims["scope"] ?? claims["scp"])
    if let jti = claims["jti"] {
      guard let text = jti.string, text.count <= Self.longestIdentifier else { throw .unusableClaims }
      identifier = text
    }
  }

  static let longestIdentifier = 255

  /// 0 to 9999-12-31T23:59:59Z: what else stands there is no NumericDate in seconds.
  private static let dates: ClosedRange<Int64> = 0...253_402_300_799

  /// A NumericDate (section 2), which may have a fraction.
  private static func date(_ value: JSON?, roundedUp: Bool) throws(ForeignRefusal) -> Timestamp? {
    guard let value else { return nil }
    guard let number = value.number, let seconds = number.truncated, dates.contains(seconds), number.text.first != 0x2D else {
      throw .unusableClaims
    }
    return Timestamp(seconds: roundedUp && number.integer == nil ? seconds + 1 : seconds)
  }

  private static func checkIssuer(_ value: JSON?, _ issuer: ForeignIssuer) throws(ForeignRefusal) {
    if let value, value.string == nil { throw .unusableClaims }
    if let wanted = issuer.issuer, value?.string != wanted { throw .unknownIssuer }
  }

  private static func checkAudience(_ value: JSON?, _ issuer: ForeignIssuer) throws(ForeignRefusal) {
    let named = try strings(value)
    if let wanted = issuer.audiences, !named.contains(where: wanted.contains) { throw .wrongAudience }
  }

  /// The names that can be groups'. Others are left out: no rule can name them, so nothing is refused or granted by them.
  private static func groups(_ claims: JSON, _ path: [[UInt8]]) throws(ForeignRefusal) -> [[UInt8]] {
    var value: JSON? = claims
    for name in path {
      guard let object = value else { break }
      guard case .object = object else { throw .unusableClaims }
      value = object[name]
    }
    var groups: [[UInt8]] = []
    for group in try strings(value) where UserName.groupFault(group.span) == nil && !groups.contains(group) { groups.append(group) }
    return groups
  }

  /// Words of an OAuth scope: a text with spaces between them (RFC 8693 section 4.2) or, as some issuers have it, an array.
  private static func words(_ value: JSON?) throws(ForeignRefusal) -> [[UInt8]] {
    var words: [[UInt8]] = []
    for text in try strings(value) {
      for word in text.split(separator: 0x20) {
        guard words.count < JWSParts.mostMembers else { throw .unusableClaims }
        words.append(Array(word))
      }
    }
    return words
  }

  /// One string or an array of strings; nothing else may stand there.
  private static func strings(_ value: JSON?) throws(ForeignRefusal) -> [[UInt8]] {
    guard let value else { return [] }
    if let one = value.string { return [one] }
    guard let list = value.array else { throw .unusableClaims }
    var strings: [[UInt8]] = []
    for element in list {
      guard let text = element.string else { throw .unusableClaims }
      strings.append(text)
    }
    return strings
  }
}

/// Why a token made elsewhere proves nothing.
enum ForeignRefusal: Error, Equatable, Sendable {
  case malformed(JWSFault)
  /// `typ` says that it is something else than an access token.
  case wrongType
  case unknownIssuer
  /// `alg` is not among the issuer's.
  case wrongAlgorithm
  case unknownKey
  case wrongSignature
  case expired
  case notYetValid
  case wrongAudience
  /// The claim of the user's name is missing, or is no name.
  case noUser
  /// A claim is missing or is of the wrong type.
  case unusableClaims

  /// As the log has it.
  var reason: Refusal.Reason {
    switch self {
    case .malformed(.unsupportedAlgorithm), .wrongAlgorithm: .tokenAlgorithm
    case .malformed(.notCompact): .unknownToken
    case .malformed: .malformedToken
    case .wrongType: .tokenType
    case .unknownIssuer: .tokenIssuer
    case .unknownKey: .tokenKey
    case .wrongSignature: .tokenSignature
    case .expired: .expiredToken
    case .notYetValid: .tokenNotYetValid
    case .wrongAudience: .tokenAudience
    case .noUser: .tokenWithoutUser
    case .unusableClaims: .tokenClaims
    }
  }
}
