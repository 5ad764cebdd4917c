// The bounds of what this room reads, in one place. Their defaults are the documented ones; Config may change them.

/// Bounds of a head: of a request's, and of a response's (where `requestLine` bounds the status line).
public struct HeadLimits: Equatable, Sendable {
  /// Most bytes of the request line, its CRLF included. Beyond: 414 (RFC 9112 section 3).
  public var requestLine: Int
  /// Most bytes of all field lines together, their CRLFs included, the empty line not. Beyond: 431 (RFC 6585 section 5).
  public var fields: Int
  /// Most field lines. Beyond: 431.
  public var fieldCount: Int

  public init(requestLine: Int = 8192, fields: Int = 32768, fieldCount: Int = 100) {
    precondition(requestLine >= 16 && fields >= 2 && fieldCount >= 1, "limits that no request can keep")
    // `ByteRange` counts in 32 bits.
    precondition(requestLine <= 1 << 24 && fields <= 1 << 24, "limits beyond 16 MiB")
    self.requestLine = requestLine
    self.fields = fields
    self.fieldCount = fieldCount
  }
}

/// Bounds of chunked coding (RFC 9112 section 7.1) beside the body itself, which is not bounded here.
public struct ChunkLimits: Equatable, Sendable {
  /// Most bytes of one chunk-size line, extensions and CRLF included.
  public var line: Int
  /// Most bytes of extensions in the whole message, beyond one for each byte of body that came (RFC 9112 section 7.1.1:
  /// "ought to limit the total length of chunk extensions"). Signed uploads of 64 KiB chunks stay far below.
  public var extensions: Int
  /// Most bytes of trailer field lines, their CRLFs included.
  public var trailers: Int
  /// Most trailer field lines.
  public var trailerCount: Int

  public init(line: Int = 1024, extensions: Int = 16384, trailers: Int = 8192, trailerCount: Int = 32) {
    precondition(line >= 18 && extensions >= 0 && trailers >= 2 && trailerCount >= 0, "limits that no message can keep")
    precondition(line <= 1 << 24 && trailers <= 1 << 24, "limits beyond 16 MiB")
    self.line = line
    self.extensions = extensions
    self.trailers = trailers
    self.trailerCount = trailerCount
  }
}

/// Most options in all `Connection` fields of a message together. Each is compared with every field's name, so their number is a cost that
/// the sender chooses; honest messages have one or two.
let connectionOptionLimit = 32
