// How an upstream's servers share requests when it matters: draws, a slow start, pauses that grow, the budget of what is sent again, and which answers are.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct Balancing {
    private let alice = People.alice.authorization

    private func place(_ upstream: RecordingUpstream) -> String { "http://127.0.0.1:\(upstream.port)" }

    private func named(_ name: String) throws -> RecordingUpstream { try RecordingUpstream(Answer.always(Answer.text(name))) }

    private func ask(_ house: House) throws -> String {
      let answer = try house.ask("GET", "/", [alice])
      return answer.status == 200 ? answer.text : "\(answer.status)"
    }

    /// Bound and never listening: refused as long as we hold the port.
    private func dead(_ work: (String) throws -> Void) throws {
      let (hold, port) = try Socket.bind()
      try withExtendedLifetime(hold) { try work("http://127.0.0.1:\(port)") }
    }

    @Test func ofTwoDrawnTheLessBusyIsNext() throws {
      let go = Steps()
      let (a, b) = (try named("a"), try named("b"))
      let busy = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          try go.wait()
          try conversation.send(Answer.text("busy"))
        }
      }
      // Both of two are drawn each time, and one has a request.
      try House.with(Setup(upstream: "server \(place(busy))\nbalance random-two", server: place(a))) { house throws in
        var waiting = try house.client()
        var asked = 0
        while busy.requests.isEmpty {
          waiting = try house.client()
          asked += 1
          try waiting.send(request("GET", "/", [alice]))
          try eventually("somebody has it") { busy.requests.count + a.requests.count == asked }
          if busy.requests.isEmpty { #expect(try waiting.response()?.text == "a") }
        }
        #expect(try (0..<20).allSatisfy { _ in try ask(house) == "a" })
        go.advance()
        #expect(try waiting.response()?.text == "busy")
      }
      // None of three is forgotten.
      try House.with(Setup(upstream: "server \(place(b))\nserver \(place(busy))\nbalance random-two", server: place(a))) { house throws in
        #expect(Set(try (0..<60).map { _ in try ask(house) }) == ["a", "b", "busy"])
      }
      for upstream in [a, b, busy] { try upstream.stop() }
    }

    /// A server that is back has to warm up: caches, pools, a compiler.
    @Test func whoIsBackBeginsSlowly() throws {
      let well = try named("well")
      let isBroken = Monitor(true)
      let moody = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          if isBroken.with({ $0 }) { return }
          try conversation.send(Answer.text("moody"))
        }
      }
      let more = "server \(place(moody))\neject 1 300ms\nretry off\nslow_start 1h"
      try House.with(Setup(upstream: more, server: place(well))) { house throws in
        while !house.gate.child.errors.text.contains("gets no requests") { _ = try ask(house) }
        isBroken.with { $0 = false }
        try eventually("it is back") { try ask(house) == "moody" }
        #expect(house.gate.child.errors.text.contains("\(place(moody)) serves again"))
        // Half of them without it; in the first seconds of an hour a 256th part.
        let found = try (0..<100).map { _ in try ask(house) }
        #expect(found.count { $0 == "well" } >= 97 && found.allSatisfy { ["well", "moody"].contains($0) }, "\(found)")
      }
      try well.stop()
      try moody.stop()
    }

    @Test func eachFailureOfATrialIsALongerPause() throws {
      try dead { dead in
        try House.with(Setup(upstream: "server \(dead)\neject 1 100ms")) { house throws in
          // Nobody notices: what could not be sent is another's.
          try eventually("three pauses") {
            let answer = try ask(house)
            #expect(answer == "hello")
            return house.gate.child.errors.text.contains("\(dead) gets no requests for 400 ms")
          }
          let pauses = house.gate.errorLines.filter { $0.contains("\(dead) gets no requests for ") }.compactMap { line in
            line.components(separatedBy: "requests for ").last?.prefix { $0.isNumber }
          }
          #expect(pauses.prefix(3) == ["100", "200", "400"], "\(pauses)")
        }
      }
    }

    /// 512 in one go, as when a server goes; then one of ten, so that those that are left don't get twice as much.
    @Test func noMoreThanATenthIsSentAgainInTheLongRun() throws {
      try dead { dead in
        try House.with(Setup(upstream: "server \(dead)\neject off\nretry 1")) { house throws in
          let client = try house.client()
          let count = 1500
          var statuses: [Int: Int] = [:]
          for _ in 0..<(count / 50) {
            try client.send(String(repeating: request("GET", "/", [alice]), count: 50))
            for _ in 0..<50 { statuses[try client.response()?.status ?? 0, default: 0] += 1 }
          }
          let retried = try house.accessLines(count).count { $0["retries"] as? Int == 1 }
          #expect(retried >= 512 && retried <= 512 + count / 10, "\(retried)")
          // Every other one is a dead server's at first.
          #expect(statuses[502] == count / 2 - retried && statuses[200] == count / 2 + retried, "\(statuses), \(retried)")
        }
      }
    }

    @Test func theAnswersThatAreNamedAreSentAgainAndNoOthers() throws {
      let turn = Monitor(0)
      let weary = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          let status = turn.with { turn in
            turn += 1
            return 500 + turn % 5
          }
          try conversation.send(Answer.text("weary", status: "\(status) Weary"))
        }
      }
      for (causes, passed) in [("502 503 504", ["500", "501"]), ("connect 504", ["500", "501", "502", "503"])] {
        try House.with(Setup(upstream: "server \(place(weary))\neject off\nretry 1 on \(causes)")) { house throws in
          let found = try (0..<20).map { _ in try ask(house) }
          #expect(Set(found) == Set(passed + ["hello"]), "\(causes): \(found)")
        }
      }
      try weary.stop()
    }
  }
}
