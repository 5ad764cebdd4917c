// `gatehouse status`, `reload`, `drain` and `ban`: what the running server is asked over its admin socket.

import ArgumentParser
import Primitives

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "status", abstract: "Say how the running server is.")
  @Flag(name: .long, help: "As one JSON object.") var json = false
  @OptionGroup var admin: AdminOption

  func run() throws {
    let lines = try admin.ask("status").lines
    if !json {
      for line in lines { Output.line(line) }
      return
    }
    let members = lines.map { line in
      let colon = line.firstIndex(of: ":") ?? line.endIndex
      let value = line[colon...].dropFirst(2)
      let isNumber = !value.isEmpty && value.utf8.allSatisfy(ASCII.isDigit)
      return "\(Self.quoted(line[..<colon])): \(isNumber ? String(value) : Self.quoted(value))"
    }
    Output.line("{" + members.joined(separator: ", ") + "}")
  }

  /// Control characters don't come over the socket.
  private static func quoted(_ text: Substring) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}

struct ReloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload", abstract: "Have the running server read configuration and users anew. Exit code 1 if it refuses them.")
  @OptionGroup var admin: AdminOption

  func run() throws { Output.line(try admin.ask("reload").headline) }
}

struct DrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Have the running server finish what runs, and end: as SIGTERM does.")
  @OptionGroup var admin: AdminOption

  func run() throws { Output.line(try admin.ask("drain").headline) }
}

struct UpgradeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "upgrade",
    abstract: "Have the running server start the program that is installed now in its place, and finish what runs.",
    discussion: """
      No connection is refused and no request is lost: the new process gets the listening sockets, and the old one ends when what it has begun is \
      done (drain_timeout). Exit code 1, and why, if the new process does not serve within upgrade_timeout; the old one then goes on. SIGUSR2 does the same.
      """)
  @OptionGroup var admin: AdminOption

  func run() throws { Output.line(try admin.ask("upgrade", within: .seconds(90_000)).headline) }
}

struct BanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ban", abstract: "List and lift the bans of clients who failed to log in too often.",
    discussion: "Bans outlive reloads; a restart forgets them. How they come about: `lockout` in the configuration.",
    subcommands: [List.self, Lift.self])

  func run() throws { throw ValidationError("say what to do: list or lift") }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list",
      abstract: "List bans: address, user (- for all at the address), beginning, seconds that are left, which ban in a row it is.")
    @OptionGroup var admin: AdminOption

    func run() throws {
      for line in try admin.ask("ban list").lines { Output.line(line) }
    }
  }

  struct Lift: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "lift", abstract: "End the bans of an address, and those of users at it.")
    @Argument(help: "203.0.113.7, 2001:db8::7 (its /64), unix: for local clients, or all.") var address: String
    @OptionGroup var admin: AdminOption

    func run() throws {
      guard !address.utf8.contains(where: { ASCII.isControl($0) || $0 == 0x20 }) else { throw ValidationError("that is no address") }
      Output.line(try admin.ask("ban lift \(address)").headline)
    }
  }
}
