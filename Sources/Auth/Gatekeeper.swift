// Who may pass. A `Grant` is made here and nowhere else: its initialiser is private to this file, and nothing reaches an upstream
// without one. No sockets, no logging, no clock: time is an argument.

internal import Crypto
public import HTTP
public import Primitives
internal import Synchronization

/// The right to forward one request. Can't be copied, forged or used twice.
public struct Grant: ~Copyable, Sendable {
  /// Who the upstream is told it is; nil on a route that requires nobody.
  public let user: User?
  /// By what he proved it.
  public let credential: Credential
  /// The certificate that he has shown, where it counts: what the upstream may be told of it.
  public let certificate: PeerCertificate?

  fileprivate init(_ user: User?, by credential: Credential, showing certificate: PeerCertificate? = nil) {
    self.user = user
    self.credential = credential
    self.certificate = certificate
  }
}

public enum Decision: ~Copyable, Sendable {
  case grant(Grant)
  /// 401.
  case challenge(Refusal)
  /// 400.
  case malformed(Refusal)
  /// 403: the credentials are right.
  case deny(Refusal)
  /// 429: too many failures; `retryAfter` is in seconds. The credentials were not looked at.
  case tooManyFailures(Refusal, retryAfter: UInt64)
  /// Run it elsewhere, then `settle` it.
  case pending(PasswordCheck)
}

/// Decides requests against one reading of the user file. Immutable: a reload makes a new one around the same cache.
///
/// Names that are unknown, locked, expired or simply given with a wrong password go the same way through `password`: the same lookups,
/// one code of the cache, one check of a hash. What they get is told apart in the log only.
public final class Gatekeeper: Sendable {
  public let users: UserTable
  public let options: GatekeeperOptions
  /// Makes and judges signed tokens; nil where the configuration has none.
  public let tokens: TokenAuthority?
  private let cache: VerifiedCache
  private let foreignTokens: ForeignTokens?
  /// nil where failures are not counted.
  private let lockout: Lockout?
  private let keyUses: KeyUses?
  /// No other gatekeeper of this process has it: what one found good is not so for another.
  let generation = Gatekeeper.generations.add(1, ordering: .relaxed).newValue

  private static let generations = Atomic<UInt64>(0)

  /// - Parameter keyUses: where uses of API keys are noted; nil where nobody asks.
  public init(
    users: UserTable, cache: VerifiedCache, options: GatekeeperOptions = .init(), tokens: TokenAuthority? = nil,
    foreignTokens: ForeignTokens? = nil, lockout: Lockout? = nil, keyUses: KeyUses? = nil
  ) {
    self.users = users
    self.cache = cache
    self.keyUses = keyUses
    self.options = options
    self.tokens = tokens
    self.foreignTokens = foreignTokens
    self.lockout = lockout
  }

  /// Decides one request. `target` is the canonical one that will be forwarded, whose first `pathLength` bytes are the path. `scratch` is
  /// memory for the decoded credentials, wiped before the return; with the same one each time nothing is allocated for credentials that
  /// the cache knows.
  public func decide(
    _ head: borrowing RequestHead, target: borrowing ByteBuffer, pathLength: Int, _ requirement: Requirement, _ context: RequestContext,
    scratch: inout Secret
  ) -> Decision {
    // Hardly ever is there one, and what is not appraised need not be copied.
    if context.certificate == nil {
      return judge(head, target: target, pathLength: pathLength, requirement, context, scratch: &scratch)
    }
    return judge(head, target: target, pathLength: pathLength, requirement, appraised(context), scratch: &scratch)
  }

  private func judge(
    _ head: borrowing RequestHead, target: borrowing ByteBuffer, pathLength: Int, _ requirement: Requirement, _ context: RequestContext,
    scratch: inout Secret
  ) -> Decision {
    switch APIKeyField.find(options.apiKeyField, in: head) {
    case .absent: break
    case .several: return .malformed(Refusal(.severalCredentials))
    case .one(let field):
      // Here, too, it would be unclear which of two is meant.
      if head.authorizationCount > 0 { return .malformed(Refusal(.severalCredentials)) }
      return decide(
        apiKey: head.bytes[head.fields[field].value], method: head.bytes[head.methodRange], path: target.span.extracting(0..<pathLength),
        requirement, context)
    }
    switch ticket(in: head) {
    case .absent: break
    case .ambiguous: return .malformed(Refusal(.severalCredentials))
    case .one(let value):
      // Beside Authorization it is not looked at: browsers add what they remember of the site to a link that has a ticket.
      if head.authorizationCount > 0 { break }
      if !mindsCredentials(requirement, context), let decision = withoutCredentials(requirement, context) { return decision }
      switch signedToken(head.bytes[value], context, ticket: true) {
      // Never counted as a guess: any page can make its visitors' browsers ask for a link, and others have parameters of that name.
      case .refused(let refusal): return .challenge(refusal)
      case let proof: return conclude(proof, head.bytes[head.methodRange], target.span.extracting(0..<pathLength), requirement, context)
      }
    }
    let value = head.authorization.map { head.fields[$0].value } ?? ByteRange()
    return judge(
      authorization: head.bytes[value], count: head.authorizationCount, method: head.bytes[head.methodRange],
      path: target.span.extracting(0..<pathLength), requirement, context, scratch: &scratch)
  }

