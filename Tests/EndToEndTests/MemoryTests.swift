// Bodies far larger than memory, and readers far slower than the upstream: what Gatehouse holds stays small, and nobody else notices.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Memory {
    private static let gibibyte = 1 << 30
    private static let piece = 1 << 20
    private let auth = People.alice.authorization

    /// How much the process may grow over what it took for small requests, in KiB.
    private let allowed = 32 * 1024

    private static func send(_ count: Int, through socket: Socket, _ pattern: Pattern) throws {
      var sent = 0
      while sent < count {
        let size = min(piece, count - sent)
        try socket.write(Array(pattern.bytes(at: sent, count: size)), .after(.seconds(120)))
        sent += size
      }
    }

    /// The peak after a few ordinary requests.
    private func baseline(_ house: House) throws -> Int {
      for _ in 0..<20 { #expect(try house.ask("GET", "/small", [auth]).status == 200) }
      return try house.gate.child.peakMemory()
    }

    @Test(.byEachEngine) func aDownloadOfAGibibyteIsNotHeld() throws {
      let pattern = Pattern()
      let script: Script = { conversation in
        while let request = try conversation.request() {
          guard request.target == "/big" else {
            try conversation.send(Answer.text("small"))
            continue
          }
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.gibibyte)\r\n\r\n")
          try Self.send(Self.gibibyte, through: conversation.socket, pattern)
        }
      }
      try House.with(Setup(), script) { house throws in
        let before = try baseline(house)
        let client = try house.client()
        try client.send(request("GET", "/big", [auth]))
        let head = try #require(try client.head())
        #expect(head["Content-Length"] == "\(Self.gibibyte)")
        var received = 0
        let deadline = Deadline.after(.seconds(240))
        while received < Self.gibibyte {
          let bytes = try client.wire.some(atMost: Self.gibibyte - received, deadline)
          guard !bytes.isEmpty, pattern.matches(bytes, at: received) else { throw Failure("wrong or missing bytes at \(received)") }
          received += bytes.count
        }
        let grown = try house.gate.child.peakMemory() - before
        #expect(grown < allowed, "grew by \(grown) KiB")
        #expect(try client.exchange(request("GET", "/small", [auth])).text == "small")
      }
    }

    @Test(.byEachEngine) func aChunkedUploadOfAGibibyteIsNotHeld() throws {
      let pattern = Pattern()
      let script: Script = { conversation in
        while var message = try conversation.head() {
          // Not recorded: the test does not want to hold it either.
          if message.method == "PUT" { conversation.wire.record = nil }
          var received = 0
          try conversation.finish(&message) { bytes in
            guard pattern.matches(bytes, at: received) else { throw Failure("wrong bytes at \(received)") }
            received += bytes.count
          }
          try conversation.send(Answer.text("\(received)"))
        }
      }
      try House.with(Setup(), script) { house throws in
        let before = try baseline(house)
        let client = try house.client()
        try client.send(request("PUT", "/big", [auth, "Transfer-Encoding: chunked"]))
        let header = [UInt8]("\(String(Self.piece, radix: 16))\r\n".utf8)
        var sent = 0
        while sent < Self.gibibyte {
          try client.socket.write(header + pattern.bytes(at: sent, count: Self.piece) + [13, 10], .after(.seconds(120)))
          sent += Self.piece
        }
        try client.send("0\r\n\r\n")
        #expect(try client.response(to: "PUT", .after(.seconds(120)))?.text == "\(Self.gibibyte)")
        let grown = try house.gate.child.peakMemory() - before
        #expect(grown < allowed, "grew by \(grown) KiB")
      }
    }

    @Test(.byEachEngine) func slowReadersHoldNobodyUp() throws {
      let pattern = Pattern()
      let size = 64 << 20
      let passed = Monitor(0)
      let script: Script = { conversation in
        while let request = try conversation.request() {
          guard request.target == "/big" else {
            try conversation.send(Answer.text("small"))
            continue
          }
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
          do {
            var sent = 0
            while sent < size {
              try conversation.send(Array(pattern.bytes(at: sent, count: 65536)))
              sent += 65536
              passed.with { $0 += 65536 }
            }
          } catch is Socket.Trouble { return }
        }
      }
      try House.with(Setup(workers: 2), script) { house throws in
        func quick() throws -> Duration {
          try ContinuousClock().measure {
            for _ in 0..<200 {
              let answer = try house.ask("GET", "/small", [auth])
              #expect(answer.text == "small")
            }
          }
        }
        let before = try baseline(house)
        let quiet = try quick()

        let port = house.port
        let stop = Monitor(false)
        let reading = Steps()
        let ask = request("GET", "/big", [auth])
        let readers = (0..<16).map { _ in
          Worker {
            let client = try Client(to: port)
            client.socket.shrinkReceiveBuffer(to: 4096)
            try client.send(ask)
            var count = 0
            // A byte a second. The pace is the subject here, not a way of waiting.
            repeat {
              guard try client.wire.socket.read(atMost: 1).count == 1 else { throw Failure("a slow reader was let down") }
              count += 1
              if count == 1 { reading.advance() }
            } while stop.wait(until: .after(.seconds(1)), { $0 ? true : nil }) == nil
            client.abort()
            return count
          }
        }
        try reading.wait(for: 16)
        var slowest = Duration.zero
        for _ in 0..<5 { slowest = max(slowest, try quick()) }
        stop.with { $0 = true }
        for reader in readers { #expect(try reader.join() >= 1) }
        #expect(slowest < quiet * 4 + .seconds(1), "200 quick ones took \(slowest), alone \(quiet)")

        let grown = try house.gate.child.peakMemory() - before
        #expect(grown < allowed, "grew by \(grown) KiB")
        // The upstream was held back: what is under way is what fits into the sockets and our bounded buffers.
        #expect(passed.with { $0 } < 16 * size / 4)
      }
    }

    /// A fast flow is given more room than others, and may stop all the same: what is on its way then is bounded, and not in our memory.
    @Test(.byEachEngine) func readersThatWereFastAndStopHoldNobodyUp() throws {
      let size = 1 << 30
      let fast = 64 << 20
      let block = [UInt8](repeating: 0x61, count: 1 << 20)
      let passed = Monitor(0)
      let script: Script = { conversation in
        while let request = try conversation.request() {
          guard request.target == "/big" else {
            try conversation.send(Answer.text("small"))
            continue
          }
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
          do {
            for _ in 0..<size / block.count {
              try conversation.send(block)
              passed.with { $0 += block.count }
            }
          } catch is Socket.Trouble { return }
        }
      }
      try House.with(Setup(), script) { house throws in
        let before = try baseline(house)
        let readers = try (0..<4).map { _ in
          let client = try house.client()
          try client.send(request("GET", "/big", [auth]))
          #expect(try client.head()?.status == 200)
          var read = 0
          while read < fast { read += try client.wire.socket.read(atMost: 1 << 20).count }
          return client
        }
        // Until nothing more goes in for half a second.
        var last = (passed.with { $0 }, at: ContinuousClock.now)
        while ContinuousClock.now - last.at < .milliseconds(500) {
          #expect(try house.ask("GET", "/small", [auth]).text == "small")
          let now = passed.with { $0 }
          if now > last.0 { last = (now, ContinuousClock.now) }
        }
        #expect(last.0 < readers.count * size / 4, "\(last.0 >> 20) MiB were taken for readers of \(fast >> 20) MiB each")
        let grown = try house.gate.child.peakMemory() - before
        #expect(grown < allowed, "grew by \(grown) KiB")
        for reader in readers { reader.abort() }
      }
    }

    @Test(.byEachEngine) func aSlowUpstreamHoldsTheClientBack() throws {
      let go = Steps()
      try House.with(
        Setup(),
        { conversation in
          guard var message = try conversation.head() else { return }
          conversation.wire.record = nil
          if message.method == "PUT" { try go.wait() }
          try conversation.finish(&message) { _ in }
          try conversation.send(Answer.text("done"))
        }
      ) { house throws in
        let before = try baseline(house)
        let client = try house.client()
        let size = 256 << 20
        try client.send(request("PUT", "/", [auth, "Content-Length: \(size)"]))
        let block = [UInt8](repeating: 0x61, count: 1 << 20)
        // Until nothing more goes in for half a second.
        var sent = 0
        var last = ContinuousClock.now
        while ContinuousClock.now - last < .milliseconds(500) && sent < size {
          let count = try client.socket.writeSome(block, from: sent % block.count)
          sent += count
          if count > 0 { last = ContinuousClock.now }
        }
        #expect(sent < size / 2, "\(sent) bytes were taken in though nobody read them")
        go.advance()
        while sent < size {
          try client.socket.write(Array(block[(sent % block.count)...]))
          sent += block.count - sent % block.count
        }
        #expect(try client.response(to: "PUT", .after(.seconds(60)))?.text == "done")
        let grown = try house.gate.child.peakMemory() - before
        #expect(grown < allowed, "grew by \(grown) KiB")
      }
    }
  }
}
