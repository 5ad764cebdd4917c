// The loop: one thread, one epoll. Either a closed loop on each connection, which tells what a server can do, or requests at a constant
// rate, which tells how long those who ask have to wait: a closed loop does not ask while the server is slow, and so does not see what it
// is to ask then ("coordinated omission").

import CEpoll
import Glibc

struct Generator {
  /// After the end, answers are waited for so long: nanoseconds.
  private static let grace: UInt64 = 1_000_000_000
  /// The mark of standard input.
  private static let input = UInt64.max

  private let options: Options
  private let epoll: Int32
  private var buffer = [UInt8](repeating: 0, count: 64 << 10)
  private var marks = [UInt64](repeating: 0, count: 256)
  private var clients: [Client?] = []
  private var open = 0
  private var source: RequestSource
  private let body: Body
  private var report = Report()
  /// Requests that may still be sent.
  private var left: Int
  private var waiting = 0
  /// Whether a connection is made when its first request is due: where each has its own, and where so many are opened that servers would
  /// take those that say nothing yet for an attack.
  private var connectsLate: Bool { options.isFresh || options.hold != nil }
  /// At a constant rate, connections that wait for a request, as a ring: who has waited longest is next.
  private var idle: [Int] = []
  private var firstIdle = 0

  /// Connects; nil when the server does not take all.
  init?(_ options: Options) {
    self.options = options
    epoll = epoll_create1(0)
    source = RequestSource(options)
    body = Body(options)
    left = options.requests ?? .max
    if options.rate != nil { wake_punctually() }
    for i in 0..<options.connections {
      clients.append(nil)
      if !connectsLate && !connect(i) { return nil }
    }
    // Fails for a file, which never ends.
    _ = watch(epoll, STDIN_FILENO, EPOLLIN.rawValue, Self.input, false)
  }

  /// Runs to the end that the options name, and answers the report.
  mutating func run() -> String {
    let began = Self.now()
    let end = options.seconds.map { began + UInt64($0 * 1e9) } ?? .max
    let ended = options.rate == nil ? runClosed(until: end) : runConstantly(from: began, until: end)
    return report.text(seconds: Double(ended - began) / 1e9)
  }

  /// After the report of a run that holds: returns when standard input has ended.
  func hold() { while !hasInputEnded() {} }

  // MARK: - As many as there are answers

  /// When it ended.
  private mutating func runClosed(until end: UInt64) -> UInt64 {
    let first = options.hold ?? clients.count
    for i in 0..<first { request(i, due: Self.now()) }
    var asked = first
    var time = Self.now()
    while time < end && report.count < options.requests ?? .max && waiting > 0 {
      let ready = collect(for: end == .max ? -1 : Int64(end - time))
      for k in 0..<ready {
        if marks[k] == Self.input {
          if hasInputEnded() { return Self.now() }
        } else if arrived(Int(marks[k])) {
          // The next goes out at once, not after everybody else was looked at.
          if options.hold == nil {
            request(Int(marks[k]), due: Self.now())
          } else if asked < clients.count {
            request(asked, due: Self.now())
            asked += 1
          }
        }
      }
      time = Self.now()
    }
    return time
  }

  // MARK: - At a constant rate

  private mutating func runConstantly(from began: UInt64, until end: UInt64) -> UInt64 {
    let period = 1e9 / (options.rate ?? 1)
    idle = Array(clients.indices)
    var free = idle.count
    var sent = 0
    func due(_ i: Int) -> UInt64 { began + UInt64(Double(i) * period) }
    var time = began
    while time < end + Self.grace {
      while free > 0 && due(sent) <= time && due(sent) < end {
        request(idle[firstIdle], due: due(sent))
        firstIdle = (firstIdle + 1) % idle.count
        free -= 1
        sent += 1
      }
      if due(sent) >= end && waiting == 0 { break }
      let wake = free > 0 && due(sent) < end ? due(sent) : end + Self.grace
      let ready = collect(for: wake > time ? Int64(wake - time) : 0)
      for k in 0..<ready {
        if marks[k] == Self.input {
          if hasInputEnded() { return Self.now() }
        } else if arrived(Int(marks[k])) {
          idle[(firstIdle + free) % idle.count] = Int(marks[k])
          free += 1
        }
      }
      time = Self.now()
      if open == 0 && !options.isFresh { break }
    }
    for case let client? in clients where client.isWaiting { report.addUnanswered(nanoseconds: time - client.instant) }
    while due(sent) < end && time > due(sent) {
      report.addUnanswered(nanoseconds: time - due(sent))
      sent += 1
    }
    return min(time, end)
  }

  // MARK: - One request

  private mutating func request(_ i: Int, due: UInt64) {
    guard left > 0 else { return }
    left -= 1
    if connectsLate && !connect(i) {
      report.lost += 1
      return
    }
    guard clients[i] != nil else { return }
    clients[i]?.instant = due
    clients[i]?.isWaiting = true
    waiting += 1
    if clients[i]?.send(source.next(), hasBody: options.body != nil) != true || !upload(i) { drop(i) }
  }

  /// Sends of the body what the kernel takes, and asks to be told when it takes more.
  private mutating func upload(_ i: Int) -> Bool {
    guard let client = clients[i], client.uploaded != nil else { return true }
    guard clients[i]?.upload(body) == true else { return false }
    let events = UInt32(WATCH_READ) | (clients[i]?.uploaded == nil ? 0 : UInt32(WATCH_WRITE))
    return watch(epoll, client.socket, events, UInt64(i), true) == 0
  }

  /// Whether a response was complete.
  private mutating func arrived(_ i: Int) -> Bool {
    guard let client = clients[i] else { return false }
    if !upload(i) {
      drop(i)
      return false
    }
    guard let arrival = clients[i]?.receive(&buffer) else { return false }
    switch arrival {
    case .nothing: return false
    case .lost:
      drop(i)
      return false
    case .response(let status):
      report.add(status, nanoseconds: Self.now() - client.instant)
      clients[i]?.isWaiting = false
      waiting -= 1
      if options.isFresh { close(i) }
      return true
    }
  }

  private mutating func drop(_ i: Int) {
    if clients[i]?.isWaiting == true { waiting -= 1 }
    close(i)
    report.lost += 1
  }

  // MARK: - Connections

  private mutating func connect(_ i: Int) -> Bool {
    // 127.0.1.1, 127.0.1.2, …: all of 127.0.0.0/8 is this machine.
    let address = options.spreadsAddresses ? 0x7F00_0101 + UInt32(i / 250 * 256 + i % 250) : 0x7F00_0001
    guard let client = Client(port: options.port, from: address) else { return false }
    guard watch(epoll, client.socket, UInt32(WATCH_READ), UInt64(i), false) == 0 else { return false }
    clients[i] = client
    open += 1
    return true
  }

  private mutating func close(_ i: Int) {
    clients[i]?.close()
    clients[i] = nil
    open -= 1
  }

  private mutating func collect(for nanoseconds: Int64) -> Int {
    max(0, Int(unsafe wait_for(epoll, &marks, Int32(marks.count), nanoseconds)))
  }

  private func hasInputEnded() -> Bool {
    var byte: UInt8 = 0
    return unsafe read(STDIN_FILENO, &byte, 1) <= 0
  }

  private static func now() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
