// An answer of our own with content of its own: what endpoints say, as against the refusals that `Replies` has ready. Never to be cached.

import HTTP
import Primitives

/// A whole answer. Made on any thread, written by the worker whose connection waits for it.
struct OwnReply: Equatable, Sendable {
  struct Field: Equatable, Sendable {
    /// A token (RFC 9110 section 5.6.2).
    var name: [UInt8]
    /// What a field can't carry is written as spaces.
    var value: [UInt8]

    init(_ name: StaticString, _ value: [UInt8]) { self.init(Array("\(name)".utf8), value) }

    init(_ name: [UInt8], _ value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }

  enum Content: Equatable, Sendable {
    /// Nothing: 204, or a 200 that is all in its fields.
    case none
    case json([UInt8])
    /// RFC 9457.
    case problem([UInt8])

    var bytes: [UInt8] {
      switch self {
      case .none: []
      case .json(let bytes), .problem(let bytes): bytes
      }
    }
  }

  /// 200 to 599.
  var status: Int
  /// Beside those that every answer has.
  var fields: [Field] = []
  var content = Content.none
  /// Seconds of `Retry-After`.
  var retryAfter: UInt64?
  /// For the log alone.
  var reason: String?

  init(_ status: Int, _ fields: [Field] = [], _ content: Content = .none, reason: String? = nil) {
    self.status = status
    self.fields = fields
    self.content = content
    self.reason = reason
  }

  /// A problem document that tells the client what is wrong, in a sentence. The log gets the same, or `reason`.
  static func problem(_ status: Int, _ detail: String, reason: String? = nil) -> OwnReply {
    var body = Array("{\"type\":\"about:blank\",\"title\":".utf8)
    JSON.append(quoted: Array("\(StandardStatus.phrase(status))".utf8).span, to: &body)
    body += Array(",\"status\":\(status),\"detail\":".utf8)
    JSON.append(quoted: Array(detail.utf8).span, to: &body)
    body.append(0x7D)
    return OwnReply(status, [], .problem(body), reason: reason ?? detail)
  }

  /// 405 (RFC 9110 section 15.5.6).
  static func notAllowed(_ allowed: StaticString) -> OwnReply {
    var reply = problem(405, "This resource takes other methods: \(allowed)", reason: "the endpoint takes \(allowed)")
    reply.fields = [Field("Allow", Array("\(allowed)".utf8))]
    return reply
  }
}

extension Replies {
  /// Writes the whole message.
  ///
  /// - Returns: the bytes of content that were written.
  static func write(_ reply: OwnReply, _ details: Details, date: Span<UInt8>, to out: inout ByteBuffer) -> Int {
    ResponseWriter.statusLine(reply.status, to: &out)
    ResponseWriter.field("Date", date, to: &out)
    out.append(details.transportSecurity)
    for field in reply.fields { ResponseWriter.field(field.name.span, field.value.span, to: &out) }
    if let seconds = reply.retryAfter { ResponseWriter.field("Retry-After", decimal: seconds, to: &out) }
    switch reply.content {
    case .none: break
    case .json: ResponseWriter.field("Content-Type", "application/json", to: &out)
    case .problem: ResponseWriter.field("Content-Type", "application/problem+json", to: &out)
    }
    let body = reply.content.bytes
    ResponseWriter.field("Cache-Control", "no-store", to: &out)
    // RFC 9110 section 8.6: a 204 has none.
    if reply.status != 204 { ResponseWriter.field("Content-Length", decimal: UInt64(body.count), to: &out) }
    if details.closes {
      ResponseWriter.field("Connection", "close", to: &out)
    } else if details.saysKeepAlive {
      ResponseWriter.field("Connection", "keep-alive", to: &out)
    }
    ResponseWriter.end(to: &out)
    if details.isHead { return 0 }
    out.append(body.span)
    return body.count
  }
}
