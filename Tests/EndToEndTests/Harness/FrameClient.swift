// HTTP/2 by hand: whatever frames a test likes, in whatever order, and a plain reading of those that come back. HTTP2Client is the well-behaved one.

import Foundation

/// Frames as bytes (RFC 9113 section 4.1, RFC 7541).
enum Frame {
  static let preface = [UInt8]("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  static let data: UInt8 = 0
  static let headers: UInt8 = 1
  static let priority: UInt8 = 2
  static let reset: UInt8 = 3
  static let settings: UInt8 = 4
  static let ping: UInt8 = 6
  static let goaway: UInt8 = 7
  static let windowUpdate: UInt8 = 8
  static let continuation: UInt8 = 9

  static let endStream: UInt8 = 1
  static let endHeaders: UInt8 = 4
  static let padded: UInt8 = 8

  static func make(_ type: UInt8, _ flags: UInt8 = 0, stream: Int32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let count = payload.count
    return [UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags] + number(UInt32(stream)) + payload
  }

  static func number(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * UInt32($0)) & 255) } }

  static func setting(_ name: UInt8, _ value: UInt32) -> [UInt8] { [0, name] + number(value) }

  /// A field as a literal that enters no table.
  static func field(_ name: String, _ value: String) -> [UInt8] { [0] + text(name) + text(value) }

  /// A string of HPACK, as it is.
  static func text(_ text: String) -> [UInt8] {
    var left = text.utf8.count
    if left < 127 { return [UInt8(left)] + text.utf8 }
    var out: [UInt8] = [127]
    left -= 127
    while left >= 128 {
      out.append(UInt8(left % 128 + 128))
      left /= 128
    }
    return out + [UInt8(left)] + text.utf8
  }

  static func block(_ fields: [(String, String)]) -> [UInt8] { fields.flatMap { field($0.0, $0.1) } }
}

final class FrameClient {
  struct Stream {
    /// Of each head that came.
    var statuses: [Int] = []
    var body: [UInt8] = []
    var bodyCount = 0
    var hasEnded = false
    var reset: UInt32?
    /// Bytes that the server gave credit for, beyond what a stream begins with.
    var credit = 0
    var status: Int? { statuses.last }
    var isOver: Bool { hasEnded || reset != nil }
  }

  let socket: Socket
  private(set) var streams: [Int32: Stream] = [:]
  private(set) var goaways: [(last: UInt32, code: UInt32)] = []
  private(set) var isClosed = false
  /// Whether the server's SETTINGS came, and were acknowledged.
  private(set) var isGreeted = false
  /// Frames that came.
  private(set) var frames = 0
  /// Whether credit is given for what comes.
  var givesCredit = true
  /// Whether bodies are kept.
  var keepsBodies = true
  private var buffer: [UInt8] = []
  private var start = 0
  private var next: Int32 = 1

  /// By TLS and ALPN where that is spoken, with prior knowledge elsewhere.
  /// - Parameters:
  ///   - first: what is sent before HTTP/2 begins.
  ///   - settings: beside that no dynamic table is wanted, so that heads can be read one by one.
  init(to port: UInt16, after first: [UInt8] = [], settings: [UInt8] = []) throws {
    socket = try Socket.connect(to: port, offering: "h2")
    try socket.write(first + Frame.preface + Frame.make(Frame.settings, 0, Frame.setting(1, 0) + settings))
  }

  func send(_ bytes: [UInt8]) throws { try socket.write(bytes) }

  /// - Parameter scheme: for a listener of a test's own, which is not the front.
  static func fields(
    _ path: String = "/", _ method: String = "GET", _ more: [(String, String)] = [], scheme: String = Front.current.scheme
  ) -> [(String, String)] {
    [(":method", method), (":scheme", scheme), (":path", path), (":authority", "legacy.test")] + more
  }

  static func authorized(_ person: People.Person) -> (String, String) {
    let parts = person.authorization.split(separator: ":", maxSplits: 1)
    return ("authorization", String(parts[1]).trimmingCharacters(in: .whitespaces))
  }

  /// A request's frame, and the stream that it begins.
  func begin(_ fields: [(String, String)], ends: Bool = true) -> (id: Int32, frame: [UInt8]) {
    defer { next += 2 }
    return (next, Frame.make(Frame.headers, Frame.endHeaders | (ends ? Frame.endStream : 0), stream: next, Frame.block(fields)))
  }

  func request(_ fields: [(String, String)], ends: Bool = true) throws -> Int32 {
    let (id, frame) = begin(fields, ends: ends)
    try send(frame)
    return id
  }

