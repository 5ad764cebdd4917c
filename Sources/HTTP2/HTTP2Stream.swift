// One stream's side of the answer: what waits to be sent, and how it ends.

public import Primitives

/// A stream, by its address: copies are the same one. Belongs to a session, which knows it by its slot; when it was released it is used again for
/// another stream.
@safe public struct HTTP2Stream: BitwiseCopyable {
  /// How the answer ends once `pending` was sent.
  enum Ending {
    /// More may come.
    case open
    /// END_STREAM.
    case whole
    /// RST_STREAM(INTERNAL_ERROR): visibly unfinished.
    case broken
  }

  /// What is known of it. None of it can be in use twice at a time, as with the session's.
  @safe struct State: ~Copyable {
    var session: UnsafeMutablePointer<HTTP2Session.State>?
    var slot: Int32 = -1
    var id: Int32 = 0
    var owner: SlotToken?
    var pending = ByteBuffer()
    var ending = Ending.open
    var hasAnswered = false
    var isServed = false
    var isDeferred = false
    var trailers = ByteBuffer()
    var isDrainTold = true
    var held = 0
    var isRequestWhole = false
    var isTunnel = false
    var isEndSent = false
    var isReset = false
    var isClosed = false
    var stalledSince: Instant?
    var unwantedSince: Instant?
    var sentSince = 0
  }

  private let state: UnsafeMutablePointer<State>

  /// Whose it is. Only while it has a slot.
  var session: HTTP2Session {
    @inline(__always) get { unsafe HTTP2Session(state: state.pointee.session.unsafelyUnwrapped) }
  }
  var slot: Int32 {
    @inline(__always) get { unsafe state.pointee.slot }
  }
  /// RFC 9113 section 5.1.1.
  public internal(set) var id: Int32 {
    @inline(__always) get { unsafe state.pointee.id }
    @inline(__always) nonmutating set { unsafe state.pointee.id = newValue }
  }
  /// Whoever has the request; nil when nobody has, or no more.
  public var owner: SlotToken? {
    @inline(__always) get { unsafe state.pointee.owner }
    @inline(__always) nonmutating set { unsafe state.pointee.owner = newValue }
  }
  /// Body bytes of the answer that were not sent yet.
  var pending: ByteBuffer {
    @inline(__always) _read { yield unsafe state.pointee.pending }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.pending }
  }
  var ending: Ending {
    @inline(__always) get { unsafe state.pointee.ending }
    @inline(__always) nonmutating set { unsafe state.pointee.ending = newValue }
  }
  /// Whether the final head was handed over.
  public internal(set) var hasAnswered: Bool {
    @inline(__always) get { unsafe state.pointee.hasAnswered }
    @inline(__always) nonmutating set { unsafe state.pointee.hasAnswered = newValue }
  }
  /// Whether the answer is a service's, and no refusal of ours: then something useful was done.
  public var isServed: Bool {
    @inline(__always) get { unsafe state.pointee.isServed }
    @inline(__always) nonmutating set { unsafe state.pointee.isServed = newValue }
  }
  /// Whether the library was told that there is nothing to send for now.
  var isDeferred: Bool {
    @inline(__always) get { unsafe state.pointee.isDeferred }
    @inline(__always) nonmutating set { unsafe state.pointee.isDeferred = newValue }
  }
  /// Lines of fields that follow the body.
  var trailers: ByteBuffer {
    @inline(__always) _read { yield unsafe state.pointee.trailers }
    @inline(__always) nonmutating _modify { yield unsafe &state.pointee.trailers }
  }
  /// Whether `drained` was recorded since its owner handed something over.
  var isDrainTold: Bool {
    @inline(__always) get { unsafe state.pointee.isDrainTold }
    @inline(__always) nonmutating set { unsafe state.pointee.isDrainTold = newValue }
  }
  /// Bytes of the request's body that were received and of which the client has had no credit back.
  var held: Int {
    @inline(__always) get { unsafe state.pointee.held }
    @inline(__always) nonmutating set { unsafe state.pointee.held = newValue }
  }
  /// Whether the request is whole.
  var isRequestWhole: Bool {
    @inline(__always) get { unsafe state.pointee.isRequestWhole }
    @inline(__always) nonmutating set { unsafe state.pointee.isRequestWhole = newValue }
  }
  /// Whether it is a tunnel: its two halves end each by itself.
  var isTunnel: Bool {
    @inline(__always) get { unsafe state.pointee.isTunnel }
    @inline(__always) nonmutating set { unsafe state.pointee.isTunnel = newValue }
  }
  /// Whether END_STREAM was sent.
  var isEndSent: Bool {
    @inline(__always) get { unsafe state.pointee.isEndSent }
    @inline(__always) nonmutating set { unsafe state.pointee.isEndSent = newValue }
  }
  /// Whether RST_STREAM is on its way.
  var isReset: Bool {
    @inline(__always) get { unsafe state.pointee.isReset }
    @inline(__always) nonmutating set { unsafe state.pointee.isReset = newValue }
  }
  /// Whether it is gone and waits to be released.
  var isClosed: Bool {
    @inline(__always) get { unsafe state.pointee.isClosed }
    @inline(__always) nonmutating set { unsafe state.pointee.isClosed = newValue }
  }
  /// Since when what waits has not been taken in any amount worth mentioning; nil when nothing waits.
  public internal(set) var stalledSince: Instant? {
    @inline(__always) get { unsafe state.pointee.stalledSince }
    @inline(__always) nonmutating set { unsafe state.pointee.stalledSince = newValue }
  }
  /// Since when it is answered wholly, and the client still sends its request; nil before, and when it is not so.
  public internal(set) var unwantedSince: Instant? {
    @inline(__always) get { unsafe state.pointee.unwantedSince }
    @inline(__always) nonmutating set { unsafe state.pointee.unwantedSince = newValue }
  }
  /// Bytes sent since then.
  var sentSince: Int {
    @inline(__always) get { unsafe state.pointee.sentSince }
    @inline(__always) nonmutating set { unsafe state.pointee.sentSince = newValue }
  }

  static func make() -> HTTP2Stream {
    let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
    unsafe state.initialize(to: State())
    return unsafe HTTP2Stream(state: state)
  }

  func destroy() {
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
  }

  private init(state: UnsafeMutablePointer<State>) { unsafe self.state = state }

  /// What `address` gave to the library.
  init(_ address: UnsafeMutableRawPointer) { unsafe state = address.assumingMemoryBound(to: State.self) }

  var address: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(state) }

  func begin(_ id: Int32, _ slot: Int32, _ session: UnsafeMutablePointer<HTTP2Session.State>) {
    unsafe state.pointee.session = session
    unsafe state.pointee.slot = slot
    self.id = id
  }

  /// Whether nothing more is to be done about it.
  public var isGone: Bool { isReset || isClosed }

  /// Body bytes of the answer that wait to be sent.
  public var waiting: Int { pending.count }

  /// Whether it has answered wholly, as far as its owner is concerned.
  public var isAnswered: Bool { ending != .open }

  func reset() {
    unsafe state.pointee.session = nil
    unsafe state.pointee.slot = -1
    id = 0
    owner = nil
    pending.removeAll(keepingAtMost: HTTP2Limits.keptBuffer)
    ending = .open
    hasAnswered = false
    isServed = false
    isDeferred = false
    trailers.removeAll(keepingAtMost: 0)
    isDrainTold = true
    held = 0
    isRequestWhole = false
    isTunnel = false
    isEndSent = false
    isReset = false
    isClosed = false
    stalledSince = nil
    unwantedSince = nil
    sentSince = 0
  }
}
