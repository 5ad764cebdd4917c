// One client's connection that speaks HTTP/2: moves bytes between the socket and the session, and what the session found to the requests, each of
// which is a `Connection` of its own. Knows nothing of HTTP beyond that.

import HTTP
import HTTP2
import Net
import Primitives

/// Belongs to one worker. Closed exactly once, by `close`.
///
/// A class, since its requests call it while it calls them. What they call only notes; nothing here holds one of its own fields meanwhile.
final class HTTP2Connection {
  let token: SlotToken
  /// Not unowned, which costs more at every use: `close` takes the connection out of the worker and so ends the circle.
  let worker: Worker
  private let owner: HTTP2SessionOwner
  private let session: HTTP2Session
  var stream: Stream
  private(set) var peer: Peer
  private var snapshot: Snapshot
  private var interest: Interest = [.read, .peerClosed]
  private(set) var isClosed = false
  /// What was read and not worked through, when others were to have their turn.
  private var input = ByteBuffer()
  /// Since when the client has taken not a single byte of what waits for it; nil when nothing is known to wait.
  private var blockedSince: Instant?
  /// When a stream was there last.
  private var lastActive: Instant
  /// Whether it holds no more than it has to.
  private var isResting = false
  /// When draining began.
  private var drainingSince: Instant?
  private var hasRefusedFurther = false
  /// Nothing is read but to be dropped; the connection closes when what waits was written, and the client has had time to read it.
  private(set) var isEnding = false
  private var lingerSince: Instant?
  private var lingered: UInt64 = 0

  init(_ token: SlotToken, worker: Worker, stream: consuming Stream, peer: Peer) {
    self.token = token
    self.worker = worker
    self.stream = stream
    self.peer = peer
    snapshot = worker.snapshot
    lastActive = worker.now
    let scheme: RequestFields.Scheme = peer.tls != nil ? .https : peer.isTrusted ? .either : .http
    owner = HTTP2SessionOwner(
      snapshot.settings.http2, limits: snapshot.headLimits, scheme: scheme, workroom: worker.http2Workroom, now: worker.now)
    session = owner.session
    session.place = token
  }

  /// The socket is being watched from now on. `first` was read before.
  func begin(_ first: consuming ByteBuffer) {
    if worker.drainDeadline != nil { drain() }
    markDirty()
    var first = first
    if first.isEmpty { read() } else { take(&first) }
  }

  // MARK: Bytes in

  func ready(_ readiness: Readiness) {
    if isClosed { return }
    if !readiness.isDisjoint(with: [.error, .hangup]) { return close() }
    if readiness.contains(.writable) { markDirty() }
    // What was read before comes before what is read now.
    if readiness.contains(.readable) && interest.contains(.read) && input.isEmpty { read() }
    if !isClosed && readiness.contains(.peerClosed) && !interest.contains(.read) {
      // The end stands behind bytes that are not wanted yet.
      interest.remove(.peerClosed)
      applyInterest()
    }
  }

  private func read() {
    var bytes = ByteBuffer()
    worker.lendReadBuffer(&bytes)
    switch stream.read(into: &bytes, atMost: Limits.readChunk) {
    case .bytes:
      take(&bytes)
    case .wouldBlock:
      break
    case .closed, .failed:
      // RFC 9113 section 5: without the client's half no stream can go on; what it has sent whole was for answers that it can't ask for again.
      close()
    }
    bytes.removeAll()
    worker.lendReadBuffer(&bytes)
    if !isClosed && stream.hasBufferedInput { worker.againHTTP2(token) }
  }

  private func take(_ bytes: inout ByteBuffer) {
    session.now = worker.now
    isResting = false
    if isEnding {
      lingered += UInt64(bytes.count)
      if lingered > Limits.http2LingerBytes { close() }
      return
    }
    guard session.inspect(bytes.span) else { return end(because: session.flood) }
    work(&bytes)
  }

  /// Has the session read, and acts on what it found, as much of it as is this connection's turn.
  private func work(_ bytes: inout ByteBuffer) {
    var begun = 0
    while (!bytes.isEmpty || session.isPaused) && !isClosed {
      let count = session.receive(bytes.span)
      begun += act(on: bytes)
      guard let count else {
        end(because: session.flood)
        break
      }
      if let flood = session.flood {
        end(because: flood)
        break
      }
      bytes.consume(count)
      if begun >= Limits.requestsPerTurn && !bytes.isEmpty {
        input.append(bytes.span)
        bytes.removeAll()
        worker.againHTTP2(token)
      }
    }
    if !isClosed { markDirty() }
  }

