// The head of a request as HTTP/1.1 has it → the fields of HTTP/2 (RFC 9113 section 8.2 and 8.3.1), as libnghttp2 takes them.

internal import CNGHTTP2
import HTTP
import Primitives

/// Fields of one block, names and values in one piece of memory.
struct FieldBlock: ~Copyable {
  private struct Part {
    var name: ByteRange
    var value: ByteRange
    var mayIndex: Bool
  }

  private var bytes = ByteBuffer()
  private var parts: [Part] = []

  /// Takes a request's head: its line, and lines of fields. False when it is none.
  mutating func request(
    _ text: Span<UInt8>, isSecure: Bool, authority: [UInt8], body: HTTP2ClientSession.Body, takesTrailers: Bool
  ) -> Bool {
    guard let methodEnd = ASCII.firstIndex(of: 0x20, in: text), let lineEnd = ASCII.firstIndex(of: 0x0A, in: text, from: methodEnd),
      lineEnd >= methodEnd + 12
    else { return false }
    add(":method", text.extracting(0..<methodEnd))
    add(":scheme", isSecure ? "https" : "http")
    // Before it stands ` HTTP/1.1` and CR.
    add(":path", text.extracting((methodEnd + 1)..<(lineEnd - 10)))
    // In its place, where a Host says another.
    let place = parts.count
    add(":authority", authority.span)
    guard take(text, from: lineEnd + 1, hostGoesTo: place) else { return false }
    if case .length(let n) = body {
      var digits = ByteBuffer()
      digits.append(decimal: n)
      add("content-length", digits.span)
    }
    if takesTrailers { add("te", "trailers") }
    return true
  }

  /// Takes lines of trailers.
  mutating func trailers(_ text: Span<UInt8>) -> Bool { take(text, from: 0, hostGoesTo: nil) }

  private mutating func take(_ text: Span<UInt8>, from start: Int, hostGoesTo place: Int?) -> Bool {
    var i = start
    while i < text.count {
      guard let colon = ASCII.firstIndex(of: 0x3A, in: text, from: i), let end = ASCII.firstIndex(of: 0x0A, in: text, from: colon),
        end > colon + 1, text[end - 1] == 0x0D
      else { return false }
      var (from, to) = (colon + 1, end - 1)
      while from < to && ASCII.isWhitespace(text[from]) { from += 1 }
      while to > from && ASCII.isWhitespace(text[to - 1]) { to -= 1 }
      let name = text.extracting(i..<colon)
      let value = text.extracting(from..<to)
      i = end + 1
      switch FieldName(name) {
      // RFC 9113 section 8.2.2.
      case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade, .te: continue
      case .host:
        guard let place else { return false }
        parts[place].value = put(value)
      // RFC 7541 section 7.1: what many users' requests share is compressed together, and whoever sees its size could guess at what another's holds.
      // So only that goes into the table which tells of nobody.
      case .accept, .contentType, .via, .xForwardedProto: add(name, value, mayIndex: true)
      default: add(name, value, mayIndex: false)
      }
    }
    return true
  }

  private mutating func add(_ name: StaticString, _ value: Span<UInt8>) {
    let start = bytes.count
    bytes.append(name)
    parts.append(Part(name: ByteRange(start, bytes.count), value: put(value), mayIndex: true))
  }

  private mutating func add(_ name: StaticString, _ value: StaticString) {
    let start = bytes.count
    bytes.append(name)
    let middle = bytes.count
    bytes.append(value)
    parts.append(Part(name: ByteRange(start, middle), value: ByteRange(middle, bytes.count), mayIndex: true))
  }

  private mutating func add(_ name: Span<UInt8>, _ value: Span<UInt8>, mayIndex: Bool) {
    // The library makes it lower-case.
    let start = put(name)
    parts.append(Part(name: start, value: put(value), mayIndex: mayIndex))
  }

  private mutating func put(_ text: Span<UInt8>) -> ByteRange {
    let start = bytes.count
    bytes.append(text)
    return ByteRange(start, bytes.count)
  }

  /// Lends the fields, which the library copies.
  func withFields<Result>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result) -> Result {
    unsafe bytes.withUnsafeBytes { memory in
      let fields = unsafe parts.map { part in
        let base = unsafe UnsafeMutablePointer(mutating: memory.baseAddress!.assumingMemoryBound(to: UInt8.self))
        let flags = part.mayIndex ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX
        return unsafe nghttp2_nv(
          name: base + Int(part.name.start), value: base + Int(part.value.start), namelen: part.name.count, valuelen: part.value.count,
          flags: UInt8(flags.rawValue))
      }
      return unsafe fields.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
    }
  }
}
