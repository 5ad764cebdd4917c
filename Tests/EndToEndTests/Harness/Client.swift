// A client made of a bare socket, through TLS where that is spoken: sends whatever bytes it is told, well-formed or not, and reads what comes back.

import Foundation

final class Client {
  let wire: Wire
  var socket: Socket { wire.socket }

  /// Whatever is spoken there.
  init(inClearTextTo port: UInt16) throws { wire = Wire(try Socket.connect(to: port)) }

  init(to port: UInt16) throws { wire = Wire(try Socket.connect(to: port, offering: "http/1.1")) }

  func send(_ text: String) throws { try socket.write([UInt8](text.utf8)) }
  func send(_ bytes: [UInt8]) throws { try socket.write(bytes) }

  /// The next final response, with the 1xx ones before it; nil when the connection ended instead.
  func response(to method: String = "GET", _ deadline: Deadline = .usual) throws -> Message? {
    guard var message = try head(deadline) else { return nil }
    try wire.body(message.responseBody(to: method), of: &message, deadline)
    return message
  }

  /// The next final response's head alone, with the 1xx ones before it.
  func head(_ deadline: Deadline = .usual) throws -> Message? {
    var interim = [Message]()
    while let head = try wire.head(deadline) {
      var message = Message(head: head)
      if (100..<200).contains(message.status) && message.status != 101 {
        interim.append(message)
        continue
      }
      message.interim = interim
      return message
    }
    return nil
  }

  /// Sends a request and reads its response; throws when there is none.
  func exchange(_ request: String, _ deadline: Deadline = .usual) throws -> Message {
    try send(request)
    guard let response = try response(to: String(request.prefix { $0 != " " }), deadline) else {
      throw Failure("the connection ended instead of an answer to:\n\(request)")
    }
    return response
  }

  /// Everything until the peer ends the connection; a reset counts as an end too.
  func rest(_ deadline: Deadline = .usual) throws -> [UInt8] {
    var bytes = [UInt8]()
    do {
      while true {
        let part = try wire.some(atMost: .max, deadline)
        if part.isEmpty { return bytes }
        bytes += part
      }
    } catch Socket.Trouble.reset {
      return bytes
    }
  }

  /// Waits for the end of the connection; false when something else came, or nothing in time.
  func isClosedByPeer(within duration: Duration = Deadline.patience) -> Bool {
    do {
      return try rest(.after(duration)).isEmpty
    } catch {
      return false
    }
  }

  /// Resets the connection, as a client that crashed.
  func abort() { socket.reset() }
}

/// How the text of a stream divides into responses, told without their framing: each begins with a status line.
func countResponses(in bytes: [UInt8]) -> Int {
  String(decoding: bytes, as: UTF8.self).components(separatedBy: "HTTP/1.1 ").count - 1
}

/// A request in its plainest form, CRLF written as it must be. `fields` without their line ends.
func request(_ method: String = "GET", _ target: String = "/", _ fields: [String] = [], body: String = "", version: String = "HTTP/1.1")
  -> String
{
  (["\(method) \(target) \(version)", "Host: legacy.test"] + fields).joined(separator: "\r\n") + "\r\n\r\n" + body
}
