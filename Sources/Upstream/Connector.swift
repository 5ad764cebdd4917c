// A handle with which libcurl makes one connection and then leaves it to us (CURLOPT_CONNECT_ONLY): resolving, trying addresses, TLS with
// verification. In clear text the socket is taken over and the handle is free for the next; with TLS it stays with its connection.

import CCurl

/// Belongs to a transfer that waits for its connection, then to the connection (TLS), or to nobody and waits in its pool.
@safe final class Connector {
  let easy: UnsafeMutableRawPointer
  let errorText = ErrorText()
  private let connectTo: StringList

  init(_ options: UpstreamOptions, client: UpstreamClient) throws(UpstreamFailure) {
    guard let easy = unsafe curl_easy_init() else { throw UpstreamFailure(.exhausted, "no memory for a connection") }
    unsafe self.easy = easy
    connectTo = CurlOptions.connectTo(options)
    unsafe try CurlOptions.prepareConnecting(easy, for: options, error: errorText, connectTo: connectTo, client: client)
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
  }

  /// Who is told of its end; nobody once the connection stands.
  func belongs(to transfer: Transfer?) {
    let owner = unsafe transfer.map { unsafe Unmanaged<Transfer>.passUnretained($0).toOpaque() }
    unsafe _ = gh_easy_set_pointer(easy, CURLOPT_PRIVATE, owner)
  }

  /// The socket of the connection that was made, or -1.
  var socket: Int32 {
    var socket: curl_socket_t = -1
    unsafe _ = gh_easy_get_socket(easy, &socket)
    return socket
  }
}
