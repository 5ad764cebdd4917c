// What clients bring about at file servers and lookups counts against no server: each test's upstream leaves its server out for an hour at the first failure,
// and serves all the same afterwards.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct FileBlame {
    private func with(_ lines: String, and more: String = "", _ work: (House) throws -> Void) throws {
      let upstream = "upstream asked {\n\(lines)\neject 1 1h last\n}\nroute /x/ { upstream asked; require valid-user; strip_prefix on }\n\(more)"
      try House.with(Setup(more: upstream)) { house throws in try work(house) }
    }

    private func get(_ house: House, _ path: String) throws -> Message { try house.ask("GET", "/x/" + path, [People.alice.authorization]) }

    private func isServed(_ house: House, _ path: String) throws {
      let answer = try get(house, path)
      #expect(answer.status == 200, "\(path): \(answer.status) \(house.gate.child.errors.text)")
    }

    @Test func tooMuchOfGopherIsTheClients() throws {
      let server = try HostileGopher()
      try with("server gopher://127.0.0.1:\(server.port)/hole\nanswer_limit 1m") { house throws in
        #expect(try get(house, "1/endless").status == 502)
        try isServed(house, "0/good.txt")
        let cut = try house.curl("-u", People.alice.pair, "/x/9/endless")
        #expect(cut.status == 200 && cut.code != 0)
        try isServed(house, "0/good.txt")
      }
      try server.stop()
    }

    @Test func whatATFTPServerRefusesIsTheClients() throws {
      let server = try TrivialServer()
      try with("server tftp://127.0.0.1:\(server.port)\nanswer_limit 10k") { house throws in
        #expect(try get(house, "images/boot.bin").status == 502)
        try isServed(house, "a.txt")
        // RFC 1350's codes, those of RFC 2347, and one that is nobody's.
        for code in [0, 3, 4, 5, 6, 7, 8, 99] {
          #expect(try get(house, "code\(code)").status == 502, "\(code)")
          try isServed(house, "a.txt")
        }
        // It wants no options, and says so.
        #expect(try get(house, "plain").text == "hello\n")
      }
      try server.stop()
    }

    @Test func whatADirectoryRefusesIsTheClients() throws {
      let directory = try HostileDirectory()
      try with("server ldap://127.0.0.1:\(directory.port)/dc=x\ndirectory { attributes cn }") { house throws in
        // Too much to search, a value that can't be compared, unwilling, one that it has no word for.
        for code in ["03", "11", "18", "21", "53", "80"] {
          #expect(try get(house, "uid=code\(code)").status == 502, "\(code)")
          try isServed(house, "uid=a")
        }
        // But its being busy is its own.
        #expect(try get(house, "uid=code51").status == 502)
        #expect(try get(house, "uid=a").status == 503)
      }
      try directory.stop()
    }

    @Test func aListingThatIsTooLongIsTheClients() throws {
      let server = try HostileFTP(.endless)
      try with("server ftp://127.0.0.1:\(server.port)") { house throws in
        #expect(try get(house, "").status == 502)
        try isServed(house, "a.txt")
      }
      try server.stop()
    }

    /// Between the question for its size and the transfer another may take its place, as whoever writes may have it at any time.
    @Test func aFileThatIsShorterThanItWasIsTheClients() throws {
      for (fault, lines, status) in [(HostileFTP.Fault.shrunk, "", 200), (.half, "writable on", 200), (.half, "", 503)] {
        let server = try HostileFTP(fault)
        try with("server ftp://127.0.0.1:\(server.port)\n\(lines)") { house throws in
          let cut = try house.curl("-u", People.alice.pair, "/x/a.txt")
          #expect(cut.status == 200 && cut.code != 0 && cut.text == "hello\n")
          // A file that nobody here can write, and that is what it was, the server has lost.
          let again = try house.curl("-u", People.alice.pair, "/x/a.txt")
          #expect(again.status == status, "\(fault) \(lines): \(again.status)")
        }
        try server.stop()
      }
    }

    /// A client who is behind for a moment, as any is in the middle of a large file, is not why the server breaks it off.
    @Test func aServerThatBreaksOffLargeFilesIsLeftOut() throws {
      let server = try HostileFTP(.cut)
      try with("server ftp://127.0.0.1:\(server.port)") { house throws in
        try eventually("it gets no requests") {
          let client = try house.client()
          try client.send(request("GET", "/x/a.txt", [People.alice.authorization]))
          let status = try client.head()?.status
          if status == 503 { return true }
          #expect(status == 200)
          do {
            while try !client.socket.read(atMost: 1 << 20).isEmpty {}
          } catch Socket.Trouble.reset {}
          return false
        }
      }
      try server.stop()
    }

    /// vsftpd, for one, says so of a full disk.
    @Test func anUploadThatIsRefusedIsTheClients() throws {
      let server = try HostileFTP(.refusing)
      try with("server ftp://127.0.0.1:\(server.port)\nwritable on") { house throws in
        let answer = try house.ask("PUT", "/x/a.txt", [People.alice.authorization, "Content-Length: 3"], body: "new")
        #expect(answer.status == 502)
        try isServed(house, "a.txt")
        #expect(server.commands.contains { $0.hasPrefix("DELE .gatehouse-") } && !server.commands.contains { $0.hasPrefix("RNTO") })
      }
      try server.stop()
    }

    /// To a path that is too long for its system OpenSSH has only a word that libcurl uses for broken connections.
    @Test func aPathThatAnSFTPServerCanNotUseIsTheClients() throws {
      let service = try FileService(.sftp)
      try with(service.lines) { house throws in
        let long = Array(repeating: String(repeating: "n", count: 203), count: 20).joined(separator: "/")
        #expect(try get(house, long).status == 502)
        try isServed(house, "files/a.txt")
      }
      try service.stop()
    }

    /// Many servers let in no more than a few at a time from one address, and whoever asks much makes us come by more.
    @Test func aServerThatTakesNobodyMoreIsOnlyBusy() throws {
      let server = try HostileFTP(.full)
      try with("server ftp://127.0.0.1:\(server.port)") { house throws in
        for _ in 0..<3 { #expect(try get(house, "a.txt").status == 503) }
        #expect(house.gate.child.errors.text.contains("(421)") && !house.gate.child.errors.text.contains("gets no requests"))
      }
      try server.stop()
    }

    /// Whoever holds all that could ask the server makes others wait, and the server is not late by that.
    @Test func whoIsNotAskedIsNotLate() throws {
      let server = try HostileFTP(.held)
      let quick = "route /quick/ { upstream asked; require valid-user; response_timeout 200ms }"
      try with("server ftp://127.0.0.1:\(server.port)", and: quick) { house throws in
        var readers: [Client] = []
        for _ in 0..<16 {
          let client = try house.client()
          try client.send(request("GET", "/x/a.txt", [People.alice.authorization, "Connection: close"]))
          #expect(try client.head()?.status == 200)
          readers.append(client)
        }
        #expect(try house.ask("GET", "/quick/a.txt", [People.alice.authorization]).status == 503)
        #expect(house.gate.child.errors.text.contains("all ways to the server were busy"))
        try server.greet()
        for client in readers { #expect(try client.rest() == [UInt8]("hello\n".utf8)) }
        try isServed(house, "a.txt")
      }
      try server.stop()
    }
  }
}
