// Certificates as they stand in files: read, taken apart, and judged before any client sees them. What is wrong is said with the file and what to do.

internal import COpenSSL
internal import Glibc
public import Primitives

/// What a certificate that is in use says.
public struct TLSCertificate: Equatable, Sendable {
  public enum Key: Equatable, Sendable {
    case rsa(bits: Int)
    /// By the curve's name: `P-256`.
    case elliptic(curve: String, bits: Int)
    /// Ed25519, Ed448.
    case edwards(String)

    /// `RSA, 2048 bits`.
    public var text: String {
      switch self {
      case .rsa(let bits): "RSA, \(bits) bits"
      case .elliptic(let curve, _): "ECDSA, \(curve)"
      case .edwards(let name): name
      }
    }

    /// Of each kind a client may be served one.
    var kind: Int {
      switch self {
      case .rsa: 0
      case .elliptic: 1
      case .edwards: 2
      }
    }
  }

  /// The file that it stands in.
  public var path: String
  /// The hosts that it is for, in lower case; `*.example.com` among them.
  public var names: [String]
  /// Distinguished name, as RFC 2253 writes it.
  public var issuer: String
  public var notBefore: Timestamp
  public var notAfter: Timestamp
  public var key: Key
  public var isSelfSigned: Bool
  /// Whether an answer of its OCSP responder is sent along.
  public var isStapled = false

  /// Whole days until it expires; below 0 when it has.
  public func daysLeft(at now: Timestamp) -> Int {
    let seconds = notAfter.seconds - now.seconds
    return Int(seconds >= 0 ? seconds / 86_400 : -1)
  }

  /// For the log: nil while there is time.
  public func expiryWarning(at now: Timestamp) -> String? {
    let days = daysLeft(at: now)
    guard days < Self.warningDays else { return nil }
    let subject = "\(path): the certificate for \(names.first ?? "nobody")"
    return now > notAfter
      ? "\(subject) has expired: every client refuses it; renew it" : "\(subject) expires in \(days) day\(days == 1 ? "" : "s"): renew it"
  }

  /// When operators begin to be told: renewal is automatic at 30 days nearly everywhere, so something is wrong then.
  public static let warningDays = 21
}

/// A certificate with its chain and key, in OpenSSL's hands.
@safe final class LoadedCertificate {
  /// X509, the leaf first.
  let chain: [OpaquePointer]
  /// EVP_PKEY, the private one.
  let key: OpaquePointer
  var facts: TLSCertificate
  var staple: Staple?

  fileprivate init(taking chain: [OpaquePointer], _ key: OpaquePointer, _ facts: TLSCertificate) {
    unsafe self.chain = chain
    unsafe self.key = key
    self.facts = facts
  }

  deinit {
    for i in unsafe chain.indices { unsafe X509_free(chain[i]) }
    unsafe EVP_PKEY_free(key)
  }

  /// Reads and judges. Nil when `report` has a problem more.
  static func load(
    _ options: TLSServerOptions.Certificate, _ profile: TLSProfile, at now: Timestamp, _ report: inout TLSReport
  ) -> LoadedCertificate? {
    let chain = unsafe readChain(options.chainPath, &report)
    let key = unsafe readKey(options.keyPath, &report)
    guard let leaf = unsafe chain.first, let key = unsafe key else {
      for i in unsafe chain.indices { unsafe X509_free(chain[i]) }
      unsafe EVP_PKEY_free(key)
      return nil
    }
    let facts = unsafe Self.facts(of: leaf, options.chainPath)
    // From here on `loaded` frees both.
    guard let facts else {
      report.problems.append("\(options.chainPath): the certificate's key is of a kind that TLS has no use for: RSA and ECDSA are served")
      unsafe _ = LoadedCertificate(taking: chain, key, TLSCertificate.unknown(options.chainPath))
      return nil
    }
    let loaded = unsafe LoadedCertificate(taking: chain, key, facts)
    let before = report.problems.count
    loaded.judge(options, profile, now, &report)
    guard report.problems.count == before else { return nil }
    if let path = options.staplePath {
      loaded.staple = Staple.load(path, for: loaded, at: now, &report)
      loaded.facts.isStapled = loaded.staple != nil
    }
    return loaded
  }

  // MARK: Judging

