// Where clients exchange name and password for a token, and take one back.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct TokenEndpoint {
    private func setup(_ tokens: String = "", more: String = "", users: String = People.file, workers: Int = 1) -> Setup {
      Setup(top: "tokens { keys token.keys\n\(tokens)\n}\n\(more)", users: users, workers: workers)
    }

    private func token(_ message: Message) throws -> (text: String, duration: Int) {
      let object = try JSONSerialization.jsonObject(with: Data(message.body)) as? [String: Any]
      return (Secrets.keep(try #require(object?["token"] as? String)), try #require(object?["duration"] as? Int))
    }

    private func ask(_ house: House, _ query: String = "", _ authorization: String = People.alice.authorization, _ method: String = "GET")
      throws
      -> Message
    {
      try house.ask(method, "/api/token" + query, [authorization])
    }

    private func bearer(_ token: String) -> String { "Authorization: Bearer \(token)" }

    @Test func theArticlesTokenWorksUnchanged() throws {
      try House.with(setup()) { house throws in
        let made = try house.curl("-u", People.alice.pair, "-i", "-X", "GET", "/api/token")
        #expect(made.status == 200 && made.final["Cache-Control"] == "no-store" && made.final["Content-Type"] == "application/json")
        let body = made.text.components(separatedBy: "\r\n\r\n").last ?? ""
        let object = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        #expect(object["duration"] as? Int == 600)
        let text = Secrets.keep(try #require(object["token"] as? String))
        #expect(try house.curl("-u", "\(text):unused", "-i", "-X", "GET", "/api/resource").status == 200)
        #expect(try house.curl("-H", bearer(text), "/api/resource").status == 200)
        #expect(try house.upstream.requests(2).allSatisfy { $0["X-Forwarded-User"] == "alice" && $0.values("Authorization").isEmpty })
        #expect(try house.curl("-u", People.alice.pair, "-X", "POST", "/api/token").status == 200)
      }
    }

    @Test func othersGetTheRefusalOfEverywhere() throws {
      try House.with(setup()) { house throws in
        let reference = try house.ask("GET", "/", ["Authorization: " + Secrets.basic("alice", "wrong-guess-21")])
        let strangers = [
          Secrets.basic("alice", "wrong-guess-21"), Secrets.basic("nobody", "wrong-guess-22"),
          Secrets.basic("mallory", People.mallory.password),
          Secrets.basic("erin", People.erin.password),
        ]
        for stranger in strangers {
          for method in ["GET", "POST", "DELETE"] {
            let answer = try ask(house, "", "Authorization: " + stranger, method)
            #expect(answer.status == 401 && answer.body == reference.body)
          }
        }
        #expect(try house.ask("GET", "/api/token").status == 401)
        #expect(try ask(house, "", People.alice.authorization, "PUT")["Allow"] == "GET, HEAD, POST, DELETE")
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func whatIsAskedForIsGivenExactlyOrNotAtAll() throws {
      try House.with(setup("longest_lifetime 1h")) { house throws in
        #expect(try token(ask(house, "?duration=3600")).duration == 3600)
        for query in [
          "?duration=3601", "?duration=0", "?duration=-1", "?duration=", "?duration=5&duration=6", "?duration=1h",
          "?duration=99999999999999999999",
          "?durations=5", "?scope=reports", "?scope=", "?scope=/a/../b", "?duration=%", "?Duration=5",
        ] {
          let answer = try ask(house, query)
          #expect(answer.status == 400 && answer["Content-Type"] == "application/problem+json", "\(query)")
        }
        // What was meant to narrow it must not be passed over.
        let form = "scope=/nothing"
        let answer = try house.ask(
          "POST", "/api/token",
          [People.alice.authorization, "Content-Length: \(form.utf8.count)", "Content-Type: application/x-www-form-urlencoded"],
          body: form)
        #expect(answer.status == 400)
        let narrow = try token(ask(house, "?scope=GET%20/reports/&scope=GET+/files/")).text
        #expect(try house.ask("GET", "/reports/1", [bearer(narrow)]).status == 200)
        #expect(try house.ask("HEAD", "/files/x", [bearer(narrow)]).status == 200)
        #expect(try house.ask("POST", "/reports/1", [bearer(narrow), "Content-Length: 0"]).status == 403)
        #expect(try house.ask("GET", "/other", [bearer(narrow)]).status == 403)
      }
    }

    @Test func aTokenIsNoPasswordForAnother() throws {
      try House.with(setup()) { house throws in
        let text = try token(ask(house)).text
        for method in ["GET", "POST"] { #expect(try ask(house, "", bearer(text), method).status == 403) }
        #expect(try ask(house, "", "Authorization: " + Secrets.basic(text, "unused-word")).status == 403)
        let issued = try Gatehouse.run(["token", "issue", "alice", "--name", "ci", "--file", "users"], in: house.scratch)
        let key = Secrets.keep(
          try #require(issued.text.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("ghk_") }.map(String.init), "\(issued)"))
        try eventually("the key is known") { try house.ask("GET", "/", [bearer(key)]).status == 200 }
        #expect(try ask(house, "", bearer(key)).status == 403)
      }
    }

    @Test func renewalsEndWithTheTimeForThem() throws {
      try House.with(setup("lifetime 2s; renew_within 3s")) { house throws in
        let first = try token(ask(house)).text
        let second = try token(ask(house, "", bearer(first)))
        #expect(second.duration <= 3)
        let third = try token(ask(house, "?duration=2", bearer(second.text)))
        #expect(third.duration <= 3)
        #expect(try house.ask("GET", "/", [bearer(third.text)]).status == 200)
        // However often it was renewed, it ends with the first login.
        try eventually("the last one ends", within: .seconds(10)) { try house.ask("GET", "/", [bearer(third.text)]).status == 401 }
        #expect(try ask(house, "", bearer(third.text)).status == 401)
      }
    }

    @Test func aRenewalIsNeverWider() throws {
      try House.with(setup("renew_within 1h")) { house throws in
        let narrow = try token(ask(house, "?scope=GET%20/reports/")).text
        // As narrow when nothing is said.
        let same = try token(ask(house, "", bearer(narrow))).text
        #expect(try house.ask("GET", "/other", [bearer(same)]).status == 403)
        #expect(try house.ask("GET", "/reports/", [bearer(same)]).status == 200)
        #expect(try ask(house, "?scope=GET%20/reports/2026", bearer(narrow)).status == 200)
        for scope in ["/reports/", "GET%20/", "GET,POST%20/reports/", "GET%20/reports", "GET%20/reports/&scope=/x"] {
          // `/reports` covers what `/reports/` does.
          let wanted = scope == "GET%20/reports" ? 200 : 403
          #expect(try ask(house, "?scope=\(scope)", bearer(narrow)).status == wanted, "\(scope)")
        }
      }
    }

    @Test func aTokenIsTakenBackByItself() throws {
      try House.with(setup(workers: 2)) { house throws in
        let (first, second) = (try token(ask(house)).text, try token(ask(house, "?scope=GET%20/reports/")).text)
        let open = try (0..<6).map { _ in try house.client() }
        for client in open { #expect(try client.exchange(request("GET", "/", [bearer(first)])).status == 200) }
        #expect(try ask(house, "", People.alice.authorization, "DELETE").status == 403)
        let answer = try ask(house, "", bearer(first), "DELETE")
        #expect(answer.status == 204 && answer.body.isEmpty && answer.values("Content-Length").isEmpty)
        // At once, on every connection of every worker.
        for client in open { #expect(try client.exchange(request("GET", "/", [bearer(first)])).status == 401) }
        #expect(try ask(house, "", bearer(first), "DELETE").status == 401)
        // A scoped one may be taken back too, here as a Basic name.
        #expect(try ask(house, "", "Authorization: " + Secrets.basic(second, "unused-word"), "DELETE").status == 204)
        #expect(try house.ask("GET", "/reports/", [bearer(second)]).status == 401)
        let mode = try FileManager.default.attributesOfItem(atPath: house.scratch["token.keys.revoked"])[.posixPermissions] as? Int
        #expect(mode == 0o600)
        // And after a restart.
        try house.gate.stop()
        let again = try Gatehouse(in: house.scratch)
        #expect(try Client(to: again.port).exchange(request("GET", "/", [bearer(first)])).status == 401)
        try again.stop()
      }
    }

    @Test func aRevocationThatCannotBeWrittenIsNotConfirmed() throws {
      try House.with(setup()) { house throws in
        let text = try token(ask(house)).text
        // In the way of the new file: nothing can be made by that name.
        try FileManager.default.createDirectory(atPath: house.scratch[".token.keys.revoked.lock"], withIntermediateDirectories: true)
        #expect(try ask(house, "", bearer(text), "DELETE").status == 503)
        #expect(try house.ask("GET", "/", [bearer(text)]).status == 200)
        try house.gate.child.errors.waitForLine(containing: "could not be written")
        try FileManager.default.removeItem(atPath: house.scratch[".token.keys.revoked.lock"])
        #expect(try ask(house, "", bearer(text), "DELETE").status == 204)
      }
    }

    // MARK: Passwords that change

    private func change(_ house: House, _ old: String, _ new: String, _ authorization: String, name: String = "alice") throws -> Message {
      let body = String(
        decoding: try JSONSerialization.data(withJSONObject: ["old": Secrets.keep(old), "new": Secrets.keep(new)]), as: UTF8.self)
      return try house.ask(
        "PUT", "/api/users/\(name)/password", ["Content-Type: application/json", "Content-Length: \(body.utf8.count)", authorization],
        body: body)
    }

    @Test func aPasswordIsChangedByThePasswordAlone() throws {
      try House.with(setup(more: "register { }")) { house throws in
        let (old, new) = (People.alice.password, Secrets.keep("Anew-7-alice-pass"))
        let text = try token(ask(house)).text
        #expect(try change(house, old, new, bearer(text)).status == 403)
        #expect(try change(house, old, new, People.bob.authorization).status == 403)
        #expect(try change(house, old, new, People.bob.authorization, name: "nobody").status == 403)
        #expect(try change(house, "Some-other-old", new, People.alice.authorization).status == 403)
        #expect(try change(house, old, "short", People.alice.authorization).status == 400)
        #expect(try change(house, old, old, People.alice.authorization).status == 400)
        #expect(try change(house, old, new, "Authorization: " + Secrets.basic("alice", "wrong-guess-31")).status == 401)
        #expect(try house.scratch.text("users") == People.file)

        #expect(try change(house, old, new, People.alice.authorization).status == 204)
        // Nothing of before is good any more: neither the password nor the token.
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 401)
        #expect(try house.ask("GET", "/", [bearer(text)]).status == 401)
        #expect(try house.ask("GET", "/", ["Authorization: " + Secrets.basic("alice", new)]).status == 200)
        // The rest of the line, and of the file, is as it was.
        let lines = try house.scratch.text("users").split(separator: "\n", omittingEmptySubsequences: false)
        let before = People.file.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == before.count && zip(lines, before).count { $0 != $1 } == 1)
        #expect(lines.contains { $0.hasPrefix("alice:$y$") && $0.hasSuffix(":groups=staff") })
      }
    }

    // MARK: Weak hashes

    @Test func aLoginReplacesAWeakHash() throws {
      try House.with(setup(more: "rehash on")) { house throws in
        #expect(try house.curl("-u", People.alice.pair, "/").status == 200)
        try eventually("the hash is replaced", within: .seconds(30)) { try house.scratch.text("users").contains("alice:$y$") }
        #expect(try house.scratch.text("users").contains(":groups=staff\n"))
        #expect(try house.curl("-u", People.alice.pair, "/").status == 200)
        #expect(try house.curl("-u", "alice:\(Secrets.keep("wrong-guess-41"))", "/").status == 401)
        // bcrypt of cost 5 too; nobody else's was touched.
        #expect(try house.curl("-u", People.carol.pair, "/").status == 200)
        try eventually("the other hash is replaced", within: .seconds(30)) { try house.scratch.text("users").contains("carol:$y$") }
        #expect(try house.scratch.text("users").contains("bob:{SSHA}"))
      }
    }

    @Test func aTokenOutlivesTheHashThatWasWeak() throws {
      try House.with(setup(more: "rehash on")) { house throws in
        // The token is made after the hash was replaced, not before.
        let text = try token(ask(house)).text
        #expect(try house.scratch.text("users").contains("alice:$y$"))
        #expect(try house.ask("GET", "/", [bearer(text)]).status == 200)
        let second = try token(ask(house)).text
        #expect(try house.ask("GET", "/", [bearer(text)]).status == 200)
        #expect(try house.ask("GET", "/", [bearer(second)]).status == 200)
      }
    }

    @Test func aTokenOutlivesTheHashThatAnEarlierLoginIsReplacing() throws {
      try House.with(setup(more: "rehash on", workers: 2)) { house throws in
        // The article's session: the resource first, and then the token, while the new hash waits to be written.
        #expect(try house.curl("-u", People.alice.pair, "/").status == 200)
        let (port, asked) = (house.port, request("GET", "/api/token", [People.alice.authorization]))
        let asking = (0..<4).map { _ in Worker { try Client(to: port).exchange(asked) } }
        let texts = try asking.map { try token($0.join()).text }
        #expect(try house.scratch.text("users").contains("alice:$y$"))
        for text in texts { #expect(try house.ask("GET", "/", [bearer(text)]).status == 200) }
      }
    }

    @Test func withoutTheDirectiveHashesStay() throws {
      try House.with(setup()) { house throws in
        #expect(try house.curl("-u", People.alice.pair, "/").status == 200)
        #expect(try ask(house).status == 200)
        try house.gate.stop()
        #expect(try house.scratch.text("users") == People.file)
      }
    }
  }
}
