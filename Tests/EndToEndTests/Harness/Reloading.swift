// Changes of the configuration while Gatehouse runs.

import Foundation
import Glibc

extension House {
  /// Has the configuration read again as `change` leaves it, and waits until it was taken. Workers may learn of it a moment later.
  func reload(_ change: (String) -> String) throws {
    let seen = gate.errorLines.count
    let before = try scratch.text("proxy.conf")
    let text = change(before)
    guard text != before else { throw Failure("the configuration is the same:\n\(text)") }
    try scratch.write(text, to: "proxy.conf")
    gate.child.signal(SIGHUP)
    try eventually("a reload") {
      gate.errorLines.dropFirst(seen).contains { $0.contains("gatehouse: reloaded: ") || $0.contains("reload: ") }
    }
    guard gate.errorLines.dropFirst(seen).contains(where: { $0.contains("gatehouse: reloaded: ") }) else {
      throw Failure("the configuration was not taken:\n\(gate.errorLines.dropFirst(seen))")
    }
  }

  func reload(_ old: String, becomes new: String) throws { try reload { $0.replacingOccurrences(of: old, with: new) } }
}
