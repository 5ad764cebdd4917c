// Requests that wait while all servers have their connections in use: in order, not for ever, and with what they bring.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.byEachEngine) struct Queues {
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

    /// A place that comes free with one worker is another's, whose request came first.
    @Test func workersShareOneQueue() throws {
      let most = Monitor((now: 0, most: 0))
      let server = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          most.with {
            $0.now += 1
            $0.most = max($0.most, $0.now)
          }
          Thread.sleep(forTimeInterval: 0.002)
          most.with { $0.now -= 1 }
          try conversation.send(Answer.text("well"))
        }
      }
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
