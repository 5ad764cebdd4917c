// Behind proxies that say by a field who the client is: one field, from trusted proxies, and from nobody else.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct TrustedProxies {
    private static func setup(_ top: String, lockout: String? = "lockout off") -> Setup {
      var setup = Setup(
        top: top,
        more: """
          route /office/ { upstream legacy; require all { from 198.51.100.0/24; nobody } }
          route /free/ { upstream legacy; require nobody }
          """)
      setup.lockout = lockout
      return setup
    }

    /// Whose field is named, and who has no right to say anything in the other.
    @Test func onlyOneFieldIsBelieved() throws {
      let (office, home) = ("198.51.100.7", "203.0.113.9")
      for (directive, believed, other) in [
        ("forwarded", "Forwarded: for=%", "X-Forwarded-For: %"), ("x-forwarded-for", "X-Forwarded-For: %", "Forwarded: for=%"),
      ] {
        try House.with(Self.setup("trusted_proxies 127.0.0.1\nclient_address \(directive)\nforwarded on")) { house throws in
          func said(_ field: String, _ address: String) -> String { field.replacingOccurrences(of: "%", with: address) }
          #expect(try house.ask("GET", "/office/", [said(believed, office)]).status == 200)
          #expect(try house.ask("GET", "/office/", [said(believed, office), said(other, home)]).status == 200)
          for fields in [[said(other, office)], [said(other, office), said(believed, home)], [said(believed, home), said(other, office)]] {
            #expect(try house.ask("GET", "/office/", fields).status == 401, "\(fields)")
          }
          #expect(try house.ask("GET", "/free/", [said(believed, home), said(other, office)]).status == 200)
          let seen = try #require(house.upstream.requests.last)
          #expect(
            seen["X-Forwarded-For"] == "\(home), 127.0.0.1" && seen["Forwarded"]?.hasPrefix("for=\(home)") == true, "\(seen.headText)")
          #expect(!seen.head.holds(office), "\(seen.headText)")
          #expect(try house.accessLines(6)[5]["remote_address"] as? String == home)
        }
      }
    }

    @Test func aStrangersForwardedNamesNobody() throws {
      for directive in ["forwarded", "x-forwarded-for"] {
        try House.with(Self.setup("trusted_proxies 192.0.2.1\nclient_address \(directive)\nforwarded on", lockout: nil)) { house throws in
          let lies = ["Forwarded: for=198.51.100.7;proto=https", "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"]
          #expect(try house.ask("GET", "/office/", lies).status == 401)
          #expect(try house.ask("GET", "/free/", lies).status == 200)
          let seen = try #require(house.upstream.requests.last)
          #expect(
            seen.values("X-Forwarded-For") == ["127.0.0.1"] && seen.values("X-Forwarded-Proto") == [house.front.scheme], "\(seen.headText)")
          #expect(!seen.head.holds("198.51.100.7"), "\(seen.headText)")
          // Nor is he somebody else when he guesses.
          for i in 0..<10 {
            let guess = "Authorization: " + Secrets.basic("carol", "wrong-guess-\(i)-forwarded")
            #expect(try house.ask("GET", "/", [guess, "Forwarded: for=203.0.113.\(i)", "X-Forwarded-For: 203.0.113.\(i)"]).status == 401)
          }
          #expect(try house.ask("GET", "/", [People.carol.authorization]).status == 429)
        }
      }
    }

    @Test func failuresCountForWhomForwardedNames() throws {
      try House.with(Self.setup("trusted_proxies 127.0.0.1\nclient_address forwarded", lockout: nil)) { house throws in
        for i in 0..<10 {
          let guess = "Authorization: " + Secrets.basic("carol", "wrong-guess-\(i)-named")
          // A client that opens a quote before what the proxy adds is no other for that.
          #expect(
            try house.ask("GET", "/", [guess, "Forwarded: for=\"1.2.3.\(i), for=\"[2001:db8::7]:\(1000 + i)\";proto=https"]).status == 401)
        }
        #expect(try house.ask("GET", "/", [People.carol.authorization, "Forwarded: for=\"[2001:db8::7]\""]).status == 429)
        #expect(try house.ask("GET", "/", [People.carol.authorization, "Forwarded: for=203.0.113.9"]).status == 200)
      }
    }

    @Test func theNearestProxysWordOnHostAndPortCounts() throws {
      try House.with(Self.setup("trusted_proxies 127.0.0.1")) { house throws in
        for fields in [
          ["X-Forwarded-Host: evil.test, public.test", "X-Forwarded-Port: 666, 8443"],
          ["X-Forwarded-Host: evil.test", "X-Forwarded-Port: 666", "X-Forwarded-Host: public.test", "X-Forwarded-Port: 8443"],
        ] {
          #expect(try house.ask("GET", "/free/", fields).status == 200)
          let seen = try #require(house.upstream.requests.last)
          #expect(seen.values("X-Forwarded-Host") == ["public.test"] && seen.values("X-Forwarded-Port") == ["8443"], "\(seen.headText)")
        }
      }
    }

    @Test(.inClearText) func httpsByTheWordOfATrustedProxyAlone() throws {
      let more = "route /secure/ { upstream legacy; require nobody; require tls }"
      for (trusted, status) in [("127.0.0.1", 200), ("192.0.2.1", 403)] {
        var setup = Self.setup("trusted_proxies \(trusted)")
        setup.more += "\n" + more
        try House.with(setup) { house throws in
          #expect(try house.ask("GET", "/secure/", ["X-Forwarded-Proto: https"]).status == status)
          #expect(try house.ask("GET", "/secure/", ["X-Forwarded-Proto: http, https"]).status == status)
          for fields in [
            [], ["X-Forwarded-Proto: https, http"], ["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], ["Forwarded: proto=https"],
          ] {
            #expect(try house.ask("GET", "/secure/", fields).status == 403, "\(fields)")
          }
        }
      }
    }
  }
}
