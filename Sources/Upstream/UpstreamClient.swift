// The door to upstreams: one per worker, on the worker's own epoll. Starts, feeds, resumes and cancels transfers, by whichever engine, and
// lists those that something happened to. Callbacks only record; the worker acts after `run`.

import CCurl
import Glibc
public import HTTP
public import Net
public import Primitives

/// All transfers of one worker and the connections beneath them.
@safe public final class UpstreamClient {
  /// The clock of this turn of the loop.
  var now: Instant
  /// The most that a response's head may hold.
  public let headLimits: HeadLimits
  /// The poller has just been asked, what it said was heeded, and no time has passed since: what is idle has been looked at.
  var hasLooked = false
  /// Transfers under way.
  var running = 0
  /// Where requests of this worker wait for room, and when the first of them has waited for too long.
  var queues: [Balancer] = []
  var queueDue: Instant?
  /// Whether there may be room.
  var areQueuesDue = false
  /// Requests that wait for an access token.
  var tokenWaits: [WaitingTransfer] = []

  private let eventKind: UInt8
  private var ready: [Transfer] = []
  private var storages = Spares<RequestStorage>(limit: UpstreamPool.idleLimit)
  private(set) var sockets: SocketTable
  private let remover: Poller.Remover

  // libcurl's.
  let multi: UnsafeMutableRawPointer
  /// When libcurl wants to be called although nothing happened.
  private var curlDeadline: Instant?
  var isTimeoutDue = false
  /// Transfers whose handle libcurl has.
  var transfers = SlotMap<Transfer>()
  /// Transfers whose response may be whole although their upload isn't.
  var refusedEarly: [(SlotToken, fd: Int32)] = []

  /// Where the couriers of file servers call; nil while there was nothing for them.
  var files: Mailbox<FileErrand>?

  // Our own engine's.
  /// By descriptor.
  var connections: [HTTP1Connection?] = []
  /// The socket that libcurl is about to close and is to leave open, or -1.
  var adopting: Int32 = -1
  var idleConnections = 0
  let idleLimit: Int
  var pruneAt: Instant?
  var pendingReads: [HTTP1Connection] = []
  /// Transfers whose sockets wake us for much alone, at most as many as there are pipes, and when the first of them is to be looked at.
  var watched: [HTTP1Transfer] = []
  var lookDue: Instant?
  /// Lent to whichever connection reads.
  let readBuffer = UniqueBox(ByteBuffer(capacity: UpstreamClient.readSize))
  /// Bytes read at once where they have to be looked at.
  static let readSize = 64 << 10
  var pipes: PipePool
  /// Bodies of which less is to come are read and written: a pipe's calls cost more than copying them. Measured, of responses: at 32 KiB a
  /// fifth more, at 48 KiB a fifth less, at 64 KiB and beyond a third less. Of uploads it makes no difference below 1 MiB.
  static let pipeThreshold: UInt64 = 48 << 10
  /// Memory of bodies that has grown, for the next body: fresh memory costs a page fault for each 4 KiB of it.
  private var grownBuffers = Spares<ByteBuffer>(limit: 8)
  /// Bytes of them.
  private(set) var grownMemory = 0
  /// What has grown beyond this goes.
  static let grownLimit = 256 << 10
  /// For finding hop-by-hop fields of interim responses.
  var scratch = FieldSet()

