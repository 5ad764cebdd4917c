// The body of one request as it comes from the client, whichever way it is framed. Finds where the body's bytes stand; copies nothing.

import HTTP
import Primitives

/// Reads one body after another; `begin` for each.
struct RequestBodyReader {
  private var left: UInt64 = 0
  private var isChunked = false
  private var decoder = ChunkedDecoder(limits: ChunkLimits())
  private(set) var isComplete = true

  /// The trailers of a chunked body: complete when the body is.
  var trailers: Trailers { decoder.trailers }

  mutating func begin(_ framing: BodyFraming) {
    switch framing {
    case .none:
      left = 0
      isChunked = false
      isComplete = true
      if !decoder.trailers.isEmpty { decoder.reset() }
    case .length(let n):
      left = n
      isChunked = false
      isComplete = n == 0
      if !decoder.trailers.isEmpty { decoder.reset() }
    case .chunked:
      decoder.reset()
      isChunked = true
      isComplete = false
    }
  }

  /// How many bytes of a body of known length are still to come; nil of others.
  var bytesLeft: UInt64? { isChunked ? nil : left }

  /// `n` of them were taken without being read.
  mutating func took(_ n: Int) {
    left -= UInt64(n)
    isComplete = left == 0
  }

  /// What stands next in `input`, in the decoder's terms. Not to be asked when the body is complete.
  mutating func next(_ input: borrowing ByteBuffer) -> ChunkEvent {
    if isChunked {
      let event = decoder.next(input.span)
      if case .end = event { isComplete = true }
      return event
    }
    let count = Int(min(left, UInt64(input.count)))
    left -= UInt64(count)
    isComplete = left == 0
    return .data(start: 0, count: count)
  }
}
