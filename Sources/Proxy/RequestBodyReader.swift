// The body of one request as it comes from the client, whichever way it is framed. Finds where the body's bytes stand; copies nothing.

import HTTP
import Primitives

/// Reads one body after another; `begin` for each.
struct RequestBodyReader {
  private enum Framing {
    /// `left` says how much there is.
    case length
    case chunked
    /// It ends when `end` says so; with a known length it has to end there.
    case told
  }

  private var framing = Framing.length
  /// Of known length: what is still to come.
  private var left: UInt64 = 0
  private var decoder = ChunkedDecoder(limits: ChunkLimits())
  private(set) var isComplete = true
  // Of `told`.
  /// How much has come, taken or not.
  private var came: UInt64 = 0
  private var declared: UInt64?
  private var isEnded = false

  /// The trailers of a chunked body: complete when the body is.
  var trailers: Trailers { decoder.trailers }

  /// As it is before the first body.
  mutating func reset() {
    begin(.none)
    came = 0
    declared = nil
    isEnded = false
  }

  mutating func begin(_ bodyFraming: BodyFraming) {
    framing = .length
    switch bodyFraming {
    case .none:
      left = 0
      isComplete = true
      if !decoder.trailers.isEmpty { decoder.reset() }
    case .length(let n):
      left = n
      isComplete = n == 0
      if !decoder.trailers.isEmpty { decoder.reset() }
    case .chunked:
      decoder.reset()
      framing = .chunked
      isComplete = false
    }
  }

  /// A body of a stream, whose bytes stand there as they are. `bodyFraming` says whether its length was declared.
  mutating func beginTold(_ bodyFraming: BodyFraming) {
    begin(bodyFraming)
    framing = .told
    came = 0
    isEnded = false
    if case .length(let n) = bodyFraming { declared = n } else { declared = nil }
  }

  /// `n` bytes more have come on the stream. False when they are more than was declared (RFC 9113 section 8.1.1).
  mutating func came(_ n: Int) -> Bool {
    came += UInt64(n)
    return came <= declared ?? .max
  }

  /// The stream ends, with `trailers`, which are a last chunk with fields, or empty. Nil when all is well.
  mutating func end(_ trailers: Span<UInt8>) -> HeadFailure? {
    isEnded = true
    if let declared, came != declared { return .invalidContentLength }
    guard trailers.count > 0 else { return nil }
    decoder.reset()
    switch decoder.next(trailers) {
    case .end(let consumed) where consumed == trailers.count: return nil
    case .failed(let failure): return failure
    default: return .invalidFieldValue
    }
  }

  /// The stream has ended, and nothing of the body waits: it is complete.
  mutating func completeIfEnded(_ waiting: Int) {
    if isEnded && waiting == 0 { isComplete = true }
  }

  /// How many bytes of a body of known length are still to come; nil of others.
  var bytesLeft: UInt64? { framing == .length ? left : nil }

  /// `n` of them were taken without being read.
  mutating func took(_ n: Int) {
    left -= UInt64(n)
    isComplete = left == 0
  }

  /// What stands next in `input`, in the decoder's terms. Not to be asked when the body is complete.
  mutating func next(_ input: borrowing ByteBuffer) -> ChunkEvent {
    switch framing {
    case .chunked:
      let event = decoder.next(input.span)
      if case .end = event { isComplete = true }
      return event
    case .length:
      let count = Int(min(left, UInt64(input.count)))
      left -= UInt64(count)
      isComplete = left == 0
      return .data(start: 0, count: count)
    case .told:
      guard declared != nil else {
        isComplete = isEnded
        return .data(start: 0, count: input.count)
      }
      // The last byte tells the upstream that the body is whole. That it is is known when the stream has ended.
      let known = isEnded ? left : left - 1
      let count = Int(min(known, UInt64(input.count)))
      if count == 0 { return .needMore(consumed: 0) }
      left -= UInt64(count)
      isComplete = left == 0
      return .data(start: 0, count: count)
    }
  }
}
