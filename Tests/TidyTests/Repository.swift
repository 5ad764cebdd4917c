// The repository as files: where it is, what is in it. What should be in it is the tests' to say.

import Foundation

enum Repository {
  /// The folder that holds Package.swift.
  static let root: String = {
    var url = URL(fileURLWithPath: #filePath)
    while url.path != "/" && !FileManager.default.fileExists(atPath: url.appendingPathComponent("Package.swift").path) {
      url.deleteLastPathComponent()
    }
    return url.path
  }()

  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root + "/" + path) }

  static func isExecutable(_ path: String) -> Bool { FileManager.default.isExecutableFile(atPath: root + "/" + path) }

  static func text(_ path: String) throws -> String { try String(contentsOfFile: root + "/" + path, encoding: .utf8) }

  /// Paths of the files below `folder` whose names end so, relative to the root, sorted. Build folders are no part of the repository.
  static func files(in folder: String, _ ending: String = ".swift") -> [String] {
    let all = FileManager.default.enumerator(atPath: root + "/" + folder)?.compactMap { $0 as? String } ?? []
    return all.filter { path in path.hasSuffix(ending) && !path.split(separator: "/").contains { $0.hasPrefix(".build") } }.map {
      folder + "/" + $0
    }.sorted()
  }
}

/// One Swift file, its comments and string literals told apart from its code.
struct SourceText {
  let path: String
  let lines: [String]
  /// The lines with comments and the contents of string literals blanked out.
  let code: [String]

  init(_ path: String) throws {
    self.path = path
    lines = try Repository.text(path).components(separatedBy: "\n")
    code = Self.strip(lines)
  }

  /// Names of the modules that it imports.
  var imports: [String] {
    code.compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard let at = words.firstIndex(of: "import"), words.prefix(at).allSatisfy({ Self.modifiers.contains($0) || $0.hasPrefix("@") })
      else { return nil }
      let rest = words.dropFirst(at + 1).filter { !Self.kinds.contains($0) }
      return rest.first.map { String($0.split(separator: ".")[0]) }
    }
  }

  private static let modifiers: Set = ["public", "package", "internal", "fileprivate", "private"]
  private static let kinds: Set = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]

  /// Line numbers, from 1, where `word` stands in code as a word of its own.
  func lines(using word: String) -> [Int] {
    code.indices.filter { i in Self.words(code[i]).contains(word) }.map { $0 + 1 }
  }

  private static func words(_ line: String) -> Set<String> {
    Set(line.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "@") }.map(String.init))
  }

  private static func strip(_ lines: [String]) -> [String] {
    var result = [String]()
    var inBlock = false
    var inText = false
    for line in lines {
      var out = ""
      var inString = false
      var characters = Array(line)[...]
      func next(_ text: String) -> Bool { characters.starts(with: text) }
      while let character = characters.first {
        if inBlock {
          if next("*/") { inBlock = false }
          characters = characters.dropFirst()
        } else if next("\"\"\"") {
          inText.toggle()
          characters = characters.dropFirst(3)
        } else if inText {
          characters = characters.dropFirst()
        } else if inString {
          if character == "\"" { inString = false }
          characters = characters.dropFirst(character == "\\" ? 2 : 1)
        } else if next("//") {
          break
        } else if next("/*") {
          inBlock = true
          characters = characters.dropFirst()
        } else {
          if character == "\"" { inString = true }
          out.append(character)
          characters = characters.dropFirst()
        }
      }
      result.append(out)
    }
    return result
  }
}
