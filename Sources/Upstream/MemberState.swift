// How one of an upstream's servers fares: what all workers know of it together, and what outlives a reload. Numbers alone, written without a lock
// whenever a request begins, ends or fails; nothing here chooses.

public import Primitives
internal import Synchronization

/// One server, as all workers see it.
public final class MemberState: Sendable {
  /// `UpstreamOptions.place`.
  public let place: String
  private let used = Atomic<Int>(0)
  private let failuresInARow = Atomic<Int>(0)
  /// Times in a row that it was ejected, without having served a whole request in between.
  private let ejections = Atomic<Int>(0)
  /// Nanoseconds of the monotonic clock until which it gets no request, and after which it gets one that decides. 0: it serves. `unwell`: until a health
  /// check says so.
  private let outUntil = Atomic<UInt64>(0)
  private static let unwell = UInt64.max
  /// Until when the request that decides has the time to: another may then. 0: none is under way.
  private let probedUntil = Atomic<UInt64>(0)
  /// When it was ejected at last. An answer to what was asked before is none.
  private let outSince = Atomic<UInt64>(0)
  /// What was asked before then says nothing of now.
  private let backSince = Atomic<UInt64>(0)
  /// Since when it gets ever more requests (`slow_start`). 0: it gets all.
  private let risingSince = Atomic<UInt64>(0)
  private let reason = Mutex("")

  init(place: String) {
    self.place = place
  }

  // MARK: Requests under way

  public var inUse: Int { used.load(ordering: .relaxed) }

  /// Takes a place of `most` that there are. False when all are taken.
  func take(atMost most: Int) -> Bool {
    if most == .max {
      used.add(1, ordering: .relaxed)
      return true
    }
    var count = inUse
    while count < most {
      let (exchanged, original) = used.weakCompareExchange(expected: count, desired: count + 1, ordering: .relaxed)
      if exchanged { return true }
      count = original
    }
    return false
  }

  // Before the look at who waits for it; who waits looks here after he has said so.
  func giveBack() { used.subtract(1, ordering: .sequentiallyConsistent) }

  // MARK: Whether it serves

  public enum Standing: Equatable, Sendable {
    case serves
    /// Gets no request before then.
    case out(until: Instant)
    /// Gets one request, which decides.
    case isTried
    /// Gets none until a health check succeeds.
    case isUnwell
  }

  public func standing(at now: Instant) -> Standing {
    switch outUntil.load(ordering: .relaxed) {
    case 0: .serves
    case Self.unwell: .isUnwell
    case let until: now.nanoseconds < until ? .out(until: Instant(nanoseconds: until)) : .isTried
    }
  }

  /// Why it doesn't serve, as the log says it: no secret. Of the last time that it didn't.
  public var lastReason: String { reason.withLock { $0 } }

  var serves: Bool { outUntil.load(ordering: .relaxed) == 0 }

  /// Whether a health check says that it must not be asked, whatever else is the matter.
  var isUnwell: Bool { outUntil.load(ordering: .relaxed) == Self.unwell }

  // MARK: The request that decides

  /// When a request may decide; nil when it serves, or health checks decide.
  var due: Instant? {
    let until = outUntil.load(ordering: .relaxed)
    return until == 0 || until == Self.unwell ? nil : Instant(nanoseconds: max(until, probedUntil.load(ordering: .relaxed)))
  }

  /// Whether its time has been over for so long, so that a request may decide.
  func isDue(at now: Instant, andBy more: Interval? = nil) -> Bool {
    guard let due else { return false }
    return (more.map { due.advanced(by: $0) } ?? due) <= now
  }

  /// Whether the caller's is the request that decides. It says so by `answered`, `failed` or `postpone`, and once. After `time` another may be: a
  /// request whose client drips is not to be waited for.
  func beginTrial(at now: Instant, for time: Interval? = nil) -> Bool {
    let until = outUntil.load(ordering: .relaxed)
    guard until != 0, until <= now.nanoseconds else { return false }
    let before = probedUntil.load(ordering: .relaxed)
    guard before <= now.nanoseconds else { return false }
    let end = time.map { now.advanced(by: $0).nanoseconds } ?? .max
    return probedUntil.compareExchange(expected: before, desired: end, ordering: .relaxed).exchanged
  }

  func endTrial() { probedUntil.store(0, ordering: .relaxed) }

