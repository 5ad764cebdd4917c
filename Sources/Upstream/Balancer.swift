// Which of an upstream's servers a request goes to. One per worker and upstream: what each has to know of the others stands in `GroupState`.

internal import Glibc
public import HTTP
import Primitives

/// Shares out one worker's requests among the servers of an upstream.
public final class Balancer {
  /// A server, and this worker's pool of it.
  struct Seat {
    let pool: UpstreamPool
    let index: Int
    let state: MemberState
    let weight: Int
    let isBackup: Bool
    let maxConnections: Int
    /// Of its place, for `hash`.
    let hash: UInt64
    /// Smooth weighted round robin: grows by the weight each time that another is chosen.
    var credit = 0

    /// Takes a place there, of this worker's and of all together.
    func take() -> Bool {
      guard state.take(atMost: maxConnections) else { return false }
      pool.running += 1
      return true
    }
  }

  public let group: UpstreamGroup
  /// What of a request names its server, if anything does.
  public let key: UpstreamGroup.HashKey?
  /// Whether anything does.
  public let hashes: Bool
  /// Whether connections begin with a PROXY header, and which; asked for at every request.
  public let announces: ProxyHeader.Version?
  let state: GroupState
  /// The only server, when there is nothing to choose or count.
  let only: UpstreamPool?
  private var seats: [Seat]
  private var random: UInt64
  /// What retries may still cost: each request brings 1, so that in the long run one of ten may be sent again. A service that is overrun is not to be
  /// given twice as much for it.
  private var allowance: Int
  private static let costOfRetry = 10
  /// Retries in one go: what may be under way when a server goes.
  private let mostAllowance: Int
  /// Those that have failed the request that is being placed.
  private var tried: TriedMembers = []
  /// Those that are out are chosen as well.
  private var isDesperate = false
  /// Of the request that is being placed.
  private var now = Instant(nanoseconds: 0)
  /// This worker's requests that wait for room. Nil where none may.
  let queue: RequestQueue?
  /// Where we log in by access tokens or by Kerberos: without a token no request is sent. Nil elsewhere, which is all that a request looks at.
  let tokens: TokenAtHand?

  /// - Parameters:
  ///   - retries: that may come in one go: what may be under way when a server goes.
  ///   - wake: tells this worker, from any thread, to call `UpstreamClient.serveQueues`.
  init(_ group: UpstreamGroup, _ state: GroupState, seed: UInt64, retries: Int = 512, wake: @escaping @Sendable () -> Void = {}) {
    queue = group.queue.map { RequestQueue($0, state.line, wake: wake) }
    mostAllowance = retries * Self.costOfRetry
    allowance = mostAllowance
    self.group = group
    self.state = state
    random = seed
    hashes = if case .hash = group.balance { true } else { false }
    key = if case .hash(let key) = group.balance { key } else { nil }
    announces = group.members[0].options.announces
    let isShared = group.isShared
    let keeps = group.retry != nil && group.members.count > 1 ? group.replayLimit : 0
    let tokens = state.tokens.map { AccessTokenAtHand($0, wake: wake) } ?? state.tickets.map { TicketAtHand($0, wake: wake) as TokenAtHand }
    self.tokens = tokens
    seats = group.members.indices.map { i in
      let member = group.members[i]
      let membership = isShared ? Membership(group: state, state: state.members[i], index: i, keeps: keeps) : nil
      return Seat(
        pool: UpstreamPool(options: member.options, member: membership, tokens: tokens), index: i, state: state.members[i], weight: member.weight,
        isBackup: member.isBackup, maxConnections: member.maxConnections ?? .max, hash: HashValue.of(Array(member.options.place.utf8).span))
    }
    only = isShared ? nil : seats[0].pool
    // Workers don't begin with the same server.
    let shift = Int(nextRandom() % UInt64(seats.count))
    for i in seats.indices { seats[i].credit = (i + shift) % seats.count }
  }

  /// A reload has put another in its place.
  public func retire() {
    for seat in seats { seat.pool.retire() }
  }

  /// A server for a request, and the place that it has there from then on.
  struct Choice {
    let pool: UpstreamPool
    let trial: Trial
  }

  /// Whether a request decides if its server is back.
  enum Trial {
    case none
    /// It does, and no other until it has been answered or has failed.
    case alone
    /// It may: all are out, and everybody is sent somewhere.
    case oneOfMany
  }

