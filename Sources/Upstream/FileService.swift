// HTTP before a file server: which answer a request gets, from its conditions to its last byte (RFC 9110, RFC 4918 section 9.3). Knows no protocol
// behind, and no thread.

import HTTP
import Primitives

enum FileService {
  /// The answer to a request that no server need be asked for, or nil.
  static func refusal(of request: FileRequest, _ server: FileServer) -> [UInt8]? {
    let allowed = "Allow: GET, HEAD, OPTIONS\(server.isWritable ? ", PUT, DELETE, MKCOL" : "")"
    switch request.method {
    case .other: return short(405, request, [allowed])
    case .put, .delete, .makeFolder: if !server.isWritable { return short(405, request, [allowed]) }
    case .options: return head(204, [allowed])
    case .get, .head: break
    }
    if request.hasBody && request.method != .put { return short(request.method == .makeFolder ? 415 : 400, request) }
    guard let path = request.path else { return short(request.fault == .hidden ? 404 : 400, request) }
    if server.speaksFTP && path.names.contains(where: FilePath.isReadOtherwise) { return short(400, request) }
    switch request.method {
    case .put: return request.isPartial ? short(400, request) : path.isFolder ? short(409, request) : nil
    case .delete, .makeFolder: return path.names.isEmpty ? short(403, request) : nil
    default: return nil
    }
  }

  /// Runs the errand to its end.
  static func run(_ errand: FileErrand, at store: any FileStore, _ server: FileServer) {
    guard let path = errand.request.path else { return errand.end(.complete) }
    do {
      switch errand.request.method {
      case .put: try put(path, errand, store)
      case .delete: try delete(path, errand, store)
      case .makeFolder:
        try makeFolder(path, errand, store)
      default: try get(path, errand, store)
      }
      errand.end(.complete)
    } catch {
      conclude(error, errand)
    }
  }

  static func conclude(_ fault: FileFault, _ errand: FileErrand) {
    if errand.hasAnswered {
      // What has begun and can't be ended has to look unfinished. What is no fault of the server's is none by having begun.
      guard case .failed(let failure) = fault else {
        return errand.end(.failed(UpstreamFailure(.unserved, "the file changed, or was gone, while it was read")))
      }
      return errand.end(.failed(failure.kind.isOurs ? failure : UpstreamFailure(.truncated, failure.reason)))
    }
    let status: Int
    switch fault {
    case .failed(let failure): return errand.end(.failed(failure))
    case .notFound: status = 404
    case .forbidden: status = 403
    case .conflict: status = 409
    case .exists: status = 405
    case .full: status = 507
    case .changed: return errand.end(.failed(UpstreamFailure(.unserved, "the file is replaced whenever it is about to be read")))
    case .cancelled: return errand.end(.failed(UpstreamFailure(.unserved, "the client is gone")))
    }
    errand.answer(short(status, errand.request))
    errand.end(.complete)
  }

  // MARK: Reading

  private static func get(_ path: FilePath, _ errand: FileErrand, _ store: any FileStore) throws(FileFault) {
    if path.isFolder { return try list(path, errand, store) }
    // Replaced between the look and the reading, it is looked at again.
    for _ in 0..<2 {
      do { return try file(path, errand, store) } catch .changed where !errand.hasAnswered {} catch { throw error }
    }
    try file(path, errand, store)
  }

  private static func file(_ path: FilePath, _ errand: FileErrand, _ store: any FileStore) throws(FileFault) {
    let facts = try store.open(path, for: errand)
    if facts.isFolder {
      // Relative, so that it holds whatever path the client knows the folder by.
      let name = path.names.last.map { FilePath.encoded($0) } ?? "."
      return errand.answer(head(301, ["Location: \(name)/", "Content-Length: 0"]))
    }
    let request = errand.request
    let date = facts.modified.map(dated)
    if let verdict = condition(request, date) {
      return errand.answer(verdict == 304 ? head(304, date.map { ["Last-Modified: \($0)"] } ?? []) : short(verdict, request))
    }
    var fields = ["Content-Type: \(MediaType.of(path.names.last ?? []))", "X-Content-Type-Options: nosniff"]
    if let date { fields.append("Last-Modified: \(date)") }
    var range: Range<UInt64>?
    // RFC 9110 section 14.2: Range is for GET. Section 13.1.5: only of the very file that the client has a part of.
    if let size = facts.size {
      fields.append("Accept-Ranges: bytes")
      if let field = request.range, request.method == .get, request.ifRange.map({ Array((date ?? "-").utf8) == $0 }) ?? true {
        switch FileRequest.part(field, of: size) {
        case .all: break
        case .unsatisfiable: return errand.answer(head(416, ["Content-Range: bytes */\(size)", "Content-Length: 0"]))
        case .range(let part):
          range = part
          fields.append("Content-Range: bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)")
        }
      }
      fields.append("Content-Length: \(range.map { $0.upperBound - $0.lowerBound } ?? size)")
    }
    let start = head(range == nil ? 200 : 206, fields)
    if request.method == .head { return errand.answer(start) }
    try send(path, range, facts, start, errand, store)
  }

