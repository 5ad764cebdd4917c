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
  }

  private struct State {
    var queue: HashQueue
    var ends = false
  }

  private let state: Mutex<State>
  private let work: Semaphore
  private let wait: Interval
  let threads: Int
  /// Below the workers, so that hashing takes what they leave; not the lowest, so that it moves on a busy machine.
  static let niceness: Int32 = 10

  /// - Parameters:
  ///   - threads: 1 or more.
  ///   - capacity: checks that may wait.
  ///   - wait: how long one may wait.
  init(threads: Int, capacity: Int, wait: Interval) {
    precondition(threads > 0 && capacity > 0, "a pool has threads and places")
    self.threads = threads
    self.wait = wait
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

  /// Lets the threads end when they have finished what they are at; what waits is dropped.
  func finish() {
    state.withLock { $0.ends = true }
    for _ in 0..<threads { work.signal() }
  }

  /// A thread's body: returns after `finish`.
  func run() {
    while true {
      work.wait()
      let (ends, job) = state.withLock { state in state.ends ? (true, nil) : (false, state.queue.takeNext()) }
      if ends { return }
      // None where a check was withdrawn or displaced after it was counted in.
      guard let job else { continue }
      if job.expiry <= Instant.now() {
        if let late = state.withLock({ $0.queue.finish(job.check.key) }) { tell(late, .tooLate) }
        continue
      }
      let matched = job.check.run()
      if let done = state.withLock({ $0.queue.finish(job.check.key) }) { tell(done, matched ? .matched : .failed) }
    }
  }

  private func tell(_ job: HashQueue.Job, _ outcome: CheckOutcome) {
    for waiter in job.waiters { waiter.mailbox.post(.checked(waiter.connection, serial: waiter.serial, job.check, outcome)) }
  }
}

/// What became of a password check.
enum CheckOutcome: Sendable {
  case matched
  case failed
  /// It waited longer than it may.
  case tooLate
  /// Its place went to an address that has fewer.
  case displaced
}
