// Text of a stored hash → PasswordHash, for the functions that have no crypt(5) form: argon2, PBKDF2 and scrypt, each in the spellings of
// those who write them (PHC string format, passlib, Django, Werkzeug). Strict, as PasswordHashParser is, and for the same reason.

internal import Primitives

enum KDFHashParser {
  /// Longest text looked at: a salt and a digest of the greatest lengths, and parameters.
  static let longestText = 512
  /// Fewer bytes than these, or more, are an accident or an attack. libargon2 takes no salt of less than eight bytes.
  private static let saltLengths = 4...128
  private static let digestLengths = 10...DerivedKey.longest
  /// RFC 8018 section 4.2 recommends this many at least; nobody's default has ever been lower.
  private static let fewestIterations: UInt64 = 1000

  /// nil when `text` is of no such kind.
  static func parse(_ text: Span<UInt8>) throws(PasswordHashFailure) -> PasswordHash? {
    // No allocation by what the text says: there are at most as many parts as characters, and its length is bounded.
    guard text.count <= longestText, mayBe(text) else { return nil }
    let parts = split(text, 0..<text.count, at: 0x24)
    let first = text.extracting(parts[0])
    if first.count == 0 && parts.count > 1 {
      let name = text.extracting(parts[1])
      if let kind = argon2Kind(name) { return try argon2(kind, text, parts.dropFirst(2)) }
      if let kind = passlibKind(name) { return try passlibPBKDF2(kind, text, parts.dropFirst(2)) }
      if ASCII.equals(name, "scrypt") { return try passlibScrypt(text, parts.dropFirst(2)) }
      return nil
    }
    // Django's: the algorithm, `$`, and what the library beneath has made, which begins with a `$` of its own.
    if ASCII.equals(first, "argon2") {
      guard parts.count > 1, let kind = argon2Kind(text.extracting(parts[1])) else {
        throw PasswordHashFailure("is a damaged argon2 hash (argon2$argon2id$…)")
      }
      return try argon2(kind, text, parts.dropFirst(2))
    }
    if ASCII.equals(first, "pbkdf2_sha256") { return try djangoPBKDF2(.pbkdf2SHA256, text, parts.dropFirst()) }
    if ASCII.equals(first, "pbkdf2_sha1") { return try djangoPBKDF2(.pbkdf2SHA1, text, parts.dropFirst()) }
    if ASCII.equals(first, "scrypt") && parts.count > 1 { return try djangoScrypt(text, parts.dropFirst()) }
    // Werkzeug's: function and parameters parted by colons. Without a `$` the file's own colon has cut them off.
    let words = split(text, parts[0], at: 0x3A)
    let function = text.extracting(words[0])
    if ASCII.equals(function, "pbkdf2") { return try werkzeugPBKDF2(text, words.dropFirst(), parts.dropFirst()) }
    if ASCII.equals(function, "scrypt") { return try werkzeugScrypt(text, words.dropFirst(), parts.dropFirst()) }
    return nil
  }

  /// By its first letter, so that a file full of other hashes is read at no cost.
  private static func mayBe(_ text: Span<UInt8>) -> Bool {
    let first = text[0] == 0x24 && text.count > 1 ? text[1] : text[0]
    return first == 0x61 || first == 0x70 || first == 0x73
  }

  // MARK: argon2

  private static func argon2Kind(_ name: Span<UInt8>) -> PasswordHash.Kind? {
    if ASCII.equals(name, "argon2id") { return .argon2id }
    if ASCII.equals(name, "argon2i") { return .argon2i }
    if ASCII.equals(name, "argon2d") { return .argon2d }
    return nil
  }

