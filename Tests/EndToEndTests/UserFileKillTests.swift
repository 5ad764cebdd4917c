// A kill at any moment of an edit leaves the old user file or the new one, whole.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct UserFileKill {
    private func passwd(_ scratch: Scratch, _ round: Int) throws -> Child {
      let password = Secrets.keep("Kill-\(round)-alice-pass")
      let input = [UInt8]((password + "\n").utf8)
      let arguments = ["user", "passwd", "alice", "--password-stdin", "--file", "users"]
      return try Child(Gatehouse.binary, arguments, input: input, folder: scratch.path)
    }

    /// Whether `line` is a whole line of alice's: her name, a hash of the length that `sample` has, her attributes.
    private func isWhole(_ line: Substring, like sample: Substring) -> Bool {
      let (parts, model) = (
        line.split(separator: ":", omittingEmptySubsequences: false), sample.split(separator: ":", omittingEmptySubsequences: false)
      )
      guard parts.count >= 3, parts.count == model.count, parts[0] == "alice", parts[2].hasPrefix("groups=staff") else { return false }
      let (hash, other) = (parts[1].split(separator: "$"), model[1].split(separator: "$"))
      return hash.count == other.count && hash.first == other.first && hash.last?.count == other.last?.count
    }

    @Test func aKillAtAnyMomentLeavesAWholeFile() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users", mode: 0o640)
      // Once without a kill: how long it takes, and what a line of the new kind looks like.
      let began = ContinuousClock.now
      #expect(try passwd(scratch, 0).wait().code == 0)
      let usual = ContinuousClock.now - began
      func aliceLine() throws -> Substring {
        let text = try scratch.text("users")
        #expect(text.hasSuffix("\n"))
        let others = text.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("alice:") }
        #expect(others == People.file.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("alice:") })
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("alice:") }
        guard lines.count == 1 else { throw Failure("\(lines.count) lines of alice's:\n\(text)") }
        return lines[0]
      }
      let sample = try aliceLine()
      let known = Set(scratch.names)

      for round in 1...60 {
        let before = try aliceLine()
        let child = try passwd(scratch, round)
        if round % 2 == 0 {
          // Anywhere between start and end, spread evenly by the golden ratio.
          let part = (Double(round) * 0.618_033_988_749_895).truncatingRemainder(dividingBy: 1)
          let until = ContinuousClock.now + usual * part * 1.1
          while child.isRunning && ContinuousClock.now < until {}
        } else {
          // In the very act: when its temporary file shows, and a little later each time.
          while child.isRunning && Set(scratch.names).isSubset(of: known) {}
          let until = ContinuousClock.now + .microseconds(round * 20)
          while child.isRunning && ContinuousClock.now < until {}
        }
        child.signal(SIGKILL)
        try child.wait()
        let after = try aliceLine()
        #expect(after == before || isWhole(after, like: sample), "round \(round): \(after)")
        if try aliceLine() != after { Issue.record("it changed after the kill") }
      }

      // No lock and no remains stand in the way of the next edit.
      #expect(try passwd(scratch, 100).wait().code == 0)
      let verify = ["user", "verify", "alice", "--password-stdin", "--file", "users"]
      #expect(try Gatehouse.run(verify, input: "Kill-100-alice-pass\n", in: scratch).code == 0)
      #expect(try Gatehouse.run(verify, input: "Kill-99-alice-pass\n", in: scratch).code == 1)
      #expect(scratch.names.count <= known.count + 1, "\(scratch.names)")
      let mode = try FileManager.default.attributesOfItem(atPath: scratch["users"])[.posixPermissions] as? Int
      #expect(mode == 0o640, "the mode is kept")
    }

    @Test func editsAtTheSameTimeAreAllKept() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      let children = try (0..<8).map { i in
        let input = [UInt8]((Secrets.keep("Parallel-\(i)-pass") + "\n").utf8)
        return try Child(
          Gatehouse.binary, ["user", "add", "user\(i)", "--password-stdin", "--file", "users"], input: input, folder: scratch.path)
      }
      for child in children { #expect(try child.wait(.after(.seconds(60))).code == 0) }
      let text = try scratch.text("users")
      for i in 0..<8 { #expect(text.contains("\nuser\(i):"), "user\(i) was lost") }
      #expect(text.hasPrefix(People.file))
    }

    @Test func aFullDiskLeavesTheOldFile() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      // No file may grow beyond so many bytes: every write past it is short or fails, as on a full disk.
      for limit in [0, 1, 100, 300] {
        let outcome = try Child.run(
          "/usr/bin/prlimit",
          ["--fsize=\(limit):\(limit)", "--", Gatehouse.binary, "user", "passwd", "alice", "--password-stdin", "--file", "users"],
          input: [UInt8]((Secrets.keep("Full-1-alice-pass") + "\n").utf8), folder: scratch.path)
        #expect(outcome.code != 0, "a write that did not happen was reported as done")
        #expect(try scratch.text("users") == People.file)
      }
    }
  }
}
