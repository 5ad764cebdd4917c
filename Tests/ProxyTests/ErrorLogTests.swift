// The error log: whole lines, levels, and no way for a stranger's bytes to write one.

import Glibc
import Primitives
import Testing

@testable import Proxy

@Suite struct ErrorLogTests {
  /// What `body` logs.
  private func logged(_ level: LogLevel = .notice, journal: Bool = false, _ body: (ErrorLog) -> Void) -> String {
    var pipe: [Int32] = [-1, -1]
    #expect(unsafe Glibc.pipe(&pipe) == 0)
    body(ErrorLog(level: level, descriptor: pipe[1], hasPriorityPrefix: journal))
    close(pipe[1])
    var buffer = [UInt8](repeating: 0, count: 65536)
    let n = unsafe read(pipe[0], &buffer, buffer.count)
    close(pipe[0])
    return String(decoding: buffer[0..<max(n, 0)], as: UTF8.self)
  }

  @Test func linesSayTheirLevel() {
    #expect(
      logged(.debug) {
        $0.error("a")
        $0.warning("b")
        $0.notice("c")
        $0.info("d")
        $0.debug("e")
      } == "gatehouse: error: a\ngatehouse: warning: b\ngatehouse: c\ngatehouse: info: d\ngatehouse: debug: e\n")
  }

  @Test func journalGetsPriorities() {
    #expect(
      logged(.debug, journal: true) {
        $0.error("a")
        $0.warning("b")
        $0.notice("c")
        $0.info("d")
        $0.debug("e")
      } == "<3>gatehouse: a\n<4>gatehouse: b\n<5>gatehouse: c\n<6>gatehouse: d\n<7>gatehouse: e\n")
  }

  @Test func levelIsAThresholdThatMoves() {
    #expect(
      logged(.warning) {
        $0.notice("no")
        $0.warning("yes")
        $0.setLevel(.error)
        $0.warning("no")
        $0.setLevel(.debug)
        $0.debug("again")
      } == "gatehouse: warning: yes\ngatehouse: debug: again\n")
  }

  @Test func messageBelowTheThresholdIsNotMade() {
    _ = logged(.error) { log in
      log.debug(
        { () -> String in
          Issue.record("it was made")
          return ""
        }())
    }
  }

  @Test(arguments: [
    ("a\nb", "a?b"), ("a\r\nb", "a??b"), ("\u{1B}[31m", "?[31m"), ("a\0b", "a?b"), ("\u{7F}", "?"), ("\u{9B}31m", "?31m"),
    ("a\u{85}b", "a?b"),
    ("é€😀\u{A0}", "é€😀\u{A0}"), ("Â", "Â"), ("\u{80}\u{9F}", "??"),
  ])
  func controlsOfAnyKindAreReplaced(_ message: String, _ wanted: String) {
    #expect(logged { $0.notice(message) } == "gatehouse: \(wanted)\n")
  }
}

@Suite struct ComplaintsTests {
  @Test func oneLineASecondForEachSubject() {
    var complaints = Complaints()
    let start = Instant(nanoseconds: 1_000_000_000)
    #expect(complaints.say("a", "broken", at: start) == "broken")
    #expect(complaints.say("b", "broken", at: start) == "broken")
    for i in 1...9 { #expect(complaints.say("a", "broken", at: start.advanced(by: .milliseconds(UInt64(i) * 100))) == nil) }
    #expect(complaints.say("a", "still", at: start.advanced(by: .seconds(1))) == "still; 9 more since the last such line")
    #expect(complaints.say("a", "alone", at: start.advanced(by: .seconds(5))) == "alone")
  }
}

@Suite struct JournalStreamTests {
  @Test func onlyTheStreamItselfIsTheJournal() {
    var pipe: [Int32] = [-1, -1]
    #expect(unsafe Glibc.pipe(&pipe) == 0)
    defer { for end in pipe { close(end) } }
    var status = stat()
    #expect(unsafe fstat(pipe[1], &status) == 0)
    let name = "\(status.st_dev):\(status.st_ino)"
    #expect(ErrorLog.isJournal(pipe[1], name))
    #expect(!ErrorLog.isJournal(pipe[1], nil) && !ErrorLog.isJournal(pipe[1], "") && !ErrorLog.isJournal(pipe[1], "1:2"))
    #expect(!ErrorLog.isJournal(-1, name))
  }
}
