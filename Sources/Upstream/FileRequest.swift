// What a request asks of a file server: method, place, and the fields that matter for files (RFC 9110 sections 12.5.1, 13 and 14). No answer is made here.

import HTTP
import Primitives

struct FileRequest: Sendable {
  enum Method: Sendable {
    case get, head, put, delete, makeFolder, options
    case other
  }

  var method: Method
  var hasBody: Bool
  /// Nil where it has no usable path: `fault` says why.
  var path: FilePath?
  var fault: FilePath.Fault?
  var range: [UInt8]?
  var ifRange: [UInt8]?
  var ifModifiedSince: [UInt8]?
  var ifUnmodifiedSince: [UInt8]?
  var ifMatch: [UInt8]?
  var ifNoneMatch: [UInt8]?
  var wantsJSON = false
  /// PUT with a part of a file (RFC 9110 section 14.5), or by other ways than its bytes.
  var isPartial = false

  init(_ storage: RequestStorage, hasBody: Bool) {
    // The texts are lent once: a span of a class's property lives no longer than the look at it.
    self.init(storage.texts, storage, hasBody: hasBody)
  }

  private init(_ texts: borrowing ByteBuffer, _ storage: RequestStorage, hasBody: Bool) {
    let bytes = texts.span
    self.hasBody = hasBody
    method = Self.method(bytes.extracting(Int(storage.method.start)..<Int(storage.method.end)))
    do {
      path = try FilePath(target: bytes.extracting(Int(storage.target.start)..<Int(storage.target.end)))
    } catch {
      fault = error
    }
    for line in storage.lines(of: texts) { note(bytes.extracting(Int(line.start)..<Int(line.end))) }
  }

  private static func method(_ word: Span<UInt8>) -> Method {
    if ASCII.equals(word, "GET") { return .get }
    if ASCII.equals(word, "HEAD") { return .head }
    if ASCII.equals(word, "PUT") { return .put }
    if ASCII.equals(word, "DELETE") { return .delete }
    if ASCII.equals(word, "MKCOL") { return .makeFolder }
    if ASCII.equals(word, "OPTIONS") { return .options }
    return .other
  }

  private mutating func note(_ line: Span<UInt8>) {
    guard let colon = ASCII.firstIndex(of: 0x3A, in: line) else { return }
    let name = line.extracting(0..<colon)
    var start = colon + 1
    while start < line.count && ASCII.isWhitespace(line[start]) { start += 1 }
    let value = ASCII.array(line.extracting(start..<line.count))
    if ASCII.equals(name, ignoringCaseOf: "range") { range = value }
    if ASCII.equals(name, ignoringCaseOf: "if-range") { ifRange = value }
    if ASCII.equals(name, ignoringCaseOf: "if-modified-since") { ifModifiedSince = value }
    if ASCII.equals(name, ignoringCaseOf: "if-unmodified-since") { ifUnmodifiedSince = value }
    if ASCII.equals(name, ignoringCaseOf: "if-match") { ifMatch = value }
    if ASCII.equals(name, ignoringCaseOf: "if-none-match") { ifNoneMatch = value }
    if ASCII.equals(name, ignoringCaseOf: "content-range") { isPartial = true }
    // A coding would have to be undone first: what is written is what came.
    if ASCII.equals(name, ignoringCaseOf: "content-encoding") { isPartial = true }
    if ASCII.equals(name, ignoringCaseOf: "accept") {
      let accept = String(decoding: value, as: UTF8.self).lowercased()
      wantsJSON = accept.contains("application/json") && !accept.contains("text/html")
    }
  }

  enum Part: Equatable {
    case all
    case range(Range<UInt64>)
    case unsatisfiable
  }

  /// RFC 9110 section 14.2: what of `size` bytes a Range field asks for. Several ranges at once, and what can't be understood, are all of it.
  static func part(_ field: [UInt8], of size: UInt64) -> Part {
    let text = field.span
    guard text.count > 6, ASCII.equals(text.extracting(0..<6), ignoringCaseOf: "bytes="), !field.contains(0x2C),
      let dash = ASCII.firstIndex(of: 0x2D, in: text)
    else { return .all }
    let (first, last) = (text.extracting(6..<dash), text.extracting((dash + 1)..<text.count))
    if first.isEmpty {
      guard let count = ASCII.decimal(last) else { return .all }
      return count == 0 || size == 0 ? .unsatisfiable : .range((size - min(count, size))..<size)
    }
    guard let start = ASCII.decimal(first) else { return .all }
    var end = size
    if !last.isEmpty {
      guard let stop = ASCII.decimal(last), stop >= start else { return .all }
      end = min(size, stop == .max ? .max : stop + 1)
    }
    return start >= size ? .unsatisfiable : .range(start..<end)
  }
}
