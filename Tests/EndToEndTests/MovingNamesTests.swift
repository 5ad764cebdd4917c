// Names whose address changes while we run (a container that is started anew, a service that fails over by DNS): they are followed, and no request is lost.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText, .byEachEngine) struct MovingNames {
    /// Stands before the C library's: `moving.test` is the address that stands in a file.
    private static let lookup = """
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <netdb.h>
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
        int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
        char address[64] = "";
        if (name != NULL && strcmp(name, "moving.test") == 0) {
          FILE *file = fopen(getenv("MOVING_NAME"), "r");
          if (file == NULL || fscanf(file, "%63s", address) != 1) return EAI_AGAIN;
          fclose(file);
          name = address;
        }
        return next(name, service, hints, result);
      }
      """

    private func library(in scratch: Scratch) throws -> String {
      try scratch.write(Self.lookup, to: "lookup.c")
      let outcome = try Child.run(
        "/usr/bin/env", ["clang", "-shared", "-fPIC", "-o", "lookup.so", "lookup.c", "-ldl"], folder: scratch.path,
        environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"])
      #expect(outcome.code == 0, "\(outcome.errors)")
      return scratch["lookup.so"]
    }

    /// The same port at another address of this machine's, answering with `second`.
    private static let second = """
      import http.server
      class Second(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *arguments): pass
        def do_GET(self):
          self.send_response(200)
          self.send_header("Content-Length", "6")
          self.end_headers()
          self.wfile.write(b"second")
      server = http.server.ThreadingHTTPServer(("127.0.0.2", int(sys.argv[1])), Second)
      say(server.server_port)
      server.serve_forever()
      """

    /// On a port that was free at both addresses.
    private func services() throws -> (RecordingUpstream, PythonService) {
      for _ in 0..<5 {
        let first = try RecordingUpstream(Answer.always(Answer.text("first")))
        if let second = try? PythonService(Self.second, ["\(first.port)"]) { return (first, second) }
        try first.stop()
      }
      throw Failure("no port was free at two addresses")
    }

    @Test func aNameThatMovesIsFollowed() throws {
      let place = try Scratch()
      let (first, second) = try services()
      try place.write("127.0.0.1\n", to: "address")
      let more = """
        upstream moving { server http://moving.test:\(first.port); engine \(Engines.current); keepalive_timeout 60s; resolve 1s }
        route /moving { upstream moving; require valid-user }
        """
      let environment = ["LD_PRELOAD": try library(in: place), "MOVING_NAME": place["address"]]
      try House.with(Setup(upstream: "keepalive_timeout 60s\nresolve 1s", more: more, environment: environment)) { house throws in
        func ask(_ path: String) throws -> String {
          let answer = try house.ask("GET", path, [People.alice.authorization])
          return answer.status == 200 ? answer.text : "\(answer.status)"
        }
        #expect(try ask("/") == "hello" && ask("/moving") == "first")
        try eventually("a connection is used again while its name is fresh") {
          let before = first.connections.count
          let answer = try ask("/moving")
          #expect(answer == "first")
          return first.connections.count == before
        }
        // Whole at any moment.
        try place.replace("address", with: "127.0.0.2\n")
        // The connection that is kept would do for a minute; but it leads to where the name was.
        try eventually("it is followed") {
          let answer = try ask("/moving")
          #expect(["first", "second"].contains(answer))
          return answer == "second"
        }
        #expect(try (0..<3).allSatisfy { _ in try ask("/moving") == "second" })
        // An address has no name that could move. (libcurl's own transfers close what others keep too, when they look for what is too old.)
        #expect(try ask("/") == "hello" && (house.upstream.connections.count == 1 || Engines.current == "libcurl"))
      }
      try first.stop()
      try second.stop()
    }
  }
}
