// What Gatehouse waits for, and how: no limit of time counts what nobody was waiting for, and waiting costs nothing.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Waiting {
    private let auth = People.alice.authorization

    /// The limit is for a client that does not read, not for one that had nothing to ask for a while.
    @Test(.byEachEngine) func sendTimeoutDoesNotCountTheTimeBeforeTheAnswer() throws {
      try House.with(Setup(top: "send_timeout 50ms")) { house throws in
        let client = try house.client()
        for _ in 0..<3 {
          #expect(try client.exchange(request()).status == 401)
          // Longer than send_timeout: nothing can come, so this waits the whole time.
          #expect(throws: Socket.Trouble.timedOut) { try client.socket.wait(milliseconds: 150) }
        }
      }
    }

    @Test(.byEachEngine) func idleTimeoutIsKeptAlsoWhenOtherLimitsAreLonger() throws {
      // header_timeout, 10 s, is the timer that is set first.
      try House.with(
        Setup(upstream: "idle_timeout 200ms"),
        { conversation in
          guard try conversation.request() != nil else { return }
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
          try conversation.waitForEnd()
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [auth]))
        let bytes = try client.rest(.after(.seconds(5)))
        #expect(String(decoding: bytes, as: UTF8.self).hasSuffix("hello"))
      }
    }

    /// The end of a client that has half closed stays readable: to be woken for it again and again was a processor lost.
    @Test(.byEachEngine) func halfClosedClientThatDoesNotReadCostsNoTime() throws {
      let size = 64 << 20
      try House.with(
        Setup(),
        { conversation in
          guard try conversation.request() != nil else { return }
          do {
            try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            let piece = [UInt8](repeating: 0x61, count: 1 << 20)
            for _ in 0..<64 { try conversation.send(piece) }
          } catch is Socket.Trouble {}
        }
      ) { house throws in
        let client = try house.client()
        client.socket.shrinkReceiveBuffer(to: 4096)
        try client.send(request("GET", "/", [auth]))
        #expect(try client.head()?.status == 200)
        client.socket.endWriting()
        // Its request is cancelled; what was written already waits for it to read.
        try eventually("the request is cancelled") { house.upstream.open == 0 }
        let before = try ticks(house)
        #expect(throws: Socket.Trouble.timedOut) { try Socket.connect(to: house.port).wait(milliseconds: 1000) }
        #expect(try ticks(house) - before < 50, "half of a second's processor time, or more, went into waiting")
      }
    }

    /// Processor time so far, in hundredths of a second (proc(5)).
    private func ticks(_ house: House) throws -> Int {
      let line = try String(contentsOfFile: "/proc/\(house.gate.child.pid)/stat", encoding: .utf8)
      let fields = line.split(separator: ")").last.map { $0.split(separator: " ") } ?? []
      guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else { throw Failure("no times in “\(line)”") }
      return user + system
    }

    @Test func drainingRefusesNewConnectionsAtOnce() throws {
      try House.with(
        Setup(workers: 2),
        { conversation in
          guard try conversation.request() != nil else { return }
          // Answers when the test has looked: the next connection's request is the sign.
          guard try conversation.request() == nil else { return }
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [auth]))
        _ = try house.upstream.requests(1)
        house.gate.child.signal(SIGTERM)
        // A socket that listens on for nobody would let clients in and leave them there.
        try eventually("connections are refused") {
          do {
            _ = try Socket.connect(to: house.port)
            return false
          } catch Socket.Trouble.failed(let number) where number == ECONNREFUSED {
            return true
          } catch Socket.Trouble.reset {
            return false
          }
        }
        #expect(house.gate.child.isRunning)
        client.abort()
      }
    }

    @Test func reloadTakesTrustFromConnectionsThatStand() throws {
      try House.with(Setup(top: "trusted_proxies 127.0.0.1")) { house throws in
        let client = try house.client()
        let spoof = request("GET", "/", [auth, "X-Forwarded-For: 6.6.6.6"])
        #expect(try client.exchange(spoof).status == 200)
        #expect(house.upstream.requests.last?.values("X-Forwarded-For") == ["6.6.6.6, 127.0.0.1"])
        try house.scratch.write(
          try house.scratch.text("proxy.conf").replacingOccurrences(of: "trusted_proxies 127.0.0.1", with: ""), to: "proxy.conf")
        house.gate.child.signal(SIGHUP)
        try house.gate.child.errors.waitForLine(containing: "reloaded:")
        try eventually("the peer is a stranger") {
          guard try client.exchange(spoof).status == 200 else { return false }
          return house.upstream.requests.last?.values("X-Forwarded-For") == ["127.0.0.1"]
        }
      }
    }
  }
}
