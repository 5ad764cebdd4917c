// New hashes, for the commands that set a password.

public import Primitives

extension PasswordHash {
  /// The kinds that new hashes are made of. `bcrypt` is for files shared with Apache, `sha512crypt` for those shared with old systems.
  public enum NewKind: String, CaseIterable, Sendable {
    case yescrypt
    case bcrypt
    case sha512 = "sha512"
    case sha256 = "sha256"
    case scrypt

    /// What `cost` means for the kind, and its range.
    public var costRange: ClosedRange<UInt> {
      switch self {
      case .yescrypt: 1...11  // log2 of memory, roughly: 5 is 16 MiB
      case .bcrypt: 4...17  // log2 of rounds
      case .sha512, .sha256: 1000...10_000_000  // rounds
      case .scrypt: 6...11  // log2 of memory, as for yescrypt
      }
    }

    /// About 50 to 250 ms of one core of a server of 2022.
    public var defaultCost: UInt {
      switch self {
      case .yescrypt: 5
      case .bcrypt: 12
      case .sha512, .sha256: 100_000
      case .scrypt: 7
      }
    }

    var prefix: StaticString {
      switch self {
      case .yescrypt: "$y$"
      case .bcrypt: "$2y$"
      case .sha512: "$6$"
      case .sha256: "$5$"
      case .scrypt: "$7$"
      }
    }
  }

  /// Hashes `password` anew: takes as long as a login. `cost` nil is the kind's default.
  ///
  /// The password must be storable: 1 to `longestPassword` bytes of UTF-8 without control characters (RFC 7617 section 2 lets no client
  /// send others), and for bcrypt at most 72 bytes, because it would ignore the rest.
  public static func make(
    _ kind: NewKind = .yescrypt, cost: UInt? = nil, password: borrowing Secret
  ) throws(PasswordHashFailure) -> [UInt8] {
    let password = password.span
    guard password.count > 0 else { throw PasswordHashFailure("can't be made: the password is empty") }
    guard password.count <= longestPassword else {
      throw PasswordHashFailure("can't be made: the password has more than \(longestPassword) bytes")
    }
    for i in password.indices where ASCII.isControl(password[i]) {
      throw PasswordHashFailure("can't be made: the password holds a control character, which no client can send")
    }
    if kind == .bcrypt && password.count > 72 {
      throw PasswordHashFailure("can't be made: bcrypt looks at 72 bytes only, and the password has more")
    }
    let cost = cost ?? kind.defaultCost
    guard kind.costRange.contains(cost) else {
      throw PasswordHashFailure(
        "can't be made: cost \(cost) is outside \(kind.costRange.lowerBound) to \(kind.costRange.upperBound) for \(kind.rawValue)")
    }
    guard let setting = Crypt.setting(prefix: kind.prefix, cost: cost), let text = Crypt.hash(password, setting: setting) else {
      throw PasswordHashFailure("can't be made: libcrypt refused \(kind.rawValue) with cost \(cost)")
    }
    return text
  }
}
