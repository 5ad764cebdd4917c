// How our own HTTP/1.1 reads a response: head, body and the end of both, and what each way to break off means.

import CCurl
import Glibc
import HTTP
import Net
import Primitives

extension HTTP1Transfer {
  /// Something may be there to be read.
  func readable(_ connection: HTTP1Connection) {
    // Who failed to write comes here too, perhaps while a pipe is full and the client doesn't read: the rest is read, and its end met, when
    // that has gone. `resume` has us called then.
    if isReceivePaused { return }
    if reading == .tunnel { return client.markReady(self) }
    // So many reads, then others have their turn.
    for _ in 0..<8 {
      let result: IOResult
      var isDrained = true
      // What the pipe can't have, reading tells of. It also skips an urgent byte (tcp(7)), before which splice(2) stops for good.
      if reading == .body, let pipe, let left = reader.bytesLeft,
        case .bytes(let n) = pipe.fill(from: connection.descriptor, atMost: Int(clamping: left))
      {
        return tookPiped(n, connection)
      }
      if reading == .body, let direct = reader.directLimit {
        // Straight into the body. One byte more than is left of it, so that bytes beyond its end show themselves.
        let limit = max(1, min(direct, mostBody - body.count))
        makeRoom(&body, for: limit)
        result = connection.read(into: &body, atMost: limit)
        if case .bytes(let n) = result {
          isDrained = n < limit
          wasFull = !isDrained
          tookBody(n, connection)
        }
      } else {
        var input = ByteBuffer()
        swap(&input, &client.readBuffer.value)
        if hasPartial { input.append(partial.span) }
        let limit = reading == .head ? Self.firstRead : UpstreamClient.readSize
        result = connection.read(into: &input, atMost: limit)
        if case .bytes(let n) = result {
          isDrained = n < limit
          wasFull = !isDrained
          if hasPartial { partial.removeAll() }
          take(&input, connection)
        }
        input.removeAll()
        swap(&input, &client.readBuffer.value)
      }
      switch result {
      case .bytes: break
      case .wouldBlock: return
      case .closed: return closed(connection, nil)
      case .failed(let code): return closed(connection, code)
      }
      guard self.connection === connection, !isReceivePaused, reading != .tunnel else { return }
      // In clear text the poller tells of more; what OpenSSL holds it doesn't know.
      if isDrained && !connection.isEncrypted { return }
    }
    if connection.isEncrypted { client.readLater(connection) }
  }

  /// Takes what was read, and keeps what it can't use yet.
  func take(_ input: inout ByteBuffer, _ connection: HTTP1Connection) {
    if firstByteAt == nil { firstByteAt = client.now }
    switch take(&input, connection, &reader) {
    case .more:
      pauseIfFull()
      if heldUntil != nil && !holdsBody && !isHeadComplete { sendHeld(connection) }
    case .end:
      complete(connection, hasExcess: !input.isEmpty)
    case .notAsked(let reason):
      fail(connection, UpstreamFailure(.malformed, "\(reason)"))
    case .noTunnel:
      fail(connection, UpstreamFailure(.noTunnel, "\(head.status) to a CONNECT, which its client would take for a tunnel"))
    case .failed(let reason):
      fail(connection, UpstreamFailure(isHeadComplete ? .truncated : .malformed, "\(reason)"))
    }
  }

  /// What stopped the reading of what there was.
  private enum Stop {
    case more, end
    case failed(StaticString)
    /// Its 101 leads nowhere that the request asked for.
    case notAsked(StaticString)
    case noTunnel
  }

  private func take(_ input: inout ByteBuffer, _ connection: HTTP1Connection, _ reader: inout ResponseBodyReader) -> Stop {
    if reading == .head {
      if let failure = takeHead(&input, &head, &reader) { return .failed(failure.reason) }
      guard isHeadComplete else {
        hasPartial = true
        partial.append(input.span)
        return .more
      }
      // Elsewhere no 101 can come.
      if head.expectsSwitch, let stop = judgeSwitch(&input, connection) { return stop }
      reading = .body
      // RFC 9112 section 9.5: who is told of a refusal in the middle of sending stops sending.
      // A body that was held has another request to go with, perhaps.
      if !isUploadEnded && !holdsBody && head.status >= 300 {
        isDeaf = true
        // Another server may be sent it, whole: see `settles`.
        if !isUploadKept { dropUpload() }
      }
      if allowsPipes, let left = reader.bytesLeft, left >= UpstreamClient.pipeThreshold, !connection.isEncrypted {
        pipe = client.takePipe()
      }
    }
    while true {
      switch reader.next(input.span) {
      case .needMore(let consumed):
        input.consume(consumed)
        return .more
      case .data(let start, let count):
        makeRoom(&body, for: count)
        body.append(input.span.extracting(start..<(start + count)))
        input.consume(start + count)
        client.markReady(self)
      case .end(let consumed):
        input.consume(consumed)
        if reader.hasTrailers { trailers = reader.trailers }
        return .end
      case .failed(let failure):
        return .failed(failure.reason)
      }
    }
  }

