// HTTP/1.1 messages as the tests see them: what came, byte for byte, and a plain reading of it. Deliberately simple: it judges nothing, the
// proxy under test does that.

/// A request or response as it stood on the wire.
struct Message: Sendable {
  /// The head as it came, up to and with the empty line.
  var head: [UInt8]
  var startLine: String
  var fields: [(name: String, value: String)]
  var body: [UInt8] = []
  /// What the chunked coding said, with its framing; empty for other bodies.
  var chunks: [Int] = []
  var trailers: [(name: String, value: String)] = []
  /// Heads of 1xx responses that came before this one.
  var interim: [Message] = []

  init(head: [UInt8]) {
    self.head = head
    var lines = head.lines
    startLine = lines.isEmpty ? "" : lines.removeFirst()
    fields = Self.fields(of: lines)
  }

  static func fields(of lines: [String]) -> [(name: String, value: String)] {
    lines.filter { !$0.isEmpty }.map { line in
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), parts.count > 1 ? parts[1].trimmed : "")
    }
  }

  /// All values of a field, whatever its case.
  func values(_ name: String) -> [String] { fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value) }

  /// The value of a field that is there once; nil when it is missing or stands there several times.
  subscript(_ name: String) -> String? {
    let all = values(name)
    return all.count == 1 ? all[0] : nil
  }

  private var words: [String] { startLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init) }

  var method: String { words.first ?? "" }
  var target: String { words.count > 1 ? words[1] : "" }
  var status: Int { words.count > 1 ? Int(words[1]) ?? 0 : 0 }
  var reason: String { words.count > 2 ? words[2] : "" }

  var text: String { String(decoding: body, as: UTF8.self) }
  var headText: String { String(decoding: head, as: UTF8.self) }

  /// The message as it would look to someone who compares: without what may differ between two equal answers.
  var comparable: String {
    let shown = fields.filter { !["date", "x-request-id"].contains($0.name.lowercased()) }
    return ([startLine] + shown.map { "\($0.name): \($0.value)" } + ["", text]).joined(separator: "\n")
  }

  enum BodyKind: Equatable {
    case none
    case length(Int)
    case chunked
    case untilClose
  }

  var requestBody: BodyKind {
    if values("transfer-encoding").contains(where: { $0.lowercased().contains("chunked") }) { return .chunked }
    return values("content-length").first.flatMap { Int($0) }.map { .length($0) } ?? .none
  }

  func responseBody(to method: String) -> BodyKind {
    if method == "HEAD" || status == 204 || status == 304 || (100..<200).contains(status) { return .none }
    if values("transfer-encoding").contains(where: { $0.lowercased().contains("chunked") }) { return .chunked }
    return values("content-length").first.flatMap { Int($0) }.map { .length($0) } ?? .untilClose
  }
}

extension StringProtocol {
  var trimmed: String {
    var part = self[...]
    while let first = part.first, first == " " || first == "\t" { part.removeFirst() }
    while let last = part.last, last == " " || last == "\t" { part.removeLast() }
    return String(part)
  }
}

extension Collection where Element == UInt8 {
  /// Lines of a head, ends taken off.
  var lines: [String] {
    self.split(separator: 10, omittingEmptySubsequences: false).map { line in
      String(decoding: line.last == 13 ? line.dropLast() : line[...], as: UTF8.self)
    }.dropLast()
  }

  /// Whether `part` stands somewhere in these bytes.
  func holds(_ part: String) -> Bool { !part.isEmpty && String(decoding: self, as: UTF8.self).contains(part) }
}

/// The reading side of a connection: bytes that have arrived and were not yet used.
final class Wire {
  let socket: Socket
  private var buffer: [UInt8] = []
  private var start = 0
  /// Told of every byte that arrives.
  var record: (([UInt8]) -> Void)?

  init(_ socket: Socket) { self.socket = socket }

  var unused: [UInt8] { Array(buffer[start...]) }

