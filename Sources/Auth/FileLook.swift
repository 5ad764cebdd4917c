// What a file looked like from outside at one moment, and whether it has stopped changing.

public import Primitives

public struct FileLook: Equatable, Sendable {
  public var device: UInt64
  public var inode: UInt64
  /// Bytes.
  public var size: Int64
  /// Nanoseconds since 1970: of the last change to the contents, and of the last to anything.
  public var modified: Int64
  public var changed: Int64
  /// Permission bits.
  public var mode: UInt32
  public var owner: UInt32
  public var group: UInt32

  public init(
    device: UInt64, inode: UInt64, size: Int64, modified: Int64, changed: Int64, mode: UInt32, owner: UInt32, group: UInt32
  ) {
    self.device = device
    self.inode = inode
    self.size = size
    self.modified = modified
    self.changed = changed
    self.mode = mode
    self.owner = owner
    self.group = group
  }

  /// Whether it was last changed so long ago that nobody can be in the middle of writing it: 3 s, since some file systems keep whole seconds
  /// (FAT two), and the clock of a file server is not ours. One that is said to change in the future is not old.
  public func isOld(at now: Timestamp) -> Bool {
    let age = now.microseconds.subtractingReportingOverflow(max(modified, changed) / 1000)
    return !age.overflow && age.partialValue >= Self.old
  }

  /// Microseconds.
  private static let old: Int64 = 3_000_000

  /// Everybody on the machine may read it: the hashes in it are worth a warning.
  public var isWorldReadable: Bool { mode & 0o004 != 0 }
  /// Everybody may write it: anybody can make himself a user.
  public var isWorldWritable: Bool { mode & 0o002 != 0 }
}

/// The bytes of a file, and the look taken at it before they were read.
public struct FileReading: Sendable {
  public var bytes: [UInt8]
  public var look: FileLook

  public init(bytes: [UInt8], look: FileLook) {
    self.bytes = bytes
    self.look = look
  }

  public enum Settling: Equatable, Sendable {
    /// Use the bytes.
    case settled
    /// It changed between the looks: read again.
    case changing
    /// Its last line does not end: somebody is in the middle of writing it, or it was cut short. Wait for the next change.
    case unfinished
  }

  /// Whether the bytes may be used, by a second look taken a while (100 ms) after the first.
  ///
  /// `htpasswd` empties the file and writes it anew in place; between the two there is an empty file, and then a torn one. So the file has
  /// to be the same one, of the same size and age, at both looks, and its last line has to end.
  ///
  /// - Parameter endsWithLine: whether the last line has to end. Not so for files that others write and that show by themselves whether they
  ///   are whole, such as JSON.
  public func settling(at later: FileLook, endsWithLine: Bool = true) -> Settling {
    if look != later || look.size != Int64(bytes.count) { return .changing }
    if endsWithLine, let last = bytes.last, last != 0x0A { return .unfinished }
    return .settled
  }
}
