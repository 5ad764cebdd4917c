// Whose certificates clients may show, and which were revoked: read from files, judged, and given to OpenSSL. What can't be known is not
// let in.

internal import COpenSSL
internal import Primitives

/// Immutable once made.
@safe final class TLSClientPolicy {
  private let options: TLSServerOptions.ClientCertificates
  /// X509_STORE.
  private let store: OpaquePointer
  /// X509s.
  private let authorities: [OpaquePointer]
  /// Of everything that decides who is let in. Whoever was let in by another has to show his certificate again.
  let digest: [UInt8]
  /// Until when what is known of revocations holds; nil where none are.
  let revocationsEnd: Timestamp?

  /// Nil when `report` has a problem more.
  init?(_ options: TLSServerOptions.ClientCertificates, at now: Timestamp, _ report: inout TLSReport) {
    let before = report.problems.count
    let authorityFile = Self.read(options.authorityPath, &report)
    let revocationFile = options.revocationPath.flatMap { Self.read($0, &report) }
    guard report.problems.count == before, let authorityFile, let store = unsafe X509_STORE_new() else { return nil }
    self.options = options
    unsafe self.store = store
    unsafe authorities = Self.readAuthorities(authorityFile, options.authorityPath, at: now, &report)
    digest = Self.digest(options, authorityFile, revocationFile)
    for i in unsafe authorities.indices { unsafe _ = X509_STORE_add_cert(store, authorities[i]) }
    if let path = options.revocationPath, let revocationFile {
      revocationsEnd = unsafe Self.addRevocations(revocationFile, path, to: store, authorities, at: now, &report)
    } else {
      revocationsEnd = nil
    }
    unsafe _ = X509_STORE_set_flags(store, gh_store_flags(options.revocationPath == nil ? 0 : 1))
    ERR_clear_error()
    // Now that `deinit` frees what was made.
    if report.problems.count > before { return nil }
  }

  deinit {
    for i in unsafe authorities.indices { unsafe X509_free(authorities[i]) }
    unsafe X509_STORE_free(store)
  }

  /// Has every client of `context` asked.
  func ask(_ context: OpaquePointer, _ report: inout TLSReport) {
    var list: [OpaquePointer?] = unsafe authorities
    let count = unsafe Int32(truncatingIfNeeded: list.count)
    if unsafe gh_client_ask(context, store, &list, count, Int32(options.depth), options.mode == .required ? 1 : 0) == 0 {
      report.problems.append("\(options.authorityPath): OpenSSL refuses it: \(TLSSetting.takeError())")
    }
  }

  /// What has become of no use since it was read.
  func expiryWarning(at now: Timestamp) -> String? {
    guard let path = options.revocationPath, let end = revocationsEnd, now >= end else { return nil }
    return "\(path): its nextUpdate has passed: no client's certificate is accepted until there is a new one"
  }

  // MARK: Reading

  private static func read(_ path: String, _ report: inout TLSReport) -> [UInt8]? {
    guard let file = SmallFile.read(path, &report) else { return nil }
    return ASCII.array(file.span)
  }

  private static func readAuthorities(
    _ file: [UInt8], _ path: String, at now: Timestamp, _ report: inout TLSReport
  ) -> [OpaquePointer] {
    var found: [OpaquePointer] = unsafe []
    let isWhole = unsafe withReader(file.span) { bio in
      while let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil) { unsafe found.append(certificate) }
    }
    if !isWhole { unsafe report.problems.append("\(path): certificate \(found.count + 1) in it is damaged, or cut short") }
    if unsafe isWhole && found.isEmpty {
      report.problems.append("\(path): there is no certificate in it: PEM is wanted, which begins with -----BEGIN CERTIFICATE-----")
    }
    for i in unsafe found.indices {
      if unsafe gh_certificate_is_authority(found[i]) == 0 {
        report.problems.append("\(path): certificate \(i + 1) in it is no authority's: it could have signed nobody's")
      } else if unsafe Timestamp(seconds: max(gh_time_of(X509_get0_notAfter(found[i])), 0)) < now {
        report.warnings.append("\(path): certificate \(i + 1) in it has expired: nobody whom it signed is let in")
      }
    }
    return unsafe found
  }

  /// Answers until when all of it holds.
  private static func addRevocations(
    _ file: [UInt8], _ path: String, to store: OpaquePointer, _ authorities: [OpaquePointer], at now: Timestamp, _ report: inout TLSReport
  ) -> Timestamp {
    var lists: [OpaquePointer] = unsafe []
    defer { for i in unsafe lists.indices { unsafe X509_CRL_free(lists[i]) } }
    let isWhole = unsafe withReader(file.span) { bio in
      while let list = unsafe PEM_read_bio_X509_CRL(bio, nil, nil, nil) { unsafe lists.append(list) }
    }
    if !isWhole { unsafe report.problems.append("\(path): list \(lists.count + 1) in it is damaged, or cut short") }
    if unsafe isWhole && lists.isEmpty {
      report.problems.append("\(path): there is no list of revocations in it: PEM is wanted, which begins with -----BEGIN X509 CRL-----")
    }
    var end = Timestamp(microseconds: .max)
    var used: Set<Int> = []
    for a in unsafe authorities.indices {
      // The newest of an authority's counts.
      var newest: Timestamp?
      for i in unsafe lists.indices where unsafe gh_revocations_by(lists[i], authorities[a]) != 0 {
        used.insert(i)
        let next = unsafe gh_time_of(X509_CRL_get0_nextUpdate(lists[i]))
        newest = max(newest ?? Timestamp(seconds: 0), next == .min ? Timestamp(microseconds: .max) : Timestamp(seconds: max(next, 0)))
      }
      if let newest {
        end = min(end, newest)
      } else if unsafe !lists.isEmpty {
        report.warnings.append("\(path): it has no list of authority \(a + 1)'s: nobody whom that signed is let in")
      }
    }
    for i in unsafe lists.indices {
      if !used.contains(i) { report.warnings.append("\(path): list \(i + 1) in it is of none of the authorities") }
      unsafe _ = X509_STORE_add_crl(store, lists[i])
    }
    if now >= end {
      report.warnings.append("\(path): its nextUpdate has passed: no client's certificate is accepted until there is a new one")
    }
    return end
  }

  /// Lends the text to OpenSSL. Whether it was read to its end.
  private static func withReader(_ text: Span<UInt8>, _ body: (OpaquePointer?) -> Void) -> Bool {
    unsafe text.withUnsafeBufferPointer { text in
      let bio = unsafe BIO_new_mem_buf(text.baseAddress, Int32(truncatingIfNeeded: text.count))
      defer { unsafe _ = BIO_free(bio) }
      ERR_clear_error()
      unsafe body(bio)
      let code = ERR_peek_last_error()
      ERR_clear_error()
      return gh_pem_ended(code) != 0
    }
  }

  private static func digest(
    _ options: TLSServerOptions.ClientCertificates, _ authorities: [UInt8], _ revocations: [UInt8]?
  ) -> [UInt8] {
    let sum = Array("\(options.mode) \(options.depth) \(authorities.count) ".utf8) + authorities + (revocations.map { [1] + $0 } ?? [])
    var digest = [UInt8](repeating: 0, count: 32)
    unsafe _ = SHA256(sum, sum.count, &digest)
    return digest
  }
}
