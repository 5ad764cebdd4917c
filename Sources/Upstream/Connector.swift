// A handle with which libcurl makes one connection and then leaves it to us (CURLOPT_CONNECT_ONLY): resolving, trying addresses, TLS with
// verification. In clear text the socket is taken over and the handle is free for the next; with TLS it stays with its connection.

import CCurl
import Primitives

/// Belongs to a transfer that waits for its connection, then to the connection (TLS), or to nobody and waits in its pool.
@safe final class Connector {
  let easy: UnsafeMutableRawPointer
  let errorText = ErrorText()
  private let connectTo: StringList
  /// When its connection was begun: the time for that counts from here.
  var begunAt = Instant(nanoseconds: 0)
  /// Of a connection that stands and is to get its TLS: the socket, until libcurl takes it, whose it is then.
  private var handed: Int32 = -1
  /// Whether it is for such a connection, and for no other after it.
  let isForOne: Bool

  init(_ options: UpstreamOptions, client: UpstreamClient) throws(UpstreamFailure) {
    guard let easy = unsafe curl_easy_init() else { throw UpstreamFailure(.exhausted, "no memory for a connection") }
    unsafe self.easy = easy
    isForOne = false
    let options = options.announcesBeforeTLS ? options.inClearText : options
    connectTo = CurlOptions.connectTo(options)
    unsafe try CurlOptions.prepareConnecting(easy, for: options, error: errorText, connectTo: connectTo, client: client)
  }

  /// For TLS on a connection that stands. `socket` stays the caller's until this connector has been given to libcurl.
  ///
  /// - Parameter limit: for the handshake.
  init(_ options: UpstreamOptions, on socket: Int32, within limit: Interval, client: UpstreamClient) throws(UpstreamFailure) {
    guard let easy = unsafe curl_easy_init() else { throw UpstreamFailure(.exhausted, "no memory for a connection") }
    unsafe self.easy = easy
    isForOne = true
    handed = socket
    // Of any server to an address that needs no lookup and is never called: a second one would be waited for, and might be another.
    connectTo = StringList("::127.0.0.1:")
    try CurlOptions.prepareEncrypting(self, for: options, connectTo: connectTo, within: limit, client: client)
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
  }

  /// Who is told of its end; nobody once the connection stands.
  func belongs(to transfer: Transfer?) {
    let owner = unsafe transfer.map { unsafe Unmanaged<Transfer>.passUnretained($0).toOpaque() }
    unsafe _ = gh_easy_set_pointer(easy, CURLOPT_PRIVATE, owner)
  }

  /// The socket that it was made for, if nobody has taken it yet; or -1.
  func takeSocket() -> Int32 {
    defer { handed = -1 }
    return handed
  }

  /// The socket of the connection that was made, or -1.
  var socket: Int32 {
    var socket: curl_socket_t = -1
    unsafe _ = gh_easy_get_socket(easy, &socket)
    return socket
  }
}
