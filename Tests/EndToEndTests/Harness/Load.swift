// Clients who ask all the time while something changes, and notice whatever goes wrong: each request must be answered, each connection let in.

import Foundation

/// One of them: asks for `/` again and again on one connection, in the protocol that the house speaks.
final class Asker {
  private enum Line {
    case text(Client, String)
    case streams(HTTP2Client, [(name: String, value: String)])
  }
  private let line: Line

  init(_ port: UInt16, _ fields: [String]) throws {
    if Front.door(port)?.front == .h2, let fields = HTTP2Client.fields("GET", "/", fields) {
      line = .streams(try HTTP2Client(to: port), fields)
    } else {
      line = .text(try Client(to: port), request("GET", "/", fields))
    }
  }

  /// The server has said that it will end the connection: whatever else there is to be asked is to be asked on another.
  private(set) var isToEnd = false

  /// nil when the server has said that it did not look at the request: after GOAWAY, and of that stream (RFC 9113 sections 6.8 and 8.7).
  func ask() throws -> Message? {
    switch line {
    case .text(let client, let text):
      let answer = try client.exchange(text)
      isToEnd = answer["Connection"]?.lowercased() == "close"
      return answer
    case .streams(let client, let fields):
      defer { isToEnd = client.isToEnd }
      do {
        return try client.response(try client.send(fields))
      } catch let reset as HTTP2Client.Reset where reset.code == 7 && client.isToEnd {
        return nil
      }
    }
  }
}

final class Load {
  private let over = Monitor(false)
  private let workers: [Worker<Int>]
  private let answered = Monitor(0)
  /// What went wrong first.
  private let trouble = Monitor<Failure?>(nil)

  /// Half of the clients make a connection for each request, half keep theirs until they are told that it ends.
  init(_ port: UInt16, fields: [String], clients: Int = 8) {
    let (over, answered, trouble) = (over, answered, trouble)
    workers = (0..<clients).map { i in
      Worker {
        var count = 0
        var isWell = false
        defer { if !isWell { trouble.with { $0 = $0 ?? Failure("a client of the load failed after \(count) requests") } } }
        while !over.with({ $0 }) {
          let client = try Asker(port, fields)
          while !over.with({ $0 }) {
            guard let answer = try client.ask() else { break }
            guard answer.status == 200 else { throw Failure("an answer of \(answer.status) after \(count)") }
            count += 1
            answered.with { $0 += 1 }
            if i % 2 == 0 || client.isToEnd { break }
          }
        }
        isWell = true
        return count
      }
    }
  }

  /// Waits until so many more requests were answered.
  func wait(for more: Int) throws {
    let now = answered.with { $0 }
    let deadline = Deadline.usual
    while answered.wait(until: .after(.milliseconds(100)), { $0 >= now + more ? true : nil }) == nil {
      if trouble.with({ $0 != nil }) {
        // Whoever failed says why.
        try stop()
      }
      guard !deadline.hasPassed else { throw Failure("the load came to a stop") }
    }
  }

  /// Ends it; throws what went wrong on the way.
  @discardableResult
  func stop() throws -> Int {
    over.with { $0 = true }
    return try workers.reduce(0) { try $0 + $1.join() }
  }
}
