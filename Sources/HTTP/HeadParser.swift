// Bytes of a connection → RequestHead. Strict and incremental: whatever two readers could take differently is refused, and the answer to
// a run of bytes is the same however it was cut. What the fields decide is RequestFraming's; no policy lives here.

import Primitives

/// What came of looking at the bytes.
public enum HeadResult: Equatable, Sendable {
  /// The head isn't complete yet, and nothing is wrong so far.
  case needMore
  /// The head is complete and took the first `consumed` bytes. What follows is body or the next request.
  case complete(consumed: Int)
  /// The request is refused; the connection has to be closed after the answer, since where the next request begins isn't known.
  case failed(HeadFailure)
}

/// Reads request heads (RFC 9112 sections 2 to 6), one after another.
///
/// A failure is found at the first byte that makes it certain, so a slow sender of garbage is answered at once.
public struct HeadParser: Sendable {
  private enum Phase: Sendable {
    /// Before the request line, where one empty line is tolerated.
    case start, startLineFeed
    case method, target, version, lineFeed
    case fields
    case failed(HeadFailure)
  }

  private enum Step {
    case proceed
    case needMore
    case failed(HeadFailure)
  }

  public let limits: HeadLimits
  private var phase = Phase.start
  /// Where the request line begins: 0, or 2 after an empty line.
  private var start = 0
  /// The next byte to read of the request line; from the fields on, the end of the last complete line.
  private var position = 0
  /// Where method and target of the request line stand, until the whole line is understood.
  private var methodEnd = 0
  private var targetStart = 0
  private var targetEnd = 0
  private var fieldsLimit = 0
  private var scanner = FieldScanner(at: 0)
  private var framing = RequestFraming()

  public init(limits: HeadLimits) {
    self.limits = limits
  }

  /// Whether a byte of a request was seen, more than an empty line before it. False again after `.complete`.
  public var hasStarted: Bool {
    switch phase {
    case .start, .startLineFeed: false
    case .method, .target, .version, .lineFeed, .fields, .failed: true
    }
  }

  /// Forgets what was seen: the next call begins a new request.
  public mutating func reset() {
    phase = .start
    start = 0
    position = 0
    framing = RequestFraming()
  }

  /// Looks at the unconsumed bytes of a connection, from their first byte on. After `.needMore`, to be called again with the same bytes
  /// and more behind them; what was scanned is not scanned again. After `.complete` the parser is ready for the next request, which begins
  /// `consumed` bytes further on. After `.failed` it answers the same until `reset()`.
  public mutating func parse(_ bytes: Span<UInt8>, into head: inout RequestHead) -> HeadResult {
    if case .fields = phase {
      return parseFields(bytes, into: &head)
    }
    if case .failed(let failure) = phase {
      return .failed(failure)
    }
    switch parseRequestLine(bytes, into: &head) {
    case .proceed:
      return parseFields(bytes, into: &head)
    case .needMore:
      return .needMore
    case .failed(let failure):
      return fail(failure, bytes, &head)
    }
  }

  // MARK: the request line

  private mutating func parseRequestLine(_ bytes: Span<UInt8>, into head: inout RequestHead) -> Step {
    if case .start = phase {
      guard bytes.count > 0 else { return .needMore }
      head.reset()
      if bytes[0] == 0x0D {
        phase = .startLineFeed
      } else {
        phase = .method
      }
    }
    if case .startLineFeed = phase {
      // RFC 9112 section 2.2: at least one empty line before the request line SHOULD be ignored (old clients send one after a POST).
      // One is, and no more: a second one, and a lone CR or LF, are no method.
      guard bytes.count > 1 else { return .needMore }
      guard bytes[1] == 0x0A else { return .failed(.bareCarriageReturn) }
      guard bytes.count > 2 else { return .needMore }
      start = 2
      position = 2
      phase = .method
    }
    let limit = start + limits.requestLine
    let end = min(bytes.count, limit)
    var i = position
    if case .method = phase {
      // RFC 9112 section 3.1: method = token, then a single SP.
      // Byte by byte: most methods have three or four.
      while i < end && ASCII.isToken(bytes[i]) { i &+= 1 }
      guard i < end else { return suspend(i, limit) }
      guard bytes[i] == 0x20, i > start else { return .failed(.malformedRequestLine) }
      methodEnd = i
      i += 1
      targetStart = i
      phase = .target
    }
    if case .target = phase {
      // RFC 9112 section 3.2: a target holds no white space and no control character; whoever splits elsewhere reads another request.
      // A fragment is never sent (RFC 9110 section 7.1); a reader that drops it after path rules were applied is CVE-2023-45539.
      // Bytes that RFC 3986 doesn't allow but that can't be mistaken (`|`, `{`, UTF-8) are let through: see CanonicalPath.
      i = HeadParser.endOfTarget(in: bytes, from: i, to: end)
      guard i < end else { return suspend(i, limit) }
      if bytes[i] == 0x23 { return .failed(.fragmentInTarget) }
      guard bytes[i] == 0x20, i > targetStart else { return .failed(.malformedRequestLine) }
      targetEnd = i
      i += 1
      phase = .version
    }
    if case .version = phase {
      // RFC 9112 section 3: a single SP, HTTP-version, CRLF. White space in it would be a fourth part of the line.
      if i &+ 8 < end, let version = EightBytes(bytes, at: i)?.word, version == HeadParser.http11 || version == HeadParser.http10 {
        i &+= 8
      }
      while i < end && bytes[i] > 0x20 && bytes[i] < 0x7F { i += 1 }
      guard i < end else { return suspend(i, limit) }
      guard bytes[i] == 0x0D else { return .failed(bytes[i] == 0x0A ? .bareLineFeed : .malformedRequestLine) }
      i += 1
      phase = .lineFeed
    }
    // Here the phase is `lineFeed`. RFC 9112 section 2.2: a bare CR is invalid.
    guard i < end else { return suspend(i, limit) }
    guard bytes[i] == 0x0A else { return .failed(.bareCarriageReturn) }
    position = i + 1
    return understandRequestLine(bytes, into: &head)
  }

