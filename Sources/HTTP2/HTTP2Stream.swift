// One stream's side of the answer: what waits to be sent, and how it ends.

public import Primitives

/// Belongs to a session, which knows it by its slot. Used again for another stream.
public final class HTTP2Stream {
  /// How the answer ends once `pending` was sent.
  enum Ending {
    /// More may come.
    case open
    /// END_STREAM.
    case whole
    /// RST_STREAM(INTERNAL_ERROR): visibly unfinished.
    case broken
  }

  /// RFC 9113 section 5.1.1.
  public internal(set) var id: Int32 = 0
  /// Whoever has the request; nil when nobody has, or no more.
  public var owner: SlotToken?
  /// Body bytes of the answer that were not sent yet.
  var pending = ByteBuffer()
  var ending = Ending.open
  /// Whether the final head was handed over.
  public internal(set) var hasAnswered = false
  /// Whether the library was told that there is nothing to send for now.
  var isDeferred = false
  /// Lines of fields that follow the body.
  var trailers = ByteBuffer()
  /// Whether `drained` was recorded since its owner handed something over.
  var isDrainTold = true
  /// Bytes of the request's body that were received and of which the client has had no credit back.
  var held = 0
  /// Whether the request is whole.
  var isRequestWhole = false
  /// Whether RST_STREAM is on its way.
  var isReset = false
  /// Whether it is gone and waits to be released.
  var isClosed = false
  /// Since when what waits has not been taken in any amount worth mentioning; nil when nothing waits.
  public internal(set) var stalledSince: Instant?
  /// Since when it is answered wholly, and the client still sends its request; nil before, and when it is not so.
  public internal(set) var unwantedSince: Instant?
  /// Bytes sent since then.
  var sentSince = 0

  init() {}

  /// Whether nothing more is to be done about it.
  public var isGone: Bool { isReset || isClosed }

  /// Body bytes of the answer that wait to be sent.
  public var waiting: Int { pending.count }

  /// Whether it has answered wholly, as far as its owner is concerned.
  public var isAnswered: Bool { ending != .open }

  func reset() {
    id = 0
    owner = nil
    pending.removeAll(keepingAtMost: HTTP2Limits.keptBuffer)
    ending = .open
    hasAnswered = false
    isDeferred = false
    trailers.removeAll(keepingAtMost: 0)
    isDrainTold = true
    held = 0
    isRequestWhole = false
    isReset = false
    isClosed = false
    stalledSince = nil
    unwantedSince = nil
    sentSince = 0
  }
}
