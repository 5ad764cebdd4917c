// Unix sockets' files: whose they are, and which may be replaced.

import FoundationEssentials
import Glibc
import Net
import Primitives
import Testing

@Suite struct UnixSocketFileTests {
  private let scratch = Scratch()

  private func bind(_ path: String, mode: UInt32 = 0o660) throws(NetError) -> Listener {
    var options = ListenOptions(address: .unix(path: path))
    options.unixMode = mode
    return try Listener.bind(options)
  }

  private func inode(_ path: String) -> UInt? {
    var status = stat()
    return unsafe lstat(path, &status) == 0 ? status.st_ino : nil
  }

  @Test func liveSocketIsNotTaken() throws {
    let path = scratch.file("s")
    let first = try bind(path)
    let file = inode(path)
    #expect(throws: NetError.inUse(path: path)) { _ = try bind(path) }
    #expect(inode(path) == file)
    let client = try Stream.connect(to: first.localAddress)
    _ = consume client
  }

  @Test func liveSocketWithAFullQueueIsNotTaken() throws {
    let path = scratch.file("s")
    var options = ListenOptions(address: .unix(path: path))
    options.backlog = 0
    let first = try Listener.bind(options)
    let client = try Stream.connect(to: first.localAddress)
    #expect(throws: NetError.inUse(path: path)) { _ = try bind(path) }
    _ = consume client
    _ = consume first
  }

  @Test func deadSocketsFileIsReplaced() throws {
    let path = scratch.file("s")
    let first = try bind(path)
    _ = consume first
    #expect(inode(path) != nil, "closing leaves the file, as a killed process does")
    let second = try bind(path)
    let client = try Stream.connect(to: second.localAddress)
    _ = consume client
    _ = consume second
  }

  @Test func fileThatIsNoSocketIsNeverRemoved() throws {
    let path = scratch.file("precious")
    write("data", to: path)
    #expect(throws: NetError.notASocket(path: path)) { _ = try bind(path) }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "data")
  }

  @Test func folderAndLinkAndPipeAreNeverRemoved() throws {
    let folder = scratch.file("folder")
    #expect(unsafe mkdir(folder, 0o700) == 0)
    #expect(throws: NetError.notASocket(path: folder)) { _ = try bind(folder) }
    let dead = scratch.file("dead")
    _ = try bind(dead)
    let link = scratch.file("link")
    #expect(unsafe symlink(dead, link) == 0)
    #expect(throws: NetError.notASocket(path: link)) { _ = try bind(link) }
    #expect(inode(dead) != nil)
    let pipe = scratch.file("pipe")
    #expect(unsafe mkfifo(pipe, 0o600) == 0)
    #expect(throws: NetError.notASocket(path: pipe)) { _ = try bind(pipe) }
  }

  @Test func datagramSocketIsNotTaken() throws {
    let path = scratch.file("log")
    let receiver = DatagramReceiver(path: path)
    #expect(throws: NetError.inUse(path: path)) { _ = try bind(path) }
    #expect(inode(path) != nil)
    _ = receiver
  }

  @Test(arguments: [UInt32(0o660), 0o600, 0o666])
  func fileHasTheModeAskedFor(mode: UInt32) throws {
    let path = scratch.file("m\(mode)")
    let listener = try bind(path, mode: mode)
    var status = stat()
    #expect(unsafe lstat(path, &status) == 0)
    #expect(status.st_mode & 0o7777 == mode, "whatever the umask")
    _ = consume listener
  }

  @Test(.enabled(if: geteuid() == 0, "only root may give a file away"))
  func fileBelongsToWhomItIsGivenTo() throws {
    let path = scratch.file("o")
    var options = ListenOptions(address: .unix(path: path))
    (options.unixMode, options.unixOwner, options.unixGroup) = (0o640, 65534, 65533)
    let listener = try Listener.bind(options)
    var status = stat()
    #expect(unsafe lstat(path, &status) == 0 && status.st_uid == 65534 && status.st_gid == 65533 && status.st_mode & 0o7777 == 0o640)
    (options.unixMode, options.unixOwner, options.unixGroup) = (0o600, nil, 0)
    try listener.apply(options)
    #expect(
      unsafe lstat(path, &status) == 0 && status.st_uid == geteuid() && status.st_gid == 0 && status.st_mode & 0o7777 == 0o600,
      "who is not named any more has it no more")
    // Another file in its place is left alone.
    #expect(unsafe unlink(path) == 0)
    write("data", to: path)
    #expect(throws: NetError.self) { try listener.apply(options) }
    #expect(unsafe lstat(path, &status) == 0 && status.st_uid == geteuid())
  }

  @Test(.enabled(if: geteuid() != 0, "root may give to anybody"))
  func whatMayNotBeGivenLeavesNoFile() throws {
    let path = scratch.file("n")
    var options = ListenOptions(address: .unix(path: path))
    options.unixOwner = 0
    #expect(throws: NetError.self) { _ = try Listener.bind(options) }
    #expect(inode(path) == nil)
  }

  @Test func removeTakesOurOwnFileOnly() throws {
    let path = scratch.file("s")
    let first = try bind(path)
    let copy = try first.duplicate()
    copy.removeFile()
    #expect(inode(path) == nil)
    // Another has taken the place meanwhile.
    let second = try bind(path)
    first.removeFile()
    #expect(inode(path) != nil)
    second.removeFile()
    #expect(inode(path) == nil)
    _ = consume first
  }

  @Test func missingFolderIsAnError() throws {
    let path = scratch.file("none/s")
    #expect(throws: NetError.system(doing: "listen on unix:\(path)", errno: ENOENT)) { _ = try bind(path) }
  }

  @Test func severalThatStartAtOnceLeaveOneListening() throws {
    let path = scratch.file("s")
    _ = try bind(path)
    let results = try Mailbox<Bool>()
    var threads: [Net.Thread] = []
    let done = try Mailbox<Bool>()
    for _ in 0..<8 {
      threads.append(
        try Threads.spawn(name: "starter") {
          guard let listener = try? Listener.bind(ListenOptions(address: .unix(path: path))) else {
            results.post(false)
            return
          }
          results.post(true)
          // Stays alive until all have tried.
          _ = becomes(done.descriptor, POLLIN)
          _ = consume listener
        })
    }
    var answers: [Bool] = []
    while answers.count < 8 && becomes(results.descriptor, POLLIN) { answers += results.drain() }
    done.post(true)
    for thread in threads { thread.join() }
    #expect(answers.filter { $0 }.count == 1)
  }
}
