// `client_certificates { … }` of a listener, and certificates in rules.

import Auth
import Net
import Primitives
import Proxy

extension Table {
  static let clientCertificateRows: [Row] = [
    Row(
      "client_certificates", in: .listen, takes: "", 0...0, block: .required,
      elsewhere: ["ssl_verify_client", "SSLVerifyClient", "client_auth", "tls_client_auth"],
      doc: "Asks clients for certificates of their own, verified before anything is served (docs/CLIENT-CERTIFICATES.md)."
    ) { reading, directive in reading.clientCertificates(directive) },
    Row(
      "ca", in: .clientCertificates, takes: "FILE", 1...1,
      elsewhere: ["ssl_client_certificate", "SSLCACertificateFile", "ca-file", "trusted_ca_cert_file"],
      doc:
        "PEM file of the authorities whose certificates are accepted, each with all that it signed, and nobody else; read again when it changes."
    ) { reading, directive in
      let word = directive.arguments[0]
      reading.tlsFile(word).map { reading.clientCertificatesInHand?.authority = (path: $0, word: word) }
    },
    Row(
      "crl", in: .clientCertificates, takes: "FILE", 1...1, elsewhere: ["ssl_crl", "SSLCARevocationFile", "crl-file"],
      doc:
        "PEM file with a list of revoked certificates by every authority on a client's way to one of ours; where one is missing or its time is over, nobody of that "
        + "authority is let in."
    ) { reading, directive in
      reading.tlsFile(directive.arguments[0]).map { reading.clientCertificatesInHand?.revocations = $0 }
    },
    Row(
      "mode", in: .clientCertificates, takes: "require|optional", 1...1, standard: "require", elsewhere: ["verify"],
      doc: "Whether a client without a certificate can connect; one with a bad certificate never can."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("require", TLSServerOptions.ClientCertificates.Mode.required), ("optional", .optional)])
        .map { reading.clientCertificatesInHand?.mode = $0 }
    },
    Row(
      "depth", in: .clientCertificates, takes: "NUMBER", 1...1, standard: "3", elsewhere: ["ssl_verify_depth", "SSLVerifyDepth"],
      doc: "How many authorities may stand between a client's certificate and one of `ca`."
    ) { reading, directive in
      reading.count(directive.arguments[0], 0...20).map { reading.clientCertificatesInHand?.depth = $0 }
    },
    Row(
      "user_from", in: .clientCertificates, takes: "cn|subject|san email|san dns|san uri [PATTERN]", 1...3, elsewhere: ["SSLUserName"],
      doc:
        "Lets certificates log in: where the name of their user in the user file stands, as the whole value or, with a pattern such as `*@example.com`, what stands "
        + "for the `*`."
    ) { reading, directive in reading.certificateUsers(directive) },
    Row(
      "client_certificate_headers", in: .top, takes: "on|off", 1...1, standard: "off",
      doc:
        "Whether upstreams get `X-Forwarded-Client-Cert-Subject`, `-Serial` and `-Fingerprint` (SHA-256) of the client's certificate, which nobody else can set."
    ) { reading, directive in
      reading.onOff(directive.arguments[0]).map { reading.settings.forwarding.setsClientCertificate = $0 }
    },
  ]
}

/// A `client_certificates` block that is being read.
struct ClientCertificatesDraft {
  var authority: (path: String, word: Word)?
  var revocations: String?
  var mode = TLSServerOptions.ClientCertificates.Mode.required
  var depth = 3
}

extension Reading {
  func clientCertificates(_ directive: Directive) {
    guard let block = directive.block else { return }
    needsTLS(directive)
    clientCertificatesInHand = ClientCertificatesDraft()
    let names = read(block, in: .clientCertificates)
    guard let draft = clientCertificatesInHand else { return }
    clientCertificatesInHand = nil
    guard let authority = draft.authority else {
      // A wrong one was complained about.
      if !names.contains("ca") { diagnostics.error(directive.place, "it is not said whose certificates are accepted", hint: "ca FILE") }
      tlsInHand?.isBroken = true
      return
    }
    asksForCertificates = true
    tlsInHand?.options.clientCertificates = TLSServerOptions.ClientCertificates(
      authorityPath: authority.path, mode: draft.mode, revocationPath: draft.revocations, depth: draft.depth)
  }

  func certificateUsers(_ directive: Directive) {
    guard let pattern = certificatePattern(directive.arguments, needsValue: false)?.first else { return }
    listenerInHand?.certificateUsers = pattern
  }

  /// `cn NAME…`, `san email VALUE…`: what a certificate has to say. Nil when that was complained about.
  func certificatePattern(_ words: [Word], needsValue: Bool) -> [CertificatePattern]? {
    guard let kind = words.first else { return nil }
    var rest = Array(words.dropFirst())
    let fields: [(String, CertificatePattern.Field)] = [("subject", .subject), ("cn", .commonName), ("fingerprint", .fingerprint)]
    let field: CertificatePattern.Field
    if kind.text == "san" {
      guard let which = rest.first else {
        diagnostics.error(kind.place, "which of the alternative names is meant?", hint: "san email, san dns, or san uri")
        return nil
      }
      guard let found = choice(which, [("email", CertificatePattern.Field.email), ("dns", .dns), ("uri", .uri)]) else { return nil }
      field = found
      rest.removeFirst()
    } else {
      let known = fields.filter { needsValue || $0.1 != .fingerprint }
      // `san` was dealt with: it is named for who mistypes it.
      guard let found = choice(kind, known + [("san", .email)]) else { return nil }
      field = found
    }
    if rest.isEmpty {
      if !needsValue { return [CertificatePattern(field)] }
      diagnostics.error(kind.place, "'certificate \(kind.text)' takes one value at least")
      return nil
    }
    if !needsValue && rest.count > 1 {
      diagnostics.error(rest[1].place, "a user's name stands in one place")
      return nil
    }
    var patterns: [CertificatePattern] = []
    for word in rest {
      if word.isBroken { return nil }
      if field == .fingerprint, word.text.utf8.count != 64 || !word.text.utf8.allSatisfy({ ASCII.hexValue($0) != nil }) {
        wrong(word, "is no SHA-256 fingerprint: 64 hexadecimal digits, without colons")
        return nil
      }
      guard let pattern = CertificatePattern(field, Array(word.text.utf8)) else {
        wrong(word, "can't be compared: one '*' may stand in it, and something has to")
        return nil
      }
      patterns.append(pattern)
    }
    return patterns
  }

  /// Certificates that are required, and that nobody is asked for.
  func warnOfUnaskedCertificates() {
    guard !asksForCertificates, let word = certificateWord else { return }
    diagnostics.warning(
      word.place, "no listener asks clients for certificates, so that none has one",
      hint: "listen ADDRESS tls { client_certificates { ca FILE } }")
  }
}
