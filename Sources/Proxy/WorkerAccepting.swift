// How a worker takes clients in: from its listening sockets, as many as it may hold, and looking away from them when that is reached.

import HTTP
import Net
import Primitives

extension Worker {
  /// True when more may be waiting.
  @discardableResult
  func accept(_ index: Int) -> Bool {
    guard index < listeners.count, listeners[index].isWatched else { return false }
    for _ in 0..<Limits.acceptsPerTurn {
      guard clientCount < connectionLimit || shedIdle() else {
        pauseAccepting(because: "\(clientCount) connections are open, the limit of one worker")
        return false
      }
      switch listeners[index].listener.accept() {
      case .accepted(let socket, let address):
        add(socket, address, listeners[index])
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
    if !idle.isEmpty { return true }
    let others = http2.all().filter { $0.isIdle(since: now) }.sorted { $0.idleSince < $1.idleSince }
    for connection in others.prefix(Limits.shedAtOnce) { connection.close() }
    return !others.isEmpty
  }

  private func add(_ socket: consuming FileDescriptor, _ address: SocketAddress, _ listener: OpenListener) {
    let peer = Peer(address, localPort: listener.listener.localAddress.port, trusted: snapshot.trustedProxies, listener: listener.traits)
    if listener.traits.needsGreeting { return greet(socket, peer, listener.traits) }
    let token = connections.nextToken
    let box = ConnectionBox(Connection(token, worker: self, stream: Stream(socket), peer: peer))
    insert(box)
    do {
      try poller.add(box.connection.stream.descriptor, box.connection.interest, EventToken(kind: Kind.connection, slot: token))
      box.connection.begin()
    } catch {
      shared.errors.warning("a connection can't be watched: \(error)")
      takeOut(token)
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
    schedule(EventToken(kind: Kind.acceptPause), at: now.advanced(by: Self.acceptPause))
  }

  /// Clients' connections, whatever is spoken on them.
  var clientCount: Int { connections.count + greetings.count + http2.count }

  /// A client has left.
  func roomWasMade() {
    if isAcceptPaused && drainDeadline == nil && clientCount < connectionLimit { resumeAccepting() }
  }

  func resumeAccepting() {
    guard clientCount < connectionLimit || shedIdle() else {
      schedule(EventToken(kind: Kind.acceptPause), at: now.advanced(by: Self.acceptPause))
      return
    }
    isAcceptPaused = false
    do { try watchListeners() } catch { shared.errors.error("listening can't go on: \(error)") }
  }

  func watchListeners() throws(NetError) {
    for i in listeners.indices where !listeners[i].isWatched {
      // A Unix socket is one for all workers: wake one, not all.
      let interest: Interest = listeners[i].listener.localAddress.isUnix ? [.read, .exclusive] : .read
      try poller.add(
        listeners[i].listener.descriptor, interest, EventToken(kind: Kind.listener, slot: SlotToken(slot: UInt32(i), generation: 0)))
      listeners[i].isWatched = true
    }
  }
}
