// Why a request is refused before anybody looked at what it asks for: each case one reason, with its status and its words for the log.

/// What is wrong with a request head, a chunked body or a trailer section. The connection can't be used again after any of them.
public enum HeadFailure: Error, Equatable, Sendable {
  // The request line (RFC 9112 section 3).
  case malformedRequestLine, fragmentInTarget, malformedVersion, unsupportedVersion, invalidTarget, requestLineTooLong
  // Field lines (RFC 9112 section 5).
  case bareLineFeed, bareCarriageReturn, emptyFieldName, spaceBeforeColon, obsoleteFold, invalidFieldName, invalidFieldValue
  case fieldsTooLarge, tooManyFields, tooManyConnectionOptions
  // Host and target (RFC 9112 section 3.2).
  case missingHost, duplicateHost, invalidHost, hostDisagrees
  // Framing (RFC 9112 section 6).
  case invalidContentLength, duplicateContentLength, contentLengthWithTransferEncoding
  case transferEncodingOnHTTP10, duplicateTransferEncoding, invalidTransferEncoding, unknownTransferCoding, framingLookAlike
  // Expectations (RFC 9110 section 10.1.1).
  case unknownExpectation
  // Chunked coding (RFC 9112 section 7.1).
  case invalidChunkSize, chunkSizeTooLarge, invalidChunkExtension, chunkLineTooLong, tooManyChunkExtensions, missingChunkEnd
  case forbiddenTrailer, trailersTooLarge, tooManyTrailers

  /// The status of the answer.
  public var status: Int {
    switch self {
    case .requestLineTooLong: 414
    case .unknownExpectation: 417
    case .fieldsTooLarge, .tooManyFields, .tooManyConnectionOptions, .trailersTooLarge, .tooManyTrailers: 431
    case .unknownTransferCoding: 501
    case .unsupportedVersion: 505
    default: 400
    }
  }

  /// The reason, for the log. The client sees the status alone.
  public var reason: StaticString {
    switch self {
    case .malformedRequestLine: "malformed request line"
    case .fragmentInTarget: "fragment in the request target"
    case .malformedVersion: "malformed HTTP version"
    case .unsupportedVersion: "unsupported HTTP version"
    case .invalidTarget: "invalid request target"
    case .requestLineTooLong: "request line too long"
    case .bareLineFeed: "bare LF"
    case .bareCarriageReturn: "bare CR"
    case .emptyFieldName: "empty field name"
    case .spaceBeforeColon: "white space before the colon of a field"
    case .obsoleteFold: "white space at the begin of a field line"
    case .invalidFieldName: "invalid byte in a field name"
    case .invalidFieldValue: "control character in a field value"
    case .fieldsTooLarge: "field lines too large"
    case .tooManyFields: "too many fields"
    case .tooManyConnectionOptions: "too many Connection options"
    case .missingHost: "no Host"
    case .duplicateHost: "more than one Host"
    case .invalidHost: "invalid Host"
    case .hostDisagrees: "Host and request target disagree"
    case .invalidContentLength: "invalid Content-Length"
    case .duplicateContentLength: "more than one Content-Length"
    case .contentLengthWithTransferEncoding: "Content-Length with Transfer-Encoding"
    case .transferEncodingOnHTTP10: "Transfer-Encoding on HTTP/1.0"
    case .duplicateTransferEncoding: "more than one Transfer-Encoding"
    case .invalidTransferEncoding: "Transfer-Encoding does not end in chunked"
    case .unknownTransferCoding: "unknown transfer coding"
    case .framingLookAlike: "field that looks like Content-Length or Transfer-Encoding"
    case .unknownExpectation: "unknown expectation"
    case .invalidChunkSize: "invalid chunk size"
    case .chunkSizeTooLarge: "chunk size too large"
    case .invalidChunkExtension: "invalid chunk extension"
    case .chunkLineTooLong: "chunk-size line too long"
    case .tooManyChunkExtensions: "too many bytes of chunk extensions"
    case .missingChunkEnd: "no CRLF after a chunk"
    case .forbiddenTrailer: "field that may not stand in trailers"
    case .trailersTooLarge: "trailers too large"
    case .tooManyTrailers: "too many trailers"
    }
  }
}
