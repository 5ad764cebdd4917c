// `gatehouse check`: says what a configuration means, or everything that is wrong with it.

import ArgumentParser
import Config

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Read the configuration and say what it means. Exit code 0 if it can be served, 1 if not.")

  @Option(name: [.short, .long], help: ArgumentHelp("The configuration.", valueName: "file"), completion: .file())
  var config = "proxy.conf"

  func run() throws {
    let configuration = Configuration.load(path: config)
    guard configuration.settings != nil else {
      let count = configuration.diagnostics.errorCount
      Output.error("gatehouse: \(config) can't be used: \(count) error\(count == 1 ? "" : "s")\n\(configuration.diagnostics.rendered)")
      throw ExitCode(1)
    }
    // With its warnings.
    Output.line(configuration.summary)
  }
}
