// Certificates and what belongs to them, read from files: what is wrong is said before any client sees it.

import COpenSSL
import Glibc
import Primitives
import Testing

@testable import Net

@Suite struct TLSFilesTests {
  /// What is said of the options: problems, or warnings when there are none.
  private func said(_ options: TLSServerOptions, in days: Int64 = 0) -> [String] {
    do throws(TLSFault) {
      let now = Timestamp(seconds: Timestamp.now().seconds + days * 86_400)
      return try TLSServerContext(options, tickets: TicketKeys(), now: now).warnings
    } catch {
      return ["refused"] + error.problems
    }
  }

  @Test func aSelfSignedOneIsFineAndAnsweredFor() throws {
    let certificates = try Certificates()
    try certificates.openssl(
      "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=own.test/O=Gate \"house\"", "-keyout",
      certificates.path("own.key"),
      "-out", certificates.path("own.pem"))
    unsafe chmod(certificates.path("own.key"), 0o600)
    let context = try TLSServerContext(TLSServerOptions(certificates.certificate("own")), tickets: TicketKeys())
    #expect(context.warnings.isEmpty)
    let facts = try #require(context.certificates.first)
    #expect(facts.names == ["own.test"])
    #expect(facts.isSelfSigned)
    #expect(facts.key.text == "RSA, 2048 bits")
    #expect(facts.issuer.contains("CN=own.test"))
    #expect(facts.daysLeft(at: Timestamp.now().advanced(by: .seconds(60))) == 29)
    #expect(facts.daysLeft(at: facts.notAfter.advanced(by: .seconds(1))) == -1)
  }

  @Test func filesThatAreMissingOrNoneAreNamedAllAtOnce() throws {
    let certificates = try Certificates()
    write("nothing", to: certificates.path("empty.pem"))
    let options = TLSServerOptions(
      TLSServerOptions.Certificate(chainPath: certificates.path("none.pem"), keyPath: certificates.path("none.key")),
      TLSServerOptions.Certificate(chainPath: certificates.path("empty.pem"), keyPath: certificates.path("empty.pem")),
      TLSServerOptions.Certificate(chainPath: certificates.path(""), keyPath: "/dev/zero"))
    let problems = said(options)
    #expect(problems.count == 7)
    #expect(problems.contains("\(certificates.path("none.pem")): No such file or directory"))
    #expect(problems.contains { $0.hasPrefix("\(certificates.path("empty.pem")): there is no certificate in it") })
    #expect(problems.contains { $0.hasPrefix("\(certificates.path("empty.pem")): there is no private key in it") })
    #expect(problems.contains { $0.hasPrefix("/dev/zero: it is no regular file") })
  }

  @Test func aCutFileIsNotTakenForAShorterChain() throws {
    let certificates = try Certificates()
    var certificate = try certificates.sign("a", for: "a.test")
    try certificates.join("a", "ca", as: "chain")
    certificate.chainPath = certificates.path("chain.pem")
    #expect(said(TLSServerOptions(certificate)).isEmpty)
    let size = try FileStatus(path: certificate.chainPath).size
    unsafe truncate(certificate.chainPath, Int(size) - 30)
    #expect(said(TLSServerOptions(certificate)).last?.hasSuffix("certificate 2 in it is damaged, or cut short") == true)
  }

  @Test func aKeyOfAnotherCertificateIsRefused() throws {
    let certificates = try Certificates()
    var certificate = try certificates.sign("a", for: "a.test")
    certificate.keyPath = try certificates.sign("b", for: "a.test").keyPath
    #expect(said(TLSServerOptions(certificate)).last?.contains("b.key: this key does not belong to the certificate in") == true)
  }

  @Test func timesAreLookedAt() throws {
    let certificates = try Certificates()
    let options = TLSServerOptions(try certificates.sign("a", for: "a.test"))
    #expect(said(options, in: 99).first != "refused")
    #expect(said(options, in: 101).last?.contains("it expired at") == true)
    #expect(said(options, in: -1).last?.contains("it is valid from") == true)
  }

  @Test func chainsAreLookedAt() throws {
    let certificates = try Certificates()
    try certificates.sign("middle", for: "Middle", isAuthority: true)
    var certificate = try certificates.sign("a", for: "a.test", issuer: "middle")
    #expect(said(TLSServerOptions(certificate)).first?.contains("is not in the file and no authority of this machine's") == true)
    try certificates.join("a", "middle", as: "whole")
    certificate.chainPath = certificates.path("whole.pem")
    #expect(said(TLSServerOptions(certificate)).isEmpty)
    try certificates.join("middle", "a", as: "turned")
    certificate.chainPath = certificates.path("turned.pem")
    #expect(said(TLSServerOptions(certificate)).contains { $0.contains("the first certificate is not the server's own") })
    try certificates.join("a", "ca", as: "gap")
    certificate.chainPath = certificates.path("gap.pem")
    #expect(said(TLSServerOptions(certificate)).last?.contains("certificate 2 has not signed certificate 1") == true)
  }

