// Whose share of the hash pool a request takes: behind a trusted proxy its client's, and never one that a stranger names.

import HTTP
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct ClientNetworkTests {
  private func key(_ fields: [String], peer: String = "10.0.0.1:80", trusted: [String] = ["10.0.0.0/8"]) throws -> UInt64 {
    let networks = try trusted.map { try Network(parsing: $0) }
    let head = try head(bytes: bytes("GET / HTTP/1.1\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"))
    return ClientNetwork.address(of: head, Peer(try SocketAddress(parsing: peer), trusted: networks), trusted: networks).networkKey
  }

  private func network(_ address: String) throws -> UInt64 { try SocketAddress(parsing: address).networkKey }

  private static let named = [
    (["X-Forwarded-For: 192.0.2.7"], "192.0.2.7:0"),
    (["X-Forwarded-For: 1.1.1.1, 192.0.2.7"], "192.0.2.7:0"),
    (["X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.9.9.9"], "192.0.2.7:0"),
    (["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 192.0.2.7"], "192.0.2.7:0"),
    (["X-Forwarded-For: 192.0.2.7:4711"], "192.0.2.7:0"),
    (["X-Forwarded-For: ::ffff:192.0.2.7"], "192.0.2.7:0"),
    (["X-Forwarded-For: 2001:db8:1:2:3::4"], "[2001:db8:1:2::]:0"),
    (["X-Forwarded-For: [2001:db8:1:2:3::4]:4711"], "[2001:db8:1:2::]:0"),
    (["X-Forwarded-For: [2001:db8:1:2:3::4]"], "[2001:db8:1:2::]:0"),
  ]

  @Test(arguments: named)
  func aTrustedProxyNamesTheClient(_ fields: [String], _ client: String) throws {
    #expect(try key(fields) == network(client))
  }

  @Test func strangersNameNobody() throws {
    #expect(try key(["X-Forwarded-For: 1.1.1.1"], peer: "203.0.113.9:1") == network("203.0.113.9:1"))
    // What stands left of what the proxy wrote is the stranger's.
    #expect(try key(["X-Forwarded-For: 10.1.1.1, 1.1.1.1, 203.0.113.9"]) == network("203.0.113.9:1"))
  }

  @Test(arguments: [
    [], ["X-Forwarded-For: "], ["X-Forwarded-For: unknown"], ["X-Forwarded-For: *"], ["X-Forwarded-For: unix:/x"],
    ["X-Forwarded-For: 10.1.1.1"],
    ["X-Forwarded-For: 1.1.1.1, "], ["X-Forwarded-For: " + String(repeating: "10.1.1.1,", count: 40) + "10.1.1.1"],
    ["X-Forwarded-For: " + String(repeating: "1", count: 200)],
  ])
  func whatCannotBeReadCountsForTheProxyItself(_ fields: [String]) throws {
    #expect(try key(fields) == network("10.0.0.1:80"))
  }
}
