// A service that asks for NTLM as IIS does, in Python: it checks NTLMv2 by an MD4 and HMACs of its own, ties who logged in to the connection, and answers who
// it thinks has asked. Knows nothing of Gatehouse's code.

import Foundation

final class NTLMService {
  /// What it does wrong, or otherwise than most.
  enum Kind: String {
    case usual
    /// Offers Negotiate before NTLM.
    case both
    /// Ends the connection with its challenge.
    case closing
    /// Forgets every third request on a connection who has logged in.
    case forgetful
    /// Says that a login is for one request, and means it.
    case once
    /// Asks, and never gives a challenge.
    case bare
    /// Its challenge says of a part that it is where it is not.
    case lying
    /// Has never heard of NTLM.
    case basic
    /// Never answers the first message of the first login.
    case slow
    /// Says nothing of the time, so that there is no code over the messages.
    case timeless
  }

  /// What the access to each account is: `DOMAIN\user`, and the password.
  static let accounts = ["CORP\\svc": svc, "CORP\\a.there": alice, "CORP\\b.there": bob]
  static let svc = Secrets.keep("Service-61 p\u{00E4}ss")
  static let alice = Secrets.keep("Alice-62-there")
  static let bob = Secrets.keep("Bob-63-there")

  let port: UInt16
  private let child: PythonService

  /// - Parameter tls: certificate and key, where TLS is spoken.
  init(_ kind: Kind = .usual, tls: (certificate: String, key: String)? = nil) throws {
    let accounts = String(decoding: try JSONSerialization.data(withJSONObject: Self.accounts), as: UTF8.self)
    child = try PythonService(Self.program, [kind.rawValue, accounts, tls?.certificate ?? "", tls?.key ?? ""])
    port = child.port
  }

  /// What it saw of logins: `begins METHOD PATH LENGTH`, and `proves ok|wrong DOMAIN\user METHOD PATH`; and of all else what surprised it.
  var lines: [String] { child.lines }
  var proofs: [String] { lines.filter { $0.hasPrefix("proves ") } }
  /// What no service of this kind should have seen.
  var troubles: [String] { lines.filter { $0.hasPrefix("trouble ") } }

  func stop() throws { try child.stop() }

