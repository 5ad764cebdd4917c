// Gatehouse as the authority of other servers: what they are told, that nobody else is told anything, and that nobody but them says what is
// judged.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct ForwardAuth {
    private static let routes = """
      route /public/ { upstream legacy; require nobody }
      route /admin/ { upstream legacy; require group admin }
      route DELETE /files/ { upstream legacy; require group admin }
      route open.test / { upstream legacy; require nobody }
      route /office/ { upstream legacy; require all { valid-user; from 198.51.100.0/24 } }
      """

    private static func setup(trusted: String = "127.0.0.1") -> Setup {
      Setup(top: "trusted_proxies \(trusted)\nforward_auth /auth", more: routes)
    }

    /// Fields as Caddy and Traefik send them.
    private func forwarded(_ uri: String, _ method: String = "GET", host: String = "legacy.test") -> [String] {
      ["X-Forwarded-Method: \(method)", "X-Forwarded-Uri: \(uri)", "X-Forwarded-Host: \(host)"]
    }

    /// Fields as nginx sends them.
    private func original(_ uri: String, _ method: String = "GET") -> [String] {
      ["X-Original-Method: \(method)", "X-Original-URI: \(uri)"]
    }

    // MARK: What is said

    @Test func aTrustedServerIsToldWhoMayPass() throws {
      try House.with(Self.setup()) { house throws in
        for fields in [forwarded("/x?y=%2F"), original("/x?y=%2F")] {
          let granted = try house.ask("GET", "/auth", fields + [People.bob.authorization])
          #expect(granted.status == 200 && granted["X-Forwarded-User"] == "bob" && granted["X-Forwarded-Groups"] == "staff,admin")
          #expect(granted["X-Request-Id"]?.isEmpty == false && granted["Content-Length"] == "0" && granted["Cache-Control"] == "no-store")

          let anonymous = try house.ask("GET", "/auth", fields)
          #expect(anonymous.status == 401 && anonymous.values("WWW-Authenticate").contains { $0.hasPrefix("Basic ") })
        }
        for fields in [forwarded("/admin/x"), original("/admin/x"), forwarded("/files/x", "DELETE"), original("/files/x", "DELETE")] {
          #expect(try house.ask("GET", "/auth", fields + [People.alice.authorization]).status == 403)
          #expect(try house.ask("GET", "/auth", fields + [People.bob.authorization]).status == 200)
          #expect(try house.ask("GET", "/auth", fields).status == 401)
        }
        for fields in [forwarded("/public/x"), forwarded("/x", host: "open.test")] {
          let free = try house.ask("GET", "/auth", fields)
          #expect(free.status == 200 && free["X-Forwarded-User"] == "" && free["X-Forwarded-Groups"] == "")
        }
        // A costly hash goes through the pool.
        for _ in 0..<2 {
          let costly = try house.ask("GET", "/auth", forwarded("/x") + [People.carol.authorization])
          #expect(costly.status == 200 && costly["X-Forwarded-User"] == "carol")
        }
        #expect(
          try house.ask("GET", "/auth", forwarded("/x") + ["Authorization: " + Secrets.basic("carol", "Wrong-1-carol")]).status == 401)
        #expect(house.upstream.connections.isEmpty)
        let lines = try house.accessLines(20).map { "\($0["method"] ?? "") \($0["target"] ?? "") \($0["status"] ?? "")" }
        #expect(lines.contains("DELETE /files/x 403") && lines.contains("GET /x?y=%2F 200"), "\(lines)")
      }
    }

    @Test func theClientIsWhomTheTrustedServerNames() throws {
      try House.with(Self.setup()) { house throws in
        let ask = forwarded("/office/x") + [People.alice.authorization]
        #expect(try house.ask("GET", "/auth", ask + ["X-Forwarded-For: 198.51.100.7"]).status == 200)
        #expect(try house.ask("GET", "/auth", ask + ["X-Forwarded-For: 198.51.100.7, 203.0.113.9"]).status == 403)
        #expect(try house.ask("GET", "/auth", ask).status == 403)
      }
    }

    @Test func theBodyOfAQuestionIsNotTheNextRequest() throws {
      try House.with(Self.setup()) { house throws in
        let client = try house.client()
        let smuggled = "GET /public/smuggled HTTP/1.1\r\nHost: legacy.test\r\n\r\n"
        let answer = try client.exchange(
          request("POST", "/auth", forwarded("/public/x") + ["Content-Length: \(smuggled.utf8.count)"], body: smuggled))
        #expect(answer.status == 200)
        #expect(try client.exchange(request("GET", "/auth", forwarded("/x"))).status == 401)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    // MARK: What is not said

    @Test func strangersAreToldNothing() throws {
      try House.with(Self.setup(trusted: "192.0.2.1")) { house throws in
        for fields in [forwarded("/public/x"), original("/public/x"), []] {
          #expect(try house.ask("GET", "/auth", fields).status == 401)
          let answer = try house.ask("GET", "/auth", fields + [People.bob.authorization])
          #expect(answer.status == 404 && answer["X-Forwarded-User"] == nil)
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func whatIsAskedAboutHasToBeSaidOnceAndClearly() throws {
      try House.with(Self.setup()) { house throws in
        let both = original("/public/x")
        let all = forwarded("/public/x")
        var unclear: [[String]] = [[], [both[0]], [both[1]], [all[0]], [all[1]], [all[2]], [all[0], all[1]], [both[0], all[1], all[2]]]
        unclear += (both + all).map { both + all + [$0] }
        unclear += [
          original("/public/x") + forwarded("/admin/x"), original("/admin/x") + forwarded("/public/x"),
          original("/public/x", "POST") + forwarded("/public/x"), original("/public/x") + ["X-Forwarded-Uri: /x"],
          original("/public/x") + ["X-Forwarded-Method: POST"], original("/x") + ["X-Forwarded-Host: open.test"],
          forwarded("/public/x") + ["X-Original-URI: /x"], original("/public/x") + ["X-Forwarded-Uri:"],
        ]
        for fields in unclear {
          for credentials in [[], [People.bob.authorization]] {
            #expect(try house.ask("GET", "/auth", fields + credentials).status == 400, "\(fields)")
          }
        }
        // Both in one voice are clear.
        #expect(try house.ask("GET", "/auth", original("/public/x") + forwarded("/public/x")).status == 200)
        #expect(house.upstream.connections.isEmpty)
        #expect(house.gate.errorLines.contains { $0.contains("forward_auth: ") })
      }
    }

    @Test func whatIsAskedAboutIsReadAsStrictlyAsARequest() throws {
      try House.with(Self.setup()) { house throws in
        let targets = [
          "", "public/x", "*", "/public/x HTTP/1.1", "/public/a b", "/public/#", "/public/%2fadmin", "/public/%", "/public/..%2fadmin",
          "/public/\\..\\admin", "/public/%00", "http://other.test/public/x", "http://", "ftp://legacy.test/public/x",
          "/public/\u{1}", "//public/x/../../admin",
          // Dot segments are the other server's to resolve, and it may do so otherwise than we do.
          "/public/../admin/x", "/admin/../public/x", "/public/%2e%2e/admin/x", "/public/.", "/public/..;/admin", "/./public/x",
          // Another route to whoever merges slashes or cuts parameters.
          "/x;/public/", "//public/x", "/public;x/y",
          "/" + String(repeating: "a", count: 9000),
        ]
        for target in targets {
          for fields in [forwarded(target), original(target)] {
            let status = try house.ask("GET", "/auth", fields).status
            #expect(status == 403 || status == 400 || status == 401, "\(target): \(status)")
          }
        }
        for method in ["", "GET /public/x HTTP/1.1", "G ET", "CONNECT", "G(T", "GET,POST"] {
          let status = try house.ask("GET", "/auth", forwarded("/public/x", method)).status
          #expect(status == 403 || status == 400, "\(method): \(status)")
        }
        for host in ["", "a b", "legacy.test/", "open.test, legacy.test", "open.test@legacy.test", "open.test:80:80"] {
          #expect([400, 403].contains(try house.ask("GET", "/auth", forwarded("/x", host: host)).status), "\(host)")
        }
        #expect(try house.ask("GET", "/auth", forwarded("/public/%7ex?y=../..")).status == 200)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    /// The server in front deletes or overwrites the field under its own name; another spelling it might pass on.
    @Test func fieldsThatResembleAnIdentityAreRefused() throws {
      try House.with(Self.setup()) { house throws in
        for name in ["X_Forwarded_User", "X-Forwarded_User", "x.forwarded.user", "X_FORWARDED_GROUPS"] {
          #expect(try house.ask("GET", "/auth", forwarded("/x") + ["\(name): forged", People.bob.authorization]).status == 403, "\(name)")
        }
        let answer = try house.ask("GET", "/auth", forwarded("/x") + ["X-Forwarded-User: forged", People.bob.authorization])
        #expect(answer.status == 200 && answer.values("X-Forwarded-User") == ["bob"])
      }
    }

    @Test func aMethodThatIsJudgedIsNotOverriddenBehindTheOtherServer() throws {
      try House.with(Self.setup()) { house throws in
        for name in ["X-HTTP-Method-Override", "x_http_method"] {
          let fields = ["\(name): DELETE", People.alice.authorization]
          #expect(try house.ask("GET", "/auth", forwarded("/files/x", "POST") + fields).status == 403)
          #expect(try house.ask("GET", "/auth", original("/files/x", "POST") + fields).status == 403)
          // There no method is judged.
          #expect(try house.ask("GET", "/auth", forwarded("/x", "POST") + fields).status == 200)
        }
        #expect(try house.ask("GET", "/auth", forwarded("/files/x", "POST") + [People.alice.authorization]).status == 200)
      }
    }

    /// What a route asks beside who may pass is the other server's to ask: of questions nothing is counted, and none is closed.
    @Test func boundsAreTheOtherServers() throws {
      var setup = Self.setup()
      setup.top += "\nrate 1r/h burst 2"
      setup.route = "rate 1r/h burst 1 by user\nmaintenance closed"
      setup.files = ["closed": ""]
      try House.with(setup) { house throws in
        let alice = People.alice.authorization
        for _ in 0..<4 { #expect(try house.ask("GET", "/auth", forwarded("/x") + [alice]).status == 200) }
        #expect(try (0..<3).map { _ in try house.ask("GET", "/x", [alice]).status } == [503, 503, 429])
        #expect(try house.ask("GET", "/auth", forwarded("/x") + [alice]).status == 200)
      }
    }

    /// The other server forwards it as it came, and the service obeys it.
    @Test func theSecondPathOfAQuestionIsJudgedToo() throws {
      try House.with(Self.setup()) { house throws in
        func status(_ method: String, _ destination: String..., from path: String = "/x", with more: [String] = []) throws -> Set<Int> {
          let fields = destination.map { "Destination: \($0)" } + more + [People.alice.authorization]
          return [try house.ask("GET", "/auth", forwarded(path, method) + fields).status, try house.ask("GET", "/auth", original(path, method) + fields).status]
        }
        for sent in ["/y", "http://legacy.test/y", "https://legacy.test:8443/y", "/y%20z?q"] { #expect(try status("MOVE", sent) == [200], "\(sent)") }
        let elsewhere = ["/admin/y", "/public/y", "http://legacy.test/admin/y", "/x/../admin/y", "http://other.test/y"]
        for sent in elsewhere + ["/x/../y", "/x/%2e%2e/y", "/..%2fadmin", "y", "//legacy.test/y"] {
          #expect(try status("MOVE", sent) == [403], "\(sent)")
          #expect(try status("COPY", sent) == [403], "\(sent)")
          #expect(try status("POST", sent, with: ["X-HTTP-Method-Override: MOVE"]) == [403], "\(sent)")
          #expect(try status("POST", sent, from: "/x?_method=MOVE") == [403], "\(sent)")
        }
        #expect(try status("MOVE", "/y", "/y") == [403])
        #expect(try status("POST", "/admin/y") == [403])
        #expect(try status("GET", "queue") == [200] && status("POST", "queue") == [200])
      }
    }

    @Test func severalAuthorizationsOfAQuestionAreRefused() throws {
      try House.with(Self.setup()) { house throws in
        let twice = [People.bob.authorization, People.alice.authorization]
        #expect(try house.ask("GET", "/auth", forwarded("/x") + twice).status == 403)
        #expect(try house.ask("GET", "/auth", forwarded("/public/x") + twice).status == 403)
      }
    }

    @Test func noRouteIsNoRightToPass() throws {
      var setup = Self.setup()
      setup.path = "/app/"
      try House.with(setup) { house throws in
        #expect(try house.ask("GET", "/auth", forwarded("/x")).status == 401)
        #expect(try house.ask("GET", "/auth", forwarded("/x") + [People.bob.authorization]).status == 403)
        #expect(try house.ask("GET", "/auth", forwarded("/auth") + [People.bob.authorization]).status == 403)
        #expect(try house.ask("GET", "/auth", forwarded("/app/x", "TRACE") + [People.bob.authorization]).status == 403)
      }
    }

    @Test func theAnswerOfAQuestionIsNotThatOfTheNextRequest() throws {
      try House.with(Self.setup()) { house throws in
        let client = try house.client()
        #expect(try client.exchange(request("GET", "/auth", forwarded("/public/x"))).status == 200)
        #expect(try client.exchange(request("GET", "/private")).status == 401)
        #expect(try client.exchange(request("GET", "/auth", forwarded("/x") + [People.carol.authorization])).status == 200)
        #expect(try client.exchange(request("GET", "/private", [People.carol.authorization])).status == 200)
        #expect(try client.exchange(request("GET", "/admin/x", [People.carol.authorization])).status == 403)
        #expect(try house.upstream.requests(1).map(\.target) == ["/private"])
      }
    }
  }
}
