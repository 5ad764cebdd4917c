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

  /// Where the whole line stands in `bytes`, if that is how we would write it ourselves, to the byte: `Name: value` and CRLF. Nil for another
  /// space, none or several, one behind the value, and a value without a byte. Everything is looked at here; nothing is left to what a parser
  /// refuses.
  @inlinable public func line(asWrittenIn bytes: borrowing ByteStore) -> ByteRange? {
    let colon = Int(name.end)
    let end = Int(value.end)
    guard Int(value.start) == colon + 2, end > colon + 2, end + 2 <= bytes.count,
      bytes[colon] == 0x3A, bytes[colon + 1] == 0x20, bytes[end] == 0x0D, bytes[end + 1] == 0x0A
    else { return nil }
    return ByteRange(start: name.start, end: value.end + 2)
  }
}

/// The fields of a message in the order in which they came. `removeAll` keeps the memory.
///
/// An array would do, if the standard library's ways to append to it and to empty it were shorter: they are gone for each field of each message.
@frozen public struct FieldList: RandomAccessCollection, Sendable {
  // What the array holds beyond `count` is room.
  @usableFromInline var storage: [Field] = []
  public internal(set) var count = 0

  @inlinable public init() {}

  /// For how many fields there is memory.
  public var capacity: Int { storage.count }

  @inlinable public var startIndex: Int { 0 }
  @inlinable public var endIndex: Int { count }

  @inlinable public subscript(index: Int) -> Field {
    precondition(index < count, "an index of the list")
    return storage[index]
  }

  mutating func append(_ field: Field) {
    if count == storage.count { grow(field) }
    storage[count] = field
    count += 1
  }

  mutating func removeAll() { count = 0 }

  @inline(never) private mutating func grow(_ field: Field) {
    var wider = [Field](repeating: field, count: Swift.max(count * 2, 16))
    for i in 0..<count { wider[i] = storage[i] }
    storage = wider
  }
}

/// A set of field indices, reused from message to message: it keeps its memory.
public struct FieldSet: Sendable {
  /// The indices below 64, which are all that most messages have.
  private var first: UInt64 = 0
  /// Those above, 64 a word.
  private var others: [UInt64] = []

  public init() {}

  /// Empties the set and makes room for the indices 0..<count.
  public mutating func reset(count: Int) {
    first = 0
    if count > 64 || !others.isEmpty { resetOthers(count: count) }
  }

  private mutating func resetOthers(count: Int) {
    for i in others.indices { others[i] = 0 }
    while others.count * 64 + 64 < count { others.append(0) }
  }

  /// Adds an index below the count of the last `reset`.
  public mutating func insert(_ index: Int) {
    precondition(index >= 0, "an index is not negative")
    if index < 64 { first |= 1 &<< UInt64(index) } else { others[(index >> 6) - 1] |= 1 &<< UInt64(index & 63) }
  }

  /// Whether `index` is in the set. False beyond the room that was made.
  public func contains(_ index: Int) -> Bool {
    if index < 64 { return index >= 0 && (first &>> UInt64(index)) & 1 == 1 }
    let word = (index >> 6) - 1
    return word < others.count && (others[word] &>> UInt64(index & 63)) & 1 == 1
  }

  public var isEmpty: Bool { first == 0 && others.allSatisfy { $0 == 0 } }
}
