// The one form of a path that is judged and forwarded. Whatever an upstream could read as another path than the one that was judged is
// refused, never guessed at.

public import Primitives

/// Why a path is refused. To the client all of them are 400.
public enum PathFailure: Error, Equatable, Sendable {
  case notAbsolute, malformedEscape, encodedSlash, backslash, encodedControl, overlongEncoding, aboveRoot, dotSegment

  /// The reason, for the log.
  public var reason: StaticString {
    switch self {
    case .notAbsolute: "path does not begin with a slash"
    case .malformedEscape: "malformed percent-escape in the path"
    case .encodedSlash: "encoded slash in the path"
    case .backslash: "backslash in the path"
    case .encodedControl: "encoded control character in the path"
    case .overlongEncoding: "overlong UTF-8 in the path"
    case .aboveRoot: "path leads above the root"
    case .dotSegment: "dot segment that can't be resolved in the path"
    }
  }
}

public enum CanonicalPath {
  /// Appends the canonical form of `path` (a target's path, without its query) to `out`. Nil when that went well; else `out` may hold a
  /// part.
  ///
  /// - An empty path is `/` (RFC 9110 section 4.2.3). Any other begins with `/`.
  /// - Escapes of unreserved bytes are decoded, the digits of all others are upper-cased (RFC 3986 sections 6.2.2.1 and 6.2.2.2).
  /// - Bytes that RFC 3986 doesn't allow in a path and that legacy clients send all the same (`"<>^` and the grave accent, `{|}`, and
  ///   0x80 and above) are percent-encoded, as browsers do it; `[` and `]` stay, as browsers leave them.
  /// - Dot segments are resolved, also those that were written as escapes (RFC 3986 section 5.2.4); `//` is kept, an empty segment being
  ///   one like others. What leads above the root is refused, not clamped.
  /// - Refused: an encoded slash, a backslash and an encoded one, encoded control characters, malformed escapes, overlong UTF-8 of ASCII
  ///   (which lenient decoders take for `/` or `.`), and a dot segment with parameters (`..;x`, which servlet containers resolve and
  ///   others don't).
  ///
  /// With `raw`, the bytes are appended as they are, and refused only if they hold a dot segment in any spelling (`.` or `%2e`, between
  /// `/`, `\` or the escape of either), with or without parameters. What routes are to be matched with is then `comparable`, not these
  /// bytes: `/%61dmin` is `/admin` to the upstream.
  public static func canonicalize(_ path: Span<UInt8>, into out: inout ByteBuffer, raw: Bool) -> PathFailure? {
    if raw { return appendRaw(path, into: &out) }
    if isPlain(path) {
      out.append(path)
      return nil
    }
    return normalize(path, into: &out, as: .canonical)
  }

  /// Appends the form of `path` that routes are matched with where it is forwarded raw: escapes normalised as `canonicalize` does, dot
  /// segments refused, the rest (backslashes, malformed escapes) left as it is.
  ///
  /// An upstream may read `/admin%2Fx` as a name or as a path below `/admin`. So both readings have to lead to the same route: one call
  /// with encoded slashes kept, as `%2F`, and one with them, and backslashes in either spelling, taken for slashes.
  public static func comparable(_ path: Span<UInt8>, decodingSlashes: Bool, into out: inout ByteBuffer) -> PathFailure? {
    if holdsDotSegment(path) { return .dotSegment }
    return normalize(path, into: &out, as: decodingSlashes ? .slashesDecoded : .slashesKept)
  }

  /// Whether `path` is its own canonical form and has no second reading (`PathPrefix.hasSecondReading`), as nearly all have none: no escape,
  /// nothing that would become one, no semicolon or backslash, no `//`, and no segment that begins with a dot.
  public static func isPlain(_ path: Span<UInt8>) -> Bool {
    guard path.count > 0 && path[0] == 0x2F else { return false }
    if path.count < 8 {
      let eight = EightBytes(tailOf: path, from: 0)
      return isPlain(eight, among: EightBytes.all &>> UInt64(8 &* (8 &- path.count)), isAfterSlash: false)
    }
    var i = 0
    while i < path.count {
      // The last eight may overlap those before.
      let at = min(i, path.count &- 8)
      guard let eight = EightBytes(path, at: at), isPlain(eight, among: EightBytes.all, isAfterSlash: at > 0 && path[at &- 1] == 0x2F)
      else { return false }
      i &+= 8
    }
    return true
  }

  /// - Parameter used: marks of the bytes that belong to the path.
  @inline(__always) private static func isPlain(_ eight: EightBytes, among used: UInt64, isAfterSlash: Bool) -> Bool {
    let afterSlash = eight.equal(to: 0x2F) << 8 | (isAfterSlash ? 0x80 : 0)
    if afterSlash & eight.within(0x2E, 0x2F) != 0 { return false }
    // Letters, and from the hyphen over dot and slash to the digits.
    var others = ~(eight.letters | eight.within(0x2D, 0x39)) & used
    while others != 0 {
      let byte = UInt8(truncatingIfNeeded: eight.word &>> UInt64(8 &* EightBytes.first(others)))
      guard isLiteral(byte) && byte != 0x25 && byte != 0x3B && byte != 0x5C else { return false }
      others &= others &- 1
    }
    return true
  }

  private enum Form { case canonical, slashesKept, slashesDecoded }

  // MARK: canonical

