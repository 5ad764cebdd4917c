// `authenticate bearer { token_url … }`: where Gatehouse gets the access tokens that it logs in with (OAuth 2 client credentials).

import HTTP
import Login
import Primitives

extension Table {
  static let clientCredentialsRows: [Row] = [
    Row(
      "token_url", in: .login, takes: "URL", 1...1, elsewhere: ["token_endpoint", "tokenUrl"],
      doc: "The token endpoint that `bearer` gets its access tokens from by OAuth 2 client credentials (RFC 6749 section 4.4): `https`, or `http` on this machine; "
        + "each is fetched before the one before expires, and again when the service refuses it."
    ) { reading, directive in reading.tokenURL(directive.arguments[0]) },
    Row("client_id", in: .login, takes: "ID", 1...1, elsewhere: ["clientId"], doc: "Who Gatehouse is at the token endpoint.") { reading, directive in
      reading.loginInHand?.username = directive.arguments[0]
      reading.loginInHand?.endpoint.idWord = directive.arguments[0]
    },
    Row(
      "client_authentication", in: .login, takes: "basic|post", 1...1, standard: "basic",
      doc: "How it proves that to the token endpoint: by HTTP Basic, or in the form."
    ) { reading, directive in
      guard let choice = reading.choice(directive.arguments[0], [("basic", TokenEndpoint.ClientAuthentication.basic), ("post", .post)]) else { return }
      reading.loginInHand?.endpoint.authentication = choice
      // What holds anyway is no word of an endpoint that is not there.
      if choice != .basic { reading.loginInHand?.endpoint.words.append(directive.name) }
    },
    Row("scope", in: .login, takes: "SCOPE…", 1...16, elsewhere: ["scopes"], doc: "What access tokens are asked for: several in double quotes or one by one.") {
      reading, directive in reading.scope(directive)
    },
    Row("audience", in: .login, takes: "NAME", 1...1, doc: "Whom access tokens are asked for, where the token endpoint wants that said.") { reading, directive in
      reading.parameter(directive, "audience", directive.arguments[0])
    },
    Row(
      "parameter", in: .login, takes: "NAME VALUE", 2...2, isRepeatable: true,
      doc: "One more parameter of the request to the token endpoint, as `resource`."
    ) { reading, directive in reading.parameter(directive, directive.arguments[0].text, directive.arguments[1]) },
    Row("ca", in: .login, takes: "FILE", 1...1, doc: "PEM file of the authorities that may vouch for the token endpoint instead of the system's.") {
      reading, directive in
      reading.loginInHand?.endpoint.certificateWord = directive.arguments[0]
      reading.readableFile(directive.arguments[0]).map { reading.loginInHand?.endpoint.certificateAuthority = $0 }
    },
  ]
}

/// A token endpoint that is being read.
struct TokenEndpointDraft {
  /// As it was written; `url` is nil where it is wrong.
  var urlWord: Word?
  var url: String?
  var idWord: Word?
  var authentication = TokenEndpoint.ClientAuthentication.basic
  var parameters: [TokenEndpoint.Parameter] = []
  var certificateWord: Word?
  var certificateAuthority: String?
  /// Names of directives that have a meaning only beside `token_url`.
  var words: [Word] = []
}

