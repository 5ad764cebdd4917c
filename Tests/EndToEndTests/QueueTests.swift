// Requests that wait while all servers have their connections in use: in order, not for ever, and with what they bring.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct Queues {
    /// Answers each request when the test takes a step for it, with what it was asked for and its body.
    private func slow(_ go: Steps) throws -> RecordingUpstream {
      let count = Monitor(0)
      return try RecordingUpstream { conversation in
        while let message = try conversation.request() {
          let step = count.with { count in
            count += 1
            return count
          }
          try go.wait(for: step)
          try conversation.send(Answer.text("\(message.target) \(message.text)"))
        }
      }
    }

    /// Answers each request after a while, and notes how many it has had at once.
    private func counting(_ most: Monitor<(now: Int, most: Int)>, each duration: TimeInterval) throws -> RecordingUpstream {
      try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          most.with {
            $0.now += 1
            $0.most = max($0.most, $0.now)
          }
          Thread.sleep(forTimeInterval: duration)
          most.with { $0.now -= 1 }
          try conversation.send(Answer.text("well"))
        }
      }
    }

    private let admin = "admin unix:admin.sock"

    private func setUp(_ server: RecordingUpstream, _ queue: String, workers: Int = 1) -> Setup {
      Setup(top: admin, upstream: "queue \(queue)", workers: workers, server: "http://127.0.0.1:\(server.port) max_connections 1")
    }

    private func waiting(_ house: House) throws -> Int {
      let status = try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text
      let line = status.split(separator: "\n").first { $0.hasPrefix("queue legacy: ") }
      return Int(line?.split(separator: " ")[2] ?? "") ?? -1
    }

    private func begin(_ house: House, _ target: String, _ method: String = "GET", body: String = "") throws -> Client {
      let client = try house.client()
      let fields = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
      try client.send(request(method, target, [People.alice.authorization] + fields, body: body))
      return client
    }

    @Test func whoCameFirstIsFirst() throws {
      let go = Steps()
      let server = try slow(go)
      try House.with(setUp(server, "10 20s")) { house throws in
        let first = try begin(house, "/0")
        _ = try server.requests(1)
        var others: [Client] = []
        for i in 1...4 {
          others.append(try begin(house, "/\(i)", i == 3 ? "POST" : "GET", body: i == 3 ? "its body" : ""))
          try eventually("it waits") { try waiting(house) == i }
        }
        // Who leaves holds nobody up.
        others[1].abort()
        try eventually("it has left") { try waiting(house) == 3 }
        for _ in 0..<4 { go.advance() }
        #expect(try first.response()?.text == "/0 ")
        #expect(try others[0].response()?.text == "/1 ")
        #expect(try others[2].response(to: "POST")?.text == "/3 its body")
        #expect(try others[3].response()?.text == "/4 ")
        #expect(server.requests.map(\.target) == ["/0", "/1", "/3", "/4"])
        #expect(try waiting(house) == 0)
      }
      try server.stop()
    }

    @Test func nobodyWaitsForEver() throws {
      let go = Steps()
      let server = try slow(go)
      try House.with(setUp(server, "1 300ms")) { house throws in
        let first = try begin(house, "/0")
        _ = try server.requests(1)
        let second = try begin(house, "/1")
        try eventually("it waits") { try waiting(house) == 1 }
        // All places are taken.
        let third = try house.ask("GET", "/2", [People.alice.authorization])
        #expect(third.status == 503)
        #expect(try second.response()?.status == 503)
        #expect(try waiting(house) == 0)
        go.advance()
        #expect(try first.response()?.text == "/0 ")
        #expect(server.requests.count == 1)
      }
      try server.stop()
    }

    /// A body larger than what is held, while nobody takes it.
    @Test func bodiesWaitWithTheirRequests() throws {
      let go = Steps()
      let server = try slow(go)
      try House.with(setUp(server, "10 20s")) { house throws in
        let first = try begin(house, "/0")
        _ = try server.requests(1)
        let body = String(repeating: "0123456789abcdef", count: 40_000)
        let url = house.url
        let upload = Worker {
          try Curl.run(
            ["-u", People.alice.pair, "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", "\(url)/1"], input: Array(body.utf8), in: try Scratch())
        }
        try eventually("it waits") { try waiting(house) == 1 }
        go.advance()
        go.advance()
        #expect(try first.response()?.text == "/0 ")
        #expect(try upload.join().text == "/1 \(body)")
      }
      try server.stop()
    }

    /// They have no server yet: the operator's way out is theirs too.
    @Test func aReloadServesThoseWhoWait() throws {
      let go = Steps()
      let server = try slow(go)
      let other = try RecordingUpstream(Answer.always(Answer.text("other")))
      try House.with(setUp(server, "2 20s")) { house throws in
        let first = try begin(house, "/0")
        _ = try server.requests(1)
        let second = try begin(house, "/1")
        try eventually("it waits") { try waiting(house) == 1 }
        let full = "http://127.0.0.1:\(server.port) max_connections 1"
        let config = try house.scratch.text("proxy.conf").replacingOccurrences(of: full, with: "http://127.0.0.1:\(other.port)")
        try house.scratch.write(config, to: "proxy.conf")
        #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
        #expect(try second.response()?.text == "other")
        go.advance()
        #expect(try first.response()?.text == "/0 ")
        #expect(try waiting(house) == 0)
      }
      try server.stop()
      try other.stop()
    }

    /// What was composed with one account is not for a service that has another: it would learn that one's password.
    @Test func whoWaitsWithAnAccountGoesWhereThatIsKnown() throws {
      let go = Steps()
      let server = try slow(go)
      let other = try RecordingUpstream(Answer.always(Answer.text("other")))
      let files = ["old.password": Secrets.keep("Before-The-Reload-3") + "\n", "new.password": Secrets.keep("After-The-Reload-4") + "\n"]
      let account = "queue 2 20s\nauthenticate basic { username svc; password_file old.password }"
      let full = "http://127.0.0.1:\(server.port) max_connections 1"
      try House.with(Setup(top: admin, upstream: account, files: files, workers: 1, server: full)) { house throws in
        let first = try begin(house, "/0")
        _ = try server.requests(1)
        let second = try begin(house, "/1")
        try eventually("it waits") { try waiting(house) == 1 }
        let config = try house.scratch.text("proxy.conf").replacingOccurrences(of: full, with: "http://127.0.0.1:\(other.port)")
          .replacingOccurrences(of: "old.password", with: "new.password")
        try house.scratch.write(config, to: "proxy.conf")
        #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
        // Whoever comes now has the new one, and doesn't wait for the service of then.
        #expect(try house.curl("-u", People.alice.pair, "/2").text == "other")
        go.advance()
        #expect(try first.response()?.text == "/0 ")
        go.advance()
        #expect(try second.response()?.text == "/1 ")
        #expect(other.requests.map(\.target) == ["/2"])
      }
      try server.stop()
      try other.stop()
    }

    /// Nobody is told to send a body, and nobody is blamed for not sending it, before a server has room.
    @Test func whoWaitsIsNotLate() throws {
      let go = Steps()
      let server = try slow(go)
      var setup = setUp(server, "10 20s")
      setup.top += "\nbody_timeout 300ms"
      setup.upstream += "\nidle_timeout 300ms\nresponse_timeout 20s"
      try House.with(setup) { house throws in
        let first = try begin(house, "/0")
        _ = try server.requests(1)
        let asks = try house.client()
        try asks.send(request("PUT", "/1", [People.alice.authorization, "Content-Length: 4", "Expect: 100-continue"]))
        try eventually("it waits") { try waiting(house) == 1 }
        Thread.sleep(forTimeInterval: 0.8)
        #expect(try waiting(house) == 1)
        go.advance()
        go.advance()
        #expect(try first.response()?.text == "/0 ")
        let told = try #require(try asks.wire.head(.usual).map { Message(head: $0) })
        #expect(told.status == 100)
        try asks.send("body")
        #expect(try asks.response(to: "PUT")?.text == "/1 body")
      }
      try server.stop()
    }

    @Test func connectionsIsABoundForThoseWhoWaitToo() throws {
      let most = Monitor((now: 0, most: 0))
      let server = try counting(most, each: 0.02)
      try House.with(Setup(top: admin, upstream: "connections 2\nqueue 50 20s", server: "http://127.0.0.1:\(server.port)")) { house throws in
        let clients = try (0..<12).map { try begin(house, "/\($0)") }
        #expect(try clients.allSatisfy { try $0.response()?.status == 200 })
        #expect(most.with { $0.most } == 2)
      }
      try server.stop()
    }

    /// One worker has all the connections that it may have, and one who waits with it came first: what another worker may have serves others.
    @Test func aWorkersOwnBoundHoldsNoOtherWorkersRequestsUp() throws {
      let go = Steps()
      let server = try RecordingUpstream { conversation in
        while let message = try conversation.request() {
          if message.target == "/held" { try go.wait() }
          try conversation.send(Answer.text(message.target))
        }
      }
      let setup = Setup(top: admin, upstream: "connections 1\nqueue 100 60s", workers: 2, server: "http://127.0.0.1:\(server.port) max_connections 50")
      try House.with(setup) { house throws in
        let first = try begin(house, "/held")
        _ = try server.requests(1)
        // Which worker has a client is the kernel's choice: those of the same one wait, the other's are served, also when somebody waits already.
        var clients: [Client] = []
        func isServed(_ i: Int) -> Bool { server.requests.contains { $0.target == "/\(i)" } }
        func waiters() -> Int { clients.indices.count { !isServed($0) } }
        var hasPassed = false
        while !hasPassed && clients.count < 64 {
          let i = clients.count
          let before = waiters()
          clients.append(try begin(house, "/\(i)"))
          try eventually("it waits or is served") { try isServed(i) || waiting(house) > before }
          hasPassed = isServed(i) && waiters() > 0
        }
        #expect(hasPassed)
        try eventually("the others wait") { try waiting(house) == waiters() }
        go.advance()
        #expect(try first.response()?.text == "/held")
        for (i, client) in clients.enumerated() { #expect(try client.response()?.text == "/\(i)") }
      }
      try server.stop()
    }

    /// Nobody else is let before him, so he is the one who tries whether the server is back.
    @Test func whoWaitsTriesWhoMayBeBack() throws {
      let isBroken = Monitor(false)
      let go = Steps()
      let count = Monitor(0)
      let server = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          let number = count.with { count in
            count += 1
            return count
          }
          if number == 1 { try go.wait() }
          if isBroken.with({ $0 }) { return }
          try conversation.send(Answer.text("well"))
        }
      }
      var setup = setUp(server, "10 20s")
      setup.upstream += "\neject 1 400ms last"
      try House.with(setup) { house throws in
        let first = try begin(house, "/0")
        _ = try server.requests(1)
        let second = try begin(house, "/1")
        try eventually("it waits") { try waiting(house) == 1 }
        isBroken.with { $0 = true }
        go.advance()
        #expect(try first.response()?.status == 502)
        isBroken.with { $0 = false }
        let began = ContinuousClock.now
        let answer = try second.response()
        #expect([200, 502].contains(answer?.status ?? 0) && ContinuousClock.now - began < .seconds(10))
        try eventually("all is well") { try house.ask("GET", "/", [People.alice.authorization]).status == 200 }
      }
      try server.stop()
    }

    /// A place that comes free with one worker is another's, whose request came first.
    @Test func workersShareOneQueue() throws {
      let most = Monitor((now: 0, most: 0))
      let server = try counting(most, each: 0.002)
      try House.with(setUp(server, "100 20s", workers: 4)) { house throws in
        let port = house.port
        let asked = (0..<12).map { _ in
          Worker { () -> [Int] in
            let client = try Client(to: port)
            return try (0..<20).map { _ in try client.exchange(request("GET", "/", [People.alice.authorization])).status }
          }
        }
        let statuses = try asked.flatMap { try $0.join() }
        #expect(statuses == Array(repeating: 200, count: 240))
        #expect(most.with { $0.most } == 1)
        #expect(try waiting(house) == 0)
      }
      try server.stop()
    }
  }
}
