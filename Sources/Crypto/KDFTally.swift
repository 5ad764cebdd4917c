// Counts password checks by cost, for the tests that hold the work for an unknown user against that for a known one.
// Time itself is never measured there: it would be right only most of the time.

internal import Synchronization

/// Nothing counts unless a test says `KDFTally.$current.withValue(tally)`.
package final class KDFTally: Sendable {
  @TaskLocal package static var current: KDFTally?
  /// Whether there has ever been one. To ask for the task's costs a hundred instructions with every password.
  private static let exists = Atomic(false)

  private let counts = Mutex<[PasswordHash.Cost: Int]>([:])

  package init() {
    Self.exists.store(true, ordering: .relaxed)
  }

  /// Counts where somebody counts.
  @inline(__always) static func note(_ cost: PasswordHash.Cost) {
    if exists.load(ordering: .relaxed) { current?.count(cost) }
  }

  private func count(_ cost: PasswordHash.Cost) {
    counts.withLock { $0[cost, default: 0] += 1 }
  }

  /// Checks by their cost's label, and forgets them.
  package func take() -> [String: Int] {
    counts.withLock { counts in
      let taken = Dictionary(uniqueKeysWithValues: counts.map { ($0.key.label, $0.value) })
      counts = [:]
      return taken
    }
  }
}
