// Names that nobody ever resolves: lookups run on threads of libcurl's, and nobody else waits for one of these, not at the end either.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct SlowNames {
    /// Stands before the C library's: a lookup of this name never ends, and leaves a byte in a file when it begins.
    private static let lookup = """
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <fcntl.h>
      #include <netdb.h>
      #include <stdlib.h>
      #include <string.h>
      #include <unistd.h>
      int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
        if (name != NULL && strcmp(name, "slow.test") == 0) {
          int file = open(getenv("SLOW_NAMES"), O_WRONLY | O_CREAT | O_APPEND, 0600);
          if (write(file, "x", 1) == 1) for (;;) pause();
        }
        int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
        return next(name, service, hints, result);
      }
      """

    /// The compiler is the toolchain's, which stands beside `swift`.
    private func library(in scratch: Scratch) throws -> String {
      try scratch.write(Self.lookup, to: "lookup.c")
      let outcome = try Child.run(
        "/usr/bin/env", ["clang", "-shared", "-fPIC", "-o", "lookup.so", "lookup.c", "-ldl"], folder: scratch.path,
        environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"])
      #expect(outcome.code == 0, "\(outcome.errors)")
      return scratch["lookup.so"]
    }

    @Test func aNameThatIsNeverResolvedHoldsNobodyUp() throws {
      let place = try Scratch()
      let more = """
        upstream slow { server http://slow.test:9; engine \(Engines.current); connect_timeout 20s }
        route /slow { upstream slow; require nobody }
        upstream checked { server http://slow.test:9; health GET / every 200ms timeout 100ms fall 1 }
        route /checked { upstream checked; require nobody }
        """
      let environment = ["LD_PRELOAD": try library(in: place), "SLOW_NAMES": place["lookups"]]
      func lookups() -> Int { (try? place.bytes("lookups").count) ?? 0 }
      try House.with(Setup(top: "drain_timeout 200ms", path: "/legacy", more: more, environment: environment)) { house throws in
        // The prober goes on, though one lookup of its doesn't.
        try eventually("the check has failed") { house.gate.child.errors.text.contains("health check failed") }
        #expect(try house.ask("GET", "/checked").status == 503)
        let before = lookups()
        #expect(before > 0)
        let leaves = try house.client()
        try leaves.send(request("GET", "/slow"))
        try eventually("a lookup") { lookups() > before }
        #expect(try house.ask("GET", "/legacy", [People.alice.authorization]).status == 200)
        leaves.abort()
        _ = try house.accessLines(3)
        #expect(try house.ask("GET", "/legacy", [People.alice.authorization]).status == 200)
        // Who still waits for it doesn't hold the end up either: the house sees that it comes.
        let stays = try house.client()
        try stays.send(request("GET", "/slow"))
        let now = lookups()
        try eventually("another lookup") { lookups() > now || lookups() > before + 1 }
        try house.gate.stop()
      }
    }
  }
}
