// What is wrong with a config, said so that it can be mended: where, the line itself, what, and what to do.

/// One complaint about a config file.
public struct Diagnostic: Sendable, Equatable {
  public enum Severity: String, Sendable {
    /// The config can't be used.
    case error
    /// The config can be used, and probably does not mean what was wanted.
    case warning
  }

  public var severity: Severity
  /// Nil when it is about the whole (no `listen` anywhere), or about a file that could not be read at all.
  public var place: SourceRange?
  /// The file it is about when there is no place in it.
  public var fileName: String
  /// One sentence without a full stop, in the words of the config. Never the value of an environment variable, which may be a secret.
  public var message: String
  /// What to do about it, when that is known.
  public var hint: String?

  public init(_ severity: Severity, at place: SourceRange?, in fileName: String = "", _ message: String, hint: String? = nil) {
    self.severity = severity
    self.place = place
    self.fileName = place?.file.name ?? fileName
    self.message = message
    self.hint = hint
  }

  /// `proxy.conf:12:5: error: …`, then the line, a caret under the words meant, and the hint. Lines are parted by "\n"; none at the end.
  public var rendered: String {
    var position = fileName
    if let place { position += ":\(place.line):\(place.column)" }
    var text = position.isEmpty ? "" : position + ": "
    text += "\(severity.rawValue): \(message)"
    if let place { text += "\n" + Self.excerpt(place) }
    if let hint { text += "\n    hint: \(hint)" }
    return text
  }

  /// The same in one line and without the config's own, for a log: `proxy.conf:12:5: unknown directive 'liste' (did you mean 'listen'?)`.
  public var line: String {
    var position = fileName
    if let place { position += ":\(place.line):\(place.column)" }
    return (position.isEmpty ? "" : position + ": ") + message + (hint.map { " (\($0))" } ?? "")
  }

  /// Characters of a line that are shown on either side of the place at most: a minified or binary file must not flood the terminal.
  private static let shownBefore = 80
  private static let shownAfter = 60

  private static func excerpt(_ place: SourceRange) -> String {
    let line = Excerpt.shown(place.file.line(place.line))
    let column = min(place.column - 1, line.count)
    let start = max(0, column - shownBefore)
    let end = min(line.count, column + shownAfter)
    var shown = String.UnicodeScalarView(line[start..<end])
    var caret = String.UnicodeScalarView()
    if start > 0 {
      shown.insert("…", at: shown.startIndex)
      caret.append(" ")
    }
    // A tab before the caret is as wide as the tab above it.
    for scalar in line[start..<column] { caret.append(scalar == "\t" ? "\t" : " ") }
    caret.append("^")
    let tail = min(place.length - 1, max(0, end - column - 1))
    for _ in 0..<max(0, tail) { caret.append("~") }
    if end < line.count { shown.append("…") }
    return "    \(String(shown))\n    \(String(caret))"
  }
}

/// The complaints about one config, in the order in which they were found, bounded in number.
public struct Diagnostics: Sendable {
  /// Complaints that are kept. A file that is no config at all would make one a line.
  public static let kept = 100

  public private(set) var all: [Diagnostic] = []
  /// Errors and warnings that were found after `kept` others, and are counted only.
  public private(set) var dropped = 0
  public private(set) var errorCount = 0

  public init() {}

  public var hasErrors: Bool { errorCount > 0 }
  public var errors: [Diagnostic] { all.filter { $0.severity == .error } }
  public var warnings: [Diagnostic] { all.filter { $0.severity == .warning } }

  public mutating func add(_ diagnostic: Diagnostic) {
    if diagnostic.severity == .error { errorCount += 1 }
    // An included snippet that is wrong once is wrong at each inclusion; once is enough.
    if all.contains(where: { $0 == diagnostic || $0.isSame(as: diagnostic) }) { return }
    if all.count < Self.kept { all.append(diagnostic) } else { dropped += 1 }
  }

  mutating func error(_ place: SourceRange, _ message: String, hint: String? = nil) {
    add(Diagnostic(.error, at: place, message, hint: hint))
  }

  mutating func warning(_ place: SourceRange, _ message: String, hint: String? = nil) {
    add(Diagnostic(.warning, at: place, message, hint: hint))
  }

  /// All of them as text, ordered by file and line (files in the order in which they first appear), parted by "\n".
  public var rendered: String {
    var order: [String: Int] = [:]
    for diagnostic in all where order[diagnostic.fileName] == nil { order[diagnostic.fileName] = order.count }
    let sorted = all.enumerated().sorted { a, b in
      let keyA = (order[a.element.fileName] ?? 0, a.element.place?.line ?? .max, a.element.place?.column ?? 0, a.offset)
      let keyB = (order[b.element.fileName] ?? 0, b.element.place?.line ?? .max, b.element.place?.column ?? 0, b.offset)
      return keyA < keyB
    }
    var lines = sorted.map(\.element.rendered)
    if dropped > 0 { lines.append("… and \(dropped) more") }
    return lines.joined(separator: "\n")
  }
}

extension Diagnostic {
  /// The same complaint at the same place of a file that was read twice.
  fileprivate func isSame(as other: Diagnostic) -> Bool {
    fileName == other.fileName && message == other.message && place?.line == other.place?.line
      && place?.bytes == other.place?.bytes && severity == other.severity
  }
}
