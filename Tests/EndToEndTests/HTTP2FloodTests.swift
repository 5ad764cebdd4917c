// Frames that cost a client little and us more, without end: each is told to calm down, and nobody else notices.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFrontOfHTTP2) struct HTTP2Floods {
    private static let alice = FrameClient.authorized(People.alice)

    /// Processor time that the process has taken, in seconds.
    private static func processorTime(_ house: House) throws -> Double {
      let text = try String(contentsOfFile: "/proc/\(house.gate.child.pid)/stat", encoding: .utf8)
      let words = text.split(separator: ")").last?.split(separator: " ") ?? []
      guard words.count > 13, let user = Double(words[11]), let system = Double(words[12]) else { throw Failure("no stat: \(text)") }
      return (user + system) / 100
    }

    /// Answers, unless the request is a part of a flood and ends with it.
    private static let answer: Script = { conversation in
      do {
        try Answer.hello(conversation)
      } catch is Truncated {} catch Socket.Trouble.reset {}
    }

    /// Sends what `next` makes until the connection ends; it has to, by ENHANCE_YOUR_CALM or what `codes` says, and soon.
    private static func flood(
      _ codes: Set<UInt32> = [11], _ setup: Setup = Setup(), _ next: (FrameClient) -> [UInt8]
    ) throws {
      try HTTP2.house(setup, answer) { house, port throws in
        let other = try FrameClient(to: port)
        for _ in 0..<20 { #expect(try other.exchange(FrameClient.fields("/", "GET", [alice])).status == 200) }
        let (memory, time) = (try house.gate.child.peakMemory(), try processorTime(house))
        let client = try FrameClient(to: port)
        let deadline = Deadline.after(.seconds(20))
        // What has to be acknowledged would stand in the midst of the flood otherwise.
        try client.read(deadline) { $0.isGreeted }
        while !client.isClosed && !deadline.hasPassed {
          do { try client.send(next(client)) } catch is Socket.Trouble { break }
          if client.socket.hasInput { try client.read(deadline) { !$0.socket.hasInput } }
        }
        let code = try client.end(deadline)
        #expect(client.isClosed && code.map { codes.contains($0) } ?? true)
        let spent = try processorTime(house) - time
        #expect(spent < 1, "took \(spent) s")
        let grown = try house.gate.child.peakMemory() - memory
        #expect(grown < 10 * 1024, "grew by \(grown) KiB")
        #expect(try other.exchange(FrameClient.fields("/", "GET", [alice])).status == 200)
        if codes == [11] { try house.gate.child.errors.waitForLine(containing: "HTTP/2: ") }
      }
    }

    private static func many(_ frame: [UInt8]) -> [UInt8] { Array(repeatElement(frame, count: 100).joined()) }

    @Test(arguments: [
      Frame.make(Frame.ping, 0, [1, 2, 3, 4, 5, 6, 7, 8]), Frame.make(Frame.settings), Frame.make(Frame.windowUpdate, 0, [0, 0, 0, 1]),
      Frame.make(Frame.priority, stream: 1, [0, 0, 0, 0, 16]), Frame.make(0xEE), Frame.make(0x10, 0, [0, 0, 0, 1]),
    ])
    func framesThatNobodyNeedsSoManyOfEndTheConnection(_ frame: [UInt8]) throws {
      let frames = Self.many(frame)
      try Self.flood { _ in frames }
    }

    @Test(arguments: [[], [3, 0, 0, 0], [1]] as [[UInt8]])
    func dataWithoutDataEndsTheConnection(_ payload: [UInt8]) throws {
      let frames = Self.many(Frame.make(Frame.data, payload.count > 1 ? Frame.padded : 0, stream: 1, payload))
      var isOpen = false
      try Self.flood { client in
        defer { isOpen = true }
        return isOpen ? frames : client.begin(FrameClient.fields("/", "POST", [Self.alice]), ends: false).frame
      }
    }

    @Test func requestsThatAreResetEndTheConnection() throws {
      try Self.flood { client in
        let (id, frame) = client.begin(FrameClient.fields("/", "GET", [Self.alice]))
        return frame + Frame.make(Frame.reset, stream: id, Frame.number(8))
      }
    }

    /// Our own refusals cost us as little as they did the client: they pay for none.
    @Test func resetsBesideRefusalsOfOursEndTheConnection() throws {
      try Self.flood { client in
        let (refused, question) = client.begin(FrameClient.fields())
        // One that is answered comes before each of those that are not.
        try? client.send(question)
        _ = try? client.answer(refused)
        let (id, frame) = client.begin(FrameClient.fields("/", "GET", [Self.alice]))
        return frame + Frame.make(Frame.reset, stream: id, Frame.number(8))
      }
    }

    @Test func resetsThatAreProvokedEndTheConnection() throws {
      // MadeYouReset: credit of 0 is an error of its stream; so is a malformed request; and DATA after the end.
      try Self.flood([1, 11]) { client in
        let (id, frame) = client.begin(FrameClient.fields("/", "GET", [Self.alice]))
        return frame + Frame.make(Frame.windowUpdate, stream: id, Frame.number(0))
      }
      try Self.flood([1, 11]) { client in client.begin(FrameClient.fields("/", "GET", [("X", "y")])).frame }
      try Self.flood([1, 5, 11]) { client in
        let (id, frame) = client.begin(FrameClient.fields("/", "GET", [Self.alice]))
        return frame + Frame.make(Frame.data, stream: id, Array(repeating: 1, count: 20))
      }
    }

    @Test func aHeaderBlockWithoutEndEndsTheConnection() throws {
      for payload in [[], Frame.field("a", "b"), Frame.field("a", String(repeating: "x", count: 16_000))] {
        var isOpen = false
        try Self.flood { client in
          defer { isOpen = true }
          if isOpen { return Frame.make(Frame.continuation, stream: 1, payload) }
          return Frame.make(Frame.headers, stream: 1, Frame.block(FrameClient.fields()))
        }
      }
    }

    @Test func headsThatGrowAsTheyAreReadEndTheConnection() throws {
      // One large field in the dynamic table, named thousands of times with a byte each.
      let block = Frame.block(FrameClient.fields())
      var large = [0x40] + Frame.text("a") + Frame.text(String(repeating: "x", count: 3900))
      try Self.flood { client in
        defer { large = Array(repeating: 0xBE, count: 4000) }
        let id = client.begin([]).id
        return Frame.make(Frame.headers, Frame.endStream | Frame.endHeaders, stream: id, block + large)
      }
    }

    @Test func headsOfManyFieldsEndTheConnection() throws {
      for name in ["a", "cookie"] {
        let fields = FrameClient.fields() + Array(repeating: (name, ""), count: 1000)
        try Self.flood { client in client.begin(fields).frame }
      }
    }
  }
}
