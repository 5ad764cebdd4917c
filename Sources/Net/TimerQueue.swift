// Deadlines in order. Whether a deadline still means anything is its owner's to know.

public import Primitives

/// A queue of (instant, token), earliest first; of equal instants the one scheduled first comes first.
///
/// There is no way to cancel: an owner keeps its true deadline, and when an entry of its comes up early (because the deadline
/// has moved since) schedules itself anew. That makes moving a deadline, which every read and write does, cost nothing. An
/// entry of an owner that is gone finds nothing, by its token's generation. Keep one entry an owner, and the queue is as
/// long as there are owners; its memory is kept.
public struct TimerQueue: ~Copyable {
  @usableFromInline struct Entry: BitwiseCopyable {
    @usableFromInline var at: Instant
    @usableFromInline var order: UInt64
    @usableFromInline var token: EventToken

    @inlinable init(at: Instant, order: UInt64, token: EventToken) {
      self.at = at
      self.order = order
      self.token = token
    }

    @inlinable func precedes(_ other: Entry) -> Bool {
      at != other.at ? at < other.at : order < other.order
    }
  }

  /// A binary heap: each entry precedes those at 2i+1 and 2i+2.
  @usableFromInline var heap = PlainList<Entry>()
  @usableFromInline var order: UInt64 = 0

  public init() {}

  /// Number of entries, stale ones included.
  public var count: Int { heap.count }

  /// The earliest instant, or nil when nothing is scheduled. What the loop sleeps until.
  @inlinable public var next: Instant? { heap.isEmpty ? nil : heap[0].at }

  @inlinable public mutating func schedule(_ token: EventToken, at instant: Instant) {
    order &+= 1
    let entry = Entry(at: instant, order: order, token: token)
    heap.append(entry)
    var i = heap.count - 1
    while i > 0 {
      let parent = (i - 1) / 2
      guard entry.precedes(heap[parent]) else { break }
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = entry
  }

  /// Takes out the earliest entry that is not after `now`; nil when there is none.
  ///
  /// An owner that schedules itself at or before `now` while the loop pops comes up again in the same loop.
  @inlinable public mutating func popExpired(_ now: Instant) -> EventToken? {
    if heap.isEmpty || heap[0].at > now { return nil }
    return pop()
  }

  @inlinable mutating func pop() -> EventToken? {
    let first = heap[0].token
    guard let last = heap.popLast() else { return nil }
    if !heap.isEmpty { sink(last) }
    return first
  }

  /// Puts `entry` at the top and lets it sink to its place.
  @inlinable @inline(never) mutating func sink(_ entry: Entry) {
    var i = 0
    while true {
      var child = 2 * i + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count && heap[child + 1].precedes(heap[child]) { child += 1 }
      guard heap[child].precedes(entry) else { break }
      heap[i] = heap[child]
      i = child
    }
    heap[i] = entry
  }
}
