// Whether a file is there that closes routes. The main thread looks, once a second; workers read what it found.

import Net
import Synchronization

/// One file of `maintenance`, whichever routes go by it. The same object after a reload that leaves it.
final class MaintenanceSwitch: Sendable {
  let path: String
  private let state: Atomic<Bool>

  /// Looks at once: what is closed at the start serves nobody for a second either.
  init(path: String) {
    self.path = path
    state = Atomic(Self.isThere(path) ?? false)
  }

  var isOn: Bool { state.load(ordering: .relaxed) }

  /// True when it has changed.
  func look() -> Bool {
    // Where it can't be told, it stays as it was.
    guard let now = Self.isThere(path) else { return false }
    return state.exchange(now, ordering: .relaxed) != now
  }

  private static func isThere(_ path: String) -> Bool? { FileStatus.isThere(path) }
}
