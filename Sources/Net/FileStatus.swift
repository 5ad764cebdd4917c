// Looking at files from outside: what a path leads to, what this process may do there, what a folder holds. Nothing is read or written.

internal import Glibc

/// What a path leads to, symbolic links followed (stat(2)).
public struct FileStatus: Equatable, Sendable {
  public var isFolder: Bool
  /// Neither a folder nor a pipe, socket or device.
  public var isRegular: Bool
  /// Bits of chmod(2).
  public var permissions: UInt32
  /// Bytes.
  public var size: Int64
  /// The same file under any name has both the same.
  public var device: UInt64
  public var inode: UInt64

  /// Looks at `path`; the error has errno.
  public init(path: String) throws(NetError) {
    var found = stat()
    guard unsafe stat(path, &found) == 0 else { throw .system(doing: "look at \(path)", errno: errno) }
    let kind = found.st_mode & S_IFMT
    isFolder = kind == S_IFDIR
    isRegular = kind == S_IFREG
    permissions = UInt32(found.st_mode & 0o7777)
    size = Int64(found.st_size)
    device = UInt64(found.st_dev)
    inode = UInt64(found.st_ino)
  }

  /// Whether something stands at `path` itself, be it a symbolic link that leads nowhere.
  public static func isLink(_ path: String) -> Bool {
    var found = stat()
    return unsafe lstat(path, &found) == 0 && found.st_mode & S_IFMT == S_IFLNK
  }

  /// Whether there is something at `path`, links followed; nil when that can't be told (no right to look, a disk that fails).
  public static func isThere(_ path: String) -> Bool? {
    var found = stat()
    if unsafe stat(path, &found) == 0 { return true }
    return errno == ENOENT || errno == ENOTDIR ? false : nil
  }

  /// Whether this process may read what is at `path` (access(2)).
  public static func mayRead(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }

  /// Whether this process may write what is at `path`: a file, or what is in a folder.
  public static func mayWrite(_ path: String) -> Bool { unsafe access(path, W_OK) == 0 }

  /// The names in a folder, in no order; none when it can't be listed.
  public static func names(in folder: String) -> [String] {
    guard let listing = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(listing) }
    var names: [String] = []
    while let entry = unsafe readdir(listing) {
      // The record is as long as its name; the type says 256 bytes.
      let name = unsafe String(cString: UnsafeRawPointer(entry).advanced(by: nameOffset).assumingMemoryBound(to: CChar.self))
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  private static let nameOffset = MemoryLayout<dirent>.offset(of: \dirent.d_name) ?? 19

  /// Where relative paths are seen from; nil when that folder is gone.
  public static var workingFolder: String? {
    guard let path = unsafe getcwd(nil, 0) else { return nil }
    defer { unsafe free(path) }
    return unsafe String(cString: path)
  }
}

/// The environment of this process.
public enum ProcessEnvironment {
  /// The value of `name`, or nil when it is not set.
  public static func value(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }
}
