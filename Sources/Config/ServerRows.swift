// The servers of an upstream: where each is, and how requests are shared out among them.

import HTTP
import Primitives
import Upstream

extension Table {
  static let serverRows: [Row] = [
    Row(
      "server", in: .upstream, takes: "URL [weight NUMBER] [backup] [max_connections NUMBER]", 1...16, isRepeatable: true,
      elsewhere: ["proxy_pass", "reverse_proxy", "ProxyPass", "BalancerMember"],
      doc: "Where it is: `http://127.0.0.1:9000`, `https://legacy.example.com`, `unix:/run/app.sock`, or where files are: `ftp://`, `ftps://` or "
        + "`sftp://` with a host and a path, `file:///srv/files`; or what is looked up: `ldap://` or `ldaps://` with a host and a base, `dict://`, `gopher://`, "
        + "`tftp://`; one of several gets so many requests beside the others "
        + "(`weight`, 1), none while another can take them (`backup`), and no more than so many at once."
    ) { reading, directive in reading.server(directive) },
    Row(
      "balance", in: .upstream,
      takes: "round-robin|least-connections|random-two|hash client|hash user|hash header NAME|hash cookie NAME", 1...3, standard: "round-robin",
      elsewhere: ["lb_policy", "least_conn", "ip_hash", "lbmethod"],
      doc: "Which of several servers gets a request: the next one; the one with the fewest under way; the better of two drawn; always the same for the same "
        + "client, user, header or cookie."
    ) { reading, directive in reading.balance(directive) },
    Row(
      "eject", in: .upstream, takes: "FAILURES DURATION [last]|off", 1...3, standard: "3 10s",
      elsewhere: ["max_fails", "fail_timeout", "circuit_breaker", "observe"],
      doc: "After so many failures in a row one of several servers gets no requests for that long, and then one that decides whether it is back, or out for "
        + "twice as long; the last one that serves only with `last`: then requests get 503 at once."
    ) { reading, directive in reading.ejection(directive) },
    Row(
      "retry", in: .upstream, takes: "NUMBER [on] [connect] [reset] [502] [503] [504]|off", 1...7, standard: "2 on connect reset",
      elsewhere: ["proxy_next_upstream", "retries", "redispatch", "lb_try_duration"],
      doc: "How many more of several servers a request is sent to, and after what: no connection, one that ended before the answer, or these answers; but "
        + "for `connect` only what may be sent twice (idempotent, with a body that has been kept if there is one), and no more than one request of ten in the long run."
    ) { reading, directive in reading.retry(directive) },
    Row(
      "replay_buffer", in: .upstream, takes: "SIZE|off", 1...1, standard: "64k",
      doc: "How much of a body is kept so that `retry` can send it to another server too, if the method is idempotent; larger ones are sent once."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" { reading.upstreamInHand?.replayLimit = 0; return }
      reading.size(word, 1...(16 << 20), alsoTakes: "off").map { reading.upstreamInHand?.replayLimit = $0 }
    },
    Row(
      "queue", in: .upstream, takes: "NUMBER DURATION|off", 1...2, standard: "off", elsewhere: ["max_queue", "maxqueue"],
      doc: "How many requests may wait, and for how long, while all servers have their connections in use; 503 beyond."
    ) { reading, directive in reading.queue(directive) },
    Row(
      "slow_start", in: .upstream, takes: "DURATION|off", 1...1, standard: "off", elsewhere: ["slowstart"],
      doc: "How long a server that is back gets fewer requests than its share, ever more of them."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" { reading.upstreamInHand?.slowStart = nil; return }
      reading.duration(word, .seconds(1)...reading.longestPause).map { reading.upstreamInHand?.slowStart = $0 }
    },
    Row(
      "resolve", in: .upstream, takes: "DURATION", 1...1, standard: "60s", elsewhere: ["resolver", "resolvers"],
      doc: "How long the address that a server's name had is used, by new connections and by those that are kept, before the name is looked up again."
    ) { reading, directive in
      reading.duration(directive.arguments[0], .seconds(1)...reading.longestPause).map { reading.upstreamInHand?.options.resolveAfter = $0 }
    },
    Row(
      "health", in: .upstream,
      takes: "GET|HEAD PATH [every DURATION] [timeout DURATION] [expect STATUS[-STATUS]] [fall NUMBER] [rise NUMBER] [host NAME]|off", 1...14,
      standard: "off", elsewhere: ["health_check", "health_uri", "httpchk", "option"],
      doc: "Asks each server every 5 s, for 2 s at most, and gives requests only to those that answer with 200-399: the first check decides alone, then three "
        + "(`fall`) that fail and two (`rise`) that don't."
    ) { reading, directive in reading.health(directive) },
  ]
}

/// A `server` that is being read.
struct ServerDraft {
  var word: Word
  var scheme = UpstreamOptions.Scheme.http
  // Where it is unknown, a place that nobody connects to: settings are not given out while there are errors.
  var address = UpstreamOptions.Address.unix(path: "")
  var weight = 1
  var isBackup = false
  var maxConnections: Int?
  /// Where it is no HTTP server.
  var files: FileServer?

