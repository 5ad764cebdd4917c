// The program's name, version and commands, and how a command ends: its exit code and its last words. What a command does is its own
// file's.

import ArgumentParser
import Glibc

@main
struct Gatehouse: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gatehouse",
    abstract: "An authenticating reverse proxy: it stands in front of a service and lets in who is known.",
    version: "0.1.0",
    subcommands: [
      ServeCommand.self, CheckCommand.self, UserCommand.self, TokenCommand.self, StatusCommand.self, ReloadCommand.self,
      DrainCommand.self, UpgradeCommand.self, BanCommand.self, DemoCommand.self, EchoCommand.self,
    ])

  /// Exit codes: 0 well; 1 what was asked about is wrong, or can't be done; 2 usage. Errors go to standard error as
  /// `gatehouse: what failed: why`. (The parser's own `main` would say `Error:`, and exit with 64 on usage.)
  static func main() {
    StandardStreams.open()
    // Whoever started us may have signals blocked (a supervisor's thread, a test runner): ours have to reach us.
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigprocmask(SIG_SETMASK, &none, nil)
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      // Help, the version and completion scripts come this way too.
      if code == .success { exit(withError: error) }
      if code == .validationFailure {
        // The error, then the usage of the command that was meant.
        let text = fullMessage(for: error)
        Output.error(text.hasPrefix("Error: ") ? "gatehouse: \(text.dropFirst(7))" : text)
        Glibc.exit(2)
      }
      // A command that has said all there is to say throws a bare ExitCode.
      let message = message(for: error)
      if !message.isEmpty { Output.error("gatehouse: \(message)") }
      Glibc.exit(code.rawValue)
    }
  }
}

/// What a command says, and where.
enum Output {
  /// A line on standard output, there at once also when that is a pipe. False when it could not be written.
  @discardableResult
  static func line(_ text: String) -> Bool {
    write(text, to: STDOUT_FILENO)
  }

  /// A line on standard error.
  static func error(_ text: String) {
    write(text, to: STDERR_FILENO)
  }

  /// Unbuffered: a script that waits for a line gets it, and no other thread's line comes in between.
  @discardableResult
  private static func write(_ text: String, to descriptor: Int32) -> Bool {
    var rest = Array((text + "\n").utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }
}

/// Descriptors 0, 1 and 2, which a program may be started without.
enum StandardStreams {
  /// Takes those that are closed, so that no socket and no file of ours gets such a number and is then written to as if it were standard
  /// error. Reading and writing them fails as it would have: each is opened the wrong way round.
  static func open() {
    for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest number that is free, which is this one.
      _ = unsafe Glibc.open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
    }
  }
}
