// All files that authentication goes by: the user file and what stands beside it. Each is read again when it changes, on its own; one that
// can't be used leaves what it said before in force.

import Auth
import Primitives

/// Belongs to the main thread. What it holds is handed out whole, as a `Gatekeeper`.
final class AuthFiles {
  enum Look {
    /// Something is being written, or was a moment ago: look again after `FileSettling.time`.
    case changing
    /// All is as it was.
    case unchanged
    /// Something is new: make a gatekeeper. What to tell, and what could not be used.
    case changed(notices: [String], failures: [String])
  }

  private(set) var users = UserTable()
  private let userFile: UserDirectory
  let issuerKeys: IssuerKeys

  init(_ settings: Settings) {
    userFile = UserDirectory(path: settings.usersPath, hashLimit: settings.limits.hashLimit)
    issuerKeys = IssuerKeys(settings.issuers)
  }

  /// What there is to watch.
  var paths: [String] { [userFile.path].compactMap { $0 } + issuerKeys.paths }

  /// Reads everything at a start or a reload: waits until it holds still. Throws when something can't be used.
  func readSettled() throws(ServerFailure) {
    users = try userFile.readSettled()
    try issuerKeys.readSettled()
  }

  /// Whether some file looks other than at the end of the last reading: for changes that nobody tells.
  func looksChanged() -> Bool { userFile.looksChanged() || issuerKeys.looksChanged() }

  /// Looks once at each.
  func look() -> Look {
    var isChanging = false
    var notices: [String] = []
    var failures: [String] = []
    switch userFile.look() {
    case .changing: isChanging = true
    case .unchanged: break
    case .value(let fresh):
      users = fresh
      notices.append("users reloaded: \(fresh.users.count) users")
    case .failed(let reason): failures.append("\(reason); the users before stay in force")
    }
    isChanging = issuerKeys.look(&notices, &failures) || isChanging
    if !notices.isEmpty || !failures.isEmpty { return .changed(notices: notices, failures: failures) }
    return isChanging ? .changing : .unchanged
  }

  func makeGatekeeper(_ settings: Settings, cache: VerifiedCache) -> Gatekeeper {
    Gatekeeper(users: users, cache: cache, options: settings.gatekeeper, foreignTokens: issuerKeys.tokens)
  }
}
