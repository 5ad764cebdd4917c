// Servers that fail in ways that are hard to see: they hang, break off, or come back for a moment. What that does to everybody's requests.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct Ejections {
    private static let well = Answer.always(Answer.text("well"))

    private func place(_ upstream: RecordingUpstream) -> String { "http://127.0.0.1:\(upstream.port)" }

    private func ask(_ house: House) throws -> Message { try house.ask("GET", "/", [People.alice.authorization]) }

    /// Each would be the request that decides, and leaves before it could.
    @Test func impatientClientsAreNotSentOneAfterTheOtherToAServerThatHangs() throws {
      let well = try RecordingUpstream(Self.well)
      let hanging = try RecordingUpstream {
        _ = try $0.request()
        try $0.waitForEnd()
      }
      let more = "server \(place(hanging))\neject 1 1s\nretry off\nresponse_timeout 300ms"
      try House.with(Setup(upstream: more, server: place(well))) { house throws in
        while !house.gate.child.errors.text.contains("gets no requests") { _ = try ask(house) }
        let began = ContinuousClock.now
        var asked = 0
        while ContinuousClock.now - began < .seconds(3) {
          let client = try house.client()
          try client.send(request("GET", "/", [People.alice.authorization]))
          if (try? client.head(.after(.milliseconds(100)))) == nil { asked += 1 }
          client.abort()
        }
        // One at the end of each second, and what a busy machine makes late.
        #expect(asked <= 5, "\(asked) requests were sent to a server that had just hung")
        #expect(hanging.requests.count <= 7)
      }
      try well.stop()
      try hanging.stop()
    }

    @Test func answersThatBreakOffAreFailures() throws {
      let well = try RecordingUpstream(Self.well)
      let half = try RecordingUpstream {
        _ = try $0.request()
        try $0.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf-")
      }
      try House.with(Setup(upstream: "server \(place(half))\neject 3 1m", server: place(well))) { house throws in
        let codes = try (0..<16).map { _ in try house.curl("-u", People.alice.pair, "/").code }
        #expect(codes.count { $0 != 0 } == 3, "\(codes)")
        try eventually("it is told") { house.gate.child.errors.text.contains("\(place(half)) gets no requests for 60 s") }
      }
      try well.stop()
      try half.stop()
    }

    /// An answer that goes on for hours: its server serves again when it begins.
    @Test func aTrialIsOverWhenItIsAnswered() throws {
      let well = try RecordingUpstream(Self.well)
      let go = Steps()
      let count = Monitor(0)
      let moody = try RecordingUpstream { conversation in
        let number = count.with { count in
          count += 1
          return count
        }
        guard try conversation.request() != nil else { return }
        switch number {
        // The first is sent once more to the same server (its connection may just have been closed).
        case 1: return
        case 2:
          try conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfor\r\n")
          try go.wait()
          try conversation.send("0\r\n\r\n")
        default: try conversation.send(Answer.text("moody"))
        }
      }
      try House.with(Setup(upstream: "server \(place(moody))\neject 1 300ms\nretry off", server: place(well))) { house throws in
        while !house.gate.child.errors.text.contains("gets no requests") { _ = try ask(house) }
        var answer: Message?
        while answer == nil {
          let client = try house.client()
          try client.send(request("GET", "/", [People.alice.authorization]))
          let head = try client.head()
          if head?.values("Transfer-Encoding").isEmpty == false {
            answer = head
            #expect(house.gate.child.errors.text.contains("\(place(moody)) serves again"))
            #expect(Set(try (0..<6).map { _ in try ask(house).text }) == ["well", "moody"])
            go.advance()
          }
        }
      }
      try well.stop()
      try moody.stop()
    }

    @Test func theOnlyServerIsLeftAloneForAWhileWhereThatIsSaid() throws {
      let isBroken = Monitor(true)
      let moody = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          if isBroken.with({ $0 }) { return }
          try conversation.send(Answer.text("moody"))
        }
      }
      try House.with(Setup(top: "admin unix:admin.sock", upstream: "eject 2 500ms last", server: place(moody))) { house throws in
        #expect(try [ask(house).status, ask(house).status] == [502, 502])
        let before = moody.requests.count
        let refused = try ask(house)
        #expect(refused.status == 503 && moody.requests.count == before)
        let status = try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text
        #expect(status.contains("server legacy 1: \(place(moody)), out ") && status.contains("0 in use"), "\(status)")
        isBroken.with { $0 = false }
        try eventually("it is back") { try ask(house).text == "moody" }
        #expect(try (0..<4).allSatisfy { _ in try ask(house).text == "moody" })
      }
      try moody.stop()
    }

    /// The one request that decides has a client that drips: others decide instead, and none waits for it.
    @Test func aTrialThatDripsHoldsNobodyUp() throws {
      let isBroken = Monitor(true)
      let moody = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          if isBroken.with({ $0 }) { return }
          try conversation.send(Answer.text("moody"))
        }
      }
      try House.with(Setup(upstream: "eject 1 500ms last", server: place(moody))) { house throws in
        #expect(try ask(house).status == 502)
        let dripping = try house.client()
        try dripping.send(request("POST", "/", [People.alice.authorization, "Content-Length: 100000"]) + "x")
        isBroken.with { $0 = false }
        try eventually("it is back", within: .seconds(5)) { try ask(house).text == "moody" }
        #expect(try (0..<4).allSatisfy { _ in try ask(house).text == "moody" })
        dripping.abort()
      }
      try moody.stop()
    }

    @Test func whereThereArePOSTsAloneOneOfThemTries() throws {
      let well = try RecordingUpstream(Self.well)
      let isBroken = Monitor(true)
      let moody = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          if isBroken.with({ $0 }) { return }
          try conversation.send(Answer.text("moody"))
        }
      }
      try House.with(Setup(upstream: "server \(place(moody))\neject 1 200ms", server: place(well))) { house throws in
        func post() throws -> Message { try house.ask("POST", "/", [People.alice.authorization, "Content-Length: 1"], body: "x") }
        while !house.gate.child.errors.text.contains("gets no requests") { _ = try post() }
        isBroken.with { $0 = false }
        try eventually("it is back") { try post().text == "moody" }
      }
      try well.stop()
      try moody.stop()
    }

    /// A stream that has nothing to say is cut for it, and its server is no worse.
    @Test func quietStreamsAreNoFailures() throws {
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfor\r\n")
        try conversation.waitForEnd()
      }
      let streams = try (0..<2).map { _ in try RecordingUpstream(script) }
      try House.with(Setup(upstream: "server \(place(streams[1]))\neject 1 1m\nidle_timeout 100ms", server: place(streams[0]))) { house throws in
        for _ in 0..<6 {
          let client = try house.client()
          try client.send(request("GET", "/", [People.alice.authorization]))
          _ = try client.rest()
        }
        #expect(streams.map(\.requests.count) == [3, 3] && !house.gate.child.errors.text.contains("gets no requests"))
      }
      for stream in streams { try stream.stop() }
    }

    /// The client has a part of this server's answer: another's is not to follow it.
    @Test func nothingIsRepeatedAfterAnInterimAnswer() throws {
      let well = try RecordingUpstream(Self.well)
      let hints = try RecordingUpstream {
        _ = try $0.request()
        try $0.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        try $0.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
      }
      let broken = try RecordingUpstream {
        _ = try $0.request()
        try $0.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
      }
      for (server, status) in [(hints, 503), (broken, 502)] {
        try House.with(Setup(upstream: "server \(place(server))\neject off\nretry 2 on connect reset 502 503", server: place(well))) { house throws in
          var seen: [Int] = []
          for _ in 0..<6 { seen.append(try ask(house).status) }
          #expect(seen.count { $0 == status } == 3 && seen.count { $0 == 200 } == 3, "\(seen)")
        }
      }
      try hints.stop()
      try broken.stop()
      try well.stop()
    }
  }
}
