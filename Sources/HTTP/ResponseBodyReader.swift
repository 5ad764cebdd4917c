// The body of a response as it comes from an upstream, whichever way it is delimited (RFC 9112 section 6.3). Copies nothing.

import Primitives

/// Reads one body after another; `begin` for each.
public struct ResponseBodyReader: Sendable {
  private enum Kind: Sendable { case length, chunked, untilClose }

  private var kind = Kind.length
  private var left: UInt64 = 0
  private var decoder = ChunkedDecoder(limits: ChunkLimits(trailers: 128 << 10, trailerCount: 256))

  public init() {}

  /// Forgets the last body, keeps memory.
  public mutating func reset() {
    kind = .length
    left = 0
    if !decoder.trailers.isEmpty { decoder.reset() }
  }

  /// - Parameters:
  ///   - head: complete, and checked: at most one of Content-Length and chunked.
  ///   - isHead: whether the request was HEAD.
  public mutating func begin(_ head: borrowing ResponseHead, isHead: Bool) {
    left = 0
    kind = .length
    // The trailers of the body before are another client's, perhaps. They go also where this body can have none: at its end they are asked for.
    if !decoder.trailers.isEmpty { decoder.reset() }
    // Rule 1: no body, whatever the fields say.
    if isHead || head.status == 204 || head.status == 304 { return }
    if head.isChunked {
      kind = .chunked
      decoder.reset()
    } else if let length = head.contentLength {
      left = length
    } else {
      // Rule 8.
      kind = .untilClose
    }
  }

  /// Whether the connection's end is the body's.
  public var endsWithConnection: Bool { kind == .untilClose }

  /// The fields after a chunked body: complete when the body is.
  public var trailers: Trailers { decoder.trailers }

  /// Whether there are any.
  public var hasTrailers: Bool { !decoder.trailers.isEmpty }

  /// What stands next in `input`, in the decoder's terms. A body without bytes ends at once.
  public mutating func next(_ input: Span<UInt8>) -> ChunkEvent {
    switch kind {
    case .chunked:
      return decoder.next(input)
    case .length:
      if left == 0 { return .end(consumed: 0) }
      let count = Int(min(left, UInt64(input.count)))
      if count == 0 { return .needMore(consumed: 0) }
      left -= UInt64(count)
      return .data(start: 0, count: count)
    case .untilClose:
      return input.isEmpty ? .needMore(consumed: 0) : .data(start: 0, count: input.count)
    }
  }

  /// How many bytes may be read as the body's own, without looking at them: one more than are left of it, so that a byte beyond its end
  /// shows itself. Nil where they have to be looked at.
  public var directLimit: Int? {
    switch kind {
    case .chunked: nil
    case .length: Int(clamping: left) &+ (left < UInt64(Int.max) ? 1 : 0)
    case .untilClose: Int.max
    }
  }

  /// How many bytes of a body of known length are still to come; nil of others.
  public var bytesLeft: UInt64? { kind == .length ? left : nil }

  /// `n` bytes were read so. Answers how many of them are beyond the body's end, and whether that was reached.
  public mutating func took(_ n: Int) -> (excess: Int, isComplete: Bool) {
    guard kind == .length else { return (0, false) }
    let own = min(left, UInt64(n))
    left -= own
    return (n - Int(own), left == 0)
  }
}
