// Services that are reached by a detour: through a proxy that wants to know who we are, at another address than their own, from a certain one of ours.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText, .byEachEngine) struct Detours {
    private let auth = ["-u", People.alice.pair]
    private static let password = Secrets.keep("Through-The-Wall-7")
    private static let files = ["proxy.password": password + "\n", "wrong.password": Secrets.keep("Against-The-Wall-8") + "\n"]
    private static let credentials = "{ username gate; password_file proxy.password }"

    private func get(_ house: House, _ path: String) throws -> CurlAnswer { try house.curl(auth[0], auth[1], path) }

    /// A proxy that does as `mode` says: `tunnel`, `forge` (an answer of its own behind the tunnel's), `deaf` (hangs up), and says what it was told. Over
    /// TLS when there is a certificate.
    private static let proxy = """
      import ssl
      mode = sys.argv[1]
      def pump(a, b):
        try:
          while data := a.recv(65536): b.sendall(data)
        except OSError: pass
        try: b.shutdown(socket.SHUT_WR)
        except OSError: pass
      def serve(client):
        try:
          if len(sys.argv) > 2:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[2], sys.argv[3])
            client = context.wrap_socket(client, server_side=True)
          head = b""
          while b"\\r\\n\\r\\n" not in head:
            piece = client.recv(1)
            if not piece: return
            head += piece
          for line in head.decode().split("\\r\\n"): say(line)
          if mode == "deaf": return client.close()
          host, _, port = head.split(b" ")[1].decode().rpartition(":")
          server = socket.create_connection((host, int(port)))
          answer = b"HTTP/1.1 200 Connection established\\r\\nX-Proxy: heard\\r\\nSet-Cookie: proxy=1\\r\\n\\r\\n"
          if mode == "forge": answer += b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nforged"
          client.sendall(answer)
          threading.Thread(target=pump, args=(server, client), daemon=True).start()
          pump(client, server)
        except OSError: client.close()
      listener = socket.create_server(("127.0.0.1", 0))
      say(listener.getsockname()[1])
      while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
      """

    private static func tinyproxy() throws -> FrontServer {
      try FrontServer { port, scratch in
        try scratch.write(
          "Port \(port)\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nBasicAuth gate \(password)\nLogFile \"\(scratch["tiny.log"])\"\n", to: "tiny.conf")
        return try Child("/usr/bin/tinyproxy", ["-d", "-c", scratch["tiny.conf"]], folder: scratch.path)
      }
    }

    private static func microsocks() throws -> FrontServer {
      try FrontServer { port, scratch in
        try Child("/usr/bin/microsocks", ["-i", "127.0.0.1", "-p", "\(port)", "-u", "gate", "-P", password], folder: scratch.path)
      }
    }

    /// Dante's, which asks nobody who he is (the names that it knows are the system's users), and connects to all ports but one.
    private static func danted(refusing port: UInt16) throws -> FrontServer {
      let refused = port
      return try FrontServer { port, scratch in
        try scratch.write(
          """
          logoutput: stderr \(scratch["danted.log"])
          internal: 127.0.0.1 port = \(port)
          external: 127.0.0.1
          clientmethod: none
          socksmethod: none
          client pass {
              from: 127.0.0.0/8 to: 0.0.0.0/0
          }
          socks block {
              from: 127.0.0.0/8 to: 127.0.0.0/8 port = \(refused)
          }
          socks pass {
              from: 127.0.0.0/8 to: 127.0.0.0/8
              command: connect
              log: connect
          }

          """, to: "danted.conf")
        return try Child("/usr/sbin/danted", ["-f", scratch["danted.conf"], "-p", scratch["danted.pid"]], folder: scratch.path)
      }
    }

    /// `upstream NAME` and a route to it, below `/NAME/`.
    private func upstream(_ name: String, _ server: String, _ more: String) -> String {
      """
      upstream \(name) {
          server \(server)
          engine \(Engines.current)
          \(more)
      }
      route /\(name)/ { upstream \(name); require valid-user }

      """
    }

    @Test func aProxyThatKnowsUsLetsUsThrough() throws {
      let authority = try Authority()
      try authority.sign("server", for: "IP:127.0.0.1")
      let (secure, plain) = (
        try FrontServer.nginx(authority, "server", "location / { return 200 secure; }"), try FrontServer.nginx("location / { return 200 plain; }")
      )
      let (proxy, socks) = (try Self.tinyproxy(), try Self.microsocks())
      let url = "http://127.0.0.1:\(proxy.port)"
      let ca = "tls { ca \(authority["ca.pem"]) }"
      try House.with(
        Setup(
          more: upstream("plain", plain.url, "via \(url) \(Self.credentials)")
            + upstream("secure", "https://127.0.0.1:\(secure.port)", "via \(url) \(Self.credentials); \(ca)")
            + upstream("wrong", plain.url, "via \(url) { username gate; password_file wrong.password }") + upstream("nobody", plain.url, "via \(url)")
            + upstream("socks", plain.url, "via socks5://127.0.0.1:\(socks.port) \(Self.credentials)")
            + upstream("named", "http://localhost:\(plain.port)", "via socks5h://127.0.0.1:\(socks.port) \(Self.credentials)")
            + upstream("socksecure", "https://127.0.0.1:\(secure.port)", "via socks5h://127.0.0.1:\(socks.port) \(Self.credentials); \(ca)")
            + upstream("sockswrong", plain.url, "via socks5://127.0.0.1:\(socks.port) { username gate; password_file wrong.password }")
            + upstream("socksnobody", plain.url, "via socks5://127.0.0.1:\(socks.port)"), files: Self.files)
      ) { house throws in
        for _ in 0..<2 {
          for (name, text) in [("plain", "plain"), ("secure", "secure"), ("socks", "plain"), ("named", "plain"), ("socksecure", "secure")] {
            let answer = try get(house, "/\(name)/")
            #expect(answer.status == 200 && answer.text == text, "\(name): \(answer.heads) \(house.gate.child.errors.text)")
          }
          for name in ["wrong", "nobody", "sockswrong", "socksnobody"] { #expect(try get(house, "/\(name)/").status == 502, "\(name)") }
        }
        // The log of a failure says what it was, and `expectNoLeak` that it says no more.
        #expect(house.gate.child.errors.text.contains("upstream wrong: ") && house.gate.child.errors.text.contains("response 407"), "\(house.gate.child.errors.text)")
      }
      #expect(try proxy.scratch.text("tiny.log").contains("CONNECT 127.0.0.1:\(plain.port)"))
      for server in [secure, plain, proxy, socks] { try server.stop() }
    }

    @Test func danteIsAsGoodASOCKSServer() throws {
      let authority = try Authority()
      try authority.sign("server", for: "DNS:localhost")
      let (secure, plain, other) = (
        try FrontServer.nginx(authority, "server", "location / { return 200 secure; }"), try FrontServer.nginx("location / { return 200 plain; }"),
        try FrontServer.nginx("location / { return 200 other; }")
      )
      let socks = try Self.danted(refusing: other.port)
      try House.with(
        Setup(
          more: upstream("plain", plain.url, "via socks5://127.0.0.1:\(socks.port)")
            + upstream("named", "http://localhost:\(plain.port)", "via socks5h://127.0.0.1:\(socks.port)")
            + upstream("secure", "https://localhost:\(secure.port)", "via socks5h://127.0.0.1:\(socks.port); tls { ca \(authority["ca.pem"]) }")
            + upstream("unknown", "https://localhost:\(secure.port)", "via socks5h://127.0.0.1:\(socks.port)")
            // A password, where none is asked for.
            + upstream("known", plain.url, "via socks5://127.0.0.1:\(socks.port) \(Self.credentials)")
            + upstream("refused", other.url, "via socks5://127.0.0.1:\(socks.port)"), files: Self.files)
      ) { house throws in
        for _ in 0..<2 {
          for (name, text) in [("plain", "plain"), ("named", "plain"), ("secure", "secure"), ("known", "plain")] {
            let answer = try get(house, "/\(name)/")
            #expect(answer.status == 200 && answer.text == text, "\(name): \(answer.heads) \(house.gate.child.errors.text)")
          }
          for name in ["unknown", "refused"] { #expect(try get(house, "/\(name)/").status == 502, "\(name)") }
        }
      }
      #expect(try socks.scratch.text("danted.log").contains("127.0.0.1.\(plain.port)"))
      for server in [secure, plain, other, socks] { try server.stop() }
    }

    @Test func aProxyHearsNothingOfTheRequest() throws {
      let authority = try Authority()
      try authority.sign("proxy", for: "IP:127.0.0.1")
      let proxy = try PythonService(Self.proxy, ["tunnel", authority["proxy.pem"], authority["proxy.key"]])
      try House.with(
        Setup(
          upstream: "via https://127.0.0.1:\(proxy.port) { username gate; password_file proxy.password; ca \(authority["ca.pem"]) }",
          more: upstream("unknown", "http://127.0.0.1:1", "via https://127.0.0.1:\(proxy.port)"), files: Self.files)
      ) { house throws in
        for i in 1...2 {
          let answer = try house.curl(
            auth[0], auth[1], "-H", "Proxy-Authorization: Basic Zm9yZ2VkOmZvcmdlZA==", "-H", "Proxy-Connection: close", "-H", "X-Client: \(i)", "--data", "body", "/x")
          // Of the proxy's answer nothing is the service's.
          #expect(answer.status == 200 && answer.final["X-Proxy"] == nil && answer.final["Set-Cookie"] == nil, "\(answer.heads)")
          let seen = try house.upstream.requests(i)[i - 1]
          #expect(seen["X-Client"] == "\(i)" && seen["X-Forwarded-User"] == "alice" && seen.text == "body", "\(seen.headText)")
          #expect(seen["Proxy-Authorization"] == nil && seen["Proxy-Connection"] == nil, "\(seen.headText)")
        }
        let told = proxy.lines
        #expect(told.contains("CONNECT 127.0.0.1:\(house.upstream.port) HTTP/1.1"), "\(told)")
        let ours = Data("gate:\(Self.password)".utf8).base64EncodedString()
        #expect(told.contains("Proxy-Authorization: Basic \(ours)"), "\(told)")
        for line in told {
          let name = line.prefix { $0 != ":" }.lowercased()
          #expect(line.hasPrefix("CONNECT ") || ["", "host", "proxy-authorization", "proxy-connection", "user-agent"].contains(name), "\(line)")
          #expect(!line.contains("Zm9yZ2Vk"))
        }
        // By an authority that vouches for it alone.
        #expect(try get(house, "/unknown/").status == 502)
      }
      try proxy.stop()
    }

    @Test func aTunnelIsUsedAgain() throws {
      let proxy = try PythonService(Self.proxy, ["tunnel"])
      try House.with(Setup(upstream: "via http://127.0.0.1:\(proxy.port)"), Answer.hello) { house throws in
        for _ in 0..<3 { #expect(try get(house, "/").status == 200) }
        #expect(house.upstream.connections.count == 1 && proxy.lines.filter { $0.hasPrefix("CONNECT") }.count == 1)
      }
      try proxy.stop()
    }

    /// What stands behind a tunnel's beginning came before the request: it is nobody's answer.
    @Test func anAnswerOfTheProxysOwnReachesNobody() throws {
      let forger = try PythonService(Self.proxy, ["forge"])
      let deaf = try PythonService(Self.proxy, ["deaf"])
      try House.with(
        Setup(upstream: "via http://127.0.0.1:\(forger.port)", more: upstream("deaf", "http://127.0.0.1:1", "via http://127.0.0.1:\(deaf.port)")),
        { while try $0.request() != nil { try $0.send(Answer.text("real")) } }
      ) { house throws in
        for _ in 0..<3 {
          let answer = try get(house, "/")
          #expect(answer.status == 502 && !answer.text.contains("forged"), "\(answer.text)")
        }
        #expect(try get(house, "/deaf/").status == 502)
      }
      try forger.stop()
      try deaf.stop()
    }

    /// libcurl reads such an answer to its end before it does anything else.
    @Test func aProxysEndlessRefusalHoldsUpNobody() throws {
      let proxy = try PythonService(
        """
        listener = socket.create_server(("127.0.0.1", 0))
        say(listener.getsockname()[1])
        while True:
          client = listener.accept()[0]
          client.recv(65536)
          client.sendall(b"HTTP/1.1 407 Who are you\\r\\nContent-Length: 9000000000\\r\\n\\r\\n")
          try:
            for _ in range(500): client.sendall(b"-" * 65536)
            say("heard")
          except OSError: say("left")
          client.close()
        """)
      try House.with(Setup(upstream: "via http://127.0.0.1:\(proxy.port)")) { house throws in
        for i in 1...2 {
          #expect(try get(house, "/").status == 502)
          try eventually("the proxy is left") { proxy.lines.count == i }
        }
        #expect(proxy.lines == ["left", "left"] && house.gate.child.errors.text.contains("the proxy's answer to CONNECT has no end"))
      }
      try proxy.stop()
    }

    @Test func connectionsGoWhereTheyAreTold() throws {
      let authority = try Authority()
      try authority.sign("server", for: "DNS:app.internal")
      let server = try FrontServer.nginx(authority, "server", "location / { return 200 $ssl_server_name; }")
      try House.with(
        Setup(
          more: upstream("app", "https://app.internal", "connect_to 127.0.0.1:\(server.port); tls { ca \(authority["ca.pem"]) }")
            + upstream("port", "https://app.internal:\(server.port)", "connect_to 127.0.0.1; tls { ca \(authority["ca.pem"]) }")
            + upstream("name", "https://other.internal", "connect_to 127.0.0.1:\(server.port); tls { ca \(authority["ca.pem"]) }"))
      ) { house throws in
        for name in ["app", "port"] {
          let answer = try get(house, "/\(name)/")
          #expect(answer.status == 200 && answer.text == "app.internal", "\(name): \(answer.text)")
        }
        // Where it is has nothing to do with who it is.
        #expect(try get(house, "/name/").status == 502)
      }
      try server.stop()
    }

    @Test func connectionsComeFromWhereTheyAreTold() throws {
      let service = try PythonService(
        """
        import http.server
        class Where(http.server.BaseHTTPRequestHandler):
          protocol_version = "HTTP/1.1"
          def log_message(self, *arguments): pass
          def do_GET(self):
            where = self.client_address[0].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(where)))
            self.end_headers()
            self.wfile.write(where)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Where)
        say(server.server_port)
        server.serve_forever()
        """)
      let url = "http://127.0.0.1:\(service.port)"
      try House.with(
        Setup(
          more: upstream("address", url, "source 127.0.0.3") + upstream("interface", url, "source lo") + upstream("foreign", url, "source 192.0.2.1")
            + upstream("usual", url, ""))
      ) { house throws in
        // The service would have each of them stay: whoever says nothing of where he comes from must not come by another's.
        for _ in 0..<2 {
          for (name, text) in [("address", "127.0.0.3"), ("interface", "127.0.0.1"), ("usual", "127.0.0.1")] {
            let answer = try get(house, "/\(name)/")
            #expect(answer.status == 200 && answer.text == text, "\(name): \(answer.text) \(house.gate.child.errors.text)")
          }
          // An address that is not this machine's.
          #expect(try get(house, "/foreign/").status == 502)
        }
      }
      try service.stop()
    }

    /// What one upstream's authorities have vouched for is no proxy of another's.
    @Test func aProxyIsVouchedForWhereverItIsUsed() throws {
      let (authority, others) = (try Authority(), try Authority())
      try authority.sign("proxy", for: "IP:127.0.0.1")
      let proxy = try PythonService(Self.proxy, ["tunnel", authority["proxy.pem"], authority["proxy.key"]])
      let server = try FrontServer.nginx("location / { return 200 found; }")
      let (url, via) = ("http://127.0.0.1:\(server.port)", "via https://127.0.0.1:\(proxy.port)")
      let (right, wrong) = ("{ ca \(authority["ca.pem"]) }", "{ ca \(others["ca.pem"]) }")
      let more = upstream("known", url, "\(via) \(right)") + upstream("other", url, "\(via) \(wrong)") + upstream("none", url, via)
      try House.with(Setup(more: more)) { house throws in
        for _ in 0..<3 {
          #expect(try get(house, "/known/").text == "found")
          for name in ["other", "none"] { #expect(try get(house, "/\(name)/").status == 502, "\(name)") }
        }
      }
      try proxy.stop()
      try server.stop()
    }

    @Test func theRecipeWorks() throws {
      let (proxy, socks) = (try Self.tinyproxy(), try Self.danted(refusing: 1))
      let server = try FrontServer.nginx("location / { return 200 found; }")
      var recipe = try Recipe("through-a-proxy").text(replacing: [
        "legacy.example.com:8080": "127.0.0.1:\(server.port)", "proxy.example.com:3128": "127.0.0.1:\(proxy.port)",
      ])
      recipe += "\n" + (try Recipe("through-a-proxy").text(1, replacing: [
        "legacy.example.com:8080": "127.0.0.1:\(server.port)", "127.0.0.1:1080": "127.0.0.1:\(socks.port)",
      ]))
      try House.with(Setup(more: recipe, files: Self.files)) { house throws in
        for path in ["/far/", "/jump/"] { #expect(try get(house, path).text == "found", "\(path)") }
      }
      for server in [proxy, socks, server] { try server.stop() }
    }
  }
}
