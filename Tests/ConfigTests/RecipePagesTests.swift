// docs/recipes as an operator meets them: what a page tells him to paste, below the first lines that their index shows, is a configuration that `gatehouse
// check` has nothing to say about. What the examples do is shown by the end-to-end tests of their subjects.

import Foundation
import Testing

@testable import Config

@Suite struct RecipePagesTests {
  private static let root = Path.folder(of: Path.folder(of: Path.folder(of: #filePath)))

  private static func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(name)")), as: UTF8.self)
  }

  /// Without their folder and `.md`.
  static let pages: [String] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/docs/recipes")) ?? []
    return files.filter { $0.hasSuffix(".md") && $0 != "README.md" }.map { String($0.dropLast(3)) }.sorted()
  }()

  private static func blocks(_ page: String) throws -> [Substring] {
    try text("docs/recipes/\(page).md").split(separator: "```conf\n", omittingEmptySubsequences: false).dropFirst().map { part in
      part[..<(part.firstRange(of: "\n```")?.lowerBound ?? part.endIndex)]
    }
  }

  /// What the pages take for granted, below which their blocks stand.
  private static func firstLines() throws -> String { String(try #require(try blocks("README").first)) }

  /// A folder with the files that the pages name; absolute paths lead into it too.
  private static func place() throws -> Scratch {
    let scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=:groups=staff admin writers\n", mode: 0o600)
    try SampleCertificate.write(to: scratch)
    let (certificate, key) = (SampleCertificate.certificate, SampleCertificate.key)
    for name in ["fullchain.pem", "gate.pem", "erp-ca.pem", "ftp-ca.pem", "ldap-ca.pem"] { try scratch.write(name, certificate, mode: 0o644) }
    for name in ["privkey.pem", "gate.key"] { try scratch.write(name, key, mode: 0o600) }
    for name in ["legacy", "camera", "svc", "ftp", "ldap", "proxy"] { try scratch.write("\(name).password", "a secret\n", mode: 0o600) }
    for name in ["billing", "store"] { try scratch.write("\(name).secret", "a secret\n", mode: 0o600) }
    for name in ["legacy", "corp"] { try scratch.write("\(name).accounts", "alice alice.there secret\n", mode: 0o600) }
    try scratch.write("assertion.key", Minimal.signingKey, mode: 0o600)
    try scratch.write("gateway.keytab", Minimal.keytab("gateway", of: "EXAMPLE.COM"), mode: 0o600)
    try scratch.write("ssh/known_hosts", "10.0.0.5 ssh-ed25519 AAAA\n")
    try scratch.write("ssh/archive.key", "x", mode: 0o600)
    for name in ["shop-closed.html", "etc/gatehouse/closed.html", "etc/gatehouse/trouble.html", "srv/landing/index.html", "srv/share/a.txt"] {
      try scratch.write(name, "<p>x</p>\n", mode: 0o644)
    }
    return scratch
  }

  private static func complaints(_ text: String) throws -> String {
    let scratch = try place()
    var text = text
    for (before, folder) in [(" ", "/etc/gatehouse/"), (" ", "/srv/"), ("file://", "/srv/")] {
      text = text.replacing(before + folder, with: before + scratch.path + folder)
    }
    let configuration = Configuration.load(path: try scratch.write("proxy.conf", text, mode: 0o600), environment: { _ in nil })
    #expect(configuration.settings != nil || configuration.diagnostics.hasErrors)
    return configuration.diagnostics.rendered
  }

  @Test(arguments: pages) func whatIsPastedIsWithoutComplaint(_ page: String) throws {
    let blocks = try Self.blocks(page)
    #expect(!blocks.isEmpty, "nothing to paste")
    for block in blocks {
      let said = try Self.complaints("\(try Self.firstLines())\n\n\(block)\n")
      if page == "old-tls" {
        // As its page says.
        #expect(said.components(separatedBy: "warning: ").count == 2 && said.contains("TLS this old can be broken") && !said.contains("error: "), "\(said)")
      } else {
        #expect(said.isEmpty, "\(page):\n\(block)\n\(said)")
      }
    }
  }

  @Test func theFirstLinesAloneAreWithoutComplaint() throws {
    #expect(try Self.complaints("\(try Self.firstLines())\nroute / { respond 204; require valid-user }\n") == "")
    // README.md's are these, and a service.
    let readme = try Self.text("README.md").split(separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(readme.firstIndex { $0.hasSuffix("make a `proxy.conf`:") })
    let lines = readme[(begin + 1)...].prefix { $0.isEmpty || $0.hasPrefix("    ") }.map { $0.dropFirst(4) }
    #expect(try Self.complaints(lines.joined(separator: "\n")) == "")
  }

  @Test func theIndexHasEachPageOnce() throws {
    let index = try Self.text("docs/recipes/README.md")
    let listed = index.split(separator: "\n").compactMap { line -> Substring? in
      guard line.hasPrefix("- ["), let begin = line.firstRange(of: "](")?.upperBound else { return nil }
      return line[begin...].prefix { $0 != "." }
    }
    #expect(listed.map(String.init).sorted() == Self.pages, "what has no page, or stands there twice")
  }

  /// How to try it, and what to watch.
  @Test(arguments: pages) func aPageSaysHowToTryItAndWhatToWatch(_ page: String) throws {
    let text = try Self.text("docs/recipes/\(page).md")
    #expect(text.hasPrefix("# ") && text.contains("curl "), "\(page)")
    #expect(["What to watch", "To watch for"].contains { text.contains($0) }, "\(page)")
  }
}