  private func judge(_ options: TLSServerOptions.Certificate, _ profile: TLSProfile, _ now: Timestamp, _ report: inout TLSReport) {
    let path = options.chainPath
    if unsafe X509_check_private_key(chain[0], key) != 1 {
      let isOther = unsafe chain.dropFirst().contains { unsafe X509_check_private_key($0, key) == 1 }
      ERR_clear_error()
      report.problems.append(
        isOther
          ? "\(path): the first certificate is not the server's own: put that first, then who signed it, and so on"
          : "\(options.keyPath): this key does not belong to the certificate in \(path): give the two that were made together")
    }
    if facts.names.isEmpty {
      report.warnings.append("\(path): it names no host, so that no client will accept it: have it made with a subjectAltName")
    }
    judgeTime(path, now, &report)
    judgeKey(path, profile, &report)
    judgeChain(path, &report)
  }

  private func judgeTime(_ path: String, _ now: Timestamp, _ report: inout TLSReport) {
    if now > facts.notAfter {
      report.problems.append("\(path): it expired at \(Self.text(facts.notAfter)): renew it")
    } else if now < facts.notBefore {
      report.problems.append("\(path): it is valid from \(Self.text(facts.notBefore)) only: wait, or set this machine's clock")
    }
    for i in unsafe chain.indices.dropFirst() {
      let end = unsafe Timestamp(seconds: max(gh_time_of(X509_get0_notAfter(chain[i])), 0))
      if now > end {
        report.warnings.append(
          "\(path): certificate \(i + 1) of the chain expired at \(Self.text(end)): clients may refuse it; get the chain anew")
      }
    }
  }

  private func judgeKey(_ path: String, _ profile: TLSProfile, _ report: inout TLSReport) {
    let (bits, enough, least): (Int, Int, Int)
    switch facts.key {
    case .rsa(let n): (bits, enough, least) = (n, 2048, 1024)
    case .elliptic(_, let n): (bits, enough, least) = (n, 256, 224)
    case .edwards: return
    }
    if bits < (profile == .legacy ? least : enough) {
      report.problems.append(
        "\(path): its key (\(facts.key.text)) is too small\(profile == .legacy ? "" : " for this profile"): make one of RSA with 2048 bits, or P-256"
      )
    } else if bits < enough {
      report.warnings.append("\(path): its key (\(facts.key.text)) is small: make one of RSA with 2048 bits, or P-256")
    }
  }

  private func judgeChain(_ path: String, _ report: inout TLSReport) {
    let count = unsafe chain.count
    for i in 1..<max(count, 1) where unsafe gh_certificate_issued(chain[i], chain[i - 1]) == 0 {
      report.problems.append(
        "\(path): certificate \(i + 1) has not signed certificate \(i): put the server's first, then who signed it, and so on")
      return
    }
    if count == 1 && !facts.isSelfSigned, unsafe gh_certificate_issuer_known(chain[0]) == 0 {
      report.warnings.append(
        "\(path): who signed it (\(facts.issuer)) is not in the file and no authority of this machine's: clients that don't know it refuse; "
          + "use the file with the whole chain")
    }
  }

