// The two files that signed tokens go by: their keys, and the revocations beside them.

import Auth
import Primitives

/// Belongs to the main thread.
final class TokenFiles {
  private let options: TokenOptions
  private let revocations: Revocations
  private let keyFile: SettledFile<TokenKeys?>
  private let revokedFile: SettledFile<RevocationList>
  /// nil until they were read.
  private var keys: TokenKeys?
  private var revoked = RevocationList()

  init(_ options: TokenOptions, _ revocations: Revocations) {
    self.options = options
    self.revocations = revocations
    keyFile = SettledFile("token keys", path: options.keysPath, none: nil) { bytes, path in
      try TokenKeyFile(path: path).checkMode()
      return try TokenKeys(parsing: bytes)
    }
    // Without the file nothing was ever revoked; the first revocation makes it.
    revokedFile = SettledFile("revoked tokens", path: options.revokedPath, mayBeMissing: true, none: RevocationList()) { bytes, _ in
      try RevocationList(parsing: bytes)
    }
  }

  var paths: [String] { [options.keysPath, options.revokedPath] }

  /// Makes the keys at the first start. Throws when something can't be used: tokens that may have been revoked are not let in unseen.
  func readSettled() throws(ServerFailure) -> [String] {
    var notices: [String] = []
    let file = TokenKeyFile(path: options.keysPath)
    do {
      if try file.makeIfMissing(at: .now()) { notices.append("made the keys of tokens: \(options.keysPath)") }
    } catch {
      throw ServerFailure(
        "the keys of tokens can't be made: \(error); make them as one who can (gatehouse token keys rotate), for this user to read")
    }
    keys = try keyFile.readSettled()
    revoked = try revokedFile.readSettled()
    return notices
  }

  func takeEffect() {
    revocations.replace(with: revoked, at: .now())
  }

  func looksChanged() -> Bool { keyFile.looksChanged() || revokedFile.looksChanged() }

  /// Looks once at each. True when something is being written.
  func look(_ notices: inout [String], _ failures: inout [String]) -> Bool {
    var isChanging = false
    // First what shuts out: a revocation does not wait for a gatekeeper.
    switch revokedFile.look() {
    case .changing: isChanging = true
    case .unchanged: break
    case .value(let fresh):
      revoked = fresh
      takeEffect()
      notices.append("revoked tokens reloaded: \(fresh.count) entries")
    case .failed(let reason): failures.append("\(reason); the revocations before stay in force")
    }
    switch keyFile.look() {
    case .changing: isChanging = true
    case .unchanged: break
    case .value(let fresh):
      keys = fresh
      notices.append("token keys reloaded: \(fresh?.keys.count ?? 0) keys")
    case .failed(let reason): failures.append("\(reason); the keys before stay in force")
    }
    return isChanging
  }

  var authority: TokenAuthority? {
    keys.map { TokenAuthority(options: options, keys: $0, revocations: revocations) }
  }
}
