// A kill at any moment of a revocation or a rotation leaves whole files; what was acknowledged stays. And disks that take nothing.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct TokenFileKill {
    private func scene() throws -> Scratch {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      try scratch.write(SignedTokens.setup.text(upstreamPort: 1), to: "proxy.conf")
      #expect(try SignedTokens.run(scratch, "keys", "rotate").code == 0)
      return scratch
    }

    private func start(_ scratch: Scratch, _ arguments: [String]) throws -> Child {
      try Child(Gatehouse.binary, ["token"] + arguments, folder: scratch.path)
    }

    /// Starts `arguments` again and again, and kills it somewhere between start and end, or when its temporary file shows.
    private func killing(
      _ scratch: Scratch, rounds: Int, _ arguments: (Int) -> [String], _ check: (_ round: Int, _ ended: Bool) throws -> Void
    )
      throws
    {
      let began = ContinuousClock.now
      #expect(try start(scratch, arguments(0)).wait().code == 0)
      let usual = ContinuousClock.now - began
      try check(0, true)
      let known = Set(scratch.names)
      for round in 1...rounds {
        let child = try start(scratch, arguments(round))
        if round % 2 == 0 {
          let part = (Double(round) * 0.618_033_988_749_895).truncatingRemainder(dividingBy: 1)
          let until = ContinuousClock.now + usual * part * 1.1
          while child.isRunning && ContinuousClock.now < until {}
        } else {
          while child.isRunning && Set(scratch.names).isSubset(of: known) {}
          let until = ContinuousClock.now + .microseconds(round * 20)
          while child.isRunning && ContinuousClock.now < until {}
        }
        child.signal(SIGKILL)
        try check(round, try child.wait().code == 0)
      }
    }

    @Test func aKillDuringARevocationLosesNone() throws {
      let scratch = try scene()
      var acknowledged: Set<String> = []
      func name(_ round: Int) -> String { "revoked-\(round)-AAAAAAAAAAAAAA" }
      try killing(scratch, rounds: 40, { ["revoke", "--jti", name($0)] }) { round, ended in
        if ended { acknowledged.insert(name(round)) }
        let text = try scratch.text("token.keys.revoked")
        #expect(text.hasSuffix("\n"))
        var found: Set<String> = []
        for line in text.split(separator: "\n") {
          let words = line.split(separator: " ")
          #expect(
            words.count == 3 && words[0] == "jti" && words[2].hasPrefix("until=2") && words[2].hasSuffix("Z"), "round \(round): \(line)")
          found.insert(String(words[1]))
        }
        #expect(acknowledged.isSubset(of: found), "round \(round): a revocation was lost")
      }
      #expect(try SignedTokens.run(scratch, "revoke", "--all").code == 0, "nothing stands in the way of the next")
      let token = try SignedTokens.issue(scratch, "bob")
      #expect(try SignedTokens.run(scratch, "inspect", input: token + "\n").code == 0)
    }

    @Test func aKillDuringARotationLeavesWholeKeys() throws {
      let scratch = try scene()
      let token = try SignedTokens.issue(scratch, "bob")
      try killing(scratch, rounds: 30, { _ in ["keys", "rotate"] }) { round, _ in
        for line in try scratch.text("token.keys").split(separator: "\n") { Secrets.keep(String(line.split(separator: " ")[1])) }
        let list = try SignedTokens.run(scratch, "keys", "list")
        #expect(list.code == 0, "round \(round): \(list.errors)")
        #expect(list.text.split(separator: "\n").count { $0.hasSuffix("\tsigns") } == 1)
      }
      #expect(try SignedTokens.run(scratch, "inspect", input: token + "\n").code == 0, "the first key still verifies")
    }

    @Test func revocationsAtTheSameTimeAreAllKept() throws {
      let scratch = try scene()
      let children = try (0..<8).map { try start(scratch, ["revoke", "--jti", "together-\($0)"]) }
      for child in children { #expect(try child.wait(.after(.seconds(60))).code == 0) }
      let text = try scratch.text("token.keys.revoked")
      for i in 0..<8 { #expect(text.contains("jti together-\(i) ")) }
    }

    @Test func aFullDiskRevokesNothingAndSaysSo() throws {
      let scratch = try scene()
      #expect(try SignedTokens.run(scratch, "revoke", "--jti", "one").code == 0)
      let (keys, revoked) = (try scratch.text("token.keys"), try scratch.text("token.keys.revoked"))
      for limit in [0, 1, 50] {
        for arguments in [["revoke", "--jti", "two"], ["revoke", "--all"], ["keys", "rotate"]] {
          let outcome = try Child.run(
            "/usr/bin/prlimit", ["--fsize=\(limit):\(limit)", "--", Gatehouse.binary, "token"] + arguments, folder: scratch.path)
          #expect(outcome.code != 0, "a write that did not happen was reported as done")
        }
        #expect(try scratch.text("token.keys") == keys && scratch.text("token.keys.revoked") == revoked)
      }
    }

    @Test func aFolderThatMayNotBeWrittenIsAClearError() throws {
      let scratch = try scene()
      let keys = try scratch.text("token.keys")
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: scratch["users"])
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: scratch["proxy.conf"])
      try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: scratch.path)
      defer { try? FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: scratch.path) }
      // Root may write everywhere: it has to be nobody who tries.
      let prefix = geteuid() == 0 ? ["--reuid=65534", "--regid=65534", "--clear-groups", Gatehouse.binary] : ["--", Gatehouse.binary]
      for arguments in [["revoke", "--all"], ["revoke", "--jti", "x"]] {
        let outcome = try Child.run("/usr/bin/setpriv", prefix + ["token"] + arguments, folder: scratch.path)
        #expect(
          outcome.code == 1 && outcome.errors.contains("nothing was revoked") && outcome.errors.contains("ermission denied"),
          "\(outcome.errors)")
      }
      #expect(!scratch.contains("token.keys.revoked"))
      #expect(try scratch.text("token.keys") == keys)
    }
  }
}
