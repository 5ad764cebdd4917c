// `register { … }`: users who are made, looked at and changed over HTTP.

import Auth
import HTTP
import Primitives
import Proxy

extension Table {
  static let registerRows: [Row] = [
    Row(
      "rehash", in: .top, takes: "on|off", 1...1, standard: "off",
      doc: "Whether a login by a password whose hash is weaker than new ones (`user add` without `--hash`) replaces it in the user file."
    ) { reading, directive in
      reading.onOff(directive.arguments[0]).map { reading.settings.rehashes = $0 }
    },
    Row(
      "register", in: .top, takes: "", 0...0, block: .required,
      doc:
        "Answers POST on its endpoint with a new user, GET on `…/NAME` and PUT on `…/NAME/password`; without it these are paths like others."
    ) { reading, directive in reading.register(directive) },
    Row(
      "endpoint", in: .register, takes: "PATH", 1...1, standard: "/api/users",
      doc: "The path; all that is beneath it is Gatehouse's too, and no route's."
    ) { reading, directive in
      reading.endpoint(directive.arguments[0]).map {
        reading.settings.registration?.path = $0
        reading.registration?.endpoint = directive.arguments[0]
      }
    },
    Row(
      "policy", in: .register, takes: "closed|open|approval|invite FILE|group NAME", 1...2, standard: "closed",
      doc:
        "Who may make a user: nobody; anybody; anybody, but the user is locked until somebody unlocks him; "
        + "whoever has a code of FILE (one a line, used up by it); members of a group."
    ) { reading, directive in reading.policy(directive) },
    Row(
      "min_password", in: .register, takes: "NUMBER", 1...1, standard: "6",
      doc: "Least number of characters of a password that is set over HTTP."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...128).map { reading.settings.registration?.minimumPassword = $0 }
    },
    Row(
      "refused_passwords", in: .register, takes: "FILE", 1...1,
      doc: "Passwords that nobody may choose, one a line, in whatever case; read at a start and a reload."
    ) { reading, directive in
      reading.readableFile(directive.arguments[0]).map { reading.settings.registration?.refusedPath = $0 }
    },
    Row(
      "rate", in: .register, takes: "NUMBER/DURATION|off", 1...1, standard: "5/1h", elsewhere: ["limit_req"],
      doc:
        "Registrations that one client address (IPv6: one network of 64 bits) may try in such a time; 429 beyond (not for `policy group`)."
    ) { reading, directive in
      reading.rate(directive.arguments[0]).map { reading.settings.registration?.rate = $0 }
    },
    Row(
      "hash", in: .register, takes: PasswordMaker.names.joined(separator: "|"), 1...1, standard: PasswordMaker.standard.name,
      doc: "How passwords that are set over HTTP are stored."
    ) { reading, directive in
      reading.choice(directive.arguments[0], PasswordMaker.names.map { ($0, PasswordMaker(named: $0)) })?
        .map { reading.settings.registration?.maker = $0 }
    },
    Row(
      "admins", in: .register, takes: "GROUP", 1...1,
      doc: "Whose members may GET any user; others get themselves alone."
    ) { reading, directive in
      reading.group(directive.arguments[0]).map {
        reading.settings.registration?.admins = $0
        reading.registration?.groups.append(directive.arguments[0])
      }
    },
  ]
}

/// What of a `register` block is judged when everything was read.
struct RegistrationDraft {
  var place: SourceRange
  var endpoint: Word?
  var invites: Word?
  /// Named groups.
  var groups: [Word] = []
}

extension Reading {
  func register(_ directive: Directive) {
    settings.registration = RegistrationOptions()
    registration = RegistrationDraft(place: directive.place)
    if let block = directive.block { read(block, in: .register) }
  }

  /// A path of our own: canonical, not the root, without a closing slash.
  func endpoint(_ word: Word) -> [UInt8]? {
    guard !word.isBroken else { return nil }
    let written = Array(word.text.utf8)
    guard written.first == 0x2F, written.count > 1, !written.contains(0x3F), !written.contains(0x23) else {
      wrong(word, "is no path for an endpoint", hint: "such as /api/users")
      return nil
    }
    var canonical = ByteBuffer()
    if let failure = CanonicalPath.canonicalize(written.span, into: &canonical, raw: false) {
      wrong(word, "would be refused in a request: \(failure.reason)")
      return nil
    }
    guard canonical.array() == written, written.last != 0x2F, !PathPrefix.hasSecondReading(written.span) else {
      wrong(word, "can be written in other ways", hint: "without escapes, ';', '//' and a slash at the end")
      return nil
    }
    return written
  }

