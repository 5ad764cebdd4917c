// One connection's HTTP/2, as a client: requests in, bytes out; bytes in, events out. As with the server's session, libnghttp2's callbacks record and
// nothing else: whoever owns the session works through the events when the library has returned. Not one frame of the server's is trusted.

internal import CNGHTTP2
public import HTTP
public import Primitives

/// A session. Belongs to one worker.
@safe public final class HTTP2ClientSession {
  /// One thing that the server did, or that ended, in the order in which it did.
  public struct Event {
    public enum Kind {
      /// A head is whole, an interim response's or the final one's: its text, as HTTP/1.1 has it, stands at `start` of the session's texts.
      case head
      /// `count` bytes of the body stand at `start` of what was received.
      case data
      /// Lines of trailers stand at `start` of the texts. `end` follows.
      case trailers
      /// The server has ended the stream.
      case end
      /// A field block that is no head, or no trailers: the stream is to be reset.
      case malformed(FieldFault)
      /// What was handed over of the request's body went out, and more may be.
      case drained
      /// The stream is gone, by `code` (RFC 9113 section 7). Its last event.
      case closed
    }

    public let kind: Kind
    public let stream: HTTP2ClientStream
    public let start: Int
    public let count: Int
    public let code: UInt32

    init(_ kind: Kind, _ stream: HTTP2ClientStream, start: Int = 0, count: Int = 0, code: UInt32 = 0) {
      self.kind = kind
      self.stream = stream
      self.start = start
      self.count = count
      self.code = code
    }
  }

  /// Bytes of a response's body that may come before any of them was used: what a client who doesn't read has us hold for him.
  public static let streamWindow = 64 << 10
  /// Requests at once on one connection; the server may allow fewer.
  public static let mostStreams = 100
  /// RST_STREAM frames of the server that are taken in one go, and as many more as requests were answered: each ends one request, none costs more.
  static let resets = 1000

  private(set) var session: OpaquePointer?
  let fieldLimit: Int
  var fields: ResponseFields
  var scanner: FrameScanner
  var streams: [Int32: HTTP2ClientStream] = [:]
  /// Of them, those that were reset before their heads went out: the library drops them when it could send them, which the server may never let it.
  var dropped = 0
  var events: [Event] = []
  var block: HTTP2ClientStream?
  var inputStart: UnsafePointer<UInt8>?
  var isPaused = false
  var isHeldUp = false
  /// Frames that are to be written.
  public var out = ByteBuffer()
  /// The clock of this turn: to be set before anything else is called.
  public var now: Instant
  /// What the server does too much of, once it does.
  public internal(set) var flood: Flood?
  /// Whether the server has said what it takes: it speaks HTTP/2.
  public internal(set) var hasSettings = false
  /// Whether it has said GOAWAY: requests that it will not answer are closed as REFUSED_STREAM, further ones are not taken.
  public internal(set) var isGoingAway = false
  /// Nothing more is read.
  public private(set) var isDeaf = false

