// Chunked coding, read (RFC 9112 section 7.1). Strict where two readers have differed: line ends, sizes, extensions. Copies no body.

import Primitives

/// What stands next in a chunked body.
public enum ChunkEvent: Equatable, Sendable {
  /// All `consumed` bytes of the input were framing; more is needed.
  case needMore(consumed: Int)
  /// `count` bytes of body stand at `start` of the input; `start + count` bytes are consumed. Call again with the rest.
  case data(start: Int, count: Int)
  /// The body is complete after `consumed` bytes of the input. What follows is the next message.
  case end(consumed: Int)
  /// The connection can't be used any further.
  case failed(HeadFailure)
}

/// Reads one chunked body. `reset()` for the next one.
public struct ChunkedDecoder: Sendable {
  private enum Phase: Sendable {
    /// Before the first digit of a size, and after it.
    case firstDigit, size
    /// White space between size and `;` (BWS).
    case afterSize
    case extensions, sizeLineFeed
    case data, dataReturn, dataLineFeed
    case trailers
    case end
    case failed(HeadFailure)

    var isExtensions: Bool {
      if case .extensions = self { return true }
      return false
    }
  }

  public let limits: ChunkLimits
  /// The fields after the body: complete when `.end` was answered.
  public private(set) var trailers = Trailers()
  /// Bytes of body that were answered so far.
  public private(set) var bodyCount: UInt64 = 0

  private var phase = Phase.firstDigit
  /// What is left of the chunk that is being read. At most `Int64.max`.
  private var remaining: UInt64 = 0
  private var digits = 0
  private var lineCount = 0
  private var extensionCount: UInt64 = 0
  /// A trailer line whose end hasn't come yet.
  private var partialLine = ByteStore()
  private var trailerBytes = 0

  public init(limits: ChunkLimits) {
    self.limits = limits
  }

  /// Forgets everything, keeps memory.
  public mutating func reset() {
    trailers.reset()
    partialLine.removeAll()
    bodyCount = 0
    phase = .firstDigit
    remaining = 0
    extensionCount = 0
    trailerBytes = 0
  }

  /// Reads on. `input` are the bytes after those that were consumed. After `.end` it consumes nothing more, after `.failed` it answers
  /// the same.
  public mutating func next(_ input: Span<UInt8>) -> ChunkEvent {
    var i = 0
    while i < input.count {
      let byte = input[i]
      switch phase {
      case .firstDigit:
        // RFC 9112 section 7.1: chunk-size = 1*HEXDIG. No sign, no `0x`, no white space, nothing missing.
        guard let digit = ASCII.hexValue(byte) else { return fail(.invalidChunkSize) }
        remaining = UInt64(digit)
        digits = 1
        lineCount = 1
        phase = .size
        i += 1
      case .size:
        if let digit = ASCII.hexValue(byte) {
          // RFC 9112 section 7.1: a recipient MUST prevent overflow of large sizes. 16 digits fit into 64 bits.
          digits += 1
          guard digits <= 16 else { return fail(.chunkSizeTooLarge) }
          remaining = remaining << 4 | UInt64(digit)
          lineCount += 1
          i += 1
        } else {
          phase = .afterSize
        }
      case .afterSize, .extensions:
        let failure: HeadFailure?
        (i, failure) = readSizeLine(input, from: i)
        if let failure { return fail(failure) }
      case .sizeLineFeed:
        // RFC 9112 section 2.2: a bare CR is invalid.
        guard byte == 0x0A else { return fail(.bareCarriageReturn) }
        i += 1
        // RFC 9112 section 7.1: last-chunk = 1*"0".
        phase = remaining == 0 ? .trailers : .data
      case .data:
        let count = Int(min(remaining, UInt64(input.count - i)))
        remaining -= UInt64(count)
        bodyCount += UInt64(count)
        if remaining == 0 { phase = .dataReturn }
        return .data(start: i, count: count)
      case .dataReturn:
        // RFC 9112 section 7.1: chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF. Two bytes that aren't CRLF, skipped unseen,
        // have been a way to smuggle.
        guard byte == 0x0D else { return fail(.missingChunkEnd) }
        phase = .dataLineFeed
        i += 1
      case .dataLineFeed:
        guard byte == 0x0A else { return fail(.missingChunkEnd) }
        phase = .firstDigit
        i += 1
      case .trailers:
        let failure: HeadFailure?
        (i, failure) = readTrailerLine(input, from: i)
        if let failure { return fail(failure) }
        if case .end = phase { return .end(consumed: i) }
      case .end:
        return .end(consumed: 0)
      case .failed(let failure):
        return .failed(failure)
      }
    }
    switch phase {
    case .end: return .end(consumed: 0)
    case .failed(let failure): return .failed(failure)
    default: return .needMore(consumed: i)
    }
  }

