// `authenticate KIND { … }` of an upstream: as whom Gatehouse logs in there, and from where it has the secrets.

import Auth
import HTTP
import Login
import Net
import Primitives
import Proxy
import Upstream

extension Table {
  static let loginRows: [Row] = [
    Row(
      "authenticate", in: .upstream, takes: "basic|digest|bearer|header NAME|aws_sigv4|ntlm|negotiate", 1...2, block: .required,
      elsewhere: ["proxy_set_header", "header_up", "RequestHeader"],
      doc: "Gatehouse logs in to it: by a user name and password (Basic, Digest or NTLM), a bearer token, a header of that name, AWS signatures, or Kerberos; what the "
        + "client sends as `Authorization`, or in that header, is never forwarded then."
    ) { reading, directive in reading.login(directive) },
    Row("username", in: .login, takes: "NAME", 1...1, elsewhere: ["user", "login"], doc: "The name of the account there.") {
      reading, directive in reading.loginInHand?.username = directive.arguments[0]
      reading.loginInHand?.hasUsername = true
    },
    secret("password", "VALUE", "Its password, as `\"${NAME}\"` from the environment: written out it is there for all who read proxy.conf."),
    secret("password_file", "FILE", "The file that holds its password: one line, read again at a reload."),
    secret("password_netrc", "FILE", "A netrc file that has the password, and the name if `username` says none, for the server's host."),
    Row("access_key", in: .login, takes: "KEY", 1...1, doc: "The identifier of the key that `aws_sigv4` signs with.") {
      reading, directive in reading.loginInHand?.username = directive.arguments[0]
      reading.loginInHand?.hasAccessKey = true
    },
    secret("secret_key_file", "FILE", "The file that holds the secret key: one line, read again at a reload."),
    Row("region", in: .login, takes: "NAME", 1...1, doc: "The region that `aws_sigv4` signs for, as `eu-central-1`.") {
      reading, directive in reading.loginInHand?.region = reading.scopeWord(directive.arguments[0])
    },
    Row("service", in: .login, takes: "NAME", 1...1, doc: "The service that `aws_sigv4` signs for, as `s3`.") {
      reading, directive in reading.loginInHand?.service = reading.scopeWord(directive.arguments[0])
    },
    Row("domain", in: .login, takes: "NAME", 1...1, doc: "The Windows domain of `ntlm`'s accounts, where their names don't say one as `DOMAIN\\USER`.") {
      reading, directive in reading.loginInHand?.domain = directive.arguments[0]
    },
    Row("workstation", in: .login, takes: "NAME", 1...1, doc: "The name of this machine that `ntlm` tells the service, which is none otherwise.") {
      reading, directive in reading.loginInHand?.workstation = directive.arguments[0]
    },
    secret(
      "client_secret", "VALUE", "Its secret at the token endpoint, as `\"${NAME}\"` from the environment: written out it is there for all who read proxy.conf."),
    secret("client_secret_file", "FILE", "The file that holds its secret at the token endpoint: one line, read again at a reload."),
    secret("token_file", "FILE", "The file that holds the bearer token: one line, read again at a reload."),
    secret("value_file", "FILE", "The file that holds the header's value: one line, read again at a reload."),
    Row(
      "accounts", in: .login, takes: "FILE", 1...1,
      doc: "A file of mode 600 with an account for each user, one a line: the user's name here, the name there (where there are names) and the secret, in "
        + "double quotes what holds spaces."
    ) { reading, directive in reading.loginInHand?.accounts = directive.arguments[0] },
    Row(
      "otherwise", in: .login, takes: "refuse|account", 1...1, standard: "refuse",
      doc: "What becomes of users that `accounts` does not name: 403, or they use the upstream's one account."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("refuse", false), ("account", true)]).map { reading.loginInHand?.sharesWithOthers = $0 }
    },
    Row(
      "nobody", in: .login, takes: "refuse|account", 1...1, standard: "refuse",
      doc: "What becomes of requests that a route lets pass without a login: 403, or they too use the upstream's one account, and so may all the world."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("refuse", false), ("account", true)]).map { reading.loginInHand?.sharesWithNobody = $0 }
    },
  ]

  private static func secret(_ name: String, _ takes: String, _ doc: String) -> Row {
    Row(name, in: .login, takes: takes, 1...1, doc: doc) { reading, directive in
      reading.loginInHand?.secrets.append(LoginDraft.Source(name: name, word: directive.arguments[0]))
    }
  }
}

