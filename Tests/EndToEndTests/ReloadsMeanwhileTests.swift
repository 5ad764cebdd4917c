// A configuration that changes while requests wait for their password checks: they are judged by the new one as a whole.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.inClearText) struct ReloadsMeanwhile {
    /// Fills the one thread that checks passwords, lets somebody with a good one wait behind, and changes the configuration. His answer.
    private static func answer(_ setup: Setup, _ old: String, _ new: String, byHTTP2: Bool = false) throws -> Int {
      var setup = setup
      setup.top = "listen 127.0.0.1:0 { h2c on }\nhash_threads 1\n" + setup.top
      // bcrypt of cost 10: some hundredths of a second each.
      setup.users = "slow:$2y$10$Vj3d2bJ5yrSA9f1pIc1LRuwHGFyTk4KkO7wTdnRoW7YEw4n3yd6Xe\n" + People.file
      var status = 0
      try House.with(setup) { house throws in
        let port = house.gate.ports[1]
        let guessers = try (0..<60).map { i in
          let client = try Client(to: port)
          try client.send(request("GET", "/", ["Authorization: " + Secrets.basic("slow", "wrong-guess-\(i)-meanwhile")]))
          return client
        }
        let carol = try FrameClient(to: port)
        let plain = try Client(to: port)
        var id: Int32 = 0
        if byHTTP2 {
          id = try carol.request(FrameClient.fields("/", "GET", [FrameClient.authorized(People.carol)], scheme: "http"))
        } else {
          try plain.send(request("GET", "/", [People.carol.authorization]))
        }
        try house.reload(old, becomes: new)
        let reloaded = plain.socket.hasInput
        try eventually("it is in force") {
          ![200, 401].contains(try Client(to: port).exchange(request("GET", "/", ["Authorization: nonsense"])).status)
        }
        #expect(!reloaded && !plain.socket.hasInput, "he was answered before: the test would show nothing")
        if byHTTP2 {
          status = try carol.answer(id).status ?? 0
        } else {
          status = try plain.response()?.status ?? 0
        }
        #expect(house.upstream.requests.isEmpty)
        for guesser in guessers { guesser.abort() }
      }
      return status
    }

    @Test(arguments: [false, true]) func whoWaitsForHisPasswordIsSentToHTTPSAsSoonAsAllAre(_ byHTTP2: Bool) throws {
      #expect(try Self.answer(Setup(), "{ h2c on }", "{ h2c on; redirect https 8443 }", byHTTP2: byHTTP2) == 301)
    }

    @Test(arguments: [false, true]) func whoWaitsForHisPasswordIsRefusedInClearTextAsSoonAsAllAre(_ byHTTP2: Bool) throws {
      #expect(try Self.answer(Setup(), "require valid-user", "require valid-user\n    require tls", byHTTP2: byHTTP2) == 403)
    }
  }
}
