// One request on a session in which we are the client: what waits to be sent of its body, and what was received of the answer's that nobody used yet.

internal import CNGHTTP2
public import Primitives

/// A stream. Its owner has it from its beginning until `closed`, or until he lets it go.
@safe public final class HTTP2ClientStream {
  private unowned let session: HTTP2ClientSession
  /// Whose request it is; nil when he has let it go.
  public var owner: AnyObject?
  /// RFC 9113 section 5.1.1.
  public internal(set) var id: Int32 = 0
  /// Body bytes of the request that were not sent yet.
  private(set) var pending = ByteBuffer()
  /// Nothing follows `pending` but the trailers.
  var isEnded = false
  /// Lines of fields that follow the body.
  private var trailers = ByteBuffer()
  /// Whether the library was told that there is nothing to send for now.
  private var isDeferred = false
  /// Bytes of the answer's body that came and of which the server has had no credit back.
  public internal(set) var held = 0
  /// Whether the final head has come.
  var hasHead = false
  /// Whether RST_STREAM is on its way.
  private(set) var isReset = false
  private(set) var isClosed = false
  /// Whether the request's head went out: if not, the server knows nothing of it.
  public internal(set) var isSent = false
  /// Whether it is counted among the session's `dropped`.
  var isDropped = false
  /// Body bytes of the request that went out.
  public private(set) var sentCount = 0

  init(_ session: HTTP2ClientSession, owner: AnyObject) {
    self.session = session
    self.owner = owner
  }

  /// Body bytes of the request that wait to be sent.
  public var waiting: Int { pending.count }

  /// Whether nothing more goes out on it: the request is wholly sent, or the stream is gone.
  public var isSpent: Bool { isClosed || isReset || isEnded && pending.isEmpty }

  // MARK: The request

  /// Hands body bytes over, all of them: `bytes` is empty afterwards.
  public func give(_ bytes: inout ByteBuffer) {
    if bytes.isEmpty { return }
    if isReset || isClosed || isEnded { return bytes.removeAll() }
    if pending.isEmpty { swap(&pending, &bytes) } else { pending.append(bytes.span) }
    bytes.removeAll()
    goOn()
  }

  /// The body is whole, and `trailers`, lines of fields, follow it.
  public func finish(trailers: borrowing ByteBuffer) {
    if isEnded || isReset || isClosed { return }
    isEnded = true
    if !trailers.isEmpty { self.trailers.append(trailers.span) }
    goOn()
  }

  /// Gives back what was not sent of the body.
  public func takeBack(_ bytes: inout ByteBuffer) { swap(&bytes, &pending) }

  /// Ends the stream at once.
  public func reset(_ code: HTTP2ErrorCode) {
    if isReset || isClosed { return }
    isReset = true
    if !isSent {
      isDropped = true
      session.dropped += 1
    }
    pending.removeAll()
    discard()
    unsafe nghttp2_submit_rst_stream(session.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code.rawValue)
  }

  func close() {
    isClosed = true
    // What nobody will use any more on it is no longer held against the others.
    discard()
  }

  private func goOn() {
    guard isDeferred else { return }
    isDeferred = false
    unsafe nghttp2_session_resume_data(session.session, id)
  }

  /// How much of the body goes into the next frame.
  func offerData(_ most: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
    let count = min(most, pending.count)
    if count == pending.count {
      if isEnded {
        unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if !trailers.isEmpty, submitTrailers() { unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
      } else if count == 0 {
        isDeferred = true
        return Int(NGHTTP2_ERR_DEFERRED.rawValue)
      }
    }
    unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
    return count
  }

  func movePending(_ count: Int, to out: inout ByteBuffer) {
    out.append(pending.span.extracting(0..<count))
    pending.consume(count)
    sentCount += count
    // What an upload grew is not kept for as long as its answer lasts; what a piece needs is.
    if pending.isEmpty && pending.capacity > HTTP2Limits.outHigh { pending.release() }
  }

  private func submitTrailers() -> Bool {
    var text = ByteBuffer()
    swap(&text, &trailers)
    var list = FieldBlock()
    guard list.trailers(text.span) else { return false }
    return unsafe list.withFields { unsafe nghttp2_submit_trailer(session.session, id, $0, $1) } == 0
  }

  // MARK: Credit

  /// All but `left` bytes of what came were used: the server gets credit for them. True when there were some.
  public func used(allBut left: Int) -> Bool {
    let count = held - left
    guard count > 0, !isClosed, !isReset else { return false }
    held = left
    unsafe nghttp2_session_consume(session.session, id, count)
    return true
  }

  /// What came is used elsewhere, or not at all: no credit for more on its stream, but for the others.
  public func discard() {
    guard held > 0 else { return }
    unsafe nghttp2_session_consume_connection(session.session, held)
    held = 0
  }
}
