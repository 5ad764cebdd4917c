// A token endpoint with TLS and a service that takes nothing but its tokens, in one Python process, which does what a test wants of them.

import Foundation
import Testing

final class TokenIssuer {
  private let process: PythonService
  let authority: Authority
  /// Of the service, in clear text.
  var port: UInt16 { process.port }
  let endpointPort: UInt16
  static let secret = Secrets.keep("Client:secret+of 9")

  init() throws {
    authority = try Authority()
    try authority.sign("login", for: "IP:127.0.0.1")
    process = try PythonService(Self.program, [authority["login.pem"], authority["login.key"], Self.secret])
    let process = self.process
    try eventually("the endpoint's port") { !process.lines.isEmpty }
    endpointPort = try #require(UInt16(process.lines[0]))
  }

  func stop() throws { try process.stop() }

  var url: String { "https://127.0.0.1:\(endpointPort)/oauth2/token" }

  /// The block of the page docs/recipes/oauth2-client-credentials.md.
  func recipe(_ more: String = "") throws -> String {
    try Recipe("oauth2-client-credentials").text(replacing: [
      "10.0.0.5:8080": "127.0.0.1:\(port)", "https://login.example.com/oauth2/token": url, "client_id gateway": "client_id gateway\nca \(authority["ca.pem"])\n\(more)",
      "upstream billing {": "upstream billing {\nengine \(Engines.current)",
    ])
  }

  func setup(_ more: String = "") throws -> Setup {
    Setup(top: "admin unix:admin.sock", path: "/unused/", more: try recipe(more), files: ["billing.secret": Self.secret + "\n"])
  }

  struct Counts: Decodable {
    /// Requests to the endpoint that asked rightly, and others; requests to the service with a token that it takes, and others.
    var fetches, strangers, served, refused: Int
    var tokens: [String]
  }

  /// Changes what is to be done (`down=1`, `life=2`, …), or does it at once (`revoke`); and says what has been.
  @discardableResult
  func tell(_ words: String = "") throws -> Counts {
    let answer = try Client(inClearTextTo: port).exchange("GET /__tell?\(words) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    let counts = try JSONDecoder().decode(Counts.self, from: Data(answer.body))
    for token in counts.tokens { Secrets.keep(token) }
    return counts
  }

  private static let program = """
    import base64, http.server, json, secrets, ssl, time, urllib.parse
    pem, key, password = sys.argv[1:4]
    lock = threading.Condition()
    state = {"life": 300, "down": 0, "hold": 0, "grace": 0}
    counts = {"fetches": 0, "strangers": 0, "served": 0, "refused": 0}
    issued, tokens = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = "HTTP/1.1"
      def log_message(self, *words): pass
      def content(self): return self.rfile.read(int(self.headers.get("Content-Length", 0)))
      def say(self, status, text, fields=[]):
        body = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        for name, value in fields: self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try: self.wfile.write(body)
        except OSError: pass

    class Endpoint(Handler):
      def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.content().decode(), strict_parsing=True))
        word, _, pair = self.headers.get("Authorization", "").partition(" ")
        if word == "Basic": who = [urllib.parse.unquote_plus(part) for part in base64.b64decode(pair).decode().split(":")]
        else: who = [form.get("client_id"), form.get("client_secret")]
        right = who == ["gateway", password] and form.get("grant_type") == "client_credentials" and form.get("scope") == "invoices.read invoices.write"
        with lock:
          counts["fetches" if right else "strangers"] += 1
          while state["hold"]: lock.wait()
          life, down = state["life"], state["down"]
        if down: return self.say(500, "weary")
        if not right: return self.say(401, json.dumps({"error": "invalid_client", "error_description": password}))
        mode = form.get("mode")
        if mode == "moved": return self.say(307, "", [("Location", "http://127.0.0.1:%d/stolen" % service.server_address[1])])
        if mode == "huge": return self.say(200, " " * 70000)
        if mode == "split": return self.say(200, json.dumps({"access_token": "a\\r\\nX-Forwarded-User: root", "token_type": "Bearer"}))
        token = secrets.token_urlsafe(24)
        with lock:
          issued[token] = time.monotonic() + life + state["grace"]
          tokens.append(token)
        self.say(200, json.dumps({"access_token": token, "token_type": "bearer", "expires_in": life}))

    class Service(Handler):
      def do_GET(self):
        body = self.content()
        path, _, query = self.path.partition("?")
        if path == "/__tell":
          with lock:
            if query == "revoke": issued.clear()
            elif query: state.update({name: int(value) for name, value in urllib.parse.parse_qsl(query)})
            lock.notify_all()
            return self.say(200, json.dumps(dict(counts, tokens=tokens)), [("Connection", "close")])
        values = self.headers.get_all("Authorization") or []
        word, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        with lock:
          taken = word == "Bearer" and issued.get(token, 0) > time.monotonic()
          counts["served" if taken else "refused"] += 1
        if not taken: return self.say(401, "who are you", [("WWW-Authenticate", 'Bearer error="invalid_token"')])
        self.say(200, (self.headers.get("X-Forwarded-User", "-") + " ").encode() + body)
      do_POST = do_PUT = do_GET

    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    endpoint = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    endpoint.socket = context.wrap_socket(endpoint.socket, server_side=True)
    say(str(service.server_address[1]))
    say(str(endpoint.server_address[1]))
    threading.Thread(target=endpoint.serve_forever).start()
    service.serve_forever()
    """
}
