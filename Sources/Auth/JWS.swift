// JSON Web Signature, compact serialization (RFC 7515 section 3.1): text → its parts. Nothing is believed here: whoever uses the parts
// chooses the key, and verifies before he acts on the payload. The codec of our own tokens and of those made elsewhere.

public import Crypto
public import Primitives

/// A token taken apart, its header read.
///
/// There is one text only for the same three parts: Base64url without padding and without spare bits. What the header says of keys (`jwk`,
/// `jku`, `x5u`, `x5c`) is never looked at: a token doesn't bring the key that it is verified with, nor say where to fetch it.
public struct JWSParts: Sendable {
  /// The whole header, an object.
  public let header: JSON
  /// `alg`. Which algorithms are accepted is for the key to say.
  public let algorithm: SignatureAlgorithm
  /// `kid`, 1 to 255 bytes: a name that a known key has or not, and never a path, a query or an address.
  public let kid: [UInt8]?
  /// `typ` as it stands, at most 64 bytes.
  public let typ: [UInt8]?
  /// Which bytes of the token are signed: header and payload as they stand, with the dot between them.
  public let signingInput: Range<Int>
  public let payload: [UInt8]
  public let signature: [UInt8]

  /// Longest token, in bytes.
  public static let longest = 8 << 10
  static let longestKid = 255
  static let longestTyp = 64
  /// Members of a header, and of any object or array in a payload.
  static let mostMembers = 128

  /// Whether `text` is meant to be such a token: it begins as the Base64url of `{"` does and has two dots at least. No user is called so.
  public static func hasForm(_ text: Span<UInt8>) -> Bool {
    guard text.count > prefix.utf8CodeUnitCount, ASCII.equals(text.extracting(0..<prefix.utf8CodeUnitCount), prefix) else { return false }
    var dots = 0
    for i in text.indices where text[i] == 0x2E { dots += 1 }
    return dots >= 2
  }

  /// Whether what may be a part of such a token begins at `start` of `text`: the prefix and a dozen characters of Base64url more, which no
  /// header has fewer of.
  static func begins(_ text: Span<UInt8>, at start: Int) -> Bool {
    let end = start + prefix.utf8CodeUnitCount
    guard end + 12 <= text.count, ASCII.equals(text.extracting(start..<end), prefix) else { return false }
    for i in end..<end + 12 where !(ASCII.isAlpha(text[i]) || ASCII.isDigit(text[i]) || text[i] == 0x2D || text[i] == 0x5F) { return false }
    return true
  }

  /// Base64url of `{"`, and of the first bits of any character after that.
  static let prefix: StaticString = "eyJ"

  public init(parsing token: Span<UInt8>) throws(JWSFault) {
    guard token.count <= Self.longest else { throw .tooLong }
    guard let first = ASCII.firstIndex(of: 0x2E, in: token), let second = ASCII.firstIndex(of: 0x2E, in: token, from: first + 1) else {
      throw .notCompact
    }
    if let third = ASCII.firstIndex(of: 0x2E, in: token, from: second + 1) {
      // RFC 7516 section 9: a JWE has five parts.
      let fourth = ASCII.firstIndex(of: 0x2E, in: token, from: third + 1)
      throw fourth == nil ? .notCompact : .encrypted
    }
    guard let header = Base64.decodeURLSafe(token.extracting(0..<first)),
      let payload = Base64.decodeURLSafe(token.extracting(first + 1..<second)),
      let signature = Base64.decodeURLSafe(token.extracting(second + 1..<token.count))
    else { throw .notBase64 }
    self.header = try Self.read(header)
    (algorithm, kid, typ) = try Self.judge(self.header)
    // `alg` none has no signature; neither has any other that was cut off.
    guard !signature.isEmpty else { throw .unsigned }
    self.payload = payload
    self.signature = signature
    signingInput = 0..<second
  }

  /// The payload as an object: what a JWT's is (RFC 7519 section 7.2). Duplicate names are refused.
  public func claims() throws(JWSFault) -> JSON {
    let claims: JSON
    do throws(JSONFailure) {
      claims = try JSON.parse(payload.span, mostMembers: Self.mostMembers)
    } catch {
      throw .payloadNotJSON
    }
    guard case .object = claims else { throw .payloadNotJSON }
    return claims
  }

  private static func read(_ bytes: [UInt8]) throws(JWSFault) -> JSON {
    let header: JSON
    do throws(JSONFailure) {
      header = try JSON.parse(bytes.span, mostMembers: mostMembers)
    } catch {
      throw .headerNotJSON
    }
    guard case .object = header else { throw .headerNotJSON }
    return header
  }

  private static func judge(_ header: JSON) throws(JWSFault) -> (SignatureAlgorithm, kid: [UInt8]?, typ: [UInt8]?) {
    // Section 4.1.11: extensions that must be understood. We understand none; and the two that change what is signed are refused also
    // where `crit` is missing, which RFC 7797 section 6 forbids.
    if header["crit"] != nil || header["b64"] != nil { throw .unknownExtension }
    // RFC 7516: encrypted, or compressed before that.
    if header["enc"] != nil || header["zip"] != nil { throw .encrypted }
    guard let name = header["alg"]?.string, let algorithm = SignatureAlgorithm(name: name.span) else { throw .unsupportedAlgorithm }
    let kid = try optional(header["kid"], longest: longestKid)
    let typ = try optional(header["typ"], longest: longestTyp)
    return (algorithm, kid, typ)
  }

  /// A string that may be missing; `null` is not missing.
  private static func optional(_ value: JSON?, longest: Int) throws(JWSFault) -> [UInt8]? {
    guard let value else { return nil }
    guard let text = value.string, !text.isEmpty, text.count <= longest else { throw .badHeader }
    return text
  }
}

/// Why bytes are no token that we take.
public enum JWSFault: Error, Equatable, Sendable {
  case tooLong
  /// Not three parts.
  case notCompact
  case notBase64
  case headerNotJSON
  /// `kid` or `typ` is no string, is empty, or is too long.
  case badHeader
  /// `alg` is missing, none, or another that is not known.
  case unsupportedAlgorithm
  /// `crit` or `b64`.
  case unknownExtension
  /// JWE.
  case encrypted
  case unsigned
  case payloadNotJSON
}
