// When handshakes are gone on with: last in a turn of the loop, the oldest first, and for a moment only. A signature takes as long as ten requests, and
// whoever opens connections without end shall not make those wait who have one.

import Net
import Primitives

/// Tokens of greetings whose handshakes can go on.
struct HandshakeQueue: ~Copyable {
  var tokens = PlainList<SlotToken>()
  /// How many of the first are not listened to until it is their turn.
  var parked = 0
}

/// How many handshakes came to nothing, and which was the last: one line a minute, however many there are.
struct FailedHandshakes {
  private var count = 0
  private var saidAt: Instant?
  private static let pause = Interval.seconds(60)

  /// What is to be logged now, or nil.
  mutating func add(_ reason: String, from peer: Peer, at listener: SocketAddress, now: Instant) -> String? {
    count += 1
    if let saidAt, now < saidAt.advanced(by: Self.pause) { return nil }
    saidAt = now
    let others = count - 1
    count = 0
    return
      "\(listener.text): a client's handshake failed: \(reason) (\(peer.address.text))\(others == 0 ? "" : "; \(others) more since the last such line")"
  }
}

extension Worker {
  /// The greeting has its turn after everything else.
  func queueHandshake(_ token: SlotToken) {
    handshakes.tokens.append(token)
    leftovers.insert(.handshakes)
  }

  /// Goes on with those that wait, for `Limits.handshakeTime`, and at least with one. False when there were none.
  func workHandshakes() -> Bool {
    if !leftovers.contains(.handshakes) { return false }
    let end = Instant.now().advanced(by: Limits.handshakeTime)
    var queue = HandshakeQueue()
    swap(&queue, &handshakes)
    var done = 0
    while done < queue.tokens.count {
      greetings[queue.tokens[done]]?.takeTurn()
      done += 1
      if Instant.now() >= end { break }
    }
    queue.tokens.removeFirst(done)
    // What came meanwhile stands behind.
    for i in 0..<handshakes.tokens.count { queue.tokens.append(handshakes.tokens[i]) }
    // Level-triggered, they would be told of in each turn until they have theirs.
    for i in max(0, queue.parked - done)..<max(queue.tokens.count, max(0, queue.parked - done)) { greetings[queue.tokens[i]]?.park() }
    queue.parked = queue.tokens.count
    if queue.tokens.isEmpty { leftovers.remove(.handshakes) }
    swap(&queue, &handshakes)
    return true
  }

  /// A client's handshake came to nothing.
  func handshakeFailed(_ reason: String, _ peer: Peer, _ listener: ListenerTraits) {
    if let line = failedHandshakes.add(reason, from: peer, at: listener.settings.socket.address, now: now) { shared.errors.notice(line) }
  }
}
