// What all connections of a listener share of TLS: certificates, versions, ciphers, as OpenSSL wants them. Made when a configuration or a certificate is
// read, immutable after that, and given up when the last connection that began by it is gone.

internal import COpenSSL
internal import Glibc
public import Primitives

/// One listener's TLS.
@safe public final class TLSServerContext: @unchecked Sendable {
  // Safe to share: OpenSSL counts references to an SSL_CTX atomically, and nothing in it is changed once it is made (openssl-threads(7)).

  public let options: TLSServerOptions
  /// In the order of the options.
  public let certificates: [TLSCertificate]
  /// What is not as it should be with the files that were read for it, each with its file and what to do.
  public let warnings: [String]
  /// SSL_CTXs, the first for who asks for nobody we know.
  private let contexts: [OpaquePointer]
  private let names: TLSNames
  private let loaded: [LoadedCertificate]
  /// Nil where clients are not asked for certificates.
  let clientPolicy: TLSClientPolicy?
  private let tickets: TicketKeys
  private let keyLog: TLSKeyLog?
  /// Lengths and names, as ALPN has them on the wire.
  private let protocols: [UInt8]

  /// Reads and judges every file. Throws all that is wrong.
  ///
  /// - Parameters:
  ///   - tickets: shared by all listeners, workers and reloads.
  ///   - logsKeys: false for who only wants to know what is wrong.
  public convenience init(_ options: TLSServerOptions, tickets: TicketKeys, now: Timestamp = .now(), logsKeys: Bool = true) throws(TLSFault)
  {
    var report = TLSReport()
    let loaded = options.certificates.compactMap { LoadedCertificate.load($0, options.profile, at: now, &report) }
    if options.certificates.isEmpty { report.problems.append("there is no certificate: certificate FILE, key FILE") }
    let clientPolicy = options.clientCertificates.flatMap { TLSClientPolicy($0, at: now, &report) }
    guard report.problems.isEmpty else { throw TLSFault(problems: report.problems) }

    if let path = options.keyLogPath {
      report.warnings.append("\(path): the keys of every connection are written there: whoever reads that reads all that is said")
    }
    let keyLog = logsKeys ? TLSKeyLog.open(options.keyLogPath, &report) : nil
    try self.init(options, loaded, clientPolicy, tickets, keyLog, report)
  }

  /// The same but for one part, whose files are read anew: what the others held when they were read goes on, whatever has become of their files. Throws
  /// all that is wrong with that part.
  public func renewing(_ part: TLSServerOptions.Part, now: Timestamp = .now()) throws(TLSFault) -> TLSServerContext {
    var report = TLSReport()
    var (loaded, clientPolicy) = (loaded, clientPolicy)
    switch part {
    case .certificate(let i):
      if let fresh = LoadedCertificate.load(options.certificates[i], options.profile, at: now, &report) { loaded[i] = fresh }
    case .clients:
      clientPolicy = options.clientCertificates.flatMap { TLSClientPolicy($0, at: now, &report) }
    }
    guard report.problems.isEmpty else { throw TLSFault(problems: report.problems) }
    return try TLSServerContext(options, loaded, clientPolicy, tickets, keyLog, report)
  }

  private init(
    _ options: TLSServerOptions, _ loaded: [LoadedCertificate], _ clientPolicy: TLSClientPolicy?, _ tickets: TicketKeys,
    _ keyLog: TLSKeyLog?,
    _ found: TLSReport
  ) throws(TLSFault) {
    var report = found
    let names = TLSNames(loaded.map(\.facts), &report)
    var contexts: [OpaquePointer] = unsafe []
    for group in names.groups {
      guard let context = unsafe TLSSetting.make(options, group.map { loaded[$0] }, clientPolicy, logsKeys: keyLog != nil, &report) else {
        continue
      }
      unsafe contexts.append(context)
    }
    unsafe self.contexts = contexts
    self.options = options
    self.loaded = loaded
    self.clientPolicy = clientPolicy
    self.names = names
    self.tickets = tickets
    self.keyLog = keyLog
    certificates = loaded.map(\.facts)
    warnings = report.warnings
    protocols = options.protocols.flatMap(\.names).flatMap { [UInt8($0.count)] + $0 }
    // Now that `deinit` frees what was made.
    guard report.problems.isEmpty else { throw TLSFault(problems: report.problems) }
  }

