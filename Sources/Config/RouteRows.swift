// `route … { … }`: which requests, and where they go. Who may is `RequireRows`'.

import Auth
import HTTP
import Primitives
import Proxy

extension Table {
  static let routeRows: [Row] = [
    Row(
      "route", in: .top, takes: "[METHODS] [HOST] [=] PATH", 1...4, block: .required, isRepeatable: true,
      elsewhere: ["location", "handle"],
      doc:
        "What is done with requests for a path and all beneath it (with `=`: for that path alone), of these methods (`GET,HEAD`) "
        + "and this host (`legacy.example.com`, `*.example.com`)."
    ) { reading, directive in reading.route(directive) },
    Row(
      "upstream", in: .route, takes: "NAME", 1...1, elsewhere: ["proxy_pass", "reverse_proxy", "use_backend", "ProxyPass"],
      doc: "Where its requests go."
    ) { reading, directive in reading.routeInHand?.upstream = directive.arguments[0] },
    Row(
      "body_limit", in: .route, takes: "SIZE|none", 1...1, standard: "none", elsewhere: ["client_max_body_size", "LimitRequestBody"],
      doc: "Largest body of a request; 413 beyond."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "none" && !word.isQuoted { return }
      reading.size(word, 0...Int.max, alsoTakes: "none").map { reading.routeInHand?.bodyLimit = UInt64($0) }
    },
    Row(
      "path", in: .route, takes: "canonical|raw", 1...1, standard: "canonical",
      doc:
        "Whether the path is forwarded in the form in which it was judged, or `raw`: byte for byte, "
        + "encoded slashes and backslashes included."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("canonical", false), ("raw", true)]).map { reading.routeInHand?.isRaw = $0 }
    },
    Row(
      "trace", in: .route, takes: "on|off", 1...1, standard: "off", elsewhere: ["TraceEnable"],
      doc: "Whether TRACE is forwarded instead of answered with 405."
    ) { reading, directive in reading.onOff(directive.arguments[0]).map { reading.routeInHand?.allowsTrace = $0 } },
    Row(
      "authorization", in: .route, takes: "strip|pass|replace VALUE", 1...2, standard: "strip",
      doc: "What the upstream sees of the `Authorization` header: nothing, the client's password or token, or VALUE instead."
    ) { reading, directive in reading.authorization(directive) },
    Row(
      "upgrade", in: .route, takes: "websocket|any|off", 1...1, standard: "websocket", elsewhere: ["proxy_http_version"],
      doc: "Which other protocols its requests may go on in, by the header `Upgrade`: WebSocket, any but HTTP and TLS themselves, or none."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("websocket", UpgradePolicy.websocket), ("any", .any), ("off", .off)])
        .map { reading.routeInHand?.upgrade = $0 }
    },
  ]
}

/// A route that is being read.
struct RouteDraft {
  var place: SourceRange
  var label: String
  var methods: [[UInt8]] = []
  var host = Route.Host.any
  /// Nil when the one that was written can't be used.
  var path: Word?
  var isExact = false
  var upstream: Word?
  /// Of each `require` line that can be used. Nil when there are too many of them.
  var rules: [Requirement.Rule] = []
  var rulePlaces: [SourceRange] = []
  var requirement: Requirement?
  /// Who is named, for checking them against the user file.
  var users: [Word] = []
  var groups: [Word] = []
  /// Which directives stand in its block, usable or not: one that is there and wrong is not missing as well.
  var names: Set<String> = []
  var bodyLimit: UInt64?
  var isRaw = false
  var allowsTrace = false
  var authorization = Route.AuthorizationPolicy.strip
  var rewriting = RouteRewriting()
  var rewritingWords = RewritingDraft()
  var upgrade = UpgradePolicy.websocket
  var authorizationPlace: SourceRange?
  var passesPreflights: Bool?
  var isSilentForScripts: Bool?
  /// `require tls`, and whether another `require` says who may pass.
  var requiresTLS = false
  var saysWho = false
  var terms = RouteTerms()
}

extension Reading {
  func route(_ directive: Directive) {
    let label = directive.arguments.map(\.written).joined(separator: " ")
    var draft = RouteDraft(place: directive.place, label: label)
    if !directive.isBroken { header(directive, &draft) }
    routeInHand = draft
    let names = directive.block.map { read($0, in: .route) } ?? []
    guard var draft = routeInHand else { return }
    draft.names = names
    routeInHand = nil
    demand(&draft)
    if let word = draft.path { checkCanonical(word, isRaw: draft.isRaw) }
    checkRewriting(draft)
    routes.append(draft)
  }

  // MARK: Which requests

  /// `[METHODS] [HOST] PATH` or `[METHODS] [HOST] = PATH`.
  private func header(_ directive: Directive, _ draft: inout RouteDraft) {
    var words = directive.arguments[...]
    guard let path = words.popLast() else { return }
    if words.last?.text == "=" {
      draft.isExact = true
      words.removeLast()
    }
    if let regex = words.first(where: { ["~", "~*", "^~"].contains($0.text) }) {
      return diagnostics.error(
        regex.place, "'\(regex.text)' means nothing here",
        hint: "a path is a prefix, or with '=' before it the whole; there are no regular expressions")
    }
    guard words.count <= 2 else {
      return diagnostics.error(
        directive.place, "too many words for a route", hint: "methods are parted by commas: GET,HEAD; then come a host, and a path")
    }
    if path.text.utf8.first == 0x2F {
      draft.path = path
    } else if path.text.hasPrefix("=/") {
      wrong(path, "is no path", hint: "put a space after '='")
    } else {
      wrong(path, "is no path: a path begins with '/'")
    }
    if words.count == 2 || words.first.map({ looksLikeMethods($0.text) }) == true, let word = words.popFirst() { methods(word, &draft) }
    if let word = words.popFirst() { host(word, &draft) }
  }

