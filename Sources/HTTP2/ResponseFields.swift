// The fields of an HTTP/2 response → the head of an HTTP/1.1 response as text, which ResponseHead then reads like any other: so every rule about what a
// service may answer is kept, whichever way it does. What becomes lines is checked here first, against RFC 9113 section 8.

public import HTTP
public import Primitives

/// Takes one field block after another, field by field, and makes text of each.
public struct ResponseFields: ~Copyable {
  /// What a field block is.
  public enum Block: Sendable { case head, trailers }

  /// What came of a block.
  public enum Conclusion: Equatable, Sendable {
    /// The text stands there: a head with its empty line, or lines of trailers.
    case whole(ByteRange)
    /// RFC 9113 section 8.1.1: the stream is to be reset.
    case malformed(FieldFault)
  }

  private let limits: HeadLimits
  private var block = Block.head
  /// Blocks that are concluded, one after another, and the one that is being taken.
  public private(set) var text = ByteBuffer()
  /// Where the block begins that is being taken.
  private var start = 0
  private var fault: FieldFault?
  /// Bytes of the block, whether they were looked at or not.
  private(set) var read = 0
  private var size = 0
  private var count = 0
  /// Of the head that is being taken, or was: 100–599, 0 before it is known.
  public private(set) var status = 0
  private var isInFields = false
  private var hasLength = false

  public init(limits: HeadLimits) {
    self.limits = limits
  }

  /// A block begins. What is left of one that was broken off is dropped.
  public mutating func begin(_ block: Block) {
    text.truncate(to: start)
    self.block = block
    fault = nil
    read = 0
    size = 0
    count = 0
    status = 0
    isInFields = false
    hasLength = false
  }

  /// Appends `count` bytes of the texts to `out`.
  public func appendText(_ start: Int, _ count: Int, to out: inout ByteBuffer) {
    out.append(text.span.extracting(start..<(start + count)))
  }

  /// Drops the texts of blocks that are concluded; of one that isn't, everything stays.
  public mutating func dropConcluded() {
    if start == 0 { return }
    text.consume(start)
    start = 0
    if text.isEmpty && text.capacity > Self.keptMemory { text.release() }
  }

  private static let keptMemory = 16 << 10

  private mutating func fail(_ fault: FieldFault) {
    if self.fault == nil { self.fault = fault }
  }

  // MARK: Fields

  /// Takes the next field of the block. After a fault they are looked at no more, and cost nothing.
  public mutating func take(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    read += name.count + value.count
    if fault != nil { return }
    size += name.count + value.count + RequestFields.overhead
    guard size <= limits.fields + limits.requestLine else { return fail(.fieldsTooLarge) }
    guard name.count > 0 else { return fail(.invalidName) }
    if name[0] == 0x3A { return takePseudo(name, value) }
    if let fault = RequestFields.fault(ofName: name) ?? RequestFields.fault(ofValue: value) { return fail(fault) }
    isInFields = true
    if block == .head && status == 0 { return fail(.missingPseudoField) }
    switch FieldName(name) {
    // RFC 9113 section 8.2.2. TE is for requests alone.
    case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade, .te: return fail(.connectionSpecific)
    case .contentLength: hasLength = true
    default: break
    }
    count += 1
    guard count <= limits.fieldCount else { return fail(.tooManyFields) }
    text.append(name)
    text.append(": ")
    text.append(value)
    text.append("\r\n")
  }

  /// RFC 9113 section 8.3.2: `:status`, once, before the fields; never in trailers.
  private mutating func takePseudo(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    if block == .trailers { return fail(.pseudoFieldInTrailers) }
    if isInFields { return fail(.latePseudoField) }
    guard ASCII.equals(name, ":status") else { return fail(.unknownPseudoField) }
    if status != 0 { return fail(.duplicatePseudoField) }
    // RFC 9113 section 8.6: 101 has no meaning here.
    guard value.count == 3, let code = ASCII.decimal(value), code >= 100, code <= 599, code != 101 else { return fail(.invalidStatus) }
    status = Int(code)
    // HTTP/2 has no reason phrase; clients of HTTP/1.1 see the usual one.
    ResponseWriter.statusLine(status, to: &text)
  }

  // MARK: The end

  /// The block is complete. `endsStream` says that nothing follows.
  public mutating func conclude(endsStream: Bool) -> Conclusion {
    if block == .head {
      if status == 0 { fail(.missingPseudoField) }
      // RFC 9113 section 8.1: the final response is still to come.
      if endsStream && status < 200 { fail(.unfinishedResponse) }
    } else if !endsStream {
      fail(.unfinishedTrailers)
    }
    if let fault {
      text.truncate(to: start)
      return .malformed(fault)
    }
    if block == .head {
      // As with requests: a body without a length, behind which trailers may stand, is one of chunks in HTTP/1.1 (RFC 9112 section 6.1).
      if !endsStream && !hasLength && status >= 200 && status != 204 && status != 304 { text.append("transfer-encoding: chunked\r\n") }
      text.append("\r\n")
    }
    let range = ByteRange(start, text.count)
    start = text.count
    return .whole(range)
  }
}
