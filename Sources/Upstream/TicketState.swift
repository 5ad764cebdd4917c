// Kerberos tokens for one account at one service (`authenticate negotiate`): a few are kept ready, and made on a thread of their own, since whoever makes one
// may have to ask a KDC, and wait for it: 27 s where that says nothing (measured, MIT 1.20). With tickets at hand one takes 0.1 ms.

internal import Login
public import Net
public import Primitives
internal import Synchronization

/// A token that proves once, to one service, who we are. Wiped when it goes.
final class SpnegoToken: Sendable {
  private let line: Secret
  /// Of the tickets that it was made of: the first are 1.
  let number: Int
  /// Its time stands in it, and servers take none that is five minutes off.
  let usableUntil: Instant

  init(line: consuming Secret, number: Int, usableUntil: Instant) {
    self.line = line
    self.number = number
    self.usableUntil = usableUntil
  }

  /// Lends the field's line, with its end.
  func withLine(_ body: (borrowing Secret) -> Void) { body(line) }
}

/// The tokens of one account at one service. Survives reloads that leave both, and the keytab, as they are.
public final class TicketState: Sendable {
  let account: Account
  let login: KerberosLogin

  public enum News: Sendable {
    /// There was no ticket to be had, for this reason: no secret.
    case failed(String)
    /// There are some again.
    case recovered
  }

  public typealias Listener = @Sendable (_ source: String, _ news: News) -> Void

  private struct State {
    /// The oldest first.
    var tokens: [SpnegoToken] = []
    /// Of the tickets in use.
    var number = 1
    /// Which cache they are in, and that of those before, until there are others: what one request was refused with may do for the next.
    var cache = 1
    var spare: Int?
    var pauses = FetchPauses()
    var reason = ""
    var replacing = ReplacePauses()
    /// A token is being made.
    var isUnderWay = false
    /// More are to be made.
    var isWanted = true
    var hasThread = false
    var isOver = false
    var waiting: [ObjectIdentifier: TokenWake] = [:]
  }

  private let state = Mutex(State())
  private let work = Semaphore()
  /// Says that the thread has ended.
  private let left = Semaphore()

  /// Tokens kept ready: more than come in while one is made.
  static let stock = 16
  static let lifetime = Interval.seconds(60)

  init(_ account: Account, _ login: KerberosLogin) {
    self.account = account
    self.login = login
  }

  /// In the order of `groups`; nil for those that are not logged in to by Kerberos.
  ///
  /// - Parameter before: those of the configuration before: they go on where nothing of theirs has changed.
  public static func made(_ groups: [UpstreamGroup], after before: [TicketState?]) -> [TicketState?] {
    var known = before.compactMap(\.self)
    return groups.map { group in
      guard let account = group.login?.client, case .negotiate(let login) = account.scheme else { return nil }
      if let state = known.first(where: { $0.account.isSame(as: account) }) { return state }
      known.append(TicketState(account, login))
      return known.last
    }
  }

  /// For logs: who we are, and to whom.
  public var source: String { "\(String(decoding: account.name, as: UTF8.self)) at \(login.service)" }

  /// How it stands, for `status`: no secret.
  public func standing(at now: Instant) -> String {
    state.withLock { state in
      state.pauses.isFailing ? "no Kerberos tickets: \(state.reason)" : "\(state.tokens.count) Kerberos tokens ready\(state.isUnderWay ? ", more being made" : "")"
    }
  }

  // MARK: What workers ask

  /// A token of tickets after those of that number. It is gone then.
  func take(after number: Int, at now: Instant) -> SpnegoToken? {
    let (token, needsMore) = state.withLock { state -> (SpnegoToken?, Bool) in
      // Made one after the other: the oldest are first.
      while let first = state.tokens.first, first.usableUntil <= now || first.number < state.number { state.tokens.removeFirst() }
      guard state.number > number, !state.tokens.isEmpty else { return (nil, false) }
      let token = state.tokens.removeFirst()
      let needsMore = state.tokens.count < Self.stock / 2 && !state.isWanted && !state.isOver
      if needsMore { state.isWanted = true }
      return (token, needsMore)
    }
    if needsMore { work.signal() }
    return token
  }

