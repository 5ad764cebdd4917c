// What the tests of this room share: scratch folders, socket pairs, waiting for a descriptor.

import FoundationEssentials
import Glibc
import Primitives
import Testing

@testable import Net

/// A folder of its own, removed with all that is in it when the test lets it go.
final class Scratch {
  let path: String

  init(under parent: String = "/tmp") {
    var template = Array("\(parent)/gatehouse-net-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { buffer in
      unsafe String(cString: mkdtemp(buffer.baseAddress.unsafelyUnwrapped))
    }
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Two connected, non-blocking Unix stream sockets.
struct SocketPair: ~Copyable {
  let a: FileDescriptor
  let b: FileDescriptor

  init() {
    var pair: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    #expect(unsafe socketpair(AF_UNIX, kind, 0, &pair) == 0)
    a = FileDescriptor(owning: pair[0])
    b = FileDescriptor(owning: pair[1])
  }

  consuming func streams() -> StreamPair { StreamPair(a: Stream(a), b: Stream(b)) }
}

struct StreamPair: ~Copyable {
  var a: Stream
  var b: Stream
}

/// Sleeps until `descriptor` is ready for `events` (poll(2)), at most ten seconds. Not a synchronisation by time: the time is what a
/// broken test takes to fail.
func becomes(_ descriptor: Int32, _ events: Int32) -> Bool {
  var one = pollfd(fd: descriptor, events: Int16(events), revents: 0)
  return unsafe poll(&one, 1, 10_000) == 1
}

/// Whether `descriptor` is readable now.
func isReadable(_ descriptor: Int32) -> Bool {
  var one = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return unsafe poll(&one, 1, 0) == 1
}

func write(_ text: String, to path: String, _ flags: Int32 = O_WRONLY | O_CREAT | O_TRUNC) {
  let file = unsafe open(path, flags | O_CLOEXEC, 0o600)
  #expect(file >= 0)
  #expect(unsafe Glibc.write(file, text, text.utf8.count) == text.utf8.count)
  #expect(close(file) == 0)
}

extension Poller {
  /// Waits for events, at most ten seconds.
  mutating func collect() -> Int {
    let now = Instant.now()
    return wait(until: now.advanced(by: .seconds(10)), now: now)
  }

  /// What is ready without sleeping.
  mutating func collectNow() -> Int {
    let now = Instant.now()
    return wait(until: now, now: now)
  }
}

extension EventToken {
  static func of(_ kind: UInt8, _ slot: UInt32, _ generation: UInt32) -> EventToken {
    EventToken(kind: kind, slot: SlotToken(slot: slot, generation: generation))
  }
}
