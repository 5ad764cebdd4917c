// Fields of HTTP/2 → text of HTTP/1.1, and what is not made into text.

import HTTP
import HTTP2
import Primitives
import Testing

@Suite struct RequestFieldsTests {
  private static let plain = [(":method", "GET"), (":scheme", "http"), (":path", "/a?b=c"), (":authority", "example.test")]

  /// What a block comes to: its text, or its fault.
  private static func text(
    _ fields: [(String, String)], endsStream: Bool = true, scheme: RequestFields.Scheme = .http, limits: HeadLimits = HeadLimits(),
    block: RequestFields.Block = .request
  ) -> Result<String, FieldFault> {
    var reader = RequestFields(limits: limits, scheme: scheme)
    return take(fields, &reader, endsStream: endsStream, block: block)
  }

  private static func take(_ fields: [(String, String)], _ reader: inout RequestFields, endsStream: Bool, block: RequestFields.Block)
    -> Result<String, FieldFault>
  {
    reader.begin(block)
    for (name, value) in fields { reader.take(Array(name.utf8).span, Array(value.utf8).span) }
    switch reader.conclude(endsStream: endsStream) {
    case .whole(let range):
      var out = ByteBuffer()
      reader.appendText(Int(range.start), range.count, to: &out)
      return .success(ASCII.string(out.span))
    case .refused(let fault, _), .malformed(let fault):
      return .failure(fault)
    }
  }

  private static func with(_ more: (String, String)...) -> [(String, String)] { plain + more }

  private static func without(_ name: String) -> [(String, String)] { plain.filter { $0.0 != name } }

  private static func replacing(_ name: String, _ value: String) -> [(String, String)] { plain.map { $0.0 == name ? (name, value) : $0 } }

