// Apache from Debian's package as the service behind: it asks for a login by a scheme of its own, keeps what is PUT (mod_dav), and writes down who came.

import Foundation

final class Apache {
  let server: FrontServer
  var port: UInt16 { server.port }

  /// - Parameters:
  ///   - modules: beside those that every one has.
  ///   - location: directives about all paths: how and for whom it asks.
  ///   - files: written beside its configuration; readable for its user.
  ///   - environment: of the process.
  init(modules: [String], location: String, files: [String: String] = [:], environment: [String: String] = [:]) throws {
    server = try FrontServer { port, scratch in
      let root = scratch.path
      for (name, text) in files { try scratch.write(text, to: name, mode: 0o644) }
      _ = try scratch.folder("www")
      try scratch.write("hello", to: "www/index.html", mode: 0o644)
      _ = unsafe chmod(scratch["www"], 0o777)
      // Where mod_dav_fs keeps its locks.
      _ = try scratch.folder("dav")
      _ = unsafe chmod(scratch["dav"], 0o777)
      let all = ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "dir", "dav", "dav_fs"] + modules
      let loads = all.map { "LoadModule \($0)_module /usr/lib/apache2/modules/mod_\($0).so" }.joined(separator: "\n")
      try scratch.write(
        """
        ServerRoot \(root)
        ServerName localhost
        Listen 127.0.0.1:\(port)
        PidFile \(root)/apache.pid
        ErrorLog \(root)/error.log
        DefaultRuntimeDir \(root)
        \(loads)
        \(geteuid() == 0 ? "User www-data\nGroup www-data" : "")
        LogFormat "%u\\t%>s\\t%m\\t%U%q\\t%X\\t%k" who
        CustomLog \(root)/who.log who
        DocumentRoot \(root)/www
        DirectoryIndex index.html
        DavLockDB \(root)/dav/lock
        <Directory \(root)/www>
          Dav On
        \(location.replacingOccurrences(of: "$ROOT", with: root))
        </Directory>

        """, to: "apache.conf", mode: 0o644)
      return try Child("/usr/sbin/apache2", ["-X", "-d", root, "-f", scratch["apache.conf"]], folder: root, environment: environment)
    }
  }

  func stop() throws { try server.stop() }

  /// What was PUT as `name`.
  func kept(_ name: String) throws -> [UInt8] { try server.scratch.bytes("www/\(name)") }

  /// A line for each request: who it was for Apache, the status, method, target, how the connection went on, and how many there had been on it.
  var visits: [[String]] {
    ((try? server.scratch.text("who.log")) ?? "").split(separator: "\n").map { $0.split(separator: "\t").map(String.init) }
  }

  var complaints: String { (try? server.scratch.text("error.log")) ?? "" }
}
