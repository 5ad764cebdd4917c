// Who is at the other end of a connection: by the socket, or by the PROXY header of a trusted proxy, which speaks for somebody else.

import Auth
import HTTP
import Net
import Primitives
import Upstream

/// In the forms in which it is written again and again.
final class Peer: Sendable {
  let address: SocketAddress
  /// The port that it connected to; 0 where there is none.
  let localPort: UInt16
  /// Whether what it says about where a request came from is believed.
  let isTrusted: Bool
  /// nil in clear text.
  let tls: TLSFacts?
  /// The same as members of a JSON object; empty in clear text.
  let tlsText: [UInt8]
  /// The certificate that it has shown, where the listener of now would have accepted it.
  let certificate: ShownCertificate?
  /// The listener that it connected to; nil for none that matters.
  let listener: ListenerTraits?
  /// Whose connection it is by itself, where a header named another.
  private let bearer: Bearer?
  // As in X-Forwarded-For. In place: an IPv6 address has 39 bytes at most, and a client's Unix socket no path.
  private let text: InlineArray<40, UInt8>
  private let length: Int

  /// The proxy that wrote a PROXY header.
  private struct Bearer {
    var address: SocketAddress
    var localPort: UInt16
    /// Whether the one whom it named has an address by which it could be trusted itself.
    var namesAddress: Bool
  }

  convenience init(
    _ address: SocketAddress, localPort: UInt16 = 0, trusted: [Network], listener: ListenerTraits? = nil, tls: TLSFacts? = nil
  ) {
    self.init(address, localPort, trusted, listener, tls, bearer: nil)
  }

  private init(
    _ address: SocketAddress, _ localPort: UInt16, _ trusted: [Network], _ listener: ListenerTraits?, _ tls: TLSFacts?, bearer: Bearer?
  ) {
    self.address = address
    self.localPort = localPort
    self.listener = listener
    self.tls = tls
    tlsText = tls.map(Self.text) ?? []
    certificate = tls?.certificate.flatMap { shown in
      guard let listener, listener.tls?.clientPolicyDigest == shown.policy else { return nil }
      return ShownCertificate(shown, users: listener.settings.certificateUsers)
    }
    self.bearer = bearer
    var buffer = ByteBuffer()
    if address.isUnix { buffer.append("unix:") } else { address.appendHost(to: &buffer) }
    length = min(buffer.count, 40)
    var text = InlineArray<40, UInt8>(repeating: 0)
    for i in 0..<length { text[i] = buffer[i] }
    self.text = text
    isTrusted = (bearer?.namesAddress ?? true) && trusted.contains { $0.contains(address) }
  }

  private static func text(_ tls: TLSFacts) -> [UInt8] {
    var text = Array(",\"tls\":\"\(tls.version)\",\"cipher\":\"\(tls.cipher)\"".utf8)
    guard let certificate = tls.certificate else { return text }
    text += Array(",\"client_certificate\":".utf8)
    let subject = certificate.subject
    JSON.append(quoted: subject.span, to: &text)
    return text
  }

  /// The same peer by another configuration.
  convenience init(_ other: Peer, in snapshot: Snapshot) {
    self.init(other, trusted: snapshot.trustedProxies, listener: other.listener.map { snapshot.listener(like: $0) ?? $0.left })
  }

  /// Whether the listener of `snapshot` asks something else of certificates than the one that it came by.
  func isOutdated(in snapshot: Snapshot) -> Bool {
    guard let listener, let tls = listener.tls else { return false }
    // Nobody reads the files of a place that was left: what they say of certificates is not known any more.
    guard let now = snapshot.listener(like: listener) else { return tls.clientPolicyDigest != nil }
    return now.tls?.clientPolicyDigest != tls.clientPolicyDigest
  }

  /// Whether a proxy named it that `snapshot` does not trust: a new connection would not be believed, or not be let in.
  func isDisowned(in snapshot: Snapshot) -> Bool {
    guard let bearer else { return false }
    return !snapshot.trustedProxies.contains { $0.contains(bearer.address) }
  }

  /// The same peer, trusted or not by another list. Whom a proxy named that is not trusted any more is not believed to be who it said: the
  /// proxy itself is the peer again.
  private convenience init(_ other: Peer, trusted: [Network], listener: ListenerTraits?) {
    guard let bearer = other.bearer, !trusted.contains(where: { $0.contains(bearer.address) }) else {
      self.init(other.address, other.localPort, trusted, listener, other.tls, bearer: other.bearer)
      return
    }
    // Never a proxy again, also when its address is trusted later: whoever speaks here is the one whom the header named.
    let nameless = Bearer(address: bearer.address, localPort: bearer.localPort, namesAddress: false)
    self.init(bearer.address, bearer.localPort, trusted, listener, other.tls, bearer: nameless)
  }

  /// The same peer after a handshake.
  convenience init(_ other: Peer, trusted: [Network], tls: TLSFacts) {
    self.init(other.address, other.localPort, trusted, other.listener, tls, bearer: other.bearer)
  }

  /// Whom `proxy`, a trusted one, says in a PROXY header that the connection is for. It is trusted only by an address of its own: where the
  /// header names none, or a Unix socket on the proxy's machine, it is nobody whom our configuration could mean. Without a name the proxy's
  /// address counts for it.
  convenience init(_ header: ProxyHeader, from proxy: Peer, trusted: [Network]) {
    switch header.origin {
    case .local:
      self.init(proxy.address, proxy.localPort, trusted, proxy.listener, proxy.tls, bearer: nil)
    case .unknown:
      let bearer = Bearer(address: proxy.address, localPort: proxy.localPort, namesAddress: false)
      self.init(proxy.address, proxy.localPort, trusted, proxy.listener, proxy.tls, bearer: bearer)
    case .client(let client, let connectedTo):
      let bearer = Bearer(address: proxy.address, localPort: proxy.localPort, namesAddress: !client.address.isUnix)
      self.init(SocketAddress(client.address, port: client.port), connectedTo.port, trusted, proxy.listener, proxy.tls, bearer: bearer)
    }
  }

  func append(to out: inout ByteBuffer) { out.append(text.span.extracting(0..<length)) }

  func append(to request: inout UpstreamRequest) { request.append(text.span.extracting(0..<length)) }
}
