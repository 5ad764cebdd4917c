// Who guesses is shut out for a while: by address, and by user and address. Never by user alone, so that nobody locks another out from
// elsewhere. Time is an argument.

internal import Crypto
public import Primitives

/// When too many failures make a ban.
public struct LockoutOptions: Equatable, Sendable {
  static let mostFailures = 100

  /// As many failures, 1 to 100, …
  public var failures: Int
  /// … within this time make a ban …
  public var within: Interval
  /// … of this length, which doubles with each further one, up to a day.
  public var ban: Interval
  /// Whoever comes from there is neither counted nor banned.
  public var exempt: [AddressRange]

  public init(failures: Int = 10, within: Interval = .seconds(60), ban: Interval = .seconds(600), exempt: [AddressRange] = []) {
    self.failures = failures
    self.within = within
    self.ban = ban
    self.exempt = exempt
  }
}

/// The failures and bans of all clients. Shared by all workers and kept over reloads; a restart forgets them.
///
/// Two things are counted, both up to `failures`: each address (an IPv6 network of 64 bits is one), and each user name at an address. While an
/// address is banned, no password from there is looked at, except one that has let its user in from there within the last day: a guesser
/// does not shut out his neighbours behind a shared address. Such users' failures count for their pair alone: whoever fails ten times as one and is
/// not banned as a whole knows that that user logged in from there, which is the price of it. Unix sockets have no address that could be banned.
public final class Lockout: Sendable {
  public let options: LockoutOptions
  private let key: SipHash
  private let start: Instant
  private let filter: BanFilter
  private let addressBans: BanTable
  private let pairBans: BanTable
  private let addressCounts: FailureCounts
  private let pairCounts: FailureCounts
  private let known: KnownLogins

  /// - Parameters:
  ///   - start: now, or before.
  ///   - old: what is kept: bans and logins always, counts where the window is the same.
  public init(_ options: LockoutOptions, start: Instant, continuing old: Lockout? = nil) {
    self.options = options
    if let old {
      key = old.key
      self.start = old.start
      filter = old.filter
      addressBans = old.addressBans
      pairBans = old.pairBans
      known = old.known
      if old.options.failures == options.failures && old.options.within == options.within {
        addressCounts = old.addressCounts
        pairCounts = old.pairCounts
        return
      }
    } else {
      let seed = RandomBytes.array(32)
      key = SipHash(seed: seed.span)
      self.start = start
      filter = BanFilter()
      addressBans = BanTable(filter: filter)
      pairBans = BanTable(filter: filter)
      known = KnownLogins(start: start)
    }
    addressCounts = FailureCounts(failures: options.failures, within: options.within, start: self.start)
    pairCounts = FailureCounts(failures: options.failures, within: options.within, start: self.start)
  }

  // MARK: Passwords

  /// What is to be known of one password for one name from one client; nil for clients who are exempt. Two short hashes; holds no
  /// password.
  func keys(_ name: Span<UInt8>, _ password: Span<UInt8>, from client: ClientAddress) -> LoginKeys? {
    if isExempt(client) { return nil }
    let pair = key.hash(client.networkKey, name)
    return LoginKeys(pair: pair, credential: key.hash(pair, password))
  }

  func attempt(_ name: Span<UInt8>, _ password: Span<UInt8>, from client: ClientAddress) -> LoginAttempt? {
    keys(name, password, from: client).map { attempt($0, from: client) }
  }

  func attempt(_ keys: LoginKeys, from client: ClientAddress) -> LoginAttempt {
    LoginAttempt(lockout: self, client: client, keys: keys)
  }

  func attempt(_ name: Span<UInt8>, _ password: borrowing Secret, from client: ClientAddress) -> LoginAttempt? {
    attempt(name, password.span, from: client)
  }

  private func isExempt(_ client: ClientAddress) -> Bool {
    // Most often there are none.
    !options.exempt.isEmpty && options.exempt.contains { $0.contains(client) }
  }

