// One client's connection: moves bytes between the socket, the parser, the exchange's transfer and the socket again, and does what the exchange
// says. Decides nothing about HTTP itself.

import Auth
import HTTP
import Net
import Primitives
import Upstream

/// Where a worker holds a connection, which it finds by its token.
final class ConnectionBox {
  private let box: UniqueBox<Connection>
  /// Whether one of its functions runs. The same check as the compiler's for a class's property, at a twentieth of its cost.
  private var isLent = false
  /// Of those that wait to be used again.
  var next: ConnectionBox?

  init(_ connection: consuming Connection) { box = UniqueBox(connection) }

  var connection: Connection {
    _read {
      precondition(!isLent, "a connection is at work already")
      yield box.value
    }
    _modify {
      precondition(!isLent, "a connection is at work already")
      isLent = true
      defer { isLent = false }
      yield &box.value
    }
  }
}

/// Belongs to one worker. Closed exactly once, by `close`.
///
/// Not a class: nothing else reaches a connection while one of its functions runs, and the compiler sees that. Each use of a class's field would be
/// checked for it at run time, a third of what a request costs us. So nothing that such a function calls may come back to the connection: what it
/// asks of the worker by its token is done later, or touches others alone. What is asked often is a `mutating` function, even if it only looks: to be lent
/// for a computed property the whole of it would be copied.
struct Connection: ~Copyable {
  private(set) var token: SlotToken
  /// Not unowned, which costs more at every use: `close` takes the connection out of the worker and so ends the circle.
  let worker: Worker
  var stream: Stream
  var peer: Peer
  /// What epoll has for this socket.
  private(set) var interest: Interest = [.read, .peerClosed]
  var isDirty = false
  /// The stream that it is, instead of a connection of its own; nil for HTTP/1.
  var carrier: StreamCarrier?
  /// Whether the worker comes back for what was read ahead.
  private var isReadOwed = false
  var isClosed = false
  /// Whether head and output have memory of the worker's: from a request's first byte until the connection idles.
  var holdsMemory = false

  var input = ByteBuffer()
  var output = ByteBuffer()
  var parser: HeadParser
  /// Holds memory only while `holdsMemory`.
  var head = RequestHead()
  var body = RequestBodyReader()
  var exchange = Exchange()
  var snapshot: Snapshot
  var transfer: Transfer?
  var record = ExchangeRecord()
  var requestID = RequestIdentifier()
  /// Moves on with every exchange, so that a late answer of the hash pool can't reach the next one.
  var serial: UInt64 = 0
  var requests = 0
  /// Whether the request that was refused came with a bearer token, which the challenge then speaks of.
  var sentBearer = false
  /// How much of the target, which the worker has, is its path. Set with the route.
  var pathLength = 0
  /// Who asks: the peer, or whom a trusted proxy names. Set with the route.
  var client = ClientAddress.unix
  /// An answer that waits: what it will be, and when.
  var heldRefusal: (status: Int, due: Instant)?
  /// Seconds that a 429 tells the client to wait.
  var retryAfter: UInt64 = 0
  /// Requests wait in the input until some of the output is written.
  var isHeldBack = false
  /// Where the password check stands that the pool has of ours.
  var pendingCheck: HashQueue.Place?
  /// Whether the password was found right by the pool, and not by what is remembered.
  var wasChecked = false
  /// What a password check that is under way will be asked for.
  var requirement = Requirement.validUser
  /// Which of our own resources is asked for; nil for what is to be forwarded. Set with the route.
  var endpoint: Endpoint?
  /// The request to one of them, once it was accepted.
  var own: OwnRequest?
  /// The request at a route that counts, answers or bounds it; nil at others, and between requests.
  var stay: RouteStay?
  /// The way to the service once HTTP was left.
  var tunnel: Tunnel?
  var tunnelEnds: TunnelEnds = []
  /// What came for the service by a stream behind what stands in the input, while that may not move.
  var later = ByteBuffer()
  /// The request of another server that is asked about, or was before. Made where `forward_auth` is used.
  var inquiry: Inquiry?

  // Times.
  var lastRead: Instant
  /// Since when the client has taken not a single byte of what waits for it; nil when nothing is known to wait.
  var blockedSince: Instant?
  var lastUpstream: Instant
  /// When the last answer of our own was written.
  var repliedAt = Instant(nanoseconds: 0)
  var armed: Instant?
  /// Whether a timer's entry stands for looking past the low-water mark.
  var isLookArmed = false
  var isDraining = false
  /// When draining began: an idle connection gets a moment from then on, since a request may be on its way.
  var drainingSince: Instant?
  var lingerSince: Instant?
  var lingered: UInt64 = 0
  var closesWhenFlushed: Exchange.Ending?

  /// - Parameter input: what was already read of it.
  init(_ token: SlotToken, worker: Worker, stream: consuming Stream, peer: Peer, input: consuming ByteBuffer = ByteBuffer()) {
    self.token = token
    self.worker = worker
    self.stream = stream
    self.input = input
    self.peer = peer
    snapshot = worker.snapshot
    parser = HeadParser(limits: snapshot.headLimits)
    lastRead = worker.now
    lastUpstream = worker.now
  }

