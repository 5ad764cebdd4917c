// Which paths lie beneath which, for all who judge by path: routes and the scopes of tokens. Canonical bytes only (`CanonicalPath`).

public import Primitives

public enum PathPrefix {
  /// Whether the canonical `path` is `own` or, unless `isExact`, lies beneath it. Whole segments: `/a` covers `/a` and `/a/b`, not `/ab`; a
  /// closing slash of `own` changes nothing. `*` (of `OPTIONS *`) belongs to the root.
  public static func covers(_ own: Span<UInt8>, isExact: Bool, _ path: Span<UInt8>) -> Bool {
    if path.count == 1 && path[0] == 0x2A { return own.count == 1 && !isExact }
    if isExact { return ASCII.equals(path, own) }
    let base = own[own.count - 1] == 0x2F ? own.count - 1 : own.count
    guard path.count >= base, ASCII.starts(path, with: own.extracting(0..<base)) else { return false }
    return path.count == base || path[base] == 0x2F
  }

  // MARK: The second reading

  /// Whether a service might see other segments in this path than we do: it may decode what we keep escaped, merge slashes, read a backslash
  /// as a slash, or cut `;parameters` off a segment (the servlet rule).
  public static func hasSecondReading(_ path: Span<UInt8>) -> Bool {
    var previous: UInt8 = 0
    for i in path.indices {
      let byte = path[i]
      if byte == 0x25 || byte == 0x3B || byte == 0x5C || (byte == 0x2F && previous == 0x2F) { return true }
      previous = byte
    }
    return false
  }

  /// Writes the path as the most liberal service would read it. False when that reading has a dot segment, which would lead elsewhere.
  public static func read(_ path: Span<UInt8>, as reading: inout ByteBuffer) -> Bool {
    var isParameter = false
    var i = 0
    while i < path.count {
      var byte = path[i]
      i += 1
      if byte == 0x25, i + 1 < path.count, let high = ASCII.hexValue(path[i]), let low = ASCII.hexValue(path[i + 1]) {
        byte = high << 4 | low
        i += 2
      }
      if byte == 0x2F || byte == 0x5C {
        isParameter = false
        if reading.count > 0 && reading[reading.count - 1] == 0x2F { continue }
        guard !endsInDotSegment(reading.span) else { return false }
        reading.append(0x2F)
      } else if byte == 0x3B {
        isParameter = true
      } else if !isParameter {
        reading.append(byte)
      }
    }
    return !endsInDotSegment(reading.span)
  }

  private static func endsInDotSegment(_ path: Span<UInt8>) -> Bool {
    let n = path.count
    if n >= 2 && path[n - 1] == 0x2E && path[n - 2] == 0x2F { return true }
    return n >= 3 && path[n - 1] == 0x2E && path[n - 2] == 0x2E && path[n - 3] == 0x2F
  }
}
