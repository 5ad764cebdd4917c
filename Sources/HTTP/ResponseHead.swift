// An upstream's response head, line by line, and not one byte of it trusted: libcurl accepts what must not be passed on.

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

/// A response head, reusable like `RequestHead`. Built from lines as libcurl's HEADERFUNCTION delivers them: one a call, its CRLF included.
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
  public private(set) var fields: [Field] = []
  /// The Content-Length, if there is one: at most `Int64.max`. Of an answer to HEAD, and of a 304, it is that of another answer.
  public private(set) var contentLength: UInt64?
  /// Whether there is `Transfer-Encoding: chunked`.
  public private(set) var isChunked = false

  /// Whether the upstream will take another request on the same connection (RFC 9112 section 9.3).
  public var isPersistent: Bool { !saysClose && (version == .http11 || saysKeepAlive) }
  private var saysClose = false
  private var saysKeepAlive = false

  private var phase = Phase.status
  private var interimCount = 0
  private var connectionOptions = 0

  public init() {}

  /// Empty again, memory kept.
  public mutating func reset() {
    beginHead()
    interimCount = 0
  }

  /// Takes one line, with its CRLF. After `.failed` it answers the same until `reset()`.
  public mutating func line(_ line: Span<UInt8>, limits: HeadLimits) -> ResponseLine {
    let result: ResponseLine
    switch phase {
    case .status:
      result = statusLine(line, limits)
    case .interim:
      beginHead()
      result = statusLine(line, limits)
    case .fields:
      result = fieldLine(line, limits)
    case .final:
      result = .failed(.lineAfterHead)
    case .failed(let failure):
      return .failed(failure)
    }
    if case .failed(let failure) = result { phase = .failed(failure) }
    return result
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
    fields.removeAll(keepingCapacity: true)
    status = 0
    reason = ByteRange()
    version = .http11
    contentLength = nil
    isChunked = false
    phase = .status
    connectionOptions = 0
    saysClose = false
    saysKeepAlive = false
  }

  /// RFC 9112 section 4: status-line = HTTP-version SP status-code SP [ reason-phrase ].
  private mutating func statusLine(_ line: Span<UInt8>, _ limits: HeadLimits) -> ResponseLine {
    guard line.count <= limits.requestLine else { return .failed(.statusLineTooLong) }
    let n = line.count
    guard n >= 14, ASCII.equals(line.extracting(0..<7), "HTTP/1."), line[7] == 0x31 || line[7] == 0x30, line[8] == 0x20,
      line[n - 2] == 0x0D, line[n - 1] == 0x0A
    else { return .failed(.malformedStatusLine) }
    guard let code = ASCII.decimal(line.extracting(9..<12)), code >= 100, code <= 599 else { return .failed(.malformedStatusLine) }
    // `HTTP/1.1 200` without the second SP is against the grammar, and common; there is nothing that it could be mistaken for.
    var i = 12
    if i < n - 2 {
      guard line[i] == 0x20 else { return .failed(.malformedStatusLine) }
      i += 1
    }
    let start = i
    while i < n - 2 {
      guard ASCII.isFieldValue(line[i]) else { return .failed(.malformedStatusLine) }
      i += 1
    }
    // RFC 9110 section 15.2.2: a server switches only to what the request's Upgrade asked for. Requests with Upgrade don't come this way.
    if code == 101 { return .failed(.unexpectedSwitch) }
    status = Int(code)
    version = line[7] == 0x31 ? .http11 : .http10
    reason = ByteRange(start, n - 2)
    bytes.append(line)
    phase = .fields
    return .more
  }

  private mutating func fieldLine(_ line: Span<UInt8>, _ limits: HeadLimits) -> ResponseLine {
    var scanner = FieldScanner(at: 0)
    let outcome = scanner.next(line, limit: line.count)
    switch outcome {
    case .end:
      guard scanner.position == line.count else { return .failed(.field(.bareLineFeed)) }
      return conclude()
    case .field:
      guard scanner.position == line.count else { return .failed(.field(.bareLineFeed)) }
      guard fields.count < limits.fieldCount else { return .failed(.field(.tooManyFields)) }
      let statusLine = Int(reason.end) + 2
      guard bytes.count - statusLine + line.count <= limits.fields else { return .failed(.field(.fieldsTooLarge)) }
      return note(line, scanner)
    case .needMore, .failed(.fieldsTooLarge):
      // The line ended before its CRLF.
      return .failed(.field(.bareCarriageReturn))
    case .failed(let failure):
      return .failed(.field(failure))
    }
  }

  private mutating func note(_ line: Span<UInt8>, _ scanner: FieldScanner) -> ResponseLine {
    let base = bytes.count
    let nameRange = scanner.name(relativeTo: -base)
    let valueRange = scanner.value(relativeTo: -base)
    bytes.append(line)
    let known = FieldName(bytes[nameRange])
    switch known {
    case .other:
      if FieldName.looksLikeFraming(bytes[nameRange]) { return .failed(.field(.framingLookAlike)) }
    case .contentLength:
      // RFC 9112 section 6.3, rule 5: invalid lengths and differing ones make the message unusable; identical ones collapse.
      guard let length = ASCII.decimal(bytes[valueRange]), length <= UInt64(Int64.max) else {
        return .failed(.field(.invalidContentLength))
      }
      if let contentLength, contentLength != length { return .failed(.differingContentLength) }
      // RFC 9112 section 6.3, rule 3: it ought to be handled as an error.
      if isChunked { return .failed(.field(.contentLengthWithTransferEncoding)) }
      contentLength = length
    case .transferEncoding:
      // RFC 9112 section 6.1: faulty framing.
      if version == .http10 { return .failed(.field(.transferEncodingOnHTTP10)) }
      if isChunked { return .failed(.field(.duplicateTransferEncoding)) }
      // RFC 9112 section 7: we asked for no coding (no TE is sent), so that chunked is the only one that may come.
      guard ASCII.equals(bytes[valueRange], ignoringCaseOf: "chunked") else { return .failed(.field(.unknownTransferCoding)) }
      if contentLength != nil { return .failed(.field(.contentLengthWithTransferEncoding)) }
      // RFC 9112 section 6.1: none in 1xx and 204. What libcurl takes for no body, and the server for one, would become the next answer.
      if status < 200 || status == 204 { return .failed(.framingOnInterim) }
      isChunked = true
    case .connection:
      var members = ListMembers()
      while let member = members.next(in: bytes[valueRange]) {
        connectionOptions += 1
        let isClose = ASCII.equals(bytes[valueRange].extracting(member), ignoringCaseOf: "close")
        let isKeepAlive = ASCII.equals(bytes[valueRange].extracting(member), ignoringCaseOf: "keep-alive")
        saysClose = saysClose || isClose
        saysKeepAlive = saysKeepAlive || isKeepAlive
      }
      if connectionOptions > connectionOptionLimit { return .failed(.field(.tooManyConnectionOptions)) }
    default:
      break
    }
    fields.append(Field(name: nameRange, value: valueRange, known: known))
    return .more
  }

  private mutating func conclude() -> ResponseLine {
    if status < 200 {
      // RFC 9110 section 15.2: any number of 1xx may precede the final response; we relay a bounded one.
      interimCount += 1
      if interimCount > ResponseHead.interimLimit { return .failed(.tooManyInterim) }
      phase = .interim
      return .interim
    }
    phase = .final
    return .final
  }
}
