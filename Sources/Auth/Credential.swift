// By what somebody proved who he is, and what follows from that beside his name.

public import Primitives

public enum Credential: Sendable {
  /// Nobody was asked.
  case none
  case password
  /// An entry of the user file.
  case apiKey(APIKey)
  case token(VerifiedToken)
  /// The client's own, verified by TLS.
  case certificate

  /// What it is limited to; nil for what is as good as its owner.
  var scope: TokenScope? {
    switch self {
    case .none, .password, .certificate: nil
    case .apiKey(let key): key.scope
    case .token(let token): token.scope
    }
  }

  /// Whether it is good for some methods and not for others: the service must then not be told another one than was judged.
  public var judgesMethod: Bool { scope?.items.contains { !$0.methods.isEmpty } ?? false }
}

extension Credential {
  /// Whether it is good for a request beside the one that was judged, which a place named in that one amounts to.
  ///
  /// - Parameter path: canonical.
  public func covers(method: Span<UInt8>, path: Span<UInt8>) -> Bool { scope?.covers(method: method, path: path) ?? true }
}

/// A signed token whose signature, times and user were found good. Immutable: shared by the cache and by every request that it speaks for.
public final class VerifiedToken: Sendable {
  public enum Kind: Sendable {
    /// Of our own making, sent as a credential.
    case own
    /// Of our own making, sent in the query (`token issue --ticket`).
    case ticket
    /// Of another issuer.
    case foreign
  }

  public let kind: Kind
  /// As the user table has him; made from the claims where a foreign issuer may bring its own.
  public let user: User
  /// `jti`; empty where a foreign token has none.
  public let identifier: [UInt8]
  public let issued: Timestamp
  /// From this moment on it is refused.
  public let expires: Timestamp
  /// When its owner last proved himself by password: what renewal is measured from. Equal to `issued` for foreign tokens.
  public let firstLogin: Timestamp
  /// Which of our keys signed it; empty where another issuer did.
  public let key: [UInt8]
  /// From this moment on that key verifies nothing; nil without an end.
  public let keyEnds: Timestamp?
  /// What it is good for (methods and paths).
  public let scope: TokenScope
  /// Words of an OAuth scope (RFC 8693 section 4.2) that `require scope` asks for; foreign tokens have them.
  public let scopeWords: [[UInt8]]

  public init(
    kind: Kind, user: User, identifier: [UInt8], issued: Timestamp, expires: Timestamp, firstLogin: Timestamp, key: [UInt8] = [],
    keyEnds: Timestamp? = nil, scope: TokenScope = .unlimited, scopeWords: [[UInt8]] = []
  ) {
    self.kind = kind
    self.user = user
    self.identifier = identifier
    self.issued = issued
    self.expires = expires
    self.firstLogin = firstLogin
    self.key = key
    self.keyEnds = keyEnds
    self.scope = scope
    self.scopeWords = scopeWords
  }
}