/// An `authenticate` that is being read.
struct LoginDraft {
  /// A directive that says where a secret is.
  struct Source {
    var name: String
    var word: Word
  }
  var word: Word
  var scheme: LoginScheme
  var username: Word?
  /// By which of the two it was said.
  var hasUsername = false
  var hasAccessKey = false
  /// Of `aws_sigv4`.
  var region: [UInt8]?
  var service: [UInt8]?
  /// Of `ntlm`.
  var domain: Word?
  var workstation: Word?
  var secrets: [Source] = []
  var accounts: Word?
  var sharesWithOthers = false
  var sharesWithNobody = false
  var endpoint = TokenEndpointDraft()
  var kerberos = KerberosDraft()

  /// How the directives that bring its secret begin.
  var stem: String {
    switch scheme {
    case .basic, .digest, .ntlm: "password"
    case .bearer: "token"
    case .header: "value"
    case .awsSigV4: "secret_key"
    case .clientCredentials: "client_secret"
    case .negotiate: "keytab"
    }
  }
}

extension Reading {
  func login(_ directive: Directive) {
    let kind = directive.arguments.first ?? directive.name
    guard var draft = loginScheme(directive).map({ LoginDraft(word: kind, scheme: $0) }) else {
      // For what is wrong inside it.
      if let block = directive.block { read(block, in: .login) }
      return
    }
    loginInHand = draft
    if let block = directive.block { read(block, in: .login) }
    draft = loginInHand ?? draft
    loginInHand = nil
    if case .awsSigV4 = draft.scheme {
      if draft.hasUsername { diagnostics.error(kind.place, "'aws_sigv4' has no 'username'", hint: "access_key KEY") }
      if draft.region == nil || draft.service == nil {
        diagnostics.error(kind.place, "'aws_sigv4' lacks its region or service", hint: "region eu-central-1; service s3")
      }
      draft.scheme = .awsSigV4(SigV4Scope(region: draft.region ?? [], service: draft.service ?? []))
    } else if draft.region != nil || draft.service != nil || draft.hasAccessKey {
      diagnostics.error(kind.place, "'access_key', 'region' and 'service' are for 'authenticate aws_sigv4'")
    }
    let words = [draft.domain, draft.workstation].compactMap { $0 }
    if case .ntlm = draft.scheme {
      for word in words where word.text.isEmpty || word.text.utf8.contains(0x5C) { wrong(word, "is no name of a domain or a machine") }
      draft.scheme = .ntlm(NTLMScope(domain: Array(draft.domain?.text.utf8 ?? "".utf8), workstation: Array(draft.workstation?.text.utf8 ?? "".utf8)))
    } else if let word = words.first {
      diagnostics.error(word.place, "'domain' and 'workstation' are for 'authenticate ntlm'")
    }
    finishEndpoint(&draft)
    if case .negotiate = draft.scheme {
    } else {
      for word in draft.kerberos.words { diagnostics.error(word.place, "this is for 'authenticate negotiate'") }
    }
    upstreamInHand?.login = draft
  }

  private func loginScheme(_ directive: Directive) -> LoginScheme? {
    let words = directive.arguments
    let kinds = [("basic", 0), ("bearer", 1), ("header", 2), ("digest", 3), ("aws_sigv4", 4), ("negotiate", 5), ("ntlm", 6)]
    guard let kind = words.first, !kind.isBroken, let scheme = choice(kind, kinds) else { return nil }
    if scheme != 2 {
      if words.count > 1 {
        wrong(words[1], "is too much", hint: "authenticate \(kind.text) { … }")
        return nil
      }
      switch scheme {
      case 0: return .basic
      case 1: return .bearer
      case 3: return .digest
      // To whom is known with the servers.
      case 5: return .negotiate(KerberosLogin(keytab: "", digest: [], service: "", isHostBased: false))
      case 6: return .ntlm(NTLMScope())
      // Its scope is known when the block has been read.
      default: return .awsSigV4(SigV4Scope(region: [], service: []))
      }
    }
    guard words.count == 2 else {
      wrong(kind, "lacks the header's name", hint: "authenticate header X-API-Key { value_file FILE }")
      return nil
    }
    return fieldName(words[1]).map { .header(Array($0.utf8)) }
  }

  func scopeWord(_ word: Word) -> [UInt8]? {
    let bytes = Array(word.text.utf8)
    guard !bytes.isEmpty, bytes.count <= 64, bytes.allSatisfy({ ASCII.isAlpha($0) && $0 >= 0x61 || ASCII.isDigit($0) || $0 == 0x2D }) else {
      wrong(word, "is no name of AWS's: lower-case letters, digits and hyphens are")
      return nil
    }
    return bytes
  }

