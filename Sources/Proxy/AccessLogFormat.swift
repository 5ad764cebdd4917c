// One line for each exchange, in the combined format that log tools know (with our own facts behind it) or as a JSON object.
// Values of the client are escaped: no line, no terminal and no JSON document can be forged through them.

import Auth
import HTTP
import Net
import Primitives
import Upstream

enum AccessLogFormat {
  static func append(
    _ record: borrowing ExchangeRecord, head: borrowing RequestHead, peer: Peer, client: ClientAddress,
    requestID: borrowing RequestIdentifier, snapshot: Snapshot, duration: UInt64, times: inout LogTimes, to out: inout ByteBuffer
  ) {
    if !snapshot.logsRequests { return }
    switch snapshot.settings.accessLog.format {
    case .combined: combined(record, head, peer, client, requestID, snapshot, duration, &times, to: &out)
    case .json: json(record, head, peer, client, requestID, snapshot, duration, &times, to: &out)
    }
  }

  /// `address - user [time] "request line" status bytes "referer" "agent"` and then `name=value` pairs, times in milliseconds.
  private static func combined(
    _ record: borrowing ExchangeRecord, _ head: borrowing RequestHead, _ peer: Peer, _ client: ClientAddress,
    _ requestID: borrowing RequestIdentifier, _ snapshot: Snapshot,
    _ duration: UInt64, _ times: inout LogTimes, to out: inout ByteBuffer
  ) {
    append(client, peer, to: &out)
    out.append(" - ")
    let user = record.user?.name ?? record.claimedUser
    if user.isEmpty || record.user == nil {
      out.append(0x2D)
    } else {
      escape(user.span, json: false, to: &out, spaces: true)
    }
    out.append(" [")
    times.appendCommon(record.beganAt, to: &out)
    out.append("] \"")
    if head.hasRequestLine {
      escape(head.bytes[head.methodRange], json: false, to: &out)
      out.append(0x20)
      appendTarget(head, snapshot, json: false, to: &out)
      switch head.version {
      case .http11: out.append(" HTTP/1.1")
      case .http2: out.append(" HTTP/2.0")
      case .http10: out.append(" HTTP/1.0")
      }
    } else {
      out.append(0x2D)
    }
    out.append("\" ")
    out.append(decimal: UInt64(record.status))
    out.append(0x20)
    out.append(decimal: record.bytesOut)
    appendQuotedField(head, referer(head, snapshot.rules), to: &out)
    appendQuotedField(head, head.firstIndex(of: .userAgent), to: &out)
    out.append(" in=")
    out.append(decimal: record.bytesIn)
    if let route = record.route {
      out.append(snapshot.logTexts[route].combined)
      if let member = record.member { out.append(snapshot.serverTexts[route][member].combined) }
      if record.retries > 0 {
        out.append(" retries=")
        out.append(decimal: UInt64(record.retries))
      }
    }
    out.append(" time=")
    appendMilliseconds(duration, to: &out)
    out.append(" auth=")
    appendMilliseconds(record.authentication, to: &out)
    if let connect = record.upstreamConnect {
      out.append(" connect=")
      appendMilliseconds(connect, to: &out)
    }
    if let first = record.upstreamFirstByte {
      out.append(" first=")
      appendMilliseconds(first, to: &out)
    }
    if let reused = record.isReusedConnection { out.append(reused ? " reused=yes" : " reused=no") }
    if record.isAborted { out.append(" aborted=yes") }
    out.append(" id=")
    requestID.append(to: &out)
    if record.user == nil && !user.isEmpty {
      out.append(" claimed=\"")
      escape(user.span, json: false, to: &out)
      out.append(0x22)
    }
    if let reason = record.reason { appendQuoted(reason, after: " reason=", json: false, to: &out) }
    out.append(0x0A)
  }

