// The fields of an HTTP/2 request → the head of an HTTP/1.1 request as text, which HeadParser then reads like any other: so every rule about
// heads is kept, whichever way a request comes. What becomes lines is checked here first, against RFC 9113 section 8.

public import HTTP
public import Primitives

/// Takes one field block after another, field by field, and makes text of each.
public struct RequestFields: ~Copyable {
  /// What `:scheme` may say.
  public enum Scheme: Sendable { case http, https, either }

  /// What a field block is.
  public enum Block: Sendable { case request, trailers }

  /// What came of a block.
  public enum Conclusion: Equatable, Sendable {
    /// The text stands there: a head, or a last chunk with its trailers and the end of the body.
    case whole(ByteRange)
    /// To be answered with the fault's status. The text is the request line, if there was one.
    case refused(FieldFault, ByteRange)
    /// To be reset.
    case malformed(FieldFault)
  }

  /// What a field counts beside its bytes (RFC 9113 section 6.5.2), so that many small ones are no way around the limit of bytes.
  public static let overhead = 32

  private let limits: HeadLimits
  private let scheme: Scheme
  private var block = Block.request
  /// Heads, one after another. The last may be unfinished.
  public private(set) var text = ByteBuffer()
  /// Where the block begins that is being taken.
  private var start = 0
  /// Where its request line ends; `start` before it is there.
  private var lineEnd = 0
  private var fault: FieldFault?
  /// Bytes of the block, whether they were looked at or not.
  private(set) var read = 0
  private var size = 0
  private var count = 0
  private var cookieCount = 0
  private var isInFields = false
  private var contentLength: UInt64?
  private var hostCount = 0
  /// The values of pseudo-header fields, of which none may be empty.
  private var pseudo = ByteBuffer()
  private var method = ByteRange()
  private var path = ByteRange()
  private var schemeRange = ByteRange()
  private var authority = ByteRange()
  private var seen: UInt8 = 0
  /// Whether the method that the block has named is HEAD.
  public private(set) var isHead = false
  /// Whether the block is a CONNECT with `:protocol` (RFC 8441), and its text the GET of HTTP/1.1 that asks for the same.
  public private(set) var isExtendedConnect = false
  private var isForWebSocket = false
  /// The values of Cookie, joined.
  private var cookies = ByteBuffer()

  public init(limits: HeadLimits, scheme: Scheme) {
    self.limits = limits
    self.scheme = scheme
  }

  /// A block begins. What is left of one that was broken off is dropped.
  public mutating func begin(_ block: Block) {
    text.truncate(to: start)
    self.block = block
    fault = nil
    read = 0
    size = 0
    count = 0
    cookieCount = 0
    isInFields = false
    contentLength = nil
    hostCount = 0
    seen = 0
    isHead = false
    isExtendedConnect = false
    isForWebSocket = false
    method = ByteRange()
    lineEnd = start
    if !pseudo.isEmpty { pseudo.removeAll() }
    if !cookies.isEmpty { cookies.removeAll() }
    // With a chunk of no bytes begins the end of a chunked body, of which trailers are a part.
    if block == .trailers { text.append("0\r\n") }
  }

  /// Appends `count` bytes of the texts to `out`.
  public func appendText(_ start: Int, _ count: Int, to out: inout ByteBuffer) {
    out.append(text.span.extracting(start..<(start + count)))
  }

  /// Drops the texts of blocks that are concluded; of one that isn't, everything stays.
  public mutating func dropConcluded() {
    if start == 0 { return }
    lineEnd -= start
    text.consume(start)
    start = 0
    if text.isEmpty && text.capacity > Self.keptMemory { text.release() }
  }

  /// Gives back the memory of what is not needed between requests.
  public mutating func release() {
    guard text.isEmpty else { return }
    text.release()
    pseudo.removeAll()
    pseudo.release()
    cookies.removeAll()
    cookies.release()
  }

  private static let keptMemory = 16 << 10

  private mutating func fail(_ fault: FieldFault) {
    if self.fault == nil { self.fault = fault }
  }

  // MARK: Fields

