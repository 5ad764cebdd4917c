// Waiting for something to become true in another thread, always with an end. What every part of the harness waits on; nothing here
// knows of sockets or processes.

import Foundation

/// A moment by which something must have happened. Waiting without one would turn a bug into a hang.
struct Deadline: Sendable {
  let moment: ContinuousClock.Instant

  /// How long a step that ought to take milliseconds may take on a busy machine before the test fails.
  static let patience: Duration = .seconds(30)

  static func after(_ duration: Duration) -> Deadline { Deadline(moment: ContinuousClock.now + duration) }

  static var usual: Deadline { .after(patience) }

  var hasPassed: Bool { ContinuousClock.now >= moment }

  var remaining: Duration { max(.zero, ContinuousClock.now.duration(to: moment)) }

  /// Rounded up, so that a wait for it never ends early; at most a day.
  var remainingMilliseconds: Int32 {
    let (seconds, attoseconds) = remaining.components
    return Int32(min(seconds, 86_400)) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }

  fileprivate var date: Date { Date(timeIntervalSinceNow: Double(remainingMilliseconds) / 1000) }
}

/// What went wrong in a test, in a sentence.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A value that threads change and wait for.
final class Monitor<State>: @unchecked Sendable {
  // Safe to share: `state` is touched only with the lock held.
  private let condition = NSCondition()
  private var state: State

  init(_ state: State) { self.state = state }

  /// Looks at the value or changes it; wakes whoever waits.
  @discardableResult
  func with<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
    condition.lock()
    defer {
      condition.broadcast()
      condition.unlock()
    }
    return try body(&state)
  }

  /// Waits until `ready` answers with a value; nil when the deadline passed first.
  func wait<Result>(until deadline: Deadline = .usual, _ ready: (inout State) throws -> Result?) rethrows -> Result? {
    condition.lock()
    defer { condition.unlock() }
    while true {
      if let result = try ready(&state) {
        condition.broadcast()
        return result
      }
      if deadline.hasPassed { return nil }
      _ = condition.wait(until: deadline.date)
    }
  }
}

/// Steps that one thread announces and another waits for: a test holds an upstream back with it, or learns how far it came.
final class Steps: Sendable {
  private let taken = Monitor(0)

  func advance() { taken.with { $0 += 1 } }

  /// Waits until `count` steps were announced in all.
  func wait(for count: Int = 1, within duration: Duration = Deadline.patience) throws {
    guard taken.wait(until: .after(duration), { $0 >= count ? true : nil }) != nil else {
      throw Failure("step \(count) was not reached in time (at \(taken.with { $0 }))")
    }
  }
}

/// Runs `body` on a thread of its own and keeps what it gives back, or throws, for whoever joins it.
final class Worker<Result: Sendable>: Sendable {
  private let outcome = Monitor<Swift.Result<Result, any Error>?>(nil)

  init(_ body: @escaping @Sendable () throws -> Result) {
    let outcome = self.outcome
    Thread.detachNewThread {
      let result = Swift.Result { try body() }
      outcome.with { $0 = result }
    }
  }

  func join(within duration: Duration = Deadline.patience) throws -> Result {
    guard let result = outcome.wait(until: .after(duration), { $0 }) else { throw Failure("a thread of the test did not end in time") }
    return try result.get()
  }
}

/// Asks again and again, a few milliseconds apart, until `condition` holds: for what can only be seen from outside, such as a reload.
func eventually(_ what: String, within duration: Duration = Deadline.patience, _ condition: () throws -> Bool) throws {
  let deadline = Deadline.after(duration)
  while try !condition() {
    guard !deadline.hasPassed else { throw Failure("in vain waited for: \(what)") }
    Thread.sleep(forTimeInterval: 0.005)
  }
}
