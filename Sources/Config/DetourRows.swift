// How connections reach an upstream that can't just be called: a proxy in between, another address, one of ours to come from, and whom they are for.

import HTTP
import Net
import Primitives
import Upstream

extension Table {
  static let detourRows: [Row] = [
    Row(
      "connect_to", in: .upstream, takes: "HOST:PORT|HOST", 1...1, elsewhere: ["connect-to", "resolve_to"],
      doc: "Where connections go instead of to the server's own host and port, whose name stays the one that its certificate has to bear."
    ) { reading, directive in reading.connectTo(directive.arguments[0]) },
    Row(
      "source", in: .upstream, takes: "ADDRESS|INTERFACE", 1...1, elsewhere: ["proxy_bind", "bind", "local_address"],
      doc: "The address of this machine, or the network interface, that connections come from."
    ) { reading, directive in reading.source(directive.arguments[0]) },
    Row(
      "via", in: .upstream, takes: "http://HOST:PORT|https://…|socks5://…|socks5h://…", 1...1, block: .optional,
      elsewhere: ["forward_proxy", "ProxyRemote", "forward_proxy_url"],
      doc: "The proxy through which connections are made, as tunnels: by CONNECT or by SOCKS, with names that we look up (`socks5`) or the proxy does (`socks5h`)."
    ) { reading, directive in reading.via(directive) },
    Row(
      "username", in: .via, takes: "NAME", 1...1, doc: "Who we are to the proxy."
    ) { reading, directive in
      reading.credential(directive.arguments[0], directive.arguments[0].text).map { reading.upstreamInHand?.options.via?.username = $0 }
    },
    Row(
      "password_file", in: .via, takes: "FILE", 1...1, doc: "A file whose first line is our password at the proxy."
    ) { reading, directive in reading.passwordFile(directive.arguments[0]) },
    Row(
      "ca", in: .via, takes: "FILE", 1...1, doc: "PEM file of the authorities that may vouch for an `https` proxy instead of the system's."
    ) { reading, directive in
      reading.trustFile(directive.arguments[0]).map { reading.upstreamInHand?.options.via?.certificateAuthority = $0 }
    },
    Row(
      "send_proxy_protocol", in: .upstream, takes: "v1|v2|off", 1...1, standard: "off", elsewhere: ["proxy_protocol", "send-proxy", "send-proxy-v2"],
      doc:
        "Whether each connection begins with a PROXY header that names the client, and serves his one request alone; to `https` servers it goes in clear text, "
        + "before TLS."
    ) { reading, directive in
      let word = directive.arguments[0]
      let choices: [(String, ProxyHeader.Version?)] = [("v1", .v1), ("v2", .v2), ("off", nil)]
      guard let version = reading.choice(word, choices) else { return }
      reading.upstreamInHand?.options.announces = version
      reading.upstreamInHand?.announcesWord = word
    },
  ]
}

extension Reading {
  fileprivate func connectTo(_ word: Word) {
    guard !word.isBroken else { return }
    guard let (host, port) = Self.hostAndPort(word.text) else {
      return wrong(word, "is no host and port", hint: "connect_to 10.0.0.5:8443, or only a host where the port is the server's")
    }
    upstreamInHand?.options.elsewhere = UpstreamOptions.Elsewhere(host: host, port: port)
    upstreamInHand?.connectToWord = word
  }

