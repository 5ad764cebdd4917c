// A request and its response spoken by ourselves: RFC 9112 as a client. Sends head and body as the upstream takes them, and trusts not one
// byte of what comes back.

import CCurl
import Glibc
import HTTP
import Net
import Primitives

/// Our own HTTP/1.1. At most one connection at a time; one request is sent twice only where that is harmless.
final class HTTP1Transfer: Transfer {
  /// The connection it travels on.
  private var connection: HTTP1Connection?
  /// While libcurl makes a connection for it.
  var connector: Connector?

  private var framing = BodyFraming.none
  private var isHead = false
  /// On a connection of its own, which ends with it: kept, each would be one more idle connection that takes a place of the upstream's.
  private var isAlone = false

  // Sending.
  /// Bytes of the head, and how many of them were sent.
  private var headCount = 0
  private var headSent = 0
  /// Of the body what is on its way, as chunks if it is chunked. With TLS, OpenSSL may have looked at it, and it must neither change nor move.
  private var sending = ByteBuffer()
  private var uploadTrailers = ByteBuffer()
  /// The upstream takes no more: what is still handed over is dropped.
  private var isDeaf = false
  /// Writing told of a broken connection. Reading will not tell again: what follows the bytes that are still there looks like an orderly end.
  private var isBroken = false

  // Reading.
  /// Bytes read at first: the head and the beginning of the body, which is copied.
  static let firstRead = 16 << 10
  private enum Reading { case head, body }
  private var reading = Reading.head
  /// The beginning of a line whose end hasn't come yet.
  private var partial = ByteBuffer()
  private var hasPartial = false
  /// The last read got all that it asked for: there may be more.
  private var wasFull = false
  private var bodyReader = ResponseBodyReader()
  /// For the upstream's socket while the pipe is filled from it.
  private var mark = LowWaterMark()

  // MARK: Beginning

  override func begin(_ request: borrowing UpstreamRequest) throws(UpstreamFailure) {
    let storage = request.storage
    framing = request.framing
    isHead = request.isHead
    var hasBody = false
    switch framing {
    case .none, .length(0):
      break
    case .length(let n):
      hasBody = true
      storage.texts.append("Content-Length: ")
      storage.texts.append(decimal: n)
      storage.texts.append("\r\n")
    case .chunked:
      hasBody = true
      storage.texts.append("Transfer-Encoding: chunked\r\n")
    }
    storage.texts.append("\r\n")
    headCount = storage.texts.count
    // The last chunk is a body's too.
    hasUpload = hasBody
    // What must not be sent twice gets a new connection, so that it does not fail over one that the upstream is just closing.
    isAlone = hasBody || !request.isReplayable || request.isIsolated
    guard let pool else { return }
    if !isAlone, let idle = client.takeIdle(pool) {
      isReusedConnection = true
      attach(idle)
    } else {
      try client.connect(self, to: pool)
    }
  }

  /// A connection stands: what there is goes out.
  private func attach(_ connection: HTTP1Connection) {
    self.connection = connection
    connection.transfer = self
    attempts += 1
    sentAt = client.now
    headSent = 0
    if case .none = framing {} else { wantsBody = !isUploadEnded }
    if wantsBody { client.markReady(self) }
    flush(connection)
  }

  static let earlyAnswer = UpstreamFailure(.malformed, "an answer came before the request")

  override func finished(_ easy: UnsafeMutableRawPointer, _ code: UInt32) {
    guard let connector, let pool else { return }
    self.connector = nil
    let code = CURLcode(rawValue: code)
    guard code == CURLE_OK else {
      let failure = UpstreamFailure.from(code, detail: connector.errorText.text, wasSent: false, headComplete: false)
      client.abandon(connector, of: self, in: pool)
      return end(.failed(failure))
    }
    guard let connection = client.adopt(connector, for: self, in: pool) else {
      return end(.failed(UpstreamFailure(.unreachable, "the connection was gone as soon as it stood")))
    }
    isReusedConnection = false
    // A new connection on which the server speaks first: its answer would be this request's, and the real one the next client's.
    if let failure = connection.isEncrypted ? connection.earlyWord : connection.hasUnread ? Self.earlyAnswer : nil {
      connection.close()
      return end(.failed(failure))
    }
    attach(connection)
  }

