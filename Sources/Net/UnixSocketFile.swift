// The file of a listening Unix socket: made without a moment of wrong permissions, replaced when it is dead, and never taken from
// somebody who is alive or who is no socket.

internal import CLinux
internal import Glibc

/// Which file it is, so that the one that is removed at the end is the one that was made.
struct UnixSocketFile: Sendable {
  let handed: HandedFile
  private var path: String { handed.path }

  init(_ handed: HandedFile) { self.handed = handed }

  /// What the file at the path is, while it is still this one.
  private var status: stat? {
    var status = stat()
    let isThis = unsafe lstat(path, &status) == 0 && status.st_dev == handed.device && status.st_ino == handed.inode
    return isThis ? status : nil
  }

  /// Gives it the mode and the owner that `options` name, or whoever it was made for. Throws also when another file has taken its place.
  func give(to options: ListenOptions) throws(NetError) {
    guard let status else { throw .system(doing: "find unix:\(path) again", errno: ENOENT) }
    // The mode first: who gives a file away may not change it any more.
    guard unsafe chmod(path, options.unixMode) == 0 else { throw .system(doing: "set the mode of unix:\(path)", errno: errno) }
    let user = options.unixOwner ?? handed.owner?.user ?? status.st_uid
    let group = options.unixGroup ?? handed.owner?.group ?? status.st_gid
    guard user != status.st_uid || group != status.st_gid else { return }
    guard unsafe lchown(path, user, group) == 0 else {
      throw .system(doing: "give unix:\(path) to its `owner` and `group`", errno: errno)
    }
  }

  /// Binds and listens at `path`, replacing the file that a dead process left; `file` becomes the one that was made.
  static func listen(_ path: String, _ options: ListenOptions, file: inout UnixSocketFile?) throws(NetError) -> FileDescriptor {
    let doing = "listen on unix:\(path)"
    // Two processes that start at once must not both find the file dead, and one remove the other's new one: the folder is locked
    // from the look to the bind. A lock on the folder itself leaves nothing behind.
    let folder = try lockFolder(of: path, doing)
    defer { _ = flock(folder.raw, LOCK_UN) }
    try clearTheWay(path, doing)

    let raw = gh_socket_create(AF_UNIX)
    try NetError.check(raw, doing)
    let socket = FileDescriptor(owning: raw)
    // The file is made with the socket's own permissions less the umask (unix(7) is silent; net/unix/af_unix.c), so it is never open to
    // more than was asked. What the umask took is given after, and so is the owner; until all is as it is to be, nobody listens.
    guard fchmod(raw, options.unixMode) == 0 else { throw .system(doing: doing, errno: errno) }
    var native = SocketAddress.unix(path: path).native
    try NetError.check(unsafe gh_socket_bind(raw, &native, path, path.utf8.count), doing)
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { throw .system(doing: doing, errno: errno) }
    let owner = HandedFile.Owner(user: status.st_uid, group: status.st_gid)
    let made = UnixSocketFile(HandedFile(path: path, device: status.st_dev, inode: status.st_ino, owner: owner))
    do throws(NetError) {
      try made.give(to: options)
      try NetError.check(gh_socket_listen(raw, options.backlog), doing)
    } catch {
      _ = unsafe unlink(path)
      throw error
    }
    file = made
    return socket
  }

  private static func lockFolder(of path: String, _ doing: String) throws(NetError) -> FileDescriptor {
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let raw = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else { throw .system(doing: doing, errno: errno) }
    let descriptor = FileDescriptor(owning: raw)
    // Held for a few system calls by others like us; somebody who holds it longer must not hang our start.
    for _ in 0..<200 {
      if flock(raw, LOCK_EX | LOCK_NB) == 0 { return descriptor }
      guard errno == EWOULDBLOCK || errno == EINTR else { break }
      usleep(10_000)
    }
    throw .system(doing: "\(doing): lock its folder", errno: errno)
  }

  /// Removes a socket's file where nobody answers. Throws when somebody does, or when the file is something else.
  private static func clearTheWay(_ path: String, _ doing: String) throws(NetError) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw .system(doing: doing, errno: errno)
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
    let raw = gh_socket_create(AF_UNIX)
    try NetError.check(raw, doing)
    let probe = FileDescriptor(owning: raw)
    var native = SocketAddress.unix(path: path).native
    let result = unsafe gh_socket_connect(probe.raw, &native, path, path.utf8.count)
    switch -result {
    case ECONNREFUSED:
      // Bound once, and nobody is behind it any more.
      guard unsafe unlink(path) == 0 || errno == ENOENT else { throw .system(doing: doing, errno: errno) }
    case ENOENT:
      return
    case 0, EAGAIN, EPROTOTYPE:
      // Answered; or its queue is full; or it is bound by a socket of another type.
      throw .inUse(path: path)
    default:
      throw .system(doing: doing, errno: -result)
    }
  }

  /// Removes the file, unless another has taken its place.
  func remove() {
    guard let folder = try? Self.lockFolder(of: path, "remove unix:\(path)") else { return }
    defer { _ = flock(folder.raw, LOCK_UN) }
    guard status != nil else { return }
    _ = unsafe unlink(path)
  }
}
