// What `check` prints: the config as the proxy understands it, resolved and in order of precedence. No secret is in it.

import Auth
import HTTP
import HTTP2
import Login
import Net
import Primitives
import Proxy
import Upstream

extension Configuration {
  /// The whole picture, then problems and warnings. Lines are parted by "\n".
  public var summary: String {
    var parts: [String] = []
    if let settings { parts.append(Description(settings, users, tokenKeys, keySets, certificates).text) }
    if !diagnostics.all.isEmpty { parts.append(diagnostics.rendered) }
    parts.append("\(name): \(verdict)")
    return parts.joined(separator: "\n\n")
  }

  private var verdict: String {
    let errors = diagnostics.errorCount
    let warnings = diagnostics.warnings.count
    let counts = [(errors, "error"), (warnings, "warning")].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }
    if errors > 0 { return "can't be used: " + counts.joined(separator: ", ") }
    return "can be used" + (counts.isEmpty ? "" : ", with " + counts.joined(separator: ", "))
  }
}

struct Description {
  let settings: Settings
  let users: UserTable?
  let tokenKeys: TokenKeys?
  let keySets: [ForeignKeySet?]
  let certificates: [String: [TLSCertificate]]

  init(
    _ settings: Settings, _ users: UserTable?, _ tokenKeys: TokenKeys?, _ keySets: [ForeignKeySet?],
    _ certificates: [String: [TLSCertificate]]
  ) {
    self.certificates = certificates
    self.settings = settings
    self.users = users
    self.tokenKeys = tokenKeys
    self.keySets = keySets
  }

  var text: String {
    var lines: [String] = []
    lines += section("Listeners", settings.listeners.flatMap(listener))
    lines += section("Routes, most specific first", Router(settings.routes).routes.flatMap(route))
    lines += section("Upstreams", settings.upstreams.flatMap(upstream))
    lines += section("Users", userLines.map { [$0] })
    if let tokens = settings.tokens { lines += section("Tokens", tokenLines(tokens).map { [$0] }) }
    if !settings.issuers.isEmpty { lines += section("Tokens of other issuers", zip(settings.issuers, keySets).map(issuer)) }
    if let registration = settings.registration { lines += section("Registration", rows(registration)) }
    lines += section("Logs", [["access", accessLog], ["errors", "standard error, \(settings.logLevel.name) and above"]])
    lines += section("Identity", identity)
    if !settings.errorPages.isEmpty { lines += section("Error pages", [[ranges(settings.errorPages.keys.sorted())]]) }
    lines += section("Limits", limits)
    lines += section("Workers", [[settings.workers == 0 ? "one for each processor" : "\(settings.workers)"]])
    lines += section("Admin socket", [[adminPlace]])
    return lines.dropLast().joined(separator: "\n")
  }

  // MARK: Rows

  private func listener(_ listener: ListenerSettings) -> [[String]] {
    let socket = listener.socket
    var notes = [listener.tls == nil ? "HTTP" : "HTTPS"]
    if let tls = listener.tls {
      notes.append("TLS \(tls.lowestVersion.text)\(tls.lowestVersion == .tls13 ? "" : " to 1.3")")
      if !tls.sessionTickets { notes.append("no resumption") }
      if tls.keyLogPath != nil { notes.append("every connection's keys are written down") }
    } else if !socket.address.isUnix {
      notes.append("no TLS")
    }
    if socket.address.isUnix { notes.append("mode \(String(socket.unixMode, radix: 8))") }
    if listener.speaksH2C { notes.append("HTTP/2 in clear text too") }
    switch listener.proxyProtocol {
    case .off: break
    case .optional: notes.append("PROXY header from trusted proxies")
    case .required: notes.append("PROXY header required, from trusted proxies")
    }
    if let clients = listener.tls?.clientCertificates {
      notes.append("client certificates \(clients.mode == .required ? "required" : "accepted") by \(clients.authorityPath)")
      if clients.revocationPath == nil { notes.append("no revocations") }
      if let users = listener.certificateUsers { notes.append("their users from \(users.text)") }
    }
    if let port = listener.redirectPort { notes.append("redirected to https, port \(port)") }
    return [[socket.address.text, (notes + socketNotes(socket)).joined(separator: ", ")]]
      + (certificates[socket.address.text] ?? []).map { ["", certificate($0)] }
  }

