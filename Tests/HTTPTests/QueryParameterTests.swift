// A parameter that is found in every spelling, and taken out without touching the rest.

import HTTP
import Primitives
import Testing

@Suite struct QueryParameterTests {
  private func find(_ query: String) -> String? {
    let (name, bytes) = (Array("ticket".utf8), Array(query.utf8))
    switch QueryParameter.find(name.span, in: bytes.span) {
    case .absent: return nil
    case .ambiguous: return "(ambiguous)"
    case .one(let range): return String(decoding: bytes[Int(range.start)..<Int(range.end)], as: UTF8.self)
    }
  }

  private func without(_ query: String) -> String {
    let (name, bytes) = (Array("ticket".utf8), Array(query.utf8))
    var out = ByteBuffer()
    QueryParameter.append(bytes.span, without: name.span, to: &out)
    return String(decoding: out.array(), as: UTF8.self)
  }

  @Test(arguments: [
    ("ticket=x", "x", ""), ("a=1&ticket=x", "x", "?a=1"), ("ticket=x&a=1", "x", "?a=1"), ("a=1&ticket=x&b=2", "x", "?a=1&b=2"),
    ("%74icket=x", "x", ""), ("t%69cke%74=x&a", "x", "?a"), ("TICKET=x", "x", ""), ("%54icket=x", "x", ""), ("ticket", "", ""),
    ("ticket=", "", ""), ("ticket=a=b", "a=b", ""), ("ticket=x&&b", "x", "?&b"), ("&ticket=x", "x", "?"), ("ticket=x&", "x", ""),
    ("a=%26&ticket=x&b=%3D+", "x", "?a=%26&b=%3D+"),
  ])
  func itIsFoundAndTakenOut(_ query: String, _ value: String, _ rest: String) {
    #expect(find(query) == value)
    #expect(without(query) == rest)
  }

  @Test(arguments: [
    "", "a", "a=ticket", "a=ticket=x", "tickets=x", "xticket=x", "ticke=x", "ticke", "%7=x", "%", "tick%65", "ticket%3Dx", "a&b;c", "&",
    "&&",
  ])
  func whatIsNotItStaysAsItIs(_ query: String) {
    #expect(find(query) == nil)
    #expect(without(query) == (query.isEmpty ? "" : "?" + query))
  }

  @Test(arguments: [
    ("ticket=x&ticket=y", ""), ("ticket=x&a&%74icket=y", "?a"), ("ticket&TICKET", ""), ("a;ticket=x", "?a"), ("ticket=x;a", "?a"),
    ("a=1;ticket=x&b;c", "?a=1&b;c"),
  ])
  func anAmbiguousOneIsTakenOutWhereverItStands(_ query: String, _ rest: String) {
    #expect(find(query) == "(ambiguous)")
    #expect(without(query) == rest)
  }

  @Test func urlsAreSearchedBehindTheirPath() {
    let name = Array("ticket".utf8)
    for (url, isIn) in [
      ("http://a/?ticket=x", true), ("http://a/b?c&%74icket=x#d", true), ("/?a#ticket=x", true), ("/?a?ticket=x", true),
      ("/ticket=x", false),
      ("", false), ("http://a/?", false), ("http://a/#", false), ("/?q=ticket", false),
    ] {
      let bytes = Array(url.utf8)
      #expect(QueryParameter.isIn(url: bytes.span, name.span) == isIn, "\(url)")
    }
  }
}
