// Clients' own certificates: who is let in, and what is read of a certificate.

import COpenSSL
import FoundationEssentials
import Glibc
import Primitives
import Testing

@testable import Net

@Suite struct TLSClientCertificateTests {
  /// An authority for clients beside the one for servers.
  private final class Scene {
    let certificates: Certificates
    let keys = TicketKeys()
    var options: TLSServerOptions

    init(_ mode: TLSServerOptions.ClientCertificates.Mode = .required) throws {
      certificates = try Certificates()
      options = TLSServerOptions(try certificates.sign("server", for: "a.test"))
      options.listener = "*:443"
      options.clientCertificates = .init(authorityPath: certificates.path("ca.pem"), mode: mode)
    }

    func context() throws -> TLSServerContext { try TLSServerContext(options, tickets: keys) }

    /// Makes `name.pem` and `name.key`: a client's, of `issuer`.
    @discardableResult
    func client(_ name: String, subject: String = "/CN=alice", issuer: String = "ca", days: String = "10", _ extensions: String...) throws
      -> TLSServerOptions.Certificate
    {
      let path = certificates.path
      var arguments = ["req", "-x509", "-CA", path("\(issuer).pem"), "-CAkey", path("\(issuer).key"), "-nodes", "-days", days]
      arguments += [
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-utf8", "-subj", subject, "-addext", "basicConstraints=CA:FALSE",
      ]
      for word in extensions { arguments += ["-addext", word] }
      try certificates.openssl(arguments + ["-keyout", path("\(name).key"), "-out", path("\(name).pem")])
      return certificates.certificate(name)
    }

    func authority(_ name: String, issuer: String? = nil) throws {
      let path = certificates.path
      var arguments = [
        "req", "-x509", "-nodes", "-days", "10", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=Authority \(name)",
      ]
      if let issuer { arguments += ["-CA", path("\(issuer).pem"), "-CAkey", path("\(issuer).key")] }
      try certificates.openssl(arguments + ["-keyout", path("\(name).key"), "-out", path("\(name).pem")])
    }

    /// The authority's list, on which `revoked` stand, as `name`. `days` may have passed.
    func revoke(_ revoked: [String], by authority: String = "ca", lasting days: String = "2", as name: String) throws -> String {
      let path = certificates.path
      let configuration = "[ca]\ndefault_ca=d\n[d]\ndatabase=\(path("index"))\ndefault_md=sha256\ncrlnumber=\(path("number"))\n"
      try configuration.write(toFile: path("ca.cnf"), atomically: false, encoding: .utf8)
      try "".write(toFile: path("index"), atomically: false, encoding: .utf8)
      try "01\n".write(toFile: path("number"), atomically: false, encoding: .utf8)
      let signer = ["ca", "-config", path("ca.cnf"), "-keyfile", path("\(authority).key"), "-cert", path("\(authority).pem")]
      for name in revoked { try certificates.openssl(signer + ["-revoke", path("\(name).pem")]) }
      let times =
        days.hasPrefix("-") ? ["-crl_lastupdate", "20250101000000Z", "-crl_nextupdate", "20250102000000Z"] : ["-crldays", days]
      try certificates.openssl(signer + ["-gencrl", "-out", path(name)] + times)
      return path(name)
    }
  }