  func member(_ options: UpstreamOptions) -> UpstreamMember {
    var options = options
    options.scheme = scheme
    options.address = address
    options.files = files
    var member = UpstreamMember(options)
    member.weight = weight
    member.isBackup = isBackup
    member.maxConnections = maxConnections
    return member
  }
}

extension Reading {
  func server(_ directive: Directive) {
    let word = directive.arguments[0]
    var draft = ServerDraft(word: word)
    defer { upstreamInHand?.servers.append(draft) }
    guard !word.isBroken else { return }
    do {
      if let (files, address) = try FileServerURL.parse(word.text) {
        (draft.files, draft.address) = (files, address)
        if files.kind == .file, case .unix(let path) = address, !Disk.isFolder(path) { wrong(word, "is no folder that can be looked into") }
      } else {
        (draft.scheme, draft.address) = try ServerURL.parse(socketPathResolved(word))
      }
    } catch {
      draft.word.isBroken = true
      // Not the word itself, which holds a password.
      if word.text.contains("@") { diagnostics.error(word.place, "the server's URL \(error.reason)") } else { wrong(word, error.reason) }
    }
    var words = directive.arguments.dropFirst()
    var said: Set<String> = []
    while let name = words.popFirst() {
      guard said.insert(name.text).inserted || name.text.contains("@") else {
        wrong(name, "is said twice")
        if name.text != "backup" { words = words.dropFirst() }
        continue
      }
      let number = name.text == "backup" ? nil : words.popFirst()
      // As above: what was meant for a second server may hold a password.
      if let number, number.text.contains("@") {
        diagnostics.error(number.place, "this is no number")
        continue
      }
      switch (name.text, number) {
      case ("backup", _): draft.isBackup = true
      case ("weight", let number?): if let n = count(number, 1...1000) { draft.weight = n }
      case ("max_connections", let number?): draft.maxConnections = count(number, 1...1_000_000)
      case ("weight", nil), ("max_connections", nil): wrong(name, "lacks its number")
      // As above: what was meant for a second server may hold a password.
      case _ where name.text.contains("@"): diagnostics.error(name.place, "this is none of 'weight', 'backup', 'max_connections'")
      default: wrong(name, "is none of 'weight', 'backup', 'max_connections'", hint: "each server has a line of its own")
      }
    }
  }

  func balance(_ directive: Directive) {
    let words = directive.arguments
    let hints = "hash client, hash user, hash header NAME or hash cookie NAME"
    guard words[0].text == "hash" else {
      guard words.count == 1 else { return wrong(words[1], "is too much", hint: "only 'hash' takes more: \(hints)") }
      let names: [(String, UpstreamGroup.Balance)] = [
        ("round-robin", .roundRobin), ("least-connections", .leastConnections), ("random-two", .randomTwo),
      ]
      if let balance = choice(words[0], names) { upstreamInHand?.balance = balance }
      return
    }
    guard words.count > 1 else { return wrong(words[0], "lacks what is hashed", hint: hints) }
    switch (words[1].text, words.count) {
    case ("client", 2): upstreamInHand?.balance = .hash(.client)
    case ("user", 2): upstreamInHand?.balance = .hash(.user)
    case ("header", 3), ("cookie", 3):
      let name = Array(words[2].text.utf8)
      guard !name.isEmpty, name.count <= 128, name.allSatisfy(ASCII.isToken) else { return wrong(words[2], "is no name of a \(words[1].text)") }
      upstreamInHand?.balance = .hash(words[1].text == "header" ? .header(name) : .cookie(name))
    case ("header", _), ("cookie", _): wrong(words[1], "lacks its name", hint: hints)
    default: wrong(words[1], "can't be hashed", hint: hints)
    }
  }

  func ejection(_ directive: Directive) {
    let words = directive.arguments
    if words.count == 1 {
      guard words[0].text == "off" else { return wrong(words[0], "is neither a number of failures and a duration nor 'off'") }
      upstreamInHand?.ejection = nil
      return
    }
    guard let failures = count(words[0], 1...1000), let pause = duration(words[1], .milliseconds(100)...longestPause) else { return }
    if words.count == 3 && words[2].text != "last" { return wrong(words[2], "is not 'last'") }
    upstreamInHand?.ejection = UpstreamGroup.Ejection(failures: failures, pause: pause)
    upstreamInHand?.ejection?.takesLast = words.count == 3
  }

