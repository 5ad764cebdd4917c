// Makes tokens and judges them: JWS compact (RFC 7515), HS256 alone. Pure but for randomness: time is an argument.

internal import Crypto
public import Primitives

/// Immutable but for the revocations, which it shares with every other. A changed file of keys, or configuration, makes a new one.
public final class TokenAuthority: Sendable {
  public let options: TokenOptions
  public let keys: TokenKeys
  public let revocations: Revocations

  public init(options: TokenOptions, keys: TokenKeys, revocations: Revocations) {
    self.options = options
    self.keys = keys
    self.revocations = revocations
  }

  // MARK: Making

  /// Makes a token for `user`, whose right to it the caller has seen.
  ///
  /// - Parameters:
  ///   - lifetime: whole seconds count; nil for the configured one (of a ticket: a minute at most).
  ///   - firstLogin: nil when the user has just given his password; for a renewal what `renewedFirstLogin` answered. The new token then ends
  ///     when renewals do.
  public func issue(
    to user: User, at now: Timestamp, lifetime: Interval? = nil, scope: TokenScope = .unlimited, firstLogin: Timestamp? = nil,
    isTicket: Bool = false
  ) throws(TokenIssueFailure) -> IssuedToken {
    switch user.standing(at: now) {
    case .active: break
    case .locked: throw .userRefused(.locked)
    case .expired: throw .userRefused(.expired)
    }
    let wanted = lifetime ?? (isTicket ? min(options.lifetime, TokenOptions.ticketLifetime) : options.lifetime)
    let longest = isTicket ? min(options.longestLifetime, TokenOptions.longestTicketLifetime) : options.longestLifetime
    guard wanted <= longest else { throw .tooLong(longest: longest) }
    if isTicket && scope.isUnlimited { throw .ticketWithoutScope }
    let seconds = Int64(wanted.nanoseconds / 1_000_000_000)
    guard seconds > 0 else { throw .tooShort }
    var issued = now.seconds
    if let firstLogin {
      let end = firstLogin.advanced(by: options.renewWithin)
      guard end.seconds > issued else { throw .renewalIsOver }
    } else if let earliest = revocations.earliestIssue(for: user.name), earliest > now, earliest.seconds == issued + 1 {
      // All before the end of this second was revoked: who logs in after that is not meant.
      issued = earliest.seconds
    }
    var expires = issued + seconds
    if let firstLogin { expires = min(expires, firstLogin.advanced(by: options.renewWithin).seconds) }
    let key = keys.signing
    let random = RandomBytes.array(16)
    let token = SignedToken(
      user: user.name, issued: issued, expires: expires, identifier: Base64.encodeURLSafe(random.span),
      fingerprint: TokenFingerprint.make(user, key.mac), scope: scope, firstLogin: firstLogin?.seconds ?? issued)
    return IssuedToken(
      text: Self.sign(token, isTicket ? .ticket : .credential, key), identifier: token.identifier, expires: Timestamp(seconds: expires),
      duration: expires - issued)
  }

  private static func sign(_ token: SignedToken, _ use: SignedToken.Use, _ key: TokenKeys.Key) -> Secret {
    let (header, payload) = (SignedToken.header(use, key: key.identifier), token.payload)
    var text = Secret(capacity: 512)
    let (first, second) = (Base64.encodeURLSafe(header.span), Base64.encodeURLSafe(payload.span))
    text.append(first.span)
    text.append(0x2E)
    text.append(second.span)
    let mac = key.mac.authenticate(text.span).bytes
    let signature = Base64.encodeURLSafe(mac.span)
    text.append(0x2E)
    text.append(signature.span)
    return text
  }

