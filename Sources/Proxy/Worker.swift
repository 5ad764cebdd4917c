// One thread's whole world: an epoll loop, its listening sockets, its clients' connections, its transfers, its timers. Collects events, then
// acts, then flushes, then sleeps. Nothing here is shared but what `Shared` names.

import Auth
import HTTP
import HTTP2
import Login
import Net
import Primitives
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
  /// Pipes that it may have.
  let pipeLimit: Int
}

/// What is to be gone on with in the next turn of a worker's loop. Looked at in each, where a look at the lists themselves would be checked for
/// overlapping access at run time.
struct Leftovers: OptionSet {
  let rawValue: UInt8

  static let requests = Self(rawValue: 1)
  static let http2 = Self(rawValue: 2)
  static let http2Output = Self(rawValue: 4)
  static let handshakes = Self(rawValue: 8)
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
    /// A listener that was left is to be closed.
    static let farewell: UInt8 = 5
    static let look: UInt8 = 6
    static let greeting: UInt8 = 7
    static let http2: UInt8 = 8
    /// A response whose pace is bounded may go on.
    static let pace: UInt8 = 9
  }

  let shared: Shared
  let mailbox: Mailbox<WorkerMessage>
  private(set) var snapshot: Snapshot
  /// Of now, whatever an exchange began with.
  private(set) var gatekeeper: Gatekeeper
  let poller: Poller
  let client: UpstreamClient
  private(set) var balancers: [Balancer] = []
  var listeners = SlotMap<OpenListener>()
  var connections: SlotMap<ConnectionBox> {
    @inline(__always) _read { yield connectionsBox.value }
    @inline(__always) _modify { yield &connectionsBox.value }
  }
  private let connectionsBox = UniqueBox(SlotMap<ConnectionBox>())
  var greetings = SlotMap<Greeting>()
  var http2 = SlotMap<HTTP2Connection>()
  let http2Workroom = HTTP2Workroom()
  var dirtyHTTP2 = PlainList<SlotToken>()
  var pendingHTTP2 = PlainList<SlotToken>()
  var headText = ByteBuffer(capacity: 1024)
  /// Of requests that came by HTTP/2, for the next: the first of a chain, and how many there are.
  var spareBox: ConnectionBox?
  var spareBoxCount = 0
  var handshakes = HandshakeQueue()
  var failedHandshakes = FailedHandshakes()
  private var timers = TimerQueue()
  /// The clocks of this turn of the loop.
  private(set) var now = Instant.now()
  private(set) var wallNow = Timestamp.now()
  /// Now as IMF-fixdate.
  private(set) var date: [UInt8] = []
  private var dateSecond: Int64 = -1
  private var dirty = PlainList<SlotToken>()
  private var pending = PlainList<SlotToken>()
  /// Which of the lists that are seldom filled have something.
  var leftovers: Leftovers = []
  private var readyTransfers: [Transfer] = []
  private var messages: [WorkerMessage] = []
  /// Lent to whichever connection reads: an idle connection holds no read buffer.
  var readBuffer = ByteBuffer(capacity: Limits.bodyChunk)
  var spareHeads = Spares<RequestHead.Memory>(limit: Limits.keptBuffers)
  var spareOutputs = Spares<ByteBuffer>(limit: Limits.keptBuffers)
  /// The canonical target of the request being composed.
  var targetBuffer = ByteBuffer(capacity: 1024)
  var fieldScratch = FieldSet()
  /// Of users, signed for upstreams that check them.
  var assertions = AssertionCache()
  var patternScratch = PathPattern.Scratch()
  /// Requests' bodies that wait in memory before they are forwarded.
  let gathered = GatheredMemory(atMost: Limits.gatheredBytes)
  /// Decoded credentials of the request being judged: wiped after each.
  var credentials: Secret? = Secret(capacity: 256)
  var logLines = ByteBuffer(capacity: 16 << 10)
  var logTimes = LogTimes()
  var isAcceptPaused = false
  /// Connections that are tunnels.
  var tunnels = 0
  var exhaustionLoggedAt: Instant?
  private(set) var drainDeadline: Instant?
  private var serials: UInt64 = 0
  var identifiers: RequestIdentifiers
  private var complaints = Complaints()
  private let counters: WorkerCounters

  init(
    _ shared: Shared, snapshot: Snapshot, gatekeeper: Gatekeeper, mailbox: Mailbox<WorkerMessage>, counters: WorkerCounters,
    listeners: [WorkerListener] = []
  ) throws {
    self.counters = counters
    self.shared = shared
    self.snapshot = snapshot
    self.gatekeeper = gatekeeper
    self.mailbox = mailbox
    poller = try Poller(capacity: 512)
    client = try UpstreamClient(
      eventKind: Kind.upstream, headLimits: snapshot.settings.limits.responseHead, idleConnections: Limits.idleUpstreamConnections,
      pipes: shared.pipeLimit, poller: poller)
    identifiers = RequestIdentifiers()
    balancers = zip(snapshot.settings.upstreams, snapshot.groups).map { client.makeBalancer($0, $1, wake: { mailbox.post(.roomCame) }) }
    try poller.add(mailbox.descriptor, .read, EventToken(kind: Kind.mailbox))
    listen(listeners)
  }

  // MARK: The loop

  /// Serves until it is told to drain and has drained.
  func run() {
    while turn() {}
    for box in connections.all() { box.connection.abandon() }
    // Not before what its streams were ended with is said.
    for connection in http2.all() { connection.abandon() }
    for greeting in greetings.all() { dismiss(greeting) }
    settle()
  }

  /// Sleeps until something is to be done, and does it. False when the worker has drained.
  func turn() -> Bool {
    let count = poller.collect(until: sleepLimit(), now: now)
    tick()
    // Nothing at all may also be a signal that came between.
    client.begin(at: now, hasLooked: count > 0 && count < poller.capacity)
    // Upstreams first: what arrives on an idle connection condemns it, and must be seen before a request is put on that connection.
    for i in 0..<count {
      let (token, readiness) = poller.event(i)
      if token.kind == Kind.upstream { client.ready(token, readiness, poller: poller) }
    }
    for i in 0..<count {
      let (token, readiness) = poller.event(i)
      if token.kind != Kind.upstream { act(token, readiness) }
    }
    while let first = timers.next, first <= now { expireNext() }
    settle()
    if workHandshakes() { settle() }
    counters.set(connections: clientCount, requests: serials, tunnels: tunnels)
    if let deadline = drainDeadline, clientCount == 0 && listeners.count == 0 || now >= deadline { return false }
    return true
  }

  /// Nothing to do: until the next deadline. Something left over: not at all.
  private func sleepLimit() -> Instant? {
    if !leftovers.isEmpty || !dirty.isEmpty || client.hasWork { return now }
    let first = timers.next ?? .distantFuture
    let earliest = min(first, client.deadline ?? .distantFuture, drainDeadline ?? .distantFuture)
    return earliest == .distantFuture ? nil : earliest
  }

  private func tick() {
    now = Instant.now()
    wallNow = Timestamp.now()
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
    case Kind.http2:
      http2[token.slot]?.ready(readiness)
    case Kind.greeting:
      greetings[token.slot]?.ready(readiness)
    case Kind.listener:
      if let listener = listeners[token.slot] { accept(listener) }
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
    advancePendingHTTP2()
    var rounds = 0
    repeat {
      client.run(poller: poller)
      tellReady()
      flush()
      rounds += 1
    } while client.hasWork && rounds < 4
    client.run(poller: poller)
    if !logLines.isEmpty {
      shared.accessLog.append(logLines.span)
      logLines.removeAll()
    }
  }

  /// Tells connections that something happened to their transfers.
  private func tellReady() {
    var list: [Transfer] = []
    swap(&list, &readyTransfers)
    client.takeReady(into: &list)
    for transfer in list { connections[transfer.whose]?.connection.transferReady(transfer) }
    if !list.isEmpty { list.removeAll(keepingCapacity: true) }
    swap(&list, &readyTransfers)
  }

  private func flush() {
    var i = 0
    // Flushing may make a connection dirty again (its next pipelined answer); it then has its turn at the end of the list.
    while i < dirty.count && i < 4096 {
      if let box = connections[dirty[i]] { box.connection.flush() }
      i += 1
    }
    dirty.removeFirst(i)
    flushHTTP2()
  }

  private func advancePending() {
    if !leftovers.contains(.requests) { return }
    leftovers.remove(.requests)
    var taken = PlainList<SlotToken>()
    swap(&taken, &pending)
    for i in 0..<taken.count {
      if let box = connections[taken[i]] { box.connection.goOn() }
    }
  }

  /// For tests.
  var boxes: [ConnectionBox] { connections.all() }
  var timerCount: Int { timers.count }

  // MARK: For connections

  /// Has the connection flushed before the loop sleeps. Once a connection until then.
  func markDirty(_ token: SlotToken) {
    if dirty.isFull { growDirty() }
    dirty.add(token)
  }

  private func growDirty() {
    var list = PlainList<SlotToken>()
    swap(&list, &dirty)
    list.reserve()
    swap(&list, &dirty)
  }

  /// Gives the connection another turn after others had theirs.
  func again(_ token: SlotToken) {
    pending.append(token)
    leftovers.insert(.requests)
  }

  func schedule(_ token: SlotToken, at instant: Instant) {
    schedule(EventToken(kind: Kind.connection, slot: token), at: instant)
  }

  // What follows takes its field out of the class for as long as it calls into another room with it, see `Connection`: whatever the field is
  // otherwise used for is then not checked for overlapping access at run time. Nothing that is called meanwhile comes back here.

  func schedule(_ token: EventToken, at instant: Instant) {
    var queue = TimerQueue()
    swap(&queue, &timers)
    queue.schedule(token, at: instant)
    swap(&queue, &timers)
  }

  private func expireNext() {
    var queue = TimerQueue()
    swap(&queue, &timers)
    let token = queue.popExpired(now)
    swap(&queue, &timers)
    if let token { expired(token) }
  }

  func insert(_ box: ConnectionBox) {
    connections.insert { _ in box }
  }

  func takeOut(_ token: SlotToken) { withExtendedLifetime(takenOut(token)) {} }

  /// Nobody finds the connection any more. Not to be looked into: it may be at work.
  func takenOut(_ token: SlotToken) -> ConnectionBox? { connections.remove(token) }

  /// What shares out the requests of an upstream of `other`, which is the snapshot that an exchange began with.
  func balancer(for upstream: Int, in other: Snapshot) -> Balancer {
    if other === snapshot { return balancers[upstream] }
    let group = other.settings.upstreams[upstream]
    for i in snapshot.settings.upstreams.indices where snapshot.settings.upstreams[i] == group { return balancers[i] }
    // For this one request, which may be sent once more.
    let balancer = client.makeBalancer(group, other.groups[upstream], retries: 1, wake: roomCame)
    balancer.retire()
    return balancer
  }

  /// Tells this worker, from any thread, that requests which wait for a server may find room.
  private var roomCame: @Sendable () -> Void { { [mailbox] in mailbox.post(.roomCame) } }

  /// A server of several gets no more requests for a time.
  func ejected(_ place: String, of upstream: String, for pause: Interval, _ reason: String) {
    let milliseconds = pause.wholeMilliseconds
    let time = milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    shared.errors.warning("upstream \(upstream): \(place) gets no requests for \(time): it failed too often in a row, at last: \(reason)")
  }

  /// It answers again.
  func isBack(_ place: String, of upstream: String) { shared.errors.notice("upstream \(upstream): \(place) serves again") }

  /// An upstream failed a request.
  func complain(about upstream: String, _ words: String) {
    if let line = complaints.say(upstream, words, at: now) { shared.errors.warning("upstream \(upstream): \(line)") }
  }

  /// Clients do what they should not.
  func complain(aboutClients words: String) {
    if let line = complaints.say("clients", words, at: now) { shared.errors.warning(line) }
  }

  /// Something else than an upstream is not as it should be.
  func complain(of subject: String, _ words: String) {
    if let line = complaints.say(subject, words, at: now) { shared.errors.warning(line) }
  }

  var connectionLimit: Int { min(snapshot.settings.limits.connectionsPerWorker, shared.connectionLimit) }

  func nextSerial() -> UInt64 {
    serials += 1
    return serials
  }

  /// The connection is closed: its slot is free for another.
  func remove(_ token: SlotToken) {
    takeOut(token)
    roomWasMade()
  }

  private func expired(_ token: EventToken) {
    switch token.kind {
    case Kind.connection: connections[token.slot]?.connection.timerFired()
    case Kind.greeting: greetings[token.slot]?.timerFired()
    case Kind.http2: http2[token.slot]?.timerFired()
    case Kind.look: connections[token.slot]?.connection.lookTimerFired()
    case Kind.pace: connections[token.slot]?.connection.paceTimerFired()
    case Kind.farewell: if let listener = listeners[token.slot] { close(listener) }
    case Kind.acceptPause: if isAcceptPaused { resumeAccepting() }
    default: break
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
    case .roomCame: client.serveQueues()
    case .sign(let adoption):
      adoption.sign()
    case .listen(let listeners):
      listen(listeners)
    case .drain(let deadline, let isReplaced):
      drain(until: deadline, isReplaced: isReplaced)
    }
  }

  private func adopt(_ fresh: Snapshot) {
    let old = balancers
    // An upstream whose options are the same keeps its handles; one that changed gets new ones, the old live until their transfers end.
    let kept = zip(fresh.settings.upstreams, fresh.groups).map { group, state in
      old.first { $0.group == group } ?? client.makeBalancer(group, state, wake: roomCame)
    }
    for balancer in old where !kept.contains(where: { $0 === balancer }) {
      balancer.retire()
      if let next = kept.first(where: { $0.group.name == balancer.group.name }) { client.handOver(waitingWith: balancer, to: next) }
    }
    balancers = kept
    snapshot = fresh
    assertions.removeAll()
    // They hold the old one.
    dropSpareBoxes()
    // Before the listeners of now are told: who comes in between is asked for what they ask.
    for listener in listeners.all() { listener.traits = fresh.listener(like: listener.traits) ?? listener.traits }
    sendAwayOutdated(fresh)
    if isAcceptPaused && drainDeadline == nil { resumeAccepting() }
  }

  private func drain(until deadline: Instant, isReplaced: Bool) {
    guard drainDeadline == nil else { return }
    leaveAll(isReplaced: isReplaced)
    drainDeadline = deadline
    for box in connections.all() { box.connection.drain() }
    for connection in http2.all() { connection.drain() }
  }
}