  /// Who asked: the peer, or whom a trusted proxy named.
  private static func append(_ client: ClientAddress, _ peer: Peer, to out: inout ByteBuffer) {
    if client == peer.address.client { return peer.append(to: &out) }
    SocketAddress(client, port: 0).appendHost(to: &out)
  }

  /// One object a line: names as in docs/OPERATIONS.md, times in milliseconds.
  private static func json(
    _ record: borrowing ExchangeRecord, _ head: borrowing RequestHead, _ peer: Peer, _ client: ClientAddress,
    _ requestID: borrowing RequestIdentifier, _ snapshot: Snapshot,
    _ duration: UInt64, _ times: inout LogTimes, to out: inout ByteBuffer
  ) {
    out.append("{\"time\":\"")
    times.appendInternet(record.beganAt, to: &out)
    out.append("\",\"remote_address\":\"")
    append(client, peer, to: &out)
    if client != peer.address.client {
      out.append("\",\"proxy_address\":\"")
      peer.append(to: &out)
    }
    out.append("\",\"request_id\":\"")
    requestID.append(to: &out)
    out.append("\",\"user\":")
    let name = record.user?.name
    if let name { member(name.span, to: &out) } else { out.append("null") }
    if record.user == nil && !record.claimedUser.isEmpty {
      out.append(",\"claimed_user\":")
      member(record.claimedUser.span, to: &out)
    }
    if head.hasRequestLine {
      out.append(",\"method\":")
      member(head.bytes[head.methodRange], to: &out)
      out.append(",\"target\":")
      out.append(0x22)
      appendTarget(head, snapshot, json: true, to: &out)
      out.append(0x22)
      out.append(",\"host\":")
      member(head.bytes[head.host], to: &out)
      switch head.version {
      case .http11: out.append(",\"protocol\":\"HTTP/1.1\"")
      case .http2: out.append(",\"protocol\":\"HTTP/2.0\"")
      case .http10: out.append(",\"protocol\":\"HTTP/1.0\"")
      }
    }
    if !peer.tlsText.isEmpty { out.append(peer.tlsText) }
    out.append(",\"status\":")
    out.append(decimal: UInt64(record.status))
    out.append(",\"bytes_in\":")
    out.append(decimal: record.bytesIn)
    out.append(",\"bytes_out\":")
    out.append(decimal: record.bytesOut)
    out.append(",\"duration_ms\":")
    appendMilliseconds(duration, to: &out)
    out.append(",\"auth_ms\":")
    appendMilliseconds(record.authentication, to: &out)
    if let route = record.route {
      out.append(snapshot.logTexts[route].json)
      if let member = record.member { out.append(snapshot.serverTexts[route][member].json) }
      if record.retries > 0 {
        out.append(",\"retries\":")
        out.append(decimal: UInt64(record.retries))
      }
    }
    if let connect = record.upstreamConnect {
      out.append(",\"connect_ms\":")
      appendMilliseconds(connect, to: &out)
    }
    if let first = record.upstreamFirstByte {
      out.append(",\"first_byte_ms\":")
      appendMilliseconds(first, to: &out)
    }
    if let reused = record.isReusedConnection { out.append(reused ? ",\"connection_reused\":true" : ",\"connection_reused\":false") }
    if record.isAborted { out.append(",\"aborted\":true") }
    if let i = head.firstIndex(of: .userAgent) {
      out.append(",\"user_agent\":")
      member(head.bytes[head.fields[i].value], to: &out)
    }
    if let reason = record.reason { appendQuoted(reason, after: ",\"reason\":", json: true, to: &out) }
    out.append("}\n")
  }

