// FTP and SFTP by libcurl, one request after another on a connection that stays while there is work. Paths are ours: names that `FilePath` let through,
// each escaped, below the configured root; never a byte of the client's as it came.

import CCurl
import Glibc
import Net
import Primitives

@safe final class CurlStore: FileStore {
  private let easy: UnsafeMutableRawPointer
  private let options: UpstreamOptions
  private let server: FileServer
  private let errorText = ErrorText()
  /// The server has said that it knows no MLSD.
  private var lacksMLSD = false

  // What the callbacks of the request under way are for.
  private var errand: FileErrand?
  private var sink: ((UnsafeRawBufferPointer) -> Bool)?
  /// The sink wanted no more: what libcurl calls an error is none.
  private var isSated = false
  /// Of the request under way, or -1.
  private var socket: Int32 = -1
  /// All of the request's body was taken.
  private var hasUploaded = false

  init(_ options: UpstreamOptions, _ server: FileServer) throws(UpstreamFailure) {
    guard let easy = unsafe curl_easy_init() else { throw UpstreamFailure(.exhausted, "no memory for a connection") }
    unsafe self.easy = easy
    self.options = options
    self.server = server
  }

  deinit {
    // Says QUIT, and waits for the answer.
    unsafe curl_easy_cleanup(easy)
  }

  // MARK: Asking

