// What a worker and a courier share: bytes that are given at one end and taken at the other.

import Testing

@testable import Upstream

@Suite struct FileErrandTests {
  @Test func whatIsTakenIsWhatWasGivenInItsOrder() {
    var stock = FileErrand.Stock()
    #expect(stock.isEmpty && stock.take(5) == [])
    var (given, taken) = ([UInt8](), [UInt8]())
    // Pieces of all sizes on both sides, sometimes to the end and sometimes not.
    for round in 0..<2000 {
      let piece = (0..<(round * 37 % 1500)).map { UInt8(truncatingIfNeeded: $0 + round) }
      stock.append(piece)
      given += piece
      taken += stock.take(round * 53 % 1600)
      #expect(stock.count == given.count - taken.count && stock.isEmpty == (stock.count == 0))
    }
    while !stock.isEmpty { taken += stock.take(999) }
    #expect(taken == given && stock.held == 0)
  }

  /// A body that was gathered whole stays where it is until most of it is gone; one that streams, and never runs dry, holds no more than it has to.
  @Test func bytesMoveSeldomAndStayNoLongerThanThat() {
    var stock = FileErrand.Stock()
    let whole = 4 << 20
    stock.append([UInt8](repeating: 1, count: whole))
    var moves = 0
    while !stock.isEmpty {
      let held = stock.held
      _ = stock.take(1000)
      if stock.held != held { moves += 1 }
    }
    #expect(moves <= 8, "\(moves)")
    stock.append([UInt8](repeating: 2, count: 100))
    for _ in 0..<10_000 {
      stock.append([UInt8](repeating: 3, count: 1000))
      _ = stock.take(1000)
      #expect(stock.count == 100 && stock.held <= FileErrand.Stock.leastMoved + 1100)
    }
  }
}
