// TLS through the real binary and real clients: what is spoken, to whom, and how bodies and ends come through.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct TLS {
    @Test func clientsOfBothVersionsAreServed() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try House.with(.tls(authority.directives("a"))) { house throws in
        for version in [["--tls-max", "1.2"], ["--tlsv1.3", "--tlsv1.3"]] {
          for http in ["--http1.1", "--http2"] {
            let answer = try house.curl("a.test", authority, version[0], version[1], http, "/x")
            #expect(answer.status == 200, "\(version) \(http): \(answer.complaint)")
          }
        }
        let requests = house.upstream.requests
        #expect(requests.count == 4)
        #expect(requests.allSatisfy { $0["X-Forwarded-Proto"] == "https" && $0["X-Forwarded-Port"] == "\(house.tlsPort)" })
        let lines = try house.accessLines(4)
        #expect(lines.map { $0["tls"] as? String } == ["TLSv1.2", "TLSv1.2", "TLSv1.3", "TLSv1.3"])
        #expect(
          lines.allSatisfy { ($0["cipher"] as? String)?.contains("AES") == true || ($0["cipher"] as? String)?.contains("CHACHA20") == true }
        )
      }
    }

    @Test func profilesRefuseWhatIsBelowThem() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test", kind: "rsa:2048")
      let certificate = authority.directives("a")
      var setup = Setup.tls(certificate)
      setup.top += "\nlisten 127.0.0.1:0 tls { \(certificate); profile modern }"
      setup.top += "\nlisten 127.0.0.1:0 tls { \(certificate); profile legacy }"
      setup.top += "\nlisten 127.0.0.1:0 tls { \(certificate); profile legacy; min_version 1.1 }"
      try House.with(setup) { house throws in
        func serves(_ listener: Int, _ version: String) throws -> Bool {
          let said = try authority.ask(house.gate.ports[listener], version, "-cipher", "ALL:@SECLEVEL=0", "-servername", "a.test")
          return said.contains("HTTP/1.1 200")
        }
        let expected: [(String, [Bool])] = [
          ("-tls1", [false, false, true, false]), ("-tls1_1", [false, false, true, true]), ("-tls1_2", [true, false, true, true]),
          ("-tls1_3", [true, true, true, true]),
        ]
        for (version, served) in expected {
          for listener in 1...4 { #expect(try serves(listener, version) == served[listener - 1], "\(version) at listener \(listener)") }
        }
        #expect(house.gate.errorLines.contains { $0.contains("a client's handshake failed: unsupported protocol (127.0.0.1:") })
        #expect(!house.gate.errorLines.contains { $0.hasPrefix("gatehouse: error") })
      }
    }

    @Test func namesChooseCertificates() throws {
      let authority = try Authority()
      try authority.sign("first", for: "DNS:first.test")
      try authority.sign("wild", for: "DNS:*.wild.test", "DNS:wild.test")
      try authority.sign("exact", for: "DNS:exact.wild.test")
      try House.with(.tls(authority.directives("first", "wild", "exact"))) { house throws in
        // curl compares the name with the certificate that it is shown.
        for host in ["first.test", "wild.test", "x.wild.test", "exact.wild.test", "X.Wild.TEST"] {
          #expect(try house.curl(host, authority, "/").status == 200, "\(host)")
        }
        for host in ["x.y.wild.test", "other.test"] {
          let answer = try house.curl(host, authority, "/")
          #expect(answer.code == 60 && answer.status == 0, "\(host)")
          #expect(try authority.ask(house.tlsPort, "-servername", host).contains("subject=CN = first"))
        }
        #expect(try authority.ask(house.tlsPort, "-servername", "exact.wild.test").contains("subject=CN = exact"))
        #expect(try authority.ask(house.tlsPort, "-noservername").contains("subject=CN = first"))
      }
    }

    @Test func bothKindsOfKeyAreServedForOneName() throws {
      let authority = try Authority()
      try authority.sign("rsa", for: "DNS:a.test", kind: "rsa:2048")
      try authority.sign("ec", for: "DNS:a.test")
      try House.with(.tls(authority.directives("rsa", "ec"))) { house throws in
        let modern = try authority.ask(house.tlsPort, "-servername", "a.test")
        #expect(modern.contains("subject=CN = ec") && modern.contains("HTTP/1.1 200"))
        let old = try authority.ask(house.tlsPort, "-servername", "a.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
        #expect(old.contains("subject=CN = rsa") && old.contains("HTTP/1.1 200"))
      }
    }

    @Test func noProtocolInCommonIsRefused() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try House.with(.tls(authority.directives("a"))) { house throws in
        #expect(try authority.ask(house.tlsPort, "-alpn", "spdy/3").contains("no application protocol"))
        #expect(try authority.ask(house.tlsPort, "-alpn", "http/1.1").contains("ALPN protocol: http/1.1"))
        #expect(try authority.ask(house.tlsPort).contains("No ALPN negotiated"))
      }
    }

    @Test func theAuthoritysWordIsStapled() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try authority.vouch(for: "a")
      try House.with(.tls("\(authority.directives("a")); ocsp \(authority["a.ocsp"])")) { house throws in
        for version in ["-tls1_2", "-tls1_3"] {
          #expect(try authority.ask(house.tlsPort, version, "-status").contains("OCSP Response Status: successful"))
        }
      }
    }

    @Test func clearTextOnAPortOfTLSIsTold() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try House.with(.tls(authority.directives("a"))) { house throws in
        for method in ["GET", "POST", "PROPFIND", "CONNECT"] {
          let client = try Client(inClearTextTo: house.tlsPort)
          let answer = try client.exchange(request(method, "/", ["Content-Length: 5", People.alice.authorization], body: "12345"))
          #expect(answer.status == 400)
          #expect(answer.text.contains("This port speaks HTTPS"))
          #expect(client.isClosedByPeer())
        }
        #expect(house.upstream.requests.isEmpty)
      }
    }

    @Test func aHandshakeThatStallsIsEnded() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try House.with(.tls("\(authority.directives("a")); handshake_timeout 300ms")) { house throws in
        for start: [UInt8] in [[], [0x16], [0x16, 3, 1, 2, 0, 1, 0]] {
          let client = try Client(inClearTextTo: house.tlsPort)
          try client.send(start)
          #expect(client.isClosedByPeer(within: .seconds(5)), "after \(start)")
        }
      }
    }

    // MARK: Bytes

    @Test func recordsAndRequestsDivideAsTheyLike() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      try House.with(.tls(authority.directives("a"))) { house throws in
        let said = try authority.python(
          house.tlsPort,
          """
          get = b"GET /%d HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n"
          last = b"GET /last HTTP/1.1\\r\\nHost: a.test\\r\\nConnection: close\\r\\n\\r\\n"
          def answers(s):
            data = b""
            while part := s.recv(65536): data += part
            return data.count(b"HTTP/1.1 200 OK")
          # Many requests in one record: more than are answered in one turn.
          s = connect()
          s.sendall(b"".join(get % i for i in range(60)) + last)
          print(answers(s))
          # One request in many records, each of a byte.
          s = connect()
          for b in get % 1 + last: s.sendall(bytes([b]))
          print(answers(s))
          # A body of which the first part comes in the record of its head.
          s = connect()
          body = b"x" * 100000
          s.sendall(b"POST /post HTTP/1.1\\r\\nHost: a.test\\r\\nContent-Length: 100000\\r\\n\\r\\n" + body[:10])
          s.sendall(body[10:] + get % 2 + last)
          print(answers(s))
          """)
        #expect(said == ["61", "2", "3"])
        let posted = house.upstream.requests.first { $0.target == "/post" }
        #expect(posted?.body.count == 100_000)
      }
    }

    @Test func anEndThatMatchesTheBodyIsSaidAndACutOneIsNot() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      let script: Script = { conversation in
        while let request = try conversation.request() {
          let isCut = request.target == "/cut"
          try conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n\(isCut ? "" : "0\r\n\r\n")")
          if isCut { return }
        }
      }
      try House.with(.tls(authority.directives("a")), script) { house throws in
        let said = try authority.python(
          house.tlsPort,
          """
          for path in ["/whole", "/cut"]:
            s = connect()
            # HTTP/1.0 without keep-alive: the end of the connection is the end of the body.
            s.sendall(b"GET " + path.encode() + b" HTTP/1.0\\r\\nHost: a.test\\r\\n\\r\\n")
            data = b""
            try:
              while part := s.recv(65536): data += part
              print("whole", data.endswith(b"0123456789"))
            except (ssl.SSLEOFError, ConnectionResetError) as error:
              print("cut")
          """)
        #expect(said == ["whole True", "cut"])
      }
    }

    @Test func aClientThatVanishesMidUploadIsNoCompleteRequest() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      // The upstream sees it break off.
      let script: Script = { conversation in
        // On the first's connection, or on another if that is not at rest yet.
        while (try? conversation.request()) != nil { try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") }
      }
      try House.with(.tls(authority.directives("a")), script) { house throws in
        _ = try authority.python(
          house.tlsPort,
          """
          s = connect()
          # With an answer come the tickets: unread, they would make a reset of the end.
          s.sendall(b"GET / HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n")
          while not s.recv(65536).endswith(b"ok"): pass
          s.sendall(b"POST /cut HTTP/1.1\\r\\nHost: a.test\\r\\nContent-Length: 1000\\r\\n\\r\\n" + b"x" * 500)
          import os
          os.close(s.detach())
          """)
        let line = try #require(try house.accessLines(2).last)
        #expect(line["status"] as? Int == 499)
        #expect(house.upstream.requests.count == 1, "it never became whole")
      }
    }

    @Test func largeBodiesPassInBoundedMemory() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test")
      let size = 256 << 20
      let pattern = Pattern()
      let script: Script = { conversation in
        while let request = try conversation.request() {
          if request.method == "PUT" {
            try conversation.send("HTTP/1.1 204 No Content\r\n\r\n")
            continue
          }
          try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
          var sent = 0
          while sent < size {
            let piece = pattern.bytes(at: sent, count: min(1 << 18, size - sent))
            try conversation.send([UInt8](piece))
            sent += piece.count
          }
        }
      }
      try House.with(.tls(authority.directives("a")), script) { house throws in
        let said = try authority.python(
          house.tlsPort,
          """
          import hashlib
          s = connect()
          s.sendall(b"GET /big HTTP/1.1\\r\\nHost: a.test\\r\\nConnection: close\\r\\n\\r\\n")
          data, digest, n = b"", hashlib.sha256(), 0
          while b"\\r\\n\\r\\n" not in data: data += s.recv(4096)
          part = data.partition(b"\\r\\n\\r\\n")[2]
          while True:
            digest.update(part)
            n += len(part)
            if n < 1 << 22: time.sleep(0.005)
            part = s.recv(1 << 18)
            if not part: break
          print(n)
          print(digest.hexdigest())
          """, within: .seconds(120))
        #expect(said.first == "\(size)")
        #expect(said.last == Self.digest(of: pattern, size))
        #expect(try house.gate.child.peakMemory() < 64 << 10, "KiB")
      }
    }

    private static func digest(of pattern: Pattern, _ size: Int) -> String {
      let program = """
        import hashlib, sys
        digest = hashlib.sha256()
        while part := sys.stdin.buffer.read(1 << 20): digest.update(part)
        print(digest.hexdigest())
        """
      var bytes = [UInt8]()
      bytes.reserveCapacity(size)
      while bytes.count < size { bytes += pattern.bytes(at: bytes.count, count: min(1 << 18, size - bytes.count)) }
      return (try? Child.run("/usr/bin/python3", ["-I", "-c", program], input: bytes).text.trimmingCharacters(in: .whitespacesAndNewlines))
        ?? ""
    }

    // MARK: Floods

    @Test func handshakesWithoutEndDoNotHoldUpOthers() throws {
      let authority = try Authority()
      try authority.sign("a", for: "DNS:a.test", kind: "rsa:2048")
      try House.with(.tls(authority.directives("a"))) { house throws in
        // Hellos that cost the client nothing, each of which wants a signature; beside them somebody who has a connection.
        let said = try authority.python(
          house.tlsPort,
          """
          out = ssl.MemoryBIO()
          try: context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="a.test").do_handshake()
          except ssl.SSLWantReadError: pass
          hello = out.read()
          mine = connect()
          stop = False
          sent = 0
          def flood():
            global sent
            while not stop:
              batch = []
              try:
                for _ in range(200):
                  s = socket.create_connection(("127.0.0.1", port), 5)
                  s.sendall(hello)
                  batch.append(s)
                  sent += 1
              except OSError: pass
              time.sleep(0.1)
              for s in batch: s.close()
          def ninetieth():
            times = []
            for _ in range(100):
              t = time.monotonic()
              mine.sendall(b"GET / HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n")
              data = b""
              while b"\\r\\n\\r\\n" not in data: data += mine.recv(65536)
              times.append(time.monotonic() - t)
              time.sleep(0.01)
            return sorted(times)[90] * 1000
          before = ninetieth()
          threading.Thread(target=flood, daemon=True).start()
          time.sleep(0.5)
          during = ninetieth()
          stop = True
          print(round(before), round(during), sent)
          """)
        let numbers = said.first?.split(separator: " ").compactMap { Int($0) } ?? []
        // On a machine that has other work too: what it takes without a flood tells how much.
        #expect(
          numbers.count == 3 && numbers[1] <= 50 + 20 * numbers[0] && numbers[2] > 500,
          "milliseconds before and during it, and hellos: \(said)")
        let complaints = house.gate.errorLines.filter { $0.contains("a client's handshake failed") }
        #expect(complaints.count <= 2, "one line a minute, however many there are: \(complaints)")
      }
    }
  }
}
