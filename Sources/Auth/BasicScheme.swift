// The Basic scheme (RFC 7617): bytes of an Authorization value → name and password.

internal import Crypto
public import Primitives

enum BasicScheme {
  /// Most characters of Base64: a token, a colon and a password of 511.
  static let longestEncoded = (JWSParts.longest + 1 + PasswordLimits.longest + 2) / 3 * 4

  /// Decodes `text` into `pair`, which is emptied first, and answers where its first colon is: RFC 7617 section 2 splits there.
  ///
  /// nil unless `text` is strict Base64 of well-formed UTF-8 that holds a colon and no control character, within the lengths above. NUL
  /// is a control character: crypt(3) would end the password at it.
  static func decode(_ text: Span<UInt8>, into pair: inout Secret) -> Int? {
    pair.removeAll()
    guard text.count > 0 && text.count <= longestEncoded, Base64.decode(text, into: &pair) else { return nil }
    let bytes = pair.span
    var controls: UInt64 = 0
    var beyondASCII: UInt64 = 0
    var colon: Int?
    // Behind fewer than eight bytes stand zeros, which are not asked about.
    let used = bytes.count < 8 ? ~(~UInt64(0) &<< UInt64(8 &* bytes.count)) : .max
    var i = 0
    while i < bytes.count {
      // The last eight may overlap those before.
      let at = max(0, min(i, bytes.count &- 8))
      let eight = EightBytes(bytes, at: at) ?? EightBytes(tailOf: bytes, from: 0)
      controls |= eight.controls & used
      beyondASCII |= eight.word & EightBytes.all
      let colons = eight.equal(to: 0x3A)
      if colon == nil && colons != 0 { colon = at &+ EightBytes.first(colons) }
      i &+= 8
    }
    if controls != 0 { return nil }
    guard let colon, colon <= UserName.longest || isToken(bytes.extracting(0..<colon)), bytes.count - colon - 1 <= PasswordLimits.longest
    else { return nil }
    guard beyondASCII == 0 || UTF8Text.isWellFormed(bytes) else { return nil }
    return colon
  }

  /// Whether what is too long for a name may be a token.
  private static func isToken(_ name: Span<UInt8>) -> Bool {
    name.count <= JWSParts.longest && JWSParts.hasForm(name)
  }
}

/// The password that a request came with, once more: for what is done with it after it was found to be right.
public enum PresentedPassword {
  /// nil unless `authorization` is of the Basic scheme and well formed.
  public static func read(_ authorization: Span<UInt8>) -> Secret? {
    let (scheme, start) = AuthorizationValue.read(authorization)
    guard case .basic = scheme else { return nil }
    var pair = Secret(capacity: 256)
    guard let colon = BasicScheme.decode(authorization.extracting(start..<authorization.count), into: &pair) else { return nil }
    return Secret(copying: pair.span.extracting(colon + 1..<pair.count))
  }

  /// In a time that depends on their lengths alone.
  public static func equal(_ a: borrowing Secret, _ b: borrowing Secret) -> Bool { ConstantTime.equals(a.span, b.span) }
}
