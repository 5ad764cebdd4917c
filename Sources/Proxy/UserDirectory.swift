// The user file as a file that is looked at again and again.

import Auth
import Primitives

typealias UserDirectory = SettledFile<UserTable>

extension SettledFile<UserTable> {
  /// - Parameter hashLimit: what a check of a user's hash may cost.
  convenience init(path: String?, hashLimit: HashLimit = .standard) {
    self.init("users", path: path, none: UserTable()) { bytes, _ in
      try UserTable(parsing: bytes, seed: decoySeed, limit: hashLimit)
    }
  }
}

/// What chooses the decoy for a name that isn't there. The same after a restart, where the machine has an identity (machine-id(5)): otherwise
/// names whose answers take another time than before the restart would be known for names of nobody. Not to be told to anybody.
private let decoySeed: DecoySeed = {
  guard let machine = try? UserFile(path: "/etc/machine-id").read().bytes, machine.count >= 32 else { return .ofThisProcess }
  return DecoySeed((Array("gatehouse decoys ".utf8) + machine).span)
}()
