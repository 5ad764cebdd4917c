// Whose a certificate is: that of who shows it, at our own endpoints too, and never that of those for whom he speaks.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct CertificateOwners {
    private func curl(_ house: House, as name: String, _ arguments: [String] = [], target: String = "/") throws -> CurlAnswer {
      try Curl.run(
        ClientIdentities.arguments(name, in: house.scratch) + arguments + ["https://127.0.0.1:\(house.gate.ports[1])\(target)"],
        in: house.scratch)
    }

    private static let users = "user_from san email *@example.com"

    @Test func aCertificateHasToAgreeAtOurOwnEndpointsToo() throws {
      let top = "tokens { keys token.keys; endpoint /api/token }\nregister { endpoint /api/users; policy group admin }"
      try House.with(try ClientCertificates.setup("require", Self.users, top)) { house throws in
        let (password, json) = (["-u", People.alice.pair], ["-H", "Content-Type: application/json"])
        let made = try curl(house, as: "alice", password, target: "/api/token")
        #expect(made.status == 200)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(made.body)) as? [String: Any])
        let token = Secrets.keep(try #require(object["token"] as? String))
        let bearer = ["-H", "Authorization: Bearer \(token)"]
        #expect(try curl(house, as: "bob", password).status == 401, "anywhere else it has to")

        // Whoever has alice's password and no certificate of hers gets no token of hers, and takes none back.
        for method in ["GET", "POST", "DELETE"] {
          for credential in [password, bearer] {
            #expect(
              try curl(house, as: "bob", ["-X", method] + credential, target: "/api/token").status == 401, "\(method) \(credential[0])")
          }
        }
        #expect(try curl(house, as: "alice", bearer).status == 200)
        // Nor another password for her.
        let form = #"{"old":"\#(People.alice.password)","new":"\#(Secrets.keep("another-7-alice-pass"))"}"#
        let change = ["-X", "PUT", "-d", form] + json + password
        #expect(try curl(house, as: "bob", change, target: "/api/users/alice/password").status == 401)
        #expect(try curl(house, as: "alice", password).status == 200)
        // Nor a user by the right of somebody else.
        let user = ["-X", "POST", "-d", #"{"username":"frank","password":"\#(Secrets.keep("frank-4-password"))"}"#] + json
        #expect(try curl(house, as: "alice", user + ["-u", People.bob.pair], target: "/api/users").status == 401)
        #expect(try !house.scratch.text("users").contains("frank"))
        // By himself, and by a certificate that is no user's.
        #expect(try curl(house, as: "agent", password, target: "/api/token").status == 200)
        #expect(try curl(house, as: "alice", change, target: "/api/users/alice/password").status == 204)
        #expect(try curl(house, as: "bob", user + ["-u", People.bob.pair], target: "/api/users").status == 201)
        let reasons = try house.accessLines(1).filter { ($0["status"] as? Int) == 401 }.map { $0["reason"] as? String }
        #expect(reasons == Array(repeating: "certificate is another user's", count: 9), "\(reasons)")
      }
    }

    /// Also of those whom it names in a way that says nothing, or not at all.
    @Test func aProxysCertificateIsNobodysForWhomItAsks() throws {
      let setup = try ClientCertificates.setup(
        "require", Self.users, "trusted_proxies 127.0.0.0/29", more: "route /machines/ { upstream legacy; require certificate }")
      try House.with(setup) { house throws in
        let fields = [
          "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 127.0.0.3",
          "X-Forwarded-For: 203.0.113.9, 127.0.0.3",
          "X-Forwarded-For: unknown", "X-Forwarded-For: unix:", "X-Forwarded-For: _hidden, unknown", "X-Forwarded-For: fe80::1%eth0",
          "X-Forwarded-For;", "X-Forwarded-Proto: https", "Via: 1.1 proxy", "Accept: */*",
          "Forwarded: for=203.0.113.9", "Forwarded: for=127.0.0.1", "Forwarded: proto=https",
        ]
        for version in ["--http1.1", "--http2"] {
          for field in fields {
            for path in ["/", "/machines/"] {
              #expect(try curl(house, as: "alice", [version, "-H", field], target: path).status == 401, "\(version) \(field) \(path)")
            }
          }
        }
        #expect(house.upstream.requests.isEmpty)
        // For a client with a password of his own it asks as ever.
        #expect(try curl(house, as: "alice", ["-H", "X-Forwarded-For: unknown", "-u", People.bob.pair]).status == 200)
        #expect(house.upstream.requests.last?.values("X-Forwarded-User") == ["bob"])
      }
    }

    /// Two lines of which either is enough: machines by their certificates, people by their passwords.
    @Test func certificatesAndUsersMayStandSideBySide() throws {
      let more = """
        route /lines/ { upstream legacy; require certificate cn agent; require valid-user }
        route /block/ { upstream legacy; require any { valid-user; certificate cn agent } }
        """
      try House.with(try ClientCertificates.setup("optional", "", more: more)) { house throws in
        let url = "https://127.0.0.1:\(house.gate.ports[1])"
        for path in ["/lines/", "/block/"] {
          #expect(try curl(house, as: "agent", target: path).status == 200)
          #expect(house.upstream.requests.last?.values("X-Forwarded-User") == [])
          #expect(try curl(house, as: "alice", target: path).status == 401)
          #expect(try curl(house, as: "alice", ["-u", People.alice.pair], target: path).status == 200)
          #expect(house.upstream.requests.last?.values("X-Forwarded-User") == ["alice"])
          #expect(try Curl.run(["-u", People.alice.pair, url + path], in: house.scratch).status == 200)
          #expect(try Curl.run([url + path], in: house.scratch).status == 401)
        }
      }
    }
  }
}
