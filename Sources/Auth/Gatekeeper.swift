// Who may pass. A `Grant` is made here and nowhere else: its initialiser is private to this file, and nothing reaches an upstream
// without one. No sockets, no logging, no clock: time is an argument.

internal import Crypto
public import HTTP
public import Primitives

/// The right to forward one request. Can't be copied, forged or used twice.
public struct Grant: ~Copyable, Sendable {
  /// Who the upstream is told it is; nil on a route that requires nobody.
  public let user: User?

  fileprivate init(_ user: User?) {
    self.user = user
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
  private let cache: VerifiedCache

  public init(users: UserTable, cache: VerifiedCache, options: GatekeeperOptions = .init()) {
    self.users = users
    self.cache = cache
    self.options = options
  }

  /// Decides one request. `scratch` is memory for the decoded credentials, wiped before the return; with the same one each time nothing is
  /// allocated for credentials that the cache knows.
  public func decide(
    _ head: borrowing RequestHead, _ requirement: Requirement, at now: Timestamp, _ instant: Instant, scratch: inout Secret
  ) -> Decision {
    let value = head.authorization.map { head.fields[$0].value } ?? ByteRange()
    return decide(
      authorization: head.bytes[value], count: head.authorizationCount, requirement, at: now, instant, scratch: &scratch)
  }

  /// Decides one request, with memory of its own.
  public func decide(
    _ head: borrowing RequestHead, _ requirement: Requirement, at now: Timestamp, _ instant: Instant
  ) -> Decision {
    var scratch = Secret(capacity: 256)
    return decide(head, requirement, at: now, instant, scratch: &scratch)
  }

  /// Decides by the Authorization value (outer white space removed) and the number of such fields; with `count` 0 the value is not
  /// looked at.
  public func decide(
    authorization: Span<UInt8>, count: Int, _ requirement: Requirement, at now: Timestamp, _ instant: Instant, scratch: inout Secret
  ) -> Decision {
    // Also where nobody is required: which of two would the upstream take?
    if count > 1 { return .malformed(Refusal(.duplicateAuthorization)) }
    if case .nobody = requirement { return .grant(Grant(nil)) }
    if count == 0 { return .challenge(Refusal(.noCredentials)) }
    let (scheme, start) = AuthorizationValue.read(authorization)
    switch scheme {
    case .basic:
      let decision = basic(authorization.extracting(start..<authorization.count), requirement, now, instant, &scratch)
      scratch.removeAll()
      return decision
    case .bearer:
      return token(authorization.extracting(start..<authorization.count), requirement, now, sentBearer: true)
    case .unknown: return .challenge(Refusal(.unknownScheme))
    case .malformed: return .challenge(Refusal(.malformed))
    }
  }

  /// Decides after the check was run. Everything is looked at again: the user may have been changed, locked or removed meanwhile.
  public func settle(
    _ check: PasswordCheck, matched: Bool, _ requirement: Requirement, at now: Timestamp, _ instant: Instant
  ) -> Decision {
    let name = check.name
    guard let user = users.user(named: name.span) else {
      return .challenge(Refusal(.unknownUser, user: check.loggedName))
    }
    if let refusal = refusal(of: user, at: now) { return .challenge(refusal) }
    guard let hash = user.hash else { return .challenge(Refusal(.noPassword, user: user.name)) }
    guard !check.hash.isDecoy && hash.text == check.hash.text else { return .challenge(Refusal(.userChanged, user: user.name)) }
    guard matched else { return .challenge(Refusal(.wrongPassword, user: user.name)) }
    cache.insert(check.key, at: instant, lifetime: options.cacheLifetime)
    return admit(user, requirement)
  }

  // MARK: Schemes

  private func basic(
    _ text: Span<UInt8>, _ requirement: Requirement, _ now: Timestamp, _ instant: Instant, _ scratch: inout Secret
  ) -> Decision {
    guard let colon = BasicScheme.decode(text, into: &scratch) else { return .challenge(Refusal(.malformed)) }
    let pair = scratch.span
    let name = pair.extracting(0..<colon)
    let password = pair.extracting(colon + 1..<pair.count)
    if APIKey.isPrefix(of: name) { return token(name, requirement, now, sentBearer: false) }
    return self.password(name, password, requirement, now, instant)
  }

  private func password(
    _ name: Span<UInt8>, _ password: Span<UInt8>, _ requirement: Requirement, _ now: Timestamp, _ instant: Instant
  ) -> Decision {
    let nameHash = users.hash(name)
    let decoy = users.decoyIndex(for: nameHash)
    let user = users.user(named: name, hash: nameHash)
    let refusal = user.flatMap { self.refusal(of: $0, at: now) }
    if APIKey.hasForm(password), let entry = users.key(SHA256.hash(password)), let user, entry.owner === user, refusal == nil,
      !entry.isExpired(at: now)
    {
      return admit(user, requirement)
    }
    // A locked or expired user's own hash is checked, so that locking him changes no time; only names without a hash get a decoy.
    let hash = user?.hash ?? users.decoy(decoy)
    if hash.isCostly {
      let text = hash.text
      let code = cache.code(name: name, password: password, hash: text.span)
      let isKnown = cache.contains(code, at: instant, lifetime: options.cacheLifetime)
      if isKnown, refusal == nil, let user { return admit(user, requirement) }
      return .pending(PasswordCheck(key: code, name: name, password: password, hash: hash))
    }
    let matched = hash.verify(password)
    guard let user else {
      return .challenge(Refusal(.unknownUser, user: UserName.isLoggable(name) ? ASCII.array(name) : []))
    }
    if let refusal { return .challenge(refusal) }
    if user.hash == nil { return .challenge(Refusal(.noPassword, user: user.name)) }
    if !matched { return .challenge(Refusal(.wrongPassword, user: user.name)) }
    return admit(user, requirement)
  }

  /// A token of the user file, by itself: as a bearer token or as a Basic name.
  private func token(_ text: Span<UInt8>, _ requirement: Requirement, _ now: Timestamp, sentBearer: Bool) -> Decision {
    guard APIKey.hasForm(text), let entry = users.key(SHA256.hash(text)) else {
      return .challenge(Refusal(.unknownToken, sentBearer: sentBearer))
    }
    if entry.isExpired(at: now) {
      return .challenge(Refusal(.expiredToken, user: entry.owner.name, sentBearer: sentBearer))
    }
    if var refusal = refusal(of: entry.owner, at: now) {
      refusal.sentBearer = sentBearer
      return .challenge(refusal)
    }
    return admit(entry.owner, requirement)
  }

  // MARK: Users

  private func refusal(of user: User, at now: Timestamp) -> Refusal? {
    switch user.standing(at: now) {
    case .active: nil
    case .locked: Refusal(.locked, user: user.name)
    case .expired: Refusal(.expired, user: user.name)
    }
  }

  /// The last question, asked of authenticated users only: 403 must tell nothing to anybody else.
  private func admit(_ user: User, _ requirement: Requirement) -> Decision {
    requirement.permits(user) ? .grant(Grant(user)) : .deny(Refusal(.notPermitted, user: user.name))
  }
}

extension UserTable.KeyEntry {
  fileprivate func isExpired(at now: Timestamp) -> Bool {
    guard let expires else { return false }
    return now >= expires
  }
}
