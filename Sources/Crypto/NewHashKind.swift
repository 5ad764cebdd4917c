// The kinds that new hashes are made of, and what `--cost` means for each.

extension PasswordHash {
  /// `bcrypt` is for files shared with Apache, `sha512` and `sha256` for those shared with old systems, `pbkdf2-sha256` (passlib's
  /// spelling) where nothing else is approved.
  public enum NewKind: String, CaseIterable, Sendable {
    case yescrypt
    case argon2id
    case bcrypt
    case sha512
    case sha256
    case scrypt
    case pbkdf2 = "pbkdf2-sha256"

    /// What `cost` means for the kind, and its range.
    public var costRange: ClosedRange<UInt> {
      switch self {
      case .yescrypt, .argon2id: 1...11  // memory is 2^(cost - 1) MiB
      case .bcrypt: 4...17  // log2 of rounds
      case .sha512, .sha256: 1000...10_000_000  // rounds
      case .scrypt: 6...11  // memory is 2^(cost - 1) MiB
      case .pbkdf2: 1000...10_000_000  // iterations
      }
    }

    /// About 20 to 250 ms of one core of a server of 2022, for a password of ordinary length.
    public var defaultCost: UInt {
      switch self {
      case .yescrypt: 5
      case .argon2id: 7
      case .bcrypt: 12
      case .sha512, .sha256: 100_000
      case .scrypt: 7
      // OWASP's recommendation of 2023.
      case .pbkdf2: 600_000
      }
    }

    /// In words, for help and docs.
    public var costMeaning: StaticString {
      switch self {
      case .yescrypt, .argon2id, .scrypt: "memory of 2^(N-1) MiB"
      case .bcrypt: "2^N rounds"
      case .sha512, .sha256: "N rounds"
      case .pbkdf2: "N iterations"
      }
    }

    /// A hash that nobody has a password for, of the kind, cost and expense that `make` would give. nil when the cost is out of range.
    public func specimen(cost: UInt? = nil) -> PasswordHash? {
      let cost = cost ?? defaultCost
      guard costRange.contains(cost), let text = specimenText(cost) else { return nil }
      return try? PasswordHash(parsing: text.span)
    }

    private func specimenText(_ cost: UInt) -> [UInt8]? {
      let digest = [UInt8](repeating: 0, count: 32)
      switch scheme {
      case .libcrypt(let prefix, let length, let mark):
        guard let setting = Crypt.setting(prefix: prefix, cost: cost) else { return nil }
        return setting + (mark ? [0x24] : []) + [UInt8](repeating: 0x2E, count: length)
      case .argon2: return Argon2.Parameters(newCost: cost).text(salt: RandomBytes.array(16), digest: digest)
      case .pbkdf2: return PBKDF2.text(.pbkdf2SHA256, iterations: cost, salt: RandomBytes.array(16), digest: digest)
      }
    }

    /// How it is made.
    enum Scheme {
      /// crypt_gensalt(3)'s prefix, characters of the digest, and whether a `$` stands before it that the setting does not have.
      case libcrypt(prefix: StaticString, digest: Int, mark: Bool)
      case argon2
      case pbkdf2
    }

    var scheme: Scheme {
      switch self {
      case .yescrypt: .libcrypt(prefix: "$y$", digest: PasswordHashParser.longDigest, mark: true)
      case .bcrypt: .libcrypt(prefix: "$2y$", digest: 31, mark: false)
      case .sha512: .libcrypt(prefix: "$6$", digest: 86, mark: true)
      case .sha256: .libcrypt(prefix: "$5$", digest: PasswordHashParser.longDigest, mark: true)
      case .scrypt: .libcrypt(prefix: "$7$", digest: PasswordHashParser.longDigest, mark: true)
      case .argon2id: .argon2
      case .pbkdf2: .pbkdf2
      }
    }
  }
}

extension Argon2.Parameters {
  /// Three passes over 2^(cost - 1) MiB in one lane: at cost 7 RFC 9106's second recommendation (section 4), but for the lanes, since a
  /// login takes one core here.
  init(newCost cost: UInt) {
    self.init(memory: 1024 << UInt32(cost - 1), passes: 3, lanes: 1)
  }

  /// As a PHC string of argon2id.
  func text(salt: [UInt8], digest: [UInt8]) -> [UInt8] {
    Array("$argon2id$v=\(version)$m=\(memory),t=\(passes),p=\(lanes)$".utf8) + UnpaddedBase64.encode(salt.span, .standard) + [0x24]
      + UnpaddedBase64.encode(digest.span, .standard)
  }
}

extension PBKDF2 {
  /// In passlib's spelling.
  static func text(_ kind: PasswordHash.Kind, iterations: UInt, salt: [UInt8], digest: [UInt8]) -> [UInt8] {
    Array("$\(kind.name)$\(iterations)$".utf8) + UnpaddedBase64.encode(salt.span, .dotted) + [0x24]
      + UnpaddedBase64.encode(digest.span, .dotted)
  }
}
