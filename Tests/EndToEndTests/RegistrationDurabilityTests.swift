// What a 201 promises: the user is there after a kill, whoever else registers or edits at the same time, and never twice.

import Foundation
import Glibc
import Testing

extension EndToEnd {
  @Suite(.serialized) struct RegistrationDurability {
    // bcrypt of the cheapest cost can't be had: the point is in the writing, so cheap hashing is what `sha256` has.
    // On a busy machine the thread that makes hashes, being the last in line, may take its time.
    private let register = "hash_wait 2m\nregister { policy open; rate off; hash sha256 }"

    private func names(_ scratch: Scratch) throws -> [Substring] {
      let text = try scratch.text("users")
      #expect(text.isEmpty || text.hasSuffix("\n"), "torn")
      return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { $0.prefix { $0 != ":" } }
    }

    private static let burst = """
      import concurrent.futures, requests
      session = requests.Session()
      session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=50))
      def ask(name):
          form = {"username": name, "password": "\(Secrets.keep("Burst-pass-1"))"}
          try:
              return requests.post(base + "/api/users", json=form, timeout=200).status_code
          except requests.RequestException:
              return 0
      def burst(names, width):
          with concurrent.futures.ThreadPoolExecutor(width) as pool:
              return list(pool.map(ask, names))

      """

