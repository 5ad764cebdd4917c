// Whether clients can have a server ejected by what they do, or leave undone.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct EjectedByClients {
    /// A service that has waited long enough, for the rest of a body or for its answer to be taken, hangs up: it was its clients who failed.
    @Test func whoIsSlowHasNoServerEjected() throws {
      let go = Steps()
      let sent = Monitor(0)
      let piece = [UInt8](repeating: 0x78, count: 256 << 10)
      let script: Script = { conversation in
        conversation.wire.record = nil
        guard let head = try conversation.head() else { return }
        if head.method == "POST" {
          _ = try conversation.wire.exactly(4)
          if head.target == "/slow" { try go.wait() }
          return
        }
        try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(piece.count * 100)\r\n\r\n")
        for _ in 0..<99 {
          try conversation.send(piece)
          sent.with { $0 += 1 }
        }
      }
      let servers = try (0..<2).map { _ in try RecordingUpstream(script) }
      let places = servers.map { "http://127.0.0.1:\($0.port)" }
      try House.with(Setup(upstream: "server \(places[1])\neject 1 1m\nretry off", server: places[0])) { house throws in
        let auth = People.alice.authorization
        let upload = try house.client()
        try upload.send(request("POST", "/slow", [auth, "Content-Length: 5"]) + "some")
        try eventually("one of them is asked") { servers.contains { !$0.connections.isEmpty } }
        let reader = try house.client()
        try reader.send(request("GET", "/", [auth]))
        // Nothing moves any more, and has not for a while.
        var (before, since) = (-1, ContinuousClock.now)
        try eventually("the reader holds everything up") {
          let now = sent.with { $0 }
          if now != before { (before, since) = (now, .now) }
          return now > 0 && ContinuousClock.now - since > .milliseconds(1600)
        }
        #expect(before > 0 && before < 99)
        go.advance()
        #expect(try upload.response(to: "POST")?.status == 502)
        // What it owes is not waited for.
        upload.abort()
        // What was sent arrives, less than was promised.
        var count = 0
        do {
          while case let part = try reader.socket.read(atMost: 1 << 20), !part.isEmpty { count += part.count }
        } catch Socket.Trouble.reset {}
        #expect(count > 99 * piece.count && count < 100 * piece.count)
        #expect(try house.accessLines(2).count == 2)
        #expect(!house.gate.child.errors.text.contains("gets no requests") && servers.allSatisfy { $0.connections.count == 1 })
        // One that hangs up at once does so whoever asks.
        #expect(try house.ask("POST", "/quick", [auth, "Content-Length: 4"], body: "some").status == 502)
        try eventually("it is told") { house.gate.child.errors.text.contains("gets no requests") }
      }
      for server in servers { try server.stop() }
    }
  }
}