  /// `a.example *.a.example: ECDSA, P-256, 74 days left, by CN=…`
  private func certificate(_ certificate: TLSCertificate) -> String {
    let days = certificate.daysLeft(at: .now())
    let names = certificate.names.prefix(8).joined(separator: " ") + (certificate.names.count > 8 ? " …" : "")
    var words = "\(names.isEmpty ? "no name" : names): \(certificate.key.text), \(counted(days, "day")) left"
    words += certificate.isSelfSigned ? ", self-signed" : ", by \(certificate.issuer)"
    return words + (certificate.isStapled ? ", stapled" : "")
  }

  /// What differs from what holds when nothing is said.
  private func socketNotes(_ socket: ListenOptions) -> [String] {
    let standard = ListenOptions(address: socket.address)
    var notes: [String] = []
    if let interface = socket.interface { notes.append("by way of \(interface)") }
    if socket.backlog != standard.backlog { notes.append("backlog \(socket.backlog)") }
    if socket.reusesPort != standard.reusesPort { notes.append("one socket for all workers") }
    if socket.fastOpen > 0 { notes.append("Fast Open for \(socket.fastOpen)") }
    if let owner = socket.unixOwner { notes.append("owner \(owner)") }
    if let group = socket.unixGroup { notes.append("group \(group)") }
    return notes
  }

  /// A row, and beneath it the lines of a requirement that would make it too wide.
  private func route(_ route: Route) -> [[String]] {
    var notes: [String] = []
    if let limit = route.bodyLimit { notes.append("bodies up to \(Value.text(size: Int(clamping: limit)))") }
    if route.requiresTLS { notes.append("by https alone") }
    if route.isRaw { notes.append("raw path") }
    if route.allowsTrace { notes.append("TRACE allowed") }
    notes += rewriting(route.rewriting)
    switch route.authorization {
    case .strip: break
    case .pass: notes.append("Authorization passed on")
    case .replace: notes.append("Authorization replaced")
    }
    switch route.upgrade {
    case .websocket: break
    case .off: notes.append("no tunnels")
    case .any: notes.append("tunnels of any protocol")
    }
    if route.passesPreflights { notes.append("preflights pass") }
    if route.isSilentForScripts { notes.append("no Basic challenge to scripts") }
    let (requirement, more) = requirement(route.requirement)
    notes += terms(route.terms)
    return [[route.label, requirement, destination(route), notes.joined(separator: ", ")]] + more.map { [$0] }
  }

  private func destination(_ route: Route) -> String {
    switch route.terms.answer {
    case .respond(let answer): "answered \(answer.status)"
    case .redirect: "redirected"
    case .root: "files"
    case nil: "to " + (route.upstream.map { settings.upstreams[$0].name } ?? "nowhere")
    }
  }

  private func terms(_ terms: RouteTerms) -> [String] {
    var notes: [String] = []
    switch terms.answer {
    case .redirect(let template): notes.append("\(template.status) to \(template.text)")
    case .root(let folder): notes.append("beneath \(folder)")
    case .respond, nil: break
    }
    if let maintenance = terms.maintenance { notes.append("closed while \(maintenance.path) is there") }
    if let most = terms.maxInFlight { notes.append("\(most) requests at once") }
    if let most = terms.maxInFlightOfUser { notes.append("\(most) of one user") }
    notes += terms.rates.map(rate)
    if let bandwidth = terms.bandwidth { notes.append("\(Value.text(size: bandwidth)) a second") }
    if let buffer = terms.buffer { notes.append("\(Value.text(size: buffer)) taken ahead") }
    if let bandwidth = terms.uploadBandwidth { notes.append("uploads at \(Value.text(size: bandwidth)) a second") }
    if let buffer = terms.uploadBuffer { notes.append("\(Value.text(size: buffer)) of uploads in memory first") }
    let times = [("connect", terms.times.connect), ("response", terms.times.response), ("idle", terms.times.idle), ("total", terms.times.total)]
    notes += times.compactMap { name, time in time.map { "\(name) \(Value.text($0))" } }
    return notes
  }

