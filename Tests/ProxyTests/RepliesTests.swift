// Our own answers, byte by byte: what a client may know, and nothing that tells one refusal from another.

import HTTP
import Primitives
import Testing

@testable import Proxy

@Suite struct RepliesTests {
  private func written(_ status: Int, _ change: (inout Replies.Details) -> Void = { _ in }) -> String {
    var details = Replies.Details()
    change(&details)
    var out = ByteBuffer()
    Replies.write(
      status, details, date: bytes("Sun, 06 Nov 1994 08:49:37 GMT").span,
      requestID: RequestIdentifier(0x0011_2233_4455_6677, 0x8899_aabb_ccdd_eeff),
      to: &out)
    return text(out.span)
  }

  private let challenge = Replies.renderChallenges(realm: "Authentication Required", offersBearer: true)

  @Test func unauthorizedIsThisAndNothingElse() {
    #expect(
      written(401) { $0.challenge = challenge.plain } == """
        HTTP/1.1 401 Unauthorized\r
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r
        WWW-Authenticate: Basic realm="Authentication Required", charset="UTF-8"\r
        WWW-Authenticate: Bearer realm="Authentication Required"\r
        Content-Type: text/plain; charset=utf-8\r
        Cache-Control: no-store\r
        Content-Length: 19\r
        \r
        Unauthorized Access
        """)
  }

  @Test func unauthorizedIsAProblemDocumentWhereJSONIsAskedFor() {
    #expect(
      written(401) {
        $0.challenge = challenge.plain
        $0.wantsJSON = true
      } == """
        HTTP/1.1 401 Unauthorized\r
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r
        WWW-Authenticate: Basic realm="Authentication Required", charset="UTF-8"\r
        WWW-Authenticate: Bearer realm="Authentication Required"\r
        Content-Type: application/problem+json\r
        Cache-Control: no-store\r
        Content-Length: 89\r
        \r
        {"type":"about:blank","title":"Unauthorized","status":401,"detail":"Unauthorized Access"}
        """)
  }

  @Test func badTokenIsSaidToWhoSentATokenAlone() {
    #expect(
      text(challenge.invalidToken.bytes.span).hasSuffix(
        "WWW-Authenticate: Bearer realm=\"Authentication Required\", error=\"invalid_token\"\r\n"))
    #expect(!text(challenge.plain.bytes.span).contains("invalid_token"))
    let basicOnly = Replies.renderChallenges(realm: "x", offersBearer: false)
    #expect(!text(basicOnly.plain.bytes.span).contains("Bearer") && basicOnly.plain.bytes == basicOnly.invalidToken.bytes)
  }

  @Test(arguments: [
    ("plain", "plain"), ("say \"hi\"", "say \\\"hi\\\""), ("back\\slash", "back\\\\slash"), ("Zugang für alle", "Zugang für alle"),
    ("", ""),
  ])
  func realmIsQuoted(_ realm: String, _ quoted: String) {
    let (plain, _) = Replies.renderChallenges(realm: realm, offersBearer: false)
    #expect(text(plain.bytes.span) == "WWW-Authenticate: Basic realm=\"\(quoted)\", charset=\"UTF-8\"\r\n")
  }

  @Test(arguments: ["a\r\nSet-Cookie: x", "a\nb", "a\0b", "a\u{1B}[31m", "a\u{7F}"])
  func realmBeginsNoLineOfItsOwn(_ realm: String) {
    for challenge in [
      Replies.renderChallenges(realm: realm, offersBearer: true).plain,
      Replies.renderChallenges(realm: realm, offersBearer: true).invalidToken,
    ] {
      let lines = text(challenge.bytes.span).components(ending: "\r\n")
      #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("WWW-Authenticate: ") })
      #expect(lines.allSatisfy { line in line.utf8.dropLast(2).allSatisfy { !ASCII.isControl($0) } })
    }
  }

  @Test(arguments: [400, 401, 403, 404, 405, 408, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504, 505])
  func lengthIsTheBodysAndHeadHasNone(_ status: Int) throws {
    for wantsJSON in [false, true] {
      let whole = written(status) { $0.wantsJSON = wantsJSON }
      let parts = whole.components(ending: "\r\n\r\n")
      let body = parts.dropFirst().joined()
      #expect(parts[0].contains("\r\nContent-Length: \(body.utf8.count)\r\n"), "\(whole)")
      #expect(parts[0].hasPrefix("HTTP/1.1 \(status) \(StandardStatus.phrase(status))\r\n"))
      #expect(parts[0].contains("Cache-Control: no-store\r\n"))
      let head = written(status) {
        $0.wantsJSON = wantsJSON
        $0.isHead = true
      }
      #expect(head == parts[0], "an answer to HEAD is the same without its body")
    }
  }

  @Test func failuresNameTheRequestAndNothingInside() {
    for status in [500, 502, 503, 504] {
      let answer = written(status)
      #expect(answer.contains("(request 00112233445566778899aabbccddeeff)"))
      #expect(written(status) { $0.wantsJSON = true }.contains(",\"request\":\"00112233445566778899aabbccddeeff\"}"))
    }
    #expect(!written(401).contains("00112233"), "refusals are the same bytes for everybody")
    #expect(!written(404).contains("00112233"))
  }

  @Test func particularsAreWritten() {
    #expect(written(503) { $0.retryAfter = 5 }.contains("\r\nRetry-After: 5\r\n"))
    #expect(written(405) { $0.allow = "GET, HEAD" }.contains("\r\nAllow: GET, HEAD\r\n"))
    #expect(written(400) { $0.closes = true }.contains("\r\nConnection: close\r\n"))
    #expect(written(401) { $0.saysKeepAlive = true }.contains("\r\nConnection: keep-alive\r\n"))
    #expect(!written(401).contains("Connection"))
    #expect(!written(200).contains("WWW-Authenticate"))
  }

  @Test(arguments: [
    ("application/json", true), ("application/problem+json", true), ("Application/JSON; q=1", true), ("text/plain, application/json", true),
    ("*/*", false), ("", false), ("text/plain", false), ("application/jso", false), ("text/html,application/json;q=0.9", false),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
  ])
  func problemDocumentIsForWhoAsksForJSON(_ accept: String, _ wants: Bool) {
    #expect(Replies.wantsJSON(accept: bytes(accept).span) == wants)
  }
}

extension String {
  /// The text cut after each `mark`.
  func components(ending mark: String) -> [String] {
    var parts: [String] = []
    var part: [UInt8] = []
    let mark = Array(mark.utf8)
    for byte in utf8 {
      part.append(byte)
      if part.suffix(mark.count).elementsEqual(mark) {
        parts.append(String(decoding: part, as: UTF8.self))
        part = []
      }
    }
    if !part.isEmpty { parts.append(String(decoding: part, as: UTF8.self)) }
    return parts
  }
}
