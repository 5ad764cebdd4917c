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

  /// Hashes `password`: takes as long as a login, so never on a worker. nil when it can't be stored (see `PasswordRules`).
  public func make(_ password: borrowing Secret) -> [UInt8]? {
    try? PasswordHash.make(kind, password: password)
  }
}
