// The `tokens` block: what it means, what it refuses, and what is said of the files that it names.

import Auth
import FoundationEssentials
import Primitives
import Proxy
import Testing

@testable import Config

@Suite struct TokenRowsTests {
  private static let key = "k1 " + String(repeating: "A", count: 43) + "\n"

  /// A config with a `tokens` block, read from a folder that has `token.keys`.
  private func load(_ block: String, more: String = "", keys: String? = key, mode: Int = 0o600, revoked: String? = nil) throws
    -> Configuration
  {
    let scratch = try Scratch()
    if let keys { try scratch.write("token.keys", keys, mode: mode) }
    if let revoked { try scratch.write("token.keys.revoked", revoked) }
    let path = try scratch.write(
      "proxy.conf",
      "listen 127.0.0.1:0\n\(block)\nupstream u { server http://a }\nroute / { upstream u; require nobody }\n\(more)\n")
    return Configuration.load(path: path, environment: { _ in nil })
  }

  private func complaints(_ block: String, more: String = "", keys: String? = key, mode: Int = 0o600, revoked: String? = nil) throws
    -> [String]
  {
    try load(block, more: more, keys: keys, mode: mode, revoked: revoked).diagnostics.all.map(complaint)
  }

  @Test func theBlockBecomesOptions() throws {
    let configuration = try load(
      "tokens { keys token.keys; lifetime 5m; longest_lifetime 1h; renew_within 12h; endpoint /login/token }")
    #expect(configuration.diagnostics.rendered == "")
    let tokens = try #require(configuration.settings?.tokens)
    #expect(tokens.keysPath.hasSuffix("/token.keys") && tokens.keysPath.hasPrefix("/"))
    #expect(tokens.revokedPath == tokens.keysPath + ".revoked")
    #expect(tokens.lifetime == .seconds(300) && tokens.longestLifetime == .seconds(3600) && tokens.renewWithin == .seconds(43_200))
    #expect(tokens.endpoint == Array("/login/token".utf8))
    #expect(configuration.tokenKeys?.keys.count == 1)
    #expect(configuration.summary.contains("token.keys: 1 key, k1 signs"))
    let plain = try #require(try load("tokens { keys token.keys }").settings?.tokens)
    #expect(plain.lifetime == .seconds(600) && plain.longestLifetime == .seconds(86_400) && plain.renewWithin == .seconds(0))
    #expect(plain.endpoint == Array("/api/token".utf8))
    #expect(try load("tokens { keys token.keys; endpoint off }").settings?.tokens?.endpoint == nil)
    #expect(try load("").settings?.tokens == nil && load("").tokens == nil)
  }

  @Test(arguments: [
    ("tokens { }", "2:1: there are tokens, and no file for their keys"),
    ("tokens keys { keys token.keys }", "2:8: 'tokens' takes no arguments"),
    ("tokens { keys token.keys; lifetime 2h; longest_lifetime 1h }", "2:1: a token's lifetime (2h) is longer than longest_lifetime allows"),
    (
      "tokens { keys token.keys; renew_within 1m }",
      "2:1: renew_within is shorter than the lifetime of a token (10m): none could be renewed"
    ),
    ("tokens { keys token.keys; lifetime 0 }", "2:36: '0' is out of range: 1s to 8784h"),
    ("tokens { keys token.keys; longest_lifetime 8785h }", "2:44: '8785h' is out of range: 1s to 8784h"),
    ("tokens { keys token.keys; endpoint api }", "2:36: 'api' is no path in canonical form"),
    ("tokens { keys token.keys; endpoint /a/../b }", "2:36: '/a/../b' is no path in canonical form"),
    ("tokens { keys token.keys; endpoint /a?b }", "2:36: '/a?b' is no path in canonical form"),
    ("tokens { keys token.keys; endpoint //a }", "2:36: '//a' is no path in canonical form"),
    ("tokens { keys none/token.keys }", "2:15: 'none/token.keys' can't be made: there is no folder"),
    ("tokens { keys token.keys }\ntokens { keys token.keys }", "3:1: 'tokens' stands twice here"),
  ])
  func wrongBlocksAreRefused(_ block: String, _ expected: String) throws {
    let found = try complaints(block)
    #expect(found.count == 1 && found[0].hasPrefix(expected), "\(found)")
  }

  @Test func anExactRouteAtTheEndpointIsRefused() throws {
    let block = "tokens { keys token.keys; endpoint /t }"
    #expect(
      try complaints(block, more: "route = /t { upstream u; require nobody }").first?.hasPrefix("2:36: tokens are given out at /t") == true)
    #expect(try complaints(block, more: "route /t { upstream u; require nobody }") == [])
    #expect(try complaints("tokens { keys token.keys; endpoint off }", more: "route = /api/token { upstream u; require nobody }") == [])
  }

  @Test func keysThatCannotBeUsedAreRefusedWithoutBeingShown() throws {
    let block = "tokens { keys token.keys }"
    for (keys, reason) in [
      ("k1 c2VjcmV0c2VjcmV0\n", "fewer than 32 bytes"), ("k1\n", "line 1"), ("", "no key signs"), (Self.key + Self.key, "line 2"),
    ] {
      let found = try complaints(block, keys: keys)
      #expect(found.count == 1 && found[0].contains(reason) && !found[0].contains("c2Vjcm") && !found[0].contains("AAAAAAAA"), "\(found)")
    }
    #expect(try complaints(block, mode: 0o644).first?.contains("open to everybody") == true)
    #expect(try complaints(block, mode: 0o640) == [])
    #expect(try complaints(block, keys: nil) == [], "made at the first start")
  }

  @Test func revocationsThatCannotBeReadAreRefused() throws {
    let block = "tokens { keys token.keys }"
    #expect(try complaints(block, revoked: "jti abc until=2030-01-01\n") == [])
    let found = try complaints(block, revoked: "jti abc\n")
    #expect(found.count == 1 && found[0].contains("token.keys.revoked can't be used: line 1"), "\(found)")
  }

  /// Commands that rotate keys need no more than their place.
  @Test func thePlaceOfTheKeysIsKnownAlsoWhereSomethingElseIsWrong() throws {
    let configuration = try load("tokens { keys token.keys }\nbogus", keys: "broken\n")
    #expect(configuration.settings == nil)
    #expect(configuration.tokens?.keysPath.hasSuffix("/token.keys") == true)
  }
}
