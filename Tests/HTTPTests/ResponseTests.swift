// Responses: an upstream's head, which is not trusted, and what we write.

import HTTP
import Primitives
import Testing

@Suite struct ResponseTests {
  /// Feeds the lines of `head` as libcurl does, and answers the last answer.
  private func read(_ lines: [String], _ limits: HeadLimits = HeadLimits(), into head: inout ResponseHead) -> ResponseLine {
    var answer = ResponseLine.more
    for line in lines { answer = head.line(bytes(line).span, limits: limits) }
    return answer
  }

  private func read(_ lines: String..., limits: HeadLimits = HeadLimits()) -> ResponseLine {
    var head = ResponseHead()
    return read(lines.map { $0 + "\r\n" }, limits, into: &head)
  }

  @Test func aHeadIsBuiltLineByLine() {
    var head = ResponseHead()
    let lines = [
      "HTTP/1.1 200 Very Good\r\n", "Server: x\r\n", "Set-Cookie: a\r\n", "set-cookie:b\r\n", "Content-Length: 12\r\n",
      "Connection: close\r\n", "\r\n",
    ]
    #expect(read(lines, into: &head) == .final)
    #expect(head.status == 200 && head.version == .http11)
    #expect(text(head.bytes[head.reason]) == "Very Good")
    #expect(head.fields.map { text(head.bytes[$0.name]) } == ["Server", "Set-Cookie", "set-cookie", "Content-Length", "Connection"])
    #expect(head.fields.map { text(head.bytes[$0.value]) } == ["x", "a", "b", "12", "close"])
    #expect(head.contentLength == 12 && !head.isChunked)
    #expect(head.firstIndex(of: .setCookie) == 1)
    #expect(head.line(bytes("X: y\r\n").span, limits: HeadLimits()) == .failed(.lineAfterHead))
    head.reset()
    #expect(read(["HTTP/1.0 404 Not Found\r\n", "\r\n"], into: &head) == .final)
    #expect(head.status == 404 && head.version == .http10 && head.fields.isEmpty && head.contentLength == nil)
  }

  @Test func interimHeadsComeBeforeTheFinalOne() {
    var head = ResponseHead()
    #expect(read(["HTTP/1.1 100 Continue\r\n", "\r\n"], into: &head) == .interim)
    #expect(read(["HTTP/1.1 103 Early Hints\r\n", "Link: </a>\r\n", "\r\n"], into: &head) == .interim)
    #expect(head.status == 103 && head.fields.count == 1)
    #expect(read(["HTTP/1.1 204 No Content\r\n", "\r\n"], into: &head) == .final)
    #expect(head.status == 204 && head.fields.isEmpty)
  }

