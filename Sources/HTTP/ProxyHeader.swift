// What a load balancer writes before a connection's first byte: the PROXY protocol, versions 1 and 2, as a receiver reads it. Pure: whether
// the one who wrote it may be believed is asked elsewhere, and before.

public import Primitives

/// One header: for whom the connection was made. HAProxy's doc/proxy-protocol.txt.
public struct ProxyHeader: Equatable, Sendable {
  public enum Origin: Equatable, Sendable {
    /// The connection is the sender's own (a health check): its own addresses hold.
    case local
    /// It is somebody else's, and the header does not say whose.
    case unknown
    /// It is this one's.
    case client(Endpoint, connectedTo: Endpoint)
  }

  /// An address and a port; of a Unix socket neither.
  public struct Endpoint: Equatable, Sendable {
    public var address: ClientAddress
    public var port: UInt16

    public init(address: ClientAddress, port: UInt16) {
      self.address = address
      self.port = port
    }
  }

  /// Why bytes are no header, or none that is accepted.
  public enum Failure: Equatable, Sendable {
    /// Version 1: no CR LF within 107 bytes, or CR or LF alone.
    case line
    /// Version 1: not one of the forms that the line may have.
    case text
    /// Version 2: a version, command, family or transport that is none.
    case kind
    /// Version 2: shorter than its addresses, or longer than `longest`.
    case length
    /// Version 2: what follows the addresses is no sequence of type, length and value.
    case values
    /// Version 2: the checksum is not that of these bytes, or there are several.
    case checksum

    /// For a log.
    public var label: StaticString {
      switch self {
      case .line: "its line does not end as it should"
      case .text: "its line can't be read"
      case .kind: "its version, command or family is unknown"
      case .length: "its length is wrong"
      case .values: "its values can't be read"
      case .checksum: "its checksum is wrong"
      }
    }
  }

  public enum Result: Equatable, Sendable {
    /// The header goes on: all the bytes so far belong to it, or may.
    case needMore
    /// What was there first, and how many bytes it took.
    case complete(ProxyHeader, length: Int)
    /// The bytes begin as no header does: they are something else's.
    case absent
    case failed(Failure)
  }

  public var origin: Origin

  public init(_ origin: Origin) { self.origin = origin }

  /// Bytes of a header of version 1, with its CR LF (section 2.1).
  public static let longestLine = 107
  /// Bytes of a header of version 2: room for what balancers are known to add, and not the 64 KiB that its length could name.
  public static let longest = 4096

  private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
  private static let word: StaticString = "PROXY "

  /// Looks at all that has come of a connection so far. Gives the same answer however the bytes were cut: an incomplete header is never
  /// read.
  public static func parse(_ bytes: Span<UInt8>) -> Result {
    if bytes.isEmpty { return .needMore }
    if bytes[0] == signature[0] {
      let known = min(bytes.count, signature.count)
      guard ASCII.equals(bytes.extracting(0..<known), signature.span.extracting(0..<known)) else { return .absent }
      return binary(bytes)
    }
    for i in 0..<min(bytes.count, word.utf8CodeUnitCount) where bytes[i] != wordByte(i) { return .absent }
    return line(bytes)
  }

  private static func wordByte(_ i: Int) -> UInt8 {
    switch i {
    case 0: 0x50
    case 1: 0x52
    case 2: 0x4F
    case 3: 0x58
    case 4: 0x59
    default: 0x20
    }
  }

  // MARK: Version 1

  private static func line(_ bytes: Span<UInt8>) -> Result {
    // Section 2.1: addresses are read when the line has ended, and a CR or LF alone does not end it.
    var end = 0
    while end < min(bytes.count, longestLine) && bytes[end] != 0x0D && bytes[end] != 0x0A { end += 1 }
    if end >= longestLine - 1 { return .failed(.line) }
    if end == bytes.count { return .needMore }
    if bytes[end] == 0x0A { return .failed(.line) }
    if end + 1 == bytes.count { return .needMore }
    if bytes[end + 1] != 0x0A { return .failed(.line) }
    guard let origin = origin(bytes.extracting(0..<end)) else { return .failed(.text) }
    return .complete(ProxyHeader(origin), length: end + 2)
  }

  private static func origin(_ line: Span<UInt8>) -> Origin? {
    var rest = Words(line: line.count)
    _ = rest.next(line)
    guard let family = rest.next(line) else { return nil }
    let kind = line.extracting(family)
    if ASCII.equals(kind, "UNKNOWN") {
      // Whatever follows says nothing (section 2.1); control characters have no place even so.
      for i in family.upperBound..<line.count where ASCII.isControl(line[i]) { return nil }
      return .unknown
    }
    let isIPv4 = ASCII.equals(kind, "TCP4")
    guard isIPv4 || ASCII.equals(kind, "TCP6"), let source = rest.next(line), let destination = rest.next(line),
      let sourcePort = rest.next(line), let destinationPort = rest.next(line), rest.isAtEnd,
      let from = address(line.extracting(source), isIPv4: isIPv4), let to = address(line.extracting(destination), isIPv4: isIPv4),
      let fromPort = port(line.extracting(sourcePort)), let toPort = port(line.extracting(destinationPort))
    else { return nil }
    return .client(Endpoint(address: from, port: fromPort), connectedTo: Endpoint(address: to, port: toPort))
  }

