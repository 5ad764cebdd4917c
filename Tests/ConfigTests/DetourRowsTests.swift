// What an upstream says of its way: what is taken, what goes together, and that nothing secret is shown.

import HTTP
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct DetourRowsTests {
  private func load(_ upstream: String, environment: [String: String] = [:]) -> Configuration {
    Configuration.load(
      text: "listen *:80\nupstream app { \(upstream) }\nroute / { upstream app; require nobody }\n", name: "t.conf", environment: { environment[$0] })
  }

  private func options(_ upstream: String) -> UpstreamOptions? { load(upstream).settings?.upstreams.first?.members.first?.options }

  private static let pin = "sha256//XzCpbPBb75POiCmxOT2n6PKqi76EX0NcqNb5WJvUz6E="
  private static let other = "sha256//YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRMwE="

  @Test func pinsAndLegacyAreTaken() {
    #expect(options("server https://a; tls { pin \(Self.pin) }")?.tls.pins == Self.pin)
    for text in ["pin \(Self.pin) \(Self.other)", "pin \"\(Self.pin);\(Self.other)\""] {
      #expect(options("server https://a; tls { \(text) }")?.tls.pins == "\(Self.pin);\(Self.other)")
    }
    #expect(options("server https://a; tls { legacy on }")?.tls.allowsLegacy == true)
    #expect(options("server https://a; tls { legacy off }")?.tls == UpstreamOptions.TLS())
  }

  /// Anything without the prefix would be a file that libcurl reads.
  @Test(arguments: [
    "/etc/passwd", "sha256//", "sha256//short=", "sha1//XzCpbPBb75POiCmxOT2n6PKqi76EX0NcqNb5WJvUz6E=",
    "sha256//XzCpbPBb75POiCmxOT2n6PKqi76EX0NcqNb5WJvUz6E=;", "sha256//XzCpbPBb75POiCmxOT2n6PKqi76EX0NcqNb5WJvUz6E=x",
    "sha256//XzCpbPBb75POiCm OT2n6PKqi76EX0NcqNb5WJvUz6E=",
  ]) func whatIsNoPinIsRefused(_ pin: String) {
    let configuration = load("server https://a; tls { pin \"${PIN}\" }", environment: ["PIN": pin])
    #expect(configuration.settings == nil && configuration.diagnostics.all.map(\.message) == ["\"${PIN}\" is no digest of a key: sha256// and 44 characters of Base64"])
  }

  @Test func whatIsWeakIsWarnedOf() {
    func warnings(_ tls: String) -> [String] { load("server https://a; tls { \(tls) }").diagnostics.all.map(\.message) }
    let between = "whoever stands between can read and change what goes to this upstream"
    #expect(warnings("verify off") == [between])
    #expect(warnings("verify off; pin \(Self.pin)") == [] && warnings("pin \(Self.pin); verify off") == [])
    #expect(warnings("legacy on") == ["TLS this old can be broken: whoever stands between may read and change what goes to this upstream"])
  }

  @Test(arguments: [
    ("10.0.0.5:8443", "10.0.0.5", 8443), ("10.0.0.5", "10.0.0.5", nil), ("b.example:80", "b.example", 80), ("[::1]:80", "::1", 80), ("::1", "::1", nil),
    ("[2001:db8::1]", "2001:db8::1", nil),
  ] as [(String, String, UInt16?)]) func otherPlacesAreTaken(_ text: String, _ host: String, _ port: UInt16?) {
    #expect(options("server https://a; connect_to \(text)")?.elsewhere == UpstreamOptions.Elsewhere(host: host, port: port))
  }

  @Test func sourcesAreTaken() {
    #expect(options("server http://a; source 10.0.0.9")?.source == .address("10.0.0.9"))
    #expect(options("server http://a; source 2001:db8::9")?.source == .address("2001:db8::9"))
    #expect(options("server http://a; source eth1")?.source == .interface("eth1"))
  }

  @Test func proxiesAreTaken() throws {
    for scheme in ["http", "https", "socks5", "socks5h"] {
      let via = options("server http://a; via \(scheme)://proxy.example:3128")?.via
      #expect(via.map { "\($0)" } == "\(scheme)://proxy.example:3128" && via?.username == nil)
    }
    #expect(options("server http://a; via http://[::1]:3128/")?.via?.host == "::1")
    let scratch = try Scratch()
    let file = try scratch.write("proxy.password", "s3cret-s3cret\nanother\n", mode: 0o600)
    let via = options("server http://a; via http://p:1 { username gate; password_file \(file) }")?.via
    #expect(via?.username == "gate" && via?.password == "s3cret-s3cret")
    // However it is printed.
    for text in ["\(String(describing: via))", String(reflecting: via), { var text = ""; dump(via, to: &text); return text }()] {
      #expect(!text.contains("s3cret"), "\(text)")
    }
  }

  @Test func theClientIsAnnounced() {
    #expect(options("server http://a; send_proxy_protocol v1")?.announces == .v1)
    #expect(options("server unix:/run/a.sock; send_proxy_protocol v2")?.announces == .v2)
    #expect(options("server https://a; via http://p:1; send_proxy_protocol v2; tls { name b }")?.announces == .v2)
    #expect(options("server http://a; via https://p:1; send_proxy_protocol v1")?.announces == .v1)
    #expect(options("server http://a; send_proxy_protocol off")?.announces == nil)
  }

  @Test(arguments: [
    ("server http://a; connect_to a:b", "'a:b' is no host and port"), ("server http://a; connect_to a:0", "'a:0' is no host and port"),
    ("server http://a; connect_to http://b", "'http://b' is no host and port"),
    ("server http://a; server http://b; connect_to c:1", "this would make one of several servers"),
    ("server unix:/a; connect_to c:1", "a Unix socket is on this machine: there is no way round to it"),
    ("server unix:/a; via http://p:1", "a Unix socket is on this machine: there is no way round to it"),
    ("server unix:/a; source lo", "a Unix socket is on this machine: there is no way round to it"),
    ("server http://a; source 10.0.0.300", "'10.0.0.300' is neither an address nor the name of a network interface"),
    ("server http://a; source a/b", "'a/b' is neither an address nor the name of a network interface"),
    ("server http://a; source an-interface-too-long", "'an-interface-too-long' is neither an address nor the name of a network interface"),
    ("server http://a; via proxy:1", "'proxy:1' is no proxy: it begins with http://, https://, socks5:// or socks5h://"),
    ("server http://a; via ftp://proxy:1", "'ftp://proxy:1' is no proxy: it begins with http://, https://, socks5:// or socks5h://"),
    ("server http://a; via http://proxy", "'http://proxy' lacks its port: proxies have no usual one"),
    ("server http://a; via http://proxy:1/x", "'http://proxy:1/x' has no valid host and port"),
    ("server http://a; via http://u:s3cret@proxy:1", "the proxy's URL holds a user name"),
    ("server http://a; via http://p:1 { username a }", "'username' and 'password_file' belong together"),
    ("server http://a; via http://p:1 { ca /etc/hostname }", "'ca' is for a proxy whose URL begins with https://"),
    ("server http://a; via http://p:1 { username a:b }", "this user name can't be sent: 1 to 255 bytes, no control characters, no colon"),
    (
      "server https://a; via https://p:1; send_proxy_protocol v1",
      "through a proxy that is itself spoken to by TLS, no PROXY header can come before an https:// server's own TLS"
    ), ("server http://a; engine libcurl; send_proxy_protocol v1", "libcurl's engine would name us instead of the client"),
    ("server http://a; send_proxy_protocol v3", "'v3' is none of 'v1', 'v2', 'off'"),
  ]) func whatDoesNotGoIsSaid(_ upstream: String, _ message: String) {
    let configuration = load(upstream)
    #expect(configuration.settings == nil && configuration.diagnostics.all.contains { $0.message == message }, "\(configuration.diagnostics.rendered)")
    #expect(!configuration.diagnostics.all.contains { $0.message.contains("s3cret") })
  }

  @Test(arguments: ["", "\n", "two\rwords", "a\tb", "bell\u{7}"]) func aPasswordThatCannotBeSentIsRefused(_ password: String) throws {
    let scratch = try Scratch()
    let file = try scratch.write("p", password, mode: 0o600)
    let configuration = load("server http://a; via http://p:1 { username gate; password_file \(file) }")
    // A return ends the line as a line feed does.
    #expect((configuration.settings == nil) == (password != "two\rwords"))
    let user = load("server http://a; via http://p:1 { username \"${NAME}\"; password_file \(file) }", environment: ["NAME": "a\r\nX-Forged: 1"])
    #expect(user.settings == nil && !user.diagnostics.rendered.contains("X-Forged"))
  }
}
