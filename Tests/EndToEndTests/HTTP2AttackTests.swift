// What HTTP/2 allows to be written that HTTP/1.1 would read as something else, and streams that do not say what they mean.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFrontOfHTTP2) struct HTTP2Attacks {
    private static let alice = FrameClient.authorized(People.alice)

    private static func fields(_ more: (String, String)...) -> [(String, String)] { FrameClient.fields("/", "GET", [alice] + more) }

    private static func replacing(_ name: String, _ value: String) -> [(String, String)] {
      fields().map { $0.0 == name ? (name, value) : $0 }
    }

    private static func without(_ name: String) -> [(String, String)] { fields().filter { $0.0 != name } }

    @Test func whatMayNotStandInARequestNeverReachesTheUpstream() throws {
      let malformed: [[(String, String)]] = [
        Self.fields(("x", "a\r\ny: z")), Self.fields(("x\r\ny", "a")), Self.fields(("x", "a\nb")), Self.fields(("x", "a\u{0}b")),
        Self.fields(("x", " a")), Self.fields(("x", "a ")), Self.fields(("X", "a")), Self.fields(("x y", "a")), Self.fields(("", "a")),
        Self.fields(("transfer-encoding", "chunked")), Self.fields(("connection", "close")), Self.fields(("upgrade", "h2c")),
        Self.fields(("keep-alive", "1")), Self.fields(("proxy-connection", "close")), Self.fields(("te", "gzip")),
        Self.replacing(":path", "/a b"), Self.replacing(":path", "/ HTTP/1.1\r\nhost: evil\r\n\r\nGET /"), Self.replacing(":path", "/#a"),
        Self.replacing(":path", ""), Self.replacing(":path", "a"), Self.replacing(":path", "*"),
        Self.replacing(":method", "GET / HTTP/1.1\r\nx:"),
        Self.replacing(":scheme", "ftp"), Self.replacing(":authority", "legacy.test\r\nx: y"), Self.without(":path"),
        Self.without(":method"),
        Self.without(":scheme"), Self.fields((":path", "/b")), Self.fields((":status", "200")), Self.fields((":protocol", "websocket")),
        [
          (":method", "GET"), (":path", "/"), (":path", "/b"), (":scheme", Front.current.scheme), (":authority", "legacy.test"), Self.alice,
        ],
        [(":method", "GET"), Self.alice, (":path", "/"), (":scheme", Front.current.scheme), (":authority", "legacy.test")],
        Self.fields(("content-length", "5")), Self.fields(("content-length", "0"), ("content-length", "0")),
        Self.fields(("content-length", "-1")), Self.fields(("content-length", "0x0")),
      ]
      try HTTP2.house(Setup(top: "error_log info")) { house, port throws in
        let client = try FrameClient(to: port)
        for fields in malformed {
          let answer = try client.exchange(fields)
          #expect(answer.reset == 1 && answer.status == nil, "\(fields)")
        }
        #expect(house.upstream.connections.isEmpty)
        try house.gate.child.errors.waitForLine(containing: "HTTP/2: malformed request: ")
        // And the connection goes on.
        #expect(try client.exchange(Self.fields()).status == 200)
      }
    }

    @Test func whatCanBeAnsweredIsAnswered() throws {
      let answered: [([(String, String)], Int)] = [
        (Self.fields(("host", "other.test")), 400), (Self.replacing(":scheme", Front.current.isSecure ? "http" : "https"), 400),
        (Self.replacing(":authority", "a b@c"), 400),
        (Self.fields(("content_length", "5")), 400), (Self.fields(("expect", "a-miracle")), 417), (Self.replacing(":path", "/%00"), 400),
        ([(":method", "CONNECT"), (":authority", "legacy.test:443"), Self.alice], 501),
        (FrameClient.fields("/" + String(repeating: "x", count: 9000), "GET", [Self.alice]), 414),
        (Self.fields() + Array(repeating: ("a", ""), count: 120), 431),
        (Self.fields() + Array(repeating: ("cookie", "a"), count: 120), 431),
        (
          Self.fields() + Array(repeating: ("a", String(repeating: "x", count: 8000)), count: 4) + [
            ("b", String(repeating: "x", count: 8000))
          ], 431
        ),
      ]
      try HTTP2.house { house, port throws in
        for (fields, status) in answered {
          let client = try FrameClient(to: port)
          var frames = Frame.block(fields)
          let first = Array(frames.prefix(16_000))
          frames.removeFirst(first.count)
          try client.send(Frame.make(Frame.headers, Frame.endStream | (frames.isEmpty ? Frame.endHeaders : 0), stream: 1, first))
          while !frames.isEmpty {
            let next = Array(frames.prefix(16_000))
            frames.removeFirst(next.count)
            try client.send(Frame.make(Frame.continuation, frames.isEmpty ? Frame.endHeaders : 0, stream: 1, next))
          }
          let answer = try client.answer(1)
          // Some the library refuses by itself.
          #expect(answer.status == status || (answer.status == nil && answer.reset == 1), "\(status): \(answer)")
        }
        #expect(house.upstream.connections.isEmpty)
      }
    }

    /// Also where the head was never read as one.
    @Test func noRefusalOfAHeadHasContent() throws {
      let other = Front.current.isSecure ? "http" : "https"
      let long = "/" + String(repeating: "x", count: 9000)
      let heads: [([(String, String)], Int)] = [
        (FrameClient.fields("/", "HEAD"), 401), (FrameClient.fields(long, "HEAD"), 414),
        ([(":path", long), (":authority", "legacy.test"), (":method", "HEAD"), (":scheme", Front.current.scheme)], 414),
        (FrameClient.fields("/", "HEAD", scheme: other), 400),
        ([(":scheme", other), (":path", "/"), (":method", "HEAD"), (":authority", "legacy.test")], 400),
        (FrameClient.fields("/", "HEAD", [("host", "other.test")]), 400),
        (FrameClient.fields("/", "HEAD") + Array(repeating: ("a", ""), count: 120), 431),
      ]
      try HTTP2.house { house, port throws in
        let client = try FrameClient(to: port)
        for (fields, status) in heads {
          let answer = try client.exchange(fields)
          #expect(answer.status == status && answer.hasEnded && answer.bodyCount == 0 && answer.reset == nil, "\(status): \(answer)")
        }
        // With GET they have.
        let answer = try client.exchange(FrameClient.fields("/", "GET", scheme: other))
        #expect(answer.status == 400 && answer.bodyCount > 0)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    /// What was read of an earlier head is not there any more.
    @Test func aMethodThatIsRefusedIsNotLookedForInTheRequestBefore() throws {
      try HTTP2.house { house, port throws in
        let client = try FrameClient(to: port)
        for method in ["GET", "HEAD"] {
          #expect(try client.exchange(FrameClient.fields("/", method)).status == 401)
          let answer = try client.exchange(FrameClient.fields("/", String(repeating: "X", count: 9000)))
          #expect(answer.status == 414 && answer.bodyCount > 0, "\(answer)")
        }
        #expect(try client.exchange(Self.fields()).status == 200)
        #expect(house.gate.child.isRunning)
      }
    }

    @Test(.byEachEngine) func aBodyThatIsNotAsLongAsItSaysIsNeverWholeToTheUpstream() throws {
      let script: Script = { conversation in
        do {
          while try conversation.request() != nil { try conversation.send(Answer.text("hello")) }
        } catch is Truncated {} catch is Socket.Trouble {}
      }
      let data = { (bytes: [UInt8], ends: Bool) in Frame.make(Frame.data, ends ? Frame.endStream : 0, stream: 1, bytes) }
      let trailers = Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: 1, Frame.block([("x", "y")]))
      let wrong: [[UInt8]] = [
        data([1, 2, 3], true), data([1, 2, 3, 4, 5, 6], true), data([1, 2, 3, 4, 5], false) + data([6], true),
        data([1, 2, 3, 4, 5, 6, 7], false), data([1, 2, 3], false) + trailers, data([], true),
      ]
      try HTTP2.house(Setup(), script) { house, port throws in
        for frames in wrong {
          let client = try FrameClient(to: port)
          _ = try client.request(FrameClient.fields("/", "POST", [Self.alice, ("content-length", "5")]), ends: false)
          // The upstream has its head already, in most cases.
          try house.upstream.waitForConnections(1)
          try client.send(frames)
          let answer = try client.answer(1)
          #expect(answer.reset == 1 && answer.status == nil, "\(frames)")
        }
        // A length that is right is whole, in two frames or one, and not before the stream has ended.
        let client = try FrameClient(to: port)
        let id = try client.request(FrameClient.fields("/", "POST", [Self.alice, ("content-length", "5")]), ends: false)
        try client.send(data([1, 2, 3, 4, 5], false))
        #expect(try client.exchange(Self.fields()).status == 200)
        #expect(house.upstream.requests.count == 1)
        try client.send(data([], true))
        #expect(try client.answer(id).status == 200)
        #expect(house.upstream.requests.map(\.body) == [[], [1, 2, 3, 4, 5]])
      }
    }

    @Test(.byEachEngine) func thatThereIsNoBodyIsKnownWhenTheStreamHasEnded() throws {
      let fields = FrameClient.fields("/", "POST", [Self.alice, ("content-length", "0")])
      try HTTP2.house(Setup(top: "header_timeout 1s")) { house, port throws in
        let client = try FrameClient(to: port)
        let (spoilt, whole) = (try client.request(fields, ends: false), try client.request(fields, ends: false))
        // Both have been looked at when a later request is answered, and neither is at the upstream.
        #expect(try client.exchange(Self.fields()).status == 200)
        #expect(house.upstream.requests.map(\.method) == ["GET"])
        try client.send(Frame.make(Frame.data, Frame.endStream, stream: spoilt, Array("GET / HTTP/1.1\r\n\r\n".utf8)))
        #expect(try client.answer(spoilt).reset == 1)
        try client.send(Frame.make(Frame.data, Frame.endStream, stream: whole))
        #expect(try client.answer(whole).status == 200)
        #expect(house.upstream.requests.map(\.method) == ["GET", "POST"])
        // Nor does it wait without end.
        let left = try client.request(fields, ends: false)
        #expect(try client.answer(left).reset == 8)
        #expect(try client.exchange(Self.fields()).status == 200)
        #expect(house.upstream.requests.count == 3)
      }
    }

    @Test func whatComesInTrailersIsJudgedLikeFields() throws {
      let trailers: [[(String, String)]] = [
        [(":path", "/")], [("x", "a\r\ny: z")], [("transfer-encoding", "chunked")], [("X", "y")], [("content-length", "1")],
        [("host", "a")],
        [("authorization", "Basic eA==")],
      ]
      let script: Script = { conversation in
        do {
          while try conversation.request() != nil { try conversation.send(Answer.text("hello")) }
        } catch is Truncated {} catch is Socket.Trouble {}
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        for fields in trailers {
          let id = try client.request(FrameClient.fields("/", "POST", [Self.alice]), ends: false)
          try client.send(
            Frame.make(Frame.data, stream: id, [1])
              + Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id, Frame.block(fields)))
          let answer = try client.answer(id)
          #expect(answer.reset == 1 && answer.status == nil, "\(fields)")
        }
        #expect(house.upstream.requests.isEmpty)
        // Whose user it is, nobody says in trailers either.
        let id = try client.request(FrameClient.fields("/", "POST", [Self.alice]), ends: false)
        try client.send(
          Frame.make(Frame.headers, Frame.endHeaders | Frame.endStream, stream: id, Frame.block([("x-forwarded-user", "bob"), ("x", "y")])))
        #expect(try client.answer(id).status == 200)
        #expect(house.upstream.requests.first?.trailers.map(\.name) == ["x"])
      }
    }

    @Test func cookiesInCrumbsAreOneField() throws {
      try HTTP2.house { house, port throws in
        let client = try FrameClient(to: port)
        #expect(try client.exchange(Self.fields(("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"))).status == 200)
        #expect(house.upstream.requests.first?.values("Cookie") == ["a=1; b=2"])
        let host = try client.exchange(Self.without(":authority") + [("host", "other.test")])
        #expect(host.status == 200 && house.upstream.requests.last?["Host"] == "other.test")
      }
    }

    @Test func aRequestThatIsResetIsOverAtOnce() throws {
      let seen = Monitor(0)
      let script: Script = { conversation in
        do {
          guard try conversation.request() != nil else { return }
          try conversation.waitForEnd()
        } catch is Socket.Trouble {}
        seen.with { $0 += 1 }
      }
      try HTTP2.house(Setup(), script) { house, port throws in
        let client = try FrameClient(to: port)
        let id = try client.request(Self.fields())
        _ = try house.upstream.requests(1)
        try client.send(Frame.make(Frame.reset, stream: id, Frame.number(8)))
        // The upstream's connection is closed: nobody waits for its answer.
        #expect(seen.wait { $0 == 1 ? true : nil } == true)
        let line = try #require(try house.accessLines(1).first)
        #expect(line["status"] as? Int == 499)
      }
    }

    @Test func aPasswordCheckWhoseStreamIsGoneHarmsNobody() throws {
      // Each check takes a moment: bcrypt of cost 10, and one thread for all of them.
      let users = "slow:$2y$10$Vj3d2bJ5yrSA9f1pIc1LRuwHGFyTk4KkO7wTdnRoW7YEw4n3yd6Xe\n" + People.file
      try HTTP2.house(Setup(top: "hash_threads 1", users: users), HTTP2.echo) { house, port throws in
        let client = try FrameClient(to: port)
        for i in 0..<50 {
          let wrong = "Basic " + Data("slow:wrong\(i)".utf8).base64EncodedString()
          let id = try client.request(FrameClient.fields("/", "GET", [("authorization", wrong)]))
          try client.send(Frame.make(Frame.reset, stream: id, Frame.number(8)))
        }
        let answer = try client.exchange(FrameClient.fields("/mine", "GET", [Self.alice]))
        #expect(answer.body == [UInt8]("alice /mine 0".utf8))
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func moreStreamsThanAreAllowedAreRefused() throws {
      let gate = Monitor(false)
      let script: Script = { conversation in
        while try conversation.request() != nil {
          _ = gate.wait { $0 ? true : nil }
          try conversation.send(Answer.text("hello"))
        }
      }
      try HTTP2.house(Setup(top: "http2 { max_streams 4 }"), script) { house, port throws in
        let client = try FrameClient(to: port)
        // All at once, before the server's settings can have been read: those beyond are refused unharmed, and may be sent again.
        let begun = (0..<6).map { _ in client.begin(Self.fields()) }
        try client.send(begun.flatMap(\.frame))
        for (id, _) in begun.suffix(2) { #expect(try client.answer(id).reset == 7) }
        gate.with { $0 = true }
        for (id, _) in begun.prefix(4) { #expect(try client.answer(id).status == 200) }
        #expect(house.upstream.requests.count == 4)
      }
    }

    @Test func nothingIsDoneAfterAConnectionHasEnded() throws {
      try HTTP2.house { house, port throws in
        let client = try FrameClient(to: port)
        // DATA on no stream is an error of the connection; what follows in the same packet is not looked at.
        let (_, request) = client.begin(Self.fields())
        try client.send(Frame.make(Frame.data, stream: 0, [1]) + request)
        #expect(try client.end() == 1)
        #expect(house.upstream.connections.isEmpty)
      }
    }
  }
}
