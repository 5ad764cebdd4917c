// Text of a stored hash → PasswordHash, or why not: the kinds of crypt(5) and of htpasswd here, the others in KDFHashParser. Strict: what
// libcrypt would refuse at a login is found when the file is read, because a hash that can't be computed makes no work, and so would tell
// its user from others.

internal import Primitives

/// Why a stored hash can't be used, in words that follow "the hash of NAME".
public struct PasswordHashFailure: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) {
    self.description = description
  }
}

extension PasswordHash {
  /// Reads one of the forms of `Kind`. The work to check a hash is not done, but everything that decides whether it can be done is
  /// looked at.
  public init(parsing text: Span<UInt8>) throws(PasswordHashFailure) {
    self = try PasswordHashParser.parse(text)
  }
}

enum PasswordHashParser {
  /// Characters of the digest in yescrypt, scrypt and sha256-crypt.
  static let longDigest = 43
  /// Longest text looked at: libcrypt's own limit (CRYPT_OUTPUT_SIZE), but for `{PLAIN}` and salted SHA-1 all are shorter.
  private static let longestText = 383

  static func parse(_ text: Span<UInt8>) throws(PasswordHashFailure) -> PasswordHash {
    guard text.count > 0 else { throw PasswordHashFailure("is empty") }
    let hash = try parseAnyExpense(text)
    // What a configuration may allow is less (`HashLimit`); beyond this nothing is meant to be checked at all.
    let greatest = PasswordHash.greatestExpense
    guard hash.expense.time <= greatest.time else { throw PasswordHashFailure("would take more than a minute to check at each login") }
    guard hash.expense.memory <= greatest.memory else { throw PasswordHashFailure("would take more than 4 GiB of memory at each login") }
    return hash
  }

  private static func parseAnyExpense(_ text: Span<UInt8>) throws(PasswordHashFailure) -> PasswordHash {
    if prefixed(text, "{PLAIN}") { return try plain(text) }
    if let hash = try KDFHashParser.parse(text) { return hash }
    guard text.count <= longestText else { throw PasswordHashFailure("is longer than any known kind") }
    if prefixed(text, "$2") { return try bcrypt(text) }
    if prefixed(text, "$5$") { return try shaCrypt(text, .sha256crypt, digest: longDigest) }
    if prefixed(text, "$6$") { return try shaCrypt(text, .sha512crypt, digest: 86) }
    if prefixed(text, "$y$") { return try yescrypt(text) }
    if prefixed(text, "$7$") { return try scrypt7(text) }
    if prefixed(text, "$1$") { return try md5(text, .md5crypt, magic: 3) }
    if prefixed(text, "$apr1$") { return try md5(text, .apr1, magic: 6) }
    if prefixed(text, "{SHA}") { return try sha1(text, .sha1, magic: 5) }
    if prefixed(text, "{SSHA}") { return try sha1(text, .saltedSHA1, magic: 6) }
    throw unknown(text)
  }

  private static func unknown(_ text: Span<UInt8>) -> PasswordHashFailure {
    if text.count == 13 && CryptAlphabet.holds(text) {
      return PasswordHashFailure("is of the old DES kind, which sees eight characters only and is not accepted: set the password anew")
    }
    return PasswordHashFailure("is of no known kind (a password in plain text needs {PLAIN} before it)")
  }

  // MARK: Kinds

  private static func plain(_ text: Span<UInt8>) throws(PasswordHashFailure) -> PasswordHash {
    let password = text.extracting(7..<text.count)
    guard password.count > 0 else { throw PasswordHashFailure("is {PLAIN} without a password") }
    guard password.count <= PasswordHash.longestPassword else { throw PasswordHashFailure("is a password of more than 511 bytes") }
    return PasswordHash(
      cost: .init(kind: .plain, parameter: 0), expense: .none, text: ASCII.array(text), decoded: SHA256.hash(password).bytes)
  }

