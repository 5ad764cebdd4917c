// Which requests are CORS preflights as a browser makes them: the question whether a script may ask, sent before anybody could be asked for a
// password (Fetch standard, "CORS-preflight fetch").

public import HTTP
internal import Primitives

public enum Preflight {
  /// Whether `head` is a preflight and can be nothing else: OPTIONS on a path, one well-formed Origin, one Access-Control-Request-Method,
  /// no content, none of the credentials that a browser leaves out of it, and no field that asks for the request to be taken for another.
  public static func isOne(_ head: borrowing RequestHead) -> Bool {
    guard head.method == .options, head.target.form == .origin, head.authorizationCount == 0 else { return false }
    guard head.framing == .none || head.framing == .length(0) else { return false }
    var origins = 0
    var methods = 0
    for i in head.fields.indices {
      let field = head.fields[i]
      if field.known == .cookie { return false }
      if field.known != .other { continue }
      let name = head.bytes[field.name]
      if MethodOverride.isName(name) { return false }
      if ASCII.equals(name, ignoringCaseOf: "origin") {
        guard isOrigin(head.bytes[field.value]) else { return false }
        origins += 1
      } else if ASCII.equals(name, ignoringCaseOf: "access-control-request-method") {
        guard isToken(head.bytes[field.value]) else { return false }
        methods += 1
      } else if ASCII.equals(name, ignoringCaseOf: "access-control-request-headers") {
        guard isTokens(head.bytes[field.value]) else { return false }
      }
    }
    return origins == 1 && methods == 1
  }

  /// RFC 6454 section 7: `null`, or a scheme, `://` and an authority. (A browser sends one origin, never a list.)
  static func isOrigin(_ text: Span<UInt8>) -> Bool {
    if ASCII.equals(text, "null") { return true }
    guard let colon = ASCII.firstIndex(of: 0x3A, in: text), colon > 0, colon + 3 < text.count, text[colon + 1] == 0x2F,
      text[colon + 2] == 0x2F
    else { return false }
    guard ASCII.isAlpha(text[0]) else { return false }
    for i in 1..<colon {
      let byte = text[i]
      guard ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2B || byte == 0x2D || byte == 0x2E else { return false }
    }
    return Authority.isValid(text.extracting(colon + 3..<text.count))
  }

  private static func isToken(_ text: Span<UInt8>) -> Bool {
    guard text.count > 0 else { return false }
    for i in text.indices where !ASCII.isToken(text[i]) { return false }
    return true
  }

  /// Names parted by commas.
  private static func isTokens(_ text: Span<UInt8>) -> Bool {
    for i in text.indices where !(ASCII.isToken(text[i]) || text[i] == 0x2C || ASCII.isWhitespace(text[i])) { return false }
    return true
  }
}
