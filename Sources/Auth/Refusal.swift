// Why somebody was not let through: for the log. The client sees the same for all of them.

public struct Refusal: Equatable, Sendable {
  public enum Reason: UInt8, CaseIterable, Sendable {
    case noCredentials
    case duplicateAuthorization
    case unknownScheme
    /// Not `Basic`, spaces, strict Base64 of UTF-8 with a colon and without control characters; or too long.
    case malformed
    case unknownUser
    case wrongPassword
    /// A user with keys only, asked for by password.
    case noPassword
    case locked
    case expired
    case unknownToken
    case expiredToken
    /// Of the form of a signed token, and not one: Base64, JSON, header, length.
    case malformedToken
    /// `alg` is none, unknown, or not among those that the issuer uses.
    case tokenAlgorithm
    /// `typ` says that it is another kind of token.
    case tokenType
    case tokenIssuer
    /// `kid` names none of the issuer's keys.
    case tokenKey
    case tokenSignature
    case tokenNotYetValid
    case tokenAudience
    /// Signed, and without a claim that could be a user's name.
    case tokenWithoutUser
    /// Signed, and without `exp`, or with a claim of the wrong type.
    case tokenClaims
    /// Not as we write tokens, or not signed by the key that it names.
    case invalidToken
    case revokedToken
    /// Signed for a user who had another password then, or was another.
    case outdatedToken
    /// Begins as an API key does and can't be one: its checksum or its length is wrong. Somebody's slip, and no guess.
    case mistypedToken
    /// A good API key, used from where it may not be used.
    case outsideNetworks
    /// Credentials in Authorization and in the field of API keys, or twice in the latter.
    case severalCredentials
    /// The user file changed while the password was being checked.
    case userChanged
    /// Right credentials, and not one of those that the route is for.
    case notPermitted
    /// Right credentials: a token that is not good for this method or path.
    case outOfScope
    /// A certificate that has expired since it was shown, or what is known of revocations has.
    case expiredCertificate
    /// A certificate in which a user's name might stand, and none does, or several do.
    case certificateWithoutUser
    /// Right credentials, sent with a certificate that is another user's.
    case certificateOfAnother
    /// Too many failures before; nothing was looked at.
    case lockedOut

    /// As the log names it.
    public var label: StaticString {
      switch self {
      case .noCredentials: "no credentials"
      case .duplicateAuthorization: "duplicate Authorization"
      case .unknownScheme: "unknown scheme"
      case .malformed: "malformed credentials"
      case .unknownUser: "unknown user"
      case .wrongPassword: "wrong password"
      case .noPassword: "user has no password"
      case .locked: "user is locked"
      case .expired: "user is expired"
      case .unknownToken: "unknown token"
      case .expiredToken: "token is expired"
      case .malformedToken: "malformed token"
      case .tokenAlgorithm: "token's algorithm is not accepted"
      case .tokenType: "token is of another type"
      case .tokenIssuer: "token's issuer is unknown"
      case .tokenKey: "token's key is unknown"
      case .tokenSignature: "token's signature is wrong"
      case .tokenNotYetValid: "token is not valid yet"
      case .tokenAudience: "token is for another audience"
      case .tokenWithoutUser: "token names no user"
      case .tokenClaims: "token's claims can't be used"
      case .invalidToken: "invalid token"
      case .revokedToken: "token is revoked"
      case .outdatedToken: "token is from before a change of the user"
      case .mistypedToken: "mistyped token"
      case .outsideNetworks: "key used from outside its networks"
      case .severalCredentials: "several credentials"
      case .userChanged: "user changed meanwhile"
      case .notPermitted: "not permitted"
      case .outOfScope: "out of the token's scope"
      case .expiredCertificate: "certificate is expired"
      case .certificateWithoutUser: "certificate names no user"
      case .certificateOfAnother: "certificate is another user's"
      case .lockedOut: "too many failures"
      }
    }
  }

  public var reason: Reason
  /// The name that was tried, empty when there was none or when it is unfit for a log: at most 255 bytes of UTF-8 without
  /// control characters, and never a token.
  public var user: [UInt8]
  /// The credentials were a bearer token: the challenge then says `error="invalid_token"` (RFC 6750 section 3).
  public var sentBearer: Bool
  /// Whether it may have been a guess at a password or a token: that counts towards a ban, and is told to whoever bans elsewhere.
  public var isGuess = false
  /// Bans that begin with this failure.
  public var bans: [BanNotice] = []

  public init(_ reason: Reason, user: [UInt8] = [], sentBearer: Bool = false) {
    self.reason = reason
    self.user = user
    self.sentBearer = sentBearer
  }
}
