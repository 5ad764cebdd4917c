// The way out: heads are handed over whole, bodies as they come, and what is to be written is made of them when the connection asks for it.

internal import CNGHTTP2
import HTTP
public import Primitives

extension HTTP2Session {
  // MARK: Answers

  /// Begins an answer with the head that `text` is: a status line, field lines and an empty line, as for HTTP/1.1. Fields of a connection are left
  /// out. `endsHere`: there is no body. A head of 1xx goes out as it is, and another must follow. False when it can't be sent.
  public func answer(_ slot: Int32, _ text: Span<UInt8>, endsHere: Bool) -> Bool {
    let stream = stream(slot)
    if stream.isReset || stream.isClosed { return true }
    return unsafe text.withUnsafeBufferPointer { bytes in
      guard let start = bytes.baseAddress, let (status, count) = unsafe fill(start, text) else { return false }
      if status < 200 {
        return unsafe nghttp2_submit_headers(
          session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, nil, workroom.scratch, count, nil) == 0
      }
      stream.hasAnswered = true
      if endsHere {
        stream.ending = .whole
        return unsafe nghttp2_submit_response(session, stream.id, workroom.scratch, count, nil) == 0
      }
      // Streams share the connection: none waits until another one is through.
      var priority = nghttp2_extpri(urgency: 3, inc: 1)
      unsafe nghttp2_session_change_extpri_stream_priority(session, stream.id, &priority, 1)
      var provider = unsafe gh_data_provider(slot) { _, _, _, most, flags, source, itself in
        unsafe HTTP2Session.with(itself) { unsafe $0.offerData(gh_data_source_slot(source), most, flags!) }
      }
      return unsafe nghttp2_submit_response(session, stream.id, workroom.scratch, count, &provider) == 0
    }
  }

  /// Hands body bytes over, all of them: `bytes` is empty afterwards.
  public func give(_ slot: Int32, _ bytes: inout ByteBuffer) {
    let stream = stream(slot)
    let count = bytes.count
    guard count > 0 else { return }
    guard !stream.isReset, !stream.isClosed, stream.ending == .open else { return bytes.removeAll() }
    waiting += count
    stream.isDrainTold = false
    if stream.pending.isEmpty {
      stall(stream)
      // Large bodies change hands without a copy.
      swap(&stream.pending, &bytes)
    } else {
      stream.pending.append(bytes.span)
    }
    bytes.removeAll()
    goOn(stream)
  }

  /// The body is whole, and `trailers`, lines of fields, follow it.
  public func finish(_ slot: Int32, trailers: borrowing ByteBuffer) {
    let stream = stream(slot)
    guard stream.ending == .open, !stream.isReset, !stream.isClosed else { return }
    stream.ending = .whole
    if !trailers.isEmpty { stream.trailers.append(trailers.span) }
    // An end without a byte also waits for the client's window.
    if stream.hasAnswered && stream.stalledSince == nil { stall(stream) }
    goOn(stream)
  }

  /// The answer breaks off: what was handed over is still sent, then the stream is reset.
  public func breakOff(_ slot: Int32) {
    let stream = stream(slot)
    guard stream.ending == .open, !stream.isReset, !stream.isClosed else { return }
    if !stream.hasAnswered { return reset(slot, .internalError) }
    stream.ending = .broken
    if stream.stalledSince == nil { stall(stream) }
    goOn(stream)
  }

