// The access log's thread when the file or its reader fails: nothing that could be kept is lost, and the end does not wait for ever.

import Glibc
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct AccessLogTests {
  private func log(to path: String) throws -> (log: AccessLog, thread: Thread) {
    let log = try AccessLog(options(path), errors: ErrorLog(level: .error, descriptor: -1, hasPriorityPrefix: false))
    return (log, try Threads.spawn(name: "log") { log.run() })
  }

  private func options(_ path: String) -> AccessLogOptions {
    var options = AccessLogOptions()
    options.target = .file(path: path)
    return options
  }

  @Test func aFileThatCannotBeOpenedAnewIsKept() throws {
    let scratch = Scratch()
    let (log, thread) = try log(to: scratch.file("a"))
    // The first opening is over when the file is there.
    while unsafe access(scratch.file("a"), F_OK) != 0 { sched_yield() }
    log.append(bytes("one\n").span)
    log.reopen(options(scratch.path))
    log.append(bytes("two\n").span)
    #expect(log.finish(within: .seconds(20)))
    thread.join()
    let file = unsafe open(scratch.file("a"), O_RDONLY)
    var buffer = [UInt8](repeating: 0, count: 64)
    let n = unsafe read(file, &buffer, buffer.count)
    close(file)
    #expect(String(decoding: buffer.prefix(max(n, 0)), as: UTF8.self) == "one\ntwo\n")
  }

  @Test func aReaderThatStoppedDoesNotHoldUpTheEnd() throws {
    let scratch = Scratch()
    let path = scratch.file("pipe")
    #expect(unsafe mkfifo(path, 0o600) == 0)
    // Open, so that the writer may open it, and not read.
    let reader = unsafe open(path, O_RDWR | O_NONBLOCK)
    let (log, thread) = try log(to: path)
    log.append([UInt8](repeating: 0x61, count: 1 << 20).span)
    #expect(!log.finish(within: .milliseconds(300)))
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while !log.finish(within: .milliseconds(1)) { unsafe _ = read(reader, &buffer, buffer.count) }
    thread.join()
    close(reader)
  }
}