  /// Who brings nothing but what TLS knows of him is let through: because nobody need be known, or by his certificate. Nil when he is not.
  private func withoutCredentials(_ requirement: Requirement, _ context: RequestContext) -> Decision? {
    guard requirement.permitsNobody(from: context.client, showing: context.good) else { return nil }
    guard requirement.mentionsCertificate, let certificate = context.good else { return .grant(Grant(nil, by: .none)) }
    if case .user(let user) = context.holder { return .grant(Grant(user, by: .certificate, showing: certificate)) }
    return .grant(Grant(nil, by: .certificate, showing: certificate))
  }

  /// Whether credentials that were sent have to be good: where it is asked who he is, and where a certificate says so already. Else the
  /// service could be sent one user's password in another's name.
  private func mindsCredentials(_ requirement: Requirement, _ context: RequestContext) -> Bool {
    if requirement.asksWho { return true }
    guard requirement.mentionsCertificate, case .user = context.holder else { return false }
    return true
  }

  /// Decides by the certificate alone, where it is a user's. Nil when that comes to nothing.
  private func byCertificate(
    _ method: Span<UInt8>, _ path: Span<UInt8>, _ requirement: Requirement, _ context: RequestContext
  ) -> Decision? {
    guard case .user(let user) = context.holder, requirement.asksWho else { return nil }
    guard let refusal = objection(to: user, .certificate, method, path, requirement, context) else {
      return .grant(Grant(user, by: .certificate, showing: context.good))
    }
    return requirement.permitsNobody(from: context.client, showing: context.good) ? nil : .deny(refusal)
  }

  /// Where a ticket stands in the head, if these tokens have tickets.
  private func ticket(in head: borrowing RequestHead) -> QueryParameter {
    guard head.target.hasQuery, let name = tokens?.options.ticketParameter else { return .absent }
    let query = head.target.query
    let found = QueryParameter.find(name.span, in: head.bytes[query])
    guard case .one(let value) = found else { return found }
    return .one(ByteRange(Int(query.start) + Int(value.start), Int(query.start) + Int(value.end)))
  }

  /// Decides by the Authorization value (outer white space removed) and the number of such fields; with `count` 0 the value is not
  /// looked at.
  public func decide(
    authorization: Span<UInt8>, count: Int, method: Span<UInt8>, path: Span<UInt8>, _ requirement: Requirement,
    _ context: RequestContext, scratch: inout Secret
  ) -> Decision {
    judge(authorization: authorization, count: count, method: method, path: path, requirement, appraised(context), scratch: &scratch)
  }

  private func judge(
    authorization: Span<UInt8>, count: Int, method: Span<UInt8>, path: Span<UInt8>, _ requirement: Requirement,
    _ context: RequestContext, scratch: inout Secret
  ) -> Decision {
    // Also where nobody is required: which of two would the upstream take?
    if count > 1 { return .malformed(Refusal(.duplicateAuthorization)) }
    // A certificate comes by itself, with every request of its connection: it is asked where nothing else was sent.
    if count == 0, let decision = byCertificate(method, path, requirement, context) { return decision }
    // Who sends credentials is asked for them, unless nothing depends on who he is.
    if count == 0 || !mindsCredentials(requirement, context), let decision = withoutCredentials(requirement, context) { return decision }
    if count == 0 {
      if case .refused(let refusal) = context.holder { return .challenge(refusal) }
      return .challenge(Refusal(context.certificate?.owner == .nobody ? .certificateWithoutUser : .noCredentials))
    }
    let (scheme, start) = AuthorizationValue.read(authorization)
    let proof: Proof
    switch scheme {
    case .basic:
      proof = basic(authorization.extracting(start..<authorization.count), context, &scratch)
      scratch.removeAll()
    case .bearer:
      proof = token(authorization.extracting(start..<authorization.count), context, sentBearer: true)
    case .unknown: return .challenge(Refusal(.unknownScheme))
    case .malformed: return .challenge(Refusal(.malformed))
    }
    return conclude(proof, method, path, requirement, context)
  }

