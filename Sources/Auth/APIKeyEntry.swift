// An entry of `keys=` as text: `NAME/SHA256-HEX/EXPIRES[/LAST4][/scope=…][/from=…]`. What is not understood makes the key unusable: a
// restriction that is there is never taken for none.

internal import Crypto
internal import Primitives

/// Why an entry can't be used; follows "key 2 can't be used, ".
struct APIKeyEntryFault: Error, Equatable {
  let description: String

  init(_ description: String) { self.description = description }

  static let form = APIKeyEntryFault("it is not NAME/SHA256-HEX/EXPIRES/LAST4")
}

extension APIKey {
  /// Reads an entry. Values of the parts behind LAST4 are percent-encoded, since `/`, `,`, `:` and white space part other things.
  convenience init(entry: Span<UInt8>) throws(APIKeyEntryFault) {
    let parts = Self.parts(entry)
    guard parts.count >= 3 else { throw .form }
    let name = entry.extracting(parts[0])
    guard APIKey.isName(name), let digest = SHA256.Digest(hex: entry.extracting(parts[1])) else { throw .form }
    let expiry = entry.extracting(parts[2])
    var expires: Timestamp?
    if !ASCII.equals(expiry, "never") {
      guard let time = CalendarText.parse(expiry) else { throw .form }
      expires = time
    }
    var next = 3
    var lastFour: [UInt8]?
    if parts.count > 3, ASCII.firstIndex(of: 0x3D, in: entry.extracting(parts[3])) == nil {
      let text = entry.extracting(parts[3])
      guard text.count == 4, APIKey.isName(text) else { throw .form }
      lastFour = ASCII.array(text)
      next = 4
    }
    var scope: TokenScope?
    var networks: [AddressRange]?
    for part in parts[next...] { try Self.read(entry.extracting(part), &scope, &networks) }
    self.init(
      name: ASCII.array(name), digest: digest, expires: expires, lastFour: lastFour, scope: scope ?? .unlimited, networks: networks ?? [])
  }

  private static func read(
    _ part: Span<UInt8>, _ scope: inout TokenScope?, _ networks: inout [AddressRange]?
  ) throws(APIKeyEntryFault) {
    guard let equals = ASCII.firstIndex(of: 0x3D, in: part) else {
      throw APIKeyEntryFault("it has a part that is neither scope= nor from=")
    }
    let name = part.extracting(0..<equals)
    guard let value = PercentText.decode(part.extracting(equals + 1..<part.count)) else {
      throw APIKeyEntryFault("it has a part whose percent signs are no escapes")
    }
    if ASCII.equals(name, "scope") {
      guard scope == nil else { throw APIKeyEntryFault("it has scope= twice") }
      do throws(TokenScopeFailure) {
        scope = try TokenScope(text: value.span)
      } catch {
        throw APIKeyEntryFault("its scope= is none: \(error)")
      }
    } else if ASCII.equals(name, "from") {
      guard networks == nil else { throw APIKeyEntryFault("it has from= twice") }
      networks = try readNetworks(value)
    } else {
      throw APIKeyEntryFault("it has a part that is neither scope= nor from=: another version of Gatehouse may know what it restricts")
    }
  }

  private static func readNetworks(_ value: [UInt8]) throws(APIKeyEntryFault) -> [AddressRange] {
    var networks: [AddressRange] = []
    for word in value.split(separator: 0x20, omittingEmptySubsequences: false).prefix(mostNetworks + 1).map(Array.init) {
      guard let network = AddressRange(parsing: word.span) else {
        throw APIKeyEntryFault("its from= is not a list of networks such as 10.0.0.0/8")
      }
      networks.append(network)
    }
    guard networks.count <= mostNetworks else { throw APIKeyEntryFault("its from= has more than \(mostNetworks) networks") }
    return networks
  }

  private static func parts(_ entry: Span<UInt8>) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var start = 0
    for i in entry.indices where entry[i] == 0x2F {
      parts.append(start..<i)
      start = i + 1
    }
    parts.append(start..<entry.count)
    return parts
  }

  /// The form that is written.
  var entry: [UInt8] {
    var text = name + [0x2F] + digest.hex + [0x2F] + (expires.map(CalendarText.text) ?? Array("never".utf8))
    if let lastFour { text += [0x2F] + lastFour }
    if !scope.isUnlimited { text += Array("/scope=".utf8) + PercentText.encode(scope.text) }
    if !networks.isEmpty {
      text += Array("/from=".utf8) + PercentText.encode(Array(networks.map(\.text).joined(separator: [0x20])))
    }
    return text
  }
}

/// Percent-encoding (RFC 3986 section 2.1) of all but the unreserved characters.
enum PercentText {
  static func encode(_ bytes: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    for byte in bytes {
      if isUnreserved(byte) {
        text.append(byte)
      } else {
        text += [0x25, ASCII.upperHexDigit(byte >> 4), ASCII.upperHexDigit(byte & 15)]
      }
    }
    return text
  }

  /// nil where a percent sign is not followed by two hexadecimal digits.
  static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var i = 0
    while i < text.count {
      if text[i] == 0x25 {
        guard i + 2 < text.count, let high = ASCII.hexValue(text[i + 1]), let low = ASCII.hexValue(text[i + 2]) else { return nil }
        bytes.append(high << 4 | low)
        i += 3
      } else {
        bytes.append(text[i])
        i += 1
      }
    }
    return bytes
  }

  private static func isUnreserved(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E
  }
}
