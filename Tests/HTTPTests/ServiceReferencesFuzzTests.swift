// Whatever a service says of places and cookies: nothing becomes two lines, nothing that was another host's becomes ours, and nothing of ours another's.

import HTTP
import Primitives
import Testing

@Suite struct ServiceReferencesFuzzTests {
  private static let pieces = [
    "http://", "https://", "//", "/", "\\", "10.0.0.5:8080", "example.com", "evil.com", "@", ":", "8080", "/legacy", "/app", "?", "#", "%2f", "..",
    "\t", " ", ";", ",", "<", ">",
    "\"", "'", "url=", "Path=", "Domain=", "a=b", "; Path=/", "; Domain=10.0.0.5", "x", "__Host-", "\u{e9}", "=", "Secure",
  ]

  @Test func whateverIsSaidIsMappedOrLeftAlone() {
    var random = SeededGenerator(seed: 0x10ca7104)
    let origin = ServicePlace.Origin(isSecure: false, host: bytes("10.0.0.5"), port: 8080)
    var rules = CookieRules()
    rules.isSecure = true
    let host = bytes("example.com")
    for round in 0..<60_000 {
      let text = (0..<Int.random(in: 1...7, using: &random)).map { _ in Self.pieces.randomElement(using: &random) ?? "" }.joined()
      let value = bytes(text)
      let place = ServicePlace(origins: [origin], outside: bytes(round & 1 == 0 ? "/legacy" : ""), inside: bytes(round & 2 == 0 ? "/app" : ""))
      let view = ServicePlace.View(clientHost: bytes(round & 4 == 0 ? "example.com" : ""), isClientSecure: true, sentHost: bytes("example.com"))
      var out = ByteBuffer()
      if place.append(location: value.span, view, to: &out) {
        let made = String(decoding: out.array(), as: UTF8.self)
        // What browsers drop and fold, dropped and folded.
        let seen = made.filter { $0 != "\t" }.map { $0 == "\\" ? "/" : $0 }
        #expect(String(seen).hasPrefix("https://example.com") || seen.first == "/" && seen.dropFirst().first != "/", "\(text) → \(made)")
        if seen.first != "/" { #expect(["/", "?", "#", nil].contains(seen.dropFirst(19).first), "\(text) → \(made)") }
      } else {
        let made = out.array()
        #expect(made.isEmpty)
      }
      for way in 0..<3 {
        out.removeAll()
        let isChanged =
          switch way {
          case 0: place.append(refresh: value.span, view, to: &out)
          case 1: place.append(link: value.span, view, to: &out)
          default: rules.append(value.span, place, domains: [bytes("10.0.0.5")], clientHost: host.span, to: &out)
          }
        let made = out.array()
        if !isChanged { #expect(made.isEmpty) }
        for byte in made where !ASCII.isFieldValue(byte) { Issue.record("\(text) has a control") }
      }
    }
  }
}
