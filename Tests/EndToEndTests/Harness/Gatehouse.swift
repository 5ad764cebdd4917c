// The program under test, as a process: started with a configuration, asked for its ports, stopped, and its logs read.

import Foundation
import Testing

final class Gatehouse: Sendable {
  /// The binary beside the test bundle, or the one that GATEHOUSE_BINARY names (to run the same tests against a release build).
  static let binary: String = {
    if let named = ProcessInfo.processInfo.environment["GATEHOUSE_BINARY"] { return named }
    let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("gatehouse").path
  }()

  /// Runs a subcommand to its end, in the folder of `scratch`.
  static func run(_ arguments: [String], input: String = "", in scratch: Scratch, within duration: Duration = .seconds(60)) throws
    -> Outcome
  {
    let home = ["HOME": scratch.path]
    return try Child.run(binary, arguments, input: [UInt8](input.utf8), folder: scratch.path, environment: home, within: duration)
  }

  let scratch: Scratch
  let child: Child
  /// The ports of the listeners, in the order of the file. Unix sockets have none.
  let ports: [UInt16]
  var port: UInt16 { ports[0] }

  /// Starts `serve` with the proxy.conf that is in `scratch`, and waits until it is ready.
  init(in scratch: Scratch, descriptors: Int? = nil, environment: [String: String] = [:], launcher: [String] = []) throws {
    self.scratch = scratch
    let words = launcher + [Self.binary, "serve", "--config", scratch["proxy.conf"]]
    child = try Child(
      words[0], Array(words.dropFirst()), folder: scratch.path, environment: environment, descriptors: descriptors)
    let mark = "gatehouse: listening on http"
    let child = self.child
    let listening: [Substring]? = child.errors.wait { text in
      let lines = text.split(separator: "\n")
      guard lines.contains(where: { $0.contains("gatehouse: ready") }) else { return nil }
      return lines.filter { $0.contains(mark) }
    }
    guard let listening else {
      child.signal(SIGKILL)
      throw Failure("gatehouse did not start:\n\(child.errors.text)")
    }
    ports = listening.compactMap { $0.split(separator: ":").last.flatMap { UInt16($0) } }
    let front = Front.current.isSecure ? Front.current : .tls
    for (port, line) in zip(ports, listening) where line.contains("https://") {
      Front.open(port, Front.Door(front: front, authority: scratch["ca.pem"], owner: child.pid))
    }
  }

  deinit { closeDoors() }

  private func closeDoors() {
    for port in ports { Front.close(port, of: child.pid) }
  }

  /// Ends it as an operator does, by TERM, if it has not ended yet; another exit code than `code` is a failure.
  func stop(expecting code: Int32 = 0) throws {
    child.signal(SIGTERM)
    let outcome = try child.wait()
    closeDoors()
    #expect(outcome.code == code, "gatehouse ended with \(outcome.code):\n\(outcome.errors)")
  }

  /// Lines of its standard error so far.
  var errorLines: [String] { child.errors.text.split(separator: "\n").map(String.init) }

  var accessLog: String { (try? scratch.text("access.log")) ?? "" }

  /// Whatever it has written: standard error, standard output and every file whose name begins with access.log.
  var logs: String {
    let files = scratch.names.filter { $0.hasPrefix("access.log") }.compactMap { try? scratch.text($0) }
    return ([child.errors.text, child.output.text] + files).joined(separator: "\n")
  }
}
