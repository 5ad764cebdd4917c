// What a route asks of whoever wants through.

/// Names are compared byte by byte: `String` would take two spellings of the same letters for one name.
public enum Requirement: Equatable, Sendable {
  /// Anybody, with or without credentials, which are not looked at. Has to be written in the configuration.
  case nobody
  /// Any user who can prove it.
  case validUser
  /// One of these users, or a member of one of these groups. With both empty nobody is let through.
  case anyOf(users: Set<[UInt8]>, groups: Set<[UInt8]>)

  /// The same from text, as the configuration has it.
  public static func anyOf(users: [String] = [], groups: [String] = []) -> Requirement {
    .anyOf(users: Set(users.map { Array($0.utf8) }), groups: Set(groups.map { Array($0.utf8) }))
  }

  /// Whether an authenticated `user` is let through.
  func permits(_ user: User) -> Bool {
    switch self {
    case .nobody, .validUser:
      return true
    case .anyOf(let users, let groups):
      if !users.isEmpty && users.contains(user.name) { return true }
      if groups.isEmpty { return false }
      for group in user.groups where groups.contains(group) { return true }
      return false
    }
  }
}
