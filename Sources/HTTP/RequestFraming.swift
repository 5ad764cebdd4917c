// What the fields of a request decide: where its body ends, whose host it names, whether the connection stays. One rule, one clause.
// Every rule that a single field can break is applied when that field's line ends; the rest, in a fixed order, when the head ends.

import Primitives

extension FieldName {
  /// Whether `RequestFraming.note` has to see the field: of what frames the message, and of what is asked for of each request.
  var decidesFraming: Bool {
    switch self {
    case .host, .contentLength, .transferEncoding, .authorization, .connection, .expect, .destination: true
    default: false
    }
  }
}

/// What has been seen of the fields that decide something.
struct RequestFraming: Sendable {
  private var hostCount = 0
  private var hasContentLength = false
  private var contentLength: UInt64 = 0
  private var isChunked = false
  private var expectsContinue = false
  private var wantsClose = false
  private var wantsKeepAlive = false
  private var connectionOptions = 0

  /// Takes a field into account. `value` is its value, `head` already holds the field as the last of its fields.
  mutating func note(_ known: FieldName, _ value: Span<UInt8>, _ head: inout RequestHead) -> HeadFailure? {
    switch known {
    case .host:
      return noteHost(value, &head)
    case .contentLength:
      // RFC 9112 section 6.3, rule 5 and RFC 9110 section 8.6: differing lengths are an error; identical ones may be refused as well,
      // and are, because whoever sent them wasn't sure either. A list (`5, 5`) is no number and falls to the next line.
      if hasContentLength { return .duplicateContentLength }
      // RFC 9110 section 8.6: Content-Length = 1*DIGIT. Empty is invalid, not absent; and nothing is narrowed further on.
      guard let length = ASCII.decimal(value), length <= UInt64(Int64.max) else { return .invalidContentLength }
      hasContentLength = true
      contentLength = length
      // RFC 9112 section 6.1: Content-Length beside Transfer-Encoding ought to be handled as an error.
      return isChunked ? .contentLengthWithTransferEncoding : nil
    case .transferEncoding:
      // RFC 9112 section 6.1: Transfer-Encoding on HTTP/1.0 is faulty framing.
      if head.version == .http10 { return .transferEncodingOnHTTP10 }
      if isChunked { return .duplicateTransferEncoding }
      if let failure = RequestFraming.transferCodingFailure(value) { return failure }
      isChunked = true
      return hasContentLength ? .contentLengthWithTransferEncoding : nil
    case .authorization:
      if head.authorizationCount == 0 { head.authorization = head.fields.count - 1 }
      head.authorizationCount += 1
      return nil
    case .connection:
      return noteConnection(value)
    case .expect:
      // RFC 9110 section 10.1.1: an expectation other than 100-continue may be answered with 417. The field is a list.
      var members = ListMembers()
      var count = 0
      while let member = members.next(in: value) {
        guard ASCII.equals(value.extracting(member), ignoringCaseOf: "100-continue") else { return .unknownExpectation }
        count += 1
      }
      if count == 0 { return .unknownExpectation }
      expectsContinue = true
      return nil
    case .destination:
      head.destinationCount += 1
      return nil
    default:
      assert(!known.decidesFraming, "a field that decides has its rule here")
      return nil
    }
  }

  /// The rules that need the whole head.
  func conclude(_ head: inout RequestHead) -> HeadFailure? {
    let authority = head.target.authority
    if hostCount == 0 {
      // RFC 9112 section 3.2: a server MUST respond with 400 to an HTTP/1.1 request that lacks a Host field.
      if head.version == .http11 { return .missingHost }
      head.host = authority
    } else if head.target.form != .authority && !authority.isEmpty {
      // RFC 9112 section 3.2.2: a server ignores Host in favour of an absolute form. Since whoever is behind might do the opposite,
      // the two have to agree (section 3.2: the client MUST send them so).
      guard
        Authority.agree(head.bytes[authority], head.bytes[head.host], secure: head.target.isSecure)
      else { return .hostDisagrees }
    }
    if isChunked {
      // RFC 9112 section 6.3, rule 4.
      head.framing = .chunked
    } else if hasContentLength {
      // RFC 9112 section 6.3, rule 6.
      head.framing = .length(contentLength)
    } else {
      // RFC 9112 section 6.3, rule 7: a request without either has no body.
      head.framing = .none
    }
    // RFC 9110 section 10.1.1: a server MUST ignore the expectation of an HTTP/1.0 request, and may omit 100 where no body comes.
    head.expectsContinue = expectsContinue && head.version == .http11 && head.framing.hasBody
    // RFC 9112 section 9.3.
    head.isPersistent = !wantsClose && (head.version == .http11 || wantsKeepAlive)
    return nil
  }

  /// RFC 9112 section 3.2: 400 for more than one Host field or one with an invalid value, in any version.
  private mutating func noteHost(_ value: Span<UInt8>, _ head: inout RequestHead) -> HeadFailure? {
    if hostCount > 0 { return .duplicateHost }
    guard Authority.isValid(value) else { return .invalidHost }
    hostCount = 1
    head.host = head.fields[head.fields.count - 1].value
    return nil
  }

  /// RFC 9112 section 9.6 (close) and 9.3 (keep-alive). Members that are no tokens name no field, and are passed over.
  private mutating func noteConnection(_ value: Span<UInt8>) -> HeadFailure? {
    var members = ListMembers()
    while let member = members.next(in: value) {
      connectionOptions += 1
      if connectionOptions > connectionOptionLimit { return .tooManyConnectionOptions }
      let option = value.extracting(member)
      if ASCII.equals(option, ignoringCaseOf: "close") { wantsClose = true }
      if ASCII.equals(option, ignoringCaseOf: "keep-alive") { wantsKeepAlive = true }
    }
    return nil
  }

  /// What is wrong with a Transfer-Encoding value; nil for `chunked` in any case, the only one that is understood.
  private static func transferCodingFailure(_ value: Span<UInt8>) -> HeadFailure? {
    if ASCII.equals(value, ignoringCaseOf: "chunked") { return nil }
    // Anything else is refused. Which status: RFC 9112 section 6.1 says 501 for a coding that isn't understood; section 6.3, rule 4
    // says 400 when chunked isn't the final coding. So `gzip, chunked` is 501; `gzip`, `identity`, `chunked, gzip`, nothing at all,
    // `chunked, chunked` (section 6.1: never applied twice), `x chunked` and empty members (which no honest sender writes) are 400.
    var start = 0
    while true {
      var end = start
      while end < value.count && value[end] != 0x2C { end += 1 }
      var first = start
      var last = end
      while first < last && ASCII.isWhitespace(value[first]) { first += 1 }
      while last > first && ASCII.isWhitespace(value[last - 1]) { last -= 1 }
      let coding = value.extracting(first..<last)
      let isFinal = end == value.count
      if coding.count == 0 { return .invalidTransferEncoding }
      if ASCII.equals(coding, ignoringCaseOf: "chunked") != isFinal { return .invalidTransferEncoding }
      // RFC 9110 section 10.1.4: transfer-coding = token *( OWS ";" OWS transfer-parameter ). The name has to be a token at least.
      var length = 0
      while length < coding.count && ASCII.isToken(coding[length]) { length += 1 }
      guard length > 0, length == coding.count || coding[length] == 0x3B || ASCII.isWhitespace(coding[length]) else {
        return .invalidTransferEncoding
      }
      if isFinal { return .unknownTransferCoding }
      start = end + 1
    }
  }
}
