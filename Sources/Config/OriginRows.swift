// Who stands in front of us, and how we learn who the client is.

import Net
import Primitives
import Proxy

extension Table {
  static let originRows: [Row] = [
    Row(
      "trusted_proxies", in: .top, takes: "NETWORK…", 1...1024, isRepeatable: true,
      elsewhere: ["set_real_ip_from", "RemoteIPTrustedProxy"],
      doc:
        "Proxies in front (`10.0.0.0/8`, `::1`, `unix:`) whose PROXY headers, `X-Forwarded-*` (or `Forwarded`: `client_address`) and `X-Request-Id` are believed."
    ) { reading, directive in reading.trust(directive) },
    Row(
      "client_address", in: .top, takes: "x-forwarded-for|forwarded", 1...1, standard: "x-forwarded-for",
      elsewhere: ["real_ip_header", "RemoteIPHeader", "client_ip_headers"],
      doc:
        "Where trusted proxies write for whom they ask: `X-Forwarded-For` with `-Proto`, `-Host` and `-Port`, or `Forwarded` (RFC 7239); the other is not believed, "
        + "since a proxy passes on what it does not write itself."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("x-forwarded-for", OriginField.xForwardedFor), ("forwarded", .forwarded)])
        .map { reading.settings.forwarding.originField = $0 }
    },
    Row(
      "proxy_protocol", in: .listen, takes: "required|optional|off", 1...1, standard: "off",
      elsewhere: ["accept-proxy", "RemoteIPProxyProtocol", "accept_proxy"],
      doc:
        "Whether connections begin, before TLS, with a PROXY header (version 1 or 2) in which one of `trusted_proxies` says whose they are; with `required` nobody "
        + "connects otherwise, with `optional` a trusted proxy may leave it out and others connect as themselves."
    ) { reading, directive in reading.proxyProtocol(directive) },
  ]
}

extension Reading {
  func trust(_ directive: Directive) {
    for word in directive.arguments where !word.isBroken {
      do {
        settings.forwarding.trustedProxies.append(try Network(parsing: word.text))
      } catch {
        guard case .badAddress(_, let why) = error else { continue }
        wrong(word, "is no network: \(why)")
      }
    }
  }

  func proxyProtocol(_ directive: Directive) {
    let choices: [(String, ProxyProtocolPolicy)] = [("required", .required), ("optional", .optional), ("off", .off)]
    guard let policy = choice(directive.arguments[0], choices) else { return }
    listenerInHand?.proxyProtocol = policy
    if policy != .off { proxyProtocolWords.append(directive.arguments[0]) }
  }

  /// A PROXY header is nobody's to write where nobody is trusted.
  func checkProxyProtocol() {
    guard settings.forwarding.trustedProxies.isEmpty, topPlaces["trusted_proxies"] == nil else { return }
    for word in proxyProtocolWords {
      diagnostics.error(
        word.place, "PROXY headers are believed of trusted proxies alone, and there are none",
        hint: "say who writes them: trusted_proxies 10.0.0.5")
    }
  }
}
