// API keys from the shell: issuing and replacing them, and the list of those that there are. The file holds a token's SHA-256; the token
// itself is shown once.

import ArgumentParser
import Auth
import Primitives

/// What `token issue` takes for an API key.
struct APIKeyOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Make an API key called so, to revoke it by.", valueName: "name")) var name: String?
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Give the API key of this name a new token with the same restrictions; the old token goes on for --overlap.", valueName: "name"))
  var replace: String?
  @Option(
    name: .long,
    help: ArgumentHelp("API key: how long a replaced token goes on, 30m, 24h, 7d; 0 is not at all. 24h by default.", valueName: "time"))
  var overlap: Overlap?
  @Option(
    name: .long,
    help: ArgumentHelp(
      "API key: network that it may be used from, 10.0.0.0/8, 2001:db8::1, unix:. May be repeated; from anywhere without it.",
      valueName: "network"))
  var from: [NetworkArgument] = []
  @Option(
    name: .long,
    help: ArgumentHelp(
      "API key: date from which on it is refused: 2027-01-31 or 2027-01-31T12:00:00Z; or never.", valueName: "date"))
  var expires: KeyExpiry?

  /// Whether this is about an API key.
  var isAsked: Bool { name != nil || replace != nil || overlap != nil || !from.isEmpty || expires != nil }

  /// - Parameter scope: `--scope`, which signed tokens have too.
  func validate(scope: [ScopeItem]) throws {
    if name != nil && replace != nil {
      throw ValidationError("--name and --replace exclude each other: the new token has the old one's name")
    }
    if name == nil && replace == nil { throw ValidationError("an API key needs a name: --name, or --replace for one that there is") }
    if replace == nil && overlap != nil { throw ValidationError("--overlap belongs to --replace") }
    if replace != nil && !(scope.isEmpty && from.isEmpty) {
      throw ValidationError("--replace keeps the restrictions of the token that it replaces: without --scope and --from")
    }
    if from.count > APIKey.mostNetworks { throw ValidationError("--from may stand \(APIKey.mostNetworks) times at most") }
  }

  func issue(for user: String, scope: [ScopeItem], _ users: UserFileOption) throws {
    if let time = expires?.time, time <= Timestamp.now() { throw Failure("--expires is in the past: the token would never work") }
    if let replace { try self.replace(replace, of: user, users) } else { try add(name ?? "", to: user, scope, users) }
  }

  private func add(_ name: String, to user: String, _ scope: [ScopeItem], _ users: UserFileOption) throws {
    let limits: TokenScope
    do throws(TokenScopeFailure) {
      limits = try TokenScope(items: scope.map(\.text))
    } catch {
      throw Failure("--scope: \(error)")
    }
    let issued = APIKey.issue(name: Array(name.utf8), expires: expires?.time, scope: limits, networks: from.map(\.range))
    let key = issued.key
    let owner = Array(user.utf8)
    try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.addKey(key, to: owner) }
    try Self.show(issued, orRevoke: name, of: user)
    Output.error("token \(name) of \(user) issued; it is not shown again")
  }

  private func replace(_ name: String, of user: String, _ users: UserFileOption) throws {
    let issued = APIKey.issue(name: Array(name.utf8), expires: nil)
    let fresh = issued.key
    let (owner, now, overlap) = (Array(user.utf8), Timestamp.now(), overlap?.interval ?? Overlap.standard)
    let expiry: UserFileText.NewExpiry = expires.map { $0.time.map { .at($0) } ?? .never } ?? .asBefore
    let replaced = try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in
      try text.replaceKey(Array(name.utf8), of: owner, by: fresh, expires: expiry, overlap: overlap, now: now)
    }
    try Self.show(issued, orRevoke: name, of: user)
    let old = replaced.old.map { "the old one is called \(APIKeyText.name($0)) and \(APIKeyText.expiry($0, now))" } ?? "the old one is void"
    Output.error("token \(name) of \(user) replaced, \(APIKeyText.expiry(replaced.key, now)); it is not shown again; \(old)")
  }

  /// On standard output, alone: `TOKEN=$(gatehouse token issue …)`.
  private static func show(_ issued: borrowing APIKey.Issued, orRevoke name: String, of user: String) throws {
    guard Output.line(ASCII.string(issued.token.span)) else {
      throw Failure("the token can't be written to standard output and is lost: gatehouse token revoke \(user) \(name), and issue another")
    }
  }
}

