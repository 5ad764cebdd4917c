// What Config looks up on the disk: whole small files, folder listings, who may read a file. Nothing is written here.

internal import Auth
internal import Glibc  // the names of errno
internal import Net

enum Disk {
  /// Why a file could not be read, in words that end a sentence: "there is no such file".
  struct Failure: Error, Equatable {
    var reason: String

    static let missing = Failure(reason: "there is no such file")
  }

  /// All bytes of the file at `path`, which may hold `limit` bytes at most.
  static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
    // First what it is: opening a device may do something.
    let status = try attributes(path)
    if let failure = unreadable(status) { throw failure }
    if status.size > limit { throw Failure(reason: "it is larger than \(limit) bytes") }
    let bytes: [UInt8]
    do {
      bytes = try DurableFile(path: path).read().bytes
    } catch {
      throw switch error {
      case .missing: .missing
      case .system(_, _, let errno): Failure(reason: reason(errno))
      case .notRegular: Failure(reason: "it is no regular file")
      case .tooLarge: Failure(reason: "it is larger than such a file may be")
      default: Failure(reason: "it can't be read")
      }
    }
    if bytes.count > limit { throw Failure(reason: "it is larger than \(limit) bytes") }
    return bytes
  }

  static func attributes(_ path: String) throws(Failure) -> FileStatus {
    do {
      return try FileStatus(path: path)
    } catch {
      guard case .system(_, let errno) = error else { throw Failure(reason: "it can't be read") }
      if errno == ENOENT && FileStatus.isLink(path) { throw Failure(reason: "it is a symbolic link to nothing") }
      throw Failure(reason: reason(errno))
    }
  }

  /// Nil when this process may read the file at `path`, else why not.
  static func whyUnreadable(_ path: String) -> Failure? {
    do {
      if let failure = unreadable(try attributes(path)) { return failure }
    } catch {
      return error
    }
    return FileStatus.mayRead(path) ? nil : Failure(reason: "it may not be read (permissions)")
  }

  /// Only regular files are read: a pipe's text can't be read again at a reload.
  private static func unreadable(_ status: FileStatus) -> Failure? {
    if status.isFolder { return Failure(reason: "it is a folder") }
    return status.isRegular ? nil : Failure(reason: "it is no regular file")
  }

  /// The names in a folder, sorted by their bytes; none when it can't be listed.
  static func names(in folder: String) -> [String] {
    FileStatus.names(in: folder).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  static func isFolder(_ path: String) -> Bool {
    (try? attributes(path))?.isFolder ?? false
  }

  private static func reason(_ errno: Int32) -> String {
    switch errno {
    case ENOENT: "there is no such file"
    case ENOTDIR: "a part of its path is no folder"
    case EACCES, EPERM: "it may not be read (permissions)"
    case EISDIR: "it is a folder"
    case ELOOP: "its symbolic links lead in a circle"
    case ENAMETOOLONG: "its name is too long"
    default: "the system answers error \(errno)"
    }
  }
}

extension FileStatus {
  /// The same file under any name has the same.
  var identity: [UInt64] { [device, inode] }
}

extension Disk {
  /// `path` from the root, as seen from the current folder.
  static func absolute(_ path: String) -> String {
    Path.join(FileStatus.workingFolder ?? "/", path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
  }

  /// Whether there is something at `path`.
  static func exists(_ path: String) -> Bool { (try? attributes(path)) != nil }

  /// Whether this process may write the file at `path`, or make it.
  static func isWritable(_ path: String) -> Bool {
    let exists = (try? attributes(path)) != nil
    return FileStatus.mayWrite(exists ? path : Path.folder(of: path))
  }

  /// Nil when `path` is a folder, else why not.
  static func whyNoFolder(_ path: String) -> Failure? {
    do {
      return try attributes(path).isFolder ? nil : Failure(reason: "'\(path)' is no folder")
    } catch {
      return error.reason == "there is no such file" ? Failure(reason: "there is no folder '\(path)'") : error
    }
  }
}
