// `gatehouse token issue`: a signed token or ticket by the configuration's keys, or with `--name` an API key in the user file.

import ArgumentParser
import Auth
import Config
import Primitives

extension TokenCommand {
  struct Issue: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "issue", abstract: "Make a token for a user. It is printed once and can't be shown again.",
      discussion: """
        Without --name a signed token of a limited life, by the keys that the configuration names; with --name an API key, which stands in \
        the user file until it is revoked; with --replace a new token for such a key.
        """)
    @Argument(help: "The user's name.") var user: String
    @Option(name: .long, help: ArgumentHelp("Signed token: how long it is good for, 1h.", valueName: "time")) var duration: Lifetime?
    @Option(
      name: .long,
      help: ArgumentHelp(
        "Good for these methods and this path alone, \"GET /reports/\"; may be repeated. All that its owner may do without it.",
        valueName: "scope"))
    var scope: [ScopeItem] = []
    @OptionGroup var key: APIKeyOptions
    @Flag(name: .long, help: "Signed token: a ticket, for the query of a link, a minute long without --duration.") var ticket = false
    @OptionGroup var users: UserFileOption

    func validate() throws {
      if key.isAsked {
        if duration != nil || ticket { throw ValidationError("--duration and --ticket are for signed tokens, which have no --name") }
        return try key.validate(scope: scope)
      }
      if ticket && scope.isEmpty { throw ValidationError("a ticket needs a --scope, such as \"GET /downloads/report.pdf\"") }
      if users.file != nil {
        throw ValidationError("a signed token needs the configuration's keys: say --config, not --file (or --name for an API key)")
      }
    }

    func run() throws {
      if key.isAsked { return try key.issue(for: user, scope: scope, users) }
      let configuration = try TokenConfiguration(users.config ?? TokenConfiguration.standardPath)
      let table = try users.resolve().table()
      guard let owner = table.user(named: Array(user.utf8).span) else {
        throw Failure("there is no user \(user.debugDescription) who can log in")
      }
      let limits = try TokenScope(items: scope.map(\.text))
      let authority = try configuration.authority()
      let issued: IssuedToken
      do throws(TokenIssueFailure) {
        issued = try authority.issue(to: owner, at: .now(), lifetime: duration?.interval, scope: limits, isTicket: ticket)
      } catch {
        if case .tooLong(let longest) = error {
          throw Failure(
            longest < authority.options.longestLifetime
              ? "a ticket lives for \(Value.text(longest)) at most" : "longest_lifetime allows no more than \(Value.text(longest))")
        }
        throw Failure("no token for \(user): \(error)")
      }
      guard Output.line(ASCII.string(issued.text.span)) else { throw Failure("the token can't be written to standard output and is lost") }
      Output.error(
        "\(ticket ? "ticket" : "token") of \(user) issued: \(String(decoding: issued.identifier, as: UTF8.self)), good until "
          + "\(String(decoding: CalendarText.text(issued.expires), as: UTF8.self)); it is not shown again")
    }
  }
}

/// A length of time as proxy.conf writes it.
struct Lifetime: ExpressibleByArgument {
  let interval: Interval

  init?(argument: String) {
    guard let interval = Value.duration(argument) else { return nil }
    self.interval = interval
  }
}
