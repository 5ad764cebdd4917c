// Replaces weak hashes of the user file when their users log in (`rehash on`): one at a time for each user, after everything else, and only if the file
// still has the hash that the password was checked against.

import Auth
import Primitives
import Synchronization

final class Rehasher: Sendable {
  private struct State {
    /// Whose hash is being replaced.
    var names: Set<[UInt8]> = []
    /// After a failure: the log has it, and who logs in again need not write it there again.
    var pausedUntil: Instant?
  }

  private let state = Mutex(State())
  private let maker: HashMaker
  private let clerk: Clerk

  private static let mostNames = 256
  private static let pause = Interval.seconds(600)

  init(maker: HashMaker, clerk: Clerk) {
    self.maker = maker
    self.clerk = clerk
  }

  /// Sees to it at some time, or not at all.
  func offer(_ user: User, _ password: KeptSecret, path: String, now: Instant) {
    _ = replace(user, password, path: path, address: HashMaker.nobody, now: now, isLazy: true) { _ in }
  }

  /// False when it is not done now; otherwise `then` is told, on some thread.
  func replace(
    _ user: User, _ password: KeptSecret, path: String, address: UInt64, now: Instant, isLazy: Bool = false,
    then: @escaping @Sendable (Clerk.Outcome) -> Void
  ) -> Bool {
    guard let old = user.storedHash, password.bytes.count <= PasswordMaker.standard.longest, begin(user.name, now) else { return false }
    let (clerk, name) = (clerk, user.name)
    let isTaken = maker.submit(address: address, now: now) { [self] isLate in
      guard !isLate, let hash = PasswordMaker.standard.make(password.bytes) else { return end(name, .failed, then) }
      let edit = Clerk.Edit(change: UserChange(name, .replaceHash(old: old, new: hash)), path: path, isLazy: isLazy) { [self] outcome in
        if outcome == .failed { state.withLock { $0.pausedUntil = Instant.now().advanced(by: Self.pause) } }
        end(name, outcome, then)
      }
      if !clerk.submit(edit) { end(name, .failed, then) }
    }
    if !isTaken { state.withLock { _ = $0.names.remove(name) } }
    return isTaken
  }

  private func begin(_ name: [UInt8], _ now: Instant) -> Bool {
    state.withLock { state in
      if let until = state.pausedUntil, now < until { return false }
      state.pausedUntil = nil
      return state.names.count < Self.mostNames && state.names.insert(name).inserted
    }
  }

  private func end(_ name: [UInt8], _ outcome: Clerk.Outcome, _ then: @Sendable (Clerk.Outcome) -> Void) {
    state.withLock { _ = $0.names.remove(name) }
    then(outcome)
  }
}