  @Test func interimHeadsAreBounded() {
    var head = ResponseHead()
    for _ in 0..<ResponseHead.interimLimit { #expect(read(["HTTP/1.1 102 x\r\n", "\r\n"], into: &head) == .interim) }
    #expect(read(["HTTP/1.1 102 x\r\n", "\r\n"], into: &head) == .failed(.tooManyInterim))
  }

  /// "An unasked 101 from an upstream is a 502."
  @Test func unaskedSwitchOfProtocolIsRefused() {
    #expect(read("HTTP/1.1 101 Switching Protocols") == .failed(.unexpectedSwitch))
  }

  @Test(arguments: [
    "HTTP/2 200", "HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "HTTP/0.9 200 OK", "http/1.1 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK",
    "HTTP/1.1 099 x", "HTTP/1.1 600 x", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 -20 OK",
    "ICY 200 OK",
    "HTTP/1.1", "", "HTTP/1.1 200 O\u{0}K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 O\nK", "HTTP/1.1 200 \u{7F}", " HTTP/1.1 200 OK", "<html>",
    "HTTP/1.1 200\tOK",
  ])
  func statusLinesOfOtherFormsAreRefused(_ line: String) {
    #expect(read(line) == .failed(.malformedStatusLine))
  }

  @Test(arguments: ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.0 599 \u{E9}t\t", "HTTP/1.1 200  two"])
  func reasonsAreKeptWhateverTheyAre(_ line: String) {
    #expect(read(line) == .more)
  }

  /// libcurl takes the last of two (measured, 7.88.1).
  @Test func differingContentLengthsAreRefusedAndIdenticalOnesCollapse() {
    #expect(read("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 6") == .failed(.differingContentLength))
    #expect(read("HTTP/1.1 200 OK", "Content-Length: 5", "content-length: 5", "") == .final)
  }

  @Test(arguments: ["", "-1", "5, 5", "5x", "0x5", "9223372036854775808", "99999999999999999999"])
  func invalidContentLengthsAreRefused(_ value: String) {
    #expect(read("HTTP/1.1 200 OK", "Content-Length: \(value)") == .failed(.field(.invalidContentLength)))
  }

  @Test func contentLengthWithChunkedIsRefused() {
    let failure = ResponseLine.failed(.field(.contentLengthWithTransferEncoding))
    #expect(read("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked") == failure)
    #expect(read("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Length: 5") == failure)
  }

  @Test(arguments: ["gzip", "gzip, chunked", "identity", "", "chunked, chunked", "chunked;x", "xchunked"])
  func transferCodingsOtherThanChunkedAreRefused(_ value: String) {
    #expect(read("HTTP/1.1 200 OK", "Transfer-Encoding: \(value)") == .failed(.field(.unknownTransferCoding)))
  }

  @Test func transferEncodingWhereNoneMayBeIsRefused() {
    #expect(read("HTTP/1.0 200 OK", "Transfer-Encoding: chunked") == .failed(.field(.transferEncodingOnHTTP10)))
    #expect(read("HTTP/1.1 204 x", "Transfer-Encoding: chunked") == .failed(.framingOnInterim))
    #expect(read("HTTP/1.1 103 x", "Transfer-Encoding: chunked") == .failed(.framingOnInterim))
    #expect(
      read("HTTP/1.1 200 x", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") == .failed(.field(.duplicateTransferEncoding)))
    #expect(read("HTTP/1.1 200 x", "Transfer-Encoding: Chunked", "") == .final)
  }

  @Test(arguments: [
    (" folded", HeadFailure.obsoleteFold), ("\tfolded", .obsoleteFold), (": x", .emptyFieldName), ("X : y", .spaceBeforeColon),
    ("X", .invalidFieldName),
    ("X(: y", .invalidFieldName), ("X: a\u{0}b", .invalidFieldValue), ("X: a\rb", .bareCarriageReturn), ("X: a\nb", .bareLineFeed),
    ("Transfer_Encoding: chunked", .framingLookAlike), ("X: a\u{7F}", .invalidFieldValue), ("\r", .bareCarriageReturn),
  ])
  func fieldsAreAsStrictAsARequests(_ line: String, _ failure: HeadFailure) {
    #expect(read("HTTP/1.1 200 OK", line) == .failed(.field(failure)))
    // And so are trailers.
    var head = ResponseHead()
    var trailers = Trailers()
    let found = head.trailerLine(bytes(line + "\r\n").span, limits: HeadLimits(), into: &trailers)
    #expect(found == .field(failure))
  }

  /// libcurl takes bare-LF heads (measured, 7.88.1), and hands over what came.
  @Test(arguments: ["X: y\n", "X: y", "X: y\r", "\n", "\r", "", "X: y\r\nZ: a\r\n", "\r\n\r\n", "X: y\r\n\r\n"])
  func linesThatDontEndInOneCRLFAreRefused(_ line: String) {
    var head = ResponseHead()
    guard case .failed = read(["HTTP/1.1 200 OK\r\n", line], into: &head) else {
      Issue.record("taken")
      return
    }
    for status in ["HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 OK\r\n\r\n"] {
      var head = ResponseHead()
      #expect(read([status], into: &head) == .failed(.malformedStatusLine))
    }
  }

  /// libcurl takes 5,000 header lines (measured, 7.88.1).
  @Test func headsAreBounded() {
    let limits = HeadLimits(requestLine: 32, fields: 64, fieldCount: 3)
    #expect(read("HTTP/1.1 200 OK", "A: b", "A: b", "A: b", limits: limits) == .more)
    #expect(read("HTTP/1.1 200 OK", "A: b", "A: b", "A: b", "A: b", limits: limits) == .failed(.field(.tooManyFields)))
    #expect(read("HTTP/1.1 200 OK", "A: " + String(repeating: "b", count: 59), limits: limits) == .more)
    #expect(read("HTTP/1.1 200 OK", "A: " + String(repeating: "b", count: 60), limits: limits) == .failed(.field(.fieldsTooLarge)))
    #expect(
      read("HTTP/1.1 200 OK", "A: " + String(repeating: "b", count: 40), "B: " + String(repeating: "b", count: 40), limits: limits)
        == .failed(.field(.fieldsTooLarge)))
    #expect(read("HTTP/1.1 200 " + String(repeating: "x", count: 18), limits: limits) == .failed(.statusLineTooLong))
    let options = Array(repeating: "x", count: 33).joined(separator: ",")
    #expect(read("HTTP/1.1 200 OK", "Connection: " + options) == .failed(.field(.tooManyConnectionOptions)))
  }

  @Test func aFailureStays() {
    var head = ResponseHead()
    #expect(read(["HTTP/1.1 200 OK\r\n", "X\r\n", "\r\n"], into: &head) == .failed(.field(.invalidFieldName)))
    head.reset()
    #expect(read(["HTTP/1.1 200 OK\r\n", "\r\n"], into: &head) == .final)
  }

  @Test func trailersAreTakenLineByLine() {
    var head = ResponseHead()
    var trailers = Trailers()
    let limits = HeadLimits(fields: 32, fieldCount: 2)
    for line in ["X-A: 1\r\n", "X-B:2\r\n"] {
      let failure = head.trailerLine(bytes(line).span, limits: limits, into: &trailers)
      #expect(failure == nil)
    }
    #expect(trailers.fields.map { text(trailers.bytes[$0.name]) } == ["X-A", "X-B"])
    #expect(trailers.fields.map { text(trailers.bytes[$0.value]) } == ["1", "2"])
    var failure = head.trailerLine(bytes("\r\n").span, limits: limits, into: &trailers)
    #expect(failure == nil)
    failure = head.trailerLine(bytes("X-C: 3\r\n").span, limits: limits, into: &trailers)
    #expect(failure == .field(.tooManyTrailers))
    trailers.reset()
    failure = head.trailerLine(bytes("X: " + String(repeating: "a", count: 40) + "\r\n").span, limits: limits, into: &trailers)
    #expect(failure == .field(.trailersTooLarge))
    failure = head.trailerLine(bytes("Content-Length: 3\r\n").span, limits: limits, into: &trailers)
    #expect(failure == .field(.forbiddenTrailer))
  }

  // MARK: writing

  private func relayed(_ lines: [String], _ framing: ResponseFraming) -> String {
    var head = ResponseHead()
    #expect(read(lines.map { $0 + "\r\n" } + ["\r\n"], into: &head) != .more)
    var out = ByteBuffer()
    var scratch = FieldSet()
    ResponseWriter.relay(head, framing: framing, scratch: &scratch, to: &out)
    ResponseWriter.end(to: &out)
    return text(out.span)
  }

  @Test func aHeadIsRelayedAsItCame() {
    #expect(
      relayed(
        ["HTTP/1.1 299 My  Own", "server: a", "Set-Cookie: x", "Content-length:5", "SET-Cookie: y", "Date: z", "content-length: 5"],
        .length(5))
        == "HTTP/1.1 299 My  Own\r\nserver: a\r\nSet-Cookie: x\r\nContent-length: 5\r\nSET-Cookie: y\r\nDate: z\r\n\r\n")
  }

  @Test func aHeadIsFramedAnewForTheClientsConnection() {
    let lines = ["HTTP/1.0 200 ", "Connection: x-a, close", "X-A: 1", "Keep-Alive: 5", "X-B: 2"]
    #expect(relayed(lines, .chunked) == "HTTP/1.1 200 \r\nX-B: 2\r\nTransfer-Encoding: chunked\r\n\r\n")
    #expect(relayed(lines, .untilClose) == "HTTP/1.1 200 \r\nX-B: 2\r\n\r\n")
    #expect(relayed(lines, .length(7)) == "HTTP/1.1 200 \r\nX-B: 2\r\nContent-Length: 7\r\n\r\n")
    #expect(
      relayed(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "X: y"], .chunked)
        == "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n")
    #expect(relayed(["HTTP/1.1 200 OK", "Content-Length: 5"], .none) == "HTTP/1.1 200 OK\r\n\r\n")
    #expect(relayed(["HTTP/1.1 103 Early Hints", "Link: </a>"], .none) == "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
  }

  @Test func ourOwnHeadsAreWritten() {
    var out = ByteBuffer()
    ResponseWriter.statusLine(401, to: &out)
    ResponseWriter.date(Timestamp(seconds: 784_111_777), to: &out)
    ResponseWriter.field("Cache-Control", "no-store", to: &out)
    ResponseWriter.field("WWW-Authenticate", bytes("Basic realm=\"x\"").span, to: &out)
    ResponseWriter.field("Retry-After", decimal: 10, to: &out)
    ResponseWriter.field(bytes("X-Own").span, bytes("y").span, to: &out)
    ResponseWriter.framing(.length(0), to: &out)
    ResponseWriter.connection(persistent: false, client: .http11, to: &out)
    ResponseWriter.connection(persistent: true, client: .http11, to: &out)
    ResponseWriter.connection(persistent: true, client: .http10, to: &out)
    ResponseWriter.end(to: &out)
    #expect(
      text(out.span)
        == "HTTP/1.1 401 Unauthorized\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-store\r\n"
        + "WWW-Authenticate: Basic realm=\"x\"\r\nRetry-After: 10\r\nX-Own: y\r\nContent-Length: 0\r\nConnection: close\r\n"
        + "Connection: keep-alive\r\n\r\n")
  }

  @Test func noValueBeginsALine() {
    var out = ByteBuffer()
    ResponseWriter.field("X", bytes("a\r\nSet-Cookie: b\u{0}\tc").span, to: &out)
    ResponseWriter.statusLine(200, reason: bytes("O\nK").span, to: &out)
    #expect(text(out.span) == "X: a  Set-Cookie: b \tc\r\nHTTP/1.1 200 O K\r\n")
  }

  @Test(arguments: [
    (Int64(0), "Thu, 01 Jan 1970 00:00:00 GMT"), (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
    (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
    (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"), (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
    (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
    (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
    (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
    (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"), (253_402_300_800, "Fri, 31 Dec 9999 23:59:59 GMT"),
    (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
  ])
  func datesAreThoseOfTheCalendar(_ seconds: Int64, _ expected: String) {
    var out = ByteBuffer()
    HTTPDate.append(Timestamp(seconds: seconds), to: &out)
    #expect(text(out.span) == expected)
  }

  @Test(arguments: [
    (Int64(0), "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00.000Z"),
    (951_782_400_007_999, "29/Feb/2000:00:00:00 +0000", "2000-02-29T00:00:00.007Z"),
    (1_798_761_599_999_999, "31/Dec/2026:23:59:59 +0000", "2026-12-31T23:59:59.999Z"),
    (1_789_056_045_120_000, "10/Sep/2026:16:00:45 +0000", "2026-09-10T16:00:45.120Z"),
  ])
  func logDatesAreThoseOfTheCalendar(_ microseconds: Int64, _ commonLog: String, _ internet: String) {
    var out = ByteBuffer()
    HTTPDate.appendCommonLog(Timestamp(microseconds: microseconds), to: &out)
    #expect(text(out.span) == commonLog)
    out.removeAll()
    HTTPDate.appendInternet(Timestamp(microseconds: microseconds), to: &out)
    #expect(text(out.span) == internet)
  }

  @Test func phrasesAreStandard() {
    #expect("\(StandardStatus.phrase(200))" == "OK" && "\(StandardStatus.phrase(502))" == "Bad Gateway")
    #expect("\(StandardStatus.phrase(299))" == "Unknown")
    for status in [400, 401, 403, 404, 405, 408, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504, 505] {
      #expect("\(StandardStatus.phrase(status))" != "Unknown")
    }
  }
}
