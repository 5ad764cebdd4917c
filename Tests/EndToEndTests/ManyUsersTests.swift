// A user file of many lines: it is read while requests go on, and none of them is lost or held up by it.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct ManyUsers {
    private let count = 50_000

    private func file() -> String {
      let digest = "tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC"
      var text = People.file
      for i in 0..<count {
        let salt = String(repeating: "0", count: 21 - String(i).count) + "\(i)."
        text += "user\(i):$y$j9T$\(salt)$\(digest):groups=staff g\(i % 100),created=2026-05-05\n"
      }
      return text
    }

    @Test func reloadsOfManyUsersUnderLoadLoseNothing() throws {
      let file = file()
      try House.with(Setup(top: "keepalive_requests 1000000", users: file, workers: 2)) { house throws in
        let stop = Monitor(false)
        let port = house.port
        let fields = [People.alice.authorization]
        // Some stay, as browsers do, and some come anew with each request.
        let loads = (0..<4).map { i in
          Worker {
            var client = try Asker(port, fields)
            var count = 0
            while !stop.with({ $0 }) {
              if i % 2 == 1 { client = try Asker(port, fields) }
              guard try client.ask()?.status == 200 else { throw Failure("an answer other than 200 after \(count)") }
              count += 1
            }
            return count
          }
        }
        // These hold a connection from before the first reload to behind the last one.
        let idle = try (0..<8).map { _ in try Asker(port, fields) }
        for client in idle { #expect(try client.ask()?.status == 200) }
        var memory = 0
        for round in 1...4 {
          let name = People.Person(name: "new\(round)", password: "Nimble-\(round)-new-pass")
          try house.scratch.replace("users", with: file + "new\(round):{PLAIN}\(Secrets.keep(name.password))\n")
          try eventually("round \(round) is in force") { try house.ask("GET", "/", [name.authorization]).status == 200 }
          if round == 2 { memory = try house.gate.child.peakMemory() }
        }
        for client in idle { #expect(try client.ask()?.status == 200) }
        stop.with { $0 = true }
        for load in loads { #expect(try load.join() > 0) }
        // A table that is not in force any more is let go: four reloads need no more than two do, give or take half a table.
        let grown = try house.gate.child.peakMemory() - memory
        #expect(grown < 20 << 10, "grew by \(grown) KiB")
      }
    }
  }
}
