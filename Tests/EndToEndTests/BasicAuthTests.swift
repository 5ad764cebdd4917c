// What clients do every day, with the clients themselves: curl in its many moods and Python's requests.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFront) struct BasicAuth {
    private let challenge = #"Basic realm="Authentication Required", charset="UTF-8""#

    @Test func curlWithAPasswordIsLetThrough() throws {
      try House.with { house throws in
        let answer = try house.curl("-u", People.alice.pair, "/path?q=1")
        #expect(answer.status == 200 && answer.text == "hello")
        let request = try house.upstream.requests(1)[0]
        #expect(request.startLine == "GET /path?q=1 HTTP/1.1")
        #expect(request["X-Forwarded-User"] == "alice")
        #expect(request["X-Forwarded-Groups"] == "staff")
        #expect(request.values("Authorization").isEmpty)
        #expect(request["Host"] == "127.0.0.1:\(house.port)")
      }
    }

    @Test(arguments: [People.alice, People.bob, People.carol, People.dave])
    func everyHashOfTheFileLogsIn(person: People.Person) throws {
      try House.with { house throws in
        #expect(try house.curl("-u", person.pair, "/").status == 200)
        #expect(try house.upstream.requests(1)[0]["X-Forwarded-User"] == person.name)
        #expect(try house.curl("-u", "\(person.name):\(Secrets.keep("wrong-guess-1"))", "/").status == 401)
        // Once more, now from the cache.
        #expect(try house.curl("-u", person.pair, "/").status == 200)
        #expect(house.upstream.requests.count == 2)
      }
    }

    @Test func aWrongPasswordIsRefusedAndNothingIsForwarded() throws {
      try House.with { house throws in
        let answer = try house.curl("-u", "alice:\(Secrets.keep("wrong-guess-2"))", "/")
        #expect(answer.status == 401 && answer.code == 0)
        #expect(answer.text == "Unauthorized Access")
        #expect(answer.final.values("WWW-Authenticate").contains(challenge))
        #expect(answer.final["Cache-Control"] == "no-store")
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func withoutCredentialsThereIsAChallenge() throws {
      try House.with { house throws in
        let answer = try house.curl("/")
        #expect(answer.status == 401)
        #expect(answer.final.values("WWW-Authenticate").contains(challenge))
        let head = try house.curl("-I", "/")
        #expect(head.status == 401 && head.code == 0)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func whoAsksForJSONIsRefusedInJSON() throws {
      try House.with { house throws in
        let answer = try house.curl("-H", "Accept: application/json", "/")
        #expect(answer.status == 401)
        #expect(answer.final["Content-Type"] == "application/problem+json")
        let object = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
        #expect(object?["status"] as? Int == 401)
        #expect(answer.final.values("WWW-Authenticate").contains(challenge))
      }
    }

    @Test func anyauthAsksFirstAndStaysOnItsConnection() throws {
      try House.with { house throws in
        let answer = try house.curl("--anyauth", "-u", People.alice.pair, "/")
        #expect(answer.status == 200 && answer.connections == 1)
        #expect(answer.heads.contains(house.front.statusLine(401, "")) && answer.heads.contains(house.front.statusLine(200, "")))
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func aFileIsUploaded() throws {
      try House.with { house throws in
        let content = Array(Pattern().bytes(at: 0, count: 700_000))
        try house.scratch.write(content, to: "upload")
        let answer = try house.curl("-u", People.alice.pair, "-T", house.scratch["upload"], "/dav/file")
        #expect(answer.status == 200)
        let request = try house.upstream.requests(1)[0]
        #expect(request.method == "PUT" && request["Content-Length"] == "700000")
        #expect(request.body == content)
      }
    }

    @Test func anUploadWithoutCredentialsIsRefusedUnread() throws {
      try House.with { house throws in
        let answer = try house.curl("-X", "POST", "-H", "Expect:", "-T", "-", "/up", input: [UInt8](repeating: 7, count: 3_000_000))
        #expect(answer.status == 401, "curl said: \(answer.complaint)")
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func http10IsServed() throws {
      let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
      try House.with(Setup(), Answer.always(chunked)) { house throws in
        let answer = try house.curl("--http1.0", "-u", People.alice.pair, "/")
        #expect(answer.status == 200 && answer.code == 0 && answer.text == "hello world")
        // HTTP/1.0 has no chunked coding.
        #expect(answer.final.values("Transfer-Encoding").isEmpty)
        #expect(try house.upstream.requests(1)[0].startLine.hasSuffix("HTTP/1.1"))
      }
    }

    @Test func http10KeepsItsConnectionWhenItAsksFor() throws {
      try House.with { house throws in
        let client = try house.client()
        let fields = [People.alice.authorization, "Connection: keep-alive"]
        for _ in 1...2 {
          let answer = try client.exchange(request("GET", "/", fields, version: "HTTP/1.0"))
          #expect(answer.status == 200 && answer["Connection"]?.lowercased() == "keep-alive")
        }
        #expect(try client.exchange(request("GET", "/", [People.alice.authorization], version: "HTTP/1.0")).status == 200)
        #expect(client.isClosedByPeer())
      }
    }

    @Test func headHasTheFieldsAndNoBody() throws {
      try House.with(Setup(), Answer.always("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n")) { house throws in
        let answer = try house.curl("-I", "-u", People.alice.pair, "/")
        #expect(answer.status == 200 && answer.code == 0)
        #expect(answer.final["Content-Length"] == "1234" && answer.final["ETag"] == "\"x\"")
        #expect(try house.upstream.requests(1)[0].method == "HEAD")
      }
    }

    @Test(arguments: ["PROPFIND", "PATCH", "DELETE", "MKCOL", "X-MADE-UP"])
    func anyMethodIsForwardedWithItsBody(method: String) throws {
      try House.with { house throws in
        let body = "<propfind xmlns=\"DAV:\"/>"
        let answer = try house.curl("-u", People.alice.pair, "-X", method, "-H", "Depth: 1", "--data-binary", body, "/dav/")
        #expect(answer.status == 200 && answer.text == "hello")
        let request = try house.upstream.requests(1)[0]
        #expect(request.method == method && request.text == body && request["Depth"] == "1")
        #expect(request["Content-Type"] == "application/x-www-form-urlencoded")  // curl's own, kept
      }
    }

    @Test func aChunkedBodyArrivesWhole() throws {
      try House.with { house throws in
        let content = Array(Pattern().bytes(at: 0, count: 500_000))
        let answer = try house.curl(
          "-u", People.alice.pair, "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", "/", input: content)
        #expect(answer.status == 200)
        let request = try house.upstream.requests(1)[0]
        #expect(request["Transfer-Encoding"]?.lowercased() == "chunked" && request.values("Content-Length").isEmpty)
        #expect(request.body == content)
      }
    }

    @Test func expectIsAnsweredAndNotPassedOn() throws {
      try House.with { house throws in
        let answer = try house.curl("-u", People.alice.pair, "-H", "Expect: 100-continue", "-d", "body", "/")
        #expect(answer.status == 200 && answer.heads.hasPrefix(house.front.statusLine(100, "Continue")))
        let request = try house.upstream.requests(1)[0]
        #expect(request.text == "body" && request.values("Expect").isEmpty)
      }
    }

    @Test func expectOfAStrangerGetsTheRefusalAndNoContinue() throws {
      try House.with { house throws in
        let client = try house.client()
        try client.send(request("POST", "/", ["Expect: 100-continue", "Content-Length: 1000000"]))
        let answer = try #require(try client.response(to: "POST"))
        #expect(answer.status == 401 && answer.interim.isEmpty)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func anotherExpectationIs417() throws {
      try House.with { house throws in
        let answer = try house.ask("GET", "/", [People.alice.authorization, "Expect: 200-ok"])
        #expect(answer.status == 417)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func pythonRequestsWorksUnchanged() throws {
      try House.with { house throws in
        let people = "alice = (\"alice\", \"\(Secrets.keep(People.alice.password))\")\n"
        let outcome = try house.python(
          people + """
            import requests
            session = requests.Session()
            session.trust_env = False
            session.verify = trust
            print(session.get(base + "/plain").status_code)
            session.auth = alice
            answer = session.get(base + "/plain?a=b c")
            print(answer.status_code, answer.text)
            print(session.post(base + "/form", data={"k": "v"}).status_code)
            print(session.put(base + "/stream", data=(part for part in [b"one", b"two", b"three"])).status_code)
            session.auth = ("alice", "\(Secrets.keep("wrong-guess-3"))")
            print(session.get(base + "/plain").status_code)
            """)
        #expect(outcome.text == "401\n200 hello\n200\n200\n401\n", "\(outcome.errors)")
        let requests = try house.upstream.requests(3)
        #expect(requests.map(\.method) == ["GET", "POST", "PUT"])
        #expect(requests.map(\.target) == ["/plain?a=b%20c", "/form", "/stream"])
        try #require(requests.count == 3)
        #expect(requests[1].text == "k=v" && requests[2].text == "onetwothree")
      }
    }

    @Test func aGroupIsRequiredWhereTheRouteSaysSo() throws {
      try House.with(Setup(more: "route /admin/ { upstream legacy; require group admin }")) { house throws in
        #expect(try house.curl("-u", People.alice.pair, "/admin/x").status == 403)
        #expect(try house.curl("/admin/x").status == 401)
        #expect(house.upstream.requests.isEmpty)
        #expect(try house.curl("-u", People.bob.pair, "/admin/x").status == 200)
        #expect(try house.curl("-u", People.alice.pair, "/other").status == 200)
        #expect(house.upstream.requests.map(\.target) == ["/admin/x", "/other"])
      }
    }

    @Test func aPathWithoutARouteIsNeverForwarded() throws {
      try House.with(Setup(path: "/only/")) { house throws in
        #expect(try house.curl("/elsewhere").status == 401)
        #expect(try house.curl("-u", People.alice.pair, "/elsewhere").status == 404)
        #expect(house.upstream.connections.isEmpty)
        #expect(try house.curl("-u", People.alice.pair, "/only/this").status == 200)
      }
    }

    @Test func aPublicRouteIsPublicAndNothingElseIs() throws {
      try House.with(Setup(more: "route GET = /healthz { upstream legacy; require nobody }")) { house throws in
        #expect(try house.curl("/healthz").status == 200)
        #expect(try house.curl("/healthz?full=1").status == 200)
        for path in ["/healthz/", "/healthz/../x", "/x?/healthz", "//healthz", "/healthz;x", "/healthzz"] {
          // Some of these are refused as ambiguous before anybody asks who it is.
          let status = try house.curl("--path-as-is", path).status
          #expect([400, 401].contains(status), "\(path): \(status)")
        }
        #expect(try house.curl("-X", "POST", "/healthz").status == 401)
        #expect(house.upstream.requests.count == 2)
      }
    }

    @Test func aUnixSocketServesToo() throws {
      try House.with(Setup(top: "listen unix:http.sock")) { house throws in
        let address = ["--unix-socket", house.scratch["http.sock"], "http://legacy.test/"]
        #expect(try Curl.run(["-u", People.alice.pair] + address, in: house.scratch).status == 200)
        #expect(try Curl.run(address, in: house.scratch).status == 401)
      }
    }
  }
}
