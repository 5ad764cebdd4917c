// One SSL_CTX: every choice that OpenSSL offers a server, made, with its reason.

internal import COpenSSL
internal import Primitives

enum TLSSetting {
  /// How OpenSSL reads and writes our sockets: without signals, and several records at once.
  nonisolated(unsafe) static let socketMethod: OpaquePointer? = unsafe gh_tls_bio_method()

  /// Mozilla's "intermediate", without finite-field Diffie-Hellman, which costs ten times as much for clients that nobody has.
  private static let intermediate = """
    ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
    """
  /// Mozilla's "old", likewise.
  private static let legacy = """
    \(intermediate):ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:\
    ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:AES128-GCM-SHA256:\
    AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA
    """
  private static let tls13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
  private static let groups = "X25519:P-256:P-384"

  /// An SSL_CTX, to be freed. Nil when `report` has a problem more.
  static func make(
    _ options: TLSServerOptions, _ certificates: [LoadedCertificate], _ clients: TLSClientPolicy?, logsKeys: Bool, _ report: inout TLSReport
  ) -> OpaquePointer? {
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
      report.problems.append("OpenSSL can't be used: \(takeError())")
      return nil
    }
    let before = report.problems.count
    unsafe gh_tls_set_mode(context)
    let isLegacy = options.profile == .legacy
    // Where every cipher is good, the client knows best which its processor is fast at. Renegotiation has no use that outweighs what it was abused for;
    // compression tells secrets by lengths (CRIME).
    unsafe gh_tls_set_options(context, isLegacy || options.ciphers != nil ? 1 : 0, options.sessionTickets ? 1 : 0)
    // Whatever openssl.cnf says. The second level is 112 bits of security; SHA-1, and with it TLS 1.0 and 1.1, needs level 0.
    unsafe SSL_CTX_set_security_level(context, isLegacy ? 0 : 2)
    if unsafe gh_tls_set_versions(context, number(options.lowestVersion), TLS1_3_VERSION) == 0 {
      report.problems.append("OpenSSL does not speak TLS \(options.lowestVersion.text): \(takeError())")
    }
    unsafe setCiphers(context, options, &report)
    if unsafe gh_tls_set_groups(context, groups) == 0 { report.problems.append("OpenSSL lacks the curves \(groups): \(takeError())") }
    // Nothing is answered that could have been sent a second time by somebody else (RFC 8446 section 8).
    unsafe _ = SSL_CTX_set_max_early_data(context, 0)
    unsafe _ = SSL_CTX_set_recv_max_early_data(context, 0)
    for certificate in certificates { unsafe use(certificate, in: context, &report) }
    unsafe clients?.ask(context, &report)
    unsafe setSessions(context, options, clients)
    unsafe setCallbacks(context, options, logsKeys)
    if report.problems.count > before {
      unsafe SSL_CTX_free(context)
      return nil
    }
    return unsafe context
  }

  private static func setCiphers(_ context: OpaquePointer, _ options: TLSServerOptions, _ report: inout TLSReport) {
    let standard = options.profile == .legacy ? legacy : intermediate
    let chosen = options.ciphers?.split(separator: ":").map(String.init) ?? []
    let newer = chosen.filter { $0.hasPrefix("TLS_") }
    let older = chosen.filter { !$0.hasPrefix("TLS_") }
    if unsafe SSL_CTX_set_ciphersuites(context, newer.isEmpty ? tls13 : newer.joined(separator: ":")) == 0 {
      report.problems.append("ciphers: OpenSSL knows none of \(newer.joined(separator: ":")) for TLS 1.3: see openssl ciphers -s -tls1_3")
    }
    if unsafe SSL_CTX_set_cipher_list(context, older.isEmpty ? standard : older.joined(separator: ":")) == 0 {
      report.problems.append("ciphers: OpenSSL knows none of \(older.joined(separator: ":")): see openssl ciphers -s -v")
    }
    // What `@SECLEVEL=` among them may have lowered.
    unsafe SSL_CTX_set_security_level(context, options.profile == .legacy ? 0 : 2)
    ERR_clear_error()
  }

  private static func use(_ certificate: LoadedCertificate, in context: OpaquePointer, _ report: inout TLSReport) {
    var chain: [OpaquePointer?] = unsafe certificate.chain
    let result = unsafe gh_tls_use(context, &chain, Int32(truncatingIfNeeded: chain.count), certificate.key)
    if result == 0 { report.problems.append("\(certificate.facts.path): OpenSSL refuses it for this profile: \(takeError())") }
  }

  private static func setSessions(_ context: OpaquePointer, _ options: TLSServerOptions, _ clients: TLSClientPolicy?) {
    // What a session was begun under: another listener, or another policy for client certificates, does not take it. A ticket would let in whom the
    // authorities of now do not vouch for.
    var digest = [UInt8](repeating: 0, count: 32)
    let bytes = Array(options.listener.utf8) + [0] + (clients?.digest ?? [])
    unsafe _ = SHA256(bytes, bytes.count, &digest)
    unsafe _ = SSL_CTX_set_session_id_context(context, digest, 32)
    unsafe _ = SSL_CTX_set_timeout(context, Int(TicketKeys.lifetime.nanoseconds / 1_000_000_000))
    if !options.sessionTickets { unsafe _ = SSL_CTX_set_num_tickets(context, 0) }
  }

  private static func setCallbacks(_ context: OpaquePointer, _ options: TLSServerOptions, _ logsKeys: Bool) {
    unsafe gh_tls_set_names_callback(context) { ssl, _, _ in
      unsafe TLSServerContext.owner(of: ssl)?.choose(ssl)
      return SSL_TLSEXT_ERR_OK
    }
    unsafe SSL_CTX_set_alpn_select_cb(
      context,
      { ssl, out, outCount, offered, offeredCount, _ in
        guard let owner = unsafe TLSServerContext.owner(of: ssl), let offered = unsafe offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        // RFC 7301 section 3.2: none in common is the end.
        guard let chosen = unsafe owner.chooseProtocol(UnsafeBufferPointer(start: offered, count: Int(offeredCount))) else {
          return SSL_TLSEXT_ERR_ALERT_FATAL
        }
        unsafe out?.pointee = offered + chosen.lowerBound
        unsafe outCount?.pointee = UInt8(chosen.count)
        return SSL_TLSEXT_ERR_OK
      }, nil)
    unsafe gh_tls_set_status_callback(context) { ssl, _ in
      unsafe TLSServerContext.owner(of: ssl)?.staple(ssl) == true ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK
    }
    if options.sessionTickets {
      unsafe _ = SSL_CTX_set_tlsext_ticket_key_evp_cb(context) { ssl, name, iv, cipher, mac, seals in
        guard let owner = unsafe TLSServerContext.owner(of: ssl), let name = unsafe name, let iv = unsafe iv, let cipher = unsafe cipher,
          let mac = unsafe mac
        else { return -1 }
        return unsafe owner.ticket(name, iv, cipher, mac, seals: seals != 0, renews: SSL_version(ssl) == TLS1_3_VERSION)
      }
    }
    if logsKeys {
      unsafe SSL_CTX_set_keylog_callback(context) { ssl, line in
        if let line = unsafe line { unsafe TLSServerContext.owner(of: ssl)?.log(key: line) }
      }
    }
  }

  private static func number(_ version: TLSVersion) -> Int32 {
    switch version {
    case .tls10: TLS1_VERSION
    case .tls11: TLS1_1_VERSION
    case .tls12: TLS1_2_VERSION
    case .tls13: TLS1_3_VERSION
    }
  }

  /// The first reason in the thread's error queue, which is empty then.
  static func takeError() -> String {
    let code = ERR_peek_error()
    ERR_clear_error()
    guard let reason = unsafe ERR_reason_error_string(code) else { return "no reason given" }
    return unsafe String(cString: reason)
  }
}
