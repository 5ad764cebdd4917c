// A stored password hash of a user file: what it is, what a check of it costs, and the check. Reading its text is PasswordHashParser's,
// making new ones PasswordHashMaker's.

internal import COpenSSL
public import Primitives

public struct PasswordHash: Sendable {
  /// How the hash was made. The raw order is that of `check`'s listing.
  public enum Kind: UInt8, CaseIterable, Hashable, Sendable {
    case bcrypt
    case sha256crypt
    case sha512crypt
    case yescrypt
    /// crypt(5)'s `$7$`.
    case scrypt7
    /// `$1$`.
    case md5crypt
    /// `$apr1$`.
    case apr1
    /// `{SHA}`.
    case sha1
    /// `{SSHA}`.
    case saltedSHA1
    /// `{PLAIN}`.
    case plain

    /// The name that people know it by.
    public var name: StaticString {
      switch self {
      case .bcrypt: "bcrypt"
      case .sha256crypt: "sha256-crypt"
      case .sha512crypt: "sha512-crypt"
      case .yescrypt: "yescrypt"
      case .scrypt7: "scrypt"
      case .md5crypt: "md5-crypt"
      case .apr1: "apr1"
      case .sha1: "{SHA}"
      case .saltedSHA1: "{SSHA}"
      case .plain: "{PLAIN}"
      }
    }

    /// Whether a stolen hash of this kind gives its password away soon: what `check` warns about.
    public var isWeak: Bool {
      switch self {
      case .bcrypt, .sha256crypt, .sha512crypt, .yescrypt, .scrypt7: false
      case .md5crypt, .apr1, .sha1, .saltedSHA1, .plain: true
      }
    }

    /// Whether one check takes long enough (0.1 ms to seconds) that no thread which serves others may do it.
    public var isCostly: Bool {
      switch self {
      case .bcrypt, .sha256crypt, .sha512crypt, .yescrypt, .scrypt7, .md5crypt, .apr1: true
      case .sha1, .saltedSHA1, .plain: false
      }
    }
  }

  /// What one check costs: two hashes with equal costs can't be told apart by time.
  public struct Cost: Hashable, Comparable, Sendable {
    public var kind: Kind
    /// bcrypt: the cost (log2 of its rounds); SHA-crypt: rounds; yescrypt and scrypt: the text of the parameters, six bits a character;
    /// others 0.
    var parameter: UInt128

    /// For people and tests, such as `bcrypt 12`.
    public var label: String {
      switch kind {
      case .bcrypt, .sha256crypt, .sha512crypt: "\(kind.name) \(parameter)"
      case .yescrypt, .scrypt7: "\(kind.name) \(PasswordHash.unpack(parameter))"
      case .md5crypt, .apr1, .sha1, .saltedSHA1, .plain: "\(kind.name)"
      }
    }

    public static func < (a: Cost, b: Cost) -> Bool {
      (a.kind.rawValue, a.parameter) < (b.kind.rawValue, b.parameter)
    }
  }

  public var cost: Cost { parts.cost }
  /// The hash as it stands in the file.
  public var text: [UInt8] { parts.text }
  /// Of a decoy: costs what the original costs, and no password matches it.
  public var isDecoy: Bool { parts.isDecoy }
  /// Where the part to compare starts in `text` (kinds of crypt_r and apr1).
  var digestStart: Int { parts.digestStart }
  /// What the cheap kinds are compared with: the decoded digest, then the salt. For `{PLAIN}` the SHA-256 of the password.
  var decoded: [UInt8] { parts.decoded }

  public var kind: Kind { cost.kind }
  public var isCostly: Bool { cost.kind.isCostly }
  public var costLabel: String { cost.label }

  /// One reference to copy, where a request looks up a hash, instead of one for each array.
  private let parts: Parts

  private final class Parts: Sendable {
    let cost: Cost
    let text: [UInt8]
    let digestStart: Int
    let decoded: [UInt8]
    let isDecoy: Bool

    init(cost: Cost, text: [UInt8], digestStart: Int, decoded: [UInt8], isDecoy: Bool) {
      self.cost = cost
      self.text = text
      self.digestStart = digestStart
      self.decoded = decoded
      self.isDecoy = isDecoy
    }
  }

  init(cost: Cost, text: [UInt8], digestStart: Int, decoded: [UInt8], isDecoy: Bool = false) {
    parts = Parts(cost: cost, text: text, digestStart: digestStart, decoded: decoded, isDecoy: isDecoy)
  }

