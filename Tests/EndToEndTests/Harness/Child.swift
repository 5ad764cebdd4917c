// Programs run by the tests: what they print is gathered, how they end is known, and none outlives the test run.

import Foundation
import Glibc

/// What a program printed so far on one of its outputs: all that it wrote before the question, so that what stands in the log before an answer
/// is sent is found there by whoever has the answer.
final class Output: Sendable {
  private let descriptor: Int32
  private let state = Monitor((bytes: [UInt8](), ended: false))

  fileprivate init(reading descriptor: Int32) {
    self.descriptor = descriptor
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    let state = self.state
    Thread.detachNewThread {
      var isOpen = true
      while isOpen {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&waiting, 1, -1)
        state.with {
          Self.drain(descriptor, &$0)
          isOpen = !$0.ended
        }
      }
      _ = close(descriptor)
    }
  }

  /// Takes what is in the pipe. With the lock held: nobody reads beside it, and the descriptor is open until the end was seen.
  private static func drain(_ descriptor: Int32, _ state: inout (bytes: [UInt8], ended: Bool)) {
    while !state.ended {
      var count = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, filled in
        repeat { count = unsafe read(descriptor, buffer.baseAddress, 65536) } while count < 0 && errno == EINTR
        filled = max(count, 0)
      }
      if count < 0 && errno == EAGAIN { return }
      state.bytes += bytes
      state.ended = count <= 0
    }
  }

  var bytes: [UInt8] {
    state.with {
      Self.drain(descriptor, &$0)
      return $0.bytes
    }
  }
  var text: String { String(decoding: bytes, as: UTF8.self) }

  /// Waits until `found` makes something of the text; nil when the output ended, or the time was up, without.
  func wait<Result>(until deadline: Deadline = .usual, _ found: (String) -> Result?) -> Result? {
    let result: Result?? = state.wait(until: deadline) {
      if let result = found(String(decoding: $0.bytes, as: UTF8.self)) { return .some(.some(result)) }
      return $0.ended ? .some(.none) : nil
    }
    return result ?? nil
  }

  /// Waits for a line that contains `part`.
  func waitForLine(containing part: String, _ deadline: Deadline = .usual) throws {
    guard wait(until: deadline, { $0.split(separator: "\n").contains { $0.contains(part) } ? true : nil }) != nil else {
      throw Failure("no line with “\(part)” in:\n\(text)")
    }
  }

  fileprivate func waitForEnd(_ deadline: Deadline) throws -> [UInt8] {
    guard let bytes = state.wait(until: deadline, { $0.ended ? $0.bytes : nil }) else { throw Failure("an output did not end in time") }
    return bytes
  }
}

/// How a program ended and what it printed.
struct Outcome: Sendable {
  /// The exit code, or 128 + the number of the signal that ended it, as a shell has it.
  var code: Int32
  var output: [UInt8]
  var errors: String

  var text: String { String(decoding: output, as: UTF8.self) }
}

final class Child: Sendable {
  let pid: pid_t
  let output: Output
  let errors: Output
  private let status: Monitor<Int32?>

  /// Starts `program` (a full path) at once. `input` becomes its standard input, `folder` its working directory; `descriptors` limits how
  /// many files it may open. The environment is `environment` and a few fixed settings alone: no proxy, home or language of ours.
  init(
    _ program: String, _ arguments: [String], input: [UInt8] = [], folder: String? = nil, environment: [String: String] = [:],
    descriptors: Int? = nil
  ) throws {
    var words = [String]()
    if let descriptors { words += ["/usr/bin/prlimit", "--nofile=\(descriptors):\(descriptors)", "--"] }
    // Killed by the kernel when the test run dies, however that happens.
    words += ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"]
    if let folder { words += ["/usr/bin/env", "-C", folder] }
    words += [program] + arguments

    var settings = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"]
    settings.merge(environment) { $1 }
    let variables = settings.map { "\($0)=\($1)" }

    let inputFile = try Self.temporaryFile(holding: input)
    defer { _ = close(inputFile) }
    let (out, err) = try Spawner.shared.run { (try Self.pipe(), try Self.pipe()) }
    defer { _ = (close(out.write), close(err.write)) }

    // The death signal is tied to the thread that forked, so all are forked by one that never ends.
    let (command, outputs) = (words, [inputFile, out.write, err.write])
    pid = try Spawner.shared.run { try Self.spawn(command, variables, outputs) }
    output = Output(reading: out.read)
    errors = Output(reading: err.read)

    let status = Monitor<Int32?>(nil)
    self.status = status
    let pid = self.pid
    Thread.detachNewThread {
      // First waits without reaping, so that the number stays this child's until `status` says that it is gone.
      var info = unsafe siginfo_t()
      while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
      status.with {
        var raw: Int32 = 0
        _ = unsafe waitpid(pid, &raw, 0)
        let signal = raw & 0x7F
        $0 = signal == 0 ? (raw >> 8) & 0xFF : 128 + signal
      }
    }
  }

