// Large bodies of known length, which go from socket to socket without being read: what may happen to one in the middle, and to the next.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachRawFront, .byEachEngine) struct PipedBodies {
    private let auth = People.alice.authorization
    private static let mebibyte = 1 << 20
    private let pattern = Pattern()

    private func piece(at offset: Int) -> [UInt8] { Array(pattern.bytes(at: offset, count: Self.mebibyte)) }

    private func put(_ count: Int) -> String { request("PUT", "/", [auth, "Content-Length: \(count)"]) }

    /// Answers every request with how much of its body was as it should be.
    private func counting() -> Script {
      let pattern = self.pattern
      return { conversation in
        while var message = try conversation.head() {
          var received = 0
          try conversation.finish(&message) { bytes in
            guard pattern.matches(bytes, at: received) else { throw Failure("wrong bytes at \(received)") }
            received += bytes.count
          }
          try conversation.send(Answer.text("\(received)"))
        }
      }
    }

    private func arrived(_ count: Int, at house: House) throws {
      try eventually("\(count) bytes at the upstream") { house.upstream.connections.contains { $0.count >= count } }
    }

    /// splice(2) stops before an urgent byte and says that nothing is there, while the poller says that something is.
    @Test func anUrgentByteStopsNoUpload() throws {
      try House.with(Setup(), counting()) { house throws in
        let client = try house.client()
        try client.send(put(2 * Self.mebibyte))
        try client.send(piece(at: 0))
        try arrived(Self.mebibyte, at: house)
        try client.socket.writeUrgent()
        try client.send(piece(at: Self.mebibyte))
        #expect(try client.response(to: "PUT")?.text == "\(2 * Self.mebibyte)")
      }
    }

    @Test func anUrgentByteStopsNoDownload() throws {
      let go = Steps()
      let pieces = [piece(at: 0), piece(at: Self.mebibyte)]
      let script: Script = { conversation in
        guard try conversation.request() != nil else { return }
        try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(2 * Self.mebibyte)\r\n\r\n")
        try conversation.send(pieces[0])
        try go.wait()
        try conversation.socket.writeUrgent()
        try conversation.send(pieces[1])
        try conversation.waitForEnd()
      }
      try House.with(Setup(), script) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [auth]))
        _ = try #require(try client.head())
        #expect(try client.wire.exactly(Self.mebibyte) == pieces[0])
        go.advance()
        #expect(try client.wire.exactly(Self.mebibyte) == pieces[1])
      }
    }

    @Test func whatFollowsALargeBodyIsTheNextRequest() throws {
      try House.with(Setup(), counting()) { house throws in
        let client = try house.client()
        for count in [16, 3, 1] {
          try client.send(put(count * Self.mebibyte))
          for i in 0..<count - 1 { try client.send(piece(at: i * Self.mebibyte)) }
          // The last piece and the next head in one.
          try client.send(piece(at: (count - 1) * Self.mebibyte) + [UInt8](put(0).utf8))
          #expect(try client.response(to: "PUT")?.text == "\(count * Self.mebibyte)")
          #expect(try client.response(to: "PUT")?.text == "0")
        }
        let lines = try house.accessLines(6)
        #expect(lines.map { $0["bytes_in"] as? Int } == [16, 0, 3, 0, 1, 0].map { $0 * Self.mebibyte })
      }
    }

    /// Whoever goes in the middle leaves bytes in a pipe that the next one must not be sent.
    @Test func theRestOfABrokenBodyIsNobodys() throws {
      let isFirst = Monitor(true)
      let (done, count) = (Steps(), counting())
      let script: Script = { conversation in
        if isFirst.with({
          let was = $0
          $0 = false
          return was
        }) {
          // Its head alone is read, so that the body backs up.
          _ = try conversation.head()
          return try done.wait()
        }
        try count(conversation)
      }
      try House.with(Setup(), script) { house throws in
        let first = try house.client()
        try first.send(put(256 * Self.mebibyte))
        try first.socket.fill(with: [UInt8](repeating: 0x21, count: Self.mebibyte))
        first.abort()
        #expect(try house.accessLines(1)[0]["status"] as? Int == 499)
        let second = try house.client()
        try second.send(put(4 * Self.mebibyte))
        for i in 0..<4 { try second.send(piece(at: i * Self.mebibyte)) }
        #expect(try second.response(to: "PUT")?.text == "\(4 * Self.mebibyte)")
        done.advance()
      }
    }

    /// A refusal while the body is on its way: what is left of it goes nowhere, the answer arrives.
    @Test func aRefusalInTheMiddleOfAnUploadArrives() throws {
      let count = counting()
      let isFirst = Monitor(true)
      let script: Script = { conversation in
        guard
          isFirst.with({
            let was = $0
            $0 = false
            return was
          })
        else { return try count(conversation) }
        _ = try conversation.head()
        _ = try conversation.wire.exactly(Self.mebibyte)
        try conversation.send(Answer.text("no", status: "403 Forbidden"))
        do { try conversation.waitForEnd() } catch is Socket.Trouble {}
      }
      try House.with(Setup(), script) { house throws in
        let client = try house.client()
        try client.send(put(64 * Self.mebibyte))
        for i in 0..<8 { try client.send(piece(at: i * Self.mebibyte)) }
        let answer = try #require(try client.response(to: "PUT"))
        #expect(answer.status == 403 && answer.text == "no" && answer["Connection"] == "close")
        let next = try house.client()
        try next.send(put(Self.mebibyte))
        try next.send(piece(at: 0))
        #expect(try next.response(to: "PUT")?.text == "\(Self.mebibyte)")
      }
    }

    /// The upstream breaks off while a pipe is full of its answer: to be met when that was read, and by writing at the latest.
    @Test func anUpstreamThatBreaksOffInBothBodiesHarmsNobodyElse() throws {
      let count = counting()
      let isFirst = Monitor(true)
      let broken = Steps()
      let script: Script = { conversation in
        guard
          isFirst.with({
            let was = $0
            $0 = false
            return was
          })
        else { return try count(conversation) }
        _ = try conversation.head()
        try conversation.socket.write([UInt8]("HTTP/1.1 200 OK\r\nContent-Length: \(64 * Self.mebibyte)\r\n\r\n".utf8))
        try conversation.socket.fill(with: [UInt8](repeating: 0x21, count: 65536))
        conversation.reset()
        broken.advance()
      }
      try House.with(Setup(), script) { house throws in
        let client = try house.client()
        try client.send(put(64 * Self.mebibyte))
        try client.send(piece(at: 0))
        try broken.wait()
        // As much as is taken: it may all be dropped, or none.
        var stalled = 0
        for _ in 0..<512 where stalled < 100 {
          if try client.socket.writeSome(piece(at: 0)) == 0 {
            stalled += 1
            Thread.sleep(forTimeInterval: 0.005)
          }
        }
        let next = try house.client()
        try next.send(put(Self.mebibyte))
        try next.send(piece(at: 0))
        #expect(try next.response(to: "PUT")?.text == "\(Self.mebibyte)")
        client.abort()
      }
    }

    /// A pipe has two descriptors. With few of them, large bodies that nobody reads take none from those who come after.
    @Test func pipesTakeNoDescriptorsFromConnections() throws {
      let filler = [UInt8](repeating: 0x21, count: 65536)
      let script: Script = { conversation in
        while let request = try conversation.request() {
          guard request.target == "/large" else {
            try conversation.send(Answer.text("small"))
            continue
          }
          do {
            try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(1024 * filler.count)\r\n\r\n")
            for _ in 0..<1024 { try conversation.send(filler) }
          } catch is Socket.Trouble { return }
        }
      }
      try House.with(Setup(descriptors: 128), script) { house throws in
        let readers = try (0..<26).map { _ in
          let client = try house.client()
          client.socket.shrinkReceiveBuffer(to: 4096)
          try client.send(request("GET", "/large", [auth]))
          #expect(try client.head()?.status == 200)
          // Some of the body, so that its pipe is in use.
          _ = try client.wire.exactly(32 << 10)
          return client
        }
        #expect(try house.ask("GET", "/small", [auth]).text == "small")
        for reader in readers { reader.abort() }
      }
    }

    /// The timer of a body is the client's as long as the upstream took everything.
    @Test func anUploadThatStopsInTheMiddleIs408() throws {
      try House.with(
        Setup(top: "body_timeout 400ms"),
        { conversation in
          _ = try conversation.head()
          try conversation.waitForEnd()
        }
      ) { house throws in
        let client = try house.client()
        try client.send(put(16 * Self.mebibyte))
        for i in 0..<4 { try client.send(piece(at: i * Self.mebibyte)) }
        #expect(try client.response(to: "PUT")?.status == 408)
      }
    }

    /// And the upstream's while it takes nothing.
    @Test func anUploadThatTheUpstreamDoesNotTakeIs504() throws {
      let done = Steps()
      try House.with(
        Setup(upstream: "idle_timeout 400ms"),
        { conversation in
          _ = try conversation.head()
          try done.wait()
        }
      ) { house throws in
        let client = try house.client()
        try client.send(put(256 * Self.mebibyte))
        let filler = [UInt8](repeating: 0x21, count: Self.mebibyte)
        while !client.socket.hasInput {
          if try client.socket.writeSome(filler) == 0 { Thread.sleep(forTimeInterval: 0.005) }
        }
        #expect(try client.response(to: "PUT")?.status == 504)
        done.advance()
      }
    }
  }
}
