// What the upstream is told: nothing that a client says about who it is, everything else, and what we know.

import Auth
import HTTP
import Net
import Primitives
import Testing

@testable import Proxy
@testable import Upstream

/// A composed request, line by line as libcurl is given it: `Name: value`, or `Name;` for an empty value.
struct Composed: Equatable {
  var method = ""
  var target = ""
  var lines: [String] = []

  /// Values of the fields of that very name.
  subscript(_ name: String) -> [String] { lines.filter { $0.hasPrefix(name + ": ") }.map { String($0.dropFirst(name.utf8.count + 2)) } }

  func has(_ name: String) -> Bool {
    lines.contains { $0.lowercased().hasPrefix(name.lowercased() + ":") || $0.lowercased() == name.lowercased() + ";" }
  }
}

@Suite struct ForwardingTests {
  struct Scene {
    var options = ForwardingOptions()
    var authorization = Route.AuthorizationPolicy.strip
    var user: String? = "alice"
    var address = "192.0.2.7:4711"
    var port: UInt16 = 8080
    var trusted: [String] = []
    var methods: [[UInt8]] = []
    var methodIsJudged = false
    /// Of the API key that the user comes with in place of his password.
    var scope: String?
  }

  /// For alice with a key of that scope.
  private func grant(scope: String) throws -> Grant {
    // The SHA-256 of `ghk_` and 43 A.
    let digest = "6b84e85b3932cb5c7b0519bda0f22003310950ea313fd54f1d73420d6a273b96"
    let line = "alice:*:keys=ci/\(digest)/never/scope=\(scope)\n"
    let gatekeeper = Gatekeeper(users: try UserTable(parsing: bytes(line)), cache: VerifiedCache(entries: 0))
    var scratch = Secret()
    let value = bytes("Bearer ghk_" + String(repeating: "A", count: 43))
    let decision = gatekeeper.decide(
      authorization: value.span, count: 1, method: bytes("POST").span, path: bytes("/x").span, .validUser, People.context,
      scratch: &scratch)
    guard case .grant(let grant) = consume decision else { throw Missing("a grant for the key") }
    return grant
  }

  private func compose(_ head: RequestHead, _ scene: Scene = Scene(), target: String = "/target") throws -> Composed {
    var options = scene.options
    options.trustedProxies = try scene.trusted.map { try Network(parsing: $0) }
    var rule = route("/")
    rule.methods = scene.methods
    rule.authorization = scene.authorization
    let traits = RouteTraits(rule)
    let peer = Peer(try SocketAddress(parsing: scene.address), localPort: scene.port, trusted: options.trustedProxies)
    var buffer = ByteBuffer()
    buffer.append(utf8: target)
    var dropped = FieldSet()
    let grant = if let scope = scene.scope { try grant(scope: scope) } else { try People.grant(scene.user) }
    let request = Forwarding.compose(
      head, target: buffer, ForwardingRules(options), traits.authorization, peer,
      methodIsJudged: scene.methodIsJudged || traits.judgesMethod,
      requestID: RequestIdentifier(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef), grant,
      storage: RequestStorage(), dropped: &dropped)
    let all = request.storage.texts.array()
    func text(_ range: ByteRange) -> String { String(decoding: all[Int(range.start)..<Int(range.end)], as: UTF8.self) }
    let storage = request.storage
    return Composed(method: text(storage.method), target: text(storage.target), lines: storage.lines.map(text))
  }

  private let ours = [
    "X-Forwarded-User: alice", "X-Forwarded-Groups: ops,dev", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: http",
    "X-Forwarded-Host: a.example", "X-Forwarded-Port: 8080", "X-Request-Id: 0123456789abcdef0123456789abcdef", "Via: 1.1 gatehouse",
  ]

