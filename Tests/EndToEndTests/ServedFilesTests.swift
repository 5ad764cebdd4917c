// Files of a folder: what is served, in which parts, and every way that should not lead out of it.

import Foundation
import Glibc
import Testing

extension EndToEnd {
  @Suite(.serialized) struct ServedFiles {
    private let auth = People.alice.authorization
    private static let route = "route /site { root public; require nobody }"

    private static func with(_ more: String = route, _ body: (House) throws -> Void) throws {
      try House.with(Setup(path: "/legacy", more: more.replacingOccurrences(of: "root public", with: "root \(folder.path)"))) { house throws in
        try body(house)
        #expect(house.upstream.connections.isEmpty)
      }
    }

    /// Laid out once: tests only look at it.
    private static let folder: Scratch = {
      guard let scratch = try? Scratch() else { preconditionFailure("no scratch folder") }
      _ = try? scratch.folder("site")
      _ = try? scratch.folder("site/deep")
      _ = try? scratch.folder("site/bare")
      _ = try? scratch.folder("site/.git")
      _ = try? scratch.write("<h1>Welcome</h1>", to: "site/index.html", mode: 0o644)
      _ = try? scratch.write("0123456789", to: "site/ten.txt", mode: 0o644)
      _ = try? scratch.write("deep", to: "site/deep/index.html", mode: 0o644)
      _ = try? scratch.write("a b", to: "site/a b.css", mode: 0o644)
      _ = try? scratch.write("secret", to: "site/.htpasswd", mode: 0o644)
      _ = try? scratch.write("secret", to: "site/.git/config", mode: 0o644)
      _ = try? scratch.write("secret", to: "outside.txt", mode: 0o644)
      _ = try? scratch.write([UInt8](repeating: 0x78, count: 3 << 20), to: "site/big.bin", mode: 0o644)
      let links = [
        ("within.txt", "ten.txt"), ("out.txt", "../../\(URL(fileURLWithPath: scratch.path).lastPathComponent)/outside.txt"),
        ("absolute.txt", scratch["outside.txt"]), ("passwd", "/etc/passwd"), ("environ", "/proc/self/environ"), ("self", "/proc/self/fd/0"),
        ("up", ".."), ("null", "/dev/null"), ("loop", "loop"),
      ]
      for (name, target) in links { _ = unsafe symlink(target, scratch["site/\(name)"]) }
      _ = unsafe mkfifo(scratch["site/fifo"], 0o644)
      return scratch
    }()

    @Test(.byEachFront) func filesAreServedWithTheirTypes() throws {
      try Self.with { house throws in
        let page = try house.ask("GET", "/site/")
        #expect(page.status == 200 && page.text == "<h1>Welcome</h1>" && page["Content-Type"] == "text/html; charset=utf-8")
        #expect(page["Last-Modified"] != nil && page["ETag"]?.hasPrefix("\"") == true && page["X-Content-Type-Options"] == "nosniff")
        #expect(try house.ask("GET", "/site/index.html?v=1").text == "<h1>Welcome</h1>")
        let style = try house.ask("GET", "/site/a%20b.css")
        #expect(style.text == "a b" && style["Content-Type"] == "text/css; charset=utf-8")
        #expect(try house.ask("GET", "/site/within.txt").text == "0123456789")
        let head = try house.ask("HEAD", "/site/ten.txt")
        #expect(head.status == 200 && head["Content-Length"] == "10" && head.body.isEmpty)
        let post = try house.ask("POST", "/site/ten.txt", ["Content-Length: 1"], body: "x")
        #expect(post.status == 405 && post["Allow"] == "GET, HEAD")
        let folder = try house.ask("GET", "/site/deep?x=1")
        #expect(folder.status == 301 && folder["Location"] == "/site/deep/?x=1")
        #expect(try house.ask("GET", "/site/deep/").text == "deep")
        #expect(try house.ask("GET", "/site")["Location"] == "/site/")
        // No listing.
        #expect(try house.ask("GET", "/site/bare/").status == 404)
        #expect(try house.ask("GET", "/site/none.txt").status == 404)
      }
    }

    @Test(.byEachFront) func aLargeFileArrivesWhole() throws {
      try Self.with { house throws in
        let answer = try house.ask("GET", "/site/big.bin")
        #expect(answer.body.count == 3 << 20 && answer.body.allSatisfy { $0 == 0x78 })
        let curl = try house.curl("/site/big.bin")
        #expect(curl.status == 200 && curl.body.count == 3 << 20)
      }
    }

