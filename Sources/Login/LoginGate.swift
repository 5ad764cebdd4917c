// How often an account's password may be tried at a service that counts wrong ones and locks the account then: rules only, time is an argument.

public import Primitives
import Synchronization

/// Those of the accounts of one upstream, where several users may have the same account: what it is tried with counts together.
final class LoginGates: Sendable {
  private let known = Mutex<[[UInt8]: LoginGate.Shared]>([:])

  /// Of an account with one password. With another one it has a gate of its own, which shares what counts.
  func gate(of account: [UInt8]) -> LoginGate {
    known.withLock { known in
      let shared = known[account] ?? LoginGate.Shared()
      known[account] = shared
      return LoginGate(shared)
    }
  }
}

/// One account's, of all workers and of all servers of its upstream. A reload begins with a new one.
///
/// What is tried counts together for all who have the account. What proves it is a password: who has another one for it has proved nothing yet.
///
/// Whether a 401 is about the account or about what was asked for, nobody can tell: IIS sends the same for a wrong password and for a file that the account
/// may not read. So what one user meets closes the login to him, and what a second one meets, while nobody succeeds, closes it to all. He who asks for what is
/// forbidden to the account takes it from nobody else.
/// Once it was closed to all, whoever has had a part in that lets the others go first: else he would close it again each time that it opens.
public final class LoginGate: Sendable {
  public enum Admission: Equatable, Sendable {
    /// Try it, and say by `ended` what came of it.
    case go
    /// Others are trying: ask again when one of them has ended.
    case wait
    /// It has been refused, and is not tried before then.
    case closed(until: Instant)
  }

  public enum Verdict: Sendable {
    case taken
    case refused
    /// The service was not asked.
    case none
    /// The password was tried, and nobody waited for what the service says.
    case unheard
  }

  fileprivate struct Doubt {
    var user: [UInt8]
    var times: Int
    var until: Instant
  }

  /// One who has had a part in closing it to all, or may yet have.
  fileprivate struct Closer {
    var user: [UInt8]
    var times: Int
    var until: Instant
  }

  /// What concerns one password alone.
  fileprivate struct Proof {
    /// Whether the service has taken it, and nothing since speaks against the account.
    var isProved = false
    /// While another is proved: how often nobody waited for the answer, and how often it was left alone for that.
    var unheard = 0
    var pauses = 0
    var closedUntil = Instant(nanoseconds: 0)
  }

  fileprivate struct State {
    var lastNumber = 0
    /// By gate. Who has nothing to say of himself stands not there.
    private var proofs: [Int: Proof] = [:]
    var underWay = 0
    /// Who has been refused since the account was taken last: one user, or nobody.
    var doubt: Doubt?
    var closures = 0
    var closedUntil = Instant(nanoseconds: 0)
    /// Of an account that nobody has proved: how often nobody waited for the answer. Else whoever hangs up in time has a wrong password tried without end.
    var unheard = 0
    /// Since the account was taken last.
    var closers: [Closer] = []

    func isProved(_ number: Int) -> Bool { proofs[number]?.isProved ?? false }

    var isAnyProved: Bool { proofs.values.contains { $0.isProved } }

    func closedUntil(_ number: Int) -> Instant { max(closedUntil, proofs[number]?.closedUntil ?? closedUntil) }

    mutating func prove(_ number: Int) { proofs[number] = Proof(isProved: true) }

    mutating func forgetProofs() {
      for number in proofs.keys { proofs[number]?.isProved = false }
    }

    mutating func forget(_ number: Int) { proofs[number] = nil }

    /// Another password of the same account is good. This one is left alone, which harms nobody else.
    mutating func leaveUnheard(_ number: Int, at now: Instant) {
      var proof = proofs[number] ?? Proof()
      proof.unheard += 1
      if proof.unheard >= (proof.pauses == 0 ? LoginGate.mostUnheard : 1) {
        proof.unheard = 0
        proof.pauses += 1
        proof.closedUntil = now.advanced(by: LoginGate.pause(proof.pauses))
      }
      proofs[number] = proof
    }

    mutating func note(_ user: [UInt8], _ times: Int = 1) {
      if let i = closers.firstIndex(where: { $0.user == user }) {
        closers[i].times += times
      } else if closers.count < LoginGate.mostClosers {
        closers.append(Closer(user: user, times: times, until: closedUntil))
      } else if let i = closers.indices.min(by: { closers[$0].times < closers[$1].times }) {
        closers[i] = Closer(user: user, times: times, until: closedUntil)
      }
    }

    /// Closes it to all, and for somewhat longer to those who have brought that about: the longer the more often they have.
    mutating func close(for pause: Interval, at now: Instant) {
      closedUntil = now.advanced(by: pause)
      for i in closers.indices {
        closers[i].until = closedUntil.advanced(by: Interval(nanoseconds: pause.nanoseconds / 4 * UInt64(min(closers[i].times, 4))))
      }
    }
  }
  /// What all gates of an account have together.
  final class Shared: Sendable {
    fileprivate let state = Mutex(State())
  }
  private let shared: Shared
  /// Which of them this is.
  private let number: Int