  /// What came of a request to switch; nil where the answer is one like others.
  private func judgeSwitch(_ input: inout ByteBuffer, _ connection: HTTP1Connection) -> Stop? {
    if head.status == 101 { return openTunnel(&input, connection).map { .notAsked($0) } ?? .more }
    // RFC 8441 section 5, RFC 9110 section 9.3.6: to a CONNECT every 2xx says that there is a tunnel.
    return head.status < 300 && storage?.upgrade?.isConnect == true ? .noTunnel : nil
  }

  /// Takes the head as far as it is there.
  private func takeHead(_ input: inout ByteBuffer, _ head: inout ResponseHead, _ reader: inout ResponseBodyReader) -> ResponseFailure? {
    while !isHeadComplete {
      let (result, consumed) = head.take(input.span, limits: client.headLimits)
      if let failure = took(result, head) { return failure }
      input.consume(consumed)
      if result == .more { return nil }
    }
    isPersistent = head.isPersistent
    reader.begin(head, isHead: isHead)
    endsWithConnection = reader.endsWithConnection
    return nil
  }

  /// `n` bytes were read straight into the body.
  func tookBody(_ n: Int, _ connection: HTTP1Connection) {
    let (excess, isComplete) = reader.took(n)
    if excess > 0 { body.truncate(to: body.count - excess) }
    client.markReady(self)
    if isComplete { complete(connection, hasExcess: excess > 0) } else { pauseIfFull() }
  }

  /// `n` bytes went straight into the pipe, which the client empties before more is read.
  func tookPiped(_ n: Int, _ connection: HTTP1Connection) {
    let (_, isComplete) = reader.took(n)
    client.markReady(self)
    if mark.took(n, left: reader.bytesLeft ?? 0, from: connection.descriptor, at: client.now), let pipe {
      client.pipes.widen(pipe)
      mark.raise(to: pipe.capacity, connection.descriptor, at: client.now)
    }
    if mark.isRaised { client.look(at: self) }
    // Of bytes beyond the end none was taken: they show themselves here.
    if isComplete { complete(connection, hasExcess: connection.hasUnread) } else { pauseReceiving() }
  }

  /// When the socket is to be looked at although the poller says nothing; nil for not at all.
  var lookDue: Instant? { loginDue ?? heldUntil ?? mark.due }

  /// That time has come.
  func look() {
    if loginDue != nil { return lookAtLogin() }
    guard let connection else { return }
    if heldUntil != nil {
      // RFC 9110 section 10.1.1: nobody waits for ever for a 100 of a server that knows none.
      if !isHeadComplete { sendHeld(connection) }
      return
    }
    // While the client doesn't take what there is, the upstream has not faltered.
    if isReceivePaused { return mark.lower(connection.descriptor) }
    mark.lapsed()
    readable(connection)
    if self.connection === connection { mark.looked(connection.descriptor) }
  }

  func pauseIfFull() {
    if body.count >= mostBody { pauseReceiving() }
  }

  /// The upstream has hung up, or the connection broke.
  func closed(_ connection: HTTP1Connection, _ code: Int32?) {
    if code == nil && !isBroken && reading == .body && endsWithConnection { return complete(connection, hasExcess: false) }
    var what = code == nil && !isBroken ? "connection closed" : "connection broken"
    if let detail = connection.errorText { what += " (\(detail))" }
    if isHeadComplete { return fail(connection, UpstreamFailure(.truncated, "\(what) inside the response's body")) }
    if firstByteAt != nil { return fail(connection, UpstreamFailure(.malformed, "\(what) inside the response's head")) }
    // RFC 9112 section 9.3.1: a connection that was idle may have been closed before the request reached it. What can be repeated is.
    if isReusedConnection && attempts < maxAttempts, let pool {
      detach(connection)
      connection.close()
      isDeaf = false
      isBroken = false
      do {
        if let standing { try beginLogin(standing, in: pool) } else { try client.connect(self, to: pool) }
      } catch {
        end(.failed(error))
      }
      return
    }
    fail(connection, UpstreamFailure(.unreachable, "\(what) before the response"))
  }
}
