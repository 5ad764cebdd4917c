// libnghttp2's callbacks and options: the same for every session, made once. Each callback is a line or two that records.

internal import CNGHTTP2
import Primitives

/// What sessions are made with. Written once, read by all threads, never freed.
@safe struct Library: @unchecked Sendable {
  static let shared = Library()

  let callbacks: OpaquePointer
  let options: OpaquePointer

  private init() {
    var made: OpaquePointer?
    guard unsafe nghttp2_session_callbacks_new(&made) == 0, let callbacks = unsafe made else { preconditionFailure("out of memory") }
    unsafe self.callbacks = callbacks
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, itself in
      unsafe HTTP2Session.with(itself) { unsafe $0.beganFields(frame!.pointee) }
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, _, name, nameCount, value, valueCount, _, itself in
      unsafe HTTP2Session.with(itself) { session in
        let name = unsafe Span(_unsafeStart: name!, count: nameCount)
        let value = unsafe Span(_unsafeStart: value!, count: valueCount)
        return session.tookField(name, value)
      }
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, itself in
      unsafe HTTP2Session.with(itself) { unsafe $0.tookFrame(frame!.pointee) }
    }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, data, count, itself in
      unsafe HTTP2Session.with(itself) { unsafe $0.tookData(id, data!, count) }
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, itself in
      unsafe HTTP2Session.with(itself) { $0.closedStream(id, code) }
    }
    unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, itself in
      unsafe HTTP2Session.with(itself) { unsafe $0.sentFrame(frame!.pointee) }
    }
    unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, _, header, count, source, _ in
      unsafe HTTP2Stream(gh_data_source_stream(source)!).sendData(header!, count)
    }
    var chosen: OpaquePointer?
    guard unsafe nghttp2_option_new(&chosen) == 0, let options = unsafe chosen else { preconditionFailure("out of memory") }
    unsafe self.options = options
    // Credit goes back when the bytes were used, not when they came.
    unsafe nghttp2_option_set_no_auto_window_update(options, 1)
    unsafe nghttp2_option_set_max_reserved_remote_streams(options, 0)
    unsafe nghttp2_option_set_no_closed_streams(options, 1)
    // What a message may be (RFC 9113 section 8) is told by `RequestFields`, more strictly and with the reason, and of bodies by whoever takes them:
    // all of it a second time would be a twentieth of what a request costs us.
    unsafe nghttp2_option_set_no_http_messaging(options, 1)
    unsafe nghttp2_option_set_max_outbound_ack(options, HTTP2Limits.waitingAcknowledgements)
    unsafe nghttp2_option_set_max_settings(options, HTTP2Limits.settings)
    unsafe nghttp2_option_set_max_send_header_block_length(options, HTTP2Limits.responseHeadBytes)
    unsafe nghttp2_option_set_max_deflate_dynamic_table_size(options, 4096)
    // `FrameScanner` counts these sooner and by the configuration; the library's own bound stands behind it, beyond the most that can be configured.
    unsafe nghttp2_option_set_stream_reset_rate_limit(options, 110_000, 1000)
    unsafe nghttp2_option_set_max_continuations(options, FrameScanner.continuations)
  }
}

extension HTTP2Session {
  /// Of what the library was given when the session was made.
  @inline(__always) static func with<Result>(_ itself: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> Result) -> Result {
    unsafe body(HTTP2Session(state: itself.unsafelyUnwrapped.assumingMemoryBound(to: State.self)))
  }

  // MARK: What came

  func beganFields(_ frame: nghttp2_frame) -> Int32 {
    let id = unsafe frame.hd.stream_id
    if unsafe frame.headers.cat == NGHTTP2_HCAT_REQUEST {
      let stream = begin(id)
      requests += 1
      block = stream
      unsafe nghttp2_session_set_stream_user_data(session, id, stream.address)
      fields.begin(.request)
    } else {
      block = stream(of: id)
      fields.begin(.trailers)
    }
    return 0
  }

  func tookField(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Int32 {
    fields.take(name, value)
    // The library looks at each byte of a value, also of one that it has in its table: a block of 16 KiB could have it look at 64 MiB.
    if unsafe fields.read > state.pointee.fieldLimit {
      flood = flood ?? .fieldSize
      return Int32(NGHTTP2_ERR_PAUSE.rawValue)
    }
    // What is recorded is worked through before more is: a few bytes can name many fields of the dynamic table.
    guard fields.text.count > HTTP2Limits.recordedBytes else { return 0 }
    isPaused = true
    return Int32(NGHTTP2_ERR_PAUSE.rawValue)
  }

  func tookFrame(_ frame: nghttp2_frame) -> Int32 {
    let (type, flags, id) = unsafe (UInt32(frame.hd.type), UInt32(frame.hd.flags), frame.hd.stream_id)
    let isLast = flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0
    switch type {
    case NGHTTP2_DATA.rawValue:
      guard isLast, let stream = stream(of: id) else { return 0 }
      stream.isRequestWhole = true
      events.append(HTTP2Event(.end, slot: stream.slot, isLast: true))
    case NGHTTP2_HEADERS.rawValue:
      guard let stream = block else { return 0 }
      let slot = stream.slot
      let isRequest = unsafe frame.headers.cat == NGHTTP2_HCAT_REQUEST
      block = nil
      if isLast { stream.isRequestWhole = true }
      switch fields.conclude(endsStream: isLast) {
      case .whole(let range):
        events.append(
          HTTP2Event(
            isRequest ? .head : .end, slot: slot, start: Int(range.start), count: range.count, isLast: isLast,
            isExtendedConnect: fields.isExtendedConnect))
      case .refused(let fault, let range):
        guard isRequest else {
          stream.reset(.protocolError)
          break
        }
        // Nor are answers without end given to what can't be served.
        provoke()
        events.append(
          HTTP2Event(.refused, slot: slot, start: Int(range.start), count: range.count, isLast: isLast, fault: fault, isHead: fields.isHead))
      case .malformed(let fault):
        // RFC 9113 section 8.1.1.
        malformed = fault
        stream.reset(.protocolError)
      }
    default:
      break
    }
    return 0
  }

  func tookData(_ id: Int32, _ data: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard let stream = stream(of: id), let start = unsafe inputStart else { return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
    stream.held += count
    if stream.isReset {
      stream.consume(count)
    } else {
      events.append(HTTP2Event(.data, slot: stream.slot, start: unsafe data - start, count: count))
    }
    return 0
  }

  func closedStream(_ id: Int32, _ code: UInt32) -> Int32 {
    guard let stream = stream(of: id) else { return 0 }
    if stream.isClosed { return 0 }
    stream.isClosed = true
    openStreams -= 1
    if block?.slot == stream.slot { block = nil }
    if stream.isTunnel { scanner.closed(id) }
    stream.isWanted()
    stream.dropPending()
    // What nobody will use any more is no longer held.
    if stream.held > 0 {
      unsafe nghttp2_session_consume_connection(session, stream.held)
      stream.held = 0
    }
    events.append(HTTP2Event(.closed, slot: stream.slot, code: code))
    return 0
  }
}
