// A request's path as names below a file server's root. It can't hold a name that leads elsewhere, ends a command, or means something to the protocols
// behind: whatever a client spells, this is the only way in.

import Primitives

struct FilePath: Equatable, Sendable {
  /// Decoded names; empty for the root.
  var names: [[UInt8]]
  /// Whether it ended in `/`.
  var isFolder: Bool

  enum Fault: Error, Equatable {
    /// It can't be understood, or is an attempt at something else: 400.
    case malformed
    /// A name that is never served: 404.
    case hidden
  }

  static let mostNames = 64
  static let longest = 4096

  init(names: [[UInt8]], isFolder: Bool) {
    self.names = names
    self.isFolder = isFolder
  }

  /// - Parameter target: of the request, with its query, which is not looked at.
  init(target: Span<UInt8>) throws(Fault) {
    let end = ASCII.firstIndex(of: 0x3F, in: target) ?? target.count
    guard end > 0, end <= Self.longest, target[0] == 0x2F else { throw .malformed }
    names = []
    isFolder = false
    var start = 1
    while start < end {
      var stop = start
      while stop < end && target[stop] != 0x2F { stop += 1 }
      let name = try Self.decoded(target.extracting(start..<stop))
      guard names.count < Self.mostNames else { throw .malformed }
      names.append(name)
      start = stop + 1
    }
    isFolder = target[end - 1] == 0x2F
    for name in names { if let fault = Self.fault(of: name) { throw fault } }
  }

  private static func decoded(_ text: Span<UInt8>) throws(Fault) -> [UInt8] {
    var name: [UInt8] = []
    var i = 0
    while i < text.count {
      var byte = text[i]
      if byte == 0x25 {
        guard i + 2 < text.count, let high = ASCII.hexValue(text[i + 1]), let low = ASCII.hexValue(text[i + 2]) else { throw .malformed }
        byte = high << 4 | low
        i += 2
      }
      name.append(byte)
      i += 1
    }
    return name
  }

  /// Why a name is not served, or nil. What a listing tells is held to the same.
  static func fault(of name: [UInt8]) -> Fault? {
    guard !name.isEmpty, name.count <= 255 else { return .malformed }
    // CR and LF would end a command of FTP's, NUL a name. `\` parts folders where the server is Windows.
    guard name.allSatisfy({ $0 >= 0x20 && $0 != 0x7F && $0 != 0x2F && $0 != 0x5C }) else { return .malformed }
    if name == [0x2E] || name == [0x2E, 0x2E] { return .malformed }
    // RFC 1738 section 3.2.2, and TFTP's: what chooses how a file is read belongs to no name. A drive is no folder.
    if holds(name, ";type=") || holds(name, ";mode=") || name.count == 2 && name[1] == 0x3A { return .malformed }
    // What begins with a dot is for those who keep the files: keys of SSH, passwords of Apache, what we write and have not finished. Of `~` servers
    // make the home of a user.
    if name[0] == 0x2E && name != Array(".well-known".utf8) || name[0] == 0x7E { return .hidden }
    return nil
  }

  /// Whether a server of FTP's may understand another name: many leave out blanks at an argument's ends, and 0xFF begins a command of Telnet's (RFC 854),
  /// which they take out. Then a rule for one folder would not hold for another spelling of it.
  static func isReadOtherwise(_ name: [UInt8]) -> Bool { name.first == 0x20 || name.last == 0x20 || name.contains(0xFF) }

  private static func holds(_ name: [UInt8], _ word: StaticString) -> Bool {
    let count = word.utf8CodeUnitCount
    guard name.count >= count else { return false }
    return (0...(name.count - count)).contains { ASCII.equals(name.span.extracting($0..<($0 + count)), ignoringCaseOf: word) }
  }

  /// Every byte but the unreserved ones (RFC 3986 section 2.3) escaped, so that nothing in it parts, ends or chooses anything.
  static func encoded(_ name: [UInt8]) -> String {
    var text: [UInt8] = []
    for byte in name {
      if ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E {
        text.append(byte)
      } else {
        text += [0x25, ASCII.upperHexDigit(byte >> 4), ASCII.upperHexDigit(byte & 15)]
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
