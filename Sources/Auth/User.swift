// A user as the user file describes him, and the keys that speak for him.

public import Crypto
public import Primitives

/// Immutable: a changed file makes new users. Shared by every thread.
public final class User: Sendable {
  /// 1 to 255 bytes of UTF-8 without colon or control characters: fit for a header field as they are.
  public let name: [UInt8]
  /// In the order of the file.
  public let groups: [[UInt8]]
  /// The groups joined with commas, as the upstream is told them. Empty without groups.
  public let joinedGroups: [UInt8]
  /// nil for a user who has keys only (`*` or `!` in place of the hash).
  public let hash: PasswordHash?
  public let isLocked: Bool
  /// From this moment on nothing of his is accepted.
  public let expires: Timestamp?
  /// When he was added, if the file says so.
  public let created: Timestamp?
  public let keys: [APIKey]
  /// Line of the user file, from 1.
  public let line: Int

  init(
    name: [UInt8], groups: Groups, hash: PasswordHash?, isLocked: Bool, expires: Timestamp?, created: Timestamp?, keys: [APIKey],
    line: Int
  ) {
    self.name = name
    self.groups = groups.list
    joinedGroups = groups.joined
    self.hash = hash
    self.isLocked = isLocked
    self.expires = expires
    self.created = created
    self.keys = keys
    self.line = line
  }

  /// The hash as it stands in the file; nil for a user without one.
  public var storedHash: [UInt8]? { hash?.text }

  /// Whether anything of his may be accepted at `now`.
  func standing(at now: Timestamp) -> Standing {
    if isLocked { return .locked }
    if let expires, now >= expires { return .expired }
    return .active
  }

  enum Standing {
    case active
    case locked
    case expired
  }

  /// A value of `groups=`, read once and shared by all users who have the same.
  struct Groups {
    var list: [[UInt8]] = []
    var joined: [UInt8] = []
  }
}

/// An entry of `keys=`: a token that was issued once and is known here by its digest only.
public struct APIKey: Equatable, Sendable {
  /// What its owner calls it: 1 to 64 of `A–Z a–z 0–9 . _ @ + -`.
  public var name: [UInt8]
  /// SHA-256 of the token's text, prefix included.
  public var digest: SHA256.Digest
  /// From this moment on it is not accepted; nil is `never`.
  public var expires: Timestamp?
  /// The last four characters of the token, to recognise it by; nil in entries that were written without.
  public var lastFour: [UInt8]?

  public init(name: [UInt8], digest: SHA256.Digest, expires: Timestamp?, lastFour: [UInt8]?) {
    self.name = name
    self.digest = digest
    self.expires = expires
    self.lastFour = lastFour
  }

  /// What every token begins with, so that one left in a public place is found. No user's name may begin so.
  public static let prefix: StaticString = "ghk_"
  /// Characters of a token: the prefix and 32 bytes in Base64 without padding.
  public static let tokenLength = 47

  /// A new token of 32 random bytes, and its entry.
  public static func issue(name: [UInt8], expires: Timestamp?) -> Issued {
    let random = RandomBytes.secret(32)
    var token = Secret(copying: Array("ghk_".utf8).span)
    let encoded = Base64.encodeURLSafe(random.span)
    token.append(encoded.span)
    let key = APIKey(
      name: name, digest: SHA256.hash(token.span), expires: expires,
      lastFour: ASCII.array(token.span.extracting(last: 4)))
    return Issued(token: token, key: key)
  }

  /// A token, to be shown once, and what is kept of it.
  public struct Issued: ~Copyable {
    public let token: Secret
    public let key: APIKey
  }

  /// Whether `text` begins as a token does.
  static func isPrefix(of text: Span<UInt8>) -> Bool {
    text.count >= 4 && ASCII.equals(text.extracting(0..<4), prefix)
  }

  /// Whether `text` could be a token at all: prefix, length and alphabet. Others need no digest.
  static func hasForm(_ text: Span<UInt8>) -> Bool {
    guard text.count == tokenLength, isPrefix(of: text) else { return false }
    for i in 4..<tokenLength where !(ASCII.isAlpha(text[i]) || ASCII.isDigit(text[i]) || text[i] == 0x2D || text[i] == 0x5F) {
      return false
    }
    return true
  }

  static func isName(_ text: Span<UInt8>) -> Bool {
    guard text.count >= 1 && text.count <= 64 else { return false }
    for i in text.indices {
      switch text[i] {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2E, 0x5F, 0x40, 0x2B, 0x2D: break
      default: return false
      }
    }
    return true
  }
}
