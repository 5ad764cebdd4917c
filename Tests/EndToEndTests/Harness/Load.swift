// Clients who ask all the time while something changes, and notice whatever goes wrong: each request must be answered, each connection let in.

import Foundation

final class Load {
  private let over = Monitor(false)
  private let workers: [Worker<Int>]
  private let answered = Monitor(0)

  /// Half of the clients make a connection for each request, half keep theirs until they are told that it ends.
  init(_ port: UInt16, fields: [String], clients: Int = 8) {
    let (over, answered) = (over, answered)
    let get = request("GET", "/", fields)
    workers = (0..<clients).map { i in
      Worker {
        var count = 0
        while !over.with({ $0 }) {
          let client = try Client(to: port)
          while !over.with({ $0 }) {
            let answer = try client.exchange(get)
            guard answer.status == 200 else { throw Failure("an answer of \(answer.status) after \(count)") }
            count += 1
            answered.with { $0 += 1 }
            if i % 2 == 0 || answer["Connection"]?.lowercased() == "close" { break }
          }
        }
        return count
      }
    }
  }

  /// Waits until so many more requests were answered.
  func wait(for more: Int) throws {
    let now = answered.with { $0 }
    guard answered.wait({ $0 >= now + more ? true : nil }) != nil else { throw Failure("the load came to a stop") }
  }

  /// Ends it; throws what went wrong on the way.
  @discardableResult
  func stop() throws -> Int {
    over.with { $0 = true }
    return try workers.reduce(0) { try $0 + $1.join() }
  }
}