  /// - Parameter limits: of a response's head.
  public init(limits: HeadLimits, now: Instant) {
    let headBytes = limits.fields + limits.requestLine
    fieldLimit = 4 * headBytes
    fields = ResponseFields(limits: limits)
    scanner = FrameScanner(ofServerWith: 2 * headBytes, resets: Self.resets)
    self.now = now
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    let made = unsafe nghttp2_session_client_new2(&session, ClientLibrary.shared.callbacks, this, ClientLibrary.shared.options)
    precondition(made == 0, "out of memory")
    let settings = [
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0),
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: 0),
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(Self.streamWindow)),
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue), value: UInt32(headBytes)),
    ]
    unsafe settings.withUnsafeBufferPointer {
      _ = unsafe nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), $0.baseAddress, $0.count)
    }
    // Room for all streams at once: one whose client doesn't read keeps no other waiting.
    let window = Self.streamWindow * (Self.mostStreams + 1)
    unsafe nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(window))
  }

  deinit {
    unsafe nghttp2_session_del(session)
  }

  // MARK: Bytes in

  /// Reads on. Answers how many of `bytes` were read, perhaps not all of them: then the events are to be worked through first. Nil when nothing more
  /// will be read. To be called again for the rest, and once more while it was paused.
  public func receive(_ bytes: Span<UInt8>) -> Int? {
    if isDeaf { return nil }
    isPaused = false
    let count = unsafe bytes.withUnsafeBufferPointer { bytes in
      unsafe inputStart = bytes.baseAddress
      let count = unsafe nghttp2_session_mem_recv(session, bytes.baseAddress, bytes.count)
      unsafe inputStart = nil
      return count
    }
    if count == Int(NGHTTP2_ERR_FLOODED.rawValue) { flood = flood ?? .ping }
    // What it makes us say and does not take.
    if unsafe nghttp2_session_get_outbound_queue_size(session) > HTTP2Limits.queuedFrames + 4 * Self.mostStreams { flood = flood ?? .provoked }
    guard count >= 0, flood == nil, unsafe nghttp2_session_want_read(session) != 0 else {
      isDeaf = true
      return nil
    }
    return count
  }

  /// Follows the frames in `bytes`, which are given to `receive` afterwards if it answers true. False: the server floods us, and nothing of this or of
  /// what may follow is read.
  public func inspect(_ bytes: Span<UInt8>) -> Bool {
    if isDeaf { return false }
    guard let found = scanner.scan(bytes, at: now) else { return true }
    flood = flood ?? found
    isDeaf = true
    return false
  }

  /// Whether `receive` stopped in the middle of a field block, of which all bytes may have been taken.
  public var mustGoOn: Bool { isPaused }

  /// The events since the last call, in the order in which they were. Their texts and bytes are there until `forgetTexts`.
  public func takeEvents() -> [Event] {
    var taken: [Event] = []
    swap(&taken, &events)
    return taken
  }

  /// Appends the text of an event to `out`.
  public func appendText(of event: Event, to out: inout ByteBuffer) { fields.appendText(event.start, event.count, to: &out) }

  public func forgetTexts() { fields.dropConcluded() }

  // MARK: Requests

  /// How many more requests may be begun now.
  public var room: Int {
    guard hasSettings, !isGoingAway, !isDeaf, unsafe nghttp2_session_check_request_allowed(session) != 0 else { return 0 }
    let allowed = unsafe nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
    return max(0, min(Self.mostStreams, Int(allowed)) - streams.count)
  }

  /// Streams that the server knows of, or is still to hear of.
  public var openStreams: Int { streams.count - dropped }

  public enum Body: Equatable, Sendable {
    case none
    case length(UInt64)
    case unknown
  }

  /// Begins a request, of which `text` is the head as HTTP/1.1 has it, without the empty line: fields of a connection and of framing are left out.
  /// Nil when it can't be begun.
  ///
  /// - Parameters:
  ///   - authority: the server's, for requests without Host.
  ///   - takesTrailers: whether `te: trailers` is said.
  public func request(
    _ text: Span<UInt8>, scheme: RequestFields.Scheme, authority: [UInt8], body: Body, takesTrailers: Bool, owner: AnyObject
  ) -> HTTP2ClientStream? {
    let stream = HTTP2ClientStream(self, owner: owner)
    var list = FieldBlock()
    guard list.request(text, isSecure: scheme == .https, authority: authority, body: body, takesTrailers: takesTrailers) else { return nil }
    let id: Int32 = unsafe list.withFields { fields, count in
      guard body != .none else { return unsafe nghttp2_submit_request(session, nil, fields, count, nil, nil) }
      var provider = unsafe gh_data_provider(Unmanaged.passUnretained(stream).toOpaque()) { _, _, _, most, flags, source, _ in
        unsafe Unmanaged<HTTP2ClientStream>.fromOpaque(gh_data_source_stream(source)!).takeUnretainedValue().offerData(most, flags!)
      }
      return unsafe nghttp2_submit_request(session, nil, fields, count, &provider, nil)
    }
    guard id > 0 else { return nil }
    stream.id = id
    if body == .none { stream.isEnded = true }
    streams[id] = stream
    return stream
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

  /// Whether nothing more will be read: the connection is to end. The library finds an error of the connection's, and has not ended before it said so.
  public var isOver: Bool { unsafe isDeaf || nghttp2_session_want_read(session) == 0 }

  /// Whether there is anything to be written.
  public var wantsToWrite: Bool { unsafe !out.isEmpty || nghttp2_session_want_write(session) != 0 }

  // MARK: The end

  /// GOAWAY, after what is in `out`.
  public func end(_ code: HTTP2ErrorCode) {
    isDeaf = true
    unsafe nghttp2_session_terminate_session(session, code.rawValue)
  }

  /// The connection is gone, and all streams with it: each as if it were closed by `code`.
  public func closeAll() -> [HTTP2ClientStream] {
    isDeaf = true
    var left = Array(streams.values)
    // Those that were closed in this very turn have not been told yet.
    for event in events { if case .closed = event.kind { left.append(event.stream) } }
    streams.removeAll()
    dropped = 0
    events.removeAll()
    for stream in left { stream.close() }
    return left
  }

  /// A request was answered wholly.
  public func answered() { scanner.answered(isServed: true) }
}
