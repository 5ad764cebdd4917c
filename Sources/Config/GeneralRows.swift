// The directives that stand at the top level, but for the limits.

import Auth
import Net
import Primitives
import Proxy

extension Table {
  static let generalRows: [Row] = [
    Row(
      "include", in: .top, .listen, .http2, .upstream, .upstreamTLS, .route, .jwt, .register, .lockout, .requirement, takes: "FILE|PATTERN", 1...1,
      isRepeatable: true, elsewhere: ["import"],
      doc: "Reads the files that match, sorted by name, as if their text stood here; a pattern may match none."
    ) { _, _ in
      // Resolved before meaning is looked at: `Inclusion`.
    },
    Row(
      "workers", in: .top, takes: "NUMBER|auto", 1...1, standard: "auto", elsewhere: ["worker_processes", "nbthread"],
      doc: "Threads that serve requests: `auto` is one for each processor."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...1024, orWord: "auto", is: 0).map { reading.settings.workers = $0 }
    },
    Row(
      "realm", in: .top, takes: "TEXT", 1...1, standard: "\"Authentication Required\"", elsewhere: ["auth_basic", "AuthName"],
      doc: "What clients are told they log in to."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken else { return }
      guard Challenge(realm: word.text) != nil else { return reading.wrong(word, "holds characters that a header can't carry") }
      reading.settings.gatekeeper.realm = word.text
    },
    Row(
      "users", in: .top, takes: "FILE", 1...1, elsewhere: ["auth_basic_user_file", "AuthUserFile", "userlist"],
      doc: "The user file (htpasswd-compatible), read again whenever it changes."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken, let path = reading.path(word) else { return }
      reading.settings.usersPath = path
      reading.usersWord = word
    },
    Row(
      "api_key_header", in: .top, takes: "NAME|off", 1...1, standard: "off",
      doc: "A header such as X-API-Key that may hold an API key in place of `Authorization`; never forwarded, in any spelling."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted { return }
      reading.fieldName(word).map { reading.settings.gatekeeper.apiKeyField = Array($0.utf8) }
    },
    Row(
      "cache", in: .top, takes: "DURATION|off", 1...1, standard: "5m",
      doc: "How long a verified password stays verified after its last use; a changed or removed user is out at once all the same."
    ) { reading, directive in
      reading.duration(directive.arguments[0], .seconds(1)...(.seconds(86_400)), orWord: "off", is: .seconds(0))
        .map { reading.settings.gatekeeper.cacheLifetime = $0 }
    },
    Row(
      "cache_entries", in: .top, takes: "NUMBER", 1...1, standard: "65536", doc: "How many verified passwords are remembered."
    ) { reading, directive in
      reading.count(directive.arguments[0], 16...16_777_216).map { reading.settings.gatekeeper.cacheEntries = $0 }
    },
    Row(
      "log", in: .top, takes: "FILE|stdout|off [combined|json]", 1...2, standard: "stdout combined",
      elsewhere: ["access_log", "CustomLog"],
      doc: "Where each request is logged, and in which format; a file is opened again on SIGUSR1."
    ) { reading, directive in reading.log(directive) },
    Row(
      "error_log", in: .top, takes: LogLevel.names.joined(separator: "|"), 1...1, standard: LogLevel.notice.name, elsewhere: ["LogLevel"],
      doc: "The least important messages that still go to standard error."
    ) { reading, directive in
      reading.choice(directive.arguments[0], LogLevel.allCases.map { ($0.name, $0) }).map { reading.settings.logLevel = $0 }
    },
    Row(
      "user_header", in: .top, takes: "NAME", 1...1, standard: "X-Forwarded-User",
      doc: "The header that tells upstreams who the user is; whatever a client sends under this name, in any spelling, is removed."
    ) { reading, directive in
      reading.fieldName(directive.arguments[0]).map { reading.settings.forwarding.userField = $0 }
    },
    Row(
      "groups_header", in: .top, takes: "NAME", 1...1, standard: "X-Forwarded-Groups",
      doc: "The header that tells upstreams the user's groups, parted by commas."
    ) { reading, directive in
      reading.fieldName(directive.arguments[0]).map { reading.settings.forwarding.groupsField = $0 }
    },
    Row(
      "forwarded", in: .top, takes: "on|off", 1...1, standard: "off",
      doc: "Whether upstreams get `Forwarded` (RFC 7239) beside `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`."
    ) { reading, directive in
      reading.onOff(directive.arguments[0]).map { reading.settings.forwarding.setsForwarded = $0 }
    },
    Row(
      "hsts", in: .top, takes: "DURATION [subdomains] [preload]|off", 1...3, standard: "off", elsewhere: ["Strict-Transport-Security"],
      doc: "Tells browsers, over TLS, not to come in clear text for so long (`365d`; 0 takes it back), unless the service says so itself."
    ) { reading, directive in reading.transportSecurity(directive) },
  ]
}

extension LogLevel {
  var name: String {
    switch self {
    case .error: "error"
    case .warning: "warning"
    case .notice: "notice"
    case .info: "info"
    case .debug: "debug"
    }
  }

  static var names: [String] { allCases.map(\.name) }
}

extension Reading {
  /// `hsts 365d subdomains preload`
  func transportSecurity(_ directive: Directive) {
    let word = directive.arguments[0]
    if word.text == "off" && directive.arguments.count == 1 { return }
    guard let time = duration(word, .seconds(0)...(.seconds(3650 * 86_400))) else { return }
    var security = TransportSecurity(seconds: time.wholeMilliseconds / 1000)
    for option in directive.arguments.dropFirst() where !option.isBroken {
      switch option.text {
      case "subdomains": security.includesSubdomains = true
      case "preload": security.isPreloaded = true
      default: wrong(option, "is neither 'subdomains' nor 'preload'")
      }
    }
    settings.transportSecurity = security
  }

  func log(_ directive: Directive) {
    let word = directive.arguments[0]
    var options = AccessLogOptions()
    switch word.isQuoted ? "" : word.text {
    case "stdout": options.target = .standardOutput
    case "off": options.target = .off
    default:
      guard let path = path(word) else { return }
      if let folder = Disk.whyNoFolder(Path.folder(of: path)) {
        return diagnostics.error(word.place, "the log's folder can't be used: \(folder.reason)")
      }
      if Disk.isFolder(path) { return wrong(word, "is a folder, and a log is a file") }
      if !Disk.isWritable(path) {
        diagnostics.warning(word.place, "this user can't write the log: requests would not be logged", hint: "the service's folder for logs, perhaps")
      }
      options.target = .file(path: path)
    }
    if directive.arguments.count == 2 {
      if options.target == .off { return diagnostics.error(directive.arguments[1].place, "'log off' takes no format") }
      guard let format = choice(directive.arguments[1], [("combined", AccessLogOptions.Format.combined), ("json", .json)]) else { return }
      options.format = format
    }
    settings.accessLog = options
  }
}