  /// Reads the secrets, once the upstream's servers are known.
  func finishLogin(_ draft: LoginDraft, hosts: [String?]) -> UpstreamLogin? {
    if case .negotiate = draft.scheme { return finishKerberos(draft, hosts: hosts) }
    let host = hosts.first ?? nil
    let stem = draft.stem
    for source in draft.secrets where !(source.name == stem || source.name.hasPrefix(stem + "_")) {
      diagnostics.error(source.word.place, "'\(source.name)' is not for 'authenticate \(draft.word.written)'", hint: "it takes: \(sources(stem))")
    }
    let mine = draft.secrets.filter { $0.name == stem || $0.name.hasPrefix(stem + "_") }
    if mine.count > 1 {
      diagnostics.error(mine[1].word.place, "the secret comes from two places", hint: "'\(mine[0].name)' stands at \(mine[0].word.place.shortText)")
      return nil
    }
    if mine.isEmpty && draft.accounts == nil {
      diagnostics.error(
        draft.word.place, "there is no account to log in with",
        hint: stem == "client_secret" ? sources(stem) : "say one of: \(sources(stem)), accounts FILE")
      return nil
    }
    if let name = draft.username, !draft.scheme.hasNames || mine.isEmpty {
      diagnostics.error(name.place, mine.isEmpty ? "'username' lacks its password" : "'authenticate \(draft.word.written)' has no user name")
      return nil
    }
    if mine.isEmpty, draft.sharesWithOthers || draft.sharesWithNobody {
      diagnostics.error(draft.word.place, "'otherwise account' and 'nobody account' are about an account that is not here", hint: sources(stem))
      return nil
    }
    let shared = mine.first.flatMap { account($0, draft, host) }
    let accounts = draft.accounts.flatMap { self.accounts($0, draft.scheme) }
    guard mine.isEmpty || shared != nil, draft.accounts == nil || accounts != nil else { return nil }
    let places = mine.map { $0.name == stem ? $0.word.isVariable ? "the environment" : "proxy.conf" : path($0.word) ?? "" }
    let from = places + (draft.accounts.flatMap { path($0) }.map { [$0] } ?? [])
    return UpstreamLogin(
      draft.scheme, shared: shared, accounts: accounts, sharesWithOthers: draft.sharesWithOthers, sharesWithNobody: draft.sharesWithNobody,
      sources: from.joined(separator: ", "))
  }

  /// Whether the login is one that the engine can do.
  func checkEngine(_ draft: LoginDraft, _ engine: UpstreamOptions.Engine) {
    guard case .ntlm = draft.scheme, engine == .libcurl else { return }
    diagnostics.error(
      draft.word.place, "NTLM logs in connections, which Gatehouse has to keep apart itself", hint: "leave out 'engine libcurl'")
  }

  private func sources(_ stem: String) -> String {
    switch stem {
    case "password": "password_file FILE, password \"${NAME}\", password_netrc FILE"
    case "client_secret": "client_secret_file FILE, client_secret \"${NAME}\""
    default: "\(stem)_file FILE"
    }
  }

  private func account(_ source: LoginDraft.Source, _ draft: LoginDraft, _ host: String?) -> Account? {
    var name = draft.username.map { Array($0.text.utf8) } ?? []
    var secret: Secret?
    if source.name.hasSuffix("_netrc") {
      guard let host else {
        diagnostics.error(source.word.place, "a Unix socket has no host to look for in a netrc file", hint: "password_file FILE")
        return nil
      }
      guard let bytes = secretFile(source.word, "password") else { return nil }
      do {
        guard let found = try Netrc.find(host, user: draft.username == nil ? nil : name, in: bytes) else {
          wrong(source.word, "has no login and password for \(host)\(draft.username.map { " and \($0.written)" } ?? "")")
          return nil
        }
        name = found.name
        secret = Secret(copying: found.secret.span)
      } catch {
        wrong(source.word, "can't be used: line \(error.line): \(error.reason)")
        return nil
      }
    } else if source.name.hasSuffix("_file") {
      guard var bytes = secretFile(source.word, draft.stem) else { return nil }
      // One line, whose end is not the secret's.
      if !bytes.isEmpty && bytes.span[bytes.count - 1] == 0x0A { bytes.truncate(to: bytes.count - 1) }
      if !bytes.isEmpty && bytes.span[bytes.count - 1] == 0x0D { bytes.truncate(to: bytes.count - 1) }
      secret = consume bytes
    } else {
      if !source.word.isVariable {
        diagnostics.warning(
          source.word.place, "a secret stands in proxy.conf", hint: "\(source.name)_file FILE reads it from a file, \"${NAME}\" from the environment")
      }
      secret = Secret(copying: Array(source.word.text.utf8).span)
    }
    guard let secret else { return nil }
    if draft.scheme.hasNames && name.isEmpty {
      let (what, hint) =
        switch draft.stem {
        case "secret_key": ("access key", "access_key KEY")
        case "client_secret": ("client_id", "client_id ID")
        default: ("user name", "username NAME")
        }
      diagnostics.error(draft.word.place, "the account has no \(what)", hint: hint)
      return nil
    }
    do {
      return try Account(draft.scheme, name: name, secret: secret)
    } catch {
      // Not the word itself, which may be the secret.
      diagnostics.error(source.word.place, "the \(draft.stem) \(error.reason)")
      return nil
    }
  }