  private func requirement(_ requirement: Requirement) -> (cell: String, more: [String]) {
    if requirement == .nobody { return ("PUBLIC", []) }
    if !requirement.mentionsNobody && requirement.text.count <= 40 { return (requirement.text, []) }
    return (requirement.mentionsNobody ? "PUBLIC IN PART" : "by rules", requirement.lines.map { "  require \($0)" })
  }

  private func upstream(_ group: UpstreamGroup) -> [[String]] {
    let options = group.members[0].options
    var notes: [String] = []
    let (connect, response, idle) = (options.connectTimeout, options.responseTimeout, options.idleTimeout)
    notes.append("connect \(Value.text(connect)), response \(Value.text(response)), idle \(Value.text(idle))")
    notes.append("kept \(Value.text(options.reuseWithin)), \(options.maxConnections) connections a worker")
    if let files = options.files { notes.append(files.notes) }
    if options.speaksHTTP2 { notes.append("HTTP/2") }
    if options.engine == .libcurl { notes.append("spoken to by libcurl") }
    if group.members.contains(where: { $0.options.scheme == .https || $0.options.files?.isByTLS ?? false }) {
      var tls = options.tls.verify ? "TLS verified" : "TLS NOT VERIFIED"
      if options.tls.verify { tls += options.tls.certificateAuthority.map { " by \($0)" } ?? " by the system's authorities" }
      if let name = options.tls.name { tls += " as \(name)" }
      if let certificate = options.tls.clientCertificate { tls += ", with our certificate \(certificate)" }
      if let pins = options.tls.pins { tls += ", by \(pins.contains(";") ? "one of several pinned keys" : "a pinned key")" }
      if options.tls.allowsLegacy { tls += ", TLS 1.0 AND SHORT KEYS ALLOWED" }
      notes.append(tls)
    }
    if let login = group.login { notes.append(login.summary) }
    if let assertion = group.assertion { notes.append(assertion.description) }
    notes += detour(options)
    if group.members.count > 1 {
      notes.append(sharing(group))
    } else {
      if let most = group.members[0].maxConnections { notes.append("\(most) requests at once") }
      if let ejection = group.ejection, ejection.takesLast { notes.append(words(ejection)) }
    }
    if let queue = group.queue { notes.append("\(counted(queue.places, "request")) may wait \(Value.text(queue.wait))") }
    if let check = group.health {
      let statuses = check.expected.count == 1 ? "\(check.expected.lowerBound)" : "\(check.expected.lowerBound)-\(check.expected.upperBound)"
      notes.append("checked every \(Value.text(check.period)): \(check.method == .get ? "GET" : "HEAD") \(check.target) has to answer \(statuses)")
    }
    let first = [group.name, options.place, notes.joined(separator: "; ")]
    return [first] + group.members.dropFirst().map { ["", $0.options.place, traits($0)] }
  }

  private func detour(_ options: UpstreamOptions) -> [String] {
    var notes: [String] = []
    if let there = options.elsewhere { notes.append("found at \(there.host.contains(":") ? "[\(there.host)]" : there.host)\(there.port.map { ":\($0)" } ?? "")") }
    switch options.source {
    case nil: break
    case .address(let address): notes.append("from \(address)")
    case .interface(let name): notes.append("from interface \(name)")
    }
    if let via = options.via { notes.append("through \(via)" + (via.username.map { " as \($0)" } ?? "")) }
    if let version = options.announces { notes.append("told of clients by PROXY \(version)") }
    return notes
  }

