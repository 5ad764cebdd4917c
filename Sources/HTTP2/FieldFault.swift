// What is wrong with the fields of an HTTP/2 message, each case one reason.

/// Why a field block is not made into a request. Some are answered, since the client may have meant well; the others make the request malformed
/// (RFC 9113 section 8.1.1), which is a stream error.
public enum FieldFault: UInt8, Error, BitwiseCopyable, Sendable {
  // Malformed: the stream is reset with PROTOCOL_ERROR.

  // RFC 9113 section 8.2.1.
  case invalidName, upperCaseName, invalidValue, spaceAroundValue
  // RFC 9113 section 8.2.2.
  case connectionSpecific, teOtherThanTrailers
  // RFC 9113 section 8.3.
  case latePseudoField, duplicatePseudoField, unknownPseudoField, pseudoFieldInTrailers, missingPseudoField
  case invalidMethod, invalidPath, invalidScheme
  // RFC 8441 section 4.
  case invalidProtocol, protocolWithoutConnect
  // RFC 9113 section 8.1.1.
  case invalidContentLength, duplicateContentLength, lengthWithoutBody
  // RFC 9113 section 8.1.
  case unfinishedTrailers
  // Of responses (RFC 9113 sections 8.1 and 8.3.2).
  case invalidStatus, unfinishedResponse

  // Answered.

  case schemeDisagrees, hostDisagrees, duplicateHost
  case pathTooLong, fieldsTooLarge, tooManyFields
  case unknownProtocol

  /// The status of the answer; nil where the stream is reset.
  public var status: Int? {
    switch self {
    case .schemeDisagrees, .hostDisagrees, .duplicateHost: 400
    case .pathTooLong: 414
    case .fieldsTooLarge, .tooManyFields: 431
    // RFC 9220 section 3.
    case .unknownProtocol: 501
    default: nil
    }
  }

  /// The reason, for the log.
  public var reason: StaticString {
    switch self {
    case .invalidName: "invalid byte in a field name"
    case .upperCaseName: "upper case in a field name"
    case .invalidValue: "control character in a field value"
    case .spaceAroundValue: "white space around a field value"
    case .connectionSpecific: "field of a connection in HTTP/2"
    case .teOtherThanTrailers: "TE other than trailers in HTTP/2"
    case .latePseudoField: "pseudo-header field after a field"
    case .duplicatePseudoField: "more than one pseudo-header field of a name"
    case .unknownPseudoField: "unknown pseudo-header field"
    case .pseudoFieldInTrailers: "pseudo-header field in trailers"
    case .missingPseudoField: "a pseudo-header field is missing"
    case .invalidMethod: "invalid :method"
    case .invalidPath: "invalid :path"
    case .invalidScheme: "invalid :scheme"
    case .invalidProtocol: "invalid :protocol"
    case .protocolWithoutConnect: ":protocol without CONNECT"
    case .invalidContentLength: "invalid Content-Length"
    case .duplicateContentLength: "more than one Content-Length"
    case .lengthWithoutBody: "Content-Length without content"
    case .unfinishedTrailers: "trailers that do not end the stream"
    case .invalidStatus: "invalid :status"
    case .unfinishedResponse: "an interim response that ends the stream"
    case .schemeDisagrees: ":scheme is not the connection's"
    case .hostDisagrees: "Host and :authority disagree"
    case .duplicateHost: "more than one Host"
    case .pathTooLong: ":path too long"
    case .fieldsTooLarge: "fields too large"
    case .tooManyFields: "too many fields"
    case .unknownProtocol: "CONNECT asks for another protocol than WebSocket"
    }
  }
}
