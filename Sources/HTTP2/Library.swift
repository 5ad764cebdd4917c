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
    // Without it such a field is dropped without a word, and the request goes on.
    unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) { _, _, _, _, _, _, _, itself in
      unsafe HTTP2Session.with(itself) { $0.refusedField() }
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
    unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, _, header, count, source, itself in
      unsafe HTTP2Session.with(itself) { unsafe $0.sendData(gh_data_source_slot(source), header!, count) }
    }
    var chosen: OpaquePointer?
    guard unsafe nghttp2_option_new(&chosen) == 0, let options = unsafe chosen else { preconditionFailure("out of memory") }
    unsafe self.options = options
    // Credit goes back when the bytes were used, not when they came.
    unsafe nghttp2_option_set_no_auto_window_update(options, 1)
    unsafe nghttp2_option_set_max_reserved_remote_streams(options, 0)
    unsafe nghttp2_option_set_no_closed_streams(options, 1)
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
  /// Without counting a reference: whoever called the library has one.
  @inline(__always) static func with<Result>(_ itself: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> Result) -> Result {
    unsafe Unmanaged<HTTP2Session>.fromOpaque(itself.unsafelyUnwrapped)._withUnsafeGuaranteedRef(body)
  }

  // MARK: What came

  func beganFields(_ frame: nghttp2_frame) -> Int32 {
    let id = unsafe frame.hd.stream_id
    if unsafe frame.headers.cat == NGHTTP2_HCAT_REQUEST {
      let slot = takeSlot(id)
      requests += 1
      blockSlot = slot
      unsafe nghttp2_session_set_stream_user_data(session, id, UnsafeMutableRawPointer(bitPattern: Int(slot) + 1))
      fields.begin(.request)
    } else {
      blockSlot = slot(of: id) ?? -1
      fields.begin(.trailers)
    }
    return 0
  }

  func tookField(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Int32 {
    fields.take(name, value)
    // The library looks at each byte of a value, also of one that it has in its table: a block of 16 KiB could have it look at 64 MiB.
    if fields.read > fieldLimit {
      flood = flood ?? .fieldSize
      return Int32(NGHTTP2_ERR_PAUSE.rawValue)
    }
    // What is recorded is worked through before more is: a few bytes can name many fields of the dynamic table.
    guard fields.text.count > HTTP2Limits.recordedBytes else { return 0 }
    isPaused = true
    return Int32(NGHTTP2_ERR_PAUSE.rawValue)
  }

  func refusedField() -> Int32 {
    fields.refuse()
    return 0
  }

  func tookFrame(_ frame: nghttp2_frame) -> Int32 {
    let (type, flags, id) = unsafe (UInt32(frame.hd.type), UInt32(frame.hd.flags), frame.hd.stream_id)
    let isLast = flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0
    switch type {
    case NGHTTP2_DATA.rawValue:
      guard isLast, let slot = slot(of: id) else { return 0 }
      stream(slot).isRequestWhole = true
      events.append(HTTP2Event(.end, slot: slot, isLast: true))
    case NGHTTP2_HEADERS.rawValue:
      guard blockSlot >= 0 else { return 0 }
      let slot = blockSlot
      let isRequest = unsafe frame.headers.cat == NGHTTP2_HCAT_REQUEST
      blockSlot = -1
      if isLast { stream(slot).isRequestWhole = true }
      switch fields.conclude(endsStream: isLast) {
      case .whole(let range):
        events.append(
          HTTP2Event(isRequest ? .head : .end, slot: slot, start: Int(range.start), count: range.count, isLast: isLast))
      case .refused(let fault, let range):
        guard isRequest else {
          reset(slot, .protocolError)
          break
        }
        // Nor are answers without end given to what can't be served.
        provoke()
        events.append(
          HTTP2Event(.refused, slot: slot, start: Int(range.start), count: range.count, isLast: isLast, fault: fault, isHead: fields.isHead))
      case .malformed(let fault):
        // RFC 9113 section 8.1.1.
        malformed = fault
        reset(slot, .protocolError)
      }
    default:
      break
    }
    return 0
  }

  func tookData(_ id: Int32, _ data: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard let slot = slot(of: id), let start = unsafe inputStart else { return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
    let stream = stream(slot)
    stream.held += count
    if stream.isReset {
      consume(slot, count)
    } else {
      events.append(HTTP2Event(.data, slot: slot, start: unsafe data - start, count: count))
    }
    return 0
  }

  func closedStream(_ id: Int32, _ code: UInt32) -> Int32 {
    guard let slot = slot(of: id) else { return 0 }
    let stream = stream(slot)
    if stream.isClosed { return 0 }
    stream.isClosed = true
    openStreams -= 1
    if blockSlot == slot { blockSlot = -1 }
    isWanted(stream)
    dropPending(stream)
    // What nobody will use any more is no longer held.
    if stream.held > 0 {
      unsafe nghttp2_session_consume_connection(session, stream.held)
      stream.held = 0
    }
    events.append(HTTP2Event(.closed, slot: slot, code: code))
    return 0
  }
}