  /// Another turn of the loop.
  func goOn() {
    if isClosed { return }
    session.now = worker.now
    if input.isEmpty { return read() }
    var bytes = ByteBuffer()
    swap(&bytes, &input)
    if !isEnding { work(&bytes) }
    if !isClosed && input.isEmpty && stream.hasBufferedInput { worker.againHTTP2(token) }
  }

  /// Works through what the session found in `bytes`. Answers how many requests began.
  @discardableResult
  private func act(on bytes: borrowing ByteBuffer) -> Int {
    var begun = 0
    for i in 0..<session.eventCount where !isClosed {
      let event = session.event(i)
      switch event.kind {
      case .head, .refused:
        begun += 1
        begin(event)
      case .data:
        let start = Int(event.start)
        if let box = box(event.slot) {
          box.connection.takeData(bytes.span.extracting(start..<(start + Int(event.count))))
        } else {
          session.stream(event.slot).discard(Int(event.count))
        }
      case .end:
        guard let box = box(event.slot) else { break }
        if event.count > 0 {
          var text = ByteBuffer()
          session.appendText(of: event, to: &text)
          box.connection.takeEnd(text.span)
        } else {
          box.connection.takeEnd(Span())
        }
      case .drained:
        box(event.slot)?.connection.markDirty()
      case .closed:
        if let box = box(event.slot) { box.connection.streamClosed(isWhole: event.code == 0) }
        session.release(event.slot)
        lastActive = worker.now
      }
    }
    if let fault = session.malformed { worker.noteMalformed(peer, fault) }
    if !isClosed { session.forgetEvents() }
    return begun
  }

  private func box(_ slot: Int32) -> ConnectionBox? {
    guard let token = session.stream(slot).owner else { return nil }
    return worker.connections[token]
  }

  /// A request.
  private func begin(_ event: HTTP2Event) {
    adoptLatest()
    guard worker.clientCount <= worker.connectionLimit else {
      // RFC 9113 section 8.7: nothing was done with it, and it may be sent again.
      return session.stream(event.slot).reset(.refusedStream)
    }
    worker.addStream(StreamCarrier(session, session.stream(event.slot)), peer: peer).connection.takeHead(event, of: session)
    if snapshot.keepAliveRequests <= session.requests && drainingSince == nil { drain() }
  }

  private func adoptLatest() {
    guard snapshot !== worker.snapshot else { return }
    snapshot = worker.snapshot
    peer = Peer(peer, in: snapshot)
  }

  // MARK: Bytes out

  private func markDirty() { worker.markDirtyHTTP2(session) }

  func flush() {
    session.isDirty = false
    if isClosed { return }
    session.now = worker.now
    guard session.produce() else { return close() }
    act(on: ByteBuffer())
    if let flood = session.flood, !isEnding {
      end(because: flood)
      guard session.produce() else { return close() }
    }
    let isPartOfIt = session.hasMore
    while !session.out.isEmpty {
      let result = stream.write(session.out)
      guard case .bytes(let n) = result else {
        guard result == .wouldBlock else { return close() }
        if blockedSince == nil { blockedSince = worker.now }
        updateInterest()
        return arm()
      }
      session.out.consume(n)
      blockedSince = nil
    }
    if isPartOfIt { markDirty() }
    wrote()
  }

  /// Everything that could be made into frames is with the kernel.
  private func wrote() {
    if session.isOver || isEnding {
      if lingerSince != nil { return }
      isEnding = true
      abandonRequests()
      stream.shutdownWrite()
      lingerSince = worker.now
    }
    updateInterest()
    arm()
  }

  private func updateInterest() {
    var wanted: Interest = input.isEmpty ? [.read, .peerClosed] : []
    if blockedSince != nil { wanted.insert(.write) }
    guard wanted != interest else { return }
    interest = wanted
    applyInterest()
  }

  private func applyInterest() {
    do {
      try worker.poller.modify(stream.descriptor, interest, EventToken(kind: Worker.Kind.http2, slot: token))
    } catch {
      close()
    }
  }

  // MARK: Time

  private func deadline() -> Instant {
    if let lingerSince { return lingerSince.advanced(by: Limits.lingerTimeout) }
    if let blockedSince { return blockedSince.advanced(by: snapshot.sendTimeout) }
    if let began = session.blockBegan { return began.advanced(by: snapshot.headerTimeout) }
    if session.openStreams == 0 {
      if let drainingSince {
        return max(hasRefusedFurther ? lastActive : drainingSince, drainingSince).advanced(by: Limits.drainGrace)
      }
      let last = lastActive.advanced(by: session.requests == 0 ? snapshot.headerTimeout : snapshot.keepAliveTimeout)
      return isResting ? last : min(last, lastActive.advanced(by: Limits.http2RestAfter))
    }
    var due = Instant.distantFuture
    if let drainingSince, !hasRefusedFurther { due = drainingSince.advanced(by: Limits.drainGrace) }
    if session.stalled > 0, let stalled = session.stalledSince { due = min(due, stalled.advanced(by: snapshot.sendTimeout)) }
    if let since = session.unwantedSince { due = min(due, since.advanced(by: Limits.streamLinger)) }
    return due
  }

