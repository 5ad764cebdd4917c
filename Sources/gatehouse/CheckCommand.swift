// `gatehouse check`: says what a configuration means, or everything that is wrong with it; or what it would do with one request.

import ArgumentParser
import Auth
import Config
import Net
import Primitives
import Proxy

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Read the configuration and say what it means. Exit code 0 if it can be served, 1 if not.",
    discussion: """
      With --as, say instead whether a request would be let through, and by which line:
        gatehouse check --as alice --from 192.0.2.1 GET /admin/
      Exit code 0 if it would, 1 if not. No password is asked for.
      """)

  @Option(name: [.short, .long], help: ArgumentHelp("The configuration.", valueName: "file"), completion: .file())
  var config = "proxy.conf"

  @Option(name: .customLong("as"), help: ArgumentHelp("Whose request it is; - for somebody without credentials.", valueName: "user"))
  var user: String?

  @Option(help: ArgumentHelp("Where the request comes from: an address, or unix:.", valueName: "address"))
  var from: String?

  @Option(help: ArgumentHelp("The request's Host. (default: localhost)", valueName: "host"))
  var host: String?

  @Option(help: ArgumentHelp("Bring a token whose scope has these words, parted by spaces, instead of a password.", valueName: "words"))
  var scope: String?

  @Argument(help: "With --as: the request's method.")
  var method: String?

  @Argument(help: "With --as: the request's path, as a client sends it.")
  var path: String?

  func validate() throws {
    if user == nil {
      if from != nil || host != nil || scope != nil || method != nil {
        throw ValidationError("--as says whose request it is: --as USER METHOD PATH, or --as - METHOD PATH")
      }
    } else if method == nil || path == nil {
      throw ValidationError("a method and a path are missing: --as USER GET /path")
    }
    if user == "-" && scope != nil { throw ValidationError("somebody without credentials has no scope") }
    if let from, client(from) == nil { throw ValidationError("'\(from)' is no address: 192.0.2.1, 2001:db8::1 or unix: are") }
  }

  func run() throws {
    let configuration = Configuration.load(path: config)
    guard let settings = configuration.settings else {
      let count = configuration.diagnostics.errorCount
      Output.error("gatehouse: \(config) can't be used: \(count) error\(count == 1 ? "" : "s")\n\(configuration.diagnostics.rendered)")
      throw ExitCode(1)
    }
    guard let user, let method, let path else {
      // With its warnings.
      Output.line(configuration.summary)
      return
    }
    let question = Rehearsal.Question(
      method: method, target: path, host: host ?? "localhost", user: user == "-" ? nil : user,
      scopeWords: scope?.split(separator: " ").map(String.init), client: from.flatMap(client) ?? .ipv4(address: 0x7F00_0001, port: 0),
      now: .now())
    let answer = Rehearsal(settings, users: configuration.users ?? UserTable()).answer(question)
    Output.line(text(answer, question))
    if !answer.isAllowed { throw ExitCode(1) }
  }

  private func client(_ text: String) -> SocketAddress? {
    if text == "unix:" { return .unix(path: "") }
    switch try? SocketAddress(parsing: text.contains(":") ? "[\(text)]:0" : "\(text):0") {
    case .ipv4(let address, let port): return .ipv4(address: address, port: port)
    case .ipv6(let high, let low, let scope, let port): return .ipv6(high: high, low: low, scope: scope, port: port)
    default: return nil
    }
  }

  // MARK: What is printed

  private func text(_ answer: Rehearsal.Answer, _ question: Rehearsal.Question) -> String {
    let who = question.user.map { "as \($0)" } ?? "without credentials"
    var lines = ["\(question.method) \(question.target) \(who) from \(from ?? "127.0.0.1")"]
    if let target = answer.target, target != question.target { lines.append("  path: \(target)") }
    if let route = answer.route { lines.append("  route: \(route.place): \(route.label)") }
    let status = answer.status.map { " with \($0)" } ?? ""
    let words = answer.sources.map { "\($0.place): require \($0.text)" }
    if answer.isAllowed {
      lines.append("allowed by " + words.joined(separator: ", "))
    } else if let reason = answer.reason, question.user != nil || answer.route == nil {
      lines.append("refused\(status): \(reason)")
    } else {
      lines.append("refused\(status): " + (words.isEmpty ? answer.reason ?? "" : "not met: " + words.joined(separator: ", ")))
    }
    return lines.joined(separator: "\n")
  }
}