  @Test func smallKeysAreForOldClientsAlone() throws {
    let certificates = try Certificates()
    let certificate = try certificates.sign("a", for: "a.test", kind: "rsa:1024")
    #expect(said(TLSServerOptions(certificate)).last?.contains("(RSA, 1024 bits) is too small for this profile") == true)
    let legacy = said(TLSServerOptions(certificate) { $0.profile = .legacy })
    #expect(legacy.first != "refused" && legacy.contains { $0.contains("is small") })
    let tiny = try certificates.sign("b", for: "a.test", kind: "rsa:512")
    #expect(said(TLSServerOptions(tiny) { $0.profile = .legacy }).last?.contains("is too small") == true)
  }

  @Test func keysThatOthersReadAreWarnedOf() throws {
    let certificates = try Certificates()
    let certificate = try certificates.sign("a", for: "a.test")
    unsafe chmod(certificate.keyPath, 0o644)
    #expect(said(TLSServerOptions(certificate)).contains { $0.contains("others on this machine may read this private key") })
  }

  @Test func encryptedKeysAreNotAskedFor() throws {
    let certificates = try Certificates()
    let certificate = try certificates.sign("a", for: "a.test")
    try certificates.openssl("pkey", "-in", certificate.keyPath, "-aes256", "-passout", "pass:x", "-out", certificates.path("locked.key"))
    unsafe chmod(certificates.path("locked.key"), 0o600)
    let options = TLSServerOptions(
      TLSServerOptions.Certificate(chainPath: certificate.chainPath, keyPath: certificates.path("locked.key")))
    #expect(said(options).last?.contains("the key is encrypted") == true)
  }

  @Test func unknownCiphersAreRefused() throws {
    let certificates = try Certificates()
    let certificate = try certificates.sign("a", for: "a.test")
    #expect(said(TLSServerOptions(certificate) { $0.ciphers = "NONE-SUCH" }).last?.contains("OpenSSL knows none of NONE-SUCH") == true)
    #expect(said(TLSServerOptions(certificate) { $0.ciphers = "TLS_NONE" }).last?.contains("OpenSSL knows none of TLS_NONE") == true)
  }

  // MARK: Stapling

  @Test func whatTheAuthoritySaysIsStapled() throws {
    let certificates = try Certificates()
    var certificate = try certificates.sign("a", for: "a.test")
    let other = try certificates.sign("b", for: "b.test")
    try certificates.join("a", "ca", as: "chain")
    certificate.chainPath = certificates.path("chain.pem")
    certificate.staplePath = try certificates.answer(about: "a", as: "a.ocsp")
    let context = try TLSServerContext(TLSServerOptions(certificate, other), tickets: TicketKeys())
    #expect(context.certificates.map(\.isStapled) == [true, false])
    let asked = try TLSPair(context, ClientOptions(serverName: "a.test", asksStatus: true))
    #expect(asked.client.staple?.first == 0x30)
    let older = try TLSPair(context, ClientOptions(serverName: "a.test", highest: TLS1_2_VERSION, asksStatus: true))
    #expect(older.client.staple == asked.client.staple)
    #expect(try TLSPair(context, ClientOptions(serverName: "b.test", asksStatus: true)).client.staple == nil)
    #expect(try TLSPair(context, ClientOptions(serverName: "a.test")).client.staple == nil)
  }

  @Test func anAnswerThatDoesNotFitIsNotStapled() throws {
    let certificates = try Certificates()
    var certificate = try certificates.sign("a", for: "a.test")
    try certificates.sign("b", for: "b.test")
    try certificates.join("a", "ca", as: "chain")
    certificate.chainPath = certificates.path("chain.pem")
    func said(_ path: String, in days: Int64 = 0) -> String? {
      certificate.staplePath = path
      return self.said(TLSServerOptions(certificate), in: days).last
    }
    let good = try certificates.answer(about: "a", as: "a.ocsp")
    #expect(said(good) == nil)
    #expect(said(good, in: 8)?.hasSuffix("it is too old (its nextUpdate has passed): fetch it anew; nothing is stapled") == true)
    #expect(
      said(try certificates.answer(about: "b", as: "b.ocsp"))?.hasSuffix("it is about another certificate; nothing is stapled") == true)
    #expect(said(try certificates.answer(about: "a", status: "R", as: "r.ocsp"))?.contains("was revoked; nothing") == true)
    #expect(said(certificate.chainPath)?.contains("it is no OCSP response") == true)
    #expect(said(certificates.path("none"))?.hasSuffix("No such file or directory; nothing is stapled") == true)
  }

  @Test func keysAreLoggedWhereThatIsAskedFor() throws {
    let certificates = try Certificates()
    let path = certificates.path("keys.log")
    let options = try TLSServerOptions(certificates.sign("a", for: "a.test")) { $0.keyLogPath = path }
    let context = try TLSServerContext(options, tickets: TicketKeys())
    #expect(context.warnings.contains { $0.hasPrefix("\(path): the keys of every connection are written there") })
    #expect(try TLSPair(context).outcome == .done)
    #expect(try certificates.openssl("version").isEmpty == false)
    let status = try FileStatus(path: path)
    #expect(status.permissions == 0o600)
    #expect(status.size > 100)
  }
}