  // MARK: Sending

  override func send(_ bytes: Span<UInt8>) {
    if isDeaf { return }
    hasUpload = true
    upload.append(bytes)
  }

  override func pipeForUpload(left: UInt64) -> SplicePipe? {
    guard allowsPipes, left >= UpstreamClient.pipeThreshold || uploadPipe != nil, let connection, !connection.isEncrypted, !isDeaf,
      upload.isEmpty, sending.isEmpty, headSent == headCount, case .length = framing
    else { return nil }
    hasUpload = true
    if uploadPipe == nil { uploadPipe = client.takePipe() }
    return uploadPipe.flatMap { $0.isEmpty ? $0 : nil }
  }

  override func addTrailer(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    uploadTrailers.append(name)
    uploadTrailers.append(": ")
    uploadTrailers.append(value)
    uploadTrailers.append("\r\n")
  }

  override func endUpload() {
    isUploadEnded = true
  }

  /// Whether the last chunk is among what is sent, or not needed.
  private var isEndQueued = false

  /// Makes of what was handed over what goes onto the wire.
  private func prepareBody(_ connection: HTTP1Connection) {
    guard sending.isEmpty, !isEndQueued else { return }
    if framing == .chunked {
      Self.appendChunk(upload, to: &sending)
      upload.removeAll()
      guard isUploadEnded else { return }
      isEndQueued = true
      sending.append("0\r\n")
      sending.append(uploadTrailers.span)
      sending.append("\r\n")
    } else if connection.isEncrypted {
      swap(&sending, &upload)
    }
  }

  private static func appendChunk(_ bytes: borrowing ByteBuffer, to out: inout ByteBuffer) {
    ChunkedEncoder.appendChunk(bytes.span, to: &out)
  }

  /// Whether the request is wholly with the kernel.
  private var isSent: Bool {
    guard hasUpload else { return headSent == headCount && isUploadEnded }
    return headSent == headCount && upload.isEmpty && (uploadPipe?.isEmpty ?? true) && sending.isEmpty && isUploadEnded && (framing != .chunked || isEndQueued)
  }

  /// There is room to write again.
  func writable(_ connection: HTTP1Connection) {
    connection.watchWriting(false)
    flush(connection)
  }

  /// Sends what there is, as far as the upstream takes it.
  private func flush(_ connection: HTTP1Connection) {
    guard let storage, !isDeaf else { return }
    var took = false
    while true {
      if !hasUpload {
        if headSent == headCount { break }
        switch connection.write(storage.texts, from: headSent) {
        case .bytes(let n):
          headSent += n
          continue
        case .wouldBlock:
          connection.watchWriting(true)
        case .closed:
          isDeaf = true
          readable(connection)
        case .failed(let code):
          isDeaf = true
          isBroken = code != EPIPE
          readable(connection)
        }
        return
      }
      prepareBody(connection)
      let headLeft = headCount - headSent
      let isFramed = !sending.isEmpty
      let isPiped = headLeft == 0 && !isFramed && upload.isEmpty
      let result: IOResult
      if isPiped {
        guard let uploadPipe, !uploadPipe.isEmpty else { break }
        result = uploadPipe.drain(to: connection.descriptor)
      } else if headLeft > 0 {
        result =
          isFramed ? connection.write(storage.texts, from: headSent, sending) : connection.write(storage.texts, from: headSent, upload)
      } else {
        result = isFramed ? connection.write(sending) : connection.write(upload)
      }
      switch result {
      case .bytes(let n):
        let ofHead = min(n, headLeft)
        headSent += ofHead
        if n > ofHead {
          took = true
          if isPiped { continue }
          if isFramed { sending.consume(n - ofHead) } else { upload.consume(n - ofHead) }
        }
        continue
      case .wouldBlock:
        connection.watchWriting(true)
      case .closed, .failed:
        // The upstream may have answered before it hung up, which is then read. If it hasn't, reading tells. EPIPE is what is left of an end
        // in order, when it came first.
        isDeaf = true
        if case .failed(let code) = result, code != EPIPE { isBroken = true }
        dropUpload()
        readable(connection)
        return
      }
      break
    }
    isSendPaused = hasUpload && upload.isEmpty && sending.isEmpty && (uploadPipe?.isEmpty ?? true) && !isUploadEnded
    // The caller has room again.
    if took { client.markReady(self) }
  }

