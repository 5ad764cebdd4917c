// A config file's text as it was read, and points in it. What the text means is decided elsewhere.

/// One config file: the bytes, where they came from, and what to call it in messages.
public final class SourceFile: Sendable {
  /// The name for people: as given on the command line, or as an `include` reached it.
  public let name: String
  /// The folder against which relative paths in this file are resolved, without a trailing slash ("." for the current one).
  public let folder: String
  public let bytes: [UInt8]
  /// Offsets at which lines begin. Line 1 is at index 0.
  private let lineStarts: [Int]

  public init(name: String, bytes: [UInt8]) {
    self.name = name
    self.folder = Path.folder(of: name)
    self.bytes = bytes
    var starts = [0]
    for (i, byte) in bytes.enumerated() where byte == 0x0A { starts.append(i + 1) }
    lineStarts = starts
  }

  /// The text of line `number` (1 is the first) without its end, with invalid UTF-8 and control characters other than tab replaced, so
  /// that it can be shown on a terminal.
  public func line(_ number: Int) -> String {
    guard number >= 1 && number <= lineStarts.count else { return "" }
    let start = lineStarts[number - 1]
    var end = number < lineStarts.count ? lineStarts[number] - 1 : bytes.count
    if end > start && bytes[end - 1] == 0x0D { end -= 1 }
    let shown = String(decoding: bytes[start..<end], as: UTF8.self).unicodeScalars.map { scalar in
      scalar != "\t" && scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar
    }
    return String(String.UnicodeScalarView(shown))
  }

  /// The number of Unicode scalars that begin in `range`. (A continuation byte begins none.)
  fileprivate func scalars(in range: Range<Int>) -> Int {
    var count = 0
    for i in range where bytes[i] & 0xC0 != 0x80 { count += 1 }
    return count
  }

  fileprivate func start(ofLine number: Int) -> Int { lineStarts[number - 1] }
}

/// A run of characters on one line of a file. Holds byte offsets; columns are counted when they are asked for, since counting them for
/// every word of a long line would take the square of its length.
public struct SourceRange: Sendable, Equatable {
  public var file: SourceFile
  /// From 1.
  public var line: Int
  /// Byte offsets in the file, on that line.
  public var bytes: Range<Int>

  public init(file: SourceFile, line: Int, bytes: Range<Int>) {
    self.file = file
    self.line = line
    self.bytes = bytes
  }

  /// In Unicode scalars, from 1.
  public var column: Int { file.scalars(in: file.start(ofLine: line)..<bytes.lowerBound) + 1 }
  /// In Unicode scalars, at least 1.
  public var length: Int { max(1, file.scalars(in: bytes)) }

  public static func == (a: SourceRange, b: SourceRange) -> Bool {
    a.file === b.file && a.line == b.line && a.bytes == b.bytes
  }

  /// `proxy.conf:12`, for messages that point from one place to another.
  public var shortText: String { "\(file.name):\(line)" }
}
