// Services that are spoken to in HTTP/2 and take their time: a server by hand, which greets, and says no more than a test wants.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct HTTP2UpstreamTimes {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    private static func settings(streams: UInt32) -> [UInt8] { Frame.make(Frame.settings, 0, Frame.setting(3, streams)) }

    /// Reads the client's preface and frames until a request has come, which is to be the connection's first.
    private static func readRequest(_ conversation: Conversation) throws {
      _ = try conversation.wire.exactly(Frame.preface.count)
      while true {
        let head = try conversation.wire.exactly(9)
        _ = try conversation.wire.exactly(Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2]))
        if head[3] == Frame.headers { return }
      }
    }

    /// Each connection takes its time, and has room for one request: nobody waits for the last of many.
    @Test func whoWaitsForRoomIsToldInTime() throws {
      let script: Script = { conversation in
        do {
          Thread.sleep(forTimeInterval: 0.1)
          try conversation.send(Self.settings(streams: 1))
          try Self.readRequest(conversation)
          let farewell = Frame.make(Frame.goaway, 0, Frame.number(1) + Frame.number(0))
          try conversation.send(farewell + Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: 1, [0x88]))
          try conversation.waitForEnd()
        } catch is Truncated {} catch is Socket.Trouble {}
      }
      try House.with(Setup(upstream: "protocol http2\nconnect_timeout 300ms\neject off"), script) { house throws in
        let clients = try (0..<16).map { _ in try house.client() }
        for client in clients { try client.send(request("GET", "/", [People.alice.authorization])) }
        let statuses = try clients.map { try $0.response()?.status }
        #expect(statuses.allSatisfy { [200, 503, 504].contains($0) } && statuses.contains { $0 != 200 }, "\(statuses)")
      }
    }
  }
}
