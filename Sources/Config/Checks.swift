// What can only be judged when everything was read: names that must fit together, files, and what is allowed but hardly meant.

import Auth
import Net
import Primitives
import Proxy
import Upstream

extension Reading {
  /// Judges the whole, and completes `settings`, which are good for use only if there are no errors then.
  ///
  /// - Parameter name: the config file's, for complaints that have no line.
  /// - Returns: the user file and the keys of tokens as they are now, if there are some that can be used.
  func finish(name: String) -> (users: UserTable?, tokenKeys: TokenKeys?) {
    settings.listeners = listeners.map(\.settings)
    if !hasListen { missing("nothing to listen on", hint: "listen 127.0.0.1:8080", name) }
    if routes.isEmpty { missing("no routes: every request would get 404", hint: "route / { upstream NAME; require valid-user }", name) }
    resolveRoutes()
    findDuplicates()
    finishErrorPages()
    settings.upstreams = upstreams.map(\.group)
    for upstream in upstreams where !upstream.isUsed && !upstream.name.isBroken {
      diagnostics.warning(upstream.name.place, "no route uses this upstream")
    }
    checkLimits(name)
    checkHeaders()
    checkRewrittenFields()
    warnOfWaysAround()
    warnOfSignedHosts()
    checkLogins()
    checkAssertions()
    checkForwardAuth()
    checkProxyProtocol()
    checkFrontDoor()
    warnOfUnaskedCertificates()
    checkPublicNetworks()
    finishIssuers()
    let groups = readGroups()
    let users = readUsers(name, groups)
    // Of a group file that can't be used it was said; who would be in its groups is not known.
    if let users, groupsWord == nil || groups != nil { checkNamesExist(in: users, groups) }
    let tokenKeys = finishTokens()
    checkRegistration(users)
    warnOfClearText()
    return (users, tokenKeys)
  }

  private func missing(_ message: String, hint: String, _ name: String) {
    diagnostics.add(Diagnostic(.error, at: nil, in: name, message, hint: hint))
  }

  // MARK: Routes

  private func resolveRoutes() {
    for draft in routes {
      let index = draft.upstream.flatMap { upstream(named: $0) }
      let isAnswered = isAnswered(draft)
      if !draft.names.contains("upstream") && !isAnswered {
        diagnostics.error(draft.place, "this route has no upstream", hint: "say where its requests go: upstream NAME")
      }
      if !draft.names.contains("require") || draft.requiresTLS && !draft.saysWho {
        diagnostics.error(
          draft.place, "this route does not say who may pass",
          hint: "require valid-user, or user …, or group …; a route that is meant to be public says require nobody")
      }
      guard index != nil || draft.terms.answer != nil, let requirement = draft.requirement, let path = draft.path else { continue }
      var route = Route(path: Array(path.text.utf8), requirement: requirement, upstream: draft.terms.answer == nil ? index : nil, label: draft.label)
      route.methods = draft.methods
      route.host = draft.host
      route.isExact = draft.isExact
      route.bodyLimit = draft.bodyLimit
      route.isRaw = draft.isRaw
      route.allowsTrace = draft.allowsTrace
      route.authorization = draft.authorization
      route.rewriting = draft.rewriting
      route.upgrade = draft.upgrade
      route.passesPreflights = draft.passesPreflights ?? passesPreflights
      route.isSilentForScripts = draft.isSilentForScripts ?? settings.isSilentForScripts
      route.requiresTLS = draft.requiresTLS
      route.terms = finishTerms(draft)
      checkTerms(draft)
      route.place = draft.place.shortText
      settings.routes.append(route)
    }
  }

  private func upstream(named word: Word) -> Int? {
    if word.isBroken { return nil }
    if let index = upstreams.firstIndex(where: { $0.name.text == word.text }) {
      upstreams[index].isUsed = true
      return index
    }
    let names = upstreams.map(\.name.text)
    let hint: String
    if let nearest = Nearest.name(to: word.text, among: names) {
      hint = "did you mean '\(nearest)'?"
    } else {
      hint =
        names.isEmpty
        ? "describe it: upstream \(word.written) { server http://127.0.0.1:9000 }"
        : "there are: " + names.prefix(10).joined(separator: ", ")
    }
    wrong(word, "is no upstream", hint: hint)
    // What a mistyped name was meant for is not unused.
    if let nearest = Nearest.name(to: word.text, among: names), let index = names.firstIndex(of: nearest) { upstreams[index].isUsed = true }
    return nil
  }

