// What routes answer without an upstream: texts, redirects, pages for our own answers, and maintenance.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct RouteAnswers {
    private let auth = People.alice.authorization

    @Test(.byEachFront) func aTextIsAnswered() throws {
      let more = """
        route /text { respond 200 "hi {path}"; require nobody }
        route /gone { respond 410 file gone.html; require nobody }
        route /empty { respond 204; require nobody }
        route /json { respond 503 "{}" type application/json; require valid-user }
        """
      try House.with(Setup(more: more, files: ["gone.html": "<p>gone</p>"])) { house throws in
        let text = try house.ask("GET", "/text")
        #expect(text.status == 200 && text.text == "hi {path}" && text["Content-Type"] == "text/plain; charset=utf-8")
        #expect(try house.ask("POST", "/text", ["Content-Length: 3"], body: "abc").text == "hi {path}")
        let gone = try house.ask("GET", "/gone/x")
        #expect(gone.status == 410 && gone.text == "<p>gone</p>" && gone["Content-Type"] == "text/html; charset=utf-8")
        #expect(try house.ask("GET", "/empty").status == 204)
        #expect(try house.ask("GET", "/json").status == 401)
        let json = try house.ask("GET", "/json", [auth])
        #expect(json.status == 503 && json.text == "{}" && json["Content-Type"] == "application/json")
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func answersKeepTheConnection() throws {
      try House.with(Setup(more: "route /text { respond 200 \"hi\"; require nobody }")) { house throws in
        let client = try house.client()
        for _ in 0..<3 { #expect(try client.exchange(request("GET", "/text")).text == "hi") }
        let head = try client.exchange(request("HEAD", "/text"))
        #expect(head["Content-Length"] == "2" && head.body.isEmpty)
        #expect(try client.exchange(request("GET", "/", [auth])).text == "hello")
      }
    }

    // MARK: Redirects

    private static let redirects = """
      route /a { redirect 308 "https://{host}/new{path}{query}"; require nobody }
      route /b { redirect "https://elsewhere.example{path}{query}"; require nobody }
      route /c { redirect 303 "{path}{query}"; require nobody }
      route / { redirect 301 "/{path}"; require nobody }
      route /d { redirect "https://{host}:8443{path}"; require valid-user }
      """

    @Test(.byEachFront) func aRedirectKeepsPathAndQuery() throws {
      try House.with(Setup(path: "/legacy", more: Self.redirects)) { house throws in
        let a = try house.ask("GET", "/a/b%20c?x=1&y=%0d%0a")
        #expect(a.status == 308 && a["Location"] == "https://legacy.test/new/a/b%20c?x=1&y=%0d%0a")
        #expect(try house.ask("GET", "/b?q")["Location"] == "https://elsewhere.example/b?q")
        #expect(try house.ask("GET", "/c/x?")["Location"] == "/c/x?")
        #expect(try house.ask("GET", "/d").status == 401)
        let d = try house.ask("GET", "/d/e", [auth])
        #expect(d.status == 302 && d["Location"] == "https://legacy.test:8443/d/e")
      }
    }

    @Test func noPathMakesARedirectLeadToAnotherHost() throws {
      try House.with(Setup(path: "/legacy", more: Self.redirects)) { house throws in
        for path in [
          "//evil.example", "///evil.example", "/%2Fevil.example", "/%2f%2fevil.example", "//evil.example/..", "/\\evil.example", "/%5Cevil.example",
          "/.//evil.example", "/x/..//evil.example", "//evil.example%2f..", "/c//evil.example", "/%09/evil.example", "/@evil.example",
          "/b//evil.example", "/b@evil.example", "/b.evil.example", "/b:1@evil.example",
        ] {
          let answer = try house.client().exchange(request("GET", path))
          guard let location = answer["Location"] else {
            #expect(answer.status == 400, "\(path)")
            continue
          }
          let isElsewhere = location.hasPrefix("https://elsewhere.example/")
          #expect(isElsewhere || location.hasPrefix("/") && !location.hasPrefix("//"), "\(path) → \(location)")
          #expect(!location.hasPrefix("/\\") && !location.contains("\\"), "\(path) → \(location)")
        }
        // What is no path.
        let star = try house.client().exchange(request("OPTIONS", "*"))
        #expect(star["Location"] == "/")
      }
    }

    @Test func noRequestPutsALineIntoARedirect() throws {
      try House.with(Setup(path: "/legacy", more: Self.redirects)) { house throws in
        for path in ["/a%0d%0aSet-Cookie:%20x=1", "/a?%0d%0aSet-Cookie:x=1", "/a/%0aX: y", "/a?x=\u{85}\r\nY: z", "/a%00"] {
          let client = try house.client()
          try client.send(request("GET", path))
          let answer = try #require(try client.response())
          #expect(answer["Set-Cookie"] == nil && answer["X"] == nil && answer["Y"] == nil, "\(path)")
          #expect(answer.values("Location").count <= 1)
        }
        for host in ["evil.example\\@x", "a b", "evil.example/x", "a@b", "x?y", "x#y"] {
          let answer = try house.client().exchange("GET /a HTTP/1.1\r\nHost: \(host)\r\n\r\n")
          #expect(answer.status == 400 && answer["Location"] == nil, "\(host)")
        }
        #expect(try house.client().exchange("GET /a HTTP/1.0\r\n\r\n").status == 400)
      }
    }

    // MARK: Pages

    private static let pages = "error_page 401 403 404 429 sorry.html\nerror_page 5xx later.html\nerror_page 503 busy.html"
    private static let files = ["sorry.html": "<h1>Sorry</h1>", "later.html": "<h1>Later</h1>", "busy.html": "<h1>Busy</h1>"]

    @Test(.byEachFront) func ourOwnAnswersHaveTheOperatorsPages() throws {
      let dead = "route /down { upstream dead; require nobody }\nupstream dead { server http://127.0.0.1:1 }"
      try House.with(Setup(top: Self.pages, path: "/legacy", more: dead, files: Self.files)) { house throws in
        let unknown = try house.ask("GET", "/legacy")
        #expect(unknown.status == 401 && unknown.text == "<h1>Sorry</h1>" && unknown["Content-Type"] == "text/html; charset=utf-8")
        #expect(unknown.values("WWW-Authenticate").count >= 1)
        #expect(try house.ask("GET", "/nowhere", [auth]).text == "<h1>Sorry</h1>")
        #expect(try house.ask("GET", "/down").status == 502)
        #expect(try house.ask("GET", "/down").text == "<h1>Later</h1>")
        let json = try house.ask("GET", "/down", ["Accept: application/json"])
        #expect(json["Content-Type"] == "application/problem+json" && json.text.contains("\"status\":502"))
        #expect(try house.ask("HEAD", "/down").body.isEmpty)
        // What an upstream says stays what it says.
        #expect(try house.ask("GET", "/legacy", [auth]).text == "hello")
      }
    }

    @Test func every401IsTheSameWithAPageToo() throws {
      try House.with(Setup(top: Self.pages, files: Self.files)) { house throws in
        let refusals = try [
          [], [Secrets.basic("alice", "wrong-pass-1")], [Secrets.basic("nobody-here", "wrong-pass-2")],
          ["Basic " + Secrets.keep("bWFsbG9yeTpNaWxkLTktbWFsbG9yeS1wYXNz")],
        ].map { try house.ask("GET", "/", $0.map { "Authorization: \($0)" }).comparable }
        #expect(Set(refusals).count == 1)
      }
    }

    @Test func noAcceptFieldBreaksAPage() throws {
      try House.with(Setup(top: Self.pages, files: Self.files)) { house throws in
        var seed: UInt64 = 20_261_122
        let words = ["text/html", "application/json", "*/*", ";q=", "0.9", ",", " ", "\t", "\"", "application/problem+json", "\u{7f}\u{1}", ";;", "/", "q"]
        let client = try house.client()
        for _ in 0..<200 {
          var accept = ""
          for _ in 0..<6 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            accept += words[Int(seed >> 33) % words.count]
          }
          if accept.unicodeScalars.contains(where: { $0.value < 0x20 && $0 != "\t" || $0.value == 0x7F }) { continue }
          let answer = try client.exchange(request("GET", "/", ["Accept: \(accept)"]))
          let isPage = answer["Content-Type"] == "text/html; charset=utf-8" && answer.text == "<h1>Sorry</h1>"
          let isJSON = answer["Content-Type"] == "application/problem+json" && answer.text.hasPrefix("{\"type\"")
          #expect(answer.status == 401 && isPage != isJSON, "\(accept)")
        }
      }
    }

    @Test func aReloadReadsThePagesAnew() throws {
      try House.with(Setup(top: Self.pages, files: Self.files)) { house throws in
        #expect(try house.ask().text == "<h1>Sorry</h1>")
        try house.scratch.write("<h1>Changed</h1>", to: "sorry.html")
        #expect(try house.ask().text == "<h1>Sorry</h1>")
        try house.reload { $0 + "\n# again\n" }
        try eventually("the new page") { try house.ask().text == "<h1>Changed</h1>" }
      }
    }

    // MARK: Maintenance

    @Test(.byEachFront) func aFileClosesARoute() throws {
      try House.with(Setup(route: "maintenance closed busy.html", more: "route /open { upstream legacy; require nobody }", files: Self.files)) {
        house throws in
        #expect(try house.ask("GET", "/", [auth]).status == 200)
        try house.scratch.write("", to: "closed")
        try eventually("maintenance") { try house.ask("GET", "/", [auth]).status == 503 }
        let closed = try house.ask("GET", "/", [auth])
        #expect(closed.text == "<h1>Busy</h1>" && closed["Retry-After"] == "60" && closed["Content-Type"] == "text/html; charset=utf-8")
        #expect(try house.ask("GET", "/", [auth, "Accept: application/json"])["Content-Type"] == "application/problem+json")
        // Who may not pass learns nothing of it, and other routes go on.
        #expect(try house.ask("GET", "/").status == 401)
        #expect(try house.ask("GET", "/open").status == 200)
        try FileManager.default.removeItem(atPath: house.scratch["closed"])
        try eventually("the end of maintenance") { try house.ask("GET", "/", [auth]).status == 200 }
        #expect(house.gate.errorLines.filter { $0.contains("maintenance: ") }.count == 2)
      }
    }

    @Test func whatIsClosedAtTheStartServesNobody() throws {
      let setup = Setup(
        top: "maintenance closed", route: "", more: "route /open { upstream legacy; require nobody; maintenance off }", files: ["closed": ""])
      try House.with(setup) { house throws in
        #expect(try house.ask("GET", "/", [auth]).status == 503)
        #expect(try house.ask("GET", "/open").status == 200)
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func theRecipeOfMaintenanceClosesAndOpens() throws {
      let scratch = try Scratch()
      try scratch.write("<p>closed</p>", to: "closed.html")
      let service = try RecordingUpstream(Answer.hello)
      let recipe = try Recipe("maintenance").text(replacing: [
        "10.0.0.5:8080": "127.0.0.1:\(service.port)", "/run/gatehouse/closed": scratch["closed"], "/etc/gatehouse/closed.html": scratch["closed.html"],
      ])
      try House.with(Setup(path: "/legacy", more: recipe)) { house throws in
        #expect(try house.ask("GET", "/", [auth]).status == 200)
        try scratch.write("", to: "closed")
        try eventually("maintenance") { try house.ask("GET", "/", [auth]).text == "<p>closed</p>" }
        #expect(try house.ask("GET", "/status").text == "gatehouse is up")
      }
      try service.stop()
    }

    @Test(.byEachEngine) func maintenanceLetsAnUploadEnd() throws {
      try House.with(Setup(route: "maintenance closed")) { house throws in
        let client = try house.client()
        try client.send(request("POST", "/", [auth, "Content-Length: 10"]) + "first")
        try house.upstream.waitForConnections(1)
        try house.scratch.write("", to: "closed")
        try eventually("maintenance") { try house.ask("GET", "/", [auth]).status == 503 }
        // One that comes now is refused, with its body unread.
        let late = try house.client()
        try late.send(request("POST", "/", [auth, "Content-Length: 1000000"]) + "x")
        #expect(try late.response(to: "POST")?.status == 503)
        try client.send("-half")
        #expect(try client.response(to: "POST")?.status == 200)
        #expect(house.upstream.requests.filter { $0.method == "POST" }.map(\.text) == ["first-half"])
      }
    }
  }
}