  /// `[v=19$]m=65536,t=3,p=4$salt$digest`; without `v=` it is version 1.0, as the reference implementation once wrote it.
  private static func argon2(
    _ kind: PasswordHash.Kind, _ text: Span<UInt8>, _ parts: ArraySlice<Range<Int>>
  ) throws(PasswordHashFailure) -> PasswordHash {
    let damaged = PasswordHashFailure("is a damaged \(kind.name) hash ($\(kind.name)$v=19$m=…,t=…,p=…$salt$digest)")
    var parts = parts
    var version: UInt8 = 0x10
    if let first = parts.first, first.count > 1, text[first.lowerBound] == 0x76, text[first.lowerBound + 1] == 0x3D {
      guard let named = value("v=", text, first), named == 0x10 || named == 0x13 else {
        throw PasswordHashFailure("is of an unknown version of argon2 (16 and 19 are accepted)")
      }
      version = UInt8(named)
      parts = parts.dropFirst()
    }
    guard parts.count == 3 else { throw damaged }
    let words = split(text, parts[parts.startIndex], at: 0x2C)
    guard words.count == 3 else {
      throw words.count > 3 ? PasswordHashFailure("has parameters of argon2 beyond m, t and p, which are not accepted") : damaged
    }
    guard let memory = value("m=", text, words[0]), let passes = value("t=", text, words[1]), let lanes = value("p=", text, words[2]) else {
      throw damaged
    }
    guard passes >= 1, lanes >= 1, lanes <= 0xFF_FFFF, memory >= 8 * lanes else {
      throw PasswordHashFailure("has damaged argon2 parameters (t and p are at least 1, m at least 8 × p)")
    }
    guard let salt = UnpaddedBase64.decode(text.extracting(parts[parts.startIndex + 1]), .standard),
      let digest = UnpaddedBase64.decode(text.extracting(parts[parts.startIndex + 2]), .standard)
    else { throw PasswordHashFailure("is no Base64 without padding in its salt or digest") }
    try requireLengths(salt: salt, digest: digest, fewestOfSalt: 8)
    // The numbers fit: `value` gives no more than 32 bits.
    let parameters = Argon2.Parameters(
      memory: UInt32(memory), passes: UInt32(passes), lanes: UInt32(lanes), version: version, digestLength: UInt8(digest.count))
    return PasswordHash(
      cost: .init(kind: kind, parameter: parameters.packed), expense: .argon2(parameters), text: ASCII.array(text), decoded: digest + salt)
  }

  // MARK: PBKDF2

  private static func passlibKind(_ name: Span<UInt8>) -> PasswordHash.Kind? {
    if ASCII.equals(name, "pbkdf2") { return .pbkdf2SHA1 }
    if ASCII.equals(name, "pbkdf2-sha256") { return .pbkdf2SHA256 }
    if ASCII.equals(name, "pbkdf2-sha512") { return .pbkdf2SHA512 }
    return nil
  }

  /// `29000$salt$digest`, both in Base64 without padding and with `.` for `+`.
  private static func passlibPBKDF2(
    _ kind: PasswordHash.Kind, _ text: Span<UInt8>, _ parts: ArraySlice<Range<Int>>
  ) throws(PasswordHashFailure) -> PasswordHash {
    guard parts.count == 3, let iterations = number(text, parts[parts.startIndex]),
      let salt = UnpaddedBase64.decode(text.extracting(parts[parts.startIndex + 1]), .dotted),
      let digest = UnpaddedBase64.decode(text.extracting(parts[parts.startIndex + 2]), .dotted)
    else { throw PasswordHashFailure("is a damaged \(kind.name) hash ($\(kind.name)$ITERATIONS$salt$digest)") }
    return try pbkdf2(kind, text, iterations, salt: salt, digest: digest)
  }

  /// `260000$salt$digest`, the salt as it is and the digest in Base64.
  private static func djangoPBKDF2(
    _ kind: PasswordHash.Kind, _ text: Span<UInt8>, _ parts: ArraySlice<Range<Int>>
  ) throws(PasswordHashFailure) -> PasswordHash {
    guard parts.count == 3, let iterations = number(text, parts[parts.startIndex]),
      let salt = plainSalt(text, parts[parts.startIndex + 1]), let digest = paddedBase64(text, parts[parts.startIndex + 2])
    else { throw PasswordHashFailure("is a damaged \(kind.name) hash of Django's (pbkdf2_…$ITERATIONS$salt$digest)") }
    return try pbkdf2(kind, text, iterations, salt: salt, digest: digest)
  }

