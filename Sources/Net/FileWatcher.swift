// Noticing that a file changed, however it was changed: inotify(7) on the file and on every folder that its path leads through.
// What a change means, and when it has settled, is the caller's.

internal import CLinux
internal import Glibc

/// Watches a few files by their paths.
///
/// Told are: writing in place (also truncating and rewriting), renaming another file over it, creating and removing it, changes of mode
/// or owner, and the same of any folder or symbolic link on the way (a configuration mounted by Kubernetes changes by swapping a link to a
/// folder). Files beside the watched ones are not told, and writing to one, such as a log, does not even wake us.
///
/// Make the watcher first and read the files after: what changes in between is then told. Belongs to one thread.
public final class FileWatcher {
  /// What one inotify watch is there for.
  private struct Watch {
    /// A folder: the names of its entries that paths lead through, and which paths (indices) they are.
    var entries: [String: Set<Int>] = [:]
    /// The paths of which this is the file itself.
    var files: Set<Int> = []
  }

  private static let folderMask = UInt32(
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_MASK_ADD)
  private static let fileMask = UInt32(
    IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW | IN_MASK_ADD)
  /// As many symbolic links as the kernel follows (path_resolution(7)).
  private static let linkLimit = 40

  private let inotify: FileDescriptor
  /// The watched paths, as they were given.
  public private(set) var paths: [String]
  private var watches: [Int32: Watch] = [:]
  /// Paths that can't be watched: neither the file nor the folder that it stands in may be read, or the system has no watches left.
  public private(set) var unwatched: [String] = []

  /// Relative paths are relative to the working folder of now. The files need not exist.
  public init(paths: [String]) throws(NetError) {
    let raw = gh_inotify_create()
    try NetError.check(raw, "watch files")
    inotify = FileDescriptor(owning: raw)
    self.paths = paths
    watchAll()
  }

  /// Watches these paths from now on, and no others. As with a new watcher, read the files after.
  ///
  /// A new watcher instead would have the old one closed, for which the kernel waits until no processor can still be telling an event to it: tens of
  /// milliseconds, and seconds on a machine that is busy.
  public func watch(_ paths: [String]) {
    self.paths = paths
    watchAll()
  }

  /// To be polled for reading.
  public var descriptor: Int32 { inotify.raw }

  /// The watched paths that may have changed since the last call, each once, in the order of `paths`. "May": a file that was written with
  /// what it held, or touched, is told as well.
  public func drain() -> [String] {
    var changed: Set<Int> = []
    // Again after each move: letting watches go makes events too. Bounded, so that somebody who changes things without end does not hold
    // the loop; what is left is told by the next call.
    for _ in 0..<8 {
      guard takeEvents(&changed) else { break }
      // Watches first, the caller's reading after: what changes between the two is told again.
      watchAll()
    }
    return changed.sorted().map { paths[$0] }
  }

  /// Reads what the kernel has. True when a path may lead elsewhere now.
  private func takeEvents(_ changed: inout Set<Int>) -> Bool {
    var moved = false
    var buffer = [UInt8](repeating: 0, count: 16384)
    for _ in 0..<64 {
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(inotify.raw, $0.baseAddress, $0.count) }
      guard count > 0 else { break }
      var start = 0
      // struct inotify_event: int wd; uint32_t mask, cookie, len; then len bytes of name with its NULs.
      while start + 16 <= count {
        let watch = Int32(bitPattern: Self.word(buffer, start))
        let mask = Self.word(buffer, start + 4)
        let end = start + 16 + Int(Self.word(buffer, start + 12))
        note(watch, mask, buffer[(start + 16)..<end].prefix { $0 != 0 }, &changed, &moved)
        start = end
      }
    }
    return moved
  }

  /// `moved` becomes true when a path may lead elsewhere now.
  private func note(_ id: Int32, _ mask: UInt32, _ name: ArraySlice<UInt8>, _ changed: inout Set<Int>, _ moved: inout Bool) {
    if mask & UInt32(IN_Q_OVERFLOW) != 0 {
      changed.formUnion(paths.indices)
      moved = true
      return
    }
    guard let watch = watches[id] else { return }
    if mask & UInt32(IN_IGNORED) != 0 { watches[id] = nil }
    if name.isEmpty {
      // Of the watched thing itself.
      changed.formUnion(watch.files)
      if mask & UInt32(IN_MODIFY | IN_CLOSE_WRITE) == 0 {
        for paths in watch.entries.values { changed.formUnion(paths) }
        moved = true
      }
    } else if let paths = watch.entries[String(decoding: name, as: UTF8.self)] {
      changed.formUnion(paths)
      moved = true
    }
  }

  private static func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: at, as: UInt32.self) }
  }

  /// Walks all paths anew and watches what they lead through now; what they no longer do is let go.
  private func watchAll() {
    let before = watches
    watches = [:]
    unwatched = []
    for index in paths.indices where !watch(index) { unwatched.append(paths[index]) }
    for id in before.keys where watches[id] == nil { _ = gh_inotify_remove(inotify.raw, id) }
  }

  /// Follows one path from the root, each folder watched before it is looked into, so that nothing is created unseen in between.
  /// False when neither the last folder nor the file could be watched.
  private func watch(_ index: Int) -> Bool {
    var rest = Array(Self.components(Self.absolute(paths[index])).reversed())
    var folder = ""
    var links = 0
    while let name = rest.popLast() {
      if name == ".." {
        folder = Self.parent(folder)
        continue
      }
      let id = addWatch(folder.isEmpty ? "/" : folder, Self.folderMask)
      if id > 0 { watches[id, default: Watch()].entries[name, default: []].insert(index) }
      let path = "\(folder)/\(name)"
      var status = stat()
      guard unsafe lstat(path, &status) == 0 else { return id > 0 }
      switch status.st_mode & S_IFMT {
      case S_IFLNK:
        links += 1
        guard links <= Self.linkLimit, let target = Self.target(of: path) else { return id > 0 }
        if target.hasPrefix("/") { folder = "" }
        rest.append(contentsOf: Self.components(target).reversed())
      case S_IFDIR where !rest.isEmpty:
        folder = path
      default:
        guard rest.isEmpty else { return id > 0 }
        let file = addWatch(path, Self.fileMask)
        if file > 0 { watches[file, default: Watch()].files.insert(index) }
        return id > 0 || file > 0
      }
    }
    return true
  }

  private func addWatch(_ path: String, _ mask: UInt32) -> Int32 {
    unsafe gh_inotify_add(inotify.raw, path, mask)
  }

  private static func components(_ path: String) -> [String] {
    path.split(separator: "/").map(String.init).filter { $0 != "." }
  }

  private static func parent(_ folder: String) -> String {
    folder.lastIndex(of: "/").map { String(folder[..<$0]) } ?? ""
  }

  private static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let here = unsafe getcwd(nil, 0) else { return "/" + path }
    defer { unsafe free(here) }
    return unsafe String(cString: here) + "/" + path
  }

  private static func target(of link: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe readlink(link, buffer.assumingMemoryBound(to: CChar.self).baseAddress.unsafelyUnwrapped, buffer.count)
    }
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }
}
