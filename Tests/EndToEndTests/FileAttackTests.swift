// What those may try who are let in to files behind other protocols: to hit another file than they name, to get half of each of two, to keep others out.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct FileAttack {
    private func with(_ kind: FileProtocol, denied: String? = nil, _ work: (House, FileService) throws -> Void) throws {
      let service = try FileService(kind, isWritable: true, denied: denied)
      try House.with(Setup(more: "upstream nas {\n\(service.lines)\n}\nroute /files/ { upstream nas; require valid-user }")) { house throws in
        try work(house, service)
      }
      try service.stop()
    }

    private func put(_ house: House, _ text: String, at path: String) throws -> Int? {
      try house.ask("PUT", path, [People.alice.authorization, "Content-Length: \(text.utf8.count)"], body: text).status
    }

    private func ask(_ house: House, _ method: String, _ path: String) throws -> Message {
      try house.ask(method, path, [People.alice.authorization])
    }

    /// A name in Latin-1 was taken for the one with U+FFFD in its place, and that one written and deleted.
    @Test(arguments: [FileProtocol.sftp, .file]) func namesThatAreNoUTF8AreThemselves(_ kind: FileProtocol) throws {
      try with(kind) { house, _ throws in
        #expect(try put(house, "other", at: "/files/caf%EF%BF%BD.txt") == 201)
        #expect(try put(house, "mine", at: "/files/caf%E9.txt") == 201)
        #expect(try ask(house, "GET", "/files/caf%E9.txt").text == "mine")
        #expect(try ask(house, "MKCOL", "/files/d%E9").status == 201)
        #expect(try ask(house, "GET", "/files/d%E9/").status == 200)
        #expect(try ask(house, "DELETE", "/files/caf%E9.txt").status == 204)
        #expect(try ask(house, "GET", "/files/caf%E9.txt").status == 404)
        #expect(try ask(house, "GET", "/files/caf%EF%BF%BD.txt").text == "other")
      }
    }

    @Test func ofFTPsCommandsTooEveryByteIsTheNames() throws {
      let server = try HostileFTP(.none)
      let more = "upstream nas { server ftp://127.0.0.1:\(server.port)\nwritable on }\nroute /files/ { upstream nas; require valid-user }"
      try House.with(Setup(more: more)) { house throws in
        #expect(try ask(house, "DELETE", "/files/caf%E9.txt").status == 204)
        try eventually("the command has come") { server.commands.contains("DELE caf\u{E9}.txt") }
      }
      try server.stop()
    }

    /// SFTP servers rename onto nothing that exists: what is to be replaced is not deleted before the new file can have its place.
    @Test func aFileThatCanNotBeReplacedStays() throws {
      try with(.sftp, denied: "rename") { house, service throws in
        #expect([403, 409].contains(try put(house, "new", at: "/files/a.txt")))
        #expect(try service.scratch.text("root/files/a.txt") == "hello\n")
        #expect(try !FileManager.default.contentsOfDirectory(atPath: service.scratch["root/files"]).contains { $0.hasPrefix(".gatehouse") })
      }
    }

    /// Of two who write at once one wins, and nothing of the other's stays, nor of what stood there before.
    @Test func whoWritesAtTheSameTimeLeavesNothingBehind() throws {
      let service = try FileService(.sftp, isWritable: true, hasRival: true)
      try House.with(Setup(more: "upstream nas {\n\(service.lines)\n}\nroute /files/ { upstream nas; require valid-user }")) { house throws in
        #expect(try put(house, "new", at: "/files/a.txt") == 409)
        #expect(try service.scratch.text("root/files/a.txt") == "another's")
        #expect(try FileManager.default.contentsOfDirectory(atPath: service.scratch["root/files"]).allSatisfy { !$0.hasPrefix(".gatehouse") })
      }
      try service.stop()
    }

    /// A file is replaced all the time: each answer is all of one and nothing of another.
    @Test func twoFilesAreNeverMixed() throws {
      try with(.file) { house, service throws in
        let program = """
          import os
          for name, count in (("a", 10), ("b", 1000)):
            with open(name, "w") as f: f.write(name * count)
          print("begun", flush=True)
          # As often as it can be: between a look and the opening behind it lies no more than an instant.
          while True:
            for name in ("a", "b"):
              os.link(name, "next")
              os.replace("next", "swap")
          """
        let child = try Child("/usr/bin/python3", ["-I", "-c", program], folder: service.scratch["root/files"])
        _ = child.output.wait { $0.isEmpty ? nil : true }
        try eventually("there is a file") { FileManager.default.fileExists(atPath: service.scratch["root/files/swap"]) }
        let client = try house.client()
        for _ in 0..<150 {
          let answer = try client.exchange(request("GET", "/files/swap", [People.alice.authorization]))
          let first = try #require(answer.body.first)
          #expect(answer.status == 200 && answer.body.count == (first == 97 ? 10 : 1000) && answer.body.allSatisfy { $0 == first })
        }
        child.signal(SIGKILL)
        try child.wait()
      }
    }

    /// Whoever asks and goes away again keeps nobody else from waiting.
    @Test func whoIsGoneHoldsNoPlaceInTheQueue() throws {
      let server = try HostileFTP(.late)
      let more = "upstream nas { server ftp://127.0.0.1:\(server.port)\nconnect_timeout 1m }\nroute /files/ { upstream nas; require valid-user }"
      try House.with(Setup(more: more)) { house throws in
        // As many as there are threads, which all wait for the server.
        var waiting: [Client] = []
        for _ in 0..<16 {
          waiting.append(try house.client())
          try waiting[waiting.count - 1].send(request("GET", "/files/a.txt", [People.alice.authorization]))
        }
        // More than may wait for one of them.
        for _ in 0..<3 {
          var leaving: [Client] = []
          for _ in 0..<100 {
            leaving.append(try house.client())
            try leaving[leaving.count - 1].send(request("GET", "/files/a.txt", [People.alice.authorization]))
          }
          // The one worker has seen them all when it has answered this.
          #expect(try ask(house, "GET", "/").status == 200)
          for client in leaving { client.abort() }
        }
        _ = try house.accessLines(303)
        let last = try house.client()
        try last.send(request("GET", "/files/a.txt", [People.alice.authorization]))
        #expect(try ask(house, "GET", "/").status == 200)
        try server.greet()
        #expect(try last.response()?.text == "hello\n")
        for client in waiting { #expect(try client.response()?.status == 200) }
      }
      try server.stop()
    }
  }
}
