// The service behind, for tests: a listening socket on a thread of its own, whose connections each follow a script. It keeps every byte
// that reached it, connection by connection. Right or wrong answers are the script's.

import Glibc
import Net
import Primitives
import Synchronization

/// One connection of the server, as its script sees it. Blocks; gives up after ten seconds, which only a broken test takes.
final class Conversation: Sendable {
  private let socket: Int32
  private let record: @Sendable ([UInt8]) -> Void
  private let unread = Mutex<ArraySlice<UInt8>>([])
  /// From 0, in the order of accepting.
  let number: Int

  init(_ socket: Int32, number: Int, record: @escaping @Sendable ([UInt8]) -> Void) {
    self.socket = socket
    self.number = number
    self.record = record
  }

  /// The next request's head with its empty line; nil when the peer ended before.
  func head() -> String? {
    var head: [UInt8] = []
    while !head.ends(with: [13, 10, 13, 10]) {
      guard let byte = next() else { return nil }
      head.append(byte)
    }
    return String(decoding: head, as: UTF8.self)
  }

  /// The next `count` bytes, fewer when the peer ended before.
  func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count, let byte = next() {
      bytes.append(byte)
      unread.withLock { unread in
        let n = min(unread.count, count - bytes.count)
        bytes += unread.prefix(n)
        unread.removeFirst(n)
      }
    }
    return bytes
  }

  /// All bytes up to and with `mark`, or up to the end.
  func text(through mark: String) -> String {
    var bytes: [UInt8] = []
    while !bytes.ends(with: Array(mark.utf8)), let byte = next() { bytes.append(byte) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Whether the peer's system has all that was sent (tcp(7), SIOCOUTQ), after ten seconds at most.
  func hasArrived() -> Bool {
    for _ in 0..<10_000 {
      var waiting: Int32 = -1
      if unsafe ioctl(socket, UInt(TIOCOUTQ), &waiting) == 0, waiting == 0 { return true }
      usleep(1000)
    }
    return false
  }

  /// Waits until the peer has closed.
  func end() {
    while next() != nil {}
  }

  func send(_ text: String) { send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
      let n = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.send(socket, $0.baseAddress.unsafelyUnwrapped + done, bytes.count - done, Int32(MSG_NOSIGNAL))
      }
      if n <= 0 { return }
      done += n
    }
  }

  /// Waits until the peer has closed or broken the connection, without reading what it sent.
  func waitForHangUp() {
    var one = pollfd(fd: socket, events: 0x2000, revents: 0)
    unsafe _ = poll(&one, 1, 10_000)
  }

  /// From here on closing resets the connection.
  func resetOnClose() {
    var option = linger(l_onoff: 1, l_linger: 0)
    unsafe _ = setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  /// From here on the peer can't write.
  func stopReading() { shutdown(socket, Int32(SHUT_RD)) }

  private func next() -> UInt8? {
    unread.withLock { unread in
      if unread.isEmpty {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let n = unsafe recv(socket, &chunk, chunk.count, 0)
        guard n > 0 else { return nil }
        unread = chunk[0..<n]
        record(Array(chunk[0..<n]))
      }
      return unread.popFirst()
    }
  }
}

/// What scripts tell the test, in order.
final class Notes: Sendable {
  private let notes = Mutex<[String]>([])

  func add(_ note: String) { notes.withLock { $0.append(note) } }

  var all: [String] { notes.withLock { $0 } }
}

/// Opened once: lets a script wait for the test.
final class Latch: Sendable {
  private let semaphore = Semaphore()

  func open() { semaphore.signal() }

  func wait() { semaphore.wait() }
}

extension Array where Element == UInt8 {
  func ends(with suffix: [UInt8]) -> Bool { count >= suffix.count && self[(count - suffix.count)...].elementsEqual(suffix) }
}

typealias Script = @Sendable (Conversation) -> Void

/// Ends with its last reference: the listening socket is shut down and its thread joined.
final class ScriptedServer {
  enum Place {
    case tcp
    case unix(String)
  }

  let port: UInt16
  private let socket: Int32
  private var acceptor: Net.Thread?
  private let state = State()

  private final class State: Sendable {
    struct Seen: Sendable {
      var connections: [[UInt8]] = []
      var open: [Int: Int32] = [:]
      var threads: [Net.Thread] = []
      var ended = false
    }
    let seen = Mutex(Seen())
  }

  init(_ place: Place = .tcp, _ script: @escaping Script) throws {
    let address: SocketAddress
    switch place {
    case .tcp: address = .ipv4(address: 0x7F00_0001, port: 0)
    case .unix(let path): address = .unix(path: path)
    }
    let listener = try Listener.bind(ListenOptions(address: address))
    port = listener.localAddress.port
    socket = fcntl(listener.descriptor, F_DUPFD_CLOEXEC, 0)
    // The duplicate shares the open socket: blocking suits a thread of its own.
    _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) & ~O_NONBLOCK)
    let (socket, state) = (socket, state)
    acceptor = try Threads.spawn(name: "upstream") { Self.serve(socket, state, script) }
  }

  deinit {
    shutdown(socket, Int32(SHUT_RDWR))
    acceptor?.join()
    let threads = state.seen.withLock { seen in
      seen.ended = true
      for socket in seen.open.values { shutdown(socket, Int32(SHUT_RDWR)) }
      return seen.threads
    }
    for thread in threads { thread.join() }
    close(socket)
  }

  /// What arrived so far, by connection.
  var connections: [String] { state.seen.withLock { $0.connections.map { String(decoding: $0, as: UTF8.self) } } }

  var openConnections: Int { state.seen.withLock { $0.open.count } }

  private static func serve(_ listener: Int32, _ state: State, _ script: @escaping Script) {
    while true {
      let socket = accept(listener, nil, nil)
      if socket < 0 { return }
      var limit = timeval(tv_sec: 10, tv_usec: 0)
      unsafe _ = setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
      unsafe _ = setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
      let number = state.seen.withLock { seen in
        seen.connections.append([])
        seen.open[seen.connections.count - 1] = socket
        return seen.connections.count - 1
      }
      let conversation = Conversation(socket, number: number) { bytes in state.seen.withLock { $0.connections[number] += bytes } }
      let thread = try? Threads.spawn(name: "script") {
        script(conversation)
        // Under the lock, so that `deinit` shuts no stranger's socket down.
        state.seen.withLock { seen in
          seen.open[number] = nil
          close(socket)
        }
      }
      state.seen.withLock { seen in
        if let thread { seen.threads.append(thread) }
        if seen.ended { shutdown(socket, Int32(SHUT_RDWR)) }
      }
    }
  }
}
