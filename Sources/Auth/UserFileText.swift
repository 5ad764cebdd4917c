// A user file as text to be edited: each change gives new bytes, and everything that it is not about stays as it is (order, comments,
// blank lines, attributes that we don't know). Pure: reading and writing files is `UserFile`'s.

internal import Crypto
public import Primitives

public struct UserFileText: Sendable {
  public private(set) var bytes: [UInt8]

  /// The bytes of a whole file. Throws when they can't be those of one: what was cut short must not be written back.
  public init(_ bytes: [UInt8]) throws(UserEditFailure) {
    if bytes.count > UserFileReader.largest { throw .fault(.tooLarge(bytes: bytes.count)) }
    var line = 1
    for byte in bytes {
      if byte == 0 { throw .fault(.holdsNUL(line: line)) }
      if byte == 0x0A { line += 1 }
    }
    if let last = bytes.last, last != 0x0A { throw .fault(.lastLineUnfinished(line: line)) }
    self.bytes = bytes
  }

  // MARK: Users

  /// Adds a user at the end. `hash` is a stored hash (`PasswordHash.make`), or nil for a user who has keys only.
  public mutating func add(
    _ name: [UInt8], hash: [UInt8]?, groups: [[UInt8]] = [], isLocked: Bool = false, expires: Timestamp? = nil,
    created: Timestamp? = nil
  ) throws(UserEditFailure) {
    if let fault = UserName.fault(name.span) { throw .unfit("\(fault)") }
    guard lines(of: name).isEmpty else { throw .userExists(name) }
    var attributes: [[UInt8]] = []
    if !groups.isEmpty { attributes.append(try Self.groupsAttribute(groups)) }
    if isLocked { attributes.append(Array("locked".utf8)) }
    if let expires { attributes.append(Array("expires=".utf8) + CalendarText.text(expires)) }
    if let created { attributes.append(Array("created=".utf8) + CalendarText.text(created)) }
    bytes += name + [0x3A] + (try Self.storable(hash))
    if !attributes.isEmpty { bytes += [0x3A] + Self.joined(attributes) }
    bytes.append(0x0A)
  }

  /// Gives a user another hash, or with nil none.
  public mutating func setHash(_ hash: [UInt8]?, of name: [UInt8]) throws(UserEditFailure) {
    var line = try line(of: name)
    line.hash = try Self.storable(hash)
    replace(line)
  }

  /// Removes a user and his keys: every line of that name.
  public mutating func remove(_ name: [UInt8]) throws(UserEditFailure) {
    let found = lines(of: name)
    guard !found.isEmpty else { throw .noSuchUser(name) }
    for line in found.reversed() {
      bytes.removeSubrange(line.whole.lowerBound..<min(line.whole.upperBound + 1, bytes.count))
    }
  }

  /// Nothing of a locked user's is accepted, keys included. Locking a locked user changes nothing.
  public mutating func lock(_ name: [UInt8]) throws(UserEditFailure) {
    try edit(name, "locked", to: Array("locked".utf8))
  }

  public mutating func unlock(_ name: [UInt8]) throws(UserEditFailure) {
    try edit(name, "locked", to: nil)
  }

  /// When nothing of the user's is accepted any more; nil is never.
  public mutating func setExpiry(_ expires: Timestamp?, of name: [UInt8]) throws(UserEditFailure) {
    try edit(name, "expires", to: expires.map { Array("expires=".utf8) + CalendarText.text($0) })
  }

  // MARK: Groups

  public mutating func setGroups(_ groups: [[UInt8]], of name: [UInt8]) throws(UserEditFailure) {
    try edit(name, "groups", to: groups.isEmpty ? nil : try Self.groupsAttribute(groups))
  }

  /// Adding a group that the user has changes nothing.
  public mutating func addGroup(_ group: [UInt8], to name: [UInt8]) throws(UserEditFailure) {
    let groups = try words("groups", of: name)
    if !groups.contains(group) { try setGroups(groups + [group], of: name) }
  }

  public mutating func removeGroup(_ group: [UInt8], from name: [UInt8]) throws(UserEditFailure) {
    let groups = try words("groups", of: name)
    guard groups.contains(group) else { throw .notInGroup(group) }
    try setGroups(groups.filter { $0 != group }, of: name)
  }

  // MARK: Lines

  /// A user's line in parts that can be put together again.
  private struct Line {
    var whole: Range<Int>
    /// White space before and after, which stays.
    var before: [UInt8]
    var name: [UInt8]
    var hash: [UInt8]
    /// As they stand, in order; nil without a second colon.
    var attributes: [[UInt8]]?
    var after: [UInt8]
  }

  private func lines(of name: [UInt8]) -> [UserLine] {
    let file = bytes.span
    var found: [UserLine] = []
    var position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    var number = 1
    while position < file.count {
      let line = UserLine.cut(file, at: position, number: number)
      if case .user(let range, _, _) = line.content, ASCII.equals(file.extracting(range), name.span) { found.append(line) }
      position = line.whole.upperBound + 1
      number += 1
    }
    return found
  }

