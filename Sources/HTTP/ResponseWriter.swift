// Response heads as bytes: our own answers, field by field, and an upstream's, relayed as it came. Nothing here decides what to answer.

public import Primitives

/// How the response that is being written is delimited (RFC 9112 section 6.3).
public enum ResponseFraming: Equatable, Sendable {
  /// No framing field: 1xx and 204, and a 304 or an answer to HEAD whose length nobody said.
  case none
  /// Content-Length. Of an answer to HEAD and of a 304: the length that the answer to GET would have.
  case length(UInt64)
  /// Transfer-Encoding: chunked. To HTTP/1.1 alone (RFC 9112 section 6.1).
  case chunked
  /// The end of the connection ends the body: to HTTP/1.0, when the length isn't known.
  case untilClose
  /// The end of the stream ends the body: to HTTP/2, which has frames of its own (RFC 9113 section 8.1), when the length isn't known.
  case byStream
}

/// Writes response heads: a status line, fields, `end`.
public enum ResponseWriter {
  /// `HTTP/1.1 404 Not Found`. The version is ours, whatever the client's or the upstream's was (RFC 9112 section 2.3).
  public static func statusLine(_ status: Int, to out: inout ByteBuffer) {
    beginStatusLine(status, to: &out)
    out.append(StandardStatus.phrase(status))
    out.append("\r\n")
  }

  /// A status line with a phrase of its own, which may be empty.
  public static func statusLine(_ status: Int, reason: Span<UInt8>, to out: inout ByteBuffer) {
    beginStatusLine(status, to: &out)
    appendValue(reason, to: &out)
    out.append("\r\n")
  }

  public static func field(_ name: StaticString, _ value: StaticString, to out: inout ByteBuffer) {
    out.append(name)
    out.append(": ")
    out.append(value)
    out.append("\r\n")
  }

  /// A byte of the value that may not stand there is written as a space (RFC 9110 section 5.5): no value begins a line.
  public static func field(_ name: StaticString, _ value: Span<UInt8>, to out: inout ByteBuffer) {
    out.append(name)
    out.append(": ")
    appendValue(value, to: &out)
    out.append("\r\n")
  }

  public static func field(_ name: StaticString, decimal value: UInt64, to out: inout ByteBuffer) {
    out.append(name)
    out.append(": ")
    out.append(decimal: value)
    out.append("\r\n")
  }

  /// A field whose name was parsed or checked before: `name` must be a token.
  public static func field(_ name: Span<UInt8>, _ value: Span<UInt8>, to out: inout ByteBuffer) {
    for i in name.indices { precondition(ASCII.isToken(name[i]), "a field name is a token") }
    out.append(name)
    out.append(": ")
    appendValue(value, to: &out)
    out.append("\r\n")
  }

  /// `Date: …`
  public static func date(_ time: Timestamp, to out: inout ByteBuffer) {
    out.append("Date: ")
    HTTPDate.append(time, to: &out)
    out.append("\r\n")
  }

  /// The field that says how the body is delimited, if any does.
  public static func framing(_ framing: ResponseFraming, to out: inout ByteBuffer) {
    switch framing {
    case .none, .untilClose, .byStream: break
    case .length(let n): field("Content-Length", decimal: n, to: &out)
    case .chunked: field("Transfer-Encoding", "chunked", to: &out)
    }
  }

  /// The Connection field where the version's default isn't meant (RFC 9112 section 9.3): `close` to HTTP/1.1, `keep-alive` to HTTP/1.0.
  public static func connection(persistent: Bool, client version: Version, to out: inout ByteBuffer) {
    if version == .http2 { return }
    if !persistent {
      field("Connection", "close", to: &out)
    } else if version == .http10 {
      field("Connection", "keep-alive", to: &out)
    }
  }

  /// The empty line.
  public static func end(to out: inout ByteBuffer) {
    out.append("\r\n")
  }

