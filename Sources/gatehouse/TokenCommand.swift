// `gatehouse token`: tokens of the user file (API keys) and signed ones. Each of its commands has a file of its own.

import ArgumentParser

struct TokenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Issue, list, inspect and revoke users' tokens.",
    discussion: """
      A token is sent as `Authorization: Bearer TOKEN`, or by Basic as the user name with any password (an API key as its owner's password, too).
      """,
    subcommands: [Issue.self, List.self, Inspect.self, Revoke.self, Keys.self])

  func run() throws { throw ValidationError("say what to do: issue, list, inspect, revoke or keys") }
}
