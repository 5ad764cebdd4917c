// Who we are where NTLM is asked for: names in UTF-16 as its messages carry them, and the key that is made of the password, which is not kept itself.

internal import Crypto
internal import Primitives

/// What `authenticate ntlm` says of all its accounts, in UTF-8; empty for nothing.
public struct NTLMScope: Equatable, Sendable {
  public var domain: [UInt8]
  /// What we call this machine.
  public var workstation: [UInt8]
  let gates = LoginGates()

  public init(domain: [UInt8] = [], workstation: [UInt8] = []) {
    self.domain = domain
    self.workstation = workstation
  }

  public static func == (a: NTLMScope, b: NTLMScope) -> Bool { a.domain == b.domain && a.workstation == b.workstation }
}

/// One account in a Windows domain.
final class NTLMIdentity: Sendable {
  // UTF-16, little-endian.
  let user: [UInt8]
  let domain: [UInt8]
  let workstation: [UInt8]
  /// NTOWFv2 (MS-NLMP section 3.3.2): as good as the password, for this user of this domain.
  let key: Secret
  /// What counts there is shared with all that are this account, whoever of our users they are for.
  let gate: LoginGate

  /// Bytes of a name at most. Windows' own bounds are tighter.
  static let longestName = 256

  /// - Parameters:
  ///   - name: in UTF-8: `user`, `DOMAIN\user`, whose domain goes before that of `scope`, or `user@domain.example`.
  ///   - password: in UTF-8.
  /// - Throws: `AccountFault` for what is no name, or no password in UTF-8.
  init(_ name: [UInt8], _ password: Span<UInt8>, _ scope: NTLMScope) throws(AccountFault) {
    var (name, domain) = (name, scope.domain)
    if let i = name.firstIndex(of: 0x5C) {
      domain = Array(name[..<i])
      name = Array(name[(i + 1)...])
      if domain.isEmpty { throw AccountFault(reason: "has a user name that begins with a backslash: DOMAIN\\USER is the form") }
    }
    if name.isEmpty { throw AccountFault(reason: "has no user name with it") }
    for part in [name, domain, scope.workstation] {
      guard part.count <= Self.longestName else { throw AccountFault(reason: "has a name of more than \(Self.longestName) bytes with it") }
      guard !part.contains(where: { ASCII.isControl($0) || $0 == 0x5C }) else {
        throw AccountFault(reason: "has a name with control characters, or a second backslash, with it")
      }
      guard UTF8Text.isWellFormed(part.span) else { throw AccountFault(reason: "has a name with it that is not in UTF-8") }
    }
    guard UTF8Text.isWellFormed(password) else { throw AccountFault(reason: "is not in UTF-8") }
    user = UTF16.littleEndian(name.span).array()
    let realm = UTF16.littleEndian(domain.span)
    self.domain = realm.array()
    workstation = UTF16.littleEndian(scope.workstation.span).array()
    // NTOWFv2: HMAC_MD5(MD4(UNICODE(password)), UNICODE(UPPER(user) + domain)).
    var message = UTF16.littleEndian(name.span, inUpperCase: true)
    message.append(realm.span)
    let hash = NTHash.of(UTF16.littleEndian(password))
    guard let key = HMACMD5.code(hash, message.span) else {
      throw AccountFault(reason: "can't be used: this machine's OpenSSL gives no MD5, of which NTLM is made")
    }
    self.key = key
    // Windows' names are of no case.
    let account = UTF16.littleEndian(name.span, inUpperCase: true).array() + [0x5C, 0] + UTF16.littleEndian(domain.span, inUpperCase: true).array()
    gate = scope.gates.gate(of: account)
  }
}

extension Secret {
  /// A copy that is not wiped, of what is none.
  func array() -> [UInt8] { ASCII.array(span) }
}

private enum UTF16 {
  /// `text`, which is well-formed UTF-8, in UTF-16, and no copy of it anywhere else.
  static func littleEndian(_ text: Span<UInt8>, inUpperCase: Bool = false) -> Secret {
    var units = Secret(capacity: text.count * 2 + 2)
    var i = 0
    while i < text.count {
      let lead = UInt32(text[i])
      let count = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      var scalar = count == 1 ? lead : lead & (0x7F >> UInt32(count))
      for j in 1..<max(count, 1) { scalar = scalar << 6 | UInt32(text[i + j]) & 0x3F }
      i += count
      if inUpperCase { scalar = upper(scalar) }
      if scalar < 0x10000 {
        append(scalar, &units)
      } else {
        append(0xD800 + (scalar - 0x10000) >> 10, &units)
        append(0xDC00 + (scalar - 0x10000) & 0x3FF, &units)
      }
    }
    return units
  }

  private static func append(_ unit: UInt32, _ units: inout Secret) {
    units.append(UInt8(truncatingIfNeeded: unit))
    units.append(UInt8(truncatingIfNeeded: unit >> 8))
  }

  /// As Windows does it: one unit for one, and nothing beyond the basic plane.
  private static func upper(_ scalar: UInt32) -> UInt32 {
    guard scalar < 0x10000, let character = Unicode.Scalar(scalar) else { return scalar }
    let mapped = character.properties.uppercaseMapping.unicodeScalars
    guard mapped.count == 1, let first = mapped.first, first.value < 0x10000 else { return scalar }
    return first.value
  }
}
