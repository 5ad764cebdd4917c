// What browsers need: preflights that nobody can answer a password question for, and challenges that open no dialog. And that neither opens
// anything else.

import Testing

extension EndToEnd {
  @Suite(.serialized) struct Browser {
    private static let setup = Setup(
      top: "challenge silent-for-xhr\ntrusted_proxies 127.0.0.1",
      more: """
        route /api/ { upstream legacy; require group admin; preflight pass }
        route POST /api/methods { upstream legacy; require valid-user; preflight pass }
        route OPTIONS /api/closed { upstream legacy; require valid-user }
        route /office/ { upstream legacy; require all { valid-user; from 198.51.100.0/24 }; preflight pass }
        route /plain/ { upstream legacy; require valid-user; challenge basic }
        """)
    private static let preflight = ["Origin: https://app.test", "Access-Control-Request-Method: PUT"]

    @Test func aPreflightPassesAsNobody() throws {
      try House.with(Self.setup) { house throws in
        let fields = Self.preflight + ["Access-Control-Request-Headers: authorization", "X-Forwarded-User: forged", "Content-Length: 0"]
        #expect(try house.ask("OPTIONS", "/api/x", fields).status == 200)
        #expect(try house.ask("OPTIONS", "/office/x", fields + ["X-Forwarded-For: 198.51.100.7"]).status == 200)
        for seen in try house.upstream.requests(2) {
          #expect(seen.method == "OPTIONS" && seen["Origin"] == "https://app.test" && seen["Access-Control-Request-Method"] == "PUT")
          #expect(seen.values("X-Forwarded-User").isEmpty && !seen.head.holds("forged"), "\(seen.headText)")
        }
        #expect(try house.upstream.requests(2)[0].target == "/api/x")
      }
    }

    @Test func onlyAPreflightPassesAsOne() throws {
      try House.with(Self.setup) { house throws in
        let wrong = ["-u", "alice:" + Secrets.keep("Wrong-5-alice")]
        for method in ["PUT", "GET", "POST", "HEAD", "DELETE"] {
          #expect(try house.ask(method, "/api/x", Self.preflight).status == 401, "\(method)")
        }
        for fields in [
          [], [Self.preflight[0]], [Self.preflight[1]], Self.preflight + ["Origin: https://b.test"], Self.preflight + ["Cookie: a=b"],
          Self.preflight + ["X-HTTP-Method-Override: PUT"], Self.preflight + ["X_HTTP_Method: PUT"],
          ["Origin: x", Self.preflight[1]], [Self.preflight[0], "Access-Control-Request-Method: P UT"],
        ] {
          #expect(try house.ask("OPTIONS", "/api/x", fields).status == 401, "\(fields)")
        }
        // With a body, with credentials, where it is not said, and from where no user may come.
        #expect(try house.ask("OPTIONS", "/api/x", Self.preflight + ["Content-Length: 4"], body: "body").status == 401)
        #expect(try house.ask("OPTIONS", "/api/x", Self.preflight + ["Transfer-Encoding: chunked"], body: "0\r\n\r\n").status == 401)
        #expect(try house.ask("OPTIONS", "/api/x", Self.preflight + [People.alice.authorization]).status == 403)
        #expect(
          try house.curl("-X", "OPTIONS", "-H", Self.preflight[0], "-H", Self.preflight[1], wrong[0], wrong[1], "/api/x").status == 401)
        for path in ["/", "/plain/x", "/api/closed", "/office/x", "/api/../plain/x"] {
          #expect(try house.ask("OPTIONS", path, Self.preflight).status == 401, "\(path)")
        }
        #expect(try house.ask("OPTIONS", "*", Self.preflight).status == 401)
        #expect(try house.ask("OPTIONS", "/api/..%2fplain", Self.preflight).status == 400)
        #expect(house.upstream.connections.isEmpty)
        // It is the route of OPTIONS that counts, not the one of the method that is asked for.
        #expect(try house.ask("OPTIONS", "/api/methods", [Self.preflight[0], "Access-Control-Request-Method: POST"]).status == 200)
      }
    }

    @Test func aScriptIsChallengedWithoutBasic() throws {
      try House.with(Self.setup) { house throws in
        let scripts = [
          ["X-Requested-With: XMLHttpRequest"], ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
          ["Sec-Fetch-Dest: empty", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Site: same-origin"],
        ]
        for fields in scripts {
          for path in ["/", "/api/x"] {
            let answer = try house.ask("GET", path, fields)
            #expect(answer.status == 401 && answer.values("WWW-Authenticate").map { $0.prefix(7) } == ["Bearer "], "\(fields)")
          }
          #expect(try house.ask("GET", "/plain/", fields).values("WWW-Authenticate").count == 2)
          let token = try house.ask("GET", "/", fields + ["Authorization: Bearer x"]).values("WWW-Authenticate")
          #expect(token.count == 1 && token[0].hasSuffix("error=\"invalid_token\""))
        }
        for fields in [
          [], ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"], ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
          ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: font"], ["Sec-Fetch-Mode: cors"], ["X-Requested-With: com.example.app"],
        ] {
          let challenges = try house.ask("GET", "/", fields).values("WWW-Authenticate")
          #expect(challenges.count == 2 && challenges[0].hasPrefix("Basic "), "\(fields)")
        }
      }
    }
  }
}
