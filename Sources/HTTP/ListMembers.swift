// Comma-separated lists of tokens (RFC 9110 section 5.6.1), walked without building anything.

import Primitives

/// Walks the members of a list value: `while let member = members.next(in: value)`. Empty members are skipped
/// (RFC 9110 section 5.6.1.2); quotes have no meaning here, since no list read with this has quoted strings.
struct ListMembers {
  private var position = 0

  /// The next member without the white space around it, as a range of `value`.
  mutating func next(in value: Span<UInt8>) -> Range<Int>? {
    while position < value.count {
      var start = position
      while position < value.count && value[position] != 0x2C { position += 1 }
      var end = position
      position += 1
      while start < end && ASCII.isWhitespace(value[start]) { start += 1 }
      while end > start && ASCII.isWhitespace(value[end - 1]) { end -= 1 }
      if start < end { return start..<end }
    }
    return nil
  }
}
