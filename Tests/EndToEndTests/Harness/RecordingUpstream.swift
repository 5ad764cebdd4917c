// The service behind, for tests: keeps every byte that reached it, connection by connection, and answers as its script says, right or wrong.

import Foundation

/// What an upstream does with each connection. Runs on that connection's own thread; when it returns, the connection is closed.
typealias Script = @Sendable (Conversation) throws -> Void

final class RecordingUpstream: Sendable {
  let port: UInt16
  private let listener: Socket

  private struct Record {
    var connections: [[UInt8]] = []
    var requests: [Message] = []
    var sockets: [Int: Socket] = [:]
    var troubles: [String] = []
    var stopped = false
  }
  private let record = Monitor(Record())

  init(_ script: @escaping Script) throws {
    (listener, port) = try Socket.bind()
    try listener.listen()
    let (listener, record) = (self.listener, self.record)
    Thread.detachNewThread { [weak self] in
      while let socket = listener.accept() {
        guard let self else { return }
        let index = record.with {
          $0.connections.append([])
          $0.sockets[$0.connections.count - 1] = socket
          return $0.connections.count - 1
        }
        if record.with({ $0.stopped }) { socket.shutDown() }
        self.serve(socket, index, script)
      }
    }
  }

  deinit { listener.shutDown() }

  private func serve(_ socket: Socket, _ index: Int, _ script: @escaping Script) {
    let record = self.record
    Thread.detachNewThread {
      let conversation = Conversation(socket, index, record: { bytes in record.with { $0.connections[index] += bytes } }) { request in
        record.with { $0.requests.append(request) }
      }
      do {
        try script(conversation)
      } catch {
        record.with { if !$0.stopped { $0.troubles.append("connection \(index): \(error)") } }
      }
      conversation.end()
      record.with { $0.sockets[index] = nil }
    }
  }

  /// Ends every connection and waits until their scripts are done.
  func stop() throws {
    listener.shutDown()
    record.with {
      $0.stopped = true
      for socket in $0.sockets.values { socket.shutDown() }
    }
    guard record.wait({ $0.sockets.isEmpty ? true : nil }) != nil else { throw Failure("a script of the upstream did not end") }
  }

  /// All that arrived, by connection, in the order in which they were made.
  var connections: [[UInt8]] { record.with { $0.connections } }

  /// All that arrived, connection after connection.
  var bytes: [UInt8] { connections.flatMap { $0 } }

  /// The requests that scripts read, in the order in which they were complete.
  var requests: [Message] { record.with { $0.requests } }

  /// What surprised the scripts: a malformed request, an end in the middle.
  var troubles: [String] { record.with { $0.troubles } }

  /// How many connections are open now.
  var open: Int { record.with { $0.sockets.count } }

  /// Waits until scripts have read `count` requests.
  func requests(_ count: Int, within duration: Duration = Deadline.patience) throws -> [Message] {
    guard let requests = record.wait(until: .after(duration), { $0.requests.count >= count ? $0.requests : nil }) else {
      throw Failure("only \(requests.count) of \(count) requests reached the upstream")
    }
    return requests
  }

  func waitForConnections(_ count: Int) throws {
    guard record.wait({ $0.connections.count >= count ? true : nil }) != nil else { throw Failure("too few connections to the upstream") }
  }
}

/// One connection of the upstream, in the hands of its script.
final class Conversation {
  /// Which connection this is, from 0.
  let index: Int
  let wire: Wire
  private let finished: (Message) -> Void
  var socket: Socket { wire.socket }

  fileprivate init(_ socket: Socket, _ index: Int, record: @escaping ([UInt8]) -> Void, finished: @escaping (Message) -> Void) {
    self.index = index
    self.finished = finished
    wire = Wire(socket)
    wire.record = record
  }

  /// Idle connections wait for as long as the test lasts; `stop` ends them.
  private static var patience: Deadline { .after(.seconds(600)) }

  /// The next request with its body; nil when the peer ended the connection between two.
  func request() throws -> Message? {
    guard var message = try head() else { return nil }
    try finish(&message)
    return message
  }

  /// The next request's head alone; `finish` reads its body.
  func head() throws -> Message? {
    do {
      return try wire.head(Self.patience).map { Message(head: $0) }
    } catch Socket.Trouble.reset {
      return nil
    }
  }

  func finish(_ message: inout Message, sink: (([UInt8]) throws -> Void)? = nil) throws {
    try wire.body(message.requestBody, of: &message, Self.patience, sink: sink)
    finished(message)
  }

  /// Counts a request whose body the script does not mean to read.
  func count(_ message: Message) { finished(message) }

  func send(_ text: String) throws { try socket.write([UInt8](text.utf8)) }
  func send(_ bytes: [UInt8]) throws { try socket.write(bytes, .after(.seconds(120))) }

  /// Waits until the peer ends or resets the connection; whatever it sends before is recorded.
  func waitForEnd() throws {
    do {
      while !(try wire.some(atMost: .max, Self.patience)).isEmpty {}
    } catch Socket.Trouble.reset {}
  }

  /// Ends with a reset instead of an orderly close.
  func reset() { socket.reset() }

  fileprivate func end() { socket.shutDown() }
}

/// Scripts that many tests share.
enum Answer {
  static func text(_ body: String, status: String = "200 OK", fields: [String] = []) -> String {
    (["HTTP/1.1 \(status)", "Content-Length: \(body.utf8.count)"] + fields).joined(separator: "\r\n") + "\r\n\r\n" + body
  }

  /// “half-whole”, the second half when the test's next step is taken: a download that is under way until then.
  static func halves(_ conversation: Conversation, _ go: Steps) throws {
    try conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf-")
    try go.wait()
    try conversation.send("whole")
  }

  /// Answers every request with the same bytes, as long as the connection lasts.
  static func always(_ answer: String) -> Script {
    { conversation in
      while try conversation.request() != nil { try conversation.send(answer) }
    }
  }

  /// 200 and “hello”.
  static let hello = always(text("hello"))

  /// Answers every request with these bytes, right or wrong, and does not mind how the other side takes it.
  static func tolerant(_ answer: String) -> Script {
    { conversation in
      do {
        guard try conversation.request() != nil else { return }
        try conversation.send(answer)
        try conversation.waitForEnd()
      } catch is Socket.Trouble {} catch is Truncated {}
    }
  }

  /// Answers the first request with these bytes, then closes.
  static func once(_ answer: String) -> Script {
    { conversation in
      guard try conversation.request() != nil else { return }
      try conversation.send(answer)
    }
  }
}