  @Test func fieldsBecomeAHead() {
    #expect(
      Self.text(Self.with(("accept", "*/*"), ("x-empty", "")))
        == .success("GET /a?b=c HTTP/1.1\r\nhost: example.test\r\naccept: */*\r\nx-empty: \r\n\r\n"))
    #expect(
      Self.text(Self.plain.reversed(), scheme: .either) == .success("GET /a?b=c HTTP/1.1\r\nhost: example.test\r\n\r\n"))
    #expect(
      Self.text(Self.without(":authority") + [("host", "other.test")]) == .success("GET /a?b=c HTTP/1.1\r\nhost: other.test\r\n\r\n"))
  }

  @Test func aBodyWithoutLengthIsFramedAsChunks() {
    #expect(
      Self.text(Self.replacing(":method", "POST"), endsStream: false)
        == .success("POST /a?b=c HTTP/1.1\r\nhost: example.test\r\ntransfer-encoding: chunked\r\n\r\n"))
    #expect(
      Self.text(Self.replacing(":method", "POST") + [("content-length", "5")], endsStream: false)
        == .success("POST /a?b=c HTTP/1.1\r\nhost: example.test\r\ncontent-length: 5\r\n\r\n"))
  }

  @Test func cookiesAreJoinedInTheirOrder() {
    #expect(
      Self.text(Self.with(("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("cookie", "c=3")))
        == .success("GET /a?b=c HTTP/1.1\r\nhost: example.test\r\naccept: */*\r\ncookie: a=1; b=2; c=3\r\n\r\n"))
  }

  @Test func optionsMayAskForTheServerItself() {
    #expect(
      Self.text([(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "a.test")])
        == .success("OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n"))
  }

  @Test func connectHasAnAuthorityAlone() {
    #expect(
      Self.text([(":method", "CONNECT"), (":authority", "a.test:443")])
        == .success("CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n"))
    #expect(Self.text([(":method", "CONNECT"), (":authority", "a.test:443"), (":path", "/")]) == .failure(.missingPseudoField))
  }

  private static let connect = [
    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/a?b=c"), (":authority", "example.test"),
  ]

  /// RFC 8441 section 5. The key is another each time, and none that a client may choose.
  @Test func connectForAWebSocketIsTheGETThatItStandsFor() throws {
    let sent = Self.connect + [("sec-websocket-version", "13"), ("sec-websocket-key", "mine"), ("origin", "http://b.test")]
    var keys: Set<Substring> = []
    for ends in [false, true, false] {
      let text = try Self.text(sent, endsStream: ends).get()
      let head = "GET /a?b=c HTTP/1.1\r\nhost: example.test\r\nsec-websocket-version: 13\r\norigin: http://b.test\r\n"
      let asks = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "
      #expect(text.hasPrefix(head + asks) && text.hasSuffix("==\r\n\r\n") && text.utf8.count == head.utf8.count + asks.utf8.count + 28)
      keys.insert(text.dropLast(4).suffix(24))
    }
    #expect(keys.count == 3)
    #expect(try Self.text(Self.connect.map { $0.0 == ":protocol" ? ($0.0, "WebSocket") : $0 }).get().hasPrefix("GET /a?b=c "))
  }

  private static func connect(_ name: String, _ value: String) -> [(String, String)] { connect.map { $0.0 == name ? (name, value) : $0 } }

  private static let noConnects: [([(String, String)], FieldFault)] = [
    (connect(":method", "GET"), FieldFault.protocolWithoutConnect), (connect(":method", "connect"), .protocolWithoutConnect),
    (connect(":protocol", ""), .invalidProtocol), (connect(":protocol", "web socket"), .invalidProtocol),
    (connect(":protocol", "websocket\r\nx: y"), .invalidProtocol), (connect(":protocol", "connect-udp"), .unknownProtocol),
    (connect(":protocol", "websocket2"), .unknownProtocol), (connect(":path", "*"), .invalidPath), (connect(":path", "a"), .invalidPath),
    (connect(":path", "/ HTTP/1.1\r\nhost: evil"), .invalidPath), (connect(":scheme", "wss"), .invalidScheme),
    (connect(":scheme", "https"), .schemeDisagrees), (connect + [(":protocol", "websocket")], .duplicatePseudoField),
    (connect + [("upgrade", "websocket")], .connectionSpecific), (connect + [("connection", "upgrade")], .connectionSpecific),
    (connect + [("transfer-encoding", "chunked")], .connectionSpecific), (connect + [("content-length", "0")], .invalidContentLength),
    (connect + [("content-length", "5")], .invalidContentLength), (connect + [("host", "other.test")], .hostDisagrees),
    (connect + [("origin", "a"), (":protocol", "websocket")], .latePseudoField),
  ]

  @Test(arguments: noConnects)
  func whatRFC8441ForbidsIsNoConnect(_ fields: [(String, String)], _ fault: FieldFault) {
    #expect(Self.text(fields, endsStream: false) == .failure(fault))
  }

  @Test(arguments: [":method", ":scheme", ":path", ":authority"]) func connectForAWebSocketNamesEverything(_ name: String) {
    let fields = Self.connect.filter { $0.0 != name }
    #expect(Self.text(fields) == .failure(.missingPseudoField))
    #expect(Self.text(fields + [("host", "example.test")]) == .failure(.missingPseudoField))
  }

  /// What was one is not said of the next.
  @Test func afterAConnectComesAnOrdinaryRequest() {
    var reader = RequestFields(limits: HeadLimits(), scheme: .http)
    _ = Self.take(Self.connect, &reader, endsStream: false, block: .request)
    let was = reader.isExtendedConnect
    #expect(
      Self.take(Self.with(("sec-websocket-key", "kept")), &reader, endsStream: false, block: .request)
        == .success("GET /a?b=c HTTP/1.1\r\nhost: example.test\r\nsec-websocket-key: kept\r\ntransfer-encoding: chunked\r\n\r\n"))
    let isStill = reader.isExtendedConnect
    #expect(was && !isStill)
  }

  @Test(arguments: [
    (with(("Accept", "*/*")), FieldFault.upperCaseName), (with(("x y", "")), .invalidName), (with(("", "a")), .invalidName),
    (with(("x\r\ny", "")), .invalidName), (with(("x:y", "")), .invalidName), (with(("x\u{0}", "")), .invalidName),
    (with(("x", "a\r\nx-evil: 1")), .invalidValue), (with(("x", "a\nb")), .invalidValue), (with(("x", "a\u{0}b")), .invalidValue),
    (with(("x", "a\u{7F}b")), .invalidValue), (with(("x", " a")), .spaceAroundValue), (with(("x", "a\t")), .spaceAroundValue),
    (with(("connection", "close")), .connectionSpecific), (with(("proxy-connection", "x")), .connectionSpecific),
    (with(("keep-alive", "x")), .connectionSpecific), (with(("transfer-encoding", "chunked")), .connectionSpecific),
    (with(("upgrade", "h2c")), .connectionSpecific), (with(("te", "gzip")), .teOtherThanTrailers),
    (with((":path", "/")), .duplicatePseudoField), (with((":status", "200")), .unknownPseudoField),
    ([("accept", "*/*")] + plain, .missingPseudoField), (plain + [("accept", "*/*"), (":method", "GET")], .latePseudoField),
    (without(":method"), .missingPseudoField), (without(":path"), .missingPseudoField), (without(":scheme"), .missingPseudoField),
    (replacing(":method", "GE T"), .invalidMethod), (replacing(":method", ""), .invalidMethod),
    (replacing(":path", ""), .invalidPath), (replacing(":path", "/a b"), .invalidPath), (replacing(":path", "/#a"), .invalidPath),
    (replacing(":path", "a"), .invalidPath), (replacing(":path", "*"), .invalidPath), (replacing(":path", "http://b.test/"), .invalidPath),
    (replacing(":path", "/ HTTP/1.1\r\nhost: evil"), .invalidPath), (replacing(":scheme", "ftp"), .invalidScheme),
    (replacing(":scheme", "https"), .schemeDisagrees), (replacing(":authority", ""), .invalidValue),
    (replacing(":authority", "a\r\nx: y"), .invalidValue),
    (with(("host", "other.test")), .hostDisagrees), (with(("host", "example.test"), ("host", "example.test")), .duplicateHost),
    (with(("content-length", "5")), .lengthWithoutBody), (with(("content-length", "+5")), .invalidContentLength),
    (with(("content-length", "")), .invalidContentLength), (with(("content-length", "5, 5")), .invalidContentLength),
    (with(("content-length", "0"), ("content-length", "0")), .duplicateContentLength),
    (with(("content-length", "9223372036854775808")), .invalidContentLength),
  ])
  func whatRFC9113ForbidsIsNoRequest(_ fields: [(String, String)], _ fault: FieldFault) {
    #expect(Self.text(fields) == .failure(fault))
  }

  @Test func agreeingHostIsSaidOnce() {
    #expect(Self.text(Self.with(("host", "EXAMPLE.test:80"))) == .success("GET /a?b=c HTTP/1.1\r\nhost: example.test\r\n\r\n"))
    #expect(Self.text(Self.with(("te", "trailers"))) == .success("GET /a?b=c HTTP/1.1\r\nhost: example.test\r\nte: trailers\r\n\r\n"))
  }

  @Test func numberAndSizeOfFieldsAreBounded() {
    let limits = HeadLimits(requestLine: 64, fields: 1024, fieldCount: 8)
    #expect(Self.text(Self.plain + Array(repeating: ("a", ""), count: 9), limits: limits) == .failure(.tooManyFields))
    #expect(Self.text(Self.plain + Array(repeating: ("cookie", "a"), count: 9), limits: limits) == .failure(.tooManyFields))
    // A cookie in crumbs is one field.
    let crumbs = Self.plain + Array(repeating: ("cookie", "a"), count: 8) + Array(repeating: ("a", ""), count: 7)
    #expect(throws: Never.self) { try Self.text(crumbs, limits: limits).get() }
    #expect(Self.text(Self.with(("a", String(repeating: "x", count: 1100))), limits: limits) == .failure(.fieldsTooLarge))
    // What is small counts for more than its bytes.
    #expect(
      Self.text(Self.plain + Array(repeating: ("a", ""), count: 40), limits: HeadLimits(requestLine: 64, fields: 1024, fieldCount: 1000))
        == .failure(.fieldsTooLarge))
    #expect(Self.text(Self.replacing(":path", "/" + String(repeating: "x", count: 64)), limits: limits) == .failure(.pathTooLong))
  }

  /// RFC 9113 section 8.1: nothing follows trailers.
  @Test func trailersEndTheStream() {
    var reader = RequestFields(limits: HeadLimits(), scheme: .http)
    for ends in [false, true] {
      reader.begin(.trailers)
      reader.take(Array("grpc-status".utf8).span, Array("0".utf8).span)
      let conclusion = reader.conclude(endsStream: ends)
      if ends {
        #expect(conclusion == .whole(ByteRange(0, 21)))
      } else {
        #expect(conclusion == .malformed(.unfinishedTrailers))
      }
    }
  }

  @Test func aBlockThatWasBrokenOffLeavesNothing() {
    var reader = RequestFields(limits: HeadLimits(), scheme: .http)
    #expect(throws: Never.self) { try Self.take(Self.plain, &reader, endsStream: true, block: .request).get() }
    reader.begin(.request)
    for (name, value) in Self.with(("x-secret", "1")) { reader.take([UInt8](name.utf8).span, [UInt8](value.utf8).span) }
    reader.dropConcluded()
    #expect(
      Self.take(Self.plain, &reader, endsStream: true, block: .request) == .success("GET /a?b=c HTTP/1.1\r\nhost: example.test\r\n\r\n"))
  }

  @Test func aBlockGoesOnAfterTextsBeforeItWereTaken() {
    var reader = RequestFields(limits: HeadLimits(), scheme: .http)
    _ = Self.take(Self.plain, &reader, endsStream: true, block: .request)
    reader.begin(.request)
    for (name, value) in Self.with(("a", "1")) { reader.take(Array(name.utf8).span, Array(value.utf8).span) }
    reader.dropConcluded()
    reader.take(Array("b".utf8).span, Array("2".utf8).span)
    guard case .whole(let range) = reader.conclude(endsStream: true) else {
      Issue.record("not whole")
      return
    }
    var out = ByteBuffer()
    reader.appendText(Int(range.start), range.count, to: &out)
    #expect(ASCII.string(out.span) == "GET /a?b=c HTTP/1.1\r\nhost: example.test\r\na: 1\r\nb: 2\r\n\r\n")
  }

  @Test func trailersAreFieldsAlone() {
    #expect(Self.text([("x-sum", "1")], block: .trailers) == .success("0\r\nx-sum: 1\r\n\r\n"))
    #expect(Self.text([(":path", "/")], block: .trailers) == .failure(.pseudoFieldInTrailers))
    #expect(Self.text([("x", "a\r\nb: c")], block: .trailers) == .failure(.invalidValue))
    #expect(Self.text([("transfer-encoding", "chunked")], block: .trailers) == .failure(.connectionSpecific))
  }

  /// Whatever is made into text is one head to HeadParser, and nothing but that head.
  @Test func whatIsMadeIsOneHeadOrRefusedByTheParser() {
    var random = SystemRandomNumberGenerator()
    let words = [
      ":method", ":path", ":scheme", ":authority", ":protocol", "host", "content-length", "cookie", "te", "x", "X", "a b", "", "transfer-encoding",
    ]
    let values = ["GET", "CONNECT", "websocket", "/", "http", "a.test", "5", "0", "a\r\nb", " x", "", "*", "OPTIONS", "/a b", "trailers", "\u{0}", "a:b", "é"]
    for _ in 0..<20_000 {
      let picked = (0..<Int.random(in: 0...4, using: &random)).map { _ in (words.randomElement()!, values.randomElement()!) }
      let fields = Bool.random() ? Self.plain + picked : picked
      guard case .success(let text) = Self.text(fields.shuffled(), endsStream: Bool.random()) else { continue }
      var parser = HeadParser(limits: HeadLimits())
      var head = RequestHead()
      switch parser.parse(Array(text.utf8).span, into: &head) {
      case .complete(let n): #expect(n == text.utf8.count)
      case .failed: break
      case .needMore: Issue.record("no end: \(text)")
      }
    }
  }
}
