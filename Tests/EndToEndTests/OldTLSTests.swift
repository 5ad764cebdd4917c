// Services whose TLS is old, or whose certificate nobody signed: what is let through for one of them, and that it is for that one alone.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText, .byEachEngine) struct OldTLS {
    private let auth = ["-u", People.alice.pair]

    private func get(_ house: House, _ path: String) throws -> Int { try house.curl(auth[0], auth[1], path).status }

    /// `upstream NAME` and a route to it, below `/NAME/`.
    private func upstream(_ name: String, _ server: String, _ tls: String) -> String {
      """
      upstream \(name) {
          server \(server)
          engine \(Engines.current)
          tls { \(tls) }
      }
      route /\(name)/ { upstream \(name); require valid-user }

      """
    }

    /// TLS 1.0, a key of 1024 bits, SHA-1, and no secure renegotiation, all in one server.
    @Test func whatIsTooOldIsReachedByLegacyAlone() throws {
      let authority = try Authority()
      try authority.sign("old", for: "IP:127.0.0.1", kind: "rsa:1024")
      let server = try FrontServer.gnutls(authority, "old", "NORMAL:-VERS-ALL:+VERS-TLS1.0:%DISABLE_SAFE_RENEGOTIATION")
      let url = "https://127.0.0.1:\(server.port)"
      let ca = "ca \(authority["ca.pem"])"
      try House.with(
        Setup(more: upstream("old", url, "\(ca); legacy on") + upstream("strict", url, ca) + upstream("blind", url, "verify off"))
      ) { house throws in
        // In turn: neither what was agreed with it before nor a connection that is kept serves the others.
        for _ in 0..<2 {
          let answer = try house.curl(auth[0], auth[1], "/old/")
          #expect(answer.status == 200 && answer.text.contains("TLS1.0"), "\(answer.text)")
          for name in ["strict", "blind"] { #expect(try get(house, "/\(name)/") == 502, "\(name)") }
        }
      }
      try server.stop()
    }

    /// Legacy is about age, not about whom to believe.
    @Test func legacyBelievesNoOtherCertificates() throws {
      let (authority, other) = (try Authority(), try Authority())
      try authority.sign("old", for: "IP:127.0.0.1", kind: "rsa:1024")
      try authority.sign("elsewhere", for: "DNS:other.test", kind: "rsa:1024")
      let server = try FrontServer.gnutls(authority, "old", "NORMAL:-VERS-ALL:+VERS-TLS1.1")
      let misnamed = try FrontServer.gnutls(authority, "elsewhere", "NORMAL:-VERS-ALL:+VERS-TLS1.1")
      let url = "https://127.0.0.1:\(server.port)"
      try House.with(
        Setup(
          more: upstream("good", url, "ca \(authority["ca.pem"]); legacy on") + upstream("foreign", url, "ca \(other["ca.pem"]); legacy on")
            + upstream("misnamed", "https://127.0.0.1:\(misnamed.port)", "ca \(authority["ca.pem"]); legacy on")
            + upstream("named", "https://127.0.0.1:\(misnamed.port)", "ca \(authority["ca.pem"]); legacy on; name other.test"))
      ) { house throws in
        #expect(try get(house, "/good/") == 200)
        #expect(try get(house, "/foreign/") == 502)
        #expect(try get(house, "/misnamed/") == 502)
        #expect(try get(house, "/named/") == 200)
      }
      try server.stop()
      try misnamed.stop()
    }

    @Test func aPinnedKeyIsWhatTheServerHasToHave() throws {
      let authority = try Authority()
      try authority.sign("server", for: "IP:127.0.0.1")
      try authority.sign("other", for: "IP:127.0.0.1")
      let (right, wrong) = (try authority.pin("server"), try authority.pin("other"))
      let server = try FrontServer.nginx(authority, "server", "location / { return 200 hello; }")
      let url = "https://127.0.0.1:\(server.port)"
      let ca = "ca \(authority["ca.pem"])"
      try House.with(
        Setup(
          more: upstream("key", url, "verify off; pin \(right)") + upstream("stranger", url, "verify off; pin \(wrong)")
            + upstream("both", url, "\(ca); pin \(right)") + upstream("vouched", url, "\(ca); pin \(wrong)")
            + upstream("either", url, "verify off; pin \(wrong) \(right)") + upstream("unsigned", url, "pin \(right)"))
      ) { house throws in
        for _ in 0..<2 {
          for (name, status) in [("key", 200), ("stranger", 502), ("both", 200), ("vouched", 502), ("either", 200), ("unsigned", 502)] {
            #expect(try get(house, "/\(name)/") == status, "\(name)")
          }
        }
        // Not one of these was told anything.
        #expect(try house.accessLines(12).filter { $0["status"] as? Int == 502 }.count == 6)
      }
      try server.stop()
    }

    /// The authority of the house, a name that is not the address's, and a certificate of ours.
    @Test func aServiceMayAskWhoWeAre() throws {
      let authority = try Authority()
      try authority.sign("server", for: "DNS:app.internal")
      try authority.sign("us", for: "DNS:gate.internal")
      let server = try FrontServer.nginx(
        authority, "server",
        "ssl_verify_client on; ssl_client_certificate \(authority["ca.pem"]); location / { return 200 $ssl_client_s_dn:$ssl_server_name; }")
      let url = "https://127.0.0.1:\(server.port)"
      let ca = "ca \(authority["ca.pem"]); name app.internal"
      try House.with(
        Setup(
          more: upstream("known", url, "\(ca); client_certificate \(authority["us.pem"]) \(authority["us.key"])") + upstream("nobody", url, ca)
            + upstream("misnamed", url, "ca \(authority["ca.pem"])") + upstream("system", url, "name app.internal"))
      ) { house throws in
        let answer = try house.curl(auth[0], auth[1], "/known/")
        #expect(answer.status == 200 && answer.text == "CN=us:app.internal", "\(answer.text)")
        // nginx's own word for it.
        #expect(try get(house, "/nobody/") == 400)
        #expect(try get(house, "/misnamed/") == 502)
        #expect(try get(house, "/system/") == 502)
      }
      try server.stop()
    }

    @Test func theRecipeWorks() throws {
      let authority = try Authority()
      try authority.sign("old", for: "IP:127.0.0.1", kind: "rsa:1024")
      let server = try FrontServer.gnutls(authority, "old", "NORMAL:-VERS-ALL:+VERS-TLS1.0:%DISABLE_SAFE_RENEGOTIATION")
      let recipe = try Recipe("old-tls").text(replacing: [
        "10.0.0.5:8443": "127.0.0.1:\(server.port)", "sha256//XzCpbPBb75POiCmxOT2n6PKqi76EX0NcqNb5WJvUz6E=": try authority.pin("old"),
      ])
      try House.with(Setup(more: recipe)) { house throws in
        #expect(try get(house, "/old/") == 200)
      }
      try server.stop()
    }
  }
}
