// Arguments to values, with the words for each that is none. Nil always means that a complaint was made.

import HTTP
import Net
import Primitives

extension Reading {
  /// `'WORD' REASON`. The word as written: what a variable holds may be a secret.
  func wrong(_ word: Word, _ reason: String, hint: String? = nil) {
    if word.isBroken { return }
    diagnostics.error(word.place, "\(Self.quoted(word)) \(reason)", hint: hint)
  }

  private static func quoted(_ word: Word) -> String {
    word.isQuoted ? word.written : "'\(word.written)'"
  }

  func size(_ word: Word, _ range: ClosedRange<Int>, alsoTakes extra: String? = nil) -> Int? {
    guard let value = Value.size(word.text) else {
      wrong(word, "is no size", hint: "a number of bytes, or with k, m or g: 8k, 10m" + (extra.map { "; or '\($0)'" } ?? ""))
      return nil
    }
    guard range.contains(value) else {
      wrong(word, "is out of range: \(Value.text(size: range.lowerBound)) to \(Value.text(size: range.upperBound))")
      return nil
    }
    return value
  }

  func count(_ word: Word, _ range: ClosedRange<Int>, orWord other: String? = nil, is meaning: Int = 0) -> Int? {
    if let other, word.text == other && !word.isQuoted { return meaning }
    guard let value = Value.count(word.text) else {
      wrong(word, "is no number", hint: other.map { "a whole number or '\($0)'" })
      return nil
    }
    guard range.contains(value) else {
      wrong(word, "is out of range: \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return value
  }

  func duration(_ word: Word, _ range: ClosedRange<Interval>, orWord other: String? = nil, is meaning: Interval? = nil) -> Interval? {
    if let other, let meaning, word.text == other && !word.isQuoted { return meaning }
    guard let value = Value.duration(word.text) else {
      let hint = Value.count(word.text) == nil ? "a number with ms, s, m, h or d: 500ms, 10s" : "a unit is missing: ms, s, m, h or d"
      wrong(word, "is no duration", hint: hint + (other.map { "; or '\($0)'" } ?? ""))
      return nil
    }
    guard range.contains(value) else {
      wrong(word, "is out of range: \(Value.text(range.lowerBound)) to \(Value.text(range.upperBound))")
      return nil
    }
    return value
  }

  func onOff(_ word: Word) -> Bool? {
    guard let value = Value.onOff(word.text) else {
      wrong(word, "is neither 'on' nor 'off'")
      return nil
    }
    return value
  }

  /// One of a few words.
  func choice<Value>(_ word: Word, _ choices: [(name: String, value: Value)]) -> Value? {
    if let found = choices.first(where: { $0.name == word.text }) { return found.value }
    let names = choices.map { "'\($0.name)'" }.joined(separator: ", ")
    let nearest = Nearest.name(to: word.text, among: choices.map(\.name)).map { "did you mean '\($0)'?" }
    wrong(word, "is none of \(names)", hint: nearest)
    return nil
  }

  /// The name of a header that we set.
  func fieldName(_ word: Word) -> String? {
    let bytes = Array(word.text.utf8)
    guard !bytes.isEmpty, bytes.count <= 128, bytes.allSatisfy(ASCII.isToken) else {
      wrong(word, "is no name of a header")
      return nil
    }
    // Every one of these is the protocol's or set by other means; with `_` for `-` a CGI program reads it as the same.
    let hyphened = bytes.map { $0 == 0x5F || $0 == 0x2E ? 0x2D : $0 }
    guard FieldName(hyphened.span) == .other else {
      wrong(word, "has a meaning of its own", hint: "choose a name such as X-Forwarded-User or Remote-User")
      return nil
    }
    return word.text
  }

  // MARK: Files

  /// The absolute path of what `word` names, seen from the folder of the file that it stands in.
  func path(_ word: Word) -> String? {
    guard !word.text.isEmpty else {
      wrong(word, "is no path of a file")
      return nil
    }
    return Disk.absolute(Path.join(word.place.file.folder, word.text))
  }

  /// `unix:PATH` with the path made absolute as `path` does it; any other text as it is.
  func socketPathResolved(_ word: Word) -> String {
    guard word.text.hasPrefix("unix:"), word.text.utf8.count > 5 else { return word.text }
    return "unix:" + Disk.absolute(Path.join(word.place.file.folder, String(word.text.dropFirst(5))))
  }

  /// The same for a file that has to be there.
  func readableFile(_ word: Word) -> String? {
    guard !word.isBroken, let path = path(word) else { return nil }
    if let failure = Disk.whyUnreadable(path) {
      wrong(word, "can't be read: \(failure.reason)")
      return nil
    }
    return path
  }

  /// - Parameter what: what the file holds, as in "the key".
  func warnIfWorldReadable(_ path: String, _ word: Word, _ what: String) {
    guard let permissions = (try? Disk.attributes(path))?.permissions, permissions & 0o006 != 0 else { return }
    let may = permissions & 0o002 != 0 ? permissions & 0o004 != 0 ? "read and change" : "change" : "read"
    diagnostics.warning(word.place, "everybody on this machine can \(may) the \(what)", hint: "chmod o-rwx \(word.written)")
  }

  // MARK: Names

  /// What may be an upstream's name.
  static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 64
      && text.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E }
  }

  static func isHostName(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return Authority.isValid(bytes.span) && Authority.port(bytes.span) == nil && bytes.first != 0x5B
  }
}
