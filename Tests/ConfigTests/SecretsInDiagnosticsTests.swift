// A complaint shows the line that it is about, and ends up in journals and tickets: what may be a password is not shown.

import Testing

@testable import Config

@Suite struct SecretsInDiagnosticsTests {
  @Test(arguments: [
    (#"authorization replace "Basic hunter2\q" }"#, #"authorization replace "••••• •••••••••" }"#),
    (#"authorization replace Basic hunter2; path raw"#, #"authorization replace ••••• •••••••; path raw"#),
    (#"authorization replace "a;b}c" }"#, #"authorization replace "•••••" }"#),
    (#"authorization replace "Basic ${SECRET}" }"#, #"authorization replace "••••• ${SECRET}" }"#),
    (#"authorization replace ${SECRET} }"#, #"authorization replace ${SECRET} }"#),
    (#"authorization replace "unclosed"#, #"authorization replace "••••••••"#),
    ("server http://root:hunter2@legacy:9000 }", "server http://••••••••••••@legacy:9000 }"),
    ("server http://root:hun/ter@2@legacy }", "server http://••••••••••••••@legacy }"),
    ("server http://legacy:9000 } # ask@example.com", "server http://legacy:9000 } # ask@example.com"),
    ("", ""), ("replace", "replace"), ("://", "://"),
  ])
  func whatMayBeAPasswordIsVeiled(_ line: String, _ shown: String) {
    #expect(String(String.UnicodeScalarView(Excerpt.shown(line))) == shown)
  }

  private static let mistakes = [
    "upstream a { server http://root:hunter2@legacy }\nroute / { upstream a; require nobody }",
    "upstream a { server http://b }\nroute / { upstream a; require nobody; authorization replace \" hunter2\" }",
    "upstream a { server http://b }\nroute / { upstream a; reqire nobody; authorization replace \"Basic hunter2\" }",
  ]

  @Test(arguments: mistakes)
  func noFormOfAComplaintHoldsASecret(_ text: String) {
    let configuration = Configuration.load(text: "listen 127.0.0.1:1\nlog off\n\(text)\n", name: "proxy.conf") { _ in nil }
    #expect(configuration.diagnostics.hasErrors)
    let said = configuration.diagnostics.rendered + configuration.diagnostics.errors.map(\.line).joined() + configuration.summary
    #expect(!said.contains("hunter2"), "\(said)")
  }

  @Test func aComplaintForALogIsOneLine() {
    let configuration = Configuration.load(text: "liste 127.0.0.1:1\n", name: "proxy.conf") { _ in nil }
    let line = configuration.diagnostics.errors.first?.line
    #expect(line == "proxy.conf:1:1: unknown directive 'liste' (did you mean 'listen'?)")
  }
}
