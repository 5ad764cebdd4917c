// What one check of a stored hash takes of a processor and of memory: an estimate from its parameters alone, never a measurement of the
// machine at hand, so that one file means the same everywhere.

public import Primitives

extension PasswordHash {
  /// By the rates below, for the longest password: who guesses chooses that, and SHA-crypt and md5-crypt take seven times as long for one
  /// of 511 bytes as for one of 16. The others don't care.
  public struct Expense: Equatable, Sendable {
    /// Of one core.
    public var time: Interval
    /// Bytes. 0 where it is a few KiB at most.
    public var memory: UInt64

    init(nanoseconds: UInt128, memory: UInt128 = 0) {
      time = Interval(nanoseconds: UInt64(clamping: nanoseconds))
      self.memory = UInt64(clamping: memory)
    }

    /// How much a guesser has to spend for one guess, as a single number: memory that is held for a time costs both. Kinds without memory
    /// count as one KiB.
    var product: UInt128 { UInt128(time.nanoseconds) * UInt128(max(memory, 1024)) }
  }

  /// Nothing beyond this is read at all, whatever is configured: a minute, 4 GiB.
  public static let greatestExpense = Expense(nanoseconds: 60_000_000_000, memory: 4 << 30)

  /// Nanoseconds of one core of an AMD EPYC (a virtual one, in November 2026; libcrypt 4.4.33, OpenSSL 3.0.22 and libargon2 20171227 of
  /// Debian 12), rounded up from what is said to have been measured.
  enum Rate {
    /// Each of the 2^cost rounds: 46,900 to 49,900.
    static let bcrypt: UInt128 = 50_000
    /// Each round: 3091 (16 bytes of password: 460).
    static let sha256Crypt: UInt128 = 3100
    /// Each round: 2541 (16 bytes: 466).
    static let sha512Crypt: UInt128 = 2600
    /// All 1000 rounds of md5-crypt and apr1: 1,507,000 (16 bytes: 174,000).
    static let md5Crypt: UInt128 = 2_000_000
    /// Each block of 128 bytes (N × r of them): 124 to 147.
    static let yescrypt: UInt128 = 150
    /// Each block of 128 bytes (N × r × p): 354 to 376, as libcrypt does it.
    static let scrypt7: UInt128 = 400
    /// Each block of 128 bytes (N × r × p): 199 (1 MiB) to 306 (128 MiB), as OpenSSL does it.
    static let scrypt: UInt128 = 300
    /// Each KiB in each pass: 380 (256 KiB) to 1050 (64 MiB), the three variants alike.
    static let argon2: UInt128 = 1000
    /// Each iteration: 194, or 260 where the processor has no instructions for SHA.
    static let pbkdf2SHA1: UInt128 = 300
    /// Each iteration: 204 to 210, or 393 without such instructions.
    static let pbkdf2SHA256: UInt128 = 400
    /// Each iteration: 432 to 489.
    static let pbkdf2SHA512: UInt128 = 500
  }
}

extension PasswordHash.Expense {
  static let none = Self(nanoseconds: 0)

  static func bcrypt(cost: UInt64) -> Self { Self(nanoseconds: PasswordHash.Rate.bcrypt << UInt128(cost)) }

  static func shaCrypt(_ kind: PasswordHash.Kind, rounds: UInt64) -> Self {
    Self(nanoseconds: (kind == .sha256crypt ? PasswordHash.Rate.sha256Crypt : PasswordHash.Rate.sha512Crypt) * UInt128(rounds))
  }

  static let md5Crypt = Self(nanoseconds: PasswordHash.Rate.md5Crypt)

  static func yescrypt(logN: UInt64, r: UInt64) -> Self {
    let blocks = UInt128(r) << UInt128(logN)
    return Self(nanoseconds: blocks * PasswordHash.Rate.yescrypt, memory: blocks * 128)
  }

  static func scrypt7(logN: UInt64, r: UInt64, p: UInt64) -> Self {
    let blocks = UInt128(r) << UInt128(logN)
    return Self(nanoseconds: blocks * UInt128(p) * PasswordHash.Rate.scrypt7, memory: blocks * 128 + UInt128(r) * UInt128(p - 1) * 128)
  }

  static func argon2(_ parameters: Argon2.Parameters) -> Self {
    let memory = UInt128(parameters.memory)
    return Self(nanoseconds: memory * UInt128(parameters.passes) * PasswordHash.Rate.argon2, memory: memory * 1024)
  }

  static func pbkdf2(_ kind: PasswordHash.Kind, iterations: UInt64) -> Self {
    let rate =
      switch kind {
      case .pbkdf2SHA512: PasswordHash.Rate.pbkdf2SHA512
      case .pbkdf2SHA256: PasswordHash.Rate.pbkdf2SHA256
      default: PasswordHash.Rate.pbkdf2SHA1
      }
    return Self(nanoseconds: UInt128(iterations) * rate)
  }

  static func scrypt(_ parameters: Scrypt.Parameters) -> Self {
    let (r, p) = (UInt128(parameters.blockSize), UInt128(parameters.parallelism))
    let blocks = r << UInt128(parameters.logN)
    return Self(nanoseconds: blocks * p * PasswordHash.Rate.scrypt, memory: blocks * 128 + r * (p - 1) * 128)
  }
}
