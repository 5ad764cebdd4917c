// Every libcurl option that Gatehouse sets, with its reason. libcurl is written to help a person fetch things; a proxy wants none of that help.

import CCurl
import Glibc
import HTTP
import Login
import Net
import Primitives

/// What is set once on each easy handle, and what is set for each request.
@safe enum CurlOptions {
  /// Sets everything that does not change between the requests to one upstream, for libcurl to speak the protocol.
  static func prepare(
    _ easy: UnsafeMutableRawPointer, for options: UpstreamOptions, error: ErrorText, connectTo: StringList, client: UpstreamClient,
    transfer: CurlTransfer
  ) throws(UpstreamFailure) {
    var checked = unsafe Checked(easy: easy)
    connecting(&checked, options, error, connectTo, client)
    let this = unsafe Unmanaged<Transfer>.passUnretained(transfer).toOpaque()

    // No help.
    checked.long(CURLOPT_FOLLOWLOCATION, 0)  // redirects are the client's
    checked.string(CURLOPT_REDIR_PROTOCOLS_STR, options.scheme == .https ? "https" : "http")  // the empty set is refused
    checked.long(CURLOPT_HTTP_CONTENT_DECODING, 0)  // the body goes back as it came
    checked.long(CURLOPT_HTTP09_ALLOWED, 0)  // a body without a head is no response
    checked.long(CURLOPT_PATH_AS_IS, 1)  // no second opinion on dot segments
    checked.long(CURLOPT_UNRESTRICTED_AUTH, 0)
    // Whole seconds: rounded down, so that the operator's bound holds, but never to 0, which is "for ever" to libcurl.
    checked.long(CURLOPT_MAXAGE_CONN, max(1, Int(clamping: options.reuseWithin.nanoseconds / 1_000_000_000)))
    // A connection leads to the address that the name had when it was made.
    if let most = options.longestConnection { checked.long(CURLOPT_MAXLIFETIME_CONN, max(1, Int(clamping: most.nanoseconds / 1_000_000_000))) }
    checked.long(CURLOPT_BUFFERSIZE, 64 << 10)
    checked.long(CURLOPT_UPLOAD_BUFFERSIZE, 64 << 10)

    // Our ears.
    unsafe checked.pointer(CURLOPT_PRIVATE, this)
    unsafe checked.data(CURLOPT_HEADERFUNCTION, Callbacks.header)
    unsafe checked.pointer(CURLOPT_HEADERDATA, this)
    unsafe checked.data(CURLOPT_WRITEFUNCTION, Callbacks.write)
    unsafe checked.pointer(CURLOPT_WRITEDATA, this)
    unsafe checked.data(CURLOPT_READFUNCTION, Callbacks.read)
    unsafe checked.pointer(CURLOPT_READDATA, this)
    unsafe checked.check(gh_easy_set_seek(easy, Callbacks.seek))  // a streamed body can't be rewound: the second proof against resending
    unsafe checked.check(gh_easy_set_prereq(easy, Callbacks.prereq))  // counts sends: the first proof
    unsafe checked.pointer(CURLOPT_PREREQDATA, this)
    unsafe checked.pointer(CURLOPT_TRAILERDATA, this)
    try checked.done(options)
  }

  /// Sets everything for libcurl to make a connection and leave the rest to us. CURLOPT_PRIVATE is set for each.
  static func prepareConnecting(
    _ easy: UnsafeMutableRawPointer, for options: UpstreamOptions, error: ErrorText, connectTo: StringList, client: UpstreamClient
  ) throws(UpstreamFailure) {
    var checked = unsafe Checked(easy: easy)
    connecting(&checked, options, error, connectTo, client)
    checked.long(CURLOPT_CONNECT_ONLY, 1)
    // Its own offer would have libcurl read the connection.
    if options.speaksHTTP2 && options.scheme == .https { unsafe checked.check(gh_easy_offer_h2(easy, options.tls.allowsLegacy ? 1 : 0)) }
    try checked.done(options)
  }

