// API keys from issue to revocation: what they open and from where, in which header they come, how they are replaced, and their last use.

import Foundation
import Glibc
import Testing

extension EndToEnd {
  @Suite(.serialized) struct APIKeys {
    /// Issues a token and waits until it is in force.
    private func issue(_ house: House, _ arguments: String...) throws -> String {
      let outcome = try Gatehouse.run(["token", "issue"] + arguments + ["--file", "users"], in: house.scratch)
      #expect(outcome.code == 0, "\(outcome.errors)")
      return Secrets.keep(outcome.text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    private func bearer(_ token: String) -> String { "Authorization: Bearer \(token)" }

    private func forms(_ token: String, of user: String) -> [String] {
      [
        bearer(token), "Authorization: " + Secrets.basic(token, "x-oauth"), "Authorization: " + Secrets.basic(user, token),
        "X-API-Key: \(token)",
      ]
    }

    private let keyed = Setup(top: "api_key_header X-API-Key")

    @Test func aKeyOpensNothingOutsideItsScope() throws {
      try House.with(keyed) { house throws in
        let token = try issue(house, "bob", "--name", "ci", "--scope", "GET /reports/", "--scope", "/hooks/ci")
        try eventually("the token works") { try house.ask("GET", "/reports/a", [bearer(token)]).status == 200 }
        let before = house.upstream.requests.count
        for field in forms(token, of: "bob") {
          #expect(try house.ask("GET", "/reports/a", [field]).status == 200)
          #expect(try house.ask("POST", "/hooks/ci", [field]).status == 200)
          for (method, target) in [
            ("POST", "/reports/a"), ("GET", "/"), ("GET", "/reportsx"), ("GET", "/reports/../admin"), ("GET", "/reports/%2e%2e/admin"),
            ("GET", "/reports/a/../../admin"), ("GET", "/reports/;/../../admin"), ("GET", "/hooks"), ("OPTIONS", "*"),
          ] {
            let answer = try house.ask(method, target, [field])
            #expect(answer.status == 403 || answer.status == 400, "\(method) \(target)")
          }
        }
        #expect(house.upstream.requests.count == before + 8)
        #expect(try house.accessLines(1).contains { $0["reason"] as? String == "out of the token's scope" })
      }
    }

    @Test func eachKeyHasARateOfItsOwn() throws {
      try House.with(Setup(route: "rate 1r/h burst 2 by token")) { house throws in
        let keys = try ["ci", "cd"].map { try issue(house, "bob", "--name", $0) }
        for key in keys {
          // While it is not known it is nobody's, and counts for none.
          try eventually("the token works") { try house.ask("GET", "/", [bearer(key)]).status == 200 }
          #expect(try house.ask("GET", "/", [bearer(key)]).status == 200)
          #expect(try house.ask("GET", "/", [bearer(key)]).status == 429)
        }
        // In whichever form it comes; and who comes with his password has a count of his own.
        #expect(try house.ask("GET", "/", ["Authorization: " + Secrets.basic(keys[0], "x-oauth")]).status == 429)
        #expect(try (0..<3).map { _ in try house.ask("GET", "/", [People.bob.authorization]).status } == [200, 200, 429])
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
      }
    }

    @Test func aStolenKeyTellsNothingElsewhere() throws {
      let setup = Setup(top: "api_key_header X-API-Key\ntrusted_proxies 127.0.0.1")
      try House.with(setup) { house throws in
        let token = try issue(house, "carol", "--name", "ci", "--from", "10.0.0.0/8", "--from", "2001:db8::/32")
        let home = "X-Forwarded-For: 10.1.2.3"
        try eventually("the token works at home") { try house.ask("GET", "/", [bearer(token), home]).status == 200 }
        #expect(try house.ask("GET", "/", [bearer(token), "X-Forwarded-For: 2001:db8:1::7"]).status == 200)
        let before = house.upstream.requests.count
        let nobodys = forms(String(token.dropLast(6)), of: "carol")
        for (field, other) in zip(forms(token, of: "carol"), nobodys) {
          for place in ["X-Forwarded-For: 11.1.2.3", "X-Forwarded-For: 10.1.2.3, 192.0.2.1", "X-Request-Source: 10.1.2.3"] {
            let answer = try house.ask("GET", "/", [field, place])
            #expect(answer.status == 401)
            #expect(answer.comparable == (try house.ask("GET", "/", [other, place]).comparable), "like a token that nobody has")
          }
        }
        #expect(house.upstream.requests.count == before)
        try eventually("the log says why") { house.gate.accessLog.contains("key used from outside its networks") }
      }
    }

    @Test func aMistypedTokenIsSaidToBeOne() throws {
      try House.with(keyed) { house throws in
        let token = try issue(house, "carol", "--name", "ci")
        let slip = Secrets.keep(String(token.dropLast()) + (token.hasSuffix("A") ? "B" : "A"))
        for field in forms(slip, of: "carol") { #expect(try house.ask("GET", "/", [field]).status == 401) }
        try eventually("the log says so") { house.gate.accessLog.components(separatedBy: "mistyped token").count == 5 }
      }
    }

    @Test func theKeysHeaderNeverReachesTheUpstream() throws {
      let script: Script = { conversation in
        do {
          while try conversation.request() != nil { try conversation.send(Answer.text("x")) }
        } catch is Truncated {}
      }
      let more =
        "route /open/ { upstream legacy; require nobody }\nroute /pass/ { upstream legacy; require valid-user; authorization pass }"
      try House.with(Setup(top: "api_key_header X-API-Key", more: more), script) { house throws in
        let token = try issue(house, "bob", "--name", "ci")
        try eventually("the token works") { try house.ask("GET", "/", ["X-API-Key: \(token)"]).status == 200 }
        #expect(try house.ask("GET", "/pass/", ["x-api-KEY: \(token)"]).status == 200)
        #expect(try house.ask("GET", "/open/", ["X-API-Key: \(token)"]).status == 200)
        #expect(try house.ask("GET", "/", ["Connection: X-API-Key", "X-API-Key: \(token)"]).status == 200)
        // What some servers take for the same name is no credential here, and is not handed on for one.
        for name in ["X_API_Key", "x-api_key", "X.API.KEY", "X~Api~Key"] {
          #expect(try house.ask("GET", "/", ["\(name): \(token)"]).status == 401)
          #expect(try house.ask("GET", "/pass/", [People.alice.authorization, "\(name): \(token)"]).status == 200)
        }
        for name in ["X-API-Key", "X_API_Key"] {
          let client = try house.client()
          try client.send(
            request(
              "POST", "/", [People.alice.authorization, "Transfer-Encoding: chunked", "Trailer: \(name)"],
              body: "2\r\nhi\r\n0\r\n\(name): \(token)\r\n\r\n"))
          #expect([200, 400].contains(try #require(try client.response(to: "POST")).status))
        }
        #expect(!house.upstream.bytes.holds(token))
      }
    }

    @Test func aKeyBesideOtherCredentialsIsRefused() throws {
      try House.with(keyed) { house throws in
        let token = try issue(house, "bob", "--name", "ci")
        let key = "X-API-Key: \(token)"
        try eventually("the token works") { try house.ask("GET", "/", [key]).status == 200 }
        let before = house.upstream.requests.count
        for fields in [
          [key, People.alice.authorization], [People.alice.authorization, key], [key, key], [key, bearer(token)],
          ["X-API-Key:", bearer(token)],
          ["X-API-Key: wrong", People.alice.authorization],
        ] {
          #expect(try house.ask("GET", "/", fields).status == 400)
        }
        #expect(house.upstream.requests.count == before)
      }
    }

    @Test func aReplacedTokenGoesOnForAWhile() throws {
      try House.with(keyed) { house throws in
        let first = try issue(house, "bob", "--name", "ci", "--scope", "/a/", "--from", "127.0.0.0/8")
        try eventually("the first works") { try house.ask("GET", "/a/", [bearer(first)]).status == 200 }
        let second = try issue(house, "bob", "--replace", "ci", "--overlap", "2h")
        try eventually("the second works") { try house.ask("GET", "/a/", [bearer(second)]).status == 200 }
        #expect(first != second)
        for token in [first, second] {
          #expect(try house.ask("GET", "/a/", [bearer(token)]).status == 200)
          #expect(try house.ask("GET", "/b/", [bearer(token)]).status == 403, "the restrictions are the same")
        }
        let list = try Gatehouse.run(["token", "list", "bob", "--file", "users"], in: house.scratch).text.split(separator: "\n")
        try #require(list.count == 2 && list.allSatisfy { $0.contains("scope=/a/") && $0.contains("from=127.0.0.0/8") }, "\(list)")
        #expect(list[0].contains("\tci\t") && list[0].contains("never expires") && list[0].contains(second.suffix(4)))
        #expect(list[1].contains("\tci.old\t") && list[1].contains("expires=") && list[1].contains(first.suffix(4)))
        #expect(try Gatehouse.run(["token", "revoke", "bob", "ci.old", "--file", "users"], in: house.scratch).code == 0)
        try eventually("the first is void") { try house.ask("GET", "/a/", [bearer(first)]).status == 401 }
        #expect(try house.ask("GET", "/a/", [bearer(second)]).status == 200)
        // Without an overlap the old one is void at once.
        let third = try issue(house, "bob", "--replace", "ci", "--overlap", "0")
        try eventually("the second is void") { try house.ask("GET", "/a/", [bearer(second)]).status == 401 }
        #expect(try house.ask("GET", "/a/", [bearer(third)]).status == 200)
      }
    }

    @Test func whatCannotBeAKeyIsNotIssued() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      for (arguments, code) in [
        (["bob"], 2), (["bob", "--name", "x", "--replace", "y"], 2), (["bob", "--name", "x", "--overlap", "1h"], 2),
        (["bob", "--replace", "x", "--scope", "/a"], 2), (["bob", "--replace", "x", "--from", "10.0.0.0/8"], 2),
        (["bob", "--name", "x", "--scope", "reports"], 2), (["bob", "--name", "x", "--scope", "GET /a/../b"], 2),
        (["bob", "--name", "x", "--from", "10.1.2.3/8"], 2), (["bob", "--name", "x", "--from", "example.com"], 2),
        (["bob", "--replace", "nothing"], 1), (["nobody-we-know", "--name", "x"], 1), (["bob", "--name", "x/y"], 1),
        (["bob", "--name", "x", "--expires", "2020-01-01"], 1), (["bob", "--name", "x", "--expires", "soon"], 2),
      ] {
        let outcome = try Gatehouse.run(["token", "issue"] + arguments + ["--file", "users"], in: scratch)
        #expect(outcome.code == Int32(code), "\(arguments): \(outcome.errors)")
        #expect(outcome.output.isEmpty && !outcome.errors.isEmpty)
      }
      #expect(try scratch.text("users") == People.file)
    }

    @Test func aRestrictionThatIsNotUnderstoodVoidsItsKeyAlone() throws {
      try House.with { house throws in
        let (one, two) = (try issue(house, "bob", "--name", "one"), try issue(house, "bob", "--name", "two"))
        try eventually("both work") { try [one, two].allSatisfy { try house.ask("GET", "/", [bearer($0)]).status == 200 } }
        let text = try house.scratch.text("users")
        let entry = "/never/\(one.suffix(4))"
        #expect(text.contains(entry))
        try house.scratch.replace("users", with: text.replacingOccurrences(of: entry, with: entry + "/only-on=sundays"))
        try eventually("the first is void") { try house.ask("GET", "/", [bearer(one)]).status == 401 }
        #expect(try house.ask("GET", "/", [bearer(two)]).status == 200)
        let check = try Gatehouse.run(["check", "--config", "proxy.conf"], in: house.scratch)
        #expect(
          check.code == 0 && check.text.contains("users:3") && check.text.contains("user \"bob\": key 1 can't be used"), "\(check.text)")
      }
    }

    @Test func theLastUseIsWrittenDown() throws {
      try House.with(Setup(top: "trusted_proxies 127.0.0.1")) { house throws in
        let (used, unused) = (try issue(house, "bob", "--name", "used"), try issue(house, "bob", "--name", "unused"))
        try house.scratch.write("of another time\nbob gone 2020-01-01 ::1 0123456789abcdef\n", to: "users.used")
        try eventually("the token works") { try house.ask("GET", "/", [bearer(used), "X-Forwarded-For: 192.0.2.7"]).status == 200 }
        #expect(try house.ask("GET", "/", [bearer(unused + "x")]).status == 401)
        try house.gate.stop()
        let list = try Gatehouse.run(["token", "list", "bob", "--file", "users"], in: house.scratch).text.split(separator: "\n")
        try #require(list.count == 2)
        #expect(list[0].contains("\tused\t") && list[0].contains("used=20") && list[0].contains(" from 192.0.2.7"), "\(list)")
        #expect(list[1].contains("\tunused\t") && list[1].contains("\tnot used"), "\(list)")
        let file = try house.scratch.text("users.used")
        #expect(file.split(separator: "\n").count == 1 && file.hasPrefix("bob used 20"), "what is no key's is dropped: \(file)")
        #expect(house.gate.errorLines.contains { $0.contains("users.used") && $0.contains("1 line") })
      }
      try House.with { house throws in
        let token = try issue(house, "bob", "--name", "ci")
        try eventually("the token works") { try house.ask("GET", "/", [bearer(token)]).status == 200 }
        try house.gate.stop()
        var status = stat()
        #expect(unsafe stat(house.scratch["users.used"], &status) == 0 && status.st_mode & 0o7777 == 0o600)
      }
    }

    @Test func aLastUseThatCannotBeWrittenIsNoError() throws {
      try House.with { house throws in
        let token = try issue(house, "bob", "--name", "ci")
        try FileManager.default.createDirectory(atPath: house.scratch["users.used"], withIntermediateDirectories: false)
        try eventually("the token works") { try house.ask("GET", "/", [bearer(token)]).status == 200 }
        try house.gate.stop()
        #expect(house.gate.errorLines.filter { $0.contains("the last use of tokens can't be kept") }.count == 1)
      }
    }
  }
}
