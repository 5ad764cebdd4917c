// The way out: heads are handed over whole, bodies as they come, and what is to be written is made of them when the connection asks for it.

internal import CNGHTTP2
import HTTP
public import Primitives

extension HTTP2Stream {
  // MARK: Answers

  /// Begins an answer with the first head in `text`: a status line, field lines and an empty line, as for HTTP/1.1. Fields of a connection are left
  /// out. A head of 1xx goes out as it is, and another must follow. Answers how many bytes were the head's; nil when it can't be sent.
  ///
  /// - Parameter isLast: nothing follows `text`: when the head is all there is in it, there is no body.
  public func answer(_ text: Span<UInt8>, isLast: Bool) -> Int? {
    let session = session
    return unsafe text.withUnsafeBufferPointer { bytes -> Int? in
      guard let start = bytes.baseAddress, let (status, count, end) = unsafe session.fill(start, text) else { return nil }
      if isReset || isClosed { return end }
      if status < 200 {
        let sent = unsafe nghttp2_submit_headers(
          session.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, nil, session.scratch, count, nil)
        return sent == 0 ? end : nil
      }
      hasAnswered = true
      if isLast && end == text.count {
        ending = .whole
        return unsafe nghttp2_submit_response(session.session, id, session.scratch, count, nil) == 0 ? end : nil
      }
      // Streams share the connection: none waits until another one is through.
      var priority = nghttp2_extpri(urgency: 3, inc: 1)
      unsafe nghttp2_session_change_extpri_stream_priority(session.session, id, &priority, 1)
      var provider = unsafe gh_data_provider(address) { _, _, _, most, flags, source, _ in
        unsafe HTTP2Stream(gh_data_source_stream(source)!).offerData(most, flags!)
      }
      return unsafe nghttp2_submit_response(session.session, id, session.scratch, count, &provider) == 0 ? end : nil
    }
  }

  /// Hands body bytes over, all of them: `bytes` is empty afterwards.
  public func give(_ bytes: inout ByteBuffer) {
    let count = bytes.count
    guard count > 0 else { return }
    guard !isGone, ending == .open else { return bytes.removeAll() }
    session.waiting += count
    isDrainTold = false
    if pending.isEmpty {
      stall()
      // Large bodies change hands without a copy.
      swap(&pending, &bytes)
    } else {
      pending.append(bytes.span)
    }
    bytes.removeAll()
    goOn()
  }

  /// The same with bytes that stay where they are, since their memory is for the next. When they are gone is told to whoever asks for it.
  public func give(_ bytes: Span<UInt8>) {
    guard bytes.count > 0, !isGone, ending == .open else { return }
    session.waiting += bytes.count
    if pending.isEmpty { stall() }
    pending.append(bytes)
    goOn()
  }

  /// Asks for `drained`. Not with less waiting than `HTTP2Limits.drainedBelow`: there might be nothing left to be told of.
  public func tellWhenDrained() { isDrainTold = false }

  /// The body is whole, and `trailers`, lines of fields, follow it.
  public func finish(trailers: borrowing ByteBuffer) {
    guard ending == .open, !isGone else { return }
    ending = .whole
    if !trailers.isEmpty { self.trailers.append(trailers.span) }
    // An end without a byte also waits for the client's window.
    if hasAnswered && stalledSince == nil { stall() }
    goOn()
  }

  /// The answer breaks off: what was handed over is still sent, then the stream is reset.
  public func breakOff() {
    guard ending == .open, !isGone else { return }
    if !hasAnswered { return reset(.internalError) }
    ending = .broken
    if stalledSince == nil { stall() }
    goOn()
  }

  /// Ends the stream at once.
  public func reset(_ code: HTTP2ErrorCode) {
    if isGone { return }
    isReset = true
    dropPending()
    isWanted()
    unsafe nghttp2_submit_rst_stream(session.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code.rawValue)
  }

  // MARK: Tunnels

  /// What follows on it are bytes of another protocol, both ways. To be said before it is answered.
  public func becomeTunnel() {
    guard !isGone, !isTunnel else { return }
    isTunnel = true
    session.scanner.opened(id)
  }

  /// Nobody waits any more for what the client may still say.
  public func leaveTunnel() {
    if isTunnel && isEndSent { dropRest() }
  }

