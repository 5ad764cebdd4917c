// `authenticate negotiate`: what is taken, and what is refused in which words.

import Login
import Primitives
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct KerberosRowsTests {
  private func load(_ block: String, kind: String = "negotiate", servers: String = "server http://legacy.example:9000") throws -> Configuration {
    let scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    try scratch.write("one.keytab", Minimal.keytab("gateway"), mode: 0o600)
    try scratch.write("two.keytab", Minimal.keytab("gateway", "other"), mode: 0o600)
    try scratch.write("open.keytab", Minimal.keytab("gateway"), mode: 0o644)
    try scratch.write("secret", "hunter2\n", mode: 0o600)
    let text = """
      listen 127.0.0.1:8080
      users users
      log off
      upstream app { \(servers)
      authenticate \(kind) { \(block) }
      }
      route / { upstream app; require valid-user }

      """
    return Configuration.load(path: try scratch.write("proxy.conf", text), environment: { _ in nil })
  }

  @Test(arguments: [
    ("keytab one.keytab", "gateway@HOUSE.TEST", "HTTP@legacy.example"), ("keytab two.keytab; principal other", "other@HOUSE.TEST", "HTTP@legacy.example"),
    ("keytab two.keytab; principal other@HOUSE.TEST; service_principal HTTP/x@R", "other@HOUSE.TEST", "HTTP/x@R"),
    ("keytab one.keytab; service_principal HTTP/x", "gateway@HOUSE.TEST", "HTTP/x"),
  ]) func whatIsSaidIsTaken(_ block: String, _ principal: String, _ service: String) throws {
    let configuration = try load(block)
    #expect(configuration.diagnostics.rendered == "")
    let account = try #require(configuration.settings?.upstreams[0].login?.client)
    guard case .negotiate(let login) = account.scheme else { throw Failure() }
    #expect(String(decoding: account.name, as: UTF8.self) == principal && login.service == service && login.isHostBased == service.contains("HTTP@"))
    #expect(configuration.summary.contains("logged in by negotiate, as \(principal) for everybody, to \(service) ("))
  }

  private struct Failure: Error {}

  @Test(arguments: [
    ("principal gateway", "there is no key to log in with"), ("keytab nowhere", "can't be read"), ("keytab secret", "is no keytab of version 2"),
    ("keytab two.keytab", "has keys of gateway@HOUSE.TEST, other@HOUSE.TEST"), ("keytab one.keytab; principal other", "has no key in the keytab"),
    ("keytab one.keytab; principal gateway@ELSE.TEST", "has no key in the keytab"), ("keytab one.keytab; service_principal intranet", "is no principal of a service"),
    ("keytab one.keytab; service_principal HTTP/a/b", "is no principal of a service"), ("keytab one.keytab; service_principal HTTP/a@b@c", "is no principal"),
    ("keytab one.keytab; accounts secret", "'accounts' can't stand beside it"), ("keytab one.keytab; username svc", "has no 'username'"),
    ("keytab one.keytab; password_file secret", "'password_file' is not for"), ("keytab one.keytab; scope a", "there is none"),
  ]) func whatCannotBeMeantIsRefused(_ block: String, _ words: String) throws {
    let configuration = try load(block)
    #expect(configuration.diagnostics.errors.contains { $0.message.contains(words) }, "\(configuration.diagnostics.rendered)")
  }

  @Test func whoTheServiceIsHasToBeKnown() throws {
    let several = "server http://a.example; server http://b.example"
    for servers in [several, "server unix:/run/app.sock"] {
      #expect(try load("keytab one.keytab", servers: servers).diagnostics.errors.count == 1)
      #expect(try load("keytab one.keytab; service_principal HTTP/x", servers: servers).diagnostics.errors.isEmpty)
    }
    #expect(try load("password_file secret; username svc; keytab one.keytab", kind: "basic").diagnostics.rendered.contains("this is for 'authenticate negotiate'"))
    #expect(try load("keytab open.keytab").diagnostics.rendered.contains("everybody on this machine can read the key"))
  }
}

extension Minimal {
  /// A keytab with a key of each; all its bytes are ASCII.
  static func keytab(_ names: String..., of realm: String = "HOUSE.TEST") -> String {
    func word(_ text: String) -> [UInt8] { [0, UInt8(text.utf8.count)] + Array(text.utf8) }
    let entries = names.map { [0, 1] + word(realm) + word($0) + [0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 18, 0, 4, 1, 2, 3, 4] }
    return String(decoding: [5, 2] + entries.flatMap { [0, 0, 0, UInt8($0.count)] + $0 }, as: UTF8.self)
  }
}