  /// Ends the stream at once.
  public func reset(_ slot: Int32, _ code: HTTP2ErrorCode) {
    let stream = stream(slot)
    if stream.isReset || stream.isClosed { return }
    stream.isReset = true
    dropPending(stream)
    isWanted(stream)
    unsafe nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, code.rawValue)
  }

  /// Nobody waits any more for the client to end its request.
  func isWanted(_ stream: HTTP2Stream) {
    guard stream.unwantedSince != nil else { return }
    stream.unwantedSince = nil
    unwanted -= 1
  }

  func dropPending(_ stream: HTTP2Stream) {
    waiting -= stream.pending.count
    stream.pending.removeAll()
    unstall(stream)
  }

  private func stall(_ stream: HTTP2Stream) {
    if stream.stalledSince == nil { stalled += 1 }
    stream.stalledSince = now
    stream.sentSince = 0
  }

  private func unstall(_ stream: HTTP2Stream) {
    guard stream.stalledSince != nil else { return }
    stream.stalledSince = nil
    stalled -= 1
  }

  private func goOn(_ stream: HTTP2Stream) {
    guard stream.isDeferred else { return }
    stream.isDeferred = false
    unsafe nghttp2_session_resume_data(session, stream.id)
  }

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

  /// How much of a stream's body goes into the next frame.
  func offerData(_ slot: Int32, _ most: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
    let stream = stream(slot)
    let count = min(most, stream.pending.count)
    if count == stream.pending.count {
      switch stream.ending {
      case .whole:
        unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if !stream.trailers.isEmpty, submitTrailers(stream) { unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
      case .broken where count == 0:
        return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
      case .open where count == 0:
        stream.isDeferred = true
        return Int(NGHTTP2_ERR_DEFERRED.rawValue)
      case .open, .broken:
        break
      }
    }
    unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
    return count
  }

  /// The frame that was offered goes out.
  func sendData(_ slot: Int32, _ header: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let stream = stream(slot)
    // Reset while the frame waited for room: what was offered is gone, and RST_STREAM is on its way.
    if stream.isReset || count > stream.pending.count { return Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
    if out.count >= HTTP2Limits.outHigh {
      isHeldUp = true
      return Int32(NGHTTP2_ERR_WOULDBLOCK.rawValue)
    }
    unsafe out.append(unsafeBytes: header, count: 9)
    if count > 0 {
      Self.append(count, of: stream.pending, to: &out)
      stream.pending.consume(count)
      waiting -= count
      scanner.sent(count)
      stream.sentSince += count
      if stream.pending.isEmpty && stream.ending == .open {
        unstall(stream)
      } else if stream.pending.isEmpty || stream.sentSince >= HTTP2Limits.progress {
        stall(stream)
      }
    }
    if stream.pending.count < HTTP2Limits.drainedBelow && !stream.isDrainTold && stream.ending == .open {
      stream.isDrainTold = true
      events.append(HTTP2Event(.drained, slot: slot))
    }
    return 0
  }

  private static func append(_ count: Int, of bytes: borrowing ByteBuffer, to out: inout ByteBuffer) {
    out.append(bytes.span.extracting(0..<count))
  }

  func sentFrame(_ frame: nghttp2_frame) -> Int32 {
    let (type, flags, id) = unsafe (UInt32(frame.hd.type), UInt32(frame.hd.flags), frame.hd.stream_id)
    switch type {
    case NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue:
      guard flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0, let slot = slot(of: id) else { return 0 }
      // What is left of the request is not wanted. The client is not told at once: some drop an answer when they hear of it in mid-upload.
      let stream = stream(slot)
      scanner.answered(isServed: stream.isServed)
      unstall(stream)
      if !stream.isRequestWhole && !stream.isReset {
        stream.unwantedSince = now
        unwanted += 1
      }
    case NGHTTP2_RST_STREAM.rawValue:
      switch HTTP2ErrorCode(rawValue: unsafe frame.rst_stream.error_code) {
      case .protocolError, .flowControlError, .streamClosed, .frameSizeError:
        // The client made us do it.
        provoke()
      case .refusedStream where slot(of: id) == nil:
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

  private func submitTrailers(_ stream: HTTP2Stream) -> Bool {
    var text = ByteBuffer()
    swap(&text, &stream.trailers)
    return unsafe text.span.withUnsafeBufferPointer { bytes in
      guard let start = bytes.baseAddress, let count = unsafe fillFields(start, text.span, from: 0, at: 0), count > 0 else { return false }
      return unsafe nghttp2_submit_trailer(session, stream.id, workroom.scratch, count) == 0
    }
  }

  /// Makes fields of a head in the workroom's list. Nil when it is none.
  private func fill(_ start: UnsafePointer<UInt8>, _ text: Span<UInt8>) -> (status: Int, count: Int)? {
    guard text.count > 14, let lineEnd = ASCII.firstIndex(of: 0x0A, in: text), let status = ASCII.decimal(text.extracting(9..<12)) else {
      return nil
    }
    unsafe put(0, Self.statusName.utf8Start, 7, start + 9, 3)
    guard let count = unsafe fillFields(start, text, from: lineEnd + 1, at: 1) else { return nil }
    return (Int(status), count)
  }

  private static let statusName: StaticString = ":status"

  /// Makes fields of lines, up to an empty one or the end.
  private func fillFields(_ start: UnsafePointer<UInt8>, _ text: Span<UInt8>, from: Int, at first: Int) -> Int? {
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
    return count
  }

  private func put(
    _ i: Int, _ name: UnsafePointer<UInt8>, _ nameCount: Int, _ value: UnsafePointer<UInt8>, _ valueCount: Int
  ) {
    unsafe workroom.scratch[i] = nghttp2_nv(
      name: UnsafeMutablePointer(mutating: name), value: UnsafeMutablePointer(mutating: value), namelen: nameCount, valuelen: valueCount,
      flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
  }
}
