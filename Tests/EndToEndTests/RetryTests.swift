// A server that goes while it has requests: which of them others answer, and which nobody may.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct Retries {
    private func dead(_ work: (String) throws -> Void) throws {
      // Bound and never listening: refused as long as we hold the port.
      let (hold, port) = try Socket.bind()
      try withExtendedLifetime(hold) { try work("http://127.0.0.1:\(port)") }
    }

    private func ask(_ house: House, _ method: String = "GET", _ body: String = "") throws -> Message {
      try house.ask(method, "/", [People.alice.authorization] + (body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]), body: body)
    }

    /// Hangs up on each request as soon as it has read it.
    private static let hangsUp: Script = { _ = try $0.request() }

    private func place(_ upstream: RecordingUpstream) -> String { "http://127.0.0.1:\(upstream.port)" }

    @Test func killingOneOfThreeLosesNoRequest() throws {
      var nginx = try ["a", "b", "c"].map { try FrontServer.nginx("location / { return 200 \($0); }") }
      let more = "server \(nginx[1].url)\nserver \(nginx[2].url)\neject 3 1s"
      try House.with(Setup(upstream: more, server: nginx[0].url)) { house throws in
        let load = Load(house.port, fields: [People.alice.authorization])
        try load.wait(for: 300)
        try nginx[1].stop()
        try load.wait(for: 600)
        // Whoever is tried once it is back is asked by a request that others answer if it isn't.
        let deadline = Deadline.after(.seconds(3))
        while !deadline.hasPassed { try load.wait(for: 100) }
        try load.stop()
      }
      nginx.remove(at: 1)
      for server in nginx { try server.stop() }
    }

    /// One after the other goes and comes back, and never two are away at once.
    @Test func aFlappingSetOfThreeLosesNoRequest() throws {
      let nginx = try ["a", "b", "c"].map { try FrontServer.nginx("location / { return 200 \($0); }", comesBack: true) }
      let more = "server \(nginx[1].url)\nserver \(nginx[2].url)\neject 3 200ms"
      try House.with(Setup(upstream: more, server: nginx[0].url)) { house throws in
        let load = Load(house.port, fields: [People.alice.authorization])
        for round in 0..<9 {
          try load.wait(for: 60)
          try nginx[round % 3].stop()
          try load.wait(for: 60)
          try nginx[round % 3].restart()
        }
        try load.stop()
      }
      for server in nginx { try server.stop() }
    }

    @Test func killingOneUnderPOSTLoadSendsNothingTwice() throws {
      let go = Steps()
      let others = try (0..<2).map { _ in try RecordingUpstream(Answer.always(Answer.text("other"))) }
      // Takes requests and answers none.
      let doomed = try RecordingUpstream { conversation in
        _ = try conversation.request()
        try go.wait()
      }
      try House.with(Setup(upstream: "server \(place(others[0]))\nserver \(place(others[1]))\neject off", server: place(doomed))) { house throws in
        let url = house.url + "/"
        let asked = (0..<9).map { i in
          Worker { () -> Int in
            try Curl.run(["-u", People.alice.pair, "--data-binary", "body-\(i)", url], in: try Scratch()).status
          }
        }
        _ = try doomed.requests(3)
        for other in others { _ = try other.requests(3) }
        go.advance()
        let statuses = try asked.map { try $0.join() }
        #expect(statuses.count { $0 == 502 } == 3 && statuses.count { $0 == 200 } == 6, "\(statuses)")
        let bodies = (doomed.requests + others.flatMap(\.requests)).map(\.text)
        #expect(Set(bodies).count == 9 && bodies.count == 9, "\(bodies)")
      }
      for upstream in others + [doomed] { try upstream.stop() }
    }

    /// Nothing of it was sent where no connection came about: whatever it is, another may have it.
    @Test(arguments: ["GET", "POST", "PUT", "DELETE"]) func whatWasNotSentGoesElsewhere(_ method: String) throws {
      try dead { dead in
        try House.with(Setup(upstream: "server \(dead)\neject off\nretry 1")) { house throws in
          let body = method == "GET" ? "" : "the body of \(method)"
          for _ in 0..<6 {
            let answer = try ask(house, method, body)
            #expect(answer.status == 200 && answer.text == "hello")
          }
          let requests = try house.upstream.requests(6)
          #expect(requests.allSatisfy { $0.text == body } && requests.count == 6)
          let lines = try house.accessLines(6)
          #expect(lines.count { $0["retries"] as? Int == 1 } == 3 && lines.allSatisfy { $0["server"] as? String == place(house.upstream) })
        }
      }
    }

    @Test func whatMayBeRepeatedIsWhenItsConnectionEnds() throws {
      let broken = try RecordingUpstream(Self.hangsUp)
      try House.with(Setup(upstream: "server \(place(broken))\neject off")) { house throws in
        for _ in 0..<6 { #expect(try ask(house).text == "hello") }
        let posts = try (0..<6).map { try ask(house, "POST", "post \($0)").status }
        #expect(posts.count { $0 == 502 } == 3 && posts.count { $0 == 200 } == 3, "\(posts)")
        let bodies = (broken.requests + house.upstream.requests).filter { $0.head.starts(with: Array("POST".utf8)) }.map(\.text)
        #expect(Set(bodies).count == bodies.count && bodies.count == 6, "\(bodies)")
      }
      try broken.stop()
    }

    /// All that was sent is kept, and goes to the other server; a method that must not be repeated isn't, and what is larger than `replay_buffer` can't be.
    @Test func bodiesAreSentAgainWhereTheyMayBe() throws {
      let broken = try RecordingUpstream(Self.hangsUp)
      try House.with(Setup(upstream: "server \(place(broken))\neject off\nreplay_buffer 100k")) { house throws in
        let small = String(repeating: "0123456789", count: 9_000)
        let large = String(repeating: "0123456789", count: 20_000)
        func put(_ body: String, _ method: String = "PUT", _ more: String...) throws -> Int {
          let arguments = ["-u", People.alice.pair, "-X", method, "--data-binary", "@-"] + more + [house.url + "/"]
          return try Curl.run(arguments, input: Array(body.utf8), in: house.scratch).status
        }
        let known = try (0..<4).map { _ in try put(small) }
        let chunked = try (0..<4).map { _ in try put(small, "PUT", "-H", "Transfer-Encoding: chunked") }
        #expect(known + chunked == Array(repeating: 200, count: 8), "\(known) \(chunked)")
        let arrived = house.upstream.requests
        #expect(arrived.count == 8 && arrived.allSatisfy { $0.text == small })
        for (body, method) in [(large, "PUT"), (small, "POST")] {
          let statuses = try (0..<4).map { _ in try put(body, method) }
          #expect(statuses.count { $0 == 502 } == 2 && statuses.count { $0 == 200 } == 2, "\(method): \(statuses)")
        }
      }
      try broken.stop()
    }

    /// The service says no before it has read what there is: what was sent, what waited to be sent and what is still to come is the other's, byte for byte.
    /// A gap would end a chunk in the wrong place, and what follows would be requests that nobody has let through.
    @Test func anUploadThatIsRefusedInTheMiddleIsSentAgainWhole() throws {
      let refuses: Script = { conversation in
        guard try conversation.head() != nil else { return }
        // Until no more goes into the connection.
        Thread.sleep(forTimeInterval: 0.4)
        try conversation.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        try conversation.waitForEnd()
      }
      let body = (0..<1_200_000).map { "\(10_000_000 + $0)\n" }.joined()
      for framing in [[], ["-H", "Transfer-Encoding: chunked"]] {
        let weary = try RecordingUpstream(refuses)
        try House.with(Setup(upstream: "server \(place(weary))\neject off\nretry 1 on 503\nreplay_buffer 16m")) { house throws in
          for _ in 0..<2 {
            let arguments = ["-u", People.alice.pair, "-X", "PUT", "-H", "Expect:", "--data-binary", "@-"] + framing + [house.url + "/"]
            #expect(try Curl.run(arguments, input: Array(body.utf8), in: house.scratch).status == 200)
          }
          let arrived = house.upstream.requests
          #expect(arrived.count == 2 && arrived.allSatisfy { $0.body.count == body.utf8.count && $0.body == Array(body.utf8) })
        }
        try weary.stop()
      }
    }

    @Test func trailersAreSentAgainToo() throws {
      let broken = try RecordingUpstream(Self.hangsUp)
      try House.with(Setup(upstream: "server \(place(broken))\neject off")) { house throws in
        for _ in 0..<4 {
          let head = request("PUT", "/", [People.alice.authorization, "Transfer-Encoding: chunked", "Trailer: X-Sum"])
          let answer = try house.client().exchange(head + "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
          #expect(answer.status == 200)
        }
        let arrived = house.upstream.requests
        #expect(arrived.count == 4 && arrived.allSatisfy { $0.text == "abcde" && $0.trailers.contains { $0.name == "X-Sum" && $0.value == "5" } })
      }
      try broken.stop()
    }

    @Test func namedAnswersAreAFailureToo() throws {
      let weary = try RecordingUpstream(Answer.always(Answer.text("weary", status: "503 Service Unavailable")))
      try House.with(Setup(upstream: "server \(place(weary))\nretry 1 on 503")) { house throws in
        for _ in 0..<6 { #expect(try ask(house).text == "hello") }
        let posts = try (0..<6).map { _ in try ask(house, "POST", "x").status }
        #expect(posts.count { $0 == 503 } == 3, "\(posts)")
      }
      // Where all say so, it is what the client is told: the last one's, as it came.
      try House.with(Setup(upstream: "retry 1 on 503", server: place(weary)), { _ in }) { house throws in
        #expect(try ask(house).text == "weary")
      }
      try weary.stop()
    }

    @Test func nothingIsRepeatedOnceTheAnswerHasBegun() throws {
      let script: Script = {
        _ = try $0.request()
        try $0.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf-")
      }
      let halves = try (0..<2).map { _ in try RecordingUpstream(script) }
      let more = "server \(place(halves[1]))\neject off\nretry 2 on connect reset 502"
      try House.with(Setup(upstream: more, server: place(halves[0]))) { house throws in
        for _ in 0..<4 {
          let answer = try house.curl("-u", People.alice.pair, "/")
          #expect(answer.code != 0 && answer.text == "half-")
        }
        #expect(halves.map(\.requests.count) == [2, 2])
      }
      for half in halves { try half.stop() }
    }

    @Test func retryOffIsOff() throws {
      try dead { dead in
        try House.with(Setup(upstream: "server \(dead)\neject off\nretry off")) { house throws in
          let statuses = try (0..<6).map { _ in try ask(house).status }
          #expect(statuses.count { $0 == 502 } == 3)
        }
      }
    }
  }
}
