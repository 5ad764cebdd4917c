// A service's own addresses as its clients see them, and the addresses of others left alone.

import HTTP
import Primitives
import Testing

@Suite struct ServicePlaceTests {
  private static let origin = ServicePlace.Origin(isSecure: false, host: bytes("10.0.0.5"), port: 8080)
  private static let named = ServicePlace.Origin(isSecure: true, host: bytes("app.internal"), port: 443)

  private func view(_ client: String = "example.com", isSecure: Bool = true, sent: String? = nil) -> ServicePlace.View {
    ServicePlace.View(clientHost: bytes(client), isClientSecure: isSecure, sentHost: bytes(sent ?? client))
  }

  private func place(_ outside: String = "/legacy", _ inside: String = "") -> ServicePlace {
    ServicePlace(origins: [Self.origin, Self.named], outside: bytes(outside), inside: bytes(inside))
  }

  /// What becomes of a Location; nil where it stays.
  private func location(_ text: String, _ place: ServicePlace, _ view: ServicePlace.View) -> String? {
    var out = ByteBuffer()
    out.append("|")
    let value = bytes(text)
    let isChanged = place.append(location: value.span, view, to: &out)
    let made = String(decoding: out.array().dropFirst(), as: UTF8.self)
    if !isChanged { #expect(made == "", "\(text)") }
    return isChanged ? made : nil
  }

  @Test(arguments: [
    ("http://10.0.0.5:8080/x?y#z", "https://example.com/legacy/x?y#z"), ("http://10.0.0.5:8080", "https://example.com/legacy"),
    ("HTTP://10.0.0.5:8080/", "https://example.com/legacy/"), ("http://10.0.0.5:8080?q", "https://example.com/legacy?q"),
    ("https://app.internal/x", "https://example.com/legacy/x"), ("https://APP.internal:443/x", "https://example.com/legacy/x"),
    ("//10.0.0.5:8080/x", "https://example.com/legacy/x"), ("/x", "/legacy/x"), ("/", "/legacy/"), ("/x?/y", "/legacy/x?/y"),
    // By the name that it was called by, with the ports that servers put behind it.
    ("http://example.com/x", "https://example.com/legacy/x"), ("http://example.com:8080/x", "https://example.com/legacy/x"),
    ("http://example.com:80/x", "https://example.com/legacy/x"), ("https://example.com/x", "https://example.com/legacy/x"),
    // What is beneath the prefix already, by a service that knows it.
    ("http://10.0.0.5:8080/legacy/x", "https://example.com/legacy/x"), ("http://10.0.0.5:8080/legacyx", "https://example.com/legacy/legacyx"),
    ("/legacyx", "/legacy/legacyx"), ("http://10.0.0.5:8080//evil.com", "https://example.com/legacy//evil.com"),
  ]) func theServicesOwnAddressesAreTheClients(_ from: String, _ to: String) { #expect(location(from, place(), view()) == to) }

  @Test(arguments: [
    "", "x", "x/y", "?q", "#f", "http:", "http:/x", "http:x", "ftp://10.0.0.5:8080/", "http://10.0.0.5/x", "http://10.0.0.5:8081/x", "https://10.0.0.5:8080/x",
    "http://10.0.0.50:8080/", "http://10.0.0.5:8080@evil.com/", "http://evil.com@10.0.0.5:8080/", "http://10.0.0.5:8080.evil.com/",
    "http://10.0.0.5:8080\\@evil.com/", "http://10.0.0.5:8080%40evil.com/", "http://10.0.0.5%3A8080/", "http://evil.com/", "//evil.com/", "///evil.com", "/\\evil.com",
    "/\t/evil.com", "\\\\evil.com", "http://evil.com/http://10.0.0.5:8080/", "http://evil.com?http://10.0.0.5:8080/", "javascript:alert(1)",
    "http://10.0.0.5:8080\t/", " http://10.0.0.5:8080/", "http://example.com:9999/", "http://xexample.com/", "http:///x", "http://", "https://", "/legacy/x", "/legacy",
    "http://10.0.0.5:080800/", "http://10.0.0.5:/x",
  ]) func whatIsNotPlainlyTheServicesStays(_ text: String) { #expect(location(text, place(), view()) == nil, "\(text)") }

  @Test func withoutAPrefixPathsStay() {
    let place = place("")
    #expect(location("http://10.0.0.5:8080/x", place, view()) == "https://example.com/x")
    #expect(location("http://10.0.0.5:8080", place, view()) == "https://example.com")
    #expect(location("/x", place, view()) == nil && location("//evil.com", place, view()) == nil)
    #expect(location("http://10.0.0.5:8080/x", place, view("example.com:8443", isSecure: false)) == "http://example.com:8443/x")
  }

  @Test func aServiceThatWantsHTTPSIsHeard() {
    #expect(location("https://example.com/x", place(""), view(isSecure: false)) == nil)
    #expect(location("https://example.com/x", place(), view(isSecure: false)) == "https://example.com/legacy/x")
    #expect(location("https://example.com/x", place(), view("example.com:8080", isSecure: false)) == "https://example.com/legacy/x")
  }

  @Test func aPrefixInsideIsTakenAwayAgain() {
    let both = place("/legacy", "/app")
    #expect(location("/app/x", both, view()) == "/legacy/x" && location("/app", both, view()) == "/legacy")
    #expect(location("http://10.0.0.5:8080/app/x", both, view()) == "https://example.com/legacy/x")
    // Where none of our clients comes by this route.
    #expect(location("/other", both, view()) == nil && location("/appx", both, view()) == nil && location("http://10.0.0.5:8080/other", both, view()) == nil)
    let inside = place("", "/app")
    #expect(location("/app/x", inside, view()) == "/x" && location("/app", inside, view()) == "/")
    // What would be another's address without it stays with it.
    for text in ["/app//evil.com", "/app/\\evil.com", "/app/\t/evil.com"] { #expect(location(text, inside, view()) == nil) }
    #expect(location("http://10.0.0.5:8080/app//evil.com", inside, view()) == "https://example.com/app//evil.com")
  }

  @Test func withoutAHostPathsAreLeft() {
    let nobody = view("", isSecure: false)
    #expect(location("http://10.0.0.5:8080/x", place(), nobody) == "/legacy/x" && location("http://10.0.0.5:8080", place(""), nobody) == "/")
    #expect(location("http://10.0.0.5:8080//evil.com", place(""), nobody) == nil)
  }

  private func made(_ text: String, _ write: (Span<UInt8>, inout ByteBuffer) -> Bool) -> String? {
    var out = ByteBuffer()
    let value = bytes(text)
    let isChanged = write(value.span, &out)
    #expect(isChanged || out.isEmpty, "\(text)")
    return isChanged ? String(decoding: out.array(), as: UTF8.self) : nil
  }

  @Test func refreshIsReadAsBrowsersDo() {
    let table: [(String, String?)] = [
      ("5; url=/x", "5; url=/legacy/x"), ("0;URL='http://10.0.0.5:8080/x'", "0;URL='https://example.com/legacy/x'"), ("0, url = \"/x\" ;z", "0, url = \"/legacy/x\" ;z"),
      ("5", nil), ("5; url", nil), ("5; url=", nil), ("5; url='", nil), ("5; url=x", nil), ("5; url=//evil.com", nil), ("5; uri=/x", nil), ("", nil), (";", nil),
    ]
    for (from, to) in table { #expect(made(from) { place().append(refresh: $0, view(), to: &$1) } == to, "\(from)") }
  }

  @Test func linksAreWhatStandsInAngles() {
    let table: [(String, String?)] = [
      ("</x>; rel=next", "</legacy/x>; rel=next"),
      ("<http://10.0.0.5:8080/a>; rel=\"x, <y>\", </b>;rel=z", "<https://example.com/legacy/a>; rel=\"x, <y>\", </legacy/b>;rel=z"),
      ("<x>; title=\"</a>\"", nil), ("<//evil.com>", nil), ("</x", nil), ("<", nil), ("", nil), ("\"</x>", nil), ("<>, </x>", "<>, </legacy/x>"),
      ("<y>; title=\"\\\"</a>\", </x>", "<y>; title=\"\\\"</a>\", </legacy/x>"),
    ]
    for (from, to) in table { #expect(made(from) { place().append(link: $0, view(), to: &$1) } == to, "\(from)") }
  }

  @Test func cookiesAreTheClients() {
    let domains = [bytes("10.0.0.5"), bytes("app.internal")]
    let client = bytes("example.com:8443")
    func cookie(_ text: String, _ rules: CookieRules, _ place: ServicePlace) -> String? {
      made(text) { rules.append($0, place, domains: domains, clientHost: client.span, to: &$1) }
    }
    let table: [(String, String?)] = [
      ("a=b", nil), ("a=b; Path=/", "a=b; Path=/legacy"), ("a=b;path=/x;Secure", "a=b; Path=/legacy/x;Secure"), ("a=b; Path=", nil), ("a=b; Path=x", nil),
      ("a=b; Path=/legacy/x", nil), ("a=b; Domain=app.internal; HttpOnly", "a=b; HttpOnly"), ("a=b; domain=.App.Internal", "a=b"), ("a=b; Domain=internal", "a=b"),
      ("a=b; Domain=10.0.0.5", "a=b"), ("a=b; Domain=example.com", nil), ("a=b; Domain=evil.com", nil), ("a=b; Domain=xapp.internal", nil), ("a=b; Domain", nil),
      ("a=\"; Path=/\"; Path=/y", "a=\"; Path=/legacy/\"; Path=/legacy/y"), ("Path=/; Domain=d", nil), ("__Host-a=b; Path=/; Secure", nil), ("; ;", nil), ("", nil),
      ("a=b; Max-Age=5; PATH = /x ", "a=b; Max-Age=5; Path=/legacy/x"), ("a=b; Path=//evil.com", "a=b; Path=/legacy//evil.com"),
    ]
    for (from, to) in table { #expect(cookie(from, CookieRules(), place()) == to, "\(from)") }
    var rules = CookieRules()
    rules.isSecure = true
    rules.isHTTPOnly = true
    rules.sameSite = .lax
    rules.path = bytes("/p")
    rules.domain = .replace(bytes("example.com"))
    #expect(cookie("a=b", rules, place()) == "a=b; Domain=example.com; Path=/p; Secure; HttpOnly; SameSite=Lax")
    #expect(
      cookie("a=b; secure; HTTPONLY; SameSite=None; Path=/; Domain=x; Expires=Mon, 1 Jan", rules, place())
        == "a=b; secure; HTTPONLY; Expires=Mon, 1 Jan; Domain=example.com; Path=/p; SameSite=Lax")
    #expect(cookie("__Host-a=b; Path=/; Secure", rules, place()) == "__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax")
    rules = CookieRules()
    rules.domain = .remove
    #expect(cookie("a=b; Domain=example.com", rules, place("")) == "a=b")
  }

  @Test func destinationsArePathsAndURLs() {
    func parts(_ text: String) -> [String]? {
      let value = bytes(text)
      guard let found = Destination(value.span) else { return nil }
      func part(_ range: Range<Int>) -> String { String(decoding: value[range], as: UTF8.self) }
      return [found.authority.map(part) ?? "-", part(found.path), part(found.query)]
    }
    #expect(parts("/a/b?c") == ["-", "/a/b", "?c"] && parts("https://h:1/a") == ["h:1", "/a", ""] && parts("http://h") == ["h", "", ""])
    for text in ["", "a", "//h/a", "/\\h/a", "/a#b", "http://u@h/a", "ftp://h/a", "http:///a", "http://h\\x/a", " /a"] { #expect(parts(text) == nil, "\(text)") }
  }
}