  /// Reads until `isEnough`, or the connection has ended.
  func read(_ deadline: Deadline = .usual, until isEnough: (FrameClient) -> Bool) throws {
    while !isClosed && !isEnough(self) {
      if try frame() { continue }
      let bytes: [UInt8]
      do { bytes = try socket.read(atMost: 1 << 20, deadline) } catch Socket.Trouble.reset { bytes = [] }
      if bytes.isEmpty { isClosed = true }
      if start == buffer.count {
        buffer = bytes
      } else {
        buffer.removeFirst(start)
        buffer += bytes
      }
      start = 0
    }
  }

  /// The stream when it is over, or the connection is.
  @discardableResult
  func answer(_ id: Int32, _ deadline: Deadline = .usual) throws -> Stream {
    try read(deadline) { $0.streams[id]?.isOver ?? false }
    return streams[id] ?? Stream()
  }

  func exchange(_ fields: [(String, String)], _ deadline: Deadline = .usual) throws -> Stream { try answer(request(fields), deadline) }

  /// Waits for the end of the connection, and tells what was said last.
  func end(_ deadline: Deadline = .usual) throws -> UInt32? {
    try read(deadline) { _ in false }
    return goaways.last?.code
  }

  private func frame() throws -> Bool {
    guard buffer.count - start >= 9 else { return false }
    let length = Int(buffer[start]) << 16 | Int(buffer[start + 1]) << 8 | Int(buffer[start + 2])
    guard buffer.count - start >= 9 + length else { return false }
    let (type, flags) = (buffer[start + 3], buffer[start + 4])
    let id = Int32(bitPattern: number(at: start + 5) & 0x7FFF_FFFF)
    let begin = start + 9
    start = begin + length
    frames += 1
    switch type {
    case Frame.data:
      streams[id, default: Stream()].bodyCount += length
      if keepsBodies { streams[id, default: Stream()].body += buffer[begin..<start] }
      if flags & Frame.endStream != 0 { streams[id, default: Stream()].hasEnded = true }
      if givesCredit && length > 0 {
        let credit = Frame.number(UInt32(length))
        try? send(Frame.make(Frame.windowUpdate, 0, credit) + Frame.make(Frame.windowUpdate, stream: id, credit))
      }
    case Frame.headers:
      if let status = Self.status(buffer[begin..<start]) { streams[id, default: Stream()].statuses.append(status) }
      if flags & Frame.endStream != 0 { streams[id, default: Stream()].hasEnded = true }
    case Frame.reset:
      streams[id, default: Stream()].reset = number(at: begin)
    case Frame.windowUpdate where id != 0:
      streams[id, default: Stream()].credit += Int(number(at: begin))
    case Frame.settings where flags & 1 == 0:
      isGreeted = true
      try? send(Frame.make(Frame.settings, 1))
    case Frame.ping where flags & 1 == 0:
      try? send(Frame.make(Frame.ping, 1, Array(buffer[begin..<start])))
    case Frame.goaway:
      goaways.append((number(at: begin) & 0x7FFF_FFFF, number(at: begin + 4)))
    default:
      break
    }
    return true
  }

  private func number(at i: Int) -> UInt32 { (0..<4).reduce(0) { $0 << 8 | UInt32(buffer[i + $1]) } }

  /// The first field of a block, if it is a status. Without a dynamic table it is an entry of the static one, or a literal with its name.
  private static func status(_ block: ArraySlice<UInt8>) -> Int? {
    var i = block.startIndex
    // Changes of the table's size come first.
    while i < block.endIndex && block[i] & 0xE0 == 0x20 { i += 1 }
    guard i < block.endIndex else { return nil }
    let known = [200, 204, 206, 304, 400, 404, 500]
    if block[i] & 0x80 != 0 {
      let index = Int(block[i] & 0x7F) - 8
      return known.indices.contains(index) ? known[index] : nil
    }
    guard (8...14).contains(block[i] & (block[i] & 0x40 != 0 ? 0x3F : 0x0F)), i + 1 < block.endIndex else { return nil }
    let (isHuffman, count) = (block[i + 1] & 0x80 != 0, Int(block[i + 1] & 0x7F))
    let value = block[(i + 2)...].prefix(count)
    if !isHuffman { return Int(String(decoding: value, as: UTF8.self)) }
    // RFC 7541, appendix B: 0 to 2 have five bits, the other digits six.
    let bits = value.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 } }
    var at = 0
    var status = 0
    for _ in 0..<3 {
      let five = bits[at..<min(at + 5, bits.count)].reduce(0) { $0 << 1 | Int($1) }
      if five <= 2 {
        status = status * 10 + five
        at += 5
      } else {
        let six = bits[at..<min(at + 6, bits.count)].reduce(0) { $0 << 1 | Int($1) }
        guard (0x19...0x1F).contains(six) else { return nil }
        status = status * 10 + six - 0x19 + 3
        at += 6
      }
    }
    return status
  }
}