  private func accounts(_ word: Word, _ scheme: LoginScheme) -> [[UInt8]: Account]? {
    guard !word.isBroken, let path = path(word) else { return nil }
    if let mode = (try? Disk.attributes(path))?.permissions, mode & 0o077 != 0 {
      wrong(word, "has mode \(String(mode & 0o777, radix: 8)): others than its owner may reach the accounts", hint: "chmod 600 \(word.written)")
      return nil
    }
    guard let bytes = secretFile(word, "accounts") else { return nil }
    do {
      let accounts = try AccountFile.parse(bytes, scheme)
      if accounts.isEmpty { diagnostics.warning(word.place, "this file has no account", hint: "one a line: USER UPSTREAM-USER PASSWORD") }
      return accounts
    } catch {
      wrong(word, "can't be used: line \(error.line): \(error.reason)")
      return nil
    }
  }

  /// What the file holds, in memory that is wiped.
  func secretFile(_ word: Word, _ what: String) -> Secret? {
    guard !word.isBroken, let path = path(word) else { return nil }
    do {
      var bytes = try Disk.read(path, limit: 1 << 20)
      warnIfWorldReadable(path, word, what)
      return Secret(moving: &bytes)
    } catch {
      wrong(word, "can't be read: \(error.reason)")
      return nil
    }
  }

  // MARK: With the rest

  /// What logs us in is neither said twice nor, as the client's, sent on.
  private func checkEdits(_ route: RouteDraft, _ login: LoginDraft) {
    let names: [[UInt8]] =
      switch login.scheme {
      case .header(let name): [name]
      case .awsSigV4: SigV4.fields
      default: []
      }
    func isLogin(_ name: [UInt8]) -> Bool { names.contains { FieldName.areAliases(name.span, $0.span) } }
    for edit in route.rewritingWords.edits where edit.isRequest {
      if isLogin(Array(edit.name.text.utf8)) {
        diagnostics.error(edit.name.place, "'\(edit.name.text)' is what Gatehouse logs in with", hint: "'authenticate' at \(login.word.place.shortText) says it")
      }
      for header in edit.template?.headers ?? [] where isLogin(header) {
        diagnostics.error(edit.value?.place ?? edit.name.place, "{header.\(String(decoding: header, as: UTF8.self))} can't be sent on: the client's own is dropped")
      }
    }
  }

  /// Whether routes and upstreams agree on who logs in.
  func checkLogins() {
    for draft in routes {
      guard let word = draft.upstream, let upstream = upstreams.first(where: { $0.name.text == word.text }), let login = upstream.login else { continue }
      if draft.authorization != .strip {
        diagnostics.error(
          draft.authorizationPlace ?? draft.place, "the upstream '\(upstream.name.text)' is logged in to by Gatehouse: no other Authorization can be sent",
          hint: "take away 'authorization' here, or 'authenticate' at \(login.word.place.shortText)")
      }
      checkEdits(draft, login)
      if draft.requirement?.mentionsNobody == true && !login.sharesWithNobody {
        diagnostics.warning(
          draft.place, "requests without a login get 403 here: the account of '\(upstream.name.text)' is not for nobody",
          hint: "'nobody account' in its 'authenticate' lets all the world use it")
      }
    }
    let key = String(decoding: settings.gatekeeper.apiKeyField, as: UTF8.self)
    for upstream in upstreams {
      guard let login = upstream.login, case .header(let name) = login.scheme else { continue }
      for (taken, what) in [(settings.forwarding.userField, "user_header"), (settings.forwarding.groupsField, "groups_header"), (key, "api_key_header")]
      where FieldName.areAliases(name.span, Array(taken.utf8).span) {
        diagnostics.error(login.word.place, "the header that logs us in is also '\(what)'")
      }
      if name.count > 12 && FieldName.areAliases(name.span.extracting(0..<12), Array("X-Forwarded-".utf8).span) {
        diagnostics.error(login.word.place, "X-Forwarded-… says where a request comes from, and can't log us in")
      }
    }
  }
}

extension Word {
  /// Whether some of it is the environment's.
  fileprivate var isVariable: Bool { written.contains("${") }
}
