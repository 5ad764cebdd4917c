// Signals and files that change while Gatehouse serves: nothing is dropped, nothing is weakened, nothing is lost.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Lifecycle {
    private let auth = People.alice.authorization
    private let zoe = People.Person(name: "zoe", password: "Zebra-1-zoe-pass")

    /// A line for the user file, as htpasswd makes it.
    private func htpasswd(_ house: House, _ arguments: [String], _ password: String) throws {
      let outcome = try Child.run(
        "/usr/bin/htpasswd", ["-i"] + arguments, input: [UInt8]((Secrets.keep(password) + "\n").utf8), folder: house.scratch.path)
      #expect(outcome.code == 0, "\(outcome.errors)")
    }

    private func status(_ house: House, _ person: People.Person) throws -> Int { try house.ask("GET", "/", [person.authorization]).status }

    @Test func usersChangedByHtpasswdTakeEffect() throws {
      try House.with { house throws in
        let client = try house.client()
        let get = request("GET", "/", [auth])
        #expect(try client.exchange(get).status == 200)
        #expect(try status(house, zoe) == 401)

        try htpasswd(house, ["-B", "-C", "4", "users", "zoe"], zoe.password)
        try eventually("zoe is let in") { try status(house, zoe) == 200 }

        let other = People.Person(name: "zoe", password: "Zebra-2-other-pass")
        try htpasswd(house, ["-s", "users", "zoe"], other.password)
        try eventually("her new password counts") { try status(house, other) == 200 }
        // It was in the cache, and it is void all the same.
        #expect(try status(house, zoe) == 401)

        _ = try Child.run("/usr/bin/htpasswd", ["-D", "users", "zoe"], folder: house.scratch.path)
        try eventually("zoe is gone") { try status(house, other) == 401 }

        // All of that on one connection that was never dropped.
        #expect(try client.exchange(get).status == 200)
      }
    }

    @Test func usersReplacedByRenameTakeEffect() throws {
      try House.with { house throws in
        #expect(try status(house, People.alice) == 200)
        try house.scratch.replace(
          "users", with: People.file.split(separator: "\n").filter { !$0.hasPrefix("alice:") }.joined(separator: "\n") + "\n")
        try eventually("alice is gone") { try status(house, People.alice) == 401 }
        #expect(try status(house, People.bob) == 200)
        try house.scratch.replace("users", with: People.file)
        try eventually("alice is back") { try status(house, People.alice) == 200 }
      }
    }

    @Test func aUserWhoIsLockedIsOutAtOnce() throws {
      try House.with { house throws in
        #expect(try status(house, People.carol) == 200)
        #expect(try Gatehouse.run(["user", "lock", "carol", "--file", "users"], in: house.scratch).code == 0)
        try eventually("carol is out") { try status(house, People.carol) == 401 }
        #expect(try Gatehouse.run(["user", "unlock", "carol", "--file", "users"], in: house.scratch).code == 0)
        try eventually("carol is in") { try status(house, People.carol) == 200 }
      }
    }

    @Test func aTornUserFileKeepsTheOldOne() throws {
      try House.with { house throws in
        // What htpasswd leaves for an instant: truncated, the last line cut short.
        let whole = People.file + "zoe:{SHA}QnIiooh0ah7C072oaFur/iLMLOc=\n"
        try house.scratch.write(String(whole.prefix(60)), to: "users")
        for _ in 0..<20 { #expect(try status(house, People.bob) == 200, "a torn file was taken for the new one") }
        house.gate.child.signal(SIGHUP)
        try house.gate.child.errors.waitForLine(containing: "users")
        #expect(try status(house, People.bob) == 200)
        try house.scratch.write("", to: "users")
        for _ in 0..<20 { #expect(try status(house, People.bob) == 200, "an empty file was taken for the new one") }
        try house.scratch.write(whole, to: "users")
        try eventually("zoe is let in") { try status(house, .init(name: "zoe", password: People.mallory.password)) == 200 }
      }
    }

    @Test func anUnusableLineIsNamedAndShutsOutItsUserAlone() throws {
      try House.with { house throws in
        try house.scratch.replace("users", with: People.file + "zoe:$9$unknown$hash\n")
        let number = People.file.split(separator: "\n", omittingEmptySubsequences: false).count
        try house.gate.child.errors.waitForLine(containing: "users:\(number)")
        #expect(try status(house, People.alice) == 200)
        #expect(try status(house, zoe) == 401)
      }
    }

    @Test(.byEachEngine) func hangupReadsTheConfigurationAgain() throws {
      try House.with { house throws in
        let client = try house.client()
        #expect(try client.exchange(request("GET", "/open", [auth])).status == 200)
        #expect(try house.ask("GET", "/open").status == 401)

        let config = try house.scratch.text("proxy.conf")
        try house.scratch.write(config + "\nroute /open { upstream legacy; require nobody }\n", to: "proxy.conf")
        house.gate.child.signal(SIGHUP)
        try eventually("the new route counts") { try house.ask("GET", "/open").status == 200 }
        #expect(try client.exchange(request("GET", "/open", [])).status == 200, "the connection that was there has the new settings")

        try house.scratch.write(config, to: "proxy.conf")
        house.gate.child.signal(SIGHUP)
        try eventually("the route is gone") { try house.ask("GET", "/open").status == 401 }
        #expect(try client.exchange(request("GET", "/open", [])).status == 401)
      }
    }

    @Test func aBrokenConfigurationKeepsTheOldOne() throws {
      try House.with { house throws in
        let config = try house.scratch.text("proxy.conf")
        try house.scratch.write(config + "\nlisten_to nobody;\n", to: "proxy.conf")
        house.gate.child.signal(SIGHUP)
        try house.gate.child.errors.waitForLine(containing: "proxy.conf:")
        try house.gate.child.errors.waitForLine(containing: "listen_to")
        #expect(try status(house, People.alice) == 200)
        #expect(try house.ask().status == 401)
        #expect(house.gate.child.isRunning)
      }
    }

    @Test(.byEachEngine) func reloadsUnderLoadLoseNothing() throws {
      // However long it takes: a client that has used its connection up would be told, and wouldn't listen.
      try House.with(Setup(top: "keepalive_requests 1000000", workers: 2)) { house throws in
        let (port, auth) = (house.port, auth)
        let stop = Monitor(false)
        let loads = (0..<8).map { _ in
          Worker {
            let client = try Asker(port, [auth])
            var count = 0
            while !stop.with({ $0 }) {
              guard try client.ask()?.status == 200 else { throw Failure("an answer other than 200 after \(count)") }
              count += 1
            }
            return count
          }
        }
        let config = try house.scratch.text("proxy.conf")
        for i in 0..<10 {
          let realm = "Round \(i)"
          try house.scratch.write(config.replacingOccurrences(of: "Authentication Required", with: realm), to: "proxy.conf")
          try house.scratch.replace("users", with: People.file + "# \(i)\n")
          house.gate.child.signal(SIGHUP)
          try eventually("round \(i) is in force") { try house.ask().values("WWW-Authenticate").contains { $0.contains(realm) } }
        }
        stop.with { $0 = true }
        for load in loads { #expect(try load.join() > 0) }
      }
    }

    @Test(.byEachEngine) func terminateFinishesWhatRuns() throws {
      let go = Steps()
      try House.with(
        Setup(workers: 2),
        { conversation in
          guard try conversation.request() != nil else { return }
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf-")
          try go.wait()
          try conversation.send("whole")
        }
      ) { house throws in
        let clients = try (0..<32).map { _ in try house.client() }
        for client in clients { try client.send(request("GET", "/", [auth])) }
        _ = try house.upstream.requests(32)
        house.gate.child.signal(SIGTERM)
        // It accepts nobody any more, while the 32 still wait.
        try eventually("the listener is closed") { (try? house.client()) == nil }
        #expect(house.gate.child.isRunning)
        for _ in clients { go.advance() }
        for client in clients {
          let answer = try client.response()
          #expect(answer?.status == 200 && answer?.text == "half-whole")
        }
        // None of them was told of the end in its head; all the same they are not waited for.
        for client in clients { #expect(client.isClosedByPeer(within: .seconds(5))) }
        #expect(try house.gate.child.wait().code == 0)
      }
    }

    @Test(.byEachEngine) func terminateUnderLoadLosesNoRequest() throws {
      try House.with(Setup(workers: 2)) { house throws in
        let (port, auth) = (house.port, auth)
        let running = Steps()
        let loads = (0..<16).map { _ in
          Worker {
            let client = try Asker(port, [auth])
            var answered = 0
            // Until the server says, with an answer, that it will end the connection. A request without an answer is a lost one.
            while let answer = try client.ask() {
              guard answer.status == 200 else { throw Failure("request \(answered) was lost") }
              answered += 1
              if answered == 20 { running.advance() }
              if client.isToEnd { break }
            }
            return answered
          }
        }
        try running.wait(for: 16)
        house.gate.child.signal(SIGTERM)
        var answered = 0
        for load in loads { answered += try load.join() }
        #expect(try house.gate.child.wait().code == 0)
        #expect(house.upstream.requests.count == answered)
      }
    }

    @Test(.byEachEngine) func drainingEndsInTime() throws {
      try House.with(Setup(top: "drain_timeout 300ms"), { try $0.waitForEnd() }) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [auth]))
        try house.upstream.waitForConnections(1)
        house.gate.child.signal(SIGTERM)
        // Cutting what takes too long was asked for: no failure of the service.
        #expect(try house.gate.child.wait().code == 0)
        // Not answered, and not left hanging either.
        _ = try? client.rest()
      }
    }

    @Test func interruptEndsItToo() throws {
      try House.with { house throws in
        house.gate.child.signal(SIGINT)
        #expect(try house.gate.child.wait().code == 0)
      }
    }

    @Test func userSignalOpensTheLogAgain() throws {
      try House.with { house throws in
        _ = try house.ask("GET", "/before", [auth])
        #expect(try house.accessLines(1).count == 1)
        #expect(unsafe rename(house.scratch["access.log"], house.scratch["access.log.1"]) == 0)
        house.gate.child.signal(SIGUSR1)
        try eventually("there is a new log") { house.scratch.contains("access.log") }
        _ = try house.ask("GET", "/after", [auth])
        #expect(try house.accessLines(1).count == 1)
        #expect(house.gate.accessLog.contains("/after") && !house.gate.accessLog.contains("/before"))
        #expect(try house.scratch.text("access.log.1").contains("/before"))
      }
    }

    @Test(.byEachEngine) func runningOutOfDescriptorsIsSurvived() throws {
      try House.with(Setup(descriptors: 64)) { house throws in
        var idle = try (0..<150).map { _ in try house.client() }
        try house.gate.child.errors.waitForLine(containing: "descriptor")
        // Those who were let in are served as far as there is room; nobody may bring it down.
        idle.removeFirst(140)
        try eventually("there is room again") { (try? house.ask("GET", "/", [auth]).status) == 200 }
        #expect(house.gate.child.isRunning)
        // Said once, not once for each of the hundred.
        #expect(house.gate.errorLines.filter { $0.contains("descriptor") }.count <= 10)
        #expect(idle.count == 10)
      }
    }

    @Test func theLogTellsWhatHappened() throws {
      try House.with { house throws in
        _ = try house.ask("GET", "/fine?q=1", [auth])
        _ = try house.ask("GET", "/wrong", ["Authorization: " + Secrets.basic("alice", "wrong-guess-7")])
        _ = try house.ask("GET", "/unknown", ["Authorization: " + Secrets.basic("nobody-we-know", "wrong-guess-7")])
        _ = try house.ask("GET", "/locked", [People.mallory.authorization])
        let lines = try house.accessLines(4)
        #expect(lines.map { $0["status"] as? Int } == [200, 401, 401, 401])
        #expect(lines[0]["user"] as? String == "alice")
        let text = house.gate.accessLog
        // The reason, which the client never sees, tells these three apart.
        let reasons = lines.dropFirst().map { line in
          line.values.compactMap { $0 as? String }.filter { $0.contains("password") || $0.contains("unknown") || $0.contains("locked") }
        }
        #expect(Set(reasons).count == 3 && reasons.allSatisfy { !$0.isEmpty }, "\(text)")
      }
    }
  }
}
