// A folder that paths can't lead out of: neither by `..` nor by symbolic links, whoever makes them while it is looked at. The kernel sees to it
// (openat2(2), RESOLVE_BENEATH). Which names are served at all is not decided here.

internal import CLinux
internal import Glibc
public import Primitives

/// A folder, held open; what is moved into its place later is another.
public final class RootFolder: Sendable {
  /// What a path leads to.
  public struct Look: Equatable, Sendable {
    public var isFolder: Bool
    /// Bytes.
    public var size: UInt64
    public var modified: Timestamp
  }

  private let folder: FileDescriptor

  /// Throws when `path` is no folder, or the system has no openat2(2) (Linux 5.6).
  public init(path: String) throws(NetError) {
    let raw = unsafe gh_open_root(path)
    try NetError.check(raw, "open the folder \(path)")
    folder = FileDescriptor(owning: raw)
    _ = try look([])
  }

  // MARK: Reading

  /// What is there. A pipe, a socket and a device are not: ENOENT.
  ///
  /// - Parameter path: names from the root on; empty for the root. No name holds `/` or NUL.
  public func look(_ path: [[UInt8]]) throws(NetError) -> Look {
    // Not opened for reading: of a pipe that would wait, and of a device it may do something.
    try Self.look(at: try beneath(path))
  }

  /// A regular file, open for reading, and what it is.
  public func open(_ path: [[UInt8]]) throws(NetError) -> FileDescriptor {
    guard !(try look(path).isFolder) else { throw .system(doing: "open", errno: EISDIR) }
    let file = try beneath(path, reads: true)
    // What stood there a moment ago may have been moved.
    guard !(try Self.look(at: file).isFolder) else { throw .system(doing: "open", errno: EISDIR) }
    return file
  }

  /// What an open file is.
  public static func look(at file: borrowing FileDescriptor) throws(NetError) -> Look {
    var found = stat()
    guard unsafe fstat(file.raw, &found) == 0 else { throw .system(doing: "look", errno: errno) }
    return try look(found)
  }

  private static func look(_ found: stat) throws(NetError) -> Look {
    let kind = found.st_mode & S_IFMT
    guard kind == S_IFDIR || kind == S_IFREG else { throw .system(doing: "look", errno: ENOENT) }
    let modified = Int64(found.st_mtim.tv_sec) * 1_000_000 + Int64(found.st_mtim.tv_nsec) / 1000
    return Look(isFolder: kind == S_IFDIR, size: UInt64(max(found.st_size, 0)), modified: Timestamp(microseconds: modified))
  }

  /// Bytes of an open file from `offset` on, up to `buffer`'s length: how many; 0 at its end.
  public static func read(_ file: borrowing FileDescriptor, at offset: UInt64, into buffer: inout [UInt8]) throws(NetError) -> Int {
    while true {
      let n = unsafe buffer.withUnsafeMutableBytes { unsafe pread(file.raw, $0.baseAddress, $0.count, off_t(clamping: offset)) }
      if n >= 0 { return n }
      if errno != EINTR { throw .system(doing: "read", errno: errno) }
    }
  }

