// Tickets: signed, short-lived, and in the query of a link, where every log and every page behind it would see them.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Tickets {
    private static let tokens = "tokens { keys token.keys }"
    private let setup = Setup(top: tokens + "\napi_key_header X-API-Key")

    private func issue(_ house: House, _ arguments: String...) throws -> String {
      let outcome = try Gatehouse.run(["token", "issue", "bob"] + arguments + ["--config", "proxy.conf"], in: house.scratch)
      #expect(outcome.code == 0, "\(outcome.errors)")
      return Secrets.keep(outcome.text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    private func ticket(_ house: House) throws -> String { try issue(house, "--ticket", "--scope", "GET /downloads/") }

    @Test func aTicketOpensItsLinkAndNothingElse() throws {
      try House.with(setup) { house throws in
        let ticket = try ticket(house)
        for (query, forwarded) in [
          ("?ticket=\(ticket)", ""), ("?a=1&ticket=\(ticket)&b=%20%2f", "?a=1&b=%20%2f"), ("?ticket=\(ticket)&a", "?a"),
          ("?a&ticket=\(ticket)", "?a"),
          ("?%74icket=\(ticket)", ""),
        ] {
          #expect(try house.ask("GET", "/downloads/x" + query).status == 200)
          let seen = try #require(house.upstream.requests.last)
          #expect(seen.target == "/downloads/x" + forwarded && seen["X-Forwarded-User"] == "bob")
        }
        let before = house.upstream.requests.count
        for (method, path) in [
          ("POST", "/downloads/x"), ("GET", "/"), ("GET", "/downloadsx"), ("GET", "/downloads/../x"), ("DELETE", "/downloads/"),
        ] {
          #expect(try house.ask(method, "\(path)?ticket=\(ticket)").status == 403, "\(method) \(path)")
        }
        #expect(house.upstream.requests.count == before)
      }
    }

    @Test func aTicketIsNoOtherCredentialAndNoOtherOneIsATicket() throws {
      try House.with(setup) { house throws in
        let (ticket, token) = (try ticket(house), try issue(house))
        let key = try issue(house, "--name", "ci")
        try eventually("the key works") { try house.ask("GET", "/downloads/x", ["X-API-Key: \(key)"]).status == 200 }
        #expect(try house.ask("GET", "/downloads/x", ["Authorization: Bearer \(token)"]).status == 200)
        let before = house.upstream.requests.count
        for field in ["Authorization: Bearer \(ticket)", "Authorization: " + Secrets.basic(ticket, "no-password-of-anybody"), "X-API-Key: \(ticket)"] {
          #expect(try house.ask("GET", "/downloads/x", [field]).status == 401)
        }
        for value in [token, key, "", "x", String(ticket.dropLast()), ticket + "A", "\(ticket)%20", String(ticket.uppercased())] {
          #expect(try house.ask("GET", "/downloads/x?ticket=\(Secrets.keep(value))").status == 401)
        }
        for query in [
          "ticket=\(ticket)&ticket=\(ticket)", "ticket=\(ticket)&a&TICKET=", "ticket=\(ticket);a", "a;ticket=\(ticket)",
          "ticket=&%74icket=\(ticket)",
        ] {
          #expect(try house.ask("GET", "/downloads/x?\(query)").status == 400)
        }
        #expect(house.upstream.requests.count == before)
        // Beside credentials a ticket is nothing: they are what counts.
        #expect(try house.ask("GET", "/x?ticket=\(ticket)", [People.alice.authorization]).status == 200)
        #expect(house.upstream.requests.last?["X-Forwarded-User"] == "alice" && house.upstream.requests.last?.target == "/x")
        #expect(
          try house.ask("GET", "/downloads/x?ticket=\(ticket)", ["Authorization: " + Secrets.basic("alice", "wrong-guess-7")]).status == 401
        )
      }
    }

    /// A ticket that was changed and signed by our key all the same: `claims` is a Python expression over `c`.
    private func forge(_ house: House, _ ticket: String, _ claims: String) throws -> String {
      let program = """
        import base64, hashlib, hmac, json, sys
        def decode(t): return base64.urlsafe_b64decode(t + '=' * (-len(t) % 4))
        def encode(b): return base64.urlsafe_b64encode(b).rstrip(b'=').decode()
        head, body, _ = sys.argv[1].split('.')
        name = json.loads(decode(head))['kid']
        for line in open('token.keys'):
          words = line.split()
          if words and words[0] == name: secret = words[1]
        c = json.loads(decode(body))
        \(claims)
        text = head + '.' + encode(json.dumps(c, separators=(',', ':')).encode())
        print(text + '.' + encode(hmac.new(decode(secret), text.encode(), hashlib.sha256).digest()))
        """
      let outcome = try Child.run("/usr/bin/python3", ["-I", "-c", program, ticket], folder: house.scratch.path)
      #expect(outcome.code == 0, "\(outcome.errors)")
      return Secrets.keep(outcome.text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    @Test func aTicketWithoutScopeOrOfALongLifeIsNone() throws {
      try House.with(setup) { house throws in
        let ticket = try ticket(house)
        #expect(try house.ask("GET", "/downloads/x?ticket=\(try forge(house, ticket, "pass"))").status == 200, "the forger knows how")
        for claims in ["del c['scope']", "c['exp'] = c['iat'] + 301", "c['iat'] -= 250", "c['iat'] -= 100; c['exp'] -= 100"] {
          #expect(try house.ask("GET", "/downloads/x?ticket=\(try forge(house, ticket, claims))").status == 401, "\(claims)")
        }
        for (arguments, code) in [
          (["--ticket"], 2), (["--ticket", "--scope", "GET /a", "--duration", "301s"], 1),
          (["--ticket", "--scope", "GET /a", "--name", "x"], 2),
        ] as [([String], Int32)] {
          let outcome = try Gatehouse.run(["token", "issue", "bob"] + arguments + ["--config", "proxy.conf"], in: house.scratch)
          #expect(outcome.code == code && outcome.output.isEmpty, "\(outcome.errors)")
        }
      }
    }

    @Test func aTicketIsNeitherForwardedNorLogged() throws {
      // What House searches the logs for at the end is every ticket that was issued or made up here.
      let more = "route /open/ { upstream legacy; require nobody }\nroute /raw/ { upstream legacy; require valid-user; path raw }"
      for format in ["json", "combined"] {
        let setup = Setup(top: Self.tokens + "\nerror_log debug", more: more)
        try House.with(setup) { house throws in
          if format == "combined" {
            let text = try house.scratch.text("proxy.conf").replacingOccurrences(of: "access.log json", with: "access.log combined")
            try house.scratch.write(text, to: "proxy.conf")
            house.gate.child.signal(SIGHUP)
            try house.gate.child.errors.waitForLine(containing: "reloaded")
          }
          let ticket = try ticket(house)
          let bad = Secrets.keep(String(ticket.dropLast(8)) + "AAAAAAAA")
          for value in [ticket, bad] {
            for name in ["ticket", "%74icket", "t%69cket", "TICKET", "%54ICKET"] {
              for path in ["/downloads/x", "/open/x", "/raw/x", "/nowhere"] {
                let link = "\(path)?a=1&\(name)=\(value)&b=2"
                _ = try house.ask("GET", link)
                _ = try house.ask("GET", link, [People.alice.authorization])
                _ = try house.ask("GET", "\(path)?ticket=\(value);\(name)=\(value)&\(name)=\(value)")
              }
              let referer = "Referer: http://legacy.test/downloads/x?a&\(name)=\(value)"
              _ = try house.ask("GET", "/downloads/x", [People.alice.authorization, referer])
              _ = try house.ask("GET", "/downloads/x", [referer])
            }
            // Requests that are refused for something else.
            _ = try house.ask("GET", "/a%2fb?ticket=\(value)")
            _ = try house.ask("GET", "http://legacy.test/downloads/x?ticket=\(value)", [People.alice.authorization])
            // In HTTP/2 the stream is reset for it.
            _ = try? house.ask("GET", "/downloads/x?ticket=\(value)", ["Content-Length: x"])
            _ = try house.ask("GET", "/downloads/x?ticket=\(value)", ["X: \u{1}"])
            _ = try house.ask("TRACE", "/downloads/x?ticket=\(value)", [People.alice.authorization])
            #expect(!house.upstream.bytes.holds(value))
          }
          #expect(house.upstream.requests.contains { $0["Referer"] == nil })
          _ = try house.ask("GET", "/last", [People.alice.authorization, "Referer: http://legacy.test/?q=tickets"])
          #expect(house.upstream.requests.last?["Referer"] == "http://legacy.test/?q=tickets")
          try eventually("the last line is logged") { house.gate.accessLog.contains("/last") }
          #expect(house.gate.accessLog.contains("/downloads/x?a=1&b=2"))
        }
      }
    }

    @Test func theParameterIsAnOrdinaryOneWhereTicketsAreOff() throws {
      for (directive, name) in [("ticket_parameter off", "ticket"), ("ticket_parameter pass", "ticket")] {
        try House.with(Setup(top: "tokens { keys token.keys; \(directive) }")) { house throws in
          #expect(try house.ask("GET", "/x?\(name)=ST-123", [People.alice.authorization]).status == 200)
          #expect(house.upstream.requests.last?.target == "/x?\(name)=ST-123")
        }
      }
      try House.with(Setup(top: "tokens { keys token.keys; ticket_parameter pass }")) { house throws in
        let ticket = try ticket(house)
        #expect(try house.ask("GET", "/downloads/x?pass=\(ticket)").status == 200)
      }
    }
  }
}
