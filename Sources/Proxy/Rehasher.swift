// Replaces weak hashes of the user file when their users log in (`rehash on`): one at a time for each user, after everything else, and only if the file
// still has the hash that the password was checked against.

import Auth
import Primitives
import Synchronization

final class Rehasher: Sendable {
  typealias Answer = @Sendable (Clerk.Outcome) -> Void

  /// A hash that is being replaced.
  private struct Replacing {
    let old: [UInt8]
    var waiting: [Answer]
  }

  private struct State {
    var byName: [[UInt8]: Replacing] = [:]
    /// After a failure: the log has it, and who logs in again need not write it there again.
    var pausedUntil: Instant?
  }

  private let state = Mutex(State())
  private let maker: HashMaker
  private let clerk: Clerk

  private static let mostNames = 256
  /// Who may wait for one of them.
  private static let mostWaiting = 256
  private static let pause = Interval.seconds(600)

  init(maker: HashMaker, clerk: Clerk) {
    self.maker = maker
    self.clerk = clerk
  }

  /// Sees to it at some time, or not at all.
  func offer(_ user: User, _ password: KeptSecret, path: String, now: Instant) {
    _ = replace(user, password, path: path, address: HashMaker.nobody, now: now, then: nil)
  }

  /// False when it is not done now; otherwise `then` is told, on some thread. Where it is being done already `then` waits for that, and nobody
  /// is left to wait for company. Without `then` it goes with others or after a while.
  func replace(_ user: User, _ password: KeptSecret, path: String, address: UInt64, now: Instant, then: Answer?) -> Bool {
    guard let old = user.storedHash, password.bytes.count <= PasswordMaker.standard.longest else { return false }
    switch begin(user.name, old, now, then) {
    case .refused: return false
    case .joined:
      clerk.hasten()
      return true
    case .begun: break
    }
    let (clerk, name) = (clerk, user.name)
    let isTaken = maker.submit(address: address, now: now) { [self] isLate in
      guard !isLate, let hash = PasswordMaker.standard.make(password.bytes) else { return end(name, .failed) }
      let change = UserChange(name, .replaceHash(old: old, new: hash))
      let edit = Clerk.Edit(change: change, path: path, isLazy: then == nil) { [self] outcome in
        if outcome == .failed { state.withLock { $0.pausedUntil = Instant.now().advanced(by: Self.pause) } }
        end(name, outcome)
      }
      if !clerk.submit(edit) { return end(name, .failed) }
      // Whoever came before this found nothing there to be hastened.
      if isWaitedFor(name) { clerk.hasten() }
    }
    // Who joined meanwhile was told that there will be an answer; `then` itself hears it from us.
    if !isTaken { end(name, .failed, but: then == nil ? 0 : 1) }
    return isTaken
  }

  private enum Beginning { case begun, joined, refused }

  private func begin(_ name: [UInt8], _ old: [UInt8], _ now: Instant, _ then: Answer?) -> Beginning {
    state.withLock { state in
      if let running = state.byName[name] {
        guard let then, running.old == old, running.waiting.count < Self.mostWaiting else { return .refused }
        state.byName[name]?.waiting.append(then)
        return .joined
      }
      if let until = state.pausedUntil, now < until { return .refused }
      state.pausedUntil = nil
      guard state.byName.count < Self.mostNames else { return .refused }
      state.byName[name] = Replacing(old: old, waiting: then.map { [$0] } ?? [])
      return .begun
    }
  }

  private func isWaitedFor(_ name: [UInt8]) -> Bool { state.withLock { $0.byName[name]?.waiting.isEmpty == false } }

  /// Tells all who wait but the first `skipped`.
  private func end(_ name: [UInt8], _ outcome: Clerk.Outcome, but skipped: Int = 0) {
    let waiting = state.withLock { $0.byName.removeValue(forKey: name)?.waiting } ?? []
    for answer in waiting.dropFirst(skipped) { answer(outcome) }
  }
}
