// Connections that were there before their address became a trusted proxy's: behind it may be anybody whose bytes a balancer moves, and what
// he says of himself is not the balancer's word.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct TrustByReload {
    private static let named = [UInt8]("PROXY TCP4 198.51.100.7 192.0.2.1 56671 443\r\n".utf8)
    private static let lies = ["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"]
    private static let paths = ["/office/", "/secure/"]
    private static let setup = Setup(
      top: "listen 127.0.0.1:0 { h2c on }\n# nobody is trusted",
      more: """
        route /free/ { upstream legacy; require nobody }
        route /office/ { upstream legacy; require all { from 198.51.100.0/24; nobody } }
        route /secure/ { upstream legacy; require nobody; require tls }
        """)

    private static func fields(_ path: String) -> [(String, String)] {
      FrameClient.fields(path, "GET", [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "https")], scheme: "http")
    }

    /// Trusts 127.0.0.1 from now on, and waits until that is so.
    private static func trust(_ house: House, withHeader: Bool) throws {
      try house.reload {
        let trusting = $0.replacingOccurrences(of: "# nobody is trusted", with: "trusted_proxies 127.0.0.1")
        return withHeader ? trusting.replacingOccurrences(of: "{ h2c on }", with: "{ proxy_protocol required; h2c on }") : trusting
      }
      try eventually("the proxy is trusted") {
        let proxy = try Client(to: house.gate.ports[1])
        if withHeader { try proxy.send(named) }
        do {
          try proxy.send(request("GET", "/office/probe", lies))
          return try proxy.response()?.status == 200
        } catch Socket.Trouble.reset { return false }
      }
    }

    /// None that was not the probe's, and nobody's word was believed.
    private static func expectNothing(_ house: House) {
      #expect(house.upstream.requests.allSatisfy { $0.target == "/office/probe" || $0.target == "/free/" })
      #expect(
        house.upstream.requests.allSatisfy { $0.target == "/office/probe" || $0["X-Forwarded-Proto"] != "https" },
        "https by the word of whoever asks")
    }

    @Test(arguments: paths, [false, true]) func whoIsHereAlreadyIsNotBelieved(_ path: String, _ withHeader: Bool) throws {
      try House.with(Self.setup) { house throws in
        // One who asks at once, one who has begun to ask, one who asks for something else and then for it, and one who has said nothing yet.
        let clients = try (0..<4).map { _ in try Client(to: house.gate.ports[1]) }
        for client in clients.prefix(3) { #expect([401, 403].contains(try client.exchange(request("GET", path, Self.lies)).status)) }
        let whole = request("GET", path, Self.lies)
        try clients[1].send(String(whole.prefix(30)))
        try Self.trust(house, withHeader: withHeader)
        for (i, client) in clients.enumerated() {
          do {
            if i == 2 { try client.send(request("GET", "/free/", Self.lies)) }
            try client.send(i == 1 ? String(whole.dropFirst(30)) : whole)
            if i == 2, let free = try client.response() { #expect(free.status == 200) }
            if let answer = try client.response() { #expect([401, 403].contains(answer.status)) }
          } catch Socket.Trouble.reset {}
          // And it is the end of it; who has said nothing before may stay, and is not believed later either.
          if i == 3 {
            #expect([401, 403].contains(try client.exchange(whole).status))
          } else {
            #expect(client.isClosedByPeer(within: .seconds(10)))
          }
        }
        Self.expectNothing(house)
      }
    }

    @Test(arguments: [false, true]) func whoIsHereAlreadyHasToComeAgain(_ withHeader: Bool) throws {
      try House.with(Self.setup) { house throws in
        let used = try Client(to: house.gate.ports[1])
        #expect(try used.exchange(request("GET", "/free/")).status == 200)
        let stream = try FrameClient(to: house.gate.ports[1])
        #expect(try stream.exchange(FrameClient.fields("/free/", scheme: "http")).status == 200)
        try Self.trust(house, withHeader: withHeader)
        #expect(used.isClosedByPeer(within: .seconds(10)))
        #expect(try stream.end(.after(.seconds(10))) == 0)
      }
    }

    @Test(arguments: paths, [false, true]) func whoIsHereAlreadyIsNotBelievedByHTTP2Either(_ path: String, _ withHeader: Bool) throws {
      try House.with(Self.setup) { house throws in
        let client = try FrameClient(to: house.gate.ports[1])
        #expect([401, 403].contains(try client.exchange(Self.fields(path)).status ?? 0))
        // The beginning of a head, which ends when the proxy is trusted.
        let id = client.begin([]).id
        let block = Frame.block(Self.fields(path))
        try client.send(Frame.make(Frame.headers, Frame.endStream, stream: id, Array(block.prefix(20))))
        try Self.trust(house, withHeader: withHeader)
        do {
          try client.send(Frame.make(Frame.continuation, Frame.endHeaders, stream: id, Array(block.dropFirst(20))))
          let late = try client.answer(id)
          #expect(late.status.map { [401, 403].contains($0) } ?? true, "\(late)")
          let another = try client.exchange(Self.fields(path))
          #expect(another.status.map { [401, 403].contains($0) } ?? true, "\(another)")
        } catch is Socket.Trouble {}
        #expect(try client.end(.after(.seconds(10))) == 0)
        Self.expectNothing(house)
      }
    }
  }
}