  /// `pbkdf2:sha256:260000$salt$digest`, the salt as it is and the digest in hexadecimal. Werkzeug reads it without the iterations too, as
  /// whatever number is its default that year, but never wrote it so.
  private static func werkzeugPBKDF2(
    _ text: Span<UInt8>, _ words: ArraySlice<Range<Int>>, _ parts: ArraySlice<Range<Int>>
  ) throws(PasswordHashFailure) -> PasswordHash {
    guard words.count == 2, parts.count == 2 else {
      throw PasswordHashFailure("is a damaged PBKDF2 hash of Werkzeug's (pbkdf2:sha256:ITERATIONS$salt$digest)")
    }
    let name = text.extracting(words[words.startIndex])
    let kind: PasswordHash.Kind
    if ASCII.equals(name, "sha256") {
      kind = .pbkdf2SHA256
    } else if ASCII.equals(name, "sha1") {
      kind = .pbkdf2SHA1
    } else if ASCII.equals(name, "sha512") {
      kind = .pbkdf2SHA512
    } else {
      throw PasswordHashFailure("is PBKDF2 with a hash function that is not accepted (sha1, sha256 and sha512 are)")
    }
    guard let iterations = number(text, words[words.startIndex + 1]), let salt = plainSalt(text, parts[parts.startIndex]),
      let digest = hexadecimal(text, parts[parts.startIndex + 1])
    else { throw PasswordHashFailure("is a damaged PBKDF2 hash of Werkzeug's (pbkdf2:sha256:ITERATIONS$salt$digest)") }
    return try pbkdf2(kind, text, iterations, salt: salt, digest: digest)
  }

  private static func pbkdf2(
    _ kind: PasswordHash.Kind, _ text: Span<UInt8>, _ iterations: UInt64, salt: [UInt8], digest: [UInt8]
  ) throws(PasswordHashFailure) -> PasswordHash {
    guard iterations >= fewestIterations else {
      throw PasswordHashFailure("has \(iterations) iterations of PBKDF2: fewer than \(fewestIterations) protect nothing")
    }
    let length = PBKDF2.digestLength(kind)
    guard digest.count == length else {
      throw PasswordHashFailure("has a digest of \(digest.count) bytes, where \(kind.name) makes \(length)")
    }
    try requireLengths(salt: salt, digest: digest, fewestOfSalt: saltLengths.lowerBound)
    return PasswordHash(
      cost: .init(kind: kind, parameter: UInt128(iterations)), expense: .pbkdf2(kind, iterations: iterations), text: ASCII.array(text),
      decoded: digest + salt)
  }

  // MARK: scrypt

  /// `ln=16,r=8,p=1$salt$digest`, both in Base64 without padding.
  private static func passlibScrypt(_ text: Span<UInt8>, _ parts: ArraySlice<Range<Int>>) throws(PasswordHashFailure) -> PasswordHash {
    let damaged = PasswordHashFailure("is a damaged scrypt hash ($scrypt$ln=…,r=…,p=…$salt$digest)")
    guard parts.count == 3 else { throw damaged }
    let words = split(text, parts[parts.startIndex], at: 0x2C)
    guard words.count == 3, let logN = value("ln=", text, words[0]), let r = value("r=", text, words[1]),
      let p = value("p=", text, words[2]),
      let salt = UnpaddedBase64.decode(text.extracting(parts[parts.startIndex + 1]), .standard),
      let digest = UnpaddedBase64.decode(text.extracting(parts[parts.startIndex + 2]), .standard)
    else { throw damaged }
    return try scrypt(text, logN: logN, r: r, p: p, salt: salt, digest: digest)
  }

  /// `16384$salt$8$1$digest`: N, the salt as it is, r, p, and the digest in Base64.
  private static func djangoScrypt(_ text: Span<UInt8>, _ parts: ArraySlice<Range<Int>>) throws(PasswordHashFailure) -> PasswordHash {
    let at = parts.startIndex
    guard parts.count == 5, let n = number(text, parts[at]), let salt = plainSalt(text, parts[at + 1]), let r = number(text, parts[at + 2]),
      let p = number(text, parts[at + 3]), let digest = paddedBase64(text, parts[at + 4])
    else { throw PasswordHashFailure("is a damaged scrypt hash of Django's (scrypt$N$salt$r$p$digest)") }
    return try scrypt(text, logN: exponent(n), r: r, p: p, salt: salt, digest: digest, length: 64)
  }

  /// `scrypt:32768:8:1$salt$digest`: N, r, p, the salt as it is, and the digest in hexadecimal.
  private static func werkzeugScrypt(
    _ text: Span<UInt8>, _ words: ArraySlice<Range<Int>>, _ parts: ArraySlice<Range<Int>>
  ) throws(PasswordHashFailure) -> PasswordHash {
    let at = words.startIndex
    guard words.count == 3, parts.count == 2, let n = number(text, words[at]), let r = number(text, words[at + 1]),
      let p = number(text, words[at + 2]), let salt = plainSalt(text, parts[parts.startIndex]),
      let digest = hexadecimal(text, parts[parts.startIndex + 1])
    else { throw PasswordHashFailure("is a damaged scrypt hash of Werkzeug's (scrypt:N:r:p$salt$digest)") }
    return try scrypt(text, logN: exponent(n), r: r, p: p, salt: salt, digest: digest, length: 64)
  }

