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
  /// What the listener asked of certificates when it was let in; nil for nothing.
  private let policy: [UInt8]?
  /// Whether it would not be let in any more without a certificate that is good by the rules of now: nothing is done for it here.
  let mustComeAgain: Bool
  /// Whose connection it is by itself, where a header named another.
  private let bearer: Bearer?
  /// Whether a header came, whomever it named.
  private let isAnnounced: Bool
  // As in X-Forwarded-For. In place: an IPv6 address has 39 bytes at most, and a client's Unix socket no path.
  private let text: InlineArray<40, UInt8>
  private let length: Int

  /// The proxy that wrote a PROXY header.
  private struct Bearer {
    var address: SocketAddress
    var localPort: UInt16
  }

  convenience init(
    _ address: SocketAddress, localPort: UInt16 = 0, trusted: [Network], listener: ListenerTraits? = nil, tls: TLSFacts? = nil
  ) {
    self.init(
      address, localPort, isTrusted: trusted.contains { $0.contains(address) }, listener, tls, bearer: nil,
      policy: tls == nil ? nil : listener?.tls?.clientPolicyDigest)
  }

  private init(
    _ address: SocketAddress, _ localPort: UInt16, isTrusted: Bool, _ listener: ListenerTraits?, _ tls: TLSFacts?, bearer: Bearer?,
    isAnnounced: Bool = false, policy: [UInt8]?, mustComeAgain: Bool = false
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
    self.isAnnounced = isAnnounced
    var buffer = ByteBuffer()
    if address.isUnix { buffer.append("unix:") } else { address.appendHost(to: &buffer) }
    length = min(buffer.count, 40)
    var text = InlineArray<40, UInt8>(repeating: 0)
    for i in 0..<length { text[i] = buffer[i] }
    self.text = text
    self.isTrusted = isTrusted
    self.policy = policy
    self.mustComeAgain = mustComeAgain
  }

  private static func text(_ tls: TLSFacts) -> [UInt8] {
    var text = Array(",\"tls\":\"\(tls.version)\",\"cipher\":\"\(tls.cipher)\"".utf8)
    guard let certificate = tls.certificate else { return text }
    text += Array(",\"client_certificate\":".utf8)
    let subject = certificate.subject
    JSON.append(quoted: subject.span, to: &text)
    return text
  }

  /// The same peer by another configuration. Trust is lost by it, and never won: whoever is at the other end may be somebody for whom a balancer
  /// moves bytes, and who is taken for the balancer itself until that one says by a header who he is. For the same reason whom a proxy named that is
  /// not trusted any more is not believed to be who it said: the proxy itself is the peer again.
  convenience init(_ other: Peer, in snapshot: Snapshot) {
    let trusted = snapshot.trustedProxies
    let listener = other.listener.map { snapshot.listener(like: $0) ?? $0.left }
    let isDisowned = other.isDisowned(in: snapshot)
    let (address, port) = isDisowned ? other.bearer.map { ($0.address, $0.localPort) } ?? (other.address, other.localPort) : (other.address, other.localPort)
    self.init(
      address, port, isTrusted: !isDisowned && other.isTrusted && trusted.contains { $0.contains(address) }, listener, other.tls,
      bearer: other.bearer, isAnnounced: other.isAnnounced, policy: other.policy, mustComeAgain: other.standing(in: snapshot) == .shutOut)
  }

  /// What becomes of a connection by another configuration.
  enum Standing {
    case fine
    /// A new one would be another: this one ends when what it has begun is done.
    case outdated
    /// A new one would not be let in without more than this one has shown.
    case shutOut
  }

  func standing(in snapshot: Snapshot) -> Standing {
    if isDisowned(in: snapshot) { return .outdated }
    if !isTrusted && bearer?.address != address && snapshot.trustedProxies.contains(where: { $0.contains(address) }) { return .outdated }
    guard let listener else { return .fine }
    // Nobody reads the files of a place that was left: what they say of certificates is not known any more.
    guard let now = snapshot.listener(like: listener) else { return policy == nil ? .fine : .outdated }
    if now.tls?.clientPolicyDigest != policy { return now.tls?.options.clientCertificates?.mode == .required ? .shutOut : .outdated }
    if tls == nil && now.tls != nil { return .outdated }
    return now.settings.proxyProtocol == .required && !isAnnounced ? .outdated : .fine
  }

  /// Whether a proxy named it that `snapshot` does not trust: a new connection would not be believed, or not be let in.
  func isDisowned(in snapshot: Snapshot) -> Bool {
    guard let bearer else { return false }
    return !snapshot.trustedProxies.contains { $0.contains(bearer.address) }
  }

  /// The same peer after a handshake by what its listener asks now.
  convenience init(_ other: Peer, tls: TLSFacts) {
    self.init(
      other.address, other.localPort, isTrusted: other.isTrusted, other.listener, tls, bearer: other.bearer, isAnnounced: other.isAnnounced,
      policy: other.listener?.tls?.clientPolicyDigest)
  }

  /// Whom `proxy`, a trusted one, says in a PROXY header that the connection is for. It is trusted only by an address of its own: where the
  /// header names none, or a Unix socket on the proxy's machine, it is nobody whom our configuration could mean. Without a name the proxy's
  /// address counts for it.
  convenience init(_ header: ProxyHeader, from proxy: Peer, trusted: [Network]) {
    let bearer = Bearer(address: proxy.address, localPort: proxy.localPort)
    switch header.origin {
    case .local:
      self.init(
        proxy.address, proxy.localPort, isTrusted: proxy.isTrusted, proxy.listener, proxy.tls, bearer: nil, isAnnounced: true, policy: proxy.policy)
    case .unknown:
      self.init(
        proxy.address, proxy.localPort, isTrusted: false, proxy.listener, proxy.tls, bearer: bearer, isAnnounced: true, policy: proxy.policy)
    case .client(let client, let connectedTo):
      let address = SocketAddress(client.address, port: client.port)
      self.init(
        address, connectedTo.port, isTrusted: !client.address.isUnix && trusted.contains { $0.contains(address) }, proxy.listener, proxy.tls,
        bearer: bearer, isAnnounced: true, policy: proxy.policy)
    }
  }

  func append(to out: inout ByteBuffer) { out.append(text.span.extracting(0..<length)) }

  func append(to request: inout UpstreamRequest) { request.append(text.span.extracting(0..<length)) }
}