  /// A host has a lower-case letter, a digit or a dot; a list of methods is in capitals.
  private func looksLikeMethods(_ text: String) -> Bool {
    if text.contains(",") { return true }
    if Method.isUsual(text.uppercased()) { return true }
    return text.utf8.allSatisfy { ($0 >= 0x41 && $0 <= 0x5A) || $0 == 0x2D || $0 == 0x5F }
  }

  private func methods(_ word: Word, _ draft: inout RouteDraft) {
    for part in word.text.split(separator: ",", omittingEmptySubsequences: false) {
      let method = String(part)
      let capitals = method.uppercased()
      if method.isEmpty || !method.utf8.allSatisfy(ASCII.isToken) {
        return wrong(word, "is no list of methods", hint: "write them like GET,HEAD: commas, no spaces")
      }
      // RFC 9110 section 9.1: method names are case-sensitive, so `get` would match nothing that anybody sends.
      if method != capitals && Method.isUsual(capitals) {
        return wrong(word, "is no list of methods", hint: "methods are in capitals: \(capitals)")
      }
      if method == "CONNECT" {
        return diagnostics.error(word.place, "CONNECT asks for a tunnel, which is answered with 501 before any route is looked for")
      }
      if draft.methods.contains(Array(method.utf8)) { return diagnostics.error(word.place, "'\(method)' stands twice in this list") }
      draft.methods.append(Array(method.utf8))
    }
  }

  private func host(_ word: Word, _ draft: inout RouteDraft) {
    var name = word.text.lowercased()
    let isWildcard = name.hasPrefix("*.")
    if isWildcard { name = String(name.dropFirst(2)) }
    if name.hasSuffix(".") { name = String(name.dropLast()) }
    let bytes = Array(name.utf8)
    guard Authority.isValid(bytes.span) else {
      let hint = name.contains("*") ? "a wildcard stands for the first labels: *.example.com" : nil
      return wrong(word, "is no host", hint: hint)
    }
    guard Authority.port(bytes.span) == nil else { return wrong(word, "is no host", hint: "a route's host has no port") }
    draft.host = isWildcard ? .suffix([0x2E] + bytes) : .name(bytes)
  }

  /// A path that no request's canonical form can begin with would never be covered: it has to be written canonically.
  @discardableResult
  func checkCanonical(_ word: Word, isRaw: Bool) -> Bool {
    if word.text.utf8.contains(where: { $0 == 0x3F || $0 == 0x23 }) {
      wrong(word, "is no path", hint: "'?' and '#' end a path, and the query is not looked at")
      return false
    }
    var canonical = ByteBuffer()
    let written = Array(word.text.utf8)
    let failure =
      isRaw
      ? CanonicalPath.comparable(written.span, decodingSlashes: false, into: &canonical)
      : CanonicalPath.canonicalize(written.span, into: &canonical, raw: false)
    if let failure {
      wrong(word, "would be refused in a request: \(failure.reason)")
      return false
    }
    if canonical.array() != written {
      wrong(word, "is not in canonical form, so that it would match nothing", hint: "write \(ASCII.string(canonical.span))")
      return false
    }
    if word.text.hasSuffix("*") {
      diagnostics.warning(word.place, "'*' in a path is a character like others", hint: "a path covers all that is beneath it without one")
    }
    return true
  }

  // MARK: What with

  func authorization(_ directive: Directive) {
    guard let kind = choice(directive.arguments[0], [("strip", 0), ("pass", 1), ("replace", 2)]) else { return }
    routeInHand?.authorizationPlace = directive.place
    let value = directive.arguments.count == 2 ? directive.arguments[1] : nil
    if kind != 2 {
      if let value { return diagnostics.error(value.place, "'authorization \(directive.arguments[0].text)' takes no value") }
      routeInHand?.authorization = kind == 0 ? .strip : .pass
      return
    }
    guard let value else { return diagnostics.error(directive.place, "'authorization replace' takes the value to send instead") }
    let bytes = Array(value.text.utf8)
    let isTrimmed = bytes.first.map { !ASCII.isWhitespace($0) } == true && bytes.last.map { !ASCII.isWhitespace($0) } == true
    guard isTrimmed, bytes.allSatisfy(ASCII.isFieldValue) else {
      // Not the word itself, which is a secret.
      return diagnostics.error(value.place, "the value can't be sent as a header's (it is empty, or has outer white space or control characters)")
    }
    routeInHand?.authorization = .replace(bytes)
  }
}

extension Method {
  /// Whether `name` is one that clients commonly send.
  fileprivate static func isUsual(_ name: String) -> Bool {
    let usual = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"]
    return usual.contains(name) || ["PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"].contains(name)
  }
}
