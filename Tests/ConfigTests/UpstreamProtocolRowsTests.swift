// `protocol` of an upstream: what is taken, and what doesn't go with HTTP/2.

import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct UpstreamProtocolRowsTests {
  private func load(_ upstream: String) -> Configuration {
    Configuration.load(text: "listen *:80\nupstream app { \(upstream) }\nroute / { upstream app; require nobody }\n", name: "t.conf", environment: { _ in nil })
  }

  @Test func aProtocolIsTaken() {
    func speaks(_ upstream: String) -> [Bool]? { load(upstream).settings?.upstreams.first?.members.map(\.options.speaksHTTP2) }
    #expect(speaks("server http://a") == [false] && speaks("server http://a; protocol http1") == [false])
    #expect(speaks("server http://a; server https://b; protocol http2") == [true, true])
    #expect(speaks("server unix:/run/a; protocol http2; engine auto") == [true])
    #expect(speaks("server https://a; protocol http2; via http://p:1") == [true] && speaks("server http://a; protocol http2; via https://p:1") == [true])
  }

  private static let again = "a login that the service may ask for once more is not for HTTP/2 upstreams yet: by digest, ntlm, negotiate or token_url"

  @Test(arguments: [
    ("server http://a; protocol h2", "'h2' is none of 'http1', 'http2'"),
    ("server http://a; protocol http2; engine libcurl", "HTTP/2 is spoken by an engine of its own"),
    ("server http://a; protocol http2; engine http1", "HTTP/2 is spoken by an engine of its own"),
    (
      "server https://a; protocol http2; send_proxy_protocol v1",
      "a connection that many clients share can't be announced as one client's ('send_proxy_protocol')"
    ),
    ("server https://a; protocol http2; via https://p:1", "through a proxy that is itself spoken to by TLS, HTTP/2 can't be agreed on with an https:// server"),
    ("server http://a; protocol http2; authenticate digest { username u; password_file /etc/hostname }", Self.again),
    ("server http://a; protocol http2; authenticate ntlm { username u; password_file /etc/hostname }", Self.again),
  ]) func whatDoesNotGoIsSaid(_ upstream: String, _ message: String) {
    let configuration = load(upstream)
    #expect(configuration.settings == nil && configuration.diagnostics.all.contains { $0.message == message }, "\(configuration.diagnostics.rendered)")
  }

  @Test func aFileServerHasNone() {
    #expect(load("server ftp://a; protocol http2").settings == nil)
  }
}