  private func line(of name: [UInt8]) throws(UserEditFailure) -> Line {
    let found = lines(of: name)
    guard let line = found.first, case .user(let nameRange, let hash, let attributes) = line.content else { throw .noSuchUser(name) }
    guard found.count == 1 else { throw .standsTwice(name, lines: found.map(\.number)) }
    let end = attributes?.upperBound ?? hash.upperBound
    return Line(
      whole: line.whole, before: Array(bytes[line.whole.lowerBound..<nameRange.lowerBound]), name: name, hash: Array(bytes[hash]),
      attributes: attributes.map { bytes[$0].split(separator: 0x2C, omittingEmptySubsequences: true).map { Array($0) } },
      after: Array(bytes[end..<line.whole.upperBound]))
  }

  private mutating func replace(_ line: Line) {
    var text = line.before + line.name + [0x3A] + line.hash
    if let attributes = line.attributes { text += [0x3A] + Self.joined(attributes) }
    bytes.replaceSubrange(line.whole, with: text + line.after)
  }

  /// Puts `piece` in the place of the attribute called so, or at the end; nil takes the attribute away.
  mutating func edit(_ name: [UInt8], _ attribute: StaticString, to piece: [UInt8]?) throws(UserEditFailure) {
    var line = try line(of: name)
    var pieces: [[UInt8]] = []
    var isPlaced = piece == nil
    for old in line.attributes ?? [] {
      guard Self.isCalled(attribute, old) else {
        pieces.append(old)
        continue
      }
      if let piece, !isPlaced { pieces.append(piece) }
      isPlaced = true
    }
    if let piece, !isPlaced { pieces.append(piece) }
    line.attributes = pieces.isEmpty ? nil : pieces
    let length = line.name.count + line.hash.count + Self.joined(pieces).count + 2
    guard length <= UserLine.longest else { throw .unfit("the user's line would have more than \(UserLine.longest) bytes") }
    replace(line)
  }

  /// The words of an attribute's value.
  func words(_ attribute: StaticString, of name: [UInt8]) throws(UserEditFailure) -> [[UInt8]] {
    for piece in try line(of: name).attributes ?? [] where Self.isCalled(attribute, piece) {
      guard let equals = piece.firstIndex(of: 0x3D) else { return [] }
      return UserLine.words(piece.span, equals + 1..<piece.count).map { Array(piece[$0]) }
    }
    return []
  }

  // MARK: Pieces

  private static func isCalled(_ name: StaticString, _ piece: [UInt8]) -> Bool {
    let own = UserLine.trimmed(piece.span, 0..<(piece.firstIndex(of: 0x3D) ?? piece.count))
    return ASCII.equals(piece.span.extracting(own), ignoringCaseOf: name)
  }

  private static func joined(_ pieces: [[UInt8]]) -> [UInt8] { Array(pieces.joined(separator: [0x2C])) }

  static func spaced(_ words: [[UInt8]]) -> [UInt8] { Array(words.joined(separator: [0x20])) }

  private static func groupsAttribute(_ groups: [[UInt8]]) throws(UserEditFailure) -> [UInt8] {
    for group in groups {
      if let fault = UserName.groupFault(group.span) { throw .unfit("\(fault)") }
    }
    return Array("groups=".utf8) + spaced(groups)
  }

  /// A hash that the reader will take, or the `*` of a user without one.
  static func storable(_ hash: [UInt8]?) throws(UserEditFailure) -> [UInt8] {
    guard let hash else { return [0x2A] }
    do throws(PasswordHashFailure) {
      _ = try PasswordHash(parsing: hash.span)
    } catch {
      throw .unfit("the hash \(error)")
    }
    // A `{PLAIN}` password may hold what ends a field or a line of the file.
    guard UserLine.holds(hash: hash), !hash.contains(where: { ASCII.isControl($0) }), hash.last != 0x20 else {
      throw .unfit("the hash can't stand in a user file")
    }
    return hash
  }
}

/// Why a user file was not edited. The file is as it was.
public enum UserEditFailure: Error, Equatable, Sendable, CustomStringConvertible {
  case noSuchUser([UInt8])
  case userExists([UInt8])
  case standsTwice([UInt8], lines: [Int])
  case noSuchKey([UInt8])
  case keyExists([UInt8])
  case notInGroup([UInt8])
  /// The user's hash is another by now.
  case hashChanged([UInt8])
  /// A key that can't be replaced, and why.
  case notReplaceable([UInt8], String)
  /// A name, hash or line that the reader would refuse, and why.
  case unfit(String)
  /// The bytes are no user file.
  case fault(UserFileFault)

  public var description: String {
    switch self {
    case .noSuchUser(let name): "there is no user \"\(Self.text(name))\""
    case .userExists(let name): "user \"\(Self.text(name))\" exists already"
    case .standsTwice(let name, let lines):
      "user \"\(Self.text(name))\" stands on lines \(lines.map { "\($0)" }.joined(separator: ", ")): remove all but one by hand"
    case .noSuchKey(let name): "there is no token called \"\(Self.text(name))\""
    case .keyExists(let name): "there is a token called \"\(Self.text(name))\" already: revoke it first, or choose another name"
    case .notReplaceable(let name, let why): "token \"\(Self.text(name))\" can't be replaced: \(why)"
    case .notInGroup(let group): "the user is not in group \"\(Self.text(group))\""
    case .hashChanged(let name): "user \"\(Self.text(name))\" has another password by now"
    case .unfit(let reason): reason
    case .fault(let fault): fault.description
    }
  }

  private static func text(_ bytes: [UInt8]) -> String {
    UserName.isPrintable(bytes.span) ? String(decoding: bytes, as: UTF8.self) : "(unprintable)"
  }
}
