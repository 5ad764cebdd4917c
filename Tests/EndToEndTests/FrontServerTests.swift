// nginx (auth_request) and Caddy (forward_auth) in front of a service, Gatehouse beside them as the authority: with the configurations that
// docs/FORWARD-AUTH.md gives.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct FrontServers {
    /// The snippets of the page, by their language: what stands there is what is tested.
    private static func snippet(_ language: String, _ house: House) throws -> String {
      var url = URL(fileURLWithPath: #filePath)
      for _ in 0..<3 { url.deleteLastPathComponent() }
      let page = try String(contentsOf: url.appendingPathComponent("docs/FORWARD-AUTH.md"), encoding: .utf8)
      guard let start = page.range(of: "```\(language)\n"), let end = page.range(of: "```", range: start.upperBound..<page.endIndex) else {
        throw Failure("docs/FORWARD-AUTH.md has no snippet for \(language)")
      }
      let snippet = page[start.upperBound..<end.lowerBound]
      #expect(snippet.contains("127.0.0.1:8080") && snippet.contains("127.0.0.1:9000"))
      return snippet.replacingOccurrences(of: "127.0.0.1:8080", with: "127.0.0.1:\(house.port)")
        .replacingOccurrences(of: "127.0.0.1:9000", with: "127.0.0.1:\(house.upstream.port)")
    }

    private static let setup = Setup(
      top: "trusted_proxies 127.0.0.1\nforward_auth /auth",
      more: """
        route /public/ { upstream legacy; require nobody }
        route /admin/ { upstream legacy; require group admin }
        route DELETE /files/ { upstream legacy; require group admin }
        """)

    /// What holds behind every server that asks us.
    private func expectAuthority(_ house: House, _ front: FrontServer) throws {
      var count = 0
      func passed(_ arguments: [String], _ target: String) throws -> Message {
        let answer = try front.curl(arguments, target)
        #expect(answer.status == 200, "\(arguments) \(target) \(front.complaints)")
        count += 1
        return try house.upstream.requests(count)[count - 1]
      }
      func refused(_ status: Int, _ arguments: [String], _ target: String) throws {
        #expect(try front.curl(arguments, target).status == status, "\(arguments) \(target) \(front.complaints)")
        #expect(house.upstream.requests.count == count, "\(target) reached the service")
      }
      let (alice, bob, carol) = (["-u", People.alice.pair], ["-u", People.bob.pair], ["-u", People.carol.pair])

      let seen = try passed(bob, "/x?y=1")
      #expect(
        seen.target == "/x?y=1" && seen["X-Forwarded-User"] == "bob" && seen["X-Forwarded-Groups"] == "staff,admin", "\(seen.headText)")
      #expect(seen.values("Authorization").isEmpty)
      let ungrouped = try passed(carol, "/x")
      #expect(
        ungrouped["X-Forwarded-User"] == "carol" && ungrouped.values("X-Forwarded-Groups").allSatisfy(\.isEmpty), "\(ungrouped.headText)")
      #expect(try passed(bob + ["-d", "body"], "/x").text == "body")

      let challenged = try front.curl([], "/x")
      #expect(challenged.status == 401)
      #expect(
        challenged.final.values("WWW-Authenticate").contains { $0.contains("Basic realm=\"Authentication Required\"") },
        "\(challenged.heads)")
      try refused(401, ["-u", "bob:" + Secrets.keep("Wrong-9-bob")], "/x")
      try refused(403, alice, "/admin/x")
      #expect(try passed(bob, "/admin/x")["X-Forwarded-User"] == "bob")
      try refused(403, alice + ["-X", "DELETE"], "/files/x")
      #expect(try passed(alice, "/files/x")["X-Forwarded-User"] == "alice")

      // Public, and nobody is anybody there.
      let forged = ["-H", "X-Forwarded-User: forged", "-H", "X-Forwarded-Groups: forged"]
      for credentials in [[], bob] {
        let free = try passed(credentials + forged, "/public/x")
        #expect(
          (free.values("X-Forwarded-User") + free.values("X-Forwarded-Groups")).allSatisfy(\.isEmpty) && !free.head.holds("forged"),
          "\(free.headText)")
      }
      let identified = try passed(alice + forged, "/x")
      #expect(identified.values("X-Forwarded-User") == ["alice"] && !identified.head.holds("forged"), "\(identified.headText)")

      // What is judged is said by the server, whatever the client adds.
      let lies = [
        "X-Original-URI: /public/x", "X-Original-Method: GET", "X-Forwarded-Uri: /public/x", "X-Forwarded-Method: GET",
        "X-Forwarded-Host: other.test", "X-Original-URL: /public/x", "X-Rewrite-URL: /public/x", "X_Original_URI: /public/x",
      ]
      for lie in lies + [lies.joined(separator: "\r\n")] {
        let fields = lie.components(separatedBy: "\r\n").flatMap { ["-H", $0] }
        try refused(401, fields, "/x")
        try refused(403, alice + fields, "/admin/x")
        try refused(403, alice + fields + ["-X", "DELETE"], "/files/x")
      }
      for target in ["/public/../admin/x", "/admin/../public/x", "/public/%2e%2e/admin/x", "/public/..%2fadmin/x", "/public/%5c../admin"] {
        let answer = try front.curl([], target)
        #expect([400, 403].contains(answer.status), "\(target): \(answer.status)")
      }
      #expect(house.upstream.requests.count == count)
    }

    @Test func nginxTakesOurWord() throws {
      try House.with(Self.setup) { house throws in
        let front = try FrontServer.nginx(try Self.snippet("nginx", house))
        defer { try? front.stop() }
        try expectAuthority(house, front)
        #expect(Secrets.found(in: front.complaints).isEmpty)
      }
    }

    @Test func caddyTakesOurWord() throws {
      try House.with(Self.setup) { house throws in
        let front = try FrontServer.caddy(try Self.snippet("caddy", house))
        defer { try? front.stop() }
        try expectAuthority(house, front)
      }
    }
  }
}
