// One connection's HTTP/2, as a server: bytes in, events out; answers in, bytes out. The only door to libnghttp2. Its callbacks record and nothing
// else: whoever owns the session works through the events when the library has returned.

internal import CNGHTTP2
public import HTTP
public import Primitives

/// What the sessions of one worker share: memory that is used again.
@safe public final class HTTP2Workroom {
  /// Most field lines of an answer's head: an upstream's may have 256, and we add a few.
  static let fields = 320
  let scratch: UnsafeMutablePointer<nghttp2_nv>
  /// The library's memory.
  let pool: UnsafeMutablePointer<gh_pool>
  /// Behind a pointer, as `HTTP2Session.State`.
  private let spare: UnsafeMutablePointer<PlainList<HTTP2Stream>>
  /// Most streams that are kept for others.
  private static let kept = 256

  public init() {
    unsafe scratch = .allocate(capacity: Self.fields)
    unsafe scratch.initialize(repeating: nghttp2_nv(), count: Self.fields)
    unsafe pool = .allocate(capacity: 1)
    unsafe pool.initialize(to: gh_pool())
    unsafe spare = .allocate(capacity: 1)
    unsafe spare.initialize(to: PlainList())
  }

  deinit {
    unsafe scratch.deallocate()
    unsafe gh_pool_release(pool)
    unsafe pool.deallocate()
    while let stream = unsafe spare.pointee.popLast() { stream.destroy() }
    unsafe spare.deinitialize(count: 1)
    unsafe spare.deallocate()
  }

  func take() -> HTTP2Stream { unsafe spare.pointee.popLast() ?? HTTP2Stream.make() }

  func give(_ stream: HTTP2Stream) {
    if unsafe spare.pointee.count < Self.kept { unsafe spare.pointee.append(stream) } else { stream.destroy() }
  }
}

/// Whoever has it has the session, which ends with it.
public struct HTTP2SessionOwner: ~Copyable {
  public let session: HTTP2Session

  /// - Parameters:
  ///   - limits: of a request's head.
  ///   - scheme: what `:scheme` may say on this connection.
  public init(_ options: HTTP2Options, limits: HeadLimits, scheme: RequestFields.Scheme, workroom: HTTP2Workroom, now: Instant) {
    session = HTTP2Session.make(options, limits: limits, scheme: scheme, workroom: workroom, now: now)
  }

  deinit { session.destroy() }
}

/// A session, by its address: copies are the same one, and no use of it counts references, of which a request would take forty. Not to be used when
/// its owner is gone. Belongs to one worker.
///
/// A stream is known by its slot from its first frame until its owner releases it, after the event `closed`.
@safe public struct HTTP2Session: BitwiseCopyable {
  /// What is known of it. None of it can be in use twice at a time, since nothing that is called meanwhile comes back to the session.
  @safe struct State: ~Copyable {
    let options: HTTP2Options
    /// Bytes of a field block, once read, beyond which it isn't read to its end.
    let fieldLimit: Int
    let workroom: HTTP2Workroom
    /// The workroom's.
    let scratch: UnsafeMutablePointer<nghttp2_nv>
    var session: OpaquePointer?
    var fields: RequestFields
    var scanner: FrameScanner
    var events = PlainList<HTTP2Event>()
    var slots = PlainList<HTTP2Stream?>()
    var freeSlots = PlainList<Int32>()
    var inputStart: UnsafePointer<UInt8>?
    var block: HTTP2Stream?
    var out = ByteBuffer()
    var now: Instant
    var flood: Flood?
    var goawayCode: UInt32?
    var openStreams: Int = 0
    var requests: Int = 0
    var waiting: Int = 0
    var unwanted: Int = 0
    var stalled: Int = 0
    var isPaused: Bool = false
    var malformed: FieldFault?
    var isHeldUp: Bool = false
    var isDeaf: Bool = false
    var place: SlotToken?
    var isDirty = false
    var heldRefusals = 0
    var armed: Instant?
  }

  let state: UnsafeMutablePointer<State>

  var options: HTTP2Options { unsafe state.pointee.options }
  /// The fields of an answer's head, for as long as the library reads them.
  var scratch: UnsafeMutablePointer<nghttp2_nv> {
    @inline(__always) get { unsafe state.pointee.scratch }
  }

