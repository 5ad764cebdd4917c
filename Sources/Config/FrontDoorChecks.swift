// What is asked at the front door that can't be had, or hardly be meant: addresses, TLS that nobody speaks, and proxies that are everybody.

import Net
import Primitives
import Proxy

extension Reading {
  func checkFrontDoor() {
    for (listener, word) in listeners {
      checkAddress(listener.socket.address, word)
    }
    checkCertificateFields()
    warnOfTrustInEverybody()
    warnOfTLSThatNobodySpeaks()
  }

  private func checkAddress(_ address: SocketAddress, _ word: Word) {
    if case .ipv6(let high, let low, _, let port) = address, high == 0, low >> 32 == 0xFFFF {
      let plain = SocketAddress.ipv4(address: UInt32(truncatingIfNeeded: low), port: port)
      diagnostics.error(word.place, "an IPv4 address is listened on as such", hint: "listen \(plain.text)")
    }
    if case .unix(let path) = address, settings.admin == .unix(path: path) {
      diagnostics.error(word.place, "the admin socket has this path too", hint: "give one of them another")
    }
  }

  /// What upstreams are told of a client's certificate comes under names that nothing else may have.
  private func checkCertificateFields() {
    func folded(_ name: String) -> String {
      String(decoding: name.utf8.map { $0 == 0x5F || $0 == 0x2E ? 0x2D : ASCII.lowercased($0) }, as: UTF8.self)
    }
    for (name, directive) in [(settings.forwarding.userField, "user_header"), (settings.forwarding.groupsField, "groups_header")] {
      let plain = folded(name)
      guard plain.hasPrefix("x-forwarded-client-cert") || plain.hasPrefix("client-cert"), let place = topPlaces[directive] else { continue }
      diagnostics.error(place, "upstreams are told of client certificates by names that begin like this")
    }
  }

  private func warnOfTrustInEverybody() {
    guard let place = topPlaces["trusted_proxies"] else { return }
    for network in settings.forwarding.trustedProxies where network.isEverything {
      diagnostics.warning(
        place, "everybody is a trusted proxy, so that every client chooses its own address",
        hint: "name the addresses of your proxies alone")
      return
    }
  }

  /// Nobody speaks it with us, and no trusted proxy says that somebody does with it.
  private func warnOfTLSThatNobodySpeaks() {
    let hasTLS = settings.listeners.contains { $0.tls != nil }
    // Beside errors it would only distract.
    guard !hasTLS, settings.forwarding.trustedProxies.isEmpty, diagnostics.errors.isEmpty else { return }
    for route in routes where route.requiresTLS {
      diagnostics.warning(
        route.place, "no listener speaks TLS, and there are no trusted proxies that do, so that this route refuses everybody",
        hint: "listen ADDRESS tls { certificate FILE; key FILE }; or trusted_proxies ADDRESS")
    }
    if settings.transportSecurity != nil, let place = topPlaces["hsts"] {
      diagnostics.warning(place, "no listener speaks TLS, so that nobody is told this")
    }
    if settings.forwarding.setsClientCertificate, let place = topPlaces["client_certificate_headers"] {
      diagnostics.warning(place, "no listener asks clients for certificates, so that there is nothing to tell")
    }
  }
}
