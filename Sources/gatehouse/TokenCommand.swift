// `gatehouse token`: the user file's tokens (API keys). A token is shown once, when it is issued; the file holds its SHA-256.

import ArgumentParser
import Auth
import Primitives

struct TokenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Issue, list and revoke users' tokens.",
    discussion: """
      A token is sent as `Authorization: Bearer TOKEN`, or by Basic: as the user name with any password, or as its owner's password.
      """,
    subcommands: [Issue.self, List.self, Revoke.self])

  func run() throws { throw ValidationError("say what to do: issue, list or revoke") }
}

extension TokenCommand {
  struct Issue: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make a token for a user. It is printed once and can't be shown again.")
    @Argument(help: "The user's name.") var user: String
    @Option(name: .long, help: ArgumentHelp("What the token is called, to revoke it by.", valueName: "name")) var name: String
    @Option(name: .long, help: ArgumentHelp("Date from which on it is refused: 2027-01-31 or 2027-01-31T12:00:00Z.", valueName: "date"))
    var expires: Expiry?
    @OptionGroup var users: UserFileOption

    func run() throws {
      if let time = expires?.time, time <= Timestamp.now() { throw Failure("--expires is in the past: the token would never work") }
      let issued = APIKey.issue(name: Array(name.utf8), expires: expires?.time)
      let key = issued.key
      let owner = Array(user.utf8)
      try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.addKey(key, to: owner) }
      // On standard output, alone: `TOKEN=$(gatehouse token issue …)`.
      guard Output.line(ASCII.string(issued.token.span)) else {
        throw Failure("the token can't be written to standard output and is lost: gatehouse token revoke \(user) \(name), and issue another")
      }
      Output.error("token \(name) of \(user) issued; it is not shown again")
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List tokens: owner, name, last four characters, expiry.")
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

  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Revoke a token: refused from the server's next look at the file on.")
    @Argument(help: "The user's name.") var user: String
    @Argument(help: "The token's name.") var name: String
    @OptionGroup var users: UserFileOption

    func run() throws {
      let (owner, key) = (Array(user.utf8), Array(name.utf8))
      try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.revokeKey(key, of: owner) }
      Output.line("token \(name) of \(user) revoked")
    }
  }
}
