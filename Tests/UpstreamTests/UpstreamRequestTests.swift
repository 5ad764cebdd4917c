// What goes onto the wire, byte for byte: nothing that libcurl adds by itself, nothing that it takes away.

import HTTP
import Primitives
import Testing

@testable import Upstream

@Suite(.byEachEngine) struct UpstreamRequestTests {
  /// Answers each request head with an empty 200 and reads bodies to the mark that ends them.
  static func answering(_ place: ScriptedServer.Place = .tcp, bodyMark: String? = nil) throws -> ScriptedServer {
    try ScriptedServer(place) { talk in
      while talk.head() != nil {
        if let bodyMark { _ = talk.text(through: bodyMark) }
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      }
    }
  }

  private func wire(_ ask: Ask, bodyMark: String? = nil) throws -> String {
    let server = try Self.answering(bodyMark: bodyMark)
    let bench = try Bench(server)
    let answer = try bench.ask(ask)
    #expect(answer.status == 200, "\(answer)")
    return server.connections.first ?? ""
  }

  @Test func requestHasExactlyTheFieldsThatWereComposed() throws {
    #expect(try wire(.get("/a/b?c=d")) == "GET /a/b?c=d HTTP/1.1\r\nHost: service.example\r\n\r\n")
  }

  @Test func orderCaseDuplicatesAndEmptyValuesSurvive() throws {
    var ask = Ask.get("/")
    ask.fields += [
      ("x-LOWER", "1"), ("X-Empty", ""), ("Cookie", "a=1"), ("x-lower", "2"), ("Cookie", "b=2"), ("Accept", "text/*"), ("user-agent", "me"),
    ]
    #expect(
      try wire(ask)
        == "GET / HTTP/1.1\r\nHost: service.example\r\nx-LOWER: 1\r\nX-Empty:\r\nCookie: a=1\r\nx-lower: 2\r\n"
        + "Cookie: b=2\r\nAccept: text/*\r\nuser-agent: me\r\n\r\n"
    )
  }

  @Test(arguments: ["DELETE", "OPTIONS", "PROPFIND", "POST", "PATCH", "PUT", "get", "M-SEARCH", "TRACE"])
  func anyMethodWithoutABodyGoesAsItCame(_ method: String) throws {
    #expect(try wire(Ask(method: method)) == "\(method) / HTTP/1.1\r\nHost: service.example\r\n\r\n")
  }

  @Test func headIsAskedAndItsAnswerHasNoBody() throws {
    let server = try ScriptedServer { talk in
      while talk.head() != nil { talk.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") }
    }
    let bench = try Bench(server)
    for _ in 0..<2 {
      let answer = try bench.ask(Ask(method: "HEAD"))
      #expect(answer.status == 200 && answer.body.isEmpty && answer.failure == nil)
    }
    #expect(server.connections == ["HEAD / HTTP/1.1\r\nHost: service.example\r\n\r\nHEAD / HTTP/1.1\r\nHost: service.example\r\n\r\n"])
  }

  @Test(arguments: ["/a/../b", "/a/./b", "//", "/?", "/a?b?c", "/%2e%2e/x", "*", "/a|b", "/;x=1", "/a%20b"])
  func targetIsSentByteForByte(_ target: String) throws {
    #expect(try wire(Ask(method: "OPTIONS", target: target)) == "OPTIONS \(target) HTTP/1.1\r\nHost: service.example\r\n\r\n")
  }

  @Test func bodyOfKnownLengthIsFramedByLength() throws {
    #expect(
      try wire(.send("PUT", "/x", "hello"), bodyMark: "hello")
        == "PUT /x HTTP/1.1\r\nHost: service.example\r\nContent-Length: 5\r\n\r\nhello")
  }

  @Test func postHasNoContentTypeOfLibcurl() throws {
    #expect(
      try wire(.send("POST", "/x", "a=b"), bodyMark: "a=b") == "POST /x HTTP/1.1\r\nHost: service.example\r\nContent-Length: 3\r\n\r\na=b")
  }

  @Test func chunkedBodyStaysChunked() throws {
    let wire = try wire(.chunked("POST", "/x", ["hello ", "world"]), bodyMark: "0\r\n\r\n")
    #expect(wire.hasPrefix("POST /x HTTP/1.1\r\nHost: service.example\r\nTransfer-Encoding: chunked\r\n\r\n"), "\(wire)")
    #expect(wire.hasSuffix("b\r\nhello world\r\n0\r\n\r\n"), "\(wire)")
  }

  @Test func trailersOfTheRequestAreSent() throws {
    var ask = Ask.chunked("POST", "/x", ["hello"])
    ask.trailers = [("X-Digest", "abc"), ("X-Nothing", ""), ("x-case", "k: v")]
    let wire = try wire(ask, bodyMark: "\r\n\r\n")
    #expect(wire.hasSuffix("5\r\nhello\r\n0\r\nX-Digest: abc\r\nX-Nothing: \r\nx-case: k: v\r\n\r\n"), "\(wire)")
  }

  @Test func emptyChunkedBodyIsStillChunked() throws {
    #expect(
      try wire(.chunked("POST", "/x", []), bodyMark: "0\r\n\r\n")
        == "POST /x HTTP/1.1\r\nHost: service.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
  }

  @Test func lengthOfZeroIsSaidByTheComposerAlone() throws {
    var ask = Ask(method: "POST", framing: .length(0))
    ask.fields.append(("Content-Length", "0"))
    #expect(try wire(ask) == "POST / HTTP/1.1\r\nHost: service.example\r\nContent-Length: 0\r\n\r\n")
  }

  @Test func largeUploadsDoNotWaitForContinue() throws {
    // libcurl expects 100-continue by itself above 1 MB, and waits a second for it.
    let size = 3 << 20
    let server = try ScriptedServer { talk in
      _ = talk.head()
      #expect(talk.bytes(size).count == size)
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }
    let bench = try Bench(server)
    var ask = Ask(method: "PUT", framing: .length(UInt64(size)))
    ask.body = [[UInt8](repeating: 0x61, count: size)]
    #expect(try bench.ask(ask).status == 200)
    #expect(server.connections[0].hasPrefix("PUT / HTTP/1.1\r\nHost: service.example\r\nContent-Length: \(size)\r\n\r\naaa"))
  }

  @Test func handleThatIsUsedAgainForgetsTheRequestBefore() throws {
    // The same easy handle: a body, then none, then HEAD, then a body of unknown length, then none.
    let heads = Notes()
    let server = try ScriptedServer { talk in
      while let head = talk.head() {
        heads.add(head)
        if head.contains("Content-Length: 3") { _ = talk.bytes(3) }
        if head.contains("chunked") { _ = talk.text(through: "0\r\n\r\n") }
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      }
    }
    let bench = try Bench(server)
    let asks: [Ask] = [
      .send("PUT", "/1", "abc"), .get("/2"), Ask(method: "HEAD", target: "/3"), .chunked("POST", "/4", ["x"]), .get("/5"),
      Ask(method: "DELETE", target: "/6"),
    ]
    for ask in asks { #expect(try bench.ask(ask).failure == nil) }
    #expect(
      heads.all == [
        "PUT /1 HTTP/1.1\r\nHost: service.example\r\nContent-Length: 3\r\n\r\n",
        "GET /2 HTTP/1.1\r\nHost: service.example\r\n\r\n",
        "HEAD /3 HTTP/1.1\r\nHost: service.example\r\n\r\n",
        "POST /4 HTTP/1.1\r\nHost: service.example\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /5 HTTP/1.1\r\nHost: service.example\r\n\r\n",
        "DELETE /6 HTTP/1.1\r\nHost: service.example\r\n\r\n",
      ])
  }

  @Test func moreThanAHandfulOfFieldsFit() throws {
    var ask = Ask.get("/")
    for i in 0..<300 { ask.fields.append(("X-\(i)", "\(i)")) }
    let wire = try wire(ask)
    #expect(wire.hasPrefix("GET / HTTP/1.1\r\nHost: service.example\r\nX-0: 0\r\nX-1: 1\r\n"))
    #expect(wire.hasSuffix("X-298: 298\r\nX-299: 299\r\n\r\n"))
  }
}
