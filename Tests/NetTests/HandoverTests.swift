// What one process leaves to the next: as text, in the environment, and on the pipe.

import Glibc
import Testing

@testable import Net

@Suite struct HandoverTests {
  private let handover = Handover(
    parent: 42, ready: 4,
    sockets: [
      .init(descriptor: 5, place: "127.0.0.1:80", role: .own, index: 0),
      .init(descriptor: 6, place: "unix:/run/a b\n%", role: .shared, index: 1, file: HandedFile(path: "/run/a b\n%", device: 7, inode: 8)),
      .init(descriptor: 7, place: "", role: .passed, index: 2),
      .init(
        descriptor: 8, place: "unix:/s", role: .shared, index: 3,
        file: HandedFile(path: "/s", device: 9, inode: 10, owner: .init(user: 11, group: 12))),
    ], notes: ["one", "two 2", ""])

  @Test func textComesBack() { #expect(Handover(handover.text) == handover) }

  @Test func whatIsNotWholeIsNothing() {
    let text = handover.text
    for end in text.indices { #expect(Handover(String(text[..<end])) == nil) }
    for (old, new) in [
      ("handover 1", "handover 2"), ("parent 42", "parent x"), ("parent 42", "parent 0"), ("ready 4", "ready 2"), ("ready 4", ""),
      ("socket 5", "socket 2"), ("socket 5", "socket -1"), (" own ", " owned "), ("own 0", "own -1"), (" x", " y"), ("socket 7", "sock 7"),
      (" 11 12", " 11"), (" 11 12", " 11 x"), (" 11 12", " 11 12 13"),
    ] {
      #expect(Handover(text.replacing(old, with: new)) == nil, "\(old) → \(new)")
    }
  }

  @Test func outcomesComeBack() {
    for outcome in [Handover.Outcome.ready(left: []), .ready(left: [0, 3]), .failed("a\nb"), .failed("")] {
      #expect(Handover.Outcome(outcome.text) == outcome)
    }
    for text in ["", "ready", "ready\n", "ready\n1\n", "ready\nx\nend\n", "failed", "end\n"] { #expect(Handover.Outcome(text) == nil) }
  }

  @Test func theEndOfTheOtherSideIsHeard() throws {
    var pipe = try HandoverPipe()
    let copy = try pipe.giving { raw throws(NetError) in
      let copy = dup(raw)
      guard copy >= 0 else { throw .system(doing: "dup", errno: errno) }
      return copy
    }
    let early = pipe.heard()
    #expect(early == nil)
    var handover = handover
    handover.ready = copy
    handover.tell(.failed(String(repeating: "x", count: 2000)))
    let heard = pipe.heard()
    #expect(heard == "failed\n" + String(repeating: "x", count: 2000))
  }

  @Test func onlyASealedTextOfOurParentIsTaken() async {
    await #expect(processExitsWith: .success) {
      let nothing = try Handover.take()
      precondition(nothing == nil)
      var given = Handover(parent: getppid(), ready: 0, sockets: [])
      var ends: [Int32] = [0, 0]
      precondition(unsafe pipe(&ends) == 0)
      given.ready = ends[1]
      func take(_ text: String) throws -> Handover? {
        let file = try SealedFile.make("test", text)
        precondition(unsafe setenv(Handover.variable, "\(dup(file.raw))", 1) == 0)
        defer { precondition(unsafe getenv(Handover.variable) == nil, "it is gone whatever came of it") }
        return try Handover.take()
      }
      let taken = try take(given.text)
      precondition(taken == given)
      precondition(fcntl(given.ready, F_GETFD) & FD_CLOEXEC != 0)
      for wrong in [Handover(parent: getpid(), ready: ends[1], sockets: []), Handover(parent: getppid(), ready: 999, sockets: [])] {
        do {
          _ = try take(wrong.text)
          preconditionFailure("taken")
        } catch {}
      }
      // A pipe is no sealed file.
      precondition(unsafe setenv(Handover.variable, "\(ends[0])", 1) == 0)
      do {
        _ = try Handover.take()
        preconditionFailure("taken")
      } catch {}
    }
  }

  @Test func aSealedFileStaysAsItIs() throws {
    let file = try SealedFile.make("test", "text")
    #expect(unsafe pwrite(file.raw, "x", 1, 0) < 0 && ftruncate(file.raw, 0) < 0)
    #expect(fcntl(file.raw, F_GETFD) & FD_CLOEXEC != 0)
  }
}
