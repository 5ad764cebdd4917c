// Watched files, changed in every way that files are changed.

import FoundationEssentials
import Glibc
import Net
import Primitives
import Testing

@Suite struct FileWatcherTests {
  private let scratch = Scratch()

  private func makeFolder(_ path: String) {
    #expect(unsafe mkdir(path, 0o700) == 0)
  }

  private func removeFolder(_ path: String) {
    #expect(unsafe rmdir(path) == 0)
  }

  private func link(_ target: String, at path: String) {
    #expect(unsafe symlink(target, path) == 0)
  }

  private func changeMode(_ path: String) {
    #expect(unsafe chmod(path, 0o640) == 0)
  }

  private func cut(_ path: String) {
    #expect(unsafe truncate(path, 0) == 0)
  }

  private func move(_ from: String, _ to: String) {
    #expect(unsafe rename(from, to) == 0)
  }

  private func remove(_ path: String) {
    #expect(unsafe unlink(path) == 0)
  }

  /// What is told of after `change`, and that nothing more is told after that.
  private func told(_ watcher: FileWatcher, after change: () throws -> Void) rethrows -> [String] {
    try change()
    // inotify's events are there when the system call that made them returns.
    let changed = watcher.drain()
    #expect(watcher.drain().isEmpty)
    return changed
  }

