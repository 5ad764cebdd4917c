// Request targets, Host, and that they agree.

import HTTP
import Primitives
import Testing

@Suite struct TargetAndHostTests {
  private func target(_ target: String, host: String = "a", method: String = "GET") -> (RequestTarget?, RequestHead) {
    let answer = parseAtEverySplit(bytes("\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n"))
    if case .complete = answer.result { return (answer.head.target, answer.head) }
    return (nil, answer.head)
  }

  @Test(arguments: [
    ("/", "/", false, ""), ("/a/b", "/a/b", false, ""), ("/a?", "/a", true, ""), ("/a?b=c?d", "/a", true, "b=c?d"), ("/?", "/", true, ""),
    ("//a/b", "//a/b", false, ""), ("/a%2", "/a%2", false, ""), ("/{a}|b^`\"<>\\", "/{a}|b^`\"<>\\", false, ""), ("/*", "/*", false, ""),
    ("/http://b/", "/http://b/", false, ""), ("/a;b=1", "/a;b=1", false, ""),
  ])
  func originFormIsTakenApart(_ text: String, _ path: String, _ hasQuery: Bool, _ query: String) {
    let (target, head) = target(text)
    #expect(target?.form == .origin)
    #expect(HTTPTests.text(head.bytes[head.target.path]) == path)
    #expect(head.target.hasQuery == hasQuery)
    #expect(HTTPTests.text(head.bytes[head.target.query]) == query)
    #expect(head.target.authority.isEmpty)
  }

  @Test func aNameThatNobodyLooksUpIsNoHost() {
    let longest = String(repeating: "a.b", count: 85)
    #expect(target("/", host: longest).0 != nil && target("/", host: longest + ":65535").0 != nil)
    #expect(target("/", host: longest + "c").0 == nil && target("http://\(longest)c/", host: longest + "c").0 == nil)
  }

  @Test func highBytesInTheTargetAreTaken() {
    #expect(target("/é").0?.form == .origin)
  }

  @Test(arguments: [
    ("http://a/x?y", "a", "/x", "y"), ("HTTP://a/", "a", "/", ""), ("http://a", "a", "", ""), ("http://a?q", "a", "", "q"),
    ("https://a:443/x", "a", "/x", ""), ("http://a:80/", "a", "/", ""), ("http://a/", "a:80", "/", ""), ("http://a:/", "a", "/", ""),
    ("http://A/", "a", "/", ""), ("http://a:8080/", "a:8080", "/", ""), ("http://[::1]:8080/x", "[::1]:8080", "/x", ""),
    ("http://a//b", "a", "//b", ""),
  ])
  func absoluteFormIsTakenApart(_ text: String, _ host: String, _ path: String, _ query: String) {
    let (target, head) = target(text, host: host)
    #expect(target?.form == .absolute)
    #expect(HTTPTests.text(head.bytes[head.target.path]) == path)
    #expect(HTTPTests.text(head.bytes[head.target.query]) == query)
    #expect(HTTPTests.text(head.bytes[head.host]) == host)
  }

  @Test(arguments: [
    ("http://b/", "a"), ("http://a:81/", "a"), ("http://a/", "a:443"), ("https://a/", "a:80"), ("http://a.b/", "a"),
    ("http://a:8080/", "a:808"),
  ])
  func absoluteFormHasToAgreeWithHost(_ text: String, _ host: String) {
    #expect(failure("GET \(text) HTTP/1.1\r\nHost: \(host)\r\n\r\n") == .hostDisagrees)
  }

  @Test(arguments: [
    "http://", "http:///x", "http://u@a/", "http://u:p@a/", "ftp://a/", "http:/a", "http:a", "a", "a/b", "?x", "*x", "http://a:b/",
    "http://a:99999/", "http://[::1/", "http://a b/", "http://a,b/", "http://%61/", "ws://a/", "http://@a/", "http://a\\b/", "//", "\\a",
    "%2Fa",
    "http://?x",
  ])
  func otherTargetsAreRefused(_ text: String) {
    let found = failure("GET \(text) HTTP/1.1\r\nHost: a\r\n\r\n")
    if text == "//" { #expect(found == nil) } else { #expect(found?.status == 400) }
  }

  @Test func asteriskIsForOptionsAlone() {
    #expect(target("*", method: "OPTIONS").0?.form == .asterisk)
    #expect(target("*").0 == nil)
    #expect(target("http://a", method: "OPTIONS").0?.form == .asterisk)
    #expect(target("http://a/", method: "OPTIONS").0?.form == .absolute)
    #expect(target("/x", method: "OPTIONS").0?.form == .origin)
  }

  @Test func connectHasAnAuthorityAndNothingElse() {
    #expect(target("a:443", method: "CONNECT").0?.form == .authority)
    #expect(target("[::1]:443", method: "CONNECT").0?.form == .authority)
    for bad in ["a", "/", "http://a:443/", "*", "a:", "u@a:443", "a:443/"] {
      #expect(target(bad, method: "CONNECT").0 == nil)
    }
  }

  @Test(arguments: [
    "a", "a.b.c", "a:80", "a:", "a:0", "a:65535", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:1", "a_b",
    "a-b~",
    "xn--bcher-kva.example", "EXAMPLE.com", "a.", "1",
  ])
  func hostsAreTaken(_ host: String) {
    #expect(failure("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == nil)
  }

  @Test(arguments: [
    "", "u@a", "a b", "a,b", "a/b", "a:b", "a:65536", "a:123456", "a:8 0", ":80", "[::1", "::1", "[::1]x", "[]", "[a]", "[::1]:x", "a?b",
    "a%61",
    "a\\b", "a\"b", "a;b", "a:80:80", "<a>", "bücher", "a&b", "a=b", "a*", "[v1.x]", "[fe80::1%25eth0]", "[:]", "a'b", "a(b)", "http://a",
    "[1:2:3:4:5:6:7:8:9:0]",
  ])
  func otherHostsAreRefused(_ host: String) {
    #expect(failure("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == .invalidHost)
    #expect(failure("GET / HTTP/1.0\r\nHost: \(host)\r\n\r\n") == .invalidHost)
  }
}
