// One thread's whole world: an epoll loop, its listening sockets, its clients' connections, its transfers, its timers. Collects events, then
// acts, then flushes, then sleeps. Nothing here is shared but what `Shared` names.

import Auth
import HTTP
import Net
import Primitives
import Synchronization
import Upstream

/// What all workers have in common: each part is safe to use from any thread.
struct Shared: Sendable {
  let pool: HashPool
  let maker: HashMaker
  let clerk: Clerk
  let rehasher: Rehasher
  let registrations: RateTable
  let accessLog: AccessLog
  let errors: ErrorLog
  let failures: LoginFailures
  /// Clients' connections that one worker may hold so that descriptors are left for upstreams, whatever the settings allow.
  let connectionLimit: Int
}

/// A listening socket on its way to the worker that will own it, and close it: nobody else may hold it by then.
final class BoundListener: Sendable {
  let address: SocketAddress
  private let listener: Mutex<Listener?>

  init(_ listener: consuming Listener) {
    address = listener.localAddress
    self.listener = Mutex(listener)
  }

  /// Hands the socket over; nil when that was done before.
  func take() -> Listener? {
    listener.withLock { $0.take() }
  }
}

/// Created and used on one thread alone.
final class Worker {
  /// Whose an epoll event or a timer is.
  enum Kind {
    static let connection: UInt8 = 0
    static let upstream: UInt8 = 1
    static let listener: UInt8 = 2
    static let mailbox: UInt8 = 3
    static let acceptPause: UInt8 = 4
    static let drain: UInt8 = 5
  }

  let shared: Shared
  let mailbox: Mailbox<WorkerMessage>
  private(set) var snapshot: Snapshot
  /// Of now, whatever an exchange began with.
  private(set) var gatekeeper: Gatekeeper
  var poller: Poller
  let client: UpstreamClient
  private(set) var pools: [UpstreamPool] = []
  private var listeners: [OpenListener] = []
  private var connections = SlotMap<ConnectionBox>()
  private var timers = TimerQueue()
  /// The clocks of this turn of the loop.
  private(set) var now = Instant.now()
  private(set) var wallNow = Timestamp.now()
  /// Now as IMF-fixdate.
  private(set) var date: [UInt8] = []
  private var dateSecond: Int64 = -1
  private var dirty = PlainList<SlotToken>()
  private var pending = PlainList<SlotToken>()
  private var readyTransfers: [Transfer] = []
  private var messages: [WorkerMessage] = []
  /// Lent to whichever connection reads: an idle connection holds no read buffer.
  var readBuffer = ByteBuffer(capacity: Limits.readChunk)
  var spareHeads = Spares<RequestHead>(limit: Limits.keptBuffers)
  var spareOutputs = Spares<ByteBuffer>(limit: Limits.keptBuffers)
  /// The canonical target of the request being composed.
  var targetBuffer = ByteBuffer(capacity: 1024)
  var fieldScratch = FieldSet()
  /// Decoded credentials of the request being judged: wiped after each.
  var credentials = Secret(capacity: 256)
  var logLines = ByteBuffer(capacity: 16 << 10)
  var logTimes = LogTimes()
  private var isAcceptPaused = false
  private var exhaustionLoggedAt: Instant?
  private(set) var drainDeadline: Instant?
  private var serials: UInt64 = 0
  var identifiers: RequestIdentifiers
  private var complaints = Complaints()
  private let counters: WorkerCounters

  private final class OpenListener {
    let listener: Listener
    var isWatched = false

    init(_ listener: consuming Listener) { self.listener = listener }
  }

  init(
    _ shared: Shared, snapshot: Snapshot, gatekeeper: Gatekeeper, mailbox: Mailbox<WorkerMessage>, counters: WorkerCounters,
    listeners: [BoundListener]
  ) throws {
    self.counters = counters
    self.shared = shared
    self.snapshot = snapshot
    self.gatekeeper = gatekeeper
    self.mailbox = mailbox
    poller = try Poller(capacity: 512)
    client = try UpstreamClient(
      eventKind: Kind.upstream, headLimits: snapshot.settings.limits.responseHead, idleConnections: Limits.idleUpstreamConnections,
      poller: poller)
    identifiers = RequestIdentifiers()
    for bound in listeners {
      if let listener = bound.take() { self.listeners.append(OpenListener(listener)) }
    }
    pools = snapshot.settings.upstreams.map { client.makePool($0) }
    try poller.add(mailbox.descriptor, .read, EventToken(kind: Kind.mailbox))
    try watchListeners()
  }

  // MARK: The loop

  /// Serves until it is told to drain and has drained.
  func run() {
    while turn() {}
    for box in connections.all() { box.connection.abandon() }
    settle()
  }