  func retry(_ directive: Directive) {
    var words = directive.arguments[...]
    if words.count == 1 && words[words.startIndex].text == "off" {
      upstreamInHand?.retry = nil
      return
    }
    guard let first = words.popFirst(), let times = count(first, 1...10, orWord: nil) else { return }
    if let on = words.first, on.text == "on" {
      words = words.dropFirst()
      if words.isEmpty { return wrong(on, "lacks its causes: connect, reset, 502, 503, 504") }
    }
    let names: [(String, UpstreamGroup.Retry.Causes)] = [
      ("connect", .connect), ("reset", .reset), ("502", .badGateway), ("503", .unavailable), ("504", .gatewayTimeout),
    ]
    var causes: UpstreamGroup.Retry.Causes = []
    for word in words {
      guard let cause = choice(word, names) else { return }
      guard causes.isDisjoint(with: cause) else { return wrong(word, "is said twice") }
      causes.formUnion(cause)
    }
    upstreamInHand?.retry = UpstreamGroup.Retry(times: times, on: words.isEmpty ? [.connect, .reset] : causes)
  }

  func queue(_ directive: Directive) {
    let words = directive.arguments
    if words.count == 1 {
      guard words[0].text == "off" else { return wrong(words[0], "is neither a number of requests and a duration nor 'off'") }
      upstreamInHand?.queue = nil
      return
    }
    guard let places = count(words[0], 1...10_000), let wait = duration(words[1], .milliseconds(10)...Table.longestTimeout) else { return }
    upstreamInHand?.queue = UpstreamGroup.Queue(places: places, wait: wait)
  }

  func health(_ directive: Directive) {
    var words = directive.arguments[...]
    guard let first = words.popFirst(), !first.isBroken else { return }
    if first.text == "off" && words.isEmpty {
      upstreamInHand?.health = nil
      return
    }
    guard let method = choice(first, [("GET", HealthCheck.Method.get), ("HEAD", .head)]) else { return }
    guard let path = words.popFirst() else { return wrong(first, "lacks the path that is asked for", hint: "health GET /healthz") }
    guard !path.isBroken else { return }
    // Not the words themselves, which may hold a password.
    if let odd = directive.arguments.dropFirst().first(where: { $0.text.contains("@") }) {
      return diagnostics.error(odd.place, "a check has no user: this is neither a path nor a host")
    }
    // RFC 9112 section 3.2.1: what stands there goes onto the wire as it is.
    guard path.text.utf8.first == 0x2F, path.text.utf8.count <= 1024, path.text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x23 }) else {
      return wrong(path, "is no path: it begins with / and has no white space")
    }
    var check = HealthCheck(method, path.text)
    var said: Set<String> = []
    while let name = words.popFirst() {
      let names = ["every", "timeout", "expect", "fall", "rise", "host"]
      guard names.contains(name.text) else { return wrong(name, "is none of \(names.map { "'\($0)'" }.joined(separator: ", "))") }
      guard said.insert(name.text).inserted else { return wrong(name, "is said twice") }
      guard let value = words.popFirst() else { return wrong(name, "lacks its value") }
      guard !value.isBroken else { return }
      switch name.text {
      case "every": if let period = duration(value, .milliseconds(100)...longestPause) { check.period = period }
      case "timeout": if let timeout = duration(value, .milliseconds(10)...Table.longestTimeout) { check.timeout = timeout }
      case "fall": if let n = count(value, 1...100) { check.fall = n }
      case "rise": if let n = count(value, 1...100) { check.rise = n }
      case "expect": if let range = statuses(value) { check.expected = range }
      default:
        guard Authority.isValid(Array(value.text.utf8).span), !value.text.isEmpty else { return wrong(value, "is no host") }
        check.host = value.text
      }
    }
    if !said.contains("timeout") { check.timeout = min(check.timeout, check.period) }
    if check.timeout > check.period { return wrong(directive.name, "would begin again before it ends: 'timeout' is longer than 'every'") }
    upstreamInHand?.health = check
  }

  /// `200` or `200-399`.
  private func statuses(_ word: Word) -> ClosedRange<Int>? {
    let ends = word.text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { Value.count(String($0)) }
    guard let first = ends.first ?? nil, let last = ends.last ?? nil, 200...599 ~= first, 200...599 ~= last, first <= last else {
      wrong(word, "is no status, 200 to 599, and no range of them as in 200-399")
      return nil
    }
    return first...last
  }

  var longestPause: Interval { .seconds(86_400) }

  /// What stands wrong between the servers of one upstream.
  func checkServers(_ draft: UpstreamDraft) {
    let sound = draft.servers.filter { !$0.word.isBroken }
    for (i, server) in sound.enumerated() {
      if let twin = sound[..<i].first(where: { $0.address == server.address && $0.scheme == server.scheme && $0.files == server.files }) {
        diagnostics.error(server.word.place, "this server stands here twice", hint: "first at \(twin.word.place.shortText); 'weight' gives it more requests")
      }
    }
    if draft.servers.count > UpstreamGroup.mostMembers {
      diagnostics.error(draft.servers[UpstreamGroup.mostMembers].word.place, "an upstream has at most \(UpstreamGroup.mostMembers) servers")
    }
    if let first = draft.servers.first, draft.servers.allSatisfy(\.isBackup) {
      diagnostics.error(first.word.place, "all servers of this upstream are backups", hint: "of what? One at least has to be none")
    }
  }
}