  /// Begins anew as what `init` makes, without the cost of moving all of it. To be called when it was closed. Whatever a closed connection may have left
  /// is set here; a test sees to it that nothing is forgotten.
  mutating func begin(as token: SlotToken) {
    self.token = token
    isDirty = false
    isReadOwed = false
    isClosed = false
    if snapshot === worker.snapshot {
      parser.reset()
    } else {
      snapshot = worker.snapshot
      parser = HeadParser(limits: snapshot.headLimits)
    }
    body.reset()
    exchange = Exchange()
    record = ExchangeRecord()
    serial = 0
    requests = 0
    sentBearer = false
    pathLength = 0
    client = .unix
    heldRefusal = nil
    retryAfter = 0
    isHeldBack = false
    wasChecked = false
    endpoint = nil
    stay = nil
    tunnelEnds = []
    lastRead = worker.now
    blockedSince = nil
    lastUpstream = worker.now
    repliedAt = Instant(nanoseconds: 0)
    armed = nil
    isLookArmed = false
    isDraining = false
    drainingSince = nil
    lingerSince = nil
    lingered = 0
    closesWhenFlushed = nil
  }

  /// The socket is being watched from now on.
  mutating func begin() {
    isDraining = worker.drainDeadline != nil
    drainingSince = isDraining ? worker.now : nil
    if input.isEmpty && !stream.hasBufferedInput { arm() } else { goOn() }
  }

  // MARK: Memory

  /// A request begins.
  mutating func takeMemory() {
    if holdsMemory { return }
    holdsMemory = true
    worker.lendMemory(&head, &output)
  }

  /// Nothing is under way: what idles, perhaps for hours, holds neither head nor buffer.
  private mutating func rest() {
    guard holdsMemory, !parser.hasStarted, input.isEmpty else { return }
    holdsMemory = false
    worker.takeMemoryBack(&head, &output)
  }

  // MARK: Events of the socket

  mutating func ready(_ readiness: Readiness) {
    if isClosed { return }
    if tunnel != nil { return tunnelReady(readiness) }
    if !readiness.isDisjoint(with: [.error, .hangup]) {
      // Both directions are over: no answer can reach anybody.
      perform(exchange.clientClosed())
      close()
      return
    }
    if readiness.contains(.writable) { markDirty() }
    if readiness.contains(.readable) && wantsInput() {
      if !pipeBody() { read() }
    } else if readiness.contains(.peerClosed) {
      // The end stands behind bytes that we don't want yet. It is met when they are read; until then don't be woken for it.
      interest.remove(.peerClosed)
      applyInterest(interest)
    }
  }

  mutating func read() {
    let borrows = input.isEmpty
    if borrows { worker.lendReadBuffer(&input) }
    switch stream.read(into: &input, atMost: readsBody ? stay?.readAtOnce ?? Limits.bodyChunk : Limits.readChunk) {
    case .bytes:
      lastRead = worker.now
      if lingerSince != nil { discard() } else { advance() }
      if !isClosed && stream.hasBufferedInput { readAgain() }
    case .wouldBlock:
      break
    case .closed:
      perform(exchange.clientClosed())
      if output.isEmpty || lingerSince != nil {
        close()
      } else {
        closesWhenFlushed = .gone
        // The end stays readable: flushing looks away from it, or it would wake us in circles.
        markDirty()
      }
    case .failed:
      perform(exchange.clientClosed())
      close()
    }
    if borrows { returnReadBuffer() }
  }

  /// Whether a body is on its way that is forwarded.
  @inline(__always) private var readsBody: Bool {
    (exchange.phase == .waiting || exchange.phase == .relaying || exchange.phase == .gathering) && !exchange.isRequestComplete
  }

  /// Another turn, after others had theirs: what was read ahead, which epoll does not tell of, and what stands in the input.
  mutating func goOn() {
    isReadOwed = false
    if tunnel != nil { return tunnelReady(.readable) }
    if stream.hasBufferedInput && wantsInput() { read() }
    advance()
  }

  /// There is more to be read than the socket says.
  mutating func readAgain() {
    if isReadOwed { return }
    isReadOwed = true
    worker.again(token)
  }

  /// Gives the worker's buffer back; what could not be used yet moves into one of our own size.
  mutating func returnReadBuffer() {
    var own = ByteBuffer()
    if !input.isEmpty && !isClosed {
      own.reserve(input.count)
      own.append(input.span)
    }
    input.removeAll()
    worker.lendReadBuffer(&input)
    swap(&input, &own)
  }

  /// Whether bytes of the client are of use now. Otherwise they stay in the kernel, and the client feels it.
  mutating func wantsInput() -> Bool {
    if isClosed { return false }
    if lingerSince != nil { return true }
    if closesWhenFlushed != nil { return false }
    switch exchange.phase {
    case .idle: return output.count < Limits.outHigh
    case .judging, .answering: return input.count < Limits.readChunk
    case .waiting, .relaying:
      if exchange.isRequestComplete { return input.count < Limits.readChunk }
      return input.count < Limits.readChunk && (transfer?.uploadRoom ?? 0) > 0 && !holdsUpload()
    case .gathering: return input.count < Limits.readChunk && !holdsUpload()
    case .collecting, .draining: return true
    case .tunneling, .finished: return false
    }
  }

