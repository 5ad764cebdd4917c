// The loop: one thread, a closed loop on each connection. It says how long a response took from the moment in which its request was sent.
// poll(2) and not epoll, which the Glibc module does not have: for some hundred connections it will do.

import Glibc

struct Generator {
  private let options: Options
  private let pause: UInt64
  private var clients: [Client?] = []
  /// One for each client, and one for standard input.
  private var watched: [pollfd] = []
  private var source: RequestSource
  private var report = Report()
  /// Requests that may still be sent.
  private var left: Int

  /// Connects; nil when the server does not take all.
  init?(_ options: Options) {
    self.options = options
    pause = UInt64(options.pause * 1e6)
    source = RequestSource(options)
    left = options.requests ?? .max
    for i in 0..<options.connections {
      // 127.0.1.1, 127.0.1.2, …: all of 127.0.0.0/8 is this machine.
      let address = options.spreadsAddresses ? 0x7F00_0101 + UInt32(i / 250 * 256 + i % 250) : 0x7F00_0001
      guard let client = Client(port: options.port, from: address) else { return nil }
      clients.append(client)
      watched.append(pollfd(fd: client.socket, events: Int16(POLLIN), revents: 0))
    }
    watched.append(pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0))
  }

  /// Runs to the end that the options name, and answers the report.
  mutating func run() -> String {
    let began = Self.now()
    let end = options.seconds.map { began + UInt64($0 * 1e9) } ?? .max
    // With a pause the connections don't march in step.
    let step = pause / UInt64(clients.count)
    for i in clients.indices { clients[i]?.instant = began + step * UInt64(i) }
    var time = began
    var next = sendDue(time)
    while time < end && report.count < options.requests ?? .max && clients.contains(where: { $0 != nil }) {
      let wake = min(next, end)
      let milliseconds = wake == .max ? -1 : Int32((wake - min(wake, time) + 999_999) / 1_000_000)
      if unsafe poll(&watched, nfds_t(watched.count), milliseconds) > 0 {
        for i in clients.indices where watched[i].revents != 0 { arrived(i) }
        if watched[clients.count].revents != 0 && hasInputEnded() { break }
      }
      time = Self.now()
      if pause > 0 { next = sendDue(time) }
    }
    return report.text(seconds: Double(Self.now() - began) / 1e9)
  }

  /// Sends what is due, and answers when the next is.
  private mutating func sendDue(_ time: UInt64) -> UInt64 {
    var next = UInt64.max
    for i in clients.indices {
      guard let client = clients[i], !client.isWaiting else { continue }
      if client.instant > time { next = min(next, client.instant) } else { request(i) }
    }
    return next
  }

  private mutating func request(_ i: Int) {
    guard let client = clients[i], left > 0 else { return }
    left -= 1
    clients[i]?.instant = Self.now()
    clients[i]?.isWaiting = true
    if !client.send(source.next()) { drop(i) }
  }

  private mutating func arrived(_ i: Int) {
    guard let arrival = clients[i]?.receive(), let sent = clients[i]?.instant else { return }
    switch arrival {
    case .nothing: break
    case .lost: drop(i)
    case .response(let status):
      let received = Self.now()
      report.add(status, nanoseconds: received - sent)
      clients[i]?.isWaiting = false
      clients[i]?.instant = received + pause
      // Without a pause the next goes out at once, not after everybody else was looked at.
      if pause == 0 { request(i) }
    }
  }

  private mutating func drop(_ i: Int) {
    clients[i]?.close()
    clients[i] = nil
    watched[i].fd = -1
    report.lost += 1
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
