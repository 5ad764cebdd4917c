// The access token that all workers log in with at one upstream, and how it stands with getting the next. Decides when one is fetched; `TokenFetcher` does it.

internal import Login
public import Primitives
internal import Synchronization

/// A token that was issued to us, and until when we use it.
final class AccessToken: Sendable {
  let issued: IssuedToken
  /// Of the tokens of its endpoint: the first is 1.
  let number: Int
  /// A little before it expires: a request is on its way for a while.
  let usableUntil: Instant

  init(_ issued: IssuedToken, number: Int, usableUntil: Instant) {
    self.issued = issued
    self.number = number
    self.usableUntil = usableUntil
  }
}

/// The token of one account at one endpoint. Survives reloads that leave both as they are.
public final class AccessTokenState: Sendable {
  let account: Account
  let endpoint: TokenEndpoint

  /// Called when there is something new for those who wait.
  typealias Wake = TokenWake

  fileprivate struct State {
    var token: AccessToken?
    /// Whether some request has gone out with the token: one that nobody uses is not replaced by another that nobody uses.
    var isUsed = false
    var refreshAt = Instant.distantFuture
    var isUnderWay = false
    /// Somebody waits for another token.
    var isWanted = false
    var begunAt = Instant(nanoseconds: 0)
    /// When the next may be fetched, and why there was nothing to be had last time.
    var pauses = FetchPauses()
    var reason = ""
    /// When a service's refusal may cost another fetch.
    var replacing = ReplacePauses()
    /// The configuration does not know it any more.
    var isOver = false
    /// By who waits.
    var waiting: [ObjectIdentifier: Wake] = [:]
    /// Has the fetcher look at `due` again.
    var call: Wake?
  }

  private let state = Mutex(State())
  /// Of the token that there is; 0 before the first. Asked for at every request: a look at it tells whether what a worker has at hand is still the one.
  let number = Atomic<Int>(0)

  /// Between the beginnings of two fetches.
  static let leastPause = Interval.milliseconds(500)
  /// A token is used until so long before its end, or an eighth of its life if that is less.
  static let mostMargin = Interval.seconds(5)

  init(_ account: Account, _ endpoint: TokenEndpoint) {
    self.account = account
    self.endpoint = endpoint
  }

  /// In the order of `groups`; nil for those that are not logged in to by access tokens. One account at one endpoint has one token.
  ///
  /// - Parameter before: those of the configuration before: they go on where nothing of theirs has changed.
  public static func made(_ groups: [UpstreamGroup], after before: [AccessTokenState?]) -> [AccessTokenState?] {
    var known = before.compactMap(\.self)
    return groups.map { group in
      guard let account = group.login?.client, case .clientCredentials(let endpoint) = account.scheme else { return nil }
      if let state = known.first(where: { $0.account.isSame(as: account) }) { return state }
      known.append(AccessTokenState(account, endpoint))
      return known.last
    }
  }

  /// For logs: where its tokens come from, and who we are there.
  public var source: String { "\(endpoint.place) (client \(String(decoding: account.name, as: UTF8.self)))" }

  /// How it stands, for `status`: no secret.
  public func standing(at now: Instant) -> String {
    state.withLock { state in
      let failing = state.pauses.isFailing ? "fetching fails: it \(state.reason)" : state.isUnderWay ? "being fetched" : ""
      guard let token = state.token, now < token.usableUntil else { return failing.isEmpty ? "no token, none asked for" : "no token, \(failing)" }
      return "token for \(token.usableUntil.since(now) / 1_000_000_000)s" + (failing.isEmpty ? "" : ", \(failing)")
    }
  }

  // MARK: What workers ask

  /// The token that there is, if it is still good; it is used from now on.
  func take(at now: Instant) -> AccessToken? {
    let (token, call) = state.withLock { state -> (AccessToken?, Wake?) in
      guard let token = state.token, now < token.usableUntil else { return (nil, nil) }
      let call = state.isUsed ? nil : state.call
      state.isUsed = true
      return (token, call)
    }
    call?()
    return token
  }


