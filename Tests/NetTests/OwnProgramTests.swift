// Starting a program: what it gets of us, and what not.

import Glibc
import Testing

@testable import Net

@Suite struct OwnProgramTests {
  private func shell(_ script: String) -> OwnProgram {
    var program = OwnProgram(arguments: ["sh", "-c", script])
    program.path = "/bin/sh"
    return program
  }

  /// Runs a script with these descriptors, and answers what it wrote on the first of them, its number 3.
  private func output(_ script: String, passing more: [Int32] = []) throws -> String {
    var pipe = try HandoverPipe()
    let child = try pipe.giving { end throws(NetError) in try shell(script).start(["TEST_VARIABLE": "a b"], passing: [end] + more) }
    #expect(becomes(pipe.descriptor, POLLIN))
    var text = pipe.heard()
    while text == nil && becomes(pipe.descriptor, POLLIN) { text = pipe.heard() }
    while child.ended() == nil { sched_yield() }
    return text ?? ""
  }

  @Test func aNameIsFoundAsTheShellFindsIt() {
    #expect(OwnProgram(arguments: ["/usr/bin/env"]).path == "/usr/bin/env")
    #expect(OwnProgram(arguments: ["sh"]).path.hasSuffix("/sh"))
    #expect(OwnProgram(arguments: ["./x"]).path.hasPrefix("/") && OwnProgram(arguments: ["./x"]).path.hasSuffix("/./x"))
    #expect(OwnProgram(arguments: []).path.hasPrefix("/"))
  }

  @Test func itHasThePassedDescriptorsAndNoOthers() throws {
    // One that a library would have left open.
    let leak = dup(2)
    defer { _ = close(leak) }
    let listener = try Listener.bind(ListenOptions(address: SocketAddress(parsing: "127.0.0.1:0")))
    let text = try output("cd /proc/$$/fd; echo * >&3", passing: [listener.descriptor])
    // The folder itself is not held open: the shell reads it by a number of its own, which is gone or above.
    #expect(text.hasPrefix("0 1 2 3 4"), "\(text)")
    #expect(!text.split(separator: " ").contains("\(leak)") || leak <= 5, "\(text)")
  }

  @Test func itHasTheEnvironmentAndNoSignalBlocked() throws {
    var set = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGHUP)
    unsafe pthread_sigmask(SIG_BLOCK, &set, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    // Read by the shell itself, which blocks signals for a moment when it starts a program.
    let text = try output(
      "echo \"$TEST_VARIABLE $PATH\" >&3; while read -r k v; do case $k in SigBlk:|SigIgn:) echo \"$k\t$v\" >&3;; esac; done </proc/$$/status"
    )
    #expect(text.hasPrefix("a b /"), "\(text)")
    let masks = text.split(separator: "\n").dropFirst().compactMap { line in
      line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
    }
    // But for 32 and 33, which the C library keeps to itself.
    #expect(masks.count == 2 && masks.allSatisfy { $0 & ~0x1_8000_0000 == 0 }, "\(text)")
  }

  @Test func howItEndedIsTold() throws {
    let child = try shell("exit 7").start([:], passing: [])
    var code = child.ended()
    while code == nil {
      sched_yield()
      code = child.ended()
    }
    #expect(code == 7)
    #expect(try shell("exec sleep 100").start([:], passing: []).end() == 128 + SIGKILL)
  }

  @Test func whatItHasStartedEndsWithIt() throws {
    var pipe = try HandoverPipe()
    // The pipe's end is closed when the last who has it is gone.
    let child = try pipe.giving { end throws(NetError) in try shell("sleep 100 & echo started >&3; wait").start([:], passing: [end]) }
    #expect(becomes(pipe.descriptor, POLLIN))
    let early = pipe.heard()
    #expect(early == nil)
    #expect(getpgid(child.pid) == child.pid)
    #expect(child.end() == 128 + SIGKILL)
    #expect(becomes(pipe.descriptor, POLLIN))
    let heard = pipe.heard()
    #expect(heard == "started\n")
  }

  @Test func whatIsNotThereIsAnError() {
    var program = OwnProgram(arguments: ["nothing"])
    program.path = "/nothing/here"
    #expect(throws: NetError.system(doing: "start /nothing/here", errno: ENOENT)) { _ = try program.start([:], passing: []) }
  }

  @Test func accountsHaveNumbers() {
    #expect(Accounts.user("root") == 0 && Accounts.group("root") == 0)
    #expect(Accounts.user("1234") == 1234 && Accounts.group("77") == 77)
    for name in ["", "no such user", "4294967295", "-1"] { #expect(Accounts.user(name) == nil && Accounts.group(name) == nil) }
  }
}
