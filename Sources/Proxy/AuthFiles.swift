// All files that authentication goes by: the user file, and the keys and revocations of tokens. Each is read again when it changes, on its own;
// one that can't be used leaves what it said before in force.

import Auth
import Primitives

/// Belongs to the main thread. What it holds is handed out whole, as a `Gatekeeper`; revocations take effect at once, by themselves.
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
  private var refusedPasswords = RefusedPasswords()
  private let refusedPath: String?
  private let userFile: UserDirectory
  private let groupFile: GroupDirectory
  private let groups = GroupsInForce()
  /// What a change of the groups is told with, once the users have been made anew.
  private var groupsNotice: String?
  private let tokens: TokenFiles?
  let issuerKeys: IssuerKeys

  /// - Parameter revocations: those in force, which outlive a reload.
  init(_ settings: Settings, revocations: Revocations) {
    userFile = UserDirectory(path: settings.usersPath, hashLimit: settings.limits.hashLimit, groups: groups)
    groupFile = GroupDirectory(path: settings.groupsPath)
    tokens = settings.tokens.map { TokenFiles($0, revocations) }
    issuerKeys = IssuerKeys(settings.issuers)
    refusedPath = settings.registration?.refusedPath
  }

  /// What there is to watch.
  var paths: [String] { [userFile.path, groupFile.path].compactMap { $0 } + (tokens?.paths ?? []) + issuerKeys.paths }

  /// Reads everything at a start or a reload: waits until it holds still. Throws when something can't be used. What is to be told is returned.
  ///
  /// - Parameter atHand: what the settings were judged by.
  func readSettled(_ atHand: FilesAtHand = FilesAtHand()) throws(ServerFailure) -> [String] {
    groups.file = try groupFile.readSettled(atHand: atHand.groups)
    // Users are made with the groups.
    let areGroupsAtHand = groupFile.path == nil ? atHand.groups == nil : groupFile.wasAtHand
    users = try userFile.readSettled(atHand: areGroupsAtHand ? atHand.users : nil)
    if let refusedPath { refusedPasswords = try Self.readRefused(refusedPath) }
    try issuerKeys.readSettled()
    return try tokens?.readSettled() ?? []
  }

  /// What was read is what counts from now on. (A reload that fails after `readSettled` changes nothing.)
  func takeEffect() {
    tokens?.takeEffect()
  }

  /// Whether some file looks other than at the end of the last reading: for changes that nobody tells.
  func looksChanged() -> Bool {
    userFile.looksChanged() || groupFile.looksChanged() || tokens?.looksChanged() == true || issuerKeys.looksChanged()
  }

  /// Looks once at each.
  func look() -> Look {
    var isChanging = false
    var notices: [String] = []
    var failures: [String] = []
    switch groupFile.look() {
    case .changing: isChanging = true
    case .unchanged: break
    case .value(let fresh):
      groups.file = fresh
      groupsNotice = "groups reloaded: \(fresh?.groupCount ?? 0) groups, \(fresh?.memberCount ?? 0) members"
      userFile.readAgain()
    case .failed(let reason): failures.append("\(reason); the groups before stay in force")
    }
    switch userFile.look() {
    case .changing: isChanging = true
    case .unchanged: break
    case .value(let fresh):
      users = fresh
      if let notice = groupsNotice {
        notices.append(notice)
        groupsNotice = nil
      }
      notices.append("users reloaded: \(fresh.users.count) users")
    case .failed(let reason): failures.append("\(reason); the users before stay in force")
    }
    if let tokens { isChanging = tokens.look(&notices, &failures) || isChanging }
    isChanging = issuerKeys.look(&notices, &failures) || isChanging
    if !notices.isEmpty || !failures.isEmpty { return .changed(notices: notices, failures: failures) }
    return isChanging ? .changing : .unchanged
  }

  /// The user file was written by ourselves: taken into use at once.
  func takeUsers(_ bytes: [UInt8], at path: String) -> Look {
    guard path == userFile.path else { return .unchanged }
    switch userFile.takeWritten(bytes) {
    case .changing: return .changing
    case .unchanged: return .unchanged
    case .value(let fresh):
      users = fresh
      return .changed(notices: [], failures: [])
    case .failed(let reason): return .changed(notices: [], failures: [reason])
    }
  }

  /// A list that changes once in years: read at a start or a reload, not watched.
  private static func readRefused(_ path: String) throws(ServerFailure) -> RefusedPasswords {
    do {
      let bytes = try DurableFile(path: path).read().bytes
      guard bytes.count <= RefusedPasswords.largest else { throw ServerFailure("has more than \(RefusedPasswords.largest) bytes") }
      return RefusedPasswords(parsing: bytes)
    } catch {
      throw ServerFailure("refused_passwords \(path): \(error)")
    }
  }

  func passwordRules(_ settings: Settings) -> PasswordRules? {
    settings.registration.map { PasswordRules(minimum: $0.minimumPassword, maker: $0.maker, refused: refusedPasswords) }
  }

  func makeGatekeeper(_ settings: Settings, cache: VerifiedCache, keyUses: KeyUses, lockout: Lockout?) -> Gatekeeper {
    Gatekeeper(
      users: users, cache: cache, options: settings.gatekeeper, tokens: tokens?.authority, foreignTokens: issuerKeys.tokens,
      lockout: lockout, keyUses: keyUses)
  }
}
