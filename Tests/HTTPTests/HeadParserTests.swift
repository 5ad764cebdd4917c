// Request lines, field lines, limits, and one parser for many requests.

import HTTP
import Primitives
import Testing

@Suite struct HeadParserTests {
  @Test func curlsRequestIsUnderstood() {
    let head = accepted(
      "GET /path?q=1&r=a%20b HTTP/1.1\r\nHost: legacy.example.com:8443\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n"
        + "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")
    #expect(head.method == .get)
    #expect(text(head.bytes[head.methodRange]) == "GET")
    #expect(head.target.form == .origin)
    #expect(text(head.bytes[head.target.whole]) == "/path?q=1&r=a%20b")
    #expect(text(head.bytes[head.target.path]) == "/path")
    #expect(text(head.bytes[head.target.query]) == "q=1&r=a%20b")
    #expect(head.version == .http11)
    #expect(head.fields.map(\.known) == [.host, .authorization, .userAgent, .accept])
    #expect(text(head.bytes[head.host]) == "legacy.example.com:8443")
    #expect(head.framing == .none)
    #expect(head.authorization == 1 && head.authorizationCount == 1)
    #expect(head.isPersistent)
    #expect(!head.expectsContinue)
    #expect(text(head.bytes[head.fields[1].value]) == "Basic YWxpY2U6c2VjcmV0")
  }

