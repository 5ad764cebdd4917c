// libnghttp2's callbacks and options for the sessions in which we are the client: made once. Each callback is a line or two that records.

internal import CNGHTTP2
import Primitives

/// What client sessions are made with. Written once, read by all threads, never freed.
@safe struct ClientLibrary: @unchecked Sendable {
  static let shared = ClientLibrary()

  let callbacks: OpaquePointer
  let options: OpaquePointer

  private init() {
    var made: OpaquePointer?
    guard unsafe nghttp2_session_callbacks_new(&made) == 0, let callbacks = unsafe made else { preconditionFailure("out of memory") }
    unsafe self.callbacks = callbacks
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, itself in
      unsafe HTTP2ClientSession.of(itself).beganFields(frame!.pointee)
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, _, name, nameCount, value, valueCount, _, itself in
      let name = unsafe Span(_unsafeStart: name!, count: nameCount)
      let value = unsafe Span(_unsafeStart: value!, count: valueCount)
      return unsafe HTTP2ClientSession.of(itself).tookField(name, value)
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, itself in
      unsafe HTTP2ClientSession.of(itself).tookFrame(frame!.pointee)
    }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, data, count, itself in
      unsafe HTTP2ClientSession.of(itself).tookData(id, data!, count)
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, itself in
      unsafe HTTP2ClientSession.of(itself).closedStream(id, code)
    }
    unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, itself in
      unsafe HTTP2ClientSession.of(itself).sentFrame(frame!.pointee)
    }
    unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, frame, header, count, _, itself in
      unsafe HTTP2ClientSession.of(itself).sendData(frame!.pointee.hd.stream_id, header!, count)
    }
    var chosen: OpaquePointer?
    guard unsafe nghttp2_option_new(&chosen) == 0, let options = unsafe chosen else { preconditionFailure("out of memory") }
    unsafe self.options = options
    // Credit goes back when the bytes were used, not when they came.
    unsafe nghttp2_option_set_no_auto_window_update(options, 1)
    unsafe nghttp2_option_set_max_reserved_remote_streams(options, 0)
    unsafe nghttp2_option_set_no_closed_streams(options, 1)
    // What a message may be is told by `ResponseFields` and whoever takes the body, with the reason.
    unsafe nghttp2_option_set_no_http_messaging(options, 1)
    unsafe nghttp2_option_set_max_outbound_ack(options, HTTP2Limits.waitingAcknowledgements)
    unsafe nghttp2_option_set_max_settings(options, HTTP2Limits.settings)
    unsafe nghttp2_option_set_max_send_header_block_length(options, HTTP2Limits.responseHeadBytes)
    unsafe nghttp2_option_set_max_deflate_dynamic_table_size(options, 4096)
    unsafe nghttp2_option_set_max_continuations(options, FrameScanner.continuations)
  }
}

extension HTTP2ClientSession {
  /// Of what the library was given when the session was made.
  @inline(__always) static func of(_ itself: UnsafeMutableRawPointer?) -> HTTP2ClientSession {
    unsafe Unmanaged<HTTP2ClientSession>.fromOpaque(itself.unsafelyUnwrapped).takeUnretainedValue()
  }

  // MARK: What came

  func beganFields(_ frame: nghttp2_frame) -> Int32 {
    // Of pushes, which we have said that we take none of, not even the fields are read.
    guard unsafe UInt32(frame.hd.type) == NGHTTP2_HEADERS.rawValue else { return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
    block = streams[unsafe frame.hd.stream_id]
    fields.begin(block?.hasHead ?? false ? .trailers : .head)
    return 0
  }

  func tookField(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Int32 {
    fields.take(name, value)
    // As with requests: a few bytes can name many long fields of the dynamic table.
    if fields.read > fieldLimit {
      flood = flood ?? .fieldSize
      return Int32(NGHTTP2_ERR_PAUSE.rawValue)
    }
    guard fields.text.count > HTTP2Limits.recordedBytes else { return 0 }
    isPaused = true
    return Int32(NGHTTP2_ERR_PAUSE.rawValue)
  }

  func tookFrame(_ frame: nghttp2_frame) -> Int32 {
    let (type, flags, id) = unsafe (UInt32(frame.hd.type), UInt32(frame.hd.flags), frame.hd.stream_id)
    let isLast = flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0
    switch type {
    case NGHTTP2_DATA.rawValue:
      if isLast, let stream = streams[id], !stream.isReset { events.append(Event(.end, stream)) }
    case NGHTTP2_HEADERS.rawValue:
      guard let stream = block else { return 0 }
      block = nil
      let isHead = !stream.hasHead
      let conclusion = fields.conclude(endsStream: isLast)
      if stream.isReset { return 0 }
      switch conclusion {
      case .whole(let range):
        if isHead && fields.status >= 200 { stream.hasHead = true }
        events.append(Event(isHead ? .head : .trailers, stream, start: Int(range.start), count: range.count))
        if isLast { events.append(Event(.end, stream)) }
      case .malformed(let fault):
        events.append(Event(.malformed(fault), stream))
      }
    case NGHTTP2_SETTINGS.rawValue:
      hasSettings = true
    case NGHTTP2_GOAWAY.rawValue:
      isGoingAway = true
    default:
      break
    }
    return 0
  }

  func tookData(_ id: Int32, _ data: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard let start = unsafe inputStart else { return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
    guard let stream = streams[id], !stream.isReset else {
      // Nobody wants it any more: the others' credit must not shrink by it.
      unsafe nghttp2_session_consume_connection(session, count)
      return 0
    }
    stream.held += count
    events.append(Event(.data, stream, start: unsafe data - start, count: count))
    return 0
  }

  func closedStream(_ id: Int32, _ code: UInt32) -> Int32 {
    guard let stream = streams.removeValue(forKey: id) else { return 0 }
    takeUp(stream)
    stream.close()
    if block === stream { block = nil }
    events.append(Event(.closed, stream, code: code))
    return 0
  }

  // MARK: What goes

  func sentFrame(_ frame: nghttp2_frame) -> Int32 {
    if unsafe UInt32(frame.hd.type) == NGHTTP2_HEADERS.rawValue, let stream = streams[unsafe frame.hd.stream_id] {
      stream.isSent = true
      takeUp(stream)
    }
    return 0
  }

  /// It is not dropped any more: it is gone, or the server knows of it after all, since its head was on its way in several frames when it was reset.
  private func takeUp(_ stream: HTTP2ClientStream) {
    guard stream.isDropped else { return }
    stream.isDropped = false
    dropped -= 1
  }

  func sendData(_ id: Int32, _ header: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard let stream = streams[id], !stream.isReset, count <= stream.pending.count else {
      return Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    }
    if out.count >= HTTP2Limits.outHigh {
      isHeldUp = true
      return Int32(NGHTTP2_ERR_WOULDBLOCK.rawValue)
    }
    unsafe out.append(unsafeBytes: header, count: 9)
    if count > 0 {
      stream.movePending(count, to: &out)
      scanner.sent(count)
      // Also now and then on the way: whoever waits for the answer knows then that the server takes the body.
      if stream.pending.isEmpty || stream.sentCount >> 16 != (stream.sentCount - count) >> 16 { events.append(Event(.drained, stream)) }
    }
    return 0
  }
}
