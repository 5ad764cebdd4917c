// A client of OpenSSL's at the other end of a socket pair, step by step: no threads, no time.

import COpenSSL
import Glibc
import Primitives
import Testing

@testable import Net

/// What the client brings.
struct ClientOptions {
  var serverName: String?
  var protocols: [String] = []
  var lowest: Int32 = TLS1_2_VERSION
  var highest: Int32 = TLS1_3_VERSION
  var ciphers: String?
  var signatures: String?
  /// Asks for an OCSP response.
  var asksStatus = false
  /// Of an earlier connection.
  var session: ClientSession?
  /// Its own.
  var certificate: TLSServerOptions.Certificate?
}

/// An SSL_SESSION.
@safe final class ClientSession {
  fileprivate let session: OpaquePointer?

  fileprivate init(of ssl: OpaquePointer?) { unsafe session = SSL_get1_session(ssl) }

  deinit { unsafe SSL_SESSION_free(session) }
}

@safe final class TLSClient {
  private let context: OpaquePointer?
  let ssl: OpaquePointer?
  private let socket: FileDescriptor

  init(_ socket: consuming FileDescriptor, _ options: ClientOptions) {
    self.socket = socket
    Signals.ignoreBrokenPipe()
    unsafe context = SSL_CTX_new(TLS_client_method())
    // As old as a client may be.
    unsafe SSL_CTX_set_security_level(context, 0)
    _ = unsafe gh_tls_set_versions(context, options.lowest, options.highest)
    if let ciphers = options.ciphers { #expect(unsafe SSL_CTX_set_cipher_list(context, ciphers) == 1) }
    unsafe ssl = SSL_new(context)
    if let signatures = options.signatures { set(SSL_CTRL_SET_SIGALGS_LIST, 0, signatures) }
    if let name = options.serverName { set(SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), name) }
    if options.asksStatus { _ = unsafe SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE, Int(TLSEXT_STATUSTYPE_ocsp), nil) }
    if let own = options.certificate {
      #expect(unsafe SSL_use_certificate_chain_file(ssl, own.chainPath) == 1)
      #expect(unsafe SSL_use_PrivateKey_file(ssl, own.keyPath, SSL_FILETYPE_PEM) == 1)
    }
    if let session = options.session { #expect(unsafe SSL_set_session(ssl, session.session) == 1) }
    let wire = options.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    if !wire.isEmpty { _ = unsafe SSL_set_alpn_protos(ssl, wire, UInt32(wire.count)) }
    unsafe SSL_set_fd(ssl, self.socket.raw)
    unsafe SSL_set_connect_state(ssl)
  }

  deinit {
    // A session of a connection that was not ended in order is not resumed (SSL_free(3)).
    unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
    unsafe SSL_free(ssl)
    unsafe SSL_CTX_free(context)
  }

  /// What ssl.h has macros for.
  private func set(_ command: Int32, _ number: Int, _ text: String) {
    var text = Array(text.utf8CString)
    #expect(unsafe text.withUnsafeMutableBytes { unsafe SSL_ctrl(ssl, command, number, $0.baseAddress) } == 1)
  }

  /// One step of the handshake: 1 when it is done, 0 when it waits, -1 when it has failed.
  func step() -> Int {
    ERR_clear_error()
    let result = unsafe SSL_do_handshake(ssl)
    if result == 1 { return 1 }
    let error = unsafe SSL_get_error(ssl, result)
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1
  }

  /// Why it failed, as OpenSSL says it.
  var reason: String {
    guard let text = unsafe ERR_reason_error_string(ERR_peek_error()) else { return "" }
    return unsafe String(cString: text)
  }

  /// What has come, up to `count` bytes; nil when nothing has.
  func read(_ count: Int = 1 << 16) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    ERR_clear_error()
    let n = Int(unsafe SSL_read(ssl, &bytes, Int32(count)))
    return n > 0 ? Array(bytes[..<n]) : nil
  }

  func write(_ bytes: [UInt8]) {
    ERR_clear_error()
    #expect(unsafe SSL_write(ssl, bytes, Int32(bytes.count)) == Int32(bytes.count))
  }

  /// New keys for what it sends, and asks for as much.
  func changeKeys() {
    ERR_clear_error()
    _ = unsafe SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED)
    _ = unsafe SSL_do_handshake(ssl)
  }

  /// Says that it ends.
  func sayGoodbye() { _ = unsafe SSL_shutdown(ssl) }
  var descriptor: Int32 { socket.raw }
  /// Ends without a word.
  func cut() { shutdown(socket.raw, Int32(SHUT_RDWR)) }
  /// Whether the server has said that it ends.
  var wasToldOfTheEnd: Bool { unsafe SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0 }

  /// The DNS names of the certificate that it was shown, and the kind of its key.
  var shown: String {
    guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else { return "" }
    defer { unsafe X509_free(certificate) }
    guard let bio = unsafe gh_certificate_names(certificate) else { return "" }
    defer { unsafe _ = BIO_free(bio) }
    var start: UnsafeMutablePointer<CChar>?
    let count = unsafe gh_memory(bio, &start)
    let names = unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    let isRSA = unsafe EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) == EVP_PKEY_RSA
    return (isRSA ? "RSA " : "EC ") + names.split(separator: "\n").joined(separator: " ")
  }

  /// What was stapled; nil for nothing.
  var staple: [UInt8]? {
    var start: UnsafePointer<UInt8>?
    let count = unsafe withUnsafeMutablePointer(to: &start) { unsafe SSL_ctrl(ssl, SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP, 0, $0) }
    return count > 0 ? unsafe Array(UnsafeBufferPointer(start: start, count: count)) : nil
  }

  /// Of the connection as it is, to be given to the next.
  var session: ClientSession { unsafe ClientSession(of: ssl) }
  var isResumed: Bool { unsafe gh_tls_is_resumed(ssl) != 0 }
}

/// A server's stream and a client of it.
final class TLSPair {
  var server: Stream
  let client: TLSClient
  /// How the server's handshake ended.
  private(set) var outcome = HandshakeProgress.wantsRead

  init(_ context: TLSServerContext, _ options: ClientOptions = ClientOptions(), early: Int = 0) throws {
    let pair = SocketPair()
    server = Stream(try pair.a.duplicate())
    client = TLSClient(try pair.b.duplicate(), options)
    var first = ByteBuffer()
    if early > 0 {
      _ = client.step()
      #expect(server.read(into: &first, atMost: early) == .bytes(early))
    }
    try server.beginTLS(context, early: first.span)
    // A handshake has no more than a few flights.
    for _ in 0..<10 {
      let ours = client.step()
      if outcome == .wantsRead || outcome == .wantsWrite { outcome = server.handshake() }
      if ours != 0 && outcome != .wantsRead && outcome != .wantsWrite { break }
    }
  }

  // `#expect` takes no property of a value that can't be copied.
  var facts: TLSFacts? { server.facts }
  /// The client's certificate, as the server has it.
  func shown(at now: Timestamp = .now()) -> ClientCertificateReading { server.clientCertificate(at: now) }
  var isClear: Bool { server.isClear }
  var hasMore: Bool { server.hasBufferedInput }
  var isReadableNow: Bool { isReadable(server.descriptor) }

  /// All that the server can read now.
  func read() -> [UInt8] {
    var buffer = ByteBuffer()
    while case .bytes = server.read(into: &buffer, atMost: 1 << 16) {}
    return buffer.array()
  }
}
