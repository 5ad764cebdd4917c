// The running server, asked by its operator: status, reload, drain; and by who is not its operator.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Admin {
    private func setup(_ top: String = "", workers: Int = 2) -> Setup { Setup(top: "admin unix:admin.sock\n\(top)", workers: workers) }

    private func run(_ house: House, _ words: String...) throws -> Outcome {
      try Gatehouse.run(words + ["--config", "proxy.conf"], in: house.scratch)
    }

    private func status(_ house: House) throws -> [String: String] {
      let outcome = try run(house, "status")
      #expect(outcome.code == 0, "\(outcome.errors)")
      var values: [String: String] = [:]
      for line in outcome.text.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        values[String(parts[0])] = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
      }
      return values
    }

    @Test func statusTellsHowItIs() throws {
      try House.with(setup()) { house throws in
        let client = try house.client()
        for _ in 0..<3 { #expect(try client.exchange(request("GET", "/", [People.alice.authorization])).status == 200) }
        try eventually("its numbers are told") { try status(house)["requests"] == "3" }
        let found = try status(house)
        #expect(found["pid"] == "\(house.gate.child.pid)" && found["state"] == "serving" && found["workers"] == "2")
        #expect(found["connections"] == "1" && found["users"] == "6" && found["routes"] == "1" && found["upstreams"] == "legacy")
        #expect(found["listeners"] == house.url && found["reloads"] == "0" && found["hash_queue"] == "0")
        #expect(found["version"] == (try Gatehouse.run(["--version"], in: house.scratch).text.trimmingCharacters(in: .whitespacesAndNewlines)))
        let json = try run(house, "status", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any]
        #expect(object?["users"] as? Int == 6 && object?["state"] as? String == "serving")
      }
    }

    @Test func reloadAnswersWithWhatIsWrong() throws {
      try House.with(setup()) { house throws in
        let text = try house.scratch.text("proxy.conf")
        try house.scratch.write(text + "nonsense\nroute x { }\n", to: "proxy.conf")
        let refused = try run(house, "reload")
        #expect(refused.code == 1 && refused.errors.contains("the one before stays in force"), "\(refused.errors)")
        #expect(refused.errors.contains("unknown directive 'nonsense'") && refused.errors.contains("'x' is no path"))
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
        try house.scratch.write(text.replacingOccurrences(of: "valid-user", with: "group admin"), to: "proxy.conf")
        let accepted = try run(house, "reload")
        #expect(accepted.code == 0 && accepted.text == "reloaded: 1 routes, 6 users\n", "\(accepted.text)\(accepted.errors)")
        try eventually("the new rule holds") { try house.ask("GET", "/", [People.alice.authorization]).status == 403 }
        #expect(try status(house)["reloads"] == "1" && status(house)["reloads_refused"] == "1")
      }
    }

    @Test func drainEndsItAsTermDoes() throws {
      let go = Steps()
      try House.with(
        setup(),
        { conversation in
          guard try conversation.request() != nil else { return }
          try Answer.halves(conversation, go)
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/", [People.alice.authorization]))
        _ = try house.upstream.requests(1)
        #expect(try run(house, "drain").text == "draining\n")
        #expect(try run(house, "drain").text == "already draining\n")
        #expect(try status(house)["state"] == "draining")
        go.advance()
        #expect(try client.response()?.text == "half-whole")
        #expect(try house.gate.child.wait().code == 0)
        #expect(!house.scratch.names.contains("admin.sock"))
        let after = try run(house, "status")
        #expect(after.code == 1 && after.errors.contains("nothing listens at unix:"), "\(after.errors)")
      }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can be somebody else"))
    func aStrangersCommandsAreRefused() throws {
      try House.with(setup()) { house throws in
        let socket = house.scratch["admin.sock"]
        let mode = try FileManager.default.attributesOfItem(atPath: socket)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        // Somebody opens the socket to all, and the folders on the way.
        _ = unsafe chmod(socket, 0o777)
        _ = unsafe chmod(house.scratch.path, 0o755)
        let program = """
          import os, socket, sys
          os.setgroups([]); os.setgid(65534); os.setuid(65534)
          s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'drain\\n')
          answer = b''
          while True:
            part = s.recv(4096)
            if not part: break
            answer += part
          print(answer.decode(), end='')
          """
        let outcome = try Child.run("/usr/bin/python3", ["-I", "-c", program, socket], folder: "/")
        #expect(outcome.text == "error only root and the user that Gatehouse runs as may ask\n", "\(outcome.text)\(outcome.errors)")
        #expect(try status(house)["state"] == "serving")
      }
    }

    @Test func aVisitorWhoSaysNothingHoldsNobodyUp() throws {
      try House.with(setup()) { house throws in
        let program = """
          import socket, sys, time
          quiet = [socket.socket(socket.AF_UNIX) for _ in range(20)]
          for s in quiet: s.connect(sys.argv[2])
          quiet[0].sendall(b'x' * 2000)
          print(quiet[0].recv(100).decode(), end='')
          quiet[0].close()
          # The ninth of them is let in now, and the others when their five seconds are over.
          s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[2]); s.sendall(b'status\\n')
          print(s.makefile().readline(), end='')
          """
        let outcome = try Child.run(
          "/usr/bin/python3", ["-I", "-c", program, house.url, house.scratch["admin.sock"]], folder: house.scratch.path)
        #expect(outcome.text == "error a command has at most 1024 bytes\nok\n", "\(outcome.text)\(outcome.errors)")
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
      }
    }

    @Test func aSecondServerTakesNobodysSocket() throws {
      try House.with(setup()) { house throws in
        let text = try house.scratch.text("proxy.conf").replacingOccurrences(of: "access.log", with: "other.log")
        try house.scratch.write(text, to: "other.conf")
        let second = try Gatehouse.run(["serve", "--config", "other.conf"], in: house.scratch)
        #expect(second.code == 1 && second.errors.contains("the admin socket: unix:"), "\(second.errors)")
        #expect(try status(house)["pid"] == "\(house.gate.child.pid)")
      }
    }

    @Test func commandsWithoutAServerSayWhatToDo() throws {
      let scratch = try Scratch()
      for words in [["status"], ["reload"], ["drain"], ["ban", "list"], ["ban", "lift", "all"]] {
        let outcome = try Gatehouse.run(words + ["--admin", "unix:" + scratch["nothing.sock"]], in: scratch)
        #expect(outcome.code == 1 && outcome.errors.hasPrefix("gatehouse: nothing listens at unix:"), "\(outcome.errors)")
      }
      try scratch.write("admin off\n", to: "proxy.conf")
      let off = try Gatehouse.run(["status"], in: scratch)
      #expect(off.code == 1 && off.errors.contains("'admin off'"), "\(off.errors)")
      for words in [["ban"], ["ban", "lift"], ["status", "--admin", "127.0.0.1:80"], ["status", "--admin", "unix:/a", "--config", "b"]] {
        #expect(try Gatehouse.run(words, in: scratch).code == 2, "\(words)")
      }
    }
  }
}