  deinit { signal(SIGKILL) }

  /// Sends a signal, unless the child has ended.
  func signal(_ number: Int32) {
    status.with { if $0 == nil { _ = kill(pid, number) } }
  }

  var isRunning: Bool { status.with { $0 == nil } }

  /// Waits for the end; kills the child and throws when the deadline passes.
  @discardableResult
  func wait(_ deadline: Deadline = .usual) throws -> Outcome {
    guard let code = status.wait(until: deadline, { $0 }) else {
      signal(SIGKILL)
      throw Failure("process \(pid) did not end in time; it printed:\n\(output.text)\n\(errors.text)")
    }
    let output = try self.output.waitForEnd(.usual)
    return Outcome(code: code, output: output, errors: String(decoding: try errors.waitForEnd(.usual), as: UTF8.self))
  }

  /// The exit code alone: its outputs may be another process's by now.
  func status(within duration: Duration = Deadline.patience) throws -> Int32 {
    guard let code = status.wait(until: .after(duration), { $0 }) else {
      throw Failure("process \(pid) did not end in time:\n\(errors.text)")
    }
    return code
  }

  /// Runs a program to its end.
  static func run(
    _ program: String, _ arguments: [String], input: [UInt8] = [], folder: String? = nil, environment: [String: String] = [:],
    within duration: Duration = .seconds(60)
  ) throws -> Outcome {
    try Child(program, arguments, input: input, folder: folder, environment: environment).wait(.after(duration))
  }

  /// The highest amount of memory that the process has had resident so far, in KiB (proc(5), VmHWM).
  func peakMemory() throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
      let number = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Int($0) })
    else { throw Failure("no VmHWM in:\n\(status)") }
    return number
  }

  /// Made on the spawning thread only: between the two steps nobody may fork.
  private static func pipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    guard unsafe Glibc.pipe(&ends) == 0 else { throw Failure("pipe: errno \(errno)") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  /// Input comes from a file without a name: a child that does not read it can't stop or kill us.
  private static func temporaryFile(holding bytes: [UInt8]) throws -> Int32 {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-input-\(UUID().uuidString)").path
    guard FileManager.default.createFile(atPath: path, contents: Data(bytes), attributes: [.posixPermissions: 0o600]) else {
      throw Failure("can't write \(path)")
    }
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    _ = unsafe unlink(path)
    guard descriptor >= 0 else { throw Failure("can't open \(path)") }
    return descriptor
  }

  private static func spawn(_ words: [String], _ variables: [String], _ standard: [Int32]) throws -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for (target, source) in standard.enumerated() { unsafe posix_spawn_file_actions_adddup2(&actions, source, Int32(target)) }

    // Threads of a test run block most signals, and children would inherit that: TERM has to reach them.
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    // Nor shall they inherit that we don't want to hear of broken pipes.
    var pipes = sigset_t()
    unsafe sigemptyset(&pipes)
    unsafe sigaddset(&pipes, SIGPIPE)
    unsafe posix_spawnattr_setsigdefault(&attributes, &pipes)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    var environment = unsafe variables.map { unsafe strdup($0) } + [nil]
    defer { unsafe (arguments + environment).forEach { unsafe free($0) } }
    var pid: pid_t = 0
    let status = unsafe posix_spawn(&pid, words[0], &actions, &attributes, &arguments, &environment)
    guard status == 0 else { throw Failure("can't start \(words): errno \(status)") }
    return pid
  }
}

/// SIGSTOP, and waits until none of the process's threads runs: until then one that is woken may still accept a connection, or read.
func stop(_ pid: pid_t) throws {
  guard kill(pid, SIGSTOP) == 0 else { throw Failure("process \(pid) can't be stopped: errno \(errno)") }
  let threads = "/proc/\(pid)/task"
  try eventually("process \(pid) has stopped") {
    try FileManager.default.contentsOfDirectory(atPath: threads).allSatisfy { thread in
      guard let text = try? String(contentsOfFile: "\(threads)/\(thread)/stat", encoding: .utf8) else { return true }
      return text.split(separator: ")").last?.hasPrefix(" T") ?? true
    }
  }
}

/// The thread that forks.
private final class Spawner: Sendable {
  static let shared = Spawner()
  private let jobs = Monitor<[@Sendable () -> Void]>([])

  private init() {
    let jobs = self.jobs
    Thread.detachNewThread {
      while true {
        let job = jobs.wait(until: .after(.seconds(3600))) { $0.isEmpty ? nil : $0.removeFirst() }
        job?()
      }
    }
  }

  func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
    let outcome = Monitor<Swift.Result<Result, any Error>?>(nil)
    jobs.with {
      $0.append {
        let result = Swift.Result { try body() }
        outcome.with { $0 = result }
      }
    }
    guard let result = outcome.wait({ $0 }) else { throw Failure("the spawning thread did not answer") }
    return try result.get()
  }
}