  /// What follows the size, up to the CR. RFC 9112 section 7.1.1: chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS val ] ); extensions that
  /// aren't known are ignored, which all are. Their bytes are those of a field value: a bare LF within one ends the line for some.
  private mutating func readSizeLine(_ input: Span<UInt8>, from start: Int) -> (Int, HeadFailure?) {
    var i = start
    while i < input.count {
      let byte = input[i]
      lineCount += 1
      // One more byte, the LF, has to come after the CR.
      guard lineCount < limits.line else { return (i, .chunkLineTooLong) }
      i += 1
      // Behind the size itself, or behind an extension: white space alone has to be followed by a `;`.
      let mayEnd = lineCount == digits + 1 || phase.isExtensions
      if byte == 0x0D && mayEnd {
        // RFC 9112 section 7.1: no overflow, of the whole body's length neither.
        guard remaining <= UInt64(Int64.max) - bodyCount else { return (i, .chunkSizeTooLarge) }
        phase = .sizeLineFeed
        return (i, nil)
      }
      if byte == 0x0A { return (i, .bareLineFeed) }
      if phase.isExtensions {
        guard ASCII.isFieldValue(byte) else { return (i, .invalidChunkExtension) }
      } else if byte == 0x3B {
        phase = .extensions
      } else if !ASCII.isWhitespace(byte) {
        return (i, .invalidChunkSize)
      }
      extensionCount += 1
      // RFC 9112 section 7.1.1: the total length of extensions ought to be limited in proportion to what the service does for it.
      guard extensionCount <= UInt64(limits.extensions) + bodyCount else { return (i, .tooManyChunkExtensions) }
    }
    return (i, nil)
  }

  /// One line of the trailer section, or the part of it that is there. RFC 9112 section 7.1.2.
  private mutating func readTrailerLine(_ input: Span<UInt8>, from start: Int) -> (Int, HeadFailure?) {
    var end = start
    while end < input.count && input[end] != 0x0A { end += 1 }
    let isComplete = end < input.count
    if isComplete { end += 1 }
    let part = input.extracting(start..<end)
    // The empty line at the end isn't counted, so that the limit is that of the field lines.
    let lineLength = partialLine.count + part.count
    guard trailerBytes + lineLength <= limits.trailers + 2 else { return (end, .trailersTooLarge) }
    guard isComplete else {
      partialLine.append(part)
      return (end, nil)
    }
    if partialLine.count == 0 { return (end, takeTrailerLine(part)) }
    partialLine.append(part)
    let line = partialLine
    partialLine = ByteStore()
    return (end, takeTrailerLine(line.span))
  }

  private mutating func takeTrailerLine(_ line: Span<UInt8>) -> HeadFailure? {
    if line.count == 2 && line[0] == 0x0D {
      phase = .end
      return nil
    }
    guard trailers.fields.count < limits.trailerCount else { return .tooManyTrailers }
    trailerBytes += line.count
    guard trailerBytes <= limits.trailers else { return .trailersTooLarge }
    return trailers.take(line)
  }

  private mutating func fail(_ failure: HeadFailure) -> ChunkEvent {
    phase = .failed(failure)
    return .failed(failure)
  }
}