  /// The answer is whole, and what is left of the request is not wanted. The client is not told at once: some drop an answer when they hear of it in
  /// mid-upload.
  fileprivate func dropRest() {
    guard !isRequestWhole, !isGone, unwantedSince == nil else { return }
    let session = session
    unwantedSince = session.now
    session.unwanted += 1
  }

  // MARK: Credit

  /// `n` bytes of a body were used: the client gets credit for as many.
  public func consume(_ n: Int) {
    // Once: what was held when it was closed, or reset, has been given back.
    let n = min(n, held)
    guard n > 0 else { return }
    held -= n
    unsafe nghttp2_session_consume(session.session, id, n)
  }

  /// `n` bytes of a body came that nobody wants any more: no credit for more on its stream, but for the others.
  public func discard(_ n: Int) {
    let n = min(n, held)
    guard n > 0 else { return }
    held -= n
    unsafe nghttp2_session_consume_connection(session.session, n)
  }

  /// The body of this request is wanted, and large: more of it may come at once.
  public func widen(to window: Int) {
    guard !isGone else { return }
    unsafe nghttp2_session_set_local_window_size(session.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, Int32(window))
  }

  // MARK: What waits

  /// Nobody waits any more for the client to end its request.
  func isWanted() {
    guard unwantedSince != nil else { return }
    unwantedSince = nil
    session.unwanted -= 1
  }

  func dropPending() {
    session.waiting -= pending.count
    pending.removeAll()
    unstall()
  }

  private func stall() {
    let session = session
    if stalledSince == nil { session.stalled += 1 }
    stalledSince = session.now
    sentSince = 0
  }

  fileprivate func unstall() {
    guard stalledSince != nil else { return }
    stalledSince = nil
    session.stalled -= 1
  }

  private func goOn() {
    guard isDeferred else { return }
    isDeferred = false
    unsafe nghttp2_session_resume_data(session.session, id)
  }

  // MARK: Bytes out

