// Behind a proxy that ends TLS and speaks TLS with us as well: whether the client came by `https` is what the proxy says, not how it came
// itself.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct HTTPSBehindProxies {
    /// The second listener speaks TLS; 127.0.0.1 is a proxy.
    private static func setup(_ top: String = "") throws -> Setup {
      let made = try Certificates.made()
      return Setup(
        top: "listen 127.0.0.1:0 tls { certificate server.pem; key server.key }\ntrusted_proxies 127.0.0.1\nhsts 365d\n" + top,
        more: """
          route /free/ { upstream legacy; require nobody }
          route /secure/ { upstream legacy; require nobody; require tls }
          """,
        files: ["ca.pem": made.authority, "server.pem": made.server, "server.key": made.key])
    }

    private static let hsts = "Strict-Transport-Security"

    @Test func aProxysOwnTLSIsNotItsClients() throws {
      try House.with(try Self.setup()) { house throws in
        let url = "https://127.0.0.1:\(house.gate.ports[1])"
        for version in ["--http1.1", "--http2"] {
          func ask(_ path: String, from address: String, _ fields: [String]) throws -> CurlAnswer {
            try Curl.run([version, "--interface", address] + fields.flatMap { ["-H", $0] } + [url + path], in: house.scratch)
          }
          for (fields, isSecure) in [
            ([], true), (["X-Forwarded-Proto: https"], true), (["X-Forwarded-Proto: http, https"], true),
            (["X-Forwarded-Proto: http"], false), (["X-Forwarded-Proto: https, http"], false),
            (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], false),
          ] {
            #expect(try ask("/secure/", from: "127.0.0.1", fields).status == (isSecure ? 200 : 403), "\(version) \(fields)")
            let answer = try ask("/free/", from: "127.0.0.1", fields)
            #expect(answer.status == 200 && (answer.final[Self.hsts] != nil) == isSecure, "\(version) \(fields)")
            // What a stranger says of himself is nothing: he has come by TLS.
            #expect(try ask("/secure/", from: "127.0.0.2", fields).status == 200, "\(version) \(fields)")
            #expect(try ask("/free/", from: "127.0.0.2", fields).final[Self.hsts] != nil, "\(version) \(fields)")
          }
        }
        // In clear text from the proxy, by TLS to it.
        let clear = try house.ask("GET", "/secure/", ["X-Forwarded-Proto: https"])
        #expect(clear.status == 200 && clear[Self.hsts] != nil)
      }
    }

    @Test func aServersOwnTLSIsNotThatOfWhomItAsksAbout() throws {
      var setup = try Self.setup("forward_auth /auth")
      setup.route = "require tls"
      try House.with(setup) { house throws in
        for (proto, status) in [("http", 403), ("https", 200)] {
          let fields = [
            "X-Forwarded-Method: GET", "X-Forwarded-Uri: /x", "X-Forwarded-Host: legacy.test", "X-Forwarded-Proto: \(proto)",
            "X-Forwarded-For: 203.0.113.9",
          ]
          let answer = try Curl.run(
            fields.flatMap { ["-H", $0] } + ["-u", People.alice.pair, "https://127.0.0.1:\(house.gate.ports[1])/auth"], in: house.scratch)
          #expect(answer.status == status && (answer.final[Self.hsts] != nil) == (proto == "https"))
        }
      }
    }
  }
}
