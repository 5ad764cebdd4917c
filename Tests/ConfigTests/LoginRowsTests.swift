// `authenticate` of an upstream: what is taken, and what is refused in which words.

import Login
import Primitives
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct LoginRowsTests {
  private func load(_ block: String, route: String = "require valid-user", top: String = "", files: [String: (String, Int)] = [:]) throws -> Configuration {
    let scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    try scratch.write("secret", "hunter2\n", mode: 0o600)
    for (name, (text, mode)) in files { try scratch.write(name, text, mode: mode) }
    let text = """
      listen 127.0.0.1:8080
      users users
      log off
      \(top)
      upstream app { server http://legacy.example:9000
      \(block)
      }
      route / { upstream app; \(route) }

      """
    let path = try scratch.write("proxy.conf", text)
    return Configuration.load(path: path, environment: { $0 == "SECRET" ? "hunter2" : nil })
  }

  private func complaints(_ configuration: Configuration) -> [String] { configuration.diagnostics.all.map(complaint) }

  private func line(_ configuration: Configuration, _ user: String?) -> String? {
    guard let account = configuration.settings?.upstreams[0].login?.account(for: user.map { Array($0.utf8) }) else { return nil }
    var text = ""
    account.withLine { text = ASCII.string($0.span) }
    return text
  }

  @Test(arguments: [
    ("authenticate basic { username svc; password_file secret }", "Authorization: Basic c3ZjOmh1bnRlcjI=\r\n"),
    ("authenticate basic { username svc; password \"${SECRET}\" }", "Authorization: Basic c3ZjOmh1bnRlcjI=\r\n"),
    ("authenticate basic { password_netrc netrc }", "Authorization: Basic c3ZjOmh1bnRlcjI=\r\n"),
    ("authenticate bearer { token_file secret }", "Authorization: Bearer hunter2\r\n"),
    ("authenticate header X-Key { value_file secret }", "X-Key: hunter2\r\n"),
  ]) func everySourceIsRead(_ block: String, _ expected: String) throws {
    let configuration = try load(block, files: ["netrc": ("machine legacy.example login svc password hunter2\n", 0o600)])
    #expect(configuration.diagnostics.rendered == "")
    #expect(line(configuration, "alice") == expected && line(configuration, nil) == nil)
    #expect(!configuration.summary.contains("hunter2") && configuration.summary.contains("logged in by "))
  }

  @Test(arguments: [
    ("authenticate digits { password_file secret }", "is none of"),
    ("authenticate basic { username svc }", "there is no account to log in with"),
    ("authenticate basic { password_file secret }", "the account has no user name"),
    ("authenticate basic { username svc; password_file nowhere }", "can't be read: there is no such file"),
    ("authenticate basic { username svc; token_file secret }", "'token_file' is not for 'authenticate basic'"),
    ("authenticate basic { username svc; password_file secret; password_netrc secret }", "the secret comes from two places"),
    ("authenticate basic { username a:b; password_file secret }", "a user name with a colon"),
    ("authenticate bearer { username svc; token_file secret }", "has no user name"),
    ("authenticate bearer { token_file spaced }", "has characters that no bearer token has"),
    ("authenticate header { value_file secret }", "lacks the header's name"),
    ("authenticate header Authorization { value_file secret }", "has a meaning of its own"),
    ("authenticate header X-Forwarded-User { value_file secret }", "is also 'user_header'"),
    ("authenticate header X_Forwarded_Anything { value_file secret }", "X-Forwarded-…"),
    ("authenticate aws_sigv4 { access_key AKID; secret_key_file secret; service s3 }", "lacks its region or service"),
    ("authenticate aws_sigv4 { access_key AKID; secret_key_file secret; region EU; service s3 }", "is no name of AWS's"),
    ("authenticate aws_sigv4 { access_key A/B; secret_key_file secret; region eu; service s3 }", "an access key with it that is none"),
    ("authenticate aws_sigv4 { username A; access_key B; secret_key_file secret; region eu; service s3 }", "has no 'username'"),
    ("authenticate aws_sigv4 { secret_key_file secret; region eu; service s3 }", "the account has no access key"),
    ("authenticate basic { access_key AKID; password_file secret }", "are for 'authenticate aws_sigv4'"),
    ("authenticate ntlm { username svc; password_file secret }\nengine libcurl", "which Gatehouse has to keep apart itself"),
    ("authenticate ntlm { username svc; password_file secret; domain \"A\\\\B\" }", "is no name of a domain or a machine"),
    ("authenticate ntlm { username \"\\\\svc\"; password_file secret }", "a user name that begins with a backslash"),
    ("authenticate ntlm { password_file secret }", "the account has no user name"),
    ("authenticate ntlm { accounts broken }", "line 2: its user has an account in line 1 already"),
    ("authenticate basic { username svc; password_file secret; domain CORP }", "are for 'authenticate ntlm'"),
    ("authenticate digest { username svc; password_file secret; workstation GATE }", "are for 'authenticate ntlm'"),
    ("authenticate basic { accounts open }", "has mode 644: others than its owner may reach the accounts"),
    ("authenticate basic { accounts grouped }", "has mode 640"),
    ("authenticate basic { accounts broken }", "line 2: its user has an account in line 1 already"),
    ("authenticate basic { accounts good; nobody account }", "about an account that is not here"),
    ("authenticate basic { password_netrc secret }", "has no login and password for legacy.example"),
    ("authenticate basic { username svc; password_file secret }\nauthenticate basic { }", "stands twice here"),
  ]) func whatCannotBeMeantIsRefused(_ block: String, _ words: String) throws {
    let configuration = try load(
      block,
      files: [
        "open": ("alice a hunter2\n", 0o644), "grouped": ("alice a hunter2\n", 0o640), "broken": ("alice a hunter2\nalice b hunter2\n", 0o600),
        "spaced": ("hunter2 x", 0o600), "good": ("alice a hunter2\n", 0o600),
      ])
    #expect(configuration.diagnostics.errors.contains { $0.message.contains(words) }, "\(configuration.diagnostics.rendered)")
    #expect(!configuration.diagnostics.rendered.contains("hunter2"), "\(configuration.diagnostics.rendered)")
  }

  /// Which is the connection's, so that no line of a request says it.
  @Test func ntlmTakesADomainOrNone() throws {
    for (block, words) in [
      ("username svc; password_file secret; domain CORP; workstation GATE1", "ntlm in CORP, as svc for everybody"),
      ("username svc@corp.example; password \"${SECRET}\"", "ntlm, as svc@corp.example for everybody"),
      ("accounts accounts; domain CORP", "ntlm in CORP, 2 accounts of users, other users refused"),
    ] {
      let files = ["accounts": ("alice a hunter2\nbob \"OTHER\\\\b\" hunter2\n", 0o600)]
      let configuration = try load("authenticate ntlm { \(block) }", files: files)
      #expect(configuration.diagnostics.rendered == "")
      #expect(line(configuration, "alice") == "" && line(configuration, nil) == nil)
      #expect(configuration.summary.contains("logged in by \(words) (") && !configuration.summary.contains("hunter2"), "\(configuration.summary)")
    }
  }

  @Test(arguments: ["authorization pass", "authorization replace \"Basic x\""]) func nobodyElseLogsIn(_ authorization: String) throws {
    let configuration = try load("authenticate bearer { token_file secret }", route: "require valid-user; \(authorization)")
    #expect(complaints(configuration).contains { $0.contains("no other Authorization can be sent") })
  }

  /// Said twice, the service would choose; and the client's own is dropped, by whatever name it would go on.
  @Test(arguments: ["request_header set X-Key mine", "request_header add x_key mine", "request_header remove X-KEY", "request_header set X-Copy \"{header.x-key}\""])
  func whatLogsUsInIsNobodyElses(_ edit: String) throws {
    let configuration = try load("authenticate header X-Key { value_file secret }", route: "require valid-user; \(edit)")
    #expect(complaints(configuration).contains { $0.contains("is what Gatehouse logs in with") || $0.contains("the client's own is dropped") })
  }

  @Test func whatIsAllowedAndHardlyMeantIsWarnedOf() throws {
    let written = try load("authenticate basic { username svc; password hunter2 }")
    #expect(complaints(written).contains { $0.contains("warning: a secret stands in proxy.conf") })
    #expect(!written.diagnostics.rendered.contains("hunter2"))
    let open = try load("authenticate basic { username svc; password_file open }", files: ["open": ("x", 0o644)])
    #expect(complaints(open).contains { $0.contains("warning: everybody on this machine can read the password") })
    let publicly = try load("authenticate basic { username svc; password_file secret }", route: "require nobody")
    #expect(complaints(publicly).contains { $0.contains("warning: requests without a login get 403 here") })
    let meant = try load("authenticate basic { username svc; password_file secret; nobody account }", route: "require nobody")
    let sigv4 = "authenticate aws_sigv4 { access_key AKID; secret_key_file secret; region eu; service s3 }"
    #expect(complaints(try load(sigv4)).contains { $0.contains("warning: clients choose the Host that is signed here") })
    #expect(complaints(try load(sigv4, route: "require valid-user; host upstream")) == [])
    #expect(complaints(meant) == [] && meant.summary.contains("PUBLIC REQUESTS TOO"))
  }
}