  private static func send(
    _ path: FilePath, _ range: Range<UInt64>?, _ facts: FileFacts, _ start: [UInt8], _ errand: FileErrand, _ store: any FileStore
  ) throws(FileFault) {
    let size = range.map { $0.upperBound - $0.lowerBound } ?? facts.size
    if size == 0 { return errand.answer(start) }
    var sent: UInt64 = 0
    // The head goes with the first byte: until then there may be another answer.
    unsafe try store.read(path, range, facts, for: errand) { bytes in
      if sent == 0 { errand.answer(start) }
      // A file that grew meanwhile ends where it was said to end.
      let left = size.map { $0 - sent } ?? .max
      let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, Int(clamping: left))])
      sent += UInt64(piece.count)
      return unsafe errand.give(piece) && piece.count == bytes.count
    }
    if errand.isCancelled { throw .cancelled }
    if let size, sent < size { throw .failed(UpstreamFailure(.unserved, "the file had \(sent) of \(size) bytes")) }
    if sent == 0 { errand.answer(start) }
  }

  /// RFC 9110 section 13.2.2, by dates alone, since nothing here has an entity tag: the answer instead of the file, or nil. Dates are compared as
  /// they were given out, as text.
  private static func condition(_ request: FileRequest, _ date: String?) -> Int? {
    let date = date.map { Array($0.utf8) }
    if let tags = request.ifMatch {
      if tags != [0x2A] { return 412 }
    } else if let since = request.ifUnmodifiedSince, since != date {
      return 412
    }
    if let tags = request.ifNoneMatch { return tags == [0x2A] ? 304 : nil }
    if let since = request.ifModifiedSince, let date, since == date { return 304 }
    return nil
  }

  private static func list(_ path: FilePath, _ errand: FileErrand, _ store: any FileStore) throws(FileFault) {
    let entries = try store.list(path, for: errand).sorted { a, b in
      a.isFolder != b.isFolder ? a.isFolder : a.name.lexicographicallyPrecedes(b.name)
    }
    errand.answer(head(200, pageFields(errand.request)))
    if errand.request.method == .head { return }
    // In pieces: the page is several times as long as what it is made of.
    if errand.request.wantsJSON { FolderPage.json(entries) { errand.give($0) } } else { FolderPage.html(entries, at: path) { errand.give($0) } }
  }

  /// Of a page that is made of what a server says.
  static func pageFields(_ request: FileRequest) -> [String] {
    [
      "Content-Type: \(request.wantsJSON ? "application/json" : "text/html; charset=utf-8")", "Vary: Accept", "Cache-Control: no-cache",
      "X-Content-Type-Options: nosniff",
      // Nothing but the page itself: no script of a name's, no form, no frame around it.
      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
    ]
  }

  // MARK: Writing

  private static func put(_ path: FilePath, _ errand: FileErrand, _ store: any FileStore) throws(FileFault) {
    let facts = try existing(path, errand, store)
    if facts?.isFolder ?? false { throw .conflict }
    if let verdict = writeCondition(errand.request, facts) { return errand.answer(short(verdict, errand.request)) }
    try store.write(path, for: errand)
    errand.answer(facts == nil ? head(201, ["Content-Length: 0"]) : head(204, []))
  }

  private static func makeFolder(_ path: FilePath, _ errand: FileErrand, _ store: any FileStore) throws(FileFault) {
    // RFC 4918 section 9.3.1. Asked first: of a refusal not every server says the reason.
    if try existing(path, errand, store) != nil { throw .exists }
    try store.makeFolder(path, for: errand)
    errand.answer(head(201, ["Content-Length: 0"]))
  }

  private static func delete(_ path: FilePath, _ errand: FileErrand, _ store: any FileStore) throws(FileFault) {
    guard let facts = try existing(path, errand, store) else { throw .notFound }
    if let verdict = writeCondition(errand.request, facts) { return errand.answer(short(verdict, errand.request)) }
    try store.remove(path, isFolder: facts.isFolder, for: errand)
    errand.answer(head(204, []))
  }

  private static func existing(_ path: FilePath, _ errand: FileErrand, _ store: any FileStore) throws(FileFault) -> FileFacts? {
    do {
      return try store.look(path, for: errand)
    } catch .notFound {
      return nil
    } catch {
      throw error
    }
  }

  private static func writeCondition(_ request: FileRequest, _ facts: FileFacts?) -> Int? {
    if let tags = request.ifMatch, facts == nil || tags != [0x2A] { return 412 }
    if request.ifNoneMatch == [0x2A], facts != nil { return 412 }
    if let since = request.ifUnmodifiedSince, facts?.modified.map({ Array(dated($0).utf8) }) != since { return 412 }
    return nil
  }

  // MARK: Heads

  static func head(_ status: Int, _ fields: [String]) -> [UInt8] {
    let lines = ["HTTP/1.1 \(status) \(reason(status))"] + fields
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }

  /// An answer that says no more than its status.
  static func short(_ status: Int, _ request: FileRequest, _ fields: [String] = []) -> [UInt8] {
    head(status, fields + ["Content-Length: 0"])
  }

  private static func reason(_ status: Int) -> String {
    switch status {
    case 200: "OK"
    case 201: "Created"
    case 204: "No Content"
    case 206: "Partial Content"
    case 301: "Moved Permanently"
    case 304: "Not Modified"
    case 400: "Bad Request"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 409: "Conflict"
    case 412: "Precondition Failed"
    case 415: "Unsupported Media Type"
    case 416: "Range Not Satisfiable"
    case 507: "Insufficient Storage"
    default: ""
    }
  }

  static func dated(_ time: Timestamp) -> String {
    var text = ByteBuffer()
    HTTPDate.append(time, to: &text)
    return ASCII.string(text.span)
  }
}
