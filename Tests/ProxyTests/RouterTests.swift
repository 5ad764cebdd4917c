// Which route a request belongs to, and that no spelling of a path slips past the route that guards it.

import Auth
import HTTP
import Primitives
import Testing

@testable import Proxy

/// A route by its parts: `GET,HEAD *.example.com /path` or `= /path`.
func route(_ text: String, _ change: (inout Route) -> Void = { _ in }) -> Route {
  var words = text.split(separator: " ").map(String.init)
  let path = words.removeLast()
  var route = Route(path: bytes(path), requirement: .validUser, upstream: 0, label: text)
  for word in words {
    if word == "=" {
      route.isExact = true
    } else if word.hasPrefix("*.") {
      route.host = .suffix(bytes(String(word.dropFirst())))
    } else if word.contains(".") {
      route.host = .name(bytes(word))
    } else {
      route.methods = word.split(separator: ",").map { bytes(String($0)) }
    }
  }
  change(&route)
  return route
}

@Suite struct RouterTests {
  private func label(_ router: Router, _ method: String, _ host: String, _ path: String) -> String {
    switch router.route(method: bytes(method).span, host: bytes(host).span, path: bytes(path).span) {
    case .route(let i): router.routes[i].label
    case .none: "none"
    case .ambiguous: "ambiguous"
    }
  }

  private func label(_ routes: [String], _ path: String, method: String = "GET", host: String = "a.example") -> String {
    label(Router(routes.map { route($0) }), method, host, path)
  }

  @Test func optionsOfTheWholeServerIsTheRootsAndNoPages() {
    #expect(label(["= /", "/"], "*", method: "OPTIONS") == "/")
    #expect(label(["= /"], "*", method: "OPTIONS") == "none")
  }

  // MARK: Precedence

  @Test func mostSpecificRouteWinsWhateverTheOrder() {
    let routes = [
      "/", "/a/", "/a/b/", "= /a/b/c", "GET /a/b/", "*.example /a/b/", "x.example /a/b/", "*.b.example /a/b/", "GET x.example /a/b/",
    ]
    for routes in [routes, routes.reversed(), Array(routes[4...]) + routes[..<4]] {
      #expect(label(routes, "/", host: "none") == "/")
      #expect(label(routes, "/a/x") == "/a/")
      #expect(label(routes, "/a/b/c", host: "x.example") == "= /a/b/c", "exact before prefix, host and method")
      #expect(label(routes, "/a/b/d", method: "PUT", host: "none") == "/a/b/", "longer prefix first")
      #expect(label(routes, "/a/b/d", method: "GET", host: "none") == "GET /a/b/", "named methods before any")
      #expect(label(routes, "/a/b/d", method: "PUT", host: "x.example") == "x.example /a/b/", "named host before wildcard")
      #expect(label(routes, "/a/b/d", method: "GET", host: "x.example") == "GET x.example /a/b/")
      #expect(label(routes, "/a/b/d", method: "GET", host: "y.example") == "*.example /a/b/", "host before method")
      #expect(label(routes, "/a/b/d", host: "y.b.example") == "*.b.example /a/b/", "longer wildcard first")
    }
  }

  @Test func ofEqualRoutesTheFirstWins() {
    let router = Router([route("/a/") { $0.label = "first" }, route("/a") { $0.label = "second" }])
    #expect(label(router, "GET", "h", "/a/x") == "first")
  }

  // MARK: Paths

  @Test func prefixEndsAtASegment() {
    for prefix in ["/admin", "/admin/"] {
      #expect(label([prefix], "/admin") == prefix)
      #expect(label([prefix], "/admin/") == prefix)
      #expect(label([prefix], "/admin/x") == prefix)
      #expect(label([prefix], "/administrator") == "none")
      #expect(label([prefix], "/admi") == "none")
      #expect(label([prefix], "/Admin/x") == "none")
      #expect(label([prefix], "/x/admin") == "none")
    }
  }

  @Test func closingSlashGuardsThePathWithoutIt() {
    // Many services answer /admin and /admin/ alike: a rule for one guards both.
    #expect(label(["/", "/admin/"], "/admin") == "/admin/")
    #expect(label(["/", "/admin"], "/admin/") == "/admin")
  }

