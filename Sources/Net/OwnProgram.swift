// This program as a file and a command line, to be started again, and the processes made of it.

internal import CLinux
internal import Glibc

/// How this process was started.
public struct OwnProgram: Sendable {
  /// The file, by the name that it was found under then: what stands there now may be a newer one. Links in it are followed anew.
  public var path: String
  /// argv, its own name first.
  public var arguments: [String]

  /// Of this process; to be asked for before the folder that it works in changes.
  public init(arguments: [String] = CommandLine.arguments) {
    self.arguments = arguments
    path = Self.find(arguments.first ?? "")
  }

  /// As the shell finds programs: a name with a slash is a path, another stands in a folder of PATH.
  private static func find(_ name: String) -> String {
    if name.hasPrefix("/") { return name }
    if name.contains("/") {
      guard let folder = unsafe getcwd(nil, 0) else { return ownFile }
      defer { unsafe free(folder) }
      return unsafe String(cString: folder) + "/" + name
    }
    let folders = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
    for folder in folders.split(separator: ":") where folder.hasPrefix("/") && !name.isEmpty {
      if unsafe access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
    }
    return ownFile
  }

  /// The kernel's word for it (proc(5)).
  private static var ownFile: String {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = unsafe readlink("/proc/self/exe", &bytes, bytes.count - 1)
    return count > 0 ? String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : "/proc/self/exe"
  }

  /// Starts it anew, in a process group of its own, with these variables beside those of our environment, no signal blocked or ignored, and no
  /// descriptors but the standard ones and `passed`, which become 3, 4, 5 … in this order. Answers when it runs; what becomes of it, `ChildProcess`
  /// says.
  public func start(_ variables: [String: String], passing passed: [Int32]) throws(NetError) -> ChildProcess {
    var environment = variables.map { "\($0)=\($1)" }
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
      let line = unsafe String(cString: text)
      if !variables.keys.contains(where: { line.hasPrefix("\($0)=") }) { environment.append(line) }
      unsafe entry += 1
    }
    var words = unsafe arguments.map { unsafe strdup($0) } + [nil]
    var lines = unsafe environment.map { unsafe strdup($0) } + [nil]
    defer {
      unsafe words.forEach { unsafe free($0) }
      unsafe lines.forEach { unsafe free($0) }
    }
    let pid = unsafe gh_program_start(path, &words, &lines, passed, passed.count)
    try NetError.check(pid, "start \(path)")
    return ChildProcess(pid: pid)
  }
}

/// A process that we started, until it was told how it ended: its number is nobody else's till then.
public struct ChildProcess: Sendable {
  public let pid: Int32

  /// Ends it at once, with all that it has started in its group, and answers how it ended: an exit code, or 128 and a signal's number, as a shell
  /// has it. It may have ended by itself, and how is then what counts.
  @discardableResult
  public func end() -> Int32 {
    // Before anybody waits for it: till then its number, which is its group's, is nobody else's. It may have left that group (`joinParent`).
    _ = kill(-pid, SIGKILL)
    _ = kill(pid, SIGKILL)
    return gh_program_end(pid, 1)
  }

  /// In the new process, once it takes its parent's place: what a terminal or a shell tells the group of that one's reaches this one too from here on.
  public static func joinParent() {
    let group = getpgid(getppid())
    if group > 0 { _ = setpgid(0, group) }
  }

  /// How it ended; nil while it runs.
  public func ended() -> Int32? {
    let code = gh_program_end(pid, 0)
    return code == -EAGAIN ? nil : code
  }

  public func send(_ signal: Signal) { _ = kill(pid, signal.rawValue) }
}

/// A file in memory that can't be changed any more, close-on-exec.
public enum SealedFile {
  public static func make(_ name: String, _ text: String) throws(NetError) -> FileDescriptor {
    let raw = unsafe gh_sealed_create(name, text, text.utf8.count)
    try NetError.check(raw, "make a file in memory")
    return FileDescriptor(owning: raw)
  }
}
