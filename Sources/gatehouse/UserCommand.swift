// `gatehouse user`: edits the user file, atomically, while a server may be reading it.

public import ArgumentParser
import Auth
public import Crypto
import Primitives

struct UserCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "user", abstract: "Add, change and remove users.",
    discussion:
      "A running server takes changes into use by itself. Passwords are asked for, or come by --password-stdin; never as an argument.",
    subcommands: [Add.self, Passwd.self, Remove.self, List.self, Verify.self, Lock.self, Unlock.self, Group.self])

  func run() throws { throw ValidationError("say what to do: add, passwd, remove, list, verify, lock, unlock or group") }
}

/// How a new hash is made.
struct HashOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Kind of hash: \(PasswordHash.NewKind.allCases.map(\.rawValue).joined(separator: ", ")). bcrypt is understood by Apache and nginx too.",
      valueName: "kind"))
  var hash = PasswordHash.NewKind.yescrypt

  @Option(name: .long, help: ArgumentHelp("Cost of the hash. \(Self.costs).", valueName: "n"))
  var cost: UInt?

  /// `yescrypt 1-11, usually 5: memory of 2^(N-1) MiB; …`
  private static let costs = PasswordHash.NewKind.allCases.map {
    "\($0.rawValue) \($0.costRange.lowerBound)-\($0.costRange.upperBound), usually \($0.defaultCost): \($0.costMeaning)"
  }.joined(separator: "; ")

  func validate() throws {
    if let cost, !hash.costRange.contains(cost) {
      throw ValidationError("--cost of \(hash.rawValue) is \(hash.costRange.lowerBound) to \(hash.costRange.upperBound)")
    }
  }
}

extension HashOptions {
  /// Before a password is asked for: a hash that the server would refuse to check locks its user out.
  func require(within limit: HashLimit) throws {
    guard let specimen = hash.specimen(cost: cost) else { throw Failure("libcrypt can't make \(hash.rawValue)") }
    if let reason = limit.refusal(of: specimen.expense) {
      throw Failure(
        "such a hash (\(specimen.costLabel)) \(reason): choose a lower --cost, or name a configuration that allows it with --config")
    }
  }

  func make(_ password: borrowing Secret) throws -> [UInt8] {
    do throws(PasswordHashFailure) {
      return try PasswordHash.make(hash, cost: cost, password: password)
    } catch {
      throw Failure("the hash \(error)")
    }
  }
}

/// What is to be stored must be what was typed: of bytes that are no UTF-8 nothing but U+FFFD is left by now.
private func requireUTF8(_ words: [String]) throws {
  for word in words where word.unicodeScalars.contains("\u{FFFD}") { throw Failure("\(word.debugDescription) is not UTF-8") }
}

extension PasswordHash.NewKind: ExpressibleByArgument {}

