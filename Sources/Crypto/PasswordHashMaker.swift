// New hashes, for the commands that set a password. Their kinds are NewHashKind's.

public import Primitives

extension PasswordHash {
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
    let made: [UInt8]?
    switch kind.scheme {
    case .libcrypt(let prefix, _, _):
      made = Crypt.setting(prefix: prefix, cost: cost).flatMap { Crypt.hash(password, setting: $0) }
    case .argon2:
      let parameters = Argon2.Parameters(newCost: cost)
      let salt = RandomBytes.array(16)
      made = Argon2.withDigest(.argon2id, parameters, password, salt: salt.span) { digest in
        digest.count == 0 ? nil : parameters.text(salt: salt, digest: ASCII.array(digest))
      }
    case .pbkdf2:
      let salt = RandomBytes.array(16)
      let length = PBKDF2.digestLength(.pbkdf2SHA256)
      made = PBKDF2.withDigest(.pbkdf2SHA256, iterations: UInt32(cost), password, salt: salt.span, length: length) { digest in
        digest.count == 0 ? nil : PBKDF2.text(.pbkdf2SHA256, iterations: cost, salt: salt, digest: ASCII.array(digest))
      }
    }
    guard let made else { throw PasswordHashFailure("can't be made: \(kind.rawValue) with cost \(cost) was refused, or the memory for it") }
    return made
  }
}
