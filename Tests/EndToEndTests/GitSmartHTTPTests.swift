// A real legacy service: git's own HTTP backend behind nginx, with users from a file that Apache's htpasswd made. Clone, push, fetch.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct GitSmartHTTP {
    /// nginx and fcgiwrap on Unix sockets, in a folder of their own: no port to collide, no configuration of the machine's.
    private final class Forge {
      let scratch: Scratch
      private let wrapper: Child
      private let server: Child
      var socket: String { scratch["http.sock"] }

      init() throws {
        scratch = try Scratch()
        let git = try Forge.git(["--exec-path"], in: scratch).text.trimmingCharacters(in: .whitespacesAndNewlines)
        _ = try scratch.folder("repositories")
        _ = try Forge.git(["init", "-q", "--bare", "-b", "main", "repositories/legacy.git"], in: scratch)
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
            log_format te '$request_method $uri te=$http_transfer_encoding auth=$http_authorization user=$http_x_forwarded_user $request_length';
            access_log \(root)/requests.log te;
            client_max_body_size 0;
            client_body_temp_path \(root)/body; proxy_temp_path \(root)/proxy; fastcgi_temp_path \(root)/fastcgi;
            uwsgi_temp_path \(root)/uwsgi; scgi_temp_path \(root)/scgi;
            server {
              listen unix:\(root)/http.sock;
              location / {
                fastcgi_pass unix:\(root)/cgi.sock;
                fastcgi_param SCRIPT_FILENAME \(git)/git-http-backend;
                fastcgi_param GIT_PROJECT_ROOT \(root)/repositories;
                fastcgi_param GIT_HTTP_EXPORT_ALL 1;
                fastcgi_param PATH_INFO $uri;
                fastcgi_param QUERY_STRING $query_string;
                fastcgi_param REQUEST_METHOD $request_method;
                fastcgi_param CONTENT_TYPE $content_type;
                fastcgi_param CONTENT_LENGTH $content_length;
                # git lets only users push that the web server vouches for: ours are vouched for by Gatehouse.
                fastcgi_param REMOTE_USER $http_x_forwarded_user;
              }
            }
          }

          """, to: "nginx.conf")
        let environment = ["HOME": root, "GIT_CONFIG_NOSYSTEM": "1"]
        wrapper = try Child("/usr/sbin/fcgiwrap", ["-c", "1", "-s", "unix:\(root)/cgi.sock"], folder: root, environment: environment)
        server = try Child("/usr/sbin/nginx", ["-p", root, "-c", scratch["nginx.conf"], "-e", scratch["nginx.log"]], folder: root)
        let scratch = self.scratch
        try eventually("nginx listens") { scratch.contains("http.sock") && scratch.contains("cgi.sock") }
      }

      /// Both are single processes here, so that nothing of them can stay behind.
      func stop() throws {
        for child in [server, wrapper] {
          child.signal(SIGKILL)
          try child.wait()
        }
      }

      var requests: String { (try? scratch.text("requests.log")) ?? "" }

      static func git(_ arguments: [String], in scratch: Scratch, through house: House? = nil) throws -> Outcome {
        let version = house?.front == .h2 ? "HTTP/2" : "HTTP/1.1"
        let environment = [
          "GIT_SSL_CAINFO": house?.scratch["ca.pem"] ?? "", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.version", "GIT_CONFIG_VALUE_0": version,
          "HOME": scratch.path, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
          "GIT_AUTHOR_NAME": "Test",
          "GIT_AUTHOR_EMAIL": "test@legacy.test", "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@legacy.test",
        ]
        return try Child.run("/usr/bin/git", arguments, folder: scratch.path, environment: environment, within: .seconds(240))
      }
    }

    @Test func cloneLargePushAndFetchWork() throws {
      let forge = try Forge()
      let password = Secrets.keep("Gitty-6-pass")
      let made = try Child.run(
        "/usr/bin/htpasswd", ["-B", "-C", "5", "-c", "-i", "users", "gina"], input: [UInt8](password.utf8), folder: forge.scratch.path)
      #expect(made.code == 0, "\(made.errors)")
      try House.with(Setup(users: try forge.scratch.text("users"), server: "unix:\(forge.socket)")) { house throws in
        let work = try Scratch()
        func git(_ arguments: String..., allowed: Bool = true) throws {
          let outcome = try Forge.git(arguments, in: work, through: house)
          #expect((outcome.code == 0) == allowed, "git \(arguments.joined(separator: " ")): \(outcome.errors)")
        }
        let base = "127.0.0.1:\(house.port)/legacy.git"
        let scheme = house.front.scheme
        let url = "\(scheme)://gina:\(password)@\(base)"
        try git("clone", "-q", "\(scheme)://\(base)", "stranger", allowed: false)
        try git("clone", "-q", "\(scheme)://gina:\(Secrets.keep("wrong-guess-8"))@\(base)", "stranger", allowed: false)
        #expect(forge.requests.isEmpty, "a stranger reached the service")

        try git("clone", "-q", url, "one")
        // 56 MB that no compression makes smaller.
        #expect(try Child.run("/bin/sh", ["-c", "head -c 56000000 /dev/urandom > one/blob"], folder: work.path).code == 0)
        try git("-C", "one", "add", "blob")
        try git("-C", "one", "commit", "-q", "-m", "large")
        try git("-C", "one", "push", "-q", "origin", "HEAD:main")
        // nginx writes its log a moment after its answer.
        try eventually("the push is in the log, chunked") {
          forge.requests.split(separator: "\n").contains { $0.hasPrefix("POST /legacy.git/git-receive-pack") && $0.contains("te=chunked") }
        }

        try git("clone", "-q", url, "two")
        #expect(try Child.run("/usr/bin/cmp", ["one/blob", "two/blob"], folder: work.path).code == 0)

        try work.write("small\n", to: "one/note")
        try git("-C", "one", "add", "note")
        try git("-C", "one", "commit", "-q", "-m", "small")
        try git("-C", "one", "push", "-q", "origin", "HEAD:main")
        try git("-C", "two", "fetch", "-q")
        try git("-C", "two", "merge", "-q", "--ff-only", "origin/main")
        #expect(try work.text("two/note") == "small\n")
        try git("-C", "two", "fsck", "--full", "--strict")

        for line in forge.requests.split(separator: "\n") { #expect(line.contains(" auth=- user=gina "), "\(line)") }
      }
      try forge.stop()
    }
  }
}
