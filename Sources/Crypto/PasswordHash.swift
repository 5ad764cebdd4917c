// A stored password hash of a user file, and the check of a password against it. Its kinds and their costs are PasswordHashKind's, reading
// its text is PasswordHashParser's and KDFHashParser's, making new ones PasswordHashMaker's.

internal import COpenSSL
public import Primitives

public struct PasswordHash: Sendable {
  public var cost: Cost { parts.cost }
  /// The hash as it stands in the file.
  public var text: [UInt8] { parts.text }
  /// Of a decoy: costs what the original costs, and no password matches it.
  public var isDecoy: Bool { parts.isDecoy }
  /// What a check takes, by estimate.
  public var expense: Expense { parts.expense }
  /// Where the part to compare starts in `text` (kinds of crypt_r and apr1).
  var digestStart: Int { parts.digestStart }
  /// What the other kinds are compared with: the decoded digest, then the salt. For `{PLAIN}` the SHA-256 of the password.
  var decoded: [UInt8] { parts.decoded }

  public var kind: Kind { cost.kind }
  public var isCostly: Bool { cost.kind.isCostly }
  public var costLabel: String { cost.label }

  /// One reference to copy, where a request looks up a hash, instead of one for each array.
  private let parts: Parts

  private final class Parts: Sendable {
    let cost: Cost
    let expense: Expense
    let text: [UInt8]
    let digestStart: Int
    let decoded: [UInt8]
    let isDecoy: Bool

    init(cost: Cost, expense: Expense, text: [UInt8], digestStart: Int, decoded: [UInt8], isDecoy: Bool) {
      self.cost = cost
      self.expense = expense
      self.text = text
      self.digestStart = digestStart
      self.decoded = decoded
      self.isDecoy = isDecoy
    }
  }

  init(cost: Cost, expense: Expense, text: [UInt8], digestStart: Int = 0, decoded: [UInt8] = [], isDecoy: Bool = false) {
    parts = Parts(cost: cost, expense: expense, text: text, digestStart: digestStart, decoded: decoded, isDecoy: isDecoy)
  }

  /// Whether `password` is the one that the hash was made of. Takes the same time for every wrong password of the same length.
  ///
  /// bcrypt looks at the first 72 bytes, as bcrypt does. A password with a NUL in it matches nothing (crypt(3) would end it there), nor
  /// does one of more than `longestPassword` bytes, which libcrypt refuses.
  public func verify(_ password: borrowing Secret) -> Bool { verify(password.span) }

  /// The same for a password that stands inside a wider secret.
  public func verify(_ password: Span<UInt8>) -> Bool {
    KDFTally.note(cost)
    let matched: Bool
    switch kind.family {
    case .libcrypt:
      matched = Crypt.matches(password, self)
    case .apr1:
      let text = self.text
      let salt = text.span.extracting(Apr1.magic.count..<digestStart - 1)
      let digest = Apr1.digest(password, salt: salt)
      matched = ConstantTime.equals(digest.span, text.span.extracting(digestStart..<text.count))
    case .quick:
      matched = matchesQuickly(password)
    case .argon2:
      let parameters = Argon2.Parameters(packed: cost.parameter)
      matched = matchesDigest(Int(parameters.digestLength)) { digest, salt in
        Argon2.withDigest(kind, parameters, password, salt: salt) { ConstantTime.equals($0, digest) }
      }
    case .pbkdf2:
      let length = PBKDF2.digestLength(kind)
      matched = matchesDigest(length) { digest, salt in
        PBKDF2.withDigest(kind, iterations: UInt32(clamping: cost.parameter), password, salt: salt, length: length) {
          ConstantTime.equals($0, digest)
        }
      }
    case .scrypt:
      let parameters = Scrypt.Parameters(packed: cost.parameter)
      matched = matchesDigest(Int(parameters.digestLength)) { digest, salt in
        Scrypt.withDigest(parameters, password, salt: salt) { ConstantTime.equals($0, digest) }
      }
    }
    let holdsNUL = ASCII.firstIndex(of: 0, in: password) != nil
    return matched && !holdsNUL && !isDecoy && password.count <= Self.longestPassword
  }

  private func matchesQuickly(_ password: Span<UInt8>) -> Bool {
    if kind == .plain {
      let digest = decoded
      return SHA256.hash(password).equals(digest.span)
    }
    return matchesDigest(SHA1.size) { digest, salt in
      SHA1.withDigest(password, salt) { ConstantTime.equals($0, digest) }
    }
  }

  /// `decoded` in its two parts.
  private func matchesDigest(_ length: Int, _ compare: (_ digest: Span<UInt8>, _ salt: Span<UInt8>) -> Bool) -> Bool {
    let decoded = self.decoded
    return compare(decoded.span.extracting(0..<length), decoded.span.extracting(length..<decoded.count))
  }

  /// The most bytes of a password that any kind is checked with (libcrypt's CRYPT_MAX_PASSPHRASE_SIZE, less its NUL).
  public static let longestPassword = 511

  /// One of the same kind and cost that nothing matches: its digest is random, and `verify` answers false whatever comes out.
  public func decoy() -> PasswordHash {
    if digestStart == 0 {
      let noise = RandomBytes.array(decoded.count)
      return PasswordHash(cost: cost, expense: expense, text: RandomBytes.array(text.count), decoded: noise, isDecoy: true)
    }
    var text = self.text
    let noise = RandomBytes.array(text.count - digestStart)
    for i in noise.indices { text[digestStart + i] = CryptAlphabet.character(noise[i] & 63) }
    return PasswordHash(cost: cost, expense: expense, text: text, digestStart: digestStart, isDecoy: true)
  }

  /// The decoy where there is nothing to imitate: what a new hash would cost.
  public static func defaultDecoy() -> PasswordHash {
    // The salt is any; the digest is replaced. Should libcrypt's default ever change, the test of this text's cost fails.
    let text = Array("$y$j9T$5l1TpFf0bYBX.kk6cDoHz.$".utf8) + [UInt8](repeating: 0x2E, count: PasswordHashParser.longDigest)
    // The tests read the same text.
    return try! PasswordHash(parsing: text.span).decoy()
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
  public func equals(_ bytes: Span<UInt8>) -> Bool {
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
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for word in [a, b, c, d] {
      for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
    return bytes
  }
}
