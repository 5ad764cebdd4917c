// A parsed field, and sets of fields. The bytes stand in the head (or trailers) that the field belongs to.

public import Primitives

/// One field line: where its name and its value stand in the bytes of its head.
public struct Field: Equatable, Sendable {
  /// The name as it came, a non-empty token.
  public var name: ByteRange
  /// The value without the white space around it (RFC 9112 section 5.1). May be empty.
  public var value: ByteRange
  /// The name, if it is one that is known.
  public var known: FieldName

  public init(name: ByteRange, value: ByteRange, known: FieldName) {
    self.name = name
    self.value = value
    self.known = known
  }
}

/// A set of field indices, reused from message to message: it keeps its memory.
public struct FieldSet: Sendable {
  private var words: [UInt64] = []

  public init() {}

  /// Empties the set and makes room for the indices 0..<count.
  public mutating func reset(count: Int) {
    let needed = (count + 63) / 64
    for i in words.indices { words[i] = 0 }
    while words.count < needed { words.append(0) }
  }

  /// Adds an index below the count of the last `reset`.
  public mutating func insert(_ index: Int) {
    words[index >> 6] |= 1 << UInt64(index & 63)
  }

  /// Whether `index` is in the set. False beyond the room that was made.
  public func contains(_ index: Int) -> Bool {
    let word = index >> 6
    return word < words.count && (words[word] >> UInt64(index & 63)) & 1 == 1
  }

  public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }
}