  private func outcome(_ context: TLSServerContext, _ certificate: TLSServerOptions.Certificate?, _ version: Int32 = TLS1_3_VERSION) throws
    -> String
  {
    let pair = try TLSPair(context, ClientOptions(serverName: "a.test", highest: version, certificate: certificate))
    switch pair.outcome {
    case .done: break
    case .failed(let failure): return failure.text
    default: return "\(pair.outcome)"
    }
    switch pair.shown() {
    case .absent: return "none"
    case .verified(let certificate): return String(decoding: certificate.subject, as: UTF8.self)
    case .unusable(let reason): return "unusable: \(reason)"
    }
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION]) func onlyWhomTheAuthoritySignedIsLetIn(_ version: Int32) throws {
    let scene = try Scene()
    try scene.authority("other")
    let good = try scene.client("good", subject: "/O=Example/CN=alice")
    for mode in [TLSServerOptions.ClientCertificates.Mode.required, .optional] {
      scene.options.clientCertificates?.mode = mode
      let context = try scene.context()
      #expect(try outcome(context, good, version) == "CN=alice,O=Example")
      #expect(
        try outcome(context, scene.client("stranger", issuer: "other"), version).hasPrefix(
          "its certificate is refused: unable to get local issuer"))
      #expect(
        try outcome(context, scene.client("forServers", "extendedKeyUsage=serverAuth"), version).hasPrefix("its certificate is refused: "))
      #expect(try outcome(context, scene.client("forClients", "extendedKeyUsage=clientAuth"), version) == "CN=alice")
      let none = try outcome(context, nil, version)
      #expect(mode == .required ? none == "peer did not return a certificate" : none == "none")
    }
  }

  @Test func whoIsSignedByTheServersOwnAuthorityIsNotLetInForThat() throws {
    let scene = try Scene()
    try scene.authority("clients")
    scene.options.clientCertificates?.authorityPath = scene.certificates.path("clients.pem")
    let context = try scene.context()
    #expect(try outcome(context, scene.client("a", issuer: "clients")) == "CN=alice")
    #expect(try outcome(context, scene.client("b", issuer: "ca")).hasPrefix("its certificate is refused"))
  }

  @Test func aMiddleAuthorityMayBeTheOneThatIsTrusted() throws {
    let scene = try Scene()
    try scene.authority("middle", issuer: "ca")
    try scene.authority("sibling", issuer: "ca")
    scene.options.clientCertificates?.authorityPath = scene.certificates.path("middle.pem")
    #expect(try outcome(scene.context(), scene.client("a", issuer: "middle")) == "CN=alice")
    #expect(try outcome(scene.context(), scene.client("b", issuer: "sibling")).hasPrefix("its certificate is refused"))
    #expect(try outcome(scene.context(), scene.client("c", issuer: "ca")).hasPrefix("its certificate is refused"))
    // With revocations it needs its own list, and none of who signed it.
    scene.options.clientCertificates?.revocationPath = try scene.revoke([], by: "middle", as: "middle.crl")
    #expect(try outcome(scene.context(), scene.certificates.certificate("a")) == "CN=alice")
  }

  @Test func theDepthIsKept() throws {
    let scene = try Scene()
    try scene.authority("middle", issuer: "ca")
    _ = try scene.client("leaf", issuer: "middle")
    try scene.certificates.join("leaf", "middle", as: "chain")
    let chain = TLSServerOptions.Certificate(chainPath: scene.certificates.path("chain.pem"), keyPath: scene.certificates.path("leaf.key"))
    #expect(try outcome(scene.context(), chain) == "CN=alice")
    scene.options.clientCertificates?.depth = 0
    #expect(try outcome(scene.context(), chain).hasPrefix("its certificate is refused"))
  }

  @Test func whoWasRevokedIsNotLetIn() throws {
    let scene = try Scene(.optional)
    let (good, bad) = (try scene.client("good"), try scene.client("bad"))
    #expect(try outcome(scene.context(), bad) == "CN=alice")
    scene.options.clientCertificates?.revocationPath = try scene.revoke(["bad"], as: "ca.crl")
    let context = try scene.context()
    #expect(!context.warnings.contains { $0.contains("ca.crl") })
    #expect(try outcome(context, good) == "CN=alice")
    #expect(try outcome(context, bad) == "its certificate is refused: certificate revoked")
  }

  @Test func withoutRevocationsThatHoldNobodyIsLetIn() throws {
    let scene = try Scene(.optional)
    let good = try scene.client("good")
    scene.options.clientCertificates?.revocationPath = try scene.revoke([], lasting: "-1", as: "old.crl")
    let old = try scene.context()
    #expect(old.warnings.contains { $0.contains("old.crl: its nextUpdate has passed") } && old.expiryWarnings(at: .now()).count == 1)
    #expect(try outcome(old, good) == "its certificate is refused: CRL has expired")
    #expect(try outcome(old, nil) == "none")
    // A list of somebody else's.
    try scene.authority("other")
    scene.options.clientCertificates?.revocationPath = try scene.revoke([], by: "other", as: "other.crl")
    let other = try scene.context()
    #expect(other.warnings.filter { $0.contains("other.crl") }.count == 2)
    #expect(try outcome(other, good) == "its certificate is refused: unable to get certificate CRL")
  }

  @Test func filesThatSayNothingAreRefusedAtTheStart() throws {
    let scene = try Scene()
    func problems(_ authority: String, _ revocations: String? = nil) -> String {
      scene.options.clientCertificates?.authorityPath = scene.certificates.path(authority)
      scene.options.clientCertificates?.revocationPath = revocations.map(scene.certificates.path)
      do {
        _ = try scene.context()
        return ""
      } catch {
        return "\(error)"
      }
    }
    try "".write(toFile: scene.certificates.path("empty"), atomically: false, encoding: .utf8)
    let whole = try String(contentsOfFile: scene.certificates.path("ca.pem"), encoding: .utf8)
    try (whole + whole.prefix(200)).write(toFile: scene.certificates.path("cut"), atomically: false, encoding: .utf8)
    #expect(problems("missing").contains("missing: "))
    #expect(problems("empty").contains("there is no certificate in it"))
    #expect(problems("cut").contains("certificate 2 in it is damaged, or cut short"))
    #expect(problems("server.pem").contains("certificate 1 in it is no authority's"))
    #expect(problems("ca.pem", "empty").contains("there is no list of revocations in it"))
    #expect(problems("ca.pem", "ca.pem").contains("there is no list of revocations in it"))
    #expect(problems("ca.pem", "missing").contains("missing: "))
    #expect(problems("ca.pem").isEmpty)
  }

  // MARK: Sessions

  private func session(_ context: TLSServerContext, _ certificate: TLSServerOptions.Certificate?, _ version: Int32) throws -> ClientSession
  {
    let pair = try TLSPair(context, ClientOptions(serverName: "a.test", highest: version, certificate: certificate))
    #expect(pair.outcome == .done)
    #expect(pair.server.write([1].span) == .bytes(1))
    #expect(pair.client.read() == [1])
    return pair.client.session
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION]) func aSessionOutlivesNoChangeOfWhoIsAccepted(_ version: Int32) throws {
    let scene = try Scene(.optional)
    try scene.authority("other")
    let good = try scene.client("good")
    func resumed(_ session: ClientSession, at now: Timestamp = .now()) throws -> String {
      let pair = try TLSPair(scene.context(), ClientOptions(serverName: "a.test", highest: version, session: session))
      #expect(pair.outcome == .done)
      guard pair.client.isResumed else { return "not resumed" }
      switch pair.shown(at: now) {
      case .verified(let certificate): return String(decoding: certificate.subject, as: UTF8.self)
      case .absent: return "none"
      case .unusable(let reason): return reason
      }
    }
    let before = scene.options.clientCertificates
    #expect(try resumed(session(scene.context(), good, version)) == "CN=alice")
    #expect(try resumed(session(scene.context(), nil, version)) == "none")
    // What stood in a ticket is looked at again.
    #expect(
      try resumed(session(scene.context(), good, version), at: Timestamp(seconds: Timestamp.now().seconds + 11 * 86_400)).contains(
        "expired"))

    let old = try session(scene.context(), good, version)
    scene.options.clientCertificates?.authorityPath = scene.certificates.path("other.pem")
    #expect(try resumed(old) == "not resumed")
    scene.options.clientCertificates = before
    #expect(try resumed(session(scene.context(), good, version)) == "CN=alice")
    // The same file with something else in it.
    let late = try session(scene.context(), good, version)
    try scene.certificates.join("ca", "other", as: "both")
    let both = try String(contentsOfFile: scene.certificates.path("both.pem"), encoding: .utf8)
    try both.write(toFile: scene.certificates.path("ca.pem"), atomically: false, encoding: .utf8)
    #expect(try resumed(late) == "not resumed")
    let last = try session(scene.context(), good, version)
    scene.options.clientCertificates?.mode = .required
    let pair = try TLSPair(scene.context(), ClientOptions(serverName: "a.test", highest: version, session: last))
    #expect(pair.outcome != .done, "nor where one is required now")
    // And none of a listener that asked for nothing.
    scene.options.clientCertificates = nil
    let plain = try session(scene.context(), nil, version)
    scene.options.clientCertificates = before
    #expect(try resumed(plain) == "not resumed")
  }

  // MARK: What is read of one

  @Test func everythingIsReadWhole() throws {
    let scene = try Scene()
    let certificate = try scene.client(
      "all", subject: "/C=AT/O=Ex, Ltd./CN=Zoë",
      "subjectAltName=email:a@example.com,DNS:Host.Example.com,URI:spiffe://e/u,email:b@example.com,IP:127.0.0.1")
    let pair = try TLSPair(scene.context(), ClientOptions(certificate: certificate))
    guard case .verified(let shown) = pair.shown() else {
      Issue.record("\(pair.outcome)")
      return
    }
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    #expect(text(shown.subject) == "CN=Zo\\C3\\AB,O=Ex\\, Ltd.,C=AT")
    #expect(shown.commonNames.map(text) == ["Zoë"] && shown.emails.map(text) == ["a@example.com", "b@example.com"])
    #expect(shown.dnsNames.map(text) == ["host.example.com"] && shown.uris.map(text) == ["spiffe://e/u"])
    let said = try scene.certificates.openssl("x509", "-in", certificate.chainPath, "-noout", "-serial", "-fingerprint", "-sha256")
    #expect(said.contains("serial=" + text(shown.serial)))
    #expect(said.replacing(":", with: "").lowercased().contains(text(shown.fingerprint)))
    #expect(shown.fingerprint.count == 64 && shown.policy.count == 32)
  }

  @Test func severalCommonNamesAreSeveral() throws {
    let scene = try Scene()
    let certificate = try scene.client("two", subject: "/CN=alice/CN=bob")
    let pair = try TLSPair(scene.context(), ClientOptions(certificate: certificate))
    guard case .verified(let shown) = pair.shown() else {
      Issue.record("\(pair.outcome)")
      return
    }
    #expect(shown.commonNames.count == 2)
  }

  private func frame(_ kind: Character, _ value: [UInt8]) -> [UInt8] {
    [
      kind.asciiValue ?? 0, UInt8(value.count >> 24 & 0xFF), UInt8(value.count >> 16 & 0xFF), UInt8(value.count >> 8 & 0xFF),
      UInt8(value.count & 0xFF),
    ] + value
  }

  /// A CN `admin\0.evil.test` must not be `admin`.
  @Test func whatCannotBeTakenWholeIsNotTaken() {
    func fault(_ frames: [UInt8]) -> String? {
      var values = CertificateValues()
      return values.read(frames)
    }
    for kind in "cedu" {
      #expect(fault(frame(kind, Array("admin\u{0}.evil.test".utf8)))?.contains("NUL") == true)
      for bad in [[], [0x61, 0x0A], [0x61, 0x7F], [0xC3], [0xFF, 0x61], [0xC0, 0x80], [UInt8](repeating: 0x61, count: 1025)] {
        #expect(fault(frame(kind, bad)) != nil, "\(kind) \(bad.prefix(8))")
      }
      #expect(fault(frame(kind, [UInt8](repeating: 0x61, count: 1024))) == nil)
      #expect((fault(frame(kind, Array("ü".utf8))) == nil) == (kind == "c"))
    }
    #expect(
      fault(frame("s", [UInt8](repeating: 0x61, count: 2049))) != nil && fault(frame("s", [0x0A])) != nil && fault(frame("s", [])) == nil)
    #expect(fault(frame("?", [0x61])) != nil)
    #expect(fault((0..<101).flatMap { _ in frame("e", [0x61]) }) != nil)
    let whole = frame("c", [0x61, 0x62])
    for n in 1..<whole.count { #expect(fault(Array(whole[..<n])) != nil) }
  }
}
