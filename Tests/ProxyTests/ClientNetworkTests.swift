// Whose share of the hash pool a request takes: behind a trusted proxy its client's, and never one that a stranger names.

import HTTP
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct ClientNetworkTests {
  private func key(
    _ fields: [String], peer: String = "10.0.0.1:80", by field: OriginField = .xForwardedFor, trusted: [String] = ["10.0.0.0/8"]
  ) throws -> UInt64 {
    let networks = try trusted.map { try Network(parsing: $0) }
    let head = try head(bytes: bytes("GET / HTTP/1.1\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"))
    return ClientNetwork.address(of: head, Peer(try SocketAddress(parsing: peer), trusted: networks), by: field, trusted: networks)
      .networkKey
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
    (["X-Forwarded-For: 1.1.1.1,\t192.0.2.7 "], "192.0.2.7:0"),
    // The other field is the client's.
    (["X-Forwarded-For: 192.0.2.7", "Forwarded: for=1.1.1.1"], "192.0.2.7:0"),
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
    ["X-Forwarded-For: " + String(repeating: "1", count: 200)], ["Forwarded: for=192.0.2.7"], ["X-Forwarded-For: [192.0.2.7]"],
    ["X-Forwarded-For: [2001:db8::1"], ["X-Forwarded-For: [2001:db8::1]x"], ["X-Forwarded-For: 192.0.2.7:x"],
    ["X-Forwarded-For: 192.0.2.7:"],
    ["X-Forwarded-For: [2001:db8::1]:"], ["X-Forwarded-For: a.example"], ["X-Forwarded-For: 0x7f.1"], ["X-Forwarded-For: 192.0.2.07"],
  ])
  func whatCannotBeReadCountsForTheProxyItself(_ fields: [String]) throws {
    #expect(try key(fields) == network("10.0.0.1:80"))
  }

  // MARK: Forwarded

  private static let forwarded = [
    (["Forwarded: for=192.0.2.7"], "192.0.2.7:0"),
    (["Forwarded: for=1.1.1.1, for=192.0.2.7"], "192.0.2.7:0"),
    (["Forwarded: for=1.1.1.1,for=192.0.2.7;proto=https;by=10.0.0.1 , for=10.9.9.9"], "192.0.2.7:0"),
    (["Forwarded: for=1.1.1.1", "Forwarded: For=192.0.2.7"], "192.0.2.7:0"),
    (["Forwarded: for=\"192.0.2.7:4711\""], "192.0.2.7:0"), (["Forwarded: for=192.0.2.7:4711"], "192.0.2.7:0"),
    (["Forwarded: for=\"192.0.2.7:_port\""], "192.0.2.7:0"),
    (["Forwarded: by=_x;for=\"[2001:db8:1:2:3::4]:4711\";proto=http"], "[2001:db8:1:2::]:0"),
    (["Forwarded: for=\"[2001:db8:1:2:3::4]\""], "[2001:db8:1:2::]:0"),
    (["Forwarded: for=192.0.2.7; proto=https"], "192.0.2.7:0"),
    // A host in quotes is no place for an element.
    (["Forwarded: for=192.0.2.7;host=\"a, for=1.1.1.1\""], "192.0.2.7:0"),
    (["Forwarded: for=192.0.2.7;host=\"a\\\", for=1.1.1.1;x=\\\"\""], "192.0.2.7:0"),
    // Nor does an open quote to its left change where the proxy's own begins.
    (["Forwarded: \", for=192.0.2.7"], "192.0.2.7:0"), (["Forwarded: for=\"x, for=192.0.2.7"], "192.0.2.7:0"),
    (["Forwarded: for=\"x\\, for=192.0.2.7;proto=https"], "192.0.2.7:0"),
    (["Forwarded: for=192.0.2.7", "X-Forwarded-For: 1.1.1.1"], "192.0.2.7:0"),
  ]

  @Test(arguments: forwarded)
  func aTrustedProxyNamesTheClientInForwarded(_ fields: [String], _ client: String) throws {
    #expect(try key(fields, by: .forwarded) == network(client))
    // A stranger names nobody.
    #expect(try key(fields, peer: "203.0.113.9:1", by: .forwarded) == network("203.0.113.9:1"))
  }

  @Test(arguments: [
    [], ["X-Forwarded-For: 192.0.2.7"], ["Forwarded: "], ["Forwarded: for=unknown"], ["Forwarded: for=_hidden"],
    ["Forwarded: for=\"_a:1\""],
    ["Forwarded: for=1.1.1.1, for=unknown"], ["Forwarded: for=1.1.1.1, for=_a"], ["Forwarded: for=1.1.1.1, proto=https"],
    ["Forwarded: for=1.1.1.1, "], ["Forwarded: for=1.1.1.1,"], ["Forwarded: for=1.1.1.1;for=2.2.2.2"],
    ["Forwarded: for=1.1.1.1;For=1.1.1.1"],
    ["Forwarded: for"], ["Forwarded: for="], ["Forwarded: =1.1.1.1"], ["Forwarded: for=1.1.1.1;"], ["Forwarded: for =1.1.1.1"],
    ["Forwarded: for=\"1.1.1.1"], ["Forwarded: for=1.1.1.1\""], ["Forwarded: for=\"1.1.1.1\\\""], ["Forwarded: for=\"1.1.\\1.1\""],
    ["Forwarded: for=1.1.1.1 2.2.2.2"], ["Forwarded: for=10.1.1.1"], ["Forwarded: for=unix:"], ["Forwarded: for=a.example"],
    ["Forwarded: " + String(repeating: "for=10.1.1.1,", count: 40) + "for=10.1.1.1"], ["Forwarded: for=1.1.1.1, \"x\""],
    ["Forwarded: for=\"[192.0.2.7]\""],
  ])
  func whatForwardedDoesNotTellCountsForTheProxyItself(_ fields: [String]) throws {
    #expect(try key(fields, by: .forwarded) == network("10.0.0.1:80"))
  }

  // MARK: https

  private func isSecure(_ fields: [String], peer: String = "10.0.0.1:80", by field: OriginField = .xForwardedFor) throws -> Bool {
    let networks = [try Network(parsing: "10.0.0.0/8")]
    let head = try head(bytes: bytes("GET / HTTP/1.1\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"))
    return ClientNetwork.isSecure(head, Peer(try SocketAddress(parsing: peer), trusted: networks), by: field)
  }

  @Test func aTrustedProxySaysThatItWasSpokenToByHTTPS() throws {
    for fields in [
      ["X-Forwarded-Proto: https"], ["X-Forwarded-Proto: HTTPS"], ["X-Forwarded-Proto: http, https"],
      ["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"],
    ] {
      #expect(try isSecure(fields), "\(fields)")
      #expect(try !isSecure(fields, peer: "203.0.113.9:1"), "\(fields)")
      #expect(try !isSecure(fields, by: .forwarded), "\(fields)")
    }
    for fields in [
      ["Forwarded: for=1.1.1.1;proto=https"], ["Forwarded: proto=http, proto=\"https\""],
      ["Forwarded: proto=http", "Forwarded: for=_a;Proto=https"],
    ] {
      #expect(try isSecure(fields, by: .forwarded), "\(fields)")
      #expect(try !isSecure(fields, peer: "203.0.113.9:1", by: .forwarded), "\(fields)")
      #expect(try !isSecure(fields), "\(fields)")
    }
  }

  @Test func whatAClientSaysBeforeHimDoesNotMakeItSo() throws {
    for fields in [
      [], ["X-Forwarded-Proto: https, http"], ["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], ["X-Forwarded-Proto: https,"],
      ["X-Forwarded-Proto: "],
      ["X-Forwarded-Proto: https", "X-Forwarded-Proto:"], ["X-Forwarded-Proto: httpsx"], ["X-Forwarded-Ssl: on"],
      ["X_Forwarded_Proto: https"],
    ] {
      #expect(try !isSecure(fields), "\(fields)")
    }
    for fields in [
      ["Forwarded: proto=https, for=1.1.1.1"], ["Forwarded: proto=https, proto=http"], ["Forwarded: proto=https;proto=https"],
      ["Forwarded: proto=https;"],
      ["Forwarded: host=\"x;proto=https\""], ["Forwarded: host=\"x\\\";proto=https;y=\\\"\""], ["Forwarded: proto=https", "Forwarded: "],
    ] {
      #expect(try !isSecure(fields, by: .forwarded), "\(fields)")
    }
  }
}