  private static func text(_ time: Timestamp) -> String {
    var parts = unsafe tm()
    var seconds = time_t(time.seconds)
    unsafe _ = gmtime_r(&seconds, &parts)
    var buffer = [CChar](repeating: 0, count: 64)
    let count = unsafe strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M UTC", &parts)
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  // MARK: Taking apart

  /// Nil for a kind of key that has no use in TLS.
  private static func facts(of leaf: OpaquePointer, _ path: String) -> TLSCertificate? {
    guard let key = unsafe X509_get0_pubkey(leaf) else {
      ERR_clear_error()
      return nil
    }
    let bits = Int(unsafe EVP_PKEY_get_bits(key))
    let kind: TLSCertificate.Key
    switch unsafe EVP_PKEY_get_base_id(key) {
    case EVP_PKEY_RSA, EVP_PKEY_RSA_PSS: kind = .rsa(bits: bits)
    case EVP_PKEY_EC: kind = unsafe .elliptic(curve: curve(of: key), bits: bits)
    case EVP_PKEY_ED25519: kind = .edwards("Ed25519")
    case EVP_PKEY_ED448: kind = .edwards("Ed448")
    default: return nil
    }
    let names = unsafe text(gh_certificate_names(leaf)).lowercased().split(separator: "\n").map(String.init)
    return unsafe TLSCertificate(
      path: path, names: names, issuer: text(gh_certificate_party(leaf, 1)),
      notBefore: Timestamp(seconds: gh_time_of(X509_get0_notBefore(leaf))),
      notAfter: Timestamp(seconds: gh_time_of(X509_get0_notAfter(leaf))),
      key: kind, isSelfSigned: gh_certificate_issued(leaf, leaf) != 0)
  }

  private static func curve(of key: OpaquePointer) -> String {
    var name = [CChar](repeating: 0, count: 64)
    var count = 0
    guard unsafe EVP_PKEY_get_group_name(key, &name, name.count, &count) == 1 else { return "unknown curve" }
    switch String(decoding: name[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) {
    case "prime256v1": return "P-256"
    case "secp384r1": return "P-384"
    case "secp521r1": return "P-521"
    case let other: return other
    }
  }

  /// What is in a memory BIO, which it frees.
  private static func text(_ bio: OpaquePointer?) -> String {
    guard let bio = unsafe bio else { return "" }
    defer { unsafe _ = BIO_free(bio) }
    var start: UnsafeMutablePointer<CChar>?
    let count = unsafe gh_memory(bio, &start)
    return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
  }

  // MARK: Reading

  /// X509s, to be freed; none when there is a problem.
  static func readChain(_ path: String, _ report: inout TLSReport) -> [OpaquePointer] {
    guard let text = SmallFile.read(path, &report) else { return unsafe [] }
    var chain: [OpaquePointer] = unsafe []
    let isWhole = unsafe withReader(text.span) { bio in
      while let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil) { unsafe chain.append(certificate) }
      let code = ERR_peek_last_error()
      ERR_clear_error()
      return gh_pem_ended(code) != 0
    }
    if !isWhole {
      unsafe report.problems.append("\(path): certificate \(chain.count + 1) in it is damaged, or cut short")
      for i in unsafe chain.indices { unsafe X509_free(chain[i]) }
      return unsafe []
    }
    if unsafe chain.isEmpty {
      report.problems.append("\(path): there is no certificate in it: PEM is wanted, which begins with -----BEGIN CERTIFICATE-----")
    }
    return unsafe chain
  }

  /// An EVP_PKEY, to be freed.
  static func readKey(_ path: String, _ report: inout TLSReport) -> OpaquePointer? {
    guard let text = SmallFile.read(path, &report) else { return nil }
    if let status = try? FileStatus(path: path), status.permissions & 0o007 != 0 {
      report.warnings.append("\(path): others on this machine may read this private key: chmod 640 \(path)")
    }
    var wasAsked = false
    var key: OpaquePointer?
    unsafe withUnsafeMutablePointer(to: &wasAsked) { asked in
      unsafe withReader(text.span) { bio in
        unsafe key = PEM_read_bio_PrivateKey(
          bio, nil,
          { _, _, _, asked in
            unsafe asked?.assumingMemoryBound(to: Bool.self).pointee = true
            return -1
          }, asked)
      }
    }
    ERR_clear_error()
    if unsafe key == nil {
      report.problems.append(
        wasAsked
          ? "\(path): the key is encrypted, and nobody is there to type its password: openssl pkey -in \(path) -out FILE writes it without"
          : "\(path): there is no private key in it: PEM is wanted, which begins with -----BEGIN PRIVATE KEY-----")
    }
    return unsafe key
  }

  private static func withReader<R>(_ text: Span<UInt8>, _ body: (OpaquePointer?) -> R) -> R {
    unsafe text.withUnsafeBufferPointer { text in
      let bio = unsafe BIO_new_mem_buf(text.baseAddress, Int32(truncatingIfNeeded: text.count))
      defer { unsafe _ = BIO_free(bio) }
      return unsafe body(bio)
    }
  }
}

extension TLSCertificate {
  fileprivate static func unknown(_ path: String) -> TLSCertificate {
    let zero = Timestamp(seconds: 0)
    return TLSCertificate(path: path, names: [], issuer: "", notBefore: zero, notAfter: zero, key: .rsa(bits: 0), isSelfSigned: false)
  }
}
