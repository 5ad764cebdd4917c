// The echo upstream, over real sockets.

import Crypto
import Glibc
import Net
import Primitives
import Testing

@testable import gatehouse

/// A client that says raw bytes, and waits for what it wants to hear. The ten seconds are what a broken test takes to fail.
struct RawClient: ~Copyable {
  private var stream: Stream
  private var heard = ByteBuffer()

  init(_ address: SocketAddress) throws {
    stream = try Stream.connect(to: address)
    wait(POLLOUT)
  }

  @discardableResult
  private func wait(_ events: Int32) -> Bool {
    var one = pollfd(fd: stream.descriptor, events: Int16(events), revents: 0)
    let isReady = unsafe poll(&one, 1, 10_000) == 1
    #expect(isReady, "the server is silent")
    return isReady
  }

  mutating func say(_ text: String) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
      switch stream.write(bytes.span.extracting(sent..<bytes.count)) {
      case .bytes(let count): sent += count
      case .wouldBlock: guard wait(POLLOUT) else { return }
      case let other:
        Issue.record("\(other)")
        return
      }
    }
  }

  func sayNoMore() { stream.shutdownWrite() }

  /// Reads until what was heard ends with `text`, and answers all since the last time.
  mutating func hear(until text: String) -> String {
    let end = Array(text.utf8)
    while !(heard.count >= end.count && heard.array().suffix(end.count).elementsEqual(end)) {
      guard hearMore() else { break }
    }
    return take()
  }

  /// Reads until the server ends the connection.
  mutating func hearAll() -> String {
    while hearMore() {}
    return take()
  }

  /// Reads `count` bytes and throws them away.
  mutating func skip(_ count: Int) {
    while heard.count < count { guard hearMore() else { return } }
    heard.consume(count)
  }

  private mutating func take() -> String {
    defer { heard.removeAll() }
    return String(decoding: heard.array(), as: UTF8.self)
  }

  private mutating func hearMore() -> Bool {
    while true {
      switch stream.read(into: &heard, atMost: 65536) {
      case .bytes: return true
      case .wouldBlock: guard wait(POLLIN) else { return false }
      case .closed, .failed: return false
      }
    }
  }
}

/// An echo server on a thread of its own, stopped with the test.
final class RunningEcho {
  let address: SocketAddress
  private let stop: Mailbox<Bool>
  private let thread: Net.Thread

  init(_ listen: SocketAddress = .ipv4(address: 0x7F00_0001, port: 0)) throws {
    let started = try Mailbox<(SocketAddress, Mailbox<Bool>)>()
    thread = try Threads.spawn(name: "echo") {
      let server = try EchoServer(listeningOn: listen)
      started.post((server.address, server.stop))
      return server
    } run: { server in
      server.run()
    }
    (address, stop) = try #require(started.drain().first)
  }

  deinit {
    stop.post(true)
    thread.join()
  }

  func client() throws -> RawClient { try RawClient(address) }
}

@Suite struct EchoServerTests {
  private let echo: RunningEcho

  init() throws { echo = try RunningEcho() }

  /// SHA-256 of `text`, in hexadecimal.
  private func digest(_ text: String) -> String {
    String(decoding: SHA256.hash(Array(text.utf8).span).hex, as: UTF8.self)
  }