  /// What is still handed over is of no use any more.
  private func dropUpload() {
    upload.removeAll()
    sending.removeAll()
    if let uploadPipe { client.giveBack(uploadPipe) }
    uploadPipe = nil
  }

  // MARK: Reading

  override func resume() -> Bool {
    guard let connection else { return false }
    flush(connection)
    guard self.connection === connection, isReceivePaused, body.count < Self.bodyLimit / 2, pipe?.isEmpty ?? true else { return false }
    isReceivePaused = false
    connection.watchReading(true)
    if connection.isEncrypted { client.readLater(connection) }
    return true
  }

  /// Something may be there to be read.
  func readable(_ connection: HTTP1Connection) {
    // So many reads, then others have their turn.
    for _ in 0..<8 {
      let result: IOResult
      var isDrained = true
      if reading == .body, let pipe, let left = bodyReader.bytesLeft {
        result = pipe.fill(from: connection.descriptor, atMost: Int(clamping: left))
        if case .bytes(let n) = result { return tookPiped(n, connection) }
      } else if reading == .body, let direct = bodyReader.directLimit {
        // Straight into the body. One byte more than is left of it, so that bytes beyond its end show themselves.
        let limit = max(1, min(direct, Self.bodyLimit - body.count))
        result = connection.read(into: &body, atMost: limit)
        if case .bytes(let n) = result {
          isDrained = n < limit
          wasFull = !isDrained
          tookBody(n, connection)
        }
      } else {
        var input = ByteBuffer()
        swap(&input, &client.readBuffer)
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
        swap(&input, &client.readBuffer)
      }
      switch result {
      case .bytes: break
      case .wouldBlock: return
      case .closed: return closed(connection, nil)
      case .failed(let code): return closed(connection, code)
      }
      guard self.connection === connection, !isReceivePaused else { return }
      // In clear text the poller tells of more; what OpenSSL holds it doesn't know.
      if isDrained && !connection.isEncrypted { return }
    }
    if connection.isEncrypted { client.readLater(connection) }
  }

  /// Takes what was read, and keeps what it can't use yet.
  private func take(_ input: inout ByteBuffer, _ connection: HTTP1Connection) {
    if firstByteAt == nil { firstByteAt = client.now }
    if reading == .head {
      guard takeHead(&input, connection) else { return }
    }
    while true {
      switch bodyReader.next(input.span) {
      case .needMore(let consumed):
        input.consume(consumed)
        return pauseIfFull()
      case .data(let start, let count):
        body.append(input.span.extracting(start..<(start + count)))
        input.consume(start + count)
        client.markReady(self)
      case .end(let consumed):
        input.consume(consumed)
        if !bodyReader.trailers.isEmpty { trailers = bodyReader.trailers }
        return complete(connection, hasExcess: !input.isEmpty)
      case .failed(let failure):
        return fail(connection, UpstreamFailure(.truncated, "\(failure.reason)"))
      }
    }
  }

  /// Takes the head as far as it is there. True when it is complete.
  private func takeHead(_ input: inout ByteBuffer, _ connection: HTTP1Connection) -> Bool {
    while !isHeadComplete {
      let (result, consumed) = head.take(input.span, limits: client.headLimits)
      if let failure = took(result) {
        fail(connection, UpstreamFailure(.malformed, "\(failure.reason)"))
        return false
      }
      input.consume(consumed)
      if result == .more {
        hasPartial = true
        partial.append(input.span)
        return false
      }
    }
    reading = .body
    bodyReader.begin(head, isHead: isHead)
    // RFC 9112 section 9.5: who is told of a refusal in the middle of sending stops sending.
    if head.status >= 300 && !isUploadEnded {
      isDeaf = true
      dropUpload()
    }
    if allowsPipes, let left = bodyReader.bytesLeft, left >= UpstreamClient.pipeThreshold, !connection.isEncrypted { pipe = client.takePipe() }
    return true
  }

