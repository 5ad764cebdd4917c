// The grammar of field lines, once for all who read them: request heads, trailers, and the lines that libcurl hands over.
// Resumable at every byte, so that an answer never depends on how the bytes were cut.

import Primitives

/// Reads field lines from a growing run of bytes (RFC 9112 section 5).
struct FieldScanner: Sendable {
  enum Outcome: Equatable {
    /// The bytes ended within a line.
    case needMore
    /// A field line is complete: `name` and `value` say where it stands.
    case field
    /// The empty line was read.
    case end
    case failed(HeadFailure)
  }

  private enum State: Sendable { case lineStart, name, beforeValue, value, lineFeed, lastLineFeed }

  private var state = State.lineStart
  /// The next byte to read; after `.field` and `.end` the first one beyond the line.
  var position: Int
  private var nameStart = 0
  private var nameEnd = 0
  private var valueStart = 0
  private var valueEnd = 0

  /// What the last field is called.
  private(set) var known = FieldName.other

  init(at position: Int) {
    self.position = position
  }

  /// Where the last field's name and value stand, the latter without the white space around it.
  var nameRange: Range<Int> { nameStart..<nameEnd }
  var valueRange: Range<Int> { valueStart..<valueEnd }

  /// The last field's name, moved by `-offset`.
  func name(relativeTo offset: Int) -> ByteRange { ByteRange(nameStart - offset, nameEnd - offset) }

  /// The last field's value without the white space around it, moved by `-offset`.
  func value(relativeTo offset: Int) -> ByteRange { ByteRange(valueStart - offset, valueEnd - offset) }

  /// Reads on to the end of the line. `bytes` are those of the last call, and more. No field line may reach `limit` or beyond.
  mutating func next(_ bytes: Span<UInt8>, limit: Int) -> Outcome {
    let end = min(bytes.count, limit)
    var i = position
    if state == .lineStart {
      guard i < bytes.count else { return .needMore }
      let byte = bytes[i]
      if byte == 0x0D {
        // RFC 9112 section 2.1: the empty line ends the fields, and nothing else does (no empty name, for one).
        state = .lastLineFeed
        i += 1
      } else {
        let found = FieldName.beforeColon(in: bytes, from: i, to: end)
        if let (name, colon) = found, name != .other {
          // What is a known name is a token, and needs no other look.
          nameStart = i
          known = name
          nameEnd = colon
          if takesPlainValue(bytes, after: colon, end) { return .field }
          i = colon + 1
          state = .beforeValue
        } else {
          guard i < limit else { return .failed(.fieldsTooLarge) }
          // RFC 9112 section 5.2: obs-fold outside message/http is refused. Section 2.2: so is white space before the first field.
          if byte == 0x20 || byte == 0x09 { return .failed(.obsoleteFold) }
          // RFC 9112 section 2.2 lets a recipient take a lone LF for a line end. Two readers who differ in that see two messages: refused.
          if byte == 0x0A { return .failed(.bareLineFeed) }
          // RFC 9110 section 5.1: field-name = token, which is never empty.
          if byte == 0x3A { return .failed(.emptyFieldName) }
          nameStart = i
          if let (_, colon) = found, ASCII.endOfToken(in: bytes, from: i, to: colon) == colon {
            known = .other
            nameEnd = colon
            if takesPlainValue(bytes, after: colon, end) { return .field }
            i = colon + 1
            state = .beforeValue
          } else {
            state = .name
          }
        }
      }
    }
    if state == .name {
      i = ASCII.endOfToken(in: bytes, from: i, to: end)
      guard i < end else { return suspend(i, limit) }
      // RFC 9112 section 5.1: no white space between name and colon; a server MUST reject it with 400.
      if bytes[i] == 0x20 || bytes[i] == 0x09 { return .failed(.spaceBeforeColon) }
      guard bytes[i] == 0x3A else { return .failed(.invalidFieldName) }
      nameEnd = i
      known = FieldName(bytes.extracting(nameStart..<nameEnd))
      i += 1
      state = .beforeValue
    }
    if state == .beforeValue {
      // Most often it is one space.
      if i &+ 1 < end && bytes[i] == 0x20 && bytes[i &+ 1] > 0x20 {
        i &+= 1
      } else {
        while i < end && (bytes[i] == 0x20 || bytes[i] == 0x09) { i += 1 }
        guard i < end else { return suspend(i, limit) }
      }
      valueStart = i
      state = .value
    }
    if state == .value {
      i = ASCII.endOfFieldValue(in: bytes, from: i, to: end)
      guard i < end else { return suspend(i, limit) }
      // RFC 9110 section 5.5: NUL, CR and LF in a value are invalid and dangerous, the other controls invalid. All are refused.
      if bytes[i] == 0x0A { return .failed(.bareLineFeed) }
      guard bytes[i] == 0x0D else { return .failed(.invalidFieldValue) }
      // RFC 9112 section 5.1: white space around the value is not part of it.
      var last = i
      while last > valueStart && (bytes[last - 1] == 0x20 || bytes[last - 1] == 0x09) { last -= 1 }
      valueEnd = last
      i += 1
      state = .lineFeed
    }
    if state == .lineFeed {
      guard i < end else { return suspend(i, limit) }
      // RFC 9112 section 2.2: a bare CR is invalid.
      guard bytes[i] == 0x0A else { return .failed(.bareCarriageReturn) }
      position = i + 1
      state = .lineStart
      return .field
    }
    // Here the state is `lastLineFeed`.
    guard i < bytes.count else {
      position = i
      return .needMore
    }
    guard bytes[i] == 0x0A else { return .failed(.bareCarriageReturn) }
    position = i + 1
    state = .lineStart
    return .end
  }

  /// Reads what most lines are behind the colon: one space, a value without white space at its ends, and CRLF, all of it here already. False, and
  /// nothing is changed, where it is anything else; the steps of `next` then say what.
  @inline(__always) private mutating func takesPlainValue(_ bytes: Span<UInt8>, after colon: Int, _ end: Int) -> Bool {
    let start = colon &+ 2
    guard start < end, bytes[colon &+ 1] == 0x20, bytes[start] > 0x20 else { return false }
    let stop = ASCII.endOfFieldValue(in: bytes, from: start, to: end)
    guard stop &+ 1 < end, bytes[stop] == 0x0D, bytes[stop &+ 1] == 0x0A, bytes[stop &- 1] > 0x20 else { return false }
    valueStart = start
    valueEnd = stop
    position = stop &+ 2
    return true
  }

  /// Remembers where the bytes, or the room for them, ended.
  private mutating func suspend(_ i: Int, _ limit: Int) -> Outcome {
    position = i
    return i >= limit ? .failed(.fieldsTooLarge) : .needMore
  }
}
