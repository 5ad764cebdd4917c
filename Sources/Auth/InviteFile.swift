// Codes that are each good for one registration: a file with one a line, `#` for comments. A code that is used leaves the file.

internal import Crypto
internal import Primitives

public struct InviteFile: Sendable {
  private let file: DurableFile

  public init(path: String) {
    file = DurableFile(path: path)
  }

  /// Whether `code` is there now. The time depends on the file alone, not on how much of a code was guessed.
  public func holds(_ code: [UInt8]) throws -> Bool {
    let bytes = try file.read().bytes
    return Self.lines(bytes).contains { $0.isCode } && Self.find(code, in: bytes) != nil
  }

  /// Takes each code's line out of the file, durably and all at once. Answers for each whether it was there; one that stands twice is good
  /// for two.
  public func claim(_ codes: [[UInt8]]) throws -> [Bool] {
    try claim(codes, steps: DurableSteps())
  }

  func claim(_ codes: [[UInt8]], steps: DurableSteps) throws -> [Bool] {
    try file.edit(steps: steps) { bytes in
      codes.map { code in
        guard let line = Self.find(code, in: bytes) else { return false }
        bytes.removeSubrange(line.lowerBound..<min(line.upperBound + 1, bytes.count))
        return true
      }
    }
  }

  /// Puts codes back: what they were for has failed.
  public func giveBack(_ codes: [[UInt8]]) throws {
    try file.edit { bytes in
      if let last = bytes.last, last != 0x0A { bytes.append(0x0A) }
      for code in codes { bytes += code + [0x0A] }
    }
  }

  /// 1 to 128 visible ASCII characters, the first of them no `#`.
  static func isCode(_ text: [UInt8]) -> Bool {
    (1...128).contains(text.count) && text[0] != 0x23 && text.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }

  private struct Line {
    var whole: Range<Int>
    var text: [UInt8]
    var isCode: Bool { InviteFile.isCode(text) }
  }

  private static func lines(_ bytes: [UInt8]) -> [Line] {
    var lines: [Line] = []
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      let trimmed = UserLine.trimmed(bytes.span, start..<end)
      lines.append(Line(whole: start..<end, text: Array(bytes[trimmed])))
      start = end + 1
    }
    return lines
  }

  /// The line of a code. All are compared, each in constant time.
  private static func find(_ code: [UInt8], in bytes: [UInt8]) -> Range<Int>? {
    guard isCode(code) else { return nil }
    var found: Range<Int>?
    for line in lines(bytes) where line.isCode {
      let text = line.text
      if ConstantTime.equals(text.span, code.span) { found = line.whole }
    }
    return found
  }
}