  fileprivate func source(_ word: Word) {
    guard !word.isBroken else { return }
    let bytes = Array(word.text.utf8)
    if let address = ClientAddress(parsing: bytes.span), !address.isUnix {
      upstreamInHand?.options.source = .address(word.text)
    } else if !bytes.isEmpty, bytes.count <= 15, bytes.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || [0x2D, 0x2E, 0x5F].contains($0) }),
      // What looks like an address is none that is mistyped.
      bytes.contains(where: ASCII.isAlpha)
    {
      // netdevice(7): IFNAMSIZ is 16, with the NUL.
      upstreamInHand?.options.source = .interface(word.text)
    } else {
      wrong(word, "is neither an address nor the name of a network interface")
    }
    upstreamInHand?.detourWords.append(word)
  }

  fileprivate func via(_ directive: Directive) {
    let word = directive.arguments[0]
    // Also where it is wrong: what the block holds is to be judged all the same.
    var via = UpstreamOptions.Via(.http, host: "", port: 1)
    if !word.isBroken, let found = proxy(word) { via = found }
    upstreamInHand?.options.via = via
    upstreamInHand?.detourWords.append(word)
    guard let block = directive.block else { return }
    let seen = read(block, in: .via)
    if seen.contains("username") != seen.contains("password_file") {
      diagnostics.error(block.place, "'username' and 'password_file' belong together", hint: "an empty file is no password: leave both out")
    }
    if seen.contains("ca"), via.scheme != .https {
      diagnostics.error(block.place, "'ca' is for a proxy whose URL begins with https://")
    }
  }

  private func proxy(_ word: Word) -> UpstreamOptions.Via? {
    // Not the word itself, which holds a password.
    if word.text.contains("@") {
      diagnostics.error(word.place, "the proxy's URL holds a user name", hint: "via … { username NAME; password_file FILE }")
      return nil
    }
    guard let colon = word.text.firstRange(of: "://"), let scheme = UpstreamOptions.Via.Scheme(rawValue: String(word.text[..<colon.lowerBound]))
    else {
      wrong(word, "is no proxy: it begins with http://, https://, socks5:// or socks5h://")
      return nil
    }
    var rest = word.text[colon.upperBound...]
    if rest.hasSuffix("/") { rest = rest.dropLast() }
    guard let (host, port) = Self.hostAndPort(String(rest)) else {
      wrong(word, "has no valid host and port")
      return nil
    }
    guard let port else {
      wrong(word, "lacks its port: proxies have no usual one")
      return nil
    }
    return UpstreamOptions.Via(scheme, host: host, port: port)
  }

  /// What is fit for the Basic scheme (RFC 7617 section 2) and for SOCKS (RFC 1929: 1 to 255 bytes). It is not shown: it may be the password.
  fileprivate func credential(_ word: Word, _ text: String, isPassword: Bool = false) -> String? {
    if word.isBroken { return nil }
    let what = isPassword ? "the password in this file" : "this user name"
    let bytes = text.utf8
    guard !bytes.isEmpty, bytes.count <= 255, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), isPassword || !bytes.contains(0x3A) else {
      diagnostics.error(word.place, "\(what) can't be sent: 1 to 255 bytes, no control characters\(isPassword ? "" : ", no colon")")
      return nil
    }
    return text
  }

  fileprivate func passwordFile(_ word: Word) {
    guard let path = readableFile(word) else { return }
    do {
      let bytes = try Disk.read(path, limit: 4096)
      let line = bytes.prefix { $0 != 0x0A && $0 != 0x0D }
      credential(word, String(decoding: line, as: UTF8.self), isPassword: true).map { upstreamInHand?.options.via?.password = $0 }
      warnIfWorldReadable(path, word, "password")
    } catch {
      wrong(word, "can't be read: \(error.reason)")
    }
  }

  /// A host, and a port where there is one; IPv6 addresses with brackets or, where no port follows, without.
  private static func hostAndPort(_ text: String) -> (host: String, port: UInt16?)? {
    let isBare = text.utf8.count { $0 == 0x3A } > 1 && !text.hasPrefix("[")
    let bytes = Array((isBare ? "[\(text)]" : text).utf8)
    guard !bytes.isEmpty, Authority.isValid(bytes.span) else { return nil }
    let count = Authority.hostCount(bytes.span)
    var host = String(decoding: bytes[..<count], as: UTF8.self)
    if host.hasPrefix("[") { host = String(host.dropFirst().dropLast()) }
    guard !host.isEmpty else { return nil }
    if count == bytes.count { return (host, nil) }
    guard let port = UInt16(String(decoding: bytes[(count + 1)...], as: UTF8.self)), port > 0 else { return nil }
    return (host, port)
  }

  /// What doesn't go with an upstream's servers.
  func checkDetour(_ draft: UpstreamDraft) {
    let sound = draft.servers.filter { !$0.word.isBroken }
    let isFile = sound.contains { if case .unix = $0.address { true } else { false } }
    for word in draft.detourWords + (draft.connectToWord.map { [$0] } ?? []) where isFile {
      diagnostics.error(word.place, "a Unix socket is on this machine: there is no way round to it")
    }
    if let word = draft.connectToWord, sound.count > 1 {
      diagnostics.error(word.place, "this would make one of several servers", hint: "write where each is into its 'server'")
    }
    guard let word = draft.announcesWord, draft.options.announces != nil else { return }
    if draft.options.via?.scheme == .https && sound.contains(where: { $0.scheme == .https }) {
      diagnostics.error(
        word.place, "through a proxy that is itself spoken to by TLS, no PROXY header can come before an https:// server's own TLS",
        hint: "via http://… or socks5h://…; or leave it out: X-Forwarded-For names the client too")
    }
    if draft.options.engine == .libcurl {
      diagnostics.error(word.place, "libcurl's engine would name us instead of the client", hint: "leave out 'engine libcurl'")
    }
  }
}