  /// `$2y$12$` + 22 characters of salt + 31 of digest; crypt(5).
  private static func bcrypt(_ text: Span<UInt8>) throws(PasswordHashFailure) -> PasswordHash {
    guard text.count >= 4, text[3] == 0x24, text[2] == 0x61 || text[2] == 0x62 || text[2] == 0x79 else {
      throw PasswordHashFailure("is of an unknown bcrypt variant ($2a$, $2b$ and $2y$ are accepted)")
    }
    guard text.count == 60, text[6] == 0x24, CryptAlphabet.holds(text.extracting(7..<60)),
      let cost = ASCII.decimal(text.extracting(4..<6)), cost >= 4, cost <= 31
    else { throw PasswordHashFailure("is a damaged bcrypt hash (60 characters, cost 04 to 31)") }
    return PasswordHash(
      cost: .init(kind: .bcrypt, parameter: UInt128(cost)), expense: .bcrypt(cost: cost), text: ASCII.array(text), digestStart: 29)
  }

  /// `$6$salt$digest` or `$6$rounds=N$salt$digest`, salt of up to 16 characters; crypt(5).
  private static func shaCrypt(
    _ text: Span<UInt8>, _ kind: PasswordHash.Kind, digest: Int
  ) throws(PasswordHashFailure) -> PasswordHash {
    var rounds: UInt64 = 5000
    var saltStart = 3
    if prefixed(text.extracting(3..<text.count), "rounds=") {
      // libcrypt takes no leading zero and nothing below 1000.
      guard let end = ASCII.firstIndex(of: 0x24, in: text, from: 10), let asked = ASCII.decimal(text.extracting(10..<end)),
        text[10] != 0x30, asked >= 1000
      else { throw PasswordHashFailure("has a damaged rounds= part") }
      // crypt(5).
      guard asked <= 999_999_999 else { throw PasswordHashFailure("has more rounds than there may be") }
      rounds = asked
      saltStart = end + 1
    }
    let digestStart = try lastPart(text, from: saltStart, digest: digest, kind)
    try requireSalt(text.extracting(saltStart..<digestStart - 1), upTo: 16, kind)
    return PasswordHash(
      cost: .init(kind: kind, parameter: UInt128(rounds)), expense: .shaCrypt(kind, rounds: rounds), text: ASCII.array(text),
      digestStart: digestStart)
  }

  /// `$y$params$salt$digest`; crypt(5). Flavour, log2 N and r are the parameters, each in a code of variable length. crypt_gensalt(3)
  /// writes the flavour `j` alone, and none of the further parameters, which could multiply the time. libcrypt computes no N below 4.
  private static func yescrypt(_ text: Span<UInt8>) throws(PasswordHashFailure) -> PasswordHash {
    guard let end = ASCII.firstIndex(of: 0x24, in: text, from: 3), end > 3, end - 3 <= 20,
      CryptAlphabet.holds(text.extracting(3..<end))
    else { throw PasswordHashFailure("is a damaged yescrypt hash") }
    guard text[3] == 0x6A else { throw PasswordHashFailure("is of a flavour of yescrypt that is not accepted ($y$j… is)") }
    var at = 4
    guard let logN = variable(text, &at, before: end, least: 1), let r = variable(text, &at, before: end, least: 1),
      logN >= 2, logN <= 63, r < 1 << 30
    else { throw PasswordHashFailure("has damaged yescrypt parameters") }
    guard at == end else { throw PasswordHashFailure("has yescrypt parameters beyond N and r, which are not accepted") }
    let digestStart = try lastPart(text, from: end + 1, digest: longDigest, .yescrypt)
    let salt = text.extracting(end + 1..<digestStart - 1)
    guard salt.count <= 86, CryptAlphabet.holds(salt), isWholeBytes(salt) else { throw PasswordHashFailure("has a damaged yescrypt salt") }
    return PasswordHash(
      cost: .init(kind: .yescrypt, parameter: PasswordHash.pack(text.extracting(3..<end))), expense: .yescrypt(logN: logN, r: r),
      text: ASCII.array(text), digestStart: digestStart)
  }

