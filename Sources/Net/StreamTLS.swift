// TLS on a stream: how it begins, its handshake step by step, and what is known of it then. Reading and writing are `Stream`'s.

internal import COpenSSL
internal import Glibc
public import Primitives

/// What a step of the handshake came to.
public enum HandshakeProgress: Equatable, Sendable {
  case done
  /// Go on when the socket is readable.
  case wantsRead
  /// Go on when the socket takes bytes.
  case wantsWrite
  /// The client speaks HTTP in clear text. What it sent is lost; what is written from now on goes out in clear text.
  case plainText
  /// The client went away in the middle of it.
  case gone
  /// No handshake can come of it. An alert says so to the client.
  case failed(HandshakeFailure)
}

/// Why a handshake failed.
public struct HandshakeFailure: Equatable, Sendable {
  /// OpenSSL's (ERR_get_error(3)).
  let code: UInt
  /// What was wrong with the client's certificate (X509_STORE_CTX_get_error(3)); X509_V_OK where it isn't about that.
  var verification = Int(X509_V_OK)

  /// As OpenSSL says it: `unsupported protocol`, `no shared cipher`. Never with bytes of the client's.
  public var text: String {
    if verification != Int(X509_V_OK), let reason = unsafe X509_verify_cert_error_string(verification) {
      return "its certificate is refused: \(unsafe String(cString: reason))"
    }
    guard let reason = unsafe ERR_reason_error_string(code) else { return "protocol error" }
    return unsafe String(cString: reason)
  }
}

extension Stream {
  /// From here on TLS is spoken, by us as the server. `early` is what was read of it before. Throws ENOMEM alone.
  public mutating func beginTLS(_ context: TLSServerContext, early: Span<UInt8>) throws(NetError) {
    precondition(unsafe tls == nil, "TLS within TLS is not spoken")
    let made = unsafe early.withUnsafeBufferPointer { early in
      unsafe context.makeSession(socket.raw, early.baseAddress, early.count)
    }
    guard let made = unsafe made else { throw .system(doing: "begin TLS", errno: ENOMEM) }
    unsafe tls = made
    self.context = context
  }

  /// Goes on with the handshake as far as the bytes that have come allow. May take a millisecond, for the signature.
  public mutating func handshake() -> HandshakeProgress {
    guard let session = unsafe tls else { return .done }
    switch unsafe gh_tls_accept(session) {
    case 1: return .done
    case -EAGAIN: return .wantsRead
    case -ENOBUFS: return .wantsWrite
    case -EDOM:
      unsafe gh_tls_free(session)
      unsafe tls = nil
      context = nil
      return .plainText
    case -EPROTO:
      let code = ERR_peek_error()
      ERR_clear_error()
      return .failed(HandshakeFailure(code: code, verification: unsafe SSL_get_verify_result(session.pointee.ssl)))
    default:
      ERR_clear_error()
      return .gone
    }
  }

  /// What the handshake came to, once it is done; nil in clear text.
  public var facts: TLSFacts? { facts(with: nil) }

  /// - Parameter certificate: the client's, see `clientCertificate(at:)`.
  public func facts(with certificate: PeerCertificate?) -> TLSFacts? {
    guard let ssl = unsafe tls?.pointee.ssl, unsafe SSL_is_init_finished(ssl) == 1 else { return nil }
    var protocolStart: UnsafePointer<UInt8>?
    var protocolCount: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &protocolStart, &protocolCount)
    let chosen = unsafe UnsafeBufferPointer(start: protocolStart, count: Int(protocolCount))
    return unsafe TLSFacts(
      version: String(cString: SSL_get_version(ssl)),
      cipher: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)).map { unsafe String(cString: $0) } ?? "",
      serverName: SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { unsafe String(cString: $0).lowercased() },
      speaksHTTP2: chosen.elementsEqual(ApplicationProtocol.http2.names[0]), isResumed: gh_tls_is_resumed(ssl) != 0,
      certificate: certificate)
  }

  /// Tells the peer that nothing more follows (close_notify), if the socket has room for it: for who closes where a message could have followed. Nothing in
  /// clear text, where the end of the connection is all that there is.
  public func sayGoodbye() {
    if let tls = unsafe tls { unsafe gh_tls_close_notify(tls) }
  }

  /// Both as one record where they fit: a head and its body.
  static func writeOneRecord(
    _ tls: UnsafeMutablePointer<gh_tls>, _ first: UnsafeBufferPointer<UInt8>, _ second: UnsafeBufferPointer<UInt8>
  ) -> IOResult {
    // What is encrypted already is the beginning of this, however it is divided now.
    let most = unsafe max(Int(GH_TLS_RECORD), tls.pointee.held)
    guard first.count < most else { return unsafe result(gh_tls_write(tls, first.baseAddress, first.count)) }
    // As much of the second as there is room for.
    let count = min(first.count + second.count, most)
    return unsafe withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { joined in
      guard let start = joined.baseAddress, let head = first.baseAddress, let rest = second.baseAddress else { return .bytes(0) }
      unsafe start.copyMemory(from: head, byteCount: first.count)
      unsafe (start + first.count).copyMemory(from: rest, byteCount: count - first.count)
      return unsafe result(gh_tls_write(tls, start, count))
    }
  }
}