  // MARK: Writing

  /// Writes what waits, as far as the socket takes it, and closes where that was the last.
  mutating func flush() {
    isDirty = false
    if isClosed { return }
    if carrier != nil { return flushToStream() }
    if tunnel != nil { return flushTunnel() }
    while true {
      while !output.isEmpty {
        let result = stream.write(output)
        guard case .bytes(let n) = result else { return stopped(result) }
        output.consume(n)
        blockedSince = nil
      }
      if stay != nil && pumpFile() { continue }
      guard exchange.phase == .relaying, let transfer, !transfer.isBodyTaken || transfer.ending != nil else { break }
      if let result = drainPipe(transfer) {
        guard case .bytes = result else { return stopped(result) }
        blockedSince = nil
      }
      pump(transfer)
      if output.isEmpty && transfer.pipeToClient?.isEmpty ?? true { break }
    }
    if case .finished = exchange.phase, closesWhenFlushed == nil { advance() }
    guard !isClosed else { return }
    if output.isEmpty { flushed() }
    guard !isClosed else { return }
    updateInterest()
    // What we wait for may have changed with the last byte written, to something that comes sooner.
    arm()
  }

  /// Nothing more can be written, now or ever.
  private mutating func stopped(_ result: IOResult) {
    guard result == .wouldBlock else {
      perform(exchange.clientClosed())
      return close()
    }
    if blockedSince == nil { blockedSince = worker.now }
    updateInterest()
    arm()
  }

  /// Everything that was to be written is with the kernel.
  mutating func flushed() {
    switch closesWhenFlushed {
    case .none:
      if exchange.phase == .idle {
        rest()
        if isHeldBack {
          isHeldBack = false
          worker.again(token)
        }
      }
    case .linger?:
      // RFC 9112 section 9.6: close the sending half, and read on for a while, so that a client in mid-upload gets to read the answer
      // before a reset takes it away.
      if lingerSince == nil {
        stream.shutdownWrite()
        lingerSince = worker.now
        output.release()
        discard()
        arm()
      }
    case .gone?:
      // What ends with the connection is whole only if that is said.
      if case .finished(.linger) = exchange.phase { stream.sayGoodbye() }
      close()
    case .abort?, .again?:
      close()
    }
  }

  /// The connection writes its output, and finds out how long it may wait now, before the loop sleeps.
  mutating func markDirty() {
    if isDirty { return }
    isDirty = true
    worker.markDirty(token)
  }

  mutating func discard() {
    lingered += UInt64(input.count)
    input.removeAll()
    if lingered > Limits.lingerBytes { close() }
  }

  mutating func updateInterest() {
    if carrier != nil { return }
    var wanted: Interest = []
    if wantsInput() { wanted.formUnion([.read, .peerClosed]) } else if interest.contains(.peerClosed) { wanted.insert(.peerClosed) }
    if !output.isEmpty || blockedSince != nil { wanted.insert(.write) }
    if stream.hasBufferedInput && wantsInput() { readAgain() }
    if wanted != interest { applyInterest(wanted) }
  }

  mutating func applyInterest(_ wanted: Interest) {
    interest = wanted
    do {
      try worker.poller.modify(stream.descriptor, wanted, EventToken(kind: Worker.Kind.connection, slot: token))
    } catch {
      close()
    }
  }

  // MARK: The end

  /// The server drains: no further request after this one; an idle connection gets a moment for one that is on its way.
  mutating func drain() {
    isDraining = true
    drainingSince = worker.now
    exchange.stopPersisting()
    arm()
  }

  /// What is under way ends; what would begin does not (`Peer.mustComeAgain`).
  mutating func shutOut() {
    if isClosed { return }
    if exchange.phase == .idle && !parser.hasStarted && input.isEmpty && output.isEmpty { abandon() } else { drain() }
  }

  /// Whether no request is under way or has been for a moment, and nothing is left to be written.
  func isIdle(since now: Instant) -> Bool {
    !isClosed && exchange.phase == .idle && !parser.hasStarted && output.isEmpty && now.since(lastRead) >= Limits.shedAfter.nanoseconds
  }

  /// The server ends now.
  mutating func abandon() {
    if isClosed { return }
    if tunnel != nil { return endTunnel("the server ended") }
    if exchange.phase == .idle { stream.sayGoodbye() } else { perform(exchange.clientClosed()) }
    close()
  }

  mutating func close() {
    if isClosed { return }
    endTransfer()
    abandonCheck()
    own = nil
    stay = nil
    if tunnel != nil {
      tunnel = nil
      worker.tunnels -= 1
    }
    if case .finished = exchange.phase { log(.gone) }
    isClosed = true
    if let carrier { return leave(carrier) }
    worker.poller.remove(stream.descriptor)
    worker.remove(token)
  }
}
