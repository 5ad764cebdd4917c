// Our own answers: refusals and failures, each in plain text or, where Accept asks for it, as a problem document (RFC 9457). They say what
// the client may know and nothing else: the same bytes for an unknown user, a wrong password and a locked one.

import Auth
import HTTP
import Primitives

/// Writes complete messages into a connection's out buffer.
enum Replies {
  /// What is particular about one answer.
  struct Details {
    /// Adds `WWW-Authenticate`.
    var challenge: Challenge?
    /// Seconds for `Retry-After`.
    var retryAfter: UInt64?
    /// `Allow`, for 405.
    var allow: StaticString?
    /// Said instead of what the status says in general: printable ASCII without quotes and backslashes.
    var words: StaticString?
    var wantsJSON = false
    /// HTML that is written instead of the usual words.
    var page: [UInt8]?
    /// Whether a 429 is for how much is asked, and not for guesses.
    var isOverBound = false
    var isHead = false
    var closes = false
    /// HTTP/1.0 keeps a connection only if told so.
    var saysKeepAlive = false
    /// The line of `Strict-Transport-Security`, with its end; empty for none.
    var transportSecurity: [UInt8] = []
  }

  /// The `WWW-Authenticate` fields of a 401, rendered once per configuration.
  struct Challenge {
    var bytes: [UInt8]
  }

  /// Without Bearer where no tokens are on. A realm that a field can't carry (Config refuses it) is written as an empty one.
  static func renderChallenges(realm: String, offersBearer: Bool) -> (plain: Challenge, invalidToken: Challenge) {
    guard let values = Auth.Challenge(realm: realm) ?? Auth.Challenge(realm: "") else { preconditionFailure("an empty realm is a realm") }
    let basic = line(values.basic)
    guard offersBearer else { return (Challenge(bytes: basic), Challenge(bytes: basic)) }
    return (Challenge(bytes: basic + line(values.bearer)), Challenge(bytes: basic + line(values.invalidBearer)))
  }

  /// Those without Basic, at which a browser opens a dialog. A 401 has to have one (RFC 9110 section 11.6.1): Bearer, which browsers leave
  /// to the script.
  static func renderSilentChallenges(realm: String) -> (plain: Challenge, invalidToken: Challenge) {
    guard let values = Auth.Challenge(realm: realm) ?? Auth.Challenge(realm: "") else { preconditionFailure("an empty realm is a realm") }
    return (Challenge(bytes: line(values.bearer)), Challenge(bytes: line(values.invalidBearer)))
  }

  private static func line(_ value: [UInt8]) -> [UInt8] {
    Array("WWW-Authenticate: ".utf8) + value + Array("\r\n".utf8)
  }

  /// - Parameters:
  ///   - date: IMF-fixdate (RFC 9110 section 5.6.7).
  ///   - requestID: named in the body of a 5xx, so that a user can quote it to the operator.
  /// - Returns: the bytes of the body that were written.
  @discardableResult
  static func write(_ status: Int, _ details: Details, date: Span<UInt8>, requestID: RequestIdentifier, to out: inout ByteBuffer) -> Int {
    var body = ByteBuffer(capacity: 160)
    if details.wantsJSON {
      writeProblem(status, details, requestID, to: &body)
    } else if let page = details.page {
      body.append(page.span)
    } else {
      body.append(sentence(status, details))
      if status >= 500 {
        body.append(" (request ")
        requestID.append(to: &body)
        body.append(")")
      }
    }
    ResponseWriter.statusLine(status, to: &out)
    ResponseWriter.field("Date", date, to: &out)
    out.append(details.transportSecurity)
    if let challenge = details.challenge { out.append(challenge.bytes) }
    if let allow = details.allow {
      out.append("Allow: ")
      out.append(allow)
      out.append("\r\n")
    }
    if let seconds = details.retryAfter {
      out.append("Retry-After: ")
      out.append(decimal: seconds)
      out.append("\r\n")
    }
    out.append(
      details.wantsJSON
        ? "Content-Type: application/problem+json\r\n"
        : details.page == nil ? "Content-Type: text/plain; charset=utf-8\r\n" : "Content-Type: text/html; charset=utf-8\r\n")
    out.append("Cache-Control: no-store\r\nContent-Length: ")
    out.append(decimal: UInt64(body.count))
    out.append("\r\n")
    if details.closes { out.append("Connection: close\r\n") } else if details.saysKeepAlive { out.append("Connection: keep-alive\r\n") }
    out.append("\r\n")
    if details.isHead { return 0 }
    out.append(body.span)
    return body.count
  }

  /// Whether an Accept field asks for JSON: it names a JSON type, and not HTML beside it (a browser's list names everything).
  static func wantsJSON(accept: Span<UInt8>) -> Bool {
    (contains(accept, "application/json") || contains(accept, "application/problem+json")) && !contains(accept, "text/html")
  }

  private static func contains(_ text: Span<UInt8>, _ word: StaticString) -> Bool {
    let length = word.utf8CodeUnitCount
    guard text.count >= length else { return false }
    var i = 0
    while i + length <= text.count {
      if ASCII.equals(text.extracting(i..<(i + length)), ignoringCaseOf: word) { return true }
      i += 1
    }
    return false
  }

  private static func writeProblem(_ status: Int, _ details: Details, _ requestID: RequestIdentifier, to body: inout ByteBuffer) {
    body.append("{\"type\":\"about:blank\",\"title\":\"")
    body.append(StandardStatus.phrase(status))
    body.append("\",\"status\":")
    body.append(decimal: UInt64(status))
    body.append(",\"detail\":\"")
    body.append(sentence(status, details))
    body.append("\"")
    if status >= 500 {
      body.append(",\"request\":\"")
      requestID.append(to: &body)
      body.append("\"")
    }
    body.append("}")
  }

  private static func sentence(_ status: Int, _ details: Details) -> StaticString {
    if let words = details.words { return words }
    if status == 429 && details.isOverBound { return "Too many requests, please try again later" }
    return sentence(status)
  }

  private static func sentence(_ status: Int) -> StaticString {
    switch status {
    case 400: "Bad Request"
    case 401: "Unauthorized Access"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "The request did not arrive in time"
    case 413: "The request's content is too large"
    case 414: "The request's target is too long"
    case 417: "That expectation can't be met"
    case 429: "Too many failed attempts"
    case 431: "The request's header fields are too large"
    case 501: "Not Implemented"
    case 502: "The service behind this gateway can't be reached"
    case 503: "The service is not available at present, please try again later"
    case 504: "The service behind this gateway did not answer in time"
    case 505: "That version of HTTP is not spoken here"
    default: StandardStatus.phrase(status)
    }
  }
}
