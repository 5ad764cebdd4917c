// How often somebody may do something, counted by client address in bounded memory. For what happens a few times an hour, not for every request.

public import Primitives
import Synchronization

/// So many in such a time: all at once if they like, then as they come back one by one.
public struct Rate: Equatable, Sendable {
  /// 1 or more.
  public var count: Int
  public var per: Interval

  public init(count: Int, per: Interval) {
    self.count = count
    self.per = per
  }
}

/// The generic cell rate algorithm (ITU-T I.371): one instant for each address, at which all that it took will have come back.
final class RateTable: Sendable {
  private let state = Mutex<[UInt64: Instant]>([:])
  private let capacity: Int

  init(capacity: Int = 65_536) {
    self.capacity = max(capacity, 8)
  }

  /// Takes one. Answers nil, or for how many seconds there is none.
  func take(_ address: UInt64, _ rate: Rate, now: Instant) -> UInt64? {
    let step = Interval(nanoseconds: max(rate.per.nanoseconds / UInt64(max(rate.count, 1)), 1))
    return state.withLock { table in
      let due = max(table[address] ?? now, now)
      let wait = due.advanced(by: step).since(now.advanced(by: rate.per))
      if wait > 0 { return (wait + 999_999_999) / 1_000_000_000 }
      if table.count >= capacity && table[address] == nil { Self.makeRoom(in: &table, now, keeping: capacity / 4 * 3) }
      table[address] = due.advanced(by: step)
      return nil
    }
  }

  /// Who has everything back goes first, then whoever has it back soonest.
  private static func makeRoom(in table: inout [UInt64: Instant], _ now: Instant, keeping count: Int) {
    table = table.filter { $0.value > now }
    if table.count <= count { return }
    // Of those who have it back at the same moment none stays, so that there is room however many these are.
    let limit = table.values.sorted()[table.count - count - 1]
    table = table.filter { $0.value > limit }
  }
}
