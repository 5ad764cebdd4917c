// The examples of docs/recipes, as tests run them: what a page tells the operator to paste is what stands in the test's proxy.conf.

import Foundation

/// One page of docs/recipes, and the blocks of configuration that are fenced in it as ```conf.
struct Recipe {
  let name: String
  private let blocks: [String]

  /// - Parameter name: of the page, without its folder and `.md`.
  /// - Throws: `Failure` when there is no such page, or nothing to paste in it.
  init(_ name: String, _ file: String = #filePath) throws {
    self.name = name
    var root = URL(fileURLWithPath: file)
    while root.path != "/" && !FileManager.default.fileExists(atPath: root.appendingPathComponent("Package.swift").path) {
      root.deleteLastPathComponent()
    }
    let page = try String(contentsOf: root.appendingPathComponent("docs/recipes/\(name).md"), encoding: .utf8)
    blocks = page.components(separatedBy: "```conf\n").dropFirst().map { $0.components(separatedBy: "\n```")[0] }
    if blocks.isEmpty { throw Failure("docs/recipes/\(name).md has no block ```conf") }
  }

  /// The block `index` with the addresses and files of a test in place of the page's.
  /// - Throws: `Failure` when something that is to be replaced does not stand there: then the page has changed, and the test has to.
  func text(_ index: Int = 0, replacing words: KeyValuePairs<String, String> = [:]) throws -> String {
    guard index < blocks.count else { throw Failure("docs/recipes/\(name).md has \(blocks.count) blocks, and no number \(index)") }
    var text = blocks[index]
    for (word, replacement) in words {
      guard text.contains(word) else { throw Failure("docs/recipes/\(name).md, block \(index), does not say \(word)") }
      text = text.replacingOccurrences(of: word, with: replacement)
    }
    return text
  }
}
