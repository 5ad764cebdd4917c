// The loop of the echo upstream: one thread, its connections and their timers. What a connection says is EchoConnection's.
// An origin server for tests and trials: it decides nothing, and no client reaches it but through Gatehouse or the operator's own hand.

import Net
import Primitives

/// What the echo upstream bounds.
enum EchoLimits {
  static let connections = 1024
  /// Bytes asked for by one read.
  static let read = 65536
  /// Bytes of answer that wait to be sent, before no more are made.
  static let output = 262_144
  /// How long a client may do nothing, while it is its turn.
  static let idle = Interval.seconds(75)
  /// How long, and for how many bytes, a client is listened to after the last answer, so that it gets to read that.
  static let lingering = Interval.seconds(2)
  static let lingeringBytes = 4_194_304
  /// The longest delay that can be asked for.
  static let delay = Interval.seconds(3600)
  /// When to try again after descriptors ran out.
  static let acceptPause = Interval.milliseconds(100)
  /// Connections accepted in one turn.
  static let acceptBatch = 64
}

final class EchoServer {
  private enum Kind {
    static let listener: UInt8 = 1
    static let connection: UInt8 = 2
    static let stop: UInt8 = 3
    /// Timers: a connection's next step; accepting again.
    static let wake: UInt8 = 4
    static let accept: UInt8 = 5
  }

  private let listener: Listener
  private var poller: Poller
  private var timers = TimerQueue()
  private var connections = SlotMap<EchoConnection>()
  private var accepted: UInt64 = 0
  private var isAccepting = true
  /// A message from any thread ends `run()`.
  let stop: Mailbox<Bool>

  /// Listens from here on; connections are answered in `run()`.
  init(listeningOn address: SocketAddress) throws(NetError) {
    listener = try Listener.bind(ListenOptions(address: address))
    poller = try Poller()
    stop = try Mailbox()
    try poller.add(listener.descriptor, .read, EventToken(kind: Kind.listener))
    try poller.add(stop.descriptor, .read, EventToken(kind: Kind.stop))
  }

  /// Where it listens, with the real port.
  var address: SocketAddress { listener.localAddress }

  /// Answers requests on the calling thread, until it is stopped.
  func run() {
    var now = Instant.now()
    while true {
      let count = poller.wait(until: timers.next, now: now)
      now = .now()
      for i in 0..<count {
        let event = poller.event(i)
        switch event.token.kind {
        case Kind.listener: accept(now)
        case Kind.stop:
          listener.removeFile()
          return
        default:
          // Nil when an event before this one, of the same turn, ended the connection.
          if let connection = connections[event.token.slot] { turn(connection, event.readiness, now) }
        }
      }
      while let token = timers.popExpired(now) { fire(token, now) }
    }
  }

  private func accept(_ now: Instant) {
    for _ in 0..<EchoLimits.acceptBatch {
      guard connections.count < EchoLimits.connections else {
        pauseAccepting()
        return
      }
      switch listener.accept() {
      case .accepted(let descriptor, _): add(Stream(descriptor), now)
      case .failed: continue
      case .wouldBlock: return
      case .exhausted:
        pauseAccepting()
        timers.schedule(EventToken(kind: Kind.accept), at: now.advanced(by: EchoLimits.acceptPause))
        return
      }
    }
  }

  private func add(_ stream: consuming Stream, _ now: Instant) {
    accepted += 1
    // A closure can't give up what it has caught but once, and the compiler wants to see that.
    var held = Optional(stream)
    let connection = connections.insert { EchoConnection(held.take()!, $0, number: accepted, now) }
    let token = EventToken(kind: Kind.connection, slot: connection.token)
    guard (try? poller.add(connection.descriptor, connection.interest, token)) != nil else {
      connections.remove(connection.token)
      return
    }
    timers.schedule(token, at: connection.deadline)
  }

  private func pauseAccepting() {
    guard isAccepting else { return }
    isAccepting = false
    poller.remove(listener.descriptor)
  }

  private func resumeAccepting() {
    guard !isAccepting else { return }
    isAccepting = (try? poller.add(listener.descriptor, .read, EventToken(kind: Kind.listener))) != nil
  }

  /// Lets a connection do what it can, and sees to it that it is called when it can do more.
  private func turn(_ connection: EchoConnection, _ readiness: Readiness, _ now: Instant) {
    let before = connection.interest
    let wakeBefore = connection.wakeAt
    let deadlineBefore = connection.deadline
    guard connection.turn(readiness, now) else { return end(connection) }
    if connection.interest != before {
      let token = EventToken(kind: Kind.connection, slot: connection.token)
      guard (try? poller.modify(connection.descriptor, connection.interest, token)) != nil else { return end(connection) }
    }
    if let wake = connection.wakeAt, wake != wakeBefore {
      timers.schedule(EventToken(kind: Kind.wake, slot: connection.token), at: wake)
    }
    // A later one is found when the entry of the earlier one comes up.
    if connection.deadline < deadlineBefore {
      timers.schedule(EventToken(kind: Kind.connection, slot: connection.token), at: connection.deadline)
    }
  }

  private func fire(_ token: EventToken, _ now: Instant) {
    if token.kind == Kind.accept { return resumeAccepting() }
    guard let connection = connections[token.slot] else { return }
    if token.kind == Kind.wake {
      turn(connection, [], now)
    } else if connection.deadline <= now {
      end(connection)
    } else {
      timers.schedule(token, at: connection.deadline)
    }
  }

  private func end(_ connection: EchoConnection) {
    poller.remove(connection.descriptor)
    connections.remove(connection.token)
    resumeAccepting()
  }
}
