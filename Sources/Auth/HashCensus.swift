// How many users have which kind of hash, in words: for `check` and for whoever may not name Crypto's types.

internal import Crypto

extension UserTable {
  /// The kinds of hash in use with the number of their users, in `PasswordHash.Kind`'s order.
  public var hashCensus: [(kind: StaticString, users: Int)] {
    PasswordHash.Kind.allCases.compactMap { kind in
      countsByKind[kind].map { (kind: kind.name, users: $0) }
    }
  }
}
