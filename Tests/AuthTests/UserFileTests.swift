// Edits on a real disk: whole after every failure, mode and owner kept, edits kept apart.

import Glibc
import Primitives
import Synchronization
import Testing

@testable import Auth

/// A folder that goes with its test.
private final class Scratch {
  let path: String

  init() {
    var template = Array("/tmp/gatehouse-users-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { buffer in
      guard let start = unsafe mkdtemp(buffer.baseAddress.unsafelyUnwrapped) else { fatalError("no scratch folder") }
      return unsafe String(cString: start)
    }
  }

  deinit {
    for name in names { unsafe unlink("\(path)/\(name)") }
    unsafe rmdir("\(path)/folder")
    unsafe rmdir(path)
  }

  var users: UserFile { UserFile(path: "\(path)/users") }

  /// Everything in the folder, hidden files too.
  var names: [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
        unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  func write(_ name: String, _ text: String, mode: mode_t = 0o640) {
    let descriptor = unsafe open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode)
    precondition(descriptor >= 0)
    let bytes = Array(text.utf8)
    let n = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    precondition(n == bytes.count)
    fchmod(descriptor, mode)
    close(descriptor)
  }

  func text(_ name: String = "users") throws -> String {
    String(decoding: try UserFile(path: "\(path)/\(name)").read().bytes, as: UTF8.self)
  }
}

private func failure<R>(_ body: () throws -> R) -> DurableFileError? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? DurableFileError
  }
}

@Suite struct UserFileTests {
  private let hash = bytes(Stored.sha1)

  @Test func editReplacesTheFileAndLeavesNothingBeside() throws {
    let scratch = Scratch()
    scratch.write("users", "# mine\nalice:{PLAIN}1\n", mode: 0o640)
    try scratch.users.edit { try $0.lock(bytes("alice")) }
    #expect(try scratch.text() == "# mine\nalice:{PLAIN}1:locked\n")
    #expect(try scratch.users.look().mode == 0o640)
    #expect(scratch.names == ["users"])
  }

