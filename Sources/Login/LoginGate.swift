// How often an account's password may be tried at a service that counts wrong ones and locks the account then: rules only, time is an argument.

public import Primitives
import Synchronization

/// One account's, of all workers and of all servers of its upstream. A reload begins with a new one.
///
/// Whether a 401 is about the account or about what was asked for, nobody can tell: IIS sends the same for a wrong password and for a file that the account
/// may not read. So what one user meets closes the login to him, and what a second one meets, while nobody succeeds, closes it to all. He who asks for what is
/// forbidden to the account takes it from nobody else.
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

  private struct Doubt {
    var user: [UInt8]
    var times: Int
    var until: Instant
  }

  private struct State {
    /// Whether the service has taken the account, and nothing since speaks against it.
    var isProved = false
    var underWay = 0
    /// Who has been refused since the account was taken last: one user, or nobody.
    var doubt: Doubt?
    var closures = 0
    var closedUntil = Instant(nanoseconds: 0)
    /// Of an account that nobody has proved: how often nobody waited for the answer. Else whoever hangs up in time has a wrong password tried without end.
    var unheard = 0
  }
  private let state = Mutex(State())

  /// Logins under way at once: of an account that nobody has proved yet, one.
  public static let mostUnderWay = 4

  /// Logins whose answer nobody has waited for, of an account that is not proved, before it is left alone for a while.
  static let mostUnheard = 3

  /// How long a login keeps its place while the service has not said anything: a refusal comes at once, and what takes longer is mostly the answer that was
  /// asked for, which may take minutes.
  public var patience: Interval { state.withLock { $0.isProved } ? .milliseconds(200) : .seconds(2) }

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

  public init() {}

  /// - Parameter user: of ours, for whom; empty for nobody.
  public func admit(_ user: [UInt8], at now: Instant) -> Admission {
    state.withLock { state in
      if state.closedUntil > now { return .closed(until: state.closedUntil) }
      if let doubt = state.doubt, doubt.user == user, doubt.until > now { return .closed(until: doubt.until) }
      guard state.underWay < (state.isProved ? Self.mostUnderWay : 1) else { return .wait }
      state.underWay += 1
      return .go
    }
  }

  /// A login that was admitted has taken longer than `patience`: others may try meanwhile.
  public func leavesPlace() { state.withLock { $0.underWay -= 1 } }

  /// A login that was admitted is over.
  ///
  /// - Parameter holdsPlace: false when it has left its place before.
  public func ended(_ user: [UInt8], _ verdict: Verdict, holdsPlace: Bool = true, at now: Instant) {
    state.withLock { state in
      if holdsPlace { state.underWay -= 1 }
      switch verdict {
      case .none: break
      case .unheard:
        if state.isProved || state.closedUntil > now { return }
        state.unheard += 1
        if state.unheard < Self.mostUnheard { return }
        state.unheard = 0
        state.closedUntil = now.advanced(by: Self.pause(1))
      case .taken:
        state.isProved = true
        state.unheard = 0
        state.doubt = nil
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
          state.isProved = false
          state.doubt = nil
          state.closures += 1
          state.closedUntil = now.advanced(by: Self.pause(state.closures))
        }
      }
    }
  }
}
