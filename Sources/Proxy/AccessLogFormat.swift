// One line for each exchange, in the combined format that log tools know (with our own facts behind it) or as a JSON object.
// Values of the client are escaped: no line, no terminal and no JSON document can be forged through them.

import Auth
import HTTP
import Primitives
import Upstream

enum AccessLogFormat {
  static func append(
    _ record: borrowing ExchangeRecord, head: borrowing RequestHead, peer: Peer, requestID: [UInt8], snapshot: Snapshot, duration: UInt64,
    to out: inout ByteBuffer
  ) {
    let line = Line(record: copy record, peer: peer, requestID: requestID, snapshot: snapshot, duration: duration)
    switch snapshot.settings.accessLog.target {
    case .off: return
    case .standardOutput, .file: break
    }
    switch snapshot.settings.accessLog.format {
    case .combined: line.combined(head, to: &out)
    case .json: line.json(head, to: &out)
    }
  }

  /// Everything but the head, which is borrowed.
  private struct Line {
    let record: ExchangeRecord
    let peer: Peer
    let requestID: [UInt8]
    let snapshot: Snapshot
    let duration: UInt64

    /// `address - user [time] "request line" status bytes "referer" "agent"` and then `name=value` pairs, times in milliseconds.
    func combined(_ head: borrowing RequestHead, to out: inout ByteBuffer) {
      out.append(peer.text)
      out.append(" - ")
      let user = record.user?.name ?? record.claimedUser
      if user.isEmpty || record.user == nil {
        out.append(0x2D)
      } else {
        AccessLogFormat.escape(user.span, json: false, to: &out, spaces: true)
      }
      out.append(" [")
      AccessLogFormat.appendCommonDate(record.beganAt, to: &out)
      out.append("] \"")
      if head.hasRequestLine {
        AccessLogFormat.escape(head.bytes[head.methodRange], json: false, to: &out)
        out.append(0x20)
        appendTarget(head, json: false, to: &out)
        out.append(head.version == .http11 ? " HTTP/1.1" : " HTTP/1.0")
      } else {
        out.append(0x2D)
      }
      out.append("\" ")
      out.append(decimal: UInt64(record.status))
      out.append(0x20)
      out.append(decimal: record.bytesOut)
      appendQuotedField(head, AccessLogFormat.referer(head, snapshot.rules), to: &out)
      appendQuotedField(head, head.firstIndex(of: .userAgent), to: &out)
      out.append(" in=")
      out.append(decimal: record.bytesIn)
      if let route = record.route { out.append(snapshot.logTexts[route].combined) }
      out.append(" time=")
      AccessLogFormat.appendMilliseconds(duration, to: &out)
      out.append(" auth=")
      AccessLogFormat.appendMilliseconds(record.authentication, to: &out)
      if let connect = record.upstreamConnect {
        out.append(" connect=")
        AccessLogFormat.appendMilliseconds(connect, to: &out)
      }
      if let first = record.upstreamFirstByte {
        out.append(" first=")
        AccessLogFormat.appendMilliseconds(first, to: &out)
      }
      if let reused = record.isReusedConnection { out.append(reused ? " reused=yes" : " reused=no") }
      if record.isAborted { out.append(" aborted=yes") }
      out.append(" id=")
      out.append(requestID)
      if record.user == nil && !user.isEmpty {
        out.append(" claimed=\"")
        AccessLogFormat.escape(user.span, json: false, to: &out)
        out.append(0x22)
      }
      if let reason = record.reason { AccessLogFormat.appendQuoted(reason, after: " reason=", json: false, to: &out) }
      out.append(0x0A)
    }

