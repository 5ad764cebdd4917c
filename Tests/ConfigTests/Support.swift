// What the tests of this room share: trees as text, scratch folders.

import FoundationEssentials

@testable import Config

/// A parsed text: its tree in one line (`name arg "quoted" { … }; …`), and its complaints.
struct Parsed {
  var tree: String
  var diagnostics: Diagnostics

  init(_ text: String, environment: [String: String] = [:]) {
    self.init(bytes: Array(text.utf8), environment: environment)
  }

  init(bytes: [UInt8], environment: [String: String] = [:]) {
    diagnostics = Diagnostics()
    let directives = Parser.parse(
      SourceFile(name: "t.conf", bytes: bytes), environment: { environment[$0] }, &diagnostics)
    tree = treeText(directives)
  }

  /// `line:column: message` of each complaint.
  var complaints: [String] { diagnostics.all.map(complaint) }
}

func complaint(_ diagnostic: Diagnostic) -> String {
  let position = diagnostic.place.map { "\($0.line):\($0.column): " } ?? ""
  return position + (diagnostic.severity == .warning ? "warning: " : "") + diagnostic.message
}

func treeText(_ directives: [Directive]) -> String {
  directives.map { directive in
    let words = ([directive.name] + directive.arguments).map { $0.isBroken ? "<broken>" : $0.isQuoted ? "\"\($0.text)\"" : $0.text }
    let block = directive.block.map { " { \(treeText($0.directives)) }" } ?? ""
    return words.joined(separator: " ") + block
  }.joined(separator: "; ")
}

/// A folder of its own that is gone when the test is over.
final class Scratch: Sendable {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "gatehouse-config-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Writes a file, making the folders on its way, and answers its path.
  @discardableResult
  func write(_ name: String, _ text: String, mode: Int = 0o640) throws -> String {
    let file = path + "/" + name
    try FileManager.default.createDirectory(atPath: Path.folder(of: file), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    return file
  }
}
