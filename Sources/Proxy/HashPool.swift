// The threads that check costly password hashes, so that no worker ever does. Bounded, fair between client addresses, and each check is run
// once however many wait for it.

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

  private struct Job {
    let check: PasswordCheck
    let address: UInt64
    var waiters: [Waiter]
    let expiry: Instant
    /// Taken out of its line by a thread.
    var isRunning = false
  }

  /// The queue: one line of jobs an address, served in turn, so that one address with many guesses does not stand before everybody else.
  private struct State {
    var jobs: [PasswordCheck.Key: Job] = [:]
    var lines: [UInt64: [PasswordCheck.Key]] = [:]
    var turn: [UInt64] = []
    var waiting = 0
    var ends = false
  }

  private let state = Mutex(State())
  private let work: Semaphore
  private let capacity: Int
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
    self.capacity = capacity
    self.wait = wait
    work = Semaphore()
  }

  /// Queues a check, or joins an equal one. False when the queue, or the address's share of it, is full.
  func submit(_ check: PasswordCheck, address: UInt64, _ waiter: Waiter, now: Instant) -> Bool {
    let (accepted, isNew) = state.withLock { state -> (Bool, Bool) in
      if state.jobs[check.key] != nil {
        // Joining costs no hash, only memory, and that is bounded by the connections that wait.
        state.jobs[check.key]?.waiters.append(waiter)
        return (true, false)
      }
      // One address may fill at most half of the places: others still find one.
      guard !state.ends, state.waiting < capacity, (state.lines[address]?.count ?? 0) < max(1, capacity / 2) else { return (false, false) }
      state.jobs[check.key] = Job(check: check, address: address, waiters: [waiter], expiry: now.advanced(by: wait))
      if state.lines[address] == nil { state.turn.append(address) }
      state.lines[address, default: []].append(check.key)
      state.waiting += 1
      return (true, true)
    }
    if isNew { work.signal() }
    return accepted
  }

  /// The waiter is gone. A check that nobody else waits for leaves the queue, so that whoever asks and hangs up fills no place and costs no hash.
  func abandon(_ key: PasswordCheck.Key, connection: SlotToken, serial: UInt64) {
    state.withLock { state in
      guard var job = state.jobs[key] else { return }
      job.waiters.removeAll { $0.connection == connection && $0.serial == serial }
      state.jobs[key] = job
      guard job.waiters.isEmpty && !job.isRunning else { return }
      state.jobs[key] = nil
      state.waiting -= 1
      state.lines[job.address]?.removeAll { $0 == key }
      if state.lines[job.address]?.isEmpty == true {
        state.lines[job.address] = nil
        state.turn.removeAll { $0 == job.address }
      }
    }
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
      guard let check = take() else { return }
      guard let check = check.run else { continue }
      let matched = check.run()
      let job = state.withLock { $0.jobs.removeValue(forKey: check.key) }
      for waiter in job?.waiters ?? [] {
        waiter.mailbox.post(.checked(waiter.connection, serial: waiter.serial, check, matched ? .matched : .failed))
      }
    }
  }

  private struct Taken {
    /// Nil when the job had waited too long and was answered without a check.
    let run: PasswordCheck?
  }

  /// The next job in turn, or nil at the end. The job stays known while it runs, so that equal checks still join it.
  private func take() -> Taken? {
    let now = Instant.now()
    var late: Job?
    let taken: Taken? = state.withLock { state in
      guard !state.ends, !state.turn.isEmpty else { return state.ends ? nil : Taken(run: nil) }
      let address = state.turn.removeFirst()
      guard var line = state.lines[address], !line.isEmpty else { return Taken(run: nil) }
      let key = line.removeFirst()
      if line.isEmpty {
        state.lines[address] = nil
      } else {
        state.lines[address] = line
        state.turn.append(address)
      }
      state.waiting -= 1
      guard let job = state.jobs[key] else { return Taken(run: nil) }
      if job.expiry <= now {
        late = state.jobs.removeValue(forKey: key)
        return Taken(run: nil)
      }
      state.jobs[key]?.isRunning = true
      return Taken(run: job.check)
    }
    if let late {
      for waiter in late.waiters { waiter.mailbox.post(.checked(waiter.connection, serial: waiter.serial, late.check, .tooLate)) }
    }
    return taken
  }
}

/// What became of a password check.
enum CheckOutcome: Sendable {
  case matched
  case failed
  /// It waited longer than it may.
  case tooLate
}
