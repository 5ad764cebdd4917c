// `gatehouse token revoke`: an API key by its name, or signed tokens by identifier, by user, or all.

import ArgumentParser
import Auth
import Primitives

extension TokenCommand {
  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "revoke", abstract: "Revoke tokens: refused from the server's next look at the file on, within a second or so.",
      usage: """
        gatehouse token revoke USER NAME
        gatehouse token revoke --jti ID | --user NAME [--before TIME] | --all [--before TIME]
        """,
      discussion: """
        USER NAME is an API key of the user file. The others are signed tokens: one, or all (of a user) that were issued before a time, \
        which is now without --before.
        """)
    @Argument(help: "The owner of an API key.") var owner: String?
    @Argument(help: "The API key's name.") var name: String?
    // One of 64 begins with a hyphen.
    @Option(name: .long, parsing: .unconditional, help: ArgumentHelp("The signed token of this identifier.", valueName: "id")) var jti:
      String?
    @Option(name: .long, help: ArgumentHelp("All signed tokens of this user's.", valueName: "name")) var user: String?
    @Flag(name: .long, help: "All signed tokens.") var all = false
    @Option(name: .long, help: ArgumentHelp("Those issued before: 2027-01-31T12:00:00Z.", valueName: "time")) var before: Expiry?
    @OptionGroup var users: UserFileOption

    func validate() throws {
      let ways = [owner != nil, jti != nil, user != nil, all].count { $0 }
      guard ways == 1, (owner == nil) == (name == nil) else {
        throw ValidationError("say what to revoke: USER NAME for an API key; or --jti ID, --user NAME or --all")
      }
      if before != nil && user == nil && !all { throw ValidationError("--before goes with --user or --all") }
      if owner == nil && users.file != nil {
        throw ValidationError("revocations of signed tokens stand beside the configuration's keys: say --config")
      }
    }

    func run() throws {
      if let owner, let name { return try revokeAPIKey(name, of: owner) }
      let now = Timestamp.now()
      let moment = before?.time ?? now
      guard moment <= now else { throw Failure("--before is in the future: tokens that are yet to be issued can't be revoked") }
      let text = String(decoding: CalendarText.text(moment.roundedUpToSeconds), as: UTF8.self)
      if let jti {
        try add(.token(Array(jti.utf8), issuedBefore: now))
        if jti.utf8.count != 22 {
          Output.error("gatehouse: warning: identifiers of our own tokens have 22 characters, and this has \(jti.utf8.count)")
        }
        Output.line("token \(jti) revoked")
      } else if let user {
        let name = Array(user.utf8)
        // A slip of the pen would leave somebody's tokens good.
        guard try users.resolve().table().user(named: name.span) != nil else {
          throw Failure("nothing was revoked: there is no user \(user.debugDescription) who can log in")
        }
        try add(.user(name, before: moment))
        Output.line("tokens of \(user) issued before \(text) revoked")
      } else {
        try add(.all(before: moment))
        Output.line("all tokens issued before \(text) revoked")
      }
    }

    private func add(_ revocation: Revocation) throws {
      let file = try TokenConfiguration(users.config ?? TokenConfiguration.standardPath).revocationFile
      do {
        try file.add([revocation], at: .now())
      } catch let fault as RevocationFault {
        throw Failure("nothing was revoked: \(file.path): \(fault)")
      } catch {
        throw Failure("nothing was revoked: \(error)")
      }
    }

    private func revokeAPIKey(_ name: String, of user: String) throws {
      let (owner, key) = (Array(user.utf8), Array(name.utf8))
      try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.revokeKey(key, of: owner) }
      Output.line("token \(name) of \(user) revoked")
    }
  }
}
