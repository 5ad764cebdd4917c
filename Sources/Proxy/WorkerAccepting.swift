// How a worker takes clients in: from its listening sockets, as many as it may hold, and looking away from them when that is reached.

import HTTP
import Net
import Primitives

/// A socket that a worker accepts from.
final class OpenListener {
  let token: SlotToken
  let socket: SharedListener
  /// By the configuration of now; of one that was left, by the last that had it.
  var traits: ListenerTraits
  var isWatched = false
  /// When it was left; it is open for a moment longer.
  var leftAt: Instant?

  init(_ token: SlotToken, _ listener: WorkerListener) {
    self.token = token
    socket = listener.socket
    traits = listener.traits
  }
}

extension Worker {
  /// True when more may be waiting.
  @discardableResult
  func accept(_ listener: OpenListener) -> Bool {
    guard listener.isWatched else { return false }
    for _ in 0..<Limits.acceptsPerTurn {
      guard clientCount < connectionLimit || shedIdle() else {
        pauseAccepting(because: "\(clientCount) connections are open, the limit of one worker")
        return false
      }
      switch listener.socket.listener.accept() {
      case .accepted(let socket, let address):
        add(socket, address, listener)
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

  /// A full house: those who have been idle longest make room, so that nobody keeps others out by holding connections, and before them who has not
  /// even got as far as a request. Several at once, since finding them means looking at all. False when nobody is idle.
  private func shedIdle() -> Bool {
    let slow = greetings.all().filter { now.since($0.began) >= Limits.shedAfter.nanoseconds }.sorted { $0.began < $1.began }
    for greeting in slow.prefix(Limits.shedAtOnce) { dismiss(greeting) }
    if !slow.isEmpty { return true }
    let idle = connections.all().filter { $0.connection.isIdle(since: now) }.sorted { $0.connection.lastRead < $1.connection.lastRead }
    for box in idle.prefix(Limits.shedAtOnce) { box.connection.abandon() }
    if !idle.isEmpty { return true }
    let others = http2.all().filter { $0.isIdle(since: now) }.sorted { $0.idleSince < $1.idleSince }
    for connection in others.prefix(Limits.shedAtOnce) { connection.close() }
    return !others.isEmpty
  }

  private func add(_ socket: consuming FileDescriptor, _ address: SocketAddress, _ listener: OpenListener) {
    let peer = Peer(address, localPort: listener.socket.address.port, trusted: snapshot.trustedProxies, listener: listener.traits)
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
    for listener in listeners.all() { unwatch(listener) }
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
    watchListeners()
  }

  private func watchListeners() {
    for listener in listeners.all() where !listener.isWatched {
      // One that all workers share: wake one of them, not all.
      let interest: Interest = listener.socket.isShared ? [.read, .exclusive] : .read
      do {
        try poller.add(listener.socket.listener.descriptor, interest, EventToken(kind: Kind.listener, slot: listener.token))
        listener.isWatched = true
      } catch {
        shared.errors.error("\(listener.socket.address.text) can't be listened on by one worker: \(error)")
      }
    }
  }

  private func unwatch(_ listener: OpenListener) {
    guard listener.isWatched else { return }
    poller.remove(listener.socket.listener.descriptor)
    listener.isWatched = false
  }

  // MARK: Coming and going

  /// From now on these. One that is there goes on, by its new traits; one that is not among them is left.
  func listen(_ fresh: [WorkerListener]) {
    // Once more: of whom came between the new configuration and this, by what his listener was before.
    sendAwayOutdated(snapshot)
    for listener in listeners.all() where listener.leftAt == nil {
      if let same = fresh.first(where: { $0.socket === listener.socket }) { listener.traits = same.traits } else { leave(listener) }
    }
    for listener in fresh where !listeners.all().contains(where: { $0.socket === listener.socket }) {
      listeners.insert { OpenListener($0, listener) }
    }
    if !isAcceptPaused { watchListeners() }
  }

  /// How long a handshake that has begun may take to be complete: a client far away is let in too.
  private static let farewell = Interval.seconds(1)
  /// The same where no connection can be taken in for the moment.
  private static let longestFarewell = Interval.seconds(5)

  /// Nobody knocks there any more (`SharedListener.refuseNewcomers`). Who has knocked is let in: a connection that the kernel completed is a
  /// promise.
  private func leave(_ listener: OpenListener) {
    listener.leftAt = now
    // systemd has it too, and keeps who waits there for the next that accepts; a Unix socket's handshake takes no time.
    if listener.socket.passedName != nil { return drop(listener) }
    if listener.socket.address.isUnix { return close(listener) }
    schedule(EventToken(kind: Kind.farewell, slot: listener.token), at: now.advanced(by: Self.farewell))
  }

  func close(_ listener: OpenListener) {
    while accept(listener) {}
    if isAcceptPaused, let leftAt = listener.leftAt, now < leftAt.advanced(by: Self.longestFarewell) {
      return schedule(EventToken(kind: Kind.farewell, slot: listener.token), at: now.advanced(by: Self.acceptPause))
    }
    drop(listener)
  }

  private func drop(_ listener: OpenListener) {
    unwatch(listener)
    listeners.remove(listener.token)
  }

  /// The process ends, or another one has taken its place and all that it listened on.
  func leaveAll(isReplaced: Bool) {
    for listener in listeners.all() {
      if !isReplaced { while accept(listener) {} }
      // What was left before is nobody's after us: it keeps its time.
      if !isReplaced || listener.leftAt == nil { drop(listener) }
    }
  }
}