    @Test func ofAHundredRacersForANameOneWins() throws {
      try House.with(Setup(top: register, workers: 4)) { house throws in
        let outcome = try house.python(Self.burst + #"print(sorted(burst(["champion"] * 100, 100)))"#, within: .seconds(240))
        #expect(outcome.text == "[201" + String(repeating: ", 400", count: 99) + "]\n", "\(outcome.errors)")
        #expect(try names(house.scratch).count { $0 == "champion" } == 1)
        #expect(try house.curl("-u", "champion:Burst-pass-1", "/").status == 200)
      }
    }

    @Test func registrationsAndEditsAtTheSameTimeAreAllKept() throws {
      try House.with(Setup(top: register, workers: 4)) { house throws in
        let children = try (0..<4).map { i in
          let input = [UInt8]((Secrets.keep("Parallel-\(i)-pass") + "\n").utf8)
          return try Child(
            Gatehouse.binary, ["user", "add", "typed\(i)", "--password-stdin", "--file", "users"], input: input, folder: house.scratch.path)
        }
        let outcome = try house.python(Self.burst + #"print(set(burst([f"posted{i}" for i in range(60)], 30)))"#, within: .seconds(240))
        #expect(outcome.text == "{201}\n", "\(outcome.errors)")
        for child in children { #expect(try child.wait(.after(.seconds(240))).code == 0) }
        let found = try names(house.scratch)
        #expect(Set(found).count == found.count, "somebody is there twice")
        for i in 0..<60 { #expect(found.contains("posted\(i)")) }
        for i in 0..<4 { #expect(found.contains("typed\(i)")) }
        for name in ["alice", "bob", "carol", "dave"] { #expect(found.contains(Substring(name))) }
      }
    }

    @Test func whoHasA201IsThereAfterAKill() throws {
      let scratch = try Scratch()
      try scratch.write("", to: "users", mode: 0o600)
      try scratch.write(
        "listen 127.0.0.1:0\nworkers 2\nusers users\nlog off\n\(register)\nupstream a { server http://127.0.0.1:9 }\n"
          + "route / { upstream a; require valid-user }\n", to: "proxy.conf")
      var promised: Set<String> = []
      for round in 0..<12 {
        let gate = try Gatehouse(in: scratch)
        let program =
          "base = \"http://127.0.0.1:\(gate.port)\"\n" + Self.burst + """
            import sys
            def one(name):
                if ask(name) == 201:
                    print(name, flush=True)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(one, [f"r\(round)n{i}" for i in range(200)]))
            """
        let clients = try Child("/usr/bin/python3", ["-I", "-c", program], folder: scratch.path)
        // After as many answers as the round has: in the midst of further ones.
        let wanted = 1 + round * 2
        _ = clients.output.wait { $0.split(separator: "\n").count >= wanted ? true : nil }
        gate.child.signal(SIGKILL)
        _ = try gate.child.wait()
        let told = try clients.wait(.after(.seconds(120)))
        promised.formUnion(told.text.split(separator: "\n").map(String.init))
        let found = try names(scratch).map(String.init)
        #expect(Set(found).count == found.count, "somebody is there twice")
        #expect(promised.isSubset(of: found), "lost: \(promised.subtracting(found))")
      }
      #expect(promised.count > 24)
      // Nothing that was left behind is in the way.
      let gate = try Gatehouse(in: scratch)
      let body = #"{"username":"survivor","password":"Burst-pass-1"}"#
      let answer = try Client(to: gate.port).exchange(
        request("POST", "/api/users", ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"], body: body))
      #expect(answer.status == 201)
      try gate.stop()
      #expect(Secrets.found(in: gate.logs).isEmpty)
    }

    @Test func aKillWhileHashesAreReplacedLeavesEveryUserHisPassword() throws {
      let scratch = try Scratch()
      let password = Secrets.keep(People.alice.password)
      // alice's hash for everybody: weak, so that every login has it replaced.
      let weak = "{SHA}ZrcDwahtmvqX2+fQOseI84f5MVM="
      let people = (0..<24).map { "user\($0)" }
      try scratch.write(people.map { "\($0):\(weak):groups=staff\n" }.joined(), to: "users")
      try scratch.write(
        "listen 127.0.0.1:0\nworkers 2\nusers users\nlog off\nrehash on\nregister { }\nupstream a { server http://127.0.0.1:9 }\n"
          + "route / { upstream a; require valid-user }\n", to: "proxy.conf")
      let known = Set(scratch.names + [".users.lock"])
      for round in 0..<4 {
        let before = try scratch.text("users")
        let gate = try Gatehouse(in: scratch)
        for name in people.dropFirst(round * 6).prefix(6) {
          let fields = ["Authorization: " + Secrets.basic(name, password)]
          #expect(try Client(to: gate.port).exchange(request("GET", "/api/users/\(name)", fields)).status == 200)
        }
        // In the very act: when its temporary file shows, and a little later each time.
        // (Or, where it was too quick for us, right after.)
        let patience = ContinuousClock.now + .seconds(60)
        while try Set(scratch.names).isSubset(of: known) && scratch.text("users") == before {
          if ContinuousClock.now > patience { throw Failure("no hash was replaced") }
        }
        let until = ContinuousClock.now + .microseconds(round * 300)
        while ContinuousClock.now < until {}
        gate.child.signal(SIGKILL)
        _ = try gate.child.wait()
        let lines = try scratch.text("users").split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == people.count + 1 && lines.last == "")
        for (line, name) in zip(lines, people) {
          #expect(line == "\(name):\(weak):groups=staff" || line.hasPrefix("\(name):$y$") && line.hasSuffix(":groups=staff"), "\(line)")
        }
      }
      let gate = try Gatehouse(in: scratch)
      for name in people {
        let fields = ["Authorization: " + Secrets.basic(name, password)]
        #expect(try Client(to: gate.port).exchange(request("GET", "/api/users/\(name)", fields)).status == 200, "\(name)")
      }
      try gate.stop()
      #expect(Secrets.found(in: gate.logs).isEmpty)
    }

    /// Tries to register while the user file can't be written, and afterwards.
    private func expectRefusal(_ house: House, when blocked: () throws -> Void, undo: () throws -> Void) throws {
      func post(_ name: String) throws -> Message {
        let body = #"{"username":"\#(name)","password":"\#(Secrets.keep("Blocked-pass-1"))"}"#
        return try house.ask("POST", "/api/users", ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"], body: body)
      }
      let before = try house.scratch.text("users")
      try blocked()
      let answer = try post("blocked")
      #expect(answer.status == 503)
      #expect(!answer.text.contains(house.scratch.path), "a path was told to a stranger")
      #expect(try house.scratch.text("users") == before)
      // What was in force stays so.
      #expect(try house.curl("-u", People.alice.pair, "/").status == 200)
      #expect(try house.curl("-u", "blocked:Blocked-pass-1", "/").status == 401)
      try house.gate.child.errors.waitForLine(containing: "could not be written")
      try undo()
      #expect(try post("blocked").status == 201)
    }

    @Test func aFolderThatCannotBeWrittenRefusesClearly() throws {
      try House.with(Setup(top: register)) { house throws in
        // Root writes in any folder: a folder by the name of the lock file is in everybody's way.
        let lock = house.scratch[".users.lock"]
        try expectRefusal(house) {
          try FileManager.default.createDirectory(atPath: lock, withIntermediateDirectories: true)
        } undo: {
          try FileManager.default.removeItem(atPath: lock)
        }
      }
    }

    /// Whether this process may mount; where it may not, a full disk is what `aFullDiskLeavesTheFile` makes of write(2).
    private static let mayMount: Bool = {
      guard let scratch = try? Scratch(), let folder = try? scratch.folder("disk") else { return false }
      guard (try? Child.run("/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]))?.code == 0 else { return false }
      return (try? Child.run("/bin/umount", [folder]))?.code == 0
    }()

    @Test(.enabled(if: mayMount)) func aDiskThatIsFullRefusesClearly() throws {
      let scratch = try Scratch()
      let disk = try scratch.folder("disk")
      #expect(try Child.run("/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]).code == 0)
      defer { _ = try? Child.run("/bin/umount", ["-l", disk]) }
      try scratch.write(People.file, to: "disk/users", mode: 0o600)
      try scratch.write("code-1\ncode-2\n", to: "invites", mode: 0o600)
      try scratch.write(
        "listen 127.0.0.1:0\nworkers 1\nusers disk/users\nlog off\nregister { policy invite invites; rate off; hash sha256 }\n"
          + "upstream a { server http://127.0.0.1:9 }\nroute / { upstream a; require valid-user }\n", to: "proxy.conf")
      let gate = try Gatehouse(in: scratch)
      func post(_ name: String, _ code: String) throws -> Int {
        let body = #"{"username":"\#(name)","password":"\#(Secrets.keep("Blocked-pass-2"))","invite":"\#(code)"}"#
        return try Client(to: gate.port).exchange(
          request("POST", "/api/users", ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"], body: body)
        ).status
      }
      // Not a page is left.
      _ = try Child.run("/bin/dd", ["if=/dev/zero", "of=\(disk)/filler", "bs=4096", "count=64"])
      #expect(try post("blocked", "code-1") == 503)
      #expect(try scratch.text("disk/users") == People.file)
      #expect(try scratch.text("invites").contains("code-1"), "an invitation was used up for nothing")
      try gate.child.errors.waitForLine(containing: "No space left on device")
      let old = try Client(to: gate.port).exchange(request("GET", "/api/users/alice", [People.alice.authorization]))
      #expect(old.status == 200, "the users of before are those of now")
      try FileManager.default.removeItem(atPath: "\(disk)/filler")
      #expect(try post("blocked", "code-1") == 201)
      #expect(try !scratch.text("invites").contains("code-1"))
      try gate.stop()
      #expect(Secrets.found(in: gate.logs).isEmpty)
    }
  }
}