  @Test func fieldsPassInOrderAndOursFollow() throws {
    let composed = try compose(
      head("PROPFIND /x HTTP/1.1", "Host: a.example", "Accept: */*", "depth: 1", "X-Empty:", "Cookie: a=1", "cookie: b=2", "User-Agent: t"))
    #expect(composed.method == "PROPFIND" && composed.target == "/target")
    #expect(
      composed.lines == ["Host: a.example", "Accept: */*", "depth: 1", "X-Empty:", "Cookie: a=1", "cookie: b=2", "User-Agent: t"] + ours)
  }

  @Test func nobodyIsNobody() throws {
    var scene = Scene()
    scene.user = nil
    let composed = try compose(head("GET / HTTP/1.1", "Host: a.example", "X-Forwarded-User: admin", "X-Forwarded-Groups: wheel"), scene)
    #expect(!composed.has("X-Forwarded-User") && !composed.has("X-Forwarded-Groups"))
  }

  @Test func userWithoutGroupsHasNoGroupsField() throws {
    var scene = Scene()
    scene.user = "bob"
    let composed = try compose(head("GET / HTTP/1.1", "Host: a.example", "X-Forwarded-Groups: wheel"), scene)
    #expect(composed["X-Forwarded-User"] == ["bob"] && !composed.has("X-Forwarded-Groups"))
  }

  /// Lines that are copied in one piece, and lines that are not: white space around values that we would not write, values without a byte, and
  /// lines of ours and of the connection in between.
  @Test func onlyLinesThatWeWouldWriteSoAreCopiedAsTheyAre() throws {
    let lines: [(sent: String, forwarded: String?)] = [
      ("A: 1", "A: 1"), ("B:2", "B: 2"), ("C:  3", "C: 3"), ("D:\t4", "D: 4"), ("E: 5 ", "E: 5"), ("F: 6\t", "F: 6"), ("G: \t7", "G: 7"),
      ("H:", "H:"), ("I: ", "I:"), ("J:   ", "J:"), ("K: a b\tc", "K: a b\tc"), ("L: \u{e9}", "L: \u{e9}"), ("M: :", "M: :"),
      ("N::", "N: :"),
      ("Cookie: a=1", "Cookie: a=1"), ("Keep-Alive: 5", nil), ("X-Forwarded-User: root", nil), ("Remote_User: root", nil),
      ("Authorization: Basic eDp5", nil), ("Named: x", nil), ("Via: 1.1 a", "Via: 1.1 a"), ("X-Request-Id: 1", nil),
    ]
    let close = "Connection: named"
    // Each beside each, so that whatever is dropped or rewritten stands before, between and behind what is copied.
    for first in lines {
      for second in lines {
        let composed = try compose(
          head(
            "GET / HTTP/1.1", "Host: a.example", "One: 1", first.sent, "Two: 2", "Three: 3", second.sent, first.sent, close, second.sent))
        let expected = [
          "Host: a.example", "One: 1", first.forwarded, "Two: 2", "Three: 3", second.forwarded, first.forwarded, second.forwarded,
        ]
        #expect(composed.lines == expected.compactMap { $0 } + ours, "\(first.sent) and \(second.sent)")
      }
    }
  }

  // MARK: Identity

  @Test(arguments: [
    "X-Forwarded-User", "x-forwarded-user", "X_Forwarded_User", "X-Forwarded_User", "x.forwarded.user", "X-FORWARDED.USER",
    "X-Forwarded-Groups",
    "X-Forwarded-Group", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Uri",
    "X_FORWARDED_FOR",
    "x-forwarded-for", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "Remote-User", "REMOTE_USER", "remote.user",
    "Remote_Groups",
    "X-Remote-User", "X_Remote_User", "X-Remote-Group", "X-Remote-Groups", "X-Webauth-User", "X_WEBAUTH_USER", "X-Authenticated-User",
    "X-Auth-Request-User", "X-Real-IP", "x_real_ip", "Forwarded", "FORWARDED", "Proxy", "proxy", "X_Request_Id", "X-Request-ID",
    "X-Original-URL", "x_original_url", "X-Rewrite-URL", "X-Original-URI", "X-Original-Method",
    "X~Forwarded~User", "x!forwarded!for", "X+Remote|User", "Remote*User", "X#Webauth$User",
  ])
  func claimOfIdentityIsDeletedInEverySpelling(_ name: String) throws {
    for value in ["evil", ""] {
      let composed = try compose(head("GET / HTTP/1.1", "Host: a.example", "\(name): \(value)", "\(name): again", "X-Kept: 1"))
      #expect(composed.lines == ["Host: a.example", "X-Kept: 1"] + ours, "\(name)")
    }
  }

  @Test(arguments: ["X-HTTP-Method-Override", "x_http_method_override", "X-HTTP-Method", "X-Method-Override"])
  func methodThatWasJudgedIsNotOverridden(_ name: String) throws {
    var scene = Scene()
    #expect(try compose(head("GET / HTTP/1.1", "Host: a.example", "\(name): DELETE"), scene).has(name))
    scene.methods = [bytes("GET")]
    #expect(try !compose(head("GET / HTTP/1.1", "Host: a.example", "\(name): DELETE"), scene).has(name))
    // By a route that is another method's,
    scene.methods = []
    scene.methodIsJudged = true
    #expect(try !compose(head("POST / HTTP/1.1", "Host: a.example", "\(name): DELETE"), scene).has(name))
    // and by what a token is good for.
    scene.methodIsJudged = false
    for (scope, passes) in [("POST%3A%2Fx", false), ("%2Fy%20POST%3A%2Fx", false), ("%2Fx", true)] {
      scene.scope = scope
      #expect(try compose(head("POST /x HTTP/1.1", "Host: a.example", "\(name): DELETE"), scene).has(name) == passes, "\(scope)")
    }
  }

  @Test func likeNamesThatClaimNothingPass() throws {
    let composed = try compose(
      head(
        "GET / HTTP/1.1", "Host: a.example", "X-Forwarded: 1", "XX-Forwarded-User: 1", "Remote: 1", "X-User: 1", "Proxy-Status: 1",
        "Request-Id: 1"))
    #expect(
      composed.lines == [
        "Host: a.example", "X-Forwarded: 1", "XX-Forwarded-User: 1", "Remote: 1", "X-User: 1", "Proxy-Status: 1", "Request-Id: 1",
      ] + ours)
  }

  @Test func configuredNamesAreStrippedInEverySpellingAndWritten() throws {
    var scene = Scene()
    scene.options.userField = "SM_User"
    scene.options.groupsField = "X-Grps"
    let composed = try compose(
      head("GET / HTTP/1.1", "Host: a.example", "sm-user: evil", "SM.USER: evil", "SM_User: evil", "x_grps: evil", "Remote-User: evil"),
      scene)
    #expect(composed.lines == ["Host: a.example", "SM_User: alice", "X-Grps: ops,dev"] + ours[2...])
    #expect(!composed.has("X-Forwarded-User"))
  }

  @Test(arguments: [
    "X-Forwarded-User", "x-forwarded-user, X-Forwarded-Groups", "close, X-Forwarded-For", "X-Request-Id", "Via", "Host",
    "X-Forwarded-Host, Forwarded",
  ])
  func connectionCannotRemoveWhatWeAdd(_ options: String) throws {
    let composed = try compose(head("GET / HTTP/1.1", "Host: a.example", "Connection: \(options)"))
    #expect(composed.lines == ["Host: a.example"] + ours)
  }

  @Test func longConfiguredNameIsStrippedToo() throws {
    var scene = Scene()
    scene.options.userField = "X-" + String(repeating: "Long-", count: 20) + "User"
    let spelled = scene.options.userField.lowercased().replacing("-", with: "_")
    let composed = try compose(head("GET / HTTP/1.1", "Host: a.example", "\(spelled): evil"), scene)
    #expect(composed.lines.filter { $0.contains("evil") }.isEmpty)
    #expect(composed[scene.options.userField] == ["alice"])
  }

  // MARK: Hop by hop

  @Test func fieldsOfTheConnectionStayThere() throws {
    let composed = try compose(
      head(
        "GET / HTTP/1.1", "Host: a.example", "Connection: close, X-Mine", "Keep-Alive: 5", "Proxy-Connection: x", "TE: trailers",
        "Upgrade: h2c",
        "Proxy-Authorization: Basic x", "X-Mine: 1", "x-mine: 2", "X-Yours: 3", "Connection: X-Third", "X-Third: 4"))
    #expect(composed.lines == ["Host: a.example", "X-Yours: 3"] + ours)
  }

  @Test func framingIsWrittenAnew() throws {
    let chunked = try compose(head("POST / HTTP/1.1", "Host: a.example", "Transfer-Encoding: chunked", "Trailer: X-Sum"))
    #expect(!chunked.has("Transfer-Encoding") && !chunked.has("Content-Length"))
    let length = try compose(head("POST / HTTP/1.1", "Host: a.example", "Content-Length: 5", "Expect: 100-continue"))
    #expect(!length.has("Content-Length") && !length.has("Expect"), "the engine that sends the body says its length")
    let empty = try compose(head("POST / HTTP/1.1", "Content-Length: 0", "Host: a.example"))
    #expect(empty["Content-Length"] == ["0"])
    let none = try compose(head("POST / HTTP/1.1", "Host: a.example"))
    #expect(!none.has("Content-Length"))
  }

  @Test func hostOfTheTargetIsTheOneThatIsForwarded() throws {
    let composed = try compose(head("GET http://A.example:80/x HTTP/1.1", "X: 1", "Host: a.example"))
    // The two agree, or the request would not have been parsed: it makes no difference which of them is sent.
    #expect(["Host: A.example:80", "Host: a.example"].contains(composed.lines[0]), "\(composed)")
    #expect(composed.lines.filter { $0.hasPrefix("Host:") }.count == 1)
    let old = try compose(head("GET / HTTP/1.0"))
    #expect(!old.has("Host") && !old.has("X-Forwarded-Host"))
  }

  // MARK: Authorization

  @Test func authorizationIsStrippedPassedOrReplaced() throws {
    let sent = People.basic("alice")
    let head = try head("GET / HTTP/1.1", "Host: a.example", "Authorization: \(sent)")
    #expect(try !compose(head).has("Authorization"))
    var scene = Scene()
    scene.authorization = .pass
    #expect(try compose(head, scene)["Authorization"] == [sent])
    scene.authorization = .replace(bytes("Bearer service-token"))
    #expect(try compose(head, scene)["Authorization"] == ["Bearer service-token"])
    // Also where the client sent none.
    #expect(try compose(self.bare, scene)["Authorization"] == ["Bearer service-token"])
  }

  private var bare: RequestHead { get throws { try head("GET / HTTP/1.1", "Host: a.example") } }

  // MARK: Where from

  @Test func strangersOriginIsNotBelieved() throws {
    let composed = try compose(
      head(
        "GET / HTTP/1.1", "Host: a.example", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil",
        "X-Forwarded-Port: 1",
        "Forwarded: for=10.0.0.1", "Via: 1.0 before"))
    #expect(composed.lines == ["Host: a.example", "Via: 1.0 before"] + ours)
  }

  @Test func trustedProxysOriginIsContinued() throws {
    var scene = Scene()
    scene.trusted = ["192.0.2.0/24"]
    scene.options.setsForwarded = true
    let composed = try compose(
      head(
        "GET / HTTP/1.1", "Host: a.example", "X-Forwarded-For: 10.0.0.1", "x-forwarded-for: 10.0.0.2", "X-Forwarded-Proto: https",
        "X-Forwarded-Host: public.example", "X-Forwarded-Port: 443", "Forwarded: for=10.0.0.1", "X-Forwarded-User: evil",
        "X_Forwarded_For: evil"), scene)
    #expect(composed["X-Forwarded-For"] == ["10.0.0.1, 10.0.0.2, 192.0.2.7"])
    #expect(
      composed["X-Forwarded-Proto"] == ["https"] && composed["X-Forwarded-Host"] == ["public.example"]
        && composed["X-Forwarded-Port"] == ["443"])
    // What came in Forwarded the proxy passed on, and did not write: it is made again.
    #expect(composed["Forwarded"] == ["for=10.0.0.2;proto=https, for=192.0.2.7;host=\"a.example\";proto=http"])
    // Identity is never the proxy's to say.
    #expect(composed["X-Forwarded-User"] == ["alice"])
    #expect(composed.lines.filter { $0.contains("evil") }.isEmpty)
  }

  @Test func trustedProxysForwardedIsContinued() throws {
    var scene = Scene()
    scene.trusted = ["192.0.2.0/24"]
    scene.options.originField = .forwarded
    scene.options.setsForwarded = true
    let request = try head(
      "GET / HTTP/1.1", "Host: a.example", "Forwarded: for=\"[2001:db8::1]:80\";proto=https;host=\"public.example\"", "X-Forwarded-For: 6.6.6.6",
      "X-Forwarded-Proto: evil", "X-Forwarded-Host: evil", "X-Forwarded-Port: 666")
    let composed = try compose(request, scene)
    #expect(composed["X-Forwarded-For"] == ["2001:db8::1, 192.0.2.7"])
    #expect(composed["X-Forwarded-Proto"] == ["https"] && composed["X-Forwarded-Host"] == ["public.example"] && !composed.has("X-Forwarded-Port"))
    #expect(
      composed["Forwarded"]
        == ["for=\"[2001:db8::1]:80\";proto=https;host=\"public.example\", for=192.0.2.7;host=\"a.example\";proto=http"])
    #expect(composed.lines.filter { $0.contains("6.6.6") || $0.contains("evil") || $0.contains("666") }.isEmpty)
    scene.options.setsForwarded = false
    #expect(try !compose(request, scene).has("Forwarded"))
    // Of a stranger neither is.
    scene.trusted = []
    #expect(try compose(request, scene).lines == ["Host: a.example"] + ours)
  }

  @Test func onlyWhatTheNearestProxySaysOfTheSchemeIsToldOn() throws {
    var scene = Scene()
    scene.trusted = ["192.0.2.0/24"]
    for fields in [["X-Forwarded-Proto: https, http"], ["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"]] {
      #expect(try compose(
          head(bytes: bytes((["GET / HTTP/1.1", "Host: a.example"] + fields).map { $0 + "\r\n" }.joined() + "\r\n")), scene)["X-Forwarded-Proto"] == ["http"])
    }
  }

  @Test func trustedProxyThatSaysNothingIsTheOrigin() throws {
    var scene = Scene()
    scene.trusted = ["192.0.2.7"]
    #expect(
      try compose(head("GET / HTTP/1.1", "Host: a.example", "X-Forwarded-For:", "X-Forwarded-Proto:"), scene).lines == ["Host: a.example"]
        + ours)
  }

  @Test(arguments: [
    ("[2001:db8::1]:5", "2001:db8::1", "for=\"[2001:db8::1]\";host=\"a.example\";proto=http"),
    ("192.0.2.7:5", "192.0.2.7", "for=192.0.2.7;host=\"a.example\";proto=http"),
    ("unix:/x", "unix:", "for=unknown;host=\"a.example\";proto=http"),
  ])
  func peersAddressIsWrittenInBothForms(_ address: String, _ plain: String, _ forwarded: String) throws {
    var scene = Scene()
    scene.address = address
    scene.options.setsForwarded = true
    let composed = try compose(bare, scene)
    #expect(composed["X-Forwarded-For"] == [plain] && composed["Forwarded"] == [forwarded])
  }

  @Test func viaIsContinuedWithTheVersionThatCame() throws {
    #expect(try compose(head("GET / HTTP/1.0", "Via: 1.1 a"))["Via"] == ["1.1 a", "1.0 gatehouse"])
  }
}