    /// One object a line: names as in docs/OPERATIONS.md, times in milliseconds.
    func json(_ head: borrowing RequestHead, to out: inout ByteBuffer) {
      out.append("{\"time\":\"")
      AccessLogFormat.appendISODate(record.beganAt, to: &out)
      out.append("\",\"remote_address\":\"")
      AccessLogFormat.escape(peer.text.span, json: true, to: &out)
      out.append("\",\"request_id\":\"")
      out.append(requestID)
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
        appendTarget(head, json: true, to: &out)
        out.append(0x22)
        out.append(",\"host\":")
        member(head.bytes[head.host], to: &out)
        out.append(head.version == .http11 ? ",\"protocol\":\"HTTP/1.1\"" : ",\"protocol\":\"HTTP/1.0\"")
      }
      out.append(",\"status\":")
      out.append(decimal: UInt64(record.status))
      out.append(",\"bytes_in\":")
      out.append(decimal: record.bytesIn)
      out.append(",\"bytes_out\":")
      out.append(decimal: record.bytesOut)
      out.append(",\"duration_ms\":")
      AccessLogFormat.appendMilliseconds(duration, to: &out)
      out.append(",\"auth_ms\":")
      AccessLogFormat.appendMilliseconds(record.authentication, to: &out)
      if let route = record.route { out.append(snapshot.logTexts[route].json) }
      if let connect = record.upstreamConnect {
        out.append(",\"connect_ms\":")
        AccessLogFormat.appendMilliseconds(connect, to: &out)
      }
      if let first = record.upstreamFirstByte {
        out.append(",\"first_byte_ms\":")
        AccessLogFormat.appendMilliseconds(first, to: &out)
      }
      if let reused = record.isReusedConnection { out.append(reused ? ",\"connection_reused\":true" : ",\"connection_reused\":false") }
      if record.isAborted { out.append(",\"aborted\":true") }
      if let i = head.firstIndex(of: .userAgent) {
        out.append(",\"user_agent\":")
        member(head.bytes[head.fields[i].value], to: &out)
      }
      if let reason = record.reason { AccessLogFormat.appendQuoted(reason, after: ",\"reason\":", json: true, to: &out) }
      out.append("}\n")
    }

    /// The request target as it came, but for a ticket: good or not, it is nobody's to read.
    private func appendTarget(_ head: borrowing RequestHead, json: Bool, to out: inout ByteBuffer) {
      let (whole, query, ticket) = (head.target.whole, head.target.query, snapshot.ticketParameter)
      guard head.target.hasQuery, !ticket.isEmpty, QueryParameter.find(ticket.span, in: head.bytes[query]) != .absent else {
        return AccessLogFormat.escape(head.bytes[whole], json: json, to: &out)
      }
      var text = ByteBuffer()
      text.append(head.bytes[ByteRange(start: whole.start, end: query.start - 1)])
      QueryParameter.append(head.bytes[query], without: ticket.span, to: &text)
      AccessLogFormat.escape(text.span, json: json, to: &out)
    }

    private func member(_ bytes: Span<UInt8>, to out: inout ByteBuffer) {
      out.append(0x22)
      AccessLogFormat.escape(bytes, json: true, to: &out)
      out.append(0x22)
    }

    private func appendQuotedField(_ head: borrowing RequestHead, _ index: Int?, to out: inout ByteBuffer) {
      out.append(" \"")
      if let index { AccessLogFormat.escape(head.bytes[head.fields[index].value], json: false, to: &out) } else { out.append(0x2D) }
      out.append(0x22)
    }
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
      let byte = bytes[i]
      if byte == 0x22 || byte == 0x5C {
        out.append(0x5C)
        out.append(byte)
      } else if ASCII.isControl(byte) || (spaces && byte == 0x20) {
        hex(byte, json: json, to: &out)
      } else if byte < 0x80 {
        out.append(byte)
      } else {
        let length = utf8Length(bytes, i)
        if length == 0 {
          hex(byte, json: json, to: &out)
        } else {
          out.append(bytes.extracting(i..<(i + length)))
          i += length
          continue
        }
      }
      i += 1
    }
    if bytes.count > end { out.append("...") }
  }

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
    let rest = microseconds % 1000
    out.append(UInt8(rest / 100) + 0x30)
    out.append(UInt8(rest / 10 % 10) + 0x30)
    out.append(UInt8(rest % 10) + 0x30)
  }

  /// `10/Oct/2026:13:55:36 +0000`.
  static func appendCommonDate(_ time: Timestamp, to out: inout ByteBuffer) { HTTPDate.appendCommonLog(time, to: &out) }

  /// `2026-10-10T13:55:36.123Z` (RFC 3339).
  static func appendISODate(_ time: Timestamp, to out: inout ByteBuffer) { HTTPDate.appendInternet(time, to: &out) }
}