  /// Two routes for the same requests: which one wins would depend on their order, which nothing else does.
  private func findDuplicates() {
    struct Key: Hashable {
      var isExact: Bool
      var path: String
      var host: Route.Host
    }
    var earlier: [Key: [RouteDraft]] = [:]
    for draft in routes {
      guard let path = draft.path, !path.isBroken else { continue }
      // The router takes `/a/` and `/a` for the same prefix.
      let prefix = draft.isExact || !path.text.hasSuffix("/") ? path.text : String(path.text.dropLast())
      let key = Key(isExact: draft.isExact, path: prefix, host: draft.host)
      let twin = earlier[key, default: []].first { other in
        draft.methods.isEmpty ? other.methods.isEmpty : draft.methods.contains(where: other.methods.contains)
      }
      if let twin {
        diagnostics.error(
          draft.place, "this route covers the same requests as '\(twin.label)'",
          hint: "which is at \(twin.place.shortText); a path with and without its last slash is the same prefix")
      }
      earlier[key, default: []].append(draft)
    }
  }

  // MARK: Numbers and names

  private func checkLimits(_ name: String) {
    for words in settings.limits.contradictions() {
      let directive = words.prefix { $0 != " " }
      diagnostics.add(Diagnostic(.error, at: topPlaces[String(directive)], in: name, words))
    }
  }

  private func checkHeaders() {
    func folded(_ name: String) -> [UInt8] { name.utf8.map { $0 == 0x5F || $0 == 0x2E ? 0x2D : ASCII.lowercased($0) } }
    let options = settings.forwarding
    if folded(options.userField) == folded(options.groupsField), let place = topPlaces["groups_header"] ?? topPlaces["user_header"] {
      diagnostics.error(place, "the user and the groups would be sent under the same name")
    }
    let key = folded(String(decoding: settings.gatekeeper.apiKeyField, as: UTF8.self))
    if key == folded(options.userField) || key == folded(options.groupsField), let place = topPlaces["api_key_header"] {
      diagnostics.error(place, "keys would come under the name that upstreams are told the user or the groups by")
    }
  }

  // MARK: Users

  private var needsUsers: Bool {
    routes.contains { $0.requirement?.asksWho == true }
  }

  private func readUsers(_ name: String, _ groups: GroupFile?) -> UserTable? {
    guard let word = usersWord, let path = settings.usersPath else {
      let anyUser = issuers.contains { $0.options.acceptsAnyUser }
      if needsUsers && !anyUser && topPlaces["users"] == nil {
        missing("there are routes that require a user, and no user file", hint: "users FILE; then: gatehouse user add NAME", name)
      }
      return nil
    }
    let bytes: [UInt8]
    do {
      bytes = try Disk.read(path, limit: 1 << 30)
    } catch {
      wrong(
        word, "can't be read: \(error.reason)",
        hint: error.reason == "there is no such file" ? "make it with: gatehouse user add NAME" : nil)
      return nil
    }
    do {
      let table = try UserTable(parsing: bytes, seed: .ofThisMachine, limit: settings.limits.hashLimit, groups: groups)
      atHand.users = FileAtHand(bytes: bytes, value: table)
      warnIfWorldReadable(path, word, "user file")
      if table.users.isEmpty && needsUsers {
        diagnostics.warning(word.place, "the user file has no users, so that nobody can log in", hint: "gatehouse user add NAME")
      }
      for problem in table.problems {
        diagnostics.add(Diagnostic(.warning, at: nil, in: "\(path):\(problem.line)", problem.reason))
      }
      return table
    } catch {
      wrong(word, "can't be used: \(error)")
      return nil
    }
  }

  /// A name in `require` that nobody has lets nobody in: allowed (the user may come later), and often a slip.
  private func checkNamesExist(in table: UserTable, _ groupFile: GroupFile?) {
    warnOfStrangers(in: groupFile, table)
    // Only where it is asked for: there may be a million users.
    var groups: Set<[UInt8]> = []
    if routes.contains(where: { !$0.groups.isEmpty }) {
      for user in table.users { groups.formUnion(user.groups) }
    }
    for route in routes {
      for word in route.users where table.user(named: Array(word.text.utf8).span) == nil {
        diagnostics.warning(word.place, "the user file has no user '\(word.written)'")
      }
      for word in route.groups where !groups.contains(Array(word.text.utf8)) {
        diagnostics.warning(word.place, "no user is in the group '\(word.written)'")
      }
    }
  }

  /// Basic sends the password as good as readable with each request (RFC 7617 section 4).
  private func warnOfClearText() {
    guard needsUsers else { return }
    for (listener, word) in listeners where !listener.socket.address.isLoopback && listener.redirectPort == nil && listener.tls == nil {
      diagnostics.warning(
        word.place, "passwords cross the network in clear text here",
        hint: "say: listen ADDRESS tls { certificate FILE; key FILE }; or listen on 127.0.0.1 or a Unix socket")
    }
  }
}

extension SocketAddress {
  /// Whether only this machine can connect.
  var isLoopback: Bool {
    switch self {
    case .ipv4(let address, _): address >> 24 == 127
    case .ipv6(let high, let low, _, _): high == 0 && (low == 1 || low >> 32 == 0xFFFF && (low >> 24) & 0xFF == 127)
    case .any, .passed: false
    case .unix: true
    }
  }
}
