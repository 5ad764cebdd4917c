// An open file that is closed once, and the lock that keeps two edits of a file apart. I/O, as in `DurableFile`.

internal import Glibc
internal import Primitives

/// A descriptor with one owner.
struct OpenFile: ~Copyable {
  let raw: Int32

  init(_ raw: Int32, orThrow error: @autoclosure () -> DurableFileError) throws(DurableFileError) {
    if raw < 0 { throw error() }
    self.raw = raw
  }

  deinit {
    close(raw)
  }

  /// The look before reading, and then all bytes.
  func readAll(_ path: String) throws(DurableFileError) -> FileReading {
    var status = stat()
    guard unsafe fstat(raw, &status) == 0 else { throw failed("look at", path) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular(path) }
    guard status.st_size <= UserFileReader.largest else { throw .tooLarge(path) }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size) + 1)
    var count = 0
    while true {
      // One byte more than there should be: a file that grew meanwhile is read on, and seen not to have settled.
      if count == bytes.count { bytes += [UInt8](repeating: 0, count: max(4096, count / 2)) }
      let n = unsafe bytes.withUnsafeMutableBytes { unsafe read(raw, $0.baseAddress.unsafelyUnwrapped + count, $0.count - count) }
      if n < 0 && errno == EINTR { continue }
      guard n >= 0 else { throw failed("read", path) }
      if n == 0 { break }
      count += n
      guard count <= UserFileReader.largest else { throw .tooLarge(path) }
    }
    bytes.removeLast(bytes.count - count)
    return FileReading(bytes: bytes, look: FileLook(status))
  }
}

extension FileLook {
  init(_ status: stat) {
    self.init(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
      modified: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec),
      changed: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec), mode: UInt32(status.st_mode & 0o7777),
      owner: status.st_uid, group: status.st_gid)
  }
}

/// `.NAME.lock` beside the file, locked with flock(2), and removed when let go. One that a killed process left behind is not locked
/// any more, and is simply taken.
struct DurableFileLock: ~Copyable {
  /// The folder of the file: the edit's own calls go through it, so that all are about the same folder.
  let folder: OpenFile
  private let file: OpenFile
  private let name: String

  /// Longest wait for another edit.
  private static let patience = Interval.seconds(10)

  /// Waits for the lock.
  init(_ target: DurableFile.Target) throws(DurableFileError) {
    let folder = try OpenFile(
      unsafe open(target.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), orThrow: failed("open", target.folder))
    let name = ".\(target.name).lock"
    let path = "\(target.folder)/\(name)"
    let deadline = Instant.now().advanced(by: Self.patience)
    while true {
      let candidate = try OpenFile(
        unsafe openat(folder.raw, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600), orThrow: failed("create", path))
      if flock(candidate.raw, LOCK_EX | LOCK_NB) == 0 {
        // Whoever held it before us removes it on leaving: then ours is a lock on a file that nobody else will find.
        var own = stat()
        var named = stat()
        if unsafe fstat(candidate.raw, &own) == 0, unsafe fstatat(folder.raw, name, &named, AT_SYMLINK_NOFOLLOW) == 0,
          own.st_ino == named.st_ino, own.st_dev == named.st_dev
        {
          file = candidate
          self.folder = folder
          self.name = name
          return
        }
        continue
      }
      guard errno == EWOULDBLOCK || errno == EINTR else { throw failed("lock", path) }
      guard Instant.now() < deadline else { throw .busy(path) }
      usleep(20_000)
    }
  }

  deinit {
    // Before the descriptor closes, so that nobody can hold the lock of a file that is about to go.
    _ = unsafe unlinkat(folder.raw, name, 0)
  }
}
