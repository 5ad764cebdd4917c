// Addresses as text, and the other way round.

import Net
import Primitives
import Testing

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("127.0.0.1:80", SocketAddress.ipv4(address: 0x7F00_0001, port: 80)),
    ("0.0.0.0:0", .ipv4(address: 0, port: 0)),
    ("255.255.255.255:65535", .ipv4(address: .max, port: 65535)),
    ("[::]:443", .ipv6(high: 0, low: 0, scope: 0, port: 443)),
    ("[::1]:8080", .ipv6(high: 0, low: 1, scope: 0, port: 8080)),
    ("[2001:db8::a:0:0:1]:1", .ipv6(high: 0x2001_0DB8_0000_0000, low: 0x000A_0000_0000_0001, scope: 0, port: 1)),
    ("[fe80::1%3]:22", .ipv6(high: 0xFE80_0000_0000_0000, low: 1, scope: 3, port: 22)),
    ("*:8080", .any(port: 8080)),
    ("unix:/run/a b.sock", .unix(path: "/run/a b.sock")),
  ])
  func textBecomesTheAddressAndBack(text: String, address: SocketAddress) throws {
    #expect(try SocketAddress(parsing: text) == address)
    #expect(address.text == text)
  }

  @Test func portAloneIsEveryAddress() throws {
    #expect(try SocketAddress(parsing: ":9000") == .any(port: 9000))
  }

  @Test func linkLocalScopeMayBeAnInterfacesName() throws {
    guard case .ipv6(_, _, let scope, _) = try SocketAddress(parsing: "[fe80::1%lo]:80") else {
      Issue.record("not IPv6")
      return
    }
    #expect(scope > 0)
  }

  @Test(arguments: [
    "", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:8 0", "127.0.0.1:٣",
    "localhost:80", "::1:80", "2001:db8::1", "[::1]", "[::1", "[::1:80", "[::g]:80", "[]:80", "[fe80::1%]:80", "[fe80::1%nosuchname]:80",
    "1.2.3:80", "1.2.3.4.5:80", "01.2.3.4.:80", "1.2.3.256:80", "unix:", "unix:a\0b", "unix:/" + String(repeating: "x", count: 107),
  ])
  func whatIsNoAddressIsRefusedWithAReason(text: String) throws {
    let error = #expect(throws: NetError.self) { try SocketAddress(parsing: text) }
    guard case .badAddress(text, let why) = error else {
      Issue.record("another error: \(error as Any)")
      return
    }
    #expect(!why.isEmpty)
  }

  @Test(arguments: [
    // RFC 5952 section 4: the longest run is shortened, the first of equal ones, one group never.
    ("2001:0DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
    ("0:0:0:0:0:0:0:0", "::"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("1:0:0:0:0:0:0:0", "1::"),
    ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
    ("0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"),
    ("ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"),
  ])
  func hostTextIsCanonical(long: String, canonical: String) throws {
    #expect(try SocketAddress(parsing: "[\(long)]:1").host == canonical)
  }

  @Test func networkKeyIsTheAddressOrTheNetworkOfSixtyFour() throws {
    func key(_ text: String) throws -> UInt64 { try SocketAddress(parsing: text).networkKey }
    #expect(try key("10.0.0.1:1") == key("10.0.0.1:2"))
    #expect(try key("10.0.0.1:1") != key("10.0.0.2:1"))
    #expect(try key("[2001:db8:1:2::1]:1") == key("[2001:db8:1:2:ffff::9]:1"))
    #expect(try key("[2001:db8:1:2::1]:1") != key("[2001:db8:1:3::1]:1"))
    #expect(try key("unix:/x") == 0)
    #expect(try key("[::1]:1") != 0)
    #expect(try key("0.0.0.0:1") != key("[::]:1"))
  }
}
