// Services that hear from a PROXY header who the client is: nginx and HAProxy behind us, and clients who write such headers themselves.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct AnnouncedClients {
    private let auth = ["-u", People.alice.pair]

    /// nginx that takes no connection without a header, and tells whom it names.
    private static func nginx() throws -> FrontServer {
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
              listen 127.0.0.1:\(port) proxy_protocol;
              location / { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $connection_requests"; }
            }
          }

          """, to: "nginx.conf")
        return try Child("/usr/sbin/nginx", ["-p", root, "-c", scratch["nginx.conf"], "-e", scratch["nginx.log"]], folder: root)
      }
    }

    private func setup(_ server: FrontServer, _ version: String, _ top: String = "") -> Setup {
      Setup(top: top, upstream: "send_proxy_protocol \(version)", server: "http://127.0.0.1:\(server.port)")
    }

    @Test(arguments: ["v1", "v2"]) func theServiceHearsWhoTheClientIs(_ version: String) throws {
      let server = try Self.nginx()
      try House.with(setup(server, version, "listen [::1]:0\nlisten unix:front.sock\ntrusted_proxies 127.0.0.1")) { house throws in
        let client = try house.client()
        for _ in 0..<2 {
          let words = try client.exchange(request("GET", "/", [People.alice.authorization])).text.split(separator: " ").map(String.init)
          #expect(words == ["127.0.0.1", words[1], "127.0.0.1", "\(house.port)", "1"] && words[1] != "0", "\(words)")
        }
        // Over IPv6.
        let six = try Curl.run(auth + ["http://[::1]:\(house.gate.ports[1])/"], in: house.scratch)
        #expect(six.text.hasPrefix("::1 ") && six.text.hasSuffix(" ::1 \(house.gate.ports[1]) 1"), "\(six.text)")
        // Whom a trusted proxy names has no port that anybody knows. nginx says nothing for 0.
        let named = try house.curl(auth[0], auth[1], "-H", "X-Forwarded-For: 203.0.113.9", "/")
        #expect(named.text.hasPrefix("203.0.113.9  "), "\(named.text)")
        // Without an address: nobody, and the request is answered all the same.
        let unix = try house.curl(auth[0], auth[1], "--unix-socket", house.scratch["front.sock"], "/")
        #expect(unix.status == 200 && !unix.text.contains("203.0.113"), "\(unix.text)")
      }
      try server.stop()
    }

    @Test func haproxyBelievesIt() throws {
      try House.with(Setup()) { inner throws in
        let haproxy = try FrontServer { port, scratch in
          try scratch.write(
            """
            defaults
                mode http
                timeout connect 5s
                timeout client 20s
                timeout server 20s
            listen front
                bind 127.0.0.1:\(port) accept-proxy
                option forwardfor
                server inner 127.0.0.1:\(inner.upstream.port)

            """, to: "haproxy.cfg")
          return try Child("/usr/sbin/haproxy", ["-db", "-f", scratch["haproxy.cfg"]], folder: scratch.path)
        }
        for (i, version) in ["v1", "v2"].enumerated() {
          try House.with(setup(haproxy, version, "trusted_proxies 127.0.0.1")) { house throws in
            let answer = try house.curl(auth[0], auth[1], "-H", "X-Forwarded-For: 203.0.113.77", "--data", "body", "/")
            #expect(answer.status == 200, "\(answer.heads)")
            // Ours first, then HAProxy's own, by the header.
            let seen = try inner.upstream.requests(i + 1)[i]
            #expect(seen.values("X-Forwarded-For").last == "203.0.113.77" && seen.text == "body", "\(seen.headText)")
          }
        }
        try haproxy.stop()
      }
    }

    /// On the wire: one header a connection, and a connection for each request. A client's bytes never stand in one, whatever he writes.
    @Test func nobodyElsesRequestFollowsAHeader() throws {
      try House.with(Setup(upstream: "send_proxy_protocol v1"), { conversation in
        let line = try conversation.wire.line()
        guard line.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 ") else { throw Failure("no header") }
        while try conversation.request() != nil { try conversation.send(Answer.text("hello")) }
      }) { house throws in
        let forged = "PROXY TCP4 10.9.9.9 10.9.9.8 1 2\r\n"
        for (method, fields, body) in [
          ("GET", [], ""), ("GET", ["X-Forwarded-For: 10.9.9.9", "Forwarded: for=10.9.9.9"], ""), ("POST", ["Content-Length: \(forged.utf8.count)"], forged),
        ] as [(String, [String], String)] {
          #expect(try house.ask(method, "/", [People.alice.authorization] + fields, body: body).status == 200)
        }
        // One who begins with such a line himself is told what he said.
        let liar = try house.client()
        try liar.send(forged + request("GET", "/", [People.alice.authorization]))
        #expect(try liar.response()?.status == 400)
        let connections = house.upstream.connections.map { String(decoding: $0, as: UTF8.self) }
        #expect(connections.count == 3)
        for connection in connections {
          #expect(connection.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 "), "\(connection)")
          #expect(connection.components(separatedBy: " HTTP/1.1\r\n").count == 2, "\(connection)")
        }
        #expect(connections.filter { $0.contains("PROXY TCP4 10.9.9.9") }.count == 1)
      }
    }

    /// What asks whether the service is well would not be heard without a header either; it speaks for us.
    @Test func healthIsAskedForWithAHeaderToo() throws {
      try House.with(
        Setup(upstream: "send_proxy_protocol v2\nhealth GET /healthz every 100ms"),
        { conversation in
          let line = try conversation.wire.line()
          guard line.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 ") else { throw Failure("no header: \(line)") }
          while try conversation.request() != nil { try conversation.send(Answer.text("well")) }
        }
      ) { house throws in
        #expect(try house.upstream.requests(2).allSatisfy { $0.target == "/healthz" })
      }
    }

    @Test func theRecipeWorks() throws {
      let server = try Self.nginx()
      let recipe = try Recipe("proxy-protocol-upstream").text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(server.port)"])
      try House.with(Setup(more: recipe)) { house throws in
        #expect(try house.curl(auth[0], auth[1], "/behind/").text.hasPrefix("127.0.0.1 "))
      }
      try server.stop()
    }
  }
}
