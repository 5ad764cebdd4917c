// What file servers say of a folder, taken apart: MLSD (RFC 3659 section 7), and the two forms of LIST, for people, that servers have agreed upon. Not
// one name of it is trusted: what could not be asked for is not listed either.

import Primitives

struct FileEntry: Equatable, Sendable {
  var name: [UInt8]
  var isFolder: Bool
  /// Nil where it is not known, and for folders.
  var size: UInt64?
  /// Nil where it is not known.
  var modified: Timestamp?
}

enum FileListing {
  /// Bytes of a listing; 502 beyond. Some 50,000 files.
  static let mostBytes = 4 << 20
  static let mostEntries = 50_000

  /// The entries of a listing's lines, in its order, less what is no file's or folder's.
  ///
  /// - Parameter now: LIST leaves out the year of what is not old.
  static func entries(_ text: [UInt8], isMLSD: Bool, now: Timestamp) -> [FileEntry] {
    var entries: [FileEntry] = []
    for line in TextLines(text) where !line.isEmpty {
      if entries.count > mostEntries { break }
      let line = Array(line)
      guard let entry = isMLSD ? machine(line) : ASCII.isDigit(line[0]) ? windows(line) : unix(line, now), FilePath.fault(of: entry.name) == nil
      else { continue }
      entries.append(entry)
    }
    return entries
  }

  /// `type=file;size=25730;modify=19940728095854; cap.txt`
  private static func machine(_ line: [UInt8]) -> FileEntry? {
    guard let space = line.firstIndex(of: 0x20) else { return nil }
    var entry = FileEntry(name: Array(line[(space + 1)...]), isFolder: false)
    var isKnown = false
    for fact in line[..<space].split(separator: 0x3B) {
      guard let equals = fact.firstIndex(of: 0x3D) else { continue }
      let value = Array(fact[(equals + 1)...])
      switch String(decoding: fact[..<equals], as: UTF8.self).lowercased() {
      case "type":
        let type = String(decoding: value, as: UTF8.self).lowercased()
        guard type == "file" || type == "dir" else { return nil }
        entry.isFolder = type == "dir"
        isKnown = true
      case "size": entry.size = ASCII.decimal(value.span)
      case "modify": entry.modified = time(value)
      default: break
      }
    }
    if entry.isFolder { entry.size = nil }
    return isKnown ? entry : nil
  }

  /// RFC 3659 section 2.3: `19940728095854`, in UTC, perhaps with a fraction.
  private static func time(_ text: [UInt8]) -> Timestamp? {
    guard text.count >= 14, let year = number(text[0..<4]), let month = number(text[4..<6]), let day = number(text[6..<8]),
      let hour = number(text[8..<10]), let minute = number(text[10..<12]), let second = number(text[12..<14])
    else { return nil }
    return timestamp(year, month, day, hour, minute, second)
  }

  /// `-rw-r--r--   1 owner group  25730 Jul 28  1994 cap.txt`, or with `Jul 28 09:58`.
  private static func unix(_ line: [UInt8], _ now: Timestamp) -> FileEntry? {
    guard let kind = line.first, kind == 0x2D || kind == 0x64 || kind == 0x6C else { return nil }
    var words: [Range<Int>] = []
    var i = 0
    while words.count < 8 {
      while i < line.count && line[i] == 0x20 { i += 1 }
      let start = i
      while i < line.count && line[i] != 0x20 { i += 1 }
      if start == i { return nil }
      words.append(start..<i)
    }
    // One space stands before the name, which may begin with others.
    guard i + 1 < line.count else { return nil }
    var name = Array(line[(i + 1)...])
    if kind == 0x6C {
      // `name -> target`. Where it leads the server knows; it is listed as a file.
      let arrow = Array(" -> ".utf8)
      guard let at = (0..<max(0, name.count - 3)).first(where: { Array(name[$0..<($0 + 4)]) == arrow }) else { return nil }
      name = Array(name[..<at])
    }
    var entry = FileEntry(name: name, isFolder: kind == 0x64)
    if kind == 0x2D { entry.size = ASCII.decimal(Array(line[words[4]]).span) }
    entry.modified = date(line[words[5]], line[words[6]], line[words[7]], now)
    return entry
  }

  private static func date(_ month: ArraySlice<UInt8>, _ day: ArraySlice<UInt8>, _ rest: ArraySlice<UInt8>, _ now: Timestamp) -> Timestamp? {
    let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    guard let month = names.firstIndex(of: String(decoding: month, as: UTF8.self).lowercased()), let day = number(day) else { return nil }
    guard let colon = rest.firstIndex(of: 0x3A) else { return number(rest).flatMap { timestamp($0, month + 1, day, 0, 0, 0) } }
    guard let hour = number(rest[..<colon]), let minute = number(rest[(colon + 1)...]) else { return nil }
    // Of the last half year, or of tomorrow where the server's clock is another's.
    var year = 1970 + Int(now.seconds / 31_556_952)
    guard let found = timestamp(year, month + 1, day, hour, minute, 0) else { return nil }
    if found.seconds > now.seconds + 86_400 { year -= 1 }
    return timestamp(year, month + 1, day, hour, minute, 0)
  }

  /// `07-28-94  09:58AM                25730 cap.txt`, or `<DIR>` for the size.
  private static func windows(_ line: [UInt8]) -> FileEntry? {
    let words = line.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: true)
    guard words.count == 4, words[0].count >= 8, words[1].contains(0x3A) else { return nil }
    let isFolder = Array(words[2]) == Array("<DIR>".utf8)
    let size = ASCII.decimal(Array(words[2]).span)
    guard isFolder || size != nil else { return nil }
    return FileEntry(name: Array(words[3].drop { $0 == 0x20 }), isFolder: isFolder, size: size)
  }

  private static func number(_ text: ArraySlice<UInt8>) -> Int? { ASCII.decimal(Array(text).span).flatMap { Int(exactly: $0) } }

  private static func timestamp(_ year: Int, _ month: Int, _ day: Int, _ hour: Int, _ minute: Int, _ second: Int) -> Timestamp? {
    guard 1970...9999 ~= year, 1...12 ~= month, 1...31 ~= day, 0...23 ~= hour, 0...59 ~= minute, 0...60 ~= second else { return nil }
    // Days since 1970-01-01 of the Gregorian calendar, years beginning in March.
    let y = month <= 2 ? year - 1 : year
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719_468
    return Timestamp(seconds: Int64(days * 86_400 + hour * 3600 + minute * 60 + second))
  }
}
