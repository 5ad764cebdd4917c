// HTTP/2 as a client that may send whatever fields it likes, well-formed or not; frames are nghttp2's (Tests/CFront).

import CFront
import Foundation

@safe final class HTTP2Client {
  let socket: Socket
  private let state: OpaquePointer

  /// Connects by TLS and ALPN where that is spoken, with prior knowledge (RFC 9113 section 3.3) elsewhere.
  init(to port: UInt16) throws {
    socket = try Socket.connect(to: port, offering: "h2")
    guard let made = unsafe front_h2_new() else { throw Failure("no HTTP/2 client") }
    unsafe state = made
  }

  deinit { unsafe front_h2_free(state) }

  /// The server said no to a stream.
  struct Reset: Error, Equatable {
    /// RFC 9113 section 7.
    var code: UInt32
  }

  /// The connection ended before the answer; with the code of its GOAWAY, if there was one.
  struct Ended: Error, Equatable {
    var goaway: Int64?
  }

  /// Sends a request; its stream's number. `fields` with the pseudo-fields, as they are to be sent.
  func send(_ fields: [(name: String, value: String)], body: [UInt8]? = nil) throws -> Int32 {
    let texts: [String] = fields.flatMap { [$0.name, $0.value] }
    let flat = Array(texts.joined().utf8) + [0]
    let lengths = texts.map(\.utf8.count)
    let stream = unsafe flat.withUnsafeBytes { flat in
      var start = 0
      let pointers: [UnsafeRawPointer] = unsafe lengths.map { length in
        defer { start += length }
        return unsafe flat.baseAddress! + start
      }
      return unsafe pointers.withUnsafeBufferPointer { pointers in
        unsafe (body ?? []).withUnsafeBytes { bytes in
          // An empty array has no address, and an empty body is a body.
          let content = unsafe body == nil ? nil : bytes.baseAddress ?? flat.baseAddress
          return unsafe front_h2_request(state, pointers.baseAddress!, lengths, fields.count, content, bytes.count)
        }
      }
    }
    guard stream > 0 else { throw Failure("no stream was to be had") }
    try flush()
    return stream
  }

  private func flush(_ deadline: Deadline = .usual) throws {
    while true {
      var bytes: UnsafePointer<UInt8>? = nil
      let count = unsafe front_h2_output(state, &bytes)
      guard count > 0, let start = unsafe bytes else { return }
      try socket.write(unsafe Array(UnsafeBufferPointer(start: start, count: count)), deadline)
    }
  }

  /// Whether the server has said, by GOAWAY, that it will end the connection.
  var isToEnd: Bool { unsafe front_h2_goaway(state) >= 0 }

  /// Reads until the stream has ended. Throws `Reset` or `Ended` when that was no answer.
  func response(_ stream: Int32, _ deadline: Deadline = .usual) throws -> Message {
    while unsafe !front_h2_has_ended(state, stream) {
      let bytes: [UInt8]
      do { bytes = try socket.read(deadline) } catch Socket.Trouble.reset { bytes = [] }
      guard !bytes.isEmpty else {
        let code = unsafe front_h2_goaway(state)
        throw Ended(goaway: code < 0 ? nil : code)
      }
      guard unsafe front_h2_input(state, bytes, bytes.count) else { throw Failure("what came is no HTTP/2") }
      // Settings are acknowledged, windows given back. Who has ended does not hear it.
      do { try flush(deadline) } catch Socket.Trouble.reset {}
    }
    let code = unsafe front_h2_error(state, stream)
    let head = part(stream, FRONT_HEAD)
    // An answer to its end, then NO_ERROR (RFC 9113 section 8.1), is an answer.
    guard code == 0, !head.isEmpty else { throw Reset(code: code) }
    var message = Message(head: head)
    message.body = part(stream, FRONT_BODY)
    message.trailers = Message.fields(of: String(decoding: part(stream, FRONT_TRAILERS), as: UTF8.self).components(separatedBy: "\r\n"))
    let interim = String(decoding: part(stream, FRONT_INTERIM), as: UTF8.self).components(separatedBy: "\r\n\r\n").filter { !$0.isEmpty }
    message.interim = interim.map { Message(head: [UInt8](($0 + "\r\n\r\n").utf8)) }
    return message
  }

  private func part(_ stream: Int32, _ part: front_part) -> [UInt8] {
    var count = 0
    guard let start = unsafe front_h2_part(state, stream, part, &count) else { return [] }
    return unsafe Array(UnsafeBufferPointer(start: start, count: count))
  }

  /// A request as HTTP/1.1 has it, in HTTP/2's fields; nil when it has something that HTTP/2 has no word for. `fields` without their line ends.
  static func fields(_ method: String, _ target: String, _ fields: [String], authority: String = "legacy.test")
    -> [(name: String, value: String)]?
  {
    let ofConnections: Set = ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "te", "http2-settings"]
    guard target.hasPrefix("/"), !target.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F || $0 == UInt8(ascii: "#") }) else { return nil }
    var list = [(name: ":method", value: method), (":scheme", "https"), (":authority", authority), (":path", target)]
    for field in fields {
      guard let colon = field.firstIndex(of: ":"), field.first != " ", field.first != "\t" else { return nil }
      let name = field[..<colon].lowercased()
      let isToken = !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
      let value = field[field.index(after: colon)...].trimmed
      guard isToken, name != "host", !ofConnections.contains(name), value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
        return nil
      }
      list.append((name, value))
    }
    return list
  }
}
