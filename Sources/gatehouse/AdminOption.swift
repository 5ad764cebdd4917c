// How a command finds the running server and talks to it: over its admin socket, one line out, an answer in.

import ArgumentParser
import Config
import Glibc
import Net
import Primitives
import Proxy

/// `--admin unix:/path`, or the socket that the configuration names.
struct AdminOption: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The running server's admin socket.", valueName: "unix:path"))
  var admin: String?

  @Option(
    name: [.customShort("c"), .long], help: ArgumentHelp("The configuration that names the socket.", valueName: "proxy.conf"),
    completion: .file())
  var config: String?

  func validate() throws {
    if admin != nil && config != nil { throw ValidationError("--admin and --config exclude each other") }
    if let admin, (try? path(of: admin)) == nil {
      throw ValidationError("--admin takes a Unix socket, as in unix:/run/gatehouse/admin.sock")
    }
  }

  private func path(of text: String) throws -> String {
    guard case .unix(let path) = try SocketAddress(parsing: text) else { throw Failure("no Unix socket") }
    return path
  }

  /// Of a configuration only `admin` is needed, so errors elsewhere in it are no hindrance.
  private func resolve() throws -> String {
    if let admin { return try path(of: admin) }
    let name = config ?? "proxy.conf"
    // Without a configuration here, the socket of the service of this machine.
    guard unsafe config != nil || access(name, F_OK) == 0 else { return AdminPlace.standardPath }
    let configuration = Configuration.load(path: name)
    switch configuration.admin {
    case .unix(let path): return path
    case .standard: return AdminPlace.standardPath
    case .off: throw Failure("\(name) says 'admin off': the server can't be asked; signals still reach it")
    }
  }

  /// Sends a command and gives back its answer: what stands behind `ok`, and the lines after it. Throws what the server answers else.
  func ask(_ command: String, within patience: Interval = AdminOption.patience) throws -> (headline: String, lines: [String]) {
    let path = try resolve()
    let text: String
    do {
      text = try Self.exchange(command + "\n", path, within: patience)
    } catch let error as NetError {
      guard case .system(_, let number) = error else { throw Failure("\(error)") }
      switch number {
      case ENOENT, ECONNREFUSED:
        throw Failure(
          "nothing listens at unix:\(path): Gatehouse does not run, or with another socket; say which with --admin or --config, "
            + "or have one by 'admin unix:PATH' in proxy.conf")
      case EACCES: throw Failure("unix:\(path) is for root and the user that Gatehouse runs as: try sudo")
      default: throw Failure("unix:\(path): \(NetError.text(ofErrno: number))")
      }
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last == "" { lines.removeLast() }
    guard let first = lines.first, text.hasSuffix("\n") else { throw Failure("unix:\(path): the server broke off") }
    if first == "ok" || first.hasPrefix("ok ") { return (String(first.dropFirst(3)), Array(lines.dropFirst())) }
    guard first.hasPrefix("error") else { throw Failure("unix:\(path) is no admin socket of Gatehouse") }
    throw Failure(([String(first.dropFirst(6))] + lines.dropFirst()).joined(separator: "\n"))
  }

  /// A reload of a large user file takes its time.
  static let patience = Interval.seconds(120)
  /// More than the longest answer.
  private static let mostBytes = 16 << 20

  private static func exchange(_ command: String, _ path: String, within patience: Interval) throws -> String {
    var stream = try Stream.connect(to: .unix(path: path))
    var poller = try Poller(capacity: 1)
    try poller.add(stream.descriptor, .read, EventToken(kind: 0))
    // A fresh socket has room for a line.
    guard case .bytes(command.utf8.count) = stream.write(Array(command.utf8).span) else { throw Failure("the server takes no command") }
    let limit = Instant.now().advanced(by: patience)
    var answer = ByteBuffer()
    while true {
      switch stream.read(into: &answer, atMost: 64 << 10) {
      case .bytes:
        if answer.count > mostBytes { throw Failure("the answer has no end") }
      case .wouldBlock:
        guard Instant.now() < limit else { throw Failure("the server does not answer: it is busy, or stopped") }
        _ = poller.wait(until: limit, now: Instant.now())
      // Whatever ends the connection ends the answer; whether that was whole, its last byte says.
      case .closed, .failed:
        return String(decoding: answer.array(), as: UTF8.self)
      }
    }
  }
}
