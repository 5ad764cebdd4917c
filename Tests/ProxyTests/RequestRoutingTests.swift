// From a head's target to route and forwarded target: what is judged is what is forwarded.

import HTTP
import Primitives
import Testing

@testable import Proxy

@Suite struct RequestRoutingTests {
  /// `label target`, or why it was refused.
  private func find(_ routes: [Route], _ target: String, method: String = "GET", host: String = "a.example", ticket: String = "") throws
    -> String
  {
    let head = try head("\(method) \(target) HTTP/1.1", "Host: \(host)")
    let router = Router(routes)
    var out = ByteBuffer()
    out.append("left over from the request before")
    var pathLength = -1
    let found = RequestRouting.find(head, in: router, Endpoints(), ticket: bytes(ticket), target: &out, pathLength: &pathLength)
    // No path holds a question mark: whatever is behind the first one is query to everybody, and what is before it is what scopes are for.
    let path = out.array().prefix { $0 != 0x3F }
    switch found {
    case .route(let i):
      #expect(pathLength == path.count)
      return "\(router.routes[i].label) \(text(out.span))"
    case .none:
      #expect(pathLength == path.count)
      return "none \(text(out.span))"
    case .refused, .endpoint: return "refused"
    }
  }

  private let plain = [route("/"), route("/admin/")]
  private let raw = [route("/"), route("/admin/"), route("/raw/") { $0.isRaw = true }]

  @Test(arguments: [
    ("/", "/ /"), ("/x", "/ /x"), ("/x?a=/admin/", "/ /x?a=/admin/"), ("/x?", "/ /x?"), ("/x?a?b", "/ /x?a?b"),
    ("/x/../admin/y", "/admin/ /admin/y"), ("/x/%2e%2E/admin/y", "/admin/ /admin/y"), ("/%61dmin", "/admin/ /admin"), ("/admin/..", "/ /"),
    ("/admin/.", "/admin/ /admin/"), ("/x//y", "/ /x//y"), ("/x%7Ey%2a", "/ /x~y%2A"), ("http://a.example/admin", "/admin/ /admin"),
    ("http://a.example", "/ /"), ("http://a.example?q", "/ /?q"), ("/?../admin/", "/ /?../admin/"), ("/x;p", "/ /x;p"),
  ])
  func canonicalFormIsJudgedAndForwarded(_ target: String, _ wanted: String) throws {
    #expect(try find(plain, target) == wanted)
  }

  @Test(arguments: [
    "/x%2Fy", "/x%2fadmin", "/x\\y", "/x%5cy", "/x%00", "/x%0d%0aSet-Cookie:x", "/x%", "/x%4", "/x%zz", "/..", "/../admin", "/x/../../y",
    "/x/..;p/admin", "/x/.;p", "/%c0%af", "//admin/x", "/;p/admin", "/admin;p", "/x%7F",
  ])
  func pathThatCanBeReadInTwoWaysIsRefused(_ target: String) throws {
    #expect(try find(plain, target) == "refused")
  }

  @Test func asteriskBelongsToTheRoot() throws {
    #expect(try find(plain, "*", method: "OPTIONS") == "/ *")
    #expect(try find([route("/a/")], "*", method: "OPTIONS") == "none *")
  }

  @Test func uncoveredPathIsNone() throws {
    #expect(try find([route("/a/")], "/b?c") == "none /b?c")
  }

  /// The path is what is before the question mark, also where the query, or all of it, was taken away.
  @Test(arguments: [
    ("/x?ticket=a", "/ /x"), ("/x?ticket=a&b", "/ /x?b"), ("/x?b&ticket=a", "/ /x?b"), ("/x?%74icket=?&?", "/ /x??"), ("/x?", "/ /x?"),
    ("/x%3Fticket=a?b", "/ /x%3Fticket=a?b"), ("/x%3f?ticket=%3f", "/ /x%3F"), ("/raw/%3f%2F?ticket=a", "/raw/ /raw/%3f%2F"),
    ("http://a.example?ticket=a", "/ /"), ("http://a.example/%61?ticket=?&b=?", "/ /a?b=?"), ("/raw/%?b=1&ticket=a", "/raw/ /raw/%?b=1"),
  ])
  func pathIsKnownFromItsQueryWithoutTheTicket(_ target: String, _ wanted: String) throws {
    #expect(try find(raw, target, ticket: "ticket") == wanted)
  }

  // MARK: Raw

  @Test(arguments: [
    ("/raw/x", "/raw/ /raw/x"), ("/raw/x%2Fy", "/raw/ /raw/x%2Fy"), ("/raw/x%2fy?q", "/raw/ /raw/x%2fy?q"), ("/raw/%61", "/raw/ /raw/%61"),
    ("/raw/x\\y", "/raw/ /raw/x\\y"), ("/raw/100%", "/raw/ /raw/100%"), ("/raw/%7e", "/raw/ /raw/%7e"), ("/%72aw/x", "/raw/ /%72aw/x"),
    ("/raw/a;b", "/raw/ /raw/a;b"), ("/raw//x", "/raw/ /raw//x"),
  ])
  func rawRouteForwardsByteForByte(_ target: String, _ wanted: String) throws {
    #expect(try find(raw, target) == wanted)
  }

  @Test(arguments: [
    // What would lead out of the route, in any reading, or into it from another.
    "/raw/x/../y", "/raw/./x", "/raw/..%2fadmin", "/raw/..%5cadmin", "/raw/..\\admin", "/raw/..;p/admin",
    "/x/../raw/y", "/raw%2F..%2Fadmin", "/raw/%2e", "/x%2Fraw/y", "/%2Fraw/x", "/raw%2Fx",
  ])
  func rawRouteIsNotLeft(_ target: String) throws {
    #expect(try find(raw, target) == "refused")
  }

  @Test(arguments: [
    ("/raw/../admin/x", "/admin/ /admin/x"), ("/raw/%2e%2e/admin", "/admin/ /admin"), ("/raw/.%2e/", "/ /"), ("/raw/..", "/ /"),
  ])
  func targetThatIsNotUnderARawRouteAfterAllIsForwardedCanonically(_ target: String, _ wanted: String) throws {
    #expect(try find(raw, target) == wanted)
  }

  @Test(arguments: ["/admin%2Fx", "/x%2Fy", "/admin\\x", "/x%"])
  func rawRoutesNeighboursStayStrict(_ target: String) throws {
    #expect(try find(raw, target) == "refused")
  }

  @Test func rawRootDoesNotOpenWhatStandsBeneathIt() throws {
    let routes = [route("/") { $0.isRaw = true }, route("/admin/")]
    #expect(try find(routes, "/x%2Fy") == "/ /x%2Fy")
    #expect(try find(routes, "/admin%2Fy") == "refused")
    #expect(try find(routes, "/%61dmin%2Fy") == "refused")
    #expect(try find(routes, "/admin%5Cy") == "refused")
    #expect(try find(routes, "//admin/y") == "refused")
    #expect(try find(routes, "/%2Fadmin/y") == "refused")
  }

  @Test func hostOfTheTargetIsTheHostThatIsRouted() throws {
    let routes = [route("/"), route("b.example /")]
    #expect(try find(routes, "http://b.example/x", host: "b.example") == "b.example / /x")
    #expect(try find(routes, "/x", host: "B.EXAMPLE:80") == "b.example / /x")
  }
}
