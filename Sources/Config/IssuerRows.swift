// `jwt { … }`: an issuer whose tokens are accepted, and what they have to be.

import Auth
import Net
import Primitives
import Proxy

extension Table {
  static let issuerRows: [Row] = [
    Row(
      "jwt", in: .top, takes: "", 0...0, block: .required, isRepeatable: true, elsewhere: ["auth_jwt", "jwtauth", "http_jwt"],
      doc: "Accepts signed tokens (JWT) of another issuer, as bearer token or in place of the Basic user name."
    ) { reading, directive in reading.issuer(directive) },
    Row(
      "issuer", in: .jwt, takes: "NAME|any", 1...1,
      doc: "What the token's `iss` has to be, character by character; `any` accepts every one and none."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.text.isEmpty else { return reading.wrong(word, "is no issuer") }
      reading.issuerInHand?.options.issuer = reading.isAny(word) ? nil : Array(word.text.utf8)
    },
    Row(
      "audience", in: .jwt, takes: "NAME…|any", 1...16, isRepeatable: true, elsewhere: ["aud"],
      doc: "Whom the tokens have to be for: their `aud` names one of these; `any` accepts tokens for everybody else too."
    ) { reading, directive in reading.audience(directive) },
    Row(
      "algorithms", in: .jwt, takes: "NAME…", 1...16, elsewhere: ["alg", "algorithm"],
      doc: "The algorithms that the issuer signs with, of \(TokenAlgorithms.allNames.map { "`\($0)`" }.joined(separator: ", "))."
    ) { reading, directive in reading.algorithms(directive) },
    Row(
      "key", in: .jwt, takes: "FILE", 1...1, elsewhere: ["auth_jwt_key_file", "sign_key"],
      doc:
        "The issuer's key, read again when it changes: a public key or certificate in PEM, or for HS256, HS384 and HS512 the secret itself."
    ) { reading, directive in reading.keyFile(directive, .single) },
    Row(
      "jwks", in: .jwt, takes: "FILE", 1...1, elsewhere: ["auth_jwt_key_request", "jwk_url"],
      doc: "The issuer's keys as a JWK Set, read again when it changes; in place of `key`."
    ) { reading, directive in reading.keyFile(directive, .set) },
    Row(
      "user_claim", in: .jwt, takes: "NAME", 1...1, standard: "sub",
      doc: "The claim that holds the user's name."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.text.isEmpty else { return reading.wrong(word, "is no claim") }
      reading.issuerInHand?.options.userClaim = Array(word.text.utf8)
    },
    Row(
      "groups_claim", in: .jwt, takes: "NAME [MEMBER…]", 1...4,
      doc:
        "The claim that holds the user's groups, or the members that lead to them inside it (`groups_claim realm_access roles`); "
        + "without it, tokens bring no groups."
    ) { reading, directive in
      if let empty = directive.arguments.first(where: \.text.isEmpty) { return reading.wrong(empty, "is no claim") }
      reading.issuerInHand?.options.groupsClaim = directive.arguments.map { Array($0.text.utf8) }
    },
    Row(
      "users", in: .jwt, takes: "file|any", 1...1, standard: "file",
      doc:
        "Whether the user has to stand in the user file (the token's groups are added to the file's), or may be `any` "
        + "(with the token's groups alone); who is locked or expired there is refused either way."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("file", false), ("any", true)]).map { reading.issuerInHand?.options.acceptsAnyUser = $0 }
    },
    Row(
      "leeway", in: .jwt, takes: "DURATION", 1...1, standard: "60s", elsewhere: ["auth_jwt_leeway", "clock_skew"],
      doc: "How far the issuer's clock and ours may be apart when `exp`, `nbf` and `iat` are judged."
    ) { reading, directive in
      reading.duration(directive.arguments[0], .seconds(0)...ForeignIssuer.longestLeeway).map { reading.issuerInHand?.options.leeway = $0 }
    },
  ]
}

/// A `jwt` block that is being read.
struct IssuerDraft {
  var place: SourceRange
  var options = ForeignIssuer()
  /// The file of the key or keys.
  var keys: Word?
  /// Of an audience that was named, to be told where `any` is said beside it.
  var audience: Word?
  /// Which directives stand in its block, usable or not: one that is there and wrong is not missing as well.
  var names: Set<String> = []
  /// The keys as they were when the config was read.
  var set: ForeignKeySet?
}

extension Reading {
  func issuer(_ directive: Directive) {
    issuerInHand = IssuerDraft(place: directive.name.place)
    let names = directive.block.map { read($0, in: .jwt) } ?? []
    guard var draft = issuerInHand else { return }
    issuerInHand = nil
    draft.names = names
    issuers.append(draft)
  }