  private func sharing(_ group: UpstreamGroup) -> String {
    let balance =
      switch group.balance {
      case .roundRobin: "in turn"
      case .leastConnections: "to the one with the fewest requests"
      case .randomTwo: "to the better of two drawn"
      case .hash(.client): "by the client's address"
      case .hash(.user): "by the user"
      case .hash(.header(let name)): "by the header \(String(decoding: name, as: UTF8.self))"
      case .hash(.cookie(let name)): "by the cookie \(String(decoding: name, as: UTF8.self))"
      }
    let ejection = group.ejection.map(words) ?? "never out"
    let retry = group.retry.map { "sent again up to \(counted($0.times, "time"))" + causes($0) } ?? "never sent again"
    let slowly = group.slowStart.map { ", less to one that is back for \(Value.text($0))" } ?? ""
    let own = traits(group.members[0])
    return "\(group.members.count) servers, \(balance), \(ejection), \(retry)\(slowly)" + (own.isEmpty ? "" : "; this one: \(own)")
  }

  private func words(_ ejection: UpstreamGroup.Ejection) -> String {
    "out for \(Value.text(ejection.pause)) after \(counted(ejection.failures, "failure")) in a row" + (ejection.takesLast ? ", the last one too" : "")
  }

  private func traits(_ member: UpstreamMember) -> String {
    var notes: [String] = []
    if member.weight != 1 { notes.append("weight \(member.weight)") }
    if member.isBackup { notes.append("backup") }
    if let most = member.maxConnections { notes.append("\(most) requests at once") }
    return notes.joined(separator: ", ")
  }

  private var userLines: [String] {
    let realm = "realm \"\(settings.gatekeeper.realm)\""
    guard let path = settings.usersPath, let users else { return ["no user file", realm] }
    var kinds = users.hashCensus.map { "\($0.users) \($0.kind)" }
    if users.usersWithoutPassword > 0 { kinds.append("\(users.usersWithoutPassword) with tokens only") }
    var lines = [path, counted(users.users.count, "user") + (kinds.isEmpty ? "" : ": " + kinds.joined(separator: ", "))]
    if users.keyCount > 0 { lines.append(counted(users.keyCount, "token")) }
    if let groups = settings.groupsPath { lines.append("groups also from \(groups)") }
    let locked = users.users.count { $0.isLocked }
    if locked > 0 { lines.append("\(locked) locked") }
    let cache = settings.gatekeeper
    lines.append(
      cache.cacheLifetime == .seconds(0)
        ? "passwords are checked with every request"
        : "verified passwords are remembered for \(Value.text(cache.cacheLifetime)), \(cache.cacheEntries) at most")
    if !cache.apiKeyField.isEmpty { lines.append("API keys also in \(String(decoding: cache.apiKeyField, as: UTF8.self))") }
    if let lockout = settings.lockout {
      let exempt = lockout.exempt.isEmpty ? "" : "; \(counted(lockout.exempt.count, "network")) exempt"
      lines.append(
        "locked out for \(Value.text(lockout.ban)) after \(counted(lockout.failures, "failure")) within \(Value.text(lockout.within))\(exempt)"
      )
    } else {
      lines.append("NOBODY IS LOCKED OUT for failing to log in")
    }
    if settings.rehashes { lines.append("weak hashes are replaced when their users log in") }
    return lines + [realm]
  }

  private func tokenLines(_ options: TokenOptions) -> [String] {
    var keys = options.keysPath + ": "
    if let tokenKeys {
      keys += counted(tokenKeys.keys.count, "key") + ", \(String(decoding: tokenKeys.signing.identifier, as: UTF8.self)) signs"
    } else {
      keys += "made at the first start"
    }
    let endpoint = options.endpoint.map { "given out at " + String(decoding: $0, as: UTF8.self) } ?? "given out by the command line only"
    let renewal =
      options.renewWithin.nanoseconds == 0 ? "never renewed" : "renewed within \(Value.text(options.renewWithin)) of the password"
    return [keys, "good for \(Value.text(options.lifetime)), \(Value.text(options.longestLifetime)) at most; \(renewal)", endpoint]
  }

  private var adminPlace: String {
    switch settings.admin {
    case .standard: "unix:\(AdminPlace.standardPath), if its folder is there"
    case .off: "off"
    case .unix(let path): "unix:\(path)"
    }
  }

