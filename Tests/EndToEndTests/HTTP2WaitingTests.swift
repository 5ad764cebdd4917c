// What streams of HTTP/2 wait for, and that each of them gets it: its own time, its own end, and every byte that is there already.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct HTTP2Waiting {
    private static let alice = FrameClient.authorized(People.alice)

    /// Hears a request and never answers it.
    private static let silence: Script = { conversation in
      do {
        guard try conversation.head() != nil else { return }
        try conversation.waitForEnd()
      } catch is Socket.Trouble {}
    }

    @Test func aTimeBehindAnEarlierOneIsKept() throws {
      // header_timeout, of the connection until it asks for something, comes before the upstream's time is over.
      try HTTP2.house(Setup(top: "header_timeout 300ms", upstream: "response_timeout 1s"), Self.silence) { house, port throws in
        let client = try FrameClient(to: port)
        try client.socket.wait(milliseconds: 10_000)
        let id = try client.request(FrameClient.fields("/", "GET", [Self.alice]))
        #expect(try client.answer(id, .after(.seconds(10))).status == 504)
      }
    }

    @Test func eachStreamHasItsOwnTime() throws {
      try HTTP2.house(Setup(top: "body_timeout 1500ms", upstream: "response_timeout 500ms"), Self.silence) { house, port throws in
        let client = try FrameClient(to: port)
        let early = try client.request(FrameClient.fields("/", "GET", [Self.alice]))
        let late = try client.request(FrameClient.fields("/", "POST", [Self.alice]), ends: false)
        #expect(try client.answer(early, .after(.seconds(10))).status == 504)
        #expect(client.streams[late]?.isOver != true)
        #expect(try client.answer(late, .after(.seconds(10))).status == 408)
      }
    }

    @Test func aRefusalThatIsHeldBackIsGivenInItsTime() throws {
      var setup = Setup(top: "header_timeout 300ms")
      setup.lockout = nil
      try HTTP2.house(setup) { house, port throws in
        let guesser = try FrameClient(to: port)
        for i in 0..<10 {
          let wrong = ("authorization", Secrets.basic("alice", "wrong-guess-\(i)-by-streams"))
          #expect(try guesser.exchange(FrameClient.fields("/", "GET", [wrong])).status == 401)
        }
        let client = try FrameClient(to: port)
        // The server has spoken: it waits for a request, and not for long.
        try client.socket.wait(milliseconds: 10_000)
        let id = try client.request(FrameClient.fields("/", "GET", [Self.alice]))
        #expect(try client.answer(id, .after(.seconds(10))).status == 429)
      }
    }

    /// Each of them takes a place while it waits.
    @Test func onlyAFewRefusalsOfAConnectionAreHeldBack() throws {
      var setup = Setup()
      setup.lockout = nil
      try HTTP2.house(setup) { house, port throws in
        let guesser = try FrameClient(to: port)
        for i in 0..<10 {
          let wrong = ("authorization", Secrets.basic("alice", "wrong-guess-\(i)-in-a-row"))
          #expect(try guesser.exchange(FrameClient.fields("/", "GET", [wrong])).status == 401)
        }
        let client = try FrameClient(to: port)
        func begin(_ count: Int) throws -> [Int32] {
          let streams = (0..<count).map { _ in client.begin(FrameClient.fields("/", "GET", [Self.alice])) }
          try client.send(streams.flatMap(\.frame))
          return streams.map(\.id)
        }
        func isOver(_ id: Int32) -> Bool { client.streams[id]?.isOver == true }
        // What has waited makes room for as many again.
        for _ in 0..<2 {
          let streams = try begin(20)
          try client.read(.after(.seconds(10))) { _ in streams[8...].allSatisfy(isOver) }
          for id in streams[8...] { #expect(client.streams[id]?.reset == 11 && client.streams[id]?.status == nil) }
          for id in streams[..<8] { #expect(try client.answer(id, .after(.seconds(10))).status == 429) }
        }
        // And so does what is not waited for any more.
        for id in try begin(8) { try client.send(Frame.make(Frame.reset, stream: id, Frame.number(8))) }
        for id in try begin(8) { #expect(try client.answer(id, .after(.seconds(10))).status == 429) }
        #expect(house.upstream.connections.isEmpty && client.goaways.isEmpty)
      }
    }

    /// HEADERS and the end of the content come together, and the password is looked at elsewhere meanwhile.
    @Test(arguments: [0, 1, 2, 3]) func contentThatEndsWhileThePasswordIsCheckedIsWhole(_ kind: Int) throws {
      let trailers = Frame.block([("x", "y")])
      try HTTP2.house(Setup(top: "body_timeout 20s"), HTTP2.echo) { house, port throws in
        for turn in 0..<2 {
          let client = try FrameClient(to: port)
          let length = kind == 2 ? [("content-length", "0")] : []
          let (id, head) = client.begin(FrameClient.fields("/mine", "POST", [FrameClient.authorized(People.carol)] + length), ends: false)
          let end =
            switch kind {
            case 1: Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id, trailers)
            case 3: Frame.make(Frame.data, stream: id, [1, 2, 3]) + Frame.make(Frame.data, Frame.endStream, stream: id)
            default: Frame.make(Frame.data, Frame.endStream, stream: id)
            }
          // In one write: read in one turn, before the check can be over. The second time it is remembered.
          try client.send(head + end)
          let answer = try client.answer(id, .after(.seconds(10)))
          #expect(answer.status == 200 && String(decoding: answer.body, as: UTF8.self) == "carol /mine \(kind == 3 ? 3 : 0)", "\(turn)")
          #expect(house.upstream.requests.last?.trailers.map(\.name) == (kind == 1 ? ["x"] : []))
        }
      }
    }

    @Test func contentOfOurOwnAnswersThatEndsWhileThePasswordIsCheckedIsWhole() throws {
      try HTTP2.house(Setup(top: "body_timeout 20s\ntokens { keys token.keys; endpoint /api/token }")) { house, port throws in
        let client = try FrameClient(to: port)
        let (id, head) = client.begin(FrameClient.fields("/api/token", "POST", [FrameClient.authorized(People.carol)]), ends: false)
        try client.send(head + Frame.make(Frame.data, Frame.endStream, stream: id))
        #expect(try client.answer(id, .after(.seconds(10))).status == 200)
      }
    }

    @Test func headsInOneReadAreAllServedWithoutAnotherByte() throws {
      let setup = Setup(more: "route /free/ { upstream legacy; require nobody }")
      try HTTP2.house(setup, HTTP2.echo) { house, port throws in
        let base = Frame.block(FrameClient.fields("/free/"))
        // A field of 3,000 bytes, which a byte names from then on (RFC 7541 section 6.1).
        let large: [UInt8] = [0x40] + Frame.text("x-a") + Frame.text(String(repeating: "y", count: 3000))
        // Together about as many bytes of heads as are recorded at once (64 KiB), of which the last field is one too many in some turns.
        for count in 1...6 {
          let client = try FrameClient(to: port)
          // No acknowledgement and no credit is to come behind them.
          #expect(try client.exchange(FrameClient.fields("/free/")).status == 200)
          client.givesCredit = false
          let names = { (count: Int) in [UInt8](repeating: 0xBE, count: count) }
          let blocks: [[UInt8]] = [base + large + names(9), base + names(10), base + names(count)]
          var bytes: [UInt8] = []
          var streams: [Int32] = []
          for block in blocks {
            let id = client.begin([]).id
            streams.append(id)
            bytes += Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id, block)
          }
          try client.send(bytes)
          for id in streams { #expect(try client.answer(id, .after(.seconds(10))).status == 200, "\(count), stream \(id)") }
        }
        let values: [String] = house.upstream.requests.flatMap { $0.values("X-A") }
        // Each time 9 and one that made the others, 10, and 1 to 6.
        #expect(values.count == 6 * 20 + 21)
        #expect(values.allSatisfy { $0.utf8.count == 3000 })
      }
    }
  }
}