  /// The bare word; `"any"` in quotes is a name.
  func isAny(_ word: Word) -> Bool { word.text == "any" && !word.isQuoted }

  func audience(_ directive: Directive) {
    for word in directive.arguments {
      guard !word.text.isEmpty else { return wrong(word, "is no audience") }
      if let earlier = issuerInHand?.audience, isAny(word) || isAny(earlier) {
        return diagnostics.error(word.place, "'audience any' stands for all of them: name audiences, or say 'any', not both")
      }
      issuerInHand?.audience = word
      if isAny(word) { continue }
      let earlier = issuerInHand?.options.audiences ?? []
      issuerInHand?.options.audiences = earlier + [Array(word.text.utf8)]
    }
  }

  func algorithms(_ directive: Directive) {
    var algorithms = TokenAlgorithms()
    for word in directive.arguments where !algorithms.insert(named: word.text) {
      if word.text.lowercased() == "none" {
        return wrong(word, "is no algorithm", hint: "such tokens are not signed: anybody could write one")
      }
      let nearest = Nearest.name(to: word.text, among: TokenAlgorithms.allNames).map { "did you mean '\($0)'?" }
      return wrong(
        word, "is no algorithm that is supported", hint: nearest ?? "there are " + TokenAlgorithms.allNames.joined(separator: ", "))
    }
    if algorithms.mixSecretsAndPublicKeys {
      return diagnostics.error(
        directive.place, "HS256, HS384 and HS512 can't stand beside the others: who verifies with a secret can also sign",
        hint: "one 'jwt' block for the secret, and one for the public keys, each with its own issuer")
    }
    issuerInHand?.options.algorithms = algorithms
  }

  func keyFile(_ directive: Directive, _ format: ForeignIssuer.KeyFormat) {
    let word = directive.arguments[0]
    if let other = issuerInHand?.keys {
      return diagnostics.error(
        directive.place, "'key' and 'jwks' exclude each other", hint: "the other stands at \(other.place.shortText)")
    }
    issuerInHand?.keys = word
    guard let path = readableFile(word) else { return }
    issuerInHand?.options.keyPath = path
    issuerInHand?.options.keyFormat = format
  }

  // MARK: When everything was read

  /// What is missing or does not fit together, and the keys themselves.
  func finishIssuers() {
    for index in issuers.indices {
      let draft = issuers[index]
      demand("issuer", of: draft, "whose tokens it accepts", "issuer https://login.example.com/ (their 'iss'), or: issuer any")
      demand("audience", of: draft, "for whom the tokens have to be", "audience NAME (one of their 'aud'), or: audience any")
      demand("algorithms", of: draft, "what the tokens are signed with", "algorithms RS256, or what else the issuer uses")
      if !draft.names.contains("key") && !draft.names.contains("jwks") {
        diagnostics.error(draft.place, "this 'jwt' block has no keys", hint: "key FILE, or jwks FILE")
      }
      let isNamed = draft.names.contains("issuer")
      if isNamed, let twin = issuers[..<index].first(where: { $0.names.contains("issuer") && $0.options.issuer == draft.options.issuer }) {
        diagnostics.error(
          draft.place, "a second 'jwt' block of the same issuer",
          hint: "the first is at \(twin.place.shortText); a JWK Set holds several keys")
      }
      readKeys(index)
    }
    settings.issuers = issuers.map(\.options)
  }

  private func demand(_ name: String, of draft: IssuerDraft, _ what: String, _ hint: String) {
    if !draft.names.contains(name) { diagnostics.error(draft.place, "this 'jwt' block does not say \(what)", hint: hint) }
  }

  private func readKeys(_ index: Int) {
    let options = issuers[index].options
    guard let word = issuers[index].keys, !options.keyPath.isEmpty, !options.algorithms.isEmpty else { return }
    let bytes: [UInt8]
    do {
      bytes = try Disk.read(options.keyPath, limit: ForeignKeySet.largest)
    } catch {
      return wrong(word, "can't be read: \(error.reason)")
    }
    do {
      let set = try ForeignKeySet(parsing: bytes, options.keyFormat, for: options.algorithms)
      issuers[index].set = set
      for warning in set.warnings { diagnostics.warning(word.place, warning) }
      if options.algorithms.areOfSecrets {
        warnIfWorldReadable(options.keyPath, word, "secret")
      } else if let permissions = (try? Disk.attributes(options.keyPath))?.permissions, permissions & 0o002 != 0 {
        diagnostics.warning(
          word.place, "everybody on this machine can change the keys, and so be any user", hint: "chmod o-w \(word.written)")
      }
    } catch {
      wrong(word, "can't be used: \(error)")
    }
  }
}
