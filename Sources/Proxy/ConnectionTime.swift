// How long a connection waits, for what, and what happens then.

import HTTP
import Net
import Primitives
import Upstream

extension Connection {
  /// When what we wait for has taken too long, and what it is.
  mutating func deadline() -> Instant { stay == nil ? usualDeadline() : min(usualDeadline(), endOfStay()) }

  private mutating func usualDeadline() -> Instant {
    if let lingerSince { return lingerSince.advanced(by: Limits.lingerTimeout) }
    // Not as soon as there is output: what is written in this very turn waits for nobody, however long ago the last byte was.
    if let blockedSince { return blockedSince.advanced(by: snapshot.sendTimeout) }
    switch exchange.phase {
    case .idle:
      if parser.hasStarted { return record.began.advanced(by: snapshot.headerTimeout) }
      if let drainingSince { return max(lastRead, drainingSince).advanced(by: Limits.drainGrace) }
      return lastRead.advanced(by: requests == 0 ? snapshot.headerTimeout : snapshot.keepAliveTimeout)
    case .judging:
      return heldRefusal?.due ?? .distantFuture
    case .answering, .finished:
      return .distantFuture
    case .tunneling:
      return tunnelDeadline()
    case .collecting:
      // As a whole too: there is little to send, and nobody need have proved who he is.
      return own?.due ?? .distantFuture
    case .draining:
      // As a whole, not between two bytes: nobody unauthenticated holds a connection by dripping.
      return repliedAt.advanced(by: Limits.lingerTimeout)
    case .gathering:
      guard let stay else { return .distantFuture }
      return max(lastRead, stay.began, stay.uploadDue).advanced(by: snapshot.bodyTimeout)
    case .waiting, .relaying:
      guard let transfer else { return .distantFuture }
      // It is the client who takes his time, and the session's clock is on him: the upstream is not read meanwhile.
      if exchange.phase == .relaying && carrier != nil && !mayTakeMore() { return .distantFuture }
      // The queue keeps its own time, and nobody else is late.
      if transfer.isWaiting { return .distantFuture }
      if !exchange.isRequestComplete {
        return transfer.uploadRoom > 0
          ? max(lastRead, lastUpstream, stay?.uploadDue ?? lastRead).advanced(by: snapshot.bodyTimeout) : lastUpstream.advanced(by: idleTimeout(transfer))
      }
      // While we hold it back for its pace it is not the upstream that pauses.
      if exchange.phase == .relaying {
        return (stay == nil ? lastUpstream : max(lastUpstream, stay?.due ?? lastUpstream)).advanced(by: idleTimeout(transfer))
      }
      // libcurl keeps the time of connecting.
      return transfer.wasSent ? lastUpstream.advanced(by: responseTimeout(transfer)) : transfer.connectDeadline ?? .distantFuture
    }
  }

  mutating func arm() {
    let wanted = deadline()
    guard wanted != .distantFuture, wanted < armed ?? .distantFuture else { return }
    armed = wanted
    if let carrier { return worker.watchHTTP2(carrier.session, until: wanted) }
    worker.schedule(token, at: wanted)
  }

  mutating func timerFired() {
    guard !isClosed, let due = armed, worker.now >= due else { return }
    armed = nil
    if worker.now >= deadline() { timedOut() }
    if !isClosed { arm() }
  }

  /// Has the client's socket looked at when it is due, since it wakes us for much alone. By a timer's entry of its own, of which there is
  /// never more than one: the other one's, for a deadline far away, would be left behind each time that this comes first.
  mutating func armLook() {
    guard !isLookArmed, let due = transfer?.uploadMark.due else { return }
    isLookArmed = true
    worker.schedule(EventToken(kind: Worker.Kind.look, slot: token), at: due)
  }

  mutating func lookTimerFired() {
    guard !isClosed else { return }
    isLookArmed = false
    if let transfer, let due = transfer.uploadMark.due, worker.now >= due {
      if wantsInput() {
        transfer.uploadMark.lapsed()
        if !pipeBody() { read() }
        if !isClosed { transfer.uploadMark.looked(stream.descriptor) }
      } else {
        // While the upstream doesn't take what there is, the client has not faltered.
        transfer.uploadMark.lower(stream.descriptor)
      }
    }
    if !isClosed { armLook() }
  }

  mutating func timedOut() {
    if lingerSince != nil || closesWhenFlushed != nil {
      close()
      return
    }
    if stay != nil && outstaysTime() { return advance() }
    switch exchange.phase {
    case .idle where !parser.hasStarted && blockedSince == nil:
      // Nothing was asked, so nothing is answered.
      stream.sayGoodbye()
      close()
      return
    case .judging where blockedSince == nil && heldRefusal != nil:
      giveHeldRefusal()
    case .waiting where blockedSince == nil && transfer?.isUnasked == true && (exchange.isRequestComplete || transfer?.uploadRoom == 0):
      failed(UpstreamFailure(.exhausted, "all ways to the server were busy with other requests for as long as one may wait"))
    case .waiting where blockedSince == nil && (exchange.isRequestComplete || transfer?.uploadRoom == 0):
      let isSent = transfer?.wasSent ?? true
      failed(
        UpstreamFailure(
          .timeout,
          !exchange.isRequestComplete
            ? "request body not taken within idle_timeout"
            : isSent ? "no response within response_timeout" : "no connection had room within twice connect_timeout"))
    case .tunneling where blockedSince == nil:
      endTunnel(tunnel?.blockedSince == nil ? "nothing came either way within tunnel_timeout" : "the upstream took nothing within idle_timeout")
      return
    case .relaying where blockedSince == nil && exchange.isRequestComplete:
      failed(UpstreamFailure(.quiet, "response stopped for longer than idle_timeout"))
    default:
      if blockedSince != nil {
        record.reason = "the client did not read within send_timeout"
        stream.resetOnClose()
        perform(exchange.clientClosed())
        log(.gone)
        close()
        return
      }
      if exchange.phase == .idle { beginRecord() }
      record.reason =
        exchange.phase == .idle
        ? "the request's head did not arrive within header_timeout" : "the request's body did not arrive within body_timeout"
      perform(exchange.clientTimedOut())
    }
    advance()
  }
}
