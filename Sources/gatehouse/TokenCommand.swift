// `gatehouse token`: tokens of the user file (API keys) and signed ones. Each of its commands but the listing has a file of its own.

import ArgumentParser
import Auth
import Primitives

struct TokenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Issue, list, inspect and revoke users' tokens.",
    discussion: """
      A token is sent as `Authorization: Bearer TOKEN`, or by Basic as the user name with any password (an API key as its owner's password, too).
      """,
    subcommands: [Issue.self, List.self, Inspect.self, Revoke.self, Keys.self])

  func run() throws { throw ValidationError("say what to do: issue, list, inspect, revoke or keys") }
}

extension TokenCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List API keys: owner, name, last four characters, expiry.")
    @Argument(help: "The user's name; all users without it.") var user: String?
    @OptionGroup var users: UserFileOption

    func run() throws {
      let table = try users.resolve().table(users.hashLimit())
      let now = Timestamp.now()
      if let user, table.user(named: Array(user.utf8).span) == nil {
        throw Failure("there is no user \(user.debugDescription) who can log in")
      }
      for owner in table.users where user == nil || owner.name == Array((user ?? "").utf8) {
        for key in owner.keys {
          let last = key.lastFour.map { "…" + String(decoding: $0, as: UTF8.self) } ?? "…"
          let expiry =
            key.expires.map { ($0 <= now ? "expired=" : "expires=") + String(decoding: CalendarText.text($0), as: UTF8.self) }
            ?? "never expires"
          Output.line("\(String(decoding: owner.name, as: UTF8.self))\t\(String(decoding: key.name, as: UTF8.self))\t\(last)\t\(expiry)")
        }
      }
    }
  }
}
