// The variables of `request_header` that say how a client came: they are what the connection says, whatever the client does.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Variables {
    private static let rules = """
      request_header set X-TLS "{tls.version} {tls.cipher}"
      request_header set X-TLS-Name "{tls.sni}"
      request_header set X-Way "{remote_address} {peer_address} {remote_port} {server_port} {scheme}"
      """
    private static let forged = ["X-TLS: SSLv2", "x_tls: SSLv2", "X-TLS-Name: forged.test", "x_tls_name: forged.test", "X-Way: forged"]

    private func curl(_ house: House, _ url: String, _ more: [String] = []) throws -> Message {
      let count = house.upstream.requests.count
      let fields = (Self.forged + more).flatMap { ["-H", $0] }
      let trust = house.front.isSecure ? ["--cacert", house.scratch["ca.pem"], house.front.curlOption ?? ""] : []
      #expect(try Curl.run(["-4", "-u", People.alice.pair] + trust + fields + [url], in: house.scratch).status == 200)
      let seen = try house.upstream.requests(count + 1)[count]
      #expect(!seen.headText.contains("forged") && !seen.headText.contains("SSLv2"), "\(seen.headText)")
      return seen
    }

    @Test(.byEachFront) func whatTheConnectionSaysIsToldAsItIs() throws {
      try House.with(Setup(top: "trusted_proxies 127.0.0.1", route: Self.rules)) { house throws in
        let named = try curl(house, "\(house.front.scheme)://localhost:\(house.port)/")
        let way = try #require(named["x-way"]).split(separator: " ").map(String.init)
        try #require(way.count == 5, "\(way)")
        #expect(way[0] == "127.0.0.1" && way[1] == "127.0.0.1" && way[3] == "\(house.port)" && way[4] == house.front.scheme, "\(way)")
        #expect((UInt16(way[2]) ?? 0) > 0)
        let line = try house.accessLines(1)[0]
        if house.front.isSecure {
          // What the log says too.
          #expect(named["x-tls"] == "\(line["tls"] ?? "") \(line["cipher"] ?? "")" && named["x-tls"]?.hasPrefix("TLSv1.3 ") == true, "\(named.headText)")
          #expect(named["x-tls-name"] == "localhost")
        } else {
          // Where there is nothing to say, no header is sent, not even an empty one.
          #expect(named.values("x-tls").isEmpty && named.values("x-tls-name").isEmpty, "\(named.headText)")
        }
        // An address is no name (RFC 6066 section 3). The client is whom a trusted proxy names, the peer that proxy.
        let other = try curl(house, "\(house.front.scheme)://127.0.0.1:\(house.port)/", ["X-Forwarded-For: 203.0.113.9"])
        #expect(other.values("x-tls-name").isEmpty && other["x-way"]?.hasPrefix("203.0.113.9 127.0.0.1 ") == true, "\(other.headText)")
      }
    }
  }
}