  /// The request target as it came, but for a ticket: good or not, it is nobody's to read.
  private static func appendTarget(_ head: borrowing RequestHead, _ snapshot: Snapshot, json: Bool, to out: inout ByteBuffer) {
    let (whole, query, ticket) = (head.target.whole, head.target.query, snapshot.ticketParameter)
    guard head.target.hasQuery, !ticket.isEmpty, QueryParameter.find(ticket.span, in: head.bytes[query]) != .absent else {
      return escape(head.bytes[whole], json: json, to: &out)
    }
    var text = ByteBuffer()
    text.append(head.bytes[ByteRange(start: whole.start, end: query.start - 1)])
    QueryParameter.append(head.bytes[query], without: ticket.span, to: &text)
    escape(text.span, json: json, to: &out)
  }

  private static func member(_ bytes: Span<UInt8>, to out: inout ByteBuffer) {
    out.append(0x22)
    escape(bytes, json: true, to: &out)
    out.append(0x22)
  }

  private static func appendQuotedField(_ head: borrowing RequestHead, _ index: Int?, to out: inout ByteBuffer) {
    out.append(" \"")
    if let index { escape(head.bytes[head.fields[index].value], json: false, to: &out) } else { out.append(0x2D) }
    out.append(0x22)
  }

  /// What is said of a route in every line, escaped once for both formats.
  struct RouteTexts {
    let combined: [UInt8]
    let json: [UInt8]

    init(route: String, upstream: String) {
      var text = ByteBuffer()
      appendQuoted(route, after: " route=", json: false, to: &text)
      appendQuoted(upstream, after: " upstream=", json: false, to: &text)
      combined = text.array()
      text.removeAll()
      appendQuoted(route, after: ",\"route\":", json: true, to: &text)
      appendQuoted(upstream, after: ",\"upstream\":", json: true, to: &text)
      json = text.array()
    }
  }

  /// The same of a server, where there are several.
  struct ServerText {
    let combined: [UInt8]
    let json: [UInt8]

    init(_ place: String) {
      var text = ByteBuffer()
      appendQuoted(place, after: " server=", json: false, to: &text)
      combined = text.array()
      text.removeAll()
      appendQuoted(place, after: ",\"server\":", json: true, to: &text)
      json = text.array()
    }
  }

  private static func appendQuoted(_ text: String, after name: StaticString, json: Bool, to out: inout ByteBuffer) {
    out.append(name)
    out.append(0x22)
    escape(Array(text.utf8).span, json: json, to: &out)
    out.append(0x22)
  }

