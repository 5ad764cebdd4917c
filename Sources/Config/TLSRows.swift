// `listen … tls { … }`: certificates, and how TLS is spoken.

import Net
import Primitives
import Proxy

extension Table {
  static let tlsRows: [Row] = [
    Row(
      "certificate", in: .listen, takes: "FILE", 1...1, isRepeatable: true, elsewhere: ["ssl_certificate", "SSLCertificateFile", "crt"],
      doc:
        "PEM file of a certificate and its chain, the server's own first; the client's SNI chooses among several (exact names before `*.` ones; else the first), "
        + "RSA and ECDSA for one name stand side by side, and they are read again when they change."
    ) { reading, directive in
      let word = directive.arguments[0]
      reading.tlsFile(word).map { reading.tlsInHand?.certificates.append((path: $0, word: word, staple: nil)) }
    },
    Row(
      "key", in: .listen, takes: "FILE", 1...1, isRepeatable: true, elsewhere: ["ssl_certificate_key", "SSLCertificateKeyFile"],
      doc: "PEM file of a certificate's private key, not encrypted: the first one is the first certificate's, and so on."
    ) { reading, directive in
      let word = directive.arguments[0]
      reading.tlsFile(word).map { reading.tlsInHand?.keys.append((path: $0, word: word)) }
    },
    Row(
      "ocsp", in: .listen, takes: "FILE|off", 1...1, isRepeatable: true, elsewhere: ["ssl_stapling_file", "SSLUseStapling"],
      doc:
        "DER file of what the authority says of the certificate before (`openssl ocsp -respout`), sent along and read again when it changes."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted { return reading.needsTLS(directive) }
      guard reading.tlsInHand != nil, let path = reading.tlsFile(word) else { return }
      guard let last = reading.tlsInHand?.certificates.indices.last, reading.tlsInHand?.certificates[last].staple == nil else {
        return reading.wrong(word, "belongs to no certificate", hint: "say it after its certificate: certificate FILE; key FILE; ocsp FILE")
      }
      reading.tlsInHand?.certificates[last].staple = path
    },
    Row(
      "profile", in: .listen, takes: "modern|intermediate|legacy", 1...1, standard: "intermediate",
      elsewhere: ["ssl_protocols", "SSLProtocol"],
      doc:
        "Which clients are served, by Mozilla's names: TLS 1.3 alone; 1.2 with forward secrecy too; or down to TLS 1.0, for clients of 2009."
    ) { reading, directive in
      reading.needsTLS(directive)
      reading.choice(directive.arguments[0], [("modern", TLSProfile.modern), ("intermediate", .intermediate), ("legacy", .legacy)])
        .map { reading.tlsInHand?.options.profile = $0 }
    },
    Row(
      "min_version", in: .listen, takes: "1.0|1.1|1.2|1.3", 1...1, elsewhere: ["ssl_min_version", "ssl-min-ver"],
      doc: "The lowest version of TLS, where it is to be higher than the profile's."
    ) { reading, directive in
      reading.needsTLS(directive)
      reading.choice(directive.arguments[0], TLSVersion.allCases.map { ($0.text, $0) }).map {
        reading.tlsInHand?.options.minimumVersion = $0
        reading.tlsInHand?.versionWord = directive.arguments[0]
      }
    },
    Row(
      "ciphers", in: .listen, takes: "LIST", 1...1, elsewhere: ["ssl_ciphers", "SSLCipherSuite"],
      doc: "Cipher suites in place of the profile's, parted by `:`, best first, as `openssl ciphers` has them."
    ) { reading, directive in
      reading.needsTLS(directive)
      reading.tlsInHand?.options.ciphers = directive.arguments[0].text
      reading.tlsInHand?.ciphersWord = directive.arguments[0]
    },
    Row(
      "session_tickets", in: .listen, takes: "on|off", 1...1, standard: "on", elsewhere: ["ssl_session_tickets", "ssl_session_cache"],
      doc: "Whether clients can resume a session within four hours; the keys change each hour, and are never written down."
    ) { reading, directive in
      reading.needsTLS(directive)
      reading.onOff(directive.arguments[0]).map { reading.tlsInHand?.options.sessionTickets = $0 }
    },
    Row(
      "handshake_timeout", in: .listen, takes: "DURATION", 1...1, standard: "10s",
      doc: "Longest time from a client's connecting to the end of its handshake."
    ) { reading, directive in
      reading.needsTLS(directive)
      reading.duration(directive.arguments[0], .milliseconds(100)...(.seconds(300))).map {
        reading.tlsInHand?.options.handshakeTimeout = $0
      }
    },
    Row(
      "key_log", in: .listen, takes: "FILE|off", 1...1, standard: "off", elsewhere: ["SSLKEYLOGFILE"],
      doc: "Writes the secrets of every connection there, for Wireshark: whoever reads that reads passwords."
    ) { reading, directive in
      reading.needsTLS(directive)
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted { return }
      guard !word.isBroken, let path = reading.path(word) else { return }
      reading.tlsInHand?.options.keyLogPath = path
      reading.tlsInHand?.files.append((path: path, word: word))
    },
  ]
}

