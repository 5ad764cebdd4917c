// Files of an upstream's `tls { … }` that hold no certificate, or another's key: said when the configuration is read, and not by each request.

import Testing

@testable import Config

@Suite struct UpstreamTrustTests {
  private static let other = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGCmN8SyORBzlIxFI
    UlSLo4eaRFMxRp7dYkfDM3GeJ4ShRANCAAQL/KzSTXrCQ0eAwi4QetmfC1Iay/bC
    akSoN0GsOMLF8YOnhBrtyxlBYQBecdhu7uz+gwXTgXf6w7QCSJlX1fos
    -----END PRIVATE KEY-----

    """

  @Test(arguments: [
    ("tls { ca good.pem; client_certificate good.pem good.key }", ""), ("via https://p:1 { ca good.pem }", ""),
    ("tls { ca word.pem }", "2:43: word.pem: there is no certificate in it: PEM is wanted, which begins with -----BEGIN CERTIFICATE-----"),
    ("tls { ca empty.pem }", "2:43: empty.pem: there is no certificate in it: PEM is wanted, which begins with -----BEGIN CERTIFICATE-----"),
    ("tls { ca good.key }", "2:43: good.key: there is no certificate in it: PEM is wanted, which begins with -----BEGIN CERTIFICATE-----"),
    ("tls { ca cut.pem }", "2:43: cut.pem: certificate 1 in it is damaged, or cut short"),
    ("via https://p:1 { ca cut.pem }", "2:55: cut.pem: certificate 1 in it is damaged, or cut short"),
    ("tls { client_certificate cut.pem good.key }", "2:59: cut.pem: certificate 1 in it is damaged, or cut short"),
    (
      "tls { client_certificate good.pem word.pem }",
      "2:68: word.pem: there is no private key in it: PEM is wanted, which begins with -----BEGIN PRIVATE KEY-----"
    ),
    (
      "tls { client_certificate good.pem other.key }",
      "2:68: other.key: this key does not belong to the first certificate in good.pem: give the two that were made together"
    ),
  ])
  func whatCannotBeUsedIsSaidAtOnce(_ lines: String, _ expected: String) throws {
    let scratch = try Scratch()
    try scratch.write("users", "a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    for (name, text) in [
      ("good.pem", SampleCertificate.certificate), ("good.key", SampleCertificate.key), ("other.key", Self.other), ("word.pem", "x\n"), ("empty.pem", ""),
      ("cut.pem", String(SampleCertificate.certificate.prefix(300)) + "\n"),
    ] { try scratch.write(name, text) }
    let text = "listen unix:/x; users users\nupstream u { server https://a:1; \(lines) }\nroute / { upstream u; require valid-user }\n"
    let configuration = Configuration.load(path: try scratch.write("proxy.conf", text))
    let found = configuration.diagnostics.all.map { complaint($0).replacing(scratch.path + "/", with: "") }
    #expect(found == (expected.isEmpty ? [] : [expected]))
    #expect((configuration.settings == nil) == !expected.isEmpty)
  }
}