  /// Sleeps until something is to be done, and does it. False when the worker has drained.
  func turn() -> Bool {
    let count = poller.wait(until: sleepLimit(), now: now)
    tick()
    client.hasLooked = count < poller.capacity
    // Upstreams first: what arrives on an idle connection condemns it, and must be seen before a request is put on that connection.
    for i in 0..<count where poller.event(i).token.kind == Kind.upstream { act(poller.event(i).token, poller.event(i).readiness) }
    for i in 0..<count where poller.event(i).token.kind != Kind.upstream { act(poller.event(i).token, poller.event(i).readiness) }
    while let token = timers.popExpired(now) { expired(token) }
    settle()
    counters.set(connections: connections.count, requests: serials)
    if let deadline = drainDeadline, connections.count == 0 || now >= deadline { return false }
    return true
  }

  /// Nothing to do: until the next deadline. Something left over: not at all.
  private func sleepLimit() -> Instant? {
    if !pending.isEmpty || !dirty.isEmpty || client.hasWork { return now }
    let first = timers.next ?? .distantFuture
    let earliest = min(first, client.deadline ?? .distantFuture, drainDeadline ?? .distantFuture)
    return earliest == .distantFuture ? nil : earliest
  }

  private func tick() {
    now = Instant.now()
    wallNow = Timestamp.now()
    client.now = now
    if wallNow.seconds != dateSecond {
      dateSecond = wallNow.seconds
      var text = ByteBuffer(capacity: 32)
      HTTPDate.append(wallNow, to: &text)
      date = text.array()
    }
  }

  private func act(_ token: EventToken, _ readiness: Readiness) {
    switch token.kind {
    case Kind.connection:
      connections[token.slot]?.connection.ready(readiness)
    case Kind.upstream:
      client.ready(token, readiness, poller: poller)
    case Kind.listener:
      accept(Int(token.slot.slot))
    case Kind.mailbox:
      mailbox.drain(into: &messages)
      for message in messages { received(message) }
      messages.removeAll(keepingCapacity: true)
    default:
      break
    }
  }

  /// Lets transfers and connections act on each other until all is quiet, then writes what is to be written.
  private func settle() {
    advancePending()
    var rounds = 0
    repeat {
      client.run(poller: poller)
      client.takeReady(into: &readyTransfers)
      for transfer in readyTransfers {
        connections[transfer.owner]?.connection.transferReady(transfer)
      }
      readyTransfers.removeAll(keepingCapacity: true)
      flush()
      rounds += 1
    } while client.hasWork && rounds < 4
    client.run(poller: poller)
    if !logLines.isEmpty {
      shared.accessLog.append(logLines.span)
      logLines.removeAll()
    }
  }

  private func flush() {
    var i = 0
    // Flushing may make a connection dirty again (its next pipelined answer); it then has its turn at the end of the list.
    while i < dirty.count && i < 4096 {
      if let box = connections[dirty[i]] { box.connection.flush() }
      i += 1
    }
    dirty.removeFirst(i)
  }

  private func advancePending() {
    if pending.isEmpty { return }
    var taken = PlainList<SlotToken>()
    swap(&taken, &pending)
    for i in 0..<taken.count {
      if let box = connections[taken[i]] { box.connection.advance() }
    }
  }

  /// For tests.
  var boxes: [ConnectionBox] { connections.all() }
  var timerCount: Int { timers.count }

  // MARK: For connections

  /// Has the connection flushed before the loop sleeps. Once a connection until then.
  func markDirty(_ token: SlotToken) {
    dirty.append(token)
  }

  /// Gives the connection another turn after others had theirs.
  func again(_ token: SlotToken) {
    pending.append(token)
  }

  func schedule(_ token: SlotToken, at instant: Instant) {
    timers.schedule(EventToken(kind: Kind.connection, slot: token), at: instant)
  }

  /// The handles of an upstream of `other`, which is the snapshot that an exchange began with.
  func pool(for upstream: Int, in other: Snapshot) -> UpstreamPool {
    if other === snapshot { return pools[upstream] }
    let options = other.settings.upstreams[upstream]
    for i in snapshot.settings.upstreams.indices where snapshot.settings.upstreams[i] == options { return pools[i] }
    // For this one request.
    let pool = client.makePool(options)
    pool.retire()
    return pool
  }

  /// An upstream failed a request.
  func complain(about upstream: String, _ words: String) {
    if let line = complaints.say(upstream, words, at: now) { shared.errors.warning("upstream \(upstream): \(line)") }
  }

  private var connectionLimit: Int { min(snapshot.settings.limits.connectionsPerWorker, shared.connectionLimit) }

  func nextSerial() -> UInt64 {
    serials += 1
    return serials
  }

  /// The connection is closed: its slot is free for another.
  func remove(_ token: SlotToken) {
    connections.remove(token)
    if isAcceptPaused && drainDeadline == nil && connections.count < connectionLimit { resumeAccepting() }
  }

  private func expired(_ token: EventToken) {
    switch token.kind {
    case Kind.connection: connections[token.slot]?.connection.timerFired()
    case Kind.acceptPause: if isAcceptPaused { resumeAccepting() }
    default: break
    }
  }

  // MARK: Accepting

