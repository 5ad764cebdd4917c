// What a configuration was judged by, handed on: the files of users and groups are taken apart once at a start or a reload, not twice.

public import Auth

/// A file's bytes, and what they came to.
public struct FileAtHand<Value: Sendable>: Sendable {
  public var bytes: [UInt8]
  public var value: Value

  public init(bytes: [UInt8], value: Value) {
    self.bytes = bytes
    self.value = value
  }
}

/// What was read to judge `Settings`. The server still reads every file itself, when it holds still; where it then finds the very same bytes,
/// it takes what they came to. To be let go of soon: a million users are 60 MB of text.
public struct FilesAtHand: Sendable {
  public var groups: FileAtHand<GroupFile?>?
  /// Made with the group file above (or with none, where there is none), the hash limit of the settings, and `DecoySeed.ofThisMachine`.
  public var users: FileAtHand<UserTable>?

  public init() {}
}
