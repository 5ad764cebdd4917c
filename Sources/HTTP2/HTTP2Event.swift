// What happened on a connection, in the order in which it did.

/// One thing that a client did, or that ended.
public struct HTTP2Event: BitwiseCopyable, Sendable {
  public enum Kind: UInt8, BitwiseCopyable, Sendable {
    /// A request's head is whole: its text stands at `start` of the session's texts. A body may follow unless `isLast`.
    case head
    /// A request was refused: `fault`; the text is its request line, or nothing.
    case refused
    /// `count` bytes of a body stand at `start` of what was received.
    case data
    /// The body is whole, and so is the request. When `count` is more than 0 there are trailers: a last chunk with them stands at `start` of the texts.
    case end
    /// The client took what waited, and its owner may hand over more.
    case drained
    /// The stream is gone. The last event of its slot, which is free when the owner has called `release`.
    case closed
  }

  public let kind: Kind
  /// Whether the stream ends with it.
  public let isLast: Bool
  /// Of `refused`.
  public let fault: FieldFault?
  /// Of `refused`: whether the method was HEAD, so that no content answers it.
  public let isHead: Bool
  /// Of `head`: whether it stands for a CONNECT with `:protocol` (RFC 8441). What follows are bytes of that protocol, once it was let in.
  public let isExtendedConnect: Bool
  /// The stream's slot.
  public let slot: Int32
  public let start: Int32
  public let count: Int32
  /// Of `closed`: the error code (RFC 9113 section 7).
  public let code: UInt32

  init(
    _ kind: Kind, slot: Int32, start: Int = 0, count: Int = 0, isLast: Bool = false, fault: FieldFault? = nil, isHead: Bool = false,
    isExtendedConnect: Bool = false, code: UInt32 = 0
  ) {
    self.kind = kind
    self.isLast = isLast
    self.fault = fault
    self.isHead = isHead
    self.isExtendedConnect = isExtendedConnect
    self.slot = slot
    self.start = Int32(truncatingIfNeeded: start)
    self.count = Int32(truncatingIfNeeded: count)
    self.code = code
  }
}

/// RFC 9113 section 7.
public enum HTTP2ErrorCode: UInt32, Sendable {
  case noError = 0
  case protocolError = 1
  case internalError = 2
  case flowControlError = 3
  case streamClosed = 5
  case frameSizeError = 6
  case refusedStream = 7
  case cancel = 8
  case connectError = 10
  case enhanceYourCalm = 11
}