  /// `$7$` + log2 N in one character + r and p in five each + salt + `$` + digest; crypt(5). libcrypt computes no N below 4.
  private static func scrypt7(_ text: Span<UInt8>) throws(PasswordHashFailure) -> PasswordHash {
    guard text.count > 14, CryptAlphabet.holds(text.extracting(3..<14)), let logN = CryptAlphabet.value(text[3]) else {
      throw PasswordHashFailure("is a damaged scrypt hash")
    }
    let r = fixed(text.extracting(4..<9))
    let p = fixed(text.extracting(9..<14))
    guard logN >= 2, r >= 1, p >= 1, p <= 64, r * p < 1 << 30 else { throw PasswordHashFailure("has damaged scrypt parameters") }
    let digestStart = try lastPart(text, from: 14, digest: longDigest, .scrypt7)
    let salt = text.extracting(14..<digestStart - 1)
    guard salt.count >= 1, salt.count <= 86 else { throw PasswordHashFailure("has a damaged scrypt salt") }
    if !CryptAlphabet.holds(salt) { return try scrypt7OfPasslib(text, logN: logN, r: r, p: p, salt: salt, digestStart: digestStart) }
    return PasswordHash(
      cost: .init(kind: .scrypt7, parameter: PasswordHash.pack(text.extracting(3..<14))),
      expense: .scrypt7(logN: UInt64(logN), r: r, p: p), text: ASCII.array(text), digestStart: digestStart)
  }

  /// The same with a salt of the usual Base64, whose `+` libcrypt does not take: passlib writes every third hash so. The salt counts as it
  /// stands, so scrypt itself can be asked.
  private static func scrypt7OfPasslib(
    _ text: Span<UInt8>, logN: UInt8, r: UInt64, p: UInt64, salt: Span<UInt8>, digestStart: Int
  ) throws(PasswordHashFailure) -> PasswordHash {
    for i in salt.indices where !CryptAlphabet.holds(salt.extracting(i..<i + 1)) && salt[i] != 0x2B {
      throw PasswordHashFailure("has a damaged scrypt salt")
    }
    guard UInt64(logN) < 16 * r, let digest = bytes(text.extracting(digestStart..<text.count)), digest.count == 32 else {
      throw PasswordHashFailure("is a damaged scrypt hash")
    }
    let parameters = Scrypt.Parameters(logN: logN, blockSize: UInt32(r), parallelism: UInt32(p), digestLength: 32)
    return PasswordHash(
      cost: .init(kind: .scrypt, parameter: parameters.packed), expense: .scrypt(parameters), text: ASCII.array(text),
      decoded: digest + ASCII.array(salt))
  }

  /// Characters of six bits each, lowest first, as bytes; nil where bits are left over.
  private static func bytes(_ text: Span<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var bits: UInt32 = 0
    var count: UInt32 = 0
    for i in text.indices {
      guard let value = CryptAlphabet.value(text[i]) else { return nil }
      bits |= UInt32(value) << count
      count += 6
      if count >= 8 {
        bytes.append(UInt8(truncatingIfNeeded: bits))
        bits >>= 8
        count -= 8
      }
    }
    return bits == 0 ? bytes : nil
  }

  /// `$1$salt$digest` and `$apr1$salt$digest`, salt of up to eight characters.
  private static func md5(_ text: Span<UInt8>, _ kind: PasswordHash.Kind, magic: Int) throws(PasswordHashFailure) -> PasswordHash {
    let digestStart = try lastPart(text, from: magic, digest: Apr1.digestLength, kind)
    try requireSalt(text.extracting(magic..<digestStart - 1), upTo: 8, kind)
    return PasswordHash(cost: .init(kind: kind, parameter: 0), expense: .md5Crypt, text: ASCII.array(text), digestStart: digestStart)
  }