  /// `n` bytes were read straight into the body.
  private func tookBody(_ n: Int, _ connection: HTTP1Connection) {
    let (excess, isComplete) = bodyReader.took(n)
    if excess > 0 { body.truncate(to: body.count - excess) }
    client.markReady(self)
    if isComplete { complete(connection, hasExcess: excess > 0) } else { pauseIfFull() }
  }

  /// `n` bytes went straight into the pipe, which the client empties before more is read.
  private func tookPiped(_ n: Int, _ connection: HTTP1Connection) {
    let (_, isComplete) = bodyReader.took(n)
    client.markReady(self)
    mark.took(n, left: bodyReader.bytesLeft ?? 0, from: connection.descriptor, at: client.now)
    if mark.isRaised { client.look(at: self) }
    // Of bytes beyond the end none was taken: they show themselves here.
    if isComplete { complete(connection, hasExcess: connection.hasUnread) } else { isReceivePaused = true }
  }

  /// When the socket is to be looked at although the poller says nothing; nil for not at all.
  var lookDue: Instant? { mark.due }

  /// That time has come.
  func look() {
    guard let connection else { return }
    mark.lapsed()
    if !isReceivePaused { readable(connection) }
    if self.connection === connection { mark.looked(connection.descriptor) }
  }

  private func pauseIfFull() {
    if body.count >= Self.bodyLimit { isReceivePaused = true }
  }

  /// The upstream has hung up, or the connection broke.
  private func closed(_ connection: HTTP1Connection, _ code: Int32?) {
    if code == nil && !isBroken && reading == .body && bodyReader.endsWithConnection { return complete(connection, hasExcess: false) }
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
      do { try client.connect(self, to: pool) } catch { end(.failed(error)) }
      return
    }
    fail(connection, UpstreamFailure(.unreachable, "\(what) before the response"))
  }

  // MARK: The end

  private func complete(_ connection: HTTP1Connection, hasExcess: Bool) {
    // Bytes beyond the answer are nobody's: the connection goes with them. So does one that still waits for a part of the request.
    var isReusable = !hasExcess && head.isPersistent && isSent && !isDeaf && !bodyReader.endsWithConnection && !isAlone
    // The next request may take it in this very turn. A read that got less than it asked for has emptied the socket, and any other has not;
    // with TLS none has.
    if isReusable && (wasFull || connection.isEncrypted) { isReusable = connection.isQuiet }
    detach(connection)
    if isReusable, let pool { client.putAside(connection, in: pool) } else { connection.close() }
    end(.complete)
  }

  private func fail(_ connection: HTTP1Connection, _ failure: UpstreamFailure) {
    detach(connection)
    connection.close()
    end(.failed(failure))
  }

  private func detach(_ connection: HTTP1Connection) {
    connection.transfer = nil
    self.connection = nil
  }

  private func end(_ outcome: Outcome) {
    self.outcome = outcome
    client.finish(self)
    client.markReady(self)
  }

  override func cancel() {
    if let connector {
      self.connector = nil
      client.abandon(connector, of: self, in: pool)
    }
    if let connection {
      detach(connection)
      connection.close()
    }
  }

  override func reset() {
    super.reset()
    headSent = 0
    if hasPartial { partial.removeAll(keepingAtMost: 4096) }
    hasPartial = false
    isDeaf = false
    isBroken = false
    wasFull = false
    reading = .head
    mark = LowWaterMark()
  }

  override func resetUpload() {
    super.resetUpload()
    sending.removeAll(keepingAtMost: Self.keptCapacity)
    isEndQueued = false
    uploadTrailers.removeAll()
  }
}