  /// Logins under way at once: of an account that nobody has proved yet, one.
  public static let mostUnderWay = 4

  /// Logins whose answer nobody has waited for, of an account that is not proved, before it is left alone for a while.
  static let mostUnheard = 3

  /// Users who are remembered for having closed it.
  static let mostClosers = 16

  /// What an answer to a login says of the account. A service, or what stands before it, refuses some requests before it looks at who sends them (for their
  /// length, or because it is overloaded): such an answer says nothing.
  public static func verdict(of status: Int) -> Verdict { status == 401 ? .refused : status < 400 ? .taken : .none }

  /// How long a login keeps its place while the service has not said anything: a refusal comes at once, and what takes longer is mostly the answer that was
  /// asked for, which may take minutes.
  public var patience: Interval { shared.state.withLock { $0.isProved(number) } ? .milliseconds(200) : .seconds(2) }

  /// How long nobody tries, by how often in a row it has come to that. Windows locks accounts after 5 to 10 wrong passwords within a quarter or half of an
  /// hour, as most domains are set up.
  static func pause(_ times: Int) -> Interval {
    switch times {
    case 1: .seconds(60)
    case 2: .seconds(300)
    case 3: .seconds(900)
    default: .seconds(1800)
    }
  }

  public convenience init() { self.init(Shared()) }

  init(_ shared: Shared) {
    self.shared = shared
    number = shared.state.withLock { state in
      state.lastNumber += 1
      return state.lastNumber
    }
  }

  deinit { shared.state.withLock { $0.forget(number) } }

  /// For tests: what is the same where tries count together.
  var account: ObjectIdentifier { ObjectIdentifier(shared) }
  var closersCount: Int { shared.state.withLock { $0.closers.count } }

  /// - Parameter user: of ours, for whom; empty for nobody.
  public func admit(_ user: [UInt8], at now: Instant) -> Admission {
    shared.state.withLock { state in
      let own = state.closers.first { $0.user == user }?.until ?? state.closedUntil
      let until = max(own, state.closedUntil(number))
      if until > now { return .closed(until: until) }
      if let doubt = state.doubt, doubt.user == user, doubt.until > now { return .closed(until: doubt.until) }
      guard state.underWay < (state.isProved(number) ? Self.mostUnderWay : 1) else { return .wait }
      state.underWay += 1
      return .go
    }
  }

  /// A login that was admitted has taken longer than `patience`: others may try meanwhile.
  public func leavesPlace() { shared.state.withLock { $0.underWay -= 1 } }

  /// A login that was admitted is over.
  ///
  /// - Parameter holdsPlace: false when it has left its place before.
  public func ended(_ user: [UInt8], _ verdict: Verdict, holdsPlace: Bool = true, at now: Instant) {
    shared.state.withLock { state in
      if holdsPlace { state.underWay -= 1 }
      switch verdict {
      case .none: break
      case .unheard:
        if state.isProved(number) || state.closedUntil(number) > now { return }
        if state.isAnyProved { return state.leaveUnheard(number, at: now) }
        state.unheard += 1
        state.note(user)
        if state.unheard < Self.mostUnheard { return }
        state.unheard = 0
        state.close(for: Self.pause(1), at: now)
      case .taken:
        state.prove(number)
        state.unheard = 0
        state.doubt = nil
        state.closers = []
        state.closures = 0
      case .refused:
        // Of those that were under way when it was closed.
        if state.closedUntil > now { return }
        if var doubt = state.doubt, doubt.user == user, state.closures == 0 {
          doubt.times += 1
          doubt.until = now.advanced(by: Self.pause(doubt.times))
          state.doubt = doubt
        } else if state.doubt == nil && state.closures == 0 {
          state.doubt = Doubt(user: user, times: 1, until: now.advanced(by: Self.pause(1)))
        } else {
          state.forgetProofs()
          if let doubt = state.doubt { state.note(doubt.user, doubt.times) }
          state.note(user)
          state.doubt = nil
          state.closures += 1
          state.close(for: Self.pause(state.closures), at: now)
        }
      }
    }
  }
}
