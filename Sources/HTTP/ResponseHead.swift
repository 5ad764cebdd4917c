// An upstream's response head, and not one byte of it trusted: libcurl accepts what must not be passed on.

public import Primitives

/// What is wrong with an upstream's head or trailers. To the client all of them are 502, or a message that ends visibly unfinished.
public enum ResponseFailure: Error, Equatable, Sendable {
  case malformedStatusLine, unexpectedSwitch, tooManyInterim, statusLineTooLong, lineAfterHead
  case framingOnInterim, differingContentLength
  /// What a request would be refused for as well.
  case field(HeadFailure)

  /// The reason, for the log.
  public var reason: StaticString {
    switch self {
    case .malformedStatusLine: "malformed status line"
    case .unexpectedSwitch: "101 that was not asked for"
    case .tooManyInterim: "too many interim responses"
    case .statusLineTooLong: "status line too long"
    case .lineAfterHead: "line after the end of the head"
    case .framingOnInterim: "Transfer-Encoding on a response without body"
    case .differingContentLength: "differing Content-Lengths"
    case .field(let failure): failure.reason
    }
  }
}

/// What a line of a response head completed.
public enum ResponseLine: Equatable, Sendable {
  /// The head goes on.
  case more
  /// A 1xx head is complete. It stays until the next line, which begins the next head.
  case interim
  /// The final head is complete.
  case final
  case failed(ResponseFailure)
}

/// A response head, reusable like `RequestHead`.
public struct ResponseHead: Sendable {
  /// Most 1xx heads before the final one. A server that sends more than this is not telling anybody anything.
  public static let interimLimit = 32

  private enum Phase: Sendable {
    case status, fields, interim, final
    case failed(ResponseFailure)
  }

  /// The status line and the field lines. Every range points into them.
  public private(set) var bytes = ByteStore()
  /// 100–599; 0 before the status line came.
  public private(set) var status = 0
  /// What follows the status code, as it came. May be empty.
  public private(set) var reason = ByteRange()
  public private(set) var version = Version.http11
  /// In the order in which they came, duplicates included.
  public private(set) var fields = FieldList()
  /// The Content-Length, if there is one: at most `Int64.max`. Of an answer to HEAD, and of a 304, it is that of another answer.
  public private(set) var contentLength: UInt64?
  /// Whether there is `Transfer-Encoding: chunked`.
  public private(set) var isChunked = false

