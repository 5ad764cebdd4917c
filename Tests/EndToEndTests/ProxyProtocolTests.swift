// Behind balancers that say by PROXY header whose a connection is: real ones, and strangers who write such headers themselves.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct ProxyProtocol {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    /// From 203.0.113.9, port 56671, to 192.0.2.1, port 443.
    private static let v1 = [UInt8]("PROXY TCP4 203.0.113.9 192.0.2.1 56671 443\r\n".utf8)
    private static let v2: [UInt8] = signature + [0x21, 0x11, 0, 15, 203, 0, 113, 9, 192, 0, 2, 1, 0xDD, 0x5F, 0x01, 0xBB, 4, 0, 0]
    private static let local: [UInt8] = signature + [0x20, 0, 0, 0]
    private static let ipv6 = [UInt8]("PROXY TCP6 2001:db8::7 ::1 56671 443\r\n".utf8)

    /// The second listener asks for headers, of which 127.0.0.1 is trusted to write some.
    private static func setup(_ policy: String, _ top: String = "", more: String = "", lockout: String? = "lockout off") -> Setup {
      var setup = Setup(
        top: "listen 127.0.0.1:0 { proxy_protocol \(policy) }\n\(top)", more: "route /free/ { upstream legacy; require nobody }\n" + more)
      if !top.contains("trusted_proxies") { setup.top += "\ntrusted_proxies 127.0.0.1" }
      setup.lockout = lockout
      return setup
    }

    private func port(_ house: House) -> UInt16 { house.gate.ports[1] }

    private func client(_ house: House, _ header: [UInt8]) throws -> Client {
      let client = try Client(to: port(house))
      try client.send(header)
      return client
    }

    private func curl(_ house: House, _ arguments: String..., target: String = "/free/") throws -> CurlAnswer {
      try Curl.run(arguments + ["http://127.0.0.1:\(port(house))\(target)"], in: house.scratch)
    }

    @Test(arguments: ["required", "optional"])
    func theClientIsWhomTheHeaderNames(_ policy: String) throws {
      try House.with(Self.setup(policy)) { house throws in
        var count = 0
        for (header, address, port) in [
          (Self.v1, "203.0.113.9", "443"), (Self.v2, "203.0.113.9", "443"), (Self.ipv6, "2001:db8::7", "443"),
        ] {
          let client = try client(house, header)
          // Of every request of the connection.
          for _ in 0..<2 {
            #expect(try client.exchange(request("GET", "/", [People.alice.authorization])).status == 200)
            count += 1
            let seen = try house.upstream.requests(count)[count - 1]
            #expect(seen.values("X-Forwarded-For") == [address] && seen.values("X-Forwarded-Port") == [port], "\(seen.headText)")
            #expect(try house.accessLines(count)[count - 1]["remote_address"] as? String == address)
          }
        }
      }
    }

    @Test func aHeaderMayComeByteByByteOrWithTheRequest() throws {
      try House.with(Self.setup("required")) { house throws in
        var count = 0
        for header in [Self.v1, Self.v2] {
          let slow = try Client(to: port(house))
          for byte in header + [UInt8](request("GET", "/free/").utf8) { try slow.send([byte]) }
          #expect(try slow.response()?.status == 200)
          let whole = try client(house, header + [UInt8](request("GET", "/free/").utf8))
          #expect(try whole.response()?.status == 200)
          for _ in 0..<2 {
            count += 1
            #expect(try house.upstream.requests(count)[count - 1]["X-Forwarded-For"] == "203.0.113.9")
          }
        }
      }
    }

    @Test(arguments: ["required", "optional"])
    func aHeaderThatIsNoneClosesWithoutAByte(_ policy: String) throws {
      try House.with(Self.setup(policy)) { house throws in
        var lies: [[UInt8]] = [
          "PROXY TCP4 203.0.113.9 192.0.2.1 56671\r\n", "PROXY TCP4 203.0.113.9 192.0.2.1 56671 443\n", "PROXY TCP4 unix: unix: 1 2\r\n",
          "PROXY TCP9 203.0.113.9 192.0.2.1 56671 443\r\n", "PROXY TCP4 2001:db8::7 ::1 56671 443\r\n",
          "PROXY " + String(repeating: "1", count: 120),
          "PROXY UNKNOWN" + String(repeating: " ", count: 100) + "\r\n",
        ].map { [UInt8]($0.utf8) }
        lies += [
          Self.signature + [0x11, 0x11, 0, 12] + Self.v2[16..<28], Self.signature + [0x22, 0x11, 0, 12] + Self.v2[16..<28],
          Self.signature + [0x21, 0x11, 0, 4, 1, 2, 3, 4], Self.signature + [0x21, 0x11, 0xFF, 0xFF], Self.v2.dropLast() + [9],
          // A checksum that is not this header's.
          Self.signature + [0x21, 0x11, 0, 19] + Self.v2[16..<28] + [3, 0, 4, 0, 0, 0, 0],
        ]
        for lie in lies {
          let client = try client(house, lie + [UInt8](request("GET", "/free/").utf8))
          #expect(client.isClosedByPeer(), "\(lie)")
        }
        #expect(house.upstream.requests.isEmpty)
        try eventually("it is logged") { house.gate.errorLines.contains { $0.contains("127.0.0.1 sent a PROXY header that is refused") } }
        #expect(try client(house, Self.v1).exchange(request("GET", "/free/")).status == 200)
      }
    }

    @Test func whereAHeaderIsRequiredNobodyElseComesIn() throws {
      try House.with(Self.setup("required")) { house throws in
        // A stranger, with a header and without one.
        for arguments in [["--haproxy-protocol"], []] {
          let answer = try Curl.run(
            ["--interface", "127.0.0.2"] + arguments + ["http://127.0.0.1:\(port(house))/free/"], in: house.scratch)
          #expect(answer.code != 0 && answer.status == 0 && answer.heads.isEmpty, "\(answer.complaint)")
        }
        // A proxy that forgets it.
        #expect(try client(house, [UInt8](request("GET", "/free/").utf8)).isClosedByPeer())
        try eventually("it is logged") { house.gate.errorLines.contains { $0.contains("127.0.0.2 may not connect") } }
        #expect(house.upstream.requests.isEmpty)
        #expect(try curl(house, "--haproxy-protocol").status == 200)
        // The other listener knows nothing of it.
        #expect(try house.curl("--haproxy-protocol", "/free/").status == 400)
        #expect(try house.ask("GET", "/free/").status == 200)
      }
    }

    @Test func whereItIsOptionalStrangersHaveNone() throws {
      try House.with(Self.setup("optional")) { house throws in
        #expect(try curl(house, "--interface", "127.0.0.2", "--haproxy-protocol").status == 400)
        #expect(house.upstream.requests.isEmpty)
        #expect(try curl(house, "--interface", "127.0.0.2").status == 200)
        #expect(try curl(house).status == 200)
        #expect(try curl(house, "--haproxy-protocol").status == 200)
        // "P" may be the beginning of a header, and of a method.
        let slow = try Client(to: port(house))
        for byte in request("PROPFIND", "/free/").utf8 { try slow.send([byte]) }
        #expect(try slow.response()?.status == 200)
        #expect(house.upstream.requests.map { $0["X-Forwarded-For"] } == ["127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.1"])
        #expect(house.upstream.requests.last?.method == "PROPFIND")
      }
    }

    @Test func whoeverIsNamedIsNotBelievedForIt() throws {
      // The proxy is trusted, its clients are not: they name nobody, and are not `https`.
      try House.with(Self.setup("required", more: "route /office/ { upstream legacy; require all { from 198.51.100.0/24; nobody } }")) {
        house throws in
        let lies = [
          "X-Forwarded-For: 198.51.100.7", "Forwarded: for=198.51.100.7", "X-Forwarded-Proto: https", "X-Request-Id: chosen-by-a-stranger",
        ]
        for header in [
          Self.v1, Self.v2, Self.ipv6, [UInt8]("PROXY UNKNOWN\r\n".utf8),
          Self.signature + [0x21, 0x31, 0, 216] + [UInt8](repeating: 47, count: 216),
        ] {
          let client = try client(house, header)
          #expect(try client.exchange(request("GET", "/free/", lies)).status == 200)
          let seen = try #require(house.upstream.requests.last)
          #expect(
            !seen.head.holds("198.51.100.7") && seen["X-Forwarded-Proto"] == "http" && !seen.head.holds("chosen-by"), "\(seen.headText)")
          #expect(try client.exchange(request("GET", "/office/", lies)).status == 401)
        }
        // Whom the header itself puts there is there.
        let office = [UInt8]("PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n".utf8)
        #expect(try client(house, office).exchange(request("GET", "/office/")).status == 200)
        // The sender's own connection is its own: it is trusted.
        let check = try client(house, Self.local)
        #expect(try check.exchange(request("GET", "/office/", lies)).status == 200)
        #expect(house.upstream.requests.last?["X-Forwarded-For"] == "198.51.100.7, 127.0.0.1")
      }
    }

    @Test func aNamedProxyIsTrustedLikeAnyOther() throws {
      try House.with(Self.setup("required", "trusted_proxies 127.0.0.1 203.0.113.0/24")) { house throws in
        let client = try client(house, Self.v1)
        #expect(
          try client.exchange(request("GET", "/free/", ["X-Forwarded-For: 6.6.6.6, 198.51.100.7", "X-Forwarded-Proto: https"])).status
            == 200)
        let seen = try #require(house.upstream.requests.last)
        #expect(seen["X-Forwarded-For"] == "6.6.6.6, 198.51.100.7, 203.0.113.9" && seen["X-Forwarded-Proto"] == "https", "\(seen.headText)")
        let line = try house.accessLines(1)[0]
        #expect(line["remote_address"] as? String == "198.51.100.7" && line["proxy_address"] as? String == "203.0.113.9")
      }
    }

    @Test func failuresCountForWhomTheHeaderNames() throws {
      try House.with(Self.setup("required", lockout: nil)) { house throws in
        let guesser = try client(house, Self.v1)
        for i in 0..<10 {
          let guess = "Authorization: " + Secrets.basic("carol", "wrong-guess-\(i)-proxied")
          #expect(try guesser.exchange(request("GET", "/", [guess])).status == 401)
        }
        #expect(try client(house, Self.v2).exchange(request("GET", "/", [People.carol.authorization])).status == 429)
        for other in [[UInt8]("PROXY TCP4 203.0.113.10 192.0.2.1 1 2\r\n".utf8), Self.local] {
          #expect(try client(house, other).exchange(request("GET", "/", [People.carol.authorization])).status == 200)
        }
        try eventually("it is logged") { house.gate.errorLines.contains { $0.contains("banned 203.0.113.9 ") } }
      }
    }

    @Test func aProxyThatIsTrustedNoMoreSpeaksForNobody() throws {
      try House.with(Self.setup("required")) { house throws in
        let client = try client(house, Self.v1)
        #expect(try client.exchange(request("GET", "/free/")).status == 200)
        #expect(house.upstream.requests.last?["X-Forwarded-For"] == "203.0.113.9")
        try house.scratch.write(
          try house.scratch.text("proxy.conf").replacingOccurrences(of: "trusted_proxies 127.0.0.1", with: "trusted_proxies 192.0.2.77"),
          to: "proxy.conf")
        house.gate.child.signal(SIGHUP)
        try eventually("the proxy speaks for itself") {
          let answer = try client.exchange(request("GET", "/free/", ["X-Forwarded-For: 203.0.113.9"]))
          #expect(answer.status == 200)
          // Or was under way when the rules changed, and is the last.
          return house.upstream.requests.last?["X-Forwarded-For"] == "127.0.0.1" || answer["Connection"] == "close"
        }
        let late = try Client(to: port(house))
        try late.send(Self.v1 + [UInt8](request("GET", "/free/").utf8))
        #expect(late.isClosedByPeer())
      }
    }

    @Test func whoDoesNotFinishAHeaderIsSentAway() throws {
      try House.with(Self.setup("required", "header_timeout 300ms")) { house throws in
        let parts: [[UInt8]] = [[], [UInt8]("PROX".utf8), Array(Self.v1.dropLast()), Array(Self.v2.dropLast()), [0x0D]]
        for part in parts {
          let silent = try client(house, part)
          #expect(silent.isClosedByPeer(within: .seconds(5)), "\(part)")
        }
        // Nor who drips.
        let dripping = try Client(to: port(house))
        let start = ContinuousClock.now
        do {
          for byte in Self.v1 + Self.v1 {
            try dripping.send([byte])
            Thread.sleep(forTimeInterval: 0.05)
          }
          Issue.record("he is still there")
        } catch {
          #expect(ContinuousClock.now - start < .seconds(3))
        }
        #expect(house.upstream.requests.isEmpty)
      }
    }

    @Test func aUnixSocketsPeersMayBeTrustedToo() throws {
      var setup = Setup(top: "listen unix:front.sock { proxy_protocol required }\ntrusted_proxies unix:")
      setup.requirement = "nobody"
      try House.with(setup) { house throws in
        let answer = try Curl.run(
          ["--haproxy-protocol", "--unix-socket", house.scratch["front.sock"], "http://127.0.0.1/"], in: house.scratch)
        #expect(answer.status == 200 && house.upstream.requests.count == 1, "\(answer.complaint)")
        let plain = try Curl.run(["--unix-socket", house.scratch["front.sock"], "http://127.0.0.1/"], in: house.scratch)
        #expect(plain.status == 0)
      }
    }

    @Test func theHeaderComesBeforeTLSAndThatBeforeHTTP() throws {
      let made = try Certificates.made()
      let setup = Setup(
        top: "listen 127.0.0.1:0 tls { certificate server.pem; key server.key; proxy_protocol required }\ntrusted_proxies 127.0.0.1",
        requirement: "nobody",
        files: ["ca.pem": made.authority, "server.pem": made.server, "server.key": made.key])
      try House.with(setup) { house throws in
        let url = "https://127.0.0.1:\(port(house))/"
        for version in ["--http1.1", "--http2"] {
          let answer = try Curl.run([version, "--haproxy-protocol", "--interface", "127.0.0.1", url], in: house.scratch)
          #expect(answer.status == 200, "\(answer.complaint)")
          #expect(answer.heads.hasPrefix(version == "--http2" ? "HTTP/2" : "HTTP/1.1"))
          let seen = try #require(house.upstream.requests.last)
          #expect(seen["X-Forwarded-For"] == "127.0.0.1" && seen["X-Forwarded-Proto"] == "https", "\(seen.headText)")
          #expect(try Curl.run([version, url], in: house.scratch).status == 0, "TLS without a header")
          #expect(
            try Curl.run([version, "--haproxy-protocol", "--interface", "127.0.0.2", url], in: house.scratch).status == 0, "a stranger")
        }
        let front = try FrontServer.haproxy("mode tcp\n    server house 127.0.0.1:\(port(house)) send-proxy-v2")
        defer { try? front.stop() }
        let through = ["--cacert", house.scratch["ca.pem"], "--interface", "127.0.0.3", "--http2", "https://127.0.0.1:\(front.port)/"]
        #expect(try Curl.run(through, in: house.scratch).status == 200, "\(front.complaints)")
        #expect(house.upstream.requests.last?["X-Forwarded-For"] == "127.0.0.3")
      }
    }

    @Test(arguments: ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id", "send-proxy-v2-ssl-cn"])
    func haproxyNamesItsClients(_ option: String) throws {
      try House.with(Self.setup("required", more: "route /office/ { upstream legacy; require all { from 127.0.0.2; nobody } }")) {
        house throws in
        let front = try FrontServer.haproxy(
          """
          mode tcp
          server house 127.0.0.1:\(port(house)) \(option)
          """)
        defer { try? front.stop() }
        #expect(try front.curl(["--interface", "127.0.0.2", "-u", People.alice.pair], "/").status == 200, "\(front.complaints)")
        #expect(house.upstream.requests.last?["X-Forwarded-For"] == "127.0.0.2")
        #expect(house.upstream.requests.last?["X-Forwarded-Port"] == "\(front.port)")
        #expect(try front.curl(["--interface", "127.0.0.2"], "/office/").status == 200)
        #expect(try front.curl(["--interface", "127.0.0.3", "-H", "X-Forwarded-For: 127.0.0.2"], "/office/").status == 401)
        let line = try house.accessLines(3)[0]
        #expect(line["remote_address"] as? String == "127.0.0.2")
      }
    }

    @Test func haproxyMayAskHowWeAre() throws {
      try House.with(Self.setup("required")) { house throws in
        let front = try FrontServer.haproxy(
          """
          mode http
          option httpchk GET /free/health
          server house 127.0.0.1:\(port(house)) send-proxy-v2 check check-send-proxy inter 100ms fastinter 100ms
          """)
        defer { try? front.stop() }
        try eventually("a check has come") { house.upstream.requests.contains { $0.target == "/free/health" } }
        #expect(house.upstream.requests.first { $0.target == "/free/health" }?["X-Forwarded-For"] == "127.0.0.1")
        #expect(try front.curl(["--interface", "127.0.0.2"], "/free/").status == 200)
      }
    }
  }
}
