// The table, the example and the page in docs say the same.

import FoundationEssentials
import Primitives
import Proxy
import Testing

@testable import Config

@Suite struct ReferenceTests {
  private static let root = Path.folder(of: Path.folder(of: Path.folder(of: #filePath)))

  private static func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(name)")), as: UTF8.self)
  }

  /// To write the page anew: GATEHOUSE_WRITE_DOCS=1 swift test --filter ReferenceTests
  @Test func pageEqualsTable() throws {
    let page = try Self.text("docs/CONFIGURATION.md")
    let begin = try #require(page.firstRange(of: Reference.begin + "\n"))
    let end = try #require(page.firstRange(of: Reference.end))
    if ProcessInfo.processInfo.environment["GATEHOUSE_WRITE_DOCS"] != nil {
      let written = page[..<begin.upperBound] + Reference.markdown + page[end.lowerBound...]
      try Data(written.utf8).write(to: URL(fileURLWithPath: "\(Self.root)/docs/CONFIGURATION.md"))
      return
    }
    #expect(String(page[begin.upperBound..<end.lowerBound]) == Reference.markdown)
  }

  /// The example in a folder with the files that it names.
  static func loadExample() throws -> (Configuration, Scratch) {
    let scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=:groups=admin\n")
    try scratch.write("groups", "guests: alice\n")
    for name in ["ca.pem", "client.pem"] { try scratch.write("tls/\(name)", SampleCertificate.certificate) }
    try scratch.write("tls/client.key", SampleCertificate.key)
    try scratch.write("tls/proxy.password", "x")
    try SampleCertificate.write(to: scratch)
    // RFC 7515 appendix A.3.
    let point = #""x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#
    try scratch.write("keys/login.jwks", #"{"keys":[{"kty":"EC","crv":"P-256","kid":"a",\#(point)}]}"#)
    try scratch.write("keys/shared.secret", String(repeating: "s", count: 32) + "\n")
    try scratch.write("passwords.txt", "password\n")
    for name in ["pages/sorry.html", "pages/later.html", "site/welcome/index.html"] { try scratch.write(name, "<p>x</p>\n") }
    try scratch.write("legacy.password", "secret\n")
    try scratch.write("legacy.accounts", "alice alice.there secret\n", mode: 0o600)
    try scratch.write("netrc", "machine 10.0.0.6 login svc password secret\n")
    try scratch.write("legacy.token", "secret\n")
    try scratch.write("gateway.keytab", Minimal.keytab("gateway", of: "EXAMPLE.COM"))
    try scratch.write("ssh/known_hosts", "archive.example.com ssh-ed25519 AAAA\n")
    try scratch.write("ssh/archive.key", "x")
    try scratch.write("ssh/scans.password", "secret\n")
    for name in ["archive.key", "scans.password"] {
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(scratch.path)/ssh/\(name)")
    }
    try scratch.write("assertion.key", Minimal.signingKey, mode: 0o600)
    let path = try scratch.write("proxy.conf", try text("proxy.conf.example"))
    return (Configuration.load(path: path, environment: { $0 == "UPSTREAM_TOKEN" ? "t0ken" : nil }), scratch)
  }

  @Test func exampleIsWithoutComplaint() throws {
    let (configuration, _) = try Self.loadExample()
    #expect(configuration.diagnostics.rendered == "")
    #expect(configuration.settings != nil)
  }

  @Test func everyDirectiveIsInTheExample() throws {
    var diagnostics = Diagnostics()
    let source = SourceFile(name: "proxy.conf.example", bytes: Array(try Self.text("proxy.conf.example").utf8))
    let directives = Parser.parse(source, environment: { _ in "" }, &diagnostics)
    var found: Set<String> = []
    func note(_ directives: [Directive], _ place: Place) {
      for directive in directives {
        found.insert("\(place) \(directive.name.text)")
        guard let block = directive.block else { continue }
        switch (place, directive.name.text) {
        case (.top, "upstream"): note(block.directives, .upstream)
        case (.upstream, "authenticate"): note(block.directives, .login)
        case (.upstream, "assert_jwt"): note(block.directives, .assertion)
        case (.upstream, "via"): note(block.directives, .via)
        case (.upstream, "login"): note(block.directives, .fileLogin)
        case (.upstream, "directory"): note(block.directives, .directory)
        case (.upstream, _): note(block.directives, .upstreamTLS)
        case (.listen, _): note(block.directives, .clientCertificates)
        case (.route, _), (.requirement, _): note(block.directives, .requirement)
        default: note(block.directives, Place(rawValue: directive.name.text) ?? .route)
        }
      }
    }
    note(directives, .top)
    for row in Table.rows {
      for place in row.places where row.name != "include" || place == .top {
        #expect(found.contains("\(place) \(row.name)"), "\(row.name) \(place.phrase)")
      }
    }
  }

  @Test func namesAreUniqueInTheirPlace() {
    var seen: Set<String> = []
    for row in Table.rows {
      for place in row.places { #expect(seen.insert("\(place) \(row.name)").inserted, "\(row.name)") }
    }
  }

  /// What `Limits` says of its numbers begins with the directive that sets them: that is how the complaint finds its line.
  @Test func limitsNameTheirDirectives() {
    var limits = Limits()
    limits.requestLine = 0
    limits.fieldBytes = 0
    limits.fieldCount = 0
    limits.keepAliveRequests = 0
    limits.connectionsPerWorker = 0
    limits.hashQueue = 0
    limits.hashThreads = 1000
    limits.headerTimeout = .seconds(0)
    limits.bodyTimeout = .seconds(0)
    limits.keepAliveTimeout = .seconds(0)
    limits.sendTimeout = .seconds(0)
    let contradictions = limits.contradictions()
    #expect(contradictions.count >= 11)
    for words in contradictions { #expect(Table.row(String(words.prefix { $0 != " " }), in: .top) != nil, "\(words)") }
  }

  @Test func documentationIsOneSentenceAndSpeaksOfTheRow() {
    for row in Table.rows {
      #expect(row.doc.hasSuffix(".") && !row.doc.dropLast().contains(". "), "\(row.name)")
      #expect(row.count.lowerBound <= row.count.upperBound)
    }
  }

  /// Writing a default must change nothing: this is what the column "default" promises.
  @Test(arguments: Table.rows.filter { $0.standard != nil }.map(\.name))
  func writtenDefaultEqualsOmission(_ name: String) throws {
    for row in Table.rows where row.name == name {
      guard let standard = row.standard else { continue }
      for place in row.places {
        let text = try #require(Minimal.text(adding: "\(name) \(standard)", in: place))
        let configuration = Configuration.load(text: text, name: "t.conf", environment: { _ in nil })
        #expect(configuration.diagnostics.rendered == "", "\(text)")
        let plain = Configuration.load(text: try #require(Minimal.text(adding: "", in: place)), name: "t.conf", environment: { _ in nil })
        #expect(String(describing: configuration.settings) == String(describing: plain.settings))
      }
    }
  }
}

/// The smallest config, with something added to it.
enum Minimal {
  private static let scratch = try? Scratch()
  private static let users = (try? scratch?.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")) ?? "users"
  /// Made for these tests alone.
  static let signingKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguv+yU22qQqtIZi0i
    yM6DGk2P7t9XUFeYGyTlpyUbRwKhRANCAARbjaoo8AADx86kZH5OOnfZgTOggTf9
    mdq4gbrVyQ6tqFe0cR6IXapdJMj/tYXsNuGDbNNFnNZ17ns0E4ug7grN
    -----END PRIVATE KEY-----

    """
  private static let key = (try? scratch?.write("assertion.key", signingKey, mode: 0o600)) ?? "key"
  private static let secret = (try? scratch?.write("secret", "secret\n")) ?? "secret"
  /// Written once: several tests read it at a time.
  private static let certificates: String? = {
    guard let scratch, (try? SampleCertificate.write(to: scratch)) != nil else { return nil }
    return "\(scratch.path)/tls"
  }()

  static func text(adding line: String, in place: Place) -> String? {
    func at(_ other: Place) -> String { other == place ? line : "" }
    let tokens = place == .tokens ? "tokens { keys /tmp/gatehouse-no-such.keys\n\(line)\n}" : ""
    let login = place == .login ? "authenticate bearer { token_file \(secret)\n \(line)\n}" : ""
    let assertion = place == .assertion ? "assert_jwt { key \(key)\n \(line)\n}" : ""
    let directory = place == .directory ? "/dc=x; directory { attributes cn\n\(line)\n}" : ""
    let tls = place == .upstreamTLS ? "tls { \(line)\n}" : ""
    // Where users register there has to be a file of them.
    let register = place == .register ? "users \(users)\nregister { \(line)\n}" : place == .login ? "users \(users)" : ""
    var clients = ""
    if place == .clientCertificates, let folder = certificates {
      clients = """
        listen 127.0.0.1:0 tls { certificate \(folder)/fullchain.pem; key \(folder)/privkey.pem
        client_certificates { ca \(folder)/clients.pem
        \(line)
        } }

        """
    }
    return """
      \(clients)listen 127.0.0.1:0
      \(at(.top))\(tokens)\(place == .lockout ? "lockout { \(line)\n}" : "")
      upstream u {
      server \(place == .upstreamTLS ? "https" : place == .directory ? "ldap" : "http")://127.0.0.1:9\(directory)
      \(at(.upstream))\(tls)\(login)\(assertion)
      }
      route / { upstream u; require \(place == .login ? "valid-user" : "nobody")
      \(at(.route))
      }
      \(register)
      """
  }
}