  /// `{SHA}` and `{SSHA}`: Base64 of the digest, and of the salt behind it (RFC 2307's scheme, as slapd and htpasswd write it).
  private static func sha1(_ text: Span<UInt8>, _ kind: PasswordHash.Kind, magic: Int) throws(PasswordHashFailure) -> PasswordHash {
    var bytes = Secret()
    guard Base64.decode(text.extracting(magic..<text.count), into: &bytes) else {
      throw PasswordHashFailure("is no Base64 after \(kind.name)")
    }
    let salt = bytes.count - SHA1.size
    guard kind == .sha1 ? salt == 0 : salt >= 1 && salt <= 64 else {
      throw PasswordHashFailure("has a wrong length for \(kind.name)")
    }
    return PasswordHash(
      cost: .init(kind: kind, parameter: 0), expense: .none, text: ASCII.array(text), decoded: ASCII.array(bytes.span))
  }

  // MARK: Pieces

  private static func prefixed(_ text: Span<UInt8>, _ prefix: StaticString) -> Bool {
    let n = prefix.utf8CodeUnitCount
    return text.count >= n && ASCII.equals(text.extracting(0..<n), prefix)
  }

  /// Where the digest starts: after the last `$`, which must stand at or after `from`, and exactly `digest` characters before the end.
  private static func lastPart(
    _ text: Span<UInt8>, from: Int, digest: Int, _ kind: PasswordHash.Kind
  ) throws(PasswordHashFailure) -> Int {
    let start = text.count - digest
    guard start - 1 >= from, text[start - 1] == 0x24, CryptAlphabet.holds(text.extracting(start..<text.count)) else {
      throw PasswordHashFailure("is a damaged \(kind.name) hash (its digest has \(digest) characters)")
    }
    return start
  }

  /// crypt(5): a salt is printable ASCII without `$ : ; * ! \`. Ours must also not be empty.
  private static func requireSalt(_ salt: Span<UInt8>, upTo most: Int, _ kind: PasswordHash.Kind) throws(PasswordHashFailure) {
    var sound = salt.count >= 1 && salt.count <= most
    for i in salt.indices {
      switch salt[i] {
      case 0x24, 0x3A, 0x3B, 0x2A, 0x21, 0x5C: sound = false
      case 0x21...0x7E: break
      default: sound = false
      }
    }
    if !sound { throw PasswordHashFailure("has a damaged \(kind.name) salt") }
  }

  /// Whether characters of six bits each, lowest first, are whole bytes: the bits that are left over must be zero.
  private static func isWholeBytes(_ text: Span<UInt8>) -> Bool {
    guard let last = text.count == 0 ? 0 : CryptAlphabet.value(text[text.count - 1]) else { return false }
    switch text.count % 4 {
    case 0: return true
    case 1: return false
    case 2: return last < 4
    default: return last < 16
    }
  }

  /// Five characters, six bits each, lowest first.
  private static func fixed(_ text: Span<UInt8>) -> UInt64 {
    var value: UInt64 = 0
    for i in text.indices { value |= UInt64(CryptAlphabet.value(text[i]) ?? 0) << UInt64(6 * i) }
    return value
  }

  /// yescrypt's variable-length number: the first character says how many follow, larger ones standing for longer numbers. The 48
  /// lowest are whole numbers by themselves; of the rest each length takes half of what is left, rounded down.
  private static func variable(_ text: Span<UInt8>, _ at: inout Int, before end: Int, least: UInt64) -> UInt64? {
    guard at < end, let first = CryptAlphabet.value(text[at]) else { return nil }
    at += 1
    let lead = UInt64(first)
    var value = least
    var low: UInt64 = 0
    var high: UInt64 = 47
    var more = 0
    while lead > high {
      value += (high + 1 - low) << UInt64(6 * more)
      low = high + 1
      high = low + (62 - high) / 2
      more += 1
      if more > 4 { return nil }
    }
    value += (lead - low) << UInt64(6 * more)
    while more > 0 {
      guard at < end, let next = CryptAlphabet.value(text[at]) else { return nil }
      at += 1
      more -= 1
      value += UInt64(next) << UInt64(6 * more)
    }
    return value
  }
}
