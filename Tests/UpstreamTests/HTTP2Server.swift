// A server that speaks HTTP/2 by hand, for scripts: frames as bytes, and what the client's frames say.

import Primitives
import Testing

/// Frames (RFC 9113 section 4.1), fields as literals that enter no table (RFC 7541).
enum Frame {
  static func make(_ type: UInt8, _ flags: UInt8 = 0, stream: Int = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let n = payload.count
    return [UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255), type, flags] + number(stream) + payload
  }

  static func number(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }

  static func settings(_ pairs: (Int, Int)...) -> [UInt8] {
    var payload: [UInt8] = []
    for (name, value) in pairs { payload += [0, UInt8(name)] + number(value) }
    return make(4, 0, stream: 0, payload)
  }

  static func many(_ count: Int, _ frame: [UInt8]) -> [UInt8] { [[UInt8]](repeating: frame, count: count).flatMap { $0 } }

  static func block(_ fields: [(String, String)]) -> [UInt8] {
    var out: [UInt8] = []
    for (name, value) in fields {
      out += [0, UInt8(name.utf8.count)]
      out += name.utf8
      out.append(UInt8(value.utf8.count))
      out += value.utf8
    }
    return out
  }

  static func headers(_ stream: Int, _ fields: (String, String)..., ends: Bool = false) -> [UInt8] {
    make(1, ends ? 5 : 4, stream: stream, block(fields))
  }

  static func data(_ stream: Int, _ text: String, ends: Bool = false) -> [UInt8] { make(0, ends ? 1 : 0, stream: stream, Array(text.utf8)) }
  static func reset(_ stream: Int, _ code: Int) -> [UInt8] { make(3, stream: stream, number(code)) }
  static func goaway(_ last: Int, _ code: Int = 0) -> [UInt8] { make(7, 0, number(last) + number(code)) }

  static func hello(_ stream: Int) -> [UInt8] { headers(stream, (":status", "200"), ("content-length", "5")) + data(stream, "hello", ends: true) }
}

struct SeenFrame {
  let type: UInt8
  let flags: UInt8
  let stream: Int
  let payload: [UInt8]

  var endsStream: Bool { type <= 1 && flags & 1 != 0 }
  /// Of RST_STREAM and GOAWAY.
  var code: Int { payload.suffix(4).reduce(0) { $0 << 8 | Int($1) } }
}

extension Conversation {
  /// The client's preface and SETTINGS, ours, and that we have taken his.
  func greet(_ settings: [UInt8] = Frame.settings()) {
    _ = bytes(24)
    _ = frame()
    send(settings + Frame.make(4, 1))
  }

  /// The client's next frame; nil when it ended before.
  func frame() -> SeenFrame? {
    let head = bytes(9)
    guard head.count == 9 else { return nil }
    let count = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
    let payload = bytes(count)
    guard payload.count == count else { return nil }
    return SeenFrame(type: head[3], flags: head[4], stream: head[5...8].reduce(0) { $0 << 8 | Int($1) }, payload: payload)
  }

  /// Reads on until a frame of that type.
  func frame(ofType type: UInt8) -> SeenFrame? {
    while let frame = frame() { if frame.type == type { return frame } }
    return nil
  }

  /// The stream of the next request.
  func requestHead() -> Int? { frame(ofType: 1)?.stream }

  /// The same when the request is whole.
  func wholeRequest() -> Int? {
    while let frame = frame() { if frame.endsStream { return frame.stream } }
    return nil
  }
}
