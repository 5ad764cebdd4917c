// Where redirects may lead: templates that are refused, and what becomes of requests that would lead elsewhere.

import Primitives
import Testing

@testable import Proxy

@Suite struct RedirectTemplateTests {
  private func location(_ text: String, _ host: String = "a.example:80", _ path: String = "/x", _ query: String = "?q") throws -> String? {
    let (host, path, query) = (Array(host.utf8), Array(path.utf8), Array(query.utf8))
    let template = try RedirectTemplate(status: 302, text)
    let bytes = template.location(host: host.span, path: path.span, query: query.span)
    return bytes.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(arguments: [
    "", "evil.example", "//evil.example", "//{host}/x", "ftp://a.example/", "javascript:alert(1)", "https://", "https://{path}", "https:///x",
    "https://{host}.evil.example/",
    "https://{host}evil/", "https://{host}@evil.example/", "https://{host}:80x/", "https://{host}:/", "https://{host}:123456/", "https://a.{host}/",
    "https://a.example{host}", "https://a.example/{host}", "/{host}", "https://user@a.example/", "/x y", "/x\\y", "/{user}", "/{path", "/path}", "/{query}{path}",
    "/{query}x", "{query}", "https://a.example:99999x/", "https://a b/", "/\u{e9}", "https://{host}{host}/", "{host}",
  ])
  func whatCouldLeadElsewhereIsRefused(_ text: String) {
    #expect(throws: RedirectTemplate.Fault.self) { try RedirectTemplate(status: 302, text) }
  }

  @Test func partsStandWhereTheyAreWritten() throws {
    #expect(try location("https://{host}{path}{query}") == "https://a.example/x?q")
    #expect(try location("https://{host}:8443/new{path}") == "https://a.example:8443/new/x")
    #expect(try location("http://b.example:81{path}{query}", "", "/x", "") == "http://b.example:81/x")
    #expect(try location("https://b.example{query}") == "https://b.example?q")
    #expect(try location("/new") == "/new")
    #expect(try location("{path}", "", "*") == "/")
    #expect(try location("https://b.example{path}", "", "*") == "https://b.example/")
    #expect(try location("https://{host}/", "") == nil)
    #expect(try location("https://{host}/", "[::1]:80") == "https://[::1]/")
  }

  @Test(arguments: ["//evil.example", "///evil.example", "////", "/\\evil.example", "//\\evil"])
  func aPathIsNoHost(_ path: String) throws {
    for text in ["{path}", "/{path}", "{path}{query}"] {
      let found = try #require(try location(text, "", path, ""))
      #expect(found.hasPrefix("/") && !found.hasPrefix("//") && !found.contains("\\"), "\(found)")
    }
  }

  @Test func noByteEndsTheLine() throws {
    for byte in 0...255 {
      let bytes = [0x2F, UInt8(byte), 0x61]
      let template = try RedirectTemplate(status: 302, "https://b.example{path}{query}")
      let found = template.location(host: [UInt8]().span, path: bytes.span, query: bytes.span)
      #expect(found?.allSatisfy { $0 > 0x20 && $0 < 0x7F } == true)
    }
  }
}
