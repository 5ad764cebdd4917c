// `require` and its blocks: what they come to, and what is refused because it can hardly be meant.

import Auth
import Net
import Primitives
import Proxy
import Testing

@testable import Config

@Suite struct RequireTests {
  private static let head = "listen 127.0.0.1:1; upstream u { server http://a }\n"

  /// The requirement of a route with these lines, and what was complained about.
  private func read(_ lines: String) throws -> (requirement: Requirement?, complaints: [String]) {
    let scratch = try Scratch()
    let users = try scratch.write("users", "a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:groups=g\nb:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:groups=h\n")
    let text = Self.head + "users \(users)\nroute / {\nupstream u\n\(lines)\n}\n"
    let configuration = Configuration.load(text: text, name: "t.conf", environment: { _ in nil })
    return (configuration.settings?.routes.first?.requirement, configuration.diagnostics.all.map(complaint))
  }

  private func range(_ text: String) throws -> AddressRange { try Network(parsing: text).range }

  @Test func linesBecomeATree() throws {
    let user = Requirement.Rule.term(.users([Array("a".utf8), Array("b".utf8)]))
    let from = Requirement.Rule.term(.from([try range("10.0.0.0/8"), try range("unix:")]))
    let notGroup = Requirement.Rule.term(.groups([Array("g".utf8)]), isNegated: true)
    let scope = Requirement.Rule.term(.scope([Array("read".utf8), Array("write".utf8)]))
    let table: [(String, [Requirement.Rule])] = [
      ("require nobody", [.term(.nobody)]),
      ("require valid-user", [.term(.validUser)]),
      ("require user a b", [user]),
      ("require not group g", [notGroup]),
      ("require scope read write", [scope]),
      ("require from 10.0.0.0/8 unix:", [from]),
      ("require user a b; require scope read write", [user, scope]),
      ("require all { user a b; not group g }", [.all([user, notGroup])]),
      ("require any { user a b; scope read write }", [.any([user, scope])]),
      (
        "require all {\nfrom 10.0.0.0/8 unix:\nany { user a b\nall { scope read write; not group g } }\n}",
        [.all([from, .any([user, .all([scope, notGroup])])])]
      ),
      ("require all { nobody; from 10.0.0.0/8 unix: }; require valid-user", [.all([.term(.nobody), from]), .term(.validUser)]),
    ]
    for (lines, rules) in table {
      let found = try read(lines)
      #expect(found.complaints == [] && found.requirement == Requirement(oneOf: rules), "\(lines): \(found)")
    }
  }

  @Test func whatCanHardlyBeMeantIsRefused() throws {
    let table = [
      ("require not nobody", "5:13: 'not nobody' would let no one in"),
      ("require not valid-user", "5:13: 'not valid-user' would let no one in"),
      ("require not", "5:9: 'not' lacks what it negates"),
      ("require not not user a", "5:13: 'not' is none of 'nobody', 'valid-user', 'user', 'group', 'from', 'scope', 'certificate'"),
      ("require not all { user a }", "5:17: 'not' takes no block"),
      ("require all", "5:9: 'all' needs a block"),
      ("require all user a", "5:13: 'all' takes a block, and nothing before it"),
      ("require user a { group g }", "5:16: 'user' takes no block"),
      ("require all { }", "5:1: this block asks for nothing"),
      ("require any { }", "5:1: this block asks for nothing"),
      ("require all { user a; nobody }", "5:1: this block asks for nobody in particular and for a user"),
      ("require all { nobody; not group g }", "5:1: this block asks for nobody in particular and for a user"),
      ("require any { user a; nobody }", "5:1: in this block one line leaves no meaning to the others"),
      ("require any { user a; valid-user }", "5:1: in this block one line leaves no meaning to the others"),
      ("require all { users a }", "5:15: 'users' can't stand in a block of 'require'"),
      ("require all { require user a }", "5:15: 'require' can't stand in a block of 'require'"),
      ("require all { user }", "5:15: 'user' lacks its argument"),
      ("require all { not }", "5:15: 'not' lacks its argument"),
      ("require from", "5:9: 'require from' takes one network at least"),
      ("require from 10.0.0.1/8", "5:14: '10.0.0.1/8' is no network: the address has bits beyond its prefix length"),
      ("require from localhost", "5:14: 'localhost' is no network: an address or a network is wanted, as in 10.0.0.0/8, ::1 or unix:"),
      ("require scope", "5:9: 'require scope' takes one word at least"),
      ("require scope \"a b\"", "5:15: \"a b\" can't be a word of a scope: it holds what RFC 6749 leaves out of them"),
      ("require nobody; require all { user a; from ::1 }", "5:17: this contradicts the 'require' before it"),
      ("user a", "5:1: 'user' can't stand in a 'route' block"),
    ]
    for (lines, complaint) in table {
      let found = try read(lines)
      #expect(found.requirement == nil && found.complaints.first == complaint, "\(lines): \(found.complaints)")
    }
  }