  /// An upstream's head without the empty line: status and reason as they came, then its fields in their order, duplicates and case kept,
  /// but for those of the upstream's connection; framed anew. Fields of ours may follow, then `end`.
  ///
  /// Content-Length stays where it was when `framing` has a length. `scratch` is any set; it is reused from call to call. With `hidesLogin` what the
  /// upstream says of logging in (RFC 9110 section 11.6) is left out: it was for us.
  public static func relay(
    _ head: borrowing ResponseHead, framing: ResponseFraming, hidesLogin: Bool = false, scratch: inout FieldSet, to out: inout ByteBuffer
  ) {
    statusLine(head.status, reason: head.bytes[head.reason], to: &out)
    HopByHop.mark(head.fields, head.bytes, into: &scratch)
    if hidesLogin { HopByHop.markLogin(head.fields, head.bytes, into: &scratch) }
    var isFramed = false
    // Lines that stay as they are and follow each other are copied in one piece.
    var run = ByteRange()
    for i in head.fields.indices where !scratch.contains(i) {
      let field = head.fields[i]
      if field.known == .contentLength {
        guard case .length(let n) = framing, !isFramed else { continue }
        isFramed = true
        out.append(head.bytes[run])
        run = ByteRange()
        out.append(head.bytes[field.name])
        out.append(": ")
        out.append(decimal: n)
        out.append("\r\n")
      } else if let line = field.line(asWrittenIn: head.bytes) {
        if run.end == line.start {
          run.end = line.end
        } else {
          out.append(head.bytes[run])
          run = line
        }
      } else {
        // Name and value were checked when the head was parsed.
        out.append(head.bytes[run])
        run = ByteRange()
        out.append(head.bytes[field.name])
        out.append(": ")
        out.append(head.bytes[field.value])
        out.append("\r\n")
      }
    }
    out.append(head.bytes[run])
    if !isFramed { ResponseWriter.framing(framing, to: &out) }
  }

  /// What became of a field that was to be relayed.
  public enum Relayed {
    /// It is relayed as it is.
    case kept
    /// It is not relayed, or another was written in its place.
    case done
  }

  /// The same where fields may change: `change` is asked for each of them but Content-Length, and may write whole lines.
  public static func relay(
    _ head: borrowing ResponseHead, framing: ResponseFraming, hidesLogin: Bool = false, scratch: inout FieldSet, to out: inout ByteBuffer,
    _ change: (Field, borrowing ByteStore, inout ByteBuffer) -> Relayed
  ) {
    statusLine(head.status, reason: head.bytes[head.reason], to: &out)
    HopByHop.mark(head.fields, head.bytes, into: &scratch)
    if hidesLogin { HopByHop.markLogin(head.fields, head.bytes, into: &scratch) }
    var isFramed = false
    for i in head.fields.indices where !scratch.contains(i) {
      let field = head.fields[i]
      if field.known == .contentLength {
        guard case .length(let n) = framing, !isFramed else { continue }
        isFramed = true
        ResponseWriter.field("Content-Length", decimal: n, to: &out)
      } else if case .kept = change(field, head.bytes, &out) {
        ResponseWriter.field(head.bytes[field.name], head.bytes[field.value], to: &out)
      }
    }
    if !isFramed { ResponseWriter.framing(framing, to: &out) }
  }

  private static func beginStatusLine(_ status: Int, to out: inout ByteBuffer) {
    precondition(status >= 100 && status <= 599, "a status has three digits")
    out.append("HTTP/1.1 ")
    out.append(decimal: UInt64(status))
    out.append(0x20)
  }

  private static func appendValue(_ value: Span<UInt8>, to out: inout ByteBuffer) {
    if ASCII.endOfFieldValue(in: value, from: 0, to: value.count) == value.count {
      out.append(value)
    } else {
      for i in value.indices { out.append(ASCII.isFieldValue(value[i]) ? value[i] : 0x20) }
    }
  }
}