  @Test func exactIsExact() {
    #expect(label(["= /healthz"], "/healthz") == "= /healthz")
    for path in ["/healthz/", "/healthz/x", "/health", "/healthzz"] { #expect(label(["= /healthz"], path) == "none") }
  }

  @Test func rootCoversAllAndTheAsterisk() {
    for path in ["/", "/x", "/x/y", "*"] { #expect(label(["/"], path) == "/") }
    #expect(label(["/a/"], "*") == "none")
    #expect(label(["= /"], "/") == "= /")
    #expect(label(["= /"], "/x") == "none")
  }

  @Test func noRouteIsNone() {
    #expect(label([], "/") == "none")
    #expect(label(["/a/"], "/b") == "none")
  }

  // MARK: Hosts and methods

  @Test(arguments: ["a.example", "A.Example", "a.example:8080", "a.example.", "a.example.:80", "a.example:"])
  func hostIsComparedWithoutCasePortAndFinalDot(_ host: String) {
    #expect(label(["a.example /"], "/", host: host) == "a.example /")
  }

  @Test(arguments: ["b.example", "a.example.org", "xa.example", "a.exampl", "", "a", "a.example.."])
  func anotherHostIsAnother(_ host: String) {
    #expect(label(["a.example /"], "/", host: host) == "none")
  }

  @Test func wildcardCoversWhatStandsBeforeItsDot() {
    let routes = ["*.example.com /"]
    for host in ["a.example.com", "a.b.example.com", "A.EXAMPLE.com:443"] {
      #expect(label(routes, "/", host: host) == routes[0], "\(host)")
    }
    for host in ["example.com", ".example.com", "aexample.com", "example.com.evil", "", "com"] {
      #expect(label(routes, "/", host: host) == "none", "\(host)")
    }
  }

  @Test func addressesAsHosts() {
    let router = Router([route("/") { $0.host = .name(bytes("[::1]")) }])
    #expect(router.route(method: bytes("GET").span, host: bytes("[::1]:8080").span, path: bytes("/").span) == .route(0))
    #expect(router.route(method: bytes("GET").span, host: bytes("[::1]").span, path: bytes("/").span) == .route(0))
    #expect(router.route(method: bytes("GET").span, host: bytes("[::2]").span, path: bytes("/").span) == .none)
  }

  @Test func whereAnotherMethodWouldBeAnotherRoutesTheMethodIsJudged() {
    let router = Router(
      ["/", "/x", "DELETE /x", "GET /healthz", "DELETE b.example /", "PUT = /y/z", "/my%20files/", "DELETE /my%20files/", "GET /x/deep"].map {
        route($0)
      })
    func judges(_ path: String, host: String = "a.example") -> Bool? {
      guard case .route(let i) = router.route(method: bytes("POST").span, host: bytes(host).span, path: bytes(path).span) else { return nil }
      return router.judgesMethod(before: i, host: bytes(host).span, path: bytes(path).span)
    }
    for path in ["/x", "/x/y", "/healthz", "/y/z", "/my%20files/a", "/x/deep/er"] { #expect(judges(path) == true, "\(path)") }
    for path in ["/", "/xy", "/y", "/y/z/a", "*"] { #expect(judges(path) == false, "\(path)") }
    #expect(judges("/y", host: "b.example:8080") == true)
    // What is less specific is no other route for this request.
    let root = Router([route("/x"), route("DELETE /")])
    let isJudged = root.judgesMethod(before: 0, host: bytes("a").span, path: bytes("/x").span)
    #expect(!isJudged)
  }

  @Test func methodsAreCaseSensitiveTokens() {
    #expect(label(["GET,HEAD /"], "/", method: "HEAD") == "GET,HEAD /")
    #expect(label(["GET,HEAD /"], "/", method: "get") == "none")
    #expect(label(["GET,HEAD /"], "/", method: "GE") == "none")
    #expect(label(["PROPFIND /"], "/", method: "PROPFIND") == "PROPFIND /")
  }

  // MARK: The second reading

  /// Paths whose other reading lies under /admin/, with the route / beside it.
  @Test(arguments: [
    "/;p/admin/x", "//admin/x", "/admin;p/x", "/admin;p", "/%61dmin/x", "/admin%2Fx", "/admin%2fx", "/admin%5Cx", "/admin\\x",
    "/x/..%2Fadmin/", "/x/%2e%2e/admin", "///admin///x", "/;/admin", "/x%2F..%2Fadmin", "/admin%3Bp/x", "/;%2Fadmin/",
  ])
  func pathThatLeadsElsewhereInAnotherReadingIsAmbiguous(_ path: String) {
    let verdict = label(["/", "/admin/"], path)
    #expect(verdict == "ambiguous" || verdict == "/admin/", "\(path): \(verdict)")
  }

  @Test(arguments: ["/x;p/y", "/x//y", "/x%20y", "/x%2Fy", "/x%5Cy", "/caf%C3%A9", "/a%25b", "/x/;p", "/%F0%9F%98%80/"])
  func pathThatStaysUnderItsRouteInEveryReadingPasses(_ path: String) {
    #expect(label(["/", "/admin/"], path) == "/")
  }

  @Test(arguments: ["/x/..;p/admin", "/..;/admin", "/x/.;p/y", "/x/%2e%2e%2Fy", "/x%2F..", "/x%2F..%2Fy", "/x/..%5Cy", "/x/%2E;a"])
  func dotSegmentInAnotherReadingIsAmbiguous(_ path: String) {
    #expect(label(["/"], path) == "ambiguous", "\(path)")
  }

  @Test func exactRouteIsNotReachedByAnotherReading() {
    let routes = ["/", "= /healthz"]
    for path in ["/healthz;p", "/healthz%2F..", "//healthz", "/;p/healthz"] {
      let verdict = label(routes, path)
      #expect(verdict != "= /healthz", "\(path): \(verdict)")
    }
  }

  @Test func routeThatIsItselfEscapedIsReached() {
    // The canonical form keeps such escapes; the other reading is compared with the route's own other reading.
    for path in ["/my%20files/", "/caf%C3%A9", "= /a;v=1", "/a//b/"] {
      let plain = path.hasPrefix("= ") ? String(path.dropFirst(2)) : path
      #expect(label(["/", path], plain) == path, "\(path)")
    }
    #expect(label(["/", "/my%20files/"], "/my%20files/x") == "/my%20files/")
    #expect(label(["/", "/my%20files/"], "/my%20files;p/x") == "ambiguous")
  }
}
