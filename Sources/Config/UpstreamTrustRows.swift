// `tls { … }` of an upstream where certificates don't settle it: keys known beforehand, and servers too old for what is asked of others.

import Net
import Primitives
import Upstream

extension Table {
  static let upstreamTrustRows: [Row] = [
    Row(
      "pin", in: .upstreamTLS, takes: "sha256//BASE64…", 1...8, elsewhere: ["pinnedpubkey"],
      doc: "SHA-256 digests of public keys of which the service's has to be one, beside what else is verified; with `verify off` the key alone proves who it is."
    ) { reading, directive in reading.pins(directive) },
    Row(
      "legacy", in: .upstreamTLS, takes: "on|off", 1...1, standard: "off", elsewhere: ["proxy_ssl_protocols", "SSLProxyProtocol", "tls_min_version"],
      doc: "Whether TLS 1.0 and 1.1, keys below 2048 bits, SHA-1 and servers without secure renegotiation will do for this upstream."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard let isAllowed = reading.onOff(word) else { return }
      reading.upstreamInHand?.options.tls.allowsLegacy = isAllowed
      if isAllowed {
        reading.diagnostics.warning(
          word.place, "TLS this old can be broken: whoever stands between may read and change what goes to this upstream",
          hint: "only where nobody can stand there, as on a cable or a network of its own")
      }
    },
  ]
}

extension Reading {
  /// A readable file of authorities or certificates. What it holds is noted: where a reload finds something else, the upstream begins anew.
  func trustFile(_ word: Word) -> String? {
    guard let path = readableFile(word) else { return nil }
    do {
      var hasher = Hasher()
      hasher.combine(upstreamInHand?.options.trustContents)
      hasher.combine(try Disk.read(path, limit: 16 << 20))
      upstreamInHand?.options.trustContents = hasher.finalize()
    } catch {
      wrong(word, "can't be read: \(error.reason)")
      return nil
    }
    if let problem = TLSFiles.whyNoCertificates(path) {
      diagnostics.error(word.place, problem)
      return nil
    }
    return path
  }

  fileprivate func pins(_ directive: Directive) {
    var pins: [String] = []
    for word in directive.arguments where !word.isBroken {
      for pin in word.text.split(separator: ";", omittingEmptySubsequences: false) {
        // Anything without this prefix would be a file's name to libcurl.
        guard pin.hasPrefix("sha256//"), Self.isDigest(pin.dropFirst(8)) else {
          return wrong(
            word, "is no digest of a key: sha256// and 44 characters of Base64",
            hint: "openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64")
        }
        pins.append(String(pin))
      }
    }
    upstreamInHand?.options.tls.pins = pins.joined(separator: ";")
  }

  /// Base64 of 32 bytes.
  private static func isDigest(_ text: Substring) -> Bool {
    let bytes = Array(text.utf8)
    return bytes.count == 44 && bytes[43] == 0x3D
      && bytes[..<43].allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x2B || $0 == 0x2F }
  }

  /// `verify off` is judged at the block's end: a pinned key is proof enough.
  func checkTrust(_ draft: UpstreamDraft) {
    guard let word = draft.verifyOffWord, draft.options.tls.pins == nil else { return }
    diagnostics.warning(
      word.place, "whoever stands between can read and change what goes to this upstream",
      hint: "'ca FILE' trusts a certificate of your own instead, 'pin' a key")
  }
}
