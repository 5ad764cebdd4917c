// The thread that makes new password hashes: beside the pool that checks them, and below it, so that no flood of registrations delays a login.

import Net
import Primitives
import Synchronization

/// One thread of low priority with a bounded queue, in which addresses take turns.
final class HashMaker: Sendable {
  /// What is to be done; whether it waited too long is told instead of doing it.
  typealias Work = @Sendable (_ isLate: Bool) -> Void

  private struct Job {
    let work: Work
    let expiry: Instant
  }

  private struct State {
    /// One line for each address that waits, oldest first.
    var lines: [UInt64: [Job]] = [:]
    /// Each address that has a line, once.
    var turn: [UInt64] = []
    var count = 0
    var ends = false
  }

  private let state = Mutex(State())
  private let waiting = Semaphore()
  private let wait: Interval
  private let capacity: Int

  /// Below the pool's threads.
  static let niceness: Int32 = 15
  /// The line of work that nobody waits for. No client's: those have addresses of 0 or with bits of their own.
  static let nobody = UInt64.max

  init(capacity: Int = 256, wait: Interval) {
    self.capacity = capacity
    self.wait = wait
  }

  /// False when there is no place, or this address has half of them.
  func submit(address: UInt64, now: Instant, _ work: @escaping Work) -> Bool {
    let isTaken = state.withLock { state in
      let own = state.lines[address]?.count ?? 0
      guard !state.ends, state.count < capacity, own < max(1, capacity / 2) else { return false }
      if own == 0 { state.turn.append(address) }
      state.lines[address, default: []].append(Job(work: work, expiry: now.advanced(by: wait)))
      state.count += 1
      return true
    }
    if isTaken { waiting.signal() }
    return isTaken
  }

  /// Lets the thread end; what waits is dropped.
  func finish() {
    state.withLock { $0.ends = true }
    waiting.signal()
  }

  /// The thread's body: returns after `finish`.
  func run() {
    while true {
      waiting.wait()
      let (ends, job) = state.withLock { state in state.ends ? (true, nil) : (false, Self.takeNext(&state)) }
      if ends { return }
      if let job { job.work(job.expiry <= Instant.now()) }
    }
  }

  private static func takeNext(_ state: inout State) -> Job? {
    guard !state.turn.isEmpty else { return nil }
    let address = state.turn.removeFirst()
    guard var line = state.lines[address], !line.isEmpty else { return nil }
    let job = line.removeFirst()
    state.count -= 1
    if line.isEmpty {
      state.lines[address] = nil
    } else {
      state.lines[address] = line
      state.turn.append(address)
    }
    return job
  }
}
