// A short fuzz run with a fixed seed over the committed corpus: the same inputs at every run, so that a failure can be repeated.

import Foundation
import HTTP
import Primitives
import Testing

@Suite struct SeededFuzzTests {
  /// Fuzz/Corpus of this repository: one input a file.
  private static let corpus: [[UInt8]] = {
    var root = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { root.deleteLastPathComponent() }
    let folder = root.appendingPathComponent("Fuzz/Corpus").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted().compactMap { FileManager.default.contents(atPath: folder + "/" + $0) }.map { [UInt8]($0) }
  }()

  /// What mutations put in: bytes that mean something to some reader.
  private static let words = [
    "\r\n", "\n", "\r", "\r\n\r\n", " ", "\t", ":", ": ", ",", ";", "\u{0}", "0", "5", "\r\nContent-Length: 5",
    "\r\nTransfer-Encoding: chunked",
    "\r\nHost: b", "Transfer_Encoding", "chunked", "HTTP/1.0", "HTTP/2.0", "http://a", "#", "?", "/../", "%2e", "%2f", "%", "\\", "..;",
    "%c0%ae",
    "ffffffffffffffff", "-1", "Connection: ", "100-continue", "\r\n ",
  ].map(bytes)

  @Test func corpusIsThereAndHolds() {
    #expect(Self.corpus.count >= 20)
    for input in Self.corpus { #expect(violation(input) == nil) }
  }

  @Test func mutationsOfTheCorpusHold() {
    guard !Self.corpus.isEmpty else { return }
    var random = SeededGenerator(seed: 0x6761_7465)
    for round in 0..<12000 {
      var input = Self.corpus[Int.random(in: 0..<Self.corpus.count, using: &random)]
      for _ in 0..<Int.random(in: 1...5, using: &random) { mutate(&input, &random) }
      if let found = violation(input) {
        Issue.record("round \(round): \(found): \(text(input.span).debugDescription)")
        return
      }
    }
  }

  private func mutate(_ input: inout [UInt8], _ random: inout SeededGenerator) {
    let at = Int.random(in: 0...input.count, using: &random)
    let end = min(input.count, at + Int.random(in: 0..<8, using: &random))
    switch Int.random(in: 0..<6, using: &random) {
    case 0: input.insert(contentsOf: Self.words[Int.random(in: 0..<Self.words.count, using: &random)], at: at)
    case 1: input.removeSubrange(at..<end)
    case 2: input.insert(UInt8.random(in: 0...255, using: &random), at: at)
    case 3: if at < input.count { input[at] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
    case 4: input.insert(contentsOf: Array(input[at..<end]), at: at)
    default:
      let other = Self.corpus[Int.random(in: 0..<Self.corpus.count, using: &random)]
      input = Array(input[..<at]) + other[min(at, other.count)...]
    }
    // The limits of the properties are well below this; longer inputs show nothing more.
    if input.count > 800 { input.removeLast(input.count - 800) }
  }
}