  /// The names in a folder and what they lead to, in no order, and nothing that leads out: at most `limit` of them, of `bytes` together, E2BIG beyond.
  /// `wants` says which names are looked at.
  public func list(_ path: [[UInt8]], limit: Int, bytes: Int, _ wants: ([UInt8]) -> Bool) throws(NetError) -> [(name: [UInt8], look: Look)] {
    let raw = try beneath(path, reads: true).release()
    guard let listing = unsafe fdopendir(raw) else {
      let code = errno
      _ = close(raw)
      throw .system(doing: "list", errno: code)
    }
    defer { unsafe closedir(listing) }
    var found: [(name: [UInt8], look: Look)] = []
    var length = 0
    while let entry = unsafe readdir(listing) {
      // The record is as long as its name; the type says 256 bytes.
      let start = unsafe UnsafeRawPointer(entry).advanced(by: Self.nameOffset).assumingMemoryBound(to: UInt8.self)
      let name = unsafe Array(UnsafeBufferPointer(start: start, count: strlen(UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self))))
      guard wants(name) else { continue }
      var status = stat()
      let result = unsafe Self.terminated(name).withUnsafeBufferPointer { bytes in
        unsafe bytes.withMemoryRebound(to: CChar.self) { unsafe fstatat(raw, $0.baseAddress.unsafelyUnwrapped, &status, AT_SYMLINK_NOFOLLOW) }
      }
      guard result == 0 else { continue }
      let isLink = status.st_mode & S_IFMT == S_IFLNK
      guard let look = try? isLink ? look(path + [name]) : Self.look(status) else { continue }
      length += name.count
      if found.count == limit || length > bytes { throw .system(doing: "list", errno: E2BIG) }
      found.append((name, look))
    }
    return found
  }

  private static let nameOffset = MemoryLayout<dirent>.offset(of: \dirent.d_name) ?? 19

  // MARK: Writing

  /// The folder that `path`'s last name stands in.
  private func parent(_ path: [[UInt8]]) throws(NetError) -> FileDescriptor {
    if path.isEmpty { throw .system(doing: "write", errno: EBUSY) }
    return try beneath(Array(path.dropLast()))
  }

  /// A new file that has no name yet in the folder of `path`, and how it gets it.
  public func create(_ path: [[UInt8]], temporary name: [UInt8]) throws(NetError) -> NewFile {
    let parent = try parent(path)
    let raw = unsafe Self.at(parent, name) { unsafe openat($0, $1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666) }
    guard raw >= 0 else { throw .system(doing: "create", errno: errno) }
    return NewFile(file: FileDescriptor(owning: raw), folder: parent, temporary: name, name: path[path.count - 1])
  }

  public func remove(_ path: [[UInt8]]) throws(NetError) {
    // Of a folder unlinkat(2) says EISDIR: whoever wants it gone empties it first, and it is removed as a folder.
    let isFolder = try look(path).isFolder
    let folder = try parent(path)
    let result = unsafe Self.at(folder, path[path.count - 1]) { unsafe unlinkat($0, $1, isFolder ? AT_REMOVEDIR : 0) }
    guard result == 0 else { throw .system(doing: "remove", errno: errno) }
  }

  public func makeFolder(_ path: [[UInt8]]) throws(NetError) {
    let folder = try parent(path)
    let result = unsafe Self.at(folder, path[path.count - 1]) { unsafe mkdirat($0, $1, 0o777) }
    guard result == 0 else { throw .system(doing: "make a folder", errno: errno) }
  }

  // MARK: Inside

  private func beneath(_ path: [[UInt8]], reads: Bool = false) throws(NetError) -> FileDescriptor {
    let joined = path.isEmpty ? [0x2E] : Array(path.joined(separator: [0x2F]))
    let raw = unsafe Self.at(folder, joined) { unsafe reads ? gh_read_beneath($0, $1) : gh_look_beneath($0, $1) }
    try NetError.check(raw, "open")
    return FileDescriptor(owning: raw)
  }

  fileprivate static func terminated(_ name: [UInt8]) -> [UInt8] {
    precondition(!name.contains(0), "a name with NUL")
    return name + [0]
  }

  fileprivate static func at(
    _ folder: borrowing FileDescriptor, _ name: [UInt8], _ work: (Int32, UnsafePointer<CChar>) -> Int32
  ) -> Int32 {
    let raw = folder.raw
    return unsafe terminated(name).withUnsafeBufferPointer { bytes in
      unsafe bytes.withMemoryRebound(to: CChar.self) { unsafe work(raw, $0.baseAddress.unsafelyUnwrapped) }
    }
  }

  /// A file that is being written beside the one whose place it will take.
  public struct NewFile: ~Copyable {
    private let file: FileDescriptor
    private let folder: FileDescriptor
    private let temporary: [UInt8]
    private let name: [UInt8]
    private var isDone = false

    fileprivate init(file: consuming FileDescriptor, folder: consuming FileDescriptor, temporary: [UInt8], name: [UInt8]) {
      self.file = file
      self.folder = folder
      self.temporary = temporary
      self.name = name
    }

    deinit {
      if !isDone { unsafe _ = RootFolder.at(folder, temporary) { unsafe unlinkat($0, $1, 0) } }
    }

    public func write(_ bytes: [UInt8]) throws(NetError) {
      var done = 0
      while done < bytes.count {
        let n = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(file.raw, $0.baseAddress.unsafelyUnwrapped + done, $0.count - done) }
        if n > 0 { done += n } else if n == 0 || errno != EINTR { throw .system(doing: "write", errno: n == 0 ? ENOSPC : errno) }
      }
    }

    /// The file is whole: its bytes are on the disk when it takes its name.
    public mutating func finish() throws(NetError) {
      guard fsync(file.raw) == 0 else { throw .system(doing: "write", errno: errno) }
      let name = RootFolder.terminated(name)
      let raw = folder.raw
      let result = unsafe RootFolder.at(folder, temporary) { folder, temporary in
        unsafe name.withUnsafeBufferPointer { bytes in
          unsafe bytes.withMemoryRebound(to: CChar.self) { unsafe renameat(folder, temporary, raw, $0.baseAddress.unsafelyUnwrapped) }
        }
      }
      guard result == 0 else { throw .system(doing: "write", errno: errno) }
      isDone = true
      // The name is on the disk when its folder is (fsync(2)). Of a folder that may be written and not read this can't be asked.
      let place = unsafe openat(raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard place >= 0 else { return }
      defer { _ = close(place) }
      guard fsync(place) == 0 else { throw .system(doing: "write", errno: errno) }
    }
  }
}
