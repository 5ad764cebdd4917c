// The `register` block: what it means, what is wrong in it, and what stands against it elsewhere.

import Auth
import Primitives
import Proxy
import Testing

@testable import Config

@Suite struct RegisterTests {
  private func load(_ register: String, routes: String = "route / { upstream a; require valid-user }", users: Bool = true) throws
    -> Configuration
  {
    let scratch = try Scratch()
    try scratch.write("users", "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=:groups=admin\n")
    try scratch.write("invites", "code-1\n")
    try scratch.write("secret", String(repeating: "0123456789abcdef", count: 4), mode: 0o600)
    let text =
      "listen 127.0.0.1:1\n\(users ? "users users\n" : "")upstream a { server http://127.0.0.1:2 }\n\(routes)\nregister {\n\(register)\n}\n"
    return Configuration.load(path: try scratch.write("proxy.conf", text))
  }

  private func options(_ register: String) throws -> RegistrationOptions {
    let configuration = try load(register)
    #expect(configuration.diagnostics.rendered == "")
    guard let options = configuration.settings?.registration else { throw Missing("the block") }
    return options
  }

  @Test func withoutAWordNobodyRegisters() throws {
    #expect(try options("") == RegistrationOptions())
    #expect(RegistrationOptions().policy == .closed && RegistrationOptions().minimumPassword == 6)
    #expect(RegistrationOptions().rate == Rate(count: 5, per: .seconds(3600)))
  }

  @Test func everyDirectiveHasItsEffect() throws {
    #expect(try options("policy open").policy == .open)
    #expect(try options("policy approval").policy == .approval)
    #expect(try options("policy group admin").policy == .group(Array("admin".utf8)))
    guard case .invite(let path) = try options("policy invite invites").policy else { throw Missing("a file of invitations") }
    #expect(path.hasSuffix("/invites"))
    let options = try options("endpoint /people; min_password 12; rate 3/10m; hash bcrypt; admins admin; refused_passwords invites")
    #expect(options.path == Array("/people".utf8) && options.minimumPassword == 12)
    #expect(options.rate == Rate(count: 3, per: .seconds(600)))
    #expect(options.maker.name == "bcrypt" && options.admins == Array("admin".utf8))
    #expect(options.refusedPath?.hasSuffix("/invites") == true)
    #expect(try self.options("rate off").rate == nil)
  }

  @Test(arguments: [
    ("policy opne", "did you mean 'open'?"), ("policy open now", "takes nothing else"), ("policy invite", "takes the file of codes"),
    ("policy invite nowhere", "there is no such file"), ("policy group", "takes the group's name"),
    ("policy group a,b", "can't be the name"),
    ("endpoint users", "is no path"), ("endpoint /", "is no path"), ("endpoint /a/", "in other ways"), ("endpoint /a//b", "in other ways"),
    ("endpoint /%61", "in other ways"), ("endpoint \"/a;b\"", "in other ways"), ("endpoint /a?b", "is no path"),
    ("endpoint /a/../b", "in other ways"),
    ("endpoint /a%2Fb", "would be refused"), ("rate 5", "is no rate"), ("rate 0/1h", "out of range"), ("rate 5/1ms", "out of range"),
    ("rate 5/1h/2", "is no rate"), ("hash md5", "is none of"), ("min_password 0", "out of range"),
    ("refused_passwords nowhere", "no such file"),
    ("captcha on", "unknown directive"),
  ])
  func whatIsWrongIsSaid(_ register: String, _ words: String) throws {
    let configuration = try load(register)
    #expect(configuration.diagnostics.hasErrors)
    #expect(configuration.diagnostics.rendered.contains(words), "\(configuration.diagnostics.rendered)")
  }

  @Test(arguments: ["/api/users", "/api/users/", "/api/users/alice", "= /api/users"])
  func aRouteThatNothingReachesIsAnError(_ path: String) throws {
    let configuration = try load(
      "", routes: "route / { upstream a; require valid-user }\nroute \(path) { upstream a; require nobody }")
    #expect(configuration.diagnostics.rendered.contains("no request gets here"))
  }

  @Test func aRouteAroundItIsNoClash() throws {
    let configuration = try load(
      "", routes: "route /api { upstream a; require valid-user }\nroute /api/usersx { upstream a; require nobody }")
    #expect(configuration.diagnostics.rendered == "")
  }

  @Test func withoutAUserFileThereIsNowhereToRegister() throws {
    let configuration = try load("", routes: "route / { upstream a; require nobody }", users: false)
    #expect(configuration.diagnostics.rendered.contains("no user file to register in"))
  }

  @Test(arguments: [("open", "be taken for him"), ("invite invites", "be taken for him"), ("approval", "lock him out")])
  func whoIsLetInWithoutBeingInTheFileIsNotToBeRegisteredByStrangers(_ policy: String, _ words: String) throws {
    let issuer = "jwt { issuer me; audience svc; algorithms HS256; key secret; users any }"
    let route = "route / { upstream a; require valid-user }\n"
    #expect(try load("policy \(policy)", routes: route + issuer).diagnostics.rendered.contains(words))
    #expect(try load("policy \(policy)", routes: route + issuer.replacing("any", with: "file")).diagnostics.rendered == "")
    #expect(try load("policy group admin", routes: route + issuer).diagnostics.rendered == "")
  }

  @Test func namesThatARuleLetsThroughAreReserved() throws {
    let configuration = try load("policy open", routes: "route / { upstream a; require user alice Root }")
    #expect(configuration.settings?.registration?.reserved == [Array("alice".utf8), Array("root".utf8)])
  }
}

struct Missing: Error {
  let what: String

  init(_ what: String) { self.what = what }
}