/// The TLS of a listener that is being read.
struct TLSDraft {
  var options = TLSServerOptions()
  var certificates: [(path: String, word: Word, staple: String?)] = []
  var keys: [(path: String, word: Word)] = []
  /// Every file, for complaints about it.
  var files: [(path: String, word: Word)] = []
  var versionWord: Word?
  var ciphersWord: Word?
  /// Complained about already: nothing more is said of what follows from it.
  var isBroken = false
}

extension Reading {
  /// Complains where a directive of TLS stands in a block without.
  func needsTLS(_ directive: Directive) {
    if tlsInHand == nil { complainOfMissingTLS(directive.name) }
  }

  private func complainOfMissingTLS(_ word: Word) {
    diagnostics.error(word.place, "this listener does not speak TLS", hint: "say so after its address: listen ADDRESS tls { … }")
  }

  /// The path of a file of TLS, which is read later with all others. Nil when that was complained about.
  func tlsFile(_ word: Word) -> String? {
    guard tlsInHand != nil else {
      complainOfMissingTLS(word)
      return nil
    }
    guard !word.isBroken, let path = readableFile(word) else {
      tlsInHand?.isBroken = true
      return nil
    }
    tlsInHand?.files.append((path, word))
    return path
  }

  /// Pairs certificates and keys, reads them, and says what is wrong with them. Nil when something is.
  ///
  /// - Parameter word: the listener's, for what belongs to no file.
  func finish(_ draft: TLSDraft, _ listener: ListenerSettings, _ word: Word) -> TLSServerOptions? {
    if draft.isBroken { return nil }
    var options = draft.options
    guard !draft.certificates.isEmpty else {
      diagnostics.error(word.place, "a listener with TLS has no certificate", hint: "certificate FILE; key FILE")
      return nil
    }
    guard draft.certificates.count == draft.keys.count else {
      let (certificates, keys) = (draft.certificates.count, draft.keys.count)
      let odd = certificates > keys ? draft.certificates[keys].word : draft.keys[certificates].word
      diagnostics.error(
        odd.place, certificates > keys ? "this certificate has no key" : "this key has no certificate", hint: "certificate FILE; key FILE")
      return nil
    }
    options.certificates = zip(draft.certificates, draft.keys).map {
      TLSServerOptions.Certificate(chainPath: $0.path, keyPath: $1.path, staplePath: $0.staple)
    }
    if let wanted = options.minimumVersion, wanted < options.lowestVersion, let word = draft.versionWord {
      wrong(word, "is below what the profile allows", hint: "profile legacy serves TLS 1.0 and 1.1, intermediate 1.2")
      return nil
    }
    var judged = listener
    judged.tls = options
    do throws(TLSFault) {
      let context = try TLSServerContext(judged.tlsOptions ?? options, tickets: TicketKeys(), logsKeys: false)
      certificates[listener.socket.address.text] = context.certificates
      for line in context.warnings { diagnostics.warning(place(of: line, draft, word), line) }
      for certificate in context.certificates {
        if let line = certificate.expiryWarning(at: .now()) { diagnostics.warning(place(of: line, draft, word), line) }
      }
      return options
    } catch {
      for line in error.problems { diagnostics.error(place(of: line, draft, word), line) }
      return nil
    }
  }

  private func place(of line: String, _ draft: TLSDraft, _ word: Word) -> SourceRange {
    if line.hasPrefix("ciphers:"), let word = draft.ciphersWord { return word.place }
    return draft.files.first { line.hasPrefix("\($0.path):") }?.word.place ?? word.place
  }
}