  /// Fields of which there are some: those that name places of the service, and its cookies.
  public struct Notable: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Location, Content-Location, Refresh, Link.
    public static let references = Notable(rawValue: 1)
    /// Set-Cookie.
    public static let cookies = Notable(rawValue: 2)
  }
  public private(set) var notable: Notable = []

  /// Whether the upstream will take another request on the same connection (RFC 9112 section 9.3).
  public var isPersistent: Bool { !saysClose && (version == .http11 || saysKeepAlive) }
  private var saysClose = false
  private var saysKeepAlive = false

  /// Whether 101 may come: the request asked for another protocol. It is a final answer then, which whoever asked still has to judge (`UpgradeWish`).
  public var expectsSwitch = false

  private var phase = Phase.status
  private var interimCount = 0
  private var connectionOptions = 0

  public init() {}

  /// Empty again, memory kept.
  public mutating func reset() {
    beginHead()
    interimCount = 0
    expectsSwitch = false
  }

  /// Takes what `input` holds of a head, whole lines only, and not beyond its end. Answers how many bytes were taken; what is left has to be
  /// given again, with more behind it. After `.interim` the next head begins; after `.failed` the answer is the same until `reset()`.
  public mutating func take(_ input: Span<UInt8>, limits: HeadLimits) -> (result: ResponseLine, consumed: Int) {
    var i = 0
    switch phase {
    case .status, .interim:
      if status != 0 { beginHead() }
      guard let end = ASCII.firstIndex(of: 0x0A, in: input) else {
        return input.count <= limits.requestLine ? (.more, 0) : (fail(.statusLineTooLong), 0)
      }
      if let failure = statusLine(input.extracting(0..<(end + 1)), limits) { return (fail(failure), 0) }
      i = end + 1
    case .fields:
      break
    case .final:
      return (fail(.lineAfterHead), 0)
    case .failed(let failure):
      return (.failed(failure), 0)
    }
    // Of fields that came before, if any, the lines stand in `bytes` already; those of this input follow them in one piece.
    let base = bytes.count - i
    let begin = i
    let limit = i + limits.fields - (bytes.count - Int(reason.end) - 2)
    var scanner = FieldScanner(at: i)
    while true {
      switch scanner.next(input, limit: limit) {
      case .field:
        guard fields.count < limits.fieldCount else { return (fail(.field(.tooManyFields)), i) }
        if let failure = note(scanner, input, base) { return (fail(failure), i) }
        i = scanner.position
      case .end:
        bytes.append(input.extracting(begin..<i))
        return (conclude(), scanner.position)
      case .needMore:
        bytes.append(input.extracting(begin..<i))
        return (.more, i)
      case .failed(let failure):
        return (fail(.field(failure)), i)
      }
    }
  }

  /// Takes one line, with its CRLF, as libcurl's HEADERFUNCTION delivers them.
  public mutating func line(_ line: Span<UInt8>, limits: HeadLimits) -> ResponseLine {
    // Whoever looks for lines elsewhere has to have found exactly one.
    guard line.count > 0, ASCII.firstIndex(of: 0x0A, in: line) == line.count - 1 else {
      if case .fields = phase { return fail(.field(.bareLineFeed)) }
      return fail(.malformedStatusLine)
    }
    return take(line, limits: limits).result
  }

  private mutating func fail(_ failure: ResponseFailure) -> ResponseLine {
    phase = .failed(failure)
    return .failed(failure)
  }

  /// Takes one line of the trailers, as `line` does, into `trailers`. The empty line may come as well. Nil when all is well.
  public mutating func trailerLine(_ line: Span<UInt8>, limits: HeadLimits, into trailers: inout Trailers) -> ResponseFailure? {
    guard line.count <= 2 || trailers.bytes.count + line.count <= limits.fields else { return .field(.trailersTooLarge) }
    guard trailers.fields.count < limits.fieldCount || line.count <= 2 else { return .field(.tooManyTrailers) }
    return trailers.take(line).map { .field($0) }
  }

  /// The first field of that name, or nil.
  public func firstIndex(of name: FieldName) -> Int? {
    fields.firstIndex { $0.known == name }
  }

  private mutating func beginHead() {
    bytes.removeAll()
    fields.removeAll()
    status = 0
    reason = ByteRange()
    version = .http11
    contentLength = nil
    isChunked = false
    notable = []
    phase = .status
    connectionOptions = 0
    saysClose = false
    saysKeepAlive = false
  }

  /// RFC 9112 section 4: status-line = HTTP-version SP status-code SP [ reason-phrase ].
  private mutating func statusLine(_ line: Span<UInt8>, _ limits: HeadLimits) -> ResponseFailure? {
    guard line.count <= limits.requestLine else { return .statusLineTooLong }
    let n = line.count
    guard n >= 14, ASCII.equals(line.extracting(0..<7), "HTTP/1."), line[7] == 0x31 || line[7] == 0x30, line[8] == 0x20,
      line[n - 2] == 0x0D, line[n - 1] == 0x0A
    else { return .malformedStatusLine }
    guard let code = ASCII.decimal(line.extracting(9..<12)), code >= 100, code <= 599 else { return .malformedStatusLine }
    // `HTTP/1.1 200` without the second SP is against the grammar, and common; there is nothing that it could be mistaken for.
    var i = 12
    if i < n - 2 {
      guard line[i] == 0x20 else { return .malformedStatusLine }
      i += 1
    }
    let start = i
    while i < n - 2 {
      guard ASCII.isFieldValue(line[i]) else { return .malformedStatusLine }
      i += 1
    }
    // RFC 9110 section 15.2.2: a server switches only to what the request's Upgrade asked for.
    if code == 101 && (!expectsSwitch || line[7] != 0x31) { return .unexpectedSwitch }
    status = Int(code)
    version = line[7] == 0x31 ? .http11 : .http10
    reason = ByteRange(start, n - 2)
    bytes.append(line)
    phase = .fields
    return nil
  }

  /// Notes the field that was read from `input`, which will stand `base` bytes further in `bytes`.
  private mutating func note(_ scanner: borrowing FieldScanner, _ input: Span<UInt8>, _ base: Int) -> ResponseFailure? {
    let known = scanner.known
    switch known {
    case .other:
      if FieldName.looksLikeFraming(input.extracting(scanner.nameRange)) { return .field(.framingLookAlike) }
    case .contentLength:
      // RFC 9112 section 6.3, rule 5: invalid lengths and differing ones make the message unusable; identical ones collapse.
      guard let length = ASCII.decimal(input.extracting(scanner.valueRange)), length <= UInt64(Int64.max) else {
        return .field(.invalidContentLength)
      }
      if let contentLength, contentLength != length { return .differingContentLength }
      // RFC 9112 section 6.3, rule 3: it ought to be handled as an error.
      if isChunked { return .field(.contentLengthWithTransferEncoding) }
      contentLength = length
    case .transferEncoding:
      // RFC 9112 section 6.1: faulty framing.
      if version == .http10 { return .field(.transferEncodingOnHTTP10) }
      if isChunked { return .field(.duplicateTransferEncoding) }
      // RFC 9112 section 7: we asked for no coding (no TE is sent), so that chunked is the only one that may come.
      guard ASCII.equals(input.extracting(scanner.valueRange), ignoringCaseOf: "chunked") else { return .field(.unknownTransferCoding) }
      if contentLength != nil { return .field(.contentLengthWithTransferEncoding) }
      // RFC 9112 section 6.1: none in 1xx and 204. What libcurl takes for no body, and the server for one, would become the next answer.
      if status < 200 || status == 204 { return .framingOnInterim }
      isChunked = true
    case .connection:
      let value = input.extracting(scanner.valueRange)
      var members = ListMembers()
      while let member = members.next(in: value) {
        connectionOptions += 1
        let isClose = ASCII.equals(value.extracting(member), ignoringCaseOf: "close")
        let isKeepAlive = ASCII.equals(value.extracting(member), ignoringCaseOf: "keep-alive")
        saysClose = saysClose || isClose
        saysKeepAlive = saysKeepAlive || isKeepAlive
      }
      if connectionOptions > connectionOptionLimit { return .field(.tooManyConnectionOptions) }
    case .location, .contentLocation, .refresh, .link:
      notable.insert(.references)
    case .setCookie:
      notable.insert(.cookies)
    default:
      break
    }
    fields.append(Field(name: scanner.name(relativeTo: -base), value: scanner.value(relativeTo: -base), known: known))
    return nil
  }

  private mutating func conclude() -> ResponseLine {
    if status < 200 && status != 101 {
      // RFC 9110 section 15.2: any number of 1xx may precede the final response; we relay a bounded one.
      interimCount += 1
      if interimCount > ResponseHead.interimLimit { return fail(.tooManyInterim) }
      phase = .interim
      return .interim
    }
    phase = .final
    return .final
  }
}
