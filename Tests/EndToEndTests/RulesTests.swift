// Who may, from end to end: blocks of `require`, networks, groups of Apache's file, and that what `check --as` says is what happens.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Rules {
    private static let routes = """
      route /office/ {
          upstream legacy
          require all { nobody; from 198.51.100.0/24 }
          require user alice
      }
      route /strict/ {
          upstream legacy
          require all {
              from 198.51.100.0/24
              not group admin
          }
      }
      route /from/ { upstream legacy; require from 127.0.0.1 }
      route /not/ { upstream legacy; require not group admin }
      route /never/ { upstream legacy; require all { user alice; user bob } }
      route /token/ { upstream legacy; require scope reports }
      """
    private static let setup = Setup(top: "trusted_proxies 127.0.0.1", more: routes)
    private static let office = "X-Forwarded-For: 198.51.100.7"

    @Test func nothingIsPublicByAccident() throws {
      try House.with(Self.setup) { house throws in
        for path in ["/strict/", "/from/", "/not/", "/never/", "/token/", "/"] {
          for fields in [[], [Self.office]] {
            let answer = try house.ask("GET", path, fields)
            #expect(answer.status == 401, "\(path)")
            #expect(answer.text == "Unauthorized Access")
          }
        }
        #expect(try house.ask("GET", "/office/").status == 401)
        // An address from farther left is the client's own word.
        #expect(try house.ask("GET", "/office/", ["X-Forwarded-For: 198.51.100.7, 203.0.113.1"]).status == 401)
        #expect(house.upstream.connections.isEmpty)
        let free = try house.ask("GET", "/office/", [Self.office, "X-Forwarded-User: forged"])
        #expect(free.status == 200)
        #expect(try house.upstream.requests(1)[0].values("X-Forwarded-User").isEmpty)
      }
    }

    @Test func aRefusalTellsNothingOfTheRule() throws {
      try House.with(Self.setup) { house throws in
        var seen: Set<String> = []
        for path in ["/strict/", "/never/", "/token/", "/office/"] {
          let answer = try house.ask("GET", path, [People.bob.authorization])
          #expect(answer.status == 403, "\(path)")
          seen.insert(answer.comparable)
        }
        #expect(seen.count == 1)
        #expect(try house.ask("GET", "/not/", [People.bob.authorization]).status == 403)
        #expect(try house.ask("GET", "/not/", [People.alice.authorization]).status == 200)
        #expect(try house.ask("GET", "/strict/", [People.alice.authorization, Self.office]).status == 200)
        #expect(try house.ask("GET", "/strict/", [People.alice.authorization]).status == 403)
        #expect(try house.ask("GET", "/strict/", [People.bob.authorization, Self.office]).status == 403)
        #expect(try house.ask("GET", "/from/", [People.bob.authorization]).status == 200)
      }
    }

    @Test func groupsOfApachesFileCountAndAreReadAgain() throws {
      let routes = "route /ops/ { upstream legacy; require group ops }\nroute /open/ { upstream legacy; require not group barred }"
      let scratch = try Scratch()
      let path = try scratch.write("ops: carol\nbarred: alice\n", to: "groups")
      try House.with(Setup(top: "groups \(path)", more: routes)) { house throws in
        #expect(try house.ask("GET", "/ops/", [People.alice.authorization]).status == 403)
        #expect(try house.ask("GET", "/ops/", [People.carol.authorization]).status == 200)
        #expect(try house.upstream.requests(1)[0]["X-Forwarded-Groups"] == "ops")
        #expect(try house.ask("GET", "/open/", [People.alice.authorization]).status == 403)

        try scratch.write("ops: carol alice\nbarred: carol\n", to: "groups")
        try house.gate.child.errors.waitForLine(containing: "groups reloaded: 2 groups, 2 members")
        try eventually("alice is in the group") { try house.ask("GET", "/ops/", [People.alice.authorization]).status == 200 }
        #expect(try house.ask("GET", "/open/", [People.alice.authorization]).status == 200)
        #expect(try house.ask("GET", "/open/", [People.carol.authorization]).status == 403)
        #expect(try house.upstream.requests(2)[1]["X-Forwarded-Groups"] == "staff,ops")

        // What can't be understood takes nobody out of a group, nor does a file that is being written.
        try scratch.write("ops: carol\nbarred carol\n", to: "groups")
        try house.gate.child.errors.waitForLine(containing: "the groups before stay in force")
        #expect(try house.ask("GET", "/open/", [People.carol.authorization]).status == 403)
        #expect(try house.ask("GET", "/ops/", [People.alice.authorization]).status == 200)
        try scratch.write("ops: carol\nbarred: ca", to: "groups")
        try house.gate.child.errors.waitForLine(containing: "was it cut short?")
        #expect(try house.ask("GET", "/open/", [People.carol.authorization]).status == 403)
      }
    }

    // MARK: In advance

    /// Every answer of `check --as` is that of the server.
    @Test func whatCheckSaysIsWhatHappens() throws {
      try House.with(Self.setup) { house throws in
        let paths = [
          "/", "/office/x", "/strict/x", "/from/x", "/not/x", "/never/x", "/token/x", "/x/../not/y", "/a%2fb", "/not%2fx", "//not/x",
        ]
        for (name, fields) in [
          ("-", []), ("alice", [People.alice.authorization]), ("bob", [People.bob.authorization]),
          ("mallory", [People.mallory.authorization]),
        ] as [(String, [String])] {
          for address in ["198.51.100.7", "203.0.113.1"] {
            for path in paths {
              let status = try house.ask("GET", path, fields + ["X-Forwarded-For: \(address)"]).status
              let said = try Gatehouse.run(["check", "--as", name, "--from", address, "GET", path], in: house.scratch)
              #expect(said.code == (status == 200 ? 0 : 1), "\(name) \(address) \(path) \(status): \(said.text)\(said.errors)")
              if status != 200 { #expect(said.text.contains("refused with \(status)"), "\(said.text)") }
            }
          }
        }
      }
    }

    @Test func checkNamesTheLineThatDecides() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      let text = Setup(more: Self.routes).text(upstreamPort: 9)
      try scratch.write(text, to: "proxy.conf")
      func line(_ part: String) -> Int { text.components(separatedBy: "\n").firstIndex { $0.contains(part) }.map { $0 + 1 } ?? 0 }
      func check(_ words: String...) throws -> Outcome { try Gatehouse.run(["check"] + words, in: scratch) }

      let alice = try check("--as", "alice", "--from", "192.0.2.1", "GET", "/office/../office/x?y")
      #expect(
        alice.text == """
          GET /office/../office/x?y as alice from 192.0.2.1
            path: /office/x?y
            route: proxy.conf:\(line("route /office/")): /office/
          allowed by proxy.conf:\(line("require user alice")): require user alice

          """)
      let strict = try check("--as", "bob", "--from", "198.51.100.1", "GET", "/strict/")
      #expect(
        strict.code == 1
          && strict.text.contains("refused with 403: not met: proxy.conf:\(line("not group admin")): require not group admin"),
        "\(strict.text)")
      let nobody = try check("--as", "-", "--from", "198.51.100.1", "GET", "/office/")
      #expect(
        nobody.code == 0
          && nobody.text.contains("allowed by proxy.conf:\(line("require all { nobody")): require all { nobody; from 198.51.100.0/24 }"),
        "\(nobody.text)")
      let token = try check("--as", "bob", "--scope", "mail reports", "GET", "/token/")
      #expect(token.code == 0, "\(token.text)")
      #expect(try check("--as", "mallory", "GET", "/").text.contains("refused with 401: user is locked"))
      #expect(try check("--as", "nemo", "GET", "/").text.contains("refused with 401: unknown user"))
      #expect(try check("--as", "bob", "TRACE", "/").text.contains("refused with 405: TRACE is not allowed"))
      for words in [
        ["--from", "::1"], ["--as", "bob"], ["--as", "bob", "GET"], ["--as", "bob", "--from", "x", "GET", "/"], ["GET", "/"],
      ] {
        #expect(try Gatehouse.run(["check"] + words, in: scratch).code == 2, "\(words)")
      }
      #expect(try check("--as", "bob", "GET /not/", "/").code == 1)
    }
  }
}
