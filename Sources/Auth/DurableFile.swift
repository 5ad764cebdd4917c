// A small file on disk that must never be lost: looked at, read, and edited so that a kill at any instant leaves the old file or the new one.
// The one part of this room that does I/O (with `DurableFileLock`); what the bytes mean is said elsewhere.

internal import Glibc
internal import Primitives

/// A user file, a file of keys, of revocations: whole files of lines that are replaced, never written in place.
public struct DurableFile: Sendable {
  public let path: String

  public init(path: String) {
    self.path = path
  }

  /// What the file looks like now; a symbolic link is followed.
  public func look() throws(DurableFileError) -> FileLook {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { throw failed("look at", path) }
    return FileLook(status)
  }

  /// The whole file. To be used only once it has settled: see `FileReading.settling(at:)`.
  public func read() throws(DurableFileError) -> FileReading {
    // A FIFO in the file's place would otherwise hang the reader until somebody opens its other end.
    let file = try OpenFile(unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), orThrow: failed("open", path))
    return try file.readAll(path)
  }

  /// Changes the file: reads it, lets `change` edit the bytes, and puts the result in its place.
  ///
  /// The new bytes are written beside the file (`.NAME.new`), given its mode and owner, synchronised, and renamed over it; then the
  /// folder is synchronised. Every step is checked, so that a full disk leaves the old file. Where the file is a symbolic link, the
  /// link stays and its target is edited. Edits of Gatehouse exclude each other by a lock file (`.NAME.lock`); a change by somebody
  /// else while ours was made is noticed, and the edit is made again on what is there now.
  ///
  /// With `createIfMissing` a file that is not there counts as empty and is made with mode 0600.
  ///
  /// Throws what `change` throws (it may run more than once), or `DurableFileError`.
  public func edit<R>(createIfMissing: Bool = false, _ change: (inout [UInt8]) throws -> R) throws -> R {
    try edit(createIfMissing: createIfMissing, steps: DurableSteps(), change)
  }

  /// The same with the system calls that can fail half-way as an argument.
  func edit<R>(createIfMissing: Bool = false, steps: DurableSteps, _ change: (inout [UInt8]) throws -> R) throws -> R {
    let target = try resolve(createIfMissing: createIfMissing)
    let lock = try DurableFileLock(target)
    defer { extendLifetime(lock) }
    for _ in 0..<Self.mostAttempts {
      let before = try current(lock.folder, target, createIfMissing: createIfMissing)
      var bytes = before?.bytes ?? []
      let result = try change(&bytes)
      if let before, before.bytes == bytes { return result }
      if try replace(lock.folder, target, before, with: bytes, steps) { return result }
    }
    throw DurableFileError.changing(path)
  }

  private static let mostAttempts = 5

  /// Folder and name, links resolved.
  struct Target {
    var folder: String
    var name: String
    var path: String { folder + "/" + name }
  }

  private func resolve(createIfMissing: Bool) throws(DurableFileError) -> Target {
    if let real = Self.realPath(path) { return Self.split(real) }
    guard errno == ENOENT else { throw failed("resolve", path) }
    var status = stat()
    if unsafe lstat(path, &status) == 0 { throw .danglingLink(path) }
    guard createIfMissing else { throw .missing(path) }
    let wanted = Self.split(path)
    guard let folder = Self.realPath(wanted.folder), !wanted.name.isEmpty else { throw failed("open", wanted.folder) }
    return Target(folder: folder, name: wanted.name)
  }

  private static func realPath(_ path: String) -> String? {
    guard let real = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }

  private static func split(_ path: String) -> Target {
    guard let slash = path.lastIndex(of: "/") else { return Target(folder: ".", name: path) }
    let folder = path[..<slash]
    return Target(folder: folder.isEmpty ? "/" : String(folder), name: String(path[path.index(after: slash)...]))
  }

  /// The file as it is under the lock; nil when there is none and one is to be made.
  private func current(_ folder: borrowing OpenFile, _ target: Target, createIfMissing: Bool) throws(DurableFileError) -> FileReading? {
    let raw = unsafe openat(folder.raw, target.name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
    if raw < 0 && errno == ENOENT && createIfMissing { return nil }
    let file = try OpenFile(raw, orThrow: failed("open", target.path))
    let reading = try file.readAll(target.path)
    return reading
  }

  /// Puts `bytes` in the file's place; false when the file is no longer the one that was read.
  private func replace(
    _ folder: borrowing OpenFile, _ target: Target, _ before: FileReading?, with bytes: [UInt8], _ steps: DurableSteps
  ) throws(DurableFileError) -> Bool {
    let name = ".\(target.name).new"
    let path = "\(target.folder)/\(name)"
    // We hold the lock, so a file that is there was left by a writer that was killed.
    if unsafe unlinkat(folder.raw, name, 0) != 0 && errno != ENOENT { throw failed("remove", path) }
    let new = try OpenFile(
      unsafe openat(folder.raw, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600), orThrow: failed("create", path))
    do throws(DurableFileError) {
      if let look = before?.look { try keepModeAndOwner(look, new, path) }
      try steps.writeAll(bytes, new.raw, path)
      guard steps.sync(new.raw) == 0 else { throw failed("write", path) }
      var status = stat()
      let isThere = unsafe fstatat(folder.raw, target.name, &status, AT_SYMLINK_NOFOLLOW) == 0
      guard isThere ? before?.look == FileLook(status) : before == nil else {
        unsafe unlinkat(folder.raw, name, 0)
        return false
      }
      guard unsafe renameat(folder.raw, name, folder.raw, target.name) == 0 else {
        // A file that a container mounts by itself can't be replaced, only its folder can.
        throw errno == EBUSY ? .isMountPoint(target.path) : failed("replace", target.path)
      }
    } catch {
      unsafe unlinkat(folder.raw, name, 0)
      throw error
    }
    guard steps.sync(folder.raw) == 0 else { throw failed("make durable the change of", target.path) }
    return true
  }

  private func keepModeAndOwner(_ look: FileLook, _ new: borrowing OpenFile, _ path: String) throws(DurableFileError) {
    var status = stat()
    guard unsafe fstat(new.raw, &status) == 0 else { throw failed("look at", path) }
    if status.st_uid != look.owner || status.st_gid != look.group {
      guard fchown(new.raw, look.owner, look.group) == 0 else { throw .ownerNotKept(self.path, look.owner, look.group) }
    }
    // After the owner: changing that clears bits.
    guard fchmod(new.raw, look.mode) == 0 else { throw failed("set the mode of", path) }
  }
}

