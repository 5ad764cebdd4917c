// Connections that were there before certificates were asked for, or before theirs was no good any more: none of them gets a further request served.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct CertificatesAskedLater {
    /// A connection from before: one request was served. `begin` sends a part of the next one's head, `status` the rest, and reads the answer; 0 for
    /// none, 1 for what is neither 200 nor 421.
    private static let program =
      CertificateRulesOfNow.beginning + #"""
        import struct
        first, host = int(sys.argv[4]), sys.argv[5]
        def text(value): return bytes([len(value)]) + value.encode()
        def frame(kind, flags, stream, payload=b''):
          return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload
        class Standing:
          def __init__(self, name, is_clear, by_h2):
            self.by_h2, self.scheme, self.stream, self.got = by_h2, 'http' if is_clear else 'https', -1, b''
            self.socket = socket.create_connection((host, port), 20)
            if not is_clear:
              made = context(name)
              made.check_hostname = False
              made.set_alpn_protocols(['h2' if by_h2 else 'http/1.1'])
              self.socket = made.wrap_socket(self.socket, server_hostname='localhost')
            if by_h2: self.socket.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b'\0\1\0\0\0\0'))
          def send(self, bytes):
            try: self.socket.sendall(bytes)
            except OSError: pass
          def begin(self, path):
            self.stream += 2
            if self.by_h2:
              fields = [(':method', 'GET'), (':scheme', self.scheme), (':path', path), (':authority', 'localhost')]
              block = b''.join(b'\0' + text(name) + text(value) for name, value in fields)
              self.send(frame(1, 1, self.stream, block[:20]))
              self.rest = frame(9, 4, self.stream, block[20:])
            else:
              head = ('GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' % path).encode()
              self.send(head[:20])
              self.rest = head[20:]
          def more(self):
            some = self.socket.recv(65536)
            if not some: raise EOFError
            self.got += some
          def take(self, count):
            while len(self.got) < count: self.more()
            some, self.got = self.got[:count], self.got[count:]
            return some
          def answer(self):
            if not self.by_h2:
              while b'\r\n\r\n' not in self.got: self.more()
              head = self.take(self.got.index(b'\r\n\r\n') + 4)
              self.take(int(head.lower().split(b'content-length:')[1].split()[0]))
              return int(head[9:12])
            status = 1
            while True:
              head = self.take(9)
              payload = self.take(int.from_bytes(head[:3], 'big'))
              kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], 'big')
              if kind == 4 and not flags & 1: self.send(frame(4, 1, 0))
              if stream != self.stream: continue
              if kind == 3: return 0
              # 421 as it is, or in Huffman's code (RFC 7541, appendix B).
              if kind == 1: status = 200 if b'\x88' in payload[:2] else 421 if b'421' in payload[:8] or b'\x82\x68\x41' in payload[:8] else 1
              if kind in (0, 1) and flags & 1: return status
          def status(self):
            try:
              self.send(self.rest)
              return self.answer()
            except (OSError, EOFError): return 0
          def ask(self, path):
            self.begin(path)
            return self.status()
          def has_ended(self):
            try:
              self.socket.settimeout(10)
              while True: self.more()
            except TimeoutError: return False
            except (OSError, EOFError): return True
        def plain(path):
          with socket.create_connection(('127.0.0.1', first), 20) as s:
            s.sendall(b'GET ' + path.encode() + b' HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            return int(s.recv(65536)[9:12])
        def change(old, new, path='/new/'):
          text = open('proxy.conf').read()
          assert old in text
          replace('proxy.conf', text.replace(old, new) + 'route ' + path + ' { upstream legacy; require nobody }\n')
          os.kill(process, signal.SIGHUP)
          wait_for(lambda: plain(path) == 200)

        """#

    /// Rules before, and Python that changes them and waits until that is in force.
    struct Case: CustomTestStringConvertible {
      var words: String
      /// What `listen` says of certificates; nil for a listener without TLS.
      var rules: String? = ""
      var name = ""
      var program: String
      var testDescription: String { words }
    }

    private static let required = "client_certificates { ca clients.pem; mode require }"

    private static func setup(_ rules: String?) throws -> Setup {
      var setup = try ClientCertificates.setup("optional", more: CertificateRulesOfNow.free)
      setup.top =
        rules.map { "listen 127.0.0.2:0 tls { certificate server.pem; key server.key; \($0) }" } ?? "listen 127.0.0.2:0 { h2c on }"
      return setup
    }

    /// Lines of statuses for HTTP/1.1 and HTTP/2: of who asks at once, who has begun to, who has never asked before, and whose request is at the
    /// service meanwhile; then whether all but the third have ended.
    private static func outcome(_ this: Case) throws -> (lines: [String], late: Int, errors: String) {
      let steps = Steps()
      let script: Script = { conversation in
        while let request = try conversation.request() {
          if request.target == "/free/slow" { try steps.wait() }
          if request.target == "/free/go" { steps.advance() }
          try conversation.send(Answer.text("hello"))
        }
      }
      var result: (lines: [String], late: Int, errors: String) = ([], 0, "")
      try House.with(try setup(this.rules), script) { house throws in
        let words = [
          "-I", "-c",
          program + """
            clear, name = \(this.rules == nil ? "True" : "False"), sys.argv[3]
            idle, begun, slow = ([Standing(name, clear, by_h2) for by_h2 in (False, True)] for _ in range(3))
            everybody = idle + begun + slow
            silent = [Standing(name, clear, by_h2) for by_h2 in (False, True)]
            assert all(one.ask('/free/before') == 200 for one in everybody)
            for one in begun: one.begin('/free/late')
            for one in slow:
              one.begin('/free/slow')
              one.send(one.rest)
              one.rest = b''
            # Whatever came before is read before.
            assert plain('/free/before') == 200 and plain('/free/before') == 200
            \(this.program)
            print(*[one.ask('/free/late') for one in idle])
            print(*[one.status() for one in begun])
            print(*[one.ask('/free/late') for one in silent])
            assert plain('/free/go') == 200
            print(*[one.status() for one in slow])
            print(all([one.has_ended() for one in everybody]))
            """,
          "\(house.gate.ports[1])", "\(house.gate.child.pid)", this.name, "\(house.port)", "127.0.0.2",
        ]
        let outcome = try Child.run("/usr/bin/python3", words, folder: house.scratch.path)
        // Whoever failed before leaves the service waiting otherwise.
        steps.advance()
        result = (
          outcome.text.split(separator: "\n").map(String.init), house.upstream.requests.count { $0.target == "/free/late" }, outcome.errors
        )
      }
      return result
    }

    private static let shutOut = [
      Case(
        words: "clear text becomes TLS", rules: nil,
        program: "change('{ h2c on }', 'tls { certificate server.pem; key server.key; \(required) }')"),
      Case(words: "nobody was asked", program: "change('key server.key;', 'key server.key; \(required)')"),
      Case(
        words: "it was optional", rules: "client_certificates { ca clients.pem; mode optional }",
        program: "change('mode optional', 'mode require')"),
      Case(
        words: "the listener was left, and came back",
        program: """
          whole = open('proxy.conf').read()
          line = [line for line in whole.split('\\n') if line.startswith('listen 127.0.0.2')][0]
          change(line, '# away')
          change('# away', line.replace('key server.key;', 'key server.key; \(required)'), '/newer/')
          """),
      Case(
        words: "it was revoked", rules: "client_certificates { ca clients.pem; mode require; crl none.crl }", name: "alice",
        program: "change('none.crl', 'alice.crl')"),
      Case(
        words: "the list in use was replaced", rules: "client_certificates { ca clients.pem; mode require; crl none.crl }", name: "alice",
        program: """
          replace('none.crl', open('alice.crl').read())
          def is_let_in():
            try: return Standing('alice', False, False).ask('/free/before') == 200
            except OSError: return False
          wait_for(lambda: not is_let_in())
          """),
    ]

    @Test(arguments: shutOut) func whoCameWithoutAGoodCertificateGetsNothingMore(_ this: Case) throws {
      let (lines, late, errors) = try Self.outcome(this)
      #expect(
        lines.count == 5 && lines.prefix(3).allSatisfy { $0.split(separator: " ").allSatisfy { ["0", "421"].contains($0) } },
        "\(lines) \(errors)")
      #expect(late == 0)
      // What was under way ends, and then the connection does.
      #expect(lines.suffix(2) == ["200 200", "True"], "\(lines)")
    }

    @Test(arguments: [
      Case(
        words: "it is optional, and another list", rules: "client_certificates { ca clients.pem; mode optional; crl none.crl }",
        program: "change('none.crl', 'alice.crl')"),
      Case(
        words: "it is optional now",
        program: "change('key server.key;', 'key server.key; client_certificates { ca clients.pem; mode optional }')"),
      Case(
        words: "it was required", rules: "client_certificates { ca clients.pem; mode require }", name: "alice",
        program: "change('mode require', 'mode optional')"),
    ]) func whoNeedsNoCertificateEndsWhatHeHasBegun(_ this: Case) throws {
      let (lines, _, errors) = try Self.outcome(this)
      // Who is idle has a moment to ask; on a slow machine it may be over.
      #expect(lines.count == 5 && lines[0].split(separator: " ").allSatisfy { ["0", "200"].contains($0) }, "\(lines) \(errors)")
      #expect(lines.dropFirst().first?.hasPrefix("200 ") == true && lines.suffix(2) == ["200 200", "True"], "\(lines) \(errors)")
    }
  }
}
