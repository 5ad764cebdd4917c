// Services that speak HTTP/1.0: one request to a connection, answers that end where the connection does. Python's http.server is such a one.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText, .byEachEngine) struct HTTP10Services {
    private let auth = ["-u", People.alice.pair]

    private static let program = """
      import http.server, struct
      class Old(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments): pass
        def begin(self, *fields):
          say(f"{self.client_address[1]} {self.requestline}")
          self.send_response(200)
          for name, value in fields: self.send_header(name, value)
          self.end_headers()
        def do_HEAD(self): self.begin(("X-Kind", "head"))
        def do_GET(self):
          if self.path == "/kept":
            self.begin(("Connection", "keep-alive"), ("Content-Length", "4"))
            self.wfile.write(b"kept")
            self.close_connection = False
          elif self.path == "/empty": self.begin()
          elif self.path == "/broken":
            self.begin()
            self.wfile.write(b"x" * 5000)
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gate.acquire()
            self.connection.close()
          elif self.path == "/chunked":
            self.begin(("Transfer-Encoding", "chunked"))
            self.wfile.write(b"3\\r\\nabc\\r\\n0\\r\\n\\r\\n")
          elif self.path == "/release":
            self.begin()
            gate.release()
          else:
            self.begin()
            for i in range(20000): self.wfile.write(b"line %d\\n" % i)
        def do_POST(self):
          length = self.headers.get("Content-Length")
          if length is None:
            say("no length")
            return self.send_error(411)
          body = self.rfile.read(int(length))
          self.begin()
          self.wfile.write(b"%d bytes" % len(body))
      gate = threading.Semaphore(0)
      server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old)
      say(server.server_port)
      server.serve_forever()
      """

    private func with(_ body: (House, PythonService) throws -> Void) throws {
      let service = try PythonService(Self.program)
      try House.with(Setup(server: "http://127.0.0.1:\(service.port)")) { house throws in try body(house, service) }
      try service.stop()
    }

    @Test func anAnswerWithoutLengthEndsWithItsConnection() throws {
      try with { house, service throws in
        let whole = (0..<20000).map { "line \($0)\n" }.joined()
        for _ in 0..<2 {
          let answer = try house.curl(auth[0], auth[1], "/")
          #expect(answer.code == 0 && answer.status == 200 && answer.text == whole)
          // Whole to the client without a close of its own.
          #expect(answer.final["Transfer-Encoding"] == "chunked" && answer.final.startLine == "HTTP/1.1 200 OK")
        }
        let empty = try house.curl(auth[0], auth[1], "/empty")
        #expect(empty.code == 0 && empty.status == 200 && empty.body.isEmpty)
        let head = try house.curl(auth[0], auth[1], "-I", "/")
        #expect(head.code == 0 && head.final["X-Kind"] == "head")
        // Each on a connection of its own.
        let ports = service.lines.compactMap { $0.split(separator: " ").first }
        #expect(Set(ports).count == 4 && ports.count == 4, "\(ports)")
      }
    }

    @Test func anOldServiceMayKeepItsConnection() throws {
      try with { house, service throws in
        for _ in 0..<2 { #expect(try house.curl(auth[0], auth[1], "/kept").text == "kept") }
        #expect(Set(service.lines.compactMap { $0.split(separator: " ").first }).count == 1, "\(service.lines)")
      }
    }

    @Test func anUploadOfKnownLengthArrives() throws {
      try with { house, service throws in
        let body = [UInt8](repeating: 0x61, count: 300_000)
        let answer = try house.curl(auth[0], auth[1], "--data-binary", "@-", "/form", input: body)
        #expect(answer.status == 200 && answer.text == "300000 bytes")
      }
    }

    /// What HTTP/1.0 can't say (a body in chunks) is the service's to refuse; what it leaves unread of it is nobody's request.
    @Test func anUploadInChunksIsTheServicesToRefuse() throws {
      try with { house, service throws in
        let answer = try house.curl(
          auth[0], auth[1], "-H", "Transfer-Encoding: chunked", "--data-binary", "GET /smuggled HTTP/1.0\r\n\r\n", "/form")
        #expect(answer.status == 411)
        #expect(try house.curl(auth[0], auth[1], "/kept").text == "kept")
        #expect(!service.lines.contains { $0.contains("smuggled") }, "\(service.lines)")
      }
    }

    /// Without a length a reset is all that tells a broken answer from a whole one.
    @Test func aBrokenAnswerWithoutLengthLooksBroken() throws {
      try with { house, service throws in
        let client = try house.client()
        try client.send(request("GET", "/broken", [People.alice.authorization]))
        let head = Message(head: try #require(try client.wire.head()))
        #expect(head.status == 200)
        #expect(try house.curl(auth[0], auth[1], "/release").status == 200)
        #expect(!(try client.rest()).holds("\r\n0\r\n\r\n"))
      }
    }

    /// RFC 9112 section 6.1: chunked from a server of HTTP/1.0 is faulty framing.
    @Test func chunksOfHTTP10Are502() throws {
      try with { house, _ throws in #expect(try house.curl(auth[0], auth[1], "/chunked").status == 502) }
    }

    @Test func theRecipeWorks() throws {
      let service = try PythonService(Self.program)
      let recipe = try Recipe("http10").text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(service.port)"])
      try House.with(Setup(more: recipe)) { house throws in
        #expect(try house.curl(auth[0], auth[1], "/old/empty").status == 200)
        #expect(try house.curl("/old/empty").status == 401)
        // Chunks become a length.
        let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", "0123456789"]
        #expect(try house.curl(auth[0], auth[1], chunked[0], chunked[1], chunked[2], chunked[3], "/old/form").text == "10 bytes")
      }
      try service.stop()
    }
  }
}