  @Test func everyWayOfChangingAFileIsTold() throws {
    let users = scratch.file("users")
    write("a", to: users)
    let watcher = try FileWatcher(paths: [users])
    #expect(watcher.unwatched.isEmpty)
    #expect(watcher.drain().isEmpty)
    #expect(told(watcher) { write("b", to: users, O_WRONLY) } == [users], "in place")
    #expect(told(watcher) { write("c", to: users) } == [users], "truncated and rewritten, as htpasswd does")
    #expect(told(watcher) { cut(users) } == [users], "truncated by path")
    #expect(
      told(watcher) {
        write("d", to: scratch.file("users.new"))
        move(scratch.file("users.new"), users)
      } == [users], "replaced by a rename")
    #expect(told(watcher) { write("e", to: users, O_WRONLY) } == [users], "the new file in place")
    #expect(told(watcher) { changeMode(users) } == [users], "its mode")
    #expect(told(watcher) { remove(users) } == [users], "removed")
    #expect(told(watcher) { write("f", to: users) } == [users], "created again")
    #expect(told(watcher) { move(users, scratch.file("elsewhere")) } == [users], "moved away")
    #expect(told(watcher) { write("x", to: scratch.file("elsewhere")) }.isEmpty, "it is not ours any more")
  }

  @Test func writerThatStaysOpenIsTold() throws {
    let users = scratch.file("users")
    write("a", to: users)
    let watcher = try FileWatcher(paths: [users])
    let file = FileDescriptor(owning: unsafe open(users, O_WRONLY | O_CLOEXEC))
    #expect(watcher.drain().isEmpty)
    #expect(unsafe Glibc.write(file.raw, "bb", 2) == 2)
    #expect(watcher.drain() == [users])
    #expect(unsafe Glibc.write(file.raw, "cc", 2) == 2)
    #expect(watcher.drain() == [users])
    _ = consume file
    #expect(watcher.drain() == [users])
  }

  @Test func filesBesideDoNotWake() throws {
    // Not under /tmp, where other tests make folders: who stands on the way to the file does wake.
    let scratch = Scratch(under: "/dev/shm")
    let users = scratch.file("users")
    let log = scratch.file("access.log")
    write("a", to: users)
    write("", to: log)
    let watcher = try FileWatcher(paths: [users])
    for _ in 0..<10 { write("line\n", to: log, O_WRONLY | O_APPEND) }
    #expect(!isReadable(watcher.descriptor))
  }

  @Test func onlyTheChangedPathIsTold() throws {
    let paths = ["users", "proxy.conf", "keys"].map { scratch.file($0) }
    for path in paths { write("a", to: path) }
    let watcher = try FileWatcher(paths: paths)
    #expect(told(watcher) { write("b", to: paths[1]) } == [paths[1]])
    #expect(
      told(watcher) {
        write("b", to: paths[2])
        write("b", to: paths[0])
        write("c", to: paths[2])
      } == [paths[0], paths[2]])
  }

  @Test func otherPathsAreWatchedByTheSameWatcher() throws {
    let (old, both, new) = (scratch.file("users"), scratch.file("proxy.conf"), scratch.file("keys"))
    for path in [old, both, new] { write("a", to: path) }
    let watcher = try FileWatcher(paths: [old, both])
    let descriptor = watcher.descriptor
    // Not taken before the paths change: told, if at all, under the names of now.
    write("b", to: both, O_WRONLY)
    write("b", to: old, O_WRONLY)
    watcher.watch([new, both])
    #expect(watcher.descriptor == descriptor && watcher.unwatched.isEmpty)
    #expect(watcher.drain() == [both])
    #expect(told(watcher) { write("c", to: old) }.isEmpty)
    #expect(told(watcher) { write("c", to: new) } == [new])
    #expect(told(watcher) { write("c", to: both) } == [both])
    watcher.watch([])
    #expect(told(watcher) { write("d", to: both) }.isEmpty)
    watcher.watch([both])
    #expect(told(watcher) { write("e", to: both) } == [both])
  }

  @Test func fileThatDoesNotExistYetIsToldWhenItComes() throws {
    let path = scratch.file("a/b/users")
    let watcher = try FileWatcher(paths: [path])
    #expect(watcher.unwatched.isEmpty)
    #expect(told(watcher) { makeFolder(scratch.file("a")) } == [path])
    #expect(told(watcher) { makeFolder(scratch.file("a/b")) } == [path])
    #expect(told(watcher) { write("x", to: path) } == [path])
    #expect(told(watcher) { write("y", to: path, O_WRONLY) } == [path])
  }

  @Test func folderMayBeRemovedAndMadeAgain() throws {
    let folder = scratch.file("etc")
    let path = scratch.file("etc/users")
    makeFolder(folder)
    write("x", to: path)
    let watcher = try FileWatcher(paths: [path])
    #expect(
      told(watcher) {
        remove(path)
        removeFolder(folder)
      } == [path])
    #expect(
      told(watcher) {
        makeFolder(folder)
        write("y", to: path)
      } == [path])
    #expect(told(watcher) { write("z", to: path, O_WRONLY) } == [path])
  }

  @Test func folderMayBeReplacedByARename() throws {
    let path = scratch.file("etc/users")
    makeFolder(scratch.file("etc"))
    makeFolder(scratch.file("etc.new"))
    write("x", to: path)
    write("y", to: scratch.file("etc.new/users"))
    let watcher = try FileWatcher(paths: [path])
    #expect(
      told(watcher) {
        move(scratch.file("etc"), scratch.file("etc.old"))
        move(scratch.file("etc.new"), scratch.file("etc"))
      } == [path])
    #expect(told(watcher) { write("z", to: scratch.file("etc.old/users")) }.isEmpty)
    #expect(told(watcher) { write("z", to: path) } == [path])
  }

  @Test func swappedLinkToAFolderIsTold() throws {
    // As Kubernetes mounts a ConfigMap: users -> ..data/users, ..data -> ..1, and an update renames a new ..data over the old.
    makeFolder(scratch.file("..1"))
    makeFolder(scratch.file("..2"))
    write("x", to: scratch.file("..1/users"))
    write("y", to: scratch.file("..2/users"))
    link("..1", at: scratch.file("..data"))
    link("..data/users", at: scratch.file("users"))
    let watcher = try FileWatcher(paths: [scratch.file("users")])
    #expect(
      told(watcher) {
        link("..2", at: scratch.file("..tmp"))
        move(scratch.file("..tmp"), scratch.file("..data"))
      } == [scratch.file("users")])
    #expect(told(watcher) { write("z", to: scratch.file("..1/users")) }.isEmpty, "the old folder is let go")
    #expect(told(watcher) { write("z", to: scratch.file("..2/users")) } == [scratch.file("users")])
  }

  @Test func circleOfLinksEnds() throws {
    link("b", at: scratch.file("a"))
    link("a", at: scratch.file("b"))
    let watcher = try FileWatcher(paths: [scratch.file("a")])
    #expect(
      told(watcher) {
        remove(scratch.file("b"))
        write("x", to: scratch.file("b"))
      } == [scratch.file("a")])
  }

  @Test func twoPathsToOneFileAreBothTold() throws {
    write("x", to: scratch.file("users"))
    link("users", at: scratch.file("alias"))
    let paths = [scratch.file("alias"), scratch.file("./users")]
    let watcher = try FileWatcher(paths: paths)
    #expect(told(watcher) { write("y", to: scratch.file("users")) } == paths)
  }

  @Test func overflowTellsOfAll() throws {
    // More events than the kernel keeps (fs.inotify.max_queued_events), made of pairs that it can't merge.
    let text = try String(contentsOfFile: "/proc/sys/fs/inotify/max_queued_events", encoding: .utf8)
    let limit = try #require(Int(text.prefix { $0.isNumber }))
    guard limit <= 1 << 17 else { return }
    let users = scratch.file("users")
    let other = scratch.file("other")
    write("a", to: users)
    write("a", to: other)
    let watcher = try FileWatcher(paths: [users, other])
    let file = FileDescriptor(owning: unsafe open(users, O_WRONLY | O_CLOEXEC))
    for i in 0...limit {
      if i % 2 == 0 { _ = unsafe pwrite(file.raw, "b", 1, 0) } else { _ = fchmod(file.raw, 0o600) }
    }
    var changed: Set<String> = []
    while isReadable(watcher.descriptor) { changed.formUnion(watcher.drain()) }
    #expect(changed == [users, other])
    _ = consume file
    _ = watcher.drain()
    #expect(told(watcher) { write("c", to: other) } == [other])
  }
}
