// Services over TLS that hear from a PROXY header before it who the client is: nginx with `ssl proxy_protocol`, and servers that break off at each step.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct AnnouncedOverTLS {
    private let auth = ["-u", People.alice.pair]

    /// nginx that takes no connection without a header, nor one without TLS behind it, and tells whom the header names.
    private static func nginx(_ authority: Authority, _ name: String, _ more: String = "", answer: String = tells) throws -> FrontServer {
      try FrontServer { port, scratch in
        let root = scratch.path
        try scratch.write(
          """
          daemon off;
          master_process off;
          pid \(root)/nginx.pid;
          error_log \(root)/nginx.log;
          \(geteuid() == 0 ? "user root;" : "")
          events { worker_connections 64; }
          http {
            access_log off;
            client_body_temp_path \(root)/body; proxy_temp_path \(root)/proxy; fastcgi_temp_path \(root)/fastcgi;
            uwsgi_temp_path \(root)/uwsgi; scgi_temp_path \(root)/scgi;
            server {
              listen 127.0.0.1:\(port) ssl proxy_protocol;
              ssl_certificate \(authority["\(name).pem"]);
              ssl_certificate_key \(authority["\(name).key"]);
              \(more)
              location / { return 200 "\(answer)"; }
            }
          }

          """, to: "nginx.conf")
        return try Child("/usr/sbin/nginx", ["-p", root, "-c", scratch["nginx.conf"], "-e", scratch["nginx.log"]], folder: root)
      }
    }

    private static let tells = "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $ssl_server_name $connection_requests"

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

    private func get(_ house: House, _ path: String) throws -> CurlAnswer { try house.curl(auth[0], auth[1], path) }

    @Test(arguments: ["v1", "v2"]) func theServiceHearsWhoTheClientIs(_ version: String) throws {
      let authority = try Authority()
      try authority.sign("server", for: "DNS:app.internal")
      let server = try Self.nginx(authority, "server")
      let setup = Setup(
        top: "listen [::1]:0\nlisten unix:front.sock\ntrusted_proxies 127.0.0.1",
        upstream: "send_proxy_protocol \(version)\nconnect_to 127.0.0.1:\(server.port)\ntls { ca \(authority["ca.pem"]) }", server: "https://app.internal")
      try House.with(setup) { house throws in
        let client = try house.client()
        for _ in 0..<3 {
          // Three clients by turns; none travels on another's connection, nor on his own of before.
          let words = try client.exchange(request("GET", "/", [People.alice.authorization])).text.split(separator: " ").map(String.init)
          try #require(words.count == 6, "\(words)")
          #expect(words == ["127.0.0.1", words[1], "127.0.0.1", "\(house.port)", "app.internal", "1"] && words[1] != "0", "\(words)")
          let six = try Curl.run(auth + ["http://[::1]:\(house.gate.ports[1])/"], in: house.scratch)
          #expect(six.text.hasPrefix("::1 ") && six.text.hasSuffix(" ::1 \(house.gate.ports[1]) app.internal 1"), "\(six.text)")
          // Whom a trusted proxy names has no port that anybody knows. nginx says nothing for 0.
          let named = try client.exchange(
            request("POST", "/", [People.alice.authorization, "X-Forwarded-For: 203.0.113.9", "Content-Length: 5"], body: "hello"))
          #expect(named.text.hasPrefix("203.0.113.9  ") && named.text.hasSuffix(" 1"), "\(named.text)")
        }
        // Without an address: nobody, and the request is answered all the same.
        let unix = try house.curl(auth[0], auth[1], "--unix-socket", house.scratch["front.sock"], "/")
        #expect(unix.status == 200 && !unix.text.contains("203.0.113"), "\(unix.text)")
      }
      try server.stop()
    }

    /// That something was said in clear text before makes TLS believe nobody whom it would not believe else.
    @Test func whoIsNotTheServiceIsRefused() throws {
      let (authority, other) = (try Authority(), try Authority())
      try authority.sign("server", for: "IP:127.0.0.1")
      try authority.sign("gate", for: "DNS:gate.internal")
      let plain = try Self.nginx(authority, "server")
      let asks = try Self.nginx(
        authority, "server", "ssl_verify_client on; ssl_client_certificate \(authority["ca.pem"]);", answer: "$proxy_protocol_addr $ssl_client_s_dn")
      let (pin, wrong) = (try authority.pin("server"), try authority.pin("gate"))
      let (ca, url) = ("ca \(authority["ca.pem"])", "https://127.0.0.1:\(plain.port)")
      func announced(_ name: String, _ server: String, _ tls: String) -> String { upstream(name, server, "send_proxy_protocol v1; tls { \(tls) }") }
      try House.with(
        Setup(
          more: announced("right", url, "\(ca); pin \(pin)") + announced("pinned", url, "verify off; pin \(pin)")
            + announced("authority", url, "ca \(other["ca.pem"])") + announced("name", url, "\(ca); name other.internal")
            + announced("pin", url, "\(ca); pin \(wrong)") + announced("system", url, "verify on")
            + announced("shown", "https://127.0.0.1:\(asks.port)", "\(ca); client_certificate \(authority["gate.pem"]) \(authority["gate.key"])")
            + upstream("unannounced", url, "tls { \(ca) }"))
      ) { house throws in
        for _ in 0..<2 {
          for name in ["right", "pinned"] { #expect(try get(house, "/\(name)/").text.hasPrefix("127.0.0.1 "), "\(name): \(house.gate.child.errors.text)") }
          #expect(try get(house, "/shown/").text == "127.0.0.1 CN=gate")
          // The last: nginx takes TLS's own beginning for a header that is none.
          for name in ["authority", "name", "pin", "system", "unannounced"] { #expect(try get(house, "/\(name)/").status == 502, "\(name)") }
        }
      }
      for server in [plain, asks] { try server.stop() }
    }

    /// Breaks off as it is told to. Says what it heard first, and that it was left.
    private static let breaker = """
      import ssl, struct
      mode = sys.argv[1]
      def serve(client):
        line = b""
        try:
          if mode == "before": return client.close()
          while not line.endswith(b"\\r\\n"):
            byte = client.recv(1)
            if not byte: return client.close()
            line += byte
          first = client.recv(1, socket.MSG_PEEK)
          say(line.decode().split()[0] + " " + line.decode().split()[2] + " " + first.hex())
          if mode == "reset": client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
          if mode == "forge": client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nforged")
          if mode in ("header", "reset"): return client.close()
          while client.recv(65536): pass
          client.close()
        except OSError: pass
        say("left")
      listener = socket.create_server(("127.0.0.1", 0))
      say(listener.getsockname()[1])
      while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
      """

    private func sockets(of house: House) throws -> Int {
      let folder = "/proc/\(house.gate.child.pid)/fd/"
      // One may be gone by the time it is looked at.
      return try FileManager.default.contentsOfDirectory(atPath: folder).count {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + $0))?.hasPrefix("socket:") ?? false
      }
    }

    @Test func whatBreaksOffIsClosedAndSaid() throws {
      let modes = ["before", "header", "reset", "forge", "silent"]
      let services = try modes.map { try PythonService(Self.breaker, [$0]) }
      let silent = services[4]
      // Longer than this test may take: only what has to fail by its time fails by it.
      let blocks = zip(modes, services).map { upstream($0, "https://127.0.0.1:\($1.port)", "connect_timeout 1h; send_proxy_protocol v1") }
      let mute = try PythonService(Self.breaker, ["silent"])
      let timed = upstream("timed", "https://127.0.0.1:\(mute.port)", "connect_timeout 200ms; send_proxy_protocol v1")
      try House.with(Setup(more: blocks.joined() + timed)) { house throws in
        let before = try sockets(of: house)
        for _ in 0..<2 {
          for mode in modes.dropLast() {
            let answer = try get(house, "/\(mode)/")
            #expect(answer.status == 502 && !answer.text.contains("forged"), "\(mode): \(answer.text)")
          }
        }
        #expect(try get(house, "/timed/").status == 504)
        // Who goes away while the handshake is waited for takes it with him.
        let client = try house.client()
        try client.send(request("GET", "/silent/", [People.alice.authorization]))
        try eventually("the handshake has begun") { silent.lines.count == 1 }
        client.abort()
        try eventually("the silent server is left") { silent.lines.last == "left" }
        try eventually("no socket is left behind") { try sockets(of: house) == before }
        for (mode, service) in zip(modes, services).dropFirst() {
          try eventually("\(mode): all is said") { service.lines.count { $0 != "left" } == (mode == "silent" ? 1 : 2) }
          // Of TLS nothing comes before the header, and nothing else comes after it (RFC 8446 section 5.1: 22 is a handshake's record).
          #expect(service.lines.allSatisfy { $0 == "PROXY 127.0.0.1 16" || $0 == "left" }, "\(mode): \(service.lines)")
        }
      }
      for service in services + [mute] { try service.stop() }
    }

    /// Nothing of the request has gone out: another server may have it, whatever it is. And health is asked for by the same way.
    @Test func anotherServerIsAskedInstead() throws {
      let authority = try Authority()
      try authority.sign("server", for: "IP:127.0.0.1")
      let server = try Self.nginx(authority, "server", "access_log \(authority["access.log"]);")
      let (broken, unwell) = (try PythonService(Self.breaker, ["header"]), try PythonService(Self.breaker, ["header"]))
      let both = "server https://127.0.0.1:\(server.port); send_proxy_protocol v1; tls { ca \(authority["ca.pem"]) }"
      try House.with(
        Setup(
          more: upstream("both", "https://127.0.0.1:\(broken.port)", both)
            + upstream("checked", "https://127.0.0.1:\(unwell.port)", both + "; health GET /healthz every 100ms"))
      ) { house throws in
        for _ in 0..<4 {
          let answer = try house.curl(auth[0], auth[1], "--data", "body", "/both/")
          #expect(answer.status == 200 && answer.text.hasPrefix("127.0.0.1 "), "\(answer.text)")
        }
        #expect(broken.lines.contains("PROXY 127.0.0.1 16"))
        try eventually("the broken one is known") { house.gate.child.errors.text.contains("its health check failed") }
        try eventually("the other one is asked how it is, and is well") {
          try authority.scratch.text("access.log").contains("\"GET /healthz HTTP/1.1\" 200 ") && (try get(house, "/checked/").text.hasPrefix("127.0.0.1 "))
        }
      }
      try server.stop()
      for service in [broken, unwell] { try service.stop() }
    }

    @Test func theWayThereMayBeAnyOther() throws {
      let authority = try Authority()
      try authority.sign("server", for: "DNS:app.internal")
      let server = try Self.nginx(authority, "server", answer: "$proxy_protocol_addr $remote_addr")
      let proxy = try FrontServer { port, scratch in
        try scratch.write("Port \(port)\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogFile \"\(scratch["tiny.log"])\"\n", to: "tiny.conf")
        return try Child("/usr/bin/tinyproxy", ["-d", "-c", scratch["tiny.conf"]], folder: scratch.path)
      }
      let socks = try FrontServer { port, scratch in
        try Child("/usr/bin/microsocks", ["-i", "127.0.0.1", "-p", "\(port)"], folder: scratch.path)
      }
      let there = "connect_to 127.0.0.1:\(server.port); send_proxy_protocol v2; tls { ca \(authority["ca.pem"]) }"
      try House.with(
        Setup(
          more: upstream("proxy", "https://app.internal", "\(there); via http://127.0.0.1:\(proxy.port)")
            + upstream("socks", "https://app.internal", "\(there); via socks5h://127.0.0.1:\(socks.port)")
            + upstream("source", "https://app.internal", "\(there); source 127.0.0.3"))
      ) { house throws in
        for _ in 0..<2 {
          for (name, from) in [("proxy", "127.0.0.1"), ("socks", "127.0.0.1"), ("source", "127.0.0.3")] {
            #expect(try get(house, "/\(name)/").text == "127.0.0.1 \(from)", "\(name): \(house.gate.child.errors.text)")
          }
        }
      }
      #expect(try proxy.scratch.text("tiny.log").contains("CONNECT "))
      for server in [server, proxy, socks] { try server.stop() }
    }

    @Test func theRecipeWorks() throws {
      let authority = try Authority()
      try authority.sign("server", for: "DNS:behind.example.com")
      let server = try Self.nginx(authority, "server")
      let recipe = try Recipe("proxy-protocol-upstream").text(1, replacing: [
        "server https://behind.example.com": "server https://behind.example.com; connect_to 127.0.0.1:\(server.port)", "erp-ca.pem": authority["ca.pem"],
      ])
      try House.with(Setup(more: recipe)) { house throws in
        #expect(try house.curl(auth[0], auth[1], "/sealed/").text.hasPrefix("127.0.0.1 "))
      }
      try server.stop()
    }
  }
}