/// The calls of an edit that a full or broken disk makes fail half-way.
struct DurableSteps: Sendable {
  /// write(2): descriptor, bytes, the offset to begin at → bytes written, or -1 and errno.
  var write: @Sendable (Int32, [UInt8], Int) -> Int = { descriptor, bytes, offset in
    unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress.unsafelyUnwrapped + offset, $0.count - offset) }
  }
  /// fsync(2).
  var sync: @Sendable (Int32) -> Int32 = { fsync($0) }

  /// All of it: a full disk makes writes short before it makes them fail.
  func writeAll(_ bytes: [UInt8], _ descriptor: Int32, _ path: String) throws(DurableFileError) {
    var done = 0
    while done < bytes.count {
      let n = write(descriptor, bytes, done)
      if n < 0 && errno == EINTR { continue }
      if n == 0 { throw .system("write", path, ENOSPC) }
      guard n > 0 else { throw failed("write", path) }
      done += n
    }
  }
}

/// Why a file was not read or edited. After a failed edit the file is the old one, unless it says otherwise.
public enum DurableFileError: Error, Equatable, Sendable, CustomStringConvertible {
  case missing(String)
  case danglingLink(String)
  case notRegular(String)
  case tooLarge(String)
  /// What was being done, to what, and errno.
  case system(String, String, Int32)
  /// Another edit holds the lock file.
  case busy(String)
  /// Somebody else keeps changing the file.
  case changing(String)
  case ownerNotKept(String, UInt32, UInt32)
  case isMountPoint(String)

  public var description: String {
    switch self {
    case .missing(let path): "\(path) does not exist"
    case .danglingLink(let path): "\(path) is a symbolic link to nothing"
    case .notRegular(let path): "\(path) is not a regular file"
    case .tooLarge(let path): "\(path) is larger than such a file may be (\(UserFileReader.largest) bytes)"
    case .system(let what, let path, let code): "can't \(what) \(path): \(Self.text(code))"
    case .busy(let lock): "another edit is going on: \(lock) is locked, try again"
    case .changing(let path): "\(path) is being changed by another program, try again"
    case .ownerNotKept(let path, let owner, let group):
      "\(path) belongs to user \(owner) and group \(group), and a new file can't be given to them: run this as its owner or as root"
    case .isMountPoint(let path): "\(path) is a mount point and can't be replaced: mount the folder that it is in"
    }
  }

  private static func text(_ code: Int32) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }
}

/// What failed, with errno as it is now.
func failed(_ what: String, _ path: String) -> DurableFileError {
  errno == ENOENT ? .missing(path) : .system(what, path, errno)
}
