// Assertions of users whose requests wait: what the service gets is good for as long as any other.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct AssertionsThatWait {
    /// When it was made, by the service's reading.
    private func made(_ message: Message) throws -> Double {
      let token = Secrets.keep(try #require(message["X-Gatehouse-Assertion"]))
      let parts = token.split(separator: ".")
      var text = parts[1].replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
      while text.utf8.count % 4 != 0 { text += "=" }
      let claims = try JSONSerialization.jsonObject(with: try #require(Data(base64Encoded: text))) as? [String: Any]
      return try #require(claims?["iat"] as? Double)
    }

    /// It lives for two seconds, of which more than one is over when there is room.
    @Test func whatWasMadeBeforeTheWaitIsMadeAnew() throws {
      let key = try Child.run("/usr/bin/openssl", ["genpkey", "-algorithm", "ED25519"])
      Secrets.keep(key.text.split(separator: "\n").dropFirst().first.map(String.init) ?? "")
      let go = Steps()
      let count = Monitor(0)
      let server = try RecordingUpstream { conversation in
        while try conversation.request() != nil {
          let step = count.with { count in
            count += 1
            return count
          }
          try go.wait(for: step)
          try conversation.send(Answer.text("well"))
        }
      }
      let setup = Setup(
        top: "admin unix:admin.sock", upstream: "queue 10 20s\nassert_jwt { key assertion.key; lifetime 2s }", files: ["assertion.key": key.text],
        server: "http://127.0.0.1:\(server.port) max_connections 1")
      try House.with(setup) { house throws in
        let (first, second) = (try house.client(), try house.client())
        try first.send(request("GET", "/0", [People.alice.authorization]))
        let before = try made(try server.requests(1)[0])
        try second.send(request("GET", "/1", [People.alice.authorization]))
        try eventually("it waits") {
          try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text.contains("queue legacy: 1 ")
        }
        try eventually("it has waited") { Date().timeIntervalSince1970 >= before + 2 }
        let sent = Date().timeIntervalSince1970.rounded(.down)
        for _ in 0..<2 { go.advance() }
        #expect(try first.response()?.status == 200)
        #expect(try second.response()?.status == 200)
        #expect(try made(try server.requests(2)[1]) >= sent)
      }
      try server.stop()
    }
  }
}
