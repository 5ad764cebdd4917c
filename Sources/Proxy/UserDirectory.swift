// Reads the user file when it holds still. `htpasswd` truncates it and writes it anew in place: a reader that looks in that instant would see
// no users, or half of them.

import Auth
import Glibc
import Primitives

/// The user file, looked at again and again. Belongs to the main thread.
final class UserDirectory {
  /// What became of a look.
  enum Look {
    /// It is being written, or was a moment ago: look again after `settleTime`.
    case changing
    /// It is what was last read.
    case unchanged
    case table(UserTable)
    /// Why it can't be used. What was read before should stay in force.
    case failed(String)
  }

  /// How long a file must hold still.
  static let settleTime = Interval.milliseconds(100)
  /// Looks at a file that is missing, torn or never still before it is given up: 3 s.
  private static let patience = 30

  /// The file's path, or nil when there is none, which makes an empty table.
  var path: String?
  /// Read at the look before; used when it is still the same at the next.
  private var candidate: FileReading?
  private var inForce: FileLook?
  /// What it looked like when it was last taken, or given up; nil when it was not there.
  private var lastSeen: FileLook?
  private var looks = 0

  init(path: String?) {
    self.path = path
  }

  /// What chooses the decoy for a name that isn't there. The same after a restart, where the machine has an identity (machine-id(5)): otherwise
  /// names whose answers take another time than before the restart would be known for names of nobody. Not to be told to anybody.
  private static let decoySeed: DecoySeed = {
    guard let machine = try? UserFile(path: "/etc/machine-id").read().bytes, machine.count >= 32 else { return .ofThisProcess }
    return DecoySeed((Array("gatehouse decoys ".utf8) + machine).span)
  }()

  /// Whether the file looks other than at the end of the last reading. One stat(2): for the changes that nobody tells us, such as those of
  /// a network file system, or of a file that we may not read.
  func looksChanged() -> Bool {
    guard let path else { return false }
    return (try? UserFile(path: path).look()) != lastSeen
  }

  /// Looks once.
  func look() -> Look {
    guard let path else { return .unchanged }
    let file = UserFile(path: path)
    do throws(UserFileError) {
      let now = try file.look()
      if now == inForce {
        candidate = nil
        looks = 0
        lastSeen = now
        return .unchanged
      }
      guard let reading = candidate, reading.settling(at: now) == .settled else {
        let isUnfinished = candidate?.settling(at: now) == .unfinished
        candidate = try file.read()
        return isUnfinished
          ? wait("users \(path): the last line has no end; is it being written, or was it cut short?")
          : wait("users \(path): it keeps changing")
      }
      if reading.bytes.isEmpty && inForce != nil && looks < Self.patience {
        // Truncated, to be written anew? The last user's removal looks the same, so it takes effect, but not at once.
        looks += 1
        return .changing
      }
      return take(reading, path)
    } catch {
      // A rename leaves no gap, but a removal before a copy does.
      candidate = nil
      return wait("users \(error)")
    }
  }

  /// Reads the file at a start or a reload: waits until it holds still.
  func readSettled() throws(ServerFailure) -> UserTable {
    guard path != nil else { return UserTable() }
    inForce = nil
    candidate = nil
    looks = 0
    while true {
      switch look() {
      case .table(let table): return table
      case .failed(let reason): throw ServerFailure(reason)
      case .unchanged, .changing: usleep(UInt32(Self.settleTime.nanoseconds / 1000))
      }
    }
  }

  private func wait(_ reason: String) -> Look {
    looks += 1
    if looks < Self.patience { return .changing }
    looks = 0
    // Given up until the file changes again.
    lastSeen = path.flatMap { try? UserFile(path: $0).look() }
    return .failed(reason)
  }

  private func take(_ reading: FileReading, _ path: String) -> Look {
    candidate = nil
    looks = 0
    // Also when it can't be used: it is not to be tried again until it changes.
    inForce = reading.look
    lastSeen = reading.look
    do throws(UserFileFault) {
      return .table(try UserTable(parsing: reading.bytes, seed: Self.decoySeed))
    } catch {
      return .failed("users \(path): \(error)")
    }
  }
}