  /// What a token that is exchanged for `token` counts its renewals from, or nil when it may not be exchanged: only one of our own, never a
  /// ticket, and within `renew_within` of the password. The new one's scope has to be within the old one's (`TokenScope.isWithin`).
  ///
  /// The token is looked at again: it was verified when the request began, and who lets the request wait for its end must not carry the token
  /// past its revocation, its end or that of its key into one that none of these is about.
  public func renewedFirstLogin(for token: VerifiedToken, at now: Timestamp) -> Timestamp? {
    guard case .own = token.kind, options.renewWithin.nanoseconds > 0, now < token.firstLogin.advanced(by: options.renewWithin),
      token.isGood(at: now), let key = keys.key(named: token.key), key.verifies(at: now),
      !revocations.cover(identifier: token.identifier, user: token.user.name, issued: token.issued)
    else { return nil }
    return token.firstLogin
  }

  // MARK: Judging

  /// Judges a token. Its signature is compared, in constant time, before a byte of its claims is read; of its header only the name of the key
  /// and the kind are believed before that, and the key says which algorithm it is.
  ///
  /// - Parameter ticket: which of the two kinds is wanted; the other is invalid.
  public func verify(_ text: Span<UInt8>, users: UserTable, at now: Timestamp, ticket: Bool) -> TokenVerdict {
    let parts: JWSParts
    do throws(JWSFault) {
      parts = try JWSParts(parsing: text)
    } catch {
      return .invalid
    }
    guard let identifier = parts.kid, let key = keys.key(named: identifier) else { return .unknownKey }
    let use = ticket ? SignedToken.Use.ticket : .credential
    guard SignedToken.isHeader(parts.header, use), key.verifies(at: now), Self.isSigned(parts, text, by: key),
      let claims = try? parts.claims(), let token = SignedToken(claims: claims),
      Timestamp(seconds: token.issued) <= now.advanced(by: SignedToken.skew)
    else { return .invalid }
    if ticket {
      // Not as we make them, whoever signed it.
      let longest = Int64(TokenOptions.longestTicketLifetime.nanoseconds / 1_000_000_000)
      guard !token.scope.isUnlimited, token.expires - token.issued <= longest else { return .invalid }
    }
    let expires = Timestamp(seconds: token.expires)
    if now >= expires { return .expired(token.user) }
    let issued = Timestamp(seconds: token.issued)
    if revocations.cover(identifier: token.identifier, user: token.user, issued: issued) { return .revoked(token.user) }
    guard let user = users.user(named: token.user.span) else { return .userRefused(Refusal(.unknownUser, user: token.user)) }
    switch user.standing(at: now) {
    case .active: break
    case .locked: return .userRefused(Refusal(.locked, user: user.name))
    case .expired: return .userRefused(Refusal(.expired, user: user.name))
    }
    guard TokenFingerprint.make(user, key.mac) == token.fingerprint else {
      return .userRefused(Refusal(.outdatedToken, user: user.name))
    }
    return .valid(
      VerifiedToken(
        kind: ticket ? .ticket : .own, user: user, identifier: token.identifier, issued: issued, expires: expires,
        firstLogin: Timestamp(seconds: token.firstLogin), key: key.identifier, keyEnds: key.until, scope: token.scope))
  }

  /// Whether the key that the header names signed it; nil when that is none of ours. For who wants to know more than `verify` says.
  public func isSigned(_ parts: JWSParts, _ text: Span<UInt8>) -> Bool? {
    guard let identifier = parts.kid, let key = keys.key(named: identifier) else { return nil }
    return parts.algorithm == .hs256 && Self.isSigned(parts, text, by: key)
  }

  private static func isSigned(_ parts: JWSParts, _ text: Span<UInt8>, by key: TokenKeys.Key) -> Bool {
    key.mac.authenticate(text.extracting(parts.signingInput)).equals(parts.signature.span)
  }
}

extension VerifiedToken {
  /// Whether neither it nor the key that signed it has come to its end.
  func isGood(at now: Timestamp) -> Bool {
    if let keyEnds, now >= keyEnds { return false }
    return now < expires
  }

  /// Whether it is one that is sent in the query.
  var isTicket: Bool {
    if case .ticket = kind { true } else { false }
  }
}