  /// Two lines are alternatives, so that a line about what must not be opens more than it shuts.
  @Test func aLineThatIsEnoughByItselfIsWarnedOf() throws {
    for (lines, warning) in [
      ("require user a; require not group g", "5:17: warning: this line is enough by itself: it lets in every user but those"),
      ("require from 10.0.0.0/8; require user a", "5:1: warning: this line is enough by itself: it lets in every user from there"),
    ] {
      let found = try read(lines)
      #expect(found.complaints == [warning] && found.requirement != nil, "\(found.complaints)")
    }
    for lines in [
      "require not group g", "require from ::1", "require all { user a; not group g }", "require user a; require all { not group g }",
    ] {
      #expect(try read(lines).complaints == [], "\(lines)")
    }
  }

  /// A certificate lets in who is no user: beside `valid-user` it has a meaning.
  @Test func aCertificateMayStandBesideUsers() throws {
    for lines in [
      "require certificate; require valid-user", "require valid-user; require certificate cn a", "require any { valid-user; certificate }",
      "require any { certificate cn a; valid-user }",
    ] {
      let found = try read(lines)
      #expect(
        found.requirement != nil && !found.complaints.contains { $0.contains("meaning") || $0.contains("contradicts") },
        "\(found.complaints)")
    }
    for (lines, complaint) in [
      ("require certificate; require nobody", "5:22: this contradicts the 'require' before it"),
      ("require any { nobody; certificate }", "5:1: in this block one line leaves no meaning to the others"),
    ] {
      #expect(try read(lines).complaints.first == complaint)
    }
  }

  @Test func aPublicNetworkWithATrustedProxyInItIsWarnedOf() {
    func complaints(_ network: String, _ proxies: String) -> [String] {
      let text = Self.head + "trusted_proxies \(proxies)\nroute / { upstream u; require all { nobody; from \(network) } }\n"
      return Configuration.load(text: text, name: "t.conf", environment: { _ in nil }).diagnostics.all.map(complaint)
    }
    for (network, proxies) in [
      ("10.0.0.0/8", "10.1.2.3"), ("10.1.2.3", "10.0.0.0/8"), ("unix:", "unix:"), ("::/0", "::1"), ("127.0.0.1", "127.0.0.1"),
    ] {
      #expect(complaints(network, proxies).first?.hasPrefix("3:23: warning: a trusted proxy (") == true, "\(network) \(proxies)")
    }
    for (network, proxies) in [("10.0.0.0/8", "11.0.0.1"), ("::/0", "10.0.0.1"), ("unix:", "10.0.0.1"), ("10.0.0.0/8", "unix:")] {
      #expect(complaints(network, proxies) == [], "\(network) \(proxies)")
    }
  }

  @Test func depthAndNumberAreBounded() throws {
    func nested(_ depth: Int) -> String {
      "require " + String(repeating: "all {\n", count: depth) + "user a\n" + String(repeating: "}\n", count: depth)
    }
    #expect(try read(nested(8)).complaints == [])
    #expect(try read(nested(9)).complaints.first?.hasSuffix("blocks of 'require' stand more than 8 deep in each other") == true)
    let many = (0..<600).map { _ in "require user a" }.joined(separator: "\n")
    #expect(try read(many).complaints == ["3:1: this route requires too much: at most 512 terms and blocks, 8 deep"])
  }

  @Test func namesInBlocksAreLookedFor() throws {
    let found = try read("require all { user a nemo; not group ghosts }")
    #expect(found.complaints == ["5:22: warning: the user file has no user 'nemo'", "5:38: warning: no user is in the group 'ghosts'"])
  }

  // MARK: Beside it

  @Test func theGroupFileIsReadWithTheUsers() throws {
    let scratch = try Scratch()
    let users = try scratch.write("users", "a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    func complaints(_ groups: String) throws -> [String] {
      let path = try scratch.write("groups", groups)
      let text = Self.head + "users \(users)\ngroups \(path)\nroute / { upstream u; require group staff }\n"
      let configuration = Configuration.load(text: text, name: "t.conf", environment: { _ in nil })
      return configuration.diagnostics.all.map { $0.line.replacing(scratch.path, with: "") }
    }
    #expect(try complaints("staff: a\n") == [])
    #expect(try complaints("staff: a\nother: a nemo\n") == ["/groups:2: the user file has no user 'nemo'"])
    #expect(try complaints("staff: a\n\nother a\n") == ["/groups:3: there is no colon between a group and its members"])
    #expect(try complaints("other: a\n") == ["t.conf:4:37: no user is in the group 'staff'"])
    #expect(
      try complaints("staff: a").first?.hasSuffix("the file is being written or was cut short (if it is whole, add the newline)") == true)
    let alone = Configuration.load(
      text: Self.head + "groups \(scratch.path)/groups\nroute / { upstream u; require nobody }", name: "t.conf", environment: { _ in nil })
    #expect(alone.diagnostics.hasErrors)
  }

  @Test func routesTakeWhatTheTopSaysUnlessTheySayOtherwise() throws {
    let text = """
      preflight pass
      route /b { upstream u; require nobody; preflight off; challenge basic }
      challenge silent-for-xhr
      route /a { upstream u; require nobody }
      """
    let configuration = Configuration.load(text: Self.head + text, name: "t.conf", environment: { _ in nil })
    let routes = try #require(configuration.settings, "\(configuration.diagnostics.rendered)").routes
    #expect(routes.map(\.passesPreflights) == [false, true])
    #expect(routes.map(\.isSilentForScripts) == [false, true])
    #expect(routes.map(\.place) == ["t.conf:3", "t.conf:5"])
    #expect(configuration.settings?.isSilentForScripts == true)
  }

  @Test func forwardAuthNeedsSomebodyWhoMayAsk() throws {
    func complaints(_ lines: String) -> [String] {
      Configuration.load(text: Self.head + "route / { upstream u; require nobody }\n" + lines, name: "t.conf", environment: { _ in nil })
        .diagnostics.all.map(complaint)
    }
    #expect(complaints("forward_auth /auth; trusted_proxies ::1") == [])
    #expect(complaints("forward_auth /auth") == ["3:14: nobody may ask here"])
    // Whoever is given a token there would be let through everywhere.
    #expect(
      complaints("trusted_proxies ::1; forward_auth /api/token; tokens { keys token.keys }").contains {
        $0.hasSuffix("is the path at which tokens are given out")
      })
    #expect(complaints("trusted_proxies ::1; forward_auth /api/token; tokens { keys token.keys; endpoint off }") == [])
    for path in ["auth", "/", "/a/../b", "/a?b", "/a;b", "/a%20b", "//a"] {
      #expect(complaints("trusted_proxies ::1; forward_auth \(path)").count == 1, "\(path)")
    }
    #expect(
      complaints("trusted_proxies ::1; forward_auth /auth; route = /auth { upstream u; require nobody }") == [
        "3:42: this route is never reached: 'forward_auth' at t.conf:3 has the same path"
      ])
  }
}
