// nginx, Caddy or HAProxy from Debian's packages, as a server in front.

import Foundation

final class FrontServer {
  let port: UInt16
  let scratch: Scratch
  private let child: Child

  var url: String { "http://127.0.0.1:\(port)" }

  /// nginx with `server` as the contents of its server block but for `listen`.
  static func nginx(_ server: String) throws -> FrontServer {
    try FrontServer { port, scratch in
      let root = scratch.path
      try scratch.write(
        """
        daemon off;
        master_process off;
        pid \(root)/nginx.pid;
        error_log \(root)/nginx.log;
        \(geteuid() == 0 ? "user root;" : "")
        worker_processes 1;
        events { worker_connections 64; }
        http {
          access_log off;
          client_body_temp_path \(root)/body; proxy_temp_path \(root)/proxy; fastcgi_temp_path \(root)/fastcgi;
          uwsgi_temp_path \(root)/uwsgi; scgi_temp_path \(root)/scgi;
          server {
            listen 127.0.0.1:\(port);
        \(server)
          }
        }

        """, to: "nginx.conf")
      return try Child("/usr/sbin/nginx", ["-p", root, "-c", scratch["nginx.conf"], "-e", scratch["nginx.log"]], folder: root)
    }
  }

  /// Caddy with `site` as the contents of its only site block.
  static func caddy(_ site: String) throws -> FrontServer {
    try FrontServer { port, scratch in
      try scratch.write(
        """
        {
          admin off
          auto_https off
        }
        http://:\(port) {
          bind 127.0.0.1
        \(site)
        }

        """, to: "Caddyfile")
      let home = ["HOME": scratch.path, "XDG_DATA_HOME": scratch.path, "XDG_CONFIG_HOME": scratch.path]
      return try Child(
        "/usr/bin/caddy", ["run", "--config", scratch["Caddyfile"], "--adapter", "caddyfile"], folder: scratch.path, environment: home)
    }
  }

  /// HAProxy with `proxy` as the contents of its only proxy but for `bind`.
  static func haproxy(_ proxy: String) throws -> FrontServer {
    try FrontServer { port, scratch in
      try scratch.write(
        """
        global
            maxconn 64
        defaults
            timeout connect 5s
            timeout client 20s
            timeout server 20s
        listen front
            bind 127.0.0.1:\(port)
        \(proxy)

        """, to: "haproxy.cfg")
      return try Child("/usr/sbin/haproxy", ["-db", "-f", scratch["haproxy.cfg"]], folder: scratch.path)
    }
  }

  /// Starts the server on a port that was free a moment ago; on another when it was taken meanwhile.
  private init(_ start: (_ port: UInt16, _ scratch: Scratch) throws -> Child) throws {
    for _ in 0..<5 {
      let scratch = try Scratch()
      var reserved: (socket: Socket, port: UInt16)? = try Socket.bind()
      guard let port = reserved?.port else { break }
      reserved = nil
      let child = try start(port, scratch)
      try eventually("the server in front listens") { !child.isRunning || (try? Socket.connect(to: port)) != nil }
      if child.isRunning {
        (self.port, self.scratch, self.child) = (port, scratch, child)
        return
      }
      let complaint = child.errors.text + ((try? scratch.text("nginx.log")) ?? "")
      guard complaint.contains("in use") else { throw Failure("the server in front did not start:\n\(complaint)") }
    }
    throw Failure("no port was free for the server in front")
  }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }

  var complaints: String { child.errors.text + ((try? scratch.text("nginx.log")) ?? "") }

  /// What curl gets for `target`, sent as it is.
  func curl(_ arguments: [String], _ target: String) throws -> CurlAnswer {
    try Curl.run(["--path-as-is"] + arguments + [url + target], in: scratch)
  }
}
