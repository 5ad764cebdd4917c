// What an upstream says of a directory, a dictionary, Gopher and TFTP, and which of it is refused.

import Foundation
import Primitives
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct LookupRowsTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.write("password", "Hidden-1-pass\n")
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(scratch.path)/password")
  }

  private func load(_ upstream: String) -> Configuration {
    let text = upstream.replacingOccurrences(of: "@", with: scratch.path + "/")
    return Configuration.load(
      text: "listen *:80\nupstream app { \(text) }\nroute / { upstream app; require nobody }\n", name: "t.conf", environment: { _ in nil })
  }

  private func server(_ upstream: String) -> UpstreamOptions? { load(upstream).settings?.upstreams.first?.members.first?.options }

  @Test func eachKindIsTaken() {
    let directory = "directory { search_by uid mail; attributes cn; filter (&(a=b)(c=d)); scope one; entries 5 }"
    let options = server("server ldaps://a/ou=p,dc=x; \(directory); tls { verify off }; login { username cn=r,dc=x; password_file @password }")
    #expect(options?.place == "ldaps://a:636/ou=p,dc=x" && options?.files?.isByTLS == true && options?.files?.account?.name == "cn=r,dc=x")
    let lookup = options?.files?.lookup
    #expect(lookup?.keys == ["uid", "mail"] && lookup?.attributes == ["cn"] && lookup?.filter == "(&(a=b)(c=d))")
    #expect(lookup?.scope == .one && lookup?.mostEntries == 5)
    #expect(server("server \"ldaps://a/ou=my people/x,dc=y\"; directory { attributes cn }")?.place == "ldaps://a:636/ou=my people/x,dc=y")
    #expect(server("server dict://a; database wn")?.files?.lookup.database == "wn" && server("server dict://a")?.place == "dict://a:2628")
    #expect(server("server gopher://a/x/y; menu_host b; answer_limit 1m")?.files?.lookup.menuHost == "b")
    #expect(server("server tftp://a:6969/x; block_size 512; answer_limit 1m")?.files?.lookup.blockSize == 512)
    #expect(server("server tftp://a")?.address == .host("a", port: 69) && server("server gopher://a")?.address == .host("a", port: 70))
  }

  @Test(arguments: [
    ("server smb://a/share", "libcurl knows SMB version 1 alone"), ("server smbs://a/share", "mount.cifs"), ("server cifs://a/share", "server file:///"),
    ("server ldap://a; directory { attributes cn }", "names no base"), ("server ldap://a/x; directory { attributes cn }", "names no base"),
    ("server ldap://a/dc=x", "nothing says what of this directory is given out"),
    ("server ldap://a/dc=x; directory { search_by uid }", "which may be passwords"),
    ("server ldap://a/dc=x; directory { attributes c*n }", "is no name of an attribute"),
    ("server ldap://a/dc=x; directory { attributes cn; search_by \"uid)(x\" }", "is no name of an attribute"),
    ("server ldap://a/dc=x; directory { attributes cn CN }", "is said twice"),
    ("server ldap://a/dc=x; directory { attributes cn; filter a=b }", "is no filter"),
    ("server ldap://a/dc=x; directory { attributes cn; filter (a=b)(c=d) }", "is no filter"),
    ("server ldap://a/dc=x; directory { attributes cn; filter \"(a=b\" }", "is no filter"),
    ("server ldap://a/dc=x; directory { attributes cn; scope all }", "none of 'base', 'one', 'subtree'"),
    ("server ldap://a/dc=x; directory { attributes cn }; tls { verify off }", "asks for StartTLS and goes on in clear text"),
    ("server ldap://a/dc=x%2c; directory { attributes cn }", "has a path that can't be meant"),
    ("server ldap://a/dc=x; directory { attributes cn }; writable on", "'writable' is for servers that keep files"),
    ("server ldap://a/dc=x; directory { attributes cn }; database wn", "'database' is for a server whose URL begins with dict://"),
    ("server ldap://a/dc=x; directory { attributes cn }; engine http1", "'engine' is for HTTP"),
    ("server ldap://a/dc=x; directory { attributes cn }; login { username u; key_file @password }", "only an sftp server takes a key"),
    ("server dict://a/x", "has a path, and a dictionary has none"), ("server dict://a; database \"a b\"", "is no name of a database"),
    ("server dict://a; login { username u; password_file @password }", "nobody logs in to a server that speaks dict"),
    ("server dict://a; tls { verify off }", "'tls' is for a server whose URL"),
    ("server gopher://a; menu_host \"a b\"", "is no host name"), ("server gopher://a; block_size 512", "begins with tftp://"),
    ("server tftp://a; block_size 8", "error"), ("server tftp://a/..", "has a path that can't be meant"),
    ("server http://a; directory { attributes cn }", "'directory' is for a server whose URL begins with ldap:// or ldaps://"),
    ("server ftp://a; answer_limit 1m", "begins with gopher:// or tftp://"), ("server gopher://a; server tftp://b", "one upstream speaks one protocol"),
  ]) func whatCanNotBeMeantIsRefused(_ upstream: String, _ part: String) {
    let configuration = load(upstream)
    #expect(configuration.settings == nil && configuration.diagnostics.rendered.contains(part), "\(configuration.diagnostics.rendered)")
  }

  @Test func aPasswordInClearTextIsWarnedOf() {
    let rest = "directory { attributes cn }; login { username cn=r; password_file @password }"
    #expect(load("server ldap://a/dc=x; \(rest)").diagnostics.rendered.contains("in clear text"))
    for text in ["server ldaps://a/dc=x; \(rest)", "server ldap://127.0.0.1/dc=x; \(rest)"] {
      #expect(!load(text).diagnostics.rendered.contains("in clear text"))
    }
  }
}
