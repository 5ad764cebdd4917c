// Every libcurl option of a request to a file server, with its reason; `CurlOptions` has those for HTTP. Set anew for each request, on a thread that may wait.

import CCurl
import Glibc
import Net
import Primitives

@safe enum CurlFileOptions {
  /// Sets all but what the request is. Answers the first refusal, as of a libcurl without the protocol.
  static func apply(
    to easy: UnsafeMutableRawPointer, _ options: UpstreamOptions, _ server: FileServer, _ url: String, _ error: ErrorText,
    this: UnsafeMutableRawPointer
  ) -> CURLcode {
    var checked = unsafe Checked(easy: easy)
    // Where to, by this protocol and no other.
    checked.string(CURLOPT_URL, url)
    checked.string(CURLOPT_PROTOCOLS_STR, server.kind.rawValue)
    checked.string(CURLOPT_REDIR_PROTOCOLS_STR, server.kind.rawValue)
    checked.long(CURLOPT_FOLLOWLOCATION, 0)
    checked.long(CURLOPT_PATH_AS_IS, 1)  // no second opinion on names
    checked.string(CURLOPT_PROXY, "")  // not what the environment names
    checked.string(CURLOPT_NOPROXY, "*")
    checked.long(CURLOPT_NETRC, 0)  // no credentials of ours by surprise
    checked.long(CURLOPT_VERBOSE, 0)  // it would print passwords
    checked.long(CURLOPT_NOSIGNAL, 1)
    checked.long(CURLOPT_FILETIME, 1)
    checked.long(CURLOPT_BUFFERSIZE, 64 << 10)
    checked.long(CURLOPT_MAXCONNECTS, 1)
    checked.long(CURLOPT_MAXAGE_CONN, max(1, Int(clamping: options.reuseWithin.nanoseconds / 1_000_000_000)))

    // Whoever is slow is waited for here, by a thread of its own, and not for ever.
    checked.long(CURLOPT_CONNECTTIMEOUT_MS, Int(clamping: options.connectTimeout.wholeMilliseconds))
    checked.long(CURLOPT_SERVER_RESPONSE_TIMEOUT, max(1, Int(clamping: options.responseTimeout.nanoseconds / 1_000_000_000)))
    checked.long(CURLOPT_LOW_SPEED_LIMIT, 1)
    checked.long(CURLOPT_LOW_SPEED_TIME, max(1, Int(clamping: options.idleTimeout.nanoseconds / 1_000_000_000)))
    checked.long(CURLOPT_TCP_KEEPALIVE, 1)
    checked.long(CURLOPT_DNS_CACHE_TIMEOUT, Int(clamping: options.resolveAfter.nanoseconds / 1_000_000_000))

    // FTP.
    checked.long(CURLOPT_FTP_SKIP_PASV_IP, 1)  // data comes from the host that was asked, whatever it says in answer to PASV
    checked.long(CURLOPT_FTP_USE_EPSV, 1)
    checked.long(CURLOPT_FTP_FILEMETHOD, Int(CURLFTPMETHOD_MULTICWD.rawValue))  // one name a command: nothing to be put together wrongly
    checked.long(CURLOPT_FTP_CREATE_MISSING_DIRS, 0)
    checked.long(CURLOPT_WILDCARDMATCH, 0)
    if server.kind.isLookup {
      checked.long(CURLOPT_FORBID_REUSE, 1)  // of a connection that has ended meanwhile a lookup would fail; and each has a login of its own
      // What is closed is not to be watched. Never of a connection that is kept, which may be closed when there is no store any more.
      unsafe checked.check(gh_easy_set_closesocket(easy, close))
      unsafe checked.pointer(CURLOPT_CLOSESOCKETDATA, this)
      checked.long(CURLOPT_TFTP_BLKSIZE, server.lookup.blockSize)
      checked.long(CURLOPT_TFTP_NO_OPTIONS, server.lookup.blockSize == 512 ? 1 : 0)  // RFC 1350 and nothing else
    }
    if server.isByTLS {
      checked.long(CURLOPT_USE_SSL, Int(CURLUSESSL_ALL.rawValue))  // the login and the data, or nothing
      checked.long(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
      checked.long(CURLOPT_SSL_VERIFYPEER, options.tls.verify ? 1 : 0)
      checked.long(CURLOPT_SSL_VERIFYHOST, options.tls.verify ? 2 : 0)
      if let file = options.tls.certificateAuthority {
        checked.string(CURLOPT_CAINFO, file)
        checked.string(CURLOPT_CAPATH, nil)
      }
      if let file = options.tls.clientCertificate { checked.string(CURLOPT_SSLCERT, file) }
      if let file = options.tls.clientKey { checked.string(CURLOPT_SSLKEY, file) }
    }

    // Who we are. libcurl keeps a copy of its own of the password while the handle lives.
    if let account = server.account {
      checked.string(CURLOPT_USERNAME, account.name)
      var password = account.copyPassword()
      let code = unsafe password.withUnsafeCString { unsafe gh_easy_set_string(easy, CURLOPT_PASSWORD, $0) }
      checked.check(code)
    }
    if server.kind == .sftp { proveEachOther(&checked, server) }

    // Our ears.
    unsafe checked.pointer(CURLOPT_ERRORBUFFER, error.start)
    unsafe checked.data(CURLOPT_WRITEFUNCTION, write)
    unsafe checked.pointer(CURLOPT_WRITEDATA, this)
    unsafe checked.data(CURLOPT_READFUNCTION, read)
    unsafe checked.pointer(CURLOPT_READDATA, this)
    checked.long(CURLOPT_NOPROGRESS, 0)  // asks every second at least whether to go on
    unsafe checked.check(gh_easy_set_progress(easy, progress))
    unsafe checked.pointer(CURLOPT_XFERINFODATA, this)
    unsafe checked.check(gh_easy_set_opensocket(easy, open))
    unsafe checked.pointer(CURLOPT_OPENSOCKETDATA, this)
    return checked.firstFailure ?? CURLE_OK
  }

  private static func proveEachOther(_ checked: inout Checked, _ server: FileServer) {
    // Never an agent that the environment names.
    let methods = server.keyFile == nil ? 2 | 8 : 1  // CURLSSH_AUTH_PASSWORD and _KEYBOARD; _PUBLICKEY (curl.h)
    checked.long(CURLOPT_SSH_AUTH_TYPES, methods)
    if let file = server.keyFile { checked.string(CURLOPT_SSH_PRIVATE_KEYFILE, file) }
    switch server.hostKey {
    case .knownHosts(let path)?: checked.string(CURLOPT_SSH_KNOWNHOSTS, path)
    case .sha256(let digest)?: checked.string(CURLOPT_SSH_HOST_PUBLIC_KEY_SHA256, digest)
    // libcurl would believe anybody. The configuration has seen to it that it can't be so.
    case nil: checked.check(CURLE_PEER_FAILED_VERIFICATION)
    }
  }

  private static let write: gh_data_callback = { bytes, size, count, pointer in
    guard let bytes = unsafe bytes, let store = unsafe store(pointer) else { return 0 }
    return unsafe store.received(bytes, size * count)
  }

  private static let read: gh_data_callback = { bytes, size, count, pointer in
    guard let bytes = unsafe bytes, let store = unsafe store(pointer) else { return Int(CURL_READFUNC_ABORT) }
    return unsafe store.provide(bytes, size * count)
  }

  private static let progress: gh_progress_callback = { pointer, _, _, _, _ in
    unsafe store(pointer)?.isUnwanted ?? true ? 1 : 0
  }

  private static let open: gh_opensocket_callback = { pointer, _, address in
    guard let address = unsafe address else { return -1 }
    // SOCK_CLOEXEC: a child process must not inherit a connection that we are logged in on.
    let fd = unsafe socket(address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.`protocol`)
    if fd >= 0, unsafe address.pointee.socktype == Int32(SOCK_DGRAM.rawValue), unsafe gh_hear_only(fd, address) != 0 {
      _ = Glibc.close(fd)
      return -1
    }
    unsafe store(pointer)?.opened(fd)
    return fd
  }

  private static let close: gh_closesocket_callback = { pointer, fd in
    unsafe store(pointer)?.closed(fd)
    return Glibc.close(fd)
  }

  private static func store(_ pointer: UnsafeMutableRawPointer?) -> CurlStore? {
    unsafe pointer.map { unsafe Unmanaged<CurlStore>.fromOpaque($0).takeUnretainedValue() }
  }
}