  /// Hashed, so that nobody chooses where in the tables he stands.
  private func addressKey(_ client: ClientAddress) -> UInt64 {
    let nothing: [UInt8] = []
    return key.hash(client.networkKey, nothing.span)
  }

  /// Seconds until it may be looked at, at least 1; nil when it may be now.
  @inline(__always) func wait(_ keys: LoginKeys, from client: ClientAddress, at now: Instant) -> UInt64? {
    filter.isEmpty ? nil : wait(attempt(keys, from: client), at: now)
  }

  private func wait(_ attempt: LoginAttempt, at now: Instant) -> UInt64? {
    let address = attempt.client.isUnix ? nil : addressBans.remaining(addressKey(attempt.client), at: now)
    let pair = pairBans.remaining(attempt.pair, at: now)
    if let address {
      if pair == nil && known.holds(attempt.pair, by: attempt.credential, at: now) { return nil }
      // Not looked at, and a guess all the same where there is something to guess: or a banned guesser could try for ever which password
      // lets his neighbour in. Who never logged in from here has nothing to lose, and would be banned for asking again.
      if pair == nil && known.holds(attempt.pair, at: now) { _ = countPair(attempt, user: [], at: now) }
      // The same for every name.
      return Self.seconds(address)
    }
    return pair.map(Self.seconds)
  }

  /// Whether `wait` would answer something; counts nothing.
  fileprivate func isBarred(_ attempt: LoginAttempt, at now: Instant) -> Bool {
    if filter.isEmpty { return false }
    if pairBans.remaining(attempt.pair, at: now) != nil { return true }
    return !attempt.client.isUnix && addressBans.remaining(addressKey(attempt.client), at: now) != nil
      && !known.holds(attempt.pair, by: attempt.credential, at: now)
  }

  /// - Parameter user: whom he wanted to be, fit for a log or empty.
  fileprivate func failed(_ attempt: LoginAttempt, user: [UInt8], at now: Instant) -> [BanNotice] {
    var notices: [BanNotice] = []
    let isKnown = known.holds(attempt.pair, at: now)
    if let notice = countPair(attempt, user: user, at: now) { notices.append(notice) }
    if !isKnown, let notice = countAddress(attempt.client, at: now) { notices.append(notice) }
    return notices
  }

  private func countPair(_ attempt: LoginAttempt, user: [UInt8], at now: Instant) -> BanNotice? {
    known.noteFailure(attempt.pair, at: now)
    guard pairCounts.add(attempt.pair, at: now),
      let length = pairBans.impose(attempt.pair, attempt.client, user: user, first: options.ban, at: now)
    else { return nil }
    return BanNotice(client: attempt.client, user: user, length: length, failures: options.failures)
  }

  private func countAddress(_ client: ClientAddress, at now: Instant) -> BanNotice? {
    if client.isUnix { return nil }
    let key = addressKey(client)
    guard addressCounts.add(key, at: now), let length = addressBans.impose(key, client, user: nil, first: options.ban, at: now) else {
      return nil
    }
    return BanNotice(client: client, user: nil, length: length, failures: options.failures)
  }

  func succeeded(_ keys: LoginKeys, at now: Instant) {
    // A success does not excuse the address: a guesser with an account of his own would log in between guesses.
    if known.note(keys.pair, by: keys.credential, at: now) { pairCounts.clear(keys.pair) }
  }

  // MARK: Tokens

  /// What comes of a token that is none of ours. Those that are good are not asked about: they can't be guessed, and go on working while their
  /// address is banned.
  func failedToken(from client: ClientAddress, at now: Instant) -> TokenFailure {
    if client.isUnix || isExempt(client) { return .counted([]) }
    if !filter.isEmpty, let remaining = addressBans.remaining(addressKey(client), at: now) { return .barred(Self.seconds(remaining)) }
    return .counted(countAddress(client, at: now).map { [$0] } ?? [])
  }