  func look(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> FileFacts {
    let code = unsafe perform(url(path.names, isFolder: false), errand) { unsafe _ = gh_easy_set_long($0, CURLOPT_NOBODY, 1) }
    if code != CURLE_OK {
      guard server.kind != .sftp, Self.meansMissing(code) else { throw fault(code) }
      // FTP tells the size of files alone. What can be entered is a folder.
      let folder = unsafe perform(url(path.names, isFolder: true), errand) { unsafe _ = gh_easy_set_long($0, CURLOPT_NOBODY, 1) }
      guard folder == CURLE_OK else { throw fault(folder) }
      return FileFacts(isFolder: true)
    }
    if path.names.isEmpty { return FileFacts(isFolder: true) }
    let facts = observed()
    // SFTP opens folders as if they were files, and tells a size. Only reading fails.
    if server.kind == .sftp, try isFolder(path, facts, errand) { return FileFacts(isFolder: true) }
    return facts
  }

  private func isFolder(_ path: FilePath, _ facts: FileFacts, _ errand: FileErrand) throws(FileFault) -> Bool {
    if let size = facts.size, size > 0 {
      var hasRead = false
      let code = unsafe perform(url(path.names, isFolder: false), errand, { hasRead = $0.count > 0 || hasRead; return true }) {
        unsafe _ = gh_easy_set_string($0, CURLOPT_RANGE, "0-0")
      }
      if hasRead { return false }
      if errand.isCancelled { throw .cancelled }
      if Self.meansForbidden(code) { throw .forbidden }
    }
    return unsafe perform(url(path.names, isFolder: true), errand, { _ in true }) { _ in } == CURLE_OK
  }

  func read(
    _ path: FilePath, _ range: Range<UInt64>?, _ facts: FileFacts, for errand: FileErrand, _ sink: @escaping (UnsafeRawBufferPointer) -> Bool
  ) throws(FileFault) {
    var (hasBegun, isAnother) = (false, false)
    let code = unsafe perform(
      url(path.names, isFolder: false), errand,
      { bytes in
        // libcurl has asked again for the size and the date. What was put in the file's place meanwhile is not what the head will say.
        if !hasBegun && !isAnother { isAnother = !self.confirms(facts, isPart: range != nil) }
        hasBegun = true
        return unsafe !isAnother && sink(bytes)
      }
    ) { easy in
      if let range { unsafe _ = gh_easy_set_string(easy, CURLOPT_RANGE, "\(range.lowerBound)-\(range.upperBound - 1)") }
    }
    if isAnother { throw .changed }
    guard code == CURLE_OK || isSated && !errand.isCancelled else {
      let fault = fault(code)
      if code == CURLE_PARTIAL_FILE && !errand.isCancelled && isReplaced(path, facts, errand) { throw .changed }
      throw fault
    }
  }

  /// Whether a file that was shorter than had been told of it may have been another, put in its place between the one and the other. Clients who may write may have
  /// put the first one back since: of them the server is believed to fare well if it answers.
  private func isReplaced(_ path: FilePath, _ facts: FileFacts, _ errand: FileErrand) -> Bool {
    do throws(FileFault) {
      return try look(path, for: errand) != facts || server.isWritable
    } catch {
      if case .failed = error { return false }
      return true
    }
  }

  /// Whether what is being read is of the size and date of `facts`, as far as the server says them.
  private func confirms(_ facts: FileFacts, isPart: Bool) -> Bool {
    let now = observed()
    if let modified = now.modified, let known = facts.modified, modified != known { return false }
    if !isPart, let size = now.size, let known = facts.size, size != known { return false }
    return true
  }

  /// What libcurl has learned of the file under way.
  func observed() -> FileFacts {
    var size: curl_off_t = -1
    unsafe _ = gh_easy_get_offset(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size)
    var time: curl_off_t = -1
    unsafe _ = gh_easy_get_offset(easy, CURLINFO_FILETIME_T, &time)
    return FileFacts(isFolder: false, size: size >= 0 ? UInt64(size) : nil, modified: time >= 0 ? Timestamp(seconds: Int64(time)) : nil)
  }

  func list(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> [FileEntry] {
    let url = url(path.names, isFolder: true)
    if server.kind != .sftp && !lacksMLSD {
      let (text, code) = listing(url, errand, "MLSD")
      if code == CURLE_OK { return try entries(text, isMLSD: true) }
      // 500 or 502, which libcurl tells as any refusal.
      guard code == CURLE_FTP_COULDNT_RETR_FILE else { throw fault(code) }
    }
    let (text, code) = listing(url, errand, nil)
    guard code == CURLE_OK else { throw fault(code) }
    lacksMLSD = true
    return try entries(text, isMLSD: false)
  }

  private func listing(_ url: String, _ errand: FileErrand, _ command: String?) -> (text: [UInt8]?, CURLcode) {
    var text: [UInt8] = []
    var isTooLong = false
    let code = unsafe perform(
      url, errand,
      { bytes in
        isTooLong = text.count + bytes.count > FileListing.mostBytes
        if !isTooLong { unsafe text.append(contentsOf: bytes) }
        return !isTooLong
      }
    ) { if let command { unsafe _ = gh_easy_set_string($0, CURLOPT_CUSTOMREQUEST, command) } }
    return isTooLong ? (nil, CURLE_OK) : (text, code)
  }

  private func entries(_ text: [UInt8]?, isMLSD: Bool) throws(FileFault) -> [FileEntry] {
    guard let text else { throw .failed(UpstreamFailure(.unserved, "the folder's listing has more than \(FileListing.mostBytes) bytes")) }
    let entries = FileListing.entries(text, isMLSD: isMLSD, now: .now())
    guard entries.count <= FileListing.mostEntries else {
      throw .failed(UpstreamFailure(.unserved, "the folder has more than \(FileListing.mostEntries) entries"))
    }
    // What FTP could not be asked for is not listed either.
    return server.speaksFTP ? entries.filter { !FilePath.isReadOtherwise($0.name) } : entries
  }

  /// Of a server that keeps no files: what it answers to `url`, in pieces, for `sink`, which answers false when it wants no more.
  func fetch(_ url: String, for errand: FileErrand, _ sink: @escaping (UnsafeRawBufferPointer) -> Bool) throws(FileFault) {
    var code = unsafe perform(url, errand, sink) { _ in }
    // What a TFTP server says of a file's size libcurl takes for an error where it is 0, and an error that it has no word for (8: no options, RFC 2347) for
    // an end of ours: the server is asked again, and for nothing but the file.
    if server.kind == .tftp && Self.refusals.contains(code) && !errand.hasAnswered && !errand.isCancelled {
      code = unsafe perform(url, errand, sink) { unsafe _ = gh_easy_set_long($0, CURLOPT_TFTP_NO_OPTIONS, 1) }
    }
    if code == CURLE_OK || isSated && !errand.isCancelled { return }
    switch code {
    case CURLE_TFTP_NOTFOUND: throw .notFound
    case CURLE_TFTP_PERM: throw .forbidden
    case _ where server.kind == .tftp && Self.refusals.contains(code) && !errand.isCancelled:
      throw .failed(UpstreamFailure(.unserved, "the server refuses the file: \(code == CURLE_ABORTED_BY_CALLBACK ? "an error without a name" : said(by: code))"))
    // The search was answered, by a limit of the directory's or a value that it can't compare: whoever asked chose that.
    case CURLE_LDAP_SEARCH_FAILED where errorText.text.hasPrefix("LDAP remote: ") && !Self.isBusy(errorText.text):
      throw .failed(UpstreamFailure(.unserved, said(by: code)))
    case CURLE_FILESIZE_EXCEEDED:
      throw .failed(UpstreamFailure(.unserved, "the directory's answer has more than \(Lookup.mostCollected) bytes"))
    // Not the client: we are refused.
    case CURLE_REMOTE_ACCESS_DENIED: throw fault(CURLE_LOGIN_DENIED)
    default: throw fault(code)
    }
  }

  // MARK: Changing

  func write(_ path: FilePath, for errand: FileErrand) throws(FileFault) {
    guard let name = path.names.last else { throw .conflict }
    let folder = Array(path.names.dropLast())
    let temporary = temporaryName()
    // Beside it, and then into its place: who breaks off leaves the old file. SFTP servers rename onto nothing that exists, so that there the old file is
    // moved aside, and gone only when the new one has its place.
    let (new, old, aside) = (quoted(folder + [temporary]), quoted(folder + [name]), quoted(folder + [temporary + Array("-old".utf8)]))
    let commands =
      server.kind == .sftp
      ? [command("*rename", old, aside), command("rename", new, old), command("*rm", aside)] : [command("RNFR", temporary), command("RNTO", name)]
    let list = StringList(lines: commands)
    hasUploaded = false
    let code = unsafe perform(url(folder + [temporary], isFolder: false), errand) { easy in
      unsafe _ = gh_easy_set_long(easy, CURLOPT_UPLOAD, 1)
      // A client that drips is no server that stalls. Who of the two it is the worker knows, and has the errand end.
      unsafe _ = gh_easy_set_long(easy, CURLOPT_LOW_SPEED_LIMIT, 0)
      unsafe _ = gh_easy_set_list(easy, CURLOPT_POSTQUOTE, list.first)
    }
    if code == CURLE_OK { return }
    let fault = errand.isCancelled ? FileFault.cancelled : self.fault(code, isWriting: true)
    // Back into its place, if it was moved and nothing else stands there; where it wasn't this is refused.
    if server.kind == .sftp && hasUploaded { putBack(path, aside, old) }
    // What came of it is nobody's. It may not be there.
    var isWell = true
    do throws(FileFault) {
      try remove(FilePath(names: folder + [temporary], isFolder: false), isFolder: false, for: nil)
    } catch {
      if case .failed = error { isWell = false }
    }
    // A full disk, a quota, a file system that is only read: few servers say so in a word that is known. One that answers the next command fares well.
    if isWell, case .failed(let failure) = fault, failure.kind != .timeout { throw .failed(UpstreamFailure(.unserved, failure.reason)) }
    throw fault
  }

  private func putBack(_ path: FilePath, _ aside: [UInt8], _ old: [UInt8]) {
    do throws(FileFault) {
      try change(path, command("rename", aside, old), nil)
    } catch {
      // Somebody else's file stands there, who wrote at the same time. Else what was moved aside is the only one, and stays.
      let isThere = unsafe perform(url(path.names, isFolder: false), nil) { unsafe _ = gh_easy_set_long($0, CURLOPT_NOBODY, 1) } == CURLE_OK
      if isThere { try? change(path, command("rm", aside), nil) }
    }
  }

  func remove(_ path: FilePath, isFolder: Bool, for errand: FileErrand) throws(FileFault) {
    try remove(path, isFolder: isFolder, for: Optional(errand))
  }

  private func remove(_ path: FilePath, isFolder: Bool, for errand: FileErrand?) throws(FileFault) {
    guard let name = path.names.last else { throw .forbidden }
    let command = server.kind == .sftp ? command(isFolder ? "rmdir" : "rm", quoted(path.names)) : command(isFolder ? "RMD" : "DELE", name)
    try change(path, command, errand)
  }

  func makeFolder(_ path: FilePath, for errand: FileErrand) throws(FileFault) {
    guard let name = path.names.last else { throw .exists }
    try change(path, server.kind == .sftp ? command("mkdir", quoted(path.names)) : command("MKD", name), errand)
  }

  /// Has the server do one thing in the folder in which `path` stands.
  private func change(_ path: FilePath, _ command: [UInt8], _ errand: FileErrand?) throws(FileFault) {
    let list = StringList(lines: [command])
    let code = unsafe perform(url(Array(path.names.dropLast()), isFolder: true), errand) { easy in
      unsafe _ = gh_easy_set_long(easy, CURLOPT_NOBODY, 1)
      // Of FTP's the ones behind the transfer, of which there is none, are said in the folder; SFTP's name whole paths, and stand before.
      unsafe _ = gh_easy_set_list(easy, self.server.kind == .sftp ? CURLOPT_QUOTE : CURLOPT_POSTQUOTE, list.first)
    }
    guard code == CURLE_OK else { throw fault(code, isWriting: true) }
  }

  // MARK: Paths

  private func url(_ names: [[UInt8]], isFolder: Bool) -> String {
    let path = (server.root.map { Array($0.utf8) } + names).map { FilePath.encoded($0) }.joined(separator: "/")
    return "\(origin)\(path)\(isFolder && !path.isEmpty ? "/" : "")"
  }

  /// Where the server is, by which name and port we find it.
  var host: (name: String, port: UInt16) {
    guard case .host(let host, let port) = options.address else { preconditionFailure("a file server has a host") }
    return (host, port)
  }

  /// What a URL begins with, up to the slash of its path.
  var origin: String {
    let (name, port) = host
    return "\(server.kind.rawValue)://\(name.utf8.contains(0x3A) ? "[\(name)]" : name):\(port)/"
  }

  /// In libcurl's own words for SFTP: between quotation marks, which are escaped. `\` is in no name.
  private func quoted(_ names: [[UInt8]]) -> [UInt8] {
    let path = Array((server.root.map { Array($0.utf8) } + names).joined(separator: [0x2F]))
    var out: [UInt8] = [0x22, 0x2F]
    for byte in path { out += byte == 0x22 ? [0x5C, byte] : [byte] }
    return out + [0x22]
  }

  /// A command and its arguments, byte for byte: a name holds no control character, but need be no UTF-8.
  private func command(_ word: StaticString, _ arguments: [UInt8]...) -> [UInt8] {
    arguments.reduce(Array("\(word)".utf8)) { $0 + [0x20] + $1 }
  }

  // MARK: libcurl

  /// Runs one request to its end.
  private func perform(
    _ url: String, _ errand: FileErrand?, _ sink: ((UnsafeRawBufferPointer) -> Bool)? = nil, _ more: (UnsafeMutableRawPointer) -> Void
  ) -> CURLcode {
    // Keeps the connection, and forgets everything else.
    unsafe curl_easy_reset(easy)
    errorText.clear()
    self.errand = errand
    unsafe self.sink = sink
    isSated = false
    defer {
      self.errand = nil
      unsafe self.sink = nil
    }
    let refused = unsafe CurlFileOptions.apply(to: easy, options, server, url, errorText, this: Unmanaged.passUnretained(self).toOpaque())
    guard refused == CURLE_OK else { return refused }
    unsafe more(easy)
    socket = -1
    return server.kind == .ldap || server.kind == .ldaps ? performWatching() : unsafe curl_easy_perform(easy)
  }

  /// libcurl doesn't say which socket it waits at for a directory, so that its own loop sleeps a tenth of a second for each answer. This one watches it.
  private func performWatching() -> CURLcode {
    guard let multi = unsafe curl_multi_init() else { return CURLE_OUT_OF_MEMORY }
    defer { unsafe _ = curl_multi_cleanup(multi) }
    guard unsafe curl_multi_add_handle(multi, easy) == CURLM_OK else { return CURLE_FAILED_INIT }
    defer { unsafe _ = curl_multi_remove_handle(multi, easy) }
    var running: Int32 = 0
    while true {
      guard unsafe curl_multi_perform(multi, &running) == CURLM_OK else { return CURLE_FAILED_INIT }
      if running == 0 { break }
      var watched = curl_waitfd(fd: socket, events: Int16(CURL_WAIT_POLLIN), revents: 0)
      unsafe _ = curl_multi_poll(multi, &watched, socket >= 0 ? 1 : 0, 100, nil)
      // libldap keeps a message until it is whole, however long it says that it is.
      if socket >= 0 && gh_bytes_received(socket) > Lookup.mostCollected { return CURLE_FILESIZE_EXCEEDED }
    }
    var left: Int32 = 0
    guard let message = unsafe curl_multi_info_read(multi, &left) else { return CURLE_FAILED_INIT }
    return unsafe gh_message_result(message)
  }

  /// libcurl has made a socket for the request under way.
  func opened(_ socket: Int32) { self.socket = socket }

  /// It has closed one. Of two addresses that it tries the last one need not win.
  func closed(_ socket: Int32) { if self.socket == socket { self.socket = -1 } }

  /// A piece of what was asked for. Fewer than `count` ends it.
  func received(_ bytes: UnsafePointer<CChar>, _ count: Int) -> Int {
    guard let sink = unsafe sink else { return count }
    if unsafe sink(UnsafeRawBufferPointer(start: bytes, count: count)) { return count }
    isSated = true
    return 0
  }

  /// The next of what is written.
  func provide(_ target: UnsafeMutablePointer<CChar>, _ count: Int) -> Int {
    guard let errand, let bytes = errand.take(count) else { return Int(CURL_READFUNC_ABORT) }
    if bytes.isEmpty { hasUploaded = true }
    unsafe bytes.withUnsafeBytes { source in
      if let start = source.baseAddress { unsafe UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: source.count) }
    }
    return bytes.count
  }

  var isUnwanted: Bool { errand?.isCancelled ?? false }

  // MARK: Failures

  private static func meansMissing(_ code: CURLcode) -> Bool {
    code == CURLE_REMOTE_FILE_NOT_FOUND || code == CURLE_REMOTE_ACCESS_DENIED || code == CURLE_FTP_COULDNT_RETR_FILE
  }

  /// An ERROR of TFTP's (RFC 1350 section 5) that has no status of HTTP's.
  private static let refusals = [
    CURLE_TFTP_ILLEGAL, CURLE_TFTP_UNKNOWNID, CURLE_TFTP_NOSUCHUSER, CURLE_REMOTE_FILE_EXISTS, CURLE_REMOTE_DISK_FULL, CURLE_ABORTED_BY_CALLBACK,
  ]

  /// LDAP's busy and unavailable (RFC 4511 section 4.1.9), as libldap says them.
  private static func isBusy(_ text: String) -> Bool { text.contains("Server is busy") || text.contains("Server is unavailable") }

  private static func meansForbidden(_ code: CURLcode) -> Bool { code == CURLE_REMOTE_ACCESS_DENIED }

  private func fault(_ code: CURLcode, isWriting: Bool = false) -> FileFault {
    if isUnwanted || code == CURLE_ABORTED_BY_CALLBACK { return .cancelled }
    switch code {
    case CURLE_REMOTE_FILE_NOT_FOUND, CURLE_FTP_COULDNT_RETR_FILE: return isWriting ? .conflict : .notFound
    // Of FTP: a folder that can't be entered, whatever the reason.
    case CURLE_REMOTE_ACCESS_DENIED: return server.kind == .sftp ? .forbidden : isWriting ? .conflict : .notFound
    // 550 and its like to a command that changes something: FTP has one word for all reasons.
    case CURLE_QUOTE_ERROR, CURLE_UPLOAD_FAILED: return server.kind == .sftp ? .conflict : .forbidden
    case CURLE_REMOTE_FILE_EXISTS: return .exists
    case CURLE_REMOTE_DISK_FULL: return .full
    // FTP's "not now" (RFC 959: 421), to libcurl a timeout: as many are logged in as may be, most of them perhaps by us.
    case CURLE_OPERATION_TIMEDOUT where server.speaksFTP && lastReply == 421:
      return .failed(UpstreamFailure(.exhausted, "the server takes nobody more at present (421)"))
    case CURLE_LOGIN_DENIED where server.account != nil:
      return .failed(UpstreamFailure(.refusedLogin, "it does not take the account that Gatehouse logs in with (login)"))
    case CURLE_PEER_FAILED_VERIFICATION where server.kind == .sftp:
      let reason =
        switch server.hostKey {
        case .knownHosts(let path)?: "its host key is not the one that \(path) has for it, or there is none for it"
        default: "its host key is not the one that `pin` names"
        }
      return .failed(UpstreamFailure(.unreachable, String(decoding: reason.utf8.prefix(255), as: UTF8.self)))
    default:
      var failure = UpstreamFailure.from(code, detail: errorText.text, wasSent: true, headComplete: false)
      failure.reason = said(by: code)
      // What SFTP has no word for (SSH_FX_FAILURE, a path that is too long) libcurl calls by the name of the connection's own failures.
      if code == CURLE_SSH && server.kind == .sftp && answers { failure.kind = .unserved }
      return .failed(failure)
    }
  }

  /// The code of the last reply that FTP's server gave.
  private var lastReply: Int {
    var code = 0
    unsafe _ = gh_easy_get_long(easy, CURLINFO_RESPONSE_CODE, &code)
    return code
  }

  /// A failure in libcurl's words, which may hold the server's.
  private func said(by code: CURLcode) -> String {
    let reason = UpstreamFailure.from(code, detail: errorText.text, wasSent: true, headComplete: false).reason
    var text = reason.utf8.prefix(200).map { ASCII.isControl($0) ? 0x20 : $0 }
    while text.last == 0x20 { text.removeLast() }
    return String(decoding: text, as: UTF8.self)
  }

  /// Whether the server has an answer to the simplest of all questions.
  private var answers: Bool {
    unsafe perform(url([], isFolder: true), nil) { unsafe _ = gh_easy_set_long($0, CURLOPT_NOBODY, 1) } == CURLE_OK
  }
}
