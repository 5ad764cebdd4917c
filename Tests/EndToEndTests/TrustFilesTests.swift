// Files of authorities and certificates whose contents change between two readings of the configuration: what was believed before, and who we were.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText, .byEachEngine) struct TrustFiles {
    private func upstream(_ name: String, _ port: UInt16, _ tls: String) -> String {
      """
      upstream \(name) {
          server https://127.0.0.1:\(port)
          engine \(Engines.current)
          tls { \(tls) }
      }
      route /\(name)/ { upstream \(name); require valid-user }

      """
    }

    private func get(_ house: House, _ path: String) throws -> CurlAnswer { try house.curl("-u", People.alice.pair, path) }

    /// Neither libcurl's memory of authorities, nor a connection that is kept busy, nor a session.
    @Test func anAuthorityThatIsGoneIsBelievedNoMore() throws {
      let (old, new) = (try Authority(), try Authority())
      try old.sign("server", for: "IP:127.0.0.1")
      try new.sign("server", for: "IP:127.0.0.1")
      let servers = try [old, new].map { try FrontServer.nginx($0, "server", "location / { return 200 hello; }") }
      let folder = try Scratch()
      try folder.write(old.scratch.text("ca.pem"), to: "ca.pem")
      let ca = "ca \(folder["ca.pem"])"
      try House.with(Setup(more: upstream("old", servers[0].port, ca) + upstream("new", servers[1].port, ca))) { house throws in
        #expect(try get(house, "/old/").status == 200)
        #expect(try get(house, "/new/").status == 502)
        try folder.write(new.scratch.text("ca.pem"), to: "ca.pem")
        try house.reload { $0 + "# once more\n" }
        try eventually("the old authority's servers are refused") { try get(house, "/old/").status == 502 }
        try eventually("the new one's are reached") { try get(house, "/new/").status == 200 }
      }
      for server in servers { try server.stop() }
    }

    @Test func aCertificateOfOursThatWasReplacedIsShownNoMore() throws {
      let authority = try Authority()
      try authority.sign("server", for: "IP:127.0.0.1")
      for name in ["before", "after"] { try authority.sign(name, for: "DNS:gate.internal") }
      let asks = "ssl_verify_client on; ssl_client_certificate \(authority["ca.pem"]); location / { return 200 $ssl_client_s_dn; }"
      let server = try FrontServer.nginx(authority, "server", asks)
      let folder = try Scratch()
      func show(_ name: String) throws {
        for kind in ["pem", "key"] { try folder.write(authority.scratch.text("\(name).\(kind)"), to: "us.\(kind)", mode: 0o600) }
      }
      try show("before")
      let tls = "ca \(authority["ca.pem"]); client_certificate \(folder["us.pem"]) \(folder["us.key"])"
      // The system's authorities are asked as before where none is named.
      try House.with(
        Setup(more: upstream("app", server.port, tls) + upstream("system", server.port, "client_certificate \(folder["us.pem"]) \(folder["us.key"])"))
      ) { house throws in
        #expect(try get(house, "/app/").text == "CN=before")
        #expect(try get(house, "/system/").status == 502)
        try show("after")
        try house.reload { $0 + "# once more\n" }
        try eventually("the new certificate is shown") { try get(house, "/app/").text == "CN=after" }
      }
      try server.stop()
    }
  }
}
