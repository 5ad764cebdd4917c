// The PROXY protocol as a sender: what is written reads back as what it was.

import Primitives
import Testing

@testable import HTTP

@Suite struct ProxyHeaderWritingTests {
  private static func endpoint(_ address: String, _ port: UInt16) -> ProxyHeader.Endpoint {
    .init(address: ClientAddress(parsing: bytes(address).span)!, port: port)
  }

  private static func written(_ version: ProxyHeader.Version, _ client: ProxyHeader.Endpoint, _ here: ProxyHeader.Endpoint) -> [UInt8] {
    var out = ByteBuffer()
    ProxyHeader.append(version, for: client, connectedTo: here, to: &out)
    return out.array()
  }

  @Test(arguments: [("203.0.113.9", "192.0.2.1"), ("2001:db8::7", "::"), ("2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8::1"), ("255.255.255.255", "0.0.0.0")])
  func whatIsWrittenReadsBack(_ client: String, _ here: String) {
    for version in [ProxyHeader.Version.v1, .v2] {
      let (client, here) = (Self.endpoint(client, 65535), Self.endpoint(here, 443))
      let header = Self.written(version, client, here)
      #expect(header.count <= 107)
      guard case .complete(let read, let length) = ProxyHeader.parse(header.span) else {
        Issue.record("\(header)")
        continue
      }
      #expect(length == header.count && read.origin == .client(client, connectedTo: here))
    }
  }

  @Test func theLineIsAsInTheSpecification() {
    let line = Self.written(.v1, Self.endpoint("203.0.113.9", 56671), Self.endpoint("192.0.2.1", 443))
    #expect(String(decoding: line, as: UTF8.self) == "PROXY TCP4 203.0.113.9 192.0.2.1 56671 443\r\n")
  }

  @Test(arguments: [("unix:", "192.0.2.1"), ("203.0.113.9", "unix:"), ("203.0.113.9", "::1"), ("::1", "127.0.0.1")])
  func whoHasNoAddressIsUnknown(_ client: String, _ here: String) {
    for version in [ProxyHeader.Version.v1, .v2] {
      let header = Self.written(version, Self.endpoint(client, 1), Self.endpoint(here, 2))
      guard case .complete(let read, let length) = ProxyHeader.parse(header.span) else {
        Issue.record("\(header)")
        continue
      }
      #expect(length == header.count && read.origin == .unknown)
    }
  }
}