  /// Decides by an API key in a field of its own.
  func decide(
    apiKey: Span<UInt8>, method: Span<UInt8>, path: Span<UInt8>, _ requirement: Requirement, _ context: RequestContext
  ) -> Decision {
    if !mindsCredentials(requirement, context), let decision = withoutCredentials(requirement, context) { return decision }
    return conclude(self.apiKey(apiKey, context), method, path, requirement, context)
  }

  private func conclude(
    _ proof: consuming Proof, _ method: Span<UInt8>, _ path: Span<UInt8>, _ requirement: Requirement, _ context: RequestContext
  ) -> Decision {
    switch consume proof {
    case .user(let user, let credential): admit(user, credential, method, path, requirement, context)
    case .refused(let refusal): refused(refusal, context)
    case .barred(let refusal, let seconds): .tooManyFailures(refusal, retryAfter: seconds)
    case .pending(let check): .pending(check)
    }
  }

  /// Decides after the check was run. Everything is looked at again: the user may have been changed, locked or removed meanwhile.
  public func settle(
    _ check: PasswordCheck, matched: Bool, method: Span<UInt8>, target: borrowing ByteBuffer, pathLength: Int, _ requirement: Requirement,
    _ context: RequestContext
  ) -> Decision {
    let context = appraised(context)
    let path = target.span.extracting(0..<pathLength)
    let attempt = check.attempt(from: context.client, lockout)
    switch settled(check, matched: matched, context) {
    case .refused(var refusal):
      refusal.isGuess = !matched || refusal.reason != .userChanged
      // What did not match was counted where it was found: `LoginAttempt.verdict`.
      if matched && refusal.isGuess { refusal.bans = attempt?.failed(user: refusal.user, at: context.instant) ?? [] }
      return .challenge(refusal)
    case .user(let user):
      cache.insert(check.key, at: context.instant, lifetime: options.cacheLifetime)
      attempt?.succeeded(at: context.instant)
      return admit(user, .password, method, path, requirement, context)
    }
  }

  private enum Settled {
    case user(User)
    case refused(Refusal)
  }

  private func settled(_ check: PasswordCheck, matched: Bool, _ context: RequestContext) -> Settled {
    let name = check.name
    guard let user = users.user(named: name.span) else { return .refused(Refusal(.unknownUser, user: check.loggedName)) }
    if let refusal = refusal(of: user, at: context.now) { return .refused(refusal) }
    if !matched, let refusal = refusal(ofKey: check.keyDigest, user, context) { return .refused(refusal) }
    guard let hash = user.hash else { return .refused(Refusal(.noPassword, user: user.name)) }
    guard !check.hash.isDecoy && hash.text == check.hash.text else { return .refused(Refusal(.userChanged, user: user.name)) }
    guard matched else { return .refused(Refusal(.wrongPassword, user: user.name)) }
    return .user(user)
  }

  // MARK: Who it is

  /// What the credentials prove.
  private enum Proof: ~Copyable {
    case user(User, Credential)
    case refused(Refusal)
    /// Not looked at, for so many seconds.
    case barred(Refusal, seconds: UInt64)
    case pending(PasswordCheck)
  }

  private func basic(_ text: Span<UInt8>, _ context: RequestContext, _ scratch: inout Secret) -> Proof {
    guard let colon = BasicScheme.decode(text, into: &scratch) else { return .refused(Refusal(.malformed)) }
    let pair = scratch.span
    let name = pair.extracting(0..<colon)
    let password = pair.extracting(colon + 1..<pair.count)
    if APIKey.isPrefix(of: name) || JWSParts.hasForm(name) { return token(name, context, sentBearer: false) }
    return self.password(name, password, context)
  }

