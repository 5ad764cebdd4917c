// The path is judged and forwarded in one form: what the rule saw is what the upstream gets, or nobody gets anything.

import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFront) struct Path {
    @Test func theUpstreamGetsTheCanonicalForm() throws {
      let table = [
        ("/", "/"), ("/a/b", "/a/b"), ("/a/../b", "/b"), ("/a/./b", "/a/b"), ("/a/b/..", "/a/"), ("/a/b/.", "/a/b/"),
        ("/%61%2D%7e", "/a-~"),
        ("/a/%2e%2e/b", "/b"), ("/a/%2E/b", "/a/b"), ("/%c3%a4", "/%C3%A4"), ("/a%20b", "/a%20b"), ("//a//b", "//a//b"),
        ("/a;b=1/c", "/a;b=1/c"),
        ("/?q=%2F../x", "/?q=%2F../x"), ("/a?", "/a?"), ("/a?b?c", "/a?b?c"), ("/a%3fb", "/a%3Fb"), ("/a%23b", "/a%23b"),
        ("/...", "/..."), ("/.a/..b", "/.a/..b"), ("/a%25b", "/a%25b"), ("/@:!$&'()*+,=", "/@:!$&'()*+,="),
      ]
      try House.with { house throws in
        let client = try house.client()
        for (target, expected) in table {
          let count = house.upstream.requests.count
          let status = try client.exchange(request("GET", target, [People.alice.authorization])).status
          #expect(status == 200, "\(target)")
          guard status == 200 else { return }
          #expect(try house.upstream.requests(count + 1)[count].target == expected, "\(target)")
        }
      }
    }

    @Test func ambiguousPathsAreRefused() throws {
      let targets = [
        "/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/a\\b", "/a%00b", "/a%0d%0ab", "/a%0ab", "/a%7fb", "/a%zzb", "/a%", "/a%2", "/..", "/../x",
        "/a/../../x",
        "/%2e%2e/x", "/a/%2e%2e/%2e%2e/x", "/.%2e/x", "/a%1fb",
      ]
      try House.with { house throws in
        for target in targets { #expect(try house.ask("GET", target, [People.alice.authorization]).status == 400, "\(target)") }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func noSpellingOfAPathEvadesItsRule() throws {
      let targets = [
        "/admin/secret", "/x/../admin/secret", "/%61dmin/secret", "/admin/./secret", "/./admin/secret", "/x/%2e%2e/admin/secret",
        "/admin%2fsecret",
        "/admin%2Fsecret", "/x/..%2fadmin/secret", "/admin/../admin/secret", "/admin\\secret", "/\\admin/secret", "/x\\..\\admin/secret",
        "/admin%5csecret",
        "/%2561dmin/secret", "/admin%00/secret", "/admin/secret?x", "/admin/secret#", "/..;/admin/secret", "/x/..;/admin/secret",
        "/.;/admin/secret",
        "http://legacy.test/admin/secret", "/admin/%2e/secret", "/x/.%2e/admin/secret", "/%41dmin/../admin/secret",
      ]
      try House.with(Setup(more: "route /admin/ { upstream legacy; require group admin }")) { house throws in
        for target in targets {
          let status = try house.ask("GET", target, [People.alice.authorization]).status
          #expect([200, 400, 403].contains(status), "\(target)")
        }
        for request in house.upstream.requests {
          // Whatever alice got through has to be something else for any server that reads paths as RFC 3986 says.
          #expect(!request.target.hasPrefix("/admin"), "\(request.target)")
          #expect(
            !request.target.contains("/../") && !request.target.contains("%2e") && !request.target.contains("%2E"), "\(request.target)")
        }
      }
    }

    @Test func aRawRouteForwardsByteForByte() throws {
      try House.with(Setup(more: "route /raw/ { upstream legacy; require valid-user; path raw }")) { house throws in
        for target in ["/raw/a%2fb", "/raw/%61", "/raw/a%5Cb?x=%2f", "/raw//x"] {
          let count = house.upstream.requests.count
          #expect(try house.ask("GET", target, [People.alice.authorization]).status == 200, "\(target)")
          #expect(try house.upstream.requests(count + 1)[count].target == target)
        }
        let count = house.upstream.requests.count
        for target in ["/raw/../raw/x", "/raw/x/%2e%2e/y", "/raw/..%2fx", "/raw/%2e%2e%2fx", "/raw/..%5cx", "/raw/.%2e%2fx"] {
          #expect(try house.ask("GET", target, [People.alice.authorization]).status == 400, "\(target)")
        }
        #expect(house.upstream.requests.count == count)
      }
    }

    @Test func aMethodThatIsAnotherRoutesIsNotReachedByAField() throws {
      try House.with(Setup(more: "route DELETE /files/ { upstream legacy; require group admin }")) { house throws in
        for (path, passes) in [("/files/x", false), ("/x", true)] {
          #expect(try house.ask("POST", path, ["X-HTTP-Method-Override: DELETE", People.alice.authorization]).status == 200)
          #expect((house.upstream.requests.last?["X-HTTP-Method-Override"] != nil) == passes, "\(path)")
        }
        #expect(try house.ask("DELETE", "/files/x", [People.alice.authorization]).status == 403)
      }
    }

    @Test func strangersDoNotChooseWhatIsJudged() throws {
      try House.with(Setup(more: "route = /healthz { upstream legacy; require nobody }")) { house throws in
        for name in ["X-Forwarded-Uri", "X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Auth-Request-Redirect"]
        {
          #expect(try house.ask("GET", "/private", ["\(name): /healthz"]).status == 401, "\(name)")
        }
        for name in ["X-HTTP-Method-Override", "X-Forwarded-Method"] {
          #expect(try house.ask("POST", "/private", ["\(name): GET"]).status == 401)
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }
  }
}
