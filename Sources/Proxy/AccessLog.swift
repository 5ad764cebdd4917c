// Carries finished log lines from the workers to a file or standard output, on a thread of its own, so that a slow disk delays nobody.

import Glibc
import Net
import Primitives
import Synchronization

/// One writer thread and a bounded queue of blocks of lines.
final class AccessLog: Sendable {
  /// Bytes that may wait for the disk; beyond it lines are dropped and counted.
  static let queueLimit = 8 << 20

  private struct State {
    var blocks: [[UInt8]] = []
    var queued = 0
    var dropped: UInt64 = 0
    var options: AccessLogOptions
    var reopens = false
    var ends = false
  }

  private let state: Mutex<State>
  private let wake: Mailbox<Void>
  /// Told when the thread has written its last line.
  private let ended: Mailbox<Void>
  private let errors: ErrorLog

  init(_ options: AccessLogOptions, errors: ErrorLog) throws(NetError) {
    state = Mutex(State(options: options))
    wake = try Mailbox()
    ended = try Mailbox()
    self.errors = errors
  }

  /// Hands over whole lines. From any thread; called once a turn of a worker's loop, not once a line.
  func append(_ lines: Span<UInt8>) {
    let block = ASCII.array(lines)
    state.withLock { state in
      if state.queued + block.count > Self.queueLimit {
        state.dropped += UInt64(block.count { $0 == 0x0A })
      } else {
        state.queued += block.count
        state.blocks.append(block)
      }
    }
    wake.post(())
  }

  /// Opens the file anew: after rotation (USR1), or because the settings name another.
  func reopen(_ options: AccessLogOptions? = nil) {
    state.withLock { state in
      if let options { state.options = options }
      state.reopens = true
    }
    wake.post(())
  }

  /// Writes what is queued and lets the thread end. False when that takes longer than `patience`: standard output may be a pipe whose
  /// reader has stopped, and a write(2) to it never returns.
  func finish(within patience: Interval) -> Bool {
    state.withLock { $0.ends = true }
    wake.post(())
    let deadline = Instant.now().advanced(by: patience)
    guard var poller = try? Poller(capacity: 1), (try? poller.add(ended.descriptor, .read, EventToken(kind: 0))) != nil else { return false }
    while ended.drain().isEmpty {
      let now = Instant.now()
      if now >= deadline { return false }
      _ = poller.wait(until: deadline, now: now)
    }
    return true
  }

  /// The thread's body: returns after `finish`.
  func run() {
    defer { ended.post(()) }
    var file = Output(state.withLock { $0.options }, errors, otherwise: "requests are not logged")
    guard var poller = try? Poller(capacity: 4), (try? poller.add(wake.descriptor, .read, EventToken(kind: 0))) != nil else {
      errors.error("access log: no epoll instance; nothing will be logged")
      return
    }
    while true {
      _ = poller.wait(until: nil, now: Instant.now())
      _ = wake.drain()
      let (blocks, dropped, options, ends) = state.withLock { state in
        let taken = (state.blocks, state.dropped, state.reopens ? state.options : nil, state.ends)
        state.blocks = []
        state.queued = 0
        state.dropped = 0
        state.reopens = false
        return taken
      }
      for block in blocks { file.write(block, errors) }
      if dropped > 0 { errors.warning("access log: \(dropped) lines dropped, the disk is too slow") }
      if let options {
        // A file that can't be opened anew is no reason to lose the one that is open.
        let fresh = Output(options, errors, otherwise: "the one that is open is kept")
        if fresh.isOpen || options.target == .off {
          file = fresh
          errors.notice("access log reopened")
        }
      }
      if ends { return }
    }
  }

  /// Where lines end up.
  private struct Output: ~Copyable {
    private let file: FileDescriptor?
    private let descriptor: Int32
    private let name: String
    private var hasFailed = false

    var isOpen: Bool { descriptor >= 0 }

    init(_ options: AccessLogOptions, _ errors: ErrorLog, otherwise: StaticString) {
      switch options.target {
      case .off:
        file = nil
        descriptor = -1
        name = "off"
      case .standardOutput:
        file = nil
        descriptor = STDOUT_FILENO
        name = "standard output"
      case .file(let path):
        name = path
        // Group-readable for log shippers, never world-readable: it tells who asks for what.
        let raw = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        if raw < 0 { errors.error("access log \(path): can't be opened: \(unsafe String(cString: strerror(errno))); \(otherwise)") }
        descriptor = raw
        file = raw >= 0 ? FileDescriptor(owning: raw) : nil
      }
    }

    mutating func write(_ block: [UInt8], _ errors: ErrorLog) {
      guard descriptor >= 0 else { return }
      var done = 0
      while done < block.count {
        let n = unsafe block.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress.unsafelyUnwrapped + done, block.count - done) }
        if n < 0 && errno == EINTR { continue }
        if n < 0 && errno == EAGAIN {
          // Standard output shared with a non-blocking terminal or pipe: wait for room, but not for ever.
          var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          if unsafe poll(&wanted, 1, 1000) > 0 { continue }
        }
        if n <= 0 {
          if !hasFailed { errors.error("access log \(name): can't be written: \(unsafe String(cString: strerror(errno)))") }
          hasFailed = true
          return
        }
        done += n
      }
      hasFailed = false
    }
  }
}
