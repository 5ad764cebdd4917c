// One line of a user file, cut into its parts: `name:hash[:attributes]`. What the parts mean is said elsewhere; both the table and the
// editor cut lines here, so that what is edited is what is read.

internal import Primitives

/// Offsets are into the bytes of the whole file.
struct UserLine {
  /// From 1.
  var number: Int
  /// The line without its newline.
  var whole: Range<Int>
  var content: Content

  enum Content {
    /// Blank, or a comment.
    case nothing
    case user(name: Range<Int>, hash: Range<Int>, attributes: Range<Int>?)
    case malformed(StaticString)
  }

  /// Longest line looked at, in bytes. Far above what keys and groups of one user need.
  static let longest = 65_536

  /// Cuts the line that begins at `start`; it ends before the next newline or at the end of the file.
  static func cut(_ file: Span<UInt8>, at start: Int, number: Int) -> UserLine {
    var end = start
    while end < file.count && file[end] != 0x0A { end += 1 }
    let whole = start..<end
    if whole.count > longest {
      return UserLine(number: number, whole: whole, content: .malformed("the line has more than 65536 bytes"))
    }
    // Outer white space, a carriage return among it, is not part of a line: Apache's reader drops it too.
    let text = trimmed(file, whole)
    if text.isEmpty || file[text.lowerBound] == 0x23 { return UserLine(number: number, whole: whole, content: .nothing) }
    guard let first = ASCII.firstIndex(of: 0x3A, in: file.extracting(0..<text.upperBound), from: text.lowerBound) else {
      return UserLine(number: number, whole: whole, content: .malformed("there is no colon between a name and a hash"))
    }
    let hash = first + 1..<endOfHash(file, first + 1..<text.upperBound)
    let attributes = hash.upperBound < text.upperBound ? hash.upperBound + 1..<text.upperBound : nil
    return UserLine(number: number, whole: whole, content: .user(name: text.lowerBound..<first, hash: hash, attributes: attributes))
  }

  /// Where the hash ends that begins `range`: at its first colon, or at its end. Werkzeug's hashes hold colons before their first `$`
  /// (`pbkdf2:sha256:260000$salt$digest`, `scrypt:32768:8:1$salt$digest`), so there it is the first one after it.
  private static func endOfHash(_ file: Span<UInt8>, _ range: Range<Int>) -> Int {
    let rest = file.extracting(range)
    let isWerkzeugs = werkzeugs.contains {
      rest.count >= $0.utf8CodeUnitCount && ASCII.equals(rest.extracting(first: $0.utf8CodeUnitCount), $0)
    }
    let dollar = isWerkzeugs ? ASCII.firstIndex(of: 0x24, in: rest) : nil
    return ASCII.firstIndex(of: 0x3A, in: rest, from: dollar ?? 0).map { range.lowerBound + $0 } ?? range.upperBound
  }

  private static let werkzeugs: [StaticString] = ["pbkdf2:", "scrypt:"]

  /// Whether `hash` is read back as it is, whole, when it stands in a line.
  static func holds(hash: [UInt8]) -> Bool {
    let line = [0x78, 0x3A] + hash + [0x3A]
    guard case .user(_, let range, .some) = cut(line.span, at: 0, number: 1).content else { return false }
    return range == 2..<line.count - 1
  }

  /// `range` without spaces, tabs and carriage returns at its ends.
  static func trimmed(_ file: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end && isBlank(file[start]) { start += 1 }
    while end > start && isBlank(file[end - 1]) { end -= 1 }
    return start..<end
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

  /// The comma-separated pieces of `attributes`, trimmed, empty ones left out: name and, after the first `=`, value.
  static func attributes(_ file: Span<UInt8>, _ attributes: Range<Int>) -> [Attribute] {
    var found: [Attribute] = []
    var start = attributes.lowerBound
    while start <= attributes.upperBound {
      let end = ASCII.firstIndex(of: 0x2C, in: file.extracting(0..<attributes.upperBound), from: start) ?? attributes.upperBound
      let piece = trimmed(file, start..<end)
      if !piece.isEmpty {
        let equals = ASCII.firstIndex(of: 0x3D, in: file.extracting(0..<piece.upperBound), from: piece.lowerBound)
        found.append(
          Attribute(
            whole: piece, name: piece.lowerBound..<(equals ?? piece.upperBound), value: equals.map { $0 + 1..<piece.upperBound }))
      }
      start = end + 1
    }
    return found
  }

  struct Attribute {
    var whole: Range<Int>
    var name: Range<Int>
    var value: Range<Int>?
  }

  /// The space-separated words of `range`.
  static func words(_ file: Span<UInt8>, _ range: Range<Int>) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var at = range.lowerBound
    while at < range.upperBound {
      if isBlank(file[at]) {
        at += 1
        continue
      }
      var end = at
      while end < range.upperBound && !isBlank(file[end]) { end += 1 }
      found.append(at..<end)
      at = end
    }
    return found
  }
}
