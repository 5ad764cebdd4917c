// nginx, Caddy or HAProxy from Debian's packages, as a server in front.

import Foundation

final class FrontServer {
  let port: UInt16
  let scratch: Scratch
  private var child: Child
  /// Starts it anew, and the port that is kept for it meanwhile; nil where it is not to come back.
  private var again: (() throws -> Child)?
  private var hold: Socket?

  var url: String { "http://127.0.0.1:\(port)" }

  /// nginx with `server` as the contents of its server block but for `listen`.
  ///
  /// - Parameter comesBack: whether it will be started again after `stop`, by `restart`.
  static func nginx(_ server: String, comesBack: Bool = false) throws -> FrontServer {
    try FrontServer(comesBack: comesBack) { port, scratch in
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
            listen 127.0.0.1:\(port)\(comesBack ? " reuseport" : "");
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
  init(comesBack: Bool = false, _ start: @escaping (_ port: UInt16, _ scratch: Scratch) throws -> Child) throws {
    for _ in 0..<5 {
      let scratch = try Scratch()
      var reserved: (socket: Socket, port: UInt16)? = try Socket.bind(isShared: comesBack)
      guard let port = reserved?.port else { break }
      if comesBack {
        hold = reserved?.socket
        again = { try start(port, scratch) }
      }
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

  /// Starts it again, at the same address.
  func restart() throws {
    guard let again else { throw Failure("this server was not made to come back") }
    child = try again()
    try eventually("the server in front listens again") { (try? Socket.connect(to: port)) != nil }
  }

  var complaints: String { child.errors.text + ((try? scratch.text("nginx.log")) ?? "") }

  /// What curl gets for `target`, sent as it is.
  func curl(_ arguments: [String], _ target: String) throws -> CurlAnswer {
    try Curl.run(["--path-as-is"] + arguments + [url + target], in: scratch)
  }
}
