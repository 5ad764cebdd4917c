// Trailer fields (RFC 9112 section 7.1.2), of requests and responses: taken line by line, and only those that may stand there.

public import Primitives

/// The fields after a chunked body.
public struct Trailers: Sendable {
  /// The field lines. Every range points into them.
  public private(set) var bytes = ByteStore()
  public private(set) var fields = FieldList()

  public init() {}

  public var isEmpty: Bool { fields.isEmpty }

  /// Empty again, memory kept.
  public mutating func reset() {
    bytes.removeAll()
    fields.removeAll()
  }

  /// Leaves those out of whose names `isDropped` says so.
  public mutating func drop(_ isDropped: (Span<UInt8>) -> Bool) {
    var kept = FieldList()
    for field in fields where !isDropped(bytes[field.name]) { kept.append(field) }
    fields = kept
  }

  /// Takes a line with its CRLF; the empty line is well and changes nothing. The caller bounds number and size.
  mutating func take(_ line: Span<UInt8>) -> HeadFailure? {
    var scanner = FieldScanner(at: 0)
    switch scanner.next(line, limit: line.count) {
    case .end:
      return scanner.position == line.count ? nil : .bareLineFeed
    case .needMore, .failed(.fieldsTooLarge):
      // The line ended before its CRLF.
      return .bareCarriageReturn
    case .failed(let failure):
      return failure
    case .field:
      guard scanner.position == line.count else { return .bareLineFeed }
      let base = bytes.count
      let name = scanner.name(relativeTo: -base)
      let value = scanner.value(relativeTo: -base)
      bytes.append(line)
      let known = scanner.known
      // RFC 9110 section 6.5.1: fields for framing, routing, authentication and the like must not come in trailers. A receiver that
      // merges them into the head would obey them.
      if known.isForbiddenInTrailers { return .forbiddenTrailer }
      if known == .other && FieldName.looksLikeFraming(bytes[name]) { return .framingLookAlike }
      fields.append(Field(name: name, value: value, known: known))
      return nil
    }
  }
}
