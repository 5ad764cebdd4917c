// How the servers of one upstream fare, and who waits for one: what its workers share. Survives reloads as far as the servers do.

public import Primitives
internal import Synchronization

/// The servers of one upstream, as all workers see them.
public final class GroupState: Sendable {
  public let name: String
  /// As in the group's options.
  public let members: [MemberState]
  let ejection: UpstreamGroup.Ejection?
  let line: WaitingLine
  /// Where we log in by access tokens.
  public let tokens: AccessTokenState?
  /// Where we log in by Kerberos.
  public let tickets: TicketState?

  /// - Parameters:
  ///   - before: what was known before a reload: servers that are still there go on as they were.
  ///   - tokens: of its login, where that is by access tokens.
  ///   - tickets: of its login, where that is by Kerberos.
  public init(_ group: UpstreamGroup, after before: GroupState? = nil, tokens: AccessTokenState? = nil, tickets: TicketState? = nil) {
    name = group.name
    self.tokens = tokens
    self.tickets = tickets
    ejection = group.members.count > 1 || group.ejection?.takesLast ?? false ? group.ejection : nil
    line = before?.line ?? WaitingLine()
    members = group.members.map { member in
      let place = member.options.place
      return before?.members.first { $0.place == place } ?? MemberState(place: place)
    }
    if group.health == nil { for member in members { member.isUnchecked() } }
  }

  /// How a server stands, as far as that counts for requests.
  public func standing(of member: MemberState, at now: Instant) -> MemberState.Standing {
    let standing = member.standing(at: now)
    // Who was ejected while that was done serves now that it isn't.
    return ejection == nil && standing != .isUnwell ? .serves : standing
  }

  /// Whether `member` may be ejected: nobody is who is the last, unless the operator says so.
  func mayEject(_ member: MemberState) -> Bool {
    ejection?.takesLast ?? false || members.contains { $0 !== member && $0.serves }
  }

  /// Requests that wait for a server.
  public var waiting: Int { line.count }
}

/// Those of all workers who wait for a server that has room: who came first is first, whichever worker he came to.
///
/// Each worker keeps its own queue, and says here only which number its first has. Nothing is touched while nobody waits.
final class WaitingLine: Sendable {
  /// One worker's end of the line.
  final class Stand: Sendable {
    /// The number of who is first with this worker; `UInt64.max` for nobody.
    fileprivate let first = Atomic<UInt64>(.max)
    /// Whether it has been told to look since it looked last.
    private let isTold = Atomic<Bool>(false)
    private let wake: @Sendable () -> Void

    init(wake: @escaping @Sendable () -> Void) {
      self.wake = wake
    }

    func looks() { isTold.store(false, ordering: .sequentiallyConsistent) }

    fileprivate func tell() {
      if !isTold.exchange(true, ordering: .sequentiallyConsistent) { wake() }
    }
  }

  private let waiting = Atomic<Int>(0)
  /// Workers whose first could go to a server that has room.
  private let publishing = Atomic<Int>(0)
  private let numbers = Atomic<UInt64>(0)
  private let stands = Mutex<[Stand]>([])

  var count: Int { waiting.load(ordering: .sequentiallyConsistent) }
  var isEmpty: Bool { count == 0 }
  /// Whether nobody waits whom somebody who comes now would pass.
  var isOpen: Bool { publishing.load(ordering: .sequentiallyConsistent) == 0 }

  /// A number behind all others; nil when `most` are waiting.
  func draw(atMost most: Int) -> UInt64? {
    var count = self.count
    while count < most {
      let (exchanged, original) = waiting.weakCompareExchange(expected: count, desired: count + 1, ordering: .sequentiallyConsistent)
      if exchanged { return numbers.add(1, ordering: .relaxed).oldValue }
      count = original
    }
    return nil
  }

  func leave() { waiting.subtract(1, ordering: .sequentiallyConsistent) }

  /// The number of those who stand beside the line: they wait for servers of before a reload, and keep nobody else waiting.
  static let beside = UInt64.max - 1

  /// Who is first with a worker has changed; nil for nobody, or nobody whom a place that comes free would help: whom his own worker has no room for
  /// keeps nobody else waiting.
  func publish(_ first: UInt64?, at stand: Stand) {
    let now = first ?? .max
    let before = stand.first.exchange(now, ordering: .sequentiallyConsistent)
    if before >= Self.beside && now < Self.beside {
      publishing.add(1, ordering: .sequentiallyConsistent)
    } else if before < Self.beside && now >= Self.beside {
      publishing.subtract(1, ordering: .sequentiallyConsistent)
    }
    if before == .max, first != nil {
      stands.withLock { list in list.append(stand) }
    } else if before != .max, first == nil {
      stands.withLock { list in list.removeAll { $0 === stand } }
    }
  }

  /// Whether nobody of another worker came before `stand`'s first. Else that worker is told to look.
  func isNext(_ stand: Stand) -> Bool {
    let mine = stand.first.load(ordering: .sequentiallyConsistent)
    let earlier = stands.withLock { list in
      list.min { $0.first.load(ordering: .sequentiallyConsistent) < $1.first.load(ordering: .sequentiallyConsistent) }
    }
    guard let earlier, earlier !== stand, earlier.first.load(ordering: .sequentiallyConsistent) < mine else { return mine != .max }
    earlier.tell()
    return false
  }

  /// There may be room: whose turn it is, is told.
  func tellFirst() {
    if isEmpty { return }
    let (first, beside) = stands.withLock { list in
      (
        list.min { $0.first.load(ordering: .sequentiallyConsistent) < $1.first.load(ordering: .sequentiallyConsistent) },
        list.filter { $0.first.load(ordering: .sequentiallyConsistent) == Self.beside }
      )
    }
    first?.tell()
    for stand in beside where stand !== first { stand.tell() }
  }
}
