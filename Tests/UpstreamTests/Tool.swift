// The openssl command line, for certificates and a TLS server: the other side is to be somebody else's code.

import Glibc
import Net
import Testing

/// A child process with its standard output at hand. Killed and reaped with its last reference.
final class Child {
  private let id: pid_t
  private let output: Int32
  /// The other end of its standard input, or -1.
  private let input: Int32
  private var isReaped = false

  init(_ arguments: [String], hasInput: Bool = false) throws {
    // One at a time: a child that another test starts meanwhile must not keep this one's pipes open.
    Self.spawning.wait()
    defer { Self.spawning.signal() }
    let pipe = try Self.pipe()
    let words = hasInput ? try Self.pipe() : [-1, -1]
    input = words[1]
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe _ = posix_spawn_file_actions_destroy(&actions) }
    if hasInput {
      unsafe posix_spawn_file_actions_adddup2(&actions, words[0], 0)
    } else {
      unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    unsafe posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
    unsafe posix_spawn_file_actions_adddup2(&actions, pipe[1], 2)
    var list = unsafe arguments.map { unsafe strdup($0) }
    unsafe list.append(nil)
    defer { unsafe list.forEach { unsafe free($0) } }
    var id = pid_t()
    let result = unsafe posix_spawnp(&id, arguments[0], &actions, nil, list, environ)
    close(pipe[1])
    if hasInput { close(words[0]) }
    self.id = id
    output = pipe[0]
    try #require(result == 0, "\(arguments[0]) can't be started")
  }

  deinit {
    if !isReaped {
      kill(id, SIGKILL)
      _ = waitpid(id, nil, 0)
    }
    close(output)
    if input >= 0 { close(input) }
  }

  /// Writes to its standard input.
  func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = unsafe Glibc.write(input, bytes, bytes.count)
  }

  private static let spawning = {
    let semaphore = Semaphore()
    semaphore.signal()
    return semaphore
  }()

  private static func pipe() throws -> [Int32] {
    var pipe: [Int32] = [-1, -1]
    try #require(unsafe Glibc.pipe(&pipe) == 0)
    for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return pipe
  }

  /// The next line of output without its end; nil at the end, and after twenty silent seconds, which only a broken test takes.
  func line() -> String? {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while true {
      var one = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&one, 1, 20_000) == 1, unsafe read(output, &byte, 1) == 1 else { break }
      if byte == 0x0A { return String(decoding: line, as: UTF8.self) }
      line.append(byte)
    }
    return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
  }

  /// Runs a command to its end; what it says is shown when it fails.
  static func run(_ arguments: String...) throws {
    let child = try Child(arguments)
    var said: [String] = []
    while let line = child.line() { said.append(line) }
    var status: Int32 = 0
    unsafe _ = waitpid(child.id, &status, 0)
    child.isReaped = true
    try #require(status == 0, "\(arguments): \(said)")
  }
}

/// A certificate authority in a scratch folder, and what it signs.
final class Authority {
  private let scratch = Scratch()
  let name: String

  init(_ name: String = "ca") throws {
    self.name = name
    try Child.run(
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=\(name)",
      "-keyout", key("ca"), "-out", certificate("ca"))
  }

  func certificate(_ name: String) -> String { scratch.file("\(name).pem") }
  func key(_ name: String) -> String { scratch.file("\(name).key") }

  /// Signs a certificate for `alternative` (as `DNS:name` or `IP:address`).
  func sign(_ name: String, for alternative: String) throws {
    try Child.run(
      "openssl", "req", "-x509", "-CA", certificate("ca"), "-CAkey", key("ca"), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes",
      "-days", "2", "-subj", "/CN=\(name)", "-addext", "subjectAltName=\(alternative)", "-addext", "basicConstraints=CA:FALSE", "-keyout",
      key(name),
      "-out", certificate(name))
  }

  /// `openssl s_server`, which answers each GET with a page about the connection.
  func serve(_ name: String, _ options: String...) throws -> TLSServer {
    let child = try Child(
      ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate(name), "-key", key(name)] + options)
    while let line = child.line() {
      if line.hasPrefix("ACCEPT "), let digits = line.split(separator: ":").last, let port = UInt16(digits) {
        return TLSServer(child: child, port: port)
      }
    }
    throw Missing()
  }

  struct Missing: Error {}
}

final class TLSServer {
  private let child: Child
  let port: UInt16

  init(child: Child, port: UInt16) {
    self.child = child
    self.port = port
  }
}
