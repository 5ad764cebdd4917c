// Users who register over HTTP: every policy, every refusal, and what attackers would try on the way.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Registration {
    private static let json = "Content-Type: application/json"

    private func setup(_ register: String, route: String = "", users: String = People.file, workers: Int = 1, path: String = "/") -> Setup {
      Setup(top: "register {\n\(register)\n}", path: path, route: route, users: users, workers: workers)
    }

    private func form(_ name: String, _ password: String, _ more: String = "") -> String {
      #"{"username":"\#(name)","password":"\#(Secrets.keep(password))"\#(more)}"#
    }

    private func register(_ house: House, _ body: String, _ fields: [String] = []) throws -> Message {
      try house.ask("POST", "/api/users", [Self.json, "Content-Length: \(body.utf8.count)"] + fields, body: body)
    }

    private func detail(_ message: Message) throws -> String {
      let object = try JSONSerialization.jsonObject(with: Data(message.body)) as? [String: Any]
      return object?["detail"] as? String ?? ""
    }

    // MARK: The article's session

    @Test func theSessionOfTheArticleWorksUnchanged() throws {
      try House.with(setup("policy open", users: "")) { house throws in
        // Not kept as a secret: other clients have the word in their names.
        let made = try house.curl(
          "-i", "-X", "POST", "-H", "Content-Type: application/json", "-d", #"{"username":"miguel","password":"python"}"#, "/api/users")
        #expect(made.status == 201)
        #expect(made.final["Location"] == "/api/users/miguel")
        #expect(made.final["Content-Type"] == "application/json" && made.final["Cache-Control"] == "no-store")
        #expect(made.text.contains(#"{"username": "miguel"}"#))
        // At once, with no moment in which he is unknown.
        let resource = try house.curl("-u", "miguel:python", "-i", "-X", "GET", "/api/resource")
        #expect(resource.status == 200 && resource.text.contains("hello"))
        #expect(try house.upstream.requests(1)[0]["X-Forwarded-User"] == "miguel")
        let wrong = try house.curl("-u", "miguel:\(Secrets.keep("pythonx"))", "-i", "-X", "GET", "/api/resource")
        #expect(wrong.status == 401 && wrong.text.contains("Unauthorized Access"))
        #expect(try house.curl("-u", "miguel:python", "/api/users/miguel").text == #"{"username": "miguel"}"#)
        let again = try house.curl(
          "-i", "-X", "POST", "-H", "Content-Type: application/json", "-d", #"{"username":"miguel","password":"python"}"#, "/api/users")
        #expect(again.status == 400 && again.text.contains("username is taken"))
        #expect(house.upstream.requests.count == 1)
        // What we answer ourselves is logged as everything is.
        #expect(try house.accessLines(5).map { $0["status"] as? Int } == [201, 200, 401, 200, 400])
      }
    }

    @Test func pythonRequestsRegistersAndLogsIn() throws {
      try House.with(setup("policy open; rate off", users: "", workers: 2)) { house throws in
        let outcome = try house.python(
          """
          import requests
          for i in range(5):
              name, password = f"susan{i}", "\(Secrets.keep("Susan-pass-77"))"
              answer = requests.post(base + "/api/users", json={"username": name, "password": password})
              assert answer.status_code == 201, answer.text
              assert answer.json() == {"username": name}
              # New connections, which any worker may take.
              for _ in range(4):
                  assert requests.get(base + "/x", auth=(name, password)).status_code == 200
              assert requests.get(base + answer.headers["Location"], auth=(name, password)).json()["username"] == name
          print("well")
          """)
        #expect(outcome.text == "well\n", "\(outcome.errors)")
      }
    }

    @Test func whoRegistersWhileTheServerDrainsIsAnsweredAtOnce() throws {
      try House.with(setup("policy open", users: "", workers: 2)) { house throws in
        let client = try house.client()
        let body = form("late", "Late-pass-77")
        try client.send(request("POST", "/api/users", [Self.json, "Content-Length: \(body.utf8.count)", "Expect: 100-continue"]))
        #expect(try client.wire.head(.usual) != nil)
        house.gate.child.signal(SIGTERM)
        try house.gate.child.errors.waitForLine(containing: "draining")
        // The other worker has nobody and ends: it is not waited for.
        Thread.sleep(forTimeInterval: 0.5)
        try client.send(body)
        #expect(try client.response(to: "POST", .after(.seconds(5)))?.status == 201)
        #expect(try house.gate.child.wait().code == 0)
        #expect(try house.scratch.text("users").hasPrefix("late:"))
      }
    }

    // MARK: Policies

    @Test func withoutAPolicyNobodyRegisters() throws {
      try House.with(setup("")) { house throws in
        for fields in [[], [People.alice.authorization], ["Authorization: " + Secrets.basic("alice", "wrong-guess-7")]] {
          let answer = try register(house, form("eve", "Evil-pass-1"), fields)
          #expect(answer.status == 403)
          #expect(try detail(answer) == "Registration is closed")
        }
        #expect(try house.scratch.text("users") == People.file)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func withoutTheBlockThePathIsAServicesOwn() throws {
      try House.with { house throws in
        let body = form("eve", "Evil-pass-2")
        #expect(try register(house, body).status == 401)
        #expect(try register(house, body, [People.alice.authorization]).status == 200)
        #expect(try house.upstream.requests(1)[0].target == "/api/users")
      }
    }

    @Test func anInvitationIsGoodForOneUser() throws {
      let scratch = try Scratch()
      try scratch.write("# for the team\nfirst-code-1\n\nsecond-code-2\n", to: "invites", mode: 0o600)
      try House.with(setup("policy invite \(scratch["invites"]); rate off")) { house throws in
        func ask(_ name: String, _ code: String) throws -> Message {
          try register(house, form(name, "Guest-pass-1", #","invite":"\#(code)""#))
        }
        #expect(try detail(register(house, form("guest1", "Guest-pass-1"))) == "invite is missing")
        for code in ["", "wrong", "# for the team", "first-code-1\\n", "first-code-", "first-code-1 "] {
          // A name that is taken is not told to who has no invitation.
          let answer = try ask("alice", code)
          #expect(try answer.status == 403 && detail(answer) == "invite is not valid", "\(code)")
        }
        #expect(try ask("alice", "first-code-1").status == 400)
        #expect(try scratch.text("invites").contains("first-code-1"), "used up for nothing")
        #expect(try ask("guest1", "first-code-1").status == 201)
        #expect(try scratch.text("invites") == "# for the team\n\nsecond-code-2\n")
        #expect(try ask("guest2", "first-code-1").status == 403)
        #expect(try ask("guest2", "second-code-2").status == 201)
        #expect(try house.curl("-u", "guest2:Guest-pass-1", "/").status == 200)
      }
    }

    @Test func oneInvitationMakesOneUserInAnyRace() throws {
      let scratch = try Scratch()
      try scratch.write("only-code\n", to: "invites", mode: 0o600)
      try House.with(setup("policy invite \(scratch["invites"]); rate off", workers: 2)) { house throws in
        let outcome = try house.python(
          """
          import concurrent.futures, requests
          def ask(i):
              form = {"username": f"racer{i}", "password": "\(Secrets.keep("Racer-pass-1"))", "invite": "only-code"}
              return requests.post(base + "/api/users", json=form).status_code
          with concurrent.futures.ThreadPoolExecutor(20) as pool:
              print(sorted(pool.map(ask, range(20))))
          """)
        #expect(outcome.text == "[201" + String(repeating: ", 403", count: 19) + "]\n", "\(outcome.errors)")
        #expect(try house.scratch.text("users").split(separator: "\n").count { $0.hasPrefix("racer") } == 1)
      }
    }

    @Test func membersOfAGroupRegisterOthers() throws {
      try House.with(setup("policy group admin; rate 1/24h")) { house throws in
        let body = form("newbie", "Newbie-pass-1")
        let stranger = try register(house, body)
        #expect(stranger.status == 401 && !stranger.values("WWW-Authenticate").isEmpty)
        #expect(try register(house, body, [People.alice.authorization]).status == 403)
        #expect(try register(house, body, [People.bob.authorization]).status == 201)
        // Who may, may as often as there is to do.
        #expect(try register(house, form("newbie2", "Newbie-pass-2"), [People.bob.authorization]).status == 201)
        #expect(try register(house, body, [People.bob.authorization]).status == 400)
      }
    }

    @Test func whoAwaitsApprovalIsLocked() throws {
      try House.with(setup("policy approval")) { house throws in
        #expect(try register(house, form("waiter", "Waiter-pass-1")).status == 201)
        #expect(try house.curl("-u", "waiter:Waiter-pass-1", "/").status == 401)
        #expect(try Gatehouse.run(["user", "unlock", "waiter", "--file", "users"], in: house.scratch).code == 0)
        try eventually("the lock is gone") { try house.curl("-u", "waiter:Waiter-pass-1", "/").status == 200 }
      }
    }

    // MARK: What may not be registered

    @Test func formsThatAreNotExactlyRightAreRefused() throws {
      try House.with(setup("policy open; rate off")) { house throws in
        let password = Secrets.keep("Form-pass-1")
        let bodies = [
          "", "{}", "[]", "null", #""x""#, "{", #"{"username":"a"}"#, #"{"password":"\#(password)"}"#,
          #"{"username":"","password":"\#(password)"}"#,
          #"{"username":"a","password":""}"#, #"{"username":1,"password":"\#(password)"}"#, #"{"username":"a","password":null}"#,
          #"{"username":"a","password":["\#(password)"]}"#, #"{"username":"a","username":"b","password":"\#(password)"}"#,
          #"{"username":"a","password":"\#(password)","groups":"admin"}"#, #"{"username":"a","password":"\#(password)"} {}"#,
          #"{"username":"a","password":"\#(password)",}"#, #"{'username':'a','password':'\#(password)'}"#,
          #"{"username":"a","password":"\#(password)"}x"#, #"{"username":"a\u0000","password":"\#(password)"}"#,
          #"{"username":"a","password":"\#(password)\u0000x"}"#, #"{"username":"a","password":"\#(password)\n"}"#,
          #"{"username":"a","password":"\ud800aaaaaaaa"}"#, "username=a&password=\(password)",
          String(repeating: "[", count: 5000),
        ]
        for body in bodies {
          let answer = try register(house, body)
          #expect(answer.status == 400 && answer["Content-Type"] == "application/problem+json", "\(body.prefix(60))")
          #expect(try !detail(answer).isEmpty)
        }
        // Refused before all of them are compared with each other.
        let many = "{" + (0..<1000).map { "\"m\($0)\":\"\"" }.joined(separator: ",") + "}"
        #expect(try detail(register(house, many)).contains("too many members"))
        let plain = try house.ask("POST", "/api/users", ["Content-Type: text/plain", "Content-Length: 2"], body: "{}")
        #expect(plain.status == 415)
        #expect(try house.scratch.text("users") == People.file)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func namesThatHurtOthersAreRefused() throws {
      let scratch = try Scratch()
      try scratch.write("ops: founder alice\n", to: "groups")
      var setup = setup("policy open; rate off")
      setup.top += "\ngroups \(scratch["groups"])"
      setup.requirement = "user ceo"
      try House.with(setup) { house throws in
        let names = [
          "a:b", "a b", " a", "a ", "#a", "a,b", "a/b", "..", ".", "-rf", "a\\u000ab", "a\\r\\nX-Evil: 1", "ghk_abc", "\\u00e9t\\u00e9",
          "a%00",
          String(repeating: "a", count: 65), "a=b", "a\\\"b", "a;b", "\\u202eevil",
          // Others by another spelling, which a service may not tell apart.
          "alice", "ALICE", "Alice",
          // Nobody's yet, and let through by name.
          "ceo", "CEO", "founder",
        ]
        for name in names {
          let answer = try register(house, form(name, "Names-pass-1"))
          #expect(answer.status == 400, "\(name)")
          #expect(answer.fields.count <= 6, "a field more: \(answer.fields)")
        }
        #expect(try house.scratch.text("users") == People.file)
      }
    }

    @Test func aNameIsOneSegmentOfItsLocation() throws {
      try House.with(setup("policy open; rate off; admins admin", users: People.file + "tom & co:*\n")) { house throws in
        let answer = try register(house, form("a.b_c@d+e-f", "Names-pass-2"))
        #expect(answer.status == 201 && answer["Location"] == "/api/users/a.b_c%40d%2Be-f")
        let location = try #require(answer["Location"])
        #expect(try house.curl("-u", "a.b_c@d+e-f:Names-pass-2", location).status == 200)
        #expect(try house.curl("-u", People.bob.pair, "/api/users/tom%20%26%20co").text == #"{"username": "tom & co"}"#)
      }
    }

    @Test func passwordsThatAreGuessedFirstAreRefused() throws {
      let scratch = try Scratch()
      try scratch.write("Correct-Horse-1\npassw\u{f6}rter\n", to: "list")
      try House.with(setup("policy open; rate off; min_password 8; refused_passwords \(scratch["list"]); hash bcrypt")) { house throws in
        let same = #"{"username":"new-person","password":"NEW-person"}"#
        #expect(try detail(register(house, same)) == "password is the username")
        let refused = [
          ("Shorty1", "password has fewer than 8 characters"), ("correct-horse-1", "password is one of those that are guessed first"),
          ("PASSW\u{d6}RTER", "password is one of those that are guessed first"),
          (String(repeating: "p", count: 73), "password has more than 72 bytes"),
        ]
        for (password, reason) in refused {
          let answer = try register(house, form("new-person", password))
          #expect(try answer.status == 400 && detail(answer) == reason, "\(password)")
        }
        #expect(try register(house, form("new-person", "P\u{e4}ssw\u{f6}rt")).status == 201)
        #expect(try house.scratch.text("users").contains("\nnew-person:$2y$12$"))
      }
    }

    // MARK: Bytes and paths

    @Test func theBodyOfAnAnswerOfOursIsNotTheNextRequest() throws {
      try House.with(setup("policy open; rate off")) { house throws in
        let evil = "GET /evil HTTP/1.1\r\nHost: legacy.test\r\n\(People.alice.authorization)\r\n\r\n"
        // Answered without the body being looked at: refused by method, by path, by policy, by type.
        for (method, target) in [
          ("PUT", "/api/users"), ("POST", "/api/users/"), ("POST", "/api/users/alice"), ("PUT", "/api/users/a/password"),
        ] {
          let client = try house.client()
          try client.send(
            request(method, target, ["Content-Length: \(evil.utf8.count)"], body: evil)
              + request("GET", "/good", [People.alice.authorization]))
          let first = try #require(try client.response(to: method))
          #expect([401, 404, 405].contains(first.status))
          #expect(try client.response()?.status == 200)
        }
        #expect(house.upstream.requests.map(\.target) == ["/good", "/good", "/good", "/good"])
        // Read whole, and what follows it is the next request.
        let body = form("piper", "Piper-pass-1")
        let client = try house.client()
        try client.send(
          request("POST", "/api/users", [Self.json, "Content-Length: \(body.utf8.count)"], body: body)
            + request("GET", "/next", [People.alice.authorization]))
        #expect(try client.response(to: "POST")?.status == 201)
        #expect(try client.response()?.status == 200)
        // In chunks too.
        let other = form("piper2", "Piper-pass-2")
        let chunks =
          String(other.utf8.count / 2, radix: 16) + "\r\n" + other.prefix(other.utf8.count / 2) + "\r\n"
          + String(other.utf8.count - other.utf8.count / 2, radix: 16) + "\r\n" + other.dropFirst(other.utf8.count / 2) + "\r\n0\r\n\r\n"
        #expect(try house.ask("POST", "/api/users", [Self.json, "Transfer-Encoding: chunked"], body: chunks).status == 201)
        #expect(house.upstream.requests.allSatisfy { $0.target != "/evil" })
      }
    }

    @Test func theBodyIsBounded() throws {
      try House.with(setup("policy open; rate off")) { house throws in
        let large = try house.ask("POST", "/api/users", [Self.json, "Content-Length: 16385"], body: String(repeating: " ", count: 16385))
        #expect(large.status == 413)
        let client = try house.client()
        try client.send(request("POST", "/api/users", [Self.json, "Content-Length: 1000000000"]))
        #expect(try client.response(to: "POST")?.status == 413)
        #expect(client.isClosedByPeer())
        let endless = try house.client()
        try endless.send(request("POST", "/api/users", [Self.json, "Transfer-Encoding: chunked"]))
        try endless.send("4000\r\n" + String(repeating: " ", count: 16384) + "\r\n4000\r\n" + String(repeating: " ", count: 16384) + "\r\n")
        #expect(try endless.response(to: "POST")?.status == 413)
        #expect(endless.isClosedByPeer())
      }
    }

    @Test func aBodyThatDripsIsGivenUp() throws {
      var setup = setup("policy open; rate off")
      setup.top += "\nbody_timeout 300ms"
      try House.with(setup) { house throws in
        let client = try house.client()
        try client.send(request("POST", "/api/users", [Self.json, "Content-Length: 1000"]))
        // Byte by byte, never idle for as long as body_timeout.
        let socket = client.socket
        Thread.detachNewThread { for _ in 0..<100 where (try? socket.write([0x20])) != nil { usleep(20_000) } }
        #expect(try client.response(to: "POST")?.status == 408)
      }
    }

    @Test func continueComesAfterTheRightWasProved() throws {
      try House.with(setup("policy group admin")) { house throws in
        let body = form("later", "Later-pass-1")
        let fields = [Self.json, "Content-Length: \(body.utf8.count)", "Expect: 100-continue"]
        let stranger = try house.client()
        try stranger.send(request("POST", "/api/users", fields))
        let refusal = try #require(try stranger.response(to: "POST"))
        #expect(refusal.status == 401 && refusal.interim.isEmpty)
        let client = try house.client()
        try client.send(request("POST", "/api/users", fields + [People.bob.authorization]))
        #expect(try client.wire.head(.usual).map { Message(head: $0).status } == 100)
        try client.send(body)
        #expect(try client.response(to: "POST")?.status == 201)
      }
    }

    @Test func everySpellingOfThePathIsOursOrRefused() throws {
      try House.with(setup("")) { house throws in
        for target in ["/api/%75sers", "/x/../api/users", "/api/./users", "http://legacy.test/api/users", "/api/users?policy=open"] {
          #expect(try house.ask("POST", target, [People.alice.authorization, "Content-Length: 0"]).status == 403, "\(target)")
        }
        for target in [
          "/api/users;x", "/api//users", "//api/users", "/api%2fusers", "/api\\users", "/api/users/%2e%2e%2fusers", "/api/;x/users",
        ] {
          #expect(try house.ask("POST", target, [People.alice.authorization, "Content-Length: 0"]).status == 400, "\(target)")
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func methodsThatAreNotTakenAreSaid() throws {
      try House.with(setup("policy open")) { house throws in
        let users = try house.ask("GET", "/api/users", [People.alice.authorization])
        #expect(users.status == 405 && users["Allow"] == "POST")
        let user = try house.ask("DELETE", "/api/users/alice", [People.alice.authorization])
        #expect(user.status == 405 && user["Allow"] == "GET, HEAD")
        let head = try house.curl("-I", "-u", People.alice.pair, "/api/users/alice")
        #expect(head.status == 200 && head.code == 0 && head.final["Content-Length"] == "21")
        #expect(try house.ask("GET", "/api/users/alice/keys", [People.alice.authorization]).status == 404)
      }
    }

    // MARK: Who sees whom

    @Test func othersAreNotToldFromNobody() throws {
      try House.with(setup("policy open; admins admin")) { house throws in
        let fields = { (message: Message) in message.fields.filter { $0.name != "Date" }.map { "\($0.name): \($0.value)" } }
        let other = try house.ask("GET", "/api/users/bob", [People.alice.authorization])
        let nobody = try house.ask("GET", "/api/users/nobody", [People.alice.authorization])
        #expect(other.status == 403 && nobody.status == 403 && other.body == nobody.body && fields(other) == fields(nobody))
        #expect(try house.ask("GET", "/api/users/bob").status == 401)
        #expect(try house.ask("GET", "/api/users/nobody").status == 401)
        #expect(try house.ask("GET", "/api/users/alice", [People.alice.authorization]).text == #"{"username": "alice"}"#)
        #expect(try house.ask("GET", "/api/users/alice", [People.bob.authorization]).status == 200)
        #expect(try house.ask("GET", "/api/users/nobody", [People.bob.authorization]).status == 404)
      }
    }

    @Test func registeringIsBoundedForEachAddress() throws {
      try House.with(setup("policy open; rate 3/1h")) { house throws in
        for i in 1...3 { #expect(try register(house, form("often\(i)", "Often-pass-1")).status == 201) }
        // Also who only wants to know which names there are.
        let answer = try register(house, form("alice", "Often-pass-1"))
        #expect(answer.status == 429)
        #expect((1...1200).contains(answer["Retry-After"].flatMap { Int($0) } ?? 0))
      }
    }
  }
}