extension Reading {
  fileprivate func tokenURL(_ word: Word) {
    loginInHand?.endpoint.urlWord = word
    guard !word.isBroken else { return }
    let (scheme, rest) =
      word.text.hasPrefix("https://") ? ("https", word.text.dropFirst(8)) : word.text.hasPrefix("http://") ? ("http", word.text.dropFirst(7)) : ("", "")
    if scheme.isEmpty { return wrong(word, "is no token endpoint: it begins with https://", hint: "token_url https://login.example.com/oauth2/token") }
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    // Not the word itself, which holds a secret.
    if authority.contains("@") {
      return diagnostics.error(word.place, "the token_url holds a user name", hint: "client_id ID; client_secret_file FILE")
    }
    let bytes = Array(authority.utf8)
    guard !bytes.isEmpty, Authority.isValid(bytes.span), Authority.port(bytes.span)?.isEmpty != true else {
      return wrong(word, "has no valid host and port")
    }
    guard word.text.utf8.count <= 2048, rest.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"\"\\<>^`{|}#".utf8.contains($0) }) else {
      return wrong(word, "can't be asked: an URL has up to 2048 visible ASCII characters, and a token endpoint no fragment (RFC 6749 section 3.2)")
    }
    var host = authority.prefix(Authority.hostCount(bytes.span))
    if host.hasPrefix("[") { host = host.dropFirst().dropLast() }
    guard scheme == "https" || Self.isThisMachine(String(host)) else {
      return wrong(word, "would get our secret in clear text", hint: "https://…; http:// is for 127.0.0.1, [::1] and localhost")
    }
    loginInHand?.endpoint.url = word.text
  }

  private static func isThisMachine(_ host: String) -> Bool {
    // libcurl knows where that is, and asks nobody.
    if host.lowercased() == "localhost" { return true }
    guard let address = ClientAddress(parsing: Array(host.utf8).span) else { return false }
    return AddressRange(.ipv4(127 << 24), prefix: 104).contains(address) || address == .ipv6(high: 0, low: 1)
  }

  fileprivate func scope(_ directive: Directive) {
    for word in directive.arguments where !word.isBroken {
      // RFC 6749 section 3.3: scope-token.
      guard word.text.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }) else {
        return wrong(word, "is no scope: visible ASCII without \" and \\ is (RFC 6749 section 3.3)")
      }
    }
    let names = directive.arguments.flatMap { $0.text.split(separator: " ") }
    guard let first = directive.arguments.first, !names.isEmpty else { return }
    add(directive, "scope", names.joined(separator: " "), at: first)
  }

  fileprivate func parameter(_ directive: Directive, _ name: String, _ value: Word) {
    guard !value.isBroken, directive.arguments.allSatisfy({ !$0.isBroken }) else { return }
    let nameWord = directive.arguments[0]
    guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || "-._~".utf8.contains($0) }) else {
      return wrong(nameWord, "is no name of a parameter")
    }
    guard !TokenEndpoint.reserved.contains(name) else { return wrong(nameWord, "is said by Gatehouse itself", hint: "client_id, client_secret_file") }
    guard (1...2048).contains(value.text.utf8.count), !value.text.utf8.contains(where: ASCII.isControl) else {
      return wrong(value, "can't be asked for: 1 to 2048 bytes without control characters")
    }
    add(directive, name, value.text, at: nameWord)
  }

  private func add(_ directive: Directive, _ name: String, _ value: String, at word: Word) {
    loginInHand?.endpoint.words.append(directive.name)
    let parameter = TokenEndpoint.Parameter(name: Array(name.utf8), value: Array(value.utf8))
    // RFC 6749 section 3.2; of resources there may be several (RFC 8707 section 2).
    if name != "resource", loginInHand?.endpoint.parameters.contains(where: { $0.name == parameter.name }) == true {
      return diagnostics.error(word.place, "the parameter '\(name)' stands twice here")
    }
    loginInHand?.endpoint.parameters.append(parameter)
  }

  /// Whether what was said of a token endpoint belongs together: then it is the account's scheme.
  func finishEndpoint(_ draft: inout LoginDraft) {
    let endpoint = draft.endpoint
    guard let word = endpoint.urlWord else {
      for word in endpoint.words + [endpoint.idWord, endpoint.certificateWord].compactMap(\.self) {
        diagnostics.error(word.place, "this is for a token endpoint, and there is none", hint: "authenticate bearer { token_url https://… }")
      }
      return
    }
    guard draft.scheme == .bearer else {
      return diagnostics.error(word.place, "'token_url' is for 'authenticate bearer'")
    }
    if draft.hasUsername, let name = draft.username { diagnostics.error(name.place, "a token endpoint knows no 'username'", hint: "client_id ID") }
    if let accounts = draft.accounts {
      diagnostics.error(accounts.place, "access tokens are issued to Gatehouse, not to users: 'accounts' can't stand beside 'token_url'")
      draft.accounts = nil
    }
    if let file = endpoint.certificateWord, endpoint.url?.hasPrefix("http:") == true {
      diagnostics.error(file.place, "'ca' is for a token endpoint whose URL begins with https://")
    }
    // Also where the URL is wrong: what else is, is said in one go.
    var made = TokenEndpoint(url: endpoint.url ?? "https://localhost/")
    made.authentication = endpoint.authentication
    made.parameters = endpoint.parameters
    made.certificateAuthority = endpoint.certificateAuthority
    draft.scheme = .clientCredentials(made)
  }
}