  /// Takes the next field of the block. After a fault they are looked at no more, and cost nothing.
  public mutating func take(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    read += name.count + value.count
    if fault != nil {
      // But whether content may answer it is said by the method, which may stand anywhere before the fields.
      if seen & 1 == 0 && ASCII.equals(name, ":method") { isHead = ASCII.equals(value, "HEAD") }
      return
    }
    size += name.count + value.count + Self.overhead
    guard size <= limits.fields + limits.requestLine else {
      // For the log, if there is a line.
      if !isInFields && !beginFields() { return }
      return fail(.fieldsTooLarge)
    }
    guard name.count > 0 else { return fail(.invalidName) }
    if name[0] == 0x3A { return takePseudo(name, value) }
    if let fault = Self.fault(ofName: name) ?? Self.fault(ofValue: value) { return fail(fault) }
    if !isInFields && !beginFields() { return }
    let known = FieldName(name)
    switch known {
    case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade:
      return fail(.connectionSpecific)
    case .te:
      // RFC 9113 section 8.2.2. That the client takes trailers is said of its connection with us; whoever forwards says it of ours, where it can be.
      guard ASCII.equals(value, ignoringCaseOf: "trailers") else { return fail(.teOtherThanTrailers) }
    case .host where block == .request:
      hostCount += 1
      if hostCount > 1 { return fail(.duplicateHost) }
      if !authority.isEmpty {
        // RFC 9113 section 8.3.1: a Host that differs from :authority makes the request malformed. It is said so, since whoever is behind may
        // go by either, and a client that means well should hear of it.
        if !Self.agree(pseudo, authority, value, secure: scheme == .https) { fail(.hostDisagrees) }
        return
      }
    case .contentLength where block == .request:
      // RFC 9110 section 9.3.6: a CONNECT has no content.
      if isExtendedConnect { return fail(.invalidContentLength) }
      if contentLength != nil { return fail(.duplicateContentLength) }
      guard let length = ASCII.decimal(value), length <= UInt64(Int64.max) else { return fail(.invalidContentLength) }
      contentLength = length
    case .cookie where block == .request:
      // RFC 9113 section 8.2.3: crumbs of one field are joined before they go where HTTP/2 isn't spoken. They have a number of their own: what
      // is one field in HTTP/1.1 must not be too many here.
      cookieCount += 1
      guard cookieCount <= limits.fieldCount else { return fail(.tooManyFields) }
      if cookieCount > 1 { cookies.append("; ") }
      cookies.append(value)
      return
    case .other where isExtendedConnect && ASCII.equals(name, "sec-websocket-key"):
      // RFC 8441 section 5: of no use here. The one that the service proves is ours.
      return
    default:
      break
    }
    count += 1
    guard count <= limits.fieldCount else { return fail(.tooManyFields) }
    text.append(name)
    text.append(": ")
    text.append(value)
    text.append("\r\n")
  }

  /// RFC 9113 section 8.2.1: lower-case, and nothing but what a token is made of.
  static func fault(ofName name: Span<UInt8>) -> FieldFault? {
    for i in name.indices {
      let byte = name[i]
      if byte &- 0x41 < 26 { return .upperCaseName }
      if !ASCII.isToken(byte) { return .invalidName }
    }
    return nil
  }

  /// RFC 9113 section 8.2.1: no NUL, CR or LF, of which each could begin another line in HTTP/1.1; no white space at either end. The other
  /// controls are not allowed by RFC 9110 section 5.5.
  static func fault(ofValue value: Span<UInt8>) -> FieldFault? {
    let count = value.count
    if count == 0 { return nil }
    if ASCII.endOfFieldValue(in: value, from: 0, to: count) != count { return .invalidValue }
    return ASCII.isWhitespace(value[0]) || ASCII.isWhitespace(value[count - 1]) ? .spaceAroundValue : nil
  }

  // MARK: Pseudo-header fields

  /// RFC 9113 section 8.3.
  private mutating func takePseudo(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    if block == .trailers { return fail(.pseudoFieldInTrailers) }
    if isInFields { return fail(.latePseudoField) }
    let bit: UInt8
    if ASCII.equals(name, ":method") {
      bit = 1
    } else if ASCII.equals(name, ":path") {
      bit = 2
    } else if ASCII.equals(name, ":scheme") {
      bit = 4
    } else if ASCII.equals(name, ":authority") {
      bit = 8
    } else if ASCII.equals(name, ":protocol") {
      bit = 16
    } else {
      // Among them :status.
      return fail(.unknownPseudoField)
    }
    if seen & bit != 0 { return fail(.duplicatePseudoField) }
    seen |= bit
    let range = ByteRange(pseudo.count, pseudo.count + value.count)
    switch bit {
    case 1:
      guard value.count > 0, ASCII.endOfToken(in: value, from: 0, to: value.count) == value.count else { return fail(.invalidMethod) }
      // With the rest of the request line: a space, a target of one byte, and the version.
      guard value.count + 13 <= limits.requestLine else { return fail(.pathTooLong) }
      method = range
      isHead = ASCII.equals(value, "HEAD")
    case 2:
      guard value.count > 0, Self.isTarget(value) else { return fail(.invalidPath) }
      guard value.count + 13 <= limits.requestLine else { return fail(.pathTooLong) }
      path = range
    case 4:
      let isHTTPS = ASCII.equals(value, ignoringCaseOf: "https")
      guard isHTTPS || ASCII.equals(value, ignoringCaseOf: "http") else { return fail(.invalidScheme) }
      guard scheme == .either || isHTTPS == (scheme == .https) else { return fail(.schemeDisagrees) }
      schemeRange = range
    case 16:
      guard value.count > 0, ASCII.endOfToken(in: value, from: 0, to: value.count) == value.count else { return fail(.invalidProtocol) }
      isForWebSocket = ASCII.equals(value, ignoringCaseOf: "websocket")
    default:
      // What an authority may be is HeadParser's to say, who finds it in Host; here it must be one line, and something.
      guard value.count > 0, Self.isTarget(value) else { return fail(.invalidValue) }
      authority = range
    }
    pseudo.append(value)
  }