  /// The words of a line, each parted from the next by exactly one space.
  private struct Words {
    let count: Int
    private var at = 0

    init(line count: Int) { self.count = count }

    /// Whether there is no word left, not even an empty one.
    var isAtEnd: Bool { at > count }

    mutating func next(_ line: Span<UInt8>) -> Range<Int>? {
      guard at <= count else { return nil }
      let end = ASCII.firstIndex(of: 0x20, in: line, from: at) ?? count
      let word = at..<end
      at = end + 1
      return word
    }
  }

  private static func address(_ text: Span<UInt8>, isIPv4: Bool) -> ClientAddress? {
    let isWrittenAsIPv6 = ASCII.firstIndex(of: 0x3A, in: text) != nil
    guard isWrittenAsIPv6 != isIPv4, let address = ClientAddress(parsing: text), !address.isUnix else { return nil }
    return address
  }

  private static func port(_ text: Span<UInt8>) -> UInt16? {
    guard text.count >= 1, text.count == 1 || text[0] != 0x30, let number = ASCII.decimal(text) else { return nil }
    return UInt16(exactly: number)
  }

  // MARK: Version 2

  private static func binary(_ bytes: Span<UInt8>) -> Result {
    if bytes.count > 12 && (bytes[12] >> 4 != 2 || bytes[12] & 0xF > 1) { return .failed(.kind) }
    let fixed = 16
    guard bytes.count >= fixed else { return .needMore }
    let length = fixed + Int(number(bytes, at: 14, of: 2))
    guard length <= longest else { return .failed(.length) }
    let isLocal = bytes[12] & 0xF == 0
    // Section 2.2: of a LOCAL header the family is ignored, and whatever follows is skipped.
    if !isLocal && (bytes[13] >> 4 > 3 || bytes[13] & 0xF > 2) { return .failed(.kind) }
    guard bytes.count >= length else { return .needMore }
    if isLocal { return .complete(ProxyHeader(.local), length: length) }
    let header = bytes.extracting(0..<length)
    let origin: Origin
    let values: Int
    // Datagrams as well as streams: so a balancer names a client who came by QUIC.
    switch (family: header[13] >> 4, transport: header[13] & 0xF) {
    case (0, _), (_, 0):
      // How long addresses of no family are, nobody knows: nothing behind them is looked at.
      return .complete(ProxyHeader(.unknown), length: length)
    case (1, _):
      values = fixed + 12
      guard length >= values else { return .failed(.length) }
      func end(_ address: Int, _ port: Int) -> Endpoint {
        Endpoint(
          address: .ipv4(UInt32(truncatingIfNeeded: number(header, at: address, of: 4))),
          port: UInt16(truncatingIfNeeded: number(header, at: port, of: 2)))
      }
      origin = .client(end(16, 24), connectedTo: end(20, 26))
    case (2, _):
      values = fixed + 36
      guard length >= values else { return .failed(.length) }
      func end(_ address: Int, _ port: Int) -> Endpoint {
        Endpoint(
          address: .ipv6(high: number(header, at: address, of: 8), low: number(header, at: address + 8, of: 8)),
          port: UInt16(truncatingIfNeeded: number(header, at: port, of: 2)))
      }
      origin = .client(end(16, 48), connectedTo: end(32, 50))
    default:
      values = fixed + 216
      guard length >= values else { return .failed(.length) }
      let unix = Endpoint(address: .unix, port: 0)
      origin = .client(unix, connectedTo: unix)
    }
    if let failure = check(header, valuesFrom: values) { return .failed(failure) }
    return .complete(ProxyHeader(origin), length: length)
  }

  /// Whether the values behind the addresses are well-formed, and a checksum among them right (section 2.2.3). What else they say, of TLS
  /// and of names, is not used.
  private static func check(_ header: Span<UInt8>, valuesFrom start: Int) -> Failure? {
    var at = start
    var checksum: Int?
    while at < header.count {
      guard header.count - at >= 3 else { return .values }
      let length = Int(number(header, at: at + 1, of: 2))
      guard header.count - at - 3 >= length else { return .values }
      if header[at] == 0x03 {
        guard checksum == nil, length == 4 else { return .checksum }
        checksum = at + 3
      }
      at += 3 + length
    }
    guard let checksum else { return nil }
    var crc = CRC32C()
    crc.add(header.extracting(0..<checksum))
    for _ in 0..<4 { crc.add(0) }
    crc.add(header.extracting(checksum + 4..<header.count))
    return UInt64(crc.value) == number(header, at: checksum, of: 4) ? nil : .checksum
  }

  /// In network order.
  private static func number(_ bytes: Span<UInt8>, at start: Int, of count: Int) -> UInt64 {
    var value: UInt64 = 0
    for i in start..<start + count { value = value << 8 | UInt64(bytes[i]) }
    return value
  }
}
