// Bodies by HTTP/2 that are larger than any window, and clients or upstreams that do not take them: what is held stays small, and the other streams
// of the connection go on.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFrontOfHTTP2) struct HTTP2Bodies {
    private static let size = 256 << 20
    private static let piece = 1 << 20
    private static let alice = FrameClient.authorized(People.alice)

    /// How much the process may grow over what it took for small requests, in KiB.
    private static let allowed = 16 * 1024

    /// `/big` is as long as `size`; anything else says hello.
    private static func downloads(_ sent: Monitor<Int>) -> Script {
      { conversation in
        do {
          while let request = try conversation.request() {
            guard request.target.hasPrefix("/big") else {
              try conversation.send(Answer.text("hello"))
              continue
            }
            try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            let bytes = [UInt8](repeating: 0x61, count: piece)
            var count = 0
            while count < size {
              try conversation.socket.write(bytes, .after(.seconds(240)))
              count += piece
              sent.with { $0 += piece }
            }
          }
        } catch is Socket.Trouble {}
      }
    }

    private static func warmed(_ house: House, _ port: UInt16) throws -> Int {
      let client = try FrameClient(to: port)
      for _ in 0..<20 { #expect(try client.exchange(FrameClient.fields("/", "GET", [alice])).status == 200) }
      return try house.gate.child.peakMemory()
    }

    private static func expectSmall(_ house: House, since before: Int) throws {
      let grown = try house.gate.child.peakMemory() - before
      #expect(grown < allowed, "grew by \(grown) KiB")
    }

    @Test func aLargeDownloadIsNotHeld() throws {
      try HTTP2.house(Setup(), Self.downloads(Monitor(0))) { house, port throws in
        let before = try Self.warmed(house, port)
        let client = try FrameClient(to: port, settings: Frame.setting(4, 1 << 20))
        client.keepsBodies = false
        let id = try client.request(FrameClient.fields("/big", "GET", [Self.alice]))
        let answer = try client.answer(id, .after(.seconds(120)))
        #expect(answer.bodyCount == Self.size && answer.hasEnded)
        try Self.expectSmall(house, since: before)
      }
    }

    @Test func readersThatStopHoldNothingButTheirShare() throws {
      let sent = Monitor(0)
      try HTTP2.house(Setup(), Self.downloads(sent)) { house, port throws in
        let before = try Self.warmed(house, port)
        let client = try FrameClient(to: port)
        client.keepsBodies = false
        client.givesCredit = false
        for _ in 0..<40 { _ = try client.request(FrameClient.fields("/big", "GET", [Self.alice])) }
        // The connection's window is used up, and no more comes.
        try client.read { $0.streams.values.reduce(0) { $0 + $1.bodyCount } == 65_535 }
        // Who takes nothing is felt behind: the upstream's writes stop.
        var last = -1
        while sent.with({ $0 }) != last {
          last = sent.with { $0 }
          Thread.sleep(forTimeInterval: 0.5)
        }
        #expect(last < 40 * 16 * Self.piece)
        try Self.expectSmall(house, since: before)
        // Another client goes on, and so does this one when it reads: what has no body needs no window.
        let other = try FrameClient(to: port)
        #expect(try other.exchange(FrameClient.fields("/", "GET", [Self.alice])).status == 200)
        let head = try client.request(FrameClient.fields("/", "HEAD", [Self.alice]))
        #expect(try client.answer(head).status == 200)
      }
    }

    @Test func whoTakesNothingIsCutOff() throws {
      try HTTP2.house(Setup(top: "send_timeout 1s"), Self.downloads(Monitor(0))) { house, port throws in
        let client = try FrameClient(to: port, settings: Frame.setting(4, 0))
        client.givesCredit = false
        let pinned = try client.request(FrameClient.fields("/big", "GET", [Self.alice]))
        let dripped = try client.request(FrameClient.fields("/big", "GET", [Self.alice]))
        try client.read { $0.streams.count == 2 }
        // A byte now and then is not reading.
        var turns = 0
        while client.streams[dripped]?.reset == nil && turns < 400 {
          try client.send(Frame.make(Frame.windowUpdate, stream: dripped, Frame.number(1)))
          do { try client.read(.after(.milliseconds(25))) { $0.streams[dripped]?.reset != nil } } catch Socket.Trouble.timedOut {}
          turns += 1
        }
        try client.read { $0.streams[pinned]?.reset != nil }
        #expect(client.streams[dripped]?.reset == 8 && client.streams[pinned]?.reset == 8)
        let small = try client.request(FrameClient.fields("/", "HEAD", [Self.alice]))
        #expect(try client.answer(small).status == 200)
        #expect(try house.accessLines(3).contains { ($0["reason"] as? String)?.contains("send_timeout") ?? false })
      }
    }

    @Test(.byEachEngine) func anUploadThatTheUpstreamDoesNotTakeHoldsNothingElseUp() throws {
      let gate = Monitor(false)
      let script: Script = { conversation in
        while var message = try conversation.head() {
          guard message.target == "/up" else {
            try conversation.finish(&message)
            try conversation.send(Answer.text("\(message.body.count)"))
            continue
          }
          conversation.wire.record = nil
          _ = gate.wait { $0 ? true : nil }
          var count = 0
          try conversation.finish(&message) { count += $0.count }
          try conversation.send(Answer.text("\(count)"))
        }
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let before = try Self.warmed(house, port)
        let client = try FrameClient(to: port)
        let id = try client.request(FrameClient.fields("/up", "POST", [Self.alice]), ends: false)
        // As much as the stream's window at first lets go; the rest waits for credit that does not come.
        for _ in 0..<4 { try client.send(Frame.make(Frame.data, stream: id, Array(repeating: 1, count: 16_000))) }
        for i in 0..<10 {
          let other = try client.request(FrameClient.fields("/other", "POST", [Self.alice]), ends: false)
          try client.send(Frame.make(Frame.data, Frame.endStream, stream: other, Array(repeating: 1, count: 1000 * i)))
          #expect(try String(decoding: client.answer(other).body, as: UTF8.self) == "\(1000 * i)")
        }
        gate.with { $0 = true }
        try client.send(Frame.make(Frame.data, Frame.endStream, stream: id))
        #expect(try String(decoding: client.answer(id).body, as: UTF8.self) == "64000")
        try Self.expectSmall(house, since: before)
      }
    }

    @Test func aLargeUploadToASlowUpstreamIsNotHeld() throws {
      let script: Script = { conversation in
        while var message = try conversation.head() {
          if message.method == "PUT" {
            conversation.wire.record = nil
            Thread.sleep(forTimeInterval: 1)
          }
          var count = 0
          try conversation.finish(&message) { count += $0.count }
          try conversation.send(Answer.text("\(count)"))
        }
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let before = try Self.warmed(house, port)
        try house.scratch.write([UInt8](repeating: 7, count: 64 << 20), to: "upload")
        let answer = try HTTP2.curl(house, port, "-T", house.scratch["upload"], "/up", within: .seconds(120))
        #expect(answer.text == "\(64 << 20)")
        try Self.expectSmall(house, since: before)
      }
    }
  }
}
