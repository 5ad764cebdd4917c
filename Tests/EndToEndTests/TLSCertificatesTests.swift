// Certificates and sessions over time: replaced under load, by bad ones, across reloads; and what `check` says of them.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct TLSCertificates {
    private func subject(_ house: House, _ authority: Authority) throws -> String {
      let said = try authority.ask(house.tlsPort, "-servername", "a.test")
      return said.split(separator: "\n").first { $0.hasPrefix("subject=") }.map(String.init) ?? said
    }

    /// Puts another's certificate in the place of a's, the file of the key a moment later.
    private func replace(_ authority: Authority, by other: String, between: () throws -> Void = {}) throws {
      try authority.scratch.replace("a.pem", with: authority.scratch.text("\(other).pem"))
      try between()
      try authority.scratch.replace("a.key", with: authority.scratch.text("\(other).key"))
    }

    @Test func replacedUnderLoadNothingFails() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try authority.sign("b", for: "DNS:a.test", kind: "rsa:2048")
      try authority.sign("c", for: "DNS:a.test")
      var setup = Setup.tls(authority.directives("a"))
      setup.workers = 2
      try House.with(setup) { house throws in
        try authority.scratch.write("", to: "going")
        let port = house.tlsPort
        let clients = Monitor<[String]?>(nil)
        Thread.detachNewThread {
          let said = try? authority.python(
            port,
            """
            import os, re
            failures, served, kept = [], 0, connect()
            get = b"GET / HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n"
            def ask(s):
              s.sendall(get)
              data = b""
              while b"\\r\\n\\r\\n" not in data or len(data.partition(b"\\r\\n\\r\\n")[2]) < int(re.search(rb"(?i)content-length: (\\d+)", data)[1]):
                part = s.recv(65536)
                if not part: raise EOFError(data)
                data += part
              if not data.startswith(b"HTTP/1.1 200"): raise ValueError(data)
            while os.path.exists("going"):
              try:
                ask(kept)
                s = connect()
                ask(s)
                s.close()
                served += 1
              except Exception as error: failures.append(repr(error))
            print(served)
            for failure in failures[:5]: print(failure)
            """, within: .seconds(120))
          clients.with { $0 = said ?? ["python failed"] }
        }
        #expect(try subject(house, authority).contains("CN = a"))
        try replace(authority, by: "b") {
          let shown = try subject(house, authority)
          #expect(shown.contains("CN = a"), "half of a pair is not taken")
        }
        try eventually("b is shown") { try subject(house, authority).contains("CN = b") }
        try replace(authority, by: "c")
        house.gate.child.signal(SIGHUP)
        try eventually("c is shown") { try subject(house, authority).contains("CN = c") }
        unsafe unlink(authority["going"])
        let said = clients.wait { $0 } ?? []
        #expect(said.count == 1, "failures: \(said)")
        #expect(Int(said.first ?? "") ?? 0 > 5)
        #expect(house.gate.errorLines.contains { $0.contains("certificates reloaded: 1, valid for ") })
      }
    }

    @Test func aBadOneChangesNothing() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try authority.sign("b", for: "DNS:a.test")
      try authority.signExpired("old", for: "a.test")
      try House.with(.tls(authority.directives("a"))) { house throws in
        let good = try authority.scratch.text("a.pem")
        try authority.scratch.replace("a.pem", with: authority.scratch.text("b.pem"))
        try house.gate.child.errors.waitForLine(containing: "this key does not belong to the certificate")
        #expect(house.gate.errorLines.last { $0.contains("does not belong") }?.hasSuffix("the certificates before stay in force") == true)
        #expect(try subject(house, authority).contains("CN = a"))
        // A reload says no too, and leaves what is in force.
        house.gate.child.signal(SIGHUP)
        try house.gate.child.errors.waitForLine(containing: "gatehouse: error: reload: the configuration has errors")
        #expect(try subject(house, authority).contains("CN = a"))
        try replace(authority, by: "old")
        try house.gate.child.errors.waitForLine(containing: "it expired at 2020-02-01 00:00 UTC: renew it; the certificates before stay")
        #expect(try subject(house, authority).contains("CN = a"))
        unsafe unlink(authority["a.pem"])
        try house.gate.child.errors.waitForLine(containing: "No such file or directory; the certificates before stay in force")
        #expect(try subject(house, authority).contains("CN = a"))
        try replace(authority, by: "b")
        try eventually("b is shown") { try subject(house, authority).contains("CN = b") }
        _ = good
      }
    }

    @Test func aBadOneKeepsNoOtherOut() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try authority.sign("b", for: "DNS:a.test")
      try authority.sign("c", for: "DNS:c.test")
      try House.with(.tls(authority.directives("a", "c"))) { house throws in
        try authority.scratch.replace("c.key", with: authority.scratch.text("b.key"))
        try house.gate.child.errors.waitForLine(containing: "c.key: this key does not belong to the certificate")
        try replace(authority, by: "b")
        try eventually("b is shown") { try subject(house, authority).contains("CN = b") }
        #expect(try authority.ask(house.tlsPort, "-servername", "c.test").contains("subject=CN = c"))
      }
    }

    @Test func sessionsAreResumedAcrossWorkersAndReloads() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try authority.sign("b", for: "DNS:a.test")
      var setup = Setup.tls(authority.directives("a"))
      setup.top += "\nlisten 127.0.0.1:0 tls { \(authority.directives("a")); handshake_timeout 9s }"
      setup.top += "\nlisten 127.0.0.1:0 tls { \(authority.directives("a")); session_tickets off }"
      setup.workers = 2
      try House.with(setup) { house throws in
        for version in ["-tls1_2", "-tls1_3"] {
          func resumes(_ listener: Int) throws -> Bool {
            try authority.ask(house.gate.ports[listener], version, "-sess_in", "session\(version)", "-servername", "a.test").contains(
              "Reused, TLSv1")
          }
          let first = try authority.ask(house.tlsPort, version, "-sess_out", "session\(version)", "-servername", "a.test")
          #expect(first.contains("New, TLSv1"))
          // Which worker takes a connection is the kernel's choice.
          for _ in 0..<6 { #expect(try resumes(1), "\(version)") }
          #expect(try !resumes(2), "a session of another listener")
          #expect(try !resumes(3))
        }
        try replace(authority, by: "b")
        try eventually("b is shown") { try subject(house, authority).contains("CN = b") }
        house.gate.child.signal(SIGHUP)
        try house.gate.child.errors.waitForLine(containing: "gatehouse: reloaded:")
        for version in ["-tls1_2", "-tls1_3"] {
          let said = try authority.ask(house.tlsPort, version, "-sess_in", "session\(version)", "-servername", "a.test")
          #expect(said.contains("Reused, TLSv1") && said.contains("HTTP/1.1 200"), "\(version)")
        }
      }
    }

    @Test func checkSaysWhatTheyAre() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test", "DNS:*.a.test", days: 20)
      try authority.sign("b", for: "DNS:b.test", kind: "rsa:2048")
      try authority.signExpired("old", for: "old.test")
      unsafe chmod(authority["b.key"], 0o644)
      func check(_ listen: String) throws -> Outcome {
        let text = "\(listen)\nusers users\nupstream u { server http://127.0.0.1:1 }\nroute / { upstream u; require nobody }\n"
        try authority.scratch.write("", to: "users")
        try authority.scratch.write(text, to: "proxy.conf")
        return try Gatehouse.run(["check"], in: authority.scratch)
      }
      let good = try check("listen 127.0.0.1:8443 tls { \(authority.directives("a", "b")) }")
      #expect(good.code == 0, "\(good.errors)")
      #expect(good.text.contains(/a\.test \*\.a\.test: ECDSA, P-256, (19|20) days left, by CN=Test Authority/))
      #expect(good.text.contains(/b\.test: RSA, 2048 bits, (89|90) days left, by CN=Test Authority/))
      #expect(good.text.contains(/a\.pem: the certificate for a\.test expires in (19|20) days: renew it/))
      #expect(good.text.contains("b.key: others on this machine may read this private key"))
      let mismatch = try check("listen 127.0.0.1:8443 tls { certificate a.pem; key b.key }")
      #expect(mismatch.code == 1 && mismatch.errors.contains("this key does not belong to the certificate in"))
      let expired = try check("listen 127.0.0.1:8443 tls { certificate old.pem; key old.key }")
      #expect(expired.code == 1 && expired.errors.contains("it expired at 2020-02-01"))
      let lone = try check("listen 127.0.0.1:8443 tls { certificate a.pem }")
      #expect(lone.code == 1 && lone.errors.contains("this certificate has no key"))
      let clear = try check("listen 127.0.0.1:8443 { certificate a.pem; key a.key }")
      #expect(clear.code == 1 && clear.errors.contains("this listener does not speak TLS"))
      let none = try check("listen 127.0.0.1:8443 tls")
      #expect(none.code == 1 && none.errors.contains("a listener with TLS has no certificate"))
      let lower = try check("listen 127.0.0.1:8443 tls { \(authority.directives("a")); min_version 1.1 }")
      #expect(lower.code == 1 && lower.errors.contains("is below what the profile allows"))
      let logged = try check("listen 127.0.0.1:8443 tls { \(authority.directives("a")); key_log keys.log }")
      #expect(logged.code == 0 && logged.text.contains("the keys of every connection are written there"))
      #expect(!authority.scratch.contains("keys.log"), "check writes nothing")
    }

    @Test func aServerDoesNotStartWithoutGoodOnes() throws {
      let authority = try Authority()
      try authority.signExpired("old", for: "old.test")
      try authority.scratch.write(
        "listen 127.0.0.1:0 tls { certificate old.pem; key old.key }\nupstream u { server http://127.0.0.1:1 }\nroute / { upstream u; require nobody }\n",
        to: "proxy.conf")
      let outcome = try Gatehouse.run(["serve"], in: authority.scratch)
      #expect(outcome.code == 1 && outcome.errors.contains("it expired at 2020-02-01"))
    }

    @Test func whatExpiresSoonIsWarnedOf() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test", days: 5)
      try House.with(.tls(authority.directives("a"))) { house throws in
        #expect(
          house.gate.errorLines.filter {
            $0.contains("warning") && $0.contains(/a\.pem: the certificate for a\.test expires in (4|5) days: renew it/)
          }.count
            == 1)
      }
    }
  }
}
