// One parameter of a query (`a=1&b=2`), found and taken out by name. The rest stays byte for byte: what it means is the service's to know.

public import Primitives

public enum QueryParameter: Equatable, Sendable {
  case absent
  /// Where its value stands in the query.
  case one(ByteRange)
  /// More than once; or behind a `;`, which parts parameters for some services and not for others.
  case ambiguous

  /// Looks for `name`, in either case and also percent-encoded (`%74icket`).
  public static func find(_ name: Span<UInt8>, in query: Span<UInt8>) -> QueryParameter {
    var found = QueryParameter.absent
    var start = 0
    while start <= query.count {
      let end = self.end(of: start, query)
      if let value = value(of: name, query, start, end) {
        guard case .absent = found, !isBehindSemicolon(query, start), end == query.count || query[end] == 0x26 else { return .ambiguous }
        found = .one(ByteRange(value, end))
      }
      start = end + 1
    }
    return found
  }

  /// Appends `query` without the parameter, wherever it stands, and without the mark that parted it from the next one; with `?` before it
  /// unless nothing is left.
  public static func append(_ query: Span<UInt8>, without name: Span<UInt8>, to out: inout ByteBuffer) {
    var isFirst = true
    var start = 0
    while start <= query.count {
      let end = self.end(of: start, query)
      if value(of: name, query, start, end) == nil && !(isFirst && start == end && end == query.count) {
        out.append(isFirst ? 0x3F : query[start - 1])
        out.append(query.extracting(start..<end))
        isFirst = false
      }
      start = end + 1
    }
  }

  /// Whether a URL, such as that of a Referer, has the parameter in its query or its fragment.
  public static func isIn(url: Span<UInt8>, _ name: Span<UInt8>) -> Bool {
    var start = 0
    while start < url.count && url[start] != 0x3F && url[start] != 0x23 { start += 1 }
    while start < url.count {
      var end = start + 1
      while end < url.count && url[end] != 0x3F && url[end] != 0x23 { end += 1 }
      if case .absent = find(name, in: url.extracting(start + 1..<end)) {} else { return true }
      start = end
    }
    return false
  }

  /// Where the parameter that begins at `start` ends.
  private static func end(of start: Int, _ query: Span<UInt8>) -> Int {
    var end = start
    while end < query.count && query[end] != 0x26 && query[end] != 0x3B { end += 1 }
    return end
  }

  private static func isBehindSemicolon(_ query: Span<UInt8>, _ start: Int) -> Bool { start > 0 && query[start - 1] == 0x3B }

  /// Where the value of the parameter in `start..<end` begins, if it is called `name`.
  private static func value(of name: Span<UInt8>, _ query: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    var at = start
    for i in name.indices {
      guard at < end else { return nil }
      var byte = query[at]
      at += 1
      if byte == 0x25, at + 1 < end, let high = ASCII.hexValue(query[at]), let low = ASCII.hexValue(query[at + 1]) {
        byte = high << 4 | low
        at += 2
      }
      guard ASCII.lowercased(byte) == ASCII.lowercased(name[i]) else { return nil }
    }
    if at == end { return end }
    return query[at] == 0x3D ? at + 1 : nil
  }
}
