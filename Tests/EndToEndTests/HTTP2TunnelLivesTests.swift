// WebSockets by streams of HTTP/2 that live: halves that end, sides that don't read, silence, reloads and the end of the server.

import Foundation
import Glibc
import Testing

extension EndToEnd {
  @Suite(.serialized, .inHTTP2) struct HTTP2TunnelLives {
    private typealias Tunnels = HTTP2Tunnels

    @Test func oneHalfEndsAndTheOtherGoesOn() throws {
      let script: Script = { conversation in
        guard let request = try conversation.request() else { return }
        try conversation.send(Tunnels.switching(request))
        if request.target == "/client" {
          var bytes = [UInt8]()
          while case let part = try conversation.wire.some(), !part.isEmpty { bytes += part }
          try conversation.send("heard " + String(decoding: bytes, as: UTF8.self))
        } else {
          try conversation.send("bye")
          conversation.socket.endWriting()
          #expect(try conversation.wire.exactly(4) == [UInt8]("more".utf8))
          try conversation.waitForEnd()
        }
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try Tunnels.open(client, Tunnels.connect("/client"))
        try client.send(Tunnels.data([UInt8]("all".utf8), id, ends: true))
        #expect(String(decoding: try client.answer(id).body, as: UTF8.self) == "heard all")
        let other = try Tunnels.open(client, Tunnels.connect("/service"))
        #expect(String(decoding: try client.answer(other).body, as: UTF8.self) == "bye")
        // Longer than a request that is answered may go on.
        usleep(1_100_000)
        #expect(client.streams[other]?.reset == nil)
        try client.send(Tunnels.data([UInt8]("more".utf8), other, ends: true))
        #expect(try house.accessLines(2).allSatisfy { $0["status"] as? Int == 101 })
        #expect(client.streams[id]?.reset == nil && client.streams[other]?.reset == nil)
      }
    }

    /// The service has ended, then the client has: what he said before is still the service's, though it takes its time.
    @Test func whatWasSaidBeforeTheEndIsDelivered() throws {
      let (count, go) = (Monitor(0), Steps())
      let script: Script = { conversation in
        guard let request = try conversation.request() else { return }
        conversation.wire.record = nil
        try conversation.send(Tunnels.switching(request))
        conversation.socket.endWriting()
        try go.wait()
        while case let part = try conversation.wire.some(), !part.isEmpty { count.with { $0 += part.count } }
        count.with { $0 = -$0 }
      }
      // More than a socket takes in one go although it has said that it takes no more.
      try HTTP2.house(Setup(top: "http2 { stream_window 2m }"), script) { house, port throws in
        let before = try house.gate.child.peakMemory()
        let client = try FrameClient(to: port)
        let id = try Tunnels.open(client)
        let piece = [UInt8](repeating: 0x79, count: 16_000)
        // As much as there is credit for: with a service that doesn't read, that comes to an end.
        var sent = 0
        var waited = 0
        while waited < 20 && sent < 64 << 20 {
          if sent + piece.count <= (2 << 20) + (client.streams[id]?.credit ?? 0) {
            try client.send(Tunnels.data(piece, id))
            sent += piece.count
            waited = 0
          } else if client.socket.hasInput {
            let before = client.frames
            try client.read { $0.frames > before }
          } else {
            usleep(10_000)
            waited += 1
          }
        }
        #expect(sent < 64 << 20 && sent > 2 << 20)
        #expect(try house.gate.child.peakMemory() - before < 8192)
        // The others of the connection are not held up.
        #expect(try client.exchange(Tunnels.connect("/chat", by: nil)).status == 401)
        try client.send(Tunnels.data([], id, ends: true))
        #expect(try client.answer(id).hasEnded)
        go.advance()
        let total = sent
        #expect(count.wait { $0 == -total ? true : nil } != nil, "\(count.with { $0 }) of \(sent) bytes")
        let line = try house.accessLines(2).last
        #expect(line?["bytes_in"] as? Int == sent && line?["reason"] == nil, "\(String(describing: line))")
      }
    }