  /// The server for the next request. Nil when none can take it.
  ///
  /// - Parameter isReplayable: whether the request does no harm when it is sent to a server that turns out to be out.
  func choose(_ key: UInt64?, isReplayable: Bool, at now: Instant) -> Choice? {
    if let only { return Choice(pool: only, trial: .none) }
    tried = []
    guard let choice = chosen(key, isReplayable: isReplayable, at: now) else { return nil }
    allowance = min(allowance + 1, mostAllowance)
    return choice
  }

  /// The same for a request that those of `tried` have failed. Nil also when too many have failed lately.
  func chooseAgain(_ key: UInt64?, at now: Instant, tried: TriedMembers) -> Choice? {
    guard only == nil, allowance >= Self.costOfRetry else { return nil }
    self.tried = tried
    guard let choice = chosen(key, isReplayable: false, at: now) else { return nil }
    allowance -= Self.costOfRetry
    return choice
  }

  /// Whether some server is not out: when none of them takes a request, they are full.
  func isFull() -> Bool { state.ejection == nil && group.health == nil || seats.contains { $0.state.serves } }

  /// Whether a server has room that this worker can't use, since all its own connections there are in use.
  func isFullHere() -> Bool {
    seats.contains { serves($0) && $0.state.inUse < $0.maxConnections && $0.pool.running >= $0.pool.maxConnections }
  }

  /// When the first of those that are out may be tried.
  var nextTrial: Instant? {
    if state.ejection == nil || group.health != nil { return nil }
    return seats.lazy.compactMap { $0.state.due }.min()
  }

  private func chosen(_ key: UInt64?, isReplayable: Bool, at now: Instant) -> Choice? {
    self.now = now
    var seats: [Seat] = []
    swap(&seats, &self.seats)
    defer { swap(&seats, &self.seats) }
    // Who was failed already is not the one to try who is back.
    if tried.isEmpty, let i = due(seats, key, isReplayable), seats[i].state.beginTrial(at: now, for: state.ejection?.pause) {
      if seats[i].take() { return Choice(pool: seats[i].pool, trial: .alone) }
      seats[i].state.endTrial()
    }
    isDesperate = false
    if let i = placed(&seats, key) { return Choice(pool: seats[i].pool, trial: .none) }
    // Two workers at once have ejected the last two, or the last has just failed this request. Whoever is asked is likelier to answer than nobody.
    guard !(group.ejection?.takesLast ?? false), !seats.contains(where: { $0.state.serves && !tried.contains($0.index) }) else { return nil }
    isDesperate = true
    return placed(&seats, key).map { Choice(pool: seats[$0].pool, trial: .oneOfMany) }
  }

  /// The server that is chosen, with a place taken there: one that another worker has taken meanwhile is none.
  private func placed(_ seats: inout [Seat], _ key: UInt64?) -> Int? {
    for _ in 0..<4 {
      guard let i = pick(&seats, key, backups: false) ?? pick(&seats, key, backups: true) else { return nil }
      if seats[i].take() { return i }
    }
    return nil
  }

  /// The server that was out for its time and is to be tried by this request, if there is one. Before a request that can't be sent again others have
  /// the time to; a backup is tried when it is needed; and with `hash` only a request that would be its own.
  private func due(_ seats: [Seat], _ key: UInt64?, _ isReplayable: Bool) -> Int? {
    guard state.ejection != nil, group.health == nil else { return nil }
    for i in seats.indices where !seats[i].state.serves && seats[i].state.isDue(at: now) && hasRoom(seats[i]) {
      isDesperate = false
      // Where there are no others it is a request that can't be repeated after all, a pause later.
      if !isReplayable && !seats[i].state.isDue(at: now, andBy: state.ejection?.pause) { continue }
      if !seats.contains(where: { isReady($0, backups: false) || isReady($0, backups: true) }) { return i }
      if seats[i].isBackup && seats.contains(where: { isReady($0, backups: false) }) { continue }
      if case .hash = group.balance, let key {
        guard let rival = byKey(seats, key, false) ?? byKey(seats, key, true), score(seats[i], key) > score(seats[rival], key) else { continue }
      }
      return i
    }
    return nil
  }

  private func hasRoom(_ seat: borrowing Seat) -> Bool {
    seat.state.inUse < seat.maxConnections && seat.pool.running < seat.pool.maxConnections
  }

  private func isReady(_ seat: borrowing Seat, backups: Bool) -> Bool {
    seat.isBackup == backups && !tried.contains(seat.index) && serves(seat) && hasRoom(seat)
  }

  private func serves(_ seat: borrowing Seat) -> Bool {
    if seat.state.serves { return true }
    return (isDesperate || state.ejection == nil) && !seat.state.isUnwell
  }

