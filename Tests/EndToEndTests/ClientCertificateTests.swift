// Clients' own certificates: who is let in, whom they log in, and that nobody gets by with what was good once.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct ClientCertificates {
    /// The second listener asks for certificates.
    static func setup(_ mode: String, _ block: String = "user_from san email *@example.com", _ top: String = "", more: String = "")
      throws -> Setup
    {
      var setup = Setup(
        top: """
          listen 127.0.0.1:0 tls {
              certificate server.pem
              key server.key
              client_certificates { ca clients.pem; mode \(mode); \(block) }
          }
          \(top)
          """, more: more, files: try ClientIdentities.made())
      let server = try Certificates.made()
      setup.files["ca.pem"] = server.authority
      setup.files["server.pem"] = server.server
      setup.files["server.key"] = server.key
      return setup
    }

    private func curl(_ house: House, as name: String?, _ arguments: String..., target: String = "/") throws -> CurlAnswer {
      let own = name.map { ClientIdentities.arguments($0, in: house.scratch) } ?? []
      return try Curl.run(own + arguments + ["https://127.0.0.1:\(house.gate.ports[1])\(target)"], in: house.scratch)
    }

    private static let versions = [["--http1.1", "--tls-max", "1.2"], ["--http1.1", "--tlsv1.3"], ["--http2", "--tlsv1.3"]]

    @Test func whoMustHaveACertificateIsServedNothingWithout() throws {
      try House.with(try Self.setup("require", "crl alice.crl; user_from san email *@example.com")) { house throws in
        var count = 0
        for options in Self.versions {
          let answer = try curl(house, as: "bob", options[0], options[1], options.count > 2 ? options[2] : options[0])
          #expect(answer.status == 200, "\(options) \(answer.complaint)")
          count += 1
          #expect(try house.upstream.requests(count).last?["X-Forwarded-User"] == "bob")
          for name in [nil, "alice", "old", "forged"] as [String?] {
            let refused = try curl(house, as: name, options[0], options[1], options.count > 2 ? options[2] : options[0])
            #expect(refused.code != 0 && refused.status == 0 && refused.heads.isEmpty, "\(name ?? "none") \(options)")
          }
          // Nor with a password.
          #expect(try curl(house, as: nil, options[0], "-u", People.bob.pair).status == 0)
        }
        #expect(house.upstream.requests.count == count)
        try eventually("it is logged") { house.gate.errorLines.contains { $0.contains("a client's handshake failed") } }
        let line = try house.accessLines(1)[0]
        #expect(line["client_certificate"] as? String == "CN=bob,O=Example" && line["user"] as? String == "bob")
      }
    }

    @Test func whoMayHaveOneIsServedWithoutAndNotWithABadOne() throws {
      try House.with(try Self.setup("optional", "crl alice.crl; user_from san email *@example.com")) { house throws in
        #expect(try curl(house, as: nil).status == 401)
        #expect(try curl(house, as: nil, "-u", People.alice.pair).status == 200)
        #expect(try curl(house, as: "bob").status == 200)
        for name in ["alice", "old", "forged"] {
          let refused = try curl(house, as: name, "-u", People.alice.pair)
          #expect(refused.code != 0 && refused.status == 0, "\(name)")
        }
      }
    }

    @Test func aListOfRevocationsThatIsOverLetsNobodyIn() throws {
      try House.with(try Self.setup("optional", "crl expired.crl; user_from san email *@example.com")) { house throws in
        try eventually("it is logged") { house.gate.errorLines.contains { $0.contains("expired.crl: its nextUpdate has passed") } }
        #expect(try curl(house, as: "bob").status == 0)
        try eventually("it is logged") { house.gate.errorLines.contains { $0.contains("its certificate is refused: CRL has expired") } }
        #expect(try curl(house, as: nil, "-u", People.alice.pair).status == 200)
        try house.scratch.write(try house.scratch.text("none.crl"), to: "expired.crl")
        try eventually("the list is renewed") { try curl(house, as: "bob").status == 200 }
      }
    }

    @Test func aCertificateLogsInItsUserAndNobodyElse() throws {
      var setup = try Self.setup(
        "optional", "user_from san email *@example.com",
        more: "route /staff/ { upstream legacy; require group admin }\nroute /machines/ { upstream legacy; require certificate }")
      setup.lockout = nil
      try House.with(setup) { house throws in
        #expect(try curl(house, as: "alice").status == 200)
        #expect(house.upstream.requests.last?.values("X-Forwarded-User") == ["alice"])
        #expect(try curl(house, as: "alice", target: "/staff/").status == 403)
        #expect(try curl(house, as: "bob", target: "/staff/").status == 200)
        // Locked, unknown, and of no user's address: never a guess, however often.
        for name in ["mallory", "nobody-known", "agent"] {
          for _ in 0..<12 { #expect(try curl(house, as: name).status == 401) }
          #expect(try curl(house, as: name, target: "/machines/").status == (name == "agent" ? 200 : 401))
        }
        #expect(try curl(house, as: nil, "-u", People.carol.pair).status == 200)
        // Beside a password it must be the same user's.
        #expect(try curl(house, as: "alice", "-u", People.alice.pair).status == 200)
        #expect(try curl(house, as: "alice", "-u", People.bob.pair).status == 401)
        #expect(try curl(house, as: "agent", "-u", People.bob.pair).status == 200)
        #expect(try curl(house, as: "alice", "-u", "alice:" + Secrets.keep("Wrong-with-certificate")).status == 401)
        let reasons = try house.accessLines(1).compactMap { $0["reason"] as? String }
        #expect(
          reasons.contains("certificate is another user's") && reasons.contains("certificate names no user")
            && reasons.contains("user is locked"))
      }
    }

    @Test func aUserWhoIsLockedIsOutAtOnceAlsoOnAnOpenConnection() throws {
      try House.with(try Self.setup("require")) { house throws in
        let outcome = try python(
          house,
          """
          first = ask()
          text = open('users').read()
          open('users.new', 'w').write(text.replace('alice:{SHA}', '#alice:{SHA}'))
          import os; os.rename('users.new', 'users')
          print(first, wait_for(401))
          """)
        #expect(outcome.text == "200 401\n", "\(outcome.errors)")
      }
    }

    @Test func rulesAskForCertificates() throws {
      let more = """
        route /any/ { upstream legacy; require certificate }
        route /agents/ { upstream legacy; require certificate san email *@machines.test }
        route /subject/ { upstream legacy; require certificate subject "CN=agent,O=Example" }
        route /both/ { upstream legacy; require all { certificate cn agent; valid-user } }
        route /either/ { upstream legacy; require any { certificate cn agent; group admin } }
        """
      try House.with(try Self.setup("optional", "", more: more)) { house throws in
        for target in ["/any/", "/agents/", "/subject/", "/either/"] {
          #expect(try curl(house, as: "agent", target: target).status == 200, "\(target)")
          #expect(house.upstream.requests.last?.values("X-Forwarded-User") == [])
          #expect(try curl(house, as: nil, target: target).status == 401, "\(target)")
        }
        for target in ["/agents/", "/subject/", "/either/"] {
          #expect(try curl(house, as: "alice", target: target).status == 401, "\(target)")
        }
        #expect(try curl(house, as: nil, "-u", People.alice.pair, target: "/agents/").status == 403)
        #expect(try curl(house, as: nil, "-u", People.bob.pair, target: "/either/").status == 200)
        #expect(try curl(house, as: "agent", target: "/both/").status == 401)
        #expect(try curl(house, as: "agent", "-u", People.alice.pair, target: "/both/").status == 200)
        #expect(house.upstream.requests.last?.values("X-Forwarded-User") == ["alice"])
        #expect(try curl(house, as: "alice", "-u", People.alice.pair, target: "/both/").status == 403)
        // A certificate opens nothing else, and nothing by the other listener.
        #expect(try curl(house, as: "agent", target: "/").status == 401)
        #expect(try house.ask("GET", "/any/").status == 401)
      }
    }

    @Test func whatIsSaidOfCertificatesIsSaidByUsAlone() throws {
      let lies = [
        "X-Forwarded-Client-Cert-Subject: CN=root", "x-forwarded-client-cert-serial: 1", "X_Forwarded_Client_Cert_Fingerprint: 00",
        "X-Forwarded-Client-Cert: Hash=00",
        "X.Forwarded.Client.Cert.Subject: CN=root", "Client-Cert: :AA==:", "Client_Cert: :AA==:", "Client-Cert-Chain: :AA==:",
      ].flatMap { ["-H", $0] }
      let on = "client_certificate_headers on"
      // A trusted proxy's certificate is not that of whoever asks.
      for (top, isTold) in [(on, true), ("\(on)\ntrusted_proxies 127.0.0.1", false), ("", false)] {
        try House.with(try Self.setup("optional", "user_from san email *@example.com", top)) { house throws in
          #expect(
            try Curl.run(
              ClientIdentities.arguments("alice", in: house.scratch) + lies
                + ["-u", People.alice.pair, "https://127.0.0.1:\(house.gate.ports[1])/"],
              in: house.scratch
            ).status == 200)
          let seen = try #require(house.upstream.requests.last)
          #expect(seen.values("X-Forwarded-Client-Cert-Subject") == (isTold ? ["CN=alice,O=Example"] : []), "\(seen.headText)")
          #expect(
            seen["X-Forwarded-Client-Cert-Fingerprint"]?.count == (isTold ? 64 : nil)
              && (seen["X-Forwarded-Client-Cert-Serial"] != nil) == isTold)
          for word in ["CN=root", "AA==", "Hash=00", ": 00"] { #expect(!seen.head.holds(word), "\(seen.headText)") }
          // Who has none has nothing said of him.
          #expect(
            try Curl.run(lies + ["-u", People.bob.pair, "https://127.0.0.1:\(house.gate.ports[1])/"], in: house.scratch).status == 200)
          #expect(house.upstream.requests.last?.headText.lowercased().contains("cert") == false)
        }
      }
    }

    @Test func aProxysCertificateIsNotItsClients() throws {
      try House.with(try Self.setup("require", "user_from san email *@example.com", "trusted_proxies 127.0.0.1")) { house throws in
        // Also where it does not say for whom it asks: many say nothing, unless they are told to.
        #expect(try curl(house, as: "alice").status == 401)
        #expect(try curl(house, as: "alice", "-H", "X-Forwarded-For: 203.0.113.9").status == 401, "for somebody else")
        #expect(try curl(house, as: "alice", "-H", "X-Forwarded-For: 203.0.113.9", "-u", People.bob.pair).status == 200)
      }
    }

    @Test func ourOwnAnswersAskForMoreThanACertificate() throws {
      let top = "tokens { keys token.keys; endpoint /api/token }"
      try House.with(try Self.setup("require", "user_from san email *@example.com", top)) { house throws in
        #expect(try curl(house, as: "alice", target: "/api/token").status == 401)
        #expect(try curl(house, as: "alice", "-u", People.alice.pair, target: "/api/token").status == 200)
      }
    }

    // MARK: What was good once

    /// A connection that stays, of a client called alice: `ask()` answers a status, or 0 when the connection has ended.
    private func python(_ house: House, _ program: String) throws -> Outcome {
      let text = """
        import http.client, ssl, sys, time
        context = ssl.create_default_context(cafile='ca.pem')
        context.load_cert_chain('alice.pem', 'alice.key')
        connection = http.client.HTTPSConnection('127.0.0.1', int(sys.argv[1]), context=context, timeout=20)
        connection.auto_open = 0
        connection.connect()
        def ask():
          try:
            connection.request('GET', '/')
            answer = connection.getresponse()
            answer.read()
            return answer.status
          except Exception:
            return 0
        def wait_for(*wanted):
          end = time.time() + 15
          while time.time() < end:
            status = ask()
            if status in wanted: return status
            time.sleep(0.02)
          return 'never'
        \(program)
        """
      return try Child.run("/usr/bin/python3", ["-I", "-c", text, "\(house.gate.ports[1])"], folder: house.scratch.path)
    }

    @Test func aConnectionDoesNotOutliveItsAuthority() throws {
      try House.with(try Self.setup("require")) { house throws in
        let outcome = try python(
          house,
          """
          first = ask()
          import os
          open('new.pem', 'w').write(open('strangers.pem').read())
          os.rename('new.pem', 'clients.pem')
          print(first, wait_for(0, 401))
          """)
        #expect(["200 0\n", "200 401\n"].contains(outcome.text), "\(outcome.text)\(outcome.errors)")
        #expect(try curl(house, as: "alice").status == 0)
        #expect(try curl(house, as: "forged").status == 200)
      }
    }

    /// Nobody's broken file keeps a list of revocations out: another listener's, or the listener's own certificate.
    @Test(arguments: ["other.key", "server.pem"]) func aBrokenFileKeepsNoRevocationOut(_ broken: String) throws {
      var setup = try Self.setup(
        "require", "crl none.crl; user_from san email *@example.com", "listen 127.0.0.1:0 tls { certificate other.pem; key other.key }")
      (setup.files["other.pem"], setup.files["other.key"]) = (setup.files["server.pem"], setup.files["server.key"])
      try House.with(setup) { house throws in
        #expect(try curl(house, as: "alice").status == 200)
        try house.scratch.replace(broken, with: "-----BEGIN ")
        try house.gate.child.errors.waitForLine(containing: "the certificates before stay in force")
        #expect(house.gate.errorLines.contains { $0.contains("\(house.scratch[broken]): ") && $0.contains("stay in force") })
        try house.scratch.replace("none.crl", with: try house.scratch.text("alice.crl"))
        try eventually("who was revoked is out") { try curl(house, as: "alice").status == 0 }
        #expect(try curl(house, as: "bob").status == 200, "by the certificate that was there before")
        // A configuration with a broken certificate is refused, and brings nobody back.
        house.gate.child.signal(SIGHUP)
        try house.gate.child.errors.waitForLine(containing: "reload: the configuration has errors")
        #expect(try curl(house, as: "alice").status == 0)
        #expect(try curl(house, as: "bob").status == 200)
      }
    }

    @Test func aListOfRevocationsThatIsNotInForceIsSaidToBeSo() throws {
      try House.with(try Self.setup("require", "crl none.crl; user_from san email *@example.com")) { house throws in
        let authority = try house.scratch.text("clients.pem")
        try house.scratch.replace("clients.pem", with: "-----BEGIN ")
        try house.scratch.replace("none.crl", with: try house.scratch.text("alice.crl"))
        try house.gate.child.errors.waitForLine(containing: "none.crl: this list of revocations is not in force")
        #expect(house.gate.errorLines.contains { $0.contains("clients.pem: ") && $0.contains("revocations before stay in force") })
        #expect(try curl(house, as: "bob").status == 200)
        try house.scratch.replace("clients.pem", with: authority)
        try eventually("who was revoked is out") { try curl(house, as: "alice").status == 0 }
        #expect(try curl(house, as: "bob").status == 200)
      }
    }

    /// What `openssl s_client` sees of one request; nil when there was no answer.
    private func resume(_ house: House, _ version: String, _ session: [String]) throws -> (status: String?, isResumed: Bool) {
      let arguments =
        [
          "s_client", "-connect", "127.0.0.1:\(house.gate.ports[1])", "-CAfile", "ca.pem", version, "-ign_eof", "-cert", "alice.pem",
          "-key", "alice.key",
        ] + session
      let text = request("GET", "/", ["Connection: close"])
      let outcome = try Child.run("/usr/bin/openssl", arguments, input: [UInt8](text.utf8), folder: house.scratch.path)
      let status = outcome.text.range(of: "HTTP/1.1 ").map { String(outcome.text[$0.upperBound...].prefix(3)) }
      return (status, outcome.text.contains("Reused, TLS"))
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"]) func aTicketDoesNotOutliveItsAuthority(_ version: String) throws {
      try House.with(try Self.setup("require")) { house throws in
        #expect(try resume(house, version, ["-sess_out", "session"]).status == "200")
        let again = try resume(house, version, ["-sess_in", "session"])
        #expect(again.status == "200" && again.isResumed, "the test would show nothing otherwise")
        #expect(try house.accessLines(2).allSatisfy { $0["user"] as? String == "alice" })
        try house.scratch.write(try house.scratch.text("strangers.pem"), to: "clients.pem")
        try eventually("the authority is another") { house.gate.errorLines.contains { $0.contains("certificates reloaded") } }
        let late = try resume(house, version, ["-sess_in", "session"])
        #expect(late.status == nil && !late.isResumed)
        #expect(house.upstream.requests.count == 2)
      }
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"]) func aTicketDoesNotOutliveARevocation(_ version: String) throws {
      try House.with(try Self.setup("optional", "crl none.crl; user_from san email *@example.com")) { house throws in
        #expect(try resume(house, version, ["-sess_out", "session"]).status == "200")
        try house.scratch.write(try house.scratch.text("alice.crl"), to: "none.crl")
        try eventually("the list is another") { house.gate.errorLines.contains { $0.contains("certificates reloaded") } }
        let late = try resume(house, version, ["-sess_in", "session"])
        #expect(late.status == nil && !late.isResumed)
        #expect(house.upstream.requests.count == 1)
      }
    }
  }
}