  private func password(_ name: Span<UInt8>, _ password: Span<UInt8>, _ context: RequestContext) -> Proof {
    let nameHash = users.hash(name)
    let decoy = users.decoyIndex(for: nameHash)
    let user = users.user(named: name, hash: nameHash)
    let isActive = user?.isActive(at: context.now) ?? true
    var keyDigest: SHA256.Digest?
    switch APIKey.form(of: password) {
    case .sound:
      let digest = SHA256.hash(password)
      if isActive, let user, let key = users.key(digest, of: user), self.refusal(of: key, user, context) == nil {
        return use(key, of: user, context)
      }
      // Else it costs what any wrong password costs: a key that is not good here, or not his, must not be told from one that nobody has.
      keyDigest = digest
    case .mistyped where password.count == APIKey.tokenLength:
      return .refused(Refusal(.mistypedToken, user: UserName.isLoggable(name) ? ASCII.array(name) : []))
    case .mistyped, .other: break
    }
    let keys = lockout?.keys(name, password, from: context.client)
    if let lockout, let keys, let seconds = lockout.wait(keys, from: context.client, at: context.instant) {
      return .barred(Refusal(.lockedOut, user: UserName.isLoggable(name) ? ASCII.array(name) : []), seconds: seconds)
    }
    // A locked or expired user's own hash is checked, so that locking him changes no time; only names without a hash get a decoy.
    let hash = user?.hash ?? users.decoy(decoy)
    if hash.isCostly {
      let text = hash.text
      let code = cache.code(name: name, password: password, hash: text.span)
      let isKnown = cache.contains(code, at: context.instant, lifetime: options.cacheLifetime)
      if isKnown, isActive, let user {
        if let lockout, let keys { lockout.succeeded(keys, at: context.instant) }
        return .user(user, .password)
      }
      let attempt = keys.flatMap { lockout?.attempt($0, from: context.client) }
      return .pending(PasswordCheck(key: code, name: name, password: password, hash: hash, keyDigest: keyDigest, attempt: attempt))
    }
    let matched = hash.verify(password)
    if matched, isActive, let user, user.hash != nil {
      if let lockout, let keys { lockout.succeeded(keys, at: context.instant) }
      return .user(user, .password)
    }
    return .refused(failed(name, user, keyDigest, keys.flatMap { lockout?.attempt($0, from: context.client) }, context))
  }

  /// Counts a password that did not match, or that was its user's and no longer counts.
  private func failed(
    _ name: Span<UInt8>, _ user: User?, _ keyDigest: SHA256.Digest?, _ attempt: LoginAttempt?, _ context: RequestContext
  ) -> Refusal {
    var failure = Refusal(.unknownUser, user: UserName.isLoggable(name) ? ASCII.array(name) : [])
    if let user {
      failure =
        refusal(of: user, at: context.now) ?? refusal(ofKey: keyDigest, user, context)
        ?? Refusal(user.hash == nil ? .noPassword : .wrongPassword, user: user.name)
    }
    failure.isGuess = true
    failure.bans = attempt?.failed(user: failure.user, at: context.instant) ?? []
    return failure
  }

  /// The answer to what proved nothing. A password that failed has been counted by now; a token that nobody issued is here. One that is
  /// genuine and no longer good is no guess, and who polls with it no guesser; nor is one that was mistyped.
  private func refused(_ refusal: Refusal, _ context: RequestContext) -> Decision {
    guard [.unknownToken, .invalidToken, .tokenSignature].contains(refusal.reason) else { return .challenge(refusal) }
    var refusal = refusal
    refusal.isGuess = true
    switch lockout?.failedToken(from: context.client, at: context.instant) {
    case .barred(let seconds): return .tooManyFailures(Refusal(.lockedOut), retryAfter: seconds)
    case .counted(let bans): refusal.bans = bans
    case nil: break
    }
    return .challenge(refusal)
  }

  /// A token by itself: as a bearer token or as a Basic name.
  private func token(_ text: Span<UInt8>, _ context: RequestContext, sentBearer: Bool) -> Proof {
    switch JWSParts.hasForm(text) ? signedToken(text, context) : apiKey(text, context) {
    case .refused(var refusal):
      refusal.sentBearer = sentBearer
      return .refused(refusal)
    case let proof: return proof
    }
  }

  private func apiKey(_ text: Span<UInt8>, _ context: RequestContext) -> Proof {
    switch APIKey.form(of: text) {
    case .other: return .refused(Refusal(.unknownToken))
    case .mistyped: return .refused(Refusal(.mistypedToken))
    case .sound: break
    }
    guard let entry = users.key(SHA256.hash(text)) else { return .refused(Refusal(.unknownToken)) }
    if let refusal = refusal(of: entry.key, entry.owner, context) ?? refusal(of: entry.owner, at: context.now) { return .refused(refusal) }
    return use(entry.key, of: entry.owner, context)
  }

  private func use(_ key: APIKey, of owner: User, _ context: RequestContext) -> Proof {
    keyUses?.note(key, of: owner, context)
    return .user(owner, .apiKey(key))
  }

