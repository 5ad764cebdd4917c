// Requests that wait for a server with room (`queue`): one worker's, of one upstream. Who is first among all workers, `WaitingLine` knows.

import HTTP
import Net
import Primitives

/// A request that has no server yet, or no access token. Keeps what is handed over of its body, and is told like any other when something happens: its turn
/// has come (`hasTurn`, then `UpstreamClient.begin`), or it has waited too long.
final class WaitingTransfer: Transfer {
  /// Who finds it a server. A reload may put another in its place. Nil where it has one, and waits for another token.
  fileprivate(set) var balancer: Balancer?
  let key: UInt64?
  var deadline: Instant
  /// The number of the access token after which it needs one; nil where it waits for room.
  var tokenAfter: Int?
  /// Where it goes with that token, and where that comes from: the server that has refused the one before.
  let returnsTo: UpstreamPool?
  private var choice: Balancer.Choice?
  /// Names and values.
  private var uploadTrailers: [([UInt8], [UInt8])] = []

  init(at balancer: Balancer, key: UInt64?, until deadline: Instant, client: UpstreamClient) {
    self.balancer = balancer
    self.key = key
    self.deadline = deadline
    returnsTo = nil
    super.init(options: balancer.group.members[0].options, client: client)
    waits = true
  }

  init(returningTo pool: UpstreamPool, until deadline: Instant, client: UpstreamClient) {
    key = nil
    self.deadline = deadline
    returnsTo = pool
    super.init(options: pool.options, client: client)
    waits = true
  }

  var tokens: TokenAtHand? { returnsTo?.tokens ?? balancer?.tokens }

  /// Its turn has come: a place is taken there.
  func gets(_ choice: Balancer.Choice) {
    self.choice = choice
    hasTurn = true
    client.markReady(self)
  }

  /// The place that was taken, for whoever sends the request there.
  func takeChoice() -> Balancer.Choice? {
    defer { choice = nil }
    return choice
  }

  override func send(_ bytes: Span<UInt8>) {
    hasUpload = true
    upload.append(bytes)
  }

  override func addTrailer(_ name: Span<UInt8>, _ value: Span<UInt8>) { uploadTrailers.append((Self.copy(name), Self.copy(value))) }

  private static func copy(_ bytes: Span<UInt8>) -> [UInt8] { bytes.indices.map { bytes[$0] } }

  override func handOverTrailers(to other: Transfer) {
    for (name, value) in uploadTrailers { other.addTrailer(name.span, value.span) }
  }

  override func endUpload() { isUploadEnded = true }

  override func resume() -> Bool { false }

  override func cancel() {
    if let choice {
      client.leave(choice.pool, choice.trial)
    } else if tokenAfter != nil {
      client.forgetTokenWait(self)
    } else {
      balancer?.queue?.remove(self)
    }
    choice = nil
    client.areQueuesDue = true
  }

  override var canBeReused: Bool { false }
}

/// Those of one worker that wait for a server of one upstream, the first first.
final class RequestQueue {
  let options: UpstreamGroup.Queue
  private let line: WaitingLine
  private let stand: WaitingLine.Stand
  /// With the numbers that they drew.
  private var waiting: [(number: UInt64, transfer: WaitingTransfer)] = []

  /// A reload has put another in its place, with which those who wait here can't wait.
  private var isBeside = false

  init(_ options: UpstreamGroup.Queue, _ line: WaitingLine, wake: @escaping @Sendable () -> Void) {
    self.options = options
    self.line = line
    stand = WaitingLine.Stand(wake: wake)
  }

  deinit {
    // A worker that ends leaves nobody waiting for it.
    for _ in waiting { line.leave() }
    line.publish(nil, at: stand)
  }

  /// Whether who comes now passes nobody who waits, with any worker.
  var hasNobodyBefore: Bool { waiting.isEmpty && line.isOpen }
  var isEmpty: Bool { waiting.isEmpty }
  /// When the first has waited for too long.
  var due: Instant? { waiting.first?.transfer.deadline }

  /// False when all places are taken.
  func append(_ transfer: WaitingTransfer) -> Bool {
    guard let number = line.draw(atMost: options.places) else { return false }
    waiting.append((number, transfer))
    if waiting.count == 1 { line.publish(number, at: stand) }
    return true
  }

  func remove(_ transfer: WaitingTransfer) {
    guard let i = waiting.firstIndex(where: { $0.transfer === transfer }) else { return }
    remove(at: i)
  }

  private func remove(at i: Int) {
    waiting.remove(at: i)
    if i == 0 { publishFirst() }
    line.leave()
  }

