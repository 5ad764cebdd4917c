// `protocol`: which HTTP is spoken with an upstream, and what doesn't go with HTTP/2.

import Login
import Upstream

extension Table {
  static let upstreamProtocolRows: [Row] = [
    Row(
      "protocol", in: .upstream, takes: "http1|http2", 1...1, standard: "http1",
      elsewhere: ["grpc_pass", "proxy_http_version", "proto", "h2c", "ProxyPass h2c"],
      doc: "Which HTTP is spoken with it: HTTP/1.1, or HTTP/2, agreed on by ALPN with https:// and without asking else (h2c); gRPC needs `http2`."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard let speaks = reading.choice(word, [("http1", false), ("http2", true)]) else { return }
      reading.upstreamInHand?.options.speaksHTTP2 = speaks
      reading.upstreamInHand?.protocolWord = word
    }
  ]
}

extension Reading {
  /// What HTTP/2 has no place for.
  func checkProtocol(_ draft: UpstreamDraft) {
    guard let word = draft.protocolWord, draft.options.speaksHTTP2 else { return }
    if draft.options.engine != .automatic {
      diagnostics.error(word.place, "HTTP/2 is spoken by an engine of its own", hint: "leave out 'engine'")
    }
    if draft.options.announces != nil {
      diagnostics.error(
        word.place, "a connection that many clients share can't be announced as one client's ('send_proxy_protocol')", hint: "X-Forwarded-For names the client")
    }
    switch draft.login?.scheme {
    case .digest, .ntlm, .negotiate, .clientCredentials:
      diagnostics.error(
        word.place, "a login that the service may ask for once more is not for HTTP/2 upstreams yet: by digest, ntlm, negotiate or token_url",
        hint: "leave out 'protocol': they are spoken over HTTP/1.1")
    case .basic, .bearer, .header, .awsSigV4, nil: break
    }
    if draft.options.via?.scheme == .https && draft.servers.contains(where: { $0.scheme == .https }) {
      diagnostics.error(
        word.place, "through a proxy that is itself spoken to by TLS, HTTP/2 can't be agreed on with an https:// server",
        hint: "via http://… or socks5h://…")
    }
    if draft.servers.contains(where: { $0.files != nil }) {
      diagnostics.error(word.place, "a file server speaks no HTTP", hint: "leave out 'protocol'")
    }
  }
}
