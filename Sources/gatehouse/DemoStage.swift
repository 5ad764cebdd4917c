// What `gatehouse demo` sets up and tries: the processes, the files and the curl commands. Each is started as an operator would start it by hand.

import Crypto
import Glibc
import Net
import Primitives

/// One command to try, and what it should give.
struct Trial {
  let says: String
  let arguments: [String]
  /// What the output must and must not hold.
  let expected: [String]
  var refused: [String] = []

  /// As one would type it.
  var command: String { (["curl"] + arguments.map { $0.contains(" ") ? "'\($0)'" : $0 }).joined(separator: " ") }

  /// Runs it and says what came of it.
  func passes() -> Bool {
    let (code, output) = Child.output(of: ["curl", "--silent", "--show-error", "--max-time", "20"] + arguments)
    let missing = expected.filter { !output.contains($0) }
    let surplus = refused.filter { output.contains($0) }
    let isWell = code == 0 && missing.isEmpty && surplus.isEmpty
    Output.line("\(isWell ? "ok  " : "FAIL") \(says)\n     \(command)")
    if !isWell { Output.error("expected \(expected), unwanted \(surplus), exit code \(code), got:\n\(output)") }
    return isWell
  }
}

/// The echo service and the proxy, as they would be set up by hand.
final class Stage {
  private let scratch: Scratch
  private let listen: String
  private let listenTLS: String
  private let program: String
  private var children: [Child] = []
  private var token = ""

  init(scratch: Scratch, listen: String, listenTLS: String) {
    self.scratch = scratch
    self.listen = listen
    self.listenTLS = listenTLS
    program = Child.thisProgram
  }

  /// Starts the echo service, writes the configuration, adds a user and a token with the commands an operator would use. Answers the password.
  func prepare() throws -> String {
    let echo = try Child([program, "echo", "--listen", "127.0.0.1:0"])
    children.append(echo)
    guard let line = echo.line(containing: "listening on "), let url = line.components(after: "listening on ") else {
      throw DemoFailure("the echo service did not start")
    }
    let made = try SelfSignedCertificate(names: ["localhost"], addresses: ["127.0.0.1", "::1"], days: 30, from: Int(time(nil)))
    try scratch.write("demo-cert.pem", made.certificate.span)
    try scratch.write("demo-key.pem", made.key.span)
    try scratch.write(
      "proxy.conf",
      """
      listen \(listen)
      listen \(listenTLS) tls { certificate demo-cert.pem; key demo-key.pem }
      users  users
      log    access.log

      upstream legacy { server \(url) }

      route /            { upstream legacy; require valid-user }
      route /admin/      { upstream legacy; require group admin }
      route GET /healthz { upstream legacy; require nobody }

      """)
    let password = ASCII.string(Base64.encodeURLSafe(RandomBytes.array(12).span).span)
    let users = "\(scratch.path)/users"
    try expect(Child.output(of: [program, "user", "add", "alice", "--file", users, "--password-stdin"], input: password + "\n"))
    let issued = Child.output(of: [program, "token", "issue", "alice", "--name", "demo", "--file", users])
    try expect(issued)
    guard let word = issued.output.split(whereSeparator: { $0 == " " || $0 == "\n" }).first(where: { $0.hasPrefix("ghk_") }) else {
      throw DemoFailure("no token was issued: \(issued.output)")
    }
    token = String(word)
    return password
  }

  private func expect(_ result: (code: Int32, output: String)) throws {
    if result.code != 0 { throw DemoFailure(result.output) }
  }

  /// Starts the proxy; answers where it listens in clear text, and where with TLS.
  func start() throws -> (clear: String, secure: String) {
    let serve = try Child([program, "serve", "--config", "\(scratch.path)/proxy.conf"])
    children.append(serve)
    guard let clear = serve.line(containing: "listening on ")?.components(after: "listening on "),
      let secure = serve.line(containing: "listening on ")?.components(after: "listening on "), let colon = secure.lastIndex(of: ":"),
      serve.line(containing: "ready") != nil
    else {
      throw DemoFailure("the proxy did not start; is \(listen) or \(listenTLS) taken?")
    }
    return (clear, "https://localhost" + secure[colon...])
  }