  /// log2 of a power of two; of other numbers 0, which is refused.
  private static func exponent(_ n: UInt64) -> UInt64 {
    n.nonzeroBitCount == 1 ? UInt64(n.trailingZeroBitCount) : 0
  }

  private static func scrypt(
    _ text: Span<UInt8>, logN: UInt64, r: UInt64, p: UInt64, salt: [UInt8], digest: [UInt8], length: Int? = nil
  ) throws(PasswordHashFailure) -> PasswordHash {
    // RFC 7914 section 2: N is a power of two, greater than 1 and less than 2^(16 × r); r × p is less than 2^30.
    guard logN >= 1, logN <= 63, r >= 1, p >= 1, logN < 16 * r, r * p < 1 << 30 else {
      throw PasswordHashFailure("has damaged scrypt parameters (RFC 7914 section 2)")
    }
    if let length, digest.count != length {
      throw PasswordHashFailure("has a digest of \(digest.count) bytes, where scrypt is to make \(length)")
    }
    try requireLengths(salt: salt, digest: digest, fewestOfSalt: saltLengths.lowerBound)
    let parameters = Scrypt.Parameters(
      logN: UInt8(logN), blockSize: UInt32(r), parallelism: UInt32(p), digestLength: UInt8(digest.count))
    return PasswordHash(
      cost: .init(kind: .scrypt, parameter: parameters.packed), expense: .scrypt(parameters), text: ASCII.array(text),
      decoded: digest + salt)
  }

  // MARK: Pieces

  private static func requireLengths(salt: [UInt8], digest: [UInt8], fewestOfSalt: Int) throws(PasswordHashFailure) {
    guard salt.count >= fewestOfSalt, salt.count <= saltLengths.upperBound else {
      throw PasswordHashFailure("has a salt of \(salt.count) bytes (\(fewestOfSalt) to \(saltLengths.upperBound) are accepted)")
    }
    guard digestLengths.contains(digest.count) else {
      throw PasswordHashFailure(
        "has a digest of \(digest.count) bytes (\(digestLengths.lowerBound) to \(digestLengths.upperBound) are accepted)")
    }
  }

  /// The parts of `range` between `mark`s: one more than there are marks.
  private static func split(_ text: Span<UInt8>, _ range: Range<Int>, at mark: UInt8) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var start = range.lowerBound
    for i in range where text[i] == mark {
      parts.append(start..<i)
      start = i + 1
    }
    parts.append(start..<range.upperBound)
    return parts
  }

  /// A whole number of at most 32 bits in its one spelling: no sign, no leading zero.
  private static func number(_ text: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    guard let value = ASCII.decimal(text.extracting(range)), value <= UInt32.max, range.count == 1 || text[range.lowerBound] != 0x30 else {
      return nil
    }
    return value
  }

  /// The number after `name`, such as `m=`.
  private static func value(_ name: StaticString, _ text: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    let length = name.utf8CodeUnitCount
    guard range.count > length, ASCII.equals(text.extracting(range.lowerBound..<range.lowerBound + length), name) else { return nil }
    return number(text, range.lowerBound + length..<range.upperBound)
  }

  /// A salt that stands as it is: printable ASCII, and no colon, which would end the hash.
  private static func plainSalt(_ text: Span<UInt8>, _ range: Range<Int>) -> [UInt8]? {
    for i in range where text[i] <= 0x20 || text[i] >= 0x7F || text[i] == 0x3A { return nil }
    return ASCII.array(text.extracting(range))
  }

  private static func paddedBase64(_ text: Span<UInt8>, _ range: Range<Int>) -> [UInt8]? {
    var bytes = Secret()
    guard Base64.decode(text.extracting(range), into: &bytes) else { return nil }
    return ASCII.array(bytes.span)
  }

  /// In lower case, as Python writes it.
  private static func hexadecimal(_ text: Span<UInt8>, _ range: Range<Int>) -> [UInt8]? {
    guard range.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(range.count / 2)
    for i in stride(from: range.lowerBound, to: range.upperBound, by: 2) {
      guard let high = ASCII.hexValue(text[i]), let low = ASCII.hexValue(text[i + 1]), !isCapital(text[i]), !isCapital(text[i + 1]) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func isCapital(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) }
}
