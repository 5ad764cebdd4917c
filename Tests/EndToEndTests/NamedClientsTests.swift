// Clients whom a proxy named by a PROXY header, when the operator takes his trust from it and gives it back: they are who they were, and no
// proxies themselves.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct NamedClients {
    private static let named = [UInt8]("PROXY TCP4 203.0.113.9 192.0.2.1 56671 443\r\n".utf8)
    private static let nameless = [UInt8]("PROXY UNKNOWN\r\n".utf8)
    private static let lie = "X-Forwarded-For: 198.51.100.7"

    private static let setup = Setup(
      top: "listen 127.0.0.1:0 { proxy_protocol required; h2c on }\ntrusted_proxies 127.0.0.1",
      more: """
        route /free/ { upstream legacy; require nobody }
        route /office/ { upstream legacy; require all { from 198.51.100.0/24; nobody } }
        """)

    private static func distrust(_ house: House) throws {
      try house.reload("trusted_proxies 127.0.0.1", becomes: "trusted_proxies 192.0.2.77")
      // The workers know when a proxy that writes headers is let in no more.
      try eventually("nobody is trusted") {
        let late = try Client(to: house.gate.ports[1])
        try late.send(named + [UInt8](request("GET", "/free/").utf8))
        do { return try late.response() == nil } catch Socket.Trouble.reset { return true }
      }
    }

    private static func trust(_ house: House) throws {
      try house.reload("trusted_proxies 192.0.2.77", becomes: "trusted_proxies 127.0.0.1")
      try eventually("the proxy is trusted") {
        let proxy = try Client(to: house.gate.ports[1])
        // It asks for itself.
        try proxy.send(
          [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x20, 0, 0, 0]
            + [UInt8](request("GET", "/office/probe", [lie]).utf8))
        do { return try proxy.response()?.status == 200 } catch Socket.Trouble.reset { return false }
      }
    }

    /// What he asks for is refused, or nobody is there any more.
    private static func expectNothing(_ client: Client) {
      let answer: Message?
      do {
        try client.send(request("GET", "/office/", [lie]))
        answer = try client.response()
      } catch {
        answer = nil
      }
      #expect(answer == nil || answer?.status == 401, "\(answer?.status ?? 0)")
    }

    @Test func whoWasNamedIsNoProxyWhenHisOneComesBack() throws {
      for header in [Self.named, Self.nameless] {
        try House.with(Self.setup) { house throws in
          // One who goes on asking all the time, and one who waits.
          let (busy, quiet) = (try Client(to: house.gate.ports[1]), try Client(to: house.gate.ports[1]))
          for client in [busy, quiet] {
            try client.send(header)
            #expect(try client.exchange(request("GET", "/office/", [Self.lie])).status == 401)
          }
          try Self.distrust(house)
          Self.expectNothing(busy)
          try Self.trust(house)
          for client in [busy, quiet] {
            Self.expectNothing(client)
            Self.expectNothing(client)
          }
          #expect(house.upstream.requests.allSatisfy { $0.target == "/office/probe" })
        }
      }
    }

    @Test func whoWasNamedHasToComeAgain() throws {
      try House.with(Self.setup) { house throws in
        let idle = try Client(to: house.gate.ports[1])
        try idle.send(Self.named)
        #expect(try idle.exchange(request("GET", "/free/")).status == 200)
        let other = try house.client()
        #expect(try other.exchange(request("GET", "/free/")).status == 200)
        try Self.distrust(house)
        #expect(idle.isClosedByPeer(within: .seconds(10)))
        // Nobody named this one.
        #expect(try other.exchange(request("GET", "/free/")).status == 200)
      }
    }

    @Test func whoWasNamedIsNoProxyByHTTP2Either() throws {
      try House.with(Self.setup) { house throws in
        let client = try FrameClient(to: house.gate.ports[1], after: Self.named)
        let office = FrameClient.fields("/office/", "GET", [("x-forwarded-for", "198.51.100.7")], scheme: "http")
        #expect(try client.exchange(office).status == 401)
        try Self.distrust(house)
        do { #expect(try client.exchange(office).status ?? 401 == 401) } catch is Socket.Trouble {}
        try Self.trust(house)
        do { #expect(try client.exchange(office).status ?? 401 == 401) } catch is Socket.Trouble {}
        // And he is told that the connection ends.
        #expect(try client.end() == 0)
        #expect(house.upstream.requests.allSatisfy { $0.target == "/office/probe" })
      }
    }
  }
}
