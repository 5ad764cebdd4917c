// `gatehouse serve`: reads the configuration and serves by it until it is told to end.

import ArgumentParser
import Config
import Glibc
import Net
import Proxy
import Upstream

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Run the proxy in the foreground.",
    discussion: """
      Signals: TERM and INT finish what runs (drain_timeout) and end; HUP reads the configuration and the users anew; USR1 opens the \
      access log anew; USR2 starts the program that is installed now in this one's place. The user file is reloaded by itself when it changes.
      """)

  @Option(name: [.short, .long], help: ArgumentHelp("The configuration.", valueName: "file"), completion: .file())
  var config = "proxy.conf"

  func run() throws {
    // First of all: with the allocations of OpenSSL's that are made before, it comes too late.
    TLSMemory.keepRecordBuffers()
    LibrarySettings.ignore()
    let program = OwnProgram()
    // Before anything else is opened, and before there are threads.
    var arrival: Handover?
    do {
      arrival = try Handover.take()
      let activated = try SocketActivation.take()
      let code = try makeServer(program, arrival, activated).run()
      // Without exit(3), whose handlers take down OpenSSL: a thread that nobody waits for, because it may be long in saying goodbye to an SSH server or in
      // waiting for a KDC, would meet it in pieces. All that we write is written.
      _exit(code)
    } catch let code as ExitCode {
      throw code
    } catch {
      Output.error("gatehouse: not started: \(error)")
      arrival?.tell(.failed("\(error)"))
      throw ExitCode(1)
    }
  }

  /// A function of its own, so that nobody but the server has the files that the configuration was judged by, and they go when it lets them go.
  private func makeServer(_ program: OwnProgram, _ arrival: Handover?, _ activated: [SocketActivation.Passed]) throws -> Server {
    let configuration = Configuration.load(path: config)
    guard let settings = configuration.settings else {
      Output.error("gatehouse: not started: \(config) can't be used\n\(configuration.diagnostics.rendered)")
      arrival?.tell(.failed(configuration.diagnostics.errors.map(\.line).joined(separator: "\n")))
      throw ExitCode(1)
    }
    // What has no place in the config is about lines of the user file, and the server speaks of those itself.
    for warning in configuration.diagnostics.warnings where warning.place != nil { Output.error(warning.rendered) }
    let errors = ErrorLog(level: settings.logLevel)
    let path = config
    return try Server(
      settings, configuration.atHand, version: Gatehouse.configuration.version, errors: errors, arrival: arrival, activated: activated,
      program: program
    ) {
      () throws(Server.ConfigurationErrors) in
      let fresh = Configuration.load(path: path)
      guard let settings = fresh.settings else { throw Server.ConfigurationErrors(lines: fresh.diagnostics.errors.map(\.line)) }
      for warning in fresh.diagnostics.warnings where warning.place != nil { errors.warning(warning.line) }
      return (settings, fresh.atHand)
    }
  }
}