  deinit {
    for i in unsafe contexts.indices { unsafe SSL_CTX_free(contexts[i]) }
  }

  /// By what clients' certificates are judged, digested; nil where none are asked for.
  public var clientPolicyDigest: [UInt8]? { clientPolicy?.digest }

  /// What has expired, or does so soon.
  public func expiryWarnings(at now: Timestamp) -> [String] {
    certificates.compactMap { $0.expiryWarning(at: now) } + (clientPolicy?.expiryWarning(at: now).map { [$0] } ?? [])
  }

  /// A new session on `descriptor`; nil when there is no memory. To be freed before this is let go.
  @unsafe func makeSession(_ descriptor: Int32, _ early: UnsafePointer<UInt8>?, _ count: Int) -> UnsafeMutablePointer<gh_tls>? {
    let made = unsafe gh_tls_create(contexts[0], TLSSetting.socketMethod, descriptor, early, count)
    if let made = unsafe made { unsafe SSL_set_ex_data(made.pointee.ssl, 0, Unmanaged.passUnretained(self).toOpaque()) }
    return unsafe made
  }

  // MARK: What OpenSSL asks during a handshake

  /// Whose session `ssl` is.
  static func owner(of ssl: OpaquePointer?) -> TLSServerContext? {
    guard let pointer = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
    return unsafe Unmanaged<TLSServerContext>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// The client has said which host it wants, or not: its certificates are presented.
  func choose(_ ssl: OpaquePointer?) {
    guard let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return }
    let index = names.group(for: unsafe String(cString: name))
    if index > 0 { unsafe SSL_set_SSL_CTX(ssl, contexts[index]) }
  }

  /// Our best protocol that the client offers too, as a range of what it sent; nil for none.
  func chooseProtocol(_ offered: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
    var i = 0
    while i < protocols.count {
      let count = Int(protocols[i])
      var k = 0
      while k < offered.count, unsafe k + 1 + Int(offered[k]) <= offered.count {
        let length = Int(unsafe offered[k])
        if length == count, (0..<count).allSatisfy({ unsafe offered[k + 1 + $0] == protocols[i + 1 + $0] }) { return k + 1..<k + 1 + count }
        k += 1 + length
      }
      i += 1 + count
    }
    return nil
  }

  /// Sends what the authority says of the certificate that was chosen. False when there is nothing to send.
  func staple(_ ssl: OpaquePointer?) -> Bool {
    let chosen = unsafe SSL_get_certificate(ssl)
    guard let staple = loaded.first(where: { unsafe $0.chain[0] == chosen })?.staple, Timestamp.now() < staple.end else { return false }
    return unsafe staple.bytes.withUnsafeBufferPointer { unsafe gh_tls_staple(ssl, $0.baseAddress, $0.count) != 0 }
  }

  /// What SSL_CTX_set_tlsext_ticket_key_evp_cb(3) asks for. `renews`: a ticket that was used is replaced (RFC 8446 appendix C.4), since clients
  /// that keep from being followed by it use none twice.
  func ticket(
    _ name: UnsafeMutablePointer<UInt8>, _ iv: UnsafeMutablePointer<UInt8>, _ cipher: OpaquePointer, _ mac: OpaquePointer, seals: Bool,
    renews: Bool
  ) -> Int32 {
    let now = Instant.now()
    if seals { return unsafe tickets.seal(name, iv, cipher, mac, at: now) ? 1 : -1 }
    switch unsafe tickets.open(name, iv, cipher, mac, at: now) {
    case .unknown: return 0
    case .opened: return renews ? 2 : 1
    case .aged: return 2
    }
  }

  func log(key line: UnsafePointer<CChar>) { unsafe keyLog?.write(line) }
}
