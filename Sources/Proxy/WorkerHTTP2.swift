// What a worker does for connections that speak HTTP/2, and for the requests that come by them.

import HTTP2
import Net
import Primitives

extension Worker {
  /// The greeting found that HTTP/2 is spoken; `first` was read already.
  func addHTTP2(_ stream: consuming Stream, _ peer: Peer, _ first: consuming ByteBuffer) {
    let descriptor = stream.descriptor
    let connection = HTTP2Connection(http2.nextToken, worker: self, stream: stream, peer: peer)
    http2.insert { _ in connection }
    do {
      try poller.modify(descriptor, [.read, .peerClosed], EventToken(kind: Kind.http2, slot: connection.token))
      connection.begin(first)
    } catch {
      shared.errors.warning("a connection can't be watched: \(error)")
      connection.close()
    }
  }

  /// A place for a request that came by a stream.
  func addStream(_ carrier: StreamCarrier, peer: Peer) -> ConnectionBox {
    let token = connections.nextToken
    carrier.stream.owner = token
    let box: ConnectionBox
    if let spare = spareBox {
      spareBox = spare.next
      spareBoxCount -= 1
      spare.next = nil
      spare.connection.beginAgain(token, carrier, peer: peer)
      box = spare
    } else {
      box = ConnectionBox(Connection(token, worker: self, carrier, peer: peer))
    }
    insert(box)
    return box
  }

  /// Lends memory for the text of a head, until it is read.
  func lendHeadText(_ buffer: inout ByteBuffer) { swap(&buffer, &headText) }

  /// The request is over: its place is free for another, and so is what it was in, unless that would keep a configuration of before.
  func removeStream(_ token: SlotToken, _ snapshot: Snapshot) {
    if let gone = takenOut(token), spareBoxCount < Limits.keptBuffers, snapshot === self.snapshot {
      gone.next = spareBox
      spareBox = gone
      spareBoxCount += 1
    }
    roomWasMade()
  }

  /// One after another: the last of a long chain would take all others with it, each from within the one before.
  func dropSpareBoxes() {
    while let box = spareBox {
      spareBox = box.next
      box.next = nil
    }
    spareBoxCount = 0
  }

  func removeHTTP2(_ token: SlotToken) {
    let gone = http2.remove(token)
    roomWasMade()
    withExtendedLifetime(gone) {}
  }

  /// Has the session's connection flushed before the loop sleeps, after its requests.
  func markDirtyHTTP2(_ session: HTTP2Session) {
    guard !session.isDirty, let place = session.place else { return }
    session.isDirty = true
    dirtyHTTP2.append(place)
    leftovers.insert(.http2Output)
  }

  /// Has the session's connection, and its requests with it, look at the clock when `due` has come.
  func watchHTTP2(_ session: HTTP2Session, until due: Instant) {
    guard due < session.armed ?? .distantFuture, let place = session.place else { return }
    session.armed = due
    schedule(EventToken(kind: Kind.http2, slot: place), at: due)
  }

  /// Gives the connection another turn after others had theirs.
  func againHTTP2(_ token: SlotToken) {
    pendingHTTP2.append(token)
    leftovers.insert(.http2)
  }

  func flushHTTP2() {
    if !leftovers.contains(.http2Output) { return }
    leftovers.remove(.http2Output)
    var taken = PlainList<SlotToken>()
    swap(&taken, &dirtyHTTP2)
    for i in 0..<taken.count { http2[taken[i]]?.flush() }
    if !leftovers.contains(.http2Output) {
      taken.removeAll()
      swap(&taken, &dirtyHTTP2)
    }
  }

  func advancePendingHTTP2() {
    if !leftovers.contains(.http2) { return }
    leftovers.remove(.http2)
    var taken = PlainList<SlotToken>()
    swap(&taken, &pendingHTTP2)
    for i in 0..<taken.count { http2[taken[i]]?.goOn() }
  }

  /// For who looks for what is wrong with his client: such a request has no line in the access log, since it is none.
  func noteMalformed(_ peer: Peer, _ fault: FieldFault) {
    shared.errors.info("HTTP/2: malformed request: \(fault.reason) (client \(Self.text(peer)))")
  }

  private static func text(_ peer: Peer) -> String {
    var address = ByteBuffer()
    peer.append(to: &address)
    return ASCII.string(address.span)
  }

  /// One line for a client that had to be told to calm down, and no more of them than an operator can read.
  func complainOfHTTP2(_ peer: Peer, _ flood: Flood) {
    complain(aboutClients: "HTTP/2: \(flood.words) (client \(Self.text(peer)))")
  }
}