  /// Sets everything for libcurl to do TLS, within `limit`, on the connection that `connector` holds. By what way that was made is no affair of this handle's.
  static func prepareEncrypting(
    _ connector: Connector, for options: UpstreamOptions, connectTo: StringList, within limit: Interval, client: UpstreamClient
  ) throws(UpstreamFailure) {
    var there = options
    (there.via, there.source) = (nil, nil)
    let easy = unsafe connector.easy
    var checked = unsafe Checked(easy: easy)
    connecting(&checked, there, connector.errorText, connectTo, client)
    checked.long(CURLOPT_CONNECT_ONLY, 1)
    checked.long(CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(clamping: limit.wholeMilliseconds)))  // 0 is libcurl's own five minutes
    unsafe checked.check(gh_easy_set_opensocket(easy, Callbacks.handOver))
    unsafe checked.pointer(CURLOPT_OPENSOCKETDATA, Unmanaged.passUnretained(connector).toOpaque())
    unsafe checked.check(gh_easy_set_sockopt(easy, Callbacks.isConnected))
    try checked.done(options)
  }

  /// Sets everything for libcurl to check a server's health, each time on a new connection. False when it can't do what is asked.
  static func prepareCheck(
    _ easy: UnsafeMutableRawPointer, of options: UpstreamOptions, _ check: HealthCheck, error: ErrorText, connectTo: StringList, fields: StringList,
    write: @escaping gh_data_callback, data: UnsafeMutableRawPointer
  ) -> Bool {
    var checked = unsafe Checked(easy: easy)
    reaching(&checked, options, error, connectTo)
    checked.long(CURLOPT_FOLLOWLOCATION, 0)  // where a redirect leads says nothing of this server
    checked.string(CURLOPT_REDIR_PROTOCOLS_STR, options.scheme == .https ? "https" : "http")
    checked.long(CURLOPT_HTTP09_ALLOWED, 0)
    checked.string(CURLOPT_REQUEST_TARGET, check.target)
    if check.method == .head { checked.long(CURLOPT_NOBODY, 1) }
    checked.string(CURLOPT_USERAGENT, "gatehouse")
    checked.long(CURLOPT_TIMEOUT_MS, Int(clamping: check.timeout.wholeMilliseconds))
    if options.speaksHTTP2 {
      checked.long(CURLOPT_SSL_ENABLE_ALPN, 1)
      checked.long(CURLOPT_HTTP_VERSION, options.scheme == .https ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
    }
    checked.long(CURLOPT_FRESH_CONNECT, 1)  // whether it takes connections is what is to be known
    checked.long(CURLOPT_FORBID_REUSE, 1)
    // It comes from us, and that is what libcurl's header (version 1) says; whoever takes version 2 takes this as well.
    if options.announces != nil { checked.long(CURLOPT_HAPROXYPROTOCOL, 1) }
    if let list = unsafe fields.first { unsafe checked.check(gh_easy_set_list(easy, CURLOPT_HTTPHEADER, list)) }
    unsafe checked.data(CURLOPT_WRITEFUNCTION, write)
    unsafe checked.pointer(CURLOPT_WRITEDATA, data)
    return checked.firstFailure == nil
  }

  /// Where a connection goes, how it is made, and who is at the other end; and that its socket is ours.
  private static func connecting(
    _ checked: inout Checked, _ options: UpstreamOptions, _ error: ErrorText, _ connectTo: StringList, _ client: UpstreamClient
  ) {
    reaching(&checked, options, error, connectTo)
    let that = unsafe Unmanaged.passUnretained(client).toOpaque()
    let easy = unsafe checked.easy
    // Sockets are counted, watched and closed by us.
    unsafe checked.check(gh_easy_set_opensocket(easy, Callbacks.open))
    unsafe checked.pointer(CURLOPT_OPENSOCKETDATA, that)
    unsafe checked.check(gh_easy_set_closesocket(easy, Callbacks.close))
    unsafe checked.pointer(CURLOPT_CLOSESOCKETDATA, that)
  }

  private static func reaching(_ checked: inout Checked, _ options: UpstreamOptions, _ error: ErrorText, _ connectTo: StringList) {
    let easy = unsafe checked.easy

    // Where to. The path is always sent through REQUEST_TARGET.
    checked.string(CURLOPT_URL, url(options))
    checked.string(CURLOPT_PROTOCOLS_STR, options.scheme == .https ? "https" : "http")
    if case .unix(let path) = options.address { checked.string(CURLOPT_UNIX_SOCKET_PATH, path) }
    // libcurl keeps the list's pointer alone, so the caller keeps the list.
    if let list = unsafe connectTo.first { unsafe checked.check(gh_easy_set_list(easy, CURLOPT_CONNECT_TO, list)) }

    // No help.
    // A lookup that nobody waits for any more is left to its thread: without this libcurl waits for that, and so do all who are served by ours.
    checked.long(CURLOPT_QUICK_EXIT, 1)
    checked.long(CURLOPT_NOSIGNAL, 1)  // alarm(2) has no business in a threaded process
    checked.long(CURLOPT_NETRC, 0)  // no credentials of ours by surprise
    checked.long(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)  // 7.88.1 lacks several HTTP/2 fixes
    checked.long(CURLOPT_HTTPAUTH, 0)
    checked.long(CURLOPT_NOPROGRESS, 1)
    checked.long(CURLOPT_VERBOSE, 0)  // it would print Authorization

    detour(&checked, options, error)

    // Connections.
    checked.long(CURLOPT_CONNECTTIMEOUT_MS, Int(clamping: options.connectTimeout.wholeMilliseconds))
    checked.long(CURLOPT_TCP_NODELAY, 1)
    checked.long(CURLOPT_TCP_KEEPALIVE, 1)  // a silent NAT must not hold a stream for ever
    checked.long(CURLOPT_DNS_CACHE_TIMEOUT, Int(clamping: options.resolveAfter.nanoseconds / 1_000_000_000))

    // TLS.
    checked.long(CURLOPT_SSL_VERIFYPEER, options.tls.verify ? 1 : 0)
    checked.long(CURLOPT_SSL_VERIFYHOST, options.tls.verify ? 2 : 0)
    checked.long(CURLOPT_SSLVERSION, options.tls.allowsLegacy ? CURL_SSLVERSION_TLSv1_0 : CURL_SSLVERSION_TLSv1_2)
    if options.tls.allowsLegacy {
      // Also keys below 2048 bits (112 of security), and SHA-1 in handshakes and chains. libcurl compares this text before it uses a connection or a
      // session again: those of a server like this one never serve another.
      checked.string(CURLOPT_SSL_CIPHER_LIST, "DEFAULT:@SECLEVEL=0")
      unsafe checked.check(gh_easy_allow_unsafe_peers(easy))  // to be connected to, without RFC 5746
    }
    if let pins = options.tls.pins { checked.string(CURLOPT_PINNEDPUBLICKEY, pins) }
    checked.long(CURLOPT_SSL_ENABLE_ALPN, 0)  // HTTP/1.1 is all we speak upstream
    if let file = options.tls.certificateAuthority {
      checked.string(CURLOPT_CAINFO, file)
      checked.string(CURLOPT_CAPATH, noFolder(options))  // this authority instead of the system's, not beside them
    } else if options.trustContents != 0 {
      let system = unsafe curl_version_info(CURLVERSION_SEVENTH).pointee.capath.map { unsafe String(cString: $0) + ":" }
      checked.string(CURLOPT_CAPATH, (system ?? "") + noFolder(options))  // beside them
    }
    if let file = options.tls.clientCertificate { checked.string(CURLOPT_SSLCERT, file) }
    if let file = options.tls.clientKey { checked.string(CURLOPT_SSLKEY, file) }

    unsafe checked.pointer(CURLOPT_ERRORBUFFER, error.start)
  }

  /// A folder of authorities that can't be, where none is to be searched. libcurl compares its name before it uses a connection or a session again; and where a
  /// folder is named it reads the file of authorities for each connection, while alone (7.88.1) it keeps them for a day, whatever the file says by then.
  private static func noFolder(_ options: UpstreamOptions) -> String { "/dev/null/\(options.trustContents)" }

  /// By what way, when not by the shortest.
  private static func detour(_ checked: inout Checked, _ options: UpstreamOptions, _ error: ErrorText) {
    switch options.source {
    case nil: break
    case .address(let address): checked.string(CURLOPT_INTERFACE, "host!\(address)")
    case .interface(let name): checked.string(CURLOPT_INTERFACE, "if!\(name)")
    }
    guard let via = options.via else {
      checked.string(CURLOPT_PROXY, "")  // not what the environment names
      checked.string(CURLOPT_NOPROXY, "*")  // which is otherwise asked for exceptions at every request
      return
    }
    checked.string(CURLOPT_PROXY, via.description)
    checked.string(CURLOPT_NOPROXY, "")  // no exceptions of the environment's
    checked.long(CURLOPT_HTTPPROXYTUNNEL, 1)  // a proxy that understands requests would frame them its own way, and read Authorization
    checked.long(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)  // its answer is not the server's
    checked.long(CURLOPT_HEADEROPT, Int(CURLHEADER_SEPARATE))  // a request's fields are for the server alone
    checked.long(CURLOPT_NOPROGRESS, 0)  // asks whether to go on with a proxy's answer that has no end
    unsafe checked.check(gh_easy_set_progress(checked.easy, Callbacks.progress))
    unsafe checked.pointer(CURLOPT_XFERINFODATA, Unmanaged.passUnretained(error).toOpaque())
    checked.long(CURLOPT_PROXYAUTH, Int(gh_auth_basic))
    checked.long(CURLOPT_SOCKS5_AUTH, Int(gh_auth_basic))
    if let username = via.username {
      checked.string(CURLOPT_PROXYUSERNAME, username)
      checked.string(CURLOPT_PROXYPASSWORD, via.password ?? "")
    }
    checked.long(CURLOPT_PROXY_SSL_VERIFYPEER, 1)
    checked.long(CURLOPT_PROXY_SSL_VERIFYHOST, 2)
    checked.long(CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
    if let file = via.certificateAuthority {
      checked.string(CURLOPT_PROXY_CAINFO, file)
      checked.string(CURLOPT_PROXY_CAPATH, noFolder(options))  // this authority instead of the system's, not beside them
    }
  }

  /// Sets what differs from request to request. The texts stay in the transfer's storage until it ends.
  static func apply(_ request: RequestShape, _ storage: RequestStorage, to transfer: CurlTransfer) {
    let easy = unsafe transfer.easy
    // HTTPGET puts UPLOAD and NOBODY of the request before back; then the two that change what libcurl does, not only what it says.
    unsafe _ = gh_easy_set_long(easy, CURLOPT_HTTPGET, 1)
    var hasBody = true
    switch request.framing {
    case .none, .length(0):
      hasBody = false
      if request.isHead { unsafe _ = gh_easy_set_long(easy, CURLOPT_NOBODY, 1) }
    case .length(let n):
      unsafe _ = gh_easy_set_long(easy, CURLOPT_UPLOAD, 1)
      unsafe _ = gh_easy_set_offset(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(clamping: n))
    case .chunked:
      unsafe _ = gh_easy_set_long(easy, CURLOPT_UPLOAD, 1)
      unsafe _ = gh_easy_set_offset(easy, CURLOPT_INFILESIZE_LARGE, -1)
      unsafe _ = gh_easy_set_trailer(easy, Callbacks.trailer)
      transfer.isSpent = true
    }
    // A request that must not be sent twice gets a connection on which libcurl has no reason to: a new one. So does one whose login may become the connection's: libcurl
    // would use that again for whichever upstream leads to the same server; and so does one that comes from an address of the upstream's own, or by a proxy that knows us
    // by a name: whoever says neither would be given such a connection too (7.88.1), and be taken for who may come from there.
    let isMarked = transfer.options.source != nil || transfer.options.via?.username != nil
    let isAlone = hasBody || !request.isReplayable || request.isIsolated || isMarked || storage.account?.scheme.mayBindConnections ?? false
    unsafe _ = gh_easy_set_long(easy, CURLOPT_FRESH_CONNECT, isAlone ? 1 : 0)
    // And it ends with it. Kept, each of these would be one more idle connection that takes a place of the upstream's until that hangs up.
    unsafe _ = gh_easy_set_long(easy, CURLOPT_FORBID_REUSE, isAlone ? 1 : 0)
    transfer.take(storage)
    // Whoever holds the body back until the server takes the login has said so among the fields, and libcurl waits then.
    if !transfer.holdsBody { transfer.suppress("Expect:") }
    if !request.hasAccept { transfer.suppress("Accept:") }
    unsafe transfer.withMethodAndTarget { method, target in
      unsafe _ = gh_easy_set_string(easy, CURLOPT_CUSTOMREQUEST, method)
      unsafe _ = gh_easy_set_string(easy, CURLOPT_REQUEST_TARGET, target)
    }
    unsafe _ = gh_easy_set_list(easy, CURLOPT_HTTPHEADER, transfer.fieldList())
  }

  /// The URL carries the name that the certificate must bear; the connection goes where the operator said.
  static func connectTo(_ options: UpstreamOptions) -> StringList {
    guard case .host(let host, let port) = options.address, options.tls.name != nil || options.elsewhere != nil else { return StringList(nil) }
    let (there, gate) = (options.elsewhere?.host ?? host, options.elsewhere?.port ?? port)
    return StringList("\(bracketed(options.tls.name ?? host)):\(port):\(bracketed(there)):\(gate)")
  }

  private static func url(_ options: UpstreamOptions) -> String {
    let scheme = options.scheme == .https ? "https" : "http"
    switch options.address {
    case .host(let host, let port): return "\(scheme)://\(bracketed(options.tls.name ?? host)):\(port)/"
    case .unix: return "\(scheme)://\(options.tls.name ?? "localhost")/"
    }
  }

  private static func bracketed(_ host: String) -> String {
    host.utf8.contains(0x3A) ? "[\(host)]" : host
  }
}

/// Sets options and remembers the first that libcurl refuses (a build without TLS, out of memory).
@safe struct Checked {
  let easy: UnsafeMutableRawPointer
  private(set) var firstFailure: CURLcode?

  init(easy: UnsafeMutableRawPointer) {
    unsafe self.easy = easy
  }

  mutating func check(_ code: CURLcode) {
    if code != CURLE_OK && firstFailure == nil { firstFailure = code }
  }
  mutating func long(_ option: CURLoption, _ value: Int) { unsafe check(gh_easy_set_long(easy, option, value)) }
  mutating func string(_ option: CURLoption, _ value: String?) {
    if let value { unsafe check(gh_easy_set_string(easy, option, value)) } else { unsafe check(gh_easy_set_string(easy, option, nil)) }
  }
  mutating func pointer(_ option: CURLoption, _ value: UnsafeMutableRawPointer) { unsafe check(gh_easy_set_pointer(easy, option, value)) }
  mutating func data(_ option: CURLoption, _ value: @escaping gh_data_callback) { unsafe check(gh_easy_set_data(easy, option, value)) }

  func done(_ options: UpstreamOptions) throws(UpstreamFailure) {
    guard let code = firstFailure else { return }
    throw UpstreamFailure(
      .unreachable, "libcurl refused an option of upstream \(options.name): \(unsafe String(cString: curl_easy_strerror(code)))")
  }
}

/// The C functions that libcurl calls. Each finds its object and records.
private enum Callbacks {
  static let header: gh_data_callback = { bytes, size, count, pointer in
    let n = size * count
    guard let bytes = unsafe bytes, let transfer = unsafe transfer(pointer) else { return 0 }
    let line = unsafe UnsafeBufferPointer(start: UnsafeRawPointer(bytes).assumingMemoryBound(to: UInt8.self), count: n)
    return unsafe transfer.received(line: Span(_unsafeElements: line)) ? n : 0
  }

  static let write: gh_data_callback = { bytes, size, count, pointer in
    guard let bytes = unsafe bytes, let transfer = unsafe transfer(pointer) else { return 0 }
    return unsafe transfer.received(body: bytes, count: size * count)
  }

  static let read: gh_data_callback = { bytes, size, count, pointer in
    guard let bytes = unsafe bytes, let transfer = unsafe transfer(pointer) else { return Int(CURL_READFUNC_ABORT) }
    return unsafe transfer.provide(into: bytes, count: size * count)
  }

  static let seek: gh_seek_callback = { _, _, _ in Int32(CURL_SEEKFUNC_FAIL) }

  static let prereq: gh_prereq_callback = { pointer, _, _, _, _ in
    guard let transfer = unsafe transfer(pointer), transfer.aboutToSend() else { return Int32(CURL_PREREQFUNC_ABORT) }
    return Int32(CURL_PREREQFUNC_OK)
  }

  static let progress: gh_progress_callback = { pointer, _, received, _, sent in
    guard let pointer = unsafe pointer, received == 0, sent == 0 else { return 0 }
    return unsafe Unmanaged<ErrorText>.fromOpaque(pointer).takeUnretainedValue().allowsStep() ? 0 : 1
  }

  static let trailer: gh_trailer_callback = { list, pointer in
    guard let list = unsafe list, let transfer = unsafe transfer(pointer) else { return Int32(CURL_TRAILERFUNC_ABORT) }
    return unsafe transfer.appendTrailers(to: list) ? Int32(CURL_TRAILERFUNC_OK) : Int32(CURL_TRAILERFUNC_ABORT)
  }

  static let open: gh_opensocket_callback = { pointer, _, address in
    guard let address = unsafe address, let client = unsafe client(pointer) else { return -1 }
    // SOCK_CLOEXEC: a child process (an upgrade, a hook) must not inherit a connection that carries somebody's data.
    let fd = unsafe socket(address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.`protocol`)
    guard fd >= 0 else { return fd }
    if let place = unsafe gh_sockaddr(address) { unsafe Pacing.end(fd, towards: place) }
    client.opened(fd)
    return fd
  }

  static let handOver: gh_opensocket_callback = { pointer, _, _ in
    guard let pointer = unsafe pointer else { return -1 }
    return unsafe Unmanaged<Connector>.fromOpaque(pointer).takeUnretainedValue().takeSocket()
  }

  static let isConnected: gh_sockopt_callback = { _, _, _ in Int32(CURL_SOCKOPT_ALREADY_CONNECTED) }

  static let close: gh_closesocket_callback = { pointer, fd in
    // A connection that was made for our own engine stays, and is that engine's to close.
    if let client = unsafe client(pointer), !client.lets(go: fd) { return 0 }
    return Glibc.close(fd)
  }

  /// Its own callbacks are set on handles of `CurlTransfer` alone.
  private static func transfer(_ pointer: UnsafeMutableRawPointer?) -> CurlTransfer? {
    unsafe pointer.map { unsafe unsafeDowncast(Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue(), to: CurlTransfer.self) }
  }

  private static func client(_ pointer: UnsafeMutableRawPointer?) -> UpstreamClient? {
    unsafe pointer.map { unsafe Unmanaged<UpstreamClient>.fromOpaque($0).takeUnretainedValue() }
  }
}