  /// As the operator says, or less while it has just come back: 1 and more, to be compared with others' alone.
  private func weight(_ seat: borrowing Seat) -> Int {
    guard let slowStart = group.slowStart else { return seat.weight }
    return max(1, seat.weight * seat.state.share(at: now, slowStart))
  }

  private func pick(_ seats: inout [Seat], _ key: UInt64?, backups: Bool) -> Int? {
    switch group.balance {
    case .roundRobin: inTurn(&seats, backups)
    case .leastConnections: leastUsed(&seats, backups)
    case .randomTwo: ofTwo(seats, backups)
    case .hash: if let key { byKey(seats, key, backups) } else { inTurn(&seats, backups) }
    }
  }

  /// Smooth weighted round robin: of 5, 1 and 1 not five in a row. (As nginx has it.)
  private func inTurn(_ seats: inout [Seat], _ backups: Bool) -> Int? {
    var best: Int?
    var total = 0
    for i in seats.indices where isReady(seats[i], backups: backups) {
      let weight = weight(seats[i])
      seats[i].credit += weight
      total += weight
      if best.map({ seats[i].credit > seats[$0].credit }) ?? true { best = i }
    }
    if let best { seats[best].credit -= total }
    return best
  }

  /// Whether `a` has fewer requests under way for its weight than `b`.
  private func isLessUsed(_ a: borrowing Seat, than b: borrowing Seat) -> Bool {
    (a.state.inUse + 1) * weight(b) < (b.state.inUse + 1) * weight(a)
  }

  private func leastUsed(_ seats: inout [Seat], _ backups: Bool) -> Int? {
    // Of equals the one whose turn it is.
    guard var best = inTurn(&seats, backups) else { return nil }
    for i in seats.indices where isReady(seats[i], backups: backups) && isLessUsed(seats[i], than: seats[best]) { best = i }
    return best
  }

  private func ofTwo(_ seats: [Seat], _ backups: Bool) -> Int? {
    guard let first = drawn(seats, backups, except: nil) else { return nil }
    guard let second = drawn(seats, backups, except: first) else { return first }
    return isLessUsed(seats[second], than: seats[first]) ? second : first
  }

  /// One by weight.
  private func drawn(_ seats: [Seat], _ backups: Bool, except other: Int?) -> Int? {
    var total = 0
    for i in seats.indices where i != other && isReady(seats[i], backups: backups) { total += weight(seats[i]) }
    guard total > 0 else { return nil }
    var left = Int(nextRandom() % UInt64(total))
    for i in seats.indices where i != other && isReady(seats[i], backups: backups) {
      left -= weight(seats[i])
      if left < 0 { return i }
    }
    return nil
  }

  /// Highest random weight: each server draws a number by the key and its place; the greatest for its weight has the key. When one goes, only its
  /// own keys are drawn for anew.
  private func byKey(_ seats: [Seat], _ key: UInt64, _ backups: Bool) -> Int? {
    var best: (seat: Int, score: Double)?
    for i in seats.indices where isReady(seats[i], backups: backups) {
      let score = score(seats[i], key)
      if best.map({ score > $0.score }) ?? true { best = (i, score) }
    }
    return best?.seat
  }

  private func score(_ seat: borrowing Seat, _ key: UInt64) -> Double {
    // Of (0, 1).
    let drawn = (Double(HashValue.mixed(key ^ seat.hash) >> 11) + 0.5) * 0x1p-53
    return -Double(weight(seat)) / log(drawn)
  }

  /// splitmix64: it only has to be even.
  private func nextRandom() -> UInt64 {
    random &+= 0x9E37_79B9_7F4A_7C15
    return HashValue.mixed(random)
  }
}

/// Members that have failed a request: of `UpstreamGroup.mostMembers`.
public struct TriedMembers: Sendable, BitwiseCopyable, ExpressibleByArrayLiteral {
  private var bits: UInt64 = 0

  public init(arrayLiteral members: Int...) {
    for member in members { insert(member) }
  }

  var isEmpty: Bool { bits == 0 }
  func contains(_ member: Int) -> Bool { bits >> UInt64(member) & 1 != 0 }
  mutating func insert(_ member: Int) { bits |= 1 << UInt64(member) }
}

/// Numbers by which keys find their servers: the same in each process and after each start, so that several proxies agree.
public enum HashValue {
  /// FNV-1a, mixed.
  public static func of(_ bytes: Span<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for i in bytes.indices { hash = (hash ^ UInt64(bytes[i])) &* 0x100_0000_01B3 }
    return mixed(hash)
  }

  public static func of(high: UInt64, low: UInt64) -> UInt64 { mixed(mixed(high) ^ low) }

  /// The last step of splitmix64: each bit depends on all.
  static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
