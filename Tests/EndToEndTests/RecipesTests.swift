// The examples of docs/recipes, run as they stand there: each page has a test here or in the suite of its subject.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Recipes {
    private let alice = People.alice.authorization

    @Test func severalServers() throws {
      let servers = try ["a", "b", "c"].map { try FrontServer.nginx("location = /healthz { return 204; } location / { return 200 \($0); }") }
      let recipe = try Recipe("several-servers").text(replacing: [
        "http://10.0.0.1:8080": servers[0].url, "http://10.0.0.2:8080": servers[1].url, "http://10.0.0.3:8080": servers[2].url, "every 2s": "every 100ms",
      ])
      try House.with(Setup(top: "admin unix:admin.sock", path: "/unused/", more: recipe)) { house throws in
        func answers(_ count: Int) throws -> Set<String> { Set(try (0..<count).map { _ in try house.curl("-u", People.alice.pair, "/app/").text }) }
        #expect(try answers(8) == ["a", "b"])
        try servers[0].stop()
        try servers[1].stop()
        #expect(try answers(8) == ["c"])
        try eventually("both are found out") {
          let status = try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text
          return status.components(separatedBy: "out until its health checks succeed").count == 3
        }
      }
      try servers[2].stop()
    }

    /// Whoever would rather be somebody else says so in each header that the service believes, in other spellings, behind his body, and by `Connection`.
    @Test func theUserStandsInTheHeaderThatTheServiceReads() throws {
      let service = try RecordingUpstream(Answer.hello)
      let recipe = try Recipe("user-header").text(replacing: ["10.0.0.5:3000": "127.0.0.1:\(service.port)"])
      try House.with(Setup(path: "/unused/", more: recipe)) { house throws in
        let lies = ["X-WEBAUTH-USER", "x-webauth-user", "X_WebAuth_User", "X-WEBAUTH-GROUPS", "x_webauth_groups", "X-WEBAUTH-ROLE", "x_webauth_role"]
          .map { "\($0): root" }
        #expect(try house.ask("GET", "/", [alice] + lies).text == "hello")
        #expect(try house.client().exchange(request("GET", "/", [alice, "Connection: X-WEBAUTH-USER, X-WEBAUTH-GROUPS"])).text == "hello")
        let head = request("POST", "/", [alice, "Transfer-Encoding: chunked", "Trailer: X-WEBAUTH-USER, X-WEBAUTH-ROLE"])
        #expect(try house.client().exchange(head + "3\r\nabc\r\n0\r\nX-WEBAUTH-USER: root\r\nx_webauth_role: root\r\n\r\n").text == "hello")
        for seen in try service.requests(3) {
          #expect(seen.values("X-WEBAUTH-USER") == ["alice"] && seen.values("X-WEBAUTH-GROUPS") == ["staff"], "\(seen.headText)")
          #expect(!seen.head.holds("root") && seen.trailers.isEmpty, "\(seen.headText)")
        }
      }
      try service.stop()
    }

    @Test func pathsThatHaveChanged() throws {
      let service = try RecordingUpstream { conversation in
        while let request = try conversation.request() {
          let fields = ["X-Powered-By: legacy", "X-Frame-Options: ALLOWALL", "Location: http://wiki.internal/next"]
          try conversation.send(Answer.text("\(request["host"] ?? "") \(request.target)", status: "302 Found", fields: fields))
        }
      }
      let recipe = try Recipe("moved-paths").text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(service.port)"])
      try House.with(Setup(path: "/unused/", more: recipe)) { house throws in
        for (asked, found) in [
          ("/show/42", "/wiki/page?id=42"), ("/show/42/x", "/show/42/x"), ("/index.php/Main?action=raw", "/wiki/Main?action=raw"),
          ("/indexxphp/Main", "/indexxphp/Main"), ("/files/a/b.css", "/static/files/a/b.css"), ("/other?x", "/other?x"),
        ] {
          let answer = try house.ask("GET", asked, [alice])
          #expect(answer.text == "wiki.internal \(found)", "\(asked)")
          #expect(answer.values("X-Frame-Options") == ["SAMEORIGIN"] && answer.values("X-Powered-By").isEmpty, "\(answer.headText)")
          #expect(answer["Location"] == "\(house.front.scheme)://legacy.test/next", "\(answer.headText)")
        }
      }
      try service.stop()
    }

    @Test func anAuthorityOfOnesOwn() throws {
      let authority = try Authority()
      try authority.sign("server", for: "DNS:erp.internal")
      try authority.sign("gate", for: "DNS:gate.internal")
      let ca = authority["ca.pem"]
      let server = try FrontServer.nginx(
        authority, "server",
        "ssl_verify_client optional; ssl_client_certificate \(ca); location / { return 200 \"$ssl_client_s_dn $ssl_server_name $host\"; }")
      let block = try Recipe("private-tls").text(replacing: [
        "10.0.0.5:8443": "127.0.0.1:\(server.port)", "erp-ca.pem": ca, " gate.pem gate.key": " \(authority["gate.pem"]) \(authority["gate.key"])",
      ])
      try House.with(Setup(path: "/unused/", more: block)) { house throws in
        #expect(try house.ask("GET", "/", [alice]).text == "CN=gate erp.internal legacy.test")
        let check = try Gatehouse.run(["check", "--config", "proxy.conf"], in: house.scratch)
        #expect(check.code == 0 && check.text.contains("TLS verified by \(ca) as erp.internal, with our certificate \(authority["gate.pem"])"), "\(check.text)")
      }
      let named = try Recipe("private-tls").text(1, replacing: [
        "erp.internal:8443": "erp.internal:\(server.port)", "connect_to 10.0.0.5": "connect_to 127.0.0.1", "erp-ca.pem": ca,
      ])
      try House.with(Setup(path: "/unused/", more: named)) { house throws in
        #expect(try house.ask("GET", "/", [alice]).text == " erp.internal erp.internal")
      }
      // What the page says of the error log.
      try House.with(Setup(path: "/unused/", more: block.replacingOccurrences(of: "name erp.internal", with: ""))) { house throws in
        #expect(try house.ask("GET", "/", [alice]).status == 502)
        #expect(house.gate.child.errors.text.contains("no alternative certificate subject name matches"), "\(house.gate.child.errors.text)")
      }
      try server.stop()
    }

    /// Each event when it is sent; and what is packed as it is packed.
    @Test func eventsAndWhatIsPacked() throws {
      let go = Steps()
      let packed: [UInt8] = [0x8B, 0x02, 0x80, 0x68, 0x65, 0x6C, 0x6C, 0x6F, 0x0A, 0x03]
      let service = try RecordingUpstream { conversation in
        while let request = try conversation.request() {
          if request.target.hasSuffix("packed") {
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nETag: \"x-br\"\r\nVary: Accept-Encoding\r\nContent-Length: \(packed.count)\r\n\r\n"
            try conversation.send([UInt8](head.utf8) + packed)
            continue
          }
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
          for i in 1...3 {
            try go.wait(for: i)
            try conversation.send("9\r\ndata: \(i)\n\n\r\n")
          }
          try conversation.send("0\r\n\r\n")
        }
      }
      let recipe = try Recipe("streams").text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(service.port)"])
      try House.with(Setup(more: recipe)) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/events/", [alice]))
        #expect(try client.head()?["Content-Type"] == "text/event-stream")
        for i in 1...3 {
          go.advance()
          #expect(try client.wire.exactly(14) == [UInt8]("9\r\ndata: \(i)\n\n\r\n".utf8))
        }
        let answer = try house.ask("GET", "/events/packed", [alice, "Accept-Encoding: br"])
        #expect(answer.body == packed && answer["Content-Encoding"] == "br" && answer["ETag"] == "\"x-br\"" && answer["Vary"] == "Accept-Encoding")
        #expect(try service.requests(2)[1].values("Accept-Encoding") == ["br"])
      }
      try service.stop()
    }

    @Test func closedForTheDay() throws {
      let scratch = try Scratch()
      try scratch.write("<p>trouble</p>", to: "trouble.html")
      let recipe = try Recipe("maintenance").text(1, replacing: ["/etc/gatehouse/trouble.html": scratch["trouble.html"]])
      let setup = Setup(more: recipe, files: ["shop-closed.html": "<p>closed</p>"], server: "http://127.0.0.1:1")
      try House.with(setup) { house throws in
        for method in ["GET", "DELETE"] {
          let closed = try house.ask(method, "/shop/x?y")
          #expect(closed.status == 503 && closed.text == "<p>closed</p>" && closed["Content-Type"] == "text/html; charset=utf-8")
        }
        let trouble = try house.ask("GET", "/", [alice])
        #expect(trouble.status == 502 && trouble.text == "<p>trouble</p>")
        #expect(try house.ask("GET", "/", [alice, "Accept: application/json"])["Content-Type"] == "application/problem+json")
      }
    }
  }
}
