// Directives about who may, beside `require`: groups, what browsers need, and requests that other servers ask about.

import HTTP
import Primitives
import Proxy

extension Table {
  static let accessRows: [Row] = [
    Row(
      "groups", in: .top, takes: "FILE", 1...1, elsewhere: ["AuthGroupFile"],
      doc: "Apache's group file (`admin: alice bob`), whose groups are added to those of the user file; read again whenever it changes."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken, let path = reading.path(word) else { return }
      reading.settings.groupsPath = path
      reading.groupsWord = word
    },
    Row(
      "challenge", in: .top, .route, takes: "basic|silent-for-xhr", 1...1, standard: "basic",
      doc:
        "Whether every 401 offers Basic, or one to a script in a browser (`XMLHttpRequest`, `fetch`) leaves it out, "
        + "so that the browser opens no dialog of its own."
    ) { reading, directive in
      guard let isSilent = reading.choice(directive.arguments[0], [("basic", false), ("silent-for-xhr", true)]) else { return }
      if reading.routeInHand != nil {
        reading.routeInHand?.isSilentForScripts = isSilent
      } else {
        reading.settings.isSilentForScripts = isSilent
      }
    },
    Row(
      "preflight", in: .top, .route, takes: "pass|off", 1...1, standard: "off",
      doc: "Whether a CORS preflight (a browser's OPTIONS before a script's request) is forwarded without credentials."
    ) { reading, directive in
      guard let passes = reading.choice(directive.arguments[0], [("pass", true), ("off", false)]) else { return }
      if reading.routeInHand != nil { reading.routeInHand?.passesPreflights = passes } else { reading.passesPreflights = passes }
    },
    Row(
      "forward_auth", in: .top, takes: "PATH", 1...1, elsewhere: ["auth_request", "forwardAuth"],
      doc:
        "The path at which `trusted_proxies` ask whether a request of theirs may pass (nginx's `auth_request`, Caddy's `forward_auth`, Traefik's ForwardAuth)."
    ) { reading, directive in reading.forwardAuth(directive.arguments[0]) },
  ]
}

extension Reading {
  func forwardAuth(_ word: Word) {
    guard word.text.utf8.first == 0x2F, word.text != "/" else {
      return wrong(word, "is no path to be asked at", hint: "forward_auth /auth")
    }
    guard checkCanonical(word, isRaw: false) else { return }
    let path = Array(word.text.utf8)
    guard !PathPrefix.hasSecondReading(path.span) else { return wrong(word, "can be read in two ways", hint: "forward_auth /auth") }
    settings.forwardAuthPath = path
    forwardAuthWord = word
  }
}
