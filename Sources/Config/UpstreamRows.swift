// `upstream NAME { … }`: which service, how to reach it, how long to wait for it.

import HTTP
import Login
import Net
import Primitives
import Upstream

extension Table {
  static let upstreamRows: [Row] = [
    Row(
      "upstream", in: .top, takes: "NAME", 1...1, block: .required, isRepeatable: true, elsewhere: ["backend"],
      doc: "A service behind the proxy, under the name by which routes know it."
    ) { reading, directive in reading.upstream(directive) },
    time(
      "connect_timeout", \.connectTimeout, "5s", "Longest time to resolve, connect and do TLS; 504 beyond.", ["proxy_connect_timeout"]),
    time(
      "response_timeout", \.responseTimeout, "60s", "From the request's end to the response's first byte; 504 beyond.",
      ["proxy_read_timeout", "ProxyTimeout"]),
    time(
      "idle_timeout", \.idleTimeout, "60s", "Longest pause in a response, or in taking an upload; it is cut beyond.", ["proxy_send_timeout"]
    ),
    time(
      "tunnel_timeout", \.tunnelTimeout, "1h", "How long a tunnel (WebSocket, see `upgrade`) may be silent both ways; it is closed beyond.",
      ["timeout tunnel"]),
    time(
      "keepalive_timeout", \.reuseWithin, "4s",
      "How long an idle connection is used again: set it below the service's own keep-alive time.",
      ["keepalive"]),
    Row(
      "connections", in: .upstream, takes: "NUMBER", 1...1, standard: "1024", elsewhere: ["max_conns", "maxconn"],
      doc: "Connections that one worker uses at once; 503 beyond."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...1_000_000).map { reading.upstreamInHand?.options.maxConnections = $0 }
    },
    Row(
      "engine", in: .upstream, takes: "auto|http1|libcurl", 1...1, standard: "auto",
      doc: "Who speaks HTTP to it: Gatehouse itself on connections that libcurl makes (`http1`, what `auto` chooses), or libcurl."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("auto", UpstreamOptions.Engine.automatic), ("http1", .http1), ("libcurl", .libcurl)])
        .map { reading.upstreamInHand?.options.engine = $0 }
    },
    Row(
      "tls", in: .upstream, takes: "", 0...0, block: .required, elsewhere: ["proxy_ssl_verify", "SSLProxyEngine"],
      doc: "How an `https` service is verified, when not with its host name and the system's authorities."
    ) { reading, directive in
      reading.upstreamInHand?.tlsPlace = directive.name.place
      if let block = directive.block { reading.read(block, in: .upstreamTLS) }
    },
    Row(
      "ca", in: .upstreamTLS, takes: "FILE", 1...1, elsewhere: ["proxy_ssl_trusted_certificate"],
      doc: "PEM file of the authorities to trust instead of the system's."
    ) { reading, directive in
      reading.trustFile(directive.arguments[0]).map { reading.upstreamInHand?.options.tls.certificateAuthority = $0 }
    },
    Row(
      "verify", in: .upstreamTLS, takes: "on|off", 1...1, standard: "on", elsewhere: ["proxy_ssl_verify", "insecure_skip_verify"],
      doc: "Whether the service has to prove who it is."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard let verifies = reading.onOff(word) else { return }
      reading.upstreamInHand?.options.tls.verify = verifies
      if !verifies { reading.upstreamInHand?.verifyOffWord = word }
    },
    Row(
      "name", in: .upstreamTLS, takes: "HOST", 1...1, elsewhere: ["proxy_ssl_name", "tls_server_name", "sni"],
      doc: "The name that the service's certificate has to bear, when it is not the server's."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken else { return }
      guard Reading.isHostName(word.text) else { return reading.wrong(word, "is no host name") }
      reading.upstreamInHand?.options.tls.name = word.text
    },
    Row(
      "client_certificate", in: .upstreamTLS, takes: "CERTIFICATE KEY", 2...2, elsewhere: ["proxy_ssl_certificate"],
      doc: "PEM files of the certificate (with its chain) and key that prove to the service who we are."
    ) { reading, directive in
      let key = directive.arguments[1]
      guard let certificate = reading.trustFile(directive.arguments[0]), let keyPath = reading.readableFile(key) else { return }
      if let problem = TLSFiles.whyNoPair(certificate, keyPath) { return reading.diagnostics.error(key.place, problem) }
      reading.upstreamInHand?.options.tls.clientCertificate = certificate
      reading.upstreamInHand?.options.tls.clientKey = keyPath
      reading.warnIfWorldReadable(keyPath, key, "key")
    },
  ]

  private static func time(
    _ name: String, _ option: any WritableKeyPath<UpstreamOptions, Interval> & Sendable, _ standard: String, _ doc: String,
    _ elsewhere: [String]
  ) -> Row {
    Row(name, in: .upstream, takes: "DURATION", 1...1, standard: standard, elsewhere: elsewhere, doc: doc) { reading, directive in
      reading.duration(directive.arguments[0], .milliseconds(10)...longestTimeout).map {
        reading.upstreamInHand?.options[keyPath: option] = $0
      }
    }
  }
}

