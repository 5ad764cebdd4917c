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
  var connection: HTTP1Connection?
  /// While libcurl makes a connection for it.
  var connector: Connector?

  var framing = BodyFraming.none
  var isHead = false
  /// On a connection of its own, which ends with it: kept, each would be one more idle connection that takes a place of the upstream's.
  var isAlone = false

  // Where a login is the connection's; nil and nothing else.
  /// As whom it goes.
  var standing: AccountStanding?
  /// The login that it had to make.
  var handshake: NTLMHandshake?
  /// When that is to be looked at; since when it waits for its turn.
  var loginDue: Instant?
  var waitsSince = Instant(nanoseconds: 0)
  /// Whether it is among `UpstreamClient.watched`.
  var isWatched = false

  // Sending.
  /// Bytes of the head, and how many of them were sent.
  var headCount = 0
  var headSent = 0
  /// Of the body what is on its way, as chunks if it is chunked. With TLS, OpenSSL may have looked at it, and it must neither change nor move.
  var sending: ByteBuffer {
    @inline(__always) _read { yield sendingBox.value }
    @inline(__always) _modify { yield &sendingBox.value }
  }
  private let sendingBox = UniqueBox(ByteBuffer())
  var uploadTrailers = ByteBuffer()
  /// The upstream takes no more: what is still handed over is dropped.
  var isDeaf = false
  /// Writing told of a broken connection. Reading will not tell again: what follows the bytes that are still there looks like an orderly end.
  var isBroken = false

  // Reading.
  /// Bytes read at first: the head and the beginning of the body, which is copied.
  static let firstRead = 16 << 10
  /// As many bytes of a body make a chunk of their own; fewer are gathered.
  static let chunkAlone = 4 << 10
  enum Reading { case head, body, tunnel }
  var reading = Reading.head
  /// The beginning of a line whose end hasn't come yet.
  var partial: ByteBuffer {
    @inline(__always) _read { yield partialBox.value }
    @inline(__always) _modify { yield &partialBox.value }
  }
  private let partialBox = UniqueBox(ByteBuffer())
  var hasPartial = false
  /// The last read got all that it asked for: there may be more.
  var wasFull = false
  var reader: ResponseBodyReader {
    @inline(__always) _read { yield readerBox.value }
    @inline(__always) _modify { yield &readerBox.value }
  }
  private let readerBox = UniqueBox(ResponseBodyReader())
  // Of the head, as soon as it is complete.
  var endsWithConnection = false
  var isPersistent = false
  /// While the body is held: when it goes although the server has said nothing.
  var heldUntil: Instant?
  /// For the upstream's socket while the pipe is filled from it.
  var mark = LowWaterMark()

  // MARK: Beginning

  override func begin() throws(UpstreamFailure) {
    framing = shape.framing
    isHead = shape.isHead
    let hasBody = if case .none = framing { false } else { framing != .length(0) }
    guard let storage else { return }
    if !storage.isFramed { Self.frame(storage, framing) }
    headCount = storage.texts.count
    // The last chunk is a body's too.
    hasUpload = hasBody
    // What must not be sent twice gets a new connection, so that it does not fail over one that the upstream is just closing.
    isAlone = hasBody || !shape.isReplayable || shape.isIsolated
    if shape.isUpgrade { head.expectsSwitch = true }
    guard let pool else { return }
    if !isAlone, let idle = client.takeIdle(pool) {
      isReusedConnection = true
      attach(idle)
    } else if let standing {
      try beginLogin(standing, in: pool)
    } else {
      try client.connect(self, to: pool)
    }
  }

  static func frame(_ storage: RequestStorage, _ framing: BodyFraming) {
    switch framing {
    case .none, .length(0): break
    case .length(let n):
      storage.texts.append("Content-Length: ")
      storage.texts.append(decimal: n)
      storage.texts.append("\r\n")
    case .chunked: storage.texts.append("Transfer-Encoding: chunked\r\n")
    }
    storage.texts.append("\r\n")
    storage.isFramed = true
  }

  override func takeUpload(of other: Transfer) {
    guard let other = other as? HTTP1Transfer else { return super.takeUpload(of: other) }
    hasUpload = hasUpload || other.hasUpload
    isUploadEnded = other.isUploadEnded
    // As it goes onto the wire: what was sent, what stands ready, and what came behind it.
    swap(&upload, &other.upload)
    swap(&sending, &other.sending)
    if !other.kept.isEmpty { Self.put(&other.kept, before: &sending) }
    swap(&uploadTrailers, &other.uploadTrailers)
    isEndQueued = other.isEndQueued
  }

  override func forgetUpload() {
    super.forgetUpload()
    if isDeaf { dropUpload() }
  }

  override func rewindUpload() {
    sending.removeAll()
    super.rewindUpload()
  }

  /// A connection stands: what there is goes out.
  func attach(_ connection: HTTP1Connection) {
    self.connection = connection
    connection.transfer = self
    attempts += 1
    sentAt = client.now
    headSent = 0
    if case .none = framing {} else { wantsBody = !isUploadEnded && !holdsBody }
    if wantsBody { client.markReady(self) }
    flush(connection)
  }

  static let earlyAnswer = UpstreamFailure(.malformed, "an answer came before the request")

  override func finished(_ easy: UnsafeMutableRawPointer, _ code: UInt32) {
    guard let connector, let pool else { return }
    self.connector = nil
    let code = CURLcode(rawValue: code)
    guard code == CURLE_OK else {
      let failure = UpstreamFailure.from(code, detail: connector.errorText.text, wasSent: false, headComplete: false, via: options.via)
      client.abandon(connector, of: self, in: pool)
      handshake?.cancel()
      return end(.failed(failure))
    }
    // What says whose the connection is comes before TLS.
    let isAnnounced = pool.options.announcesBeforeTLS
    if isAnnounced && !connector.isForOne { return encrypt(connector, in: pool) }
    guard let connection = client.adopt(connector, for: self, in: pool) else {
      handshake?.cancel()
      return end(.failed(UpstreamFailure(.unreachable, "the connection was gone as soon as it stood")))
    }
    isReusedConnection = false
    // A new connection on which the server speaks first: its answer would be this request's, and the real one the next client's.
    if let failure = connection.isEncrypted ? connection.earlyWord : connection.hasUnread ? Self.earlyAnswer : nil {
      connection.close()
      handshake?.cancel()
      return end(.failed(failure))
    }
    if !isAnnounced, let preface = storage?.preface, !connection.begin(with: preface) {
      connection.close()
      handshake?.cancel()
      return end(.failed(UpstreamFailure(.unreachable, "the connection ended as soon as it stood")))
    }
    if let handshake { return logIn(connection, by: handshake) }
    attach(connection)
    // The time for the answer begins, and who waits for it can't know otherwise: it was asleep while the connection was made.
    client.markReady(self)
  }

  // MARK: Sending

  override func send(_ bytes: Span<UInt8>) {
    if isDeaf && !isUploadKept { return }
    hasUpload = true
    if framing == .chunked && bytes.count >= Self.chunkAlone && upload.isEmpty && options.isClear {
      // Worth a chunk of its own: framed at once, it is copied once less. With TLS what stands there must stay as it is.
      makeRoom(&sending, for: bytes.count)
      ChunkedEncoder.appendChunk(bytes, to: &sending)
    } else {
      makeRoom(&upload, for: bytes.count)
      upload.append(bytes)
    }
  }

  override var uploadWaiting: Int { upload.count + sending.count }

  override func pipeForUpload(left: UInt64) -> SplicePipe? {
    guard allowsPipes, left >= UpstreamClient.pipeThreshold || uploadPipe != nil, let connection, !connection.isEncrypted, !isDeaf,
      !isUploadKept, !holdsBody, !keepsForLogin, upload.isEmpty, sending.isEmpty, headSent == headCount, case .length = framing
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
  var isEndQueued = false

  /// Makes of what was handed over what goes onto the wire.
  func prepareBody(_ connection: HTTP1Connection) {
    // With TLS what has begun to go out must neither change nor move.
    guard !isEndQueued, sending.isEmpty || (isUploadEnded && upload.isEmpty && !connection.isEncrypted) else { return }
    if framing == .chunked {
      makeRoom(&sending, for: upload.count)
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

  static func appendChunk(_ bytes: borrowing ByteBuffer, to out: inout ByteBuffer) {
    ChunkedEncoder.appendChunk(bytes.span, to: &out)
  }

  /// Whether the request is wholly with the kernel.
  var isSent: Bool {
    guard hasUpload else { return headSent == headCount && isUploadEnded }
    return headSent == headCount && upload.isEmpty && (uploadPipe?.isEmpty ?? true) && sending.isEmpty && isUploadEnded
      && (framing != .chunked || isEndQueued)
  }

  /// There is room to write again.
  func writable(_ connection: HTTP1Connection) {
    connection.watchWriting(false)
    flush(connection)
  }

  /// Sends what there is, as far as the upstream takes it.
  func flush(_ connection: HTTP1Connection) {
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
          wentDeaf(connection)
        case .failed(let code):
          isDeaf = true
          isBroken = code != EPIPE
          wentDeaf(connection)
        }
        return
      }
      let headLeft = headCount - headSent
      if holdsBody {
        if headLeft == 0 { return waitForContinue() }
      } else {
        prepareBody(connection)
      }
      let isFramed = !sending.isEmpty
      let isPiped = headLeft == 0 && !isFramed && upload.isEmpty
      let result: IOResult
      if isPiped {
        guard let uploadPipe, !uploadPipe.isEmpty else { break }
        result = uploadPipe.drain(to: connection.descriptor)
      } else if headLeft > 0 {
        result =
          holdsBody
          ? connection.write(storage.texts, from: headSent)
          : isFramed ? connection.write(storage.texts, from: headSent, sending) : connection.write(storage.texts, from: headSent, upload)
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
          if isFramed {
            sent(n - ofHead, of: sending)
            sending.consume(n - ofHead)
          } else {
            sent(n - ofHead, of: upload)
            upload.consume(n - ofHead)
          }
        }
        continue
      case .wouldBlock:
        connection.watchWriting(true)
      case .closed, .failed:
        // The upstream may have answered before it hung up, which is then read. If it hasn't, reading tells. EPIPE is what is left of an end
        // in order, when it came first.
        isDeaf = true
        if case .failed(let code) = result, code != EPIPE { isBroken = true }
        // Another server may want it.
        if !isUploadKept { dropUpload() }
        wentDeaf(connection)
        return
      }
      break
    }
    isSendPaused = hasUpload && upload.isEmpty && sending.isEmpty && (uploadPipe?.isEmpty ?? true) && !isUploadEnded
    // The caller has room again.
    if took {
      if burden != nil && upload.isEmpty && sending.isEmpty { letGo() }
      client.markReady(self)
    }
  }

  /// Reads what the upstream said before it took no more. Not what has to wait until the client has taken what came before it: only an empty
  /// pipe is filled, and `resume` has it read.
  private func wentDeaf(_ connection: HTTP1Connection) {
    if !isReceivePaused { readable(connection) }
  }

  /// What is still handed over is of no use any more.
  func dropUpload() {
    upload.removeAll()
    sending.removeAll()
    if burden != nil { letGo() }
    if let uploadPipe { client.giveBack(uploadPipe) }
    uploadPipe = nil
  }

  override func resume() -> Bool {
    guard let connection else { return false }
    if hasUpload || headSent < headCount { flush(connection) }
    guard self.connection === connection, isReceivePaused, body.count < mostBody / 2, pipe?.isEmpty ?? true else { return false }
    isReceivePaused = false
    connection.watchReading(true)
    if connection.isEncrypted { client.readLater(connection) }
    return true
  }

  // MARK: The end

  func complete(_ connection: HTTP1Connection, hasExcess: Bool) {
    // Bytes beyond the answer are nobody's: the connection goes with them. So does one that still waits for a part of the request.
    var isReusable = !hasExcess && isPersistent && isSent && !isDeaf && !endsWithConnection && !isAlone
    // The next request may take it in this very turn. A read that got less than it asked for has emptied the socket, and any other has not;
    // with TLS none has.
    if isReusable && (wasFull || connection.isEncrypted) { isReusable = connection.isQuiet }
    var mine: HTTP1Connection?
    swap(&mine, &self.connection)
    connection.transfer = nil
    if isReusable, let pool, let mine {
      client.putAside(mine, in: pool)
    } else if let standing, let pool {
      keepLoggedIn(connection, standing, in: pool, hasExcess: hasExcess)
    } else {
      connection.close()
    }
    end(.complete)
  }

  func fail(_ connection: HTTP1Connection, _ failure: UpstreamFailure) {
    detach(connection)
    connection.close()
    handshake?.settle()
    end(.failed(failure))
  }

  func detach(_ connection: HTTP1Connection) {
    connection.transfer = nil
    self.connection = nil
  }

  func end(_ outcome: Outcome) {
    self.outcome = outcome
    client.finish(self)
    client.markReady(self)
  }

  /// One that may have become a tunnel goes: its upstream may have another engine for all else.
  override var canBeReused: Bool { !shape.isUpgrade }

  override func cancel() {
    if standing != nil { leaveLogin() }
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
    if pipe != nil { mark = LowWaterMark() }
    super.reset()
    headSent = 0
    if hasPartial { partial.removeAll(keepingAtMost: 4096) }
    hasPartial = false
    isDeaf = false
    isBroken = false
    wasFull = false
    reading = .head
    heldUntil = nil
    // The next request may be one that logs in as nobody.
    if standing != nil { (standing, handshake, loginDue) = (nil, nil, nil) }
  }

  override func letGo() {
    super.letGo()
    // Where the bytes were when they were sent.
    giveBack(&sending)
  }

  override func resetUpload() {
    super.resetUpload()
    giveBack(&sending)
    isEndQueued = false
    uploadTrailers.removeAll()
  }
}
