// `assert_jwt { … }` of an upstream, which signs who its users are, and `jwks_endpoint`, where the keys to check that with are had.

import Auth
import HTTP
import Login
import Primitives
import Proxy

extension Table {
  static let assertionRows: [Row] = [
    Row(
      "jwks_endpoint", in: .top, takes: "PATH", 1...1, elsewhere: ["jwks_uri"],
      doc: "The path at which everybody gets the public keys of all `assert_jwt`, as a JWK Set."
    ) { reading, directive in reading.jwksEndpoint(directive.arguments[0]) },
    Row(
      "assert_jwt", in: .upstream, takes: "", 0...0, block: .required,
      doc: "Tells it the user in a signed JWT too, good for a minute and for it alone, so that it need not trust whoever reaches its port; a public request "
        + "brings none, and a client's own is never forwarded."
    ) { reading, directive in reading.assertJWT(directive) },
    Row(
      "key", in: .assertion, takes: "FILE", 1...1,
      doc: "The private key in PEM that signs, read again at a reload: P-256 (ES256), Ed25519 (EdDSA) or RSA of 2048 to 4096 bits (RS256)."
    ) { reading, directive in reading.assertionInHand?.key = directive.arguments[0] },
    Row(
      "header", in: .assertion, takes: "NAME", 1...1, standard: "X-Gatehouse-Assertion",
      doc: "The header that it stands in, which is taken out of every client's request, to whatever upstream."
    ) { reading, directive in
      guard let name = reading.fieldName(directive.arguments[0]) else { return }
      reading.assertionInHand?.field = Array(name.utf8)
      reading.assertionInHand?.fieldWord = directive.arguments[0]
    },
    Row("audience", in: .assertion, takes: "NAME", 1...1, doc: "Its `aud`, which the service has to compare; the upstream's name without it.") {
      reading, directive in
      reading.claim(directive.arguments[0]).map { reading.assertionInHand?.audience = $0 }
    },
    Row("issuer", in: .assertion, takes: "NAME", 1...1, standard: "gatehouse", doc: "Its `iss`: a name or a URL.") { reading, directive in
      reading.claim(directive.arguments[0]).map { reading.assertionInHand?.issuer = $0 }
    },
    Row(
      "lifetime", in: .assertion, takes: "DURATION", 1...1, standard: "60s",
      doc: "How long it is good for; one is sent for half of that, so that no service sees it with less than the other half left."
    ) { reading, directive in
      reading.duration(directive.arguments[0], UserAssertion.lifetimes).map { reading.assertionInHand?.lifetime = $0 }
    },
  ]
}

/// An `assert_jwt` that is being read.
struct AssertionDraft {
  var place: SourceRange
  var key: Word?
  var field = Array("X-Gatehouse-Assertion".utf8)
  var fieldWord: Word?
  var audience: String?
  var issuer = "gatehouse"
  var lifetime = Interval.seconds(60)
}

extension Reading {
  func assertJWT(_ directive: Directive) {
    assertionInHand = AssertionDraft(place: directive.place)
    if let block = directive.block { read(block, in: .assertion) }
    guard let draft = assertionInHand, let name = upstreamInHand?.name.text else { return }
    assertionInHand = nil
    // Ours also where the key can't be read: what is wrong with other directives is said in one go.
    settings.forwarding.assertionFields.append(String(decoding: draft.field, as: UTF8.self))
    upstreamInHand?.assertionDraft = draft
    guard let word = draft.key else {
      return diagnostics.error(draft.place, "there is no key to sign with", hint: "key FILE; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 makes one")
    }
    guard let pem = secretFile(word, "key") else { return }
    if draft.lifetime.nanoseconds % 1_000_000_000 != 0 { return diagnostics.error(draft.place, "the lifetime of an assertion is in whole seconds") }
    do {
      upstreamInHand?.assertion = try UserAssertion(
        pem: pem, field: draft.field, issuer: draft.issuer, audience: draft.audience ?? name, lifetime: draft.lifetime)
    } catch {
      wrong(word, "can't sign: \(error.reason)")
    }
  }

  /// A word of 1 to 255 bytes without control characters.
  func claim(_ word: Word) -> String? {
    guard !word.isBroken else { return nil }
    guard (1...255).contains(word.text.utf8.count), !word.text.utf8.contains(where: ASCII.isControl) else {
      wrong(word, "is no name: 1 to 255 bytes without control characters")
      return nil
    }
    return word.text
  }

  func jwksEndpoint(_ word: Word) {
    guard word.text.utf8.first == 0x2F, word.text != "/" else { return wrong(word, "is no path to get keys at", hint: "jwks_endpoint /gatehouse/jwks.json") }
    guard checkCanonical(word, isRaw: false) else { return }
    let path = Array(word.text.utf8)
    guard !PathPrefix.hasSecondReading(path.span) else { return wrong(word, "can be read in two ways", hint: "jwks_endpoint /gatehouse/jwks.json") }
    settings.jwksPath = path
    jwksWord = word
  }

  /// Whether the fields of assertions are theirs alone, and the path of the keys is.
  func checkAssertions() {
    let key = String(decoding: settings.gatekeeper.apiKeyField, as: UTF8.self)
    for upstream in upstreams {
      guard let draft = upstream.assertionDraft else { continue }
      let (name, place) = (draft.field.span, draft.fieldWord?.place ?? draft.place)
      for (taken, what) in [(settings.forwarding.userField, "user_header"), (settings.forwarding.groupsField, "groups_header"), (key, "api_key_header")]
      where FieldName.areAliases(name, Array(taken.utf8).span) {
        diagnostics.error(place, "the header of assertions is also '\(what)'")
      }
      if name.count > 12 && FieldName.areAliases(name.extracting(0..<12), Array("X-Forwarded-".utf8).span) {
        diagnostics.error(place, "X-Forwarded-… says where a request comes from, and can't hold an assertion", hint: "header X-Gatehouse-Assertion")
      }
      for other in upstreams {
        guard let login = other.login, case .header(let taken) = login.scheme, FieldName.areAliases(name, taken.span) else { continue }
        diagnostics.error(place, "the header of assertions is also that of 'authenticate' at \(login.word.place.shortText)")
      }
    }
    guard let word = jwksWord, let path = settings.jwksPath else { return }
    if !upstreams.contains(where: { $0.assertionDraft != nil }) {
      diagnostics.error(word.place, "there are no keys to publish", hint: "'assert_jwt' in an upstream has one")
    }
    for route in routes where route.isExact && route.path.map({ Array($0.text.utf8) == path }) == true {
      diagnostics.error(route.place, "this route is never reached: 'jwks_endpoint' at \(word.place.shortText) has the same path")
    }
    if let users = settings.registration?.path, PathPrefix.covers(users.span, isExact: false, path.span) {
      wrong(word, "lies beneath the path of the registration")
    }
    if tokensInHand?.options.endpoint == path { wrong(word, "is the path at which tokens are given out") }
    if settings.forwardAuthPath == path { wrong(word, "is the path of 'forward_auth'") }
  }
}
