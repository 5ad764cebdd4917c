// Attacks on the lockout and by means of it, with real clients; and what operators do about bans.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Lockout {
    /// As an operator has it who says nothing of it, with a place to ask.
    private static func setup(_ top: String = "", workers: Int = 1, users: String = People.file, lockout: String? = nil) -> Setup {
      var setup = Setup(top: "admin unix:admin.sock\n\(top)", users: users, workers: workers)
      setup.lockout = lockout
      return setup
    }

    private func wrong(_ name: String, _ number: Int) -> String { "\(name):\(Secrets.keep("wrong-guess-\(number)-lockout"))" }

    /// Fails ten times, as curl does it.
    private func failTenTimes(_ house: House, as name: String, _ options: String...) throws {
      for i in 0..<10 {
        let arguments = options + ["-u", wrong(name, i), house.url + "/"]
        let answer = try Curl.run(arguments, in: house.scratch)
        #expect(answer.status == 401, "\(i)")
      }
    }

    private func ask(_ house: House, _ pair: String, from source: String = "127.0.0.1") throws -> CurlAnswer {
      try house.curl("--interface", source, "-u", pair, "/")
    }

    @discardableResult
    private func gatehouse(_ house: House, _ words: String..., code: Int32 = 0) throws -> String {
      let outcome = try Gatehouse.run(words + ["--admin", "unix:" + house.scratch["admin.sock"]], in: house.scratch)
      #expect(outcome.code == code, "\(words): \(outcome.text)\(outcome.errors)")
      return outcome.text + outcome.errors
    }

    @Test func theEleventhWrongPasswordIs429AndTheRightOneToo() throws {
      try House.with(Self.setup()) { house throws in
        try failTenTimes(house, as: "carol")
        for pair in [wrong("carol", 11), People.carol.pair, People.alice.pair] {
          let answer = try ask(house, pair)
          #expect(answer.status == 429)
          let seconds = try #require(Int(answer.final["Retry-After"] ?? ""))
          #expect((1...600).contains(seconds))
          #expect(answer.final["WWW-Authenticate"] == nil)
        }
        #expect(house.upstream.requests.isEmpty)
        #expect(try ask(house, People.carol.pair, from: "127.0.0.2").status == 200, "an address that did nothing")
        #expect(house.gate.errorLines.contains { $0.hasSuffix("lockout: banned 127.0.0.1 for 600 s after 10 failures") })
        let line = try #require(try house.accessLines(14).first { $0["status"] as? Int == 429 })
        #expect(line["reason"] as? String == "too many failures" && line["claimed_user"] as? String == "carol")

        #expect(try gatehouse(house, "ban", "list").split(separator: "\n").count == 2)
        #expect(try gatehouse(house, "ban", "lift", "127.0.0.2").hasPrefix("0 bans of 127.0.0.2 lifted"))
        #expect(try ask(house, People.carol.pair).status == 429)
        #expect(try gatehouse(house, "ban", "lift", "127.0.0.1").hasPrefix("2 bans of 127.0.0.1 lifted"))
        #expect(try ask(house, People.carol.pair).status == 200)
        #expect(try gatehouse(house, "ban", "list").isEmpty)
      }
    }

    @Test func aBanLooksTheSameForKnownAndUnknownNames() throws {
      try House.with(Self.setup("trusted_proxies 127.0.0.1")) { house throws in
        // Each from an address of his own, and side by side: who is banned waits a second for each answer.
        let names = ["alice", "carol", "dave", "mallory", "erin", "nobody-we-know"]
        var stories = names.map { _ in "" }
        for guess in 0..<12 {
          let clients = try names.enumerated().map { i, name in
            let client = try house.client()
            let credentials = Secrets.basic(name, "wrong-guess-\(guess)-lockout")
            try client.send(request("GET", "/", ["X-Forwarded-For: 192.0.2.\(i + 1)", "Authorization: " + credentials]))
            return client
          }
          for (i, client) in clients.enumerated() {
            let answer = try #require(try client.response())
            stories[i] += answer.comparable.replacingOccurrences(of: "Retry-After: 599", with: "Retry-After: 600") + "\n"
            #expect(answer.status == (guess < 10 ? 401 : 429), "\(names[i]) \(guess)")
          }
        }
        let seen = Set(stories)
        #expect(seen.count == 1, "names can be told apart")
      }
    }

    @Test func aNeighbourOfAGuesserGoesOnWorking() throws {
      try House.with(Self.setup()) { house throws in
        let session = try house.client()
        #expect(try session.exchange(request("GET", "/", [People.carol.authorization])).status == 200)
        #expect(try ask(house, People.alice.pair).status == 200)
        try failTenTimes(house, as: "nobody-we-know")
        #expect(try ask(house, wrong("nobody-we-know", 11)).status == 429)
        for _ in 0..<20 { #expect(try session.exchange(request("GET", "/", [People.carol.authorization])).status == 200) }
        #expect(try ask(house, People.carol.pair).status == 200, "on a connection of her own as well")
        #expect(try ask(house, People.alice.pair).status == 200)
        #expect(try ask(house, People.dave.pair).status == 429, "he was never seen here")
      }
    }

    @Test func nobodyIsLockedOutByWhoSaysHisAddress() throws {
      // A stranger's X-Forwarded-For names nobody: else one request would ban whomever it names, and free whom it does not.
      try House.with(Self.setup()) { house throws in
        for i in 0..<10 {
          let guess = "Authorization: " + Secrets.basic("carol", "wrong-guess-\(i)-lockout")
          #expect(try house.ask("GET", "/", ["X-Forwarded-For: 127.0.0.2", guess]).status == 401)
        }
        #expect(try ask(house, People.carol.pair, from: "127.0.0.2").status == 200)
        #expect(try house.ask("GET", "/", ["X-Forwarded-For: 127.0.0.3", People.carol.authorization]).status == 429)
      }
    }

    @Test func whoIsBannedIsNotAnsweredAsFastAsHeAsks() throws {
      try House.with(Self.setup()) { house throws in
        try failTenTimes(house, as: "carol")
        let client = try house.client()
        let start = ContinuousClock.now
        for _ in 1...2 { #expect(try client.exchange(request("GET", "/", [People.carol.authorization])).status == 429) }
        #expect(ContinuousClock.now - start >= .seconds(2))
        // Nobody else waits for it.
        #expect(try ask(house, People.alice.pair, from: "127.0.0.2").status == 200)
      }
    }

    @Test func tokensWorkOnWhileTheirAddressIsBanned() throws {
      try House.with(Self.setup()) { house throws in
        let issued = try Gatehouse.run(["token", "issue", "bob", "--name", "ci", "--file", "users"], in: house.scratch)
        let token = Secrets.keep(issued.text.trimmingCharacters(in: .whitespacesAndNewlines))
        // Until it is known it is a guess, so it comes from elsewhere.
        try eventually("the token works") {
          try gatehouse(house, "ban", "lift", "all")
          return try ask(house, "\(token):x", from: "127.0.0.9").status == 200
        }
        try failTenTimes(house, as: "carol")
        #expect(try ask(house, "\(token):x").status == 200)
        #expect(try ask(house, "bob:\(token)").status == 200)
        // Of the form that tokens had before they got a checksum: one that was never issued, and no slip of the hand.
        let other = Secrets.keep(String(token.prefix(47)))
        #expect(try house.ask("GET", "/", ["Authorization: Bearer \(other)"]).status == 429)
      }
    }

    @Test func whoGuessesThroughAllWorkersHasNoMoreGuesses() throws {
      // Cost 8: tens of milliseconds each, so that all are under way at once.
      let hash = "$2y$08$YSBAgf.IQyjHJHzWkb34b.z8HTWuhLRgmE9OGQcRXGtn9oQsOtICu"
      try House.with(Self.setup("hash_threads 2", workers: 4, users: People.file + "slow:\(hash)\n")) { house throws in
        let clients = try (0..<60).map { _ in try house.client() }
        for (i, client) in clients.enumerated() {
          try client.send(request("GET", "/", ["Authorization: " + Secrets.basic("slow", "wrong-guess-\(i)-lockout")]))
        }
        let statuses = try clients.map { try $0.response()?.status ?? 0 }
        // The pool counts before it goes on: what is under way beyond the limit is run and not told.
        #expect(statuses.count { $0 == 401 } == 10, "\(statuses)")
        #expect(statuses.count { $0 == 429 } == 50, "\(statuses)")
        #expect(try ask(house, People.alice.pair, from: "127.0.0.2").status == 200)
      }
    }

    @Test func aGuesserFillsNoQueue() throws {
      let hash = "$2y$13$YSBAgf.IQyjHJHzWkb34b.z8HTWuhLRgmE9OGQcRXGtn9oQsOtICu"
      try House.with(Self.setup("hash_threads 1\nhash_queue 160", users: People.file + "slow:\(hash)\n")) { house throws in
        func waiting() throws -> Int {
          let queue = try gatehouse(house, "status").split(separator: "\n").first { $0.hasPrefix("hash_queue: ") }
          return Int(queue?.dropFirst(12) ?? "") ?? 0
        }
        let guessers = try (0..<60).map { _ in try house.client() }
        func guess(_ i: Int) throws {
          try guessers[i].send(request("GET", "/", ["Authorization: " + Secrets.basic("slow", "wrong-guess-\(i)-lockout")]))
        }
        for i in 0..<30 { try guess(i) }
        // His share of the queue.
        try eventually("his share is taken") { try waiting() >= 19 }
        for i in 30..<60 { try guess(i) }
        // Those beyond it are refused at once, but for places that became free meanwhile.
        let refused = try guessers.suffix(30).count { try $0.response()?.status == 503 }
        #expect(refused >= 20)
        #expect(try waiting() <= 20)
        for guesser in guessers { guesser.abort() }
      }
    }

    @Test func bansOutliveAReload() throws {
      try House.with(Self.setup()) { house throws in
        try failTenTimes(house, as: "carol")
        #expect(try gatehouse(house, "reload").hasPrefix("reloaded: "))
        #expect(try ask(house, People.carol.pair).status == 429)
        // Off for a while, and on again with another limit.
        let text = try house.scratch.text("proxy.conf")
        try house.scratch.write("lockout off\n" + text, to: "proxy.conf")
        try gatehouse(house, "reload")
        try eventually("nobody is banned") { try ask(house, People.carol.pair).status == 200 }
        try gatehouse(house, "ban", "list", code: 1)
        try house.scratch.write("lockout { failures 3 }\n" + text, to: "proxy.conf")
        try gatehouse(house, "reload")
        try eventually("the ban is back") { try ask(house, People.dave.pair).status == 429 }
        for i in 0..<3 { #expect(try ask(house, wrong("dave", i), from: "127.0.0.2").status == 401) }
        #expect(try ask(house, wrong("dave", 4), from: "127.0.0.2").status == 429)
      }
    }

    @Test func whoIsExemptMayFail() throws {
      try House.with(Self.setup(lockout: "lockout { exempt 127.0.0.0/30 }")) { house throws in
        for i in 0..<15 { #expect(try ask(house, wrong("carol", i)).status == 401) }
        try failTenTimes(house, as: "carol", "--interface", "127.0.0.5")
        #expect(try ask(house, People.carol.pair, from: "127.0.0.5").status == 429)
      }
    }

    @Test func failedLoginsAreLinesForFail2ban() throws {
      try House.with(Self.setup("trusted_proxies 127.0.0.1")) { house throws in
        let name = "x\": wrong password from 198.51.100.1 user \"y"
        let guesses = [("203.0.113.7", "alice"), ("203.0.113.7", name), ("2001:db8::7", "nobody-we-know")]
        for (address, name) in guesses {
          let guess = "Authorization: " + Secrets.basic(name, "wrong-guess-7-lockout")
          #expect(try house.ask("GET", "/", ["X-Forwarded-For: \(address)", guess]).status == 401)
        }
        // Neither of these is a guess.
        _ = try house.ask("GET", "/", ["X-Forwarded-For: 203.0.113.9"])
        _ = try house.ask("GET", "/", ["X-Forwarded-For: 203.0.113.9", "Authorization: Basic !!!"])
        let program = """
          import re, sys
          text = open(sys.argv[1]).read()
          lines = re.search(r'^_failure = (.*)$', text, re.M).group(1), re.search(r'^_ban = (.*)$', text, re.M).group(1)
          # What fail2ban puts in place of its tags, in small.
          patterns = [re.compile('^gatehouse: ' + p.replace('<ADDR>', r'(?P<ip>[0-9a-fA-F:.]+)').replace('<SUBNET>', r'(?P<ip>[0-9a-fA-F:./]+)')) for p in lines]
          for line in sys.stdin:
            for kind, pattern in zip(('failure', 'ban'), patterns):
              found = pattern.search(line.rstrip())
              if found: print(kind, found.group('ip'))
          """
        let filter = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
          .appendingPathComponent("deploy/fail2ban/filter.d/gatehouse.conf").path
        let bans = "gatehouse: lockout: banned 203.0.113.7 for 600 s after 10 failures\n"
          + "gatehouse: lockout: banned 203.0.113.7 for 600 s after 10 failures, user \"bob\"\n"
          + "gatehouse: lockout: banned 2001:db8::/64 for 600 s after 10 failures\n"
        // It was written before the answer, and is read by a thread of ours.
        try house.gate.child.errors.waitForLine(containing: "auth failure from 2001:db8::7 ")
        let found = try Child.run(
          "/usr/bin/python3", ["-I", "-c", program, filter], input: [UInt8]((house.gate.child.errors.text + bans).utf8),
          folder: house.scratch.path)
        #expect(
          found.text == "failure 203.0.113.7\nfailure 203.0.113.7\nfailure 2001:db8::7\nban 203.0.113.7\nban 2001:db8::/64\n",
          "\(found.text)\(found.errors)")
      }
    }
  }
}