extension TokenCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List API keys: owner, name, last four characters, expiry, last use, restrictions.",
      discussion: "The last use is written down by the server within a minute or so, in a file beside the user file.")
    @Argument(help: "The user's name; all users without it.") var user: String?
    @OptionGroup var users: UserFileOption

    func run() throws {
      let file = try users.resolve()
      let table = try file.table(users.hashLimit())
      let uses = (try? DurableFile(path: KeyUseLedger.path(besides: file.path)).read()).map { KeyUseLedger($0.bytes) } ?? KeyUseLedger()
      let now = Timestamp.now()
      if let user, table.user(named: Array(user.utf8).span) == nil {
        throw Failure("there is no user \(user.debugDescription) who can log in")
      }
      for owner in table.users where user == nil || owner.name == Array((user ?? "").utf8) {
        for key in owner.keys {
          let columns =
            [
              String(decoding: owner.name, as: UTF8.self), APIKeyText.name(key),
              "…" + (key.lastFour.map { String(decoding: $0, as: UTF8.self) } ?? ""), APIKeyText.expiry(key, now),
              APIKeyText.use(uses.use(of: key)),
            ] + APIKeyText.restrictions(key)
          Output.line(columns.joined(separator: "\t"))
        }
      }
      for problem in table.problems { Output.error("gatehouse: \(file.path):\(problem.line): \(problem.reason)") }
    }
  }
}

/// How an API key is described.
enum APIKeyText {
  static func name(_ key: APIKey) -> String { String(decoding: key.name, as: UTF8.self) }

  static func expiry(_ key: APIKey, _ now: Timestamp) -> String {
    guard let expires = key.expires else { return "never expires" }
    return (expires <= now ? "expired=" : "expires=") + String(decoding: CalendarText.text(expires), as: UTF8.self)
  }

  static func use(_ use: KeyUses.Use?) -> String {
    guard let use else { return "not used" }
    return "used=\(String(decoding: CalendarText.text(use.time), as: UTF8.self)) from \(String(decoding: use.client.text, as: UTF8.self))"
  }

  /// In the words of the options that made them.
  static func restrictions(_ key: APIKey) -> [String] {
    var words: [String] = []
    if !key.scope.isUnlimited { words.append("scope=" + scope(key)) }
    if !key.networks.isEmpty { words.append("from=" + networks(key)) }
    return words
  }

  static func scope(_ key: APIKey) -> String { String(decoding: key.scope.text, as: UTF8.self) }

  static func networks(_ key: APIKey) -> String {
    key.networks.map { String(decoding: $0.text, as: UTF8.self) }.joined(separator: " ")
  }
}

/// `GET /reports/`, checked when it is read.
struct ScopeItem: ExpressibleByArgument {
  let text: [UInt8]

  init?(argument: String) {
    text = Array(argument.utf8)
    if (try? TokenScope(items: [text])) == nil { return nil }
  }
}

struct NetworkArgument: ExpressibleByArgument {
  let range: AddressRange

  init?(argument: String) {
    guard let range = AddressRange(parsing: Array(argument.utf8).span) else { return nil }
    self.range = range
  }
}

/// A date, or `never`.
struct KeyExpiry: ExpressibleByArgument {
  let time: Timestamp?

  init?(argument: String) {
    if argument == "never" {
      time = nil
      return
    }
    guard let time = CalendarText.parse(Array(argument.utf8).span) else { return nil }
    self.time = time
  }
}

/// Whole seconds, minutes, hours or days, up to a year.
struct Overlap: ExpressibleByArgument {
  let interval: Interval

  static let standard = Interval.seconds(86_400)

  init?(argument: String) {
    let units: [Character: UInt64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    if argument == "0" {
      interval = .seconds(0)
      return
    }
    guard let last = argument.last, let unit = units[last], argument.dropLast().utf8.allSatisfy(ASCII.isDigit),
      let count = UInt64(argument.dropLast()), count <= 366 * 86_400 / unit
    else { return nil }
    interval = .seconds(count * unit)
  }
}
