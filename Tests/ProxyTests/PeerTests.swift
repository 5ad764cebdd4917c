// Who is at the other end when the configuration changes under a connection: whom a proxy named, and by which listener it came.

import HTTP
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct PeerTests {
  private static func snapshot(trusting networks: [String], _ listeners: [ListenerSettings] = []) throws -> Snapshot {
    var settings = Settings()
    settings.forwarding.trustedProxies = try networks.map { try Network(parsing: $0) }
    settings.listeners = listeners
    return Snapshot(settings: settings)
  }

  /// By a header of the proxy 10.0.0.1.
  private static func named(_ origin: ProxyHeader.Origin, trusting networks: [String]) throws -> Peer {
    let trusted = try networks.map { try Network(parsing: $0) }
    let proxy = Peer(try SocketAddress(parsing: "10.0.0.1:4711"), localPort: 80, trusted: trusted)
    return Peer(ProxyHeader(origin), from: proxy, trusted: trusted)
  }

  private static func endpoint(_ text: String) throws -> ProxyHeader.Endpoint {
    let address = try SocketAddress(parsing: text)
    return ProxyHeader.Endpoint(address: address.client, port: address.port)
  }

  private static func unix() throws -> ProxyHeader.Origin {
    .client(ProxyHeader.Endpoint(address: .unix, port: 0), connectedTo: try endpoint("192.0.2.1:443"))
  }

  private static func client(_ text: String) throws -> ProxyHeader.Origin {
    .client(try endpoint(text), connectedTo: try endpoint("192.0.2.1:443"))
  }

  @Test func whoWasNamedNeverBecomesTheProxyThatNamedHim() throws {
    let (with, without) = (try Self.snapshot(trusting: ["10.0.0.0/8"]), try Self.snapshot(trusting: ["192.0.2.0/24"]))
    for origin in [try Self.client("203.0.113.9:5"), .unknown, try Self.unix()] {
      var peer = try Self.named(origin, trusting: ["10.0.0.0/8"])
      #expect(!peer.isTrusted && !peer.isDisowned(in: with) && peer.isDisowned(in: without))
      // However often the trust comes and goes.
      for _ in 0..<3 {
        peer = Peer(peer, in: without)
        #expect(!peer.isTrusted && peer.isDisowned(in: without))
        // What the proxy said counts no more: nobody is spared for it, and no rule lets him in.
        #expect(peer.address == (try SocketAddress(parsing: "10.0.0.1:4711")) && peer.localPort == 80)
        peer = Peer(peer, in: with)
        #expect(!peer.isTrusted)
      }
    }
  }

  @Test func aProxyThatWasNamedIsTrustedWhileBothAre() throws {
    let both = try Self.snapshot(trusting: ["10.0.0.1", "203.0.113.9"])
    let named = try Self.named(Self.client("203.0.113.9:5"), trusting: ["10.0.0.1", "203.0.113.9"])
    #expect(named.isTrusted && !named.isDisowned(in: both))
    #expect(!Peer(named, in: try Self.snapshot(trusting: ["10.0.0.1"])).isTrusted)
    let orphaned = try Self.snapshot(trusting: ["203.0.113.9"])
    #expect(named.isDisowned(in: orphaned))
    let alone = Peer(named, in: orphaned)
    #expect(!alone.isTrusted && !Peer(alone, in: both).isTrusted)
    // And a proxy whose connection is its own: what it says next, it says on another one.
    let itself = try Self.named(.local, trusting: ["10.0.0.1"])
    let distrusted = Peer(itself, in: orphaned)
    #expect(itself.isTrusted && !itself.isDisowned(in: orphaned) && !distrusted.isTrusted && !Peer(distrusted, in: both).isTrusted)
    #expect(distrusted.standing(in: both) == .outdated && distrusted.standing(in: orphaned) == .fine)
  }

  @Test func whoIsHereAlreadyIsNeverTrustedByAReload() throws {
    let (none, some) = (try Self.snapshot(trusting: []), try Self.snapshot(trusting: ["10.0.0.0/8"]))
    let balancer = Peer(try SocketAddress(parsing: "10.0.0.1:4711"), trusted: none.trustedProxies)
    // It may be anybody whose bytes are moved by what is now trusted.
    #expect(!Peer(balancer, in: some).isTrusted && balancer.standing(in: some) == .outdated)
    #expect(Peer(balancer, in: some).standing(in: some) == .outdated && balancer.standing(in: none) == .fine)
    let named = try Self.named(Self.client("203.0.113.9:5"), trusting: ["10.0.0.1"])
    let chain = try Self.snapshot(trusting: ["10.0.0.1", "203.0.113.9"])
    #expect(!Peer(named, in: chain).isTrusted && named.standing(in: chain) == .outdated)
    let unknown = try Self.named(.unknown, trusting: ["10.0.0.1"])
    #expect(!Peer(unknown, in: chain).isTrusted && unknown.standing(in: chain) == .fine)
  }

  @Test func whoCameWithoutTheHeaderThatIsAskedForNowHasToComeAgain() throws {
    var listener = ListenerSettings(socket: ListenOptions(address: try SocketAddress(parsing: "0.0.0.0:443")))
    let before = try Self.snapshot(trusting: ["10.0.0.1"], [listener])
    listener.proxyProtocol = .required
    let after = try Self.snapshot(trusting: ["10.0.0.1"], [listener])
    let peer = Peer(try SocketAddress(parsing: "10.0.0.1:5"), trusted: before.trustedProxies, listener: before.listeners[0])
    #expect(peer.standing(in: before) == .fine && peer.standing(in: after) == .outdated)
    for origin in [try Self.client("203.0.113.9:5"), .unknown, .local] {
      #expect(Peer(ProxyHeader(origin), from: peer, trusted: before.trustedProxies).standing(in: after) == .fine)
    }
  }

  @Test func listenersOfOneAddressAreToldByTheirInterfaces() throws {
    func listener(_ interface: String?, _ port: UInt16) throws -> ListenerSettings {
      var socket = ListenOptions(address: try SocketAddress(parsing: "0.0.0.0:443"))
      socket.interface = interface
      var settings = ListenerSettings(socket: socket)
      settings.redirectPort = port
      return settings
    }
    let (lo, eth) = (try listener("lo", 1), try listener("eth0", 2))
    let before = try Self.snapshot(trusting: [], [lo, eth])
    for listeners in [[lo, eth], [eth, lo], [try listener("eth1", 3), eth, lo], [eth, try listener("eth1", 3), lo]] {
      let after = try Self.snapshot(trusting: [], listeners)
      #expect(before.listeners.map { after.listener(like: $0)?.redirectPort } == [1, 2])
    }
    // One that is gone has no heir.
    let gone = try Self.snapshot(trusting: [], [eth, try listener("eth1", 3)])
    #expect(before.listeners.map { gone.listener(like: $0)?.redirectPort } == [nil, 2])
    let peer = Peer(try SocketAddress(parsing: "203.0.113.9:5"), trusted: [], listener: before.listeners[0])
    #expect(Peer(peer, in: gone).listener?.redirectPort == 1)
  }
}