  @Test func newFileIsForItsOwnerAlone() throws {
    let scratch = Scratch()
    #expect(
      failure { try scratch.users.edit { try $0.add(bytes("a"), hash: hash) } }
        == .missing(scratch.users.path))
    try scratch.users.edit(createIfMissing: true) { try $0.add(bytes("a"), hash: hash) }
    let look = try scratch.users.look()
    #expect(look.mode == 0o600 && !look.isWorldReadable)
    #expect(try scratch.text() == "a:\(Stored.sha1)\n")
  }

  @Test(arguments: [0o600, 0o640, 0o644, 0o660, 0o400] as [UInt32])
  func modeIsKept(_ mode: UInt32) throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n", mode: mode)
    try scratch.users.edit { try $0.lock(bytes("alice")) }
    let look = try scratch.users.look()
    #expect(look.mode == mode && look.isWorldReadable == (mode & 4 != 0))
  }

  @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
  func ownerIsKept() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n", mode: 0o660)
    #expect(unsafe chown(scratch.users.path, 12_345, 54_321) == 0)
    try scratch.users.edit { try $0.lock(bytes("alice")) }
    let look = try scratch.users.look()
    #expect(look.owner == 12_345 && look.group == 54_321 && look.mode == 0o660)
  }

  @Test func symbolicLinkStaysAndItsTargetIsEdited() throws {
    let scratch = Scratch()
    scratch.write("real", "alice:{PLAIN}1\n")
    #expect(unsafe symlink("real", scratch.users.path) == 0)
    try scratch.users.edit { try $0.lock(bytes("alice")) }
    #expect(try scratch.text("real") == "alice:{PLAIN}1:locked\n")
    var status = stat()
    #expect(unsafe lstat(scratch.users.path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
    #expect(scratch.names == ["real", "users"])
    unsafe unlink("\(scratch.path)/real")
    let error = failure {
      try scratch.users.edit(createIfMissing: true) { try $0.add(bytes("a"), hash: hash) }
    }
    #expect(error == .danglingLink(scratch.users.path))
  }

  /// A full disk makes `write` short before it makes it fail: a writer that ignores it renames a truncated file into place.
  @Test func fullDiskLeavesTheOldFile() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    let left = Mutex(7)
    var steps = DurableSteps()
    let write = steps.write
    steps.write = { descriptor, bytes, offset in
      let room = left.withLock { $0 }
      if room == 0 {
        errno = ENOSPC
        return -1
      }
      let n = write(descriptor, Array(bytes.prefix(offset + room)), offset)
      left.withLock { $0 -= n }
      return n
    }
    let error = failure {
      try scratch.users.edit(steps: steps) { try $0.lock(bytes("alice")) }
    }
    guard case .system("write", _, ENOSPC) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(try scratch.text() == "alice:{PLAIN}1\n")
    #expect(scratch.names == ["users"])
  }

  @Test func shortAndInterruptedWritesAreGoneOnWith() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    let calls = Mutex(0)
    var steps = DurableSteps()
    let write = steps.write
    steps.write = { descriptor, bytes, offset in
      let call = calls.withLock {
        $0 += 1
        return $0
      }
      if call % 2 == 0 {
        errno = EINTR
        return -1
      }
      return write(descriptor, Array(bytes.prefix(offset + 3)), offset)
    }
    try scratch.users.edit(steps: steps) { try $0.lock(bytes("alice")) }
    #expect(try scratch.text() == "alice:{PLAIN}1:locked\n")
  }

  @Test func failedSyncLeavesTheOldFile() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    var steps = DurableSteps()
    steps.sync = { _ in
      errno = EIO
      return -1
    }
    let error = failure {
      try scratch.users.edit(steps: steps) { try $0.lock(bytes("alice")) }
    }
    guard case .system(_, _, EIO) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(try scratch.text() == "alice:{PLAIN}1\n")
    #expect(scratch.names == ["users"])
  }

  /// What a writer that was killed left behind: half a new file, and a lock that nobody holds.
  @Test func leftoversOfAKilledEditAreInNobodysWay() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    scratch.write(".users.new", "alice:{PL")
    scratch.write(".users.lock", "")
    try scratch.users.edit { try $0.lock(bytes("alice")) }
    #expect(try scratch.text() == "alice:{PLAIN}1:locked\n")
    #expect(scratch.names == ["users"])
  }

  @Test func linkInTheNewFilesPlaceIsNotFollowed() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    scratch.write("victim", "untouched")
    #expect(unsafe symlink("victim", "\(scratch.path)/.users.new") == 0)
    try scratch.users.edit { try $0.lock(bytes("alice")) }
    #expect(try scratch.text("victim") == "untouched")
    #expect(try scratch.text() == "alice:{PLAIN}1:locked\n")
  }

  @Test func changeBySomebodyElseIsNotLost() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    var attempts = 0
    try scratch.users.edit {
      attempts += 1
      if attempts == 1 { scratch.write("users", "alice:{PLAIN}1\nbob:{PLAIN}2\n") }
      try $0.lock(bytes("alice"))
    }
    #expect(attempts == 2)
    #expect(try scratch.text() == "alice:{PLAIN}1:locked\nbob:{PLAIN}2\n")
  }

  @Test func editsOfManyThreadsAllArrive() throws {
    let scratch = Scratch()
    scratch.write("users", "")
    let users = scratch.users
    let hash = self.hash
    var threads: [pthread_t] = []
    for t in 0..<4 {
      let work = Work {
        for i in 0..<25 {
          try? users.edit { try $0.add(bytes("u\(t)-\(i)"), hash: hash) }
        }
      }
      var thread = pthread_t()
      let context = unsafe Unmanaged.passRetained(work).toOpaque()
      let result = unsafe pthread_create(
        &thread, nil,
        { context in
          unsafe Unmanaged<Work>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().body()
          return nil
        }, context)
      precondition(result == 0)
      threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
    let table = try UserTable(parsing: users.read().bytes)
    #expect(table.users.count == 100 && table.problems.isEmpty)
    #expect(scratch.names == ["users"])
  }

  @Test func failedEditTouchesNothing() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    let before = try scratch.users.look()
    #expect(throws: UserEditFailure.noSuchUser(bytes("nobody"))) { try scratch.users.edit { try $0.lock(bytes("nobody")) } }
    try scratch.users.edit { try $0.unlock(bytes("alice")) }
    #expect(try scratch.users.look() == before, "an edit that changes nothing writes nothing")
    scratch.write("users", "alice:{PLAIN}1\nbob:{PL")
    #expect(throws: UserEditFailure.fault(.lastLineUnfinished(line: 2)), "what was cut short is not written back") {
      try scratch.users.edit { try $0.lock(bytes("alice")) }
    }
  }

  @Test func onlyRegularFilesAreRead() throws {
    let scratch = Scratch()
    #expect(failure { try scratch.users.read() } == .missing(scratch.users.path))
    #expect(unsafe mkfifo(scratch.users.path, 0o600) == 0)
    #expect(failure { try scratch.users.read() } == .notRegular(scratch.users.path))
    let folder = UserFile(path: scratch.path)
    #expect(failure { try folder.read() } == .notRegular(scratch.path))
  }

  // MARK: Settling

  @Test func fileIsUsedOnlyOnceItHasSettled() throws {
    let scratch = Scratch()
    scratch.write("users", "alice:{PLAIN}1\n")
    let reading = try scratch.users.read()
    #expect(reading.settling(at: try scratch.users.look()) == .settled)
    scratch.write("users", "alice:{PLAIN}1\nbob:{PLAIN}2\n")
    #expect(reading.settling(at: try scratch.users.look()) == .changing)

    scratch.write("other", "alice:{PLAIN}1\n")
    let old = try scratch.users.read()
    #expect(unsafe rename("\(scratch.path)/other", scratch.users.path) == 0)
    #expect(old.settling(at: try scratch.users.look()) == .changing, "another file in its place")

    scratch.write("users", "alice:{PLAIN}1\nbob:{PL")
    let torn = try scratch.users.read()
    #expect(torn.settling(at: try scratch.users.look()) == .unfinished)

    scratch.write("users", "")
    let empty = try scratch.users.read()
    #expect(empty.settling(at: try scratch.users.look()) == .settled)
    var grown = empty
    grown.bytes = bytes("a:{PLAIN}1\n")
    #expect(grown.settling(at: empty.look) == .changing, "what was read is not what was looked at")
  }

  @Test func aFileIsOldThreeSecondsAfterItsLastChangeOfAnyKind() {
    func look(modified: Int64, changed: Int64) -> FileLook {
      FileLook(device: 1, inode: 1, size: 1, modified: modified, changed: changed, mode: 0o600, owner: 0, group: 0)
    }
    let now = Timestamp(seconds: 1000)
    let second: Int64 = 1_000_000_000
    #expect(look(modified: 997 * second, changed: 997 * second).isOld(at: now))
    #expect(!look(modified: 997 * second + 1000, changed: 0).isOld(at: now))
    #expect(!look(modified: 0, changed: 997 * second + 1000).isOld(at: now), "written by somebody who sets its time back")
    #expect(!look(modified: 2000 * second, changed: 0).isOld(at: now), "the clock was set back, or is another's")
    #expect(!look(modified: 0, changed: .max).isOld(at: now))
  }
}

/// A closure to hand to a thread.
private final class Work: Sendable {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) {
    self.body = body
  }
}
