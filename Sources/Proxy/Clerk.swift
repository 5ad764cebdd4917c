// The thread that writes down what clients change: users who register, new passwords. No worker waits for a disk. All that waits is written with
// one edit, one fsync and one rename, and nobody is told that it is done before it is durable and in force.

import Auth
import Net
import Primitives
import Synchronization

/// Takes changes from any thread, and answers each on its own thread.
final class Clerk: Sendable {
  enum Outcome: Equatable, Sendable {
    /// Durable, and every worker goes by it.
    case done
    case taken
    case badInvite
    /// The user, or his hash, is another by now.
    case changed
    /// Not done: the log says why.
    case failed
  }

  /// One change of the user file.
  struct Edit: Sendable {
    let change: UserChange
    /// The user file's path.
    let path: String
    /// What has to be used up for it: the file, and the code.
    var invite: (path: String, code: [UInt8])?
    /// Nobody waits for it: it goes with others, or after a while by itself.
    var isLazy = false
    let answer: @Sendable (Outcome) -> Void
  }

  /// A token that is to be refused from now on.
  struct Revoking: Sendable {
    let revocation: Revocation
    /// The file of revocations.
    let path: String
    let revocations: Revocations
    let answer: @Sendable (Outcome) -> Void
  }

  /// A user file that was just written: to be taken into use, and then to be told of by `adopted`.
  struct Written: Sendable {
    let path: String
    let bytes: [UInt8]
    let ticket: UInt64
  }

  private struct State {
    var edits: [Edit] = []
    var lazy: [Edit] = []
    var lazySince: Instant?
    /// Somebody waits for one of the lazy ones after all.
    var isHastened = false
    var revokings: [Revoking] = []
    var adopted: [UInt64] = []
    var ends = false
  }

  /// Edits that are written and not yet in force everywhere.
  private struct Batch {
    let ticket: UInt64
    let due: Instant
    let edits: [Edit]
  }

  private let state = Mutex(State())
  private let work = Semaphore()
  private let errors: ErrorLog
  private let written: @Sendable (Written) -> Void

  /// What may wait, of each sort.
  static let capacity = 1024
  /// How long an answer waits for the workers at most: a million users take seconds to be read. One that is late is given all the same, for
  /// what it tells is durable.
  static let patience = Interval.seconds(10)
  /// How long changes that nobody waits for are kept for company.
  static let laziness = Interval.seconds(5)
  /// Names of users in the log for one writing.
  private static let mostNamed = 20

  /// - Parameter written: called on the clerk's thread; has to see to it that `adopted` follows.
  init(errors: ErrorLog, written: @escaping @Sendable (Written) -> Void) {
    self.errors = errors
    self.written = written
  }

  /// False when too much waits already.
  func submit(_ edit: Edit) -> Bool {
    let isTaken = state.withLock { state in
      if state.ends { return false }
      if edit.isLazy {
        guard state.lazy.count < Self.capacity else { return false }
        state.lazy.append(edit)
        if state.lazySince == nil { state.lazySince = .now() }
      } else {
        guard state.edits.count < Self.capacity else { return false }
        state.edits.append(edit)
      }
      return true
    }
    if isTaken { work.signal() }
    return isTaken
  }

  func submit(_ revoking: Revoking) -> Bool {
    let isTaken = state.withLock { state in
      guard !state.ends, state.revokings.count < Self.capacity else { return false }
      state.revokings.append(revoking)
      return true
    }
    if isTaken { work.signal() }
    return isTaken
  }

  /// What nobody waited for is waited for by now: it keeps for company no longer.
  func hasten() {
    let isWanted = state.withLock { state in
      state.isHastened = !state.lazy.isEmpty
      return state.isHastened
    }
    if isWanted { work.signal() }
  }

  /// Every worker goes by what was written. From any thread.
  func adopted(_ ticket: UInt64) {
    state.withLock { $0.adopted.append(ticket) }
    work.signal()
  }

  /// Lets the thread end; what is not written is not answered.
  func finish() {
    state.withLock { $0.ends = true }
    work.signal()
  }

  /// The thread's body: returns after `finish`.
  func run() {
    var waiting: [Batch] = []
    var ticket: UInt64 = 0
    while true {
      let lazyDue = state.withLock { $0.lazySince?.advanced(by: Self.laziness) } ?? .distantFuture
      _ = work.wait(until: min(waiting.first?.due ?? .distantFuture, lazyDue))
      let now = Instant.now()
      let (ends, adopted, edits, revokings) = state.withLock { state in
        defer {
          state.adopted = []
          state.revokings = []
        }
        return (state.ends, state.adopted, Self.take(&state, now), state.revokings)
      }
      // In order: what is in force of a later writing holds the earlier ones too.
      let inForce = adopted.max() ?? 0
      while let first = waiting.first, first.ticket <= inForce || first.due <= now {
        for edit in first.edits { edit.answer(.done) }
        waiting.removeFirst()
      }
      if ends { return }
      // First what shuts out.
      for (path, group) in Dictionary(grouping: revokings, by: \.path) { revoke(group, in: path) }
      for (path, group) in Dictionary(grouping: edits, by: \.path) {
        guard let (done, bytes) = write(group, to: path), !done.isEmpty else { continue }
        ticket += 1
        waiting.append(Batch(ticket: ticket, due: Instant.now().advanced(by: Self.patience), edits: done))
        written(Written(path: path, bytes: bytes, ticket: ticket))
      }
    }
  }

