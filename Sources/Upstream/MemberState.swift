// How an upstream's servers fare: what all workers know of them together, and what outlives a reload.

public import Primitives
internal import Synchronization

/// One server, as all workers see it. Written by them whenever a request begins, ends or fails: numbers alone, without a lock.
public final class MemberState: Sendable {
  /// `UpstreamOptions.place`.
  public let place: String
  private let used = Atomic<Int>(0)
  private let failuresInARow = Atomic<Int>(0)
  /// Times in a row that it was ejected, without having served in between.
  private let ejections = Atomic<Int>(0)
  /// Nanoseconds of the monotonic clock until which it gets no request, and after which it gets one: until that has been answered. 0: it serves.
  private let outUntil = Atomic<UInt64>(0)
  /// Whether that one is under way.
  private let isProbed = Atomic<Bool>(false)

  init(place: String) {
    self.place = place
  }

  /// Requests under way.
  public var inUse: Int { used.load(ordering: .relaxed) }

  func begin() { used.add(1, ordering: .relaxed) }
  func end() { used.subtract(1, ordering: .relaxed) }

  public enum Standing: Equatable, Sendable {
    case serves
    /// Gets no request before then.
    case out(until: Instant)
    /// Gets one request, which decides.
    case isTried
  }

  public func standing(at now: Instant) -> Standing {
    let until = outUntil.load(ordering: .relaxed)
    if until == 0 { return .serves }
    return now.nanoseconds < until ? .out(until: Instant(nanoseconds: until)) : .isTried
  }

  var serves: Bool { outUntil.load(ordering: .relaxed) == 0 }

  /// Whether its time is over and the one request that decides is not under way yet: then the caller's is it. It says so at its end, by `endTrial`.
  func beginTrial(at now: Instant) -> Bool {
    let until = outUntil.load(ordering: .relaxed)
    guard until != 0, until <= now.nanoseconds else { return false }
    return isProbed.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
  }

  func endTrial() { isProbed.store(false, ordering: .relaxed) }

  /// It has answered. True when it is back by that.
  func succeeded(at now: Instant) -> Bool {
    if failuresInARow.load(ordering: .relaxed) != 0 { failuresInARow.store(0, ordering: .relaxed) }
    let until = outUntil.load(ordering: .relaxed)
    // An answer to what was asked before it was ejected says nothing of now.
    guard until != 0, until <= now.nanoseconds else { return false }
    guard outUntil.compareExchange(expected: until, desired: 0, ordering: .relaxed).exchanged else { return false }
    ejections.store(0, ordering: .relaxed)
    return true
  }

  /// It has failed a request. For how long it is out by that; nil when it isn't, or was already. `mayGo` is asked when it would be.
  func failed(at now: Instant, _ ejection: UpstreamGroup.Ejection, mayGo: () -> Bool) -> Interval? {
    let until = outUntil.load(ordering: .relaxed)
    if until > now.nanoseconds { return nil }
    let failures = failuresInARow.add(1, ordering: .relaxed).newValue
    // Where it was being tried, one is enough.
    guard until != 0 || failures >= ejection.failures, until != 0 || mayGo() else { return nil }
    let pause = Interval(nanoseconds: ejection.pause.nanoseconds << UInt64(min(ejections.load(ordering: .relaxed), 5)))
    let next = now.advanced(by: pause).nanoseconds
    guard outUntil.compareExchange(expected: until, desired: next, ordering: .relaxed).exchanged else { return nil }
    ejections.add(1, ordering: .relaxed)
    failuresInARow.store(0, ordering: .relaxed)
    return pause
  }
}

/// The servers of one upstream.
public final class GroupState: Sendable {
  public let name: String
  /// As in the group's options.
  public let members: [MemberState]
  let ejection: UpstreamGroup.Ejection?

  /// - Parameter before: what was known before a reload: servers that are still there go on as they were.
  public init(_ group: UpstreamGroup, after before: GroupState? = nil) {
    name = group.name
    ejection = group.members.count > 1 ? group.ejection : nil
    members = group.members.map { member in
      let place = member.options.place
      return before?.members.first { $0.place == place } ?? MemberState(place: place)
    }
  }

  /// Whether another one than `member` serves: nobody is ejected who is the last.
  func hasAnother(than member: MemberState) -> Bool { members.contains { $0 !== member && $0.serves } }
}
