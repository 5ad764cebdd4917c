// WebDAV through Apache's mod_dav: what COPY and MOVE name as their destination is judged, and told so that the service knows itself in it.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct WebDAV {
    /// Apache from Debian's package with mod_dav alone, on a port that was free a moment ago.
    private final class Apache {
      let port: UInt16
      let scratch: Scratch
      private let child: Child

      init() throws {
        for _ in 0..<5 {
          let scratch = try Scratch()
          var reserved: (socket: Socket, port: UInt16)? = try Socket.bind()
          guard let port = reserved?.port else { break }
          reserved = nil
          for folder in ["files", "files/mine", "files/others"] { _ = try scratch.folder(folder) }
          let root = scratch.path
          let modules = ["mpm_event", "authz_core", "dav", "dav_fs"].map { "LoadModule \($0)_module /usr/lib/apache2/modules/mod_\($0).so" }
          try scratch.write(
            """
            \(modules.joined(separator: "\n"))
            ServerName service.internal
            Listen 127.0.0.1:\(port)
            PidFile \(root)/apache.pid
            ErrorLog \(root)/apache.log
            Mutex file:\(root)
            DavLockDB \(root)/locks
            \(geteuid() == 0 ? "User www-data\nGroup www-data" : "")
            DocumentRoot \(root)/files
            <Directory \(root)/files>
              Dav On
            </Directory>

            """, to: "apache.conf")
          _ = try Child.run("/bin/chmod", ["-R", "a+rwX", root], folder: root)
          let child = try Child("/usr/sbin/apache2", ["-d", root, "-f", scratch["apache.conf"], "-DFOREGROUND"], folder: root)
          try eventually("Apache listens") { !child.isRunning || (try? Socket.connect(to: port)) != nil }
          if child.isRunning {
            (self.port, self.scratch, self.child) = (port, scratch, child)
            return
          }
          let complaint = child.errors.text + ((try? scratch.text("apache.log")) ?? "")
          guard complaint.contains("in use") else { throw Failure("Apache did not start:\n\(complaint)") }
        }
        throw Failure("no port was free for Apache")
      }

      /// Its children end with it when it is asked to.
      func stop() throws {
        child.signal(SIGTERM)
        try child.wait()
      }
    }

    @Test func copyAndMoveWorkAndStayWhereTheirRuleIs() throws {
      let apache = try Apache()
      let routes = """
        upstream dav { server http://127.0.0.1:\(apache.port) }
        route /mine/ { upstream dav; require valid-user }
        route /others/ { upstream dav; require group admin }
        """
      try House.with(Setup(more: routes)) { house throws in
        func dav(_ method: String, _ path: String, to destination: String? = nil, as person: People.Person = People.alice) throws -> Int {
          let field = destination.map { ["-H", "Destination: \($0)"] } ?? []
          let arguments = ["-u", person.pair, "-X", method] + field + [house.url + path]
          return try Curl.run(arguments, in: house.scratch).status
        }
        try house.scratch.write("text\n", to: "upload")
        #expect(try house.curl("-u", People.alice.pair, "-T", house.scratch["upload"], "/mine/a").status == 201)
        #expect(try dav("MKCOL", "/mine/folder/") == 201)
        #expect(try dav("COPY", "/mine/a", to: house.url + "/mine/b%20c") == 201)
        #expect(try dav("MOVE", "/mine/a", to: "/mine/folder/d") == 201)
        #expect(try house.curl("-u", People.alice.pair, "/mine/b%20c").text == "text\n")
        #expect(try house.curl("-u", People.alice.pair, "/mine/folder/d").text == "text\n" && house.curl("-u", People.alice.pair, "/mine/a").status == 404)
        // A rule about a folder is one for who writes into it from another.
        for destination in [house.url + "/others/x", "/others/x", "/mine/../others/x", house.url + "/mine/%2e%2e/others/x", "/x"] {
          #expect(try dav("COPY", "/mine/b%20c", to: destination) == 403, "\(destination)")
        }
        #expect(try dav("COPY", "/mine/b%20c", to: "\(house.front.scheme)://elsewhere.test/mine/x") == 502)
        #expect(try FileManager.default.contentsOfDirectory(atPath: apache.scratch["files/others"]).isEmpty)
      }
      try apache.stop()
    }

    /// The page docs/recipes/webdav.md, with Apache as the service.
    @Test func readersReadAndWritersWrite() throws {
      let apache = try Apache()
      let recipe = try Recipe("webdav").text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(apache.port)", "group writers": "group admin"])
      try House.with(Setup(path: "/unused/", more: recipe)) { house throws in
        func dav(_ method: String, _ path: String, _ fields: String..., as person: People.Person) throws -> Int {
          let arguments = ["-u", person.pair, "-X", method] + fields.flatMap { ["-H", $0] }
          return try Curl.run(arguments + (method == "PUT" ? ["-d", "text"] : []) + [house.url + path], in: house.scratch).status
        }
        let writer = People.bob
        #expect(try dav("PUT", "/mine/a", as: writer) == 201 && dav("MKCOL", "/mine/folder/", as: writer) == 201)
        #expect(try dav("MOVE", "/mine/a", "Destination: \(house.url)/mine/b", as: writer) == 201)
        let reader = People.alice
        for (method, path, fields, status) in [
          ("GET", "/mine/b", "Accept: */*", 200), ("PROPFIND", "/mine/", "Depth: 1", 207), ("OPTIONS", "/mine/", "Accept: */*", 200),
          ("PUT", "/mine/c", "Accept: */*", 403), ("DELETE", "/mine/b", "Accept: */*", 403), ("MKCOL", "/mine/d/", "Accept: */*", 403),
          ("MOVE", "/mine/b", "Destination: /mine/e", 403), ("COPY", "/mine/b", "Destination: \(house.url)/mine/e", 403), ("LOCK", "/mine/b", "Depth: 0", 403),
          ("PROPPATCH", "/mine/b", "Depth: 0", 403), ("POST", "/mine/b", "X-HTTP-Method-Override: DELETE", 403),
        ] {
          #expect(try dav(method, path, fields, as: reader) == status, "\(method) \(path)")
        }
        // A method that is allowed, and another's name in a field.
        #expect(try dav("GET", "/mine/b", "X-HTTP-Method-Override: DELETE", as: reader) == 200)
        #expect(try FileManager.default.contentsOfDirectory(atPath: apache.scratch["files/mine"]).sorted() == ["b", "folder"])
      }
      try apache.stop()
    }

    /// nginx holds the host of a destination against its own, and knows nothing of the prefix.
    @Test func aDestinationIsToldWithoutThePrefix() throws {
      let files = try Scratch()
      _ = try files.folder("files")
      let nginx = try FrontServer.nginx("    location / { root \(files.path)/files; dav_methods PUT COPY MOVE; create_full_put_path on; }")
      let route = "upstream dav { server \(nginx.url) }\nroute /dav/ { upstream dav; require valid-user; strip_prefix on; host service.internal:8080 }"
      try House.with(Setup(more: route)) { house throws in
        try house.scratch.write("text\n", to: "upload")
        #expect(try house.curl("-u", People.alice.pair, "-T", house.scratch["upload"], "/dav/a/b").status == 201)
        let moved = try house.curl("-u", People.alice.pair, "-X", "MOVE", "-H", "Destination: \(house.url)/dav/a/c", "/dav/a/b")
        #expect(moved.status == 204, "\(moved.heads) \(nginx.complaints)")
        #expect(try house.curl("-u", People.alice.pair, "/dav/a/c").text == "text\n")
        #expect(try files.text("files/a/c") == "text\n")
      }
      try nginx.stop()
    }
  }
}