    @Test func aClientThatDoesNotReadHoldsLittle() throws {
      try Self.with { house throws in
        #expect(try house.ask("GET", "/site/ten.txt").status == 200)
        let before = try house.gate.child.peakMemory()
        let clients = try (0..<20).map { _ in try house.client() }
        for client in clients {
          try client.send(request("GET", "/site/big.bin"))
        }
        // Others are served meanwhile.
        #expect(try house.ask("GET", "/site/ten.txt").text == "0123456789")
        for client in clients { #expect(try client.response()?.body.count == 3 << 20) }
        #expect(try house.gate.child.peakMemory() - before < 16 * 1024)
      }
    }

    @Test func whatHasNotChangedIsNotSentAgain() throws {
      try Self.with { house throws in
        let first = try house.ask("GET", "/site/ten.txt")
        let (tag, date) = (try #require(first["ETag"]), try #require(first["Last-Modified"]))
        let client = try house.client()
        for field in [
          "If-None-Match: \(tag)", "If-None-Match: W/\(tag)", "If-None-Match: \"x\", \(tag)", "If-None-Match: *", "If-Modified-Since: \(date)",
        ] {
          let answer = try client.exchange(request("GET", "/site/ten.txt", [field]))
          #expect(answer.status == 304 && answer.body.isEmpty && answer["ETag"] == tag, "\(field)")
        }
        for fields in [
          ["If-None-Match: \"x\""], ["If-None-Match: \"x\"", "If-Modified-Since: \(date)"], ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"],
          ["If-None-Match: \(tag.dropLast())"], ["If-None-Match: ,,\""],
        ] {
          #expect(try client.exchange(request("GET", "/site/ten.txt", fields)).text == "0123456789", "\(fields)")
        }
      }
    }

    @Test(.byEachFront) func oneRangeIsAnsweredInPart() throws {
      try Self.with { house throws in
        for (range, text, told) in [
          ("bytes=0-3", "0123", "0-3"), ("bytes=4-", "456789", "4-9"), ("bytes=-2", "89", "8-9"), ("bytes=8-99999999999999999999", "89", "8-9"),
          ("bytes=-100", "0123456789", "0-9"),
        ] {
          let part = try house.ask("GET", "/site/ten.txt", ["Range: \(range)"])
          #expect(part.status == 206 && part.text == text && part["Content-Range"] == "bytes \(told)/10", "\(range)")
        }
        for range in ["bytes=0-1,3-4", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=3-1", "bytes=1-2x"] {
          #expect(try house.ask("GET", "/site/ten.txt", ["Range: \(range)"]).status == 200, "\(range)")
        }
        for range in ["bytes=10-", "bytes=99999999999999999999-", "bytes=-0"] {
          let none = try house.ask("GET", "/site/ten.txt", ["Range: \(range)"])
          #expect(none.status == 416 && none["Content-Range"] == "bytes */10" && none.body.isEmpty, "\(range)")
        }
        let tag = try #require(try house.ask("GET", "/site/ten.txt")["ETag"])
        #expect(try house.ask("GET", "/site/ten.txt", ["Range: bytes=1-1", "If-Range: \(tag)"]).text == "1")
        #expect(try house.ask("GET", "/site/ten.txt", ["Range: bytes=1-1", "If-Range: \"other\""]).text == "0123456789")
      }
    }

    @Test func filesPassTheGatekeeper() throws {
      try Self.with("route /site { root public; require valid-user }") { house throws in
        #expect(try house.ask("GET", "/site/ten.txt").status == 401)
        #expect(try house.ask("GET", "/site/none.txt").status == 401)
        let answer = try house.ask("GET", "/site/ten.txt", [auth])
        #expect(answer.text == "0123456789" && answer["Cache-Control"] == "private, no-cache")
      }
    }

    @Test(.byEachFront) func noPathLeadsOutOfTheFolder() throws {
      try Self.with("route / { root public; require nobody }") { house throws in
        #expect(try house.ask("GET", "/site/ten.txt").status == 200)
        for path in [
          "/outside.txt/../../etc/passwd", "/../etc/passwd", "/site/../../etc/passwd", "/site/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
          "/site/..%2f..%2fetc/passwd",
          "/site/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/site/..%5c..%5cetc/passwd", "/site/..;/..;/etc/passwd", "/site/%252e%252e/%252e%252e/etc/passwd",
          "/site/....//....//etc/passwd", "/site/.%2e/.%2e/etc/passwd", "/site//etc/passwd", "//etc/passwd", "/site/%2fetc%2fpasswd",
          "/site/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd", "/site/ten.txt%00.html", "/site/ten.txt%00", "/site/ten.txt/", "/site/up/outside.txt",
          "/site/up/up/up/etc/passwd", "/site/out.txt", "/site/absolute.txt", "/site/passwd", "/site/environ", "/site/self", "/site/null", "/site/loop",
          "/site/.htpasswd", "/site/%2ehtpasswd", "/site/.git/config", "/site/%2Egit/config", "/site/deep/../.htpasswd",
          "/site/" + String(repeating: "a", count: 300), "/site/" + String(repeating: "a/", count: 2000),
        ] {
          let answer = try house.ask("GET", path)
          let leads = path == "/site/up/outside.txt"
          #expect([400, 404].contains(answer.status) || leads && answer.status == 200, "\(path): \(answer.status)")
          #expect(!answer.text.contains("root:") && (leads || !answer.text.contains("secret")) && !answer.text.contains("PATH="), "\(path)")
        }
      }
      // Of a folder further in, the link up leads out.
      let inner = ["/deep", "/up", "/out.txt"].map { "route \($0) { root \(Self.folder["site"]); require nobody }" }
      try House.with(Setup(path: "/legacy", more: inner.joined(separator: "\n"))) { house throws in
        #expect(try house.ask("GET", "/deep/").text == "deep")
        #expect(try house.ask("GET", "/up/outside.txt").status == 404)
        #expect(try house.ask("GET", "/out.txt").status == 404)
      }
    }

    @Test func pipesAndDevicesAreNotOpened() throws {
      try Self.with { house throws in
        // One that were opened would wait for a writer, and everybody with it.
        for path in ["/site/fifo", "/site/null"] { #expect(try house.ask("GET", path).status == 404) }
        let reader = unsafe open(Self.folder["site/fifo"], O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        #expect(reader < 0 && errno == ENXIO, "somebody has the pipe open")
        if reader >= 0 { close(reader) }
      }
    }

    @Test func aFileThatShrinksIsVisiblyUnfinished() throws {
      let place = try Scratch()
      // Far more than the kernel takes for a client that does not read.
      let size = 64 << 20
      try place.write([UInt8](repeating: 0x78, count: size), to: "shrinks.bin", mode: 0o644)
      try House.with(Setup(path: "/legacy", more: "route / { root \(place.path); require nobody }")) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/shrinks.bin"))
        #expect(try client.head()?["Content-Length"] == "\(size)")
        try place.write("short", to: "shrinks.bin", mode: 0o644)
        #expect(try client.rest().count < size)
        #expect(try house.ask("GET", "/shrinks.bin").text == "short")
      }
    }

    @Test func aFileHasToBeTakenInTheRoutesTime() throws {
      try Self.with("route /site { root public; require nobody; total_timeout 300ms; bandwidth 64k; max_inflight 1 }") { house throws in
        let client = try house.client()
        try client.send(request("GET", "/site/big.bin"))
        #expect(try client.head()?["Content-Length"] == "\(3 << 20)")
        #expect(try house.ask("GET", "/site/ten.txt").status == 429)
        #expect(try client.rest().count < 1 << 20)
        try eventually("a place") { try house.ask("GET", "/site/ten.txt").status == 200 }
      }
    }

    @Test func theRecipeOfALandingPageServesIt() throws {
      let service = try RecordingUpstream(Answer.hello)
      let recipe = try Recipe("landing-page").text(replacing: ["/srv/landing": Self.folder["site"], "10.0.0.5:8080": "127.0.0.1:\(service.port)"])
      try House.with(Setup(path: "/legacy", more: recipe)) { house throws in
        #expect(try house.ask("GET", "/").text == "<h1>Welcome</h1>")
        #expect(try house.ask("GET", "/ten.txt").text == "0123456789")
        #expect(try house.ask("GET", "/app/").status == 401)
        #expect(try house.ask("GET", "/app/", [auth]).text == "hello")
        #expect(try house.ask("GET", "/old/x?y=1")["Location"] == "/app/old/x?y=1")
      }
      try service.stop()
    }
  }
}