  private static func take(_ state: inout State, _ now: Instant) -> [Edit] {
    var taken = state.edits
    state.edits = []
    if let since = state.lazySince, !taken.isEmpty || state.isHastened || since.advanced(by: laziness) <= now {
      taken += state.lazy
      state.lazy = []
      state.lazySince = nil
      state.isHastened = false
    }
    return taken
  }

  // MARK: Writing

  /// Writes what can be written and answers the rest.
  private func write(_ edits: [Edit], to path: String) -> (done: [Edit], bytes: [UInt8])? {
    var claims = Claims(edits)
    let applied: AppliedChanges
    do {
      applied = try UserFile(path: path).apply(edits.map(\.change)) { claims.claim($0) }
    } catch {
      errors.error("users: \(edits.count == 1 ? "a change" : "\(edits.count) changes") could not be written: \(error)")
      giveBack(claims.used)
      for edit in edits { edit.answer(.failed) }
      return nil
    }
    var done: [Edit] = []
    var unused: [(path: String, code: [UInt8])] = []
    for (i, edit) in edits.enumerated() {
      if applied.refused.contains(i) {
        edit.answer(claims.failures[i] == nil ? .badInvite : .failed)
      } else if let failure = applied.failures[i] {
        if claims.isClaimed(i), let invite = edit.invite { unused.append(invite) }
        edit.answer(outcome(failure, edit))
      } else {
        done.append(edit)
      }
    }
    giveBack(unused)
    for failure in Set(claims.failures.values) { errors.error("invitations: registrations could not be written: \(failure)") }
    for edit in done.prefix(Self.mostNamed) { errors.notice("users: \(Self.words(edit.change))") }
    if done.count > Self.mostNamed { errors.notice("users: \(done.count - Self.mostNamed) further changes") }
    return (done, applied.bytes)
  }

  /// On disk first, then in force at once in every worker.
  private func revoke(_ revokings: [Revoking], in path: String) {
    do {
      try RevocationFile(path: path).add(revokings.map(\.revocation), at: .now())
      for revoking in revokings { try revoking.revocations.insert(revoking.revocation, at: .now()) }
    } catch {
      errors.error("tokens: \(revokings.count == 1 ? "a revocation" : "\(revokings.count) revocations") could not be written: \(error)")
      for revoking in revokings { revoking.answer(.failed) }
      return
    }
    for revoking in revokings { revoking.answer(.done) }
  }

  private func outcome(_ failure: UserEditFailure, _ edit: Edit) -> Outcome {
    switch failure {
    case .userExists:
      return .taken
    case .noSuchUser, .hashChanged:
      return .changed
    default:
      errors.warning("users: \(failure)")
      return .failed
    }
  }

  private static func words(_ change: UserChange) -> String {
    let name = String(decoding: change.name, as: UTF8.self)
    return switch change.kind {
    case .add(_, let isLocked, _): isLocked ? "\(name) registered, locked until approved" : "\(name) registered"
    case .replaceHash: "\(name) has a new password hash"
    }
  }

  private func giveBack(_ invites: [(path: String, code: [UInt8])]) {
    for (path, group) in Dictionary(grouping: invites, by: \.path) {
      do {
        try InviteFile(path: path).giveBack(group.map(\.code))
      } catch {
        errors.error("invitations: \(group.count) were used up for nothing and can't be put back: \(error)")
      }
    }
  }

  /// Codes that were taken out of their files for a writing, in however many attempts.
  private struct Claims {
    private let edits: [Edit]
    private var claimed: Set<Int> = []
    /// Why it could not be found out whether an edit has the right.
    private(set) var failures: [Int: String] = [:]

    init(_ edits: [Edit]) { self.edits = edits }

    func isClaimed(_ i: Int) -> Bool { claimed.contains(i) }

    var used: [(path: String, code: [UInt8])] { claimed.compactMap { edits[$0].invite } }

    /// Those of `possible` that have no right, or whose right can't be looked up: what others want does not depend on that file.
    mutating func claim(_ possible: [Int]) -> [Int] {
      var refused: [Int] = []
      let asked = possible.filter { edits[$0].invite != nil && !claimed.contains($0) }
      for (path, group) in Dictionary(grouping: asked, by: { edits[$0].invite?.path ?? "" }) {
        do {
          let answers = try InviteFile(path: path).claim(group.map { edits[$0].invite?.code ?? [] })
          for (i, isThere) in zip(group, answers) {
            failures[i] = nil
            if isThere { claimed.insert(i) } else { refused.append(i) }
          }
        } catch {
          for i in group { failures[i] = "\(error)" }
          refused += group
        }
      }
      return refused
    }
  }
}

/// Signed by each worker that goes by a new snapshot; the last one tells.
final class Adoption: Sendable {
  private let missing: Atomic<Int>
  private let told: @Sendable () -> Void

  init(by count: Int, _ told: @escaping @Sendable () -> Void) {
    missing = Atomic(count)
    self.told = told
  }

  func sign() {
    if missing.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { told() }
  }
}
