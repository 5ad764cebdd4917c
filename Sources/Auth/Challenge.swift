// The WWW-Authenticate values of a 401, made once per configuration.

public struct Challenge: Sendable {
  /// `Basic realm="…", charset="UTF-8"` (RFC 7617 section 2).
  public let basic: [UInt8]
  /// `Bearer realm="…"` (RFC 6750 section 3).
  public let bearer: [UInt8]
  /// The same with `error="invalid_token"`, for who sent a bearer token.
  public let invalidBearer: [UInt8]

  /// nil when `realm` holds control characters, which no field value may.
  public init?(realm: String) {
    guard UserName.isPrintable(Array(realm.utf8).span) else { return nil }
    // RFC 9110 section 5.6.4: a backslash before the two that a quoted string can't hold as they are.
    var quoted: [UInt8] = []
    for byte in realm.utf8 {
      if byte == 0x22 || byte == 0x5C { quoted.append(0x5C) }
      quoted.append(byte)
    }
    let value = Array("realm=\"".utf8) + quoted + Array("\"".utf8)
    basic = Array("Basic ".utf8) + value + Array(", charset=\"UTF-8\"".utf8)
    bearer = Array("Bearer ".utf8) + value
    invalidBearer = bearer + Array(", error=\"invalid_token\"".utf8)
  }
}