  /// What keeps a key from speaking for its owner here and now. 401 like all else: who stole it learns nothing of where it would be good.
  private func refusal(of key: APIKey, _ owner: User, _ context: RequestContext) -> Refusal? {
    if key.isExpired(at: context.now) { return Refusal(.expiredToken, user: owner.name) }
    if !key.isUsable(from: context.client) { return Refusal(.outsideNetworks, user: owner.name) }
    return nil
  }

  /// The same for a password that matched nothing and may have been a key of `user`.
  private func refusal(ofKey digest: SHA256.Digest?, _ user: User, _ context: RequestContext) -> Refusal? {
    guard let digest, let key = users.key(digest, of: user) else { return nil }
    return refusal(of: key, user, context)
  }

  /// A signed token: ours, or else another issuer's. Never costs a password's hash. What was found good is remembered; what can change
  /// without a new gatekeeper is asked each time.
  private func signedToken(_ text: Span<UInt8>, _ context: RequestContext, ticket: Bool = false) -> Proof {
    guard text.count <= JWSParts.longest else { return .refused(Refusal(.malformedToken)) }
    // Before the token is looked at: a revocation in between makes the entry a stranger.
    let circumstances = VerifiedTokens.Circumstances(generation: generation, epoch: tokens?.revocations.epoch ?? 0)
    let code = cache.tokens.code(text)
    if let known = cache.tokens.token(code, circumstances, at: context.instant, lifetime: options.cacheLifetime),
      known.isGood(at: context.now), known.isTicket == ticket
    {
      if let refusal = refusal(of: known.user, at: context.now) { return .refused(refusal) }
      return .user(known.user, .token(known))
    }
    switch verify(text, context, ticket: ticket) {
    case .valid(let token):
      cache.tokens.insert(token, code, circumstances, at: context.instant, lifetime: options.cacheLifetime)
      return .user(token.user, .token(token))
    case .expired(let name): return .refused(Refusal(.expiredToken, user: name))
    case .revoked(let name): return .refused(Refusal(.revokedToken, user: name))
    case .userRefused(let refusal): return .refused(refusal)
    case .invalid: return .refused(Refusal(.invalidToken))
    case .unknownKey: return .refused(Refusal(.unknownToken))
    }
  }

  /// By our own keys, or by another issuer's where none of ours is named. Tickets are ours alone.
  private func verify(_ text: Span<UInt8>, _ context: RequestContext, ticket: Bool) -> TokenVerdict {
    let verdict = tokens?.verify(text, users: users, at: context.now, ticket: ticket) ?? .unknownKey
    guard case .unknownKey = verdict, !ticket, let foreignTokens else { return verdict }
    switch foreignTokens.prove(text, users: users, at: context.now) {
    case .refused(let reason, let user): return .userRefused(Refusal(reason, user: user))
    case .token(let token):
      // `token revoke --user` ends what speaks for the user, whoever signed it.
      let isRevoked = tokens?.revocations.cover(identifier: token.identifier, user: token.user.name, issued: token.issued) ?? false
      return isRevoked ? .revoked(token.user.name) : .valid(token)
    }
  }

  private func refusal(of user: User, at now: Timestamp) -> Refusal? {
    switch user.standing(at: now) {
    case .active: nil
    case .locked: Refusal(.locked, user: user.name)
    case .expired: Refusal(.expired, user: user.name)
    }
  }

  // MARK: Whether he may

  private func admit(
    _ user: User, _ credential: Credential, _ method: Span<UInt8>, _ path: Span<UInt8>, _ requirement: Requirement,
    _ context: RequestContext
  ) -> Decision {
    if contradicts(context, user, credential) { return .challenge(Refusal(.certificateOfAnother, user: user.name)) }
    if let refusal = objection(to: user, credential, method, path, requirement, context) { return .deny(refusal) }
    return .grant(Grant(user, by: credential, showing: context.good))
  }

  /// Grants a true preflight (`Preflight`) of a route that lets them pass, as long as there could be a user whom the route lets in from
  /// there. Nil for every other request, which is to be decided as always.
  public func decidePreflight(_ head: borrowing RequestHead, _ requirement: Requirement, _ context: RequestContext) -> Decision? {
    guard case .absent = APIKeyField.find(options.apiKeyField, in: head), Preflight.isOne(head), requirement.permitsSomebody(from: context.client) else { return nil }
    return .grant(Grant(nil, by: .none))
  }
}
