// Clients of HTTP/2 who take nothing of what they have asked for, and do something else meanwhile: nobody but them is to notice.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct HTTP2Readers {
    private static let alice = FrameClient.authorized(People.alice)

    private static func fields(_ path: String = "/") -> [(String, String)] { FrameClient.fields(path, "GET", [alice]) }

    /// A client whose windows never fill; who does not read has a full socket soon.
    private static func deafClient(_ port: UInt16) throws -> FrameClient {
      let client = try FrameClient(to: port, settings: Frame.setting(4, 0x7FFF_FFFF))
      client.givesCredit = false
      client.keepsBodies = false
      try client.send(Frame.make(Frame.windowUpdate, 0, Frame.number(0x7FFE_0000)))
      return client
    }

    /// How a stream may end from the client's side, or by its fault.
    enum Ending: CaseIterable {
      case malformedTrailers, reset, tooMuchCredit, noCredit

      func frame(_ id: Int32) -> [UInt8] {
        switch self {
        case .malformedTrailers:
          Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id, Frame.block([("a b", "x")]))
        case .reset: Frame.make(Frame.reset, stream: id, Frame.number(8))
        case .tooMuchCredit: Frame.make(Frame.windowUpdate, stream: id, Frame.number(0x7FFF_FFFF))
        case .noCredit: Frame.make(Frame.windowUpdate, stream: id, Frame.number(0))
        }
      }
    }

    /// `/big` has 64 MiB; anything else says hello. Counts what the way took of the first.
    private static func large(_ sent: Monitor<Int>) -> Script {
      { conversation in
        do {
          while var request = try conversation.head() {
            guard request.target == "/big" else {
              try conversation.finish(&request)
              try conversation.send(Answer.text("hello"))
              continue
            }
            let piece = [UInt8](repeating: 0x61, count: 1 << 18)
            try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(256 * piece.count)\r\n\r\n")
            for _ in 0..<256 {
              try conversation.send(piece)
              sent.with { $0 += 1 }
            }
          }
        } catch is Socket.Trouble {}
      }
    }

    /// Asks for `/big` and leaves it there until everything on the way is full.
    private static func fill(_ client: FrameClient, _ sent: Monitor<Int>, ends: Bool = false) throws -> Int32 {
      let id = try client.request(fields("/big"), ends: ends)
      var last = 0
      try eventually("the upstream's writes stop") {
        let before = last
        Thread.sleep(forTimeInterval: 0.3)
        last = sent.with { $0 }
        return last == before && last > 0
      }
      #expect(last < 256)
      return id
    }

    @Test(arguments: Ending.allCases) func aStreamThatEndsWhileItsDataWaitsHarmsNobody(_ ending: Ending) throws {
      let sent = Monitor(0)
      try HTTP2.house(Setup(), Self.large(sent)) { house, port throws in
        let client = try Self.deafClient(port)
        let id = try Self.fill(client, sent)
        try client.send(ending.frame(id))
        let other = try FrameClient(to: port)
        #expect(try other.exchange(Self.fields()).status == 200)
        // Now he reads: what waits is made into frames again.
        if ending == .reset {
          let next = try client.request(Self.fields())
          #expect(try client.answer(next).status == 200)
        } else {
          try client.read { $0.streams[id]?.reset != nil }
          #expect(client.streams[id]?.reset != nil || client.isClosed)
        }
        #expect(try other.exchange(Self.fields()).status == 200)
        #expect(house.gate.child.isRunning)
        try eventually("its upstream is let go") { house.upstream.open <= 1 }
      }
    }

    @Test func refusalsThatNobodyReadsEndTheConnection() throws {
      let sent = Monitor(0)
      try HTTP2.house(Setup(), Self.large(sent)) { house, port throws in
        let other = try FrameClient(to: port)
        for _ in 0..<20 { #expect(try other.exchange(Self.fields()).status == 200) }
        let client = try Self.deafClient(port)
        _ = try Self.fill(client, sent)
        let memory = try house.gate.child.peakMemory()
        let block = Frame.block(FrameClient.fields())
        var id: Int32 = 3
        func requests(_ count: Int) -> [UInt8] {
          var frames: [UInt8] = []
          for _ in 0..<count {
            frames += Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id, block)
            id += 2
          }
          return frames
        }
        // Answers of 401 take what room there still is for frames. Whoever is answered after them comes behind them.
        for _ in 0..<12 {
          try client.send(requests(100))
          for _ in 0..<8 { #expect(try other.exchange(Self.fields()).status == 200) }
        }
        // Now as many streams wait as may be, and each further one is refused by a frame that waits too.
        let deadline = Deadline.after(.seconds(10))
        var hasEnded = false
        while !hasEnded && !deadline.hasPassed {
          do { try client.send(requests(200)) } catch is Socket.Trouble { hasEnded = true }
        }
        #expect(hasEnded, "\(id / 2) requests were taken")
        let grown = try house.gate.child.peakMemory() - memory
        #expect(grown < 10 * 1024, "grew by \(grown) KiB")
        try house.gate.child.errors.waitForLine(containing: "HTTP/2: too many requests that had to be reset")
        #expect(try other.exchange(Self.fields()).status == 200)
      }
    }

    /// By a window that is used up, and by a socket that is full. How long the upstream may say nothing is not for those of whom it hears nothing.
    @Test(arguments: [false, true]) func whoTakesNothingForAWhileStillGetsAll(_ hasWindow: Bool) throws {
      let sent = Monitor(0)
      try HTTP2.house(Setup(top: "send_timeout 30s", upstream: "idle_timeout 1s"), Self.large(sent)) { house, port throws in
        let client = try hasWindow ? Self.deafClient(port) : FrameClient(to: port)
        client.givesCredit = false
        client.keepsBodies = false
        let id = try Self.fill(client, sent, ends: true)
        // Much longer than the upstream's time.
        Thread.sleep(forTimeInterval: 2.5)
        if !hasWindow {
          let credit = Frame.number(0x7FFE_0000)
          try client.send(Frame.make(Frame.windowUpdate, 0, credit) + Frame.make(Frame.windowUpdate, stream: id, credit))
        }
        let answer = try client.answer(id)
        #expect(answer.status == 200 && answer.bodyCount == 64 << 20 && answer.reset == nil && answer.hasEnded)
        #expect(!house.gate.errorLines.contains { $0.contains("upstream") && !$0.contains("listening") }, "\(house.gate.errorLines)")
      }
    }

    /// RFC 9113 section 6.9.1 lets an empty DATA frame pass when the window is used up; libnghttp2 keeps it back.
    @Test(arguments: ["0\r\n\r\n", "0\r\nx: y\r\n\r\n", ""]) func anEndThatHasNoRoomIsCutOff(_ end: String) throws {
      let steps = Steps()
      let script: Script = { conversation in
        while let request = try conversation.request() {
          guard request.target == "/exact" else {
            try conversation.send(Answer.text("hello"))
            continue
          }
          try conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n")
          try steps.wait()
          // Nothing more of it: the answer breaks off.
          if end.isEmpty { return }
          try conversation.send(end)
        }
      }
      try HTTP2.house(Setup(top: "send_timeout 500ms"), script) { house, port throws in
        // As much window as the body has bytes.
        let client = try FrameClient(to: port, settings: Frame.setting(4, 10))
        client.givesCredit = false
        let id = try client.request(Self.fields("/exact"))
        try client.read { $0.streams[id]?.bodyCount == 10 }
        steps.advance()
        let answer = try client.answer(id, .after(.seconds(15)))
        #expect(answer.status == 200 && answer.reset == 8 && !answer.hasEnded)
        // It is that stream's fault alone.
        #expect(try client.exchange(FrameClient.fields("/", "HEAD", [Self.alice])).status == 200)
        #expect(try house.accessLines(2).count == 2)
      }
    }
  }
}
