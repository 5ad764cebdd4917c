// Who stands in front, and whose certificates are accepted: what is read, and what is refused.

import Auth
import Net
import Proxy
import Testing

@testable import Config

@Suite struct OriginTests {
  private static let rest = "\nupstream u { server http://a }\nroute / { upstream u; require nobody }\n"

  private func read(_ text: String) -> (settings: Settings?, complaints: [String]) {
    let configuration = Configuration.load(text: text + Self.rest, name: "t.conf", environment: { _ in nil })
    return (configuration.settings, configuration.diagnostics.all.map(complaint))
  }

  @Test(arguments: [("required", ProxyProtocolPolicy.required), ("optional", .optional), ("off", .off)])
  func proxyProtocolArrives(_ word: String, _ policy: ProxyProtocolPolicy) {
    let found = read("listen 127.0.0.1:1 { proxy_protocol \(word) }\ntrusted_proxies 10.0.0.1")
    #expect(found.complaints == [] && found.settings?.listeners[0].proxyProtocol == policy)
  }

  @Test func aHeaderThatNobodyMayWriteIsRefused() {
    let words = "1:37: PROXY headers are believed of trusted proxies alone, and there are none"
    #expect(read("listen 127.0.0.1:1 { proxy_protocol required }").complaints == [words])
    #expect(read("listen 127.0.0.1:1 { proxy_protocol optional }").complaints == [words])
    #expect(read("listen 127.0.0.1:1 { proxy_protocol off }").complaints == [])
    #expect(
      read("listen 127.0.0.1:1 { proxy_protocol on }\ntrusted_proxies ::1").complaints == [
        "1:37: 'on' is none of 'required', 'optional', 'off'"
      ])
  }

  @Test func oneFieldNamesTheClient() {
    #expect(read("listen 127.0.0.1:1").settings?.forwarding.originField == .xForwardedFor)
    #expect(read("listen 127.0.0.1:1\nclient_address forwarded").settings?.forwarding.originField == .forwarded)
    #expect(
      read("listen 127.0.0.1:1\nclient_address x-real-ip").complaints == ["2:16: 'x-real-ip' is none of 'x-forwarded-for', 'forwarded'"])
  }

  // MARK: Certificates

  private func clients(_ block: String, more: String = "") throws -> (settings: Settings?, complaints: [String]) {
    let scratch = try Scratch()
    try SampleCertificate.write(to: scratch)
    let text =
      "listen 127.0.0.1:1 tls { certificate fullchain.pem; key privkey.pem\nclient_certificates {\n\(block)\n} }\n" + more + Self.rest
    let path = try scratch.write("tls/t.conf", text)
    let configuration = Configuration.load(path: path, environment: { _ in nil })
    let prefix = scratch.path + "/tls/"
    return (configuration.settings, configuration.diagnostics.all.map { complaint($0).replacing(prefix, with: "") })
  }

  @Test func everythingAboutCertificatesArrives() throws {
    let found = try clients("ca clients.pem; crl clients.crl; mode optional; depth 0; user_from san email *@example.com")
    #expect(found.complaints == [])
    let options = try #require(found.settings?.listeners[0].tls?.clientCertificates)
    #expect(options.authorityPath.hasSuffix("/clients.pem") && options.revocationPath?.hasSuffix("/clients.crl") == true)
    #expect(options.mode == .optional && options.depth == 0)
    #expect(found.settings?.listeners[0].certificateUsers == CertificatePattern(.email, Array("*@example.com".utf8)))
    let plain = try clients("ca clients.pem")
    #expect(plain.complaints == [] && plain.settings?.listeners[0].tls?.clientCertificates?.mode == .required)
    #expect(plain.settings?.listeners[0].certificateUsers == nil)
    #expect(try clients("ca clients.pem; user_from cn").settings?.listeners[0].certificateUsers == CertificatePattern(.commonName))
  }

  @Test(arguments: [
    ("", "2:1: it is not said whose certificates are accepted"),
    ("mode optional", "2:1: it is not said whose certificates are accepted"),
    ("ca missing.pem", "3:4: 'missing.pem' can't be read: there is no such file"),
    ("ca fullchain.ocsp", "3:4: fullchain.ocsp: there is no certificate in it: PEM is wanted, which begins with -----BEGIN CERTIFICATE-----"),
    (
      "ca clients.pem; crl clients.pem",
      "3:4: clients.pem: there is no list of revocations in it: PEM is wanted, which begins with -----BEGIN X509 CRL-----"
    ),
    ("ca clients.pem; mode maybe", "3:22: 'maybe' is none of 'require', 'optional'"),
    ("ca clients.pem; user_from name", "3:27: 'name' is none of 'subject', 'cn', 'san'"),
    ("ca clients.pem; user_from san", "3:27: which of the alternative names is meant?"),
    ("ca clients.pem; user_from san ip", "3:31: 'ip' is none of 'email', 'dns', 'uri'"),
    ("ca clients.pem; user_from cn a*b*", "3:30: 'a*b*' can't be compared: one '*' may stand in it, and something has to"),
    ("ca clients.pem; user_from cn a b", "3:32: a user's name stands in one place"),
  ])
  func aMistakeIsSaidOnce(_ block: String, _ expected: String) throws {
    #expect(try clients(block).complaints == [expected])
  }

  @Test func certificatesNeedTLS() {
    let found = read("listen 127.0.0.1:1 { client_certificates { mode optional } }")
    #expect(found.complaints.first == "1:22: this listener does not speak TLS")
  }

  @Test func rulesAboutCertificatesArrive() throws {
    func term(_ words: String) throws -> Requirement? {
      try clients("ca clients.pem", more: "upstream v { server http://b }\nroute /x { upstream v; require certificate \(words) }").settings?
        .routes[0].requirement
    }
    func pattern(_ field: CertificatePattern.Field, _ text: String) throws -> CertificatePattern {
      try #require(CertificatePattern(field, Array(text.utf8)))
    }
    #expect(try term("") == Requirement(oneOf: [.term(.certificate([]))]))
    #expect(try term("cn a b*") == Requirement(oneOf: [.term(.certificate([pattern(.commonName, "a"), pattern(.commonName, "b*")]))]))
    #expect(try term("subject \"CN=a,O=b c\"") == Requirement(oneOf: [.term(.certificate([pattern(.subject, "CN=a,O=b c")]))]))
    #expect(try term("san uri spiffe://a/*") == Requirement(oneOf: [.term(.certificate([pattern(.uri, "spiffe://a/*")]))]))
    let print = String(repeating: "aB", count: 32)
    #expect(try term("fingerprint \(print)") == Requirement(oneOf: [.term(.certificate([pattern(.fingerprint, print)]))]))
    for words in ["cn", "san", "san email", "fingerprint aa:bb", "fingerprint aabb", "san ip 1", "cn a**"] {
      #expect(try term(words) == nil, "\(words)")
    }
  }

  @Test func certificatesThatNobodyIsAskedForAreAWarning() {
    let found = read("listen 127.0.0.1:1\nupstream v { server http://b }\nroute /x { upstream v; require certificate }")
    #expect(found.complaints == ["3:32: warning: no listener asks clients for certificates, so that none has one"])
  }
}
