// Commands and the server in surroundings that are not as they should be: closed descriptors, an interrupted prompt, a full disk on standard
// output, a reload that fails while something else changes.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Surroundings {
    private func folder() throws -> Scratch {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      return scratch
    }

    /// A shell's command line, with the program as `$0`.
    private func shell(_ scratch: Scratch, _ line: String) throws -> Outcome {
      try Child.run("/bin/sh", ["-c", line, Gatehouse.binary], folder: scratch.path)
    }

    @Test func aReloadThatFailsLosesNoChangeOfTheUsers() throws {
      try House.with { house throws in
        #expect(try house.ask("GET", "/", [People.carol.authorization]).status == 200)
        let config = try house.scratch.text("proxy.conf")
        try house.scratch.write(config + "\nnonsense;\n", to: "proxy.conf")
        #expect(try Gatehouse.run(["user", "lock", "carol", "--file", "users"], in: house.scratch).code == 0)
        house.gate.child.signal(SIGHUP)
        try house.gate.child.errors.waitForLine(containing: "stays in force")
        try eventually("carol is out") { try house.ask("GET", "/", [People.carol.authorization]).status == 401 }
        // Each complaint is a line of its own, without the config's.
        #expect(house.gate.errorLines.contains { $0.hasSuffix(": unknown directive 'nonsense'") }, "\(house.gate.errorLines)")
      }
    }

    @Test func whatTakesAStartIsSaidAtEveryReload() throws {
      try House.with { house throws in
        let config = try house.scratch.text("proxy.conf")
        try house.scratch.write(config.replacingOccurrences(of: "workers 1", with: "workers 2"), to: "proxy.conf")
        for count in 1...2 {
          house.gate.child.signal(SIGHUP)
          try eventually("the warning") { house.gate.errorLines.filter { $0.contains("take effect at the next start") }.count == count }
        }
      }
    }

    @Test func closedStandardStreamsAreNotTakenForOthers() throws {
      let scratch = try folder()
      try scratch.write(Setup().text(upstreamPort: 9), to: "proxy.conf")
      // The descriptors as serve has them once it listens: 3 to 9 are its own.
      let program = """
        "$0" serve --config proxy.conf <&- >&- 2>&- & p=$!
        while ! [ -e access.log ]; do kill -0 $p || exit 9; sleep 0.05; done
        for n in 0 1 2; do readlink /proc/$p/fd/$n; done
        kill $p; wait $p
        """
      let outcome = try shell(scratch, program)
      #expect(outcome.code == 0)
      #expect(outcome.text == "/dev/null\n/dev/null\n/dev/null\n")
    }

    @Test(arguments: [">&-", ">/dev/full"])
    func aTokenThatCannotBeShownIsAFailure(_ output: String) throws {
      let outcome = try shell(try folder(), "\"$0\" token issue alice --name lost --file users \(output)")
      #expect(outcome.code == 1)
      #expect(outcome.errors.contains("token revoke alice lost"), "\(outcome.errors)")
    }

    @Test(arguments: ["\\377", "caf\\351"])
    func aNameThatIsNotUTF8IsNotStoredAsAnother(_ name: String) throws {
      let scratch = try folder()
      let outcome = try shell(scratch, "echo password | \"$0\" user add \"$(printf '\(name)')\" --password-stdin --file users")
      #expect(outcome.code == 1 && outcome.errors.contains("not UTF-8"), "\(outcome.errors)")
      #expect(try scratch.text("users") == People.file)
    }

    @Test(arguments: ["INT", "TERM", "HUP"])
    func anInterruptedPromptEndsAtOnceAndRestoresTheEcho(_ signal: String) throws {
      let scratch = try folder()
      let program = """
        import os, pty, signal, sys, termios
        wanted = getattr(signal, "SIG" + sys.argv[2])
        pid, tty = pty.fork()
        if pid == 0:
            os.execv(sys.argv[1], [sys.argv[1], "user", "add", "zoe", "--file", "users"])
        seen = b""
        while b"assword" not in seen:
            seen += os.read(tty, 4096)
        assert not termios.tcgetattr(tty)[3] & termios.ECHO, "echo is on"
        # A slave's settings are read through the master as long as somebody has it open.
        slave = os.open("/proc/%d/fd/0" % pid, os.O_RDWR | os.O_NOCTTY)
        if sys.argv[2] == "INT": os.write(tty, b"\\x03")
        else: os.kill(pid, wanted)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == wanted, "ended with %d" % status
        assert termios.tcgetattr(slave)[3] & termios.ECHO, "echo is still off"
        """
      let outcome = try Child.run(
        "/usr/bin/python3", ["-I", "-c", program, Gatehouse.binary, signal], folder: scratch.path, within: .seconds(20))
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(try scratch.text("users") == People.file)
    }
  }
}
