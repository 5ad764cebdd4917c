// The client's session against the server's: what one says the other hears.

import HTTP
import HTTP2
import Primitives
import Testing

@Suite struct ClientSessionTests {
  private final class Somebody {}

  private final class Server {
    let owner = HTTP2SessionOwner(
      HTTP2Options(), limits: HeadLimits(), scheme: .https, workroom: HTTP2Workroom(), now: Instant(nanoseconds: 1_000_000_000_000))
    var session: HTTP2Session { owner.session }
  }

  /// What the server makes of what the client has written.
  private static func heard(_ session: HTTP2Session, _ client: HTTP2ClientSession) -> (words: [String], bytes: Int) {
    #expect(client.produce())
    var out = ByteBuffer()
    swap(&out, &client.out)
    var words: [String] = []
    var left = out.array()[...]
    let isTaken = session.inspect(out.span)
    #expect(isTaken)
    while !left.isEmpty {
      let piece = Array(left)
      guard let count = session.receive(piece.span) else { return (words + ["over"], 0) }
      for i in 0..<session.eventCount {
        let event = session.event(i)
        var text = ByteBuffer()
        if event.kind == .head || event.kind == .end { session.appendText(of: event, to: &text) }
        let data = event.kind == .data ? String(decoding: piece[Int(event.start)..<Int(event.start + event.count)], as: UTF8.self) : ""
        words.append("\(event.kind) \(ASCII.string(text.span))\(data)")
      }
      session.forgetEvents()
      left = left.dropFirst(count)
    }
    return (words, out.count)
  }

  private static func tell(_ session: HTTP2Session, to client: HTTP2ClientSession) {
    #expect(session.produce())
    var out = ByteBuffer()
    swap(&out, &session.out)
    let isTaken = client.inspect(out.span)
    let count = client.receive(out.span)
    let all = out.count
    #expect(isTaken && count == all)
  }

  private static func pair() -> (Server, HTTP2ClientSession) {
    let owner = Server()
    let client = HTTP2ClientSession(limits: HeadLimits(), now: Instant(nanoseconds: 1_000_000_000_000))
    #expect(client.room == 0)
    _ = heard(owner.session, client)
    tell(owner.session, to: client)
    #expect(client.hasSettings && client.room == 100)
    return (owner, client)
  }

  private static func ask(
    _ client: HTTP2ClientSession, _ text: String, body: HTTP2ClientSession.Body = .none, takesTrailers: Bool = false, _ somebody: Somebody
  ) throws -> HTTP2ClientStream {
    let stream = client.request(
      Array(text.utf8).span, scheme: .https, authority: Array("service:8443".utf8), body: body, takesTrailers: takesTrailers, owner: somebody)
    return try #require(stream)
  }

  @Test func aRequestArrivesAsItWasButForItsConnection() throws {
    let (owner, client) = Self.pair()
    let somebody = Somebody()
    _ = try Self.ask(
      client,
      "GET /a?b=%20 HTTP/1.1\r\nHost: example.test\r\nConnection: Upgrade, X-Mine\r\nUpgrade: websocket\r\nKeep-Alive: 5\r\nTE: gzip\r\n"
        + "X-Mine: Value\r\nCookie: a=b\r\n",
      takesTrailers: true, somebody)
    let head = "head GET /a?b=%20 HTTP/1.1\r\nhost: example.test\r\nx-mine: Value\r\nte: trailers\r\ncookie: a=b\r\n\r\n"
    #expect(Self.heard(owner.session, client).words == [head])
    // Without Host the server's own name goes; of no content its length is said where it was.
    _ = try Self.ask(client, "POST / HTTP/1.1\r\nContent-Length: 0\r\nEmpty:\r\n", somebody)
    #expect(Self.heard(owner.session, client).words == ["head POST / HTTP/1.1\r\nhost: service:8443\r\ncontent-length: 0\r\nempty: \r\n\r\n"])
    withExtendedLifetime(owner) {}
  }

