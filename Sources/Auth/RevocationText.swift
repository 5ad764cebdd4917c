// The lines of a file of revocations: read one by one, and edited by dropping those that are past and adding others.

internal import Primitives

enum RevocationText {
  /// Hands each revocation with the offsets of its line (end included) to `take`. Blank lines and comments (`#`) are passed over.
  static func read(
    _ file: [UInt8], _ take: (_ line: Range<Int>, _ revocation: Revocation) throws(RevocationFault) -> Void
  ) throws(RevocationFault) {
    guard file.count <= RevocationList.largest else { throw .unfit("it is larger than a file of revocations may be") }
    var number = 1
    var start = 0
    while start < file.count {
      guard let end = ASCII.firstIndex(of: 0x0A, in: file.span, from: start) else {
        throw .line(number, "the last line does not end with a newline: is the file being written, or was it cut short?")
      }
      if let revocation = try revocation(file.span.extracting(start..<end), number) { try take(start..<end + 1, revocation) }
      start = end + 1
      number += 1
    }
  }

  /// `file` with `added`, and without what is past at `now` or said better by one of those.
  static func edited(_ file: [UInt8], adding added: [Revocation], at now: Timestamp) throws(RevocationFault) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(file.count + added.count * 64)
    var position = 0
    var list = RevocationList()
    try read(file) { (line, revocation) throws(RevocationFault) in
      out += file[position..<line.lowerBound]
      position = line.upperBound
      guard revocation.until > now, !added.contains(where: { $0.supersedes(revocation) }) else { return }
      out += file[line]
      try list.insert(revocation)
    }
    out += file[position...]
    for revocation in added {
      try list.insert(revocation)
      out += try text(revocation)
    }
    return out
  }

  /// A line with its end.
  static func text(_ revocation: Revocation) throws(RevocationFault) -> [UInt8] {
    let until = Array(" until=".utf8) + CalendarText.text(revocation.until.roundedUpToSeconds) + [0x0A]
    func before(_ moment: Timestamp) -> [UInt8] { Array(" before=".utf8) + CalendarText.text(moment.roundedUpToSeconds) }
    switch revocation {
    case .token(let identifier, _):
      guard isIdentifier(identifier.span) else {
        throw .unfit("an identifier has 1 to \(RevocationList.longestIdentifier) visible characters of ASCII, without spaces")
      }
      return Array("jti ".utf8) + identifier + until
    case .user(let name, let moment, _):
      if let fault = UserName.fault(name.span) { throw .unfit("\(fault)") }
      return Array("user ".utf8) + name + before(moment) + until
    case .all(let moment, _):
      return Array("all".utf8) + before(moment) + until
    }
  }

  private static func isIdentifier(_ text: Span<UInt8>) -> Bool {
    guard text.count >= 1 && text.count <= RevocationList.longestIdentifier else { return false }
    for i in text.indices where text[i] <= 0x20 || text[i] >= 0x7F { return false }
    return true
  }

  // MARK: One line

  /// nil for a line that says nothing.
  private static func revocation(_ line: Span<UInt8>, _ number: Int) throws(RevocationFault) -> Revocation? {
    var rest = 0..<line.count
    while let last = rest.last, ASCII.isWhitespace(line[last]) { rest = rest.lowerBound..<last }
    while let first = rest.first, ASCII.isWhitespace(line[first]) { rest = first + 1..<rest.upperBound }
    if rest.isEmpty || line[rest.lowerBound] == 0x23 { return nil }
    // From the end, since a user's name may hold spaces.
    guard let until = time("until=", line, &rest) else { throw .line(number, "until=TIME is wanted at the end") }
    let text = line.extracting(rest)
    if word("jti ", text) {
      let identifier = text.extracting(4..<text.count)
      guard isIdentifier(identifier) else { throw .line(number, "jti is followed by one identifier") }
      return .token(identifier: ASCII.array(identifier), until: until)
    }
    guard let before = time("before=", line, &rest) else { throw .line(number, "before=TIME is wanted, or jti with an identifier") }
    let subject = line.extracting(rest)
    if ASCII.equals(subject, "all") { return .all(before: before, until: until) }
    if word("user ", subject) {
      let name = subject.extracting(5..<subject.count)
      guard UserName.fault(name) == nil else { throw .line(number, "user is followed by a user's name") }
      return .user(name: ASCII.array(name), before: before, until: until)
    }
    throw .line(number, "a line begins with jti, user or all")
  }

  private static func word(_ word: StaticString, _ text: Span<UInt8>) -> Bool {
    text.count > word.utf8CodeUnitCount && ASCII.equals(text.extracting(0..<word.utf8CodeUnitCount), word)
  }

  /// The time of the last word, which is called so; `rest` then ends before it and its spaces.
  private static func time(_ name: StaticString, _ line: Span<UInt8>, _ rest: inout Range<Int>) -> Timestamp? {
    var start = rest.upperBound
    while start > rest.lowerBound && !ASCII.isWhitespace(line[start - 1]) { start -= 1 }
    let length = name.utf8CodeUnitCount
    guard rest.upperBound - start > length, ASCII.equals(line.extracting(start..<start + length), name),
      let time = CalendarText.parse(line.extracting(start + length..<rest.upperBound))
    else { return nil }
    var end = start
    while end > rest.lowerBound && ASCII.isWhitespace(line[end - 1]) { end -= 1 }
    rest = rest.lowerBound..<end
    return time
  }
}

extension Revocation {
  /// From this moment on it may be forgotten.
  var until: Timestamp {
    switch self {
    case .token(_, let until), .user(_, _, let until), .all(_, let until): until
    }
  }

  /// Whether `other` says nothing that this does not, for at least as long.
  fileprivate func supersedes(_ other: Revocation) -> Bool {
    guard until.roundedUpToSeconds >= other.until else { return false }
    switch (self, other) {
    case (.token(let own, _), .token(let its, _)): return own == its
    case (.user(let own, let moment, _), .user(let its, let earlier, _)): return own == its && moment.roundedUpToSeconds >= earlier
    case (.all(let moment, _), .all(let earlier, _)): return moment.roundedUpToSeconds >= earlier
    default: return false
    }
  }
}