  /// The request that was to decide came to nothing: its client left, or it found no place here. The next one waits as long as this one did: else each
  /// impatient client after the other would be sent to a server that hangs.
  func postpone(at now: Instant, _ ejection: UpstreamGroup.Ejection) {
    let until = outUntil.load(ordering: .relaxed)
    guard until != 0, until <= now.nanoseconds else { return }
    let pause = ejection.pause(after: ejections.load(ordering: .relaxed) - 1)
    _ = outUntil.compareExchange(expected: until, desired: now.advanced(by: pause).nanoseconds, ordering: .relaxed)
  }

  /// The request that decides, which began at `begun`, has been answered. True when the server is back by that.
  func answered(begun: Instant, at now: Instant) -> Bool {
    let until = outUntil.load(ordering: .relaxed)
    guard until != 0, until != Self.unwell, begun.nanoseconds >= outSince.load(ordering: .relaxed) else { return false }
    return comesBack(from: until, judgedSince: begun, at: now)
  }

  private func comesBack(from until: UInt64, judgedSince: Instant, at now: Instant) -> Bool {
    guard outUntil.compareExchange(expected: until, desired: 0, ordering: .relaxed).exchanged else { return false }
    backSince.store(judgedSince.nanoseconds, ordering: .relaxed)
    failuresInARow.store(0, ordering: .relaxed)
    risingSince.store(now.nanoseconds, ordering: .relaxed)
    return true
  }

  // MARK: What requests say

  /// A request that began at `begun` was answered to the end.
  func served(begun: Instant) {
    guard failuresInARow.load(ordering: .relaxed) != 0 || ejections.load(ordering: .relaxed) != 0 else { return }
    // An answer to what was asked before it was ejected says nothing of now.
    guard serves, begun.nanoseconds >= backSince.load(ordering: .relaxed) else { return }
    failuresInARow.store(0, ordering: .relaxed)
    ejections.store(0, ordering: .relaxed)
  }

  /// It has failed a request that began at `begun`, for `reason`. For how long it is out by that; nil when it isn't, or was already. `mayGo` is asked
  /// when it would be.
  ///
  /// - Parameter decides: whether that request was to decide if the server is back.
  func failed(
    begun: Instant, decides: Bool, at now: Instant, _ ejection: UpstreamGroup.Ejection, _ reason: String, mayGo: () -> Bool
  ) -> Interval? {
    let until = outUntil.load(ordering: .relaxed)
    if until == 0 {
      guard begun.nanoseconds >= backSince.load(ordering: .relaxed) else { return nil }
      guard failuresInARow.add(1, ordering: .relaxed).newValue >= ejection.failures, mayGo() else { return nil }
    } else {
      // Others were under way when it was ejected, and are part of the same trouble.
      guard decides, until != Self.unwell else { return nil }
    }
    let pause = ejection.pause(after: ejections.load(ordering: .relaxed))
    let next = now.advanced(by: pause).nanoseconds
    guard outUntil.compareExchange(expected: until, desired: next, ordering: .relaxed).exchanged else { return nil }
    outSince.store(now.nanoseconds, ordering: .relaxed)
    ejections.add(1, ordering: .relaxed)
    failuresInARow.store(0, ordering: .relaxed)
    self.reason.withLock { $0 = reason }
    return pause
  }

  // MARK: What health checks say

  /// It is not to be asked until it `isWell`. True when that is news.
  func isFound(unwell reason: String) -> Bool {
    self.reason.withLock { $0 = reason }
    return outUntil.exchange(Self.unwell, ordering: .relaxed) != Self.unwell
  }

  /// Lets it back, unless it was ejected and its time is not over. True when that is news.
  func isFoundWell(at now: Instant) -> Bool {
    let until = outUntil.load(ordering: .relaxed)
    guard until == Self.unwell || until != 0 && until <= now.nanoseconds else { return false }
    return comesBack(from: until, judgedSince: now, at: now)
  }

  /// Nobody checks it any more.
  func isUnchecked() {
    _ = outUntil.compareExchange(expected: Self.unwell, desired: 0, ordering: .relaxed)
  }

  // MARK: Slow start

  /// Of 256 parts of its requests those that it gets now, when it gets all of them `slowStart` after it came back: 1 to 256.
  func share(at now: Instant, _ slowStart: Interval) -> Int {
    let since = risingSince.load(ordering: .relaxed)
    if since == 0 { return 256 }
    let elapsed = now.nanoseconds > since ? now.nanoseconds - since : 0
    if elapsed >= slowStart.nanoseconds {
      _ = risingSince.compareExchange(expected: since, desired: 0, ordering: .relaxed)
      return 256
    }
    return max(1, Int(elapsed / (slowStart.nanoseconds / 256 + 1)))
  }
}
