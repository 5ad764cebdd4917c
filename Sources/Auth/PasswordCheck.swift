// A password check that takes long: what the hash pool is given.

public import Crypto
internal import Primitives

/// Immutable; holds a copy of the password, wiped when the last reference goes.
public final class PasswordCheck: Sendable {
  /// Equal for checks that must have equal results: those in flight are joined on it. Also the code of the verified-credential cache.
  public let key: SHA256.Digest
  /// For the log: fit for it, or empty.
  public let loggedName: [UInt8]
  let name: [UInt8]
  let hash: PasswordHash
  /// Of a password that may be an API key: its digest, so that the log can say what was wrong with the key.
  let keyDigest: SHA256.Digest?
  /// Of whoever asked first; nil where nobody counts failures. Who joins an equal check has one of his own.
  public let attempt: LoginAttempt?
  private let password: Secret

  init(
    key: SHA256.Digest, name: Span<UInt8>, password: Span<UInt8>, hash: PasswordHash, keyDigest: SHA256.Digest? = nil,
    attempt: LoginAttempt? = nil
  ) {
    self.key = key
    self.attempt = attempt
    self.name = ASCII.array(name)
    loggedName = UserName.isLoggable(name) ? self.name : []
    self.hash = hash
    self.keyDigest = keyDigest
    self.password = Secret(copying: password)
  }

  /// The same password as tried from another place.
  func attempt(from client: ClientAddress, _ lockout: Lockout?) -> LoginAttempt? {
    guard let lockout else { return nil }
    let name = name
    return lockout.attempt(name.span, password, from: client)
  }

  /// Does the work: milliseconds to seconds, so never on a worker.
  public func run() -> Bool {
    hash.verify(password)
  }
}

extension PasswordCheck {
  /// What checks are joined and remembered by.
  public typealias Key = SHA256.Digest
}