  @Test(arguments: [
    "GET / HTTP/1.1", " GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1",
    "GET / x HTTP/1.1", "G(T / HTTP/1.1", "GET", "GET /", "GET / ", "/ HTTP/1.1", " / HTTP/1.1", "G\u{0}T / HTTP/1.1",
    "GET /\u{0} HTTP/1.1",
    "GET /\u{7F} HTTP/1.1", "GET /\u{1} HTTP/1.1", "GÉT / HTTP/1.1",
  ])
  func requestLineHasThreePartsAndSingleSpaces(_ line: String) {
    let found = failure(line + "\r\nHost: a\r\n\r\n")
    if line == "GET / HTTP/1.1" { #expect(found == nil) } else { #expect(found?.status == 400) }
  }

  @Test(arguments: [
    ("HTTP/1.1", 0), ("HTTP/1.0", 0), ("HTTP/1.2", 505), ("HTTP/2.0", 505), ("HTTP/0.9", 505), ("HTTP/3.0", 505), ("HTTP/1.9", 505),
    ("HTTP/1", 400), ("HTTP/1.10", 400), ("HTTP/11.1", 400), ("http/1.1", 400), ("HTTP/1.x", 400), ("HTTP 1.1", 400), ("HTTP/1,1", 400),
    ("HTTPS/1.1", 400), ("", 400), ("HTTP/+.1", 400), ("HTTP/1.1\u{0B}", 400), ("ICY/1.1", 400),
  ])
  func unknownVersionIs505AndMalformedIs400(_ version: String, _ status: Int) {
    #expect((failure("GET / \(version)\r\nHost: a\r\n\r\n")?.status ?? 0) == status)
  }

  @Test func http2PrefaceIs505() {
    #expect(failure("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == .unsupportedVersion)
  }

  @Test func tlsHelloIsRefusedAtItsFirstByte() {
    #expect(failure([0x16, 0x03, 0x01]) == .malformedRequestLine)
  }

  @Test(arguments: [
    ("GET", Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete), ("OPTIONS", .options), ("TRACE", .trace),
    ("PATCH", .patch), ("PROPFIND", .propfind), ("get", .other), ("GETX", .other), ("MKCOL", .other), ("M-SEARCH", .other), ("A", .other),
    ("!#$%&'*+-.^_`|~09", .other), ("PUP", .other),
  ])
  func anyMethodTokenIsTaken(_ name: String, _ method: HTTP.Method) {
    let head = accepted(request(method: name))
    #expect(head.method == method)
    #expect(text(head.bytes[head.methodRange]) == name)
  }

  @Test func repeatableMethodsAreThoseOfTheRFC() {
    let all: [HTTP.Method] = [.get, .head, .post, .put, .delete, .options, .trace, .connect, .patch, .propfind, .other]
    #expect(all.filter(\.isIdempotent) == [.get, .head, .put, .delete, .options, .trace, .propfind])
  }

  @Test func oneEmptyLineBeforeTheRequestIsTolerated() {
    let head = accepted("\r\n" + request())
    #expect(text(head.bytes[head.methodRange]) == "GET")
    #expect(text(head.bytes[head.host]) == "a")
    #expect(failure("\r\n\r\n" + request()) == .malformedRequestLine)
    #expect(failure("\n" + request()) == .malformedRequestLine)
    #expect(failure("\r" + request()) == .bareCarriageReturn)
  }

  @Test func aRequestHasStartedWithItsFirstByte() {
    var parser = HeadParser(limits: HeadLimits())
    var head = RequestHead()
    for (input, started) in [("", false), ("\r", false), ("\r\n", false), ("\r\nG", true)] {
      let result = parser.parse(bytes(input).span, into: &head)
      #expect(result == .needMore)
      #expect(parser.hasStarted == started)
    }
    let whole = bytes("\r\n" + request())
    let result = parser.parse(whole.span, into: &head)
    #expect(result == .complete(consumed: whole.count))
    #expect(!parser.hasStarted)
  }

  @Test func valuesAreTrimmedAndKeptAsTheyAre() {
    let head = accepted("GET / HTTP/1.1\r\nHost:a\r\nX-A: \t b  c\t \r\nX-B:\r\nX-C:   \r\nX-D: \u{E9}\"x\",;\r\n\r\n")
    #expect(head.fields.map { text(head.bytes[$0.name]) } == ["Host", "X-A", "X-B", "X-C", "X-D"])
    #expect(head.fields.map { text(head.bytes[$0.value]) } == ["a", "b  c", "", "", "\u{C3}\u{A9}\"x\",;"])
  }

  @Test func pipelinedRequestsAreReadInTurn() {
    let input = bytes(request("X: 1") + "\r\n" + request("X: 2", "X: 3", method: "DELETE") + request())
    var parser = HeadParser(limits: HeadLimits())
    var head = RequestHead()
    var start = 0
    var seen: [String] = []
    while start < input.count {
      guard case .complete(let n) = parser.parse(input.span.extracting(start..<input.count), into: &head) else { break }
      seen.append("\(head.method) \(head.fields.count)")
      start += n
    }
    #expect(seen == ["get 2", "delete 3", "get 1"])
    #expect(start == input.count)
  }

  @Test func aFailureStaysUntilReset() {
    var parser = HeadParser(limits: HeadLimits())
    var head = RequestHead()
    let good = bytes(request())
    let bad = bytes("GET /x HTTP/1.1\r\n\r\n")
    var result = parser.parse(bad.span, into: &head)
    #expect(result == .failed(.missingHost))
    // The log may say what was refused.
    #expect(head.hasRequestLine && text(head.bytes[head.target.path]) == "/x")
    result = parser.parse(good.span, into: &head)
    #expect(result == .failed(.missingHost))
    parser.reset()
    result = parser.parse(good.span, into: &head)
    #expect(result == .complete(consumed: good.count))
  }

  @Test func nothingOfTheLastRequestIsLeft() {
    var parser = HeadParser(limits: HeadLimits())
    var head = RequestHead()
    let first = bytes(
      "POST http://a/x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\nAuthorization: x\r\nExpect: 100-continue\r\n\r\n")
    let second = bytes("GET / HTTP/1.0\r\n\r\n")
    _ = parser.parse(first.span, into: &head)
    _ = parser.parse(second.span, into: &head)
    #expect(meaning(head) == parse(second).meaning)
  }

  @Test func requestLineBeyondItsLimitIs414() {
    let limits = HeadLimits(requestLine: 64)
    let rest = " HTTP/1.1\r\n"
    let fitting = "GET /" + String(repeating: "a", count: 64 - 5 - rest.utf8.count) + rest
    #expect(fitting.utf8.count == 64)
    #expect(failure(fitting + "Host: a\r\n\r\n", limits) == nil)
    #expect(failure("GET /a" + fitting.dropFirst(5) + "Host: a\r\n\r\n", limits) == .requestLineTooLong)
    #expect(failure(String(repeating: "A", count: 64), limits) == .requestLineTooLong)
    #expect(failure(String(repeating: "A", count: 63), limits) == nil)
    #expect(HeadFailure.requestLineTooLong.status == 414)
    // The line's limit is that of the line, not of the empty line before it.
    #expect(failure("\r\n" + fitting + "Host: a\r\n\r\n", limits) == nil)
  }

  @Test func fieldsBeyondTheirLimitAre431() {
    let limits = HeadLimits(fields: 64)
    let fitting = "Host: a\r\nX: " + String(repeating: "b", count: 64 - 9 - 5) + "\r\n"
    #expect(fitting.utf8.count == 64)
    #expect(failure("GET / HTTP/1.1\r\n" + fitting + "\r\n", limits) == nil)
    #expect(failure("GET / HTTP/1.1\r\nY" + fitting + "\r\n", limits) == .fieldsTooLarge)
    #expect(failure("GET / HTTP/1.1\r\n" + fitting + "Y: z\r\n\r\n", limits) == .fieldsTooLarge)
    #expect(HeadFailure.fieldsTooLarge.status == 431)
  }

  @Test func fieldsBeyondTheirNumberAre431() {
    let limits = HeadLimits(fieldCount: 3)
    #expect(failure(request("A: 1", "B: 2"), limits) == nil)
    #expect(failure(request("A: 1", "B: 2", "C: 3"), limits) == .tooManyFields)
    #expect(HeadFailure.tooManyFields.status == 431)
    #expect(accepted(request() + "", HeadLimits()).fields.count == 1)
  }

  @Test func connectionOptionsAreBounded() {
    let many = Array(repeating: "x", count: 32).joined(separator: ",")
    #expect(failure(request("Connection: " + many)) == nil)
    #expect(failure(request("Connection: " + many, "Connection: y")) == .tooManyConnectionOptions)
  }

  @Test(arguments: [
    ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close", false), ("HTTP/1.1", "Connection: CLOSE", false),
    ("HTTP/1.1", "Connection: foo, close", false), ("HTTP/1.1", "Connection: keep-alive", true),
    ("HTTP/1.1", "Connection: keep-alive, close", false), ("HTTP/1.1", "Connection: closed", true),
    ("HTTP/1.1", "Connection: ,, ,close,", false),
    ("HTTP/1.0", "", false), ("HTTP/1.0", "Connection: keep-alive", true), ("HTTP/1.0", "Connection: Keep-Alive", true),
    ("HTTP/1.0", "Connection: keep-alive, close", false), ("HTTP/1.0", "Proxy-Connection: keep-alive", false),
  ])
  func persistenceFollowsVersionAndConnection(_ version: String, _ field: String, _ persistent: Bool) {
    let input = field.isEmpty ? request(version: version) : request(field, version: version)
    #expect(accepted(input).isPersistent == persistent)
  }

  @Test(arguments: [
    ("HTTP/1.1", "Expect: 100-continue", 0, true), ("HTTP/1.1", "Expect: 100-Continue", 0, true),
    ("HTTP/1.1", "Expect: 100-continue,", 0, true),
    ("HTTP/1.0", "Expect: 100-continue", 0, false), ("HTTP/1.1", "Expect: 200-ok", 417, false),
    ("HTTP/1.1", "Expect: 100-continue, x", 417, false),
    ("HTTP/1.1", "Expect:", 417, false), ("HTTP/1.1", "Expect: 100-continue;q=1", 417, false), ("HTTP/1.0", "Expect: x", 417, false),
  ])
  func expectationsOtherThanContinueAre417(_ version: String, _ field: String, _ status: Int, _ expects: Bool) {
    let answer = parseAtEverySplit(bytes(request("Content-Length: 1", field, method: "PUT", version: version)))
    if case .failed(let failure) = answer.result { #expect(failure.status == status) } else { #expect(status == 0) }
    #expect(answer.head.expectsContinue == expects)
  }

  @Test func nothingIsExpectedWithoutABody() {
    #expect(!accepted(request("Expect: 100-continue")).expectsContinue)
    #expect(!accepted(request("Expect: 100-continue", "Content-Length: 0")).expectsContinue)
    #expect(accepted(request("Expect: 100-continue", "Transfer-Encoding: chunked")).expectsContinue)
  }

  @Test func duplicateAuthorizationIsCounted() {
    let head = accepted(request("X: y", "Authorization: a", "authorization: b"))
    #expect(head.authorizationCount == 2)
    #expect(head.authorization == 2)
    #expect(accepted(request()).authorization == nil)
  }
}