  private func arm() {
    if !isClosed { worker.watchHTTP2(session, until: deadline()) }
  }

  func timerFired() {
    guard !isClosed, let due = session.armed, worker.now >= due else { return }
    session.armed = nil
    session.now = worker.now
    var next = Instant.distantFuture
    for slot in 0..<session.slotCount where !isClosed {
      guard let stream = session.streamIfUsed(Int32(slot)), !stream.isGone else { continue }
      if let since = stream.stalledSince, worker.now >= since.advanced(by: snapshot.sendTimeout) {
        stall(Int32(slot))
      } else if let since = stream.unwantedSince, worker.now >= since.advanced(by: Limits.streamLinger) {
        // RFC 9113 section 8.1.
        stream.reset(.noError)
        markDirty()
      } else if let token = stream.owner {
        worker.connections[token]?.connection.timerFired()
        // What it waits for has not come yet: it does not ask a second time. By its token, since it may be gone.
        if let due = worker.connections[token]?.connection.armed { next = min(next, due) }
      }
    }
    if isClosed { return }
    worker.watchHTTP2(session, until: next)
    rest()
    if worker.now >= deadline() {
      // What it does shows when it was flushed, and so does what is waited for then.
      timedOut()
      if !isClosed { markDirty() }
    } else {
      arm()
    }
  }

  private func stall(_ slot: Int32) {
    let box = box(slot)
    session.stream(slot).reset(.cancel)
    box?.connection.streamStalled()
    markDirty()
  }

  /// Who idles, perhaps for hours, holds little. Not between two requests of a page, which would take all that again.
  private func rest() {
    guard session.openStreams == 0, input.isEmpty, worker.now >= lastActive.advanced(by: Limits.http2RestAfter) else { return }
    session.rest()
    isResting = true
  }

  private func timedOut() {
    if lingerSince != nil || blockedSince != nil { return close() }
    if session.blockBegan != nil {
      end(.noError)
    } else if drainingSince != nil && !hasRefusedFurther {
      refuseFurther()
    } else if session.openStreams == 0 {
      end(.noError)
    }
  }

  // MARK: The end

  /// The client was told that the connection ends, by the session or by us: nothing of it is read any more, and nothing is done for it.
  private func end(because flood: Flood?) {
    if let flood {
      worker.complainOfHTTP2(peer, flood)
      session.end(.enhanceYourCalm)
    }
    isEnding = true
    input.removeAll()
    abandonRequests()
    markDirty()
  }

  private func end(_ code: HTTP2ErrorCode) {
    session.end(code)
    isEnding = true
    markDirty()
  }

  /// RFC 9113 section 6.8: first that the end is near, then, when what was on its way has had time to come, which request was the last.
  func drain() {
    guard drainingSince == nil, !isClosed, !isEnding else { return }
    drainingSince = worker.now
    session.now = worker.now
    session.announceEnd()
    markDirty()
    arm()
  }

  /// The same, and no request that is on its way is taken.
  func shutOut() {
    drain()
    if !isClosed && !isEnding && !hasRefusedFurther { refuseFurther() }
  }

  private func refuseFurther() {
    hasRefusedFurther = true
    session.refuseFurther()
    markDirty()
  }

  /// Whether no request is under way or has been for a moment.
  func isIdle(since now: Instant) -> Bool {
    !isClosed && !isEnding && session.openStreams == 0 && session.out.isEmpty && now.since(lastActive) >= Limits.shedAfter.nanoseconds
  }

  var idleSince: Instant { lastActive }

  private func abandonRequests() {
    for slot in 0..<session.slotCount {
      guard let token = session.streamIfUsed(Int32(slot))?.owner else { continue }
      worker.connections[token]?.connection.streamClosed()
    }
  }

  /// The server ends now.
  func abandon() {
    if !isClosed && session.openStreams > 0 {
      flush()
      if !isClosed && session.out.isEmpty { stream.sayGoodbye() }
    }
    close()
  }

  func close() {
    if isClosed { return }
    isClosed = true
    abandonRequests()
    worker.poller.remove(stream.descriptor)
    worker.removeHTTP2(token)
  }
}
