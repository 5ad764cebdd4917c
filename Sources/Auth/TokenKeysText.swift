// A file of keys as text: `KID SECRET [created=TIME] [until=TIME]`, a key a line, and its one edit, the rotation. Pure: reading and
// writing files is `TokenKeyFile`'s.

internal import Crypto
public import Primitives

public struct TokenKeysText: Sendable {
  public private(set) var bytes: [UInt8]
  /// The keys with the lines that they stand on.
  let entries: [Entry]

  struct Entry: Sendable {
    /// From 1.
    var number: Int
    /// Offsets of the line without its end.
    var line: Range<Int>
    var key: TokenKeys.Key
  }

  /// Bytes of a secret, decoded: as many as HMAC-SHA-256 gives (RFC 7518 section 3.2) at least.
  public static let shortestSecret = 32
  static let longestSecret = 1024
  static let longestIdentifier = 64
  /// Most keys: a token's `kid` is looked for among all of them.
  public static let mostKeys = 64
  static let largest = 1 << 20

  /// A file without keys.
  public init() {
    bytes = []
    entries = []
  }

  /// Comments (`#`) and blank lines are kept.
  public init(_ bytes: [UInt8]) throws(TokenKeysFault) {
    guard bytes.count <= Self.largest else { throw TokenKeysFault(line: nil, "it is larger than a file of keys may be") }
    var entries: [Entry] = []
    var number = 1
    var start = 0
    while start < bytes.count {
      guard let end = bytes[start...].firstIndex(of: 0x0A) else {
        throw TokenKeysFault(line: number, "the last line does not end with a newline: is the file being written, or was it cut short?")
      }
      if let key = try Self.key(bytes.span.extracting(start..<end), number) {
        if let twin = entries.first(where: { $0.key.identifier == key.identifier }) {
          throw TokenKeysFault(line: number, "the name of this key stands on line \(twin.number) already")
        }
        guard entries.count < Self.mostKeys else { throw TokenKeysFault(line: number, "more than \(Self.mostKeys) keys") }
        entries.append(Entry(number: number, line: start..<end, key: key))
      }
      start = end + 1
      number += 1
    }
    self.bytes = bytes
    self.entries = entries
  }

  // MARK: Rotation

  public struct Rotation: Equatable, Sendable {
    /// The key that signs from now on.
    public var added: [UInt8]
    /// Those that still verify, and until when.
    public var kept: [[UInt8]]
    /// Those whose time was over.
    public var dropped: [[UInt8]]
    /// When the last of `kept` ends; nil without any.
    public var until: Timestamp?
  }

  /// Adds a key. Those before get an end, `keeping` from now, unless they have one; those past theirs go.
  ///
  /// - Parameter keeping: no shorter than the longest lifetime of a token that they may have signed; nil to drop them all, which ends every
  ///   token: for keys that somebody else may have.
  public mutating func rotate(at now: Timestamp, keeping: Interval?) throws(TokenKeysFault) -> Rotation {
    let end = now.advanced(by: keeping ?? Interval(nanoseconds: 0)).roundedUpToSeconds
    var out: [UInt8] = []
    var position = 0
    var kept: [[UInt8]] = []
    var dropped: [[UInt8]] = []
    var last: Timestamp?
    for entry in entries {
      out += bytes[position..<entry.line.lowerBound]
      position = entry.line.upperBound + 1
      guard keeping != nil, entry.key.verifies(at: now) else {
        dropped.append(entry.key.identifier)
        continue
      }
      kept.append(entry.key.identifier)
      var line = Array(bytes[entry.line])
      if entry.key.until == nil {
        while let byte = line.last, ASCII.isWhitespace(byte) { line.removeLast() }
        line += Array(" until=".utf8) + CalendarText.text(end)
      }
      let until = entry.key.until ?? end
      last = max(last ?? until, until)
      out += line + [0x0A]
    }
    guard kept.count < Self.mostKeys else {
      throw TokenKeysFault(
        line: nil, "\(kept.count) keys still verify, and there may be \(Self.mostKeys) at most: rotate when some are past")
    }
    out += bytes[position...]
    var identifier = Self.newIdentifier(now)
    while entries.contains(where: { $0.key.identifier == identifier }) { identifier = Self.newIdentifier(now) }
    let secret = RandomBytes.secret(Self.shortestSecret)
    out += identifier + [0x20] + Base64.encodeURLSafe(secret.span) + Array(" created=".utf8)
    out += CalendarText.text(Timestamp(seconds: now.seconds)) + [0x0A]
    self = try TokenKeysText(out)
    return Rotation(added: identifier, kept: kept, dropped: dropped, until: last)
  }

  /// The day, for people, and something random.
  private static func newIdentifier(_ now: Timestamp) -> [UInt8] {
    let day = CalendarText.text(now).prefix(10).filter { $0 != 0x2D }
    return day + [0x2D] + RandomBytes.array(4).flatMap { [ASCII.lowerHexDigit($0 >> 4), ASCII.lowerHexDigit($0 & 15)] }
  }

  // MARK: Lines

  /// nil for a line without a key.
  private static func key(_ line: Span<UInt8>, _ number: Int) throws(TokenKeysFault) -> TokenKeys.Key? {
    let words = ASCII.array(line).split(whereSeparator: ASCII.isWhitespace).map(Array.init)
    guard let identifier = words.first, identifier[0] != 0x23 else { return nil }
    guard words.count >= 2 else { throw TokenKeysFault(line: number, "a key is a name, a space and a secret") }
    guard isIdentifier(identifier) else {
      throw TokenKeysFault(line: number, "the name of a key has 1 to \(longestIdentifier) of A-Z a-z 0-9 . _ -")
    }
    let encoded = words[1]
    guard let secret = Base64.decodeURLSafe(encoded.span) else {
      throw TokenKeysFault(line: number, "the secret is not Base64url without padding")
    }
    guard secret.count >= shortestSecret else {
      throw TokenKeysFault(line: number, "the secret has fewer than \(shortestSecret) bytes: gatehouse token keys rotate makes a good one")
    }
    guard secret.count <= longestSecret else { throw TokenKeysFault(line: number, "the secret has more than \(longestSecret) bytes") }
    var created: Timestamp?
    var until: Timestamp?
    for word in words[2...] {
      if created == nil, let time = time("created=", word) {
        created = time
      } else if until == nil, let time = time("until=", word) {
        until = time
      } else {
        throw TokenKeysFault(line: number, "after the secret stand created=TIME and until=TIME at most, as in until=2027-01-31T12:00:00Z")
      }
    }
    return TokenKeys.Key(identifier: identifier, created: created, until: until, mac: HMACSHA256Key(secret.span))
  }

  private static func isIdentifier(_ text: [UInt8]) -> Bool {
    text.count <= longestIdentifier
      && text.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }
  }

  private static func time(_ name: StaticString, _ word: [UInt8]) -> Timestamp? {
    let length = name.utf8CodeUnitCount
    guard word.count > length, ASCII.equals(word.span.extracting(0..<length), name) else { return nil }
    return CalendarText.parse(word.span.extracting(length..<word.count))
  }
}
