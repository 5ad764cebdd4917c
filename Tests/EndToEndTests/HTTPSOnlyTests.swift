// What is to be had by https alone: a listener that sends everybody there, routes that refuse clear text, and what browsers are told.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct HTTPSOnly {
    /// Two listeners: one that serves, one that redirects.
    private func setup(_ redirect: String) -> Setup {
      var setup = Setup()
      setup.top = "listen 127.0.0.1:0 { redirect \(redirect) }"
      return setup
    }

    @Test func everyRequestIsSentToHTTPS() throws {
      try House.with(setup("https 8443")) { house throws in
        let client = try Client(to: house.gate.ports[1])
        for (method, status) in [("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308)] {
          let answer = try client.exchange(request(method, "/a%20b/../c?x=1&y=%0d%0aX", [People.alice.authorization]))
          #expect(answer.status == status)
          #expect(answer["Location"] == "https://legacy.test:8443/a%20b/../c?x=1&y=%0d%0aX")
        }
        #expect(house.upstream.requests.isEmpty)
      }
    }

    @Test func theUsualPortIsNotNamed() throws {
      try House.with(setup("https")) { house throws in
        let client = try Client(to: house.gate.ports[1])
        let answer = try client.exchange("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")
        #expect(answer["Location"] == "https://[::1]/")
        let absolute = try client.exchange("GET http://legacy.test HTTP/1.1\r\nHost: legacy.test\r\n\r\n")
        #expect(absolute["Location"] == "https://legacy.test/")
        // Nobody's name is known: there is nowhere to send him.
        let old = try Client(to: house.gate.ports[1])
        #expect(try old.exchange("GET / HTTP/1.0\r\n\r\n").status == 400)
      }
    }

    @Test func whatCameByHTTPSAlreadyIsServed() throws {
      var setup = setup("https")
      setup.top += "\ntrusted_proxies 127.0.0.1"
      try House.with(setup) { house throws in
        let client = try Client(to: house.gate.ports[1])
        for (proto, status) in [("https", 200), ("HTTPS", 200), ("http, https", 200), ("http", 301), ("https, http", 301), ("", 301)] {
          let answer = try client.exchange(request("GET", "/", [People.alice.authorization, "X-Forwarded-Proto: \(proto)"]))
          #expect(answer.status == status, "\(proto)")
        }
        #expect(try client.exchange(request("GET", "/", ["X-Forwarded-Proto: https"])).status == 401)
      }
      // By the word of somebody whom nobody trusts it did not.
      try House.with(self.setup("https")) { house throws in
        let client = try Client(to: house.gate.ports[1])
        #expect(try client.exchange(request("GET", "/", [People.alice.authorization, "X-Forwarded-Proto: https"])).status == 301)
      }
    }

    @Test func passwordsAreNotLookedAt() throws {
      try House.with(setup("https")) { house throws in
        let client = try Client(to: house.gate.ports[1])
        let wrong = try client.exchange(
          request("GET", "/", [People.alice.authorization.replacingOccurrences(of: "Basic ", with: "Basic x")]))
        let right = try client.exchange(request("GET", "/", [People.alice.authorization]))
        #expect(wrong.status == 301 && right.status == 301)
        let lines = try house.accessLines(2)
        #expect(lines.allSatisfy { $0["user"] == nil || $0["user"] is NSNull || $0["user"] as? String == "-" })
      }
    }

    @Test func clearTextIsRefusedBeforeAnybodyIsAskedWhoHeIs() throws {
      var setup = Setup()
      setup.route = "require tls"
      setup.more = "route /open/ { upstream legacy; require nobody; require tls }\nroute /plain/ { upstream legacy; require nobody }"
      try House.with(setup) { house throws in
        for fields in [[], [People.alice.authorization], ["Authorization: nonsense"], ["X-Forwarded-Proto: https"]] {
          for path in ["/", "/open/x"] {
            let answer = try house.ask("GET", path, fields)
            #expect(answer.status == 403 && answer["WWW-Authenticate"] == nil)
            #expect(answer.text.contains("HTTPS"))
          }
        }
        #expect(try house.ask("GET", "/plain/").status == 200)
        // An upload is not waited for.
        let client = try house.client()
        let refused = try client.exchange(request("POST", "/", ["Expect: 100-continue", "Content-Length: 5"]))
        #expect(refused.status == 403 && refused.interim.isEmpty)
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func browsersAreToldNothingInClearText() throws {
      var setup = Setup()
      setup.top = "hsts 365d"
      try House.with(setup) { house throws in
        #expect(try house.ask()["Strict-Transport-Security"] == nil)
        #expect(try house.ask("GET", "/", [People.alice.authorization])["Strict-Transport-Security"] == nil)
      }
    }

    @Test func curlFollowsItToTheServingListener() throws {
      // The redirect's port is that of a listener without TLS here: what matters is that curl goes there, and says https.
      try House.with(setup("https 9")) { house throws in
        let answer = try Curl.run(["-I", "http://127.0.0.1:\(house.gate.ports[1])/where"], in: house.scratch)
        #expect(answer.status == 301)
        #expect(answer.final["Location"] == "https://127.0.0.1:9/where")
      }
    }
  }
}
