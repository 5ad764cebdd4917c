// What a route changes on the way: the path, Host and headers that the service is sent, and the addresses, cookies and headers that come back.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct Rewriting {
    private let alice = People.alice.authorization

    /// Answers with the fields that the test wants, one a line in the body of the request; `PORT` in them is the service's.
    private static let saysSo: Script = { conversation in
      while let request = try conversation.request() {
        let fields = request.text.split(separator: "\n").map(String.init)
        try conversation.send(Answer.text("said", status: fields.isEmpty ? "200 OK" : "302 Found", fields: fields))
      }
    }

    private func house(_ route: String, path: String = "/", more: String = "", top: String = "", _ body: (House) throws -> Void) throws {
      try House.with(Setup(top: top, path: path, route: route, more: more), Self.saysSo, body)
    }

    /// The target that the service got; nil where it got nothing.
    private func target(_ house: House, _ path: String, expecting status: Int = 200) throws -> String? {
      let count = house.upstream.requests.count
      let answer = try house.ask("GET", path, [alice])
      #expect(answer.status == status, "\(path)")
      return answer.status == 200 ? try house.upstream.requests(count + 1)[count].target : nil
    }

    /// What comes back of fields that the service answers with.
    private func answer(_ house: House, _ fields: [String], _ path: String = "/legacy/x", _ more: [String] = []) throws -> Message {
      let body = fields.joined(separator: "\n").replacingOccurrences(of: "PORT", with: "\(house.upstream.port)")
      return try house.ask("POST", path, [alice, "Content-Length: \(body.utf8.count)"] + more, body: body)
    }

    // MARK: Paths

    @Test func aPrefixIsTakenAway() throws {
      try house("strip_prefix on", path: "/legacy/") { house throws in
        for (sent, expected) in [
          ("/legacy/a/b?c=/d", "/a/b?c=/d"), ("/legacy", "/"), ("/legacy/", "/"), ("/legacy?x", "/?x"), ("/x/../legacy/%61", "/a"), ("/legacy/a%20b;c", "/a%20b;c"),
          ("/legacy/legacy/x", "/legacy/x"), ("/legacy/%3Fa", "/%3Fa"), ("/legacy/a//b", "/a//b"),
        ] {
          #expect(try target(house, sent) == expected, "\(sent)")
        }
        #expect(house.upstream.requests.allSatisfy { $0["x-forwarded-prefix"] == "/legacy" })
        // What only looks like it is no route's.
        for path in ["/legacyx", "/legac", "/", "/Legacy/x"] { #expect(try target(house, path, expecting: 404) == nil) }
        // What is left must not be read as a host.
        for path in ["/legacy//evil.com", "/legacy//"] { #expect(try target(house, path, expecting: 400) == nil) }
        for path in ["/legacy/../x", "/legacy/%2e%2e/admin", "/legacy/..%2fx", "/legacy%2fx", "/legacy/..;/x"] {
          #expect([400, 404].contains(try house.ask("GET", path, [alice]).status), "\(path)")
        }
        #expect(house.gate.child.errors.text.contains("two slashes"))
      }
    }

    @Test func anotherPrefixIsPutBefore() throws {
      let more = "route /legacy/admin/ { upstream legacy; require group admin; strip_prefix /legacy; add_prefix /app/ }"
      try house("add_prefix /app", more: more) { house throws in
        #expect(try target(house, "/x?y") == "/app/x?y" && target(house, "/") == "/app/")
        #expect(try house.ask("GET", "/legacy/admin/z", [People.bob.authorization]).status == 200)
        #expect(house.upstream.requests.last?.target == "/app/admin/z")
      }
    }

    @Test func pathsAreRewrittenByTheFirstThatMatches() throws {
      let rules = """
        rewrite ^/old/([^/]+)/(.*)$ /new/$2/$1
        rewrite ^/old/ /gone?
        rewrite "^/n/(\\\\d{1,3})$" /item?id=$1
        rewrite ^/q/(.*)$ "/search?q=$1&{query}"
        rewrite ^/copy/(.)(.*)$ /$1$1$2
        """
      try house(rules) { house throws in
        for (sent, expected) in [
          ("/old/a/b/c?d", "/new/b/c/a?d"), ("/old/a?b", "/gone"), ("/n/42?x=y", "/item?id=42"), ("/n/4242", "/n/4242"), ("/other?x", "/other?x"),
          ("/q/a&b=c+d%26/e?f=g", "/search?q=a%26b%3Dc%2Bd%26/e&f=g"), ("/q/a%3Fb%23c", "/search?q=a%3Fb%23c&"), ("/copy/ab", "/aab"), ("//x", "//x"),
        ] {
          #expect(try target(house, sent) == expected, "\(sent)")
        }
      }
    }

    @Test func whatARewriteMakesIsJudgedForItsForm() throws {
      let rules = "rewrite ^/half/(.)25(..)$ /$1$2\nrewrite ^/up/(.)x(.)/(.*)$ /a/$1$2/$3\nrewrite ^/host/(.*)$ /$1\nrewrite ^/long/(.*)$ /$1$1$1$1$1$1$1$1$1"
      try house(rules, more: "route /admin/ { upstream legacy; require group admin }") { house throws in
        let count = house.upstream.requests.count
        let long = String(repeating: "a", count: 4000)
        // Half an escape and what followed it, dots that were apart, a slash too many, more than anybody would take.
        for path in ["/half/%252e", "/half/%252F", "/half/%250d", "/half/%2500", "/up/.x./admin/secret", "/host//evil.com"] + ["/long/" + long] {
          #expect(try house.ask("GET", path, [alice]).status == 400, "\(path)")
        }
        for path in ["/host/%0d%0aX-Evil:1", "/host/%2e%2e/%2e%2e/x", "/host/a%00", "/host/..%2fx", "/host/a%5cb"] {
          #expect(try house.ask("GET", path, [alice]).status == 400, "\(path)")
        }
        #expect(house.upstream.requests.count == count)
        // The rule is about what came: who may pass there may have it changed into anything that the operator wrote.
        #expect(try target(house, "/host/admin/x") == "/admin/x" && house.ask("GET", "/admin/x", [alice]).status == 403)
        #expect(house.gate.child.errors.text.contains("not canonical"))
        #expect(try house.accessLines(1).contains { ($0["reason"] as? String)?.contains("canonical") == true })
      }
    }

    @Test func noPatternHoldsUpAWorker() throws {
      try house("rewrite ^/((a*)*)*b$ /never\nrewrite ^/(a|a)*c$ /never\nrewrite \"^/(.*)(.*)(.*)(.*)(.*)(.*)x$\" /never") { house throws in
        let path = "/" + String(repeating: "a", count: 7000)
        let start = ContinuousClock.now
        #expect(try target(house, path) == path)
        // Seconds in this build; centuries for an engine that tries all ways.
        #expect(ContinuousClock.now - start < .seconds(30))
      }
    }

    // MARK: Host

    @Test func theHostIsWhatTheRouteSays() throws {
      let more = "route /server/ { upstream legacy; require valid-user; host upstream }\nroute /named/ { upstream legacy; require valid-user; host app.internal:81 }"
      try house("", more: more) { house throws in
        func hosts(_ path: String) throws -> [String?] {
          _ = try target(house, path)
          let request = house.upstream.requests.last
          return [request?["host"], request?["x-forwarded-host"]]
        }
        #expect(try hosts("/") == ["legacy.test", "legacy.test"])
        #expect(try hosts("/server/") == ["127.0.0.1:\(house.upstream.port)", "legacy.test"])
        #expect(try hosts("/named/") == ["app.internal:81", "legacy.test"])
      }
    }

    @Test func aRetriedRequestNamesTheServerThatItGoesTo() throws {
      let other = try RecordingUpstream(Answer.hello)
      try House.with(Setup(upstream: "server http://localhost:\(other.port)\neject off\nretry 1 on connect 503", route: "host upstream"), { conversation in
        while try conversation.request() != nil { try conversation.send(Answer.text("no", status: "503 Busy")) }
      }) { house throws in
        for _ in 0..<4 { _ = try house.ask("GET", "/", [alice, "X-After: kept"]) }
        #expect(house.upstream.requests.count > 0 && house.upstream.requests.allSatisfy { $0["host"] == "127.0.0.1:\(house.upstream.port)" })
        #expect(other.requests.count > 0 && other.requests.allSatisfy { $0["host"] == "localhost:\(other.port)" && $0["x-after"] == "kept" })
      }
      try other.stop()
    }

    // MARK: Headers

    @Test func headersAreSetAddedAndRemoved() throws {
      let rules = """
        request_header set X-Who "{user} in {groups}"
        request_header set X-From "{remote_address} {scheme} {method} {host} {path} {query}"
        request_header add Accept-Language de
        request_header remove User-Agent
        request_header set X-Echo "{header.x-asked}"
        request_header set X-Json "{{\\"a\\": 1} {header.X-Missing}"
        request_header set Accept text/plain
        request_header set X-WebAuth-User {user}
        response_header set X-Frame-Options DENY
        response_header add Vary Cookie
        response_header remove Server
        response_header set X-Said "{request_id} {path}"
        response_header set X-Nothing "{header.X-Missing}"
        """.replacingOccurrences(of: "X-WebAuth-User {user}", with: "X-WebAuth-User \"{user}\"")
      try house(rules) { house throws in
        let message = try answer(
          house, ["Server: old", "x-frame-options: ALLOWALL", "Vary: Accept", "X-Nothing: from the service"], "/p/%61?q=1",
          [
            "Accept: */*", "Accept-Language: en", "User-Agent: t", "User_Agent: t", "X-Asked: one", "x-asked: two", "X-Who: root", "x_who: root", "X~Who: root",
            "X-WebAuth-User: root",
          ])
        let sent = try #require(house.upstream.requests.last)
        #expect(sent["x-who"] == "alice in staff" && sent["x-from"] == "127.0.0.1 \(house.front.scheme) POST legacy.test /p/a q=1")
        #expect(sent.values("accept-language") == ["en", "de"] && sent["accept"] == "text/plain" && sent["x-webauth-user"] == "alice")
        #expect(sent["x-echo"] == "one, two" && sent["x-json"] == "{\"a\": 1}")
        #expect(!sent.headText.contains("root") && sent["user-agent"] == nil && sent["user_agent"] == nil)
        #expect(message.values("x-frame-options") == ["DENY"] && message.values("vary") == ["Accept", "Cookie"] && message["server"] == nil)
        #expect(message["x-said"]?.hasSuffix(" /p/a") == true && message["x-said"]?.hasPrefix(sent["x-request-id"] ?? "-") == true)
        #expect(message["x-nothing"] == nil)
        // Answers of our own are nobody's to change.
        #expect(try house.ask("GET", "/", []).values("x-frame-options").isEmpty)
      }
    }

    /// Some services put trailers among the head's fields.
    @Test func whatTheRouteSaysStandsInNoTrailer() throws {
      try house("request_header set X-Tenant \"t-{user}\"\nrequest_header remove X-Debug") { house throws in
        let fields = [People.alice.authorization, "Transfer-Encoding: chunked", "Trailer: X-Tenant, X-Debug, X-Sum"]
        let trailers = "X-Tenant: evil\r\nx_tenant: evil\r\nX-Debug: evil\r\nX-HTTP-Method-Override: evil\r\nX-Sum: 5\r\n\r\n"
        _ = try house.client().exchange(request("POST", "/", fields) + "3\r\nabc\r\n0\r\n" + trailers)
        let sent = try #require(house.upstream.requests.last)
        #expect(sent["x-tenant"] == "t-alice" && sent.trailers.map(\.name) == ["X-Sum"], "\(sent.trailers)")
      }
    }

    /// Two interim responses and one final, each with what the route has taken out.
    @Test func whatTheRouteSaysOfAnswersStandsInNoInterimResponse() throws {
      let fields = "Link: </a>\r\nX-INSIDE: evil\r\nX-Frame-Options: ALLOW\r\nX-Empty:\r\n"
      let hints = "HTTP/1.1 103 X-Inside: a\r\n\(fields)\r\n"
      let rules = "response_header remove X-Inside\nresponse_header set X-Frame-Options DENY\nresponse_header add X-More 1"
      try House.with(Setup(route: rules), Answer.always(hints + hints + "HTTP/1.1 200 OK\r\n\(fields)Content-Length: 2\r\n\r\nok")) { house throws in
        let message = try house.client().exchange(request("GET", "/", [alice]))
        #expect(message.text == "ok" && message["x-inside"] == nil && message.values("x-frame-options") == ["DENY"])
        #expect(message.interim.count == 2 && message.interim.allSatisfy { $0.status == 103 })
        for head in message.interim {
          #expect(head.values("link") == ["</a>"] && head["x-inside"] == nil && head["x-frame-options"] == nil && head["x-empty"] == "", "\(head.headText)")
        }
      }
    }

    /// What a 103 names, clients ask us for.
    @Test func earlyHintsAreMappedAsAnswersAre() throws {
      let links = "Link: </a.css>; rel=preload, <http://legacy.test/b.js>; rel=preload\r\nlink:<x.css>\r\n"
      let hints = "HTTP/1.1 103 Early: </no>\r\n\(links)Set-Cookie: a=b; Path=/\r\n\r\n"
      let more = "route /off/ { upstream legacy; require valid-user; strip_prefix on; rewrite_location off }"
      let setup = Setup(path: "/legacy/", route: "strip_prefix on\ncookie secure on", more: more)
      try House.with(setup, Answer.always(hints + hints + "HTTP/1.1 200 OK\r\n\(links)Content-Length: 2\r\n\r\nok")) { house throws in
        let message = try house.client().exchange(request("GET", "/legacy/", [alice]))
        let expected = ["</legacy/a.css>; rel=preload, <\(house.front.scheme)://legacy.test/legacy/b.js>; rel=preload", "<x.css>"]
        #expect(message.text == "ok" && message.values("link") == expected && message.interim.count == 2)
        for head in message.interim {
          #expect(head.values("link") == expected && head.values("set-cookie") == ["a=b; Path=/legacy; Secure"] && head.reason == "Early: </no>", "\(head.headText)")
        }
        let off = try house.client().exchange(request("GET", "/off/", [alice]))
        #expect(off.interim.first?.values("link").first == "</a.css>; rel=preload, <http://legacy.test/b.js>; rel=preload")
      }
    }

    /// What the service says behind a body is not what the route has taken out of its head.
    @Test func whatTheRouteSaysOfAnswersStandsInNoTrailer() throws {
      let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Inside: evil\r\nX-FRAME-Options: ALLOW\r\nVary: more\r\nX-Sum: 5\r\n\r\n"
      let rules = "response_header remove X-Inside\nresponse_header set X-Frame-Options DENY\nresponse_header add Vary Cookie"
      try House.with(Setup(route: rules), Answer.always(answer)) { house throws in
        let message = try house.client().exchange(request("GET", "/", [alice]))
        #expect(message.text == "abc" && message.trailers.map { $0.name.lowercased() } == ["vary", "x-sum"], "\(message.trailers)")
      }
    }

    @Test func noVariableEndsItsLine() throws {
      let rules = "request_header set X-Copy \"<{header.x-evil}> {query} {path}\"\nresponse_header set X-Back \"<{header.x-evil}> {query}\""
      try house(rules) { house throws in
        let client = try house.client()
        for value in ["a\r\nX-Forwarded-User: root", "a\nX-Admin: 1", "a\u{0}b", "a\r b", "a\r\n b: c", "a\u{7f}"] {
          _ = try? client.exchange(request("GET", "/", [alice, "X-Evil: \(value)"]))
        }
        let message = try house.ask("GET", "/a%20b?c=%0d%0aX-Admin:%201&\u{e4}".addingPercentEncoding(withAllowedCharacters: .init(charactersIn: "\u{21}"..."\u{7e}"))!, [
          alice, "X-Evil: caf\u{e9} \t x",
        ])
        #expect(message["x-back"]?.hasPrefix("<caf\u{e9}") == true)
        for request in house.upstream.requests {
          #expect(request["x-admin"] == nil && request["x-forwarded-user"] == "alice" && request["x-copy"] != nil)
        }
      }
    }

    // MARK: What comes back

    @Test func addressesOfTheServiceAreTheClients() throws {
      try house("strip_prefix on", path: "/legacy/") { house throws in
        let base = "\(house.front.scheme)://legacy.test/legacy"
        for (said, expected) in [
          ("http://127.0.0.1:PORT/next?a#b", "\(base)/next?a#b"), ("/next", "/legacy/next"), ("/legacy/next", "/legacy/next"), ("next", "next"),
          ("http://legacy.test/next", "\(base)/next"), ("http://legacy.test:PORT/next", "\(base)/next"), ("//127.0.0.1:PORT/x", "\(base)/x"),
          ("http://elsewhere.test/x", "http://elsewhere.test/x"), ("//evil.com/x", "//evil.com/x"), ("http://127.0.0.1:PORT@evil.com/", nil),
          ("http://127.0.0.1:PORT.evil.com/", nil), ("http://127.0.0.1:PORT\\@evil.com/", nil), ("/\\evil.com", "/\\evil.com"), ("/legacyx", "/legacy/legacyx"),
        ] as [(String, String?)] {
          let stays = said.replacingOccurrences(of: "PORT", with: "\(house.upstream.port)")
          #expect(try answer(house, ["Location: \(said)"])["location"] == expected ?? stays, "\(said)")
        }
        let message = try answer(
          house,
          [
            "Content-Location: /c", "Refresh: 3; url=http://127.0.0.1:PORT/r", "Link: </l>; rel=next, <http://other/>", "Set-Cookie: a=b; Path=/; Domain=127.0.0.1",
            "Set-Cookie: c=d; HttpOnly", "X-Other: http://127.0.0.1:PORT/",
          ])
        #expect(message["content-location"] == "/legacy/c" && message["refresh"] == "3; url=\(base)/r")
        #expect(message["link"] == "</legacy/l>; rel=next, <http://other/>" && message["x-other"] == "http://127.0.0.1:\(house.upstream.port)/")
        #expect(message.values("set-cookie") == ["a=b; Path=/legacy", "c=d; HttpOnly"])
        #expect(message.text == "said" && message["content-length"] == "4")
        let head = try house.ask("HEAD", "/legacy/x", [alice])
        #expect(head.status == 200 && head["content-length"] == "4")
      }
    }

    @Test func withoutAPrefixTheServicesAddressIsMappedToo() throws {
      let more = "route /off/ { upstream legacy; require valid-user; rewrite_location off; strip_prefix on }"
      try house("", more: more) { house throws in
        let message = try answer(house, ["Location: http://127.0.0.1:PORT/x", "Set-Cookie: a=b; Domain=127.0.0.1; Path=/"], "/")
        #expect(message["location"] == "\(house.front.scheme)://legacy.test/x" && message["set-cookie"] == "a=b; Domain=127.0.0.1; Path=/")
        let off = try answer(house, ["Location: http://127.0.0.1:PORT/x", "Set-Cookie: a=b; Path=/"], "/off/")
        #expect(off["location"] == "http://127.0.0.1:\(house.upstream.port)/x" && off["set-cookie"] == "a=b; Path=/")
      }
    }

    @Test func cookiesGetWhatTheRouteSays() throws {
      let rules = "cookie domain remove\ncookie path /p\ncookie secure on\ncookie http_only on\ncookie same_site strict"
      try house(rules) { house throws in
        let message = try answer(house, ["Set-Cookie: a=b; domain=.x.test; Path=/q; SameSite=None; Secure", "set-cookie: __Host-c=d; Path=/; Secure"], "/")
        #expect(
          message.values("set-cookie") == [
            "a=b; Secure; Path=/p; HttpOnly; SameSite=Strict", "__Host-c=d; Path=/; Secure; HttpOnly; SameSite=Strict",
          ])
      }
    }

    @Test func behindATrustedProxyItsClientsAddressIsToldOfIt() throws {
      try house("strip_prefix on", path: "/legacy/", top: "trusted_proxies 127.0.0.1") { house throws in
        let forwarded = ["X-Forwarded-Proto: https", "X-Forwarded-Host: public.test:8443"]
        let message = try answer(house, ["Location: http://127.0.0.1:PORT/x"], "/legacy/x", forwarded)
        #expect(message["location"] == "https://public.test:8443/legacy/x")
        // What is no host is nobody's.
        let bad = try answer(house, ["Location: http://127.0.0.1:PORT/x"], "/legacy/x", ["X-Forwarded-Proto: https", "X-Forwarded-Host: evil.com/x@"])
        #expect(bad["location"] == "https://legacy.test/legacy/x")
      }
    }

    // MARK: Destinations

    @Test func aDestinationIsJudgedAndMapped() throws {
      let more = """
        route /admin/ { upstream legacy; require group admin; strip_prefix on }
        route /open/ { upstream legacy; require valid-user }
        """
      try house("strip_prefix on", path: "/dav/", more: more) { house throws in
        func move(_ destination: String..., from path: String = "/dav/a", as method: String = "MOVE", _ more: [String] = []) throws -> (Int, String?) {
          let count = house.upstream.requests.count
          let answer = try house.ask(method, path, [alice] + destination.map { "Destination: \($0)" } + more)
          return (answer.status, answer.status == 200 ? try house.upstream.requests(count + 1)[count]["destination"] : nil)
        }
        let scheme = house.front.scheme
        for (sent, expected) in [
          ("\(scheme)://legacy.test/dav/b", "http://legacy.test/b"),
          ("https://LEGACY.test:443/dav/b%20c", "http://legacy.test/b%20c"), ("/dav/b/../%63", "http://legacy.test/c"),
          ("/dav", "http://legacy.test/"), ("/dav/b?x", "http://legacy.test/b?x"),
        ] {
          let (status, destination) = try move(sent)
          #expect(status == 200 && destination == expected, "\(sent)")
        }
        for sent in ["/admin/b", "/dav/../admin/b", "/dav/%2e%2e/admin/b", "/open/b", "/b", "\(scheme)://legacy.test/admin/b", "/davx/b", "/api/token"] {
          #expect(try move(sent).0 == 403, "\(sent)")
          #expect(try move(sent, as: "COPY").0 == 403, "\(sent)")
          // By a word that means the same to many frameworks.
          #expect(try move(sent, as: "POST", ["X-HTTP-Method-Override: MOVE", "Content-Length: 0"]).0 == 403, "\(sent)")
          // And by what a form's content may say, or a spelling of PHP's.
          #expect(try move(sent, from: "/dav/a?.method=MOVE", as: "POST", ["Content-Length: 0"]).0 == 403, "\(sent)")
          for query in ["_method=MOVE", "a=1&%5FMethod=move", "a;_method=COPY", "X-HTTP-Method-Override=MOVE"] {
            #expect(try move(sent, from: "/dav/a?\(query)", as: "POST", ["Content-Length: 0"]).0 == 403, "\(sent)")
          }
        }
        for sent in ["\(scheme)://evil.com/dav/b", "http://127.0.0.1:\(house.upstream.port)/dav/b", "\(scheme)://legacy.test:1/dav/b"] {
          #expect(try move(sent).0 == 502, "\(sent)")
        }
        let malformed = ["b", "//legacy.test/dav/b", "\(scheme)://legacy.test@evil.com/dav/b", "/dav/b#c", "/dav/a%2fb", "/dav/..%2fadmin", "/dav/../../b"]
        for sent in malformed + ["", "/dav/\\..\\x"] {
          #expect(try move(sent).0 == 400, "\(sent)")
        }
        #expect(try move("/dav/a", "/dav/b").0 == 400)
        #expect(house.upstream.requests.allSatisfy { $0.values("destination").count == 1 })
        for sent in ["../admin", "..", "x%2f..%2f..%2fadmin", "x\\y", "mailto:x"] { #expect(try move(sent, as: "POST", ["Content-Length: 0"]).0 == 400, "\(sent)") }
        #expect(try move("/dav/b", "/dav/c", as: "POST", ["Content-Length: 0"]).0 == 400)
        // To other methods it is a field like others, and to a POST where it is a word.
        #expect(try move("queue-7.b", as: "POST", ["Content-Length: 0"]).1 == "queue-7.b")
        #expect(try move("/dav/b", as: "POST", ["Content-Length: 0"]).1 == "http://legacy.test/b")
        #expect(try move("queue", as: "GET").1 == "queue")
        #expect(try move("queue", from: "/dav/a?method=MOVE&x_method=MOVE", as: "GET").1 == "queue")
      }
    }

    @Test func aTokensScopeCoversTheDestination() throws {
      try House.with { house throws in
        let issued = try Gatehouse.run(["token", "issue", "alice", "--name", "ci", "--scope", "/mine/", "--file", "users"], in: house.scratch)
        #expect(issued.code == 0, "\(issued.errors)")
        let key = Secrets.keep(try #require(issued.text.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("ghk_") }.map(String.init)))
        func status(_ destination: String) throws -> Int {
          try house.ask("MOVE", "/mine/a", ["Authorization: Bearer \(key)", "Destination: \(destination)"]).status
        }
        try eventually("the key is known") { try status("/mine/b") == 200 }
        #expect(try status("/others/b") == 403 && status("/mine/../others/b") == 403 && status("/mine/%2e%2e/x") == 403)
      }
    }
  }
}