  @Test func bodiesAndTrailersFollow() throws {
    let (owner, client) = Self.pair()
    let somebody = Somebody()
    let stream = try Self.ask(client, "POST /up HTTP/1.1\r\nHost: a\r\n", body: .unknown, somebody)
    var piece = ByteBuffer()
    piece.append("one")
    stream.give(&piece)
    #expect(Self.heard(owner.session, client).words == ["head POST /up HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", "data one"])
    piece.append("two")
    stream.give(&piece)
    var trailers = ByteBuffer()
    trailers.append("X-Sum: 6\r\n")
    stream.finish(trailers: trailers)
    #expect(Self.heard(owner.session, client).words == ["data two", "end 0\r\nx-sum: 6\r\n\r\n"])
    #expect(stream.sentCount == 6 && stream.isSpent)
    let other = try Self.ask(client, "POST /up HTTP/1.1\r\nHost: a\r\n", body: .length(3), somebody)
    piece.append("abc")
    other.give(&piece)
    other.finish(trailers: ByteBuffer())
    #expect(Self.heard(owner.session, client).words == ["head POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n", "data abc", "end "])
    withExtendedLifetime(owner) {}
  }

  /// A head of several frames may be on its way when its request is given up: the server knows of it then, and hears of the end.
  @Test func whatIsGivenUpWithinItsHeadIsCountedOnce() throws {
    let (owner, client) = Self.pair()
    let somebody = Somebody()
    _ = Self.heard(owner.session, client)
    for isBegun in [true, false] {
      let fields = (0..<5).map { "X-\($0): \(String(repeating: "v", count: 7000))\r\n" }.joined()
      let stream = try Self.ask(client, "GET / HTTP/1.1\r\nHost: a\r\n" + fields, somebody)
      if isBegun {
        // As much waits to be written as may.
        client.out.append([UInt8](repeating: 0, count: HTTP2Limits.outHigh - 1))
        #expect(client.produce())
        let (most, begun) = (HTTP2Limits.outHigh - 1, client.out.count)
        #expect(begun > most + 1000 && begun < most + 32 << 10 && !stream.isSent)
        client.out.consume(most)
      }
      #expect(client.openStreams == 1)
      stream.reset(.cancel)
      #expect(client.openStreams == 0)
      #expect(client.produce())
      #expect(client.openStreams == 0 && stream.isSent == isBegun)
      client.out.removeAll()
    }
    withExtendedLifetime(owner) {}
  }

  /// RFC 7541 section 7.1.3: what one user's requests hold must not be told from how small another's become.
  @Test func whatUsersSendIsNotCompressedTogether() throws {
    let (owner, client) = Self.pair()
    let somebody = Somebody()
    let secret = String(repeating: "k", count: 40)
    let text = "GET / HTTP/1.1\r\nHost: example.test\r\nX-Key: \(secret)\r\nAuthorization: Basic \(secret)\r\nCookie: c=\(secret)\r\nRemote-User: \(secret)\r\n"
    var sizes: [Int] = []
    for _ in 0..<3 {
      _ = try Self.ask(client, text, somebody)
      sizes.append(Self.heard(owner.session, client).bytes)
    }
    // Only the authority has entered the table.
    #expect(sizes[1] == sizes[2] && sizes[0] - sizes[1] < 20 && sizes[2] > 4 * 30, "\(sizes)")
    withExtendedLifetime(owner) {}
  }

  @Test func whatIsNoHeadIsNotSent() {
    let (owner, client) = Self.pair()
    for text in ["", "GET", "GET / HTTP/1.1", "GET / HTTP/1.1\r\nno colon\r\n", "GET / HTTP/1.1\r\na: b\n"] {
      let stream = client.request(Array(text.utf8).span, scheme: .http, authority: [97], body: .none, takesTrailers: false, owner: Somebody())
      #expect(stream == nil, "\(text)")
    }
    withExtendedLifetime(owner) {}
  }
}
