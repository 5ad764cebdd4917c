// HTTP before a server that is asked for one thing: which answer a request gets. As `FileService`, whose heads it uses; it runs on a courier's thread.

import HTTP
import Primitives

enum LookupService {
  /// The answer to a request that no server need be asked for, or nil.
  static func refusal(of request: FileRequest, _ server: FileServer) -> [UInt8]? {
    // Of Gopher and TFTP nothing is known before all of it is sent: no HEAD.
    let allowed = "Allow: GET, \(server.kind.isCollected ? "HEAD, " : "")OPTIONS"
    switch request.method {
    case .options: return FileService.head(204, [allowed])
    case .get: break
    case .head: if !server.kind.isCollected { return FileService.short(405, request, [allowed]) }
    case .put, .delete, .makeFolder, .other: return FileService.short(405, request, [allowed])
    }
    if request.hasBody { return FileService.short(400, request) }
    guard let path = request.path else { return FileService.short(request.fault == .hidden ? 404 : 400, request) }
    return LookupQuery(path, server) == nil ? FileService.short(404, request) : nil
  }

  /// Runs the errand to its end.
  static func run(_ errand: FileErrand, at store: CurlStore, _ server: FileServer) {
    guard let path = errand.request.path, let query = LookupQuery(path, server) else { return errand.end(.complete) }
    do {
      let url = query.url(store.origin, server)
      switch query {
      case .search: try search(url, errand, store, server.lookup)
      case .word: try define(url, errand, store)
      case .item(type: 0x31, _, _): try menu(url, path, errand, store, server)
      case .item(let type, let names, _): try give(url, GopherMenu.mediaType(type, names.last ?? []), errand, store, server, isGopher: true)
      case .file(let names): try give(url, MediaType.of(names.last ?? []), errand, store, server, isGopher: false)
      }
      errand.end(.complete)
    } catch {
      FileService.conclude(error, errand)
    }
  }

  // MARK: Answers that are taken apart

  private static func search(_ url: String, _ errand: FileErrand, _ store: CurlStore, _ lookup: Lookup) throws(FileFault) {
    let entries = DirectoryEntry.entries(try collect(url, errand, store), attributes: lookup.attributes)
    if entries.isEmpty { throw .notFound }
    if entries.count > lookup.mostEntries { throw .forbidden }
    answer(errand, errand.request.wantsJSON ? DirectoryEntry.json(entries) : DirectoryEntry.ldif(entries))
  }

  private static func define(_ url: String, _ errand: FileErrand, _ store: CurlStore) throws(FileFault) {
    let definitions: [Definition]
    do {
      definitions = try Definition.definitions(try collect(url, errand, store))
    } catch let fault as FileFault {
      throw fault
    } catch let fault as Definition.Fault {
      throw .failed(UpstreamFailure(fault.isRefusal ? .unserved : .malformed, fault.reason))
    } catch {
      throw .failed(UpstreamFailure(.malformed, "no answer of DICT's"))
    }
    if definitions.isEmpty { throw .notFound }
    answer(errand, errand.request.wantsJSON ? Definition.json(definitions) : Definition.text(definitions))
  }

  private static func menu(_ url: String, _ path: FilePath, _ errand: FileErrand, _ store: CurlStore, _ server: FileServer) throws(FileFault) {
    let text = try collect(url, errand, store)
    if GopherMenu.isRefusal(text[...], isWhole: true) { throw .notFound }
    let menu = GopherMenu(text, of: server, host: store.host, at: path)
    errand.answer(FileService.head(200, FileService.pageFields(errand.request)))
    _ = errand.give(errand.request.wantsJSON ? menu.json() : menu.html())
  }

  private static func answer(_ errand: FileErrand, _ text: [UInt8]) {
    let type = errand.request.wantsJSON ? "application/json" : "text/plain; charset=utf-8"
    let fields = [
      "Content-Type: \(type)", "Content-Length: \(text.count)", "Vary: Accept", "Cache-Control: no-cache", "X-Content-Type-Options: nosniff",
    ]
    errand.answer(FileService.head(200, fields))
    if errand.request.method != .head { _ = errand.give(text) }
  }

  private static func collect(_ url: String, _ errand: FileErrand, _ store: CurlStore) throws(FileFault) -> [UInt8] {
    var text: [UInt8] = []
    var isTooLong = false
    unsafe try store.fetch(url, for: errand) { bytes in
      isTooLong = text.count + bytes.count > Lookup.mostCollected
      if !isTooLong { unsafe text.append(contentsOf: bytes) }
      return !isTooLong
    }
    if isTooLong { throw .failed(UpstreamFailure(.unserved, "the answer has more than \(Lookup.mostCollected) bytes")) }
    return text
  }

  // MARK: Files

  private static func give(
    _ url: String, _ type: String, _ errand: FileErrand, _ store: CurlStore, _ server: FileServer, isGopher: Bool
  ) throws(FileFault) {
    let most = UInt64(server.lookup.mostBytes)
    // Gopher says in its first line that there is nothing: until that has come nothing is believed.
    var held: [UInt8] = []
    var (isBelieved, isMissing, isTooLong) = (!isGopher, false, false)
    var size: UInt64?
    var sent: UInt64 = 0
    func begin() {
      // TFTP says how much comes (RFC 2349), where it speaks of it at all.
      size = isGopher ? nil : store.observed().size
      var fields = ["Content-Type: \(type)", "X-Content-Type-Options: nosniff"]
      // The type is what the client's path says, not the server: a text of anybody's may be asked for as a page, and is to run nothing here.
      if isGopher { fields.append("Content-Security-Policy: sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'") }
      if let size { fields.append("Content-Length: \(size)") }
      isTooLong = size ?? 0 > most
      if !isTooLong { errand.answer(FileService.head(200, fields)) }
    }
    func pass(_ bytes: UnsafeRawBufferPointer) -> Bool {
      if !errand.hasAnswered { begin() }
      sent += UInt64(bytes.count)
      isTooLong = isTooLong || sent > most || sent > size ?? .max
      return unsafe !isTooLong && errand.give(bytes)
    }
    unsafe try store.fetch(url, for: errand) { bytes in
      if isBelieved { return unsafe pass(bytes) }
      unsafe held.append(contentsOf: bytes)
      if held.count < GopherMenu.longestRefusal && held[0] == 0x33 && !held.contains(0x0A) { return true }
      isMissing = GopherMenu.isRefusal(held[...], isWhole: false)
      isBelieved = true
      return unsafe !isMissing && held.withUnsafeBytes { unsafe pass($0) }
    }
    if errand.isCancelled { throw .cancelled }
    if !isBelieved && !held.isEmpty {
      isMissing = GopherMenu.isRefusal(held[...], isWhole: true)
      if !isMissing { unsafe held.withUnsafeBytes { unsafe _ = pass($0) } }
    }
    if isMissing { throw .notFound }
    if isTooLong {
      // More than it may have is what was asked for; more than was said of it is the server's lie.
      let isOurs = sent > most || size ?? 0 > most
      throw .failed(UpstreamFailure(isOurs ? .unserved : .malformed, "the file has more than \(min(most, size ?? most)) bytes"))
    }
    if !errand.hasAnswered { begin() }
    if let size, sent < size { throw .failed(UpstreamFailure(.truncated, "the file had \(sent) of \(size) bytes")) }
  }
}
