// A new process takes the place of the old one while clients come and go: none of them may notice, whatever becomes of the new one.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Upgrades {
    private let auth = People.alice.authorization

    private func setup(_ top: String = "") -> Setup {
      Setup(top: "admin unix:admin.sock\nkeepalive_requests 1000000\n\(top)", workers: 2)
    }

    private func run(_ house: House, _ words: String...) throws -> Outcome {
      try Gatehouse.run(words + ["--config", "proxy.conf"], in: house.scratch)
    }

    private func pid(_ house: House) throws -> pid_t {
      let outcome = try run(house, "status")
      guard let line = outcome.text.split(separator: "\n").first(where: { $0.hasPrefix("pid: ") }), let pid = pid_t(line.dropFirst(5))
      else {
        throw Failure("no pid in:\n\(outcome.text)\(outcome.errors)")
      }
      return pid
    }

    /// Whether a process that is no child of ours is gone. One that nobody has asked about is a zombie.
    private func isGone(_ pid: pid_t) -> Bool {
      guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
      return text.split(separator: ")").last?.hasPrefix(" Z") ?? true
    }

    /// Upgrades, and answers the new process's number. It is nobody's child: it has to be ended by `end`.
    private func upgrade(_ house: House) throws -> pid_t {
      let old = try pid(house)
      let outcome = try run(house, "upgrade")
      #expect(outcome.code == 0, "\(outcome.errors)")
      let new = try pid(house)
      #expect(outcome.text == "process \(new) serves now, and process \(old) finishes what runs\n")
      return new
    }

    private func end(_ pid: pid_t) throws {
      _ = kill(pid, SIGTERM)
      try eventually("process \(pid) is gone") { isGone(pid) }
    }

    @Test func anUpgradeUnderLoadLosesNothing() throws {
      try House.with(setup()) { house throws in
        let load = Load(house.port, fields: [auth])
        try load.wait(for: 50)
        let new = try upgrade(house)
        defer { try? end(new) }
        #expect(new != house.gate.child.pid)
        try load.wait(for: 50)
        // The old one had nothing that takes long.
        #expect(try house.gate.child.status(within: .seconds(10)) == 0)
        try load.wait(for: 50)
        #expect(try load.stop() > 150)
        #expect(try house.accessLines(150).allSatisfy { $0["status"] as? Int == 200 })
      }
    }

    @Test func twiceInARowUnderLoad() throws {
      try House.with(setup("listen unix:http.sock mode 600")) { house throws in
        let load = Load(house.port, fields: [auth])
        try load.wait(for: 20)
        let second = try upgrade(house)
        defer { try? end(second) }
        try load.wait(for: 20)
        // Whether the first has ended by now or not.
        let third = try upgrade(house)
        defer { try? end(third) }
        try load.wait(for: 20)
        try eventually("those before are gone") { isGone(second) && !house.gate.child.isRunning }
        try load.wait(for: 20)
        try load.stop()
        #expect(try house.curl("--unix-socket", house.scratch["http.sock"], "-u", "alice:\(People.alice.password)", "/").status == 200)
        try end(third)
        // What the first had made, the last takes away.
        #expect(!house.scratch.names.contains("http.sock") && !house.scratch.names.contains("admin.sock"))
      }
    }

    @Test func userSignal2Upgrades() throws {
      try House.with(setup()) { house throws in
        house.gate.child.signal(SIGUSR2)
        try house.gate.child.errors.waitForLine(containing: "serves now")
        let new = try pid(house)
        defer { try? end(new) }
        #expect(new != house.gate.child.pid)
        #expect(getpgid(new) == getpgid(0), "a terminal's keys reach it as they reached the old one")
        #expect(try house.ask("GET", "/", [auth]).status == 200)
      }
    }

    @Test func aLongDownloadSurvives() throws {
      let go = Steps()
      try House.with(
        setup(),
        { conversation in
          guard let request = try conversation.request() else { return }
          guard request.target == "/long" else { return try conversation.send(Answer.text("short")) }
          try Answer.halves(conversation, go)
        }
      ) { house throws in
        let client = try house.client()
        try client.send(request("GET", "/long", [auth]))
        #expect(try client.head()?.status == 200)
        let new = try upgrade(house)
        defer { try? end(new) }
        #expect(try house.ask("GET", "/", [auth]).text == "short")
        #expect(house.gate.child.isRunning, "the old one waits for its download")
        go.advance()
        #expect(try client.rest() == [UInt8]("half-whole".utf8))
        #expect(try house.gate.child.status(within: .seconds(10)) == 0)
      }
    }

    @Test func aBrokenConfigurationIsRefusedAndTheOldOneGoesOn() throws {
      try House.with(setup()) { house throws in
        let load = Load(house.port, fields: [auth])
        let text = try house.scratch.text("proxy.conf")
        try house.scratch.write(text + "nonsense\n", to: "proxy.conf")
        let refused = try run(house, "upgrade")
        #expect(refused.code == 1 && refused.errors.contains("unknown directive 'nonsense'"), "\(refused.errors)")
        #expect(refused.errors.contains("goes on serving"))
        try house.gate.child.errors.waitForLine(containing: "upgrade: the new process did not start")
        try house.scratch.write(text, to: "proxy.conf")
        #expect(try pid(house) == house.gate.child.pid)

        // A place that is taken is found later than a wrong word.
        let (other, port) = try Socket.bind()
        try other.listen()
        try house.scratch.write(text + "listen 127.0.0.1:\(port)\n", to: "proxy.conf")
        let taken = try run(house, "upgrade")
        #expect(taken.code == 1 && taken.errors.contains("127.0.0.1:\(port)"), "\(taken.errors)")
        try house.scratch.write(text, to: "proxy.conf")
        try load.wait(for: 20)
        try load.stop()
        let new = try upgrade(house)
        try end(new)
      }
    }

    /// Starts one that takes a while, since it waits for the users' file to hold still, and gives its number to `body` before it is ready.
    private func duringAnUpgrade(_ house: House, _ body: (_ starting: pid_t) throws -> Void) throws -> Outcome {
      let path = house.scratch.path
      let seen = house.gate.errorLines.count
      try house.scratch.write(People.file, to: "users")
      let command = Worker {
        try Child.run(Gatehouse.binary, ["upgrade", "--config", "proxy.conf"], folder: path, environment: ["HOME": path])
      }
      var starting: pid_t = 0
      try eventually("a process is started") {
        let words = house.gate.errorLines.dropFirst(seen).first { $0.contains("upgrade: started process ") }?.split(separator: " ")
        guard let words, let place = words.firstIndex(of: "process"), let pid = pid_t(words[place + 1].dropLast()) else { return false }
        starting = pid
        return true
      }
      // It stays as it is for as long as the test looks.
      try stop(starting)
      try body(starting)
      return try command.join()
    }

    @Test func oneThatIsKilledBeforeItIsReadyChangesNothing() throws {
      try House.with(setup()) { house throws in
        let load = Load(house.port, fields: [auth])
        let outcome = try duringAnUpgrade(house) { _ = kill($0, SIGKILL) }
        #expect(outcome.code == 1 && outcome.errors.contains("was ended by signal 9 before it was ready"), "\(outcome.errors)")
        try load.wait(for: 20)
        try load.stop()
        #expect(try pid(house) == house.gate.child.pid)
        #expect(try house.ask("GET", "/", [auth]).status == 200)
      }
    }

    @Test func aSecondOneAtOnceIsRefused() throws {
      try House.with(setup()) { house throws in
        let outcome = try duringAnUpgrade(house) { starting in
          let second = try run(house, "upgrade")
          #expect(second.code == 1 && second.errors.contains("one is under way: process \(starting)"), "\(second.errors)")
          let reload = try run(house, "reload")
          #expect(reload.code == 1 && reload.errors.contains("an upgrade is under way"), "\(reload.errors)")
          #expect(try house.ask("GET", "/", [auth]).status == 200, "it serves meanwhile")
          _ = kill(starting, SIGCONT)
        }
        #expect(outcome.code == 0, "\(outcome.errors)")
        try end(try pid(house))
      }
    }

    @Test func oneThatTakesTooLongIsEnded() throws {
      try House.with(setup("upgrade_timeout 1s")) { house throws in
        var starting: pid_t = 0
        let outcome = try duringAnUpgrade(house) { starting = $0 }
        #expect(outcome.code == 1 && outcome.errors.contains("was not ready within 1000 ms"), "\(outcome.errors)")
        #expect(isGone(starting))
        #expect(try house.ask("GET", "/", [auth]).status == 200)
      }
    }

    @Test func terminateEndsTheNewOneToo() throws {
      try House.with(setup()) { house throws in
        var starting: pid_t = 0
        let outcome = try duringAnUpgrade(house) {
          starting = $0
          house.gate.child.signal(SIGTERM)
        }
        #expect(outcome.code == 1 && outcome.errors.contains("given up"), "\(outcome.errors)")
        try eventually("the new one is gone") { isGone(starting) }
        #expect(try house.gate.child.status(within: .seconds(10)) == 0)
      }
    }

    @Test(.enabled(if: geteuid() == 0, "only root may look into a process that forbids dumps"))
    func theNewOneHasWhatItNeedsAndNothingElse() throws {
      try House.with(setup("listen unix:http.sock")) { house throws in
        // A connection to the upstream and one of a client are open meanwhile.
        let client = try house.client()
        #expect(try client.exchange(request("GET", "/", [auth])).status == 200)
        let old = "/proc/\(house.gate.child.pid)"
        let before = try Set(
          FileManager.default.contentsOfDirectory(atPath: old + "/fd").compactMap { name in
            try? FileManager.default.destinationOfSymbolicLink(atPath: "\(old)/fd/\(name)")
          }.filter { $0.hasPrefix("socket:") })
        let new = try upgrade(house)
        defer { try? end(new) }
        let proc = "/proc/\(new)"
        let after = try FileManager.default.contentsOfDirectory(atPath: proc + "/fd").compactMap { name in
          try? FileManager.default.destinationOfSymbolicLink(atPath: "\(proc)/fd/\(name)")
        }.filter { before.contains($0) }
        // A TCP socket a worker, the Unix socket and the admin socket; neither the client's connection nor the upstream's.
        #expect(after.count == 4, "\(after)")
        let status = try String(contentsOfFile: proc + "/status", encoding: .utf8)
        let masks = status.split(separator: "\n").filter { $0.hasPrefix("SigBlk:") || $0.hasPrefix("SigIgn:") }
        let expected = try String(contentsOfFile: old + "/status", encoding: .utf8).split(separator: "\n")
          .filter { $0.hasPrefix("SigBlk:") || $0.hasPrefix("SigIgn:") }
        #expect(masks == expected)
        let limits = try String(contentsOfFile: proc + "/limits", encoding: .utf8)
        #expect(limits.contains("Max core file size        0 "))
        let words = try String(contentsOfFile: proc + "/cmdline", encoding: .utf8)
        #expect(words == (try String(contentsOfFile: old + "/cmdline", encoding: .utf8)))
      }
    }

    @Test func whatTheNewConfigurationLeavesIsClosedInOrder() throws {
      try House.with(setup("listen unix:old.sock")) { house throws in
        let text = try house.scratch.text("proxy.conf")
        try house.scratch.write(text.replacingOccurrences(of: "unix:old.sock", with: "unix:new.sock"), to: "proxy.conf")
        let new = try upgrade(house)
        defer { try? end(new) }
        try eventually("the old socket is gone") { !house.scratch.names.contains("old.sock") }
        #expect(try house.curl("--unix-socket", house.scratch["new.sock"], "-u", "alice:\(People.alice.password)", "/").status == 200)
        #expect(try house.ask("GET", "/", [auth]).status == 200)
      }
    }

    @Test func moreOrFewerWorkersLoseNoSocket() throws {
      try House.with(setup()) { house throws in
        let load = Load(house.port, fields: [auth])
        let text = try house.scratch.text("proxy.conf")
        var last: pid_t = 0
        defer { if last != 0 { try? end(last) } }
        for count in [3, 1] {
          try house.scratch.write(text.replacingOccurrences(of: "workers 2", with: "workers \(count)"), to: "proxy.conf")
          last = try upgrade(house)
          try load.wait(for: 40)
        }
        try load.stop()
        try end(last)
      }
    }

    /// Has the new process get that far, and no further: it has the sockets of all places before, and waits for the last one's folder, which is locked, until
    /// it gives up.
    private func failAtTheLastPlace(_ house: House, _ change: (String) -> String, meanwhile body: () throws -> Void = {}) throws {
      let text = try house.scratch.text("proxy.conf")
      try FileManager.default.createDirectory(atPath: house.scratch["locked"], withIntermediateDirectories: true)
      let folder = unsafe open(house.scratch["locked"], O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      defer { close(folder) }
      #expect(flock(folder, LOCK_EX | LOCK_NB) == 0)
      try house.scratch.write(change(text) + "listen unix:locked/last.sock\n", to: "proxy.conf")
      try body()
      let refused = try run(house, "upgrade")
      #expect(refused.code == 1 && refused.errors.contains("lock its folder"), "\(refused.errors)")
      try house.scratch.write(text, to: "proxy.conf")
    }

    @Test func oneThatFailsLateLeavesTheSocketsAsTheyWere() throws {
      try House.with(setup("listen unix:http.sock mode 600")) { house throws in
        func mode() throws -> Int {
          try #require(FileManager.default.attributesOfItem(atPath: house.scratch["http.sock"])[.posixPermissions] as? Int)
        }
        #expect(try mode() == 0o600)
        try failAtTheLastPlace(house) { $0.replacingOccurrences(of: "mode 600", with: "mode 666") }
        #expect(try mode() == 0o600)
        // It is what the new one did, and not that it never came to it.
        let text = try house.scratch.text("proxy.conf").replacingOccurrences(of: "mode 600", with: "mode 666")
        try house.scratch.write(text, to: "proxy.conf")
        let new = try upgrade(house)
        #expect(try mode() == 0o666)
        try end(new)
      }
    }

    @Test(.enabled(if: geteuid() == 0, "only root may give a file to any group"))
    func oneThatIsRefusedLeavesEveryFileItsOwner() throws {
      try House.with(setup("listen unix:http.sock { mode 660 }")) { house throws in
        func owner() throws -> [Int] {
          let facts = try FileManager.default.attributesOfItem(atPath: house.scratch["http.sock"])
          return [.ownerAccountID, .groupOwnerAccountID].compactMap { facts[$0] as? Int }
        }
        let made = try owner()
        let plain = try house.scratch.text("proxy.conf")
        let given = plain.replacingOccurrences(of: "mode 660", with: "mode 660; owner 12345; group 23456")
        try failAtTheLastPlace(house) { _ in given }
        #expect(try owner() == made)
        let (other, port) = try Socket.bind()
        try other.listen()
        try house.scratch.write(given + "listen 127.0.0.1:\(port)\n", to: "proxy.conf")
        #expect(try run(house, "reload").code == 1)
        #expect(try owner() == made)
        // What was given is taken back where nobody is named any more, also by the next process.
        try house.scratch.write(given, to: "proxy.conf")
        #expect(try run(house, "reload").code == 0)
        #expect(try owner() == [12345, 23456])
        try house.scratch.write(plain, to: "proxy.conf")
        #expect(try run(house, "reload").code == 0)
        #expect(try owner() == made)
        try house.scratch.write(given, to: "proxy.conf")
        let new = try upgrade(house)
        defer { try? end(new) }
        #expect(try owner() == [12345, 23456])
        try house.scratch.write(plain, to: "proxy.conf")
        #expect(try run(house, "reload").code == 0)
        #expect(try owner() == made)
      }
    }

    /// It fails at its workers, when it has all sockets.
    @Test func oneThatFailsLastLeavesTheAdminSocketWhereItIs() throws {
      var setup = setup()
      setup.descriptors = 128
      try House.with(setup) { house throws in
        let text = try house.scratch.text("proxy.conf").replacingOccurrences(of: "workers 2", with: "workers 100")
        for path in ["admin.sock", "other.sock"] {
          try house.scratch.write(text.replacingOccurrences(of: "admin.sock", with: path), to: "proxy.conf")
          let refused = try Gatehouse.run(["upgrade", "--admin", "unix:admin.sock"], in: house.scratch)
          #expect(refused.code == 1 && refused.errors.contains("goes on serving"), "\(refused.errors)")
          #expect(house.scratch.contains("admin.sock"))
          #expect(!house.scratch.contains("other.sock"), "what it has made itself it takes away")
        }
        try house.scratch.write(text.replacingOccurrences(of: "workers 100", with: "workers 2"), to: "proxy.conf")
        #expect(try pid(house) == house.gate.child.pid)
      }
    }

    /// Its log's file is moved when it has opened it, and before the old one knows that it is ready.
    @Test func aLogThatIsRotatedMeanwhileIsOpenedAnewByBoth() throws {
      try House.with(setup()) { house throws in
        let text = try house.scratch.text("proxy.conf")
        try house.scratch.write(text.replacingOccurrences(of: "log access.log ", with: "log access.log.new "), to: "proxy.conf")
        let outcome = try duringAnUpgrade(house) { starting in
          try stop(house.gate.child.pid)
          house.gate.child.signal(SIGUSR1)
          _ = kill(starting, SIGCONT)
          try eventually("its log is there") { house.scratch.contains("access.log.new") }
          for name in ["access.log", "access.log.new"] {
            #expect(unsafe rename(house.scratch[name], house.scratch[name + ".1"]) == 0)
          }
          house.gate.child.signal(SIGCONT)
        }
        #expect(outcome.code == 0, "\(outcome.errors)")
        let new = try pid(house)
        defer { try? end(new) }
        for name in ["access.log", "access.log.new"] { try eventually("\(name) is opened anew") { house.scratch.contains(name) } }
      }
    }

    /// It serves, and the old one is told to end before it knows.
    @Test func whoServesAlreadyIsNotCutOff() throws {
      let go = Steps()
      try House.with(
        setup(),
        { conversation in
          guard try conversation.request() != nil else { return }
          try Answer.halves(conversation, go)
        }
      ) { house throws in
        var new: pid_t = 0
        var client: Client?
        let outcome = try duringAnUpgrade(house) { starting in
          new = starting
          try stop(house.gate.child.pid)
          house.gate.child.signal(SIGTERM)
          _ = kill(starting, SIGCONT)
          // Whoever accepts has said that it is ready.
          client = try house.client()
          try client?.send(request("GET", "/", [auth]))
          #expect(try client?.head()?.status == 200)
          house.gate.child.signal(SIGCONT)
        }
        #expect(outcome.code == 0, "\(outcome.errors)")
        try house.gate.child.errors.waitForLine(containing: "process \(new) is told to end too")
        #expect(try house.gate.child.status(within: .seconds(10)) == 0)
        #expect(!isGone(new), "it waits for its download")
        go.advance()
        #expect(try client?.rest() == [UInt8]("half-whole".utf8))
        try eventually("the new one has ended too") { isGone(new) }
        #expect(!house.scratch.contains("admin.sock"))
      }
    }

    @Test func oneThatFailsLateCutsNobodyOff() throws {
      try House.with(setup()) { house throws in
        let load = Load(house.port, fields: [auth])
        try load.wait(for: 20)
        // Three sockets more than there are workers here, for a moment.
        try failAtTheLastPlace(house) { $0.replacingOccurrences(of: "workers 2", with: "workers 5") }
        try load.wait(for: 20)
        try load.stop()
      }
    }

    @Test func theVariableByItselfStartsNothing() throws {
      try House.with(setup()) { house throws in
        for value in ["", "3", "-1", "1", "99"] {
          let child = try Child(
            Gatehouse.binary, ["serve", "--config", "proxy.conf"], folder: house.scratch.path, environment: ["GATEHOUSE_HANDOVER": value])
          let outcome = try child.wait()
          #expect(outcome.code == 1 && outcome.errors.contains("GATEHOUSE_HANDOVER=\(value)"), "\(outcome.errors)")
        }
      }
    }
  }
}
