// Files that other protocols keep, asked for by HTTP: what a client gets, by each of the real servers, and what it can't be made to get.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct FileServer {
    /// A house in which `/files/` is the service's folder of that name.
    private func with(_ kind: FileProtocol, isWritable: Bool = false, _ work: (House, FileService) throws -> Void) throws {
      let service = try FileService(kind, isWritable: isWritable)
      try House.with(Setup(more: "upstream nas {\n\(service.lines)\n}\nroute /files/ { upstream nas; require valid-user }")) { house throws in
        try work(house, service)
      }
      try service.stop()
    }

    private func get(_ house: House, _ arguments: String..., at path: String) throws -> CurlAnswer {
      try Curl.run(["-u", People.alice.pair, "--path-as-is"] + arguments + [house.url + path], in: house.scratch)
    }

    @Test(arguments: FileProtocol.allCases) func filesAreServed(_ kind: FileProtocol) throws {
      try with(kind) { house, service throws in
        let whole = try get(house, at: "/files/a.txt")
        #expect(whole.status == 200 && whole.text == "hello\n")
        #expect(whole.final["content-type"] == "text/plain; charset=utf-8" && whole.final["content-length"] == "6")
        #expect(whole.final["accept-ranges"] == "bytes" && whole.final["x-content-type-options"] == "nosniff")
        let date = try #require(whole.final["last-modified"])
        let client = try house.client()
        try client.send(request("HEAD", "/files/big.bin", [People.alice.authorization]))
        let head = try client.response(to: "HEAD")
        #expect(head?.status == 200 && head?["content-length"] == "1000001")
        // And nothing behind it.
        #expect(try client.exchange(request("GET", "/files/a.txt", [People.alice.authorization])).text == "hello\n")
        let big = try service.scratch.bytes("root/files/big.bin")
        #expect(try get(house, at: "/files/big.bin").body == big)
        #expect(try get(house, at: "/files/empty.txt").status == 200)
        #expect(try get(house, at: "/files/a%20%26%20%3Cb%3E%20%22c%22.html").text == "<p>")

        let part = try get(house, "-r", "1-3", at: "/files/a.txt")
        #expect(part.status == 206 && part.text == "ell" && part.final["content-range"] == "bytes 1-3/6")
        #expect(try get(house, "-r", "-2", at: "/files/a.txt").text == "o\n")
        let beyond = try get(house, "-r", "6-", at: "/files/a.txt")
        #expect(beyond.status == 416 && beyond.final["content-range"] == "bytes */6")
        #expect(try get(house, "-r", "0-0", "-H", "If-Range: Sat, 01 Jan 2000 00:00:00 GMT", at: "/files/a.txt").text == "hello\n")
        #expect(try get(house, "-H", "If-Modified-Since: \(date)", at: "/files/a.txt").status == 304)

        #expect(try get(house, at: "/files/none").status == 404)
        #expect(try get(house, at: "/files/none/").status == 404)
        #expect(try get(house, at: "/files/a.txt/").status == 404)
        #expect(try house.curl("/files/a.txt").status == 401)
      }
    }

    @Test(arguments: FileProtocol.allCases) func foldersAreListed(_ kind: FileProtocol) throws {
      try with(kind) { house, _ throws in
        for method in ["GET", "HEAD"] {
          let redirect = try get(house, method == "HEAD" ? "-I" : "-g", at: "/files/sub")
          #expect(redirect.status == 301 && redirect.final["location"] == "sub/")
        }
        let page = try get(house, at: "/files/")
        #expect(page.final["content-type"] == "text/html; charset=utf-8")
        #expect(page.final["content-security-policy"]?.contains("default-src 'none'") == true)
        #expect(page.text.contains("<a href=\"a%20%26%20%3Cb%3E%20%22c%22.html\">a &amp; &lt;b&gt; &quot;c&quot;.html</a>"))
        #expect(page.text.contains("<a href=\"sub/\">sub/</a>") && !page.text.contains("secret"))
        let list = try get(house, "-H", "Accept: application/json", at: "/files/")
        let entries = try #require(try JSONSerialization.jsonObject(with: Data(list.body)) as? [[String: Any]])
        #expect(entries.map { $0["name"] as? String } == ["sub", "a & <b> \"c\".html", "a.txt", "big.bin", "empty.txt"])
        #expect(entries.map { $0["type"] as? String } == ["folder", "file", "file", "file", "file"])
        #expect(entries[3]["size"] as? Int == 1_000_001 && entries[3]["modified"] is String)
      }
    }

    @Test(arguments: [FileProtocol.ftp, .sftp, .file]) func writingIsServedWhereItIsAllowed(_ kind: FileProtocol) throws {
      try with(kind, isWritable: true) { house, service throws in
        func put(_ text: String, _ fields: String..., at path: String) throws -> Int {
          try Curl.run(["-u", People.alice.pair, "-T", "-"] + fields.flatMap { ["-H", $0] } + [house.url + path], input: [UInt8](text.utf8), in: house.scratch)
            .status
        }
        #expect(try put("one", at: "/files/new.txt") == 201)
        #expect(try service.scratch.text("root/files/new.txt") == "one")
        #expect(try put("two!", at: "/files/new.txt") == 204)
        #expect(try service.scratch.text("root/files/new.txt") == "two!")
        #expect(try put("three", "If-None-Match: *", at: "/files/new.txt") == 412)
        #expect(try put("three", "Content-Range: bytes 0-4/9", at: "/files/new.txt") == 400)
        #expect(try put("x", at: "/files/none/x") == 409)
        #expect(try put("x", at: "/files/sub") == 409)
        #expect(try put("x", at: "/files/.profile") == 404)
        #expect(try get(house, "-X", "MKCOL", at: "/files/made").status == 201)
        #expect(try get(house, "-X", "MKCOL", at: "/files/made").status == 405)
        #expect(try get(house, "-X", "DELETE", at: "/files/made/").status == 204)
        #expect(try get(house, "-X", "DELETE", at: "/files/new.txt").status == 204)
        #expect(try get(house, "-X", "DELETE", at: "/files/new.txt").status == 404)
        // Nothing half is left lying about.
        #expect(try FileManager.default.contentsOfDirectory(atPath: service.scratch["root/files"]).count == 6)
      }
    }

    @Test(arguments: [FileProtocol.ftp, .sftp, .file]) func anUploadThatBreaksOffLeavesTheOldFile(_ kind: FileProtocol) throws {
      try with(kind, isWritable: true) { house, service throws in
        func isUnderWay() throws -> Bool {
          try FileManager.default.contentsOfDirectory(atPath: service.scratch["root/files"]).contains { $0.hasPrefix(".gatehouse-") }
        }
        do {
          let client = try house.client()
          try client.send(request("PUT", "/files/a.txt", [People.alice.authorization, "Content-Length: 1000000"]))
          try client.send([UInt8](repeating: 65, count: 100_000))
          try eventually("the upload has begun") { try isUnderWay() }
        }
        try eventually("what came of it is gone") { try !isUnderWay() }
        #expect(try service.scratch.text("root/files/a.txt") == "hello\n")
      }
    }

    @Test(arguments: FileProtocol.allCases) func withoutWritableNothingIsWritten(_ kind: FileProtocol) throws {
      try with(kind) { house, service throws in
        for method in ["PUT", "DELETE", "MKCOL", "POST", "PATCH", "PROPFIND"] {
          let answer = try get(house, "-X", method, at: "/files/a.txt")
          #expect(answer.status == 405 && answer.final["allow"] == "GET, HEAD, OPTIONS")
        }
        #expect(try get(house, "-X", "GET", "-d", "body", at: "/files/a.txt").status == 400)
        #expect(try service.scratch.text("root/files/a.txt") == "hello\n")
      }
    }

    /// Each of these either leads out of the root, ends a command of FTP's, or chooses how it is read.
    @Test(arguments: FileProtocol.allCases) func noSpellingLeadsOut(_ kind: FileProtocol) throws {
      try with(kind) { house, _ throws in
        let spellings = [
          "/files/../../outside.txt", "/files/%2e%2e/%2e%2e/outside.txt", "/files/..%2f..%2foutside.txt", "/files/%2e%2e%5c..%5coutside.txt",
          "/files/..\\..\\outside.txt", "/files/sub/.%2e/.%2e/../outside.txt", "/files//a.txt", "/files/....//outside.txt",
          "/files/%252e%252e/%252e%252e/outside.txt", "/files/a.txt%0d%0aDELE%20a.txt", "/files/a.txt%0aDELE%20a.txt", "/files/a.txt%00.html",
          "/files/a.txt;type=a", "/files/a.txt;TYPE=d", "/files/a.txt%3btype=i", "/files/a.txt;mode=octet", "/files/~root/", "/files/~", "/files/.secret",
          "/files/%2e%73ecret", "/files/sub/%c0%ae%c0%ae/.secret", "/files/@127.0.0.1/etc/passwd", "/files/%2f/etc/passwd", "/files/C:/a.txt",
        ]
        for spelling in spellings {
          let answer = try get(house, "-g", at: spelling)
          #expect([400, 404].contains(answer.status) && !answer.text.contains("secret") && !answer.text.contains("hello"), "\(spelling): \(answer.status)")
        }
        // And in the raw spelling of an absolute target, with somebody else's host and user in it.
        let raw = try house.client().exchange(request("GET", "ftp://root:x@127.0.0.1:21/files/a.txt", [People.alice.authorization]))
        #expect(raw.status == 400)
      }
    }

    /// A PUT that waits for a server with room takes its body along, and one whose server failed goes to no other with a part of it.
    @Test func anUploadThatHadToWaitIsWhole() throws {
      let service = try FileService(.file, isWritable: true)
      let more = "upstream nas {\n\(service.lines) max_connections 1\nqueue 10 10s\n}\nroute /files/ { upstream nas; require valid-user }"
      let lines = more.replacingOccurrences(of: "\nwritable on max_connections 1", with: " max_connections 1\nwritable on")
      try House.with(Setup(more: lines)) { house throws in
        let (first, second) = (try house.client(), try house.client())
        try first.send(request("PUT", "/files/one", [People.alice.authorization, "Content-Length: 3"]))
        try first.send("1")
        try second.send(request("PUT", "/files/two", [People.alice.authorization, "Content-Length: 6"]))
        try second.send("second")
        try first.send("23")
        #expect(try first.response()?.status == 201)
        #expect(try second.response()?.status == 201)
        #expect(try service.scratch.text("root/files/one") == "123")
        #expect(try service.scratch.text("root/files/two") == "second")
      }
      try service.stop()
    }

    @Test func aPathThatIsForwardedRawIsJudgedAllTheSame() throws {
      let service = try FileService(.file)
      let more = "upstream nas {\n\(service.lines)\n}\nroute /files/ { upstream nas; require valid-user; path raw }"
      try House.with(Setup(more: more)) { house throws in
        for spelling in ["/files/..%2f..%2foutside.txt", "/files/..%5coutside.txt", "/files/a.txt%00", "/files//a.txt", "/files/%zz"] {
          #expect(try get(house, at: spelling).status == 400, "\(spelling)")
        }
      }
      try service.stop()
    }

    @Test func linksOfAFolderDoNotLeadOutOfIt() throws {
      try with(.file, isWritable: true) { house, service throws in
        let root = service.scratch["root/files"]
        for (name, target) in [("passwd", "/etc/passwd"), ("up", "../.."), ("self", "/proc/self/root"), ("inside", "a.txt"), ("loop", "loop")] {
          try FileManager.default.createSymbolicLink(atPath: root + "/" + name, withDestinationPath: target)
        }
        #expect(try Child.run("/usr/bin/mkfifo", [root + "/pipe"], folder: root).code == 0)
        for path in ["passwd", "up/outside.txt", "self/etc/passwd", "loop", "pipe", "up/", "self/"] {
          #expect(try get(house, at: "/files/" + path).status == 404, "\(path)")
        }
        #expect(try get(house, at: "/files/inside").text == "hello\n")
        #expect(try get(house, "-X", "DELETE", at: "/files/up/outside.txt").status == 404)
        #expect(try get(house, "-X", "PUT", "-d", "x", at: "/files/up/new.txt").status == 409)
        #expect(try get(house, "-X", "PUT", "-d", "x", at: "/files/passwd").status == 201)
        #expect(try service.scratch.text("root/files/passwd") == "x")
        #expect(try service.scratch.text("outside.txt") == "top secret\n")
        let page = try get(house, at: "/files/").text
        #expect(page.contains("inside") && !page.contains("up/") && !page.contains("self") && !page.contains("pipe"))
      }
    }

    @Test func theRecipesWorkAsTheyStandThere() throws {
      let ftp = try FileService(.ftp)
      let port = try #require(ftp.lines.firstMatch(of: /ftp:\/\/127.0.0.1:(\d+)/).map { String($0.1) })
      try House.with(Setup(more: Recipe("ftp").text(replacing: ["10.0.0.5:21/pub": "127.0.0.1:\(port)/"]))) { house throws in
        #expect(try get(house, at: "/files/a.txt").text == "hello\n")
      }
      try ftp.stop()

      let secure = try FileService(.explicitTLS)
      let place = try #require(secure.lines.firstMatch(of: /127.0.0.1:\d+/).map { String($0.0) })
      let words: KeyValuePairs = ["10.0.0.5:21/pub": place, "ftp-ca.pem": secure.scratch["ca.pem"], "username gatehouse": "username anonymous"]
      let files = ["ftp.password": Secrets.keep("Fair-9-any-pass") + "\n"]
      try House.with(Setup(more: Recipe("ftp").text(1, replacing: words), files: files)) { house throws in
        #expect(try get(house, at: "/files/a.txt").text == "hello\n")
        // This server lets nobody write.
        #expect(try get(house, "-X", "DELETE", at: "/files/a.txt").status == 403)
      }
      try secure.stop()

      let ssh = try FileService(.sftp)
      let server = try #require(ssh.lines.firstMatch(of: /sftp:\/\/(\S+)/).map { String($0.1) })
      let places: KeyValuePairs = [
        "10.0.0.5:22/srv/archive": server, "ssh/known_hosts": ssh.scratch["known_hosts"], "username gatehouse": "username \(NSUserName())",
        "ssh/archive.key": ssh.scratch["me"],
      ]
      try House.with(Setup(more: Recipe("sftp").text(replacing: places))) { house throws in
        #expect(try get(house, at: "/files/sub/in.txt").text == "inside\n")
      }
      try ssh.stop()

      let folder = try FileService(.file)
      try House.with(Setup(more: Recipe("file").text(replacing: ["/srv/share": folder.scratch["root"]]))) { house throws in
        #expect(try get(house, at: "/files/a.txt").text == "hello\n")
      }
    }

    // MARK: Servers that are not trusted

    private func with(_ fault: HostileFTP.Fault, _ lines: String = "", _ work: (House, HostileFTP) throws -> Void) throws {
      let server = try HostileFTP(fault)
      let more = "upstream nas { server ftp://127.0.0.1:\(server.port)\n\(lines)\n}\nroute /files/ { upstream nas; require valid-user }"
      try House.with(Setup(more: more)) { house throws in try work(house, server) }
      try server.stop()
    }

    @Test func aServerThatSendsUsElsewhereIsNotFollowed() throws {
      try with(.elsewhere) { house, server throws in
        // Its answer to PASV names 203.0.113.7: the file comes all the same, from itself.
        #expect(try get(house, at: "/files/a.txt").text == "hello\n")
        #expect(server.commands.contains("PASV"))
      }
    }

    @Test func namesInAListingAreOnlyNames() throws {
      try with(.names) { house, _ throws in
        let page = try get(house, at: "/files/").text
        #expect(page.contains("&lt;script&gt;") || !page.contains("script"))
        #expect(!page.contains("<script") && !page.contains("onclick=\"") && !page.contains("\u{1B}") && !page.contains("hidden"))
        let list = try get(house, "-H", "Accept: application/json", at: "/files/")
        let entries = try #require(try JSONSerialization.jsonObject(with: Data(list.body)) as? [[String: Any]])
        #expect(entries.map { $0["href"] as? String } == ["a%22onclick%3D%22b", "big", "%FE%FE"])
      }
    }

    @Test func aListingWithoutAnEndIsCut() throws {
      try with(.endless) { house, _ throws in
        #expect(try get(house, at: "/files/").status == 502)
        #expect(house.gate.child.errors.text.contains("listing has more than"))
      }
    }

    @Test func halfAFileLooksUnfinished() throws {
      try with(.half) { house, _ throws in
        let answer = try get(house, at: "/files/a.txt")
        #expect(answer.status == 200 && answer.code != 0 && answer.text == "hello\n")
      }
    }

    @Test func whoIsSilentStallsNobodyElse() throws {
      try with(.silent, "response_timeout 2s; idle_timeout 2s") { house, _ throws in
        let client = try house.client()
        try client.send(request("GET", "/files/a.txt", [People.alice.authorization]))
        // The worker, of which there is one, serves others while a courier waits.
        for _ in 0..<3 { #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200) }
        #expect(try client.response()?.status == 200)
      }
      try with(.mute, "connect_timeout 500ms") { house, _ throws in
        #expect(try get(house, at: "/files/a.txt").status == 504)
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
      }
    }

    @Test func noCommandIsEverTheClients() throws {
      try with(.none) { house, server throws in
        for path in ["a.txt%0d%0aDELE%20x", "a%0aRMD%20x", "a%0dSTOR%20x", "x;type=a%0d%0aQUIT"] { _ = try get(house, at: "/files/" + path) }
        _ = try get(house, at: "/files/-rf%20%2A%20%7Cid")
        // One name a command, behind its word, and these words alone.
        let words = Set(server.commands.map { String($0.prefix { $0 != " " }) })
        #expect(words.isSubset(of: ["USER", "PASS", "PWD", "CWD", "TYPE", "SIZE", "MDTM", "EPSV", "RETR", "QUIT", "REST"]), "\(words)")
        #expect(server.commands.contains("RETR -rf * |id"))
        // What a server that leaves out blanks, or Telnet's commands, would take for another name.
        let count = server.commands.count
        for path in ["%20a.txt", "a.txt%20", "%20sub/a.txt", "sub%20/a.txt", "a%FF%F1.txt"] {
          #expect(try get(house, at: "/files/" + path).status == 400, "\(path)")
        }
        #expect(server.commands.count == count)
      }
    }

    @Test func anSSHServerThatIsAnotherIsNotSpokenTo() throws {
      let service = try FileService(.sftp)
      let stranger = try FileService(.sftp)
      // The key that was known stands for the port of another server, as if that had taken its place.
      let key = try service.scratch.text("host.pub").split(separator: " ").prefix(2).joined(separator: " ")
      let place = try #require(try stranger.scratch.text("known_hosts").split(separator: " ").first)
      try stranger.scratch.write("\(place) \(key)\n", to: "known_hosts")
      try House.with(Setup(more: "upstream nas {\n\(stranger.lines)\n}\nroute /files/ { upstream nas; require valid-user }")) { house throws in
        #expect(try get(house, at: "/files/a.txt").status == 502)
        let errors = house.gate.child.errors.text
        #expect(errors.contains("its host key is not the one that \(stranger.scratch["known_hosts"]) has for it"), "\(errors)")
      }
      try service.stop()
      try stranger.stop()
    }

    /// Its fingerprint instead of a file of known hosts.
    @Test func aPinnedSSHKeyIsWhatTheServerHasToHave() throws {
      let service = try FileService(.sftp)
      let told = try Child.run("/usr/bin/ssh-keygen", ["-lf", service.scratch["host.pub"]], folder: service.scratch.path).text
      let pin = try #require(told.split(separator: " ").first { $0.hasPrefix("SHA256:") })
      let other = "SHA256:" + (pin.dropFirst(7).first == "A" ? "B" : "A") + pin.dropFirst(8)
      let known = "known_hosts \(service.scratch["known_hosts"])"
      let (right, wrong) = (service.lines.replacing(known, with: "pin \(pin)"), service.lines.replacing(known, with: "pin \(other)"))
      let more = [("right", right), ("wrong", wrong)].map { "upstream \($0) {\n\($1)\n}\nroute /\($0)/ { upstream \($0); require valid-user; strip_prefix on }\n" }
      try House.with(Setup(more: more.joined())) { house throws in
        #expect(try get(house, at: "/right/files/a.txt").text == "hello\n")
        #expect(try get(house, at: "/wrong/files/a.txt").status == 502)
      }
      try service.stop()
    }
  }
}