    @Test func whoDoesNotReadHoldsUpHisOwnStreamAlone() throws {
      let sent = Monitor(0)
      let script: Script = { conversation in
        guard let request = try conversation.request() else { return }
        if request["Upgrade"] == nil { return try conversation.send(Answer.text("hello")) }
        try conversation.send(Tunnels.switching(request))
        conversation.wire.record = nil
        let piece = [UInt8](repeating: 0x78, count: 1 << 20)
        guard request.target == "/flood" else { return try conversation.waitForEnd() }
        // As much as goes without anybody reading, then some more.
        try conversation.socket.fill(with: piece)
        sent.with { $0 = 1 }
        try conversation.send(piece)
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let before = try house.gate.child.peakMemory()
        let client = try FrameClient(to: port)
        client.givesCredit = false
        client.keepsBodies = false
        let id = try Tunnels.open(client, Tunnels.connect("/flood"))
        #expect(sent.wait { $0 == 1 ? true : nil } != nil)
        #expect(try house.gate.child.peakMemory() - before < 4096)
        try client.read { $0.streams[id]?.bodyCount == 65_535 }
        // Of the connection's window it has taken all: that is the client's to widen, and the others go on.
        try client.send(Frame.make(Frame.windowUpdate, 0, Frame.number(1 << 30)))
        try Tunnels.expectLife(client)
        #expect(client.streams[id]?.bodyCount == 65_535 && client.streams[id]?.isOver == false)
        try client.send(Frame.make(Frame.windowUpdate, stream: id, Frame.number(1 << 30)))
        let answer = try client.answer(id, .after(.seconds(60)))
        #expect(answer.hasEnded && answer.bodyCount > 1 << 20)
      }
    }

    @Test func silenceEndsAStreamsTunnel() throws {
      try HTTP2.house(Setup(upstream: "tunnel_timeout 400ms"), Tunnels.echo) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try Tunnels.open(client)
        #expect(try client.answer(id).hasEnded)
        let line = try house.accessLines(1)[0]
        #expect(line["status"] as? Int == 101 && (line["reason"] as? String)?.contains("tunnel_timeout") == true)
        try eventually("its end reached the service") { house.upstream.open == 0 }
        try Tunnels.expectLife(client)
      }
    }

    @Test func aReloadKeepsAStreamsTunnelAndADrainWaitsForIt() throws {
      try HTTP2.house(Setup(top: "admin unix:admin.sock\ndrain_timeout 30s", route: "max_inflight 1"), Tunnels.echo) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try Tunnels.open(client)
        try Tunnels.say("before", id, client)
        let status = { try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text }
        try eventually("it is counted") { try status().contains("tunnels: 1\n") }
        // It is a request under way as any other.
        #expect(try client.exchange(Tunnels.connect()).status == 429)
        try house.reload { $0 + "\nroute /other { upstream legacy; require nobody; upgrade off }\n" }
        try Tunnels.say("after", id, client)
        house.gate.child.signal(SIGTERM)
        try client.read { !$0.goaways.isEmpty }
        try Tunnels.say("still here", id, client)
        try client.send(Tunnels.data([], id, ends: true))
        #expect(try client.answer(id).hasEnded)
        client.socket.shutDown()
        #expect(try house.gate.child.wait().code == 0)
      }
    }

    @Test func theEndOfTheServerEndsAStreamsTunnelInOrder() throws {
      try HTTP2.house(Setup(top: "drain_timeout 1s"), Tunnels.echo) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try Tunnels.open(client)
        house.gate.child.signal(SIGTERM)
        #expect(try client.answer(id).hasEnded)
        let line = try house.accessLines(1)[0]
        #expect(line["status"] as? Int == 101 && line["reason"] as? String == "the server ended")
      }
    }
  }
}
