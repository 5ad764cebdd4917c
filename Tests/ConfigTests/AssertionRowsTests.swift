// `assert_jwt` of an upstream and `jwks_endpoint`: what is refused, in which words.

import Login
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct AssertionRowsTests {
  private func load(_ block: String, top: String = "", more: String = "", route: String = "/") throws -> Configuration {
    let scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    try scratch.write("assertion.key", Minimal.signingKey, mode: 0o600)
    try scratch.write("secret", "hunter2\n", mode: 0o600)
    let text = """
      listen 127.0.0.1:8080
      users users
      log off
      \(top)
      upstream app { server http://127.0.0.1:9000
      \(block)
      }
      route \(route) { upstream app; require valid-user }
      \(more)

      """
    return Configuration.load(path: try scratch.write("proxy.conf", text), environment: { _ in nil })
  }

  @Test func whatIsSaidIsTaken() throws {
    let configuration = try load("assert_jwt { key assertion.key; header X-Who; audience there; issuer https://here.example; lifetime 2m }")
    #expect(configuration.diagnostics.rendered == "")
    #expect(configuration.settings?.upstreams[0].assertion?.description == "users asserted in X-Who by ES256, from https://here.example for there, 120s each")
    #expect(configuration.settings?.forwarding.assertionFields == ["X-Who"])
    let plain = try load("assert_jwt { key assertion.key }", top: "jwks_endpoint /keys")
    #expect(plain.diagnostics.rendered == "")
    #expect(plain.settings?.upstreams[0].assertion?.description == "users asserted in X-Gatehouse-Assertion by ES256, from gatehouse for app, 60s each")
    #expect(plain.settings?.jwksPath == Array("/keys".utf8))
  }

  @Test(arguments: [
    ("", "there is no key to sign with"), ("key secret", "there is no private key in it"), ("key missing", "can't be read"),
    ("key assertion.key; header Authorization", "has a meaning of its own"), ("key assertion.key; header X_Forwarded.User", "is also 'user_header'"),
    ("key assertion.key; header X-Forwarded-Assertion", "can't hold an assertion"), ("key assertion.key; lifetime 1s", "1s"),
    ("key assertion.key; lifetime 2500ms", "whole seconds"), ("key assertion.key; audience \"\"", "is no name"),
  ])
  func whatCanNotBeAssertedIsRefused(_ block: String, _ words: String) throws {
    let configuration = try load("assert_jwt { \(block) }")
    #expect(configuration.settings == nil && configuration.diagnostics.rendered.contains(words), "\(configuration.diagnostics.rendered)")
    #expect(!configuration.diagnostics.rendered.contains("hunter2"))
  }

  @Test func fieldsAndPathsHaveOneMeaning() throws {
    let asserted = "assert_jwt { key assertion.key }"
    func said(_ configuration: Configuration) -> String { configuration.settings == nil ? configuration.diagnostics.rendered : "taken" }
    #expect(said(try load("", top: "jwks_endpoint /keys")).contains("there are no keys to publish"))
    #expect(said(try load(asserted, top: "jwks_endpoint /keys", route: "= /keys")).contains("this route is never reached"))
    #expect(said(try load(asserted, top: "jwks_endpoint /a//b")) != "taken")
    #expect(said(try load(asserted, top: "jwks_endpoint keys")).contains("is no path to get keys at"))
    #expect(said(try load(asserted, top: "jwks_endpoint /auth\nforward_auth /auth\ntrusted_proxies 127.0.0.1")).contains("is the path of 'forward_auth'"))
    for edit in ["set X-Gatehouse-Assertion \"{user}\"", "set x_gatehouse_assertion forged", "remove X-Gatehouse-Assertion"] {
      let route = "route /c/ { upstream app; require valid-user; request_header \(edit) }"
      #expect(said(try load(asserted, more: route)).contains("'assert_jwt' says it"), "\(edit)")
    }
    let other = "upstream b { server http://127.0.0.1:9; authenticate header X_Gatehouse_Assertion { value_file secret } }\nroute /b/ { upstream b; require valid-user }"
    #expect(said(try load(asserted, more: other)).contains("is also that of 'authenticate'"))
  }
}