  /// Asks for a token after the one of that number, for a worker to wait for.
  func want(after number: Int, at now: Instant, _ waiter: ObjectIdentifier, _ wake: @escaping Wake) -> TokenProspect {
    let (prospect, call) = state.withLock { state -> (TokenProspect, Wake?) in
      if let token = state.token, token.number > number, now < token.usableUntil { return (.there, nil) }
      if state.isOver { return (.none("the configuration it was for is gone"), nil) }
      if !state.isUnderWay && state.pauses.isFailing && now < state.pauses.notBefore { return (.none("\(source) \(state.reason)"), nil) }
      state.waiting[waiter] = wake
      if state.isUnderWay || state.isWanted { return (.coming, nil) }
      state.isWanted = true
      return (.coming, state.call)
    }
    call?()
    return prospect
  }

  /// A service has refused the token of that number. Whether it is worth while to wait for one after it: else it is not about the token.
  func isWorthReplacing(_ number: Int, at now: Instant) -> Bool {
    state.withLock { state in
      if state.isUnderWay || state.isWanted || state.pauses.isFailing || state.token.map({ $0.number > number }) ?? true { return true }
      return state.replacing.replaces(at: now)
    }
  }

  // MARK: What the fetcher asks and tells

  func attach(_ call: @escaping Wake) { state.withLock { $0.call = call } }

  /// When the next token is to be fetched.
  var due: Instant {
    state.withLock { state in
      if state.isOver || state.isUnderWay { return .distantFuture }
      if state.isWanted || state.pauses.isFailing || state.token == nil { return state.pauses.notBefore }
      return state.isUsed ? max(state.refreshAt, state.pauses.notBefore) : .distantFuture
    }
  }

  func begins(at now: Instant) {
    state.withLock { state in
      state.isUnderWay = true
      state.isWanted = false
      state.begunAt = now
      state.pauses.notBefore = now.advanced(by: Self.leastPause)
    }
  }

  /// True when the one before had failed.
  func succeeded(_ issued: IssuedToken) -> Bool {
    let (wasFailing, wakes) = state.withLock { state in
      let life = issued.lifetime.nanoseconds
      let margin = min(Self.mostMargin.nanoseconds, life / 8)
      let number = self.number.load(ordering: .relaxed) + 1
      state.token = AccessToken(issued, number: number, usableUntil: state.begunAt.advanced(by: Interval(nanoseconds: life - margin)))
      self.number.store(number, ordering: .releasing)
      // Not all processes that began together.
      state.refreshAt = state.begunAt.advanced(by: Interval(nanoseconds: life / 4 * 3 / 100 * UInt64.random(in: 90...100)))
      state.isUsed = false
      state.isUnderWay = false
      let wasFailing = state.pauses.isFailing
      state.pauses.succeeded()
      return (wasFailing, state.takeWaiting())
    }
    for wake in wakes { wake() }
    return wasFailing
  }

  /// - Parameters:
  ///   - reason: continues "it …"; no secret.
  ///   - wish: how long the endpoint wants to be left alone.
  /// - Returns: whether it fails otherwise than before.
  func failed(_ reason: String, wish: Interval?, at now: Instant) -> Bool {
    let (isNews, wakes) = state.withLock { state in
      let isNews = !state.pauses.isFailing || state.reason != reason
      state.pauses.failed(at: now, wish: wish)
      state.reason = reason
      state.isUnderWay = false
      return (isNews, state.takeWaiting())
    }
    for wake in wakes { wake() }
    return isNews
  }

  /// No token will come any more.
  func end() {
    let wakes = state.withLock { state in
      state.isOver = true
      state.isUnderWay = false
      return state.takeWaiting()
    }
    for wake in wakes { wake() }
  }
}

extension AccessTokenState.State {
  fileprivate mutating func takeWaiting() -> [AccessTokenState.Wake] {
    defer { waiting = [:] }
    return Array(waiting.values)
  }
}
