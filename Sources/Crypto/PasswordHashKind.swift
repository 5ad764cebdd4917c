// The kinds of stored hashes, and what a check of one costs as a key: what may be told apart by time, and what may not.

extension PasswordHash {
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
    /// RFC 9106, as PHC string or in Django's spelling.
    case argon2id
    case argon2i
    case argon2d
    /// RFC 8018 with HMAC-SHA-1, in the spellings of passlib, Django and Werkzeug.
    case pbkdf2SHA1
    case pbkdf2SHA256
    case pbkdf2SHA512
    /// RFC 7914, in the spellings of passlib, Django and Werkzeug.
    case scrypt

    /// The name that people know it by.
    public var name: StaticString {
      switch self {
      case .bcrypt: "bcrypt"
      case .sha256crypt: "sha256-crypt"
      case .sha512crypt: "sha512-crypt"
      case .yescrypt: "yescrypt"
      case .scrypt7: "scrypt $7$"
      case .md5crypt: "md5-crypt"
      case .apr1: "apr1"
      case .sha1: "{SHA}"
      case .saltedSHA1: "{SSHA}"
      case .plain: "{PLAIN}"
      case .argon2id: "argon2id"
      case .argon2i: "argon2i"
      case .argon2d: "argon2d"
      case .pbkdf2SHA1: "pbkdf2-sha1"
      case .pbkdf2SHA256: "pbkdf2-sha256"
      case .pbkdf2SHA512: "pbkdf2-sha512"
      case .scrypt: "scrypt"
      }
    }

    /// Who computes it.
    enum Family {
      /// crypt_r(3): the text itself is the setting.
      case libcrypt
      case apr1
      /// One digest or none: no work at all.
      case quick
      case argon2
      case pbkdf2
      case scrypt
    }

    var family: Family {
      switch self {
      case .bcrypt, .sha256crypt, .sha512crypt, .yescrypt, .scrypt7, .md5crypt: .libcrypt
      case .apr1: .apr1
      case .sha1, .saltedSHA1, .plain: .quick
      case .argon2id, .argon2i, .argon2d: .argon2
      case .pbkdf2SHA1, .pbkdf2SHA256, .pbkdf2SHA512: .pbkdf2
      case .scrypt: .scrypt
      }
    }

    /// Whether a stolen hash of this kind gives its password away soon: what `check` warns about.
    public var isWeak: Bool {
      switch self {
      case .md5crypt, .apr1, .sha1, .saltedSHA1, .plain: true
      default: false
      }
    }

    /// Whether one check takes long enough (0.1 ms to seconds) that no thread which serves others may do it.
    public var isCostly: Bool { family != .quick }
  }

  /// What one check costs: two hashes with equal costs can't be told apart by time.
  public struct Cost: Hashable, Comparable, Sendable {
    public var kind: Kind
    /// bcrypt: the cost (log2 of its rounds); SHA-crypt: rounds; yescrypt and `$7$`: the text of the parameters, six bits a character;
    /// argon2, PBKDF2 and scrypt: their parameters, packed; others 0.
    var parameter: UInt128

    /// For people and tests, such as `bcrypt 12`. Different for different costs.
    public var label: String {
      switch kind {
      case .bcrypt, .sha256crypt, .sha512crypt, .pbkdf2SHA1, .pbkdf2SHA256, .pbkdf2SHA512: "\(kind.name) \(parameter)"
      case .yescrypt, .scrypt7: "\(kind.name) \(PasswordHash.unpack(parameter))"
      case .md5crypt, .apr1, .sha1, .saltedSHA1, .plain: "\(kind.name)"
      case .argon2id, .argon2i, .argon2d: "\(kind.name) \(Argon2.Parameters(packed: parameter).label)"
      case .scrypt: "\(kind.name) \(Scrypt.Parameters(packed: parameter).label)"
      }
    }

    public static func < (a: Cost, b: Cost) -> Bool {
      (a.kind.rawValue, a.parameter) < (b.kind.rawValue, b.parameter)
    }
  }
}