  static let initialized: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  /// - Parameters:
  ///   - eventKind: the kind of the epoll events that belong to `ready(_:_:)`.
  ///   - idleConnections: connections kept open between requests, all upstreams together.
  ///   - pipes: pipes at once for large bodies, of two descriptors each. Bodies beyond it are read and written.
  ///   - poller: what `ready` and `run` will be given; must live as long as the client is used.
  public init(eventKind: UInt8, headLimits: HeadLimits, idleConnections: Int, pipes: Int, poller: borrowing Poller) throws(UpstreamFailure) {
    guard Self.initialized, let multi = unsafe curl_multi_init() else {
      throw UpstreamFailure(.exhausted, "libcurl could not be initialized")
    }
    unsafe self.multi = multi
    self.eventKind = eventKind
    self.headLimits = headLimits
    idleLimit = idleConnections
    self.pipes = PipePool(limit: pipes)
    remover = poller.remover
    sockets = SocketTable(remover)
    now = Instant.now()
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe _ = gh_multi_set_socket(multi, socketCallback)
    unsafe _ = gh_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, this)
    unsafe _ = gh_multi_set_timer(multi, timerCallback)
    unsafe _ = gh_multi_set_pointer(multi, CURLMOPT_TIMERDATA, this)
    unsafe _ = gh_multi_set_long(multi, CURLMOPT_MAXCONNECTS, idleConnections)
    unsafe _ = gh_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING))
  }

  deinit {
    for connection in connections { connection?.closeWithClient() }
    for transfer in transfers.all() { transfer.cancel() }
    // The poller may be gone already.
    unsafe _ = gh_multi_set_socket(multi, nil)
    unsafe curl_multi_cleanup(multi)
  }

  /// Calls of epoll_ctl so far.
  var registrationChanges: Int { sockets.changes }

  /// When it wants to be run although nothing happened: nil for never.
  public var deadline: Instant? {
    if pruneAt == nil && lookDue == nil && queueDue == nil { return curlDeadline }
    return min(pruneAt ?? .distantFuture, lookDue ?? .distantFuture, min(queueDue ?? .distantFuture, curlDeadline ?? .distantFuture))
  }

  /// What is kept for one server. A reload makes a new one; the old lives until its transfers have ended.
  public func makePool(_ options: UpstreamOptions) -> UpstreamPool { UpstreamPool(options: options) }

  /// The same for the servers of an upstream. `state` is the workers' together.
  ///
  /// - Parameters:
  ///   - retries: that may come in one go.
  ///   - wake: called from any thread when requests that wait here may find room: `serveQueues` is to be called by this worker then.
  public func makeBalancer(_ group: UpstreamGroup, _ state: GroupState, retries: Int = 512, wake: @escaping @Sendable () -> Void = {}) -> Balancer {
    Balancer(group, state, seed: UInt64.random(in: .min ... .max), retries: retries, wake: wake)
  }

  /// Memory for composing a request; goes back by itself when the transfer ends.
  public func takeStorage() -> RequestStorage { storages.take() ?? RequestStorage() }

  /// Memory that was taken and not used after all.
  public func giveStorage(_ storage: consuming RequestStorage) {
    if !storages.isFull { storages.give(storage) }
  }

  /// An empty buffer, the memory of one that has grown if such a one waits.
  func takeBuffer() -> ByteBuffer {
    guard let buffer = grownBuffers.take() else { return ByteBuffer() }
    grownMemory -= buffer.capacity
    return buffer
  }

  /// Keeps the memory of a body's buffer that is empty and not used any more.
  public func giveBuffer(_ buffer: consuming ByteBuffer) {
    if buffer.isEmpty && buffer.capacity <= Self.grownLimit && !grownBuffers.isFull {
      grownMemory += buffer.capacity
      grownBuffers.give(buffer)
    }
  }

  /// An empty pipe, while there are some.
  func takePipe() -> SplicePipe? { pipes.take(at: now) }

  func giveBack(_ pipe: SplicePipe) {
    pipes.giveBack(pipe, at: now)
    if let due = pipes.due { prune(at: due) }
  }

  // MARK: Doors

  /// A turn of the loop begins. Call it before the turn's events are handed to `ready`.
  ///
  /// - Parameter hasLooked: whether the poller has just said all that it had to say: then what is idle has been looked at.
  public func begin(at now: Instant, hasLooked: Bool) {
    self.now = now
    self.hasLooked = hasLooked
  }

  /// Starts a request at the server that `balancer` chooses, or has it wait for one that has room. `key` is what the request's server is named by,
  /// where that is how it is chosen.
  @inline(__always) public func start(
    _ request: consuming UpstreamRequest, at balancer: Balancer, key: UInt64?, owner: SlotToken
  ) throws(UpstreamFailure) -> Transfer {
    // One look where we log in by no token.
    if let tokens = balancer.tokens, !tokens.equips(request.storage, after: 0, at: now) { return try awaitToken(request, at: balancer, key: key, owner: owner, tokens) }
    if let only = balancer.only { return try start(request, at: only, owner: owner) }
    // Who waits has come before.
    let choice =
      balancer.queue?.hasNobodyBefore ?? true ? balancer.choose(key, isReplayable: request.isReplayable, at: now) : nil
    guard let choice else { return try wait(request, at: balancer, key: key, owner: owner) }
    return try start(request, at: choice.pool, owner: owner, trial: choice.trial)
  }

  /// Starts a request. What happens to it is told by `takeReady`, under `owner`.
  ///
  public func start(_ request: consuming UpstreamRequest, at pool: UpstreamPool, owner: SlotToken) throws(UpstreamFailure) -> Transfer {
    guard pool.running < pool.maxConnections else {
      giveStorage(request.storage)
      throw UpstreamFailure(.exhausted, "upstream \(pool.options.name) has all its \(pool.options.maxConnections) connections in use")
    }
    return try start(request, at: pool, owner: owner, trial: .none)
  }

  /// The same where there is room: of several servers a place is taken.
  private func start(
    _ request: consuming UpstreamRequest, at pool: UpstreamPool, owner: SlotToken, trial: Balancer.Trial
  ) throws(UpstreamFailure) -> Transfer {
    var request = request
    let transfer: Transfer
    do {
      transfer = try takeTransfer(pool, isUpgrade: request.isUpgrade)
    } catch {
      leave(pool, trial)
      throw error
    }
    request.seal()
    transfer.storage = request.storage
    transfer.shape = request.shape
    transfer.startedAt = now
    transfer.owner = owner
    if case .none = request.framing { transfer.isUploadEnded = true }
    address(transfer, to: pool)
    place(transfer, at: pool, trial)
    do {
      try transfer.begin()
    } catch {
      finish(transfer)
      recycle(transfer)
      throw error
    }
    return transfer
  }

  /// Writes what of the request differs from server to server: the Host, and then the login, which may be made of it.
  @inline(__always) func address(_ transfer: Transfer, to pool: UpstreamPool) {
    // It may have waited, for room, for a token or for another server.
    if transfer.storage?.assertion != nil { _ = transfer.storage?.renewAssertion() }
    if transfer.shape.namesServer { transfer.storage?.write(host: Array(pool.options.authority.utf8)) }
    if transfer.storage?.account != nil { logIn(transfer, at: pool) }
  }

  /// A place that was taken is not used after all.
  func leave(_ pool: UpstreamPool, _ trial: Balancer.Trial) {
    guard let member = pool.member else { return }
    if trial == .alone { endTrial(member) }
    pool.running -= 1
    member.state.giveBack()
    member.group.line.tellFirst()
  }

  private func endTrial(of transfer: Transfer) {
    if transfer.trial == .alone, let member = transfer.pool?.member { endTrial(member) }
    transfer.trial = .none
  }

  /// The request that was to decide has come to nothing.
  private func endTrial(_ member: Membership) {
    if let ejection = member.group.ejection { member.state.postpone(at: now, ejection) }
    member.state.endTrial()
  }

  /// Before it begins: it may end while it does.
  @inline(__always) func place(_ transfer: Transfer, at pool: UpstreamPool, _ trial: Balancer.Trial) {
    transfer.pool = pool
    running += 1
    if let member = pool.member {
      transfer.memberIndex = member.index
      transfer.trial = trial
      transfer.begunAt = now
      if member.keeps > 0 { transfer.keepUpload(atMost: member.keeps) }
    } else {
      // Where there is something to choose, it is taken with the choice.
      pool.running += 1
    }
    transfer.maxAttempts = transfer.shape.isReplayable ? 2 : 1
    transfer.isRunning = true
  }

  /// Lets a transfer go on after its body was taken or request bytes were handed over.
  /// True when it had been waiting for the caller to take its body.
  @discardableResult
  public func resume(_ transfer: Transfer) -> Bool {
    let pausedAt = transfer.pausedAt
    guard transfer.isRunning && transfer.resume() else { return false }
    if transfer.isAWhileAgo(pausedAt) { transfer.wasHeld = true }
    return true
  }

  /// Ends a transfer for good, finished or not, and takes it back. An unfinished one's connection is closed.
  public func end(_ transfer: consuming Transfer) {
    if transfer.isRunning {
      transfer.notePart()
      transfer.cancel()
      finish(transfer)
    }
    recycle(transfer)
  }

  /// An epoll event on one of the upstreams' sockets.
  public func ready(_ token: EventToken, _ readiness: Readiness, poller: borrowing Poller) {
    let fd = Int32(token.slot.slot)
    guard Int(fd) < sockets.entries.count, sockets.entries[Int(fd)].generation == token.slot.generation, sockets.entries[Int(fd)].isOpen
    else { return }
    let entry = sockets.entries[Int(fd)]
    if entry.isOurs {
      if let files, files.descriptor == fd { return filesReady(files) }
      return http1Ready(fd, readiness)
    }
    if entry.isConnection && entry.wanted == 0 {
      unwanted(fd, entry, poller)
      return
    }
    var mask: Int32 = 0
    if !readiness.isDisjoint(with: [.readable, .hangup, .peerClosed]) { mask |= CURL_CSELECT_IN }
    if readiness.contains(.writable) { mask |= CURL_CSELECT_OUT }
    if readiness.contains(.error) { mask |= CURL_CSELECT_ERR }
    var running: Int32 = 0
    unsafe _ = curl_multi_socket_action(multi, fd, mask, &running)
  }

  /// Does what is due by time, collects what has ended, and tells the poller what changed. Once a turn, after the events.
  public func run(poller: borrowing Poller) {
    var rounds = 0
    while isTimeoutDue || (curlDeadline.map { $0 <= now } ?? false) {
      isTimeoutDue = false
      curlDeadline = nil
      var running: Int32 = 0
      unsafe _ = curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running)
      rounds += 1
      // libcurl may ask for "now" again and again while a name is being resolved; the other events must have their turn too.
      if rounds == 4 {
        if isTimeoutDue { curlDeadline = now }
        isTimeoutDue = false
        break
      }
    }
    readPending()
    lookAround()
    if transfers.count > 0 { collect() }
    if !refusedEarly.isEmpty { collectRefused() }
    if areQueuesDue || queueDue.map({ $0 <= now }) ?? false { serveQueues(at: now) }
    prune()
    if sockets.hasChanges { withSockets { $0.apply(to: poller, kind: eventKind) } }
  }

  /// Whether something waits to be done before the loop may sleep.
  public var hasWork: Bool { isTimeoutDue || areQueuesDue || !ready.isEmpty || !pendingReads.isEmpty || sockets.hasChanges }

  /// The transfers that something happened to since the last call, into an array whose memory is used again.
  public func takeReady(into list: inout [Transfer]) {
    swap(&list, &ready)
    for transfer in list { transfer.isReady = false }
  }

  // MARK: Inside

  /// Lends the table, out of the class meanwhile: it is not checked then for overlapping access.
  func withSockets<Result>(_ work: (inout SocketTable) -> Result) -> Result {
    var table = SocketTable(remover)
    swap(&table, &sockets)
    defer { swap(&table, &sockets) }
    return work(&table)
  }

  func markReady(_ transfer: Transfer) {
    guard !transfer.isReady else { return }
    transfer.isReady = true
    var list: [Transfer] = []
    swap(&list, &ready)
    list.append(transfer)
    swap(&list, &ready)
  }

  /// For a request to `pool`'s server: one that was used before, or another. What may become a tunnel is our own engine's, whatever the options say, and
  /// serves no other request: libcurl's transfers can't send after a 101.
  func takeTransfer(_ pool: UpstreamPool, isUpgrade: Bool) throws(UpstreamFailure) -> Transfer {
    // A server of files speaks no HTTP at all: it answers such a request as any other.
    // Nor does HTTP/2 know Upgrade (RFC 9113 section 8.6).
    if isUpgrade && pool.options.opensTunnels { return HTTP1Transfer(options: pool.options, client: self) }
    return if let idle = pool.take() { idle } else { try makeTransfer(pool.options) }
  }

  private func makeTransfer(_ options: UpstreamOptions) throws(UpstreamFailure) -> Transfer {
    if let server = options.files { return FileTransfer(options: options, server: server, client: self) }
    if options.speaksHTTP2 { return HTTP2Transfer(options: options, client: self) }
    if options.engine != .libcurl { return HTTP1Transfer(options: options, client: self) }
    guard let easy = unsafe curl_easy_init() else { throw UpstreamFailure(.exhausted, "no memory for a transfer") }
    let transfer = unsafe CurlTransfer(easy: easy, options: options, client: self)
    try transfer.prepare()
    return transfer
  }

  /// It has ended: its place is free. Its outcome stays until it is taken back.
  func finish(_ transfer: Transfer) {
    transfer.isRunning = false
    running -= 1
    if let pool = transfer.pool {
      pool.running -= 1
      if let member = pool.member {
        member.state.giveBack()
        member.group.line.tellFirst()
        if !queues.isEmpty { areQueuesDue = true }
      }
    }
  }

  @inline(__always) func recycle(_ transfer: consuming Transfer) {
    // Nobody has said what came of it.
    if transfer.trial != .none { endTrial(of: transfer) }
    // What changes hands is moved: copied, its references would be counted once more.
    var storage: RequestStorage?
    swap(&storage, &transfer.storage)
    if let storage, !transfer.shape.isUpgrade { giveStorage(storage) }
    guard transfer.canBeReused else { return }
    transfer.reset()
    var pool: UpstreamPool?
    swap(&pool, &transfer.pool)
    pool?.give(transfer)
  }

  /// libcurl wants to be called after `milliseconds`: -1 never, 0 now.
  func setTimeout(_ milliseconds: Int) {
    isTimeoutDue = milliseconds == 0
    curlDeadline = milliseconds > 0 ? now.advanced(by: .milliseconds(UInt64(milliseconds))) : nil
  }
}
