// Attacks on framing, one test for each that broke somebody. Every input is also cut at every byte.

import HTTP
import Primitives
import Testing

@Suite struct FramingTests {
  // MARK: unclear framing is 400

  @Test(arguments: ["5\r\nContent-Length: 5", "5\r\nContent-Length: 6", "5\r\ncontent-length: 5", "0\r\nContent-Length: 0"])
  func duplicateContentLengthIsRefused(_ value: String) {
    #expect(failure(request("Content-Length: \(value)")) == .duplicateContentLength)
  }

  @Test(arguments: ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"])
  func contentLengthWithTransferEncodingIsRefused(_ lines: String) {
    #expect(failure(request(lines)) == .contentLengthWithTransferEncoding)
  }

  @Test(arguments: [
    "X: a\nY: b\r\n", "X: a\n\r\n", "X\n: a\r\n", "\nX: a\r\n", "X:\na\r\n",
  ])
  func bareLineFeedIsRefused(_ lines: String) {
    #expect(failure("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n")?.status == 400)
    #expect(failure("GET / HTTP/1.1\nHost: a\n\n") == .bareLineFeed)
    #expect(failure("GET / HTTP/1.1\r\nHost: a\n\r\n") == .bareLineFeed)
    #expect(failure("GET / HTTP/1.1\r\nHost: a\r\n\n") == .bareLineFeed)
  }

  @Test(arguments: ["X: a\rY: b\r\n", "X: a\r\r\n", "X\r: a\r\n", "\rX: a\r\n", "X: \ra\r\n", "\r\r\n"])
  func bareCarriageReturnIsRefused(_ lines: String) {
    #expect(failure("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n")?.status == 400)
    #expect(failure("GET / HTTP/1.1\rHost: a\r\r") == .bareCarriageReturn)
    #expect(failure("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n") == .malformedRequestLine)
  }

  @Test(arguments: ["Content-Length : 5", "Host : b", "X\t: y", "Transfer-Encoding : chunked", "X Y: z"])
  func spaceBeforeColonIsRefused(_ line: String) {
    #expect(failure(request(line)) == .spaceBeforeColon)
  }

  @Test(arguments: ["X: a\r\n b", "X: a\r\n\tb", "X: a\r\n Content-Length: 5", "X: a\r\n "])
  func obsoleteFoldIsRefused(_ lines: String) {
    #expect(failure(request(lines)) == .obsoleteFold)
    #expect(failure("GET / HTTP/1.1\r\n Host: a\r\n\r\n") == .obsoleteFold)
  }

  @Test(arguments: ["X\u{0}: a", "X(: a", "X\"Y: a", "é: a", "X/Y: a", "X", "X@Y: z", "[x]: y", "X\u{7F}: y"])
  func fieldNamesAreTokens(_ line: String) {
    #expect(failure(request(line)) == .invalidFieldName)
  }

  // MARK: named attacks

  /// HAProxy CVE-2023-25725: an empty name ended the list, and hid what followed.
  @Test(arguments: [":", ": x", ":\r\nContent-Length: 5", " : x"])
  func emptyFieldNameIsRefusedAndEndsNothing(_ line: String) {
    #expect(failure(request(line))?.status == 400)
    #expect(failure("GET / HTTP/1.1\r\n: x\r\nHost: a\r\n\r\n") == .emptyFieldName)
  }

  /// HAProxy CVE-2023-40225.
  @Test(arguments: ["", " ", "\t"])
  func emptyContentLengthIsInvalidNotAbsent(_ value: String) {
    #expect(failure(request("Content-Length:\(value)")) == .invalidContentLength)
  }

  /// HAProxy CVE-2023-45539.
  @Test(arguments: ["/#", "/a#b", "/a?b#c", "#", "/%23#", "http://a/#x"])
  func fragmentInTargetIsRefused(_ target: String) {
    #expect(failure("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n") == .fragmentInTarget)
  }

  /// HAProxy CVE-2021-40346 and its like: no length is narrowed, wrapped, rounded or read as something else than decimal digits.
  @Test(arguments: [
    "4294967296", "9223372036854775807",
  ])
  func largeContentLengthIsKeptWhole(_ value: String) {
    #expect(accepted(request("Content-Length: \(value)")).framing == .length(UInt64(value) ?? 0))
  }

  @Test(arguments: [
    "9223372036854775808", "18446744073709551616", "18446744073709551621", "99999999999999999999999999", "-1", "+5", "5,5", "5, 5", "5 5",
    "0x5", "5.0", "1e3", "5;", "\u{0665}", "five", "5\u{0B}", "00000000000000000005", "\"5\"", "5,", ",5",
  ])
  func contentLengthIsOneDecimalNumber(_ value: String) {
    #expect(failure(request("Content-Length: \(value)"))?.status == 400)
  }

  @Test func contentLengthMayHaveLeadingZerosAndWhiteSpaceAround() {
    #expect(accepted(request("Content-Length: \t 007 ")).framing == .length(7))
    #expect(accepted(request("CONTENT-LENGTH:0")).framing == .length(0))
  }

  /// Pingora CVE-2026-2835.
  @Test(arguments: ["chunked", "identity", "gzip", ""])
  func transferEncodingOnHTTP10IsRefused(_ value: String) {
    #expect(failure(request("Transfer-Encoding: \(value)", version: "HTTP/1.0")) == .transferEncodingOnHTTP10)
  }

  /// RFC 9112 section 6.3, rule 7: neither version's request is delimited by the end of the connection.
  @Test(arguments: ["HTTP/1.0", "HTTP/1.1"], ["POST", "PUT", "PATCH"])
  func requestIsNeverDelimitedByClose(_ version: String, _ method: String) {
    #expect(accepted(request(method: method, version: version)).framing == .none)
  }

  @Test(arguments: ["chunked", "Chunked", "CHUNKED", " chunked\t"])
  func chunkedIsUnderstoodInAnyCase(_ value: String) {
    #expect(accepted(request("Transfer-Encoding: \(value)")).framing == .chunked)
  }

  @Test(arguments: [
    ("gzip, chunked", 501), ("gzip;q=1, chunked", 501), ("identity, chunked", 501), ("gzip,deflate,chunked", 501),
    ("xchunked, chunked", 501),
    ("gzip", 400), ("identity", 400), ("", 400), ("chunked, gzip", 400), ("chunked, chunked", 400), ("chunked,", 400), (",chunked", 400),
    (", chunked", 400), ("chunked;x=1", 400), ("x chunked", 400), ("chunked chunked", 400), ("\"chunked\"", 400), ("xchunked", 400),
    ("chunke", 400), ("chunked\u{0B}", 400), ("\u{0B}chunked", 400), ("chunked, identity", 400), ("(x), chunked", 400),
    ("gzip, , chunked", 400),
  ])
  func otherTransferCodingsAre501WhenChunkedIsLastElse400(_ value: String, _ status: Int) {
    #expect(failure(request("Transfer-Encoding: \(value)"))?.status == status)
  }

  @Test func duplicateTransferEncodingIsRefused() {
    #expect(failure(request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")) == .duplicateTransferEncoding)
    #expect(failure(request("Transfer-Encoding: chunked", "transfer-encoding: identity")) == .duplicateTransferEncoding)
  }

  @Test(arguments: [
    "Transfer_Encoding: chunked", "Transfer.Encoding: chunked", "transfer_encoding: x", "TRANSFER~ENCODING: chunked", "Content_Length: 5",
    "Content.Length: 5", "content+length: 5", "CONTENT_LENGTH: 0", "Transfer'Encoding: chunked",
  ])
  func lookAlikeFramingFieldsAreRefused(_ line: String) {
    #expect(failure(request(line)) == .framingLookAlike)
  }

  @Test func contentSpaceLengthIsRefused() {
    #expect(failure(request("Content Length: 5"))?.status == 400)
  }

  @Test(arguments: [
    "ContentLength: 5", "Content-Lengths: 5", "X-Content-Length: 5", "Content-Type: x", "TransferEncoding: x", "Content0Length: 1",
  ])
  func innocentNamesAreNotTakenForFraming(_ line: String) {
    #expect(accepted(request(line)).framing == .none)
  }

  /// "NUL and control characters in values": each of them, at the begin, within, and at the end.
  @Test(arguments: Array(UInt8(0)...31) + [127])
  func controlCharactersInValuesAreRefused(_ byte: UInt8) {
    guard byte != 0x09 else { return }
    for (before, after) in [("", "b"), ("a", "b"), ("a", "")] {
      let input = bytes("GET / HTTP/1.1\r\nHost: a\r\nX: \(before)") + [byte] + bytes("\(after)\r\n\r\n")
      #expect(failure(input)?.status == 400)
    }
  }

  @Test func visibleAndHighBytesInValuesAreTaken() {
    let value = Array(UInt8(0x21)...0x7E) + Array(UInt8(0x80)...0xFF)
    let answer = parseAtEverySplit(bytes("GET / HTTP/1.1\r\nHost: a\r\nX: ") + value + bytes("\r\n\r\n"))
    #expect(ASCII.array(answer.head.bytes[answer.head.fields[1].value]) == value)
  }

  @Test(arguments: [
    "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX: y\r\n\r\n", "GET http://a/ HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n",
  ])
  func requestWithoutHostIsRefused(_ input: String) {
    #expect(failure(input) == .missingHost)
  }

  @Test(arguments: ["HTTP/1.0", "HTTP/1.1"], ["Host: a", "Host: b", "host:", "HOST: a"])
  func doubleHostIsRefused(_ version: String, _ line: String) {
    #expect(failure(request(line, version: version)) == .duplicateHost)
  }

  @Test func http10NeedsNoHost() {
    #expect(accepted("GET / HTTP/1.0\r\n\r\n").host.isEmpty)
    let head = accepted("GET http://b:81/ HTTP/1.0\r\n\r\n")
    #expect(text(head.bytes[head.host]) == "b:81")
  }

  /// What follows a refused head is never looked at: there is no second request.
  @Test func nothingAfterAFailureIsTaken() {
    let smuggled = request("Content-Length: 5", "Content-Length: 0") + request(method: "DELETE")
    #expect(failure(smuggled) == .duplicateContentLength)
  }

  @Test func everyFailureHasAStatusOfItsClassAndAReason() {
    let failures: [HeadFailure] = [
      .malformedRequestLine, .fragmentInTarget, .malformedVersion, .unsupportedVersion, .invalidTarget, .requestLineTooLong, .bareLineFeed,
      .bareCarriageReturn, .emptyFieldName, .spaceBeforeColon, .obsoleteFold, .invalidFieldName, .invalidFieldValue, .fieldsTooLarge,
      .tooManyFields, .tooManyConnectionOptions, .missingHost, .duplicateHost, .invalidHost, .hostDisagrees, .invalidContentLength,
      .duplicateContentLength, .contentLengthWithTransferEncoding, .transferEncodingOnHTTP10, .duplicateTransferEncoding,
      .invalidTransferEncoding, .unknownTransferCoding, .framingLookAlike, .unknownExpectation, .invalidChunkSize, .chunkSizeTooLarge,
      .invalidChunkExtension, .chunkLineTooLong, .tooManyChunkExtensions, .missingChunkEnd, .forbiddenTrailer, .trailersTooLarge,
      .tooManyTrailers,
    ]
    #expect(Set(failures.map(\.status)) == [400, 414, 417, 431, 501, 505])
    #expect(Set(failures.map { "\($0.reason)" }).count == failures.count)
  }
}