/// An upstream that is being read.
struct UpstreamDraft {
  var name: Word
  /// What goes for all its servers.
  var options: UpstreamOptions
  var servers: [ServerDraft] = []
  var balance = UpstreamGroup.Balance.roundRobin
  var ejection = UpstreamGroup.Ejection?.some(UpstreamGroup.Ejection(failures: 3, pause: .seconds(10)))
  var retry = UpstreamGroup.Retry?.some(UpstreamGroup.Retry(times: 2, on: [.connect, .reset]))
  var replayLimit = 64 << 10
  var queue: UpstreamGroup.Queue?
  var slowStart: Interval?
  var health: HealthCheck?
  var tlsPlace: SourceRange?
  var login: LoginDraft?
  /// Its accounts, when they were read.
  var accounts: UpstreamLogin?
  var assertionDraft: AssertionDraft?
  /// Nil where its key can't be used.
  var assertion: UserAssertion?
  // Words that are judged at the end, when all is known.
  var verifyOffWord: Word?
  var connectToWord: Word?
  var announcesWord: Word?
  var protocolWord: Word?
  /// Of `via` and `source`.
  var detourWords: [Word] = []
  var files = FileServerDraft()
  var lookup = LookupDraft()
  var isUsed = false

  /// Of each server; nil for a Unix socket.
  var hosts: [String?] { servers.map { if case .host(let host, _) = $0.address { host } else { nil } } }

  var group: UpstreamGroup {
    var group = UpstreamGroup(name: name.text, members: servers.map { $0.member(options) })
    group.balance = balance
    group.ejection = ejection
    group.retry = retry
    group.replayLimit = replayLimit
    group.queue = queue
    group.slowStart = slowStart
    group.health = health
    group.login = accounts
    group.assertion = assertion
    return group
  }
}

extension Reading {
  func upstream(_ directive: Directive) {
    let name = directive.arguments.first ?? directive.name
    if !name.isBroken && !Self.isName(name.text) {
      wrong(name, "is no name for an upstream: letters, digits, '-', '_' and '.' are")
    } else if let earlier = upstreams.first(where: { $0.name.text == name.text && !name.isBroken }) {
      diagnostics.error(name.place, "a second upstream of this name", hint: "first at \(earlier.name.place.shortText)")
    }
    // Its place is each server's own.
    let options = UpstreamOptions(name: name.text, scheme: .http, address: .unix(path: ""))
    upstreamInHand = UpstreamDraft(name: name, options: options)
    let names = directive.block.map { read($0, in: .upstream) } ?? []
    guard var draft = upstreamInHand else { return }
    upstreamInHand = nil
    finishFiles(&draft, names: names)
    if !names.contains("server") {
      diagnostics.error(name.place, "this upstream has no server", hint: "say where it is: server http://127.0.0.1:9000")
    } else if let tls = draft.tlsPlace, draft.servers.allSatisfy({ $0.scheme != .https && !($0.files?.mayUseTLS ?? false) && !$0.word.isBroken }) {
      diagnostics.error(tls, "'tls' is for a server whose URL begins with https://, ftps://, ftp:// or ldaps://",
        hint: draft.servers.contains { $0.files?.kind == .ldap } ? "ldaps://: libcurl 7.88 asks for StartTLS and goes on in clear text" : nil)
    }
    checkServers(draft)
    if let login = draft.login {
      draft.accounts = finishLogin(login, hosts: draft.hosts)
      checkEngine(login, draft.options.engine)
    }
    checkTrust(draft)
    checkDetour(draft)
    checkProtocol(draft)
    upstreams.append(draft)
  }
}

/// `server`'s first argument.
enum ServerURL {
  struct Fault: Error {
    /// Continues "'…' ".
    var reason: String
  }

  static func parse(_ text: String) throws(Fault) -> (UpstreamOptions.Scheme, UpstreamOptions.Address) {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      guard path.utf8.first == 0x2F else { throw Fault(reason: "is no server: a Unix socket's path is absolute, as in unix:/run/app.sock") }
      // unix(7): sun_path has 108 bytes, the last of them NUL.
      guard path.utf8.count <= 107 else { throw Fault(reason: "is no server: the path of a Unix socket has at most 107 bytes") }
      return (.http, .unix(path: path))
    }
    let scheme: UpstreamOptions.Scheme
    var rest: Substring
    if text.hasPrefix("http://") {
      (scheme, rest) = (.http, text.dropFirst(7))
    } else if text.hasPrefix("https://") {
      (scheme, rest) = (.https, text.dropFirst(8))
    } else {
      throw Fault(reason: "is no server: it begins with http://, https://, unix:/, ftp://, ftps://, sftp://, file:///, ldap://, ldaps://, dict://, gopher:// or tftp://")
    }
    if rest.hasSuffix("/") { rest = rest.dropLast() }
    if rest.contains("@") { throw Fault(reason: "holds a user name: 'authorization replace' in a route sends credentials upstream") }
    if rest.contains(where: { $0 == "/" || $0 == "?" || $0 == "#" }) {
      throw Fault(reason: "has a path: a server is a scheme, a host and a port; 'add_prefix' in a route puts a path before those of its requests")
    }
    let authority = Array(rest.utf8)
    guard !authority.isEmpty, Authority.isValid(authority.span) else { throw Fault(reason: "has no valid host and port") }
    let hostCount = Authority.hostCount(authority.span)
    var host = String(decoding: authority[..<hostCount], as: UTF8.self)
    guard !host.isEmpty else { throw Fault(reason: "has no host") }
    if host.hasPrefix("[") { host = String(host.dropFirst().dropLast()) }
    var port: UInt16 = scheme == .https ? 443 : 80
    if hostCount < authority.count {
      let digits = String(decoding: authority[(hostCount + 1)...], as: UTF8.self)
      guard let number = UInt16(digits), number > 0 else { throw Fault(reason: "has no valid port: 1 to 65535") }
      port = number
    }
    return (scheme, .host(host, port: port))
  }
}
