// What routes ask beyond who may pass: what is written arrives, and what can't be meant is said with its place.

import Primitives
import Proxy
import Testing

@testable import Config

@Suite struct RouteTermsTests {
  private func load(_ text: String) -> Configuration { Configuration.load(text: text, name: "t.conf", environment: { _ in nil }) }

  /// The terms of a route that has an upstream.
  private func terms(_ line: String) throws -> RouteTerms {
    let configuration = load(try #require(Minimal.text(adding: line, in: .route)))
    return try #require(configuration.settings, "\(configuration.diagnostics.rendered)").routes[0].terms
  }

  @Test func numbersArrive() throws {
    let all = try terms(
      """
      max_inflight 5; max_inflight_user 2; bandwidth 1m
      rate 10r/s; rate 600r/h burst 20 by user; rate 5r/d by token burst 1
      connect_timeout 1s; response_timeout 2s; idle_timeout 3s; total_timeout 4s
      """)
    #expect(all.maxInFlight == 5 && all.maxInFlightOfUser == 2 && all.bandwidth == 1 << 20 && all.buffer == nil)
    #expect(
      all.rates == [
        RateLimit(Rate(count: 10, per: .seconds(1)), burst: 10), RateLimit(Rate(count: 600, per: .seconds(3600)), burst: 20, by: .user),
        RateLimit(Rate(count: 5, per: .seconds(86_400)), burst: 1, by: .token),
      ])
    #expect(all.times.connect == .seconds(1) && all.times.response == .seconds(2) && all.times.idle == .seconds(3) && all.times.total == .seconds(4))
    #expect(try terms("buffer 4m").buffer == 4 << 20)
    let uploads = try terms("bandwidth_upload 1m; buffer_upload 16m")
    #expect(uploads.uploadBandwidth == 1 << 20 && uploads.uploadBuffer == 16 << 20 && uploads.bandwidth == nil && uploads.buffer == nil)
    #expect(try terms("bandwidth_upload off; buffer_upload off") == RouteTerms())
    #expect(try terms("") == RouteTerms())
  }

  @Test(arguments: [
    ("rate 10", "'10' is no rate"), ("rate 0r/s", "'0r/s' is no rate"), ("rate 10r/w", "'10r/w' is no rate"), ("rate r/s", "'r/s' is no rate"),
    ("rate 10r/s burst 0", "'0' is out of range"), ("rate 10r/s by colour", "'colour' is none of"), ("rate 10r/s burst", "'burst' lacks its value"),
    ("rate 10r/s burst 1 burst 2", "'burst' stands twice here"), ("rate 10r/s; rate 10r/s", "the same rate stands here already"),
    ("max_inflight 0", "'0' is out of range"), ("bandwidth 1", "'1' is out of range"), ("buffer 1k", "'1k' is out of range"),
    ("bandwidth_upload 1", "'1' is out of range"), ("buffer_upload 17m", "'17m' is out of range"),
    ("bandwidth 1m; buffer 1m", "'bandwidth' and 'buffer' exclude each other"), ("total_timeout 1ms", "'1ms' is out of range"),
    ("respond 200 hi", "this route has 2 answers"), ("redirect /x", "this route has 2 answers"),
    ("maintenance off x", "'x' means nothing behind 'off'"), ("maintenance x none.html", "'none.html' can't be read"),
  ])
  func mistakesBesideAnUpstreamAreSaid(_ line: String, _ expected: String) throws {
    let configuration = load(try #require(Minimal.text(adding: line, in: .route)))
    #expect(configuration.settings == nil && configuration.diagnostics.rendered.contains(expected), "\(configuration.diagnostics.rendered)")
  }

  @Test(arguments: [
    ("respond 200 hi; redirect /x", "2 answers"), ("respond 301 /x", "'301' needs more than a text"), ("respond 401", "'401' needs more"),
    ("respond 100", "'100' is out of range"), ("respond 204 text", "'204' has no content"), ("respond 200 file", "'file' takes the file"),
    ("respond 200 file none", "'none' can't be read"), ("respond 200 hi kind x/y", "'kind' means nothing here"),
    ("respond 200 hi type html", "'html' is no media type"), ("redirect 304 /x", "'304' is none of"), ("redirect evil.example", "is nowhere to go"),
    ("redirect //evil.example", "begins with two slashes"), ("redirect \"https://{host}.evil.example/\"", "makes another host of {host}"),
    ("root none", "'none' can't be served"), ("root /", "is the whole machine"), ("root /tmp; path raw", "'path raw' is for upstreams"),
    ("", "this route has no upstream"),
  ])
  func mistakesOfAnAnswerAreSaid(_ line: String, _ expected: String) {
    let configuration = load("listen 127.0.0.1:1\nroute / { require nobody; \(line)\n}\n")
    #expect(configuration.settings == nil && configuration.diagnostics.rendered.contains(expected), "\(configuration.diagnostics.rendered)")
  }

  @Test func anAnswerNeedsARequirementToo() {
    #expect(load("listen 127.0.0.1:1\nroute / { respond 200 hi }\n").diagnostics.rendered.contains("does not say who may pass"))
  }

  @Test func pagesGoByTheirStatus() throws {
    let scratch = try Scratch()
    try scratch.write("a.html", "a")
    try scratch.write("b.html", "b")
    let text = "listen 127.0.0.1:1\nroute / { respond 200 hi; require nobody }\n"
    let settings = try #require(load(text + "error_page 5xx 404 \(scratch.path)/a.html\nerror_page 503 \(scratch.path)/b.html").settings)
    #expect(settings.errorPages[502] == Array("a".utf8) && settings.errorPages[503] == Array("b".utf8) && settings.errorPages[404] == Array("a".utf8))
    #expect(settings.errorPages[401] == nil && settings.errorPages[400] == nil)
    for words in ["200 a.html", "404 404 a.html", "404 none.html", "5xx 5xx a.html"] {
      let line = "error_page " + words.replacing("a.html", with: scratch.path + "/a.html")
      #expect(load(text + line).settings == nil, "\(line)")
    }
  }
}
