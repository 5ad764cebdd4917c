// What can be said of a token to the one who holds it: its kind, its parts, and what a server would think of it. Not for the data path.

internal import Crypto
public import Primitives

public struct TokenInspection: Sendable {
  public enum Kind: Equatable, Sendable {
    /// Of the user file.
    case apiKey
    /// Signed by a key of ours, or so its header says.
    case signed
    case ticket
    /// Signed, and naming no key of ours.
    case foreign
    /// Neither.
    case unreadable
  }

  public enum Verdict: Equatable, Sendable {
    case valid
    /// What a server's log would say.
    case refused(String)
  }

  public let kind: Kind
  /// JSON as it stands, of signed ones.
  public private(set) var header: [UInt8]?
  public private(set) var claims: [UInt8]?
  /// Whether the key that the header names signed it; nil when it is none of ours.
  public private(set) var isSigned: Bool?
  /// With its restrictions, whether they would be met or not.
  public private(set) var apiKey: APIKey?
  /// An API key's, or a valid token's.
  public private(set) var name: [UInt8]?
  public private(set) var user: [UInt8]?
  public private(set) var issued: Timestamp?
  public private(set) var expires: Timestamp?
  public let verdict: Verdict

  /// - Parameter authority: nil where the configuration has no keys.
  public init(of text: Span<UInt8>, users: UserTable, authority: TokenAuthority?, at now: Timestamp) {
    if APIKey.isPrefix(of: text) {
      kind = .apiKey
      guard case .sound = APIKey.form(of: text) else {
        verdict = .refused("\(Refusal.Reason.mistypedToken.label)")
        return
      }
      guard let entry = users.key(SHA256.hash(text)) else {
        verdict = .refused("\(Refusal.Reason.unknownToken.label)")
        return
      }
      (apiKey, name, user, expires) = (entry.key, entry.key.name, entry.owner.name, entry.key.expires)
      if entry.key.isExpired(at: now) {
        verdict = .refused("\(Refusal.Reason.expiredToken.label)")
      } else {
        switch entry.owner.standing(at: now) {
        case .active: verdict = .valid
        case .locked: verdict = .refused("\(Refusal.Reason.locked.label)")
        case .expired: verdict = .refused("\(Refusal.Reason.expired.label)")
        }
      }
      return
    }
    guard let parts = try? JWSParts(parsing: text), let first = ASCII.firstIndex(of: 0x2E, in: text) else {
      kind = .unreadable
      verdict = .refused("neither an API key nor a signed token")
      return
    }
    header = Base64.decodeURLSafe(text.extracting(0..<first))
    claims = parts.payload
    isSigned = authority?.isSigned(parts, text)
    let members = try? parts.claims()
    issued = members?["iat"]?.number?.truncated.map { Timestamp(seconds: $0) }
    expires = members?["exp"]?.number?.truncated.map { Timestamp(seconds: $0) }
    user = members?["sub"]?.string
    guard let authority, isSigned != nil else {
      kind = .foreign
      verdict = .refused("signed by none of our keys")
      return
    }
    let isTicket = parts.typ == Array("\(SignedToken.Use.ticket.typ)".utf8)
    kind = isTicket ? .ticket : .signed
    switch authority.verify(text, users: users, at: now, ticket: isTicket) {
    case .valid(let token):
      name = token.identifier
      verdict = .valid
    case .expired: verdict = .refused("\(Refusal.Reason.expiredToken.label)")
    case .revoked: verdict = .refused("\(Refusal.Reason.revokedToken.label)")
    case .userRefused(let refusal): verdict = .refused("\(refusal.reason.label)")
    case .invalid, .unknownKey: verdict = .refused("\(Refusal.Reason.invalidToken.label)")
    }
  }
}