  /// True when more may be waiting.
  @discardableResult
  private func accept(_ index: Int) -> Bool {
    guard index < listeners.count, listeners[index].isWatched else { return false }
    for _ in 0..<Limits.acceptsPerTurn {
      guard connections.count < connectionLimit || shedIdle() else {
        pauseAccepting(because: "\(connections.count) connections are open, the limit of one worker")
        return false
      }
      switch listeners[index].listener.accept() {
      case .accepted(let socket, let address):
        add(socket, address, port: listeners[index].listener.localAddress.port)
      case .wouldBlock:
        return false
      case .exhausted(let code):
        pauseAccepting(because: "the system has no descriptor or memory for it (errno \(code)); raise LimitNOFILE or lower `connections`")
        return false
      case .failed:
        continue
      }
    }
    return true
  }

  /// A full house: those who have been idle longest make room, so that nobody keeps others out by holding connections. Several at once, since
  /// finding them means looking at all. False when nobody is idle.
  private func shedIdle() -> Bool {
    let idle = connections.all().filter { $0.connection.isIdle(since: now) }.sorted { $0.connection.lastRead < $1.connection.lastRead }
    for box in idle.prefix(Limits.shedAtOnce) { box.connection.abandon() }
    return !idle.isEmpty
  }

  private func add(_ socket: consuming FileDescriptor, _ address: SocketAddress, port: UInt16) {
    let descriptor = socket.release()
    let peer = Peer(address, trusted: snapshot.trustedProxies)
    let token = connections.nextToken
    let box = ConnectionBox(Connection(token, worker: self, socket: descriptor, peer: peer, localPort: port))
    connections.insert { _ in box }
    do {
      try poller.add(descriptor, box.connection.interest, EventToken(kind: Kind.connection, slot: token))
      box.connection.begin()
    } catch {
      shared.errors.warning("a connection can't be watched: \(error)")
      connections.remove(token)
    }
  }

  private static let acceptPause = Interval.milliseconds(200)

  /// Level-triggered, a full house would wake us in circles: look away, and look again shortly or when somebody leaves.
  private func pauseAccepting(because reason: String) {
    // Once a minute: at the limit this happens again with every connection that ends and the next that takes its place.
    if exhaustionLoggedAt.map({ now >= $0.advanced(by: .seconds(60)) }) ?? true {
      shared.errors.error("accepting pauses: \(reason)")
      exhaustionLoggedAt = now
    }
    isAcceptPaused = true
    for i in listeners.indices where listeners[i].isWatched {
      poller.remove(listeners[i].listener.descriptor)
      listeners[i].isWatched = false
    }
    timers.schedule(EventToken(kind: Kind.acceptPause), at: now.advanced(by: Self.acceptPause))
  }

  private func resumeAccepting() {
    guard connections.count < connectionLimit || shedIdle() else {
      timers.schedule(EventToken(kind: Kind.acceptPause), at: now.advanced(by: Self.acceptPause))
      return
    }
    isAcceptPaused = false
    do { try watchListeners() } catch { shared.errors.error("listening can't go on: \(error)") }
  }

  private func watchListeners() throws(NetError) {
    for i in listeners.indices where !listeners[i].isWatched {
      // A Unix socket is one for all workers: wake one, not all.
      let interest: Interest = listeners[i].listener.localAddress.isUnix ? [.read, .exclusive] : .read
      try poller.add(
        listeners[i].listener.descriptor, interest, EventToken(kind: Kind.listener, slot: SlotToken(slot: UInt32(i), generation: 0)))
      listeners[i].isWatched = true
    }
  }

  // MARK: Messages

  private func received(_ message: WorkerMessage) {
    switch message {
    case .checked(let slot, let serial, let check, let outcome):
      connections[slot]?.connection.checked(serial: serial, check, outcome)
    case .answered(let slot, let serial, let reply):
      connections[slot]?.connection.answered(serial: serial, reply)
    case .goOn(let slot, let serial, let isDone):
      connections[slot]?.connection.goOn(serial: serial, isDone: isDone)
    case .adopt(let fresh, let gatekeeper):
      self.gatekeeper = gatekeeper
      if fresh !== snapshot { adopt(fresh) }
    case .sign(let adoption):
      adoption.sign()
    case .drain(let deadline):
      drain(until: deadline)
    }
  }

  private func adopt(_ fresh: Snapshot) {
    let old = zip(snapshot.settings.upstreams, pools)
    // An upstream whose options are the same keeps its handles; one that changed gets new ones, the old live until their transfers end.
    pools = fresh.settings.upstreams.map { options in old.first { $0.0 == options }?.1 ?? client.makePool(options) }
    for (_, pool) in old where !pools.contains(where: { $0 === pool }) { pool.retire() }
    snapshot = fresh
    if isAcceptPaused && drainDeadline == nil { resumeAccepting() }
  }

  private func drain(until deadline: Instant) {
    guard drainDeadline == nil else { return }
    // What has already knocked is still let in: a connection that the kernel completed is a promise.
    for i in listeners.indices where listeners[i].isWatched {
      while accept(i) {}
      poller.remove(listeners[i].listener.descriptor)
      listeners[i].listener.removeFile()
    }
    listeners.removeAll()
    drainDeadline = deadline
    for box in connections.all() { box.connection.drain() }
  }
}
