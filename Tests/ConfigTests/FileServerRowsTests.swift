// What an upstream says of a server that keeps files.

import Foundation
import Primitives
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct FileServerRowsTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    for (name, text) in [("hosts", "a ssh-ed25519 AAAA\n"), ("key", "x"), ("password", "Hidden-1-pass\n"), ("two", "a\nb\n"), ("empty", "\n")] {
      try scratch.write(name, text)
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(scratch.path)/\(name)")
    }
  }

  private func load(_ upstream: String) -> Configuration {
    let text = upstream.replacingOccurrences(of: "@", with: scratch.path + "/").replacingOccurrences(of: "{at}", with: "@")
    return Configuration.load(
      text: "listen *:80\nupstream app { \(text) }\nroute / { upstream app; require nobody }\n", name: "t.conf", environment: { _ in nil })
  }

  private func server(_ upstream: String) -> UpstreamOptions? { load(upstream).settings?.upstreams.first?.members.first?.options }

  private let pin = "pin SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s"

  @Test func eachKindIsTaken() {
    #expect(server("server ftp://a")?.place == "ftp://a:21")
    #expect(server("server ftp://a:80/pub/x/")?.place == "ftp://a:80/pub/x")
    #expect(server("server ftps://a; tls { verify off }")?.address == .host("a", port: 990))
    #expect(server("server ftp://a; tls { verify off }")?.files?.usesTLS == true)
    #expect(server("server sftp://[::1]/srv; \(pin); login { username u; key_file @key }")?.place == "sftp://[::1]:22/srv")
    #expect(server("server file://@")?.place == "file://" + scratch.path)
    #expect(server("server ftp://a; writable on")?.files?.isWritable == true && server("server ftp://a")?.files?.isWritable == false)
  }

  @Test func whoWeAreAndWhoTheyAreIsTaken() {
    let options = server("server sftp://a; known_hosts @hosts; login { username u; key_file @key }")
    #expect(options?.files?.hostKey == .knownHosts(path: scratch.path + "/hosts") && options?.files?.account?.name == "u")
    #expect(options?.files?.keyFile == scratch.path + "/key")
    #expect(server("server sftp://a; \(pin); login { username u; password_file @password }")?.files?.hostKey == .sha256("uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s"))
  }

  @Test(arguments: [
    ("server sftp://a; login { username u; key_file @key }", "nothing says how this server proves who it is"),
    ("server sftp://a; known_hosts @hosts; pin SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s; login { username u; key_file @key }", "one of them"),
    ("server sftp://a; pin SHA256:abc; login { username u; key_file @key }", "is no fingerprint of a key"),
    ("server sftp://a; pin MD5:abc; login { username u; key_file @key }", "is no fingerprint of a key"),
    ("server sftp://a; known_hosts @hosts", "SFTP asks who we are"),
    ("server sftp://a; known_hosts @hosts; login { username u }", "nothing proves who we are"),
    ("server sftp://a; known_hosts @hosts; login { key_file @key }", "this login has no 'username'"),
    ("server sftp://a; known_hosts @hosts; login { username u; key_file @key; password_file @password }", "one of them"),
    ("server ftp://a; login { username u; key_file @key }", "only an sftp server takes a key"),
    ("server ftp://a; login { username \"u\\nDELE x\"; password_file @password }", "error"),
    ("server ftp://a; login { username u; password_file @two }", "does not hold a password"),
    ("server ftp://a; login { username u; password_file @empty }", "does not hold a password"),
    ("server ftp://a; known_hosts @hosts", "only an sftp server has such a key"),
    ("server ftp://u:p{at}a", "holds a user name"),
    ("server ftp://a/../b", "has a path that can't be meant"), ("server ftp://a/%2e", "has a path that can't be meant"),
    ("server ftp://a/x;type=i", "error"), ("server ftp://", "has no valid host"), ("server file://host/x", "is no folder of this machine"),
    ("server file:///no/such/folder", "is no folder that can be looked into"),
    ("server file://@; login { username u; password_file @password }", "nobody logs in to a folder"),
    ("server ftp://a; server http://b", "one upstream speaks one protocol"), ("server ftp://a; engine http1", "'engine' is for HTTP"),
    ("server ftp://a; health GET /x", "'health' asks by HTTP"),
    ("server http://a; writable on", "this is for a server that keeps files"),
    ("server ftp://a; tls { name b }", "'name' is for https"), ("server file://@; tls { verify off }", "'tls' is for a server whose URL"),
    ("server ftp://a; server ftp://a", "this server stands here twice"),
  ]) func whatCanNotBeMeantIsRefused(_ upstream: String, _ words: String) {
    let configuration = load(upstream)
    #expect(configuration.diagnostics.hasErrors && configuration.diagnostics.rendered.contains(words), "\(configuration.diagnostics.rendered)")
    #expect(!configuration.diagnostics.rendered.contains("Hidden-1"))
  }

  @Test func aKeyThatCanNotBeReadIsOneError() {
    let diagnostics = load("server sftp://a; known_hosts @hosts; login { username u; key_file @none }").diagnostics
    #expect(diagnostics.errorCount == 1 && diagnostics.rendered.contains("there is no such file"), "\(diagnostics.rendered)")
  }

  @Test func aPasswordInClearTextIsWarnedOf() {
    let login = "login { username u; password_file @password }"
    #expect(load("server ftp://a; \(login)").diagnostics.rendered.contains("in clear text"))
    for upstream in ["server ftp://127.0.0.1; \(login)", "server ftps://a; \(login)", "server ftp://a; tls { ca @key }; \(login)"] {
      #expect(!load(upstream).diagnostics.rendered.contains("goes to this server"), "\(load(upstream).diagnostics.rendered)")
    }
  }
}