  private static func normalize(_ path: Span<UInt8>, into out: inout ByteBuffer, as form: Form) -> PathFailure? {
    if path.count == 0 {
      out.append(0x2F)
      return nil
    }
    guard path[0] == 0x2F else { return .notAbsolute }
    out.reserve(path.count)
    let root = out.count
    var segment = root
    // The byte before, if it begins an overlong sequence: 0xC0, 0xC1, 0xE0, 0xF0; else 0.
    var lead: UInt8 = 0
    var i = 0
    while i < path.count {
      var byte = path[i]
      if byte == 0x2F {
        if let failure = closeSegment(&out, from: segment, root: root, isLast: false) { return failure }
        segment = out.count
        out.append(0x2F)
        lead = 0
        i += 1
        continue
      }
      var isEscaped = false
      if byte == 0x25 {
        if i + 2 < path.count, let high = ASCII.hexValue(path[i + 1]), let low = ASCII.hexValue(path[i + 2]) {
          byte = high << 4 | low
          isEscaped = true
          i += 3
        } else {
          // RFC 3986 section 2.1: pct-encoded = "%" HEXDIG HEXDIG.
          if form == .canonical { return .malformedEscape }
          i += 1
        }
      } else {
        i += 1
      }
      if form == .canonical {
        if byte == 0x2F { return .encodedSlash }
        if byte == 0x5C { return .backslash }
        if ASCII.isControl(byte) { return .encodedControl }
        if isOverlong(lead, byte) { return .overlongEncoding }
        lead = byte >= 0xC0 ? byte : 0
      }
      if form == .slashesDecoded && (byte == 0x2F || byte == 0x5C) {
        out.append(0x2F)
        continue
      }
      if isEscaped ? ASCII.isUnreserved(byte) : isLiteral(byte) {
        out.append(byte)
      } else {
        out.append(0x25)
        out.append(ASCII.upperHexDigit(byte >> 4))
        out.append(ASCII.upperHexDigit(byte & 15))
      }
    }
    return closeSegment(&out, from: segment, root: root, isLast: true)
  }

  /// The segment that begins at `start` of `out` with its slash is complete: resolves it if it is a dot segment.
  private static func closeSegment(_ out: inout ByteBuffer, from start: Int, root: Int, isLast: Bool) -> PathFailure? {
    // Before the first slash nothing is open.
    let count = out.count - start
    guard count >= 2, out[start + 1] == 0x2E else { return nil }
    let dots = count >= 3 && out[start + 2] == 0x2E ? 2 : 1
    let next = 1 + dots
    if count > next {
      // A name that begins with a dot is a name; a dot segment with parameters is neither the one nor the other.
      if out[start + next] == 0x3B { return .dotSegment }
      if count >= next + 3, out[start + next] == 0x25, out[start + next + 1] == 0x33, out[start + next + 2] == 0x42 { return .dotSegment }
      return nil
    }
    var end = start
    if dots == 2 {
      // RFC 3986 section 5.2.4 would clamp at the root. What asks for more than there is, is refused.
      guard end > root else { return .aboveRoot }
      repeat { end -= 1 } while out[end] != 0x2F
    }
    out.truncate(to: end)
    if isLast { out.append(0x2F) }
    return nil
  }

  /// Whether `byte` after `lead` makes a UTF-8 sequence that is longer than its character needs (RFC 3629 section 3).
  private static func isOverlong(_ lead: UInt8, _ byte: UInt8) -> Bool {
    switch lead {
    case 0xC0, 0xC1: byte & 0xC0 == 0x80
    case 0xE0: byte & 0xE0 == 0x80
    case 0xF0: byte & 0xF0 == 0x80
    default: false
    }
  }

  /// Whether an unescaped byte stays as it is: all that is visible ASCII but `"`, `<`, `>`, `^`, the grave accent, `{`, `|`, `}`. (The
  /// backslash stays too: it comes here only in `comparable`.)
  private static func isLiteral(_ byte: UInt8) -> Bool {
    // Bits of 0x00–0x3F: 0x21–0x3F without " < >
    let low: UInt64 = 0xAFFF_FFFA_0000_0000
    // Bits of 0x40–0x7F: 0x40–0x7A and ~, without ^ and the grave accent
    let high: UInt64 = 0x47FF_FFFE_BFFF_FFFF
    if byte >= 0x80 { return false }
    return byte < 64 ? (low >> UInt64(byte)) & 1 == 1 : (high >> UInt64(byte & 63)) & 1 == 1
  }

  // MARK: raw

  private static func appendRaw(_ path: Span<UInt8>, into out: inout ByteBuffer) -> PathFailure? {
    if path.count == 0 {
      out.append(0x2F)
      return nil
    }
    guard path[0] == 0x2F else { return .notAbsolute }
    if holdsDotSegment(path) { return .dotSegment }
    out.append(path)
    return nil
  }

  /// Whether one of the segments is `.` or `..` to anybody: dots and separators also as escapes, backslashes as separators, parameters
  /// aside.
  private static func holdsDotSegment(_ path: Span<UInt8>) -> Bool {
    // Dots at the begin of the segment; -1 once another byte came.
    var dots = -1
    var i = 0
    while i < path.count {
      var byte = path[i]
      i += 1
      if byte == 0x25, i + 1 < path.count, let high = ASCII.hexValue(path[i]), let low = ASCII.hexValue(path[i + 1]) {
        byte = high << 4 | low
        i += 2
      }
      if byte == 0x2F || byte == 0x5C || byte == 0x3B {
        if dots == 1 || dots == 2 { return true }
        dots = byte == 0x3B ? -1 : 0
      } else if byte == 0x2E && dots >= 0 {
        dots += 1
      } else {
        dots = -1
      }
    }
    return dots == 1 || dots == 2
  }
}
