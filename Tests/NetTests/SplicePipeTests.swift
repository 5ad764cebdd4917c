// Pipes between sockets: what they hold, and which are refused.

import Glibc
import Testing

@testable import Net

@Suite struct SplicePipeTests {
  @Test func onesThatHoldTooLittleAreRefused() throws {
    // What is left for whoever has too many (pipe(7)): one page, or two.
    for size in [4096, 8192, SplicePipe.least / 2] {
      #expect(throws: NetError.self) { try SplicePipe(asking: size) }
    }
    #expect(try SplicePipe(asking: SplicePipe.least).capacity == SplicePipe.least)
    // What nobody may have: it stays as large as it was.
    #expect(try SplicePipe(asking: -1).capacity >= SplicePipe.least)
  }

  @Test func oneIsWidenedAndNarrowedAgain() throws {
    let pipe = try SplicePipe()
    pipe.resize(to: SplicePipe.least)
    #expect(pipe.capacity == SplicePipe.least)
    pipe.resize(to: 2 * SplicePipe.least)
    #expect(pipe.capacity == 2 * SplicePipe.least)
    pipe.resize(to: -1)
    #expect(pipe.capacity == 2 * SplicePipe.least, "refused, it stays as it is")
  }

  @Test func oneThatIsRefusedLeavesNoDescriptor() throws {
    // The lowest that are free, before and after.
    func lowest() -> Int32 {
      let fd = dup(0)
      close(fd)
      return fd
    }
    let before = lowest()
    for _ in 0..<100 { #expect(throws: NetError.self) { try SplicePipe(asking: 4096) } }
    #expect(lowest() <= before + 150, "others open some meanwhile, but not that many")
  }

  @Test func whatGoesInComesOut() throws {
    var ends: [Int32] = [-1, -1]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    let pipe = try SplicePipe()
    #expect(pipe.isEmpty && pipe.fill(from: ends[0], atMost: 10) == .wouldBlock)
    #expect(unsafe send(ends[1], "something", 9, 0) == 9)
    #expect(pipe.fill(from: ends[0], atMost: 4) == .bytes(4) && pipe.count == 4)
    #expect(pipe.drain(to: ends[0]) == .bytes(4) && pipe.isEmpty)
    var text = [UInt8](repeating: 0, count: 16)
    #expect(unsafe recv(ends[1], &text, 16, 0) == 4 && text.prefix(4).elementsEqual("some".utf8))
    #expect(pipe.fill(from: ends[0], atMost: 16) == .bytes(5) && pipe.count == 5)
    // As the server does at its start: splice(2) has no MSG_NOSIGNAL.
    Signals.ignoreBrokenPipe()
    shutdown(ends[1], Int32(SHUT_RDWR))
    #expect(pipe.drain(to: ends[0]) == .failed(EPIPE) && pipe.count == 5)
  }
}
