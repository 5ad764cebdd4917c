// An upstream of several servers: who gets which request, and what becomes of those that fail.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct SeveralServers {
    /// Services that answer each with a name of its own: a, b, c …
    private final class Services {
      let all: [RecordingUpstream]

      init(_ count: Int) throws {
        all = try (0..<count).map { try RecordingUpstream(Answer.always(Answer.text(Self.name($0)))) }
      }

      static func name(_ i: Int) -> String { String(UnicodeScalar(UInt8(0x61 + i))) }

      func place(_ i: Int) -> String { "http://127.0.0.1:\(all[i].port)" }

      /// Lines for proxy.conf, but for the first, which is `Setup.server`'s.
      func lines(from first: Int = 1) -> String { all.indices.dropFirst(first).map { "server \(place($0))" }.joined(separator: "\n") }

      func stop() throws { for service in all { try service.stop() } }
    }

    /// A port at which connections are refused as long as it is held.
    private func withDeadPort(_ work: (UInt16) throws -> Void) throws {
      let (hold, port) = try Socket.bind()
      try withExtendedLifetime(hold) { try work(port) }
    }

    /// Of so many requests, who answered how many; a status other than 200 by its number.
    private func census(_ house: House, _ count: Int, _ fields: [String] = []) throws -> [String: Int] {
      var found: [String: Int] = [:]
      for _ in 0..<count {
        let answer = try house.ask("GET", "/", [People.alice.authorization] + fields)
        found[answer.status == 200 ? answer.text : "\(answer.status)", default: 0] += 1
      }
      return found
    }

    private func status(_ house: House) throws -> String { try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text }

    private let admin = "admin unix:admin.sock"

    @Test func eachGetsItsTurn() throws {
      let services = try Services(3)
      try House.with(Setup(upstream: services.lines(), server: services.place(0))) { house throws in
        #expect(try census(house, 30) == ["a": 10, "b": 10, "c": 10])
        // Which of them it was stands in the log.
        let places = Set(try house.accessLines(30).compactMap { $0["server"] as? String })
        #expect(places == Set((0..<3).map(services.place)))
      }
      try services.stop()
    }

    @Test func weightIsHowManyOfThem() throws {
      let services = try Services(2)
      try House.with(Setup(upstream: services.lines(), server: services.place(0) + " weight 3")) { house throws in
        #expect(try census(house, 40) == ["a": 30, "b": 10])
      }
      try services.stop()
    }

    @Test func aBackupWaitsUntilItIsNeeded() throws {
      let services = try Services(2)
      try withDeadPort { dead in
        let backup = "server \(services.place(1)) backup"
        try House.with(Setup(upstream: backup, server: services.place(0))) { house throws in
          #expect(try census(house, 20) == ["a": 20])
        }
        try House.with(Setup(upstream: "\(backup)\neject 2 1m\nretry off", server: "http://127.0.0.1:\(dead)")) { house throws in
          #expect(try census(house, 20) == ["502": 2, "b": 18])
        }
      }
      try services.stop()
    }

    @Test func whoFailsGetsNoMore() throws {
      let services = try Services(2)
      try withDeadPort { dead in
        let more = "server \(services.place(1))\nserver http://127.0.0.1:\(dead)\neject 2 1m\nretry off"
        try House.with(Setup(top: admin, upstream: more, server: services.place(0))) { house throws in
          let found = try census(house, 60)
          #expect(found["502"] == 2 && found["a"]! + found["b"]! == 58 && abs(found["a"]! - found["b"]!) <= 2, "\(found)")
          #expect(house.gate.child.errors.text.contains("http://127.0.0.1:\(dead) gets no requests for 60 s"))
          let status = try status(house)
          #expect(status.contains("server legacy 1: \(services.place(0)), serves, 0 in use\n"), "\(status)")
          #expect(status.contains("server legacy 3: http://127.0.0.1:\(dead), out for "), "\(status)")
          // A reload forgets nothing of those that are still there.
          let config = try house.scratch.text("proxy.conf").replacingOccurrences(of: "server \(services.place(1))\n", with: "")
          try house.scratch.write(config, to: "proxy.conf")
          #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
          try eventually("the second is gone") { try census(house, 2) == ["a": 2] }
          #expect(try census(house, 10) == ["a": 10])
        }
      }
      try services.stop()
    }

    @Test func theLastIsNeverOut() throws {
      try withDeadPort { one in
        try withDeadPort { other in
          let setup = Setup(upstream: "server http://127.0.0.1:\(one)\neject 1 1m", server: "http://127.0.0.1:\(other)")
          try House.with(setup) { house throws in
            #expect(try census(house, 12) == ["502": 12])
            #expect(house.gate.child.errors.text.components(separatedBy: "gets no requests").count == 2)
          }
        }
      }
    }

    @Test func whoIsBackIsTriedByOneRequest() throws {
      let services = try Services(1)
      let isBroken = Monitor(true)
      let moody = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          if isBroken.with({ $0 }) { return }
          try conversation.send(Answer.text("moody"))
        }
      }
      let setup = Setup(upstream: "server http://127.0.0.1:\(moody.port)\neject 1 500ms\nretry off", server: services.place(0))
      try House.with(setup) { house throws in
        // A request that may be sent twice is, to the same server, before it counts as failed.
        #expect(try census(house, 2)["502"] == 1)
        let before = moody.requests.count
        #expect(try census(house, 10) == ["a": 10])
        #expect(moody.requests.count == before)
        isBroken.with { $0 = false }
        try eventually("it is back") { try census(house, 1)["moody"] == 1 }
        #expect(house.gate.child.errors.text.contains("http://127.0.0.1:\(moody.port) serves again"))
        #expect(try census(house, 10) == ["a": 5, "moody": 5])
      }
      try services.stop()
      try moody.stop()
    }

    @Test func theSameKeyFindsTheSameServer() throws {
      let services = try Services(3)
      let setup = Setup(top: admin, upstream: services.lines() + "\nbalance hash header X-Key", server: services.place(0))
      try House.with(setup) { house throws in
        func owners() throws -> [String] {
          try (0..<60).map { try house.ask("GET", "/", [People.alice.authorization, "X-Key: key-\($0)"]).text }
        }
        let (before, again) = (try owners(), try owners())
        #expect(Set(before) == ["a", "b", "c"] && before == again)
        // Without a key they are anybody's.
        #expect(try census(house, 30) == ["a": 10, "b": 10, "c": 10])
        // When one goes, only its own keys move.
        let config = try house.scratch.text("proxy.conf").replacingOccurrences(of: "server \(services.place(2))\n", with: "")
        try house.scratch.write(config, to: "proxy.conf")
        #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
        try eventually("the third is gone") { try owners().contains("c") == false }
        for (was, now) in zip(before, try owners()) where was != "c" { #expect(was == now) }
      }
      try services.stop()
    }

    @Test func usersAndCookiesAndClientsAreKeys() throws {
      let services = try Services(3)
      for (balance, fields) in [
        ("user", []), ("cookie sid", ["Cookie: theme=dark; sid=4711; lang=de"]), ("client", []),
      ] as [(String, [String])] {
        try House.with(Setup(upstream: services.lines() + "\nbalance hash \(balance)", server: services.place(0))) { house throws in
          let found = try census(house, 12, fields)
          #expect(found.count == 1 && found.values.first == 12, "\(balance): \(found)")
        }
      }
      try House.with(Setup(upstream: services.lines() + "\nbalance hash cookie sid", server: services.place(0))) { house throws in
        let owners = try (0..<40).map { try house.ask("GET", "/", [People.alice.authorization, "Cookie: xsid=1; sid=\($0)"]).text }
        #expect(Set(owners).count == 3)
      }
      try services.stop()
    }

    /// Requests that are answered when the test says so.
    private func slow(_ name: String, _ go: Steps) throws -> RecordingUpstream {
      let count = Monitor(0)
      return try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          let step = count.with { count in
            count += 1
            return count
          }
          try go.wait(for: step)
          try conversation.send(Answer.text(name))
        }
      }
    }

    @Test func noMoreAtOnceThanAServerTakes() throws {
      let services = try Services(1)
      let go = Steps()
      let small = try slow("small", go)
      let setup = Setup(top: admin, upstream: "server \(services.place(0)) backup", server: "http://127.0.0.1:\(small.port) max_connections 1")
      try House.with(setup) { house throws in
        let waiting = try house.client()
        try waiting.send(request("GET", "/", [People.alice.authorization]))
        _ = try small.requests(1)
        #expect(try status(house).contains("http://127.0.0.1:\(small.port), serves, 1 in use"))
        #expect(try census(house, 5) == ["a": 5])
        go.advance()
        #expect(try waiting.response()?.text == "small")
        go.advance()
        #expect(try census(house, 1) == ["small": 1])
      }
      try services.stop()
      try small.stop()
    }

    @Test func whenAllAreFullItIs503() throws {
      let go = Steps()
      let small = try slow("small", go)
      try House.with(Setup(server: "http://127.0.0.1:\(small.port) max_connections 1")) { house throws in
        let waiting = try house.client()
        try waiting.send(request("GET", "/", [People.alice.authorization]))
        _ = try small.requests(1)
        #expect(try census(house, 2) == ["503": 2])
        go.advance()
        #expect(try waiting.response()?.text == "small")
      }
      try small.stop()
    }

    @Test func theLeastBusyIsNext() throws {
      let services = try Services(1)
      let go = Steps()
      let busy = try slow("busy", go)
      let setup = Setup(
        upstream: "server http://127.0.0.1:\(busy.port)\nbalance least-connections", server: services.place(0))
      try House.with(setup) { house throws in
        // In turn until one of them is busy.
        let waiting = try house.client()
        var asked = 0
        while busy.requests.isEmpty {
          asked += 1
          try waiting.send(request("GET", "/", [People.alice.authorization]))
          try eventually("somebody has it") { busy.requests.count + services.all[0].requests.count == asked }
          if busy.requests.isEmpty { _ = try waiting.response() }
        }
        #expect(try census(house, 10) == ["a": 10])
        go.advance()
        #expect(try waiting.response()?.text == "busy")
      }
      try services.stop()
      try busy.stop()
    }
  }
}
