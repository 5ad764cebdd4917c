// A request and its response over HTTP/2, spoken by ourselves: RFC 9113 as a client. The frames are `MultiplexedConnection`'s; here is what they mean for
// one request, and not one byte of what comes back is trusted.

import CCurl
import HTTP
import HTTP2
import Net
import Primitives

/// One stream's request. It is sent twice only where the server has said that it did nothing about it, or where that is harmless.
final class HTTP2Transfer: Transfer {
  /// The connection it travels on.
  private(set) var connection: MultiplexedConnection?
  private var stream: HTTP2ClientStream?
  /// While libcurl makes a connection for it, and perhaps for others.
  var connector: Connector?
  /// On a connection of its own, which ends with it.
  private(set) var isAlone = false

  // Sending.
  private var uploadTrailers = ByteBuffer()
  /// Bytes of a body of which a copy is kept, for a server that refuses the stream.
  private static let keptForRefusal = 16 << 10
  /// Whether it is kept for that alone: no other server is to be sent it in any other case.
  private var keepsForRefusal = false
  /// Since when it waits for a connection.
  var waitsFrom = Instant(nanoseconds: 0)
  /// How often it was refused unprocessed.
  private var refusals = 0
  /// Times that it may be by a server that goes on. One that goes away (GOAWAY) may do so after so many requests on each connection, and has as many
  /// refusals as it takes to bring a crowd through.
  private static let (mostRefusals, mostFarewells) = (3, 20)

  // Reading.
  /// What the body has to come to; nil when that isn't said.
  private var expected: UInt64?
  private var received: UInt64 = 0
  /// Bytes of a body untaken beyond which the server may have no credit left: then it isn't the server that pauses.
  private static let pausedFrom = HTTP2ClientSession.streamWindow / 2

  // MARK: Beginning

  private var hasBody: Bool {
    switch shape.framing {
    case .none, .length(0): false
    default: true
    }
  }

  var bodyForm: HTTP2ClientSession.Body {
    switch shape.framing {
    // Of no length at all it is said among the fields that were composed.
    case .none, .length(0): .none
    case .length(let n): .length(n)
    case .chunked: .unknown
    }
  }

  override func begin() throws(UpstreamFailure) {
    hasUpload = hasBody
    isAlone = shape.isIsolated
    var mayKeep = hasBody && keptLimit == 0
    if case .length(let n) = shape.framing, n > UInt64(Self.keptForRefusal) { mayKeep = false }
    if mayKeep {
      keepsForRefusal = true
      keptLimit = Self.keptForRefusal
    }
    guard let pool else { return }
    try client.carry(self, in: pool)
  }

  override func finished(_ easy: UnsafeMutableRawPointer, _ code: UInt32) {
    guard let connector, let pool else { return }
    self.connector = nil
    let code = CURLcode(rawValue: code)
    let failure =
      code == CURLE_OK ? nil : UpstreamFailure.from(code, detail: connector.errorText.text, wasSent: false, headComplete: false, via: options.via)
    client.made(connector, for: self, in: pool, failure)
  }

  /// Its own connection stands, and the server has to say first what it takes.
  func waits(for connection: MultiplexedConnection) { self.connection = connection }

  /// It has a stream: what there is goes out.
  func attached(to connection: MultiplexedConnection, _ stream: HTTP2ClientStream) {
    self.connection = connection
    self.stream = stream
    attempts += 1
    sentAt = client.now
    isReusedConnection = connection.hasServed
    if hasBody { wantsBody = !isUploadEnded }
    giveUpload()
    // The time for the answer begins, and who waits for it can't know otherwise.
    client.markReady(self)
  }

  // MARK: Sending

  override func send(_ bytes: Span<UInt8>) {
    hasUpload = true
    // Its answer is whole, or it has failed.
    if !isRunning { return }
    makeRoom(&upload, for: bytes.count)
    upload.append(bytes)
  }

  override var uploadWaiting: Int { upload.count + (stream?.waiting ?? 0) }

  /// Where no other request is under way, and none has been let in since, the server lets nobody in, which is its own doing.
  override var isUnasked: Bool {
    guard connection == nil, sentAt == nil, let multiplex = pool?.multiplex else { return false }
    return multiplex.askedAt.map { $0 >= waitsFrom } ?? false || multiplex.connections.contains { $0.hasRequests }
  }

