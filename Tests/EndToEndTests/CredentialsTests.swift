// Attacks on credentials: what must not log in, and what a refusal must not tell.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFront) struct Credentials {
    private func encoded(_ bytes: [UInt8]) -> String { "Basic " + Secrets.keep(Data(bytes).base64EncodedString()) }
    private func encoded(_ text: String) -> String { encoded([UInt8](text.utf8)) }

    @Test func aRefusalIsTheSameForEveryReason() throws {
      try House.with { house throws in
        let secret = People.alice.password
        let attempts: [(String, [String])] = [
          ("nothing", []),
          ("wrong password", ["Authorization: " + Secrets.basic("alice", "wrong-guess-4")]),
          ("wrong password, bcrypt", ["Authorization: " + Secrets.basic("carol", "wrong-guess-4")]),
          ("unknown user", ["Authorization: " + Secrets.basic("nobody-we-know", "wrong-guess-4")]),
          ("locked, right password", [People.mallory.authorization]),
          ("locked, wrong password", ["Authorization: " + Secrets.basic("mallory", "wrong-guess-4")]),
          ("expired, right password", [People.erin.authorization]),
          ("no colon", ["Authorization: " + encoded("alice")]),
          ("empty", ["Authorization: Basic "]),
          ("empty pair", ["Authorization: " + encoded(":")]),
          ("empty password", ["Authorization: " + encoded("alice:")]),
          ("not Base64", ["Authorization: Basic !!!!"]),
          ("another scheme", ["Authorization: Digest username=\"alice\""]),
          ("NUL", ["Authorization: " + encoded([UInt8]("alice:\(secret)".utf8) + [0, 0x78])]),
          ("other case of the name", ["Authorization: " + Secrets.basic("Alice", secret)]),
          ("name with a space", ["Authorization: " + Secrets.basic("alice ", secret)]),
        ]
        var first: String?
        for (name, fields) in attempts {
          let answer = try house.ask("GET", "/private", fields)
          #expect(answer.status == 401, "\(name)")
          if let first { #expect(answer.comparable == first, "\(name) can be told from no credentials at all") }
          first = first ?? answer.comparable
          let head = try house.ask("HEAD", "/private", fields)
          #expect(head.status == 401 && head.body.isEmpty, "\(name)")
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func nothingMalformedLogsIn() throws {
      try House.with { house throws in
        let pair = [UInt8]("\(People.alice.name):\(People.alice.password)".utf8)
        let right = Data(pair).base64EncodedString()
        let bob = [UInt8]("bob:\(People.bob.password)".utf8)
        let values = [
          "Basic \(right)=", "Basic \(right)==", "Basic =\(right)", "Basic \(right) ", "Basic \(right) x", "Basic \(right), Basic \(right)",
          "Basic\(right)",
          "Basic, \(right)", "Basic \"\(right)\"", "Basic realm=\(right)", "Basic \(right.prefix(8)) \(right.dropFirst(8))",
          "Basic  x \(right)",
          "Basic \(right.replacingOccurrences(of: "=", with: ""))A", "Bearer \(right)", right, "Basic %\(right)", "Basic \(right)\u{e4}",
          encoded(pair + [0]), encoded(pair + [0x0A]), encoded(pair + [0x0D, 0x0A]), encoded([0] + pair), encoded(pair + [0x7F]),
          encoded(bob + [0xFF]),
          encoded([0xEF, 0xBB, 0xBF] + pair), encoded([UInt8]("alice\u{0}:x".utf8)), encoded(pair.map { $0 == 0x3A ? 0x3B : $0 }),
          // The last two bits behind the padding are not zero: the same bytes in a second spelling.
          "Basic " + Data(bob).base64EncodedString().dropLast(2) + "x=",
        ]
        for value in values where value != "Basic \(right) " {
          #expect(try house.ask("GET", "/", ["Authorization: \(value)"]).status == 401, "\(value)")
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func theSchemeIsReadInAnyCase() throws {
      try House.with { house throws in
        let right = People.alice.authorization.dropFirst("Authorization: Basic ".count)
        for scheme in ["Basic", "basic", "BASIC", "bAsIc"] {
          #expect(try house.ask("GET", "/", ["authorization: \(scheme) \(right)"]).status == 200, "\(scheme)")
        }
      }
    }

    @Test func severalAuthorizationsAreRefused() throws {
      try House.with { house throws in
        let (alice, bob) = (People.alice.authorization, People.bob.authorization)
        let wrong = "Authorization: " + Secrets.basic("alice", "wrong-guess-5")
        for fields in [
          [alice, bob], [alice, alice], [wrong, alice], [alice, wrong], [alice, "authorization: Bearer x"], [alice, "Authorization:"],
        ] {
          #expect(try house.ask("GET", "/", fields).status == 400)
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func aNULDoesNotCutAPasswordShort() throws {
      try House.with { house throws in
        // crypt(3) would stop reading at the NUL and find the right password.
        for person in [People.alice, People.bob, People.carol, People.dave] {
          let pair = [UInt8]("\(person.name):\(person.password)".utf8)
          #expect(try house.ask("GET", "/", ["Authorization: " + encoded(pair + [0] + [0x78])]).status == 401, "\(person.name)")
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    @Test func longCredentialsAreRefusedCheaply() throws {
      try House.with { house throws in
        for length in [100, 1000, 4000, 20_000] {
          let status = try house.ask("GET", "/", ["Authorization: " + encoded("carol:" + String(repeating: "x", count: length))]).status
          #expect([401, 431].contains(status), "\(length)")
        }
        // bcrypt reads 72 bytes: what follows must not be left out of account by us in front of it.
        #expect(try house.ask("GET", "/", ["Authorization: " + encoded("carol:" + People.carol.password + "x")]).status == 401)
      }
    }

    @Test func aPairCannotBeSplitAnotherWay() throws {
      // Were the cache's key the plain concatenation, “alice” + “Ahoy…” would let in “aliceA” + “hoy…”.
      try House.with { house throws in
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
        let password = People.alice.password
        #expect(
          try house.ask("GET", "/", ["Authorization: " + encoded("alice\(password.prefix(1)):\(password.dropFirst())")]).status == 401)
        #expect(try house.ask("GET", "/", ["Authorization: " + encoded("alic:e\(password)")]).status == 401)
        #expect(try house.ask("GET", "/", ["Authorization: " + encoded("alice:Ahoy-7")]).status == 401)
      }
    }

    @Test func aTokenIsItsOwnersInEveryForm() throws {
      try House.with { house throws in
        let issued = try Gatehouse.run(["token", "issue", "bob", "--name", "ci", "--file", "users"], in: house.scratch)
        #expect(issued.code == 0, "\(issued.errors)")
        let token = Secrets.keep(
          try #require(issued.text.split(whereSeparator: { $0.isWhitespace }).map(String.init).first { $0.hasPrefix("ghk_") }))
        try eventually("the token works") { try house.ask("GET", "/", ["Authorization: Bearer \(token)"]).status == 200 }
        let before = house.upstream.requests.count
        for pair in ["\(token):", "\(token):anything", "bob:\(token)"] {
          #expect(try house.ask("GET", "/", ["Authorization: " + encoded(pair)]).status == 200, "\(pair.prefix(8))")
        }
        #expect(try house.curl("-u", "\(token):x", "/").status == 200)
        #expect(house.upstream.requests.dropFirst(before).allSatisfy { $0["X-Forwarded-User"] == "bob" && !$0.head.holds(token) })
        // Not as somebody else's password, and not with a letter changed.
        let other = token.dropLast() + (token.hasSuffix("A") ? "B" : "A")
        for value in [
          encoded("alice:\(token)"), encoded("\(other):x"), "Bearer \(other)", "Bearer \(token) x", "Bearer \(token.uppercased())",
          "Bearer",
        ] {
          let answer = try house.ask("GET", "/", ["Authorization: \(value)"])
          #expect(answer.status == 401)
        }
        let challenge = try house.ask("GET", "/", ["Authorization: Bearer \(other)"]).values("WWW-Authenticate")
        #expect(challenge.contains { $0.hasPrefix("Bearer") && $0.contains("error=\"invalid_token\"") }, "\(challenge)")

        let revoked = try Gatehouse.run(["token", "revoke", "bob", "ci", "--file", "users"], in: house.scratch)
        #expect(revoked.code == 0, "\(revoked.errors)")
        try eventually("the token is void") { try house.ask("GET", "/", ["Authorization: Bearer \(token)"]).status == 401 }
      }
    }

    @Test func aGuessIsNeverDoneByAWorker() throws {
      // Cost 13 takes the better part of a second; the only worker has to serve everybody else meanwhile.
      let hash = "$2y$13$YSBAgf.IQyjHJHzWkb34b.z8HTWuhLRgmE9OGQcRXGtn9oQsOtICu"
      try House.with(Setup(users: People.file + "slow:\(hash)\n")) { house throws in
        let guess = "Authorization: " + Secrets.basic("slow", "wrong-guess-6")
        let guessers = try (0..<4).map { _ in try house.client() }
        for guesser in guessers { try guesser.send(request("GET", "/", [guess])) }
        let client = try house.client()
        for _ in 0..<20 { #expect(try client.exchange(request("GET", "/", [People.alice.authorization])).status == 200) }
        #expect(guessers.allSatisfy { !$0.socket.hasInput }, "twenty quick requests took as long as a slow hash")
        for guesser in guessers { #expect(try guesser.response()?.status == 401) }
      }
    }
  }
}
