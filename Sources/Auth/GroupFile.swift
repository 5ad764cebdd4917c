// Apache's group file (AuthGroupFile): `group: alice bob`, one group a line. Bytes → who is in which group. Immutable: a changed file makes
// another.

internal import Primitives

/// Who is in which group.
///
/// Other than a line of the user file, which shuts out its own user when it can't be understood, a line of this file that can't be understood
/// makes the whole file unusable: whose membership is lost is not known, and `require not group …` would let him in.
public struct GroupFile: Sendable {
  /// Largest file read, in bytes.
  static let largest = 64 << 20
  /// Lines that are named when the file can't be used.
  private static let mostFaults = 20

  /// The groups of each user, in the order of the file.
  private var memberships: [[UInt8]: [[UInt8]]] = [:]
  /// Line of the first mention of each user.
  private var lines: [[UInt8]: Int] = [:]
  private var known: Set<[UInt8]> = []

  public var groupCount: Int { known.count }
  public var memberCount: Int { memberships.count }
  /// All groups that the file names, those without members among them.
  public var groups: Set<[UInt8]> { known }

  /// Reads the bytes of a whole file.
  public init(parsing file: [UInt8]) throws(GroupFileFault) {
    guard file.count <= Self.largest else { throw .tooLarge(bytes: file.count) }
    var text = file[...]
    if text.starts(with: [0xEF, 0xBB, 0xBF]) { text = text.dropFirst(3) }
    var faults: [UserFileProblem] = []
    var number = 0
    while !text.isEmpty {
      let first = number + 1
      let line = try Self.cut(&text, &number)
      if let reason = read(line, first), faults.count < Self.mostFaults {
        faults.append(UserFileProblem(line: first, reason: reason, isWarning: false))
      }
    }
    if !faults.isEmpty { throw .unusable(faults) }
  }

  /// The groups of the user, in the order of the file.
  public func groups(of user: [UInt8]) -> [[UInt8]] { memberships[user] ?? [] }

  /// Members that `isKnown` does not know, with the line of their first mention, in the order of the lines.
  public func strangers(_ isKnown: (_ name: [UInt8]) -> Bool) -> [(name: [UInt8], line: Int)] {
    lines.filter { !isKnown($0.key) }.map { (name: $0.key, line: $0.value) }.sorted { a, b in
      a.line == b.line ? a.name.lexicographicallyPrecedes(b.name) : a.line < b.line
    }
  }

  // MARK: Lines

  /// Takes one line with those that continue it: a backslash at the end joins the next one (Apache's ap_cfg_getline does so).
  private static func cut(_ text: inout ArraySlice<UInt8>, _ number: inout Int) throws(GroupFileFault) -> [UInt8] {
    var line: [UInt8] = []
    while true {
      number += 1
      guard let end = text.firstIndex(of: 0x0A) else { throw .lastLineUnfinished(line: number) }
      var part = text[..<end]
      text = text[(end + 1)...]
      if part.last == 0x0D { part.removeLast() }
      if part.contains(0) { throw .holdsNUL(line: number) }
      guard part.last == 0x5C else { return line + part }
      line += part.dropLast()
      if text.isEmpty { throw .lastLineUnfinished(line: number) }
    }
  }

  /// Takes in one line; why it can't be used, when it can't.
  private mutating func read(_ line: [UInt8], _ number: Int) -> String? {
    guard let start = line.firstIndex(where: { !Self.isBlank($0) }), line[start] != 0x23 else { return nil }
    guard let colon = line.firstIndex(of: 0x3A) else { return "there is no colon between a group and its members" }
    var end = colon
    while end > start && Self.isBlank(line[end - 1]) { end -= 1 }
    let group = Array(line[start..<end])
    if let fault = UserName.groupFault(group.span) { return "\(fault)" }
    known.insert(group)
    var position = colon + 1
    while let word = Self.word(line, &position) {
      switch word {
      case .unfinished: return "a quote is not closed"
      case .name(let name):
        if let fault = UserName.fault(name.span) {
          return "a member of \"\(String(decoding: group, as: UTF8.self))\" can't be a user: \(fault)"
        }
        if memberships[name]?.contains(group) == true { continue }
        memberships[name, default: []].append(group)
        if lines[name] == nil { lines[name] = number }
      }
    }
    return nil
  }

  private enum Word {
    case name([UInt8])
    case unfinished
  }

  /// The next member: a word, or text in quotes in which a backslash stands before a quote or another backslash (ap_getword_conf).
  private static func word(_ line: [UInt8], _ position: inout Int) -> Word? {
    while position < line.count && isBlank(line[position]) { position += 1 }
    guard position < line.count else { return nil }
    let quote = line[position]
    guard quote == 0x22 || quote == 0x27 else {
      let start = position
      while position < line.count && !isBlank(line[position]) { position += 1 }
      return .name(Array(line[start..<position]))
    }
    var name: [UInt8] = []
    position += 1
    while position < line.count {
      var byte = line[position]
      position += 1
      if byte == quote { return .name(name) }
      if byte == 0x5C, position < line.count, line[position] == quote || line[position] == 0x5C {
        byte = line[position]
        position += 1
      }
      name.append(byte)
    }
    return .unfinished
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
}

/// Why a group file can't be used. What it said before stays in force.
public enum GroupFileFault: Error, Equatable, Sendable, CustomStringConvertible {
  case lastLineUnfinished(line: Int)
  case holdsNUL(line: Int)
  /// Lines that can't be understood, and why.
  case unusable([UserFileProblem])
  case tooLarge(bytes: Int)

  public var description: String {
    switch self {
    case .lastLineUnfinished(let line):
      "line \(line), the last, does not end with a newline: the file is being written or was cut short (if it is whole, add the newline)"
    case .holdsNUL(let line): "line \(line) holds a NUL byte: this is not a group file, or it was damaged"
    case .unusable(let problems):
      problems.prefix(5).map(\.description).joined(separator: "; ") + (problems.count > 5 ? "; …" : "")
        + " (a line that can't be understood makes the whole file unusable)"
    case .tooLarge(let bytes): "\(bytes) bytes are more than a group file may have (\(GroupFile.largest))"
    }
  }
}
