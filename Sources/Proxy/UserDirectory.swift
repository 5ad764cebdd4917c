// The user file as a file that is looked at again and again.

public import Auth
import Primitives

typealias UserDirectory = SettledFile<UserTable>

extension SettledFile<UserTable> {
  /// - Parameters:
  ///   - hashLimit: what a check of a user's hash may cost.
  ///   - groups: those in force, added to the ones that the file names. Whoever changes them has the file read again.
  convenience init(path: String?, hashLimit: HashLimit = .standard, groups: GroupsInForce = GroupsInForce()) {
    self.init("users", path: path, none: UserTable()) { bytes, _ in
      try UserTable(parsing: bytes, seed: .ofThisMachine, limit: hashLimit, groups: groups.file)
    }
  }
}

/// The group file as it was last read; users are made with it. Belongs to the main thread.
final class GroupsInForce {
  var file: GroupFile?
}

typealias GroupDirectory = SettledFile<GroupFile?>

extension SettledFile<GroupFile?> {
  convenience init(path: String?) {
    self.init("groups", path: path, none: nil) { bytes, _ in try GroupFile(parsing: bytes) }
  }
}

extension DecoySeed {
  /// What chooses the decoy for a name that isn't there. The same after a restart, where the machine has an identity (machine-id(5)): otherwise
  /// names whose answers take another time than before the restart would be known for names of nobody. Not to be told to anybody.
  public static let ofThisMachine: DecoySeed = {
    guard let machine = try? UserFile(path: "/etc/machine-id").read().bytes, machine.count >= 32 else { return .ofThisProcess }
    return DecoySeed((Array("gatehouse decoys ".utf8) + machine).span)
  }()
}