  override func addTrailer(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    uploadTrailers.append(name)
    uploadTrailers.append(": ")
    uploadTrailers.append(value)
    uploadTrailers.append("\r\n")
  }

  override func endUpload() { isUploadEnded = true }

  private func giveUpload() {
    guard let stream, hasUpload else { return }
    // Handed over in one piece when the one before went out, so that it changes hands without a copy.
    if !upload.isEmpty && stream.waiting == 0 {
      sent(upload.count, of: upload)
      stream.give(&upload)
    }
    if isUploadEnded && upload.isEmpty { stream.finish(trailers: uploadTrailers) }
    connection?.flushLater()
  }

  /// What was handed over went out, or some of it.
  func drained() {
    if burden != nil && upload.isEmpty && (stream?.waiting ?? 0) == 0 { letGo() }
    giveUpload()
    client.markReady(self)
  }

  override func takeUpload(of other: Transfer) {
    super.takeUpload(of: other)
    if let other = other as? HTTP2Transfer { swap(&uploadTrailers, &other.uploadTrailers) }
  }

  override func resume() -> Bool {
    guard let stream else { return false }
    if hasUpload && !stream.isSpent { giveUpload() }
    if stream.used(allBut: body.count) { connection?.flushLater() }
    guard isReceivePaused, body.count < Self.pausedFrom / 2 else { return false }
    isReceivePaused = false
    return true
  }

  // MARK: Reading

  /// A head, as HTTP/1.1 has it.
  func tookHead(_ text: borrowing ByteBuffer) {
    if firstByteAt == nil { firstByteAt = client.now }
    if let failure = takeHead(text, &head) { return breakOff(.malformed, "\(failure.reason)") }
    guard isHeadComplete else { return }
    let hasNone = shape.isHead || head.status == 204 || head.status == 304
    expected = hasNone ? 0 : head.contentLength
    // The server has begun to do something about it.
    if keepsForRefusal { forgetRefusal() }
  }

  private func takeHead(_ text: borrowing ByteBuffer, _ head: inout ResponseHead) -> ResponseFailure? {
    took(head.take(text.span, limits: client.headLimits).result, head)
  }

  func tookBody(_ bytes: Span<UInt8>) {
    guard isHeadComplete else { return breakOff(.malformed, "content before the response's head") }
    if bytes.count == 0 { return }
    received += UInt64(bytes.count)
    if let expected, received > expected { return breakOff(.malformed, "more content than the response's Content-Length, or where there is none") }
    makeRoom(&body, for: bytes.count)
    body.append(bytes)
    if body.count >= Self.pausedFrom { pauseReceiving() }
    client.markReady(self)
  }

  /// Lines of trailers.
  func tookTrailers(_ text: borrowing ByteBuffer) {
    if let failure = takeTrailers(text.span, &head) { breakOff(.malformed, "\(failure.reason)") }
  }

  private func takeTrailers(_ text: Span<UInt8>, _ head: inout ResponseHead) -> ResponseFailure? {
    hasTrailerLines = true
    var start = 0
    while let end = ASCII.firstIndex(of: 0x0A, in: text, from: start) {
      if let failure = head.trailerLine(text.extracting(start..<(end + 1)), limits: client.headLimits, into: &trailers) { return failure }
      start = end + 1
    }
    return nil
  }

  /// The server has ended the stream.
  func tookEnd() {
    guard isHeadComplete else { return breakOff(.malformed, "the stream ended before the response's head") }
    if let expected, received != expected { return breakOff(.malformed, "less content than the response's Content-Length") }
    let (connection, stream) = (connection, stream)
    leaveConnection()
    // RFC 9113 section 8.1: an answer is whole though the request isn't. What is left of that is of no use.
    if let stream, !stream.isSpent { stream.reset(.cancel) }
    stream?.discard()
    connection?.answered()
    connection?.flushLater()
    end(.complete)
  }

  // MARK: The end

  /// The server does on this stream what it must not: the others go on.
  func breakOff(_ kind: UpstreamFailure.Kind, _ reason: String) {
    let (connection, stream) = (connection, stream)
    leaveConnection()
    stream?.reset(.protocolError)
    connection?.flushLater()
    end(.failed(UpstreamFailure(isHeadComplete ? .truncated : kind, reason)))
  }