  func policy(_ directive: Directive) {
    let word = directive.arguments[0]
    let name = directive.arguments.count == 2 ? directive.arguments[1] : nil
    guard let kind = choice(word, [("closed", 0), ("open", 1), ("approval", 2), ("invite", 3), ("group", 4)]) else { return }
    if kind < 3 {
      if let name { return diagnostics.error(name.place, "'policy \(word.text)' takes nothing else") }
      settings.registration?.policy = kind == 0 ? .closed : kind == 1 ? .open : .approval
      return
    }
    guard let name else {
      return diagnostics.error(word.place, kind == 3 ? "'policy invite' takes the file of codes" : "'policy group' takes the group's name")
    }
    if kind == 3 {
      guard let path = readableFile(name) else { return }
      warnIfWorldReadable(path, name, "invitations")
      settings.registration?.policy = .invite(path: path)
    } else if let group = group(name) {
      settings.registration?.policy = .group(group)
      registration?.groups.append(name)
    }
  }

  func group(_ word: Word) -> [UInt8]? {
    let name = Array(word.text.utf8)
    if let fault = UserName.groupFault(name.span) {
      wrong(word, "can't be the name of a group: \(fault)")
      return nil
    }
    return name
  }

  /// `5/1h`, or `off`. The outer nil is a complaint, the inner one no bound.
  func rate(_ word: Word) -> Rate?? {
    if word.text == "off" && !word.isQuoted { return .some(nil) }
    let parts = word.text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, let count = Value.count(parts[0]), let per = Value.duration(parts[1]) else {
      wrong(word, "is no rate", hint: "a number and a time: 5/1h; or 'off'")
      return nil
    }
    guard (1...1_000_000).contains(count), per >= .seconds(1), per <= .seconds(86_400) else {
      wrong(word, "is out of range: 1 to 1000000, in 1s to 24h")
      return nil
    }
    return .some(Rate(count: count, per: per))
  }

  // MARK: Judged at the end

  func checkRegistration(_ users: UserTable?) {
    guard let draft = registration, let options = settings.registration else { return }
    guard let usersPath = settings.usersPath else {
      if topPlaces["users"] == nil { diagnostics.error(draft.place, "there is no user file to register in", hint: "users FILE") }
      return
    }
    for route in routes {
      guard let path = route.path, !path.isBroken else { continue }
      let written = Array(path.text.utf8)
      if PathPrefix.covers(options.path.span, isExact: false, written.span) {
        diagnostics.error(
          path.place, "no request gets here: 'register' answers \(String(decoding: options.path, as: UTF8.self)) and all beneath it",
          hint: "register { endpoint … } moves it, at \((draft.endpoint?.place ?? draft.place).shortText)")
      }
    }
    if let endpoint = settings.tokens?.endpoint, PathPrefix.covers(options.path.span, isExact: false, endpoint.span) {
      diagnostics.error(
        (draft.endpoint ?? tokensInHand?.endpoint)?.place ?? draft.place, "tokens are given out beneath the path that users register at",
        hint: "another path for one of them")
    }
    switch options.policy {
    case .open, .invite:
      // The service behind could not tell them apart.
      if settings.issuers.contains(where: \.acceptsAnyUser) {
        diagnostics.error(
          draft.place, "whoever registers by the name of a user whom a 'jwt' block lets in by 'users any' would be taken for him",
          hint: "policy group; or 'users file' there")
      }
    case .approval:
      // Who is locked here is locked, whoever else vouches for him.
      if settings.issuers.contains(where: \.acceptsAnyUser) {
        diagnostics.error(
          draft.place, "whoever registers by the name of a user whom a 'jwt' block lets in by 'users any' would lock him out",
          hint: "policy group; or 'users file' there")
      }
    case .closed, .group: break
    }
    // A stranger who registers by a name that is let through somewhere would be let through.
    settings.registration?.reserved = Set(routes.flatMap(\.users).map { $0.text.utf8.map { ASCII.lowercased($0) } })
    if options.policy != .closed, !Disk.isWritable(Path.folder(of: usersPath)) {
      diagnostics.warning(draft.place, "this user can't write the folder of the user file: nobody could register")
    }
    guard let users else { return }
    let groups = Set(users.users.flatMap(\.groups))
    for word in draft.groups where !groups.contains(Array(word.text.utf8)) {
      diagnostics.warning(word.place, "no user is in the group '\(word.written)'")
    }
  }
}

extension Description {
  /// What `check` says of registration.
  func rows(_ options: RegistrationOptions) -> [[String]] {
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    let policy =
      switch options.policy {
      case .closed: "closed"
      case .open: "OPEN TO ANYBODY"
      case .approval: "open to anybody, locked until approved"
      case .invite(let path): "by invitation: \(path)"
      case .group(let group): "by members of \(text(group))"
      }
    let rate = options.rate.map { ", \($0.count) tries of an address in \(Value.text($0.per))" } ?? ""
    var rows = [[text(options.path), policy + rate]]
    let refused = options.refusedPath.map { ", none of \($0)" } ?? ""
    rows.append(["passwords", "\(options.minimumPassword) characters at least, stored as \(options.maker.name)" + refused])
    if let admins = options.admins { rows.append(["admins", "members of \(text(admins))"]) }
    return rows
  }
}
