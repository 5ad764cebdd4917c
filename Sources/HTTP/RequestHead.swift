// A request head as meaning: what HeadParser makes of bytes. Only HeadParser writes one; everybody else reads.

public import Primitives

/// RFC 9112 section 2.3: the two versions that this room reads and writes; and that of a request which was made into text (`cameByHTTP2`).
public enum Version: Equatable, Sendable { case http10, http11, http2 }

/// How a request body is delimited (RFC 9112 section 6.3). A request is never delimited by the end of its connection.
public enum BodyFraming: Equatable, Sendable {
  /// Neither Content-Length nor Transfer-Encoding: no body.
  case none
  /// Content-Length, 0 included. At most `Int64.max`, so that no conversion further on can trap or wrap.
  case length(UInt64)
  /// Transfer-Encoding: chunked.
  case chunked

  /// Whether bytes of a body are to be read.
  public var hasBody: Bool {
    switch self {
    case .none, .length(0): false
    case .length, .chunked: true
    }
  }
}

/// A request head, reusable: `reset()` keeps the memory, so that the second request of a connection allocates nothing.
///
/// Whole after `HeadParser.parse` answered `.complete`. After `.needMore` and `.failed` it holds the lines that were complete (see
/// `hasRequestLine`), for the log: nothing is concluded from them, `framing` and `isPersistent` mean nothing.
public struct RequestHead: Sendable {
  /// All bytes of the head, from the method to the empty line. Every range points into them.
  public internal(set) var bytes = ByteStore()
  public internal(set) var method = Method.other
  public internal(set) var methodRange = ByteRange()
  public internal(set) var target = RequestTarget()
  public internal(set) var version = Version.http11
  /// In the order in which they came.
  public internal(set) var fields = FieldList()
  public internal(set) var framing = BodyFraming.none
  /// `host[:port]`: the value of Host, or the authority of an absolute form (which agrees with Host). Valid as `Authority.isValid` says.
  /// Empty only for HTTP/1.0 without either.
  public internal(set) var host = ByteRange()
  /// The index of the first Authorization field.
  public internal(set) var authorization: Int?
  /// How many Authorization fields there are. More than one is to be refused, not picked from.
  public internal(set) var authorizationCount = 0
  /// How many Destination fields there are (RFC 4918 section 10.3).
  public internal(set) var destinationCount = 0
  /// Whether the client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1). Never of HTTP/1.0, nor without a body.
  public internal(set) var expectsContinue = false
  /// Whether the client wants the connection kept (RFC 9112 section 9.3).
  public internal(set) var isPersistent = true
  /// Whether method, target and version were understood. Always so after `.complete`.
  public internal(set) var hasRequestLine = false

  public init() {}

  /// What of a head is memory: to be lent to another one.
  public struct Memory: Sendable {
    var bytes = ByteStore()
    var fields = FieldList()

    public init() {}
  }

  /// Exchanges the memory of a head that was reset, and of which nothing can be seen any more, for `other`.
  public mutating func exchangeMemory(_ other: inout Memory) {
    swap(&bytes, &other.bytes)
    swap(&fields, &other.fields)
  }

  /// The head was read from text that stands for a request of HTTP/2: that is its version. `isHead`: its method is HEAD, though no line says so.
  /// `isExtendedConnect`: the GET of the text asks for a tunnel (RFC 8441).
  public mutating func cameByHTTP2(isHead: Bool = false, isExtendedConnect: Bool = false) {
    version = .http2
    if isHead { method = .head }
    if isExtendedConnect { method = .extendedConnect }
  }

  /// The body that it announced in chunks, or without a length, is whole, and has `length` bytes: it goes on with that said instead.
  public mutating func knows(length: UInt64) { framing = .length(length) }

  /// Empty again, memory kept.
  public mutating func reset() {
    bytes.removeAll()
    fields.removeAll()
    method = .other
    methodRange = ByteRange()
    target = RequestTarget()
    version = .http11
    framing = .none
    host = ByteRange()
    authorization = nil
    authorizationCount = 0
    destinationCount = 0
    expectsContinue = false
    isPersistent = true
    hasRequestLine = false
  }

  /// The index of the first field of that name, or nil.
  public func firstIndex(of name: FieldName) -> Int? {
    fields.firstIndex { $0.known == name }
  }

  /// The index of the last one.
  public func lastIndex(of name: FieldName) -> Int? {
    fields.lastIndex { $0.known == name }
  }
}