  /// The stream is gone before its answer was whole.
  func closed(by code: UInt32) {
    guard let stream else { return }
    let isFarewell = connection?.isGoingAway ?? false
    leaveConnection()
    // RFC 9113 section 8.7: nothing was done about it. So it is also where the head never went out.
    let isRefused = code == HTTP2ErrorCode.refusedStream.rawValue || !stream.isSent
    if isRefused && beginAgain(stream, atMost: isFarewell ? Self.mostFarewells : Self.mostRefusals) { return }
    let reason = "the server reset the stream (\(Self.name(of: code)))"
    end(.failed(UpstreamFailure(isHeadComplete ? .truncated : firstByteAt == nil ? .unreachable : .malformed, reason)))
  }

  /// The connection is gone.
  func lost(_ failure: UpstreamFailure) {
    guard let stream else {
      leaveConnection()
      return end(.failed(failure))
    }
    let wasReused = isReusedConnection
    leaveConnection()
    if isHeadComplete { return end(.failed(UpstreamFailure(.truncated, failure.reason))) }
    if !stream.isSent && beginAgain(stream) { return }
    // As with HTTP/1.1 (RFC 9112 section 9.3.1): the connection may have been ending before the request reached it. What can be repeated is.
    if firstByteAt == nil && wasReused && attempts < maxAttempts && beginAgain(stream) { return }
    end(.failed(firstByteAt == nil ? failure : UpstreamFailure(.malformed, failure.reason)))
  }

  /// Sends a request again that the server has not worked on, on whichever connection has room. False: it can't, since not all that was sent of its body
  /// is there; or not any more.
  private func beginAgain(_ stream: HTTP2ClientStream, atMost most: Int = mostRefusals) -> Bool {
    guard firstByteAt == nil, stream.sentCount == 0 || keptLimit > 0 else { return false }
    if keptLimit > 0 {
      // Among it is what the stream had not sent yet.
      if !kept.isEmpty { Self.put(&kept, before: &upload) }
    } else {
      var unsent = ByteBuffer()
      stream.takeBack(&unsent)
      if !unsent.isEmpty { Self.put(&unsent, before: &upload) }
    }
    // Nothing of it is anywhere: any server may have it.
    sentAt = nil
    refusals += 1
    guard refusals < most, let pool else { return false }
    do { try client.carry(self, in: pool) } catch { end(.failed(error)) }
    return true
  }

  private func leaveConnection() {
    stream?.owner = nil
    stream = nil
    let old = connection
    connection = nil
    old?.letGo()
  }

  func end(_ outcome: Outcome) {
    // What was refused may go elsewhere with it; what has failed otherwise may not.
    if keepsForRefusal && sentAt != nil { forgetRefusal() }
    self.outcome = outcome
    client.finish(self)
    client.markReady(self)
  }

  private func forgetRefusal() {
    keepsForRefusal = false
    super.forgetUpload()
  }

  override var canBeReused: Bool { !shape.isUpgrade }

  override func cancel() {
    if firstByteAt == nil, let sentAt { connection?.gaveUp(sentAt) }
    if let pool {
      let wasMaker = pool.multiplex.maker === self
      pool.multiplex.leave(self)
      if let connector {
        self.connector = nil
        client.abandon(connector, of: self, in: pool)
      }
      // It was made for others as well.
      if wasMaker { do { try client.makeConnection(for: pool.multiplex, in: pool) } catch { client.failWaiting(pool.multiplex, error) } }
    }
    let (connection, stream) = (connection, stream)
    leaveConnection()
    stream?.reset(.cancel)
    connection?.flushLater()
  }

  override func reset() {
    if hasTrailerLines { trailers.reset() }
    hasTrailerLines = false
    super.reset()
    expected = nil
    received = 0
    refusals = 0
    keepsForRefusal = false
    isAlone = false
  }

  override func resetUpload() {
    super.resetUpload()
    uploadTrailers.removeAll()
  }

  /// RFC 9113 section 7, for the log.
  private static func name(of code: UInt32) -> String {
    let names = [
      "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
      "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    ]
    return Int(code) < names.count ? names[Int(code)] : "error \(code)"
  }
}
