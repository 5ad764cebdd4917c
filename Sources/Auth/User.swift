// A user as the user file describes him.

public import Crypto
public import Primitives

/// Immutable: a changed file makes new users. Shared by every thread.
public final class User: Sendable {
  /// 1 to 255 bytes of UTF-8 without colon or control characters: fit for a header field as they are.
  public let name: [UInt8]
  /// In the order of the file.
  public let groups: [[UInt8]]
  /// The groups joined with commas, as the upstream is told them. Empty without groups.
  public let joinedGroups: [UInt8]
  /// nil for a user who has keys only (`*` or `!` in place of the hash).
  public let hash: PasswordHash?
  public let isLocked: Bool
  /// From this moment on nothing of his is accepted.
  public let expires: Timestamp?
  /// When he was added, if the file says so.
  public let created: Timestamp?
  public let keys: [APIKey]
  /// Line of the user file, from 1.
  public let line: Int

  init(
    name: [UInt8], groups: Groups, hash: PasswordHash?, isLocked: Bool, expires: Timestamp?, created: Timestamp?, keys: [APIKey],
    line: Int
  ) {
    self.name = name
    self.groups = groups.list
    joinedGroups = groups.joined
    self.hash = hash
    self.isLocked = isLocked
    self.expires = expires
    self.created = created
    self.keys = keys
    self.line = line
  }

  func isNamed(_ other: Span<UInt8>) -> Bool {
    ASCII.equals(name, other)
  }

  /// The hash as it stands in the file; nil for a user without one.
  public var storedHash: [UInt8]? { hash?.text }

  /// Whether anything of his may be accepted at `now`.
  public func isActive(at now: Timestamp) -> Bool { standing(at: now) == .active }

  func standing(at now: Timestamp) -> Standing {
    if isLocked { return .locked }
    if let expires, now >= expires { return .expired }
    return .active
  }

  enum Standing {
    case active
    case locked
    case expired
  }

  /// A value of `groups=`, read once and shared by all users who have the same.
  struct Groups {
    var list: [[UInt8]] = []
    var joined: [UInt8] = []
  }
}
