// What is refused, in which words, and that one mistake makes one complaint.

import Auth
import Proxy
import Testing

@testable import Config

@Suite struct ChecksTests {
  private func complaints(_ text: String, environment: [String: String] = [:]) -> [String] {
    Configuration.load(text: text, name: "t.conf", environment: { environment[$0] }).diagnostics.all.map(complaint)
  }

  private func complaints(adding line: String, in place: Place) throws -> [String] {
    complaints(try #require(Minimal.text(adding: line, in: place)))
  }

  private static let head = "listen 127.0.0.1:1; upstream u { server http://a }\n"

  // MARK: Authorization

  @Test func routeIsNeverPublicByAccident() {
    #expect(complaints(Self.head + "route / { upstream u }") == ["2:1: this route does not say who may pass"])
    // A requirement that can't be read is no requirement, and no second complaint either.
    #expect(
      complaints(Self.head + "route / { upstream u; require nobdy }") == [
        "2:31: 'nobdy' is none of 'nobody', 'valid-user', 'user', 'group', 'from', 'scope', 'certificate', 'not', 'all', 'any'"
      ])
    #expect(complaints(Self.head + "route / { upstream u; require }") == ["2:23: 'require' lacks its argument"])
    #expect(complaints(Self.head + "route / { upstream u; require ${NONE} }") == ["2:31: the environment variable 'NONE' is not set"])
    #expect(complaints(Self.head + "route / { upstream u; require nobody extra }") == ["2:38: 'require nobody' takes no names"])
    #expect(complaints(Self.head + "route / { upstream u; require user }") == ["2:31: 'require user' takes one name at least"])
  }

