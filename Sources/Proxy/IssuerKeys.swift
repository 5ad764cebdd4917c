// The key files of the issuers whose tokens are accepted (`jwt` blocks), each read again when it changes, on its own.

import Auth
import Primitives

/// Belongs to the main thread. What it holds is handed out whole, as `ForeignTokens`.
final class IssuerKeys {
  private let issuers: [ForeignIssuer]
  private let files: [SettledFile<ForeignKeySet?>]
  private var sets: [ForeignKeySet] = []
  /// nil without issuers. A new one whenever a key changed: what was verified by the old keys is verified anew.
  private(set) var tokens: ForeignTokens?

  init(_ issuers: [ForeignIssuer]) {
    self.issuers = issuers
    files = issuers.map { issuer in
      SettledFile(Self.subject(issuer), path: issuer.keyPath, endsWithLine: false, none: nil) { bytes, _ in
        try ForeignKeySet(parsing: bytes, issuer.keyFormat, for: issuer.algorithms)
      }
    }
  }

  private static func subject(_ issuer: ForeignIssuer) -> String { "keys of \(issuer.label):" }

  var paths: [String] { files.compactMap(\.path) }

  /// What of the files is not used.
  var warnings: [String] {
    zip(issuers, sets).flatMap { issuer, set in set.warnings.map { "\(Self.subject(issuer)) \(issuer.keyPath): \($0)" } }
  }

  /// Reads everything at a start or a reload. Throws when something can't be used.
  func readSettled() throws(ServerFailure) {
    var sets: [ForeignKeySet] = []
    for file in files {
      guard let set = try file.readSettled() else { continue }
      sets.append(set)
    }
    self.sets = sets
    make()
  }

  func looksChanged() -> Bool { files.contains { $0.looksChanged() } }

  /// Looks once at each. True when one is being written, or was a moment ago. What could be used is in force then.
  func look(_ notices: inout [String], _ failures: inout [String]) -> Bool {
    var isChanging = false
    for (index, file) in files.enumerated() {
      let subject = Self.subject(issuers[index])
      switch file.look() {
      case .changing: isChanging = true
      case .unchanged: break
      case .value(let set):
        guard let set else { continue }
        sets[index] = set
        make()
        notices.append("\(subject) reloaded: \(set.summary)")
        failures += set.warnings.map { "\(subject) \(issuers[index].keyPath): \($0)" }
      case .failed(let reason): failures.append("\(reason); the keys before stay in force")
      }
    }
    return isChanging
  }

  private func make() {
    tokens = sets.isEmpty ? nil : ForeignTokens(zip(issuers, sets).map { ForeignTokens.Trusted($0, $1) })
  }
}