  func want(after number: Int, at now: Instant, _ waiter: ObjectIdentifier, _ wake: @escaping TokenWake) -> TokenProspect {
    let (prospect, needsMore) = state.withLock { state -> (TokenProspect, Bool) in
      if state.isOver { return (.none("the configuration it was for is gone"), false) }
      if let last = state.tokens.last, state.number > number, last.usableUntil > now, last.number == state.number { return (.there, false) }
      // No others are on their way: what is made now is of the tickets that were refused.
      if state.pauses.isFailing && number > 0 && state.number <= number { return (.none("\(source): \(state.reason)"), false) }
      if state.pauses.isFailing && !state.isUnderWay && now < state.pauses.notBefore { return (.none("\(source): \(state.reason)"), false) }
      state.waiting[waiter] = wake
      if state.isWanted { return (.coming, false) }
      state.isWanted = true
      return (.coming, true)
    }
    if needsMore { work.signal() }
    return prospect
  }

  /// A service has refused a token of that number. Other tickets may help if its key has changed; true when there are others, or they are fetched.
  func isWorthReplacing(_ number: Int, at now: Instant) -> Bool {
    state.withLock { state in
      if state.number > number || state.pauses.isFailing { return true }
      guard state.replacing.replaces(at: now) else { return false }
      state.number += 1
      if state.spare == nil { state.spare = state.cache }
      state.cache = state.number
      state.tokens = []
      return true
    }
  }

  // MARK: The thread

  /// Has tokens made from now on, the first at once.
  public func begin(_ listener: @escaping Listener) throws(NetError) {
    guard state.withLock({ state in
      defer { state.hasThread = true }
      return !state.hasThread
    }) else { return }
    // Nobody waits for its end for long: it may be waiting for a KDC.
    do {
      _ = try Threads.spawn(name: "tickets") { [self] in
        run(listener)
        // The library is left for good: what had the tickets is gone.
        left.signal()
      }
    } catch {
      // The next reload tries again.
      state.withLock { $0.hasThread = false }
      throw error
    }
  }

  /// No token is made any more.
  public func end() {
    let wakes = state.withLock { state in
      state.isOver = true
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    work.signal()
    for wake in wakes { wake() }
  }

  /// The process ends. The thread gets a moment to leave the library, which is taken down with the process; while it waits for a KDC it does nothing there.
  public func finish(within patience: Interval) {
    end()
    if state.withLock({ $0.hasThread }) { _ = left.wait(until: Instant.now().advanced(by: patience)) }
  }

  private enum Turn {
    case make(number: Int, cache: Int)
    case wait
    case leave
  }

  private func run(_ listener: Listener) {
    let maker = SpnegoMaker(account, login)
    while true {
      let turn = state.withLock { state -> Turn in
        if state.isOver { return .leave }
        guard state.isWanted else { return .wait }
        state.isUnderWay = true
        return .make(number: state.number, cache: state.cache)
      }
      switch turn {
      case .leave: return
      case .wait: work.wait()
      case .make(let number, let cache): made(maker.token(number, cache: cache), cache, listener)
      }
    }
  }

  private func made(_ result: Result<SpnegoToken, SpnegoFailure>, _ cache: Int, _ listener: Listener) {
    let (news, wakes) = state.withLock { state -> (News?, [TokenWake]) in
      state.isUnderWay = false
      var news: News?
      switch result {
      case .success(let token):
        // Of tickets that were refused meanwhile it is worth nothing.
        guard token.number == state.number else { return (nil, []) }
        if state.pauses.isFailing { news = .recovered }
        state.pauses.succeeded()
        state.spare = nil
        state.tokens.append(token)
        state.isWanted = state.tokens.count < Self.stock
      case .failure(let failure):
        if let spare = state.spare, cache == state.cache {
          // No others are to be had. Those before are as good as they were, whatever one request has met.
          state.cache = spare
          state.spare = nil
          return (.failed(failure.reason), [])
        }
        if !state.pauses.isFailing || state.reason != failure.reason { news = .failed(failure.reason) }
        state.reason = failure.reason
        state.pauses.failed(at: .now(), wish: nil)
        // Until somebody asks.
        state.isWanted = false
      }
      defer { state.waiting = [:] }
      return (news, Array(state.waiting.values))
    }
    for wake in wakes { wake() }
    if let news { listener(source, news) }
  }
}
