// `authenticate bearer { token_url … }`: what is taken, and what is refused in which words.

import Login
import Primitives
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct ClientCredentialsRowsTests {
  private func load(_ block: String, kind: String = "bearer") throws -> Configuration {
    let scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    try scratch.write("secret", "hunter2\n", mode: 0o600)
    try scratch.write("ca.pem", "none")
    let text = """
      listen 127.0.0.1:8080
      users users
      log off
      upstream app { server http://legacy.example:9000
      authenticate \(kind) { \(block) }
      }
      route / { upstream app; require valid-user }

      """
    return Configuration.load(path: try scratch.write("proxy.conf", text), environment: { $0 == "SECRET" ? "hunter2" : nil })
  }

  private static let good = "token_url https://login.example/t; client_id me; client_secret_file secret"

  @Test(arguments: [
    ("https://login.example/t", "client_secret_file secret", "", "scope=a+b"), ("https://login.example", "client_secret \"${SECRET}\"", "ca ca.pem", "scope=a+b"),
    ("http://127.0.0.1:99/t?x=y", "client_secret_file secret", "client_authentication post", "scope=a+b&client_id=me&client_secret=hunter2"),
    ("http://[::1]/t", "client_secret_file secret", "audience there", "scope=a+b&audience=there"), ("http://localhost/t", "client_secret_file secret", "", "scope=a+b"),
    (
      "https://[2001:db8::1]:8443/t", "client_secret_file secret", "parameter resource urn:a; parameter resource urn:b", "scope=a+b&resource=urn%3Aa&resource=urn%3Ab"
    ),
  ]) func whatIsSaidIsTaken(_ url: String, _ source: String, _ more: String, _ form: String) throws {
    for scope in ["scope \"a b\"", "scope a b"] {
      let configuration = try load("token_url \(url); client_id me; \(source); \(scope); \(more)")
      #expect(configuration.diagnostics.rendered == "")
      let account = try #require(configuration.settings?.upstreams[0].login?.client)
      guard case .clientCredentials(let endpoint) = account.scheme else { throw Failure() }
      #expect(endpoint.url == url && endpoint.certificateAuthority?.hasSuffix("/ca.pem") ?? false == more.hasPrefix("ca"))
      #expect(account.tokenRequest(to: endpoint).withForm { ASCII.string($0.span) } == "grant_type=client_credentials&\(form)")
      #expect(configuration.summary.contains("logged in by bearer, as me for everybody, by tokens of \(endpoint.place)") && !configuration.summary.contains("hunter2"))
    }
  }

  private struct Failure: Error {}

  @Test(arguments: [
    ("token_url http://login.example/t", "would get our secret in clear text"), ("token_url http://127.0.0.1.example/t", "would get our secret in clear text"),
    ("token_url http://128.0.0.1/t", "would get our secret in clear text"), ("token_url ftp://login.example/t", "is no token endpoint"),
    ("token_url https://hunter2@login.example/t", "the token_url holds a user name"), ("token_url https:///t", "has no valid host and port"),
    ("token_url https://login.example:x/t", "has no valid host and port"), ("token_url \"https://login.example/a b\"", "can't be asked"),
    ("token_url \"https://login.example/t#x\"", "no fragment"), (good + "; scope \"a\\\\b\"", "is no scope"),
    (good + "; parameter grant_type password", "said by Gatehouse"),
    (good + "; parameter client_secret x", "said by Gatehouse"), (good + "; audience a; parameter audience b", "'audience' stands twice"),
    (good + "; parameter \"a b\" c", "is no name of a parameter"), (good + "; accounts secret", "issued to Gatehouse, not to users"),
    (good + "; username me", "knows no 'username'"), (good + "; token_file secret", "'token_file' is not for"), (good + "; client_authentication digest", "is none of"),
    (good + "; ca nowhere.pem", "can't be read"), ("token_url http://localhost/t; client_id me; client_secret_file secret; ca ca.pem", "begins with https://"),
    ("token_url https://login.example/t; client_secret_file secret", "the account has no client_id"),
    ("token_url https://login.example/t; client_id me", "there is no account to log in with"),
    ("token_url https://login.example/t; client_id me; client_secret_file nowhere", "can't be read"), ("token_file secret; scope a", "there is none"),
    ("token_file secret; client_id me", "there is none"), ("client_secret_file secret", "is not for 'authenticate bearer'"),
  ]) func whatCannotBeMeantIsRefused(_ block: String, _ words: String) throws {
    let configuration = try load(block)
    #expect(configuration.diagnostics.errors.contains { $0.message.contains(words) }, "\(configuration.diagnostics.rendered)")
    #expect(!configuration.diagnostics.rendered.contains("hunter2"), "\(configuration.diagnostics.rendered)")
  }

  @Test func otherKindsHaveNoEndpoint() throws {
    let configuration = try load(Self.good, kind: "basic")
    #expect(configuration.diagnostics.errors.contains { $0.message.contains("'token_url' is for 'authenticate bearer'") }, "\(configuration.diagnostics.rendered)")
    let written = try load("token_url https://login.example/t; client_id me; client_secret hunter2")
    #expect(written.diagnostics.rendered.contains("a secret stands in proxy.conf"))
  }
}