  /// Whether `password` is the one that the hash was made of. Takes the same time for every wrong password of the same length.
  ///
  /// bcrypt looks at the first 72 bytes, as bcrypt does. A password with a NUL in it matches nothing (crypt(3) would end it there), nor
  /// does one of more than `longestPassword` bytes, which libcrypt refuses.
  public func verify(_ password: borrowing Secret) -> Bool { verify(password.span) }

  /// The same for a password that stands inside a wider secret.
  public func verify(_ password: Span<UInt8>) -> Bool {
    KDFTally.current?.count(cost)
    let matched: Bool
    switch kind {
    case .bcrypt, .sha256crypt, .sha512crypt, .yescrypt, .scrypt7, .md5crypt:
      matched = Crypt.matches(password, self)
    case .apr1:
      let text = self.text
      let salt = text.span.extracting(Apr1.magic.count..<digestStart - 1)
      let digest = Apr1.digest(password, salt: salt)
      matched = ConstantTime.equals(digest.span, text.span.extracting(digestStart..<text.count))
    case .sha1, .saltedSHA1:
      let decoded = self.decoded
      let salt = decoded.span.extracting(SHA1.size..<decoded.count)
      matched = SHA1.withDigest(password, salt) { digest in
        ConstantTime.equals(digest, decoded.span.extracting(0..<SHA1.size))
      }
    case .plain:
      let decoded = self.decoded
      matched = SHA256.hash(password).equals(decoded.span)
    }
    let holdsNUL = ASCII.firstIndex(of: 0, in: password) != nil
    return matched && !holdsNUL && !isDecoy
  }

  /// The most bytes of a password that any kind is checked with (libcrypt's CRYPT_MAX_PASSPHRASE_SIZE, less its NUL).
  public static let longestPassword = 511

  /// One of the same kind and cost that nothing matches: its digest is random, and `verify` answers false whatever comes out.
  public func decoy() -> PasswordHash {
    guard isCostly else {
      let noise = RandomBytes.array(decoded.count)
      return PasswordHash(cost: cost, text: RandomBytes.array(text.count), digestStart: 0, decoded: noise, isDecoy: true)
    }
    var text = self.text
    let noise = RandomBytes.array(text.count - digestStart)
    for i in noise.indices { text[digestStart + i] = CryptAlphabet.character(noise[i] & 63) }
    return PasswordHash(cost: cost, text: text, digestStart: digestStart, decoded: [], isDecoy: true)
  }

  /// The decoy where there is nothing to imitate: what a new hash would cost.
  public static func defaultDecoy() -> PasswordHash {
    // The salt is any; the digest is replaced. Should libcrypt's default ever change, the parser's own test of this text fails.
    let setting = Array("$y$j9T$5l1TpFf0bYBX.kk6cDoHz.$".utf8)
    let text = setting + [UInt8](repeating: 0x2E, count: PasswordHashParser.longDigest)
    let cost = Cost(kind: .yescrypt, parameter: pack(Array("j9T".utf8).span))
    return PasswordHash(cost: cost, text: text, digestStart: setting.count, decoded: []).decoy()
  }

  /// Up to 21 characters of crypt(5)'s alphabet in a number, a leading 1 keeping their count.
  static func pack(_ characters: Span<UInt8>) -> UInt128 {
    var value: UInt128 = 1
    for i in characters.indices { value = value << 6 | UInt128(CryptAlphabet.value(characters[i]) ?? 0) }
    return value
  }

  static func unpack(_ packed: UInt128) -> String {
    var value = packed
    var reversed: [UInt8] = []
    while value > 1 {
      reversed.append(CryptAlphabet.character(UInt8(truncatingIfNeeded: value & 63)))
      value >>= 6
    }
    return String(decoding: reversed.reversed(), as: UTF8.self)
  }
}

extension SHA256.Digest {
  /// Whether `bytes` are the 32 of this digest, in constant time.
  func equals(_ bytes: Span<UInt8>) -> Bool {
    guard bytes.count == 32 else { return false }
    var difference: UInt64 = 0
    for i in 0..<4 {
      var word: UInt64 = 0
      for j in 0..<8 { word = word << 8 | UInt64(bytes[i * 8 + j]) }
      let own = i == 0 ? a : i == 1 ? b : i == 2 ? c : d
      difference |= word ^ own
    }
    return difference == 0
  }

  /// The 32 bytes.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for word in [a, b, c, d] {
      for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
    return bytes
  }
}
