// Tokens made elsewhere: the issuers that are trusted, their keys, and the way from a token to a user. Immutable, and remembers nothing:
// what was verified is the gatekeeper's to keep.

internal import Crypto
internal import Primitives

public final class ForeignTokens: Sendable {
  /// An issuer and the keys that it has now.
  public struct Trusted: Sendable {
    public let issuer: ForeignIssuer
    public let keys: ForeignKeySet

    public init(_ issuer: ForeignIssuer, _ keys: ForeignKeySet) {
      self.issuer = issuer
      self.keys = keys
    }
  }

  public let trusted: [Trusted]

  /// How much work one token may make: eight keys of the usual kinds are tried, and two of P-384, which takes ten times as long.
  static let mostWork = 8

  public init(_ trusted: [Trusted]) {
    self.trusted = trusted
  }

  enum Proof {
    case token(VerifiedToken)
    /// With the user's name where the signature was good.
    case refused(Refusal.Reason, user: [UInt8])
  }

  /// Whom `text` speaks for, by the users of now. Takes what a signature takes: 20 to 600 µs.
  func prove(_ text: Span<UInt8>, users: UserTable, at now: Timestamp) -> Proof {
    do throws(ForeignRefusal) {
      let (identity, issuer) = try verify(text, at: now)
      return Self.prove(identity, by: issuer, users, now)
    } catch {
      return .refused(error.reason, user: [])
    }
  }

  // MARK: The token

  private func verify(_ text: Span<UInt8>, at now: Timestamp) throws(ForeignRefusal) -> (ForeignIdentity, ForeignIssuer) {
    let parts: JWSParts
    let claims: JSON
    do throws(JWSFault) {
      parts = try JWSParts(parsing: text)
      claims = try parts.claims()
    } catch {
      throw .malformed(error)
    }
    guard Self.isAccessToken(parts.typ) else { throw .wrongType }
    // Not yet verified: it only chooses whose keys the token has to be signed with.
    guard let trusted = issuer(named: claims["iss"]?.string) else { throw .unknownIssuer }
    guard trusted.issuer.algorithms.list.contains(parts.algorithm) else { throw .wrongAlgorithm }
    try Self.checkSignature(parts, text, trusted.keys)
    return (try ForeignIdentity(claims, of: trusted.issuer, at: now), trusted.issuer)
  }

  /// RFC 8725 section 3.11: other kinds of tokens (for logging out, for proving possession, …) are signed with the same keys.
  private static func isAccessToken(_ typ: [UInt8]?) -> Bool {
    guard let typ else { return true }
    return ASCII.equals(typ.span, ignoringCaseOf: "jwt") || ASCII.equals(typ.span, ignoringCaseOf: "at+jwt")
      || ASCII.equals(typ.span, ignoringCaseOf: "application/jwt") || ASCII.equals(typ.span, ignoringCaseOf: "application/at+jwt")
  }

  private func issuer(named name: [UInt8]?) -> Trusted? {
    if let name, let named = trusted.first(where: { $0.issuer.issuer == name }) { return named }
    return trusted.first { $0.issuer.issuer == nil }
  }

  private static func checkSignature(_ parts: JWSParts, _ text: Span<UInt8>, _ keys: ForeignKeySet) throws(ForeignRefusal) {
    var work = 0
    for candidate in keys.keys where candidate.algorithms.contains(parts.algorithm) {
      // A key without a name may be any token's, and a token without one any key's.
      if let kid = parts.kid, let own = candidate.kid, own != kid { continue }
      work += candidate.key.kind.work
      if work > mostWork { throw .wrongSignature }
      if candidate.key.verify(parts.signature.span, of: text.extracting(parts.signingInput), parts.algorithm) { return }
    }
    throw work == 0 ? .unknownKey : .wrongSignature
  }

  // MARK: The user

  private static func prove(_ identity: ForeignIdentity, by issuer: ForeignIssuer, _ users: UserTable, _ now: Timestamp) -> Proof {
    let entry = users.user(named: identity.name.span)
    // Also where any user is accepted: who is locked here is locked.
    switch entry?.standing(at: now) {
    case .locked: return .refused(.locked, user: identity.name)
    case .expired: return .refused(.expired, user: identity.name)
    case .active: break
    case nil: if !issuer.acceptsAnyUser { return .refused(.unknownUser, user: identity.name) }
    }
    return .token(
      VerifiedToken(
        kind: .foreign, user: user(identity, entry, issuer), identifier: identity.identifier, issued: identity.issued,
        expires: identity.expires, firstLogin: identity.issued, scopeWords: identity.scopeWords))
  }

  /// From the user file with the token's groups added, or of the token alone where any user is accepted.
  private static func user(_ identity: ForeignIdentity, _ entry: User?, _ issuer: ForeignIssuer) -> User {
    guard let entry, !issuer.acceptsAnyUser else {
      // Who expires here expires, also while the token is remembered.
      return User(
        name: identity.name, groups: User.Groups(identity.groups), hash: nil, isLocked: false, expires: entry?.expires, created: nil,
        keys: [], line: 0)
    }
    let added = identity.groups.filter { !entry.groups.contains($0) }
    if added.isEmpty { return entry }
    return User(
      name: entry.name, groups: User.Groups(entry.groups + added), hash: entry.hash, isLocked: entry.isLocked, expires: entry.expires,
      created: entry.created, keys: entry.keys, line: entry.line)
  }
}

extension User.Groups {
  fileprivate init(_ list: [[UInt8]]) {
    self.init(list: list, joined: Array(list.joined(separator: [0x2C])))
  }
}

extension VerificationKey.Kind {
  /// How long a verification takes, in that of an EC key of P-256 (50 µs).
  fileprivate var work: Int {
    switch self {
    case .p384: 4
    case .rsa(let bits): bits > 4096 ? 4 : 1
    default: 1
    }
  }
}
