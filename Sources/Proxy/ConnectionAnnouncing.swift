// What an upstream is told of a client before HTTP begins: the PROXY header of the connection that his request alone travels on.

import HTTP
import Net
import Primitives
import Upstream

extension Connection {
  /// Only for upstreams with `send_proxy_protocol`.
  mutating func announce(_ version: ProxyHeader.Version, in request: inout UpstreamRequest) {
    // Whom a trusted proxy named by a field has no port that anybody knows.
    let port = peer.address.client == client ? peer.address.port : 0
    var preface = ByteBuffer()
    ProxyHeader.append(
      version, for: ProxyHeader.Endpoint(address: client, port: port),
      connectedTo: ProxyHeader.Endpoint(address: Self.place(of: peer, like: client), port: peer.localPort), to: &preface)
    request.announce(preface)
  }

  /// Where the client connected to, as far as it is known without asking the kernel: a listener on all addresses has none of its own.
  private static func place(of peer: Peer, like client: ClientAddress) -> ClientAddress {
    let own = peer.listener?.settings.socket.address.client ?? .unix
    if !own.isUnix && own.isIPv4 == client.isIPv4 { return own }
    return client.isIPv4 ? .ipv4(0) : .ipv6(high: 0, low: 0)
  }
}
