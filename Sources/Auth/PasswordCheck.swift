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
  private let password: Secret

  init(key: SHA256.Digest, name: Span<UInt8>, password: Span<UInt8>, hash: PasswordHash) {
    self.key = key
    self.name = ASCII.array(name)
    loggedName = UserName.isLoggable(name) ? self.name : []
    self.hash = hash
    self.password = Secret(copying: password)
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