  /// Gives places to those whose turn it is, as long as there are some.
  func serve(_ balancer: Balancer, at now: Instant) {
    stand.looks()
    publishFirst()
    // Who stands beside the line came before all who stand in it.
    while let first = waiting.first?.transfer, isBeside || line.isNext(stand) {
      guard let choice = balancer.choose(first.key, isReplayable: first.shape.isReplayable, at: now) else {
        // What this worker's own connections don't suffice for is others' to have. It comes back when one of those is free.
        if balancer.isFullHere() && !isBeside {
          line.publish(nil, at: stand)
          line.tellFirst()
        }
        return
      }
      remove(at: 0)
      first.gets(choice)
    }
    // Others may have room where none of ours waits any more.
    if waiting.isEmpty { line.tellFirst() }
  }

  private func publishFirst() { line.publish(isBeside && !waiting.isEmpty ? WaitingLine.beside : waiting.first?.number, at: stand) }

  /// Those who wait here wait on for the servers that they came for, and whoever waits with the queue of now doesn't wait for them.
  func stepAside() {
    isBeside = true
    publishFirst()
    line.tellFirst()
  }

  /// Those who wait with another queue of the same line, which a reload has put this one in the place of, in their order.
  func takeOver(_ other: RequestQueue, for balancer: Balancer) {
    guard line === other.line, !other.waiting.isEmpty else { return }
    for (_, transfer) in other.waiting { transfer.balancer = balancer }
    waiting = (waiting + other.waiting).sorted { $0.number < $1.number }
    other.waiting = []
    other.line.publish(nil, at: other.stand)
    line.publish(waiting.first?.number, at: stand)
  }

  /// Those who have waited for too long, out of the queue.
  func takeOverdue(at now: Instant) -> WaitingTransfer? {
    guard let first = waiting.first?.transfer, first.deadline <= now else { return nil }
    remove(at: 0)
    return first
  }
}

extension UpstreamClient {
  /// Has a request wait, where there is a place for that.
  func wait(_ request: consuming UpstreamRequest, at balancer: Balancer, key: UInt64?, owner: SlotToken) throws(UpstreamFailure) -> Transfer {
    let name = balancer.group.name
    guard let queue = balancer.queue, balancer.isFull() else {
      giveStorage(request.storage)
      throw UpstreamFailure(.exhausted, "no server of upstream \(name) can take a request: all are out or have their connections in use")
    }
    let transfer = WaitingTransfer(at: balancer, key: key, until: now.advanced(by: queue.options.wait), client: self)
    var request = request
    request.seal()
    guard queue.append(transfer) else {
      giveStorage(request.storage)
      throw UpstreamFailure(.exhausted, "all servers of upstream \(name) have their connections in use, and \(queue.options.places) requests wait")
    }
    transfer.storage = request.storage
    transfer.shape = request.shape
    transfer.startedAt = now
    transfer.owner = owner
    if case .none = request.framing { transfer.isUploadEnded = true }
    transfer.isRunning = true
    running += 1
    if !queues.contains(where: { $0 === balancer }) { queues.append(balancer) }
    // Room may have come between the look and the place in the line, when nobody was told.
    areQueuesDue = true
    return transfer
  }

  /// Those who wait with `old`, which a reload has put `balancer` in the place of, wait with that: for its servers.
  public func handOver(waitingWith old: Balancer, to balancer: Balancer) {
    guard let from = old.queue, let to = balancer.queue, !from.isEmpty else { return }
    // What was composed for one account is for the servers of then: they are served by those.
    guard old.group.login == balancer.group.login else { return from.stepAside() }
    to.takeOver(from, for: balancer)
    if !queues.contains(where: { $0 === balancer }) { queues.append(balancer) }
    areQueuesDue = true
  }

  /// Gives places to requests that wait, and ends those that have waited for too long. Called when there may be room; see `makeBalancer`.
  public func serveQueues() { areQueuesDue = true }

  func serveQueues(at now: Instant) {
    areQueuesDue = false
    queueDue = nil
    if !tokenWaits.isEmpty { serveTokenWaits(at: now) }
    if queues.isEmpty { return }
    for balancer in queues {
      guard let queue = balancer.queue else { continue }
      queue.serve(balancer, at: now)
      while let overdue = queue.takeOverdue(at: now) {
        overdue.outcome = .failed(
          UpstreamFailure(.exhausted, "all servers of upstream \(balancer.group.name) had their connections in use for \(queue.options.wait.wholeMilliseconds) ms"))
        finish(overdue)
        markReady(overdue)
      }
      guard let due = queue.due else { continue }
      // Nobody tells when a server that is out may be tried.
      let next = balancer.nextTrial.map { min(due, max($0, now.advanced(by: .milliseconds(20)))) } ?? due
      queueDue = min(queueDue ?? next, next)
    }
    queues.removeAll { $0.queue?.isEmpty ?? true }
  }
}
