// Uploads of slow clients: what is in memory before the upstream hears of it, what that may take, and how fast bodies are taken.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct UploadBounds {
    private let auth = People.alice.authorization
    private static let alice = FrameClient.authorized(People.alice)

    /// Says what came of the body, and how it was framed.
    private static let counting: Script = { conversation in
      do {
        while let request = try conversation.request() {
          let framing = request["Content-Length"].map { "length \($0)" } ?? request["Transfer-Encoding"] ?? "none"
          let sum = request.body.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xFFFF }
          try conversation.send(Answer.text("\(request.target) \(framing) \(request.body.count) \(sum)"))
        }
      } catch is Socket.Trouble {} catch is Truncated {}
    }

    private static func told(_ target: String, _ framing: String, _ body: String) -> String {
      "\(target) \(framing) \(body.utf8.count) \(body.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xFFFF })"
    }

    /// Sends a head, and waits until its body is asked for.
    private func asked(_ house: House, _ target: String = "/", _ fields: String...) throws -> Client {
      let client = try house.client()
      try client.send(request("PUT", target, [auth, "Expect: 100-continue"] + fields))
      let told = try #require(try client.wire.head(.usual).map { Message(head: $0) })
      #expect(told.status == 100)
      return client
    }

    private func chunk(_ text: String) -> String { "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" }

    // MARK: Whole first

    @Test(.byEachEngine) func theUpstreamHearsOfAnUploadWhenItIsWhole() throws {
      try House.with(Setup(route: "buffer_upload 64k; max_inflight 1"), Self.counting) { house throws in
        // Nobody is asked for a body before he has logged in.
        let stranger = try house.client()
        try stranger.send(request("PUT", "/", ["Content-Length: 5", "Expect: 100-continue"]))
        let refused = try stranger.response(to: "PUT")
        #expect(refused?.status == 401 && refused?.interim.isEmpty == true)

        let slow = try asked(house, "/chunked", "Transfer-Encoding: chunked")
        let known = try asked(house, "/known", "Content-Length: 9")
        try slow.send(chunk("some "))
        try known.send("some")
        // Who is slow has neither a connection of the upstream's nor a place of the route's.
        #expect(house.upstream.connections.isEmpty)
        #expect(try house.ask("GET", "/quick", [auth]).text == Self.told("/quick", "none", ""))
        #expect(house.upstream.requests.map(\.target) == ["/quick"])
        try slow.send(chunk("more") + "0\r\n\r\n")
        #expect(try slow.response(to: "PUT")?.text == Self.told("/chunked", "length 9", "some more"))
        try known.send(" more")
        #expect(try known.response(to: "PUT")?.text == Self.told("/known", "length 9", "some more"))
        // Both connections go on.
        #expect(try known.exchange(request("POST", "/none", [auth, "Transfer-Encoding: chunked"], body: "0\r\n\r\n")).text == Self.told("/none", "length 0", ""))
        #expect(try slow.exchange(request("POST", "/empty", [auth, "Content-Length: 0"])).text == Self.told("/empty", "length 0", ""))
        #expect(!house.upstream.bytes.holds("Transfer-Encoding"))
        // Trailers have no place without chunks.
        let trailing = request("PUT", "/trailing", [auth, "Transfer-Encoding: chunked"]) + chunk("text") + "0\r\nX-Sum: 1\r\n\r\n"
        #expect(try slow.exchange(trailing).text == Self.told("/trailing", "chunked", "text"))
        #expect(house.upstream.bytes.holds("0\r\nX-Sum: 1\r\n\r\n"))
      }
    }

    @Test func whoIsNoUserAnyMoreIsNotForwarded() throws {
      try House.with(Setup(route: "buffer_upload 64k"), Self.counting) { house throws in
        let slow = try asked(house, "/slow", "Content-Length: 9")
        let other = try house.client()
        try other.send(request("PUT", "/other", [People.carol.authorization, "Content-Length: 9"], body: "some"))
        try slow.send("some")
        let users = try house.scratch.text("users")
        try house.scratch.replace("users", with: users.split(separator: "\n").filter { !$0.hasPrefix("alice:") }.joined(separator: "\n") + "\n")
        try eventually("alice is gone") { try house.ask("GET", "/", [auth]).status == 401 }
        try slow.send(" more")
        #expect(try slow.response(to: "PUT")?.status == 401)
        try other.send(" more")
        #expect(try other.response(to: "PUT")?.text == Self.told("/other", "length 9", "some more"))
        #expect(!house.upstream.requests.contains { $0.target == "/slow" })
      }
    }

    @Test(.byEachFrontOfHTTP2) func theUpstreamHearsOfAStreamWhenItIsWhole() throws {
      try HTTP2.house(Setup(route: "buffer_upload 64k; max_inflight 1"), Self.counting) { house, port throws in
        let client = try FrameClient(to: port)
        func begin(_ path: String, _ more: [(String, String)] = []) throws -> Int32 {
          let id = try client.request(FrameClient.fields(path, "PUT", [Self.alice, ("expect", "100-continue")] + more), ends: false)
          try client.read { $0.streams[id]?.statuses.isEmpty == false }
          return id
        }
        let (slow, known, left) = (try begin("/slow"), try begin("/known", [("content-length", "9")]), try begin("/left"))
        for id in [slow, known, left] { try client.send(Frame.make(Frame.data, stream: id, [UInt8]("some".utf8))) }
        #expect(try client.exchange(FrameClient.fields("/quick", "GET", [Self.alice])).status == 200)
        #expect(house.upstream.requests.map(\.target) == ["/quick"])
        try client.send(Frame.make(Frame.reset, stream: left, Frame.number(8)))
        for id in [slow, known] {
          try client.send(Frame.make(Frame.data, Frame.endStream, stream: id, [UInt8](" more".utf8)))
          let path = id == slow ? "/slow" : "/known"
          #expect(try String(decoding: client.answer(id).body, as: UTF8.self) == Self.told(path, "length 9", "some more"))
        }
        // Less than was said: nobody hears of it.
        let short = try begin("/short", [("content-length", "9")])
        try client.send(Frame.make(Frame.data, Frame.endStream, stream: short, [UInt8]("some".utf8)))
        #expect(try client.answer(short).reset == 1)
        #expect(house.upstream.requests.map(\.target) == ["/quick", "/slow", "/known"])
        #expect(house.upstream.connections.count <= 3)
      }
    }

    @Test(.byEachEngine) func whatIsLargerGoesOnAsItComes() throws {
      let text = String(repeating: "0123456789abcdef", count: 24_000)
      try House.with(Setup(route: "buffer_upload 64k; body_limit 400k"), Self.counting) { house throws in
        for (framing, wanted) in [("Content-Length: \(text.utf8.count)", "length \(text.utf8.count)"), ("Transfer-Encoding: chunked", "chunked")] {
          let isChunked = wanted == "chunked"
          let client = try asked(house, "/", framing)
          let before = house.upstream.connections.count
          let parts = [text.prefix(192_000), text.dropFirst(192_000)].map { isChunked ? chunk(String($0)) : String($0) }
          try client.send(parts[0])
          // Before the whole is there.
          try house.upstream.waitForConnections(before + 1)
          try client.send(parts[1] + (isChunked ? "0\r\n\r\n" : ""))
          #expect(try client.response(to: "PUT")?.text == Self.told("/", wanted, text))
        }
        let large = try asked(house, "/", "Transfer-Encoding: chunked")
        try large.send(chunk(text) + chunk(String(text.prefix(30_000))))
        #expect(try large.response(to: "PUT")?.status == 413)
        #expect(try house.client().exchange(request("PUT", "/", [auth, "Content-Length: 500000"])).status == 413)
      }
    }

    @Test(.byEachEngine) func whoLeavesOrIsLateCostsTheUpstreamNothing() throws {
      let brief = "route /brief { upstream legacy; require valid-user; buffer_upload 1k; total_timeout 200ms }"
      let setup = Setup(top: "body_timeout 300ms", route: "buffer_upload 64k", more: brief)
      try House.with(setup, Self.counting) { house throws in
        let leaves = try asked(house, "/", "Content-Length: 9")
        try leaves.send("some")
        leaves.abort()
        let late = try asked(house, "/", "Content-Length: 9")
        try late.send("some")
        #expect(try late.response(to: "PUT")?.status == 408)
        let long = try asked(house, "/brief", "Content-Length: 9")
        #expect(try long.response(to: "PUT")?.status == 504)
        let broken = try asked(house, "/", "Transfer-Encoding: chunked")
        try broken.send(chunk("some") + "x\r\n")
        #expect(try broken.response(to: "PUT")?.status == 400)
        let reasons = try house.accessLines(4).compactMap { $0["reason"] as? String }
        #expect(reasons.contains { $0.contains("body_timeout") } && reasons.contains { $0.contains("total_timeout") })
        #expect(house.upstream.connections.isEmpty)
      }
    }

    /// What is whole has a length and stands in memory: another server may be sent it.
    @Test(.byEachEngine) func anUploadThatWasGatheredMayGoToAnotherServer() throws {
      let doomed = try RecordingUpstream { _ = try $0.request() }
      let setup = Setup(upstream: "server http://127.0.0.1:1\nserver http://127.0.0.1:\(doomed.port)\neject off\nretry 3", route: "buffer_upload 64k")
      try House.with(setup, Self.counting) { house throws in
        for i in 0..<4 {
          let put = try asked(house, "/\(i)", "Transfer-Encoding: chunked")
          try put.send(chunk("its body") + "0\r\n\r\n")
          #expect(try put.response(to: "PUT")?.text == Self.told("/\(i)", "length 8", "its body"))
        }
      }
      #expect(!doomed.requests.isEmpty && doomed.requests.allSatisfy { $0.text == "its body" })
      try doomed.stop()
    }

    // MARK: Memory

    /// Clients that begin uploads and never end them: one of them has a part, all who have not logged in a half, all together the whole.
    @Test(.inClearText) func slowUploadsHoldNoMoreThanTheirMemory() throws {
      let most = 16 << 20
      let more = "route /public { upstream legacy; require nobody; buffer_upload 16m }\nroute /small { upstream legacy; require nobody; buffer_upload 1m }"
      let setup = Setup(top: "trusted_proxies 127.0.0.1", route: "buffer_upload 16m", more: more)
      let script: Script = { conversation in
        do {
          while var message = try conversation.head() {
            conversation.wire.record = nil
            var count = 0
            try conversation.finish(&message) { count += $0.count }
            try conversation.send(Answer.text("\(count)"))
          }
        } catch is Socket.Trouble {} catch is Truncated {}
      }
      try House.with(setup, script) { house throws in
        #expect(try house.ask("GET", "/public").status == 200)
        let before = try house.gate.child.peakMemory()
        let part = [UInt8](repeating: 0x78, count: most - (1 << 20))
        func begin(_ target: String, _ whose: String, _ length: Int) throws -> Client {
          let client = try house.client()
          try client.send(request("PUT", target, [whose, "Content-Length: \(length)"]))
          return client
        }
        func begin(_ network: Int) throws -> Client {
          let client = try begin("/public", "X-Forwarded-For: 192.0.2.\(network)", most)
          try client.send(part)
          return client
        }
        func begin(_ person: People.Person) throws -> Client {
          let client = try begin("/", person.authorization, most)
          try client.send(part)
          return client
        }
        func end(_ client: Client, _ last: Int = 1 << 20) throws -> Int? {
          try client.send([UInt8](repeating: 0x78, count: last))
          return try client.response(to: "PUT")?.status
        }
        /// Those of whom more is awaited; the other one is refused, and sends no more: for how long that would be read is another matter.
        func welcome(_ clients: [Client]) throws -> [Client] {
          try eventually("one is refused") { clients.contains { $0.socket.isReadable } }
          let refused = clients.filter { $0.socket.isReadable }
          for client in refused { #expect(try client.response(to: "PUT")?.status == 503) }
          #expect(refused.count == 1)
          return clients.filter { client in !refused.contains { $0 === client } }
        }
        // Two of the same network: one is refused.
        let own = try (0..<2).map { _ in try begin(1) }
        let statuses = try own.map { try end($0) }
        #expect(statuses.contains(200) && Set(statuses).isSubset(of: [200, 429]))
        // Three networks: there is memory for two. Three users beside them: for two as well.
        let strangers = try welcome((2...4).map { try begin($0) })
        let users = try welcome([People.alice, People.bob, People.carol].map { try begin($0) })
        let refused = try house.accessLines(5).filter { ($0["status"] as? Int) == 503 || ($0["status"] as? Int) == 429 }
        #expect(refused.count { ($0["reason"] as? String)?.contains("memory is left") == true } == 2 && refused.contains { ($0["status"] as? Int) == 429 })
        // Requests without a body go on.
        #expect(try house.ask("GET", "/public").status == 200)
        #expect(try (strangers + users).map { try end($0) } == [200, 200, 200, 200])
        // All of it is there again, and a body that is larger than what is gathered of it goes on.
        #expect(try end(begin(7)) == 200)
        #expect(try end(begin("/", People.alice.authorization, most + 1), most + 1) == 200)
        // Where little is gathered at a time one network has less: as much as five bodies.
        let small = try (0..<5).map { _ in try begin("/small", "X-Forwarded-For: 192.0.2.8", 1 << 20) }
        for client in small { try client.send([UInt8](repeating: 0x78, count: 1_000_000)) }
        #expect(try house.accessLines(13).last?["status"] as? Int == 429)
        #expect(try small.count { try end($0, (1 << 20) - 1_000_000) == 200 } == 4)
        // Twice the sum, since buffers grow by doubling, and what goes out.
        #expect(try house.gate.child.peakMemory() - before < 192 << 10)
      }
    }

    // MARK: Pace

    @Test(.byEachEngine) func anUploadsPaceIsKept() throws {
      // Large enough for a pipe; with a pause that is longer than the body's time.
      let text = String(repeating: "x", count: 192 << 10)
      let more = "route /gathered { upstream legacy; require nobody; bandwidth_upload 384k; buffer_upload 256k }"
      try House.with(Setup(top: "body_timeout 200ms", route: "bandwidth_upload 384k", more: more), Self.counting) { house throws in
        for (target, framing) in [("/", "Content-Length: \(text.utf8.count)"), ("/gathered", "Transfer-Encoding: chunked")] {
          let body = framing.hasPrefix("C") ? text : chunk(text) + "0\r\n\r\n"
          let start = ContinuousClock.now
          let answer = try house.ask("PUT", target, [auth, framing], body: body)
          #expect(answer.text == Self.told(target, "length \(text.utf8.count)", text))
          // What is read at once has its time afterwards: all but the last eighth of a second's.
          #expect(ContinuousClock.now - start > .milliseconds(300))
        }
        // Downloads have their own.
        #expect(try house.ask("GET", "/", [auth]).status == 200)
      }
    }

    @Test(.inHTTP2) func aStreamsPaceIsKeptAndTheOthersGoOn() throws {
      let text = String(repeating: "x", count: 192 << 10)
      try House.with(Setup(route: "bandwidth_upload 384k"), Self.counting) { house throws in
        let start = ContinuousClock.now
        #expect(try house.ask("PUT", "/", [auth], body: text).text == Self.told("/", "chunked", text))
        // What its window holds is taken at once, and the last of it has its time afterwards.
        #expect(ContinuousClock.now - start > .milliseconds(300))
        // The pace is the stream's, not the connection's.
        let client = try FrameClient(to: house.port)
        let id = try client.request(FrameClient.fields("/slow", "PUT", [Self.alice]), ends: false)
        for _ in 0..<2 { try client.send(Frame.make(Frame.data, stream: id, [UInt8](repeating: 0x78, count: 15 << 10))) }
        let other = try client.request(FrameClient.fields("/quick", "PUT", [Self.alice]), ends: false)
        try client.send(Frame.make(Frame.data, Frame.endStream, stream: other, [UInt8](repeating: 0x78, count: 4000)))
        #expect(try client.answer(other).status == 200)
        try client.send(Frame.make(Frame.data, Frame.endStream, stream: id))
        #expect(try client.answer(id).body == [UInt8](Self.told("/slow", "chunked", String(repeating: "x", count: 30 << 10)).utf8))
      }
    }
  }
}
