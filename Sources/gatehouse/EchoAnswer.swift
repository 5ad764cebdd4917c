// What a path of the echo upstream asks for, and the JSON that tells what was received.

import Crypto
import HTTP
import Primitives

/// What a request asks of the echo upstream by its path.
enum EchoAnswer: Equatable {
  /// What was received, as JSON.
  case echo
  case status(Int)
  case delay(Interval)
  case bytes(count: UInt64, chunked: Bool)
  case events(count: UInt64, interval: Interval)
  case trailers
  case earlyHints(delay: Interval)
  /// One of the paths above with a number that makes no sense.
  case malformed

  init(path: Span<UInt8>, query: Span<UInt8>) {
    if let start = Self.end(of: "/status/", in: path) {
      let status = ASCII.decimal(path.extracting(start..<path.count)) ?? 0
      self = (200...599).contains(status) ? .status(Int(status)) : .malformed
    } else if let start = Self.end(of: "/delay/", in: path) {
      self = Self.interval(path.extracting(start..<path.count)).map { .delay($0) } ?? .malformed
    } else if let start = Self.end(of: "/bytes/", in: path) {
      let count = ASCII.decimal(path.extracting(start..<path.count))
      let isChunked = ASCII.equals(query, "chunked")
      self = count.map { .bytes(count: min($0, UInt64(Int64.max)), chunked: isChunked) } ?? .malformed
    } else if let start = Self.end(of: "/sse/", in: path) {
      let interval = Self.interval(query, of: "interval=", default: 100)
      if let count = ASCII.decimal(path.extracting(start..<path.count)), let interval {
        self = .events(count: count, interval: interval)
      } else {
        self = .malformed
      }
    } else if ASCII.equals(path, "/trailers") {
      self = .trailers
    } else if ASCII.equals(path, "/early-hints") {
      self = Self.interval(query, of: "delay=", default: 0).map { .earlyHints(delay: $0) } ?? .malformed
    } else {
      self = .echo
    }
  }

  /// Where `prefix` ends, if `bytes` begin with it.
  private static func end(of prefix: StaticString, in bytes: Span<UInt8>) -> Int? {
    let count = prefix.utf8CodeUnitCount
    return bytes.count >= count && ASCII.equals(bytes.extracting(0..<count), prefix) ? count : nil
  }

  private static func interval(_ digits: Span<UInt8>) -> Interval? {
    guard let milliseconds = ASCII.decimal(digits), milliseconds <= EchoLimits.delay.wholeMilliseconds else { return nil }
    return .milliseconds(milliseconds)
  }

  /// The milliseconds that a query of one parameter gives; `milliseconds` when there is no query.
  private static func interval(_ query: Span<UInt8>, of name: StaticString, default milliseconds: UInt64) -> Interval? {
    if query.isEmpty { return .milliseconds(milliseconds) }
    guard let start = end(of: name, in: query) else { return nil }
    return interval(query.extracting(start..<query.count))
  }
}

/// A body of `/bytes/N`: byte i is i modulo 251, so that a lost or doubled piece shows.
struct EchoBytes {
  private static let pattern = (0..<(251 * 261)).map { UInt8($0 % 251) }

  private(set) var left: UInt64
  let framing: ResponseFraming

  init(count: UInt64, _ framing: ResponseFraming) {
    left = count
    self.framing = framing
  }

  /// Appends the next piece; all but the last are of whole patterns.
  mutating func append(to out: inout ByteBuffer) {
    let count = Int(min(left, UInt64(Self.pattern.count)))
    let piece = Self.pattern.span.extracting(0..<count)
    if framing == .chunked { ChunkedEncoder.appendChunk(piece, to: &out) } else { out.append(piece) }
    left -= UInt64(count)
    if left == 0 && framing == .chunked { ChunkedEncoder.appendLast(to: &out) }
  }
}

/// A body of `/sse/N`: events numbered from 1.
struct EchoEvents {
  private var sent: UInt64 = 0
  private let count: UInt64
  let interval: Interval
  let framing: ResponseFraming

  init(count: UInt64, every interval: Interval, _ framing: ResponseFraming) {
    self.count = count
    self.interval = interval
    self.framing = framing
  }

  var isOver: Bool { sent == count }

  mutating func append(to out: inout ByteBuffer) {
    sent += 1
    var event = ByteBuffer()
    event.append("id: ")
    event.append(decimal: sent)
    event.append("\ndata: event ")
    event.append(decimal: sent)
    event.append("\n\n")
    if framing == .chunked { ChunkedEncoder.appendChunk(event.span, to: &out) } else { out.append(event.span) }
  }
}

/// The JSON of a request that was received whole.
enum EchoReport {
  /// Members: `method`, `target`, `version`, `fields` and `trailers` as [name, value] pairs in their order, `body` with `length` and
  /// `sha256`, `connection` and `request` (the how-manieth connection of the server, and request of that connection).
  ///
  /// A name or value that is not UTF-8 is told byte by byte, as the code points 0 to 255.
  static func append(
    _ head: RequestHead, _ trailers: Trailers, bodyLength: UInt64, digest: SHA256.Digest, connection: UInt64, request: UInt64,
    to out: inout ByteBuffer
  ) {
    out.append("{\n  \"method\": ")
    appendText(head.bytes[head.methodRange], to: &out)
    out.append(",\n  \"target\": ")
    appendText(head.bytes[head.target.whole], to: &out)
    out.append(head.version == .http11 ? ",\n  \"version\": \"HTTP/1.1\"" : ",\n  \"version\": \"HTTP/1.0\"")
    out.append(",\n  \"fields\": ")
    append(head.fields, head.bytes, to: &out)
    out.append(",\n  \"trailers\": ")
    append(trailers.fields, trailers.bytes, to: &out)
    out.append(",\n  \"body\": {\"length\": ")
    out.append(decimal: bodyLength)
    out.append(", \"sha256\": \"")
    out.append(digest.hex)
    out.append("\"},\n  \"connection\": ")
    out.append(decimal: connection)
    out.append(",\n  \"request\": ")
    out.append(decimal: request)
    out.append("\n}\n")
  }

  private static func append(_ fields: FieldList, _ bytes: ByteStore, to out: inout ByteBuffer) {
    out.append("[")
    for (i, field) in fields.enumerated() {
      out.append(i == 0 ? "\n    [" : ",\n    [")
      appendText(bytes[field.name], to: &out)
      out.append(", ")
      appendText(bytes[field.value], to: &out)
      out.append("]")
    }
    out.append(fields.isEmpty ? "]" : "\n  ]")
  }

  /// A JSON string (RFC 8259 section 7).
  private static func appendText(_ bytes: Span<UInt8>, to out: inout ByteBuffer) {
    let isUTF8 = (try? UTF8Span(validating: bytes)) != nil
    out.append(0x22)
    for i in bytes.indices {
      let byte = bytes[i]
      if byte == 0x22 || byte == 0x5C {
        out.append(0x5C)
        out.append(byte)
      } else if byte < 0x20 || byte == 0x7F || (byte >= 0x80 && !isUTF8) {
        out.append("\\u00")
        out.append(ASCII.lowerHexDigit(byte >> 4))
        out.append(ASCII.lowerHexDigit(byte & 15))
      } else {
        out.append(byte)
      }
    }
    out.append(0x22)
  }
}