  /// The request line is complete: what do its parts say?
  private mutating func understandRequestLine(_ bytes: Span<UInt8>, into head: inout RequestHead) -> Step {
    // RFC 9112 section 2.3: HTTP-version = "HTTP" "/" DIGIT "." DIGIT, case-sensitive.
    guard position - 2 - (targetEnd + 1) == 8 else { return .failed(.malformedVersion) }
    let version = EightBytes(bytes, at: targetEnd + 1)?.word
    let isHTTP11 = version == HeadParser.http11
    guard isHTTP11 || version == HeadParser.http10 else {
      // RFC 9110 section 15.6.6. Also 1.2 to 1.9, which nobody has defined, and the HTTP/2 preface (RFC 9113 section 3.4).
      return .failed(HeadParser.isVersion(bytes.extracting(targetEnd + 1..<position - 2)) ? .unsupportedVersion : .malformedVersion)
    }
    let method = Method(bytes.extracting(start..<methodEnd))
    guard let target = RequestTarget(bytes.extracting(targetStart..<targetEnd), at: targetStart - start, method) else {
      return .failed(.invalidTarget)
    }
    head.version = isHTTP11 ? .http11 : .http10
    head.method = method
    head.methodRange = ByteRange(0, methodEnd - start)
    head.target = target
    head.hasRequestLine = true
    scanner = FieldScanner(at: position)
    fieldsLimit = position + limits.fields
    phase = .fields
    return .proceed
  }

  /// `HTTP/1.1` and `HTTP/1.0`, first byte lowest.
  private static let http11: UInt64 = 0x312E_312F_5054_5448
  private static let http10: UInt64 = 0x302E_312F_5054_5448

  /// Whether eight bytes are of the form of a version.
  private static func isVersion(_ text: Span<UInt8>) -> Bool {
    ASCII.equals(text.extracting(0..<5), "HTTP/") && ASCII.isDigit(text[5]) && text[6] == 0x2E && ASCII.isDigit(text[7])
  }

  /// The index of the first byte from `start` on that is a control character, a space, `#` or DEL; `end` if that comes first.
  private static func endOfTarget(in bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    var i = start
    while i < end {
      if let eight = EightBytes(bytes, at: i) {
        let marks = eight.below(0x21) | eight.equal(to: 0x23) | eight.equal(to: 0x7F)
        i &+= EightBytes.first(marks)
        if marks != 0 { break }
      } else {
        if bytes[i] <= 0x20 || bytes[i] == 0x23 || bytes[i] == 0x7F { break }
        i &+= 1
      }
    }
    return min(i, end)
  }

  /// Remembers where the bytes, or the room for them, ended.
  private mutating func suspend(_ i: Int, _ limit: Int) -> Step {
    position = i
    // RFC 9112 section 3: 414 for a target that is longer than we wish to parse.
    return i >= limit ? .failed(.requestLineTooLong) : .needMore
  }

  // MARK: the fields

  private mutating func parseFields(_ bytes: Span<UInt8>, into head: inout RequestHead) -> HeadResult {
    while true {
      switch scanner.next(bytes, limit: fieldsLimit) {
      case .field:
        position = scanner.position
        if let failure = takeField(bytes, into: &head) { return fail(failure, bytes, &head) }
      case .needMore:
        keepLines(bytes, &head)
        return .needMore
      case .failed(let failure):
        return fail(failure, bytes, &head)
      case .end:
        position = scanner.position
        keepLines(bytes, &head)
        if let failure = framing.conclude(&head) { return fail(failure, bytes, &head) }
        let consumed = position
        reset()
        return .complete(consumed: consumed)
      }
    }
  }

  private mutating func takeField(_ bytes: Span<UInt8>, into head: inout RequestHead) -> HeadFailure? {
    guard head.fields.count < limits.fieldCount else { return .tooManyFields }
    let nameRange = scanner.name(relativeTo: start)
    let valueRange = scanner.value(relativeTo: start)
    let known = scanner.known
    head.fields.append(Field(name: nameRange, value: valueRange, known: known))
    // What is framing to one reader and nothing to another is refused, not forwarded (threat model, Framing).
    if known == .other {
      return FieldName.looksLikeFraming(bytes.extracting(scanner.nameRange)) ? .framingLookAlike : nil
    }
    return known.decidesFraming ? framing.note(known, bytes.extracting(scanner.valueRange), &head) : nil
  }

  /// Copies the lines that are complete into the head, so that its ranges hold bytes whenever somebody else may look.
  private func keepLines(_ bytes: Span<UInt8>, _ head: inout RequestHead) {
    head.bytes.append(bytes.extracting((start + head.bytes.count)..<position))
  }

  private mutating func fail(_ failure: HeadFailure, _ bytes: Span<UInt8>, _ head: inout RequestHead) -> HeadResult {
    if head.hasRequestLine { keepLines(bytes, &head) }
    head.isPersistent = false
    phase = .failed(failure)
    return .failed(failure)
  }
}