  @Test func reportTellsWhatWasReceivedInItsOrder() throws {
    var client = try echo.client()
    client.say("PROPFIND /a%20b?c=\"d\" HTTP/1.1\r\nHost: x\r\nX-B: 2\r\nx-a:  1 \r\nX-B: é\r\nContent-Length: 5\r\n\r\nhello")
    let answer = client.hear(until: "\n}\n")
    #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(answer.contains("\"method\": \"PROPFIND\",\n  \"target\": \"/a%20b?c=\\\"d\\\"\",\n  \"version\": \"HTTP/1.1\""))
    #expect(
      answer.contains(
        "[\n    [\"Host\", \"x\"],\n    [\"X-B\", \"2\"],\n    "
          + "[\"x-a\", \"1\"],\n    [\"X-B\", \"é\"],\n    [\"Content-Length\", \"5\"]\n  ]"
      ))
    #expect(answer.contains("\"body\": {\"length\": 5, \"sha256\": \"\(digest("hello"))\"}"))
  }

  @Test func pipelinedRequestsAreAnsweredInOrder() throws {
    var client = try echo.client()
    let requests = (1...50).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined()
    client.say(requests + "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    let answers = client.hearAll()
    var rest = answers[...]
    for name in (1...50).map(String.init) + ["last"] {
      let place = try #require(rest.firstRange(of: "\"target\": \"/\(name)\""))
      rest = rest[place.upperBound...]
    }
    #expect(answers.contains("\"connection\": 1,\n  \"request\": 51\n"))
  }

  @Test(arguments: [1, 7, 1000])
  func requestMayComeInAnyPieces(size: Int) throws {
    let request = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-T: 1\r\n\r\n"
    var client = try echo.client()
    var rest = request[...]
    while !rest.isEmpty {
      client.say(String(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
    let answer = client.hear(until: "\n}\n")
    #expect(answer.contains("\"length\": 11, \"sha256\": \"\(digest("hello world"))\""))
    #expect(answer.contains("\"trailers\": [\n    [\"X-T\", \"1\"]\n  ]"))
  }

  @Test func continueIsSaidBeforeTheBody() throws {
    var client = try echo.client()
    client.say("PUT /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    #expect(client.hear(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
    client.say("ab")
    #expect(client.hear(until: "\n}\n").contains(digest("ab")))
  }

  @Test(arguments: ["/x", "/bytes/1000000", "/bytes/5?chunked", "/sse/3", "/trailers", "/status/404"])
  func headHasNoBody(path: String) throws {
    var client = try echo.client()
    client.say("HEAD \(path) HTTP/1.1\r\nHost: x\r\n\r\nHEAD \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    let heads = client.hearAll()
    #expect(heads.components(of: "HTTP/1.1 ") == 2)
    #expect(heads.components(of: "\r\n\r\n") == 2)
    #expect(heads.hasSuffix("\r\n\r\n"))
  }

  @Test(arguments: [200, 204, 304, 401, 503, 599])
  func statusIsTheOneAskedFor(status: Int) throws {
    var client = try echo.client()
    client.say("GET /status/\(status) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    let answer = client.hearAll()
    #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
    #expect(answer.hasSuffix("\r\n\r\n") == (status == 204 || status == 304))
  }

  @Test(arguments: ["/status/100", "/status/600", "/status/x", "/bytes/-1", "/bytes/", "/sse/x", "/sse/1?interval=", "/delay/99999999999"])
  func senselessNumberIsRefused(path: String) throws {
    var client = try echo.client()
    client.say("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(client.hearAll().hasPrefix("HTTP/1.1 400 "))
  }

  @Test func unclearFramingIsRefusedAndEndsTheConnection() throws {
    var client = try echo.client()
    client.say("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    let answer = client.hearAll()
    #expect(answer.hasPrefix("HTTP/1.1 400 "))
    #expect(answer.components(of: "HTTP/1.1 ") == 1)
  }

  @Test func http10IsAnsweredWithoutChunks() throws {
    for path in ["/sse/2?interval=0", "/bytes/7?chunked", "/trailers"] {
      var client = try echo.client()
      client.say("GET \(path) HTTP/1.0\r\n\r\n")
      let answer = client.hearAll()
      #expect(!answer.contains("chunked"))
      #expect(!answer.contains("\r\n0\r\n"))
    }
  }

  @Test func eventsComeOneByOne() throws {
    var client = try echo.client()
    client.say("GET /sse/3?interval=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    let stream = client.hear(until: "\r\n0\r\n\r\n")
    #expect(stream.contains("Content-Type: text/event-stream\r\n"))
    for i in 1...3 { #expect(stream.contains("id: \(i)\ndata: event \(i)\n\n\r\n")) }
    // The connection goes on.
    client.say("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(client.hear(until: "\n}\n").contains("\"request\": 2"))
  }

  @Test func manyEventsWithoutPauseAllCome() throws {
    var client = try echo.client()
    client.say("GET /sse/20000?interval=0 HTTP/1.1\r\nHost: x\r\n\r\n")
    let stream = client.hear(until: "\r\n0\r\n\r\n")
    #expect(stream.components(of: "id: ") == 20000)
  }

  @Test func delayedReportComes() throws {
    var client = try echo.client()
    let start = Instant.now()
    client.say("GET /delay/20 HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(client.hear(until: "\n}\n").contains("\"target\": \"/delay/20\""))
    #expect(Instant.now().since(start) >= 20_000_000)
  }

  @Test func earlyHintsComeFirst() throws {
    var client = try echo.client()
    client.say("GET /early-hints?delay=5 HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(client.hear(until: "\r\n\r\n").hasPrefix("HTTP/1.1 103 Early Hints\r\nLink: "))
    #expect(client.hear(until: "\n}\n").hasPrefix("HTTP/1.1 200 "))
  }

  @Test func trailersFollowTheBody() throws {
    var client = try echo.client()
    client.say("GET /trailers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    let answer = client.hearAll()
    #expect(answer.contains("Trailer: X-Echo-Trailer, X-Echo-Length\r\n"))
    #expect(answer.contains("\r\n0\r\nX-Echo-Trailer: after the body\r\nX-Echo-Length: "))
    #expect(answer.hasSuffix("\r\n\r\n"))
  }

  @Test func unreadGibibytesHoldNeitherMemoryNorOthers() throws {
    var slow = try echo.client()
    slow.say("GET /bytes/1099511627776 HTTP/1.1\r\nHost: x\r\n\r\n")
    slow.skip(100_000)
    // While nobody reads the rest, another is answered.
    var quick = try echo.client()
    for i in 1...20 {
      quick.say("GET /\(i) HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(quick.hear(until: "\n}\n").contains("\"request\": \(i)\n"))
    }
    slow.skip(10_000_000)
  }

  @Test func halfClosedClientGetsItsAnswer() throws {
    var client = try echo.client()
    client.say("GET /delay/5 HTTP/1.1\r\nHost: x\r\n\r\n")
    client.sayNoMore()
    #expect(client.hearAll().contains("\"target\": \"/delay/5\""))
  }

  @Test func unixSocketServesAndItsFileGoesAtTheEnd() throws {
    let path = "/tmp/gatehouse-echo-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    do {
      let echo = try RunningEcho(.unix(path: path))
      var client = try echo.client()
      client.say("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(client.hear(until: "\n}\n").contains("\"target\": \"/x\""))
    }
    #expect(unsafe access(path, F_OK) != 0)
  }
}

extension String {
  /// How many times `part` occurs.
  fileprivate func components(of part: String) -> Int {
    ranges(of: part).count
  }
}
