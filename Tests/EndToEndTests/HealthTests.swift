// Servers that are asked whether they are well, and what follows for everybody's requests.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct HealthChecks {
    /// A service that answers /healthz with the status that the test has set, and all else with its name.
    private final class Patient {
      let status: Monitor<Int>
      let upstream: RecordingUpstream

      init(_ name: String, _ first: Int = 200) throws {
        let status = Monitor(first)
        self.status = status
        upstream = try RecordingUpstream { conversation in
          while let message = try conversation.request() {
            if message.target.hasPrefix("/healthz") {
              try conversation.send(Answer.text("", status: "\(status.with { $0 }) Said"))
            } else {
              try conversation.send(Answer.text(name))
            }
          }
        }
      }

      var place: String { "http://127.0.0.1:\(upstream.port)" }
      /// Requests of clients, and of none other.
      var served: Int { upstream.requests.count { !$0.target.hasPrefix("/healthz") } }
    }

    private func ask(_ house: House) throws -> Message { try house.ask("GET", "/", [People.alice.authorization]) }

    private func status(_ house: House) throws -> String { try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text }

    @Test func whoIsUnwellGetsNoRequests() throws {
      let (a, b) = (try Patient("a"), try Patient("b", 503))
      let more = "server \(b.place)\nhealth GET /healthz?deep=1 every 100ms fall 2 rise 2 host health.example.com\nretry off"
      try House.with(Setup(top: "admin unix:admin.sock", upstream: more, server: a.place)) { house throws in
        // The first check decides alone.
        try eventually("it is found out") { house.gate.child.errors.text.contains("\(b.place) gets no requests: its health check was answered with 503") }
        let before = b.served
        #expect(Set(try (0..<6).map { _ in try ask(house).text }) == ["a"] && b.served == before)
        #expect(try status(house).contains("\(b.place), out until its health checks succeed (its health check was answered with 503)"))
        let check = try #require(b.upstream.requests.first { $0.target == "/healthz?deep=1" })
        #expect(check.values("Host") == ["health.example.com"] && check.values("Authorization").isEmpty && check.values("X-Forwarded-User").isEmpty)
        b.status.with { $0 = 204 }
        try eventually("it is well") { house.gate.child.errors.text.contains("\(b.place) is well, and gets requests again") }
        #expect(Set(try (0..<6).map { _ in try ask(house).text }) == ["a", "b"])
        // Where none is well nobody is asked.
        a.status.with { $0 = 500 }
        b.status.with { $0 = 500 }
        try eventually("both are unwell") { try ask(house).status == 503 }
        let (ofA, ofB) = (a.served, b.served)
        #expect(try (0..<4).allSatisfy { _ in try ask(house).status == 503 } && a.served == ofA && b.served == ofB)
        // A reload without checks lets everybody back.
        let config = try house.scratch.text("proxy.conf").components(separatedBy: "\n").filter { !$0.contains("health GET") }.joined(separator: "\n")
        try house.scratch.write(config, to: "proxy.conf")
        #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
        try eventually("they serve") { try ask(house).status == 200 }
      }
      try a.upstream.stop()
      try b.upstream.stop()
    }

    @Test func whoDoesNotAnswerInTimeIsUnwell() throws {
      let a = try Patient("a")
      let hanging = try RecordingUpstream {
        _ = try $0.request()
        try $0.waitForEnd()
      }
      let place = "http://127.0.0.1:\(hanging.port)"
      let more = "server \(place)\nhealth HEAD /healthz every 200ms timeout 100ms fall 1"
      try House.with(Setup(upstream: more, server: a.place)) { house throws in
        try eventually("it is found out") { house.gate.child.errors.text.contains("\(place) gets no requests: its health check failed: ") }
        #expect(Set(try (0..<6).map { _ in try ask(house).text }) == ["a"])
        #expect(hanging.requests.allSatisfy { String(decoding: $0.head, as: UTF8.self).hasPrefix("HEAD /healthz HTTP/1.1") })
      }
      try a.upstream.stop()
      try hanging.stop()
    }

    /// What a check finds out that nobody wants any more is said to nobody.
    @Test func aCheckThatAReloadTookAwaySaysNothing() throws {
      let (checks, ends) = (Steps(), Steps())
      let a = try RecordingUpstream { conversation in
        while let message = try conversation.request() {
          if message.target != "/healthz" {
            try conversation.send(Answer.text("a"))
            continue
          }
          checks.advance()
          // Not answered: its end is what is looked at.
          try conversation.waitForEnd()
          return ends.advance()
        }
      }
      let setup = Setup(
        top: "admin unix:admin.sock", upstream: "health GET /healthz every 20s timeout 19s fall 1", server: "http://127.0.0.1:\(a.port)")
      try House.with(setup) { house throws in
        try checks.wait()
        let with = try house.scratch.text("proxy.conf")
        let without = with.components(separatedBy: "\n").filter { !$0.contains("health GET") }.joined(separator: "\n")
        try house.scratch.write(without, to: "proxy.conf")
        #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
        // It is broken off, not waited for, and the server is none the worse for it.
        try ends.wait()
        for _ in 0..<3 { #expect(try ask(house).text == "a") }
        #expect(try !status(house).contains("out until") && !house.gate.child.errors.text.contains("gets no requests"))
        // The prober lives on.
        try house.scratch.write(with, to: "proxy.conf")
        #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
        try checks.wait(for: 2)
      }
      try a.stop()
    }
  }
}