  /// Waits for more bytes; false when the peer has ended its side.
  func more(_ deadline: Deadline = .usual) throws -> Bool {
    let bytes = try socket.read(deadline)
    record?(bytes)
    if start == buffer.count {
      buffer = bytes
    } else {
      // What was used goes first: the buffer never holds more than one message's tail.
      buffer.removeFirst(start)
      buffer += bytes
    }
    start = 0
    return !bytes.isEmpty
  }

  /// What is there, or has just come; empty at the end of the stream.
  func some(atMost limit: Int = .max, _ deadline: Deadline = .usual) throws -> [UInt8] {
    if start == buffer.count {
      guard try more(deadline) else { return [] }
    }
    let end = min(buffer.count, limit < buffer.count ? start + limit : buffer.count)
    defer { start = end }
    return Array(buffer[start..<end])
  }

  func exactly(_ count: Int, _ deadline: Deadline = .usual) throws -> [UInt8] {
    var bytes = [UInt8]()
    while bytes.count < count {
      let part = try some(atMost: count - bytes.count, deadline)
      guard !part.isEmpty else { throw Truncated(received: bytes) }
      bytes += part
    }
    return bytes
  }

  /// One line without its end.
  func line(_ deadline: Deadline = .usual) throws -> String {
    var scanned = 0
    while true {
      if let end = buffer[(start + scanned)...].firstIndex(of: 10) {
        defer { start = end + 1 }
        let line = buffer[start..<end]
        return String(decoding: line.last == 13 ? line.dropLast() : line, as: UTF8.self)
      }
      scanned = buffer.count - start
      guard try more(deadline) else { throw Truncated(received: unused) }
    }
  }

  /// A head up to its empty line; nil when the stream ended before its first byte.
  func head(_ deadline: Deadline = .usual) throws -> [UInt8]? {
    while true {
      if let end = endOfHead() {
        defer { start = end }
        return Array(buffer[start..<end])
      }
      guard try more(deadline) else {
        if start == buffer.count { return nil }
        throw Truncated(received: unused)
      }
    }
  }

  private func endOfHead() -> Int? {
    var i = start
    while i + 3 < buffer.count {
      if buffer[i] == 13 && buffer[i + 1] == 10 && buffer[i + 2] == 13 && buffer[i + 3] == 10 { return i + 4 }
      i += 1
    }
    return nil
  }

  /// Reads the body of `message` into it, or, when `sink` is given, hands it there piece by piece.
  func body(_ kind: Message.BodyKind, of message: inout Message, _ deadline: Deadline = .usual, sink: (([UInt8]) throws -> Void)? = nil)
    throws
  {
    func keep(_ bytes: [UInt8]) throws {
      if let sink { try sink(bytes) } else { message.body += bytes }
    }
    func copy(_ count: Int) throws {
      var left = count
      while left > 0 {
        let part = try some(atMost: left, deadline)
        guard !part.isEmpty else { throw Truncated(received: message.body) }
        left -= part.count
        try keep(part)
      }
    }
    switch kind {
    case .none: return
    case .length(let count): try copy(count)
    case .untilClose:
      while true {
        let part = try some(atMost: .max, deadline)
        if part.isEmpty { return }
        try keep(part)
      }
    case .chunked:
      while true {
        let line = try line(deadline)
        guard let size = Int(line.split(separator: ";", omittingEmptySubsequences: false)[0].trimmed, radix: 16) else {
          throw Failure("not a chunk size: “\(line)”")
        }
        message.chunks.append(size)
        if size == 0 { break }
        try copy(size)
        guard try exactly(2, deadline) == [13, 10] else { throw Failure("a chunk did not end where it said") }
      }
      var lines = [String]()
      while true {
        let line = try line(deadline)
        if line.isEmpty { break }
        lines.append(line)
      }
      message.trailers = Message.fields(of: lines)
    }
  }
}

/// The stream ended in the middle of a message.
struct Truncated: Error {
  var received: [UInt8]
}
