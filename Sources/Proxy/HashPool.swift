// The threads that check costly password hashes, so that no worker ever does. Bounded, fair between client addresses, and each check is run
// once however many wait for it. Who stands where is `HashQueue`'s.

import Auth
import Net
import Primitives
import Synchronization

/// A bounded pool of low-priority threads. What they find goes back through the asking worker's mailbox.
final class HashPool: Sendable {
  /// Who waits for a check: told on the worker's own thread.
  struct Waiter: Sendable {
    let mailbox: Mailbox<WorkerMessage>
    let connection: SlotToken
    /// Which exchange of that connection.
    let serial: UInt64
    /// Whose failures are counted, if any are. Each who waits for one check has his own: they may come from several addresses.
    var attempt: LoginAttempt? = nil
  }

  private struct State {
    var queue: HashQueue
    var ends = false
  }

  private let state: Mutex<State>
  private let work: Semaphore
  private let wait: Interval
  private let failures: LoginFailures?
  let threads: Int
  /// Below the workers, so that hashing takes what they leave; not the lowest, so that it moves on a busy machine.
  static let niceness: Int32 = 10

  /// - Parameters:
  ///   - threads: 1 or more.
  ///   - capacity: checks that may wait.
  ///   - wait: how long one may wait.
  ///   - failures: where bans are told that a failed check makes.
  init(threads: Int, capacity: Int, wait: Interval, failures: LoginFailures? = nil) {
    precondition(threads > 0 && capacity > 0, "a pool has threads and places")
    self.threads = threads
    self.wait = wait
    self.failures = failures
    state = Mutex(State(queue: HashQueue(capacity: capacity)))
    work = Semaphore()
  }

  /// Queues a check, or joins an equal one. Answers its place, for `abandon`; nil when the queue, or the address's share of it, is full.
  func submit(_ check: PasswordCheck, address: UInt64, _ waiter: Waiter, now: Instant) -> HashQueue.Place? {
    let entry = state.withLock { state in
      state.ends ? .refused : state.queue.enter(check, address: address, waiter, expiry: now.advanced(by: wait))
    }
    switch entry {
    case .refused:
      return nil
    case .joined(let place):
      return place
    case .queued(let place, let displaced):
      if let displaced { tell(displaced, .displaced) }
      work.signal()
      return place
    }
  }

  /// Somebody who waited at this place is gone. A check that nobody waits for is not run.
  func abandon(_ place: HashQueue.Place) {
    state.withLock { $0.queue.leave(place) }
  }

  /// Checks that wait for a thread.
  var waiting: Int { state.withLock { $0.queue.waiting } }

  /// Lets the threads end when they have finished what they are at; what waits is dropped.
  func finish() {
    state.withLock { $0.ends = true }
    for _ in 0..<threads { work.signal() }
  }

  /// A thread's body: returns after `finish`.
  func run() {
    while true {
      work.wait()
      switch state.withLock({ next(&$0) }) {
      case .end: return
      case .none: continue
      case .barred(let job): conclude(job, matched: false)
      case .late(let job): tell(job, .tooLate)
      case .run(let job):
        let matched = job.check.run()
        if let done = state.withLock({ $0.queue.finish(job.check.key) }) { conclude(done, matched: matched) }
      }
    }
  }

  private enum Turn {
    case end
    /// A check was withdrawn or displaced after it was counted in.
    case none
    case late(HashQueue.Job)
    /// Everybody who waits for it was banned meanwhile: it is not run.
    case barred(HashQueue.Job)
    case run(HashQueue.Job)
  }

  private func next(_ state: inout State) -> Turn {
    if state.ends { return .end }
    guard let job = state.queue.takeNext() else { return .none }
    let now = Instant.now()
    if job.expiry <= now { return state.queue.finish(job.check.key).map { .late($0) } ?? .none }
    // Under the lock, so that nobody joins who would then not be told. It is a look at one number while nobody is banned.
    if job.waiters.allSatisfy({ $0.attempt?.isBarred(at: now) ?? false }) {
      return state.queue.finish(job.check.key).map { .barred($0) } ?? .none
    }
    return .run(job)
  }

  /// Tells everybody what became of it. Failures are counted here, before the thread takes the next check, and not where they are heard of: a
  /// guesser has the limit and what is under way, however long his worker takes, and also if he hangs up.
  private func conclude(_ job: HashQueue.Job, matched: Bool) {
    let now = Instant.now()
    for waiter in job.waiters {
      switch waiter.attempt?.verdict(job.check, matched: matched, at: now) {
      case .barred(let seconds):
        tell(waiter, job.check, .barred(seconds: seconds))
      case .matched:
        tell(waiter, job.check, .matched)
      case .failed(let bans):
        failures?.banned(bans)
        tell(waiter, job.check, .failed)
      case nil:
        tell(waiter, job.check, matched ? .matched : .failed)
      }
    }
  }

  private func tell(_ job: HashQueue.Job, _ outcome: CheckOutcome) {
    for waiter in job.waiters { tell(waiter, job.check, outcome) }
  }

  private func tell(_ waiter: Waiter, _ check: PasswordCheck, _ outcome: CheckOutcome) {
    waiter.mailbox.post(.checked(waiter.connection, serial: waiter.serial, check, outcome))
  }
}

/// What became of a password check.
enum CheckOutcome: Equatable, Sendable {
  case matched
  case failed
  /// It waited longer than it may.
  case tooLate
  /// Its place went to an address that has fewer.
  case displaced
  /// Whoever asked has been banned meanwhile: what was found, if anything was looked at, is not told.
  case barred(seconds: UInt64)
}
