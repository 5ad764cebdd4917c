// Kerberos towards the service behind: Apache with mod_auth_gssapi, and a realm of the test's own.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct KerberosUpstream {
    private static let service = "HTTP/intranet.example.com"

    /// Runs `body` with a realm, an Apache of it and a house that logs in there as the page docs/recipes/kerberos.md says.
    private func with(_ location: String = "", more: String = "", silent: Bool = false, _ body: (House, KeyCenter, Apache) throws -> Void) throws {
      let center = try KeyCenter()
      try center.add(Self.service)
      try center.add("HTTP/localhost")
      try center.add("gateway")
      let keys = center.scratch["http.keytab"]
      try center.write(Self.service, to: keys, mode: 0o644)
      try center.administer("ktadd -k \(keys) HTTP/localhost")
      try center.write("gateway", to: center.scratch["gateway.keytab"])
      let apache = try Apache(
        modules: ["auth_gssapi"], location: "AuthType GSSAPI\nAuthName there\nGssapiCredStore keytab:\(keys)\nRequire valid-user\n\(location)",
        environment: center.environment)
      let recipe = try Recipe("kerberos").text(replacing: [
        "10.0.0.5:8080": "127.0.0.1:\(apache.port)", "EXAMPLE.COM": KeyCenter.realm, "gateway.keytab": center.scratch["gateway.keytab"],
        "upstream intranet {": "upstream intranet {\nengine \(Engines.current)",
      ])
      var setup = Setup(top: "admin unix:admin.sock", path: "/unused/", more: recipe + "\n" + more.replacingOccurrences(of: "$PORT", with: "\(apache.port)")
          .replacingOccurrences(of: "$KEYTAB", with: center.scratch["gateway.keytab"]))
      setup.environment = center.environment
      setup.workers = silent ? 1 : 2
      if silent { center.fallSilent(true) }
      try House.with(setup) { house throws in try body(house, center, apache) }
      try apache.stop()
      try center.stop()
    }

    private func get(_ house: House, _ path: String = "/") throws -> Message { try house.ask("GET", path, [People.alice.authorization]) }

    /// The page docs/recipes/kerberos.md. Apache is one that takes the login for the connection's: nobody else's request may come over that.
    @Test(.byEachEngine) func apacheKnowsUsAndNobodyElseOnOurConnections() throws {
      let more = """
        upstream plain { server http://127.0.0.1:$PORT; engine \(Engines.current) }
        route /plain/ { upstream plain; require valid-user; strip_prefix /plain }
        """
      try with("GssapiConnectionBound On", more: more) { house, _, apache in
        let client = try house.client()
        for i in 0..<40 {
          let answer = try client.exchange(request("GET", "/", [People.alice.authorization]))
          #expect(answer.status == 200 && answer.text == "hello" && answer.values("WWW-Authenticate").isEmpty, "\(i): \(answer.headText)")
          if i % 10 == 0 { #expect(try client.exchange(request("GET", "/plain/", [People.alice.authorization])).status == 401) }
        }
        let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        #expect(try house.curl("-u", People.alice.pair, "-X", "PUT", "--data-binary", "@-", "/kept.bin", input: body).status == 201)
        #expect(try apache.kept("kept.bin") == body)
        try eventually("the log of Apache") { apache.visits.count >= 45 }
        let ours = apache.visits.filter { $0[0] == "gateway@\(KeyCenter.realm)" }
        #expect(ours.count == 41 && ours.allSatisfy { $0[1] == "200" || $0[1] == "201" }, "\(apache.visits)")
        #expect(apache.visits.filter { $0[1] == "401" }.count == 4)
      }
    }

    @Test func aSilentKDCAndARefusalAreNobodyElsesTrouble() throws {
      let more = """
        upstream plain { server http://127.0.0.1:$PORT }
        route /plain/ { upstream plain; require valid-user; strip_prefix /plain }
        """
      try with("<Files never.txt>\nRequire user nobody\n</Files>", more: more, silent: true) { house, center, apache in
        let waiting = try house.client()
        try waiting.send(request("GET", "/", [People.alice.authorization]))
        // Of the same worker, the only one.
        for _ in 0..<5 { #expect(try get(house, "/plain/").status == 401) }
        try eventually("the question") {
          try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text.contains("login intranet: 0 Kerberos tokens ready, more being made")
        }
        center.fallSilent(false)
        #expect(try waiting.response()?.text == "hello")
        // A path that is not for us is refused as if our ticket were no good. That others are not to be had now costs nobody those that there are, nor what more is
        // made of them.
        try center.administer("modprinc -allow_tix gateway")
        #expect(try get(house, "/never.txt").status == 502)
        for _ in 0..<20 { #expect(try waiting.exchange(request("GET", "/", [People.alice.authorization])).text == "hello") }
        #expect(house.gate.child.errors.text.contains("credentials have been revoked"))
        try eventually("the log of Apache") { apache.visits.filter { $0[3] == "/never.txt" }.count == 2 }
      }
    }

    @Test func ticketsAreReplacedAndNoneMeansWaitingOrAClearAnswer() throws {
      // By the host's own principal, too.
      let more = """
        upstream local { server http://localhost:$PORT; authenticate negotiate { keytab $KEYTAB } }
        route /local/ { upstream local; require valid-user; strip_prefix /local }
        """
      try with(more: more) { house, center, apache in
        #expect(try get(house).status == 200)
        #expect(try get(house, "/local/").text == "hello")
        #expect(try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text.contains("login intranet: "))
        // The service has another key: what we have for it is worth nothing any more.
        try center.write(Self.service, to: center.scratch["http.keytab"], mode: 0o644)
        let posted = try house.ask("PUT", "/kept.txt", [People.alice.authorization, "Content-Length: 9"], body: "some text")
        #expect(posted.status == 201, "\(posted.headText)")
        try eventually("the log of Apache") { apache.visits.count >= 4 }
        #expect(apache.visits.map { $0[1] } == ["200", "200", "401", "201"] && apache.visits[3][0] == "gateway@\(KeyCenter.realm)", "\(apache.visits)")
        // The realm knows us no more. What is at hand serves; a new account, as after a reload, gets nothing.
        try center.administer("modprinc -allow_tix gateway")
        #expect(try get(house).status == 200)
        try center.administer("ktadd -norandkey -k \(center.scratch["gateway.keytab"]) gateway")
        try house.reload("admin unix", becomes: "keepalive_requests 9999\nadmin unix")
        try eventually("nothing") { try get(house).status == 503 }
        let refused = try get(house)
        #expect(refused.status == 503 && refused["Retry-After"] == "5", "\(refused.headText)")
        #expect(refused.text.hasPrefix("The service behind this gateway can't be logged in to"))
        try eventually("the reason") {
          house.gate.child.errors.text.contains("no Kerberos ticket of gateway@HOUSE.TEST at HTTP/intranet.example.com@HOUSE.TEST: ")
        }
        #expect(house.gate.child.errors.text.contains("credentials have been revoked"))
        try center.administer("modprinc +allow_tix gateway")
        try eventually("a ticket") { try get(house).status == 200 }
      }
    }
  }
}
