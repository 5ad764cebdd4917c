// The servers of an upstream: where each is, and how requests are shared out among them.

import HTTP
import Primitives
import Upstream

extension Table {
  static let serverRows: [Row] = [
    Row(
      "server", in: .upstream, takes: "URL [weight NUMBER] [backup] [max_connections NUMBER]", 1...6, isRepeatable: true,
      elsewhere: ["proxy_pass", "reverse_proxy", "ProxyPass", "BalancerMember"],
      doc: "Where it is: `http://127.0.0.1:9000`, `https://legacy.example.com` or `unix:/run/app.sock`; one of several gets so many requests beside the others "
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
      "eject", in: .upstream, takes: "FAILURES DURATION|off", 1...2, standard: "3 10s", elsewhere: ["max_fails", "fail_timeout"],
      doc: "After so many failures in a row one of several servers gets no requests for that long, but never the last one; then one request decides whether "
        + "it is back, or out for twice as long."
    ) { reading, directive in reading.ejection(directive) },
    Row(
      "retry", in: .upstream, takes: "NUMBER [on] [connect] [reset] [502] [503] [504]|off", 1...7, standard: "2 on connect reset",
      elsewhere: ["proxy_next_upstream", "retries", "redispatch", "lb_try_duration"],
      doc: "How many more of several servers a request is sent to, and after what: no connection, one that ended before the answer, or these answers; but "
        + "for `connect` only what may be sent twice (idempotent, without a body), and no more than one request of ten in the long run."
    ) { reading, directive in reading.retry(directive) },
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

  func member(_ options: UpstreamOptions) -> UpstreamMember {
    var options = options
    options.scheme = scheme
    options.address = address
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
      (draft.scheme, draft.address) = try ServerURL.parse(socketPathResolved(word))
    } catch {
      draft.word.isBroken = true
      // Not the word itself, which holds a password.
      if word.text.contains("@") { diagnostics.error(word.place, "the server's URL \(error.reason)") } else { wrong(word, error.reason) }
    }
    var words = directive.arguments.dropFirst()
    while let name = words.popFirst() {
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
    upstreamInHand?.ejection = UpstreamGroup.Ejection(failures: failures, pause: pause)
  }

  func retry(_ directive: Directive) {
    var words = directive.arguments[...]
    if words.count == 1 && words[words.startIndex].text == "off" {
      upstreamInHand?.retry = nil
      return
    }
    guard let first = words.popFirst(), let times = count(first, 1...10, orWord: nil) else { return }
    if words.first?.text == "on" { words = words.dropFirst() }
    let names: [(String, UpstreamGroup.Retry.Causes)] = [
      ("connect", .connect), ("reset", .reset), ("502", .badGateway), ("503", .unavailable), ("504", .gatewayTimeout),
    ]
    var causes: UpstreamGroup.Retry.Causes = []
    for word in words {
      guard let cause = choice(word, names) else { return }
      causes.formUnion(cause)
    }
    upstreamInHand?.retry = UpstreamGroup.Retry(times: times, on: words.isEmpty ? [.connect, .reset] : causes)
  }

  private var longestPause: Interval { .seconds(86_400) }

  /// What stands wrong between the servers of one upstream.
  func checkServers(_ draft: UpstreamDraft) {
    let sound = draft.servers.filter { !$0.word.isBroken }
    for (i, server) in sound.enumerated() {
      if let twin = sound[..<i].first(where: { $0.address == server.address && $0.scheme == server.scheme }) {
        diagnostics.error(server.word.place, "this server stands here twice", hint: "first at \(twin.word.place.shortText); 'weight' gives it more requests")
      }
    }
    if let first = draft.servers.first, draft.servers.allSatisfy(\.isBackup) {
      diagnostics.error(first.word.place, "all servers of this upstream are backups", hint: "of what? One at least has to be none")
    }
  }
}
