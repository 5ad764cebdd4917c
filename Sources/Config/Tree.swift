// The shape of a config without its meaning: words, directives, blocks.

/// One word of a directive: its name or an argument.
public struct Word: Sendable {
  /// What it says: quotes taken off, escapes and `${NAME}` resolved. Never split again, whatever the variable held.
  public var text: String
  /// As it stands in the file. Messages quote this one, because a variable's value may be a secret.
  public var written: String
  public var place: SourceRange
  public var isQuoted: Bool
  /// Already complained about; its text is not to be trusted.
  public var isBroken: Bool

  public init(text: String, written: String, place: SourceRange, isQuoted: Bool = false, isBroken: Bool = false) {
    self.text = text
    self.written = written
    self.place = place
    self.isQuoted = isQuoted
    self.isBroken = isBroken
  }
}

/// A directive: a name, its arguments, and a block if `{` followed.
public struct Directive: Sendable {
  public var name: Word
  public var arguments: [Word]
  public var block: Block?

  public init(name: Word, arguments: [Word], block: Block?) {
    self.name = name
    self.arguments = arguments
    self.block = block
  }

  /// A word of it was complained about already: its meaning is not looked at.
  public var isBroken: Bool { name.isBroken || arguments.contains(where: \.isBroken) }

  /// From the name to the last argument.
  public var place: SourceRange {
    var place = name.place
    if let last = arguments.last?.place, last.line == place.line, last.file === place.file {
      place.bytes = place.bytes.lowerBound..<last.bytes.upperBound
    }
    return place
  }
}

/// What stands between `{` and `}`.
public struct Block: Sendable {
  /// Where the `{` is.
  public var place: SourceRange
  public var directives: [Directive]
  /// False when the file ended before the `}`: what follows in it may have been meant for further out.
  public var isClosed: Bool
}
