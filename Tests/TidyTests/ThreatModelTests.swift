// docs/THREAT-MODEL.md names a test for each promise: each has to exist, and each attack that is tested has to stand on the page.

import Testing

@Suite struct ThreatModel {
  /// Names of test functions, by file.
  private static func tests(in folder: String) throws -> [String: [String]] {
    var found: [String: [String]] = [:]
    for path in Repository.files(in: folder) {
      let lines = try SourceText(path).code
      for (i, line) in lines.enumerated() where line.contains("func ") {
        // The attribute may have arguments on lines of their own; an empty line, or a function before, ends it.
        var first = i
        while first > 0, !lines[first].contains("@Test"), !lines[first - 1].contains("func "),
          lines[first - 1].contains(where: { $0 != " " })
        {
          first -= 1
        }
        guard lines[first].contains("@Test"), let name = line.components(after: "func ") else { continue }
        found[path, default: []].append(name)
      }
    }
    return found
  }

  /// Words in backquotes that look like a test's name: lower case first, long, nothing but letters and digits.
  private static func namesOnThePage() throws -> Set<String> {
    let parts = try Repository.text("docs/THREAT-MODEL.md").split(separator: "`", omittingEmptySubsequences: false)
    let quoted = parts.enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
    return Set(
      quoted.filter {
        $0.count >= 12 && $0.first?.isLowercase == true && $0.allSatisfy { $0.isLetter || $0.isNumber } && $0.contains { $0.isUppercase }
      })
  }

  @Test func everyTestThatThePageNamesExists() throws {
    let existing = Set(try Self.tests(in: "Tests").values.joined())
    let named = try Self.namesOnThePage()
    #expect(named.count > 40)
    for name in named.sorted() where !existing.contains(name) {
      Issue.record("docs/THREAT-MODEL.md names a test that is not there: \(name)")
    }
  }

  @Test func everyAttackThatIsTestedStandsOnThePage() throws {
    let named = try Self.namesOnThePage()
    let suites = [
      "HopFields", "EjectedByClients",
      "RequestFraming", "Path", "Rewriting", "WebDAV", "Identity", "Credentials", "UpstreamFaults", "UserFileKill", "Registration", "RegistrationDurability",
      "TokenEndpoint", "APIKey", "SignedTokens", "TokenFileKill", "ForeignTokens", "Lockout", "ForwardAuth", "FrontServer", "Rules",
      "Browser", "Tunnel",
      "Ticket", "HTTP2Tunnel", "HTTP2TunnelLives", "HTTP2Attack", "HTTP2Flood", "HTTP2Bodies", "HTTP2Readers", "HTTP2Waiting",
      "ProxyProtocol", "TrustedProxies", "ClientCertificate", "NamedClients", "CertificateRulesOfNow", "CertificateOwners", "HTTPSBehindProxies",
      "FileServer", "ReloadsMeanwhile", "TrustByReload", "RouteAnswers", "ServedFiles", "Bounds", "UploadBounds", "SlowNames", "CertificatesAskedLater",
      "LoggingIn", "DigestUpstream", "NTLMUpstream", "SigV4Upstream", "AssertJWT",
    ]
    for (path, names) in try Self.tests(in: "Tests/EndToEndTests") where suites.contains(where: { path.hasSuffix("/\($0)Tests.swift") }) {
      for name in names.sorted() where !named.contains(name) { Issue.record("\(path): \(name) is not in docs/THREAT-MODEL.md") }
    }
  }
}

extension String {
  /// The identifier that follows `marker`.
  fileprivate func components(after marker: String) -> String? {
    guard let range = firstRange(of: marker) else { return nil }
    return String(self[range.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "_" })
  }
}