  enum TokenFailure {
    case barred(UInt64)
    case counted([BanNotice])
  }

  // MARK: Housekeeping

  /// To be called every few seconds: what is over costs time until then.
  public func sweep(at now: Instant) {
    addressBans.sweep(at: now)
    pairBans.sweep(at: now)
  }

  /// The bans in force, those that end last first.
  public func bans(at now: Instant) -> [Ban] {
    (addressBans.list(at: now) + pairBans.list(at: now)).sorted { $0.until > $1.until }.map { record in
      Ban(
        client: record.client, user: record.user, age: Interval(nanoseconds: now.since(record.since)),
        remaining: Self.seconds(record.until.since(now)), count: record.level)
    }
  }

  /// Ends the bans of a client's address, those of users at it too, and forgets them and the failures of the address; all with nil. Answers how
  /// many there were.
  public func lift(_ client: ClientAddress?, at now: Instant) -> Int {
    let matches: (BanTable.Record) -> Bool = { record in client.map { record.client.networkKey == $0.networkKey } ?? true }
    if let client { addressCounts.clear(addressKey(client)) }
    return addressBans.lift(at: now, where: matches) + pairBans.lift(at: now, where: matches)
  }

  /// Rounded up, at least 1.
  private static func seconds(_ nanoseconds: UInt64) -> UInt64 { max(1, Interval(nanoseconds: nanoseconds).wholeMilliseconds.seconds) }
}

extension UInt64 {
  /// Of milliseconds, rounded up.
  fileprivate var seconds: UInt64 { self / 1000 + (self % 1000 == 0 ? 0 : 1) }
}

/// One password for one name at one address, known by hashes.
struct LoginKeys: Sendable {
  /// Of name and address.
  let pair: UInt64
  /// Of pair and password.
  let credential: UInt64
}

/// One password for one name from one client, known by hashes. Immutable.
public struct LoginAttempt: Sendable {
  fileprivate let lockout: Lockout
  public let client: ClientAddress
  fileprivate let keys: LoginKeys
  fileprivate var pair: UInt64 { keys.pair }
  fileprivate var credential: UInt64 { keys.credential }

  /// Seconds until it may be looked at; nil when it may be now.
  func wait(at now: Instant) -> UInt64? { lockout.wait(keys, from: client, at: now) }

  /// Whether a check of it is not to be run: its address or its pair was banned since it was asked for.
  public func isBarred(at now: Instant) -> Bool { lockout.isBarred(self, at: now) }

  func failed(user: [UInt8], at now: Instant) -> [BanNotice] { lockout.failed(self, user: user, at: now) }

  func succeeded(at now: Instant) { lockout.succeeded(keys, at: now) }

  /// What is said of a check that was run elsewhere. To be called before the next one is run, so that those under way are all that a guesser has
  /// beyond the limit; what was found for one who was banned meanwhile is not told.
  public func verdict(_ check: PasswordCheck, matched: Bool, at now: Instant) -> Verdict {
    if let seconds = wait(at: now) { return .barred(seconds: seconds) }
    return matched ? .matched : .failed(failed(user: check.loggedName, at: now))
  }

  public enum Verdict: Sendable {
    case barred(seconds: UInt64)
    case matched
    /// It has been counted; these bans come of it.
    case failed([BanNotice])
  }
}

/// A ban that has just begun: for the log.
public struct BanNotice: Equatable, Sendable {
  public let client: ClientAddress
  /// Whom he tried to be (empty: unfit for a log); nil when the address is banned for every name.
  public let user: [UInt8]?
  public let length: Interval
  public let failures: Int
}

/// A ban in force.
public struct Ban: Sendable {
  public let client: ClientAddress
  /// As in `BanNotice`.
  public let user: [UInt8]?
  /// How long ago it began.
  public let age: Interval
  /// Seconds until it ends, rounded up.
  public let remaining: UInt64
  /// Which ban in a row it is, from 1.
  public let count: Int
}