  private static let program = #"""
    import json, struct, hmac, hashlib, base64, os, ssl, time, zlib
    kind, accounts, certificate, key = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]

    def md4(data):
      a0, b0, c0, d0 = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476
      turn = lambda v, n: ((v << n) | (v >> (32 - n))) & 0xffffffff
      padded = data + b"\x80" + b"\0" * ((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
      for at in range(0, len(padded), 64):
        x = struct.unpack("<16I", padded[at:at + 64])
        a, b, c, d = a0, b0, c0, d0
        for i in range(16):
          a, b, c, d = d, turn((a + ((b & c) | (~b & d)) + x[i]) & 0xffffffff, (3, 7, 11, 19)[i % 4]), b, c
        for i in range(16):
          a, b, c, d = d, turn((a + ((b & c) | (b & d) | (c & d)) + x[(i % 4) * 4 + i // 4] + 0x5a827999) & 0xffffffff, (3, 5, 9, 13)[i % 4]), b, c
        for i in range(16):
          k = (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)[i]
          a, b, c, d = d, turn((a + (b ^ c ^ d) + x[k] + 0x6ed9eba1) & 0xffffffff, (3, 9, 11, 15)[i % 4]), b, c
        a0, b0, c0, d0 = (a0 + a) & 0xffffffff, (b0 + b) & 0xffffffff, (c0 + c) & 0xffffffff, (d0 + d) & 0xffffffff
      return struct.pack("<4I", a0, b0, c0, d0)
    assert md4(b"abc").hex() == "a448017aaf21d8525fc10ae87aa6729d"
    code = lambda key, data: hmac.new(key, data, hashlib.md5).digest()
    wide = lambda text: text.encode("utf-16-le")

    class Login:
      def __init__(self): self.user, self.first, self.challenge, self.nonce, self.time = None, None, None, None, None
      def begin(self, first):
        if first[:12] != b"NTLMSSP\0\1\0\0\0" or len(first) < 32: say("trouble first message")
        self.user, self.first, self.nonce = None, first, os.urandom(8)
        self.time = struct.pack("<Q", int((time.time() + 11644473600) * 10000000))
        pair = lambda number, value: struct.pack("<HH", number, len(value)) + value
        info = pair(2, wide("CORP")) + pair(1, wide("WEB1")) + pair(4, wide("corp.example")) + pair(3, wide("web1.corp.example"))
        if kind != "timeless": info += pair(7, self.time)
        info += pair(0, b"")
        name = wide("CORP")
        offset = 0xfffffff0 if kind == "lying" else 56 + len(name)
        self.challenge = (b"NTLMSSP\0" + struct.pack("<IHHII", 2, len(name), len(name), 56, 0xa2898205) + self.nonce + b"\0" * 8
          + struct.pack("<HHI", len(info), len(info), offset) + b"\x0a\0\x39\x38\0\0\0\x0f" + name + info)
        return self.challenge
      def prove(self, last, what):
        if self.challenge is None: return say("trouble proof without a challenge")
        field = lambda at: (lambda n, m, o: last[o:o + n])(*struct.unpack_from("<HHI", last, at))
        lm, nt, domain, user = field(12), field(20), field(28).decode("utf-16-le"), field(36).decode("utf-16-le")
        if lm.strip(b"\0") or len(nt) <= 24: say("trouble something older than NTLMv2")
        name = domain + "\\" + user
        secret = code(md4(wide(accounts.get(name, "\0"))), wide(user.upper() + domain))
        good = name in accounts and hmac.compare_digest(code(secret, self.nonce + nt[16:]), nt[:16])
        if good and kind != "timeless":
          session = code(secret, nt[:16])
          good = hmac.compare_digest(code(session, self.first + self.challenge + last[:72] + b"\0" * 16 + last[88:]), last[72:88])
          if not good: say("trouble code over the messages")
          if self.time not in nt or b"\6\0\4\0\2\0\0\0" not in nt: say("trouble no flags, or another time")
        if good and certificate:
          # Extended Protection, by the certificate that is our own.
          end = "-----END CERTIFICATE-----\n"
          own = ssl.PEM_cert_to_DER_cert(open(certificate).read().split(end)[0] + end)
          binding = b"tls-server-end-point:" + hashlib.sha256(own).digest()
          binding = hashlib.md5(b"\0" * 16 + struct.pack("<I", len(binding)) + binding).digest()
          if b"\x0a\0\x10\0" + binding not in nt: good = say("trouble another channel")
        elif b"\x0a\0\x10\0" in nt: say("trouble a channel without TLS")
        self.challenge = None
        self.user = name if good else None
        say("proves %s %s %s" % ("ok" if good else "wrong", name, what))

    def serve(wire, number):
      file, login, count = wire.makefile("rb"), Login(), 0
      def answer(status, fields, body, method="GET"):
        head = "HTTP/1.1 %s\r\nContent-Length: %d\r\nX-Connection: %d\r\n%s\r\n" % (status, len(body), number, "".join(f + "\r\n" for f in fields))
        wire.sendall(head.encode() + (b"" if method == "HEAD" else body))
      while True:
        line = file.readline()
        if not line: return
        method, path, _ = line.decode("latin1").split(" ")
        fields = {}
        while True:
          line = file.readline().decode("latin1").rstrip("\r\n")
          if not line: break
          name, value = line.split(":", 1)
          if name.lower() in fields and name.lower() == "authorization": say("trouble two of them")
          fields[name.lower()] = value.strip()
        body = b""
        if "transfer-encoding" in fields:
          while True:
            size = int(file.readline(), 16)
            body += file.read(size); file.readline()
            if size == 0: break
        else:
          wanted = int(fields.get("content-length", 0))
          body = file.read(wanted)
          if len(body) < wanted: return
        what, word = method + " " + path, fields.get("authorization", "")
        if word and not word.startswith("NTLM "): say("trouble a login of another kind")
        message = base64.b64decode(word[5:]) if word.startswith("NTLM ") else None
        offers = ["WWW-Authenticate: NTLM"]
        if kind == "both": offers = ["WWW-Authenticate: Negotiate"] + offers
        if kind == "basic": offers = ['WWW-Authenticate: Basic realm="NTLM x"']
        if path.startswith("/open"):
          answer("200 OK", [], b"nobody %d" % len(body), method); continue
        if message and message[8] == 1 and kind not in ("bare", "basic"):
          say("begins %s %d" % (what, len(body)))
          if kind == "slow" and number == 1: file.read(); return
          word = base64.b64encode(login.begin(message)).decode()
          offer = ["WWW-Authenticate: Negotiate, NTLM " + word] if kind == "both" else ["WWW-Authenticate: NTLM " + word]
          answer("401 Unauthorized", offer + (["Connection: close"] if kind == "closing" else []), b"challenge" * 300, method)
          if kind == "closing": return
          continue
        # As IIS's request filtering, which looks at no login.
        if path.startswith("/large") and body:
          answer("413 Too Large", [], b"too large", method); continue
        if message and message[8] == 3: login.prove(message, what)
        count += 1
        if kind == "forgetful" and count % 3 == 0: login.user = None
        if login.user is None or path.startswith("/forbidden"):
          answer("401 Unauthorized", offers, b"no", method); continue
        if "upgrade" in fields:
          accept = base64.b64encode(hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
          switched = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "X-Who: " + login.user]
          wire.sendall(("\r\n".join(switched + ["Sec-WebSocket-Accept: " + accept]) + "\r\n\r\n").encode())
          while True:
            part = file.read1(4096)
            if not part: return
            wire.sendall(part)
        if path.startswith("/together"):
          gathered.wait(60)
        who = "%s %s %d %08x" % (login.user, fields.get("x-forwarded-user", "-"), len(body), zlib.adler32(body))
        answer("200 OK", ["X-Who: " + login.user] + (["Persistent-Auth: false"] if kind == "once" else []), who.encode(), method)
        if kind == "once": login.user = None

    gathered = threading.Barrier(7)
    def safely(wire, number):
      try:
        if context: wire = context.wrap_socket(wire, server_side=True)
        serve(wire, number)
      except (OSError, ValueError): pass
      finally: wire.close()
    context = None
    if certificate:
      context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
      context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    say(listener.getsockname()[1])
    number = 0
    while True:
      wire, _ = listener.accept()
      wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
      number += 1
      threading.Thread(target=safely, args=(wire, number), daemon=True).start()
    """#
}
