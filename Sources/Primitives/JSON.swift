// Strict JSON (RFC 8259): bytes → values. Anything that two readers might take differently is refused: duplicate names, comments, trailing
// commas, lone surrogates, leading zeros, bytes after the value. Not for the data path: it makes arrays.

/// A JSON value. Strings are UTF-8 bytes, escapes resolved.
public indirect enum JSON: Equatable, Sendable {
  case null
  case bool(Bool)
  case number(Number)
  case string([UInt8])
  case array([JSON])
  /// In the order of the text; no name stands twice.
  case object([Member])

  public struct Member: Equatable, Sendable {
    public var name: [UInt8]
    public var value: JSON
  }

  /// A number as it was written. Compared by its spelling: 1.0 is not 1.
  public struct Number: Equatable, Sendable {
    public let text: [UInt8]

    /// The value when it is written without fraction and exponent and fits.
    public var integer: Int64? { Int64(String(decoding: text, as: UTF8.self)) }

    /// The nearest whole number towards zero; nil beyond ±2^53 (no double is exact there) and where the text is no finite number.
    public var truncated: Int64? {
      if let integer { return integer.magnitude <= 1 << 53 ? integer : nil }
      guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite, value.magnitude <= 9_007_199_254_740_992 else {
        return nil
      }
      return Int64(value)
    }
  }

  /// The member of that name, if this is an object that has one.
  public subscript(_ name: StaticString) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { ASCII.equals($0.name.span, name) }?.value
  }

  /// The same by a name that is known at run time.
  public subscript(_ name: [UInt8]) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  public var string: [UInt8]? {
    if case .string(let bytes) = self { bytes } else { nil }
  }

  public var number: Number? {
    if case .number(let number) = self { number } else { nil }
  }

  public var array: [JSON]? {
    if case .array(let values) = self { values } else { nil }
  }

  /// Reads one value that takes up all of `bytes` but for white space around it.
  ///
  /// - Parameters:
  ///   - depth: how many arrays and objects may stand in one another, the outermost counted.
  ///   - mostMembers: of one array or object. Each name is compared with all before it, so this also bounds that work.
  public static func parse(_ bytes: Span<UInt8>, depth: Int = 8, mostMembers: Int = 1024) throws(JSONFailure) -> JSON {
    var reader = JSONReader(mostMembers: mostMembers)
    reader.skipSpace(bytes)
    let value = try reader.value(bytes, depth)
    reader.skipSpace(bytes)
    guard reader.position == bytes.count else { throw JSONFailure("something follows the value", at: reader.position) }
    return value
  }

  /// Appends `text`, which is well-formed UTF-8, as a string with its quotes.
  public static func append(quoted text: Span<UInt8>, to out: inout [UInt8]) {
    out.append(0x22)
    for i in text.indices {
      switch text[i] {
      case 0x22, 0x5C: out += [0x5C, text[i]]
      case 0x00..<0x20, 0x7F:
        out += [0x5C, 0x75, 0x30, 0x30, ASCII.lowerHexDigit(text[i] >> 4), ASCII.lowerHexDigit(text[i] & 15)]
      default: out.append(text[i])
      }
    }
    out.append(0x22)
  }
}

/// Why bytes are not JSON that we take. Holds nothing of the text.
public struct JSONFailure: Error, Equatable, Sendable, CustomStringConvertible {
  public let reason: StaticString
  /// Offset in bytes.
  public let offset: Int

  init(_ reason: StaticString, at offset: Int) {
    self.reason = reason
    self.offset = offset
  }

  public var description: String { "\(reason) (byte \(offset + 1))" }

  public static func == (a: JSONFailure, b: JSONFailure) -> Bool { a.offset == b.offset && "\(a.reason)" == "\(b.reason)" }
}

private struct JSONReader {
  let mostMembers: Int
  var position = 0

  init(mostMembers: Int) {
    self.mostMembers = mostMembers
  }

  mutating func skipSpace(_ bytes: Span<UInt8>) {
    while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
  }

  mutating func value(_ bytes: Span<UInt8>, _ depth: Int) throws(JSONFailure) -> JSON {
    guard position < bytes.count else { throw JSONFailure("the text ends too soon", at: position) }
    switch bytes[position] {
    case 0x7B: return try object(bytes, depth)
    case 0x5B: return try array(bytes, depth)
    case 0x22: return .string(try string(bytes))
    case 0x2D, 0x30...0x39: return .number(try number(bytes))
    default:
      if takes("null", bytes) { return .null }
      if takes("true", bytes) { return .bool(true) }
      if takes("false", bytes) { return .bool(false) }
      throw JSONFailure("no value begins so", at: position)
    }
  }

  private mutating func takes(_ word: StaticString, _ bytes: Span<UInt8>) -> Bool {
    let end = position + word.utf8CodeUnitCount
    guard end <= bytes.count, ASCII.equals(bytes.extracting(position..<end), word) else { return false }
    position = end
    return true
  }

