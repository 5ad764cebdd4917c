// What of an Upgrade is a wish, and which 101 meets it.

import Primitives
import Testing

@testable import HTTP

@Suite struct UpgradeWishTests {
  private static let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
  private static let handshake = ["Connection: keep-alive, Upgrade", "Upgrade: websocket", key, "Sec-WebSocket-Version: 13"]

  private func wish(_ fields: [String], _ line: String = "GET / HTTP/1.1", _ policy: UpgradePolicy = .websocket) throws -> UpgradeWish? {
    let text = Array(([line, "Host: a"] + fields).joined(separator: "\r\n").utf8) + Array("\r\n\r\n".utf8)
    var head = RequestHead()
    var parser = HeadParser(limits: HeadLimits())
    guard case .complete = parser.parse(text.span, into: &head) else { throw HeadFailure.invalidTarget }
    return UpgradeWish.of(head, policy)
  }

  private func refusal(_ fields: [String], of wish: UpgradeWish) throws -> String? {
    let text = Array((["HTTP/1.1 101 Switching Protocols"] + fields).joined(separator: "\r\n").utf8) + Array("\r\n\r\n".utf8)
    var head = ResponseHead()
    head.expectsSwitch = true
    #expect(head.take(text.span, limits: HeadLimits()).result == .final)
    return wish.refusal(of: head).map { "\($0)" }
  }

  /// RFC 6455 section 1.3, and FIPS 180-4's examples.
  @Test func theProofIsTheRFCs() {
    #expect(String(decoding: WebSocketKey.accept(Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)), as: UTF8.self) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    let digest = SHA1.digest(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
    #expect(digest.prefix(4) == [0x84, 0x98, 0x3E, 0x44])
    #expect(SHA1.digest(Array("abc".utf8)).prefix(4) == [0xA9, 0x99, 0x3E, 0x36])
    #expect(SHA1.digest([]).prefix(4) == [0xDA, 0x39, 0xA3, 0xEE])
  }

  @Test func aHandshakeIsAWish() throws {
    let wish = try #require(try wish(Self.handshake))
    #expect(wish.protocols == Array("websocket".utf8))
    #expect(try self.wish(["connection: UPGRADE", "upgrade: foo, WebSocket"] + Self.handshake[2...]) == wish)
    #expect(try self.wish(Self.handshake, "GET / HTTP/1.1", .any) == wish)
  }

  /// RFC 8441: the text of a CONNECT, which HTTP/2's own fields alone become.
  @Test func aConnectIsAWishAndNoOtherRequestOfHTTP2() throws {
    let text = Array((["GET / HTTP/1.1", "Host: a"] + Self.handshake).joined(separator: "\r\n").utf8) + Array("\r\n\r\n".utf8)
    for isConnect in [true, false] {
      var head = RequestHead()
      var parser = HeadParser(limits: HeadLimits())
      _ = parser.parse(text.span, into: &head)
      head.cameByHTTP2(isExtendedConnect: isConnect)
      #expect(UpgradeWish.of(head, .websocket)?.isConnect == (isConnect ? true : nil))
      #expect(UpgradeWish.of(head, .off) == nil)
    }
    #expect(try wish(Self.handshake)?.isConnect == false)
  }

  @Test(arguments: [
    Array(handshake.dropFirst()), Array(handshake.dropLast()), handshake.filter { !$0.hasPrefix("Upgrade") }, handshake.filter { $0 != key },
    handshake + [key], handshake + ["Sec-WebSocket-Version: 8"], handshake + ["Content-Length: 0"], handshake + ["Content-Length: 5"],
    handshake + ["Transfer-Encoding: chunked"],
    handshake.map { $0.replacing("dGhl", with: "dGh") }, handshake.map { $0.replacing("ZQ==", with: "ZR==") },
    handshake.map { $0.replacing("dGhl", with: "d!hl") }, handshake.map { $0.replacing("Upgrade: websocket", with: "Upgrade: h2c") },
  ]) func anythingElseIsNone(_ fields: [String]) throws {
    #expect(try wish(fields) == nil)
  }

  @Test func noOtherMethodOrVersionIs() throws {
    #expect(try wish(Self.handshake, "POST / HTTP/1.1") == nil)
    #expect(try wish(Self.handshake, "GET / HTTP/1.0") == nil)
    #expect(try wish(Self.handshake, "GET / HTTP/1.1", .off) == nil)
  }

  @Test func anyIsNeitherHTTPNorTLS() throws {
    let fields = ["Connection: Upgrade", "Upgrade: h2c, HTTP/2.0, foo/1, TLS/1.0, h2, websocket, bar"]
    let wish = try #require(try wish(fields, "POST / HTTP/1.1", .any))
    #expect(String(decoding: wish.protocols, as: UTF8.self) == "foo/1, bar")
    #expect(try refusal(["Connection: upgrade", "Upgrade: BAR"], of: wish) == nil)
    #expect(try refusal(["Connection: upgrade", "Upgrade: h2c"], of: wish) != nil)
    #expect(try refusal(["Connection: upgrade", "Upgrade: foo/1, bar"], of: wish) != nil)
    #expect(try self.wish(["Connection: Upgrade", "Upgrade: h2c"], "GET / HTTP/1.1", .any) == nil)
  }

  @Test func onlyTheAnswerToTheKeyIsTaken() throws {
    let wish = try #require(try wish(Self.handshake))
    let good = ["Upgrade: WebSocket", "Connection: Upgrade", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    #expect(try refusal(good, of: wish) == nil)
    for i in 0..<3 { #expect(try refusal(good.enumerated().filter { $0.offset != i }.map(\.element), of: wish) != nil, "without \(good[i])") }
    #expect(try refusal(good + [good[2]], of: wish) != nil)
    #expect(try refusal(good + ["Content-Length: 3"], of: wish) != nil)
    #expect(try refusal(good.map { $0.replacing("s3p", with: "S3p") }, of: wish) != nil)
    #expect(try refusal(good.map { $0.replacing(": WebSocket", with: ": h2c") }, of: wish) != nil)
  }
}