  /// `HTTP2Options.streamWindow`.
  public var streamWindow: Int { options.streamWindow }

  // For whoever moves the session's bytes, so that its requests find it without him.

  /// Where he is.
  public var place: SlotToken? {
    get { unsafe state.pointee.place }
    nonmutating set { unsafe state.pointee.place = newValue }
  }
  /// Whether he knows that there is something to be written.
  public var isDirty: Bool {
    get { unsafe state.pointee.isDirty }
    nonmutating set { unsafe state.pointee.isDirty = newValue }
  }
  /// When he looks at the clock next.
  public var armed: Instant? {
    get { unsafe state.pointee.armed }
    nonmutating set { unsafe state.pointee.armed = newValue }
  }
  /// Requests whose refusal is held back.
  public var heldRefusals: Int {
    get { unsafe state.pointee.heldRefusals }
    nonmutating set { unsafe state.pointee.heldRefusals = newValue }
  }

  /// Only nil until it is made.
  var session: OpaquePointer? {
    @inline(__always) get { unsafe state.pointee.session }
    @inline(__always) nonmutating set { unsafe state.pointee.session = newValue }
  }
  var fields: RequestFields {
    @inline(__always) _read { yield unsafe state.pointee.fields }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.fields }
  }
  var scanner: FrameScanner {
    @inline(__always) _read { yield unsafe state.pointee.scanner }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.scanner }
  }
  var events: PlainList<HTTP2Event> {
    @inline(__always) _read { yield unsafe state.pointee.events }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.events }
  }
  var slots: PlainList<HTTP2Stream?> {
    @inline(__always) _read { yield unsafe state.pointee.slots }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.slots }
  }
  private var freeSlots: PlainList<Int32> {
    @inline(__always) _read { yield unsafe state.pointee.freeSlots }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.freeSlots }
  }
  /// Where the bytes begin that the library is reading.
  var inputStart: UnsafePointer<UInt8>? {
    @inline(__always) get { unsafe state.pointee.inputStart }
    @inline(__always) nonmutating set { unsafe state.pointee.inputStart = newValue }
  }
  /// Of which stream the library reads a field block.
  var block: HTTP2Stream? {
    @inline(__always) get { unsafe state.pointee.block }
    @inline(__always) nonmutating set { unsafe state.pointee.block = newValue }
  }
  /// Frames that are to be written.
  public var out: ByteBuffer {
    @inline(__always) _read { yield unsafe state.pointee.out }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.out }
  }
  /// The clock of this turn: to be set before anything else is called.
  public var now: Instant {
    @inline(__always) get { unsafe state.pointee.now }
    @inline(__always) nonmutating set { unsafe state.pointee.now = newValue }
  }
  /// What the client does too much of, once it does.
  public internal(set) var flood: Flood? {
    @inline(__always) get { unsafe state.pointee.flood }
    @inline(__always) nonmutating set { unsafe state.pointee.flood = newValue }
  }
  /// Why the connection ends, as GOAWAY said.
  public internal(set) var goawayCode: UInt32? {
    @inline(__always) get { unsafe state.pointee.goawayCode }
    @inline(__always) nonmutating set { unsafe state.pointee.goawayCode = newValue }
  }
  /// Streams that are not closed.
  public internal(set) var openStreams: Int {
    @inline(__always) get { unsafe state.pointee.openStreams }
    @inline(__always) nonmutating set { unsafe state.pointee.openStreams = newValue }
  }
  /// Requests that were begun.
  public internal(set) var requests: Int {
    @inline(__always) get { unsafe state.pointee.requests }
    @inline(__always) nonmutating set { unsafe state.pointee.requests = newValue }
  }
  /// Body bytes of answers that wait to be sent, of all streams.
  public internal(set) var waiting: Int {
    @inline(__always) get { unsafe state.pointee.waiting }
    @inline(__always) nonmutating set { unsafe state.pointee.waiting = newValue }
  }
  /// Streams with a `stalledSince`.
  public internal(set) var stalled: Int {
    @inline(__always) get { unsafe state.pointee.stalled }
    @inline(__always) nonmutating set { unsafe state.pointee.stalled = newValue }
  }
  /// Whether the library stopped in the middle of a field block, of which all bytes may have been taken: `receive` has to be called again.
  public internal(set) var isPaused: Bool {
    @inline(__always) get { unsafe state.pointee.isPaused }
    @inline(__always) nonmutating set { unsafe state.pointee.isPaused = newValue }
  }
  /// Streams with an `unwantedSince`.
  public internal(set) var unwanted: Int {
    @inline(__always) get { unsafe state.pointee.unwanted }
    @inline(__always) nonmutating set { unsafe state.pointee.unwanted = newValue }
  }
  /// What was wrong with a request that was reset for it, since `forgetEvents`.
  public internal(set) var malformed: FieldFault? {
    @inline(__always) get { unsafe state.pointee.malformed }
    @inline(__always) nonmutating set { unsafe state.pointee.malformed = newValue }
  }
  /// Whether a frame waits for room in `out`.
  var isHeldUp: Bool {
    @inline(__always) get { unsafe state.pointee.isHeldUp }
    @inline(__always) nonmutating set { unsafe state.pointee.isHeldUp = newValue }
  }
  /// Nothing more is read.
  public private(set) var isDeaf: Bool {
    @inline(__always) get { unsafe state.pointee.isDeaf }
    @inline(__always) nonmutating set { unsafe state.pointee.isDeaf = newValue }
  }

  static func make(
    _ options: HTTP2Options, limits: HeadLimits, scheme: RequestFields.Scheme, workroom: HTTP2Workroom, now: Instant
  ) -> HTTP2Session {
    let headBytes = limits.fields + limits.requestLine
    let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
    // Huffman's code makes what is rare up to four times as long (RFC 7541, appendix B); of what anybody sends, twice is more than enough.
    unsafe state.initialize(
      to: State(
        options: options, fieldLimit: 4 * headBytes, workroom: workroom, scratch: workroom.scratch,
        fields: RequestFields(limits: limits, scheme: scheme), scanner: FrameScanner(blockLimit: 2 * headBytes, resets: options.resets),
        now: now))
    let made = unsafe gh_session_create(&state.pointee.session, Library.shared.callbacks, state, Library.shared.options, workroom.pool)
    precondition(made == 0, "out of memory")
    let session = unsafe HTTP2Session(state: state)
    session.submitSettings(headBytes)
    return session
  }

  private func submitSettings(_ headBytes: Int) {
    let settings = [
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: UInt32(options.maxStreams)),
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(options.streamWindow)),
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue), value: UInt32(headBytes)),
      // RFC 9218 section 2.1: the tree of RFC 7540 is not kept, nor the memory that it takes.
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1),
      // RFC 8441 section 3: WebSockets by CONNECT. Which routes let them in is said to who may ask.
      nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL.rawValue), value: 1),
    ]
    unsafe settings.withUnsafeBufferPointer {
      _ = unsafe nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), $0.baseAddress, $0.count)
    }
    unsafe nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(HTTP2Limits.connectionWindow))
  }

  func destroy() {
    unsafe nghttp2_session_del(session)
    for i in 0..<slots.count { slots[i]?.destroy() }
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
  }

  // MARK: Bytes in

  /// Follows the frames in `bytes`, which are given to `receive` afterwards if it answers true. False: the client floods us, and nothing of this or
  /// of what may follow is read.
  public func inspect(_ bytes: Span<UInt8>) -> Bool {
    if isDeaf { return false }
    guard let found = scanner.scan(bytes, at: now) else { return true }
    flood = flood ?? found
    return false
  }

  /// Reads on. Answers how many of `bytes` were read, perhaps not all of them: then the events are to be worked through first. Nil when nothing more
  /// will be read.
  public func receive(_ bytes: Span<UInt8>) -> Int? {
    if isDeaf { return nil }
    isPaused = false
    let count = unsafe bytes.withUnsafeBufferPointer { bytes in
      unsafe inputStart = bytes.baseAddress
      let count = unsafe nghttp2_session_mem_recv(session, bytes.baseAddress, bytes.count)
      unsafe inputStart = nil
      return count
    }
    // What it found to be wrong it says to the client itself; it is not to be fed any more (CVE-2026-27135).
    if count == Int(NGHTTP2_ERR_FLOODED.rawValue) { flood = flood ?? .ping }
    // What the client makes us say and does not take is counted where it queues, not where it is sent: then it is too late.
    if unsafe nghttp2_session_get_outbound_queue_size(session) > HTTP2Limits.queuedFrames + 4 * options.maxStreams {
      flood = flood ?? .provoked
    }
    guard count >= 0, unsafe nghttp2_session_want_read(session) != 0 else {
      isDeaf = true
      return nil
    }
    return count
  }

  /// Since when a field block is on its way that is not complete; nil when none is.
  public var blockBegan: Instant? { scanner.blockBegan }

  // MARK: Events

  public var eventCount: Int { events.count }
  public func event(_ i: Int) -> HTTP2Event { events[i] }

  /// Appends the text of an event to `out`.
  public func appendText(of event: HTTP2Event, to out: inout ByteBuffer) {
    fields.appendText(Int(event.start), Int(event.count), to: &out)
  }

  /// All events were worked through, and their texts taken.
  public func forgetEvents() {
    events.removeAll()
    fields.dropConcluded()
    malformed = nil
  }

  /// Nothing is under way: gives back what memory can be.
  public func rest() {
    fields.release()
    out.release()
    if openStreams == 0 && events.isEmpty {
      slots = PlainList()
      freeSlots = PlainList()
    }
  }

  // MARK: Streams

  /// The stream in `slot`, which is in use.
  public func stream(_ slot: Int32) -> HTTP2Stream {
    guard let stream = slots[Int(slot)] else { preconditionFailure("a slot in use") }
    return stream
  }

  /// The slots that there are; not all of them are in use.
  public var slotCount: Int { slots.count }
  public func streamIfUsed(_ slot: Int32) -> HTTP2Stream? { slots[Int(slot)] }

  func begin(_ id: Int32) -> HTTP2Stream {
    let stream = unsafe state.pointee.workroom.take()
    openStreams += 1
    let free = freeSlots.popLast()
    if let free { slots[Int(free)] = stream } else { slots.append(stream) }
    unsafe stream.begin(id, free ?? Int32(slots.count - 1), state)
    return stream
  }

  /// The stream is closed, its owner knows, and its slot is free for another.
  public func release(_ slot: Int32) {
    let stream = stream(slot)
    precondition(stream.isClosed && stream.owner == nil, "a stream that is still used")
    slots[Int(slot)] = nil
    freeSlots.append(slot)
    stream.reset()
    unsafe state.pointee.workroom.give(stream)
  }

  /// The stream that the library knows by that number; nil of those that we don't.
  func stream(of id: Int32) -> HTTP2Stream? {
    guard let mark = unsafe nghttp2_session_get_stream_user_data(session, id) else { return nil }
    return unsafe HTTP2Stream(mark)
  }

  // MARK: The end

  /// Ends the connection with GOAWAY, after what is in `out`; streams that are under way are not finished.
  public func end(_ code: HTTP2ErrorCode) {
    isDeaf = true
    unsafe nghttp2_session_terminate_session(session, code.rawValue)
  }

  /// RFC 9113 section 6.8: a GOAWAY that names no stream, so that what is on its way still comes.
  public func announceEnd() {
    unsafe nghttp2_submit_shutdown_notice(session)
  }

  /// GOAWAY with the last stream that was begun: those go on, further ones are not taken.
  public func refuseFurther() {
    let last = unsafe nghttp2_session_get_last_proc_stream_id(session)
    unsafe nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, HTTP2ErrorCode.noError.rawValue, nil, 0)
  }

  /// Whether frames could be made now, if there were room for them.
  public var hasMore: Bool { out.count >= HTTP2Limits.outHigh || isHeldUp }

  /// Since when the first of the streams is answered wholly of which the client still sends the request; nil when there is none.
  public var unwantedSince: Instant? {
    if unwanted == 0 { return nil }
    var oldest: Instant?
    for i in 0..<slots.count {
      guard let since = slots[i]?.unwantedSince else { continue }
      if oldest.map({ since < $0 }) ?? true { oldest = since }
    }
    return oldest
  }

  /// Since when the stream that waits longest has had nothing of its body taken; nil when none waits.
  public var stalledSince: Instant? {
    var oldest: Instant?
    for i in 0..<slots.count {
      guard let since = slots[i]?.stalledSince else { continue }
      if oldest.map({ since < $0 }) ?? true { oldest = since }
    }
    return oldest
  }

  /// Whether everything was said, and nothing more can come.
  public var isOver: Bool {
    unsafe nghttp2_session_want_write(session) == 0 && nghttp2_session_want_read(session) == 0
  }
}