  private mutating func object(_ bytes: Span<UInt8>, _ depth: Int) throws(JSONFailure) -> JSON {
    guard depth > 0 else { throw JSONFailure("nested too deeply", at: position) }
    position += 1
    var members: [JSON.Member] = []
    skipSpace(bytes)
    if position < bytes.count && bytes[position] == 0x7D {
      position += 1
      return .object(members)
    }
    while true {
      skipSpace(bytes)
      let start = position
      guard position < bytes.count, bytes[position] == 0x22 else { throw JSONFailure("a member's name is wanted", at: position) }
      let name = try string(bytes)
      // RFC 8259 section 4 leaves open which of two counts: neither.
      if members.contains(where: { $0.name == name }) { throw JSONFailure("a member's name stands twice", at: start) }
      guard members.count < mostMembers else { throw JSONFailure("too many members", at: start) }
      skipSpace(bytes)
      guard position < bytes.count, bytes[position] == 0x3A else { throw JSONFailure("a colon is wanted", at: position) }
      position += 1
      skipSpace(bytes)
      members.append(JSON.Member(name: name, value: try value(bytes, depth - 1)))
      if try ends(bytes, with: 0x7D) { return .object(members) }
    }
  }

  private mutating func array(_ bytes: Span<UInt8>, _ depth: Int) throws(JSONFailure) -> JSON {
    guard depth > 0 else { throw JSONFailure("nested too deeply", at: position) }
    position += 1
    var values: [JSON] = []
    skipSpace(bytes)
    if position < bytes.count && bytes[position] == 0x5D {
      position += 1
      return .array(values)
    }
    while true {
      guard values.count < mostMembers else { throw JSONFailure("too many elements", at: position) }
      skipSpace(bytes)
      values.append(try value(bytes, depth - 1))
      if try ends(bytes, with: 0x5D) { return .array(values) }
    }
  }

  private mutating func ends(_ bytes: Span<UInt8>, with close: UInt8) throws(JSONFailure) -> Bool {
    skipSpace(bytes)
    guard position < bytes.count, bytes[position] == close || bytes[position] == 0x2C else {
      throw JSONFailure("a comma or the end is wanted", at: position)
    }
    position += 1
    return bytes[position - 1] == close
  }

  private mutating func number(_ bytes: Span<UInt8>) throws(JSONFailure) -> JSON.Number {
    let start = position
    if bytes[position] == 0x2D { position += 1 }
    let first = position
    try digits(bytes)
    if bytes[first] == 0x30 && position > first + 1 { throw JSONFailure("a number begins with 0", at: first) }
    if position < bytes.count && bytes[position] == 0x2E {
      position += 1
      try digits(bytes)
    }
    if position < bytes.count && bytes[position] | 0x20 == 0x65 {
      position += 1
      if position < bytes.count && (bytes[position] == 0x2B || bytes[position] == 0x2D) { position += 1 }
      try digits(bytes)
    }
    guard position - start <= 64 else { throw JSONFailure("a number is too long", at: start) }
    return JSON.Number(text: ASCII.array(bytes.extracting(start..<position)))
  }

  private mutating func digits(_ bytes: Span<UInt8>) throws(JSONFailure) {
    let start = position
    while position < bytes.count && ASCII.isDigit(bytes[position]) { position += 1 }
    if position == start { throw JSONFailure("a digit is wanted", at: position) }
  }

  private mutating func string(_ bytes: Span<UInt8>) throws(JSONFailure) -> [UInt8] {
    let start = position
    position += 1
    var text: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case 0x22:
        guard UTF8Text.isWellFormed(text.span) else { throw JSONFailure("a string is not UTF-8", at: start) }
        return text
      case 0x5C: try escape(bytes, &text)
      case 0x00..<0x20: throw JSONFailure("a control character stands in a string", at: position - 1)
      default: text.append(byte)
      }
    }
    throw JSONFailure("a string does not end", at: start)
  }

  private mutating func escape(_ bytes: Span<UInt8>, _ text: inout [UInt8]) throws(JSONFailure) {
    guard position < bytes.count else { throw JSONFailure("a string does not end", at: position) }
    position += 1
    switch bytes[position - 1] {
    case 0x22: text.append(0x22)
    case 0x5C: text.append(0x5C)
    case 0x2F: text.append(0x2F)
    case 0x62: text.append(0x08)
    case 0x66: text.append(0x0C)
    case 0x6E: text.append(0x0A)
    case 0x72: text.append(0x0D)
    case 0x74: text.append(0x09)
    case 0x75:
      let at = position
      var code = try unit(bytes)
      if code >> 10 == 0x36 {
        guard position + 1 < bytes.count, bytes[position] == 0x5C, bytes[position + 1] == 0x75 else {
          throw JSONFailure("half of a surrogate pair", at: at)
        }
        position += 2
        let low = try unit(bytes)
        guard low >> 10 == 0x37 else { throw JSONFailure("half of a surrogate pair", at: at) }
        code = 0x10000 + ((code & 0x3FF) << 10 | low & 0x3FF)
      }
      guard let scalar = Unicode.Scalar(code) else { throw JSONFailure("half of a surrogate pair", at: at) }
      text += Array(String(Character(scalar)).utf8)
    default: throw JSONFailure("an unknown escape", at: position - 1)
    }
  }

  private mutating func unit(_ bytes: Span<UInt8>) throws(JSONFailure) -> UInt32 {
    guard position + 4 <= bytes.count else { throw JSONFailure("a string does not end", at: position) }
    var code: UInt32 = 0
    for i in position..<position + 4 {
      guard let digit = ASCII.hexValue(bytes[i]) else { throw JSONFailure("four hexadecimal digits are wanted", at: i) }
      code = code << 4 | UInt32(digit)
    }
    position += 4
    return code
  }
}