  private func issuer(_ issuer: ForeignIssuer, _ keys: ForeignKeySet?) -> [String] {
    let text = { (bytes: [UInt8]) in String(decoding: bytes, as: UTF8.self) }
    let audience = issuer.audiences.map { "for " + $0.map(text).joined(separator: " or ") } ?? "FOR ANY AUDIENCE"
    var notes = [audience, "user from \(text(issuer.userClaim))"]
    if let path = issuer.groupsClaim { notes.append("groups from \(path.map(text).joined(separator: " "))") }
    notes.append(issuer.acceptsAnyUser ? "ANY USER" : "users of the user file")
    notes.append("clocks \(Value.text(issuer.leeway)) apart at most")
    return [
      issuer.issuer == nil ? "ANY ISSUER" : issuer.label, issuer.algorithms.names.joined(separator: " "), keys?.summary ?? "",
      notes.joined(separator: "; "),
    ]
  }

  func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  private var accessLog: String {
    let format = settings.accessLog.format == .json ? "json" : "combined"
    switch settings.accessLog.target {
    case .off: return "off"
    case .standardOutput: return "standard output, \(format)"
    case .file(let path): return "\(path), \(format)"
    }
  }

  private var identity: [[String]] {
    let options = settings.forwarding
    var rows = [["user", options.userField], ["groups", options.groupsField]]
    rows.append(["origin", "X-Forwarded-For, -Proto, -Host, -Port" + (options.setsForwarded ? ", Forwarded" : "")])
    if let path = settings.forwardAuthPath { rows.append(["asked at", String(decoding: path, as: UTF8.self) + ", by trusted proxies"]) }
    if let path = settings.jwksPath { rows.append(["keys", String(decoding: path, as: UTF8.self) + ", by everybody"]) }
    if let security = settings.transportSecurity { rows.append(["browsers", "https alone for \(security.seconds / 86_400) days"]) }
    let trusted = options.trustedProxies
    rows.append(["trusted", trusted.isEmpty ? "no proxy in front" : trusted.map(\.description).joined(separator: " ")])
    if options.originField == .forwarded { rows.append(["clients", "as trusted proxies write in Forwarded"]) }
    return rows
  }

  private var limits: [[String]] {
    let limits = settings.limits
    let threads = limits.hashThreads == 0 ? "half of the processors" : counted(limits.hashThreads, "thread")
    let (idle, drain) = (Value.text(limits.keepAliveTimeout), Value.text(limits.drainTimeout))
    return [
      [
        "request",
        "line \(Value.text(size: limits.requestLine)), header \(Value.text(size: limits.fieldBytes)) in \(limits.fieldCount) lines",
      ],
      [
        "waiting",
        "header \(Value.text(limits.headerTimeout)), body \(Value.text(limits.bodyTimeout)), sending \(Value.text(limits.sendTimeout))",
      ],
      [
        "connections", "\(limits.connectionsPerWorker) a worker, \(limits.keepAliveRequests) requests each, idle \(idle), drained \(drain)",
      ],
      [
        "http2",
        "\(settings.http2.maxStreams) requests at once, \(settings.http2.resets) resets, \(Value.text(size: settings.http2.streamWindow)) of a body",
      ],
      [
        "hashing",
        "\(threads), \(limits.hashQueue) waiting for \(Value.text(limits.hashWait)) at most, "
          + "\(Value.text(limits.hashLimit.time)) and \(Value.text(size: limits.hashLimit.memory)) each",
      ],
    ] + settings.rates.map { ["rate", rate($0)] }
  }

  // MARK: Layout

  /// A heading, the rows with their columns aligned, and an empty line.
  private func section(_ heading: String, _ rows: [[String]]) -> [String] {
    var widths: [Int] = []
    // What stands alone in its row makes no column wider.
    for row in rows where row.count > 1 {
      for (i, cell) in row.enumerated() {
        if i == widths.count { widths.append(0) }
        widths[i] = max(widths[i], cell.count)
      }
    }
    let lines = rows.map { row in
      var line = "  "
      if row.count == 1 { return line + row[0] }
      for (i, cell) in row.enumerated() { line += cell + String(repeating: " ", count: widths[i] - cell.count + 2) }
      while line.last == " " { line.removeLast() }
      return line
    }
    return [heading] + lines + [""]
  }
}
