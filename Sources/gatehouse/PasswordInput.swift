// Where a password comes from: the terminal, twice and without echo, or standard input for scripts. Never an argument: those are seen by everybody
// who can run ps.

import ArgumentParser
import Glibc
import Primitives

struct PasswordOption: ParsableArguments {
  @Flag(name: .long, help: "Read the password from the first line of standard input.")
  var passwordStdin = false

  /// - Parameter twice: whether a person is asked again, because a slip would lock him out.
  func read(for user: String, twice: Bool) throws -> Secret {
    if passwordStdin { return try PasswordInput.line(from: STDIN_FILENO) }
    guard isatty(STDIN_FILENO) == 1 else {
      throw Failure("no password: standard input is no terminal; pipe the password in and say --password-stdin")
    }
    let first = try PasswordInput.prompt("Password for \(user): ")
    if twice, !PasswordInput.areEqual(first, try PasswordInput.prompt("Password again: ")) {
      throw Failure("the two passwords differ: nothing was changed")
    }
    return first
  }
}

enum PasswordInput {
  /// Longer than any that is accepted, so that the refusal can say so.
  private static let limit = 16384

  /// Asks on the terminal, with its echo off meanwhile.
  static func prompt(_ words: String, for what: String = "password") throws -> Secret {
    while true {
      if let secret = try ask(words, what) { return secret }
      // Here after Ctrl-Z and a return to the foreground: every other signal has ended us by now.
    }
  }

  /// Nil when a signal came in between. Signals wait until the echo is back, since dying before would leave a terminal that shows
  /// nothing; that they wait is looked for while we do, so that Ctrl-C is obeyed at once.
  private static func ask(_ words: String, _ what: String) throws -> Secret? {
    var before = termios()
    guard unsafe tcgetattr(STDIN_FILENO, &before) == 0 else {
      throw Failure("the terminal can't be read: \(unsafe String(cString: strerror(errno)))")
    }
    var silent = before
    silent.c_lflag &= ~tcflag_t(ECHO)
    var signals = sigset_t()
    var old = sigset_t()
    unsafe sigemptyset(&signals)
    for signal in interruptions { unsafe sigaddset(&signals, signal) }
    unsafe sigprocmask(SIG_BLOCK, &signals, &old)
    unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
    defer {
      unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
      unsafe sigprocmask(SIG_SETMASK, &old, nil)
    }
    var text = Array(words.utf8)
    unsafe _ = write(STDERR_FILENO, &text, text.count)
    defer { unsafe _ = write(STDERR_FILENO, "\n", 1) }
    return try line(from: STDIN_FILENO, for: what, unless: isInterrupted)
  }

  private static let interruptions = [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP]

  /// Whether a signal waits that was blocked.
  private static func isInterrupted() -> Bool {
    var pending = sigset_t()
    unsafe sigpending(&pending)
    return interruptions.contains { unsafe sigismember(&pending, $0) == 1 }
  }

  /// One line, without its end. Read byte by byte, so that nothing of what follows is taken, and no buffer of somebody else's holds it.
  static func line(from descriptor: Int32, for what: String = "password") throws -> Secret {
    guard let secret = try line(from: descriptor, for: what, unless: nil) else { throw Failure("no \(what): the line is empty") }
    return secret
  }

  /// Nil as soon as `isInterrupted`, which is asked ten times a second.
  private static func line(from descriptor: Int32, for what: String, unless isInterrupted: (() -> Bool)?) throws -> Secret? {
    var secret = Secret(capacity: 256)
    while true {
      if let isInterrupted {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while unsafe poll(&wanted, 1, 100) <= 0 {
          if isInterrupted() { return nil }
        }
      }
      var byte: UInt8 = 0
      let n = unsafe read(descriptor, &byte, 1)
      if n < 0 && errno == EINTR { continue }
      if n <= 0 || byte == 0x0A { break }
      secret.append(byte)
      if secret.count > limit { throw Failure("the \(what) is longer than \(limit) bytes") }
    }
    // A line of a file from another system.
    if secret.count > 0 && secret.span[secret.count - 1] == 0x0D { secret.truncate(to: secret.count - 1) }
    guard !secret.isEmpty else { throw Failure("no \(what): the line is empty") }
    return secret
  }

  /// Both were typed by the same person a moment ago: no time to be kept secret.
  static func areEqual(_ a: borrowing Secret, _ b: borrowing Secret) -> Bool { ASCII.equals(a.span, b.span) }
}