  func trials(_ urls: (clear: String, secure: String), password: String) -> [Trial] {
    let url = urls.clear
    let authority = ["--cacert", "\(scratch.path)/demo-cert.pem"]
    return [
      Trial(
        says: "with the password: 200, and the service sees who it is, but no Authorization",
        arguments: ["-i", "-u", "alice:\(password)", "\(url)/hello"], expected: ["HTTP/1.1 200", "X-Forwarded-User", "alice"],
        refused: ["\"Authorization\"", password]),
      Trial(
        says: "with the token in place of the user name, any password: 200", arguments: ["-i", "-u", "\(token):x", "\(url)/hello"],
        expected: ["HTTP/1.1 200", "alice"], refused: ["\"Authorization\"", token]),
      Trial(
        says: "with the token as a bearer: 200", arguments: ["-i", "-H", "Authorization: Bearer \(token)", "\(url)/hello"],
        expected: ["HTTP/1.1 200", "alice"], refused: ["\"Authorization\"", token]),
      Trial(says: "without credentials: 401", arguments: ["-i", "\(url)/hello"], expected: ["HTTP/1.1 401", "WWW-Authenticate: Basic"]),
      Trial(says: "with a wrong password: 401", arguments: ["-i", "-u", "alice:wrong", "\(url)/hello"], expected: ["HTTP/1.1 401"]),
      Trial(
        says: "where alice's groups don't reach: 403", arguments: ["-i", "-u", "alice:\(password)", "\(url)/admin/"],
        expected: ["HTTP/1.1 403"]),
      Trial(says: "a public route: 200 without credentials", arguments: ["-i", "\(url)/healthz"], expected: ["HTTP/1.1 200"]),
      Trial(
        says: "over TLS, where nobody on the way can read the password: 200, by HTTP/2",
        arguments: ["-i"] + authority + ["-u", "alice:\(password)", "\(urls.secure)/hello"],
        expected: ["HTTP/2 200", "X-Forwarded-Proto", "https", "alice"], refused: ["\"Authorization\"", password]),
      Trial(
        says: "over TLS by HTTP/1.1, with the token: 200",
        arguments: ["-i", "--http1.1"] + authority + ["-H", "Authorization: Bearer \(token)", "\(urls.secure)/hello"],
        expected: ["HTTP/1.1 200", "X-Forwarded-Proto", "https", "alice"], refused: ["\"Authorization\"", token]),
      Trial(
        says: "over TLS without credentials: 401", arguments: ["-i"] + authority + ["\(urls.secure)/hello"],
        expected: ["HTTP/2 401", "www-authenticate: Basic"]),
    ]
  }

  /// From now on Ctrl-C and TERM wait for `waitForSignal`, so that none ends us before we have cleaned up. Not before the children
  /// are started: they would inherit it.
  func holdSignals() {
    var set = Self.endings
    unsafe _ = sigprocmask(SIG_BLOCK, &set, nil)
  }

  private static var endings: sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGINT)
    unsafe sigaddset(&set, SIGTERM)
    return set
  }

  /// Until Ctrl-C or TERM.
  func waitForSignal() {
    var set = Self.endings
    var signal: Int32 = 0
    unsafe _ = sigwait(&set, &signal)
  }

  func stop() {
    for child in children.reversed() { child.stop() }
  }
}

/// A process of ours: started with a pipe on its output, ended by its number.
private final class Child {
  private let process: pid_t
  private let pipe: FileDescriptor
  private var buffered: [UInt8] = []

  static var thisProgram: String {
    var path = [CChar](repeating: 0, count: 4096)
    let n = unsafe readlink("/proc/self/exe", &path, path.count - 1)
    return n > 0 ? String(decoding: path[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self) : "gatehouse"
  }

  init(_ arguments: [String], input: String? = nil) throws {
    let ends = try Self.makePipe()
    pipe = FileDescriptor(owning: ends.reader)
    let writer = FileDescriptor(owning: ends.writer)
    let source = try input == nil ? (reader: -1, writer: -1) : Self.makePipe()
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    if input != nil { unsafe _ = posix_spawn_file_actions_adddup2(&actions, source.reader, 0) }
    unsafe posix_spawn_file_actions_adddup2(&actions, writer.raw, 1)
    unsafe posix_spawn_file_actions_adddup2(&actions, writer.raw, 2)
    var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var id: pid_t = 0
    let code = unsafe posix_spawnp(&id, arguments[0], &actions, nil, &words, environ)
    process = id
    guard code == 0 else { throw DemoFailure("\(arguments[0]) can't be run: \(unsafe String(cString: strerror(code)))") }
    if let input {
      close(source.reader)
      let bytes = Array(input.utf8)
      unsafe _ = bytes.withUnsafeBytes { unsafe write(source.writer, $0.baseAddress, $0.count) }
      close(source.writer)
    }
  }

  /// Both ends are closed in whatever is started.
  private static func makePipe() throws -> (reader: Int32, writer: Int32) {
    var ends: [Int32] = [0, 0]
    guard unsafe Glibc.pipe(&ends) == 0 else { throw DemoFailure("no pipe: \(unsafe String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  /// Runs to the end; output and errors together.
  static func output(of arguments: [String], input: String? = nil) -> (code: Int32, output: String) {
    do {
      let child = try Child(arguments, input: input)
      while child.read() {}
      return (child.wait(), String(decoding: child.buffered, as: UTF8.self))
    } catch {
      return (127, "\(error)")
    }
  }

  /// Reads until a line with `words` comes; nil at the end of the output.
  func line(containing words: String) -> String? {
    while true {
      if let end = buffered.firstIndex(of: 0x0A) {
        let line = String(decoding: buffered[..<end], as: UTF8.self)
        buffered.removeSubrange(...end)
        if line.contains(words) { return line }
        if line.contains("error") { Output.error(line) }
      } else if !read() {
        return nil
      }
    }
  }

  private func read() -> Bool {
    var piece = [UInt8](repeating: 0, count: 4096)
    let n = unsafe piece.withUnsafeMutableBytes { unsafe Glibc.read(pipe.raw, $0.baseAddress, $0.count) }
    if n < 0 && errno == EINTR { return true }
    guard n > 0 else { return false }
    buffered += piece[..<n]
    return true
  }

  func stop() {
    kill(process, SIGTERM)
    _ = wait()
  }

  private func wait() -> Int32 {
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
  }
}

extension String {
  /// What stands behind the first `words`, or nil.
  fileprivate func components(after words: String) -> String? {
    var rest = self[...]
    while !rest.isEmpty {
      if rest.hasPrefix(words) { return String(rest.dropFirst(words.count)) }
      rest = rest.dropFirst()
    }
    return nil
  }
}