  /// Whether no byte is a space, a control character, `#` or DEL: whoever splits a line elsewhere would read another request.
  private static func isTarget(_ text: Span<UInt8>) -> Bool {
    for i in text.indices where text[i] <= 0x20 || text[i] == 0x23 || text[i] == 0x7F { return false }
    return true
  }

  /// The pseudo-header fields are over: their line is written. False when they can't be one.
  private mutating func beginFields() -> Bool {
    isInFields = true
    if block == .trailers { return true }
    if seen & 8 == 0 { authority = ByteRange() }
    guard seen & 1 != 0 else { return missing() }
    if seen & 16 != 0 { return beginConnect() }
    Self.append(pseudo, method, to: &text)
    text.append(0x20)
    if Self.equals(pseudo, method, "CONNECT") {
      // RFC 9113 section 8.5: of CONNECT, :authority alone. It goes on as CONNECT does in HTTP/1.1, and is refused there.
      guard seen == 9 else { return missing() }
      Self.append(pseudo, authority, to: &text)
    } else {
      guard seen & 7 == 7 else { return missing() }
      let first = pseudo[Int(path.start)]
      // RFC 9113 section 8.3.1: it begins with `/`, or it is the `*` of an OPTIONS request.
      guard first == 0x2F || (path.count == 1 && first == 0x2A && Self.equals(pseudo, method, "OPTIONS")) else {
        text.truncate(to: start)
        fail(.invalidPath)
        return false
      }
      Self.append(pseudo, path, to: &text)
    }
    endLine()
    return true
  }

  private mutating func endLine() {
    text.append(" HTTP/1.1\r\n")
    lineEnd = text.count
    if seen & 8 != 0 {
      text.append("host: ")
      Self.append(pseudo, authority, to: &text)
      text.append("\r\n")
    }
  }

  /// RFC 8441 section 4: CONNECT, and all the others beside `:protocol`. It is written as the GET by which HTTP/1.1 asks for it (section 5), so that it is
  /// judged as that, and forwarded so.
  private mutating func beginConnect() -> Bool {
    guard Self.equals(pseudo, method, "CONNECT") else {
      fail(.protocolWithoutConnect)
      return false
    }
    guard seen == 31 else { return missing() }
    guard pseudo[Int(path.start)] == 0x2F else {
      fail(.invalidPath)
      return false
    }
    isExtendedConnect = true
    text.append("GET ")
    Self.append(pseudo, path, to: &text)
    endLine()
    if !isForWebSocket { fail(.unknownProtocol) }
    return isForWebSocket
  }

  private mutating func missing() -> Bool {
    text.truncate(to: start)
    fail(.missingPseudoField)
    return false
  }

  // A span of one field of a struct holds the whole of it, a buffer only itself.

  private static func append(_ source: borrowing ByteBuffer, _ range: ByteRange, to out: inout ByteBuffer) {
    out.append(source.span.extracting(Int(range.start)..<Int(range.end)))
  }

  private static func equals(_ source: borrowing ByteBuffer, _ range: ByteRange, _ text: StaticString) -> Bool {
    ASCII.equals(source.span.extracting(Int(range.start)..<Int(range.end)), text)
  }

  private static func agree(_ source: borrowing ByteBuffer, _ range: ByteRange, _ host: Span<UInt8>, secure: Bool) -> Bool {
    let authority = source.span.extracting(Int(range.start)..<Int(range.end))
    return Authority.isValid(authority) && Authority.isValid(host) && Authority.agree(authority, host, secure: secure)
  }

  // MARK: The end

  /// The block is complete. `endsStream` says that no body follows.
  public mutating func conclude(endsStream: Bool) -> Conclusion {
    if fault == nil && !isInFields { _ = beginFields() }
    if fault == nil && block == .request && endsStream, let contentLength, contentLength > 0 { fail(.lengthWithoutBody) }
    if block == .trailers && !endsStream { fail(.unfinishedTrailers) }
    if let fault {
      guard fault.status != nil else {
        text.truncate(to: start)
        return .malformed(fault)
      }
      text.truncate(to: lineEnd)
      let range = ByteRange(start, lineEnd)
      start = lineEnd
      return .refused(fault, range)
    }
    if cookieCount > 0 {
      text.append("cookie: ")
      Self.append(cookies, ByteRange(0, cookies.count), to: &text)
      text.append("\r\n")
    }
    if isExtendedConnect {
      // No framing: what follows on the stream is no body.
      text.append("connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ")
      text.append(WebSocketKey.make().span)
      text.append("\r\n")
    } else if block == .request && !endsStream && contentLength == nil {
      // A body without a length: HTTP/1.1 has chunks for it, which is what is made of it if it goes on.
      text.append("transfer-encoding: chunked\r\n")
    }
    text.append("\r\n")
    let range = ByteRange(start, text.count)
    start = text.count
    lineEnd = start
    return .whole(range)
  }
}
