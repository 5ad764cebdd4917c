// Which requests pass as CORS preflights: those that a browser makes, and nothing that resembles them.

import HTTP
import Primitives
import Testing

@testable import Auth

@Suite struct PreflightTests {
  private static let fields = ["Host: a", "Origin: https://app.example.com", "Access-Control-Request-Method: PUT"]

  private func head(_ line: String, _ fields: [String]) throws -> RequestHead {
    var parser = HeadParser(limits: HeadLimits())
    var head = RequestHead()
    let text = bytes(([line] + fields).map { $0 + "\r\n" }.joined() + "\r\n")
    try #require(parser.parse(text.span, into: &head) == .complete(consumed: text.count), "\(line) \(fields)")
    return head
  }

  private func isOne(_ fields: [String]) throws -> Bool { try isOne("OPTIONS /a?b HTTP/1.1", fields) }

  private func isOne(_ line: String, _ fields: [String]) throws -> Bool {
    Preflight.isOne(try head(line, fields))
  }

  @Test func aBrowsersPreflightIsOne() throws {
    #expect(try isOne(Self.fields))
    #expect(
      try isOne(
        Self.fields + [
          "Access-Control-Request-Headers: authorization, content-type", "Access-Control-Request-Private-Network: true",
          "User-Agent: Mozilla/5.0", "Accept: */*", "Sec-Fetch-Mode: cors", "Content-Length: 0",
        ]))
    for origin in ["null", "http://localhost:3000", "http://[::1]:8080", "chrome-extension://abcdefghijklmnop", "HTTPS://A.example"] {
      #expect(try isOne(["Host: a", "Origin: \(origin)", "Access-Control-Request-Method: DELETE"]), "\(origin)")
    }
  }

  @Test func nothingElseIsOne() throws {
    for method in ["GET", "POST", "HEAD", "options", "PROPFIND"] { #expect(try !isOne("\(method) / HTTP/1.1", Self.fields), "\(method)") }
    #expect(try !isOne("OPTIONS * HTTP/1.1", Self.fields))
    #expect(try !isOne("OPTIONS http://a/ HTTP/1.1", Self.fields))
    for left in 1..<Self.fields.count {
      var fields = Self.fields
      fields.remove(at: left)
      #expect(try !isOne(fields))
    }
    for extra in [
      "Content-Length: 1", "Transfer-Encoding: chunked", "Authorization: Basic YWxpY2U6c2VjcmV0", "Authorization:", "Cookie: a=b",
      "Origin: https://app.example.com", "Access-Control-Request-Method: PUT", "X-HTTP-Method-Override: POST", "X_HTTP_METHOD: POST",
      "x-method.override: DELETE", "Access-Control-Request-Headers: a b;c",
    ] {
      #expect(try !isOne(Self.fields + [extra]), "\(extra)")
    }
    for origin in [
      "", "x", "https://", "://a", "https:/a", "https://a/b", "https://a b", "https://u@a", "https://a, https://b", "*", "1://a",
    ] {
      #expect(try !isOne(["Host: a", "Origin: \(origin)", "Access-Control-Request-Method: PUT"]), "\(origin)")
    }
    for method in ["", "PUT POST", "PUT,POST", "P(T"] {
      #expect(try !isOne(["Host: a", "Origin: https://a", "Access-Control-Request-Method: \(method)"]), "\(method)")
    }
  }

  @Test func onlyAPreflightIsGrantedAsOne() throws {
    let house = try House(["alice:\(Stored.sha1)"])
    let office = try #require(
      Requirement(oneOf: [.all([.term(.validUser), .term(.from([AddressRange(.ipv4(0x0A00_0000), prefix: 104)]))])]))
    func outcome(_ line: String, _ requirement: Requirement, _ client: ClientAddress = .unix) throws -> Outcome? {
      let context = RequestContext(client: client, now: house.now, instant: house.instant)
      guard let decision = house.gatekeeper.decidePreflight(try head(line, Self.fields), requirement, context) else { return nil }
      return House.read(decision).result.outcome
    }
    #expect(try outcome("OPTIONS / HTTP/1.1", .validUser) == .granted(nil))
    #expect(try outcome("OPTIONS / HTTP/1.1", .anyOf(users: ["nemo"])) == .granted(nil))
    #expect(try outcome("POST / HTTP/1.1", .validUser) == nil)
    // Where no user may ask from, no preflight passes from either.
    #expect(try outcome("OPTIONS / HTTP/1.1", office, .ipv4(0x0A00_0001)) == .granted(nil))
    #expect(try outcome("OPTIONS / HTTP/1.1", office, .ipv4(0xC000_0201)) == nil)
    #expect(try outcome("OPTIONS / HTTP/1.1", .anyOf(users: [String](), groups: [])) == nil)
  }
}
