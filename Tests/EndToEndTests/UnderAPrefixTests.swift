// An application that knows nothing of its prefix, as docs/recipes/under-a-prefix.md has it: nginx before a Python program, and clients that follow
// where they are sent with the cookies that they were given.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct UnderAPrefix {
    /// Redirects to itself by its own address, by a path, and by a page that refreshes; wants the cookie that it has set.
    private static let application = #"""
      import http.server, sys
      class Application(http.server.BaseHTTPRequestHandler):
          protocol_version = "HTTP/1.1"
          def answer(self, status, fields, body=b""):
              self.send_response(status)
              for name, value in fields: self.send_header(name, value)
              self.send_header("Content-Length", str(len(body)))
              self.end_headers()
              self.wfile.write(body)
          def do_GET(self):
              own = "http://127.0.0.1:%d" % self.server.server_address[1]
              if self.path == "/":
                  self.answer(302, [("Location", own + "/login?next=/home"), ("Set-Cookie", "step=1; Path=/; Domain=127.0.0.1; HttpOnly")])
              elif self.path.startswith("/login"):
                  self.answer(303, [("Location", "/home"), ("Set-Cookie", "id=7; Path=/home")])
              elif self.path == "/home":
                  seen = "%s %s %s" % (self.headers.get("Cookie"), self.headers.get("X-Forwarded-User"), self.headers.get("X-Forwarded-Prefix"))
                  self.answer(200, [("Refresh", "60; url=/"), ("Link", "</style.css>; rel=preload"), ("Content-Type", "text/plain")], seen.encode())
              else:
                  self.answer(404, [])
          def log_message(self, *arguments): pass
      server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
      print(server.server_address[1], flush=True)
      server.serve_forever()
      """#

    private func withApplication(_ body: (UInt16) throws -> Void) throws {
      let scratch = try Scratch()
      try scratch.write(Self.application, to: "application.py")
      let child = try Child("/usr/bin/python3", ["-I", scratch["application.py"]], folder: scratch.path)
      var port: UInt16?
      try eventually("the application listens") {
        port = UInt16(child.output.text.trimmingCharacters(in: .whitespacesAndNewlines))
        return port != nil
      }
      try body(try #require(port))
      child.signal(SIGKILL)
      try child.wait()
    }

    private func setup(_ port: UInt16) throws -> Setup {
      Setup(more: try Recipe("under-a-prefix").text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(port)"]))
    }

    @Test func curlFollowsWithItsCookies() throws {
      try withApplication { port in
        try House.with(try setup(port)) { house throws in
          let answer = try house.curl("-u", People.alice.pair, "-L", "--max-redirs", "5", "-c", house.scratch["jar"], "-b", house.scratch["jar"], "/legacy/")
          #expect(answer.status == 200 && answer.text == "step=1; id=7 alice /legacy" || answer.text == "id=7; step=1 alice /legacy", "\(answer.heads)")
          #expect(!answer.heads.contains("127.0.0.1:\(port)"), "the application's address is told to clients")
          #expect(answer.final["refresh"] == "60; url=/legacy/" && answer.final["link"] == "</legacy/style.css>; rel=preload")
          #expect(house.upstream.requests.isEmpty)
        }
      }
    }

    @Test func requestsKeepsItsSession() throws {
      try withApplication { port in
        try House.with(try setup(port)) { house throws in
          let outcome = try house.python(
            """
            import requests
            session = requests.Session()
            session.trust_env = False
            session.verify = trust
            session.auth = ("alice", "\(People.alice.password)")
            answer = session.get(base + "/legacy")
            print(answer.status_code, len(answer.history), answer.url == base + "/legacy/home", "id=7" in answer.text and "step=1" in answer.text)
            print(sorted((c.name, c.path) for c in session.cookies))
            """)
          #expect(outcome.text == "200 2 True True\n[('id', '/legacy/home'), ('step', '/legacy')]\n", "\(outcome.text)\(outcome.errors)")
        }
      }
    }

    /// nginx sends whoever leaves out a closing slash to the name that it was called by, with the port that it listens on.
    @Test func nginxsOwnRedirectsAreFound() throws {
      let files = try Scratch()
      _ = try files.folder("docs")
      try files.write("found\n", to: "docs/index.html")
      let nginx = try FrontServer.nginx("    root \(files.path); location / { index index.html; }")
      let port = try #require(UInt16(nginx.url.split(separator: ":").last ?? ""))
      let setup = try setup(port)
      try House.with(setup) { house throws in
        let first = try house.curl("-u", People.alice.pair, "/legacy/docs")
        #expect(first.status == 301 && first.final["location"] == "\(house.url)/legacy/docs/", "\(first.heads)")
        #expect(try house.curl("-u", People.alice.pair, "-L", "/legacy/docs").text == "found\n")
      }
      try nginx.stop()
    }
  }
}