  /// None that holds a ticket.
  private static func referer(_ head: borrowing RequestHead, _ rules: ForwardingRules) -> Int? {
    for i in head.fields.indices where ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: "referer") {
      return rules.holdsTicket(head.bytes[head.fields[i].value], inFieldCalled: head.bytes[head.fields[i].name]) ? nil : i
    }
    return nil
  }

  /// Escapes quotes, backslashes, controls and (for JSON, whose texts are UTF-8) bytes that are not ASCII, one by one as `\u00XX` or `\xXX`.
  /// Valid UTF-8 stays in JSON. With `spaces` a space is escaped too, where a value is not quoted. Of a long value the beginning is
  /// written, and `...`.
  static func escape(_ bytes: Span<UInt8>, json: Bool, to out: inout ByteBuffer, spaces: Bool = false) {
    let end = min(bytes.count, Limits.loggedBytes)
    var i = 0
    while i < end {
      // Nearly all there is.
      let start = i
      while i < end, isPlain(bytes[i]), !(spaces && bytes[i] == 0x20) { i += 1 }
      if i > start { out.append(bytes.extracting(start..<i)) }
      guard i < end else { break }
      let byte = bytes[i]
      let length = byte < 0x80 ? 0 : utf8Length(bytes, i)
      if length > 0 {
        out.append(bytes.extracting(i..<(i + length)))
        i += length
        continue
      }
      if byte == 0x22 || byte == 0x5C {
        out.append(0x5C)
        out.append(byte)
      } else {
        hex(byte, json: json, to: &out)
      }
      i += 1
    }
    if bytes.count > end { out.append("...") }
  }

  /// Neither a control nor a quote nor a backslash, and ASCII.
  private static func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7F && byte != 0x22 && byte != 0x5C }

  private static func hex(_ byte: UInt8, json: Bool, to out: inout ByteBuffer) {
    out.append(json ? "\\u00" : "\\x")
    out.append(ASCII.lowerHexDigit(byte >> 4))
    out.append(ASCII.lowerHexDigit(byte & 15))
  }

  /// The length of the well-formed UTF-8 sequence at `i` (RFC 3629 section 4), or 0. C1 controls (U+0080 to U+009F), which terminals obey, count as
  /// ill-formed.
  private static func utf8Length(_ bytes: Span<UInt8>, _ i: Int) -> Int {
    func continues(_ k: Int, _ range: ClosedRange<UInt8> = 0x80...0xBF) -> Bool { i + k < bytes.count && range.contains(bytes[i + k]) }
    switch bytes[i] {
    case 0xC2: return continues(1, 0xA0...0xBF) ? 2 : 0
    case 0xC3...0xDF: return continues(1) ? 2 : 0
    case 0xE0: return continues(1, 0xA0...0xBF) && continues(2) ? 3 : 0
    case 0xED: return continues(1, 0x80...0x9F) && continues(2) ? 3 : 0
    case 0xE1...0xEC, 0xEE...0xEF: return continues(1) && continues(2) ? 3 : 0
    case 0xF0: return continues(1, 0x90...0xBF) && continues(2) && continues(3) ? 4 : 0
    case 0xF1...0xF3: return continues(1) && continues(2) && continues(3) ? 4 : 0
    case 0xF4: return continues(1, 0x80...0x8F) && continues(2) && continues(3) ? 4 : 0
    default: return 0
    }
  }

  /// Milliseconds with three decimals.
  static func appendMilliseconds(_ nanoseconds: UInt64, to out: inout ByteBuffer) {
    let microseconds = nanoseconds / 1000
    out.append(decimal: microseconds / 1000)
    out.append(0x2E)
    appendThree(microseconds % 1000, to: &out)
  }

  /// Three digits of a number below 1000.
  fileprivate static func appendThree(_ n: UInt64, to out: inout ByteBuffer) {
    out.append(UInt8(truncatingIfNeeded: n / 100) + 0x30)
    out.append(UInt8(truncatingIfNeeded: n / 10 % 10) + 0x30)
    out.append(UInt8(truncatingIfNeeded: n % 10) + 0x30)
  }
}

/// When requests began, as text. Most began in the second in which the one before did, and a date takes some thirty divisions.
struct LogTimes {
  private var second = Int64.min
  /// `10/Oct/2026:13:55:36 +0000`.
  private var common = InlineArray<26, UInt8>(repeating: 0x20)
  /// `2026-10-10T13:55:36`, which `.123Z` follows (RFC 3339).
  private var internet = InlineArray<19, UInt8>(repeating: 0x20)

  mutating func appendCommon(_ time: Timestamp, to out: inout ByteBuffer) {
    if time.seconds != second { write(time) }
    out.append(common.span)
  }

  mutating func appendInternet(_ time: Timestamp, to out: inout ByteBuffer) {
    let seconds = time.seconds
    // HTTPDate ends at both ends of its years; there are no milliseconds to be told of then.
    guard (0...253_402_300_799).contains(seconds) else { return HTTPDate.appendInternet(time, to: &out) }
    if seconds != second { write(time) }
    out.append(internet.span)
    out.append(0x2E)
    AccessLogFormat.appendThree(UInt64(time.microseconds - seconds * 1_000_000) / 1000, to: &out)
    out.append(0x5A)
  }

  private mutating func write(_ time: Timestamp) {
    var text = ByteBuffer(capacity: 64)
    HTTPDate.appendCommonLog(time, to: &text)
    HTTPDate.appendInternet(time, to: &text)
    for i in 0..<26 { common[i] = text[i] }
    for i in 0..<19 { internet[i] = text[26 + i] }
    second = time.seconds
  }
}
