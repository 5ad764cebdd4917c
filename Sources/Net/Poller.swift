// The door to epoll(7): registering, waiting, collecting. What to do about an event is the caller's, after collecting.

internal import CLinux
internal import Glibc
public import Primitives

/// Whom an event is for: a kind, and the slot and generation of an object of that kind. Travels in epoll's 64 bits of data,
/// so an event that was collected for an object that is gone by now finds nothing.
public struct EventToken: Hashable, Sendable, BitwiseCopyable {
  public var kind: UInt8
  public var slot: SlotToken

  @inlinable public init(kind: UInt8, slot: SlotToken) {
    precondition(slot.slot < 1 << 24, "a slot has 24 bits")
    self.kind = kind
    self.slot = slot
  }

  /// For kinds of which there is only one object.
  @inlinable public init(kind: UInt8) {
    self.init(kind: kind, slot: SlotToken(slot: 0, generation: 0))
  }

  /// 8 bits kind, 24 bits slot, 32 bits generation, from the most significant.
  @inlinable public init(rawValue: UInt64) {
    kind = UInt8(truncatingIfNeeded: rawValue >> 56)
    slot = SlotToken(slot: UInt32(truncatingIfNeeded: rawValue >> 32) & 0xFF_FFFF, generation: UInt32(truncatingIfNeeded: rawValue))
  }

  @inlinable public var rawValue: UInt64 {
    UInt64(kind) << 56 | UInt64(slot.slot) << 32 | UInt64(slot.generation)
  }
}

/// What a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// EPOLLIN: bytes, a connection to accept, or the end of the stream.
  public static let readable = Readiness(rawValue: 0x001)
  /// EPOLLOUT: room to write.
  public static let writable = Readiness(rawValue: 0x004)
  /// EPOLLERR: an error is waiting to be read from the socket.
  public static let error = Readiness(rawValue: 0x008)
  /// EPOLLHUP: both directions are over.
  public static let hangup = Readiness(rawValue: 0x010)
  /// EPOLLRDHUP: the peer has closed, or shut down its sending half.
  public static let peerClosed = Readiness(rawValue: 0x2000)
}

/// What to be told of. Errors and hang-ups are told always, even with an empty interest.
public struct Interest: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let read = Interest(rawValue: 0x001)
  public static let write = Interest(rawValue: 0x004)
  /// Tell of the peer's close even while nothing is read, so that a client that vanishes mid-request is noticed.
  public static let peerClosed = Interest(rawValue: 0x2000)
  /// EPOLLEXCLUSIVE: of several pollers waiting for one descriptor wake one, not all. For listening sockets that workers share;
  /// with `add` only, and beside `read` and `write` alone (epoll_ctl(2)). To pause such a one, remove it and add it again.
  public static let exclusive = Interest(rawValue: 1 << 28)
}

/// One epoll instance, level-triggered: what is not dealt with is told again.
///
/// A descriptor must be removed, or all its duplicates closed, before its token's object is let go; late events are then caught by the
/// generation.
@safe public struct Poller: ~Copyable {
  private let epoll: FileDescriptor
  private let events: UnsafeMutablePointer<epoll_event>
  /// The most events that one `wait` collects. The others are told by the next one.
  public let capacity: Int
  /// One number, behind a pointer so that to collect changes nothing of the poller itself: an owner that is a class holds it by `let`, and no
  /// use of it is checked for overlapping access at run time.
  private let collected: UnsafeMutablePointer<Int>

  public init(capacity: Int = 512) throws(NetError) {
    precondition(capacity > 0 && capacity <= 1 << 16, "capacity of 1 to 65536 events")
    let raw = gh_epoll_create()
    try NetError.check(raw, "create an epoll instance")
    epoll = FileDescriptor(owning: raw)
    unsafe events = .allocate(capacity: capacity)
    unsafe collected = .allocate(capacity: 1)
    unsafe collected.initialize(to: 0)
    self.capacity = capacity
  }

  deinit {
    unsafe events.deallocate()
    unsafe collected.deallocate()
  }

  /// Starts telling of `fd`, which must not be registered yet.
  public func add(_ fd: Int32, _ interest: Interest, _ token: EventToken) throws(NetError) {
    try NetError.check(gh_epoll_control(epoll.raw, EPOLL_CTL_ADD, fd, interest.rawValue, token.rawValue), "watch a descriptor")
  }

  /// Changes what is told of `fd`, and under which token.
  public func modify(_ fd: Int32, _ interest: Interest, _ token: EventToken) throws(NetError) {
    try NetError.check(gh_epoll_control(epoll.raw, EPOLL_CTL_MOD, fd, interest.rawValue, token.rawValue), "watch a descriptor")
  }

  /// Stops telling of `fd`. False when it was not registered.
  @discardableResult
  public func remove(_ fd: Int32) -> Bool {
    gh_epoll_control(epoll.raw, EPOLL_CTL_DEL, fd, 0, 0) == 0
  }

  /// For callbacks that can't borrow the poller: stops telling of a descriptor at the very moment when its owner lets it go.
  public var remover: Remover { Remover(epoll: epoll.raw) }

  public struct Remover: Sendable {
    fileprivate let epoll: Int32

    /// As `Poller.remove`. Not to be called once the poller is gone.
    @discardableResult
    public func remove(_ fd: Int32) -> Bool {
      gh_epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0) == 0
    }
  }

  /// Collects what is ready, sleeping until something is, or until `deadline` (nil: without end; not after `now`: don't sleep).
  ///
  /// Answers the number of events, readable with `event(_:)` until the next wait. 0 when the time is up or a signal came.
  /// Sleeps whole milliseconds, rounded up: never wakes before the deadline.
  public mutating func wait(until deadline: Instant?, now: Instant) -> Int { collect(until: deadline, now: now) }

  /// The same for an owner that holds the poller by `let`.
  public func collect(until deadline: Instant?, now: Instant) -> Int {
    var timeout: Int32 = -1
    if let deadline {
      let milliseconds = Interval(nanoseconds: deadline.since(now)).wholeMilliseconds
      timeout = Int32(truncatingIfNeeded: min(milliseconds, UInt64(Int32.max)))
    }
    let count = unsafe gh_epoll_wait(epoll.raw, events, Int32(truncatingIfNeeded: capacity), timeout)
    precondition(count >= 0 || count == -EINTR, "epoll_wait on a live instance fails by EINTR alone")
    let ready = max(Int(count), 0)
    unsafe collected.pointee = ready
    return ready
  }

  /// The event at `index`, 0 to the last wait's number less 1.
  public func event(_ index: Int) -> (token: EventToken, readiness: Readiness) {
    let ready = unsafe collected.pointee
    precondition(index >= 0 && index < ready, "no such event was collected")
    let event = unsafe events[index]
    return unsafe (EventToken(rawValue: event.data.u64), Readiness(rawValue: event.events))
  }
}