  /// How much of the body goes into the next frame.
  func offerData(_ most: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
    let count = min(most, pending.count)
    if count == pending.count {
      switch ending {
      case .whole:
        unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if !trailers.isEmpty, submitTrailers() { unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
      case .broken where count == 0:
        return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
      case .open where count == 0:
        isDeferred = true
        return Int(NGHTTP2_ERR_DEFERRED.rawValue)
      case .open, .broken:
        break
      }
    }
    unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
    return count
  }

  /// The frame that was offered goes out.
  func sendData(_ header: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let session = session
    // Reset while the frame waited for room: what was offered is gone, and RST_STREAM is on its way.
    if isReset || count > pending.count { return Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
    if session.out.count >= HTTP2Limits.outHigh {
      session.isHeldUp = true
      return Int32(NGHTTP2_ERR_WOULDBLOCK.rawValue)
    }
    unsafe session.out.append(unsafeBytes: header, count: 9)
    if count > 0 {
      Self.append(count, of: pending, to: &session.out)
      pending.consume(count)
      session.waiting -= count
      session.scanner.sent(count)
      sentSince += count
      if isTunnel && pending.isEmpty && pending.capacity > HTTP2Limits.keptBuffer { pending.release() }
      if pending.isEmpty && ending == .open {
        unstall()
      } else if pending.isEmpty || sentSince >= HTTP2Limits.progress {
        stall()
      }
    }
    if pending.count < HTTP2Limits.drainedBelow && !isDrainTold && ending == .open {
      isDrainTold = true
      session.events.append(HTTP2Event(.drained, slot: slot))
    }
    return 0
  }

  private static func append(_ count: Int, of bytes: borrowing ByteBuffer, to out: inout ByteBuffer) {
    out.append(bytes.span.extracting(0..<count))
  }

  private func submitTrailers() -> Bool {
    var text = ByteBuffer()
    swap(&text, &trailers)
    let session = session
    return unsafe text.span.withUnsafeBufferPointer { bytes in
      guard let start = bytes.baseAddress, let (count, _) = unsafe session.fillFields(start, text.span, from: 0, at: 0), count > 0 else {
        return false
      }
      return unsafe nghttp2_submit_trailer(session.session, id, session.scratch, count) == 0
    }
  }
}

extension HTTP2Session {
  // MARK: Bytes out

  /// Makes frames of what there is, as far as windows and `HTTP2Limits.outHigh` allow, at the end of `out`. False when the session is broken.
  public func produce() -> Bool {
    isHeldUp = false
    while out.count < HTTP2Limits.outHigh {
      var start: UnsafePointer<UInt8>?
      let count = unsafe nghttp2_session_mem_send(session, &start)
      if count < 0 { return false }
      guard count > 0, let start = unsafe start else { return true }
      unsafe out.append(unsafeBytes: start, count: count)
    }
    return true
  }

  func sentFrame(_ frame: nghttp2_frame) -> Int32 {
    let (type, flags, id) = unsafe (UInt32(frame.hd.type), UInt32(frame.hd.flags), frame.hd.stream_id)
    switch type {
    case NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue:
      guard flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0, let stream = stream(of: id) else { return 0 }
      stream.unstall()
      stream.isEndSent = true
      // The client's half of a tunnel goes on, and it counts when it is closed.
      if stream.isTunnel && stream.owner != nil { return 0 }
      if !stream.isTunnel { scanner.answered(isServed: stream.isServed) }
      stream.dropRest()
    case NGHTTP2_RST_STREAM.rawValue:
      switch HTTP2ErrorCode(rawValue: unsafe frame.rst_stream.error_code) {
      case .protocolError, .flowControlError, .streamClosed, .frameSizeError:
        // The client made us do it.
        provoke()
      case .refusedStream where stream(of: id) == nil:
        // The library did, since there were more than are allowed.
        provoke()
      default:
        break
      }
    case NGHTTP2_GOAWAY.rawValue:
      goawayCode = unsafe frame.goaway.error_code
    default:
      break
    }
    return 0
  }

  /// The client was in the wrong in a way that concerns one stream.
  func provoke() {
    if scanner.notes(.provoked, at: now) { flood = flood ?? .provoked }
  }

  // MARK: Fields

  /// Makes fields of the first head in `text`, in the workroom's list. Nil when there is none.
  fileprivate func fill(_ start: UnsafePointer<UInt8>, _ text: Span<UInt8>) -> (status: Int, count: Int, end: Int)? {
    guard text.count > 14, let lineEnd = ASCII.firstIndex(of: 0x0A, in: text), let status = ASCII.decimal(text.extracting(9..<12)) else {
      return nil
    }
    unsafe put(0, Self.statusName.utf8Start, 7, start + 9, 3)
    guard let (count, end) = unsafe fillFields(start, text, from: lineEnd + 1, at: 1), end + 1 < text.count, text[end + 1] == 0x0A else {
      return nil
    }
    return (Int(status), count, end + 2)
  }

  private static let statusName: StaticString = ":status"

  /// Makes fields of lines, up to an empty one or the end. Answers how many there are then in the list, and where that is.
  fileprivate func fillFields(
    _ start: UnsafePointer<UInt8>, _ text: Span<UInt8>, from: Int, at first: Int
  ) -> (count: Int, end: Int)? {
    var i = from
    var count = first
    while i < text.count && text[i] != 0x0D {
      guard let colon = ASCII.firstIndex(of: 0x3A, in: text, from: i), let end = ASCII.firstIndex(of: 0x0A, in: text, from: colon),
        end > colon + 1, text[end - 1] == 0x0D, count < HTTP2Workroom.fields
      else { return nil }
      switch FieldName(text.extracting(i..<colon)) {
      case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade:
        break
      default:
        var (from, to) = (colon + 1, end - 1)
        while from < to && ASCII.isWhitespace(text[from]) { from += 1 }
        while to > from && ASCII.isWhitespace(text[to - 1]) { to -= 1 }
        // The library copies both, and makes the name lower-case.
        unsafe put(count, start + i, colon - i, start + from, to - from)
        count += 1
      }
      i = end + 1
    }
    return (count, i)
  }

  private func put(
    _ i: Int, _ name: UnsafePointer<UInt8>, _ nameCount: Int, _ value: UnsafePointer<UInt8>, _ valueCount: Int
  ) {
    unsafe scratch[i] = nghttp2_nv(
      name: UnsafeMutablePointer(mutating: name), value: UnsafeMutablePointer(mutating: value), namelen: nameCount, valuelen: valueCount,
      flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
  }
}