extension UserCommand {
  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "add", abstract: "Add a user; makes the file if there is none.")
    @Argument(help: "The user's name.") var name: String
    @Option(name: .long, parsing: .upToNextOption, help: ArgumentHelp("Groups the user is a member of.", valueName: "group")) var groups:
      [String] = []
    @Option(
      name: .long, help: ArgumentHelp("Date from which on the user is refused: 2027-01-31 or 2027-01-31T12:00:00Z.", valueName: "date"))
    var expires: Expiry?
    @OptionGroup var hashing: HashOptions
    @OptionGroup var password: PasswordOption
    @OptionGroup var users: UserFileOption

    func run() throws {
      let file = try users.resolve()
      let limit = users.hashLimit()
      let name = Array(name.utf8)
      // Before asking for a password that would be for nothing.
      if let fault = UserName.fault(name.span) { throw Failure("\(self.name.debugDescription) can't be a user's name: \(fault)") }
      try requireUTF8([self.name] + groups)
      try hashing.require(within: limit)
      if let table = try? file.table(limit), table.user(named: name.span) != nil { throw Failure("\(UserEditFailure.userExists(name))") }
      let secret = try password.read(for: self.name, twice: true)
      let hash = try hashing.make(secret)
      let groups = groups.map { Array($0.utf8) }
      let expiry = expires?.time
      let now = Timestamp(seconds: Timestamp.now().seconds)
      try file.change(createIfMissing: true) { (text: inout UserFileText) throws(UserEditFailure) in
        try text.add(name, hash: hash, groups: groups, expires: expiry, created: now)
      }
      Output.line("user \(self.name) added to \(file.path)")
    }
  }

  struct Passwd: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "passwd", abstract: "Set a user's password.")
    @Argument(help: "The user's name.") var name: String
    @OptionGroup var hashing: HashOptions
    @OptionGroup var password: PasswordOption
    @OptionGroup var users: UserFileOption

    func run() throws {
      let file = try users.resolve()
      let limit = users.hashLimit()
      let bytes = Array(name.utf8)
      try hashing.require(within: limit)
      guard try file.table(limit).user(named: bytes.span) != nil else {
        throw Failure("there is no user \(name.debugDescription) who can log in in \(file.path)")
      }
      let secret = try password.read(for: name, twice: true)
      let hash = try hashing.make(secret)
      try file.change { (text: inout UserFileText) throws(UserEditFailure) in try text.setHash(hash, of: bytes) }
      Output.line("password of \(name) changed")
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove a user and his tokens.")
    @Argument(help: "The user's name.") var name: String
    @OptionGroup var users: UserFileOption

    func run() throws {
      let bytes = Array(name.utf8)
      try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.remove(bytes) }
      Output.line("user \(name) removed")
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List the users: name, kind of hash, groups, state, tokens.")
    @OptionGroup var users: UserFileOption

    func run() throws {
      let file = try users.resolve()
      let table = try file.table(users.hashLimit())
      let now = Timestamp.now()
      for user in table.users {
        var facts = [user.hash.map { $0.costLabel } ?? "no password"]
        if !user.groups.isEmpty { facts.append("groups=" + user.groups.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",")) }
        if user.isLocked { facts.append("locked") }
        if let expires = user.expires {
          facts.append((expires <= now ? "expired=" : "expires=") + String(decoding: CalendarText.text(expires), as: UTF8.self))
        }
        if !user.keys.isEmpty { facts.append("tokens=\(user.keys.count)") }
        Output.line("\(String(decoding: user.name, as: UTF8.self))\t\(facts.joined(separator: " "))")
      }
      for problem in table.problems { Output.error("gatehouse: \(file.path):\(problem.line): \(problem.reason)") }
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "verify", abstract: "Check a user's password: exit code 0 if it is right, 1 if not.")
    @Argument(help: "The user's name.") var name: String
    @OptionGroup var password: PasswordOption
    @OptionGroup var users: UserFileOption

    func run() throws {
      let table = try users.resolve().table(users.hashLimit())
      let secret = try password.read(for: name, twice: false)
      guard let user = table.user(named: Array(name.utf8).span) else {
        throw Failure("there is no user \(name.debugDescription) who can log in")
      }
      if user.isLocked { throw Failure("\(name) is locked") }
      if let expires = user.expires, expires <= Timestamp.now() { throw Failure("\(name) has expired") }
      guard let hash = user.hash else { throw Failure("\(name) has no password, only tokens") }
      guard hash.verify(secret) else { throw Failure("that is not the password of \(name)") }
      Output.line("that is the password of \(name)")
    }
  }

  struct Lock: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "lock", abstract: "Refuse a user, tokens included, until unlocked.")
    @Argument(help: "The user's name.") var name: String
    @OptionGroup var users: UserFileOption

    func run() throws {
      let bytes = Array(name.utf8)
      try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.lock(bytes) }
      Output.line("user \(name) locked")
    }
  }

  struct Unlock: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "unlock", abstract: "Let a locked user in again.")
    @Argument(help: "The user's name.") var name: String
    @OptionGroup var users: UserFileOption

    func run() throws {
      let bytes = Array(name.utf8)
      try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.unlock(bytes) }
      Output.line("user \(name) unlocked")
    }
  }

  struct Group: ParsableCommand {
    enum Change: String, ExpressibleByArgument, CaseIterable {
      case add
      case remove
    }
    static let configuration = CommandConfiguration(commandName: "group", abstract: "Add a user to a group, or remove him from it.")
    @Argument(help: "The user's name.") var name: String
    @Argument(help: "add or remove.") var change: Change
    @Argument(help: "The group's name.") var group: String
    @OptionGroup var users: UserFileOption

    func run() throws {
      try requireUTF8([group])
      let bytes = Array(name.utf8)
      let member = Array(group.utf8)
      let adds = change == .add
      try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in
        if adds { try text.addGroup(member, to: bytes) } else { try text.removeGroup(member, from: bytes) }
      }
      Output.line("user \(name) \(adds ? "added to" : "removed from") group \(group)")
    }
  }
}

/// A date of the user file: its attribute's form.
struct Expiry: ExpressibleByArgument {
  let time: Timestamp

  init?(argument: String) {
    guard let time = CalendarText.parse(Array(argument.utf8).span) else { return nil }
    self.time = time
  }
}
