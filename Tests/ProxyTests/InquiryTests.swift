// What a server in front asks about, read from its fields: whole, once and in one voice, or not at all.

import Auth
import HTTP
import Primitives
import Testing

@testable import Proxy

@Suite struct InquiryTests {
  private static let original = ["X-Original-Method: PUT", "X-Original-URI: /a?b=c"]
  private static let forwarded = ["X-Forwarded-Method: PUT", "X-Forwarded-Uri: /a?b=c", "X-Forwarded-Host: shop.test"]

  /// `METHOD TARGET HOST` of what is asked about, or how it failed.
  private func read(_ fields: [String], host: String = "legacy.test") throws -> String {
    let lines = ["GET /auth HTTP/1.1", "Host: \(host)"] + fields
    let asking = try head(bytes: bytes(lines.map { $0 + "\r\n" }.joined() + "\r\n"))
    let inquiry = Inquiry()
    switch inquiry.read(asking, limits: HeadLimits(), rules: ForwardingRules(ForwardingOptions())) {
    case .unclear: return "unclear"
    case .refused: return "refused"
    case nil:
      let about = inquiry.head
      return [about.methodRange, about.target.whole, about.host].map { text(about.bytes[$0]) }.joined(separator: " ")
    }
  }

  @Test func bothFamiliesAreRead() throws {
    #expect(try read(Self.original) == "PUT /a?b=c legacy.test")
    #expect(try read(Self.forwarded) == "PUT /a?b=c shop.test")
    #expect(try read(Self.original + Self.forwarded, host: "shop.test") == "PUT /a?b=c shop.test")
    #expect(try read(Self.original + Self.forwarded.dropLast()) == "PUT /a?b=c legacy.test")
  }

  @Test func whatIsIncompleteOrOfTwoMindsIsUnclear() throws {
    for left in 0..<5 {
      var fields = Self.original + Self.forwarded
      fields.remove(at: left)
      let found = try read(fields, host: "shop.test")
      // One family is still whole; without the host the other one's Host says it.
      #expect(found == "PUT /a?b=c shop.test", "\(fields)")
    }
    #expect(try read(Self.original + Self.forwarded) == "unclear", "two hosts")
    for fields in [[], [Self.original[0]], Array(Self.forwarded[..<2]), [Self.original[0], Self.forwarded[1], Self.forwarded[2]]] {
      #expect(try read(fields) == "unclear", "\(fields)")
    }
    for extra in Self.original + Self.forwarded {
      #expect(try read(Self.original + Self.forwarded + [extra], host: "shop.test") == "unclear")
    }
    for other in ["X-Forwarded-Uri: /a", "X-Forwarded-Uri:", "X-Forwarded-Method: put", "x-forwarded-URI: /a?b=C"] {
      #expect(try read(Self.original + [other]) == "unclear", "\(other)")
    }
  }

  @Test func otherSpellingsSayNothing() throws {
    for other in ["X_Original_URI: /b", "X-Original-URL: /b", "X.Forwarded.Uri: /b", "X-Rewrite-URL: /b"] {
      #expect(try read(Self.original + [other]) == "PUT /a?b=c legacy.test", "\(other)")
    }
    #expect(try read(["X_Original_Method: PUT", "X_Original_URI: /a"]) == "unclear")
  }

  @Test func nothingOfTheQuestionsFramingIsLeft() throws {
    let lines = [
      "POST /auth HTTP/1.1", "Host: legacy.test", "Content-Length: 5", "Expect: 100-continue", "Connection: close", "X-Kept: yes",
      "Authorization: Bearer x",
    ]
    let asking = try head(bytes: bytes((lines + Self.original).map { $0 + "\r\n" }.joined() + "\r\n"))
    let inquiry = Inquiry()
    #expect(inquiry.read(asking, limits: HeadLimits(), rules: ForwardingRules(ForwardingOptions())) == nil)
    #expect(inquiry.head.framing == .none && !inquiry.head.expectsContinue && inquiry.head.authorizationCount == 1)
    let about = inquiry.head
    #expect(about.fields.map { text(about.bytes[$0.name]) } == ["Host", "X-Kept", "Authorization"])
  }

  @Test func itsPathIsOursAloneAndByOneReading() throws {
    var settings = Settings()
    settings.forwardAuthPath = bytes("/auth")
    let endpoints = Endpoints(settings)
    #expect(endpoints.find(bytes("/auth").span) == .endpoint(.forwardAuth))
    for path in ["/auth/", "/auth/x", "/Auth", "/", "/x/auth"] { #expect(endpoints.find(bytes(path).span) == .none, "\(path)") }
    for path in ["/auth;x", "//auth"] { #expect(endpoints.find(bytes(path).span) == .ambiguous, "\(path)") }
  }
}

extension Inquiry.Failure: Equatable {
  static func == (a: Inquiry.Failure, b: Inquiry.Failure) -> Bool { "\(a)" == "\(b)" }
}