  @Test func aFrontDoorThatCantBeMeantIsSaidToBeOne() {
    let rest = "upstream u { server http://a }\nroute / { upstream u; require nobody }"
    #expect(complaints("listen [::ffff:127.0.0.1]:1\n\(rest)") == ["1:8: an IPv4 address is listened on as such"])
    #expect(complaints("listen unix:/tmp/a\nadmin unix:/tmp/a\n\(rest)") == ["1:8: the admin socket has this path too"])
    #expect(complaints("listen unix:/tmp/a\nadmin unix:/tmp/b\n\(rest)").isEmpty)
    for name in ["X-Forwarded-Client-Cert-Subject", "x_forwarded_client_cert", "Client-Cert"] {
      #expect(
        complaints("listen 127.0.0.1:1\nuser_header \(name)\n\(rest)").map { $0.drop { $0 != " " } }
          == [" upstreams are told of client certificates by names that begin like this"], "\(name)")
    }
    for networks in ["0.0.0.0/0", "10.0.0.1 ::/0"] {
      #expect(
        complaints("listen 127.0.0.1:1\ntrusted_proxies \(networks)\n\(rest)").map { $0.drop { $0 != " " } }
          == [" warning: everybody is a trusted proxy, so that every client chooses its own address"])
    }
    #expect(complaints("listen 127.0.0.1:1\ntrusted_proxies 0.0.0.0/1\n\(rest)").isEmpty)
    // TLS that nobody speaks.
    let tls = "upstream u { server http://a }\nroute / { upstream u; require nobody; require tls }"
    #expect(complaints("listen 127.0.0.1:1\n\(tls)").map { $0.contains("refuses everybody") } == [true])
    #expect(complaints("listen 127.0.0.1:1\ntrusted_proxies 10.0.0.1\n\(tls)").isEmpty)
    #expect(complaints("listen 127.0.0.1:1\nhsts 365d\n\(rest)").map { $0.contains("nobody is told this") } == [true])
    #expect(complaints("listen 127.0.0.1:1\nclient_certificate_headers on\n\(rest)").map { $0.contains("nothing to tell") } == [true])
  }

  @Test(arguments: [
    "require nobody; require valid-user", "require valid-user; require nobody", "require nobody; require user a",
    "require user a; require valid-user",
    "require nobody; require nobody",
  ])
  func contradictingRequirementsAreRefused(_ lines: String) {
    let found = complaints(Self.head + "route / { upstream u; \(lines) }")
    #expect(found.contains { $0.hasSuffix("this contradicts the 'require' before it") })
  }

  @Test func nameFromTheEnvironmentIsOneName() throws {
    let scratch = try Scratch()
    let text = Self.head + "users \(try scratch.write("users", ""))\nroute / { upstream u; require user ${NAMES} }"
    let configuration = Configuration.load(text: text, name: "t.conf", environment: { _ in "a b" })
    #expect(configuration.settings?.routes[0].requirement == .anyOf(users: ["a b"]), "\(configuration.diagnostics.rendered)")
  }

  @Test func emptyEnvironmentIsNoName() {
    let found = complaints(Self.head + "route / { upstream u; require user ${E} }", environment: ["E": ""])
    #expect(found == ["2:36: '${E}' can't be the name of a user: the user's name is empty"])
  }

  @Test(arguments: [
    ("/a", "/a/"), ("/", "/"), ("GET /a", "GET,POST /a"), ("a.example /", "A.example. /"), ("= /a", "= /a"),
    ("*.example.com /", "*.EXAMPLE.com /"),
  ])
  func duplicateRouteIsRefused(_ first: String, _ second: String) {
    let found = complaints(
      Self.head + "route \(first) { upstream u; require nobody }\nroute \(second) { upstream u; require nobody }")
    #expect(found == ["3:1: this route covers the same requests as '\(first)'"])
  }

  @Test(arguments: [
    ("/a", "= /a"), ("= /a", "= /a/"), ("GET /a", "/a"), ("GET /a", "POST /a"), ("a.example /", "/"), ("a.example /", "*.example /"),
    ("/a", "/ab"),
  ])
  func differentRoutesAreNoDuplicates(_ first: String, _ second: String) {
    let found = complaints(
      Self.head + "route \(first) { upstream u; require nobody }\nroute \(second) { upstream u; require nobody }")
    #expect(found == [])
  }

  // MARK: The whole

  @Test func emptyConfigSaysWhatIsMissing() {
    #expect(complaints("") == ["nothing to listen on", "no routes: every request would get 404"])
  }

  @Test func routeThatNeedsUsersNeedsAUserFile() {
    #expect(
      complaints(Self.head + "route / { upstream u; require valid-user }")
        == ["there are routes that require a user, and no user file"])
  }

  @Test func allMistakesOfAConfigAreReportedAtOnce() throws {
    let text = """
      lisen 127.0.0.1:8080
      listen 127.0.0.1:80800
      listen [::]:8443 tls {
          certificate tls/fullchain.pem
      }
      tokens { keys token.keys; lifetime 10m }
      realm a b
      worker 4
      server http://a
      upstream legacy {
          server 127.0.0.1:9000
          conect_timeout 2s
          response_timeout 60
          tls { verify maybe }
      }
      route /a { upstream legcay; require valid-user }
      route b { upstream legacy; require valid-user }
      location / { proxy_pass legacy }
      users none
      """
    #expect(
      complaints(text) == [
        "1:1: unknown directive 'lisen'",
        "2:8: '127.0.0.1:80800' is no place to listen on: the port is a number of 0 to 65535",
        "4:17: 'tls/fullchain.pem' can't be read: there is no such file",
        "7:9: an argument too many for 'realm'",
        "8:1: unknown directive 'worker'",
        "9:1: 'server' can't stand at the top level",
        "11:12: '127.0.0.1:9000' is no server: it begins with http://, https://, unix:/, ftp://, ftps://, sftp://, file:///, ldap://, ldaps://, dict://, "
          + "gopher:// or tftp://",
        "12:5: unknown directive 'conect_timeout'",
        "13:22: '60' is no duration",
        "14:18: 'maybe' is neither 'on' nor 'off'",
        "17:7: 'b' is no path: a path begins with '/'",
        "18:1: unknown directive 'location'",
        "16:21: 'legcay' is no upstream",
        "19:7: 'none' can't be read: there is no such file",
      ])
    let rendered = Configuration.load(text: text, name: "proxy.conf").diagnostics.rendered
    for hint in [
      "did you mean 'listen'?", "did you mean 'workers'?", "it belongs in an 'upstream' block", "did you mean 'connect_timeout'?",
      "a unit is missing",
      "did you mean 'legacy'?", "here it is called 'route'", "make it with: gatehouse user add",
    ] {
      #expect(rendered.contains(hint), "\(hint)")
    }
    #expect(
      rendered.contains(
        "proxy.conf:9:1: error: 'server' can't stand at the top level\n    server http://a\n    ^~~~~~\n    hint: it belongs"))
  }

  @Test func unclosedBlockDoesNotDragDownWhatFollows() {
    let text = "upstream u {\nserver http://a\n\nlisten 127.0.0.1:1\nroute / { upstream u; require nobody }\n"
    #expect(complaints(text) == ["1:12: this '{' is not closed"])
  }

  // MARK: One line

  @Test(arguments: [
    ("listen", "2:1: 'listen' lacks its argument"),
    ("listen 127.0.0.1:0 mode 660", "2:20: only a Unix socket has a mode"),
    ("listen unix:/a mode 888", "2:21: '888' is no mode of a file: three octal digits are, such as 660"),
    ("listen 127.0.0.1:0 { redirect http }", "2:31: 'http' is nothing to redirect to"),
    ("listen 127.0.0.1:9; listen 127.0.0.1:9", "2:28: the same address is listened on twice"),
    ("lockout", "2:1: 'lockout' needs a block or 'off'"),
    ("lockout on", "2:9: 'on' is no way to lock out"),
    ("lockout off { failures 3 }", "2:13: 'lockout off' takes no block"),
    ("lockout { failures 101 }", "2:20: '101' is out of range: 1 to 100"),
    ("lockout { within 500ms }", "2:18: '500ms' is out of range: 1s to 24h"),
    ("lockout { ban 25h }", "2:15: '25h' is out of range: 1s to 24h"),
    ("lockout { exempt localhost }", "2:18: 'localhost' is no network: an address or a network is wanted, as in 10.0.0.0/8, ::1 or unix:"),
    ("lockout { bann 1h }", "2:11: unknown directive 'bann'"),
    ("admin 127.0.0.1:9", "2:7: '127.0.0.1:9' is no Unix socket"),
    ("admin unix:/nonexistent/admin.sock", "2:7: warning: the socket's folder can't be used: there is no folder '/nonexistent'"),
    ("realm a; realm b", "2:10: 'realm' stands twice here"),
    ("workers 0", "2:9: '0' is out of range: 1 to 1024"),
    ("workers all", "2:9: 'all' is no number"),
    ("workers 4 { }", "2:11: 'workers' takes no block"),
    ("log off json", "2:9: 'log off' takes no format"),
    ("log stdout jsn", "2:12: 'jsn' is none of 'combined', 'json'"),
    ("log /nonexistent/folder/a.log", "2:5: the log's folder can't be used: there is no folder '/nonexistent/folder'"),
    ("error_log loud", "2:11: 'loud' is none of 'error', 'warning', 'notice', 'info', 'debug'"),
    ("user_header \"a b\"", "2:13: \"a b\" is no name of a header"),
    ("user_header host", "2:13: 'host' has a meaning of its own"),
    ("user_header Content_Length", "2:13: 'Content_Length' has a meaning of its own"),
    ("user_header X-Forwarded-For", "2:13: 'X-Forwarded-For' has a meaning of its own"),
    ("user_header x_forwarded_groups", "2:1: the user and the groups would be sent under the same name"),
    ("trusted_proxies 10.0.0.1/8", "2:17: '10.0.0.1/8' is no network: the address has bits beyond its prefix length"),
    ("header_timeout 0", "2:16: '0' is out of range: 10ms to 24h"),
    ("request_line 1g", "2:14: '1g' is out of range: 256 to 64k"),
    ("upstream", "2:1: 'upstream' lacks its argument"),
    ("upstream x", "2:1: 'upstream' needs a block"),
    ("upstream a/b { server http://x }", "2:10: 'a/b' is no name for an upstream: letters, digits, '-', '_' and '.' are"),
    ("upstream x { }", "2:10: this upstream has no server"),
    ("upstream x { server http://a; tls { } }", "2:31: 'tls' is for a server whose URL begins with https://, ftps://, ftp:// or ldaps://"),
    ("route /x { require nobody }", "2:1: this route has no upstream"),
    ("route ~ /x { upstream u; require nobody }", "2:7: '~' means nothing here"),
    ("route =/x { upstream u; require nobody }", "2:7: '=/x' is no path"),
    ("route get /x { upstream u; require nobody }", "2:7: 'get' is no list of methods"),
    ("route GET,,PUT /x { upstream u; require nobody }", "2:7: 'GET,,PUT' is no list of methods"),
    ("route GET,GET /x { upstream u; require nobody }", "2:7: 'GET' stands twice in this list"),
    (
      "route CONNECT /x { upstream u; require nobody }",
      "2:7: CONNECT asks for a tunnel, which is answered with 501 before any route is looked for"
    ),
    ("route a.example:80 /x { upstream u; require nobody }", "2:7: 'a.example:80' is no host"),
    ("route a.*.example /x { upstream u; require nobody }", "2:7: 'a.*.example' is no host"),
    ("route GET a.example b /x { upstream u; require nobody }", "2:1: too many words for a route"),
    ("route /a/../b { upstream u; require nobody }", "2:7: '/a/../b' is not in canonical form, so that it would match nothing"),
    ("route /%61 { upstream u; require nobody }", "2:7: '/%61' is not in canonical form, so that it would match nothing"),
    ("route /a?b { upstream u; require nobody }", "2:7: '/a?b' is no path"),
    ("hsts 365", "2:6: '365' is no duration"), ("hsts 1h off", "2:9: 'off' is neither 'subdomains' nor 'preload'"),
    ("route /x { upstream u; require tls }", "2:1: this route does not say who may pass"),
    ("include none.conf", "2:9: 'none.conf' can't be included: there is no such file"),
  ])
  func topLevelMistakeIsSaidOnce(_ line: String, _ expected: String) throws {
    #expect(try complaints(adding: line, in: .top).filter { !$0.contains("warning: no route uses") } == [expected])
  }

  @Test(arguments: [
    ("upstream x", "8:1: 'upstream' stands twice here"),
    ("body_limit -1", "8:12: '-1' is no size"),
    ("path rwa", "8:6: 'rwa' is none of 'canonical', 'raw'"),
    ("authorization replace", "8:1: 'authorization replace' takes the value to send instead"),
    (
      "authorization replace \"\"",
      "8:23: the value can't be sent as a header's (it is empty, or has outer white space or control characters)"
    ),
    ("authorization strip x", "8:21: 'authorization strip' takes no value"),
    ("realm x", "8:1: 'realm' can't stand in a 'route' block"),
    ("trace", "8:1: 'trace' lacks its argument"),
  ])
  func mistakeInARouteIsSaidOnce(_ line: String, _ expected: String) throws {
    #expect(try complaints(adding: line, in: .route) == [expected])
  }

  @Test(arguments: [
    ("ca none.pem", "5:10: 'none.pem' can't be read: there is no such file"),
    ("ca /tmp", "5:10: '/tmp' can't be read: it is a folder"),
    ("client_certificate a.pem", "5:7: 'client_certificate' lacks an argument"),
    ("name \"a b\"", "5:12: \"a b\" is no host name"),
    ("verify off", "5:14: warning: whoever stands between can read and change what goes to this upstream"),
    ("server http://b", "5:7: 'server' can't stand in the 'tls' block of an 'upstream'"),
  ])
  func mistakeInTLSIsSaidOnce(_ line: String, _ expected: String) throws {
    let found = try complaints(adding: line, in: .upstreamTLS)
    #expect(found == [expected])
  }

  // MARK: Warnings

  @Test func unusedUpstreamIsAWarning() throws {
    #expect(try complaints(adding: "upstream spare { server http://b }", in: .top) == ["2:10: warning: no route uses this upstream"])
  }

  @Test(arguments: [
    ("*:8080", true), ("0.0.0.0:8080", true), ("[::]:8080", true), ("127.0.0.1:1", false), ("[::1]:1", false), ("unix:/x", false),
  ])
  func passwordsInClearTextAreAWarning(_ address: String, _ isWarned: Bool) throws {
    let scratch = try Scratch()
    let users = try scratch.write("users", "a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    let text = "listen \(address); users \(users); upstream u { server http://a }\nroute / { upstream u; require valid-user }"
    #expect(complaints(text) == (isWarned ? ["1:8: warning: passwords cross the network in clear text here"] : []))
  }

  @Test func publicListenerWithoutUsersIsNoWarning() {
    #expect(complaints("listen *:80; upstream u { server http://a }\nroute / { upstream u; require nobody }") == [])
  }

  @Test func worldReadableSecretsAreWarnings() throws {
    let scratch = try Scratch()
    try scratch.write("users", "a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n", mode: 0o644)
    try scratch.write("c.pem", SampleCertificate.certificate, mode: 0o644)
    try scratch.write("k.pem", SampleCertificate.key, mode: 0o644)
    let text = """
      listen unix:/x; users users
      upstream u { server https://a; tls { client_certificate c.pem k.pem } }
      route / { upstream u; require valid-user }
      """
    let configuration = Configuration.load(path: try scratch.write("proxy.conf", text))
    #expect(
      configuration.diagnostics.all.map(complaint) == [
        "2:63: warning: everybody on this machine can read the key", "1:23: warning: everybody on this machine can read the user file",
      ])
    #expect(configuration.settings != nil)
  }

  @Test func namesThatNobodyHasAreWarnings() throws {
    let scratch = try Scratch()
    try scratch.write("users", "a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=:groups=g h\n")
    let text =
      "listen unix:/x; users users; upstream u { server http://a }\nroute / { upstream u; require user a b; require group g admin }"
    let configuration = Configuration.load(path: try scratch.write("proxy.conf", text))
    #expect(
      configuration.diagnostics.all.map(complaint) == [
        "2:38: warning: the user file has no user 'b'", "2:57: warning: no user is in the group 'admin'",
      ])
  }

  @Test func unusableLineOfTheUserFileIsNamedByNumber() throws {
    let scratch = try Scratch()
    try scratch.write("users", "# users\na:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\nb:nonsense\n")
    let text = "listen unix:/x; users users; upstream u { server http://a }\nroute / { upstream u; require valid-user }"
    let configuration = Configuration.load(path: try scratch.write("proxy.conf", text))
    #expect(configuration.settings != nil)
    #expect(configuration.diagnostics.rendered.hasPrefix("\(scratch.path)/users:3: warning: "))
    #expect(!configuration.diagnostics.rendered.contains("nonsense"))
  }

  @Test func whatTheServerNeedNotReadAnewIsWhatWasJudged() throws {
    let scratch = try Scratch()
    let (users, groups) = ("a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n", "staff: a\n")
    try scratch.write("users", users)
    try scratch.write("groups", groups)
    let text = "listen unix:/x; users users; groups groups; upstream u { server http://a }\nroute / { upstream u; require group staff }"
    let configuration = Configuration.load(path: try scratch.write("proxy.conf", text))
    let table = try #require(configuration.atHand.users)
    #expect(table.bytes == Array(users.utf8) && table.value === configuration.users)
    #expect(table.value.user(named: Array("a".utf8).span)?.groups == [Array("staff".utf8)])
    #expect(configuration.atHand.groups?.bytes == Array(groups.utf8))
  }

  @Test func tornUserFileIsAnError() throws {
    let scratch = try Scratch()
    try scratch.write("users", "a:{SHA}qUqP5cyxm6")
    let text = "listen unix:/x; users users; upstream u { server http://a }\nroute / { upstream u; require valid-user }"
    let configuration = Configuration.load(path: try scratch.write("proxy.conf", text))
    #expect(configuration.settings == nil)
    #expect(!configuration.diagnostics.rendered.contains("qUqP5"))
    #expect(configuration.usersPath == scratch.path + "/users")
  }

  // MARK: Secrets

  @Test func valueOfAVariableIsInNoComplaintAndNoSummary() {
    let secret = "s3cr3t-value"
    for line in ["authorization replace ${S}", "body_limit ${S}", "path ${S}", "require ${S}", "upstream ${S}"] {
      let text = Self.head + "route / { upstream u; require nobody }\nroute /x {\nupstream u; require nobody\n\(line)\n}"
      let configuration = Configuration.load(text: text, name: "t.conf", environment: { _ in secret })
      #expect(!configuration.summary.contains(secret), "\(line)")
    }
  }
}
