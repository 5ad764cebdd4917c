// How a password that somebody sets over HTTP is stored. Of the same kinds as those of the command line; for rooms that don't see Crypto.

internal import Crypto
public import Primitives

public struct PasswordMaker: Equatable, Sendable {
  private let kind: PasswordHash.NewKind

  /// The kind that `user add` uses too.
  public static let standard = PasswordMaker(kind: .yescrypt)

  private init(kind: PasswordHash.NewKind) { self.kind = kind }

  /// By the name that `--hash` takes; nil when there is none such.
  public init?(named name: String) {
    guard let kind = PasswordHash.NewKind(rawValue: name) else { return nil }
    self.kind = kind
  }

  public static var names: [String] { PasswordHash.NewKind.allCases.map(\.rawValue) }

  public var name: String { kind.rawValue }

  /// Bytes of the longest password that all counts of: bcrypt ignores what is behind its 72nd byte.
  public var longest: Int { kind == .bcrypt ? 72 : PasswordLimits.longest }

  func isStronger(than hash: PasswordHash) -> Bool { hash.isWeaker(than: kind) }

  /// Hashes `password`: takes as long as a login, so never on a worker. nil when it can't be stored (see `PasswordRules`).
  public func make(_ password: borrowing Secret) -> [UInt8]? {
    try? PasswordHash.make(kind, password: password)
  }
}

extension User {
  /// Whether a new hash by `maker` would be harder to guess at; false for who has none.
  public func isHashWeaker(than maker: PasswordMaker) -> Bool { hash.map { maker.isStronger(than: $0) } ?? false }

  /// Whether a check of his password takes long, so that it is remembered.
  public var hasCostlyHash: Bool { hash?.isCostly ?? false }
}
